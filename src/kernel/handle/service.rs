//! Calls through a handle as a `tower::Service` (feature `tower`).

use super::call::refused;
use super::{KernelHandle, ReplyFuture};
use crate::bridge::mailbox::{Needs, Place};
use crate::error::{CallError, Error};
use crate::event::Event;
use crate::kernel::Target;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Calls one handler of a session, as a `tower::Service`: each request is an event of the kernel. Feature `tower`.
///
/// Made with [`KernelHandle::service`]. It is ready when the kernel's inbox has room, which is then kept for the next call; a clone waits for its own. The
/// error is [`Error`], without the request, because layers of tower need a type that implements `std::error::Error`.
///
/// ```
/// use poe::{Event, Kernel, Reply, Session, event::START};
/// use std::time::Duration;
/// use tower::{Service, ServiceBuilder, ServiceExt};
/// const DOUBLE: Event<u32, u32> = Event::new("double");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| cx.alias_set("doubler"))
///     .on(DOUBLE, |_, n| Reply(2 * n))
///     .create(&kernel)?;
/// let doubler = kernel.handle().service("doubler", DOUBLE).timeout(Duration::from_secs(1));
/// let mut service = ServiceBuilder::new().concurrency_limit(64).map_request(|n: u8| u32::from(n)).service(doubler);
/// let work = async {
///     assert_eq!(service.ready().await.unwrap().call(21).await.unwrap(), 42);
/// };
/// kernel.serve_until(work, Duration::from_secs(1)).await?;
/// # Ok(())
/// # }
/// ```
pub struct CallService<A, R> {
    handle: KernelHandle,
    target: Target<'static>,
    event: Event<A, R>,
    limit: Option<Duration>,
    /// Its place in the line for room, or the room that is kept for it.
    place: Option<Place>,
    is_ready: bool,
}

impl KernelHandle {
    /// Makes a `tower::Service` whose requests are calls of a session's handler. Feature `tower`.
    ///
    /// The target is looked up for each call.
    pub fn service<'t, A, R>(&self, target: impl Into<Target<'t>>, event: Event<A, R>) -> CallService<A, R> {
        let target = match target.into() {
            Target::Id(id) => Target::Id(id),
            Target::Alias(alias) => Target::Alias(alias.into_owned().into()),
        };
        CallService {
            handle: self.clone(),
            target,
            event,
            limit: None,
            place: None,
            is_ready: false,
        }
    }
}

impl<A, R> CallService<A, R> {
    /// Limits how long each call waits for its reply: see [`ReplyFuture::timeout`].
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    fn let_go(&mut self) {
        self.is_ready = false;
        if let Some(place) = self.place.take() {
            self.handle.inbox.mailbox.leave_line(place);
        }
    }
}

impl<A, R> Clone for CallService<A, R> {
    fn clone(&self) -> Self {
        CallService {
            handle: self.handle.clone(),
            target: self.target.clone(),
            event: self.event,
            limit: self.limit,
            place: None,
            is_ready: false,
        }
    }
}

impl<A, R> Drop for CallService<A, R> {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl<A, R> fmt::Debug for CallService<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallService")
            .field("target", &self.target)
            .field("event", &self.event.name())
            .field("timeout", &self.limit)
            .finish_non_exhaustive()
    }
}

impl<A: Send + 'static, R: Send + 'static> tower_service::Service<A> for CallService<A, R> {
    type Response = R;
    type Error = Error;
    type Future = ServiceFuture<A, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.is_ready {
            return Poll::Ready(Ok(()));
        }
        let mailbox = &self.handle.inbox.mailbox;
        let polled = mailbox.poll_room(Needs::Run, &mut self.place, cx.waker());
        polled.map(|room| {
            self.is_ready = room.is_ok();
            room.map_err(|refusal| {
                let kind = refused(&refusal.into());
                CallError::<A>::new(self.event.name(), kind, None).into()
            })
        })
    }

    #[track_caller]
    fn call(&mut self, request: A) -> ServiceFuture<A, R> {
        let call = self.handle.call(self.target.clone(), self.event, request);
        // Only now, so that nobody who waits takes the room.
        self.let_go();
        ServiceFuture(match self.limit {
            Some(limit) => call.timeout(limit),
            None => call,
        })
    }
}

/// The reply to a request of a [`CallService`]. Feature `tower`.
#[must_use = "the reply, and the error of a call, are lost otherwise"]
pub struct ServiceFuture<A, R>(ReplyFuture<A, R>);

impl<A, R> Future for ServiceFuture<A, R> {
    type Output = Result<R, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|replied| replied.map_err(Error::from))
    }
}

impl<A, R> fmt::Debug for ServiceFuture<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceFuture({:?})", self.0)
    }
}
