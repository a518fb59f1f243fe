//! The answer to a call from another thread.

use crate::error::{CallError, CallErrorKind, PostErrorKind};
use std::fmt;
use std::pin::Pin;
use std::task::{self, Poll, ready};

pub(super) type Awaited<A, R> = tokio::sync::oneshot::Receiver<Result<R, CallError<A>>>;

/// A refused call has its argument still.
pub(super) type Refused<A> = (PostErrorKind, Option<A>);

/// The answer to [`KernelHandle::call`](crate::KernelHandle::call), on its way: a future that any task may await.
///
/// ```
/// use poe::{Answer, Event, Kernel, Reply, Session, event::START};
/// const DOUBLE: Event<u32, u32> = Event::new("double");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| cx.alias_set("doubler"))
///     .on(DOUBLE, |_, n| Reply(2 * n))
///     .create(&kernel)?;
/// let handle = kernel.handle();
/// let first: Answer<u32, u32> = handle.call("doubler", DOUBLE, 1);
/// let second = handle.call("doubler", DOUBLE, 2); // both are under way, neither was awaited
/// tokio::select! {
///     answers = async { tokio::join!(first, second) } => {
///         assert_eq!((answers.0.unwrap(), answers.1.unwrap()), (2, 4));
///     }
///     served = kernel.serve() => served?, // does not end: it could be asked for more
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "the call is under way, but its answer is lost"]
pub struct Answer<A, R> {
    pub(super) event: String,
    pub(super) answered: Result<Awaited<A, R>, Refused<A>>,
}

impl<A, R> Unpin for Answer<A, R> {}

impl<A, R> Future for Answer<A, R> {
    type Output = Result<R, CallError<A>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let (kind, arg) = match &mut self.answered {
            Ok(answered) => match ready!(Pin::new(answered).poll(cx)) {
                Ok(result) => return Poll::Ready(result),
                Err(_) => (CallErrorKind::Closed, None),
            },
            Err((PostErrorKind::Full(n), arg)) => (CallErrorKind::Full(*n), arg.take()),
            Err((_, arg)) => (CallErrorKind::Closed, arg.take()),
        };
        Poll::Ready(Err(CallError::new(&self.event, kind, arg)))
    }
}

impl<A, R> fmt::Debug for Answer<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({:?})", self.event)
    }
}
