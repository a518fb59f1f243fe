//! Scenarios that print what happens, one per Perl twin of the same name in `tests/perl`; [`crate::perl_twins`] compares them.
//!
//! A scenario's sessions write lines with `out!`. The lines and the names that sessions go by belong to the thread: each
//! test has one of its own.

use poe::event::Child;
use poe::{AnyArg, CallError, Context, Error, Kernel, KernelBuilder, PostError, SessionId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::task::{Context as Waiting, Waker};
use std::time::{Duration, SystemTime};

thread_local! {
    static VIRTUAL: Cell<bool> = const { Cell::new(true) };
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static NAMES: RefCell<HashMap<SessionId, String>> = RefCell::default();
}

/// Writes one line.
macro_rules! out {
    ($($text:tt)*) => { $crate::transcripts::write(format!($($text)*)) };
}

pub(crate) mod alarms_by_id;
pub(crate) mod alarms_by_name;
pub(crate) mod aliases;
pub(crate) mod call_rules;
pub(crate) mod callbacks;
pub(crate) mod creation;
pub(crate) mod default_handler;
pub(crate) mod detach;
pub(crate) mod die_basic;
pub(crate) mod die_in_die;
pub(crate) mod die_in_start;
pub(crate) mod die_in_stop;
pub(crate) mod drops;
pub(crate) mod exceptions_off;
pub(crate) mod failing_stops;
#[cfg(feature = "regex")]
pub(crate) mod filters;
#[cfg(unix)]
pub(crate) mod follow_tail;
pub(crate) mod forced_stop;
pub(crate) mod idle_zombie;
pub(crate) mod k_alarms;
pub(crate) mod k_detach;
#[cfg(unix)]
pub(crate) mod k_sig_child;
#[cfg(unix)]
pub(crate) mod k_signals;
pub(crate) mod kogman_sig_order;
pub(crate) mod light_switch;
pub(crate) mod machines;
pub(crate) mod nested_stop;
pub(crate) mod nfa;
pub(crate) mod postbacks;
pub(crate) mod readwrite;
pub(crate) mod refcounts;
pub(crate) mod run_again;
#[cfg(unix)]
pub(crate) mod run_order;
#[cfg(unix)]
pub(crate) mod selects;
pub(crate) mod sender_purge;
pub(crate) mod signals_order;
pub(crate) mod slices;
pub(crate) mod steinert_signals;
pub(crate) mod stopping;
pub(crate) mod synopsis;
pub(crate) mod timers_order;
pub(crate) mod whelan_grinnz;

/// The context of a session without a heap.
type Cx<'k> = Context<'k, ()>;

/// The kernel that the scenarios run on: one on virtual time, or on the real clock beside Perl.
fn kernel() -> Kernel {
    kernel_builder().build()
}

/// One that polls its host after each event, as POE does between generations (law L6).
fn exact_kernel() -> Kernel {
    kernel_builder().budget(1).build()
}

fn kernel_builder() -> KernelBuilder {
    if VIRTUAL.get() {
        poe::testing::builder()
    } else {
        Kernel::builder()
    }
}

/// A handler that takes long.
fn busy(millis: u64) {
    if VIRTUAL.get() {
        // Advancing moves the clock at its first poll, and only then gives way.
        let advance = std::pin::pin!(tokio::time::advance(soon(millis)));
        let _ = advance.poll(&mut Waiting::from_waker(Waker::noop()));
    } else {
        std::thread::sleep(soon(millis));
    }
}

/// Chooses the clock of this thread's scenarios.
pub(crate) fn set_virtual(virtual_time: bool) {
    VIRTUAL.set(virtual_time);
}

pub(crate) fn write(line: String) {
    LINES.with_borrow_mut(|lines| lines.push(line));
}

/// What has been written since the last call.
pub(crate) fn take_lines() -> Vec<String> {
    LINES.take()
}

fn named(id: SessionId, name: &str) {
    NAMES.with_borrow_mut(|names| names.insert(id, name.to_owned()));
}

/// The name of a session, also of one that is gone.
fn nm(id: SessionId) -> String {
    if id.is_kernel() {
        return "kernel".to_owned();
    }
    NAMES.with_borrow(|names| names.get(&id).cloned().unwrap_or_else(|| "?".to_owned()))
}

/// The session of that name.
fn id_of(name: &str) -> SessionId {
    NAMES.with_borrow(|names| {
        *names
            .iter()
            .filter(|(_, n)| *n == name)
            .max_by_key(|(id, _)| id.get())
            .unwrap()
            .0
    })
}

fn or_undef<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "undef".to_owned(), |v| v.to_string())
}

/// What POE's errno would be called.
fn errno(error: &Error) -> &'static str {
    match error {
        e if e.is_alias_taken() => "EEXIST",
        e if e.is_not_permitted() => "EPERM",
        e if e.is_no_such_session() || e.is_no_such_alias() || e.is_no_such_timer() => "ESRCH",
        e if e.is_no_such_tag() => "no such tag",
        _ => "another error",
    }
}

/// POE's 0 for success, or the error itself.
fn code(result: Result<(), Error>) -> &'static str {
    result.map_or_else(|e| errno(&e), |()| "0")
}

/// POE's 1 for a post that was accepted.
fn posted<A>(result: Result<(), PostError<A>>) -> &'static str {
    if result.is_ok() { "1" } else { "undef" }
}

/// The reason of a refused call, in errno's words where it has one.
fn call_errno<A>(error: &CallError<A>) -> &'static str {
    match error {
        e if e.is_no_such_session() => "ESRCH",
        e if e.is_unhandled() => "no handler",
        e if e.is_died() => "died",
        _ => "another error",
    }
}

/// What `_start` or `_stop` gave, as the parent's `_child` sees it.
fn given(result: Option<AnyArg>) -> String {
    let Some(value) = result else { return "undef".to_owned() };
    match value.downcast::<String>() {
        Ok(text) => text,
        Err(value) => value
            .downcast::<&'static str>()
            .map_or_else(|_| "undef".to_owned(), str::to_owned),
    }
}

/// `why child (value)`; a gain has no value.
fn child_facts(child: Child) -> String {
    let (reason, session) = (child.reason, nm(child.session));
    match reason {
        poe::event::ChildReason::Gain => format!("{reason} {session}"),
        _ => format!("{reason} {session} ({})", given(child.result)),
    }
}

fn epoch(seconds: i64) -> SystemTime {
    let span = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        SystemTime::UNIX_EPOCH - span
    } else {
        SystemTime::UNIX_EPOCH + span
    }
}

fn soon(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Seconds since the epoch, as Perl prints them.
fn seconds(time: SystemTime) -> String {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(d) => d.as_secs_f64().to_string(),
        Err(e) => (-e.duration().as_secs_f64()).to_string(),
    }
}

/// Whether that time is so many seconds from now, give or take five.
fn is_about(time: SystemTime, from_now: u64) -> bool {
    let expected = SystemTime::now() + Duration::from_secs(from_now);
    let off = time.duration_since(expected).unwrap_or_else(|e| e.duration());
    off < Duration::from_secs(5)
}

/// How a run ended.
fn told(result: Result<(), Error>) {
    match result {
        Ok(()) => out!("run returned"),
        Err(error) => match error.failure() {
            Some(failure) => out!("run threw {failure}"),
            None => out!("run gave {error}"),
        },
    }
}
