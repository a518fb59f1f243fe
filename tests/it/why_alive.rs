//! The classic hangs of POE's FAQ. Each program here never ends; each time `why_alive` says of which session, by what, and
//! the file and line that did it.

use crate::laws_kit::{kernel, ms};
use crate::peek_kit::Peek as _;
use poe::event::{START, STOP};
use poe::{Event, Kernel, Postback, Session, inspect::HoldKind};
use std::cell::Cell;
use std::rc::Rc;

/// The line of the call that a test means: it stands next to it.
type Line = Rc<Cell<u32>>;

/// The kernel runs for that long and does not come to its end.
async fn hangs(kernel: &Kernel) -> String {
    let ended = tokio::time::timeout(ms(500), kernel.run()).await;
    assert!(ended.is_err(), "it ends: {ended:?}");
    kernel.why_alive().to_string()
}

/// With the cause gone the end comes.
async fn ends(kernel: &Kernel) {
    let ended = tokio::time::timeout(ms(5_000), kernel.run()).await;
    ended.expect("it still hangs").unwrap();
    assert_eq!(kernel.why_alive().to_string(), "no session is alive");
}

#[track_caller]
fn says(why: &str, session: u64, what: &str, line: u32) {
    let of_session = why
        .split("session ")
        .skip(1)
        .find(|part| part.starts_with(&format!("{session}")));
    let of_session = of_session.unwrap_or_else(|| panic!("session {session} is not in\n{why}"));
    let hold = format!("{what} (tests/it/why_alive.rs:{line})");
    assert!(of_session.contains(&hold), "`{hold}` is not in\n{why}");
}

/// A server that should end with its work keeps its alias. Alone the kernel would see that nothing can happen; but
/// a peer is alive, which might call it by that alias at any time.
#[tokio::test(start_paused = true)]
async fn a_forgotten_alias_with_a_live_peer() {
    let kernel = kernel();
    let line = Line::default();
    let at = line.clone();
    Session::builder(())
        .on(START, move |cx, ()| {
            at.set(line!() + 1);
            cx.alias_set("logger")
        })
        .on("shutdown", |cx, ()| cx.alias_remove("logger"))
        .create(&kernel)
        .unwrap();
    let peer = Session::builder(())
        .on(START, |cx, ()| cx.yield_to("tick", ()))
        .on("tick", |cx, ()| cx.delay("tick", ms(100), ()))
        .on("enough", |cx, ()| drop(cx.alarm_remove_all()));
    let peer = peer.create(&kernel).unwrap();
    let why = hangs(&kernel).await;
    says(&why, 1, "alias `logger`", line.get());
    assert!(
        why.starts_with("session 1 (logger), child of kernel, created at tests/it/why_alive.rs:"),
        "{why}"
    );
    assert!(
        why.contains("\nsession 2, child of kernel"),
        "the peer that keeps it from being idle:\n{why}"
    );
    assert!(why.contains("\n  timer `tick` (tests/it/why_alive.rs:"), "{why}");
    kernel.post("logger", "shutdown", ()).unwrap();
    kernel.post(peer, "enough", ()).unwrap();
    ends(&kernel).await;
}

/// One increment more than decrements.
#[tokio::test(start_paused = true)]
async fn a_leaked_reference_count() {
    let kernel = kernel();
    let line = Line::default();
    let at = line.clone();
    let id = Session::builder(())
        .on(START, move |cx, ()| {
            let me = cx.session_id();
            cx.refcount_increment(me, "request").unwrap();
            at.set(line!() + 1);
            cx.refcount_increment(me, "request").unwrap();
            cx.yield_to("answered", ());
        })
        .on("answered", |cx, ()| {
            cx.refcount_decrement(cx.session_id(), "request").unwrap();
        })
        .on(STOP, |_, ()| ())
        .create(&kernel)
        .unwrap();
    says(&kernel.why_alive().to_string(), 1, "refcount `request` × 2", line.get());
    let why = hangs(&kernel).await;
    says(&why, 1, "refcount `request`", line.get());
    kernel.refcount_decrement(id, "request").unwrap();
    ends(&kernel).await;
}

