//! Shutdown with a limit: listeners close, sessions are asked to end, and those that do not are stopped.

use super::{Core, Kernel, RunFuture, SessionHolds, WhyAlive};
use crate::arg::AnyArg;
use crate::bridge::clock::{Clock, Deadline};
use crate::bridge::runtime::Home;
use crate::error::Error;
use crate::resource::sessions::KERNEL;
use crate::resource::signals::KERNEL_SHUTDOWN;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use std::{fmt, io};
use tokio::runtime::{Builder, Handle, Runtime};

pub(super) struct Shutdown {
    due: u64,
    /// Those that had to be stopped, once the deadline has passed.
    stopped: Option<WhyAlive>,
}

/// The result of a [`Kernel::shutdown`].
///
/// ```
/// use poe::{KERNEL_SHUTDOWN, Session, Signal, event::START, testing};
/// use std::time::Duration;
/// # tokio_test::block_on(async { tokio::time::pause();
/// let kernel = testing::kernel();
/// Session::builder(())
///     .on(START, |cx, ()| {
///         cx.sig(KERNEL_SHUTDOWN, "shutting down");
///         cx.delay("work", Duration::from_secs(3600), ());
///     })
///     .on("shutting down", |cx, _: Signal| cx.sig_handled()) // and works on
///     .create(&kernel)?;
/// let report = kernel.shutdown(Duration::from_secs(5)).await;
/// assert!(!report.is_clean());
/// assert!(report.error.is_none());
/// assert_eq!(report.stopped[0].holds[0].name, "work"); // the timer, with the line that set it
/// println!("{report}"); // 1 session had to be stopped: …
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The sessions that were still alive at the limit and were stopped, with what kept them alive.
    pub stopped: Vec<SessionHolds>,
    /// The error with which the run ended. A `run` or `serve` that was under way returns it, too.
    pub error: Option<Error>,
    /// How long after its limit the shutdown ended; zero if it was in time. Late means that a handler blocked, or that
    /// the host did not poll the kernel.
    pub late: Duration,
}

impl ShutdownReport {
    /// Makes the report of a kernel with nothing to shut down.
    const CLEAN: Self = ShutdownReport {
        stopped: Vec::new(),
        error: None,
        late: Duration::ZERO,
    };

    /// Returns whether every session ended by itself in time.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.stopped.is_empty() && self.error.is_none() && self.late.is_zero()
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stopped.is_empty() {
            match self.late {
                Duration::ZERO => f.write_str("every session ended in time")?,
                late => write!(f, "every session ended, but {late:?} after the limit")?,
            }
        } else {
            let s = if self.stopped.len() == 1 { "" } else { "s" };
            writeln!(f, "{} session{s} had to be stopped:", self.stopped.len())?;
            for session in &self.stopped {
                writeln!(f, "{session}")?;
            }
            // The limit is when they are stopped, which takes its time.
            if self.late >= Duration::from_millis(1) {
                write!(f, "the shutdown ended {:?} after its limit", self.late)?;
            }
        }
        match &self.error {
            Some(error) => write!(f, "; the run ended with an error: {error}"),
            None => Ok(()),
        }
    }
}

impl Core {
    pub(crate) fn is_shutting_down(&self) -> bool {
        self.run.shutting_down.get()
    }

    /// When a shutdown runs out of patience; never, without one.
    pub(super) fn shutdown_due(&self) -> u64 {
        if !self.is_shutting_down() {
            return u64::MAX;
        }
        match &*self.run.shutdown.borrow() {
            Some(Shutdown { due, stopped: None }) => *due,
            _ => u64::MAX,
        }
    }

    fn begin_shutdown(&self, limit: Duration) {
        let due = Clock::after(self.clock.now(), limit);
        {
            let mut shutdown = self.run.shutdown.borrow_mut();
            if let Some(running) = &mut *shutdown {
                running.due = running.due.min(due);
                return;
            }
            *shutdown = Some(Shutdown { due, stopped: None });
            self.run.shutting_down.set(true);
        }
        for listener in self.tasks.listeners() {
            self.cancel_task(listener);
        }
        // One signal for each tree, so that a tree that handles it does not keep the others.
        let trees: Vec<u32> = self.sessions.borrow().children(KERNEL).collect();
        for tree in trees {
            self.kernel_signal(tree, KERNEL_SHUTDOWN, AnyArg::UNIT);
        }
        self.shared.notify();
    }

