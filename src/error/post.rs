//! The error of a refused post.

use super::failure::Failure;
use super::{Error, ErrorKind};
use crate::id::SessionId;
use std::fmt;
use std::time::Duration;

/// A post that was refused, with its argument inside.
///
/// Turn it into [`Error`] or [`Failure`] with `?`. It does not implement `std::error::Error`, so that the argument's type
/// needs no bound.
pub struct PostError<A> {
    /// In a box, so that the result of a post fits into a register.
    refused: Box<Refused<A>>,
}

struct Refused<A> {
    event: String,
    kind: PostErrorKind,
    arg: A,
}

#[derive(Clone, Debug)]
pub(crate) enum PostErrorKind {
    NoSuchSession(Wanted),
    Full(usize),
    /// The inbox of a session, and how many posts it takes.
    SessionFull(SessionId, usize),
    Ended,
    Closed,
}

/// The target that a caller named, kept for the text of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Id(SessionId),
    Alias(String),
}

fn session_full(session: SessionId, capacity: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "the inbox of session {session} is full ({capacity} posts); try again later"
    )
}

impl<A> PostError<A> {
    pub(crate) fn new(event: &str, kind: PostErrorKind, arg: A) -> Self {
        let event = event.to_owned();
        PostError {
            refused: Box::new(Refused { event, kind, arg }),
        }
    }

    /// Returns the argument that was not delivered.
    pub fn into_arg(self) -> A {
        self.refused.arg
    }

    /// Returns the same error with the argument replaced by `f(argument)`.
    pub fn map<B>(self, f: impl FnOnce(A) -> B) -> PostError<B> {
        let Refused { event, kind, arg } = *self.refused;
        PostError {
            refused: Box::new(Refused {
                event,
                kind,
                arg: f(arg),
            }),
        }
    }

    /// The target session does not exist, or no longer exists (POE's `ESRCH`).
    #[doc(alias = "ESRCH")]
    pub fn is_no_such_session(&self) -> bool {
        matches!(self.refused.kind, PostErrorKind::NoSuchSession(_))
    }

    /// The inbox of a [`KernelHandle`](crate::KernelHandle), or that of the [session](crate::SessionBuilder::inbox), is full: try again later.
    pub fn is_full(&self) -> bool {
        matches!(
            self.refused.kind,
            PostErrorKind::Full(_) | PostErrorKind::SessionFull(..)
        )
    }

    /// The kernel behind the [`KernelHandle`](crate::KernelHandle) is gone, or a failure ended its run.
    pub fn is_closed(&self) -> bool {
        matches!(self.refused.kind, PostErrorKind::Closed | PostErrorKind::Ended)
    }

    fn without_arg(self) -> Error {
        let Refused { event, kind, .. } = *self.refused;
        ErrorKind::Post { event, kind }.into()
    }
}

impl fmt::Display for PostErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PostErrorKind::NoSuchSession(w) => w.fmt(f),
            PostErrorKind::SessionFull(session, n) => session_full(*session, *n, f),
            PostErrorKind::Full(n) => write!(f, "the kernel's inbox is full ({n} messages); try again later"),
            PostErrorKind::Ended => f.write_str("a failure has ended the kernel's run"),
            PostErrorKind::Closed => f.write_str("the kernel is gone"),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Id(id) => write!(f, "no session {id}"),
            Wanted::Alias(a) => write!(f, "no session has the alias `{a}`"),
        }
    }
}

impl<A> fmt::Display for PostError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot post `{}`: {}", self.refused.event, self.refused.kind)
    }
}

impl<A> fmt::Debug for PostError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostError({self})")
    }
}

impl<A> From<PostError<A>> for Error {
    fn from(error: PostError<A>) -> Self {
        error.without_arg()
    }
}

impl<A> From<PostError<A>> for Failure {
    fn from(error: PostError<A>) -> Self {
        Failure::from(error.without_arg())
    }
}

// The error of a call that returned no reply.
/// A call that returned no reply. It hands the argument back where no handler took it.
pub struct CallError<A> {
    /// In a box, so that the result of a call fits into registers.
    missed: Box<Missed<A>>,
}

struct Missed<A> {
    event: String,
    kind: CallErrorKind,
    arg: Option<A>,
}

#[derive(Clone, Debug)]
pub(crate) enum CallErrorKind {
    NoSuchSession(Wanted),
    Unhandled(SessionId),
    Died(SessionId),
    Failed(Failure),
    WrongReply {
        expected: &'static str,
        got: &'static str,
    },
    Busy,
    /// Handlers were nested deeper than this many bytes of stack.
    TooDeep(usize),
    Full(usize),
    SessionFull(SessionId, usize),
    WrongArgument(Box<WrongArgument>),
    TimedOut(Duration),
    NoRuntime,
    /// The session replies later, and the caller cannot wait.
    Deferred(SessionId),
    /// The session has dropped the reply that it owed.
    Dropped(SessionId),
    Ended,
    Closed,
}

