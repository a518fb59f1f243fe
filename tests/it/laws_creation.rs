//! Laws C: the creation of sessions.

use crate::laws_kit::*;
use poe::event::{CHILD, ChildReason, DEFAULT, START, STOP};
use poe::{HandlerResult, Session, Signal};

#[tokio::test(start_paused = true)]
async fn l18_start_then_the_parents_child_event_then_create_returns() {
    let kernel = kernel();
    life("P", |cx| {
        let child = cx
            .create(life("C", |cx| {
                say(format!("C starts, sender {}", nm(cx.sender())));
                assert_eq!(cx.event(), "_start");
            }))
            .unwrap();
        say(format!("create gave {}", nm(child)));
    })
    .create(&kernel)
    .unwrap();
    assert_eq!(
        said(),
        ["C starts, sender P", "P create C (C started)", "create gave C"]
    );
    run(&kernel).await;
}

#[tokio::test(start_paused = true)]
async fn l19_nested_creation() {
    let kernel = kernel();
    life("G", |cx| {
        cx.create(life("P", |cx| {
            cx.create(life("C", |_| say("C starts"))).unwrap();
            say("P goes on");
        }))
        .unwrap();
    })
    .create(&kernel)
    .unwrap();
    assert_eq!(
        said(),
        [
            "C starts",
            "P create C (C started)",
            "P goes on",
            "G create P (P started)"
        ]
    );
    run(&kernel).await;
}

#[tokio::test(start_paused = true)]
async fn l20_the_parent_is_the_active_session() {
    let kernel = kernel();
    let callee = life("callee", nothing)
        .on("make", |cx, ()| {
            cx.create(life("made", nothing)).unwrap();
        })
        .create(&kernel)
        .unwrap();
    life("caller", move |cx| cx.call::<(), ()>(callee, "make", ()).unwrap())
        .create(&kernel)
        .unwrap();
    let parents: Vec<String> = kernel
        .why_alive()
        .sessions
        .iter()
        .map(|s| format!("{} of {}", nm(s.session), nm(s.parent)))
        .collect();
    assert_eq!(parents, ["callee of kernel", "caller of kernel", "made of callee"]);
    assert_eq!(said(), ["callee create made (made started)"]);
    run(&kernel).await;
}

#[tokio::test(start_paused = true)]
async fn l21_a_start_that_fails_leaves_the_session_alive_until_its_die() {
    let kernel = kernel();
    life("P", |cx| {
        let child = cx.create(
            life("C", nothing)
                .on(START, |cx, ()| -> HandlerResult {
                    named(cx.session_id(), "C");
                    cx.sig("DIE", "died");
                    fail("trouble")
                })
                .on("died", |cx, _: Signal| {
                    say("C hears DIE");
                    cx.sig_handled();
                }),
        );
        assert!(cx.is_alive(child.unwrap()));
    })
    .create(&kernel)
    .unwrap();
    assert_eq!(said(), ["P create C (undef)"]);
    run(&kernel).await;
    assert_eq!(said()[0], "C hears DIE");
}

#[tokio::test(start_paused = true)]
async fn l22_without_a_start_handler_nothing_is_created() {
    let kernel = kernel();
    let refused = Session::builder(())
        .on(DEFAULT, |_, _| say("default"))
        .on(STOP, |_, ()| say("stop"))
        .create(&kernel);
    assert!(refused.unwrap_err().is_no_start());
    assert_eq!(kernel.session_count(), 0);
    assert!(said().is_empty());
}

#[tokio::test(start_paused = true)]
async fn l23_a_session_that_acquired_nothing_lives_until_its_marker_is_dispatched() {
    let kernel = kernel();
    life("creator", |cx| {
        let bare = cx
            .create(life("bare", nothing).on("hello", |_, ()| say("hello")))
            .unwrap();
        cx.post(bare, "hello", ()).unwrap();
    })
    .on(CHILD, |_, _| ())
    .create(&kernel)
    .unwrap();
    let lone = life("lone", nothing).create(&kernel).unwrap();
    assert!(kernel.is_alive(lone));
    run(&kernel).await;
    assert_eq!(said(), ["hello", "lone stop", "bare stop", "creator stop"]);
}

#[tokio::test(start_paused = true)]
async fn l24_what_vanished_during_its_start_is_returned_without_a_word() {
    let kernel = kernel();
    life("P", go)
        .on("go", |cx, ()| {
            let brief = cx.create(life("brief", |cx| cx.stop_all()));
            assert!(!cx.is_alive(brief.unwrap()));
            say("goes on");
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        ["brief stop", "P lose brief (brief stopped)", "P stop", "goes on"]
    );

    // The same where the parent's `_child` is what ends it.
    life("P", go)
        .on("go", |cx, ()| {
            let brief = cx.create(life("brief", nothing)).unwrap();
            assert!(!cx.is_alive(brief));
        })
        .on(CHILD, |cx, child| {
            say(child.reason);
            if child.reason == ChildReason::Create {
                cx.stop_all();
            }
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["create", "brief stop", "lose", "P stop"]);
}

#[tokio::test(start_paused = true)]
async fn l25_detaching_in_start_is_neither_created_nor_lost() {
    let kernel = kernel();
    life("old", |cx| {
        cx.create(life("loner", |cx| cx.detach_myself().unwrap())).unwrap();
    })
    .create(&kernel)
    .unwrap();
    assert_eq!(said(), ["loner parent old to kernel"]);
    run(&kernel).await;
    assert_eq!(said(), ["old stop", "loner stop"]);
}

/// Only the `_start` of the creation counts: a posted one comes long after the parent's `_child`.
#[tokio::test(start_paused = true)]
async fn l25_detaching_in_a_posted_start_is_a_loss() {
    let kernel = kernel();
    life("P", |cx| {
        cx.create(life("C", nothing).on(START, |cx, ()| -> HandlerResult {
            named(cx.session_id(), "C");
            if cx.caller_state().is_some() {
                cx.detach_myself()?;
            } else {
                cx.yield_to("_start", ());
            }
            Ok(())
        }))
        .unwrap();
        cx.delay("bye", ms(10), ());
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        [
            "P create C (())",
            "P lose C (undef)",
            "C parent P to kernel",
            "C stop",
            "P stop"
        ]
    );
}