/// The program has closed its socket, and forgotten to watch it no longer. The watcher has a duplicate, so nothing spins
/// and nothing fails: nothing happens at all.
#[cfg(unix)]
#[tokio::test]
async fn a_closed_descriptor_that_is_watched() {
    use poe::unix::{SelectMode, Selected, Watched};
    use std::os::unix::net::UnixStream;
    const READABLE: Event<Selected> = Event::new("readable");
    let kernel = Kernel::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let line = Line::default();
    let at = line.clone();
    let id = Session::builder(Some(ours))
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let watched = Watched::new(cx.heap.as_ref().unwrap())?;
            at.set(line!() + 1);
            cx.select(&watched, SelectMode::Read, READABLE, ())?;
            cx.yield_to("close", ());
            Ok(())
        })
        .on("close", |cx, ()| *cx.heap = None)
        .on(READABLE, |cx, selected| {
            assert!(cx.select_clear(&selected.handle, SelectMode::Read))
        })
        .create(&kernel)
        .unwrap();
    let ended = tokio::time::timeout(ms(50), kernel.run()).await;
    assert!(ended.is_err());
    says(
        &kernel.why_alive().to_string(),
        1,
        "watched file `readable`",
        line.get(),
    );
    let snapshot = kernel.snapshot();
    assert_eq!(snapshot.session_handle_count(id), 1);
    // The other end's end is the duplicate's, too.
    drop(theirs);
    ends(&kernel).await;
}

/// A postback keeps its session, the session its heap, the heap the postback.
#[tokio::test(start_paused = true)]
async fn a_postback_that_is_kept_in_its_own_sessions_heap() {
    const DONE: Event<((), u32)> = Event::new("done");
    let kernel = kernel();
    let line = Line::default();
    let at = line.clone();
    let id = Session::builder(None::<Postback<(), u32>>)
        .on(START, move |cx, ()| {
            at.set(line!() + 1);
            let postback = cx.postback(DONE, ());
            postback.post(7).unwrap();
            *cx.heap = Some(postback);
        })
        .on(DONE, |_, ((), n)| assert_eq!(n, 7))
        .on("forget", |cx, ()| *cx.heap = None)
        .create(&kernel)
        .unwrap();
    let why = hangs(&kernel).await;
    says(&why, 1, "postback `done`", line.get());
    kernel.post(id, "forget", ()).unwrap();
    ends(&kernel).await;
}

/// Who was made a moment ago may hold nothing yet: it is told in words, and not by the event of the kernel's own.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_new() {
    let kernel = kernel();
    let line = line!() + 1;
    let id = Session::builder(()).on(START, |_, ()| ()).create(&kernel).unwrap();
    let why = kernel.why_alive();
    let kinds: Vec<_> = why.sessions[0].holds.iter().map(|hold| hold.kind).collect();
    assert_eq!(kinds, [HoldKind::Creation]);
    let text =
        format!("is kept alive by\n  its creation, which no sweep has looked at yet (tests/it/why_alive.rs:{line})");
    assert!(why.to_string().ends_with(&text), "{why}");
    assert_eq!(kernel.snapshot().event_count_to(id), 1);
    assert_eq!(kernel.snapshot().queue[0].event, "_garbage_collect");
    ends(&kernel).await;
}

/// What a shutdown with a deadline had to stop is told with the same text.
#[tokio::test(start_paused = true)]
async fn the_report_of_a_shutdown_says_the_same() {
    let kernel = kernel();
    let line = Line::default();
    let at = line.clone();
    Session::builder(())
        .on(START, move |cx, ()| {
            cx.sig(poe::KERNEL_SHUTDOWN, "not yet");
            at.set(line!() + 1);
            cx.refcount_increment(cx.session_id(), "mine").unwrap();
        })
        .on("not yet", |cx, _: poe::Signal| cx.sig_handled())
        .create(&kernel)
        .unwrap();
    hangs(&kernel).await;
    let report = kernel.shutdown(ms(20)).await;
    assert_eq!(report.stopped.len(), 1);
    says(&report.to_string(), 1, "refcount `mine`", line.get());
}
