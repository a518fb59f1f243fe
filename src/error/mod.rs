//! Typed errors with their cause, and with the caller's argument inside where there was one; and the crate's general error, which
//! carries no value of the caller's.

mod failure;
mod post;

use crate::id::SessionId;
use std::any::Any;
use std::cell::Cell;
use std::error::Error as StdError;
use std::fmt::{self, Display};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use failure::{Failure, HandlerResult, OnFailure};
pub use post::{CallError, PostError, WrongArgument};
pub(crate) use post::{CallErrorKind, PostErrorKind, Wanted};

// The crate's general error, which carries no value of the caller's.
/// An error of the kernel or the system. Ask for its kind with the `is_…` methods.
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let error = Session::builder(()).create(&kernel).unwrap_err();
/// assert!(error.is_no_start());
/// # });
/// ```
#[derive(Clone)]
pub struct Error(pub(crate) Arc<ErrorKind>);

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Error(Arc::new(kind))
    }
}

impl Error {
    /// Makes the error of an invalid setting, for your own wheel or component.
    ///
    /// `text` should say what to write instead.
    #[must_use]
    pub fn invalid_setting(text: impl Into<String>) -> Self {
        ErrorKind::Invalid(text.into()).into()
    }

    /// Makes the error of a failed system call, for your own wheel or component.
    ///
    /// `what` names the operation and its subject: "cannot open `/dev/tty`".
    #[must_use]
    pub fn from_io(what: impl Into<String>, error: std::io::Error) -> Self {
        let what = what.into();
        ErrorKind::IoOf { what, error, cure: "" }.into()
    }

    /// No session has this name or ID (POE's `ESRCH`).
    #[doc(alias = "ESRCH")]
    #[must_use]
    pub fn is_no_such_session(&self) -> bool {
        matches!(
            &*self.0,
            ErrorKind::NoSuchSession(_)
                | ErrorKind::Post {
                    kind: PostErrorKind::NoSuchSession(_),
                    ..
                }
                | ErrorKind::Call {
                    kind: CallErrorKind::NoSuchSession(_),
                    ..
                }
        )
    }

    /// No session has this alias (POE's `ESRCH`).
    #[must_use]
    pub fn is_no_such_alias(&self) -> bool {
        matches!(&*self.0, ErrorKind::NoSuchAlias(_))
    }

    /// The timer has fired, was removed, or never existed (POE's `ESRCH`).
    #[must_use]
    pub fn is_no_such_timer(&self) -> bool {
        matches!(&*self.0, ErrorKind::NoSuchAlarm(_))
    }

    /// There is no process with this number.
    #[must_use]
    pub fn is_no_such_process(&self) -> bool {
        matches!(&*self.0, ErrorKind::NoSuchProcess(_))
    }

    /// The session holds no reference count with this tag.
    #[must_use]
    pub fn is_no_such_tag(&self) -> bool {
        matches!(&*self.0, ErrorKind::NoSuchTag { .. })
    }

    /// The object belongs to another session (POE's `EPERM`).
    #[doc(alias = "EPERM")]
    #[must_use]
    pub fn is_not_permitted(&self) -> bool {
        matches!(&*self.0, ErrorKind::NotPermitted(_))
    }

    /// Another session has the alias (POE's `EEXIST`).
    #[doc(alias = "EEXIST")]
    #[must_use]
    pub fn is_alias_taken(&self) -> bool {
        matches!(&*self.0, ErrorKind::AliasTaken { .. })
    }

    /// Handlers were nested deeper than the kernel's [`call_stack`](crate::KernelBuilder::call_stack) allows.
    #[must_use]
    pub fn is_too_deep(&self) -> bool {
        matches!(
            &*self.0,
            ErrorKind::TooDeep(_)
                | ErrorKind::Call {
                    kind: CallErrorKind::TooDeep(_),
                    ..
                }
        )
    }

    /// The session was given no `_start` handler, so it was not created (law L22).
    #[must_use]
    pub fn is_no_start(&self) -> bool {
        matches!(&*self.0, ErrorKind::NoStart { .. })
    }

