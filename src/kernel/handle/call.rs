//! A call from another thread: in the inbox, and then as an event in the queue.
//!
//! Both sides share the argument until a handler gets it, so that the side that gives up first has it: the kernel takes
//! it when it dispatches the call, the caller when its time is over or the kernel is gone.

use super::super::Core;
use super::super::deferred::{Origin, Ran, Waiter, wrong_reply};
use super::inbox::SendName;
use crate::arg::AnyArg;
use crate::error::{CallError, CallErrorKind, PostErrorKind, Wanted, drop_payload, drop_quietly, quietly};
use crate::id::SessionId;
use crate::name::{Key, Name};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{self, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

/// What both sides share until one of them takes it: the argument of a call that was not dispatched yet, the timer of a post.
pub(super) struct Pending<A>(Arc<Mutex<Option<A>>>);

impl<A> Pending<A> {
    pub(super) fn new(arg: A) -> Self {
        Pending(Arc::new(Mutex::new(Some(arg))))
    }

    /// One that is not there yet: see [`put`](Self::put).
    pub(super) fn empty() -> Self {
        Pending(Arc::default())
    }

    pub(super) fn put(&self, value: A) {
        *self.lock() = Some(value);
    }

    fn lock(&self) -> MutexGuard<'_, Option<A>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn share(&self) -> Self {
        Pending(self.0.clone())
    }

    /// The value, if the other side has not taken it.
    pub(super) fn take(&self) -> Option<A> {
        self.lock().take()
    }

    /// Whether neither side has taken it.
    pub(super) fn is_there(&self) -> bool {
        self.lock().is_some()
    }
}

impl<A> Drop for Pending<A> {
    fn drop(&mut self) {
        // Its drop may panic, on whatever thread lets go of it last.
        if Arc::strong_count(&self.0) == 1 {
            drop_quietly(self.take());
        }
    }
}

/// A call that is an event of the queue: by a handle, or an `ask`.
pub(in crate::kernel) trait QueuedCall {
    /// Runs the handler and sees to the reply, unless the caller has given up.
    fn run(self: Box<Self>, core: &Core, callee: SessionId, origin: Origin);
    /// Tells the caller that no handler will run.
    fn refuse(self: Box<Self>, core: &Core, kind: CallErrorKind);
    fn event(&self) -> Name;
}

/// What stands in the queue, with the name [`NameIdx::CALL`](crate::name::NameIdx::CALL).
pub(in crate::kernel) struct Queued(pub(in crate::kernel) Box<dyn QueuedCall>);

impl Queued {
    pub(in crate::kernel) fn run(self, core: &Core, callee: SessionId, origin: Origin) {
        self.0.run(core, callee, origin);
    }

    pub(in crate::kernel) fn event(&self) -> Name {
        self.0.event()
    }
}

pub(super) struct Call<A, R> {
    pub(super) event: SendName,
    pub(super) arg: Pending<A>,
    pub(super) reply: Reply<A, R>,
}

type Reply<A, R> = tokio::sync::oneshot::Sender<Result<R, CallError<A>>>;

/// Replies. If the caller is gone the reply is dropped here; the caller's waker is foreign code.
fn send<T>(reply: tokio::sync::oneshot::Sender<T>, result: T) {
    quietly("a reply to another thread panicked", || drop(reply.send(result)));
}

impl<A: Send + 'static, R: Send + 'static> QueuedCall for Call<A, R> {
    fn run(self: Box<Self>, core: &Core, callee: SessionId, origin: Origin) {
        let Call { event, arg, reply } = *self;
        let Some(arg) = arg.take() else { return };
        if callee.is_kernel() {
            let result = core.call_from(callee, callee.into(), event.key(), origin.caller, arg, origin.place);
            return send(reply, result);
        }
        match core.run_queued_call(callee, event.key(), arg, origin) {
            Ran::Replied(value) => send(reply, reply_of(event.key(), value)),
            Ran::Refused(kind, arg) => send(reply, Err(CallError::new(event.key().as_str(), kind, arg))),
            Ran::Deferred(token) => token.wait(core, Box::new(Remote { event, reply })),
        }
    }

    fn refuse(self: Box<Self>, _: &Core, kind: CallErrorKind) {
        let Call { event, arg, reply } = *self;
        if let Some(arg) = arg.take() {
            send(reply, Err(CallError::new(event.key().as_str(), kind, Some(arg))));
        }
    }

    fn event(&self) -> Name {
        self.event.key().to_name()
    }
}

/// The reply if it has the type that the caller expects.
pub(in crate::kernel) fn reply_of<A, R: 'static>(event: Key<'_>, mut value: AnyArg) -> Result<R, CallError<A>> {
    value
        .take::<R>()
        .ok_or_else(|| CallError::new(event.as_str(), wrong_reply::<R>(&value), None))
}

/// A caller on another thread that waits for a deferred reply.
struct Remote<A, R> {
    event: SendName,
    reply: Reply<A, R>,
}

impl<A: 'static, R: 'static> Waiter for Remote<A, R> {
    fn is_waiting(&self) -> bool {
        !self.reply.is_closed()
    }

    fn give(self: Box<Self>, _: &Core, reply: Result<AnyArg, CallErrorKind>) {
        let event = self.event.key();
        let result = match reply {
            Ok(value) => reply_of(event, value),
            Err(kind) => Err(CallError::new(event.as_str(), kind, None)),
        };
        send(self.reply, result);
    }
}

