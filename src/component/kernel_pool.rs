//! Many cores: one kernel on each of several threads, and servers that are spread over them.
//!
//! Each thread has a runtime and a kernel of its own; nothing is shared, and what is written for one kernel runs on each
//! of them as it is. Sessions of different kernels talk by posts, through a [`PoolHandle`].

use super::tcp_server::{TcpServer, TcpServerBuilder};
use crate::error::{Error, ErrorKind, PostError};
use crate::event::Posts;
use crate::filter::{Filter, Line};
use crate::id::SessionId;
use crate::kernel::{Kernel, KernelHandle};
use crate::wheel::make::Options;
use crate::wheel::{Address, Spread};
use futures_util::future::{Either, select};
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Several kernels, each on a thread of its own.
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
/// Dropping it ends the kernels at once, and their sessions with them.
pub struct KernelPool {
    workers: Vec<Worker>,
    handle: PoolHandle,
}

struct Worker {
    orders: mpsc::UnboundedSender<Order>,
    thread: thread::JoinHandle<()>,
}

type Done = Pin<Box<dyn Future<Output = ()>>>;

enum Order {
    Run(Box<dyn FnOnce(Rc<Local>) -> Done + Send>),
    Shutdown(Duration, oneshot::Sender<Option<String>>),
}

/// What a thread has.
struct Local {
    kernel: Kernel,
    index: usize,
    /// By the number that the pool has given them.
    servers: RefCell<Vec<(usize, TcpServer)>>,
}

/// Posts to the sessions of any kernel of a pool: `Send`, `Sync`, cheap to clone, also into sessions.
///
/// ```
/// use poe::{Event, SessionId, component::PoolHandle};
/// const SAID: Event<String> = Event::new("said");
/// fn tell_all(pool: &PoolHandle, members: &[SessionId], what: &str) {
///     for member in members {
///         if let Err(refused) = pool.post(*member, SAID, what.to_owned()) {
///             eprintln!("{refused}"); // its kernel is gone, or its inbox is full
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct PoolHandle(Arc<[KernelHandle]>);

/// A server that a pool's kernels serve together. Dropping this value changes nothing.
///
/// ```
/// use poe::component::KernelPool;
/// use tokio::{io::{AsyncBufReadExt, AsyncWriteExt, BufReader}, net::TcpStream};
/// # tokio_test::block_on(async {
/// let pool = KernelPool::new(2)?;
/// let server = pool
///     .serve("127.0.0.1:0", |server| server.client_input(|cx, line| cx.client().put(line.to_uppercase())))
///     .await?;
/// let mut client = BufReader::new(TcpStream::connect(server.local_addr()).await?);
/// client.write_all(b"hello\n").await?;
/// let mut line = String::new();
/// client.read_line(&mut line).await?;
/// assert_eq!(line, "HELLO\r\n");
/// assert_eq!(server.connections().await.iter().sum::<usize>(), 1); // one of the two has it
/// server.shutdown();                                          // nobody else comes …
/// server.shutdown_clients();                                  // … and who is there is let go
/// line.clear();
/// assert_eq!(client.read_line(&mut line).await?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub struct PoolServer {
    local: SocketAddr,
    number: usize,
    workers: Vec<mpsc::UnboundedSender<Order>>,
}

/// How a [`KernelPool::shutdown`] went.
///
/// ```
/// use poe::{KERNEL_SHUTDOWN, Session, component::KernelPool, event::START};
/// use std::time::Duration;
/// # tokio_test::block_on(async {
/// let pool = KernelPool::new(2)?;
/// pool.each(|kernel, number| async move {
///     let session = Session::builder(()).on(START, |cx, ()| {
///         cx.delay("much later", Duration::from_secs(3600), ());
///         cx.sig(KERNEL_SHUTDOWN, "shutting down"); // which only puts it off
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
pub struct PoolReport {
    /// What was not clean, by the number of the kernel: a [`ShutdownReport`](crate::ShutdownReport) in words, or that
    /// its thread is gone.
    pub unclean: Vec<(usize, String)>,
}

impl PoolReport {
    /// Whether all sessions of all kernels have ended by themselves in time.
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

impl PoolHandle {
    /// Posts to a session, whichever kernel it is of. An alias is known to one kernel alone: use
    /// [`kernel`](Self::kernel) for it.
    ///
    /// # Errors
    /// As [`KernelHandle::post`]; also, with the argument inside, if the session is of no kernel of this pool.
    #[track_caller]
    pub fn post<A: Send + 'static>(&self, to: SessionId, event: impl Posts<A>, arg: A) -> Result<(), PostError<A>> {
        // Of another kernel altogether: the first one's handle says so.
        let kernel = self.0.iter().find(|k| k.kernel_id().kernel == to.kernel);
        kernel.unwrap_or(&self.0[0]).post(to, event, arg)
    }