impl CallErrorKind {
    /// The handler failed or panicked.
    pub(super) fn is_died(&self) -> bool {
        matches!(self, CallErrorKind::Died(_) | CallErrorKind::Failed(_))
    }
}

impl<A> CallError<A> {
    pub(crate) fn no_such_session(event: &str, session: SessionId, arg: A) -> Self {
        Self::new(event, CallErrorKind::NoSuchSession(Wanted::Id(session)), Some(arg))
    }

    pub(crate) fn busy(event: &str, arg: Option<A>) -> Self {
        Self::new(event, CallErrorKind::Busy, arg)
    }

    pub(crate) fn new(event: &str, kind: CallErrorKind, arg: Option<A>) -> Self {
        let event = event.to_owned();
        CallError {
            missed: Box::new(Missed { event, kind, arg }),
        }
    }

    /// Returns the argument, unless a handler took it.
    pub fn into_arg(self) -> Option<A> {
        self.missed.arg
    }

    /// Returns the same error with the argument replaced by `f(argument)`.
    pub fn map<B>(self, f: impl FnOnce(A) -> B) -> CallError<B> {
        let Missed { event, kind, arg } = *self.missed;
        CallError {
            missed: Box::new(Missed {
                event,
                kind,
                arg: arg.map(f),
            }),
        }
    }

    /// The target session does not exist, or no longer exists (POE's `ESRCH`).
    #[doc(alias = "ESRCH")]
    pub fn is_no_such_session(&self) -> bool {
        matches!(self.missed.kind, CallErrorKind::NoSuchSession(_))
    }

    /// The session has neither a handler for this event nor a `_default` (decision D6 of the conformance table).
    #[doc(alias = "ENOSYS")]
    pub fn is_unhandled(&self) -> bool {
        matches!(self.missed.kind, CallErrorKind::Unhandled(_))
    }

    /// The handler failed or panicked.
    ///
    /// If it belongs to another session, that session is sent a `DIE` signal (law L15). In a call to the calling session
    /// itself this error contains the failure, and `?` passes it on (law L13).
    pub fn is_died(&self) -> bool {
        self.missed.kind.is_died()
    }

    /// Returns the failure of the handler, if the error contains it: after `try_call`, and in a call to oneself.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.missed.kind {
            CallErrorKind::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// The handler replied with another type than the key or the annotation expects.
    pub fn is_wrong_reply(&self) -> bool {
        matches!(self.missed.kind, CallErrorKind::WrongReply { .. })
    }

    /// A handler is running: inside it use `cx.call`, not a cloned [`Kernel`](crate::Kernel).
    pub fn is_busy(&self) -> bool {
        matches!(self.missed.kind, CallErrorKind::Busy)
    }

    /// The calls were nested deeper than [`call_stack`](crate::KernelBuilder::call_stack) allows; no handler ran.
    pub fn is_too_deep(&self) -> bool {
        matches!(self.missed.kind, CallErrorKind::TooDeep(_))
    }

    /// The inbox of a [`KernelHandle`](crate::KernelHandle), or that of the [session](crate::SessionBuilder::inbox), is full.
    pub fn is_full(&self) -> bool {
        matches!(
            self.missed.kind,
            CallErrorKind::Full(_) | CallErrorKind::SessionFull(..)
        )
    }

    /// A [`KernelHandle`](crate::KernelHandle) or `try_call` sent an argument of a type that the handler does not take.
    ///
    /// No handler ran, and no `DIE` is raised: a mistake on another thread does not stop a session. (In a call inside the kernel a
    /// wrong argument is a failure of the called handler, see [`is_died`](Self::is_died).)
    pub fn is_wrong_argument(&self) -> bool {
        matches!(self.missed.kind, CallErrorKind::WrongArgument(_))
    }

    /// The reply did not come within the limit of [`ReplyFuture::timeout`](crate::ReplyFuture::timeout).
    ///
    /// The error has the argument if the call was withdrawn in time, and not if a handler had taken it.
    pub fn is_timed_out(&self) -> bool {
        matches!(self.missed.kind, CallErrorKind::TimedOut(_))
    }

    /// A call with a timeout was awaited outside of a Tokio runtime with a time driver.
    pub fn is_no_runtime(&self) -> bool {
        matches!(self.missed.kind, CallErrorKind::NoRuntime)
    }

    /// The handler [replies later](crate::KernelRef::defer_reply), and a synchronous call cannot wait.
    ///
    /// Use [`ask`](crate::KernelRef::ask) inside a kernel, and [`KernelHandle::call`](crate::KernelHandle::call) from outside.
    /// The handler has run; its reply goes nowhere.
    pub fn is_deferred(&self) -> bool {
        matches!(self.missed.kind, CallErrorKind::Deferred(_))
    }

    /// The session dropped its [`DeferredReply`](crate::DeferredReply), or stopped before it replied.
    pub fn is_dropped(&self) -> bool {
        matches!(self.missed.kind, CallErrorKind::Dropped(_))
    }