// The reply to a call from another thread.
/// The reply to [`KernelHandle::call`](crate::KernelHandle::call) as a future, which any task may await.
///
/// ```
/// use poe::{ReplyFuture, Event, Kernel, Reply, Session, event::START};
/// const DOUBLE: Event<u32, u32> = Event::new("double");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| cx.alias_set("doubler"))
///     .on(DOUBLE, |_, n| Reply(2 * n))
///     .create(&kernel)?;
/// let handle = kernel.handle();
/// let first: ReplyFuture<u32, u32> = handle.call("doubler", DOUBLE, 1);
/// let second = handle.call("doubler", DOUBLE, 2); // both are sent, neither is awaited yet
/// tokio::select! {
///     answers = async { tokio::join!(first, second) } => {
///         assert_eq!((answers.0.unwrap(), answers.1.unwrap()), (2, 4));
///     }
///     served = kernel.serve() => served?, // does not end, because the handle could still send
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "the call is under way, but its reply is lost"]
pub struct ReplyFuture<A, R> {
    event: String,
    arg: Pending<A>,
    replied: Result<oneshot::Receiver<Result<R, CallError<A>>>, PostErrorKind>,
    limit: Option<Limit>,
}

/// How long to wait, with the caller's timer as soon as there is one.
struct Limit {
    time: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Limit {
    /// Starts the timer, if this is inside a Tokio runtime that has one.
    fn start(&mut self) {
        if self.timer.is_none() && tokio::runtime::Handle::try_current().is_ok() {
            // There is no way to ask whether the runtime's time driver is on, and without it this panics.
            match catch_unwind(AssertUnwindSafe(|| Box::pin(sleep(self.time)))) {
                Ok(timer) => self.timer = Some(timer),
                Err(payload) => drop_payload(payload),
            }
        }
    }

    /// Ready with the reason when the wait is over.
    fn poll(&mut self, cx: &mut task::Context<'_>) -> Poll<CallErrorKind> {
        self.start();
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx).map(|()| CallErrorKind::TimedOut(self.time)),
            None => Poll::Ready(CallErrorKind::NoRuntime),
        }
    }
}

impl<A, R> ReplyFuture<A, R> {
    pub(super) fn new(
        event: &str,
        arg: Pending<A>,
        replied: Result<oneshot::Receiver<Result<R, CallError<A>>>, PostErrorKind>,
    ) -> Self {
        ReplyFuture {
            event: event.to_owned(),
            arg,
            replied,
            limit: None,
        }
    }

    /// A call of a name that nobody has.
    pub(crate) fn to_nobody(event: &str, wanted: Wanted, arg: A) -> Self {
        Self::new(event, Pending::new(arg), Err(PostErrorKind::NoSuchSession(wanted)))
    }

    /// Limits how long to wait for the reply, counted from now.
    ///
    /// When the time is over the future returns an error ([`CallError::is_timed_out`]). A call that was not dispatched
    /// by then is withdrawn: no handler will run, and the error has the argument. A handler that got it runs to its
    /// end, and its reply is dropped.
    ///
    /// It uses the timer of the Tokio runtime in which this method is called, or else of the one in which the future is
    /// polled. Without one, or if its time driver is off, the call is withdrawn and fails with [`CallError::is_no_runtime`].
    ///
    /// ```
    /// use poe::{Event, Kernel};
    /// use std::time::Duration;
    /// const COUNT: Event<u8, u64> = Event::new("count");
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// let kernel = Kernel::new(); // which is not running
    /// let reply = kernel.handle().call("counter", COUNT, 7).timeout(Duration::from_millis(50)).await;
    /// let error = reply.unwrap_err();
    /// assert!(error.is_timed_out());
    /// assert_eq!(error.into_arg(), Some(7)); // withdrawn
    /// # });
    /// ```
    pub fn timeout(mut self, limit: Duration) -> Self {
        let mut limit = Limit {
            time: limit,
            timer: None,
        };
        limit.start();
        self.limit = Some(limit);
        self
    }

    fn fail(&self, kind: CallErrorKind) -> CallError<A> {
        CallError::new(&self.event, kind, self.arg.take())
    }
}

/// Why a call was not taken in.
pub(super) fn refused(why: &PostErrorKind) -> CallErrorKind {
    match why {
        PostErrorKind::Full(n) => CallErrorKind::Full(*n),
        PostErrorKind::SessionFull(session, n) => CallErrorKind::SessionFull(*session, *n),
        PostErrorKind::Ended => CallErrorKind::Ended,
        PostErrorKind::Closed => CallErrorKind::Closed,
        PostErrorKind::NoSuchSession(wanted) => CallErrorKind::NoSuchSession(wanted.clone()),
    }
}

impl<A, R> Unpin for ReplyFuture<A, R> {}

impl<A, R> Future for ReplyFuture<A, R> {
    type Output = Result<R, CallError<A>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let replied = match &mut this.replied {
            Ok(replied) => replied,
            Err(why) => {
                let kind = refused(why);
                return Poll::Ready(Err(this.fail(kind)));
            }
        };
        match Pin::new(&mut *replied).poll(cx) {
            Poll::Ready(Ok(result)) => return Poll::Ready(result),
            Poll::Ready(Err(_)) => return Poll::Ready(Err(this.fail(CallErrorKind::Closed))),
            Poll::Pending => {}
        }
        let Some(Poll::Ready(over)) = this.limit.as_mut().map(|limit| limit.poll(cx)) else {
            return Poll::Pending;
        };
        // Withdrawn, if it is still there; and the reply may have come between the two looks.
        let withdrawn = this.arg.take();
        replied.close();
        match replied.try_recv() {
            Ok(result) => Poll::Ready(result),
            Err(_) => Poll::Ready(Err(CallError::new(&this.event, over, withdrawn))),
        }
    }
}

impl<A, R> fmt::Debug for ReplyFuture<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyFuture({:?})", self.event)
    }
}
