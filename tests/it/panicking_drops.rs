//! User code that panics twice: drops whose payloads' drops panic, several panicking drops in one session, and a `Display` that
//! panics under a subscriber. The kernel lives, everything else is dropped, and nothing escapes.

use crate::in_child::in_child;
use crate::laws_kit::*;
use poe::event::{START, STOP};
use poe::{Event, Failure, HandlerResult, Kernel, Nfa, OnFailure, Reply, Session, Signal};
use std::cell::Cell;
use std::rc::Rc;

/// Its drop panics with a payload whose drop panics, the given number of times.
struct Payload(u32);

impl Drop for Payload {
    fn drop(&mut self) {
        if self.0 > 0 {
            std::panic::panic_any(Payload(self.0 - 1));
        }
    }
}

/// Counts its drop, and panics in it.
struct Bomb(Rc<Cell<u32>>, u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        std::panic::panic_any(Payload(self.1));
    }
}

/// The same for other threads.
struct SendBomb;

impl Drop for SendBomb {
    fn drop(&mut self) {
        std::panic::panic_any(Payload(2));
    }
}

#[test]
fn bombs_in_every_place_of_a_session_all_go_off_and_the_kernel_lives() {
    in_child!();
    for depth in [0, 1, 2, 40] {
        for ending in ["itself", "kernel", "failure"] {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let drops = Rc::new(Cell::new(0));
                let bomb = || Bomb(drops.clone(), depth);
                let kernel = poe::testing::builder().on_failure(OnFailure::StopSession).build();
                let (in_start, in_stop, in_other) = (bomb(), bomb(), bomb());
                let (timer, second_timer, posted, extra) = (bomb(), bomb(), bomb(), bomb());
                let in_future = bomb();
                let given = Cell::new(Some((timer, second_timer, posted, extra, in_future)));
                let id = Session::builder(bomb())
                    .on(START, move |cx, ()| {
                        let _captured = &in_start;
                        if let Some((timer, second, posted, extra, in_future)) = given.take() {
                            cx.delay("later", ms(3_600_000), timer);
                            cx.delay("much later", ms(7_200_000), second);
                            cx.sig_with("note", "noted", extra);
                            cx.yield_to("nobody handles this", posted);
                            cx.spawn(
                                async move {
                                    let _captured = in_future;
                                    std::future::pending::<()>().await;
                                },
                                Event::<()>::new("done"),
                            );
                        }
                    })
                    .on("fail", |_, ()| fail("on purpose"))
                    .on(STOP, move |_, ()| {
                        let _captured = &in_stop;
                    })
                    .on("other", move |_, ()| {
                        let _captured = &in_other;
                    })
                    .create(&kernel)
                    .unwrap();
                kernel.signal(id, "note", bomb()).unwrap();
                kernel.run_one_timeslice().await.unwrap();
                life("stranger", lives(5)).create(&kernel).unwrap();
                match ending {
                    "itself" => kernel.signal(id, "TERM", ()).unwrap(),
                    "failure" => kernel.post(id, "fail", ()).unwrap(),
                    _ => {}
                }
                if ending == "kernel" {
                    drop(kernel);
                } else {
                    kernel.run().await.unwrap();
                    assert!(said().contains(&"stranger stop".to_owned()));
                    assert!(!kernel.is_alive(id));
                }
                assert_eq!(drops.get(), 10, "{ending} {depth}");
                said();
            });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_machines_bombs_all_go_off() {
    const ENTER: Event<()> = Event::new("enter");
    let drops = Rc::new(Cell::new(0));
    let bomb = || Bomb(drops.clone(), 1);
    let kernel = kernel();
    let (in_state, in_other, in_all) = (bomb(), bomb(), bomb());
    Nfa::builder(bomb())
        .state("first", |s| {
            s.on(ENTER, move |_, ()| {
                let _captured = &in_state;
            })
        })
        .state("second", |s| {
            s.on(ENTER, move |_, ()| {
                let _captured = &in_other;
            })
        })
        .on("all", move |_, ()| {
            let _captured = &in_all;
        })
        .enter("first", ENTER, ())
        .start(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    assert_eq!(drops.get(), 4);
}

#[tokio::test]
async fn values_of_other_threads_may_be_bombs() {
    let kernel = Kernel::new();
    let handle = kernel.handle();
    life("S", |cx| cx.alias_set("S").unwrap())
        .on("ask", |_, n: u32| Reply(n))
        .on("bomb", |_, ()| Reply(SendBomb))
        .create(&kernel)
        .unwrap();
    handle.post("nobody", "x", SendBomb).unwrap();
    handle.post("S", "nobody handles this", SendBomb).unwrap();
    handle.post("S", "ask", SendBomb).unwrap(); // of another type
    drop(handle.call::<_, SendBomb>("S", "bomb", ())); // the reply is for nobody
    let ask = handle.call::<_, u32>("S", "ask", 3_u32);
    kernel.on_dead_letter(drop);
    kernel.run().await.unwrap();
    assert_eq!(ask.await.unwrap(), 3);
    drop(handle.post("S", "late", SendBomb));
    drop(kernel);
    assert_eq!(said(), ["S stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_with_a_bomb_is_a_failure_like_others() {
    let kernel = kernel();
    life("S", |cx| {
        cx.sig("DIE", "die");
        cx.yield_to("fail", ());
    })
    .on("fail", |_, ()| std::panic::panic_any(Payload(5)))
    .on("die", |cx, signal: Signal| {
        say(&signal.die().unwrap().failure);
        cx.sig_handled();
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["panicked: a panic without a text", "S stop"]);
}

/// An error whose `Display` panics, and whose drop panics.
#[derive(Debug)]
struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::panic::panic_any(Payload(1))
    }
}

impl std::error::Error for Unspeakable {}

impl Drop for Unspeakable {
    fn drop(&mut self) {
        std::panic::panic_any(Payload(1));
    }
}

#[test]
fn an_error_whose_display_panics_under_a_subscriber_affects_nothing_else() {
    in_child!();
    let trace = crate::traced::Trace::of("poe=trace");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        for policy in [OnFailure::StopSession, OnFailure::StopKernel] {
            let kernel = poe::testing::builder().on_failure(policy).build();
            life("S", |cx| {
                cx.sig("DIE", "die");
                cx.yield_to("fail", ());
            })
            .on("fail", |_, ()| -> HandlerResult { Err(Failure::from(Unspeakable)) })
            .on("die", |_, _: Signal| -> HandlerResult {
                Err(Failure::from(Unspeakable))
            })
            .create(&kernel)
            .unwrap();
            let ended = kernel.run().await;
            assert_eq!(ended.is_err(), policy == OnFailure::StopKernel);
            if let Err(error) = ended {
                assert!(error.to_string().contains("`Display` panicked"), "{error}");
            }
        }
    });
    assert!(
        trace
            .lines()
            .iter()
            .any(|line| line.contains("ERROR") && line.contains("`Display` panicked"))
    );
}

#[tokio::test(start_paused = true)]
async fn hooks_that_are_replaced_or_dropped_with_the_kernel_may_be_bombs() {
    let drops = Rc::new(Cell::new(0));
    let kernel = kernel();
    for _ in 0..2 {
        let (letters, failures) = (Bomb(drops.clone(), 1), Bomb(drops.clone(), 1));
        kernel.on_dead_letter(move |_| {
            let _captured = &letters;
        });
        kernel.on_unhandled_failure(move |_| {
            let _captured = &failures;
        });
    }
    assert_eq!(drops.get(), 2);
    drop(kernel);
    assert_eq!(drops.get(), 4);
}