    /// The kernel behind the [`KernelHandle`](crate::KernelHandle) is gone, its run has ended, or it dropped the call.
    pub fn is_closed(&self) -> bool {
        matches!(self.missed.kind, CallErrorKind::Closed | CallErrorKind::Ended)
    }

    fn without_arg(self) -> Error {
        ErrorKind::Call {
            event: self.missed.event,
            kind: self.missed.kind,
        }
        .into()
    }
}

impl fmt::Display for CallErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallErrorKind::NoSuchSession(w) => w.fmt(f),
            CallErrorKind::Unhandled(id) => write!(f, "session {id} has no handler for it"),
            CallErrorKind::Died(id) => write!(f, "its handler in session {id} failed (the DIE signal has the cause)"),
            CallErrorKind::Failed(e) => e.fmt(f),
            CallErrorKind::WrongReply { expected, got } => {
                write!(f, "the reply is `{got}`, not `{expected}`")
            }
            CallErrorKind::Busy => f.write_str("the kernel is running a handler: call through the handler's context"),
            CallErrorKind::TooDeep(limit) => too_deep(*limit, f),
            CallErrorKind::SessionFull(session, n) => session_full(*session, *n, f),
            CallErrorKind::Full(n) => write!(f, "the kernel's inbox is full ({n} messages); try again later"),
            CallErrorKind::WrongArgument(wrong) => wrong.fmt(f),
            CallErrorKind::TimedOut(limit) => write!(f, "no reply within {limit:?}"),
            CallErrorKind::NoRuntime => f.write_str(
                "its timeout needs a timer: await it inside a Tokio runtime with its time driver (`enable_all`)",
            ),
            CallErrorKind::Deferred(id) => write!(
                f,
                "session {id} replies later, and this call cannot wait: use `ask`, or call through a `KernelHandle`"
            ),
            CallErrorKind::Dropped(id) => write!(f, "session {id} dropped its reply, or stopped before it replied"),
            CallErrorKind::Ended => f.write_str("the kernel's run has ended"),
            CallErrorKind::Closed => f.write_str("the kernel is gone"),
        }
    }
}

/// Writes the text that every error of this kind has.
pub(super) fn too_deep(limit: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "handlers are nested too deep: they use more than {limit} bytes of the stack; post instead, or raise \
         `KernelBuilder::call_stack`"
    )
}

impl<A> fmt::Display for CallError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot call `{}`: {}", self.missed.event, self.missed.kind)
    }
}

impl<A> fmt::Debug for CallError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallError({self})")
    }
}

impl<A> From<CallError<A>> for Error {
    fn from(error: CallError<A>) -> Self {
        error.without_arg()
    }
}

impl<A> From<CallError<A>> for Failure {
    fn from(error: CallError<A>) -> Self {
        let Missed { event, kind, .. } = *error.missed;
        match kind {
            CallErrorKind::Failed(failure) => failure,
            kind => Failure::from(Error::from(ErrorKind::Call { event, kind })),
        }
    }
}

// The error of a value that has another type than the handler takes.
/// An event that was posted by name with a value of a type that its handler does not take.
///
/// If the only difference is the type of a number literal, the text says so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrongArgument {
    /// The event.
    pub event: String,
    /// The type that the handler takes.
    pub expected: &'static str,
    /// The type of the value that was sent.
    pub sent: &'static str,
    /// The file and line of the post.
    pub place: String,
}

impl fmt::Display for WrongArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "event `{}` takes `{}` but was sent `{}` at {}",
            self.event, self.expected, self.sent, self.place
        )?;
        match mistaken_literal(self.expected, self.sent) {
            Some(("i32", meant)) => write!(
                f,
                " (an integer literal is `i32` unless it says otherwise: use a typed key, or write `5_{meant}`)"
            ),
            Some((_, meant)) => write!(
                f,
                " (a float literal is `f64` unless it says otherwise: use a typed key, or write `0.5_{meant}`)"
            ),
            None => Ok(()),
        }
    }
}

/// The types that an integer literal can have, other than `i32`.
const NUMBERS: [&str; 13] = [
    "i8", "i16", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128", "usize", "f32", "f64",
];

/// Returns the first pair of number types that differ only because a literal had no suffix, and no other difference exists.
fn mistaken_literal(expected: &'static str, sent: &'static str) -> Option<(&'static str, &'static str)> {
    let words = |name: &'static str| name.split(|c: char| !c.is_alphanumeric() && c != '_');
    if words(expected).count() != words(sent).count() {
        return None;
    }
    let differing = || {
        words(sent)
            .zip(words(expected))
            .filter(|(sent, expected)| sent != expected)
    };
    let literals = differing().all(|(sent, expected)| match sent {
        "i32" => NUMBERS.contains(&expected),
        "f64" => expected == "f32",
        _ => false,
    });
    differing().next().filter(|_| literals)
}
