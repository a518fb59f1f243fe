//! A kernel of a pool as the child of a supervisor in another kernel.
//!
//! | | what happens here |
//! |---|---|
//! | start | the setup and the servers are started, unless they run; the supervisor gets a lease |
//! | a failure stops all sessions | the lease ends with it; the sockets stay open, and clients wait in their backlog |
//! | the supervisor asks for the end | as [`Kernel::shutdown`](crate::Kernel::shutdown) without a limit; then the lease ends |
//! | the supervisor drops its end of the lease | the sessions are stopped at once |
//! | the supervisor has forgotten the child, and the kernel is down | the sockets are closed, so that the other kernels get the clients |

use super::{Local, Order, Posting, ask};
use crate::component::backoff::{First, first};
use crate::component::kernel_pool::failure::PoolOutcome;
use crate::component::kernel_pool::handle::PoolHandle;
use crate::error::{Error, ErrorKind, Failure, drop_quietly};
use crate::kernel::Die;
use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;

/// The thread's end of a lease.
pub(super) struct Lease {
    ended: oneshot::Sender<KernelEnd>,
    is_asked: bool,
}

/// What the supervisor wants.
pub(super) enum Wish {
    End,
    Kill,
}

/// How the life of a kernel has ended, as its supervisor is told.
pub(crate) enum KernelEnd {
    AskedFor,
    Failed(KernelFailure),
}

/// A failure in another kernel.
#[derive(Debug)]
pub(crate) struct KernelFailure {
    pub(crate) failure: Failure,
    /// The event whose handler failed, and where it was sent.
    pub(crate) event: Option<(String, &'static Location<'static>)>,
}

impl fmt::Display for KernelFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.event {
            Some((event, place)) => write!(f, "{} (event `{event}`, sent at {place})", self.failure),
            None => self.failure.fmt(f),
        }
    }
}

impl std::error::Error for KernelFailure {}

impl Local {
    /// What the supervisor wants; it does not end while there is nothing.
    pub(super) fn poll_lease(&self, cx: &mut Context<'_>) -> Poll<Wish> {
        // Orders are carried out by the same task, and this is polled after them.
        match self.poll_killed(cx) {
            Poll::Ready(()) => Poll::Ready(Wish::Kill),
            Poll::Pending if self.lease.borrow().as_ref().is_some_and(|lease| lease.is_asked) => Poll::Ready(Wish::End),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Ready when the supervisor has dropped its end.
    fn poll_killed(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self.lease.borrow_mut() {
            Some(lease) => lease.ended.poll_closed(cx),
            None => Poll::Pending,
        }
    }

    pub(super) async fn take_down(&self, wish: Wish) {
        self.is_up.set(false);
        if let Wish::End = wish {
            let ended = self.kernel.shutdown(Duration::MAX);
            if let First::Left(_) = first(ended, poll_fn(|cx| self.poll_killed(cx))).await {
                return self.end_lease();
            }
        }
        self.kernel.shutdown(Duration::ZERO).await;
        self.end_lease();
    }

    /// The pool is being shut down, and a life that its supervisor has ended is not to take longer because of that.
    pub(super) async fn finish_kill(&self) {
        let is_killed = self
            .lease
            .borrow()
            .as_ref()
            .is_some_and(|lease| lease.ended.is_closed());
        if is_killed {
            self.take_down(Wish::Kill).await;
        }
    }

    /// Nothing of the kernel's sessions is left.
    pub(super) fn end_lease(&self) {
        if let Some(lease) = self.lease.take().filter(|lease| lease.is_asked) {
            drop_quietly(lease.ended.send(KernelEnd::AskedFor));
        }
    }

    /// A failure has stopped all sessions.
    pub(super) fn fail_lease(&self, die: Option<Die>, error: &Error) -> PoolOutcome {
        self.is_up.set(false);
        let failure = match die {
            Some(die) => KernelFailure {
                failure: die.failure,
                event: Some((die.event.to_string(), die.place)),
            },
            None => KernelFailure {
                failure: Failure::msg(error.to_string()),
                event: None,
            },
        };
        if let Some(lease) = self.lease.take() {
            drop_quietly(lease.ended.send(KernelEnd::Failed(failure)));
        }
        PoolOutcome::LeftToSupervisor
    }

    async fn lend(&self, ended: oneshot::Sender<KernelEnd>) -> Result<(), Error> {
        if self.lease.borrow().is_some() {
            return Err(
                ErrorKind::Invalid(format!("kernel {} of the pool has a supervisor already", self.index)).into(),
            );
        }
        if !self.is_up.get() {
            // A start that was given up, or failed, may have left sessions.
            self.kernel.stop_all()?;
            if let Err(error) = self.start_again().await {
                self.kernel.stop_all()?;
                return Err(error);
            }
            self.is_up.set(true);
        }
        self.lease.replace(Some(Lease { ended, is_asked: false }));
        Ok(())
    }
}

/// A kernel of a pool, for the description of a child. When the last clone is dropped, nobody starts the kernel again.
pub(crate) struct PoolKernel {
    number: usize,
    pool: PoolHandle,
    orders: Posting,
}

impl PoolKernel {
    pub(in super::super) fn new(number: usize, pool: PoolHandle, orders: Posting) -> Self {
        PoolKernel { number, pool, orders }
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    pub(crate) fn pool(&self) -> &PoolHandle {
        &self.pool
    }

    /// Starts the kernel's sessions, unless they run. The receiver tells how that life ends; dropping it ends that life.
    pub(crate) async fn start(&self) -> Result<oneshot::Receiver<KernelEnd>, Error> {
        let (ending, ended) = oneshot::channel();
        let started = ask(&self.orders, move |local: Rc<Local>| {
            Box::pin(async move { local.lend(ending).await })
        });
        started.await.unwrap_or_else(|_| Err(super::super::gone()))?;
        Ok(ended)
    }

    /// Asks the sessions to end.
    pub(crate) fn ask_to_end(&self) {
        self.order(|local| {
            if let Some(lease) = &mut *local.lease.borrow_mut() {
                lease.is_asked = true;
            }
        });
    }

    fn order(&self, f: impl FnOnce(&Local) + Send + 'static) {
        self.orders.send(Order::Run(Box::new(move |local: Rc<Local>| {
            f(&local);
            Box::pin(async {})
        })));
    }
}

impl Drop for PoolKernel {
    fn drop(&mut self) {
        self.order(|local| {
            if !local.is_up.get() {
                local.abandon();
            }
        });
    }
}
