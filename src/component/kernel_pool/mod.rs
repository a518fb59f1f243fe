//! Several kernels on several threads, and servers that are spread over them.
//!
//! Each thread has its own runtime and kernel. Nothing is shared, and code written for one kernel runs on each of them
//! unchanged. Sessions of different kernels send posts to each other through a [`PoolHandle`], which knows their names and
//! subscriptions (`directory.rs`).

mod directory;
mod failure;
mod handle;
mod worker;

use super::backoff::{First, first};
use super::tcp_server::{TcpServer, TcpServerBuilder};
use crate::debug::debug_fields;
use crate::error::{Error, ErrorKind, OnFailure};
use crate::filter::{Filter, Line};
use crate::kernel::{Kernel, KernelBuilder};
use crate::wheel::make::Options;
use crate::wheel::{Address, Spread};
use failure::{FailureHook, Failures};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use worker::{Beginning, MakeServer, Order, Posting, ask, work};

pub use failure::{AfterFailure, PoolFailure, PoolOutcome, PoolReport};
pub use handle::{PoolHandle, Published};
pub use worker::PoolServer;
pub(crate) use worker::{KernelEnd, KernelFailure, PoolKernel};

/// Several kernels, each on a separate thread.
///
/// ```
/// use poe::component::KernelPool;
/// use std::time::Duration;
/// # tokio_test::block_on(async {
/// let pool = KernelPool::new(2)?;
/// let server = pool
///     .serve("127.0.0.1:0", |server| server.client_input(|cx, line| cx.client().put(line)))
///     .await?;
/// println!("listening on {}, with {} kernels", server.local_addr(), pool.kernels());
/// let report = pool.shutdown(Duration::from_secs(5)).await;
/// assert!(report.is_clean(), "{report}");
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
///
/// Dropping it ends the kernels and their sessions at once.
pub struct KernelPool {
    workers: Vec<Worker>,
    handle: PoolHandle,
    failures: Arc<Failures>,
}

struct Worker {
    orders: mpsc::UnboundedSender<Order>,
    thread: thread::JoinHandle<()>,
    /// Closed when the thread has nothing more to do.
    ended: oneshot::Receiver<()>,
}

fn gone() -> Error {
    ErrorKind::Invalid("the thread of a kernel of the pool is gone".to_owned()).into()
}

impl KernelPool {
    /// Starts `kernels` kernels, at least one; see [`available_parallelism`](thread::available_parallelism) for a good
    /// number.
    ///
    /// # Errors
    /// As [`KernelPoolBuilder::start`].
    pub fn new(kernels: usize) -> Result<KernelPool, Error> {
        Self::builder(kernels).start()
    }

    /// Starts building a pool with that many kernels, at least one.
    ///
    /// ```
    /// use poe::component::KernelPool;
    /// # tokio_test::block_on(async {
    /// let pool = KernelPool::builder(2).on_failure(|failure| eprintln!("{failure}")).start()?;
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    pub fn builder(kernels: usize) -> KernelPoolBuilder {
        KernelPoolBuilder::new(kernels)
    }

    fn launch(builder: KernelPoolBuilder) -> Result<KernelPool, Error> {
        let failures = Arc::new(Failures::new(builder.settings.hook.clone()));
        let mut starting = Vec::new();
        for index in 0..builder.kernels.max(1) {
            let (orders, received) = mpsc::unbounded_channel();
            let (built, start) = std::sync::mpsc::sync_channel(1);
            let (go, going) = std::sync::mpsc::sync_channel(1);
            let (ready, set_up) = std::sync::mpsc::sync_channel(1);
            let beginning = Beginning { built, going, ready };
            let (ending, ended) = oneshot::channel();
            let (settings, told) = (builder.settings.clone(), failures.clone());
            let thread = thread::Builder::new().name(format!("poe-{index}")).spawn(move || {
                work(index, settings, told, beginning, received);
                drop::<oneshot::Sender<()>>(ending);
            });
            let thread = thread.map_err(|error| ErrorKind::Io {
                operation: "thread",
                error,
            })?;
            let worker = Worker { orders, thread, ended };
            starting.push((worker, start, go, set_up));
        }
        let mut handles = Vec::new();
        for (_, start, ..) in &starting {
            handles.push(start.recv().map_err(|_| gone())??);
        }
        // A setup may use the whole pool, so it begins when all kernels are there.
        let handle = PoolHandle::new(handles);
        for (_, _, go, _) in &starting {
            // A thread that is gone tells nothing either.
            let _ = go.send(handle.clone());
        }
        let mut workers = Vec::new();
        for (worker, _, _, set_up) in starting {
            set_up.recv().map_err(|_| gone())??;
            workers.push(worker);
        }
        Ok(KernelPool {
            workers,
            handle,
            failures,
        })
    }

