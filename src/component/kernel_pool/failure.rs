//! Failures of a pool and its kernels, how they are reported, and the report of a shutdown.

use crate::error::Error;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Decides what a [`KernelPool`](super::KernelPool) does with a kernel whose sessions were all stopped by a failure.
///
/// ```
/// use poe::component::{AfterFailure, KernelPool};
/// # tokio_test::block_on(async {
/// let pool = KernelPool::builder(2).after_failure(AfterFailure::Rebalance).start()?;
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AfterFailure {
    /// Starts the kernel's servers and its [`setup`](super::KernelPoolBuilder::setup) again, on the same kernel and the
    /// same sockets: connections that wait in a backlog are served. After too many restarts within a period
    /// ([`restarts`](super::KernelPoolBuilder::restarts)) acts like `Rebalance`.
    #[default]
    Restart,
    /// Closes the kernel's sockets; the other kernels take the clients. (The system resets connections in the backlogs
    /// of those sockets.)
    Rebalance,
}

/// A failure on one of the kernels of a [`KernelPool`](super::KernelPool).
///
/// ```
/// use poe::{Event, Session, component::{KernelPool, PoolOutcome}, event::START};
/// # tokio_test::block_on(async {
/// let pool = KernelPool::new(2)?;
/// pool.each(|kernel, number| async move {
///     if number == 1 {
///         Session::builder(()).on(START, |cx, ()| cx.yield_to("fail", ())).on("fail", |_, ()| panic!("a bug")).create(&kernel)?;
///     }
///     Ok(())
/// })
/// .await?;
/// let failure = pool.next_failure().await;
/// assert_eq!((failure.kernel, failure.outcome), (1, PoolOutcome::SessionStopped));
/// assert!(failure.error.to_string().ends_with("panicked: a bug"));
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolFailure {
    /// The number of the kernel.
    pub kernel: usize,
    /// What failed: the event, the session, and the cause.
    pub error: Error,
    /// The consequence for the kernel.
    pub outcome: PoolOutcome,
}

impl fmt::Display for PoolFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel {}: {} ({})", self.kernel, self.error, self.outcome)
    }
}

/// The consequence of a failure for a kernel of a pool.
///
/// ```
/// use poe::component::PoolOutcome;
/// assert_eq!(PoolOutcome::Restarted.to_string(), "its sessions were stopped and its servers started again");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolOutcome {
    /// The failed session and its descendants were stopped; everything else goes on.
    SessionStopped,
    /// All sessions were stopped, then the servers and the setup were started again.
    Restarted,
    /// All sessions were stopped, and the servers stay closed: by policy, after too many restarts, or because a restart
    /// failed. The kernel accepts posts, and new sessions and servers.
    Abandoned,
    /// All sessions were stopped, and the [supervisor](crate::component::ChildSpec::kernel) decides what follows.
    LeftToSupervisor,
    /// The kernel's thread has ended.
    ThreadEnded,
}

impl fmt::Display for PoolOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            PoolOutcome::SessionStopped => "its session was stopped",
            PoolOutcome::Restarted => "its sessions were stopped and its servers started again",
            PoolOutcome::Abandoned => "its sessions were stopped and its servers are gone",
            PoolOutcome::LeftToSupervisor => "its sessions were stopped; its supervisor decides",
            PoolOutcome::ThreadEnded => "its thread has ended",
        })
    }
}

pub(super) type FailureHook = Arc<dyn Fn(&PoolFailure) + Send + Sync>;

/// How many failures are kept for [`KernelPool::next_failure`](super::KernelPool::next_failure); older ones are
/// dropped.
const KEPT: usize = 256;

/// The channel of failures from the kernels' threads to the pool's owner.
pub(super) struct Failures {
    waiting: Mutex<VecDeque<PoolFailure>>,
    arrived: Notify,
    hook: Option<FailureHook>,
}

impl Failures {
    pub(super) fn new(hook: Option<FailureHook>) -> Self {
        Failures {
            waiting: Mutex::default(),
            arrived: Notify::new(),
            hook,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<PoolFailure>> {
        // No code panics while the lock is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called on the kernel's thread.
    pub(super) fn tell(&self, failure: PoolFailure) {
        if failure.outcome != PoolOutcome::SessionStopped {
            tracing::error!(target: "poe::sessions", kernel = failure.kernel, outcome = %failure.outcome, "{}", failure.error);
        }
        if let Some(hook) = &self.hook {
            crate::error::quietly("the hook for failures of a pool panicked", || hook(&failure));
        }
        let oldest = {
            let mut waiting = self.waiting();
            waiting.push_back(failure);
            (waiting.len() > KEPT).then(|| waiting.pop_front())
        };
        drop(oldest);
        self.arrived.notify_one();
    }

    pub(super) async fn next(&self) -> PoolFailure {
        loop {
            let arrived = self.arrived.notified();
            let (next, more) = {
                let mut waiting = self.waiting();
                (waiting.pop_front(), !waiting.is_empty())
            };
            if let Some(next) = next {
                if more {
                    // For another task that waits here as well.
                    self.arrived.notify_one();
                }
                return next;
            }
            arrived.await;
        }
    }
}

/// The result of a [`KernelPool::shutdown`](super::KernelPool::shutdown).
///
/// ```
/// use poe::{KERNEL_SHUTDOWN, Session, component::KernelPool, event::START};
/// use std::time::Duration;
/// # tokio_test::block_on(async {
/// let pool = KernelPool::new(2)?;
/// pool.each(|kernel, number| async move {
///     let session = Session::builder(()).on(START, |cx, ()| {
///         cx.delay("much later", Duration::from_secs(3600), ());
///         cx.sig(KERNEL_SHUTDOWN, "shutting down"); // which only postpones it
///     });
///     let session = session.on("shutting down", |cx, _: poe::Signal| cx.sig_handled());
///     if number == 1 { session.create(&kernel).map(drop) } else { Ok(()) }
/// })
/// .await?;
/// let report = pool.shutdown(Duration::from_millis(10)).await;
/// assert!(!report.is_clean());
/// assert_eq!(report.unclean.len(), 1);
/// assert!(report.to_string().starts_with("kernel 1: "), "{report}");
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct PoolReport {
    /// The problems, by the number of the kernel: a [`ShutdownReport`](crate::inspect::ShutdownReport) as text, or that
    /// its thread is gone.
    pub unclean: Vec<(usize, String)>,
}

impl PoolReport {
    /// Returns whether all sessions of all kernels ended by themselves in time.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unclean.is_empty()
    }
}

impl fmt::Display for PoolReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return f.write_str("every session of every kernel ended in time");
        }
        for (index, report) in &self.unclean {
            writeln!(f, "kernel {index}: {report}")?;
        }
        Ok(())
    }
}
