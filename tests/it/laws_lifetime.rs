//! Laws D: the holds of a session, and when they are checked.

use crate::laws_kit::*;
use poe::event::STOP;
use poe::{Event, Kernel, Postback, Session, SessionBuilder, Signal, inspect::HoldKind};
use std::cell::RefCell;
use std::rc::Rc;

const ANSWER: Event<((), ())> = Event::new("answer");

/// The holds of the session `name`, once its marker is gone.
async fn holds(kernel: &Kernel, name: &str) -> Vec<HoldKind> {
    kernel.run_one_timeslice().await.unwrap();
    let why = kernel.why_alive();
    let found = why.sessions.into_iter().find(|s| nm(s.session) == name);
    found.map_or_else(Vec::new, |s| s.holds.into_iter().map(|h| h.kind).collect())
}

async fn held_by(session: SessionBuilder<()>) -> Vec<HoldKind> {
    let kernel = kernel();
    session.create(&kernel).unwrap();
    let kinds = holds(&kernel, "S").await;
    if !kinds.is_empty() {
        assert!(kernel.session_count() >= 1);
        kernel.stop_all().unwrap();
    }
    run(&kernel).await;
    kinds
}

#[tokio::test(start_paused = true)]
async fn l26_what_holds_a_session() {
    let chain = life("S", go).on("go", |cx, ()| cx.yield_to("go", ()));
    assert_eq!(held_by(chain).await, [HoldKind::Event]);
    assert_eq!(held_by(life("S", lives(1000))).await, [HoldKind::Timer]);
    assert_eq!(
        held_by(life("S", |cx| cx.alias_set("a").unwrap())).await,
        [HoldKind::Alias]
    );
    let tag = |cx: &mut Cx<'_>| drop(cx.refcount_increment(cx.session_id(), "tag"));
    assert_eq!(held_by(life("S", tag)).await, [HoldKind::Refcount]);
    let parent = |cx: &mut Cx<'_>| drop(cx.create(life("child", lives(1000))));
    assert_eq!(held_by(life("S", parent)).await, [HoldKind::Child]);
    let kept: Rc<RefCell<Option<Postback<(), ()>>>> = Rc::default();
    let keep = kept.clone();
    let postback = life("S", move |cx| *keep.borrow_mut() = Some(cx.postback(ANSWER, ())));
    assert_eq!(held_by(postback).await, [HoldKind::Postback]);
    drop(kept);
    let task = life("S", |cx| {
        cx.spawn(std::future::pending::<()>(), "done");
    });
    assert_eq!(held_by(task).await, [HoldKind::Task]);
}

/// An event that waits for another holds its sender, too.
#[tokio::test(start_paused = true)]
async fn l26_a_sent_event_holds_its_sender() {
    let kernel = kernel();
    life("other", |cx| cx.alias_set("other").unwrap())
        .on("hello", |_, ()| say("hello"))
        .create(&kernel)
        .unwrap();
    life("S", go)
        .on("go", |cx, ()| cx.post("other", "hello", ()).unwrap())
        .create(&kernel)
        .unwrap();
    assert_eq!(holds(&kernel, "S").await, [HoldKind::SentEvent]);
    run(&kernel).await;
    assert_eq!(said()[..2], ["hello", "S stop"]);
}

#[tokio::test(start_paused = true)]
async fn l27_what_does_not_hold_a_session() {
    let watches = life("S", |cx| {
        for signal in ["HELLO", "TERM", "CHLD", "IDLE"] {
            cx.sig(signal, "heard");
        }
    });
    assert_eq!(held_by(watches.on("heard", |_, _: Signal| say("heard"))).await, []);
    let kept: Rc<RefCell<Option<Postback<(), ()>>>> = Rc::default();
    let keep = kept.clone();
    let weak = life("S", move |cx| {
        *keep.borrow_mut() = Some(cx.postback(ANSWER, ()).weaken())
    });
    assert_eq!(held_by(weak).await, []);
    assert!(kept.take().is_some());
    let down_again = life("S", |cx| {
        cx.refcount_increment(cx.session_id(), "tag").unwrap();
        cx.refcount_decrement(cx.session_id(), "tag").unwrap();
    });
    assert_eq!(held_by(down_again).await, []);
    assert_eq!(said(), ["S stop", "S stop", "S stop"]);
}

