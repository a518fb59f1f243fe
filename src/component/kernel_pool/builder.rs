//! The settings of a pool.

use super::KernelPool;
use super::failure::{AfterFailure, FailureHook, PoolFailure};
use crate::debug::debug_fields;
use crate::error::{Error, OnFailure};
use crate::kernel::{Kernel, KernelBuilder};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub(super) type Setup = dyn Fn(Kernel, usize) -> Pin<Box<dyn Future<Output = Result<(), Error>>>> + Send + Sync;

/// Settings of a [`KernelPool`].
///
/// ```
/// use poe::{Session, component::{AfterFailure, KernelPool}, event::START};
/// use std::time::Duration;
/// # tokio_test::block_on(async {
/// let pool = KernelPool::builder(2)
///     .kernel(|kernel| kernel.inbox_capacity(1024))
///     .setup(|kernel, _number| async move {
///         // Made on each kernel at its start, and again after a failure that stopped all of its sessions.
///         Session::builder(()).on(START, |cx, ()| cx.alias_set("cache")).create(&kernel).map(drop)
///     })
///     .after_failure(AfterFailure::Restart)
///     .restarts(5, Duration::from_secs(10))
///     .on_failure(|failure| eprintln!("{failure}"))
///     .start()?;
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
#[must_use = "a pool has kernels only after `start`"]
pub struct KernelPoolBuilder {
    pub(super) kernels: usize,
    pub(super) settings: Settings,
}

/// The settings that each thread gets a copy of.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) kernel: Arc<dyn Fn(KernelBuilder) -> KernelBuilder + Send + Sync>,
    pub(super) setup: Option<Arc<Setup>>,
    pub(super) after_failure: AfterFailure,
    /// At most this many restarts …
    pub(super) restarts: usize,
    /// … within this time.
    pub(super) period: Duration,
    pub(super) hook: Option<FailureHook>,
}

impl KernelPoolBuilder {
    pub(super) fn new(kernels: usize) -> Self {
        KernelPoolBuilder {
            kernels,
            settings: Settings {
                kernel: Arc::new(|kernel| kernel),
                setup: None,
                after_failure: AfterFailure::default(),
                restarts: 5,
                period: Duration::from_secs(10),
                hook: None,
            },
        }
    }

    /// Sets the settings of each kernel.
    ///
    /// The function gets a builder with [`OnFailure::StopSession`] set, so that a failing session stops only itself and
    /// its descendants.
    pub fn kernel(mut self, settings: impl Fn(KernelBuilder) -> KernelBuilder + Send + Sync + 'static) -> Self {
        self.settings.kernel = Arc::new(move |kernel| settings(kernel.on_failure(OnFailure::StopSession)));
        self
    }

    /// Runs a function on each kernel before [`start`](Self::start) returns, and again at each restart of that kernel.
    pub fn setup<F, Fut>(mut self, setup: F) -> Self
    where
        F: Fn(Kernel, usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Error>> + 'static,
    {
        self.settings.setup = Some(Arc::new(move |kernel, number| Box::pin(setup(kernel, number))));
        self
    }

    /// Sets what follows a failure that stopped all sessions of a kernel; default [`AfterFailure::Restart`].
    ///
    /// Such a failure comes from a session whose policy is [`OnFailure::StopKernel`]: a listener, a
    /// [`TcpClient`](crate::component::TcpClient), or any session with that policy.
    pub fn after_failure(mut self, policy: AfterFailure) -> Self {
        self.settings.after_failure = policy;
        self
    }

    /// Sets how many restarts of a kernel are allowed within a period; default 5 within 10 seconds. The next failure
    /// abandons the kernel.
    pub fn restarts(mut self, times: usize, period: Duration) -> Self {
        (self.settings.restarts, self.settings.period) = (times, period);
        self
    }

    /// Calls a function for each failure, on the thread of the kernel where it happened.
    ///
    /// [`KernelPool::next_failure`] reports the same to a future.
    pub fn on_failure(mut self, hook: impl Fn(&PoolFailure) + Send + Sync + 'static) -> Self {
        self.settings.hook = Some(Arc::new(hook));
        self
    }

    /// Starts the kernels' threads, and waits for their setup.
    ///
    /// # Errors
    /// The system's: no thread, or no descriptors for its runtime; the error or panic of the setup. No kernel runs
    /// then.
    pub fn start(self) -> Result<KernelPool, Error> {
        KernelPool::launch(self)
    }
}

debug_fields!([] KernelPoolBuilder, "KernelPoolBuilder", |this| {
    kernels: this.kernels,
    after_failure: this.settings.after_failure,
    restarts: this.settings.restarts,
    period: this.settings.period,
    ..
});
