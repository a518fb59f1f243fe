//! Continuations: `spawn_then`, `attach_then`, `blocking_then`.

use crate::laws_kit::*;
use poe::component::TcpServer;
use poe::event::{DEFAULT, START, STOP};
use poe::extend::{Invoke, Invoked};
use poe::inspect::HoldKind;
use poe::testing::{self, Transcript};
use poe::{AnyArg, Event, Failure, HandlerResult, Kernel, KernelRef, Name, Nfa, Session, Signal, TaskId};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

/// Says so when it is dropped.
struct Dropped(&'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        say(format!("{} dropped", self.0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_continuation_has_the_heap_the_output_and_what_it_captured() {
    let kernel = kernel();
    Session::builder(vec![1])
        .on(START, |cx, ()| {
            let captured = 10;
            cx.spawn_then(
                async {
                    sleep(ms(20)).await;
                    100
                },
                move |cx, output| cx.heap.push(captured + output),
            );
        })
        .on(STOP, |cx, ()| say(format!("{:?}", *cx.heap)))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["[1, 110]"]);
}

#[tokio::test(start_paused = true)]
async fn a_continuation_is_an_event_in_its_place_in_the_queue() {
    let kernel = kernel();
    let transcript = Transcript::of(&kernel);
    life("S", |cx| {
        cx.yield_to("before", ());
        cx.spawn_then(std::future::ready(()), |cx, ()| {
            say("then");
            cx.yield_to("after", ());
        });
    })
    .on("before", |_, ()| say("before"))
    .on("after", |_, ()| say("after"))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["before", "then", "after", "S stop"]);
    transcript.assert_eq_without_places(
        "0.000 1 _start kernel
         0.000 1 before 1
         0.000 1 poe_then 1
         0.000 1 after 1
         0.000 1 _stop kernel",
    );
}

