//! The reply to a call from another thread.

use super::call::Pending;
use crate::error::{CallError, CallErrorKind, PostErrorKind, drop_payload};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

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

impl<A, R> Unpin for ReplyFuture<A, R> {}

impl<A, R> Future for ReplyFuture<A, R> {
    type Output = Result<R, CallError<A>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let replied = match &mut this.replied {
            Ok(replied) => replied,
            Err(refused) => {
                let kind = match refused {
                    PostErrorKind::Full(n) => CallErrorKind::Full(*n),
                    PostErrorKind::Ended => CallErrorKind::Ended,
                    PostErrorKind::Closed | PostErrorKind::NoSuchSession(_) => CallErrorKind::Closed,
                };
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
