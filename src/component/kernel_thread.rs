//! A kernel on a separate thread, for a service that runs elsewhere.
//!
//! The thread has a current-thread runtime. It sets up and serves its kernel, and listens for one order: to shut down.

use super::backoff::{First, caught, first};
use crate::error::{Error, ErrorKind, Failure, OnFailure};
use crate::kernel::{Kernel, KernelBuilder, KernelHandle};
use std::fmt;
use std::time::Duration;
use tokio::sync::oneshot;

/// A kernel's thread: see [`KernelBuilder::spawn_thread`]. Dropping it lets the thread go on by itself.
#[must_use = "its end, and the error of its run, are told by `join` and `shutdown`"]
#[doc(alias = "JoinHandle")]
pub struct KernelThread {
    name: String,
    orders: oneshot::Sender<Duration>,
    ended: oneshot::Receiver<Result<(), Error>>,
    thread: std::thread::JoinHandle<()>,
}

impl KernelThread {
    /// Shuts the kernel down within a limit, as [`Kernel::shutdown`] does, and waits for the end of the thread.
    ///
    /// # Errors
    /// The error that ended the run; or sessions had to be stopped at the limit, and the text lists them with what kept
    /// them alive.
    #[doc(alias = "graceful shutdown")]
    pub async fn shutdown(self, limit: Duration) -> Result<(), Error> {
        // A thread that has ended takes no order; `join` says how it ended.
        let _ = self.orders.send(limit);
        end(&self.name, self.ended, self.thread).await
    }

    /// Waits for the end of the thread.
    ///
    /// It ends when [`Kernel::serve`] does: after `stop_all` or a terminal signal to the kernel, or when the last handle is dropped and
    /// no session is left.
    ///
    /// # Errors
    /// The error that ended the run.
    pub async fn join(self) -> Result<(), Error> {
        let order = self.orders;
        let ended = end(&self.name, self.ended, self.thread).await;
        drop(order);
        ended
    }

    /// Whether the thread has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

async fn end(
    name: &str,
    ended: oneshot::Receiver<Result<(), Error>>,
    thread: std::thread::JoinHandle<()>,
) -> Result<(), Error> {
    let result = match ended.await {
        Ok(result) => result,
        Err(_) => Err(ErrorKind::Invalid(format!("the thread of the kernel `{name}` panicked")).into()),
    };
    // That was its last deed, so this does not block.
    let _ = thread.join();
    result
}

impl fmt::Debug for KernelThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelThread")
            .field("name", &self.name)
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// How the thread tells that its setup is over.
type Ready = Box<dyn FnOnce(Result<KernelHandle, Error>) + Send>;

impl KernelBuilder {
    /// Runs a kernel on a new thread, and waits for its setup.
    ///
    /// The thread has a current-thread Tokio runtime, and the kernel serves there until it is
    /// [shut down](KernelThread::shutdown). `setup` runs on it too, beside the kernel: sessions, `States` and servers are made inside. The
    /// thread and, unless it has a [name](Self::name), the kernel are called `name`. A failing session stops itself only
    /// ([`OnFailure::StopSession`]), unless the builder [says otherwise](Self::on_failure).
    ///
    /// This blocks the caller until the setup is over; [`spawn_thread_async`](Self::spawn_thread_async) awaits it.
    ///
    /// # Errors
    /// The error or panic of the setup; the system has no thread, or no descriptors for its runtime. Nothing runs then.
    ///
    /// ```
    /// use poe::{Event, Kernel, Reply, Session, event::START};
    /// use std::time::Duration;
    /// const ADD: Event<u64, u64> = Event::new("add");
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let (counter, thread) = Kernel::builder().spawn_thread("counter", async |kernel| {
    ///     Session::builder(0)
    ///         .on(START, |cx, ()| cx.alias_set("counter"))
    ///         .on(ADD, |cx, n| {
    ///             *cx.heap += n;
    ///             Reply(*cx.heap)
    ///         })
    ///         .create(kernel)?;
    ///     Ok(())
    /// })?;
    /// counter.post("counter", ADD, 40)?; // never blocks
    /// assert_eq!(counter.call("counter", ADD, 2).await?, 42);
    /// thread.shutdown(Duration::from_secs(5)).await
    /// # }
    /// ```
    #[doc(alias = "LocalSet")]
    pub fn spawn_thread<F>(self, name: &str, setup: F) -> Result<(KernelHandle, KernelThread), Error>
    where
        F: AsyncFnOnce(&Kernel) -> Result<(), Error> + Send + 'static,
    {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let ready = Box::new(move |ready| drop(sender.send(ready)));
        let thread = self.launch(name, setup, ready)?;
        let ready = receiver.recv().unwrap_or_else(|_| Err(lost(name)));
        Ok((ready?, thread))
    }

    /// Runs a kernel on a new thread as [`spawn_thread`](Self::spawn_thread) does, and awaits its setup.
    ///
    /// # Errors
    /// As [`spawn_thread`](Self::spawn_thread).
    pub async fn spawn_thread_async<F>(self, name: &str, setup: F) -> Result<(KernelHandle, KernelThread), Error>
    where
        F: AsyncFnOnce(&Kernel) -> Result<(), Error> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let ready = Box::new(move |ready| drop(sender.send(ready)));
        let thread = self.launch(name, setup, ready)?;
        let ready = receiver.await.unwrap_or_else(|_| Err(lost(name)));
        Ok((ready?, thread))
    }

    fn launch<F>(mut self, name: &str, setup: F, ready: Ready) -> Result<KernelThread, Error>
    where
        F: AsyncFnOnce(&Kernel) -> Result<(), Error> + Send + 'static,
    {
        self.config.name.get_or_insert_with(|| name.to_owned());
        self.config.on_failure.get_or_insert(OnFailure::StopSession);
        let (orders, ordered) = oneshot::channel();
        let (sender, ended) = oneshot::channel();
        let work = Work {
            builder: self,
            name: name.to_owned(),
            setup,
            ready,
            ordered,
        };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                drop(sender.send(work.run()));
            })
            .map_err(|error| ErrorKind::IoOf {
                what: format!("cannot start the thread of the kernel `{name}`"),
                error,
                cure: "",
            })?;
        Ok(KernelThread {
            name: name.to_owned(),
            orders,
            ended,
            thread,
        })
    }
}

