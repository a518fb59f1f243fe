//! A call that gave no answer.

use super::failure::Failure;
use super::general::Error;
use super::kind::ErrorKind;
use super::post::Wanted;
use super::wrong_argument::WrongArgument;
use crate::id::SessionId;
use std::fmt;
use std::time::Duration;

/// A call that gave no answer.
///
/// ```
/// use poe::{Event, Kernel};
/// const COUNT: Event<u8, u64> = Event::new("count");
/// let kernel = Kernel::new();
/// let error = kernel.call("nobody", COUNT, 7).unwrap_err();
/// assert!(error.is_no_such_session());
/// assert_eq!(error.into_arg(), Some(7));
/// ```
///
/// ```
/// use poe::{Failure, Kernel, Reply, Session, event::START};
/// let kernel = Kernel::new();
/// let id = Session::builder(())
///     .on(START, |_, ()| ())
///     .on("fail", |_, ()| -> poe::HandlerResult { Err(Failure::msg("on purpose")) })
///     .on("name", |_, ()| Reply("poe"))
///     .create(&kernel)?;
/// let call = |event: &str| kernel.call::<_, u64>(id, event, ()).unwrap_err();
/// assert!(call("unknown").is_unhandled());
/// assert!(call("fail").is_died());
/// assert!(call("name").is_wrong_answer());
/// # Ok::<(), poe::Error>(())
/// ```
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
    WrongAnswer {
        expected: &'static str,
        got: &'static str,
    },
    Busy,
    /// Handlers were nested deeper than that many bytes of stack.
    TooDeep(usize),
    Full(usize),
    WrongArgument(Box<WrongArgument>),
    TimedOut(Duration),
    NoRuntime,
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

    /// The argument, where no handler took it.
    pub fn into_arg(self) -> Option<A> {
        self.arg
    }

    /// The same refusal around what `f` makes of the argument.
    ///
    /// ```
    /// use poe::{CallError, Event, Kernel};
    /// const GET: Event<(&'static str, String), String> = Event::new("get");
    ///
    /// fn user(kernel: &Kernel, name: String) -> Result<String, CallError<String>> {
    ///     kernel.call("store", GET, ("users", name)).map_err(|error| error.map(|(_, name)| name))
    /// }
    /// let error = user(&Kernel::new(), "root".to_owned()).unwrap_err();
    /// assert!(error.is_no_such_session());
    /// assert_eq!(error.into_arg().as_deref(), Some("root"));
    /// ```
    pub fn map<B>(self, f: impl FnOnce(A) -> B) -> CallError<B> {
        CallError {
            event: self.event,
            kind: self.kind,
            arg: self.arg.map(f),
        }
    }

    /// POE's `ESRCH`: the target is not there, or not any more.
    #[doc(alias = "ESRCH")]
    pub fn is_no_such_session(&self) -> bool {
        matches!(self.kind, CallErrorKind::NoSuchSession(_))
    }

    /// The session has neither a handler of that name nor a `_default` (decision D6 of the conformance table).
    #[doc(alias = "ENOSYS")]
    pub fn is_unhandled(&self) -> bool {
        matches!(self.kind, CallErrorKind::Unhandled(_))
    }

    /// The handler failed or panicked. In another session that session has a `DIE` signal on its way (law L15); in a
    /// call to oneself the failure itself is inside, and `?` passes it on (law L13).
    pub fn is_died(&self) -> bool {
        matches!(self.kind, CallErrorKind::Died(_) | CallErrorKind::Failed(_))
    }

    /// The handler answered with another type than the key or the annotation expects.
    pub fn is_wrong_answer(&self) -> bool {
        matches!(self.kind, CallErrorKind::WrongAnswer { .. })
    }

    /// A handler is running: from inside it use `cx.call`, not a cloned [`Kernel`](crate::Kernel).
    ///
    /// ```
    /// use poe::{Event, Kernel, Reply, Session, event::START};
    /// const SIZE: Event<(), usize> = Event::new("size");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, kernel: Kernel| -> poe::HandlerResult {
    ///         let me = cx.session_id();
    ///         assert!(kernel.call(me, SIZE, ()).unwrap_err().is_busy());
    ///         assert_eq!(cx.call(me, SIZE, ())?, 3);
    ///         Ok(())
    ///     })
    ///     .on(SIZE, |_, ()| Reply(3))
    ///     .args(kernel.clone())
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    pub fn is_busy(&self) -> bool {
        matches!(self.kind, CallErrorKind::Busy)
    }

    /// The calls were nested deeper than the kernel's
    /// [`call_stack`](crate::KernelBuilder::call_stack) allows; no handler ran.
    ///
    /// ```
    /// use poe::{Event, Kernel, Reply, Session, event::START};
    /// const DEEPER: Event<u32, u32> = Event::new("deeper");
    /// let kernel = Kernel::new();
    /// let id = Session::builder(())
    ///     .on(START, |_, ()| ())
    ///     .on(DEEPER, |cx, depth| match cx.call(cx.session_id(), DEEPER, depth + 1) {
    ///         Err(error) if error.is_too_deep() => Reply(depth),
    ///         reply => Reply(reply.unwrap()),
    ///     })
    ///     .create(&kernel)?;
    /// assert!(kernel.call(id, DEEPER, 0)? > 10);
    /// # Ok::<(), poe::Error>(())
    /// ```
    pub fn is_too_deep(&self) -> bool {
        matches!(self.kind, CallErrorKind::TooDeep(_))
    }

    /// The inbox of a [`KernelHandle`](crate::KernelHandle) is full.
    ///
    /// ```
    /// use poe::{Event, Kernel};
    /// const COUNT: Event<u8, u64> = Event::new("count");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::builder().inbox_capacity(1).build();
    /// let handle = kernel.handle();
    /// let first = handle.call("counter", COUNT, 1); // waits to be taken in
    /// let error = handle.call("counter", COUNT, 2).await.unwrap_err();
    /// assert!(error.is_full());
    /// assert_eq!(error.into_arg(), Some(2));
    /// # drop(first);
    /// # });
    /// ```
    pub fn is_full(&self) -> bool {
        matches!(self.kind, CallErrorKind::Full(_))
    }

    /// A [`KernelHandle`](crate::KernelHandle) has sent an argument that the handler does not take.
    ///
    /// No handler ran, and no `DIE` is raised: another thread's mistake does not stop a session. (In a call inside the kernel a
    /// wrong argument is a failure of the callee, see [`is_died`](Self::is_died).)
    ///
    /// ```
    /// use poe::{Event, Kernel, Reply, Session, event::START};
    /// const DOUBLE: Event<u32, u32> = Event::new("double");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// Session::builder(()).on(START, |cx, ()| cx.alias_set("doubler")).on(DOUBLE, |_, n| Reply(2 * n)).create(&kernel)?;
    /// let reply = kernel.handle().call::<_, u32>("doubler", "double", "seven");
    /// kernel.run().await?;
    /// let error = reply.await.unwrap_err();
    /// assert!(error.is_wrong_argument());
    /// assert_eq!(error.into_arg(), Some("seven"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_wrong_argument(&self) -> bool {
        matches!(self.kind, CallErrorKind::WrongArgument(_))
    }

    /// The reply did not come within the limit of [`ReplyFuture::timeout`](crate::ReplyFuture::timeout).
    ///
    /// With the argument if the call was withdrawn, and without it if a handler had got it.
    ///
    /// ```
    /// use poe::{Event, Kernel};
    /// use std::time::Duration;
    /// const COUNT: Event<u8, u64> = Event::new("count");
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// let kernel = Kernel::new(); // which nobody runs
    /// let error = kernel.handle().call("counter", COUNT, 1).timeout(Duration::from_secs(1)).await.unwrap_err();
    /// assert!(error.is_timed_out());
    /// assert_eq!(error.to_string(), "cannot call `count`: no reply within 1s");
    /// # });
    /// ```
    pub fn is_timed_out(&self) -> bool {
        matches!(self.kind, CallErrorKind::TimedOut(_))
    }

    /// A call with a timeout was awaited outside of a Tokio runtime with a time driver.
    ///
    /// ```
    /// use poe::{Event, Kernel};
    /// use std::time::Duration;
    /// const COUNT: Event<u8, u64> = Event::new("count");
    /// let kernel = Kernel::new();
    /// let reply = kernel.handle().call("counter", COUNT, 1).timeout(Duration::from_secs(1));
    /// let error = futures_util::FutureExt::now_or_never(reply).unwrap().unwrap_err(); // no runtime here
    /// assert!(error.is_no_runtime());
    /// assert_eq!(error.into_arg(), Some(1));
    /// ```
    pub fn is_no_runtime(&self) -> bool {
        matches!(self.kind, CallErrorKind::NoRuntime)
    }

    /// The kernel behind a [`KernelHandle`](crate::KernelHandle) is gone, its run has ended, or it dropped the call.
    ///
    /// ```
    /// use poe::{Event, Kernel};
    /// const COUNT: Event<u8, u64> = Event::new("count");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let handle = kernel.handle();
    /// let answer = handle.call("counter", COUNT, 1);
    /// drop(kernel);
    /// assert!(answer.await.unwrap_err().is_closed());
    /// # });
    /// ```
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
            CallErrorKind::Died(id) => write!(f, "its handler in session {id} failed (a DIE signal tells why)"),
            CallErrorKind::Failed(e) => e.fmt(f),
            CallErrorKind::WrongAnswer { expected, got } => {
                write!(f, "the answer is `{got}`, not `{expected}`")
            }
            CallErrorKind::Busy => f.write_str("the kernel is running a handler: call by the handler's context"),
            CallErrorKind::TooDeep(limit) => too_deep(*limit, f),
            CallErrorKind::Full(n) => write!(f, "the kernel's inbox is full ({n} messages)"),
            CallErrorKind::WrongArgument(wrong) => wrong.fmt(f),
            CallErrorKind::TimedOut(limit) => write!(f, "no reply within {limit:?}"),
            CallErrorKind::NoRuntime => f.write_str(
                "its timeout needs a timer: await it inside a Tokio runtime with its time driver (`enable_all`)",
            ),
            CallErrorKind::Ended => f.write_str("the kernel's run has ended"),
            CallErrorKind::Closed => f.write_str("the kernel is gone"),
        }
    }
}

/// The text of every refusal of this kind.
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