    /// The handle of one kernel, counted from 0: for aliases, and for calls.
    ///
    /// ```
    /// use poe::{Event, Reply, Session, component::KernelPool, event::START};
    /// const NUMBER: Event<(), usize> = Event::new("number");
    /// # tokio_test::block_on(async {
    /// let pool = KernelPool::new(2)?;
    /// pool.each(|kernel, number| async move {
    ///     let session = Session::builder(number).on(START, |cx, ()| cx.alias_set("who"));
    ///     session.on(NUMBER, |cx, ()| Reply(*cx.heap)).create(&kernel)
    /// })
    /// .await?;
    /// assert_eq!(pool.handle().kernel(1).unwrap().call("who", NUMBER, ()).await?, 1);
    /// assert!(pool.handle().kernel(2).is_none());
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn kernel(&self, index: usize) -> Option<&KernelHandle> {
        self.0.get(index)
    }

    /// The handles of all kernels.
    ///
    /// ```
    /// # use poe::component::KernelPool;
    /// let pool = KernelPool::new(3)?;
    /// assert_eq!(pool.handle().iter().count(), 3);
    /// # Ok::<(), poe::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &KernelHandle> {
        self.0.iter()
    }
}

fn gone() -> Error {
    ErrorKind::Invalid("the thread of a kernel of the pool is gone".to_owned()).into()
}

impl KernelPool {
    /// Starts that many kernels, at least one; [`available_parallelism`](thread::available_parallelism) says how many
    /// there are cores for.
    ///
    /// # Errors
    /// The system's: no thread, or no descriptors for its runtime.
    pub fn new(kernels: usize) -> Result<KernelPool, Error> {
        let failed = |operation| move |error| Error::from(ErrorKind::Io { operation, error });
        let (mut workers, mut handles) = (Vec::new(), Vec::new());
        for index in 0..kernels.max(1) {
            let (orders, received) = mpsc::unbounded_channel();
            let (started, start) = std::sync::mpsc::sync_channel(1);
            let thread = thread::Builder::new().name(format!("poe-{index}"));
            let thread = thread
                .spawn(move || work(index, &started, received))
                .map_err(failed("thread"))?;
            handles.push(start.recv().map_err(|_| gone())?.map_err(failed("runtime"))?);
            workers.push(Worker { orders, thread });
        }
        let handle = PoolHandle(handles.into());
        Ok(KernelPool { workers, handle })
    }

    /// How many kernels there are.
    #[must_use]
    pub fn kernels(&self) -> usize {
        self.workers.len()
    }

    /// The way to post to them, for sessions and for other threads; it holds no kernel up.
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

    /// Does something on each kernel's thread, with the kernel and its number: makes sessions, starts servers. The
    /// answers come in the kernels' order, when all are there.
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
    /// The first that one of them gave; the others have done their part all the same.
    pub async fn each<F, Fut, T>(&self, f: F) -> Result<Vec<T>, Error>
    where
        F: Fn(Kernel, usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, Error>> + 'static,
        T: Send + 'static,
    {
        let f = Arc::new(f);
        let asked = self.workers.iter().map(|worker| {
            let f = f.clone();
            worker.ask(move |local| {
                let made = f(local.kernel.clone(), local.index);
                Box::pin(made)
            })
        });
        collect(asked.collect()).await
    }

    /// Listens on an address, with a server on each kernel, made by the same function; each client is served by one of
    /// them, as the system deals them out.
    ///
    /// # Errors
    /// As [`TcpServerBuilder::start`].
    pub async fn serve<H, G, F>(&self, addr: impl Into<Address>, server: F) -> Result<PoolServer, Error>
    where
        H: 'static,
        G: Filter,
        F: Fn(TcpServerBuilder<(), Line>) -> TcpServerBuilder<H, G> + Send + Sync + 'static,
    {
        let addr = addr.into();
        let spread = Spread::bind(&addr, &Options::default(), self.workers.len()).await;
        let spread = spread.map_err(|failed| {
            let crate::wheel::Failed { operation, error, .. } = failed;
            let addr = addr.to_string();
            Error::from(ErrorKind::Listen { addr, operation, error })
        })?;
        let (local, listeners) = spread.into_parts();
        let local_addr = local;
        let server = Arc::new(server);
        let number = next_number();
        let asked = self.workers.iter().zip(listeners).map(|(worker, listener)| {
            let server = server.clone();
            worker.ask(move |local: Rc<Local>| {
                Box::pin(async move {
                    let listener = tokio::net::TcpListener::from_std(listener);
                    let listener = listener.map_err(|error| ErrorKind::Listen {
                        addr: local_addr.to_string(),
                        operation: "listen",
                        error,
                    })?;
                    let started = server(TcpServer::on(listener)).start(&local.kernel).await?;
                    local.servers.borrow_mut().push((number, started));
                    Ok(())
                })
            })
        });
        collect(asked.collect()).await?;
        let workers = self.workers.iter().map(|worker| worker.orders.clone()).collect();
        Ok(PoolServer { local, number, workers })
    }

    /// Ends all kernels in good order, as [`Kernel::shutdown`] does, and waits for their threads.
    pub async fn shutdown(self, limit: Duration) -> PoolReport {
        let asked = self.workers.iter().map(|worker| {
            let (answer, answered) = oneshot::channel();
            // A thread that is gone drops the other end.
            let _ = worker.orders.send(Order::Shutdown(limit, answer));
            answered
        });
        // All are asked before the first is waited for.
        let asked: Vec<_> = asked.collect();
        let mut unclean = Vec::new();
        for (index, answered) in asked.into_iter().enumerate() {
            match answered.await {
                Ok(None) => {}
                Ok(Some(report)) => unclean.push((index, report)),
                Err(_) => unclean.push((index, gone().to_string())),
            }
        }
        for worker in self.workers {
            // Its last order was carried out, or it has panicked, which was told above.
            let _ = worker.thread.join();
        }
        PoolReport { unclean }
    }
}

impl fmt::Debug for KernelPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelPool")
            .field("kernels", &self.kernels())
            .finish_non_exhaustive()
    }
}

