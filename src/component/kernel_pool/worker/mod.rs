//! A thread of a pool: it runs its kernel, carries out orders, and restarts servers after a failure.
//!
//! Orders run concurrently with each other and with the kernel, so one that waits for ever delays nothing; an order
//! whose caller has given up is dropped. A panic of user code in an order is an error of that order.
//!
//! A kernel may be lent to a supervisor (`lease.rs`). Then its failures end the lease, and it is down until the supervisor starts it again.

mod lease;
mod server;

use super::super::backoff::{First, Intensity, caught, first};
use super::super::tcp_server::TcpServer;
use super::Settings;
use super::directory::Member;
use super::failure::{AfterFailure, Failures, PoolFailure, PoolOutcome};
use super::handle::PoolHandle;
use crate::error::{Error, ErrorKind, Failure, OnFailure, drop_quietly};
use crate::kernel::{Die, Kernel, KernelHandle};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

pub(crate) use lease::{KernelEnd, KernelFailure, PoolKernel};
pub use server::PoolServer;

pub(super) type Done = Pin<Box<dyn Future<Output = ()>>>;

pub(super) type Work<T> = Pin<Box<dyn Future<Output = Result<T, Error>>>>;

/// Makes a server on a kernel, from a listener that is non-blocking.
pub(super) type MakeServer = dyn Fn(Kernel, TcpListener) -> Work<TcpServer> + Send + Sync;

pub(super) enum Order {
    Run(Box<dyn FnOnce(Rc<Local>) -> Done + Send>),
    Shutdown(Duration, oneshot::Sender<Option<String>>),
}

/// Sends orders to a thread, and keeps it no longer than the pool does.
#[derive(Clone)]
pub(super) struct Posting(mpsc::WeakUnboundedSender<Order>);

impl Posting {
    pub(super) fn to(orders: &mpsc::UnboundedSender<Order>) -> Self {
        Posting(orders.downgrade())
    }

    /// No effect if the thread is gone, which drops what the order has.
    fn send(&self, order: Order) {
        if let Some(orders) = self.0.upgrade() {
            let _ = orders.send(order);
        }
    }
}

/// The state of a thread.
pub(super) struct Local {
    pub(super) kernel: Kernel,
    pub(super) index: usize,
    settings: Settings,
    failures: Arc<Failures>,
    servers: RefCell<Vec<Served>>,
    /// Failures of sessions that are not reported yet.
    heard: RefCell<Vec<Die>>,
    /// The restarts of the kernel, counted from `began`.
    restarts: RefCell<Intensity>,
    began: Instant,
    /// The first failure that stopped all sessions.
    first: RefCell<Option<String>>,
    /// The supervisor that has the kernel as a child, while it runs.
    lease: RefCell<Option<lease::Lease>>,
    /// The sessions of the setup and the servers are there. A supervisor's kernel is down between two lives.
    is_up: Cell<bool>,
}

/// A server, and what is needed to start it again.
struct Served {
    /// The pool's number for it.
    number: usize,
    server: TcpServer,
    /// A clone of the server's socket, so that the backlog survives a failure; `None` once the server was shut down.
    socket: Option<TcpListener>,
    make: Arc<MakeServer>,
}

pub(super) fn ask<T: Send + 'static>(
    worker: &Posting,
    f: impl FnOnce(Rc<Local>) -> Work<T> + Send + 'static,
) -> oneshot::Receiver<Result<T, Error>> {
    let (mut reply, replied) = oneshot::channel();
    let order = Order::Run(Box::new(move |local| {
        let index = local.index;
        let work = guarded("the function for each kernel of a pool", index, move || f(local));
        Box::pin(async move {
            let done = match first(work, reply.closed()).await {
                First::Left(done) => Some(done),
                // The caller has given up; the work is dropped.
                First::Right(()) => None,
            };
            if let Some(done) = done {
                drop_quietly(reply.send(done));
            }
        })
    }));
    worker.send(order);
    replied
}

/// Runs user code, and turns a panic into an error.
fn guarded<T: 'static>(what: &'static str, index: usize, f: impl FnOnce() -> Work<T>) -> Work<T> {
    let panicked = move |payload| {
        let failure = Failure::from_panic(payload).of_callback(|| format!("{what} (kernel {index})"));
        Error::from(ErrorKind::Invalid(format!(
            "{} {failure}",
            failure.callback().unwrap_or(what)
        )))
    };
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(work) => Box::pin(async move {
            let mut work = Quietly(Some(work));
            match caught(&mut work).await {
                Ok(done) => done,
                Err(payload) => Err(panicked(payload)),
            }
        }),
        Err(payload) => {
            let error = panicked(payload);
            Box::pin(async { Err(error) })
        }
    }
}

