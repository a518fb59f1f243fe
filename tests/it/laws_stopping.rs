//! Laws E: stopping and detaching.

use crate::laws_kit::*;
use poe::event::{CHILD, ChildReason, START, STOP};
use poe::{HandlerResult, Kernel, Session, Signal};
use std::cell::Cell;
use std::rc::Rc;

/// P with M as its child, where M is killed while it has a child C, which was created too late for the signal.
fn middle_is_killed(kernel: &Kernel) {
    life("P", go)
        .on("go", |cx, ()| {
            let middle = cx
                .create(life("M", |cx| cx.sig("TERM", "term")).on("term", |cx, _: Signal| {
                    cx.create(life("C", lives(20))).unwrap();
                    said();
                }))
                .unwrap();
            cx.signal(middle, "TERM", ()).unwrap();
        })
        .create(kernel)
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn l32_gain_parent_stop_lose() {
    let kernel = kernel();
    middle_is_killed(&kernel);
    run(&kernel).await;
    assert_eq!(
        said(),
        [
            "P gain C",
            "C parent M to P",
            "M stop",
            "P lose M (M stopped)",
            "C stop",
            "P lose C (C stopped)",
            "P stop"
        ]
    );
}

/// The new parent's handler moves the child before the child is told: POE looks up its old parent then (found by a random program,
/// seed 20261304, 26738).
#[tokio::test(start_paused = true)]
async fn l32_a_child_that_is_moved_by_its_new_parent_is_told_of_the_parent_that_it_has_then() {
    let kernel = kernel();
    Session::builder(())
        .on(START, |cx, ()| {
            named(cx.session_id(), "P");
            go(cx);
        })
        .on("go", |cx, ()| -> HandlerResult {
            let middle = cx.create(life("M", |cx| cx.sig("TERM", "term")).on("term", |cx, _: Signal| {
                let child = life("C", lives(20)).on("leave", |cx, ()| cx.detach_myself().unwrap());
                cx.create(child).unwrap();
                said();
            }))?;
            Ok(cx.signal(middle, "TERM", ())?)
        })
        .on(CHILD, |cx, child| {
            say(format!("P {} {}", child.reason, nm(child.session)));
            if child.reason == ChildReason::Gain {
                cx.call::<(), ()>(child.session, "leave", ()).unwrap();
            }
        })
        .on(STOP, |_, ()| say("P stop"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        [
            "P gain C",
            "M lose C (undef)",
            "C parent M to kernel",
            "C parent kernel to P",
            "M stop",
            "P lose M",
            "P stop",
            "C stop"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn l33_inside_stop_calls_work_and_posts_are_purged() {
    let kernel = kernel();
    let other = life("other", lives(50))
        .on("hello", |_, ()| say("hello"))
        .create(&kernel)
        .unwrap();
    let gone = Rc::new(Cell::new(None));
    let id = gone.clone();
    life("S", nothing)
        .on("called", |_, ()| say("called"))
        .on("posted", |_, ()| say("posted"))
        .on(STOP, move |cx, ()| {
            let me = cx.session_id();
            id.set(Some(me));
            assert!(cx.is_alive(me));
            cx.call::<(), ()>(me, "called", ()).unwrap();
            cx.call::<(), ()>(other, "hello", ()).unwrap();
            cx.post(other, "hello", ()).unwrap();
            cx.yield_to("posted", ());
            cx.delay("posted", ms(5), ());
            cx.alias_set("gone soon").unwrap();
            cx.refcount_increment(me, "dropped").unwrap();
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["called", "hello", "other stop"]);
    assert!(!kernel.is_alive(gone.get().unwrap()));
    assert_eq!(kernel.resolve("gone soon"), None);
}

#[tokio::test(start_paused = true)]
async fn l34_inside_lose_the_dead_may_still_be_called() {
    let kernel = kernel();
    let lost = Rc::new(Cell::new(None));
    let id = lost.clone();
    life("P", |cx| {
        cx.create(
            life("S", nothing)
                .on("ask", |_, ()| say("S answers"))
                .on("posted", |_, ()| say("posted")),
        )
        .unwrap();
        cx.delay("bye", ms(20), ());
    })
    .on(CHILD, move |cx, child| {
        if child.reason == ChildReason::Lose {
            cx.call::<(), ()>(child.session, "ask", ()).unwrap();
            cx.post(child.session, "posted", ()).unwrap();
            cx.refcount_increment(child.session, "dropped").unwrap();
            id.set(Some(child.session));
        }
    })
    .on("bye", move |cx, ()| assert!(!cx.is_alive(lost.get().unwrap())))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["S stop", "S answers", "P stop"]);
}

/// A session whose `_stop` makes another one.
fn leaves_a_late_one(cx: &mut Cx<'_>, late: &'static str) {
    cx.create(life(late, lives(20))).unwrap();
}

#[tokio::test(start_paused = true)]
async fn l35_a_session_made_in_stop_is_adopted_without_a_word() {
    let kernel = kernel();
    life("P", go)
        .on("go", |cx, ()| {
            cx.create(life("S", nothing).on(STOP, |cx, ()| leaves_a_late_one(cx, "late")))
                .unwrap();
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        [
            "P create S (S started)",
            "S create late (late started)",
            "P lose S (())",
            "late stop",
            "P lose late (late stopped)",
            "P stop"
        ]
    );
}

/// D18: under a kernel-wide kill the late session crashes POE; here the kernel adopts it and it lives on.
#[tokio::test(start_paused = true)]
async fn l35_d18_a_session_made_in_stop_survives_a_kernel_wide_kill() {
    let kernel = kernel();
    life("S", |cx| cx.alias_set("S").unwrap())
        .on(STOP, |cx, ()| leaves_a_late_one(cx, "late"))
        .create(&kernel)
        .unwrap();
    kernel.signal(kernel.id(), "TERM", ()).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["S create late (late started)", "late stop"]);
}

#[tokio::test(start_paused = true)]
async fn l36_stop_runs_once_whatever_it_does() {
    let kernel = kernel();
    life("calls stop", nothing)
        .on(STOP, |cx, ()| {
            say("once");
            cx.stop_all();
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["once"]);
    life("fails", nothing)
        .on(STOP, |_, ()| {
            say("once");
            fail("in _stop")
        })
        .create(&kernel)
        .unwrap();
    assert_eq!(run_to_failure(&kernel).await, "in _stop");
    assert_eq!(said(), ["once"]);
    life("panics", nothing)
        .on(STOP, |_, ()| {
            say("once");
            panic!("on purpose")
        })
        .create(&kernel)
        .unwrap();
    assert_eq!(run_to_failure(&kernel).await, "panicked: on purpose");
    assert_eq!(said(), ["once"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_a_stop_that_the_program_asked_for_is_the_runs() {
    let kernel = kernel();
    let two_that_fail = || {
        for name in ["A", "B"] {
            life(name, |cx| cx.alias_set(name).unwrap())
                .on(STOP, move |_, ()| {
                    say(name);
                    panic!("{name} on purpose")
                })
                .create(&kernel)
                .unwrap();
        }
    };
    two_that_fail();
    kernel.stop_all().unwrap();
    assert_eq!(
        (said(), kernel.session_count()),
        (vec!["B".to_owned(), "A".to_owned()], 0)
    );
    assert_eq!(run_to_failure(&kernel).await, "panicked: A on purpose");
    assert!(kernel.run().await.is_ok());

    // Beside a run that is under way it is that one's.
    two_that_fail();
    let handle = kernel.handle();
    let serving = async { kernel.serve().await };
    let stopping = async {
        tokio::task::yield_now().await;
        kernel.stop_all().unwrap();
        drop(handle);
    };
    let (served, ()) = tokio::join!(serving, stopping);
    assert!(served.unwrap_err().is_died());
    assert_eq!(
        (said(), kernel.session_count()),
        (vec!["B".to_owned(), "A".to_owned()], 0)
    );
}

#[tokio::test(start_paused = true)]
async fn l37_a_failure_in_stop_is_no_die_and_comes_out_of_run() {
    let kernel = kernel();
    let dies = |name: &'static str, text: &'static str| {
        life(name, |cx| cx.sig("DIE", "died"))
            .on("died", |_, _: Signal| say("DIE"))
            .on(STOP, move |_, ()| -> HandlerResult {
                say(text);
                fail(text)
            })
    };
    life("P", move |cx| {
        cx.create(dies("C", "stop of C")).unwrap();
    })
    .on(CHILD, |_, child| {
        say(format!("{} {}", child.reason, child.result.is_some()))
    })
    .create(&kernel)
    .unwrap();
    assert_eq!(run_to_failure(&kernel).await, "stop of C");
    assert_eq!(said(), ["create true", "stop of C", "lose false", "P stop"]);

    // The next item is dispatched, then all stop.
    life("other", |cx| {
        cx.delay("timer", ms(30), ());
        cx.delay("later", ms(60), ());
    })
    .on("timer", |_, ()| say("timer"))
    .on("later", |_, ()| say("later"))
    .create(&kernel)
    .unwrap();
    dies("S", "stop of S").create(&kernel).unwrap();
    assert_eq!(run_to_failure(&kernel).await, "stop of S");
    assert_eq!(said(), ["stop of S", "timer", "other stop"]);

    // A later one replaces an earlier one.
    dies("second", "second").create(&kernel).unwrap();
    dies("first", "first").create(&kernel).unwrap();
    assert_eq!(run_to_failure(&kernel).await, "second");
    assert_eq!(said(), ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn l38_gain_takes_a_forced_stop_and_collection_never_gives_one() {
    let kernel = kernel();
    life("P", |cx| {
        cx.create(life("M", |cx| {
            cx.create(life("C", lives(20))).unwrap();
        }))
        .unwrap();
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert!(!said().iter().any(|s| s.contains("gain") || s.contains("parent")));
    middle_is_killed(&kernel);
    run(&kernel).await;
    assert!(said().contains(&"P gain C".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn l39_detaching_tells_the_old_parent_then_the_child_and_moves_last() {
    let kernel = kernel();
    let make = |cx: &mut Cx<'_>| {
        cx.create(life("C", |cx| cx.delay("leave", ms(10), ())).on("leave", |cx, ()| cx.detach_myself()))
    };
    life("P", go)
        .on("go", move |cx, ()| {
            make(cx).unwrap();
            cx.delay("bye", ms(20), ());
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        [
            "P create C (C started)",
            "P lose C (undef)",
            "C parent P to kernel",
            "C stop",
            "P stop"
        ]
    );

    life("P", go)
        .on("go", |cx, ()| {
            let me = cx.session_id();
            cx.sig("HELLO", "heard");
            let child = cx
                .create(
                    life("C", |cx| {
                        cx.sig("HELLO", "heard");
                        cx.delay("bye", ms(10), ());
                    })
                    .on("heard", |_, _: Signal| say("C hears it")),
                )
                .unwrap();
            cx.detach_child(child).unwrap();
            cx.signal(me, "HELLO", ()).unwrap();
            assert!(cx.detach_child(child).unwrap_err().is_not_permitted());
            assert!(cx.detach_myself().unwrap_err().is_not_permitted());
        })
        .on("heard", |_, _: Signal| say("P hears it"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        [
            "P create C (C started)",
            "P lose C (undef)",
            "C parent P to kernel",
            "P hears it",
            "P stop",
            "C stop"
        ]
    );
}

/// The parent of a stopping session may be gone before its `_child`, and its slot may belong to another session.
#[tokio::test(start_paused = true)]
async fn l32_no_child_event_comes_for_a_parent_that_is_gone() {
    let kernel = kernel();
    life("P", |cx| {
        cx.create(life("C", lives(20)).on(STOP, |cx, ()| {
            cx.stop_all();
            // In the slot that P has left.
            cx.create(life("new", |cx| cx.yield_to("bye", ()))).unwrap();
        }))
        .unwrap();
    })
    .create(&kernel)
    .unwrap();
    kernel.stop_all().unwrap();
    assert_eq!(said(), ["P create C (C started)", "C parent P to kernel", "P stop"]);
    run(&kernel).await;
    assert_eq!(said(), ["new stop"]);
}

/// D10: no `_parent` at creation; D9: `stop` sends `_stop` and `_child lose`.
#[tokio::test(start_paused = true)]
async fn d09_d10_stop_tells_parents_and_creation_sends_no_parent() {
    let kernel = kernel();
    life("P", |cx| {
        cx.alias_set("P").unwrap();
        cx.create(life("C", |cx| cx.alias_set("C").unwrap())).unwrap();
    })
    .on(START, |cx, ()| {
        named(cx.session_id(), "P");
        cx.create(life("C", |cx| cx.alias_set("C").unwrap())).unwrap();
    })
    .create(&kernel)
    .unwrap();
    assert_eq!(said(), ["P create C (C started)"]);
    kernel.stop_all().unwrap();
    assert_eq!(said(), ["C stop", "P lose C (C stopped)", "P stop"]);
    run(&kernel).await;
}