#[tokio::test(start_paused = true)]
async fn a_streams_items_come_to_the_continuation_one_by_one_and_then_its_end() {
    let kernel = kernel();
    life("S", |cx| {
        let sum = Cell::new(0);
        cx.attach_then(futures_util::stream::iter([1, 2, 3]), move |_, item| match item {
            Some(n) => sum.set(sum.get() + n),
            None => say(sum.get()),
        });
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["6", "S stop"]);
}

#[tokio::test]
async fn blocking_work_comes_back_to_the_continuation_on_the_kernels_thread() {
    let kernel = Kernel::new();
    life("S", |cx| {
        let here = std::thread::current().id();
        cx.blocking_then(
            || std::thread::current().id(),
            move |_, there| say(here != there && here == std::thread::current().id()),
        );
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["true", "S stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_or_panicking_continuation_is_a_die_of_its_session() {
    let kernel = kernel();
    life("S", |cx| {
        cx.sig("DIE", "die");
        cx.spawn_then(std::future::ready(()), |_, ()| -> HandlerResult {
            Err(Failure::msg("no luck"))
        });
        cx.spawn_then(std::future::ready(()), |_, ()| panic!("a bug"));
        cx.spawn_then(async { panic!("in the future") }, |_, ()| say("not reached"));
    })
    .on("die", |cx, signal: Signal| {
        let die = signal.die().unwrap();
        say(format!("{}: {}", die.event, die.failure));
        cx.sig_handled();
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    let mut said = said();
    said.sort();
    let expected = [
        "S stop",
        "poe_then: no luck",
        "poe_then: panicked: a bug",
        "poe_then: panicked: in the future",
    ];
    assert_eq!(said, expected);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_task_drops_its_continuation() {
    let kernel = kernel();
    Session::builder(None::<TaskId>)
        .on(START, |cx, ()| {
            let guard = Dropped("continuation");
            let task = cx.spawn_then(sleep(ms(1000)), move |_, ()| drop(guard));
            *cx.heap = Some(task);
            cx.delay("cancel", 0.5, ());
        })
        .on("cancel", |cx, ()| {
            let task = cx.heap.unwrap();
            assert!(cx.cancel(task));
            say("cancelled");
        })
        .create(&kernel)
        .unwrap();
    let began = tokio::time::Instant::now();
    run(&kernel).await;
    assert_eq!(said(), ["continuation dropped", "cancelled"]);
    assert_eq!(began.elapsed(), ms(500));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_stops_drops_its_continuations_also_queued_ones() {
    let kernel = kernel();
    life("S", |cx| {
        let (waiting, queued) = (Dropped("waiting"), Dropped("queued"));
        cx.spawn_then(sleep(ms(1000)), move |_, ()| drop(waiting));
        cx.spawn_then(std::future::ready(()), |cx, ()| cx.stop_all());
        cx.spawn_then(std::future::ready(()), move |_, ()| {
            say("not reached");
            drop(queued);
        });
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    let mut said = said();
    said.sort();
    assert_eq!(said, ["S stop", "queued dropped", "waiting dropped"]);
}

#[tokio::test(start_paused = true)]
async fn why_alive_shows_a_waiting_continuation_with_its_line() {
    let kernel = kernel();
    let line = Rc::new(Cell::new(0));
    let noted = line.clone();
    life("S", move |cx| {
        noted.set(line!() + 1);
        cx.spawn_then(sleep(ms(1000)), |_, ()| ());
    })
    .create(&kernel)
    .unwrap();
    testing::run_for(&kernel, ms(10)).await.unwrap();
    let why = kernel.why_alive();
    let [hold] = &why.sessions[0].holds[..] else {
        panic!("{why}")
    };
    assert_eq!((hold.kind, hold.name.as_str()), (HoldKind::Task, "poe_then"));
    assert_eq!((hold.place.file(), hold.place.line()), (file!(), line.get()));
    run(&kernel).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_has_continuations_in_every_state() {
    const ENTER: Event<()> = Event::new("enter");
    let kernel = kernel();
    Nfa::builder(Vec::new())
        .state("asking", |s| {
            s.on(ENTER, |cx, ()| {
                cx.spawn_then(sleep(ms(10)), |cx, ()| {
                    let state = cx.current_state().copied().unwrap();
                    cx.runstate.push(state);
                    say(format!("{:?}", *cx.runstate));
                });
                cx.attach_then(futures_util::stream::iter([1]), |_, item| say(format!("{item:?}")));
                cx.goto_state("waiting", ENTER, ())
            })
        })
        .state("waiting", |s| s.postpone_others().on(ENTER, |_, ()| ()))
        .enter("asking", ENTER, ())
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["Some(1)", "None", "[\"waiting\"]"]);
}

/// A session type that counts the events that pass through it.
struct Counted(Rc<dyn Invoke>, Rc<RefCell<Vec<Name>>>);

impl Invoke for Counted {
    fn invoke(&self, kernel: KernelRef<'_>, arg: &mut AnyArg) -> Invoked {
        self.1.borrow_mut().push(kernel.event());
        self.0.invoke(kernel, arg)
    }
    fn event_names(&self) -> Vec<Name> {
        self.0.event_names()
    }
}

#[tokio::test(start_paused = true)]
async fn a_custom_session_type_sees_continuations_pass() {
    let kernel = kernel();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = seen.clone();
    life("S", |cx| {
        cx.spawn_then(std::future::ready(7), |_, n| say(n));
    })
    .session_type(move |session| Rc::new(Counted(session, log)))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["7", "S stop"]);
    assert_eq!(*seen.borrow(), ["_start", "poe_then", "_stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_forged_continuation_is_an_event_without_a_handler() {
    let kernel = kernel();
    let id = life("S", |cx| cx.alias_set("S").unwrap())
        .on(DEFAULT, |_, unhandled| {
            say(format!("{} {}", unhandled.event, unhandled.arg.is::<u32>()))
        })
        .create(&kernel)
        .unwrap();
    kernel.post(id, "poe_then", 7_u32).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["poe_then true", "S stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_session_of_a_server_has_continuations_with_its_heap_and_its_link() {
    let kernel = kernel();
    let server = TcpServer::builder("memory:shout")
        .client_heap(|_| 0_u32)
        .client_input(|cx, line: String| {
            cx.spawn_then(sleep(ms(5)), move |cx, ()| {
                *cx.heap += 1;
                let count = *cx.heap;
                cx.client().put(format!("{count} {}", line.to_uppercase()));
            });
        })
        .start(&kernel)
        .await
        .unwrap();
    let mut client = testing::connect(&kernel, "memory:shout").unwrap();
    let talk = async {
        client.write_all(b"a\r\nb\r\n").await.unwrap();
        let mut reply = [0; 10];
        client.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply, b"1 A\r\n2 B\r\n");
        drop(client);
        server.shutdown();
    };
    tokio::join!(run(&kernel), talk);
}