impl PoolServer {
    /// The address that it listens on, with the port that the system chose.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Listens no more; clients live on.
    pub fn shutdown(&self) {
        self.tell(TcpServer::shutdown);
    }

    /// The same, and each connection is ended in good order.
    pub fn shutdown_clients(&self) {
        self.tell(TcpServer::shutdown_clients);
    }

    /// How many clients each kernel has.
    pub async fn connections(&self) -> Vec<usize> {
        let mut counts = Vec::new();
        for worker in &self.workers {
            let number = self.number;
            let asked = ask(worker, move |local: Rc<Local>| {
                let servers = local.servers.borrow();
                let server = servers.iter().find(|(n, _)| *n == number);
                let count = server.map_or(0, |(_, server)| server.connections());
                Box::pin(async move { Ok(count) })
            });
            counts.push(asked.await.unwrap_or(Ok(0)).unwrap_or(0));
        }
        counts
    }

    fn tell(&self, what: fn(&TcpServer)) {
        for worker in &self.workers {
            let number = self.number;
            let order = Order::Run(Box::new(move |local: Rc<Local>| {
                for (_, server) in local.servers.borrow().iter().filter(|(n, _)| *n == number) {
                    what(server);
                }
                Box::pin(async {})
            }));
            // A thread that is gone serves nobody.
            let _ = worker.send(order);
        }
    }
}

impl fmt::Debug for PoolServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolServer")
            .field("local_addr", &self.local)
            .finish_non_exhaustive()
    }
}

fn next_number() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

type Work<T> = Pin<Box<dyn Future<Output = Result<T, Error>>>>;

impl Worker {
    fn ask<T: Send + 'static>(
        &self,
        f: impl FnOnce(Rc<Local>) -> Work<T> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, Error>> {
        ask(&self.orders, f)
    }
}

fn ask<T: Send + 'static>(
    worker: &mpsc::UnboundedSender<Order>,
    f: impl FnOnce(Rc<Local>) -> Work<T> + Send + 'static,
) -> oneshot::Receiver<Result<T, Error>> {
    let (answer, answered) = oneshot::channel();
    let order = Order::Run(Box::new(move |local| {
        let work = f(local);
        Box::pin(async move {
            // Nobody waits for it any more, perhaps.
            let _ = answer.send(work.await);
        })
    }));
    // A thread that is gone drops the other end.
    let _ = worker.send(order);
    answered
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

/// A thread's work: serves its kernel and carries out orders.
fn work(
    index: usize,
    started: &std::sync::mpsc::SyncSender<io::Result<KernelHandle>>,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            // Whoever makes the pool waits for this.
            let _ = started.send(Err(error));
            return;
        }
    };
    runtime.block_on(async {
        let local = Rc::new(Local {
            kernel: Kernel::new(),
            index,
            servers: RefCell::default(),
        });
        let kernel = &local.kernel;
        let _ = started.send(Ok(kernel.handle()));
        // The first failure that has stopped all sessions. The kernel goes on: there may be others to come.
        let failed = RefCell::new(None);
        let serving = async {
            loop {
                if let Err(error) = kernel.serve().await {
                    tracing::error!(target: "poe::sessions", kernel = index, "{error}");
                    failed.borrow_mut().get_or_insert(error);
                }
                tokio::task::yield_now().await;
            }
        };
        let ordered = async {
            loop {
                match orders.recv().await {
                    Some(Order::Run(order)) => order(local.clone()).await,
                    Some(Order::Shutdown(limit, answer)) => return Some((limit, answer)),
                    None => return None,
                }
            }
        };
        // Orders first; serving has no end. Both are dropped here, since a kernel that serves cannot be shut down by another.
        let last = {
            let (serving, ordered) = (pin!(serving), pin!(ordered));
            match select(ordered, serving).await {
                Either::Left((last, _)) => last,
                Either::Right(((), _)) => None,
            }
        };
        if let Some((limit, answer)) = last {
            let report = kernel.shutdown(limit).await;
            let failed = failed.borrow_mut().take().map(|error| error.to_string());
            let unclean = (!report.is_clean()).then(|| report.to_string()).or(failed);
            // Nobody waits for it any more, perhaps.
            let _ = answer.send(unclean);
        }
    });
}