    /// Waits for the next failure on any kernel, of a single session or of a kernel as a whole.
    ///
    /// The newest 256 failures are kept until they are asked for. Dropping the future loses none. If several tasks
    /// wait, one of them gets the failure.
    ///
    /// ```
    /// use poe::component::KernelPool;
    /// async fn watch(pool: &KernelPool) {
    ///     loop {
    ///         eprintln!("{}", pool.next_failure().await);
    ///     }
    /// }
    /// ```
    pub async fn next_failure(&self) -> PoolFailure {
        self.failures.next().await
    }

    /// The kernel of that number, for a supervisor.
    pub(crate) fn kernel(&self, number: usize) -> Option<PoolKernel> {
        let worker = self.workers.get(number)?;
        Some(PoolKernel::new(
            number,
            self.handle.clone(),
            Posting::to(&worker.orders),
        ))
    }

    /// Returns the number of kernels.
    #[must_use]
    pub fn kernels(&self) -> usize {
        self.workers.len()
    }

    /// Returns a handle that posts to all of them, for sessions and other threads; it keeps no kernel running.
    ///
    /// ```
    /// # use poe::component::KernelPool;
    /// # use std::time::Duration;
    /// # tokio_test::block_on(async {
    /// let pool = KernelPool::new(2)?;
    /// let handle = pool.handle();
    /// assert_eq!(handle.iter().count(), pool.kernels());
    /// pool.shutdown(Duration::from_secs(5)).await;
    /// assert!(handle.kernel(0).unwrap().post("anybody", "hello", ()).unwrap_err().is_closed());
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn handle(&self) -> PoolHandle {
        self.handle.clone()
    }