    /// Stops the remaining sessions when the limit has passed.
    pub(super) fn check_shutdown(&self) {
        if self.clock.now_if_due(self.shutdown_due()).is_none() {
            return;
        }
        // Tasks that wait for a peer to close have done their work and are not reported.
        for task in self.tasks.lingerers() {
            self.cancel_task(task);
        }
        self.sweep();
        let alive = self.why_alive();
        if let Some(shutdown) = &mut *self.run.shutdown.borrow_mut() {
            shutdown.stopped = Some(alive);
        }
        self.stop_all();
    }

    /// The kernel is as new, and a run that is under way ends. Returns the sessions that had to be stopped.
    fn end_shutdown(&self) -> Option<WhyAlive> {
        self.run.shutting_down.set(false);
        if self.run.running.get() {
            self.run.over.set(true);
            self.shared.notify();
        }
        self.run.shutdown.borrow_mut().take()?.stopped
    }
}

impl Kernel {
    /// Shuts the kernel down in order, within a limit.
    ///
    /// Listeners close, each tree of sessions gets the signal [`KERNEL_SHUTDOWN`], and no new session can be created. A
    /// tree in which no session handles the signal stops at once. Posts still run, so that the others can finish;
    /// components write buffered output and close their connections. At the limit every remaining session is stopped.
    /// Every `_stop` runs.
    ///
    /// Call it alone or beside a `run` or `serve` that is under way: it drives the kernel itself, and that run ends
    /// with it. Afterwards the kernel is like a new one. If the shutdown is dropped before its end, the run shuts the
    /// kernel down; the report is kept for the next shutdown, and until then no session can be created.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// use std::time::Duration;
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(()).on(START, |cx, ()| cx.alias_set("daemon")).create(&kernel)?;
    /// let report = kernel.shutdown(Duration::from_secs(5)).await;
    /// assert!(report.is_clean(), "{report}");
    /// assert!(kernel.why_alive().is_empty());
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "KERNEL_SHUTDOWN")]
    #[doc(alias = "graceful shutdown")]
    #[doc(alias = "drain")]
    #[doc(alias = "stop")]
    #[doc(alias = "cancel")]
    #[doc(alias = "CancellationToken")]
    pub async fn shutdown(&self, limit: Duration) -> ShutdownReport {
        let core = self.core();
        core.begin_shutdown(limit);
        let due = Clock::after(core.clock.now(), limit);
        let idle = self.session_count() == 0;
        let mut error = None;
        while core.is_shutting_down() && self.session_count() > 0 {
            let ended = if core.run.running.get() || core.busy.get() {
                self.drive_for_run().await
            } else {
                self.run().await
            };
            if let Err(e) = ended {
                error = Some(e);
            }
        }
        // Unless another shutdown has finished this one's work.
        let stopped = core.is_shutting_down().then(|| core.end_shutdown()).flatten();
        let late = match idle {
            true => Duration::ZERO,
            false => Clock::until(due, core.clock.now()),
        };
        core.end_inbox(error.is_some());
        ShutdownReport {
            stopped: stopped.map_or_else(Vec::new, |s| s.sessions),
            error,
            late,
        }
    }

    /// Serves until a future completes, then shuts down within a limit: the main loop of a service.
    ///
    /// The future is polled beside [`serve`](Self::serve) and may be anything:
    /// [`hosts::terminated`](crate::hosts::terminated) for a program that ends at `TERM` or Ctrl-C, a channel, a
    /// timeout. Its output is not used. It is dropped after the shutdown, so a second `TERM` does not cut the shutdown
    /// short. If `serve` ends first, nothing is left to shut down, and the report is clean.
    ///
    /// # Errors
    /// Those of [`serve`](Self::serve), as long as the future has not completed; afterwards the report contains them.
    ///
    /// ```
    /// use poe::{Kernel, component::TcpServer};
    /// use std::time::Duration;
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// TcpServer::builder("127.0.0.1:0").client_input(|cx, line| cx.client().put(line)).start(&kernel).await?;
    /// let end = tokio::time::sleep(Duration::from_millis(10)); // a service has `hosts::terminated()?`
    /// let report = kernel.serve_until(end, Duration::from_secs(5)).await?;
    /// assert!(report.is_clean(), "{report}");
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "graceful shutdown")]
    #[doc(alias = "ctrl_c")]
    #[doc(alias = "select")]
    pub async fn serve_until<F: Future>(&self, end: F, limit: Duration) -> Result<ShutdownReport, Error> {
        let mut end = std::pin::pin!(end);
        let mut serve = self.serve();
        let served = poll_fn(|cx| match end.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => Pin::new(&mut serve).poll(cx).map(Some),
        });
        let served = served.await;
        drop(serve);
        match served {
            Some(result) => result.map(|()| ShutdownReport::CLEAN),
            None => Ok(self.shutdown(limit).await),
        }
    }
}