    /// A cloned [`Kernel`](crate::Kernel) was asked to call a handler while another handler runs.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(
            &*self.0,
            ErrorKind::Busy(_)
                | ErrorKind::Call {
                    kind: CallErrorKind::Busy,
                    ..
                }
        )
    }

    /// The kernel is shutting down and creates no new sessions.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        matches!(&*self.0, ErrorKind::ShuttingDown)
    }

    /// `run` or `serve` was called while the kernel is already running.
    #[must_use]
    pub fn is_already_running(&self) -> bool {
        matches!(&*self.0, ErrorKind::AlreadyRunning)
    }

    /// A handler failed: no session handled its `DIE` signal, or the error is that of a call of the handler.
    #[must_use]
    pub fn is_died(&self) -> bool {
        match &*self.0 {
            ErrorKind::Died { .. } => true,
            ErrorKind::Call { kind, .. } => kind.is_died(),
            _ => false,
        }
    }

    /// Returns the failure that no session handled, if there is one.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match &*self.0 {
            ErrorKind::Died { failure, .. } => Some(failure),
            _ => None,
        }
    }

    /// Returns the operating system's error, if that is the cause.
    #[must_use]
    pub fn io(&self) -> Option<&std::io::Error> {
        match &*self.0 {
            ErrorKind::Io { error, .. } | ErrorKind::IoOf { error, .. } | ErrorKind::Listen { error, .. } => {
                Some(error)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only the text: a `main` that returns the error prints it behind its own `Error: `.
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.0 {
            ErrorKind::Died { failure, .. } => failure.source().map(|e| e as &(dyn StdError + 'static)),
            ErrorKind::Io { error, .. } | ErrorKind::IoOf { error, .. } | ErrorKind::Listen { error, .. } => {
                Some(error)
            }
            _ => None,
        }
    }
}

// The private kinds of [`Error`](Error), with their texts.
#[derive(Debug)]
pub(crate) enum ErrorKind {
    Post {
        event: String,
        kind: PostErrorKind,
    },
    Call {
        event: String,
        kind: CallErrorKind,
    },
    NoSuchSession(String),
    NoSuchAlias(String),
    AliasTaken {
        alias: String,
        owner: SessionId,
    },
    NotPermitted(&'static str),
    NoSuchAlarm(u64),
    NoSuchProcess(u32),
    NoSuchTag {
        session: SessionId,
        tag: String,
    },
    NoStart {
        place: String,
    },
    Busy(&'static str),
    TooDeep(usize),
    ShuttingDown,
    AlreadyRunning,
    Died {
        failure: Failure,
        session: SessionId,
        event: String,
    },
    Io {
        operation: &'static str,
        error: std::io::Error,
    },
    /// The same, about something that has a name: a program, a process, a file.
    IoOf {
        /// The operation and its subject: "cannot run `make`".
        what: String,
        error: std::io::Error,
        /// What the reader can do about it; empty if nothing is known.
        cure: &'static str,
    },
    /// A server's listen error; the system does not name the address.
    Listen {
        addr: String,
        operation: &'static str,
        error: std::io::Error,
    },
    Invalid(String),
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Post { event, kind } => write!(f, "cannot post `{event}`: {kind}"),
            ErrorKind::Call { event, kind } => write!(f, "cannot call `{event}`: {kind}"),
            ErrorKind::NoSuchSession(what) => write!(f, "no such session: {what}"),
            ErrorKind::NoSuchAlias(alias) => write!(f, "no session has the alias `{alias}`"),
            ErrorKind::AliasTaken { alias, owner } => {
                write!(f, "the alias `{alias}` is taken by session {owner}")
            }
            ErrorKind::NotPermitted(what) => write!(f, "not permitted: {what}"),
            ErrorKind::NoSuchProcess(pid) => write!(f, "there is no process {pid}"),
            ErrorKind::NoSuchAlarm(id) => write!(f, "no timer {id}: it has fired or was removed"),
            ErrorKind::NoSuchTag { session, tag } => {
                write!(f, "session {session} holds no reference count `{tag}`")
            }
            ErrorKind::NoStart { place } => {
                write!(
                    f,
                    "the session made at {place} has no `_start` handler: add `.on(START, ..)`"
                )
            }
            ErrorKind::Busy(what) => write!(
                f,
                "the kernel is running a handler: {what} calls handlers, so it must go through that handler's context"
            ),
            ErrorKind::TooDeep(limit) => post::too_deep(*limit, f),
            ErrorKind::ShuttingDown => f.write_str("the kernel is shutting down and creates no new sessions"),
            ErrorKind::AlreadyRunning => f.write_str("the kernel is already running: `run` was called inside `run`"),
            ErrorKind::Died {
                failure,
                session,
                event,
            } => match failure.callback() {
                Some(callback) => write!(f, "{callback} failed (event `{event}` of session {session}): {failure}"),
                None => write!(f, "event `{event}` of session {session} failed: {failure}"),
            },
            ErrorKind::Io { operation, error } => write!(f, "{operation}: {error}"),
            ErrorKind::IoOf { what, error, cure: "" } => write!(f, "{what}: {error}"),
            ErrorKind::IoOf { what, error, cure } => write!(f, "{what}: {error}; {cure}"),
            ErrorKind::Listen { addr, operation, error } => {
                let advice = bind_advice(operation, error);
                write!(f, "cannot listen at {addr}: {operation}: {error}{advice}")
            }
            ErrorKind::Invalid(what) => f.write_str(what),
        }
    }
}

/// Returns advice for a socket that cannot be bound, where the system's text has none.
pub(crate) fn bind_advice(operation: &str, error: &std::io::Error) -> &'static str {
    match (operation, error.kind()) {
        ("bind", std::io::ErrorKind::PermissionDenied) => {
            "; ports below 1024 need CAP_NET_BIND_SERVICE, a path needs a folder that may be written to"
        }
        ("bind", std::io::ErrorKind::AddrInUse) => "; another socket has it, or a UNIX socket's path is left over",
        _ => "",
    }
}

// Contains panics of user code that is not a handler, such as a `Drop` or a `Display`.
//
// The payload of a panic is a user's value, too. Its drop may panic, with a payload whose drop panics; so a payload is never
// dropped outside of a `catch_unwind`.
/// Drops a user's value and contains a panic of its `Drop`.
pub(crate) fn drop_quietly<T>(value: T) {
    quietly("a value panicked while it was dropped", || drop(value));
}

/// Drops many values, each in its own `catch_unwind`.
///
/// A second panic during unwinding would end the process, and a map whose drop unwinds does not drop its other values.
pub(crate) fn drop_each_quietly<T>(values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(drop_quietly);
}

/// The same for a list that is nearly always empty.
#[inline]
pub(crate) fn drop_all_quietly<T>(values: Vec<T>) {
    if !values.is_empty() {
        drop_each_quietly(values);
    }
}

/// Runs user code that is not a handler. Its panic raises no `DIE`; it is logged with the text `what`.
pub(crate) fn quietly(what: &'static str, code: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(code)) {
        drop_payload(payload);
        log_quietly(|| tracing::error!(target: "poe::sessions", "{what}"));
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Logs {
    Open,
    /// A kernel is being dropped on this thread.
    Teardown,
    /// The same, and a subscriber has panicked meanwhile.
    Muted,
}

thread_local! {
    // It has no destructor, so it outlives every other thread-local.
    static LOGS: Cell<Logs> = const { Cell::new(Logs::Open) };
}

/// Emits a log event and contains a panic of the subscriber.
///
/// A kernel in a thread-local is dropped with its thread, when the subscriber's own thread-locals may be gone. The subscriber
/// then panics each time, and a second panic would end the process. So after the first such panic nothing more is logged.
pub(crate) fn log_quietly(log: impl FnOnce()) {
    if LOGS.get() == Logs::Muted {
        return;
    }
    if let Err(payload) = catch_unwind(AssertUnwindSafe(log)) {
        drop_payload(payload);
        if LOGS.get() == Logs::Teardown {
            LOGS.set(Logs::Muted);
        }
    }
}

/// A guard that exists while a kernel is being dropped on this thread.
pub(crate) struct Teardown(Logs);

impl Teardown {
    pub(crate) fn begin() -> Self {
        let before = LOGS.get();
        if before == Logs::Open {
            LOGS.set(Logs::Teardown);
        }
        Teardown(before)
    }
}

impl Drop for Teardown {
    fn drop(&mut self) {
        // A kernel may be dropped with a session of another kernel.
        if self.0 == Logs::Open {
            LOGS.set(Logs::Open);
        }
    }
}

/// How many nested payloads are dropped before the next one is leaked.
const PAYLOADS: usize = 16;

/// Drops the payload of a panic, then the payload that this drop panics with, and so on.
pub(crate) fn drop_payload(mut payload: Box<dyn Any + Send>) {
    for _ in 0..PAYLOADS {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
    }
    // This drop panics anew each time: a leak is better than the end of the process.
    Box::leak(payload);
}

/// Returns the text of a user's value, whose `Display` may panic.
///
/// It is formatted here, before a subscriber of `tracing` or a caller in the middle of other work would format it.
pub(crate) fn text_of(value: &(impl Display + ?Sized)) -> String {
    match catch_unwind(AssertUnwindSafe(|| value.to_string())) {
        Ok(text) => text,
        Err(payload) => {
            drop_payload(payload);
            String::from("(an error whose text cannot be had: its `Display` panicked)")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Payload(u32);

    impl Drop for Payload {
        fn drop(&mut self) {
            if self.0 > 0 {
                std::panic::panic_any(Payload(self.0 - 1));
            }
        }
    }

    #[test]
    fn a_payload_whose_drop_panics_is_dropped_however_often_that_repeats() {
        for depth in [0, 1, 2, 15, 16, 17, 1000] {
            drop_payload(Box::new(Payload(depth)));
        }
        quietly("with such a payload", || std::panic::panic_any(Payload(3)));
    }
}