/// A future whose drop may panic.
struct Quietly<T>(Option<Work<T>>);

impl<T> Future for Quietly<T> {
    type Output = Result<T, Error>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Some(work) => work.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for Quietly<T> {
    fn drop(&mut self) {
        drop_quietly(self.0.take());
    }
}

impl Local {
    pub(super) fn server(&self, number: usize) -> Option<TcpServer> {
        let servers = self.servers.borrow();
        let served = servers.iter().find(|served| served.number == number)?;
        Some(served.server.clone())
    }

    /// A server that was shut down is not restarted.
    pub(super) fn forget(&self, number: usize) {
        for served in self
            .servers
            .borrow_mut()
            .iter_mut()
            .filter(|served| served.number == number)
        {
            served.socket = None;
        }
    }

    pub(super) async fn serve(&self, number: usize, socket: TcpListener, make: Arc<MakeServer>) -> Result<(), Error> {
        let server = self.start_server(&socket, &make).await?;
        self.servers.borrow_mut().push(Served {
            number,
            server,
            socket: Some(socket),
            make,
        });
        Ok(())
    }

    async fn start_server(&self, socket: &TcpListener, make: &Arc<MakeServer>) -> Result<TcpServer, Error> {
        let own = socket.try_clone().map_err(|error| ErrorKind::Io {
            operation: "listen",
            error,
        })?;
        let (make, kernel) = (make.clone(), self.kernel.clone());
        guarded("the function that makes a server", self.index, move || {
            make(kernel, own)
        })
        .await
    }

    async fn set_up(&self) -> Result<(), Error> {
        let Some(setup) = self.settings.setup.clone() else {
            return Ok(());
        };
        let (kernel, index) = (self.kernel.clone(), self.index);
        guarded("the setup of a pool", index, move || setup(kernel, index)).await
    }

    fn tell(&self, error: Error, outcome: PoolOutcome) {
        let kernel = self.index;
        self.failures.tell(PoolFailure { kernel, error, outcome });
    }

    /// Reports the failures of single sessions.
    fn tell_heard(&self) {
        let heard = self.heard.take();
        for die in heard {
            self.tell(error_of(die), PoolOutcome::SessionStopped);
        }
    }

    /// A failure has stopped all sessions.
    async fn run_failed(&self, error: Error) {
        self.first.borrow_mut().get_or_insert_with(|| error.to_string());
        // The last reported failure is this one.
        let die = self.heard.borrow_mut().pop();
        self.tell_heard();
        let outcome = match self.settings.after_failure {
            _ if self.lease.borrow().is_some() => self.fail_lease(die, &error),
            AfterFailure::Restart if self.may_restart() => self.restart().await,
            _ => self.abandon(),
        };
        self.tell(error, outcome);
    }

    fn may_restart(&self) -> bool {
        self.restarts.borrow_mut().allows(self.began.elapsed())
    }

    async fn restart(&self) -> PoolOutcome {
        match self.start_again().await {
            Ok(()) => PoolOutcome::Restarted,
            Err(error) => {
                tracing::error!(target: "poe::sessions", kernel = self.index, "the restart failed: {error}");
                self.abandon()
            }
        }
    }

    /// Runs the setup, and starts the servers on the sockets that they had.
    async fn start_again(&self) -> Result<(), Error> {
        self.set_up().await?;
        let again: Vec<_> = {
            let servers = self.servers.borrow();
            let again = servers.iter().filter_map(|served| {
                let socket = served.socket.as_ref()?.try_clone();
                Some((served.number, socket, served.make.clone()))
            });
            again.collect()
        };
        for (number, socket, make) in again {
            let socket = socket.map_err(|error| ErrorKind::Io {
                operation: "listen",
                error,
            })?;
            let server = self.start_server(&socket, &make).await?;
            let mut servers = self.servers.borrow_mut();
            let served = servers.iter_mut().find(|served| served.number == number);
            if let Some(served) = served {
                if served.socket.is_none() {
                    // It was shut down meanwhile.
                    server.shutdown();
                }
                served.server = server;
            }
        }
        Ok(())
    }