// The Tokio runtime that polls a kernel, and a private one for programs without a runtime.
#[derive(Default)]
pub(super) struct Runtimes {
    /// The runtime that polled the kernel last.
    home: Cell<Home>,
    /// Counts the changes of it: what a task registered before the last one must be registered anew.
    epoch: Cell<u32>,
    /// Made when it is first needed, for `run_blocking` and for handlers that run before it.
    own: RefCell<Option<Rc<Runtime>>>,
}

impl Core {
    /// The kernel's own runtime.
    ///
    /// # Errors
    /// The system's, when it refuses one.
    pub(super) fn own_runtime(&self) -> io::Result<Rc<Runtime>> {
        if let Some(runtime) = &*self.runtimes.own.borrow() {
            return Ok(runtime.clone());
        }
        let runtime = Rc::new(Builder::new_current_thread().enable_all().build()?);
        self.runtimes.own.replace(Some(runtime.clone()));
        Ok(runtime)
    }

    /// The runtime to be entered for handlers that run outside of any, so that they can make wheels and servers; `run_blocking`
    /// drives it later, and if another runtime runs the kernel, what was registered moves there.
    #[inline]
    pub(super) fn runtime_outside(&self) -> Option<Rc<Runtime>> {
        match Handle::try_current() {
            Ok(_) => None,
            // The virtual clock is that of the runtime that the kernel was made in.
            Err(_) if self.is_virtual() => None,
            Err(_) => self.own_runtime().ok(),
        }
    }

    /// At the beginning of each poll: in another runtime than before every task is polled and registers its parts there.
    #[inline]
    pub(super) fn follow_runtime(&self) {
        let before = self.runtimes.home.get();
        let mut home = before;
        if home.has_moved() {
            self.runtimes.home.set(home);
            if before != Home::default() {
                self.runtime_changed();
            }
        }
    }

    #[cold]
    fn runtime_changed(&self) {
        Home::there_are_several();
        self.runtimes.epoch.set(self.runtimes.epoch.get() + 1);
        tracing::debug!(target: "poe::sessions", "another Tokio runtime runs the kernel now");
        self.tasks.wake_all();
    }

    /// How often the runtime has changed.
    #[inline]
    pub(crate) fn runtime_epoch(&self) -> u32 {
        self.runtimes.epoch.get()
    }

    /// Lets go of the kernel's own runtime without waiting for it: we may be inside of another one.
    pub(super) fn drop_own_runtime(&self) {
        let own = self.runtimes.own.take();
        if let Some(runtime) = own.and_then(Rc::into_inner) {
            runtime.shutdown_background();
        }
    }
}

// Runs that end after a while.
impl Kernel {
    /// Runs like [`run`](Self::run), but returns after that time at the latest; true if the run has ended by itself.
    ///
    /// Nothing is lost: sessions that are left go on in the next run. The time is the kernel's, so it follows virtual time.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// ```
    /// use poe::{Session, event::START, testing};
    /// use std::time::Duration;
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// let kernel = testing::kernel();
    /// Session::builder(())
    ///     .on(START, |cx, ()| cx.delay("end", Duration::from_secs(60), ()))
    ///     .on("end", |_, ()| println!("a minute is over"))
    ///     .create(&kernel)?;
    /// assert!(!kernel.run_for(Duration::from_secs(59)).await?);
    /// assert!(kernel.run_for(Duration::from_secs(59)).await?); // returns after a second
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    pub async fn run_for(&self, time: Duration) -> Result<bool, Error> {
        self.at_most(time, self.run()).await
    }

    /// Serves like [`serve`](Self::serve), but returns after that time at the latest; true if the serving has ended by itself.
    ///
    /// Nothing is shut down: see [`serve_until`](Self::serve_until) for that.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub async fn serve_for(&self, time: Duration) -> Result<bool, Error> {
        self.at_most(time, self.serve()).await
    }

    async fn at_most(&self, time: Duration, mut running: RunFuture<'_>) -> Result<bool, Error> {
        let clock = &self.core().clock;
        let due = Clock::after(clock.now(), time);
        let mut timer = Deadline::default();
        poll_fn(|cx| match Pin::new(&mut running).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(ended.map(|()| true)),
            Poll::Pending => timer.poll(clock, due, 0, cx).map(|()| Ok(false)),
        })
        .await
    }
}