#[tokio::test(start_paused = true)]
async fn l28_collection_comes_at_the_sweep_and_a_revival_before_it_counts() {
    let kernel = kernel();
    let weak = life("weak", go)
        .on("go", |_, ()| say("weak's last event"))
        .on("more", |cx, ()| {
            cx.refcount_decrement(cx.session_id(), "revived").map(drop)
        })
        .create(&kernel)
        .unwrap();
    life("helper", go)
        .on("go", move |cx, ()| {
            assert!(
                cx.is_alive(weak),
                "nothing holds it any more, but the sweep is yet to come"
            );
            cx.refcount_increment(weak, "revived").unwrap();
            cx.delay("later", ms(10), ());
        })
        .on("later", move |cx, ()| cx.post(weak, "more", ()).unwrap())
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["weak's last event", "weak stop", "helper stop"]);
}

#[tokio::test(start_paused = true)]
async fn l29_the_latest_mark_goes_first_and_a_parent_follows_in_the_next_round() {
    let kernel = kernel();
    for name in ["1", "2", "3", "4"] {
        life(name, nothing).create(&kernel).unwrap();
    }
    run(&kernel).await;
    assert_eq!(said(), ["4 stop", "3 stop", "2 stop", "1 stop"]);
    let parent = life("P", |cx| {
        for name in ["c1", "c2"] {
            cx.create(life(name, nothing)).unwrap();
        }
    });
    parent.on(poe::event::CHILD, |_, _| ()).create(&kernel).unwrap();
    life("Q", nothing).create(&kernel).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["Q stop", "c2 stop", "c1 stop", "P stop"]);
}

/// A round of the sweep is a snapshot: a session that is revived by another's `_stop` in it stops all the same (settled point a).
#[tokio::test(start_paused = true)]
async fn l29_a_revival_inside_the_sweep_is_too_late() {
    let kernel = kernel();
    let older = life("older", nothing)
        .on("revive", |cx, ()| {
            cx.alias_set("older").unwrap();
            cx.delay("bye", ms(10), ());
        })
        .create(&kernel)
        .unwrap();
    life("newer", nothing)
        .on(STOP, move |cx, ()| cx.call::<(), ()>(older, "revive", ()).unwrap())
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["older stop"]);
    assert_eq!(kernel.resolve("older"), None);
}

#[tokio::test(start_paused = true)]
async fn l30_the_kernel_is_never_collected() {
    let kernel = kernel();
    for _ in 0..3 {
        life("S", nothing).create(&kernel).unwrap();
        run(&kernel).await;
        assert!(kernel.is_alive(kernel.id()));
    }
    kernel.stop_all().unwrap();
    assert!(kernel.is_alive(kernel.id()));
}

/// POE runs a slice inside a handler and may collect the session whose handler it is. Here slices run from outside only
/// (R18 of the specification): inside, a run of any kind is refused.
#[tokio::test(start_paused = true)]
async fn l31_a_slice_inside_a_handler_is_refused() {
    let kernel = kernel();
    let inner = kernel.clone();
    life("S", nothing)
        .on("go", move |_, ()| {
            let slice = poll_once(inner.run_one_timeslice()).unwrap().unwrap_err();
            assert!(slice.is_already_running(), "{slice}");
            let run = poll_once(inner.run()).unwrap().unwrap_err();
            assert!(run.is_already_running(), "{run}");
            say("refused");
        })
        .create(&kernel)
        .unwrap();
    let id = kernel.why_alive().sessions[0].session;
    kernel.post(id, "go", ()).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["refused", "S stop"]);
}

#[test]
fn l31_sessions_of_other_kernels_are_not_sessions_here() {
    let (one, two) = (Kernel::new(), Kernel::new());
    let id = Session::builder(())
        .on(poe::event::START, |_, ()| ())
        .create(&one)
        .unwrap();
    assert!(one.is_alive(id));
    assert!(!two.is_alive(id));
}