#[cold]
fn lost(name: &str) -> Error {
    ErrorKind::Invalid(format!("the thread of the kernel `{name}` ended during its setup")).into()
}

/// What the thread does.
struct Work<F> {
    builder: KernelBuilder,
    name: String,
    setup: F,
    ready: Ready,
    ordered: oneshot::Receiver<Duration>,
}

impl<F> Work<F>
where
    F: AsyncFnOnce(&Kernel) -> Result<(), Error>,
{
    fn run(self) -> Result<(), Error> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all();
        #[cfg(feature = "testing")]
        runtime.start_paused(self.builder.config.virtual_time);
        let runtime = match runtime.build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let operation = "building a runtime";
                (self.ready)(Err(ErrorKind::Io { operation, error }.into()));
                return Ok(());
            }
        };
        let result = runtime.block_on(self.serve());
        // Blocking work of Tokio's that somebody has left behind keeps nobody.
        runtime.shutdown_background();
        result
    }

    async fn serve(self) -> Result<(), Error> {
        let Work {
            builder,
            name,
            setup,
            ready,
            ordered,
        } = self;
        let kernel = builder.build();
        let handle = kernel.handle();
        let mut serving = kernel.serve();
        // The kernel runs beside its setup, which may wait for its sessions.
        let set_up = match first(caught(setup(&kernel)), &mut serving).await {
            First::Left(Ok(done)) => done,
            First::Left(Err(payload)) => {
                let failure = Failure::from_panic(payload);
                Err(ErrorKind::Invalid(format!("the setup of the kernel `{name}` {failure}")).into())
            }
            First::Right(ended) => ended.and_then(|()| {
                let why = format!("the run of the kernel `{name}` ended during its setup");
                Err(ErrorKind::Invalid(why).into())
            }),
        };
        if let Err(error) = set_up {
            ready(Err(error));
            return Ok(());
        }
        ready(Ok(handle));
        let order = async {
            match ordered.await {
                Ok(limit) => limit,
                // The owner is gone, and the thread goes on by itself.
                Err(_) => std::future::pending().await,
            }
        };
        let limit = match first(order, &mut serving).await {
            First::Left(limit) => limit,
            First::Right(ended) => return ended,
        };
        drop(serving);
        let report = kernel.shutdown(limit).await;
        match report {
            report if report.is_clean() => Ok(()),
            crate::kernel::ShutdownReport { error: Some(error), .. } => Err(error),
            report => Err(ErrorKind::Invalid(format!("the kernel `{name}` did not end by itself: {report}")).into()),
        }
    }
}