    /// Runs a function on each kernel's thread, with the kernel and its number, to make sessions or start servers.
    /// Returns the results in the kernels' order, when all are there.
    ///
    /// ```
    /// use poe::{Event, Session, component::KernelPool, event::START};
    /// const COUNT: Event<u64> = Event::new("count");
    /// # tokio_test::block_on(async {
    /// let pool = KernelPool::new(2)?;
    /// let counters = pool
    ///     .each(|kernel, _number| async move {
    ///         Session::builder(0_u64)
    ///             .on(START, |cx, ()| cx.alias_set("counter"))
    ///             .on(COUNT, |cx, n| *cx.heap += n)
    ///             .create(&kernel)
    ///     })
    ///     .await?;
    /// pool.handle().post(counters[1], COUNT, 5)?;
    /// # Ok::<(), poe::Failure>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The first error or panic of the function; the other kernels have run it all the same. If this future is dropped,
    /// unfinished work is dropped, too.
    pub async fn each<F, Fut, T>(&self, f: F) -> Result<Vec<T>, Error>
    where
        F: Fn(Kernel, usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, Error>> + 'static,
        T: Send + 'static,
    {
        let f = Arc::new(f);
        let asked = self.workers.iter().map(|worker| {
            let f = f.clone();
            ask(&Posting::to(&worker.orders), move |local| {
                Box::pin(f(local.kernel.clone(), local.index))
            })
        });
        collect(asked.collect()).await
    }

    /// Listens on an address, with one server on each kernel, made by the same function. The system distributes the
    /// clients.
    ///
    /// # Errors
    /// As [`TcpServerBuilder::start`].
    pub async fn serve<H, G, S, F>(&self, addr: impl Into<Address>, server: F) -> Result<PoolServer, Error>
    where
        H: 'static,
        G: Filter,
        S: 'static,
        F: Fn(TcpServerBuilder<(), Line>) -> TcpServerBuilder<H, G, S> + Send + Sync + 'static,
    {
        let addr = addr.into();
        let spread = Spread::bind(&addr, &Options::default(), self.workers.len()).await;
        let spread = spread.map_err(|failed| {
            let crate::wheel::Failed { operation, error, .. } = failed;
            let addr = addr.to_string();
            Error::from(ErrorKind::Listen { addr, operation, error })
        })?;
        let (local, listeners) = spread.into_parts();
        let make: Arc<MakeServer> = Arc::new(move |kernel, listener| {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(|error| ErrorKind::Listen {
                addr: local.to_string(),
                operation: "listen",
                error,
            });
            let server = listener.map(|listener| server(TcpServer::on(listener)));
            Box::pin(async move { server?.start(&kernel).await })
        });
        let number = next_number();
        let asked = self.workers.iter().zip(listeners).map(|(worker, socket)| {
            let make = make.clone();
            ask(&Posting::to(&worker.orders), move |local| {
                Box::pin(async move { local.serve(number, socket, make).await })
            })
        });
        collect(asked.collect()).await?;
        let workers = self.workers.iter().map(|worker| Posting::to(&worker.orders)).collect();
        Ok(PoolServer { local, number, workers })
    }

    /// Shuts down all kernels, as [`Kernel::shutdown`] does, and waits for their threads.
    ///
    /// It takes at most `limit` and a quarter of a second, whatever the kernels do: unfinished work of
    /// [`each`](Self::each) is given up, and a thread blocked by a handler is left behind, which the report says.
    pub async fn shutdown(self, limit: Duration) -> PoolReport {
        let asked = self.workers.iter().map(|worker| {
            let (answer, answered) = oneshot::channel();
            // A thread that is gone drops the other end.
            let _ = worker.orders.send(Order::Shutdown(limit, answer));
            answered
        });
        // All kernels are asked before the first one is waited for.
        let asked: Vec<_> = asked.collect();
        let mut over = Limit::after(limit.saturating_add(BLOCKED));
        let mut unclean = Vec::new();
        for (index, (answered, worker)) in asked.into_iter().zip(self.workers).enumerate() {
            let Worker { thread, ended, .. } = worker;
            let ends = async {
                let report = answered.await;
                let _ = ended.await;
                report
            };
            match first(ends, &mut over).await {
                First::Left(report) => {
                    match report {
                        Ok(None) => {}
                        Ok(Some(report)) => unclean.push((index, report)),
                        Err(_) => unclean.push((index, gone().to_string())),
                    }
                    // The thread has nothing left to do.
                    let _ = thread.join();
                }
                First::Right(()) => {
                    unclean.push((index, "a handler blocks its thread, which is left behind".to_owned()))
                }
            }
        }
        PoolReport { unclean }
    }
}

/// How much longer than its limit a shutdown waits for a thread to report.
const BLOCKED: Duration = Duration::from_millis(250);

/// Ready when the time is over, and from then on always.
///
/// A thread measures it, because the caller may be in any runtime, also one with a paused clock, or in none.
enum Limit {
    Never,
    Waiting {
        over: oneshot::Receiver<()>,
        /// Dropping it ends the thread.
        _waits: std::sync::mpsc::Sender<()>,
    },
    Over,
}

impl Limit {
    fn after(limit: Duration) -> Self {
        let (over, is_over) = oneshot::channel();
        let (waits, nobody_waits) = std::sync::mpsc::channel();
        let timer = thread::Builder::new().name("poe-pool-limit".to_owned()).spawn(move || {
            let _over_or_not_wanted = nobody_waits.recv_timeout(limit);
            drop(over);
        });
        if let Err(error) = timer {
            tracing::warn!(target: "poe::sessions", "a shutdown of kernels has no limit for handlers that block: {error}");
            return Limit::Never;
        }
        Limit::Waiting {
            over: is_over,
            _waits: waits,
        }
    }
}

impl Future for Limit {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self {
            Limit::Never => return Poll::Pending,
            Limit::Waiting { over, .. } => {
                let _ended = ready!(Pin::new(over).poll(cx));
            }
            Limit::Over => {}
        }
        *self = Limit::Over;
        Poll::Ready(())
    }
}

debug_fields!([] KernelPool, "KernelPool", |this| { kernels: this.kernels(), .. });

fn next_number() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

async fn collect<T>(asked: Vec<oneshot::Receiver<Result<T, Error>>>) -> Result<Vec<T>, Error> {
    let mut answers = Vec::new();
    let mut failed = None;
    for answered in asked {
        match answered.await.unwrap_or_else(|_| Err(gone())) {
            Ok(answer) => answers.push(answer),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(answers), Err)
}

// The settings of a pool.
type Setup = dyn Fn(Kernel, usize) -> Pin<Box<dyn Future<Output = Result<(), Error>>>> + Send + Sync;

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
    kernels: usize,
    settings: Settings,
}

/// The settings that each thread gets a copy of.
#[derive(Clone)]
struct Settings {
    kernel: Arc<dyn Fn(KernelBuilder) -> KernelBuilder + Send + Sync>,
    setup: Option<Arc<Setup>>,
    after_failure: AfterFailure,
    /// At most this many restarts …
    restarts: usize,
    /// … within this time.
    period: Duration,
    hook: Option<FailureHook>,
}

impl KernelPoolBuilder {
    fn new(kernels: usize) -> Self {
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
    ///
    /// For a kernel that is the [child of a supervisor](crate::component::ChildSpec::kernel) this and
    /// [`after_failure`](Self::after_failure) do not count: the supervisor decides.
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
