//! Resources that are written outside the crate, the example's and smaller ones.

use crate::laws_kit::{kernel, ms, named, run, said, say};
use crate::peek_kit::Peek as _;
use poe::event::{START, STOP};
use poe::{
    Kernel, Session, SessionId,
    extend::{Resource, SessionHold},
    inspect::{Hold, HoldKind},
};
use std::cell::RefCell;

#[allow(dead_code, reason = "the example's `main` is not the test's")]
#[path = "../../examples/custom_resource.rs"]
mod custom_resource;

#[tokio::test]
async fn the_examples_locks_keep_sessions_alive_and_show_with_file_and_line() {
    let reports = custom_resource::three_want_the_printer();
    let reports = tokio::time::timeout(ms(10_000), reports).await.unwrap().unwrap();
    let [locks, why, snapshot, left] = &reports[..] else {
        panic!("{reports:?}");
    };
    assert_eq!(locks, "printer: session 1, and 2 wait");
    for report in [why, snapshot] {
        assert!(report.contains("\n  lock `printer` ("), "{report}");
        assert!(report.contains("examples/custom_resource.rs:"), "{report}");
        assert_eq!(report.matches("\n  wait for lock `printer` (").count(), 2, "{report}");
    }
    assert_eq!(left, "0 locks are left");
}

/// A table of holds with names.
#[derive(Default)]
struct Kept {
    holds: RefCell<Vec<(&'static str, SessionHold)>>,
    cleared: RefCell<Vec<u64>>,
}

impl Resource for Kept {
    fn holds(&self, session: SessionId, holds: &mut Vec<Hold>) {
        let kept = self.holds.borrow();
        let own = kept.iter().filter(|(_, hold)| hold.session() == session);
        holds.extend(own.map(|(name, hold)| hold.report("kept", *name)));
    }

    fn clear(&self, session: SessionId) {
        self.cleared.borrow_mut().push(session.get());
        self.holds.borrow_mut().retain(|(_, hold)| hold.session() != session);
    }
}

fn keep(kernel: &Kernel, id: SessionId, name: &'static str) {
    let hold = kernel.hold_session(id).unwrap();
    kernel.resource::<Kept>().holds.borrow_mut().push((name, hold));
}

fn quiet(name: &'static str) -> poe::SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| named(cx.session_id(), name))
        .on("let go", |cx, ()| cx.resource::<Kept>().holds.borrow_mut().clear())
        .on(STOP, move |_, ()| say(name))
}

#[tokio::test(start_paused = true)]
async fn a_hold_keeps_its_session_alive_until_it_is_dropped_and_the_kernel_is_not_idle() {
    let kernel = kernel();
    let held = quiet("held").create(&kernel).unwrap();
    keep(&kernel, held, "reason");
    quiet("free").create(&kernel).unwrap();
    assert!(
        tokio::time::timeout(ms(50), kernel.run()).await.is_err(),
        "it waits for the hold"
    );
    assert_eq!(said(), ["free"]);
    let snapshot = kernel.snapshot();
    let session = snapshot.session(held).unwrap();
    assert_eq!((session.refcount, session.holds.len()), (1, 1));
    assert_eq!(session.holds[0].kind, HoldKind::Other("kept"));
    assert_eq!(session.holds[0].name, "reason");
    assert!(session.holds[0].place.file().ends_with("own_resources.rs"));
    kernel.post(held, "let go", ()).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["held"]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_session_is_taken_out_of_every_resource() {
    let kernel = kernel();
    let ids: Vec<_> = ["a", "b"].map(|name| quiet(name).create(&kernel).unwrap()).into();
    for id in &ids {
        keep(&kernel, *id, "one");
        keep(&kernel, *id, "two");
    }
    let stray = kernel.hold_session(ids[0]).unwrap();
    kernel.stop_all().unwrap();
    assert_eq!(said(), ["b", "a"]);
    let kept = kernel.resource::<Kept>();
    assert_eq!(*kept.cleared.borrow(), [2, 1], "each is told once, after `_stop`");
    assert!(kept.holds.borrow().is_empty());
    // It holds nothing any more; dropping it is harmless, also when another session has the slot.
    let another = quiet("c").create(&kernel).unwrap();
    let refs = kernel.snapshot().get_session_refcount(another);
    drop(stray);
    assert_eq!(kernel.snapshot().get_session_refcount(another), refs);
    run(&kernel).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_gone_is_not_held() {
    let kernel = kernel();
    let id = quiet("gone").create(&kernel).unwrap();
    run(&kernel).await;
    assert!(kernel.hold_session(id).unwrap_err().is_no_such_session());
    assert!(kernel.hold_session(kernel.id()).unwrap_err().is_no_such_session());
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_no_resource_tells_of_shows_all_the_same() {
    let kernel = kernel();
    let id = quiet("held").create(&kernel).unwrap();
    keep(&kernel, id, "told");
    let line = line!() + 1;
    let hold = kernel.hold_session(id).unwrap();
    kernel.run_one_timeslice().await.unwrap();
    let why = kernel.why_alive();
    let texts: Vec<_> = why.sessions[0].holds.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].starts_with("kept `told` ("), "{texts:?}");
    assert!(texts[1].starts_with("hold `of no resource that tells` ("), "{texts:?}");
    assert!(texts[1].ends_with(&format!("own_resources.rs:{line})")), "{texts:?}");
    drop(hold);
    assert_eq!(kernel.why_alive().sessions[0].holds.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_kernel_has_separate_resources() {
    let (one, other) = (kernel(), kernel());
    let id = quiet("a").create(&one).unwrap();
    keep(&one, id, "x");
    assert_eq!(one.resource::<Kept>().holds.borrow().len(), 1);
    assert!(other.resource::<Kept>().holds.borrow().is_empty());
    assert!(other.hold_session(id).is_err(), "an ID of another kernel names nothing");
    // The end of the kernel ends what it holds.
    let kept = one.resource::<Kept>();
    drop(one);
    assert!(kept.holds.borrow().is_empty());
}

/// A resource whose methods all panic.
#[derive(Default)]
struct Broken;

impl Resource for Broken {
    fn holds(&self, _: SessionId, _: &mut Vec<Hold>) {
        panic!("it cannot tell");
    }

    fn clear(&self, _: SessionId) {
        panic!("it cannot let go");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_panics_harms_no_session() {
    let kernel = kernel();
    let _broken = kernel.resource::<Broken>();
    let id = quiet("a").create(&kernel).unwrap();
    keep(&kernel, id, "x");
    assert!(kernel.why_alive().to_string().contains("kept `x`"));
    kernel.post(id, "let go", ()).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["a"]);
}