    /// Closes the sockets, so that the system gives the clients to other kernels.
    fn abandon(&self) -> PoolOutcome {
        let servers = self.servers.take();
        for served in &servers {
            served.server.shutdown();
        }
        drop(servers);
        PoolOutcome::Abandoned
    }
}

fn error_of(die: Die) -> Error {
    let (failure, session, event) = (die.failure, die.session, die.event.to_string());
    ErrorKind::Died {
        failure,
        session,
        event,
    }
    .into()
}

/// What a new thread reports of itself, and waits for.
pub(super) struct Beginning {
    /// The kernel is there.
    pub(super) built: SyncSender<Result<KernelHandle, Error>>,
    /// All kernels of the pool are there.
    pub(super) going: Receiver<PoolHandle>,
    /// The setup is over.
    pub(super) ready: SyncSender<Result<(), Error>>,
}

/// The main function of a thread. `_ended` is dropped when it is over.
pub(super) fn work(
    index: usize,
    settings: Settings,
    failures: Arc<Failures>,
    beginning: Beginning,
    orders: mpsc::UnboundedReceiver<Order>,
) {
    let told = failures.clone();
    let run = AssertUnwindSafe(|| run(index, settings, failures, beginning, orders));
    if let Err(payload) = catch_unwind(run) {
        let failure = Failure::from_panic(payload);
        told.tell(PoolFailure {
            kernel: index,
            error: ErrorKind::Invalid(format!("the thread of kernel {index} {failure}")).into(),
            outcome: PoolOutcome::ThreadEnded,
        });
    }
}

fn run(
    index: usize,
    settings: Settings,
    failures: Arc<Failures>,
    beginning: Beginning,
    orders: mpsc::UnboundedReceiver<Order>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let operation = "building a runtime";
            // The caller that makes the pool waits for this.
            let _ = beginning.built.send(Err(ErrorKind::Io { operation, error }.into()));
            return;
        }
    };
    runtime.block_on(async {
        let builder = (settings.kernel)(Kernel::builder().on_failure(OnFailure::StopSession));
        let restarts = Intensity::new(settings.restarts, settings.period);
        let local = Rc::new(Local {
            kernel: builder.build(),
            index,
            settings,
            failures,
            servers: RefCell::default(),
            heard: RefCell::default(),
            restarts: RefCell::new(restarts),
            began: Instant::now(),
            first: RefCell::default(),
            lease: RefCell::default(),
            is_up: Cell::new(true),
        });
        // The hook must not keep its owner alive.
        let weak = Rc::downgrade(&local);
        local.kernel.on_unhandled_failure(move |die| {
            if let Some(local) = weak.upgrade() {
                local.heard.borrow_mut().push(die.clone());
            }
        });
        let _ = beginning.built.send(Ok(local.kernel.handle()));
        // Without it another thread could not be started, and there is no pool.
        let Ok(pool) = beginning.going.recv() else { return };
        local.kernel.resource::<Member>().joins(pool);
        let ready = local.set_up().await;
        let failed = ready.is_err();
        let _ = beginning.ready.send(ready);
        if !failed {
            serve(&local, orders).await;
        }
    });
}

/// Runs the kernel until it is idle, a failure has ended its run, or its supervisor wants it to end.
async fn serve_once(local: &Rc<Local>) {
    let served = {
        let mut serving = pin!(local.kernel.serve());
        let served = poll_fn(|cx| {
            let polled = serving.as_mut().poll(cx);
            if polled.is_pending() {
                local.tell_heard();
            }
            polled
        });
        first(poll_fn(|cx| local.poll_lease(cx)), served).await
    };
    // The run is dropped, because a shutdown drives the kernel itself.
    match served {
        First::Left(wish) => local.take_down(wish).await,
        First::Right(Ok(())) => {}
        First::Right(Err(error)) => local.run_failed(error).await,
    }
}

async fn serve(local: &Rc<Local>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let serving = async {
        loop {
            serve_once(local).await;
            tokio::task::yield_now().await;
        }
    };
    let mut running: Vec<Done> = Vec::new();
    let ordered = poll_fn(|cx| {
        loop {
            match orders.poll_recv(cx) {
                Poll::Ready(Some(Order::Run(order))) => running.push(order(local.clone())),
                Poll::Ready(Some(Order::Shutdown(limit, reply))) => return Poll::Ready(Some((limit, reply))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => break,
            }
        }
        running.retain_mut(|order| order.as_mut().poll(cx).is_pending());
        Poll::Pending
    });
    // Orders first, because serving never ends. Both are dropped here, because a kernel that is being served cannot be
    // shut down by another future.
    let last = match first(ordered, serving).await {
        First::Left(last) => last,
        First::Right(()) => None,
    };
    // Unfinished orders are given up, and their callers get an error.
    drop(running);
    if let Some((limit, reply)) = last {
        local.finish_kill().await;
        let report = local.kernel.shutdown(limit).await;
        local.end_lease();
        let unclean = (!report.is_clean()).then(|| report.to_string());
        // The caller may have given up.
        let _ = reply.send(unclean.or_else(|| local.first.take()));
    }
}
