//! The error of a call that returned no reply.

use super::failure::Failure;
use super::general::Error;
use super::kind::ErrorKind;
use super::post::Wanted;
use super::wrong_argument::WrongArgument;
use crate::id::SessionId;
use std::fmt;
use std::time::Duration;

/// A call that returned no reply. It hands the argument back where no handler took it.
pub struct CallError<A> {
    event: String,
    pub(crate) kind: CallErrorKind,
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

impl<A> CallError<A> {
    pub(crate) fn no_such_session(event: &str, session: SessionId, arg: A) -> Self {
        Self::new(event, CallErrorKind::NoSuchSession(Wanted::Id(session)), Some(arg))
    }

    pub(crate) fn busy(event: &str, arg: Option<A>) -> Self {
        Self::new(event, CallErrorKind::Busy, arg)
    }

    pub(crate) fn new(event: &str, kind: CallErrorKind, arg: Option<A>) -> Self {
        CallError {
            event: event.to_owned(),
            kind,
            arg,
        }
    }

    /// Returns the argument, unless a handler took it.
    pub fn into_arg(self) -> Option<A> {
        self.arg
    }

    /// Returns the same error with the argument replaced by `f(argument)`.
    pub fn map<B>(self, f: impl FnOnce(A) -> B) -> CallError<B> {
        CallError {
            event: self.event,
            kind: self.kind,
            arg: self.arg.map(f),
        }
    }

    /// The target session does not exist, or no longer exists (POE's `ESRCH`).
    #[doc(alias = "ESRCH")]
    pub fn is_no_such_session(&self) -> bool {
        matches!(self.kind, CallErrorKind::NoSuchSession(_))
    }

    /// The session has neither a handler for this event nor a `_default` (decision D6 of the conformance table).
    #[doc(alias = "ENOSYS")]
    pub fn is_unhandled(&self) -> bool {
        matches!(self.kind, CallErrorKind::Unhandled(_))
    }

    /// The handler failed or panicked.
    ///
    /// If it belongs to another session, that session is sent a `DIE` signal (law L15). In a call to the calling session
    /// itself this error contains the failure, and `?` passes it on (law L13).
    pub fn is_died(&self) -> bool {
        matches!(self.kind, CallErrorKind::Died(_) | CallErrorKind::Failed(_))
    }

    /// Returns the failure of the handler, if the error contains it: after `try_call`, and in a call to oneself.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.kind {
            CallErrorKind::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// The handler replied with another type than the key or the annotation expects.
    pub fn is_wrong_reply(&self) -> bool {
        matches!(self.kind, CallErrorKind::WrongReply { .. })
    }

    /// A handler is running: inside it use `cx.call`, not a cloned [`Kernel`](crate::Kernel).
    pub fn is_busy(&self) -> bool {
        matches!(self.kind, CallErrorKind::Busy)
    }

    /// The calls were nested deeper than [`call_stack`](crate::KernelBuilder::call_stack) allows; no handler ran.
    pub fn is_too_deep(&self) -> bool {
        matches!(self.kind, CallErrorKind::TooDeep(_))
    }

    /// The inbox of a [`KernelHandle`](crate::KernelHandle) is full.
    pub fn is_full(&self) -> bool {
        matches!(self.kind, CallErrorKind::Full(_))
    }

    /// A [`KernelHandle`](crate::KernelHandle) or `try_call` sent an argument of a type that the handler does not take.
    ///
    /// No handler ran, and no `DIE` is raised: a mistake on another thread does not stop a session. (In a call inside the kernel a
    /// wrong argument is a failure of the called handler, see [`is_died`](Self::is_died).)
    pub fn is_wrong_argument(&self) -> bool {
        matches!(self.kind, CallErrorKind::WrongArgument(_))
    }

    /// The reply did not come within the limit of [`ReplyFuture::timeout`](crate::ReplyFuture::timeout).
    ///
    /// The error has the argument if the call was withdrawn in time, and not if a handler had taken it.
    pub fn is_timed_out(&self) -> bool {
        matches!(self.kind, CallErrorKind::TimedOut(_))
    }

    /// A call with a timeout was awaited outside of a Tokio runtime with a time driver.
    pub fn is_no_runtime(&self) -> bool {
        matches!(self.kind, CallErrorKind::NoRuntime)
    }

    /// The handler [replies later](crate::KernelRef::defer_reply), and a synchronous call cannot wait.
    ///
    /// Use [`ask`](crate::KernelRef::ask) inside a kernel, and [`KernelHandle::call`](crate::KernelHandle::call) from outside.
    /// The handler has run; its reply goes nowhere.
    pub fn is_deferred(&self) -> bool {
        matches!(self.kind, CallErrorKind::Deferred(_))
    }

    /// The session dropped its [`DeferredReply`](crate::DeferredReply), or stopped before it replied.
    pub fn is_dropped(&self) -> bool {
        matches!(self.kind, CallErrorKind::Dropped(_))
    }

    /// The kernel behind the [`KernelHandle`](crate::KernelHandle) is gone, its run has ended, or it dropped the call.
    pub fn is_closed(&self) -> bool {
        matches!(self.kind, CallErrorKind::Closed | CallErrorKind::Ended)
    }

    fn without_arg(self) -> Error {
        ErrorKind::Call {
            event: self.event,
            kind: self.kind,
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
        write!(f, "cannot call `{}`: {}", self.event, self.kind)
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
        match error.kind {
            CallErrorKind::Failed(failure) => failure,
            _ => Failure::from(error.without_arg()),
        }
    }
}
