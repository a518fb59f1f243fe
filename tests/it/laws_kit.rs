//! The kit of the tests of laws: a kernel on virtual time, a log, and sessions that write into it.
//!
//! The log and the names of sessions belong to the thread, and each test has one of its own.

use poe::event::{CHILD, ChildReason, DEFAULT, PARENT, START, STOP};
use poe::testing::assert_no_leaks;
use poe::{AnyArg, Context, Failure, HandlerResult, Kernel, Reply, Session, SessionBuilder, SessionId, Signal};
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::task::{Context as Waiting, Poll, Waker};
use std::time::{Duration, SystemTime};

thread_local! {
    static SAID: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static NAMES: RefCell<HashMap<SessionId, String>> = RefCell::default();
}

/// The context of a session without a heap.
pub(crate) type Cx<'k> = Context<'k, ()>;

pub(crate) fn kernel() -> Kernel {
    poe::testing::kernel()
}

/// A kernel that polls its host after each event, as POE does between generations.
pub(crate) fn exact_kernel() -> Kernel {
    poe::testing::builder().budget(1).build()
}

/// Runs to the end, which must succeed and leave no session.
pub(crate) async fn run(kernel: &Kernel) {
    kernel.run().await.unwrap();
    assert_no_leaks(kernel);
}

/// Runs to the end and returns the unhandled failure.
pub(crate) async fn run_to_failure(kernel: &Kernel) -> String {
    let error = kernel.run().await.unwrap_err();
    assert_no_leaks(kernel);
    error.failure().unwrap().to_string()
}

pub(crate) fn say(line: impl ToString) {
    SAID.with_borrow_mut(|said| said.push(line.to_string()));
}

/// Returns the log since the last call.
pub(crate) fn said() -> Vec<String> {
    SAID.take()
}

pub(crate) fn nm(id: SessionId) -> String {
    if id.is_kernel() {
        return "kernel".to_owned();
    }
    NAMES.with_borrow(|names| names.get(&id).cloned().unwrap_or_else(|| "?".to_owned()))
}

pub(crate) fn named(id: SessionId, name: &str) {
    NAMES.with_borrow_mut(|names| names.insert(id, name.to_owned()));
}

/// A session that logs its other events by name.
pub(crate) fn echo(start: impl Fn(&mut Cx<'_>) + 'static) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| start(cx))
        .on(STOP, |_, ()| ())
        .on(CHILD, |_, _| ())
        .on(PARENT, |_, _| ())
        .on(DEFAULT, |_, unhandled| say(unhandled.event))
}

/// A session that logs its life cycle under its name, which is its alias only if `start` sets it.
pub(crate) fn life(name: &'static str, start: impl Fn(&mut Cx<'_>) + 'static) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| {
            named(cx.session_id(), name);
            start(cx);
            Reply(format!("{name} started"))
        })
        .on(CHILD, move |_, child| {
            let value = if child.reason == ChildReason::Gain {
                String::new()
            } else {
                format!(" ({})", given(child.result))
            };
            say(format!("{name} {} {}{value}", child.reason, nm(child.session)));
        })
        .on(PARENT, move |_, parent| {
            say(format!("{name} parent {} to {}", nm(parent.old), nm(parent.new)))
        })
        .on(STOP, move |_, ()| {
            say(format!("{name} stop"));
            Reply(format!("{name} stopped"))
        })
        .on("bye", |_, ()| ())
}

fn given(result: Option<AnyArg>) -> String {
    result.map_or_else(
        || "undef".to_owned(),
        |v| v.downcast::<String>().unwrap_or_else(|_| "()".to_owned()),
    )
}

/// A session that says which DIE it hears, handles it if it is to, fails by `fail`, and lives for that long if nothing stops it.
pub(crate) fn watches_die(name: &'static str, handles: bool, millis: u64) -> SessionBuilder<()> {
    life(name, move |cx| {
        cx.sig("DIE", "die");
        cx.delay("bye", ms(millis), ());
    })
    .on("die", move |cx, signal: Signal| {
        let die = signal.die().unwrap();
        say(format!("{name} gets DIE of {}: {}", nm(die.session), die.failure));
        if handles {
            cx.sig_handled();
        }
    })
    .on("fail", |_, ()| fail("on purpose"))
}

pub(crate) fn fail(text: &str) -> HandlerResult {
    Err(Failure::msg(text))
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A `_start` that keeps its session for some milliseconds.
pub(crate) fn lives(millis: u64) -> impl Fn(&mut Cx<'_>) {
    move |cx| cx.delay("bye", ms(millis), ())
}

pub(crate) fn nothing(_: &mut Cx<'_>) {}

/// A `_start` that yields `go`.
pub(crate) fn go(cx: &mut Cx<'_>) {
    cx.yield_to("go", ());
}

pub(crate) fn epoch(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A handler that takes long, on virtual time: advancing moves the clock at its first poll, and only then gives way.
pub(crate) fn busy(millis: u64) {
    assert!(poll_once(tokio::time::advance(ms(millis))).is_none());
}

/// The future's output, if it is ready at once.
pub(crate) fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let future = std::pin::pin!(future);
    match future.poll(&mut Waiting::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}
