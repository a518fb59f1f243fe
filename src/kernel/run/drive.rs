//! `run`, `serve`, and the ways to run step by step.

use super::driver_lock::DriverLock;
use super::running::Running;
use super::{Mode, Role};
use crate::debug::debug_fields;
use crate::error::{Error, ErrorKind};
use crate::kernel::{Core, Kernel};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A running kernel: the future of [`Kernel::run`] and [`Kernel::serve`]. It stays on its thread.
///
/// It is boxed, once per run, so that the compiler names this type when it is sent to another thread by mistake, and not every
/// cell inside the kernel.
///
/// ```
/// # tokio_test::block_on(async {
/// let kernel = poe::Kernel::new();
/// let running: poe::hosts::RunFuture<'_> = kernel.run();
/// running.await
/// # }).unwrap();
/// ```
#[must_use = "a kernel runs only while this is awaited"]
pub struct RunFuture<'k>(Pin<Box<dyn Future<Output = Result<(), Error>> + 'k>>);

impl<'k> RunFuture<'k> {
    fn of(future: impl Future<Output = Result<(), Error>> + 'k) -> Self {
        RunFuture(Box::pin(future))
    }
}

impl Future for RunFuture<'_> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

debug_fields!([] RunFuture<'_>, "RunFuture", |_this| { .. });

impl Kernel {
    /// Runs until nothing can happen any more.
    ///
    /// When no event waits, and nothing is watched, spawned or held by a reference count, the signal IDLE (and, if
    /// handlers of it start nothing, ZOMBIE) stops the remaining sessions, as in POE. Without sessions it returns at
    /// once. It may be called again, with new sessions.
    ///
    /// The sessions and their work belong to the kernel, not to this future: dropping it (in a `select!`, by a timeout)
    /// loses nothing, and a later `run` continues. It is `!Send`: await it on a current-thread runtime, in a
    /// `LocalSet`, or on a separate thread. The runtime needs its time and I/O drivers (`enable_all`).
    ///
    /// # Errors
    /// The failure of a handler whose `DIE` no session handled, after every session has run its `_stop`; or that the
    /// kernel is running already.
    ///
    /// # Panics
    /// Outside a Tokio runtime, as soon as there is a timer to wait for; in a runtime without its time and I/O drivers.
    pub fn run(&self) -> RunFuture<'_> {
        RunFuture::of(async {
            let core = self.core();
            // What has come for nobody is looked at in any case.
            let nothing = !core.run.is_paused() && !core.shared.wants_attention();
            if core.sessions.borrow().count() == 0 && nothing && !core.busy.get() {
                return core.end_without_sessions();
            }
            self.drive(Mode::Run).await
        })
    }

    /// Runs like [`run`](Self::run), but does not end when nothing happens: for a kernel inside a service, which waits
    /// for messages of its [`KernelHandle`](crate::KernelHandle)s.
    ///
    /// It ends at [`stop_all`](Self::stop_all) or [`shutdown`](Self::shutdown), after a terminal signal to the kernel
    /// that no session handles, or when the last handle is dropped and no session is left.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// ```
    /// use poe::{Event, Kernel, Reply, Session, event::START};
    /// const DOUBLE: Event<u32, u32> = Event::new("double");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| cx.alias_set("doubler"))
    ///     .on(DOUBLE, |_, n| Reply(2 * n))
    ///     .create(&kernel)?;
    /// let handle = kernel.handle();
    /// let client = tokio::spawn(async move {
    ///     let answer = handle.call("doubler", DOUBLE, 21).await;
    ///     handle.signal(handle.kernel_id(), "TERM", ()).unwrap(); // that is enough
    ///     answer
    /// });
    /// kernel.serve().await?;
    /// assert_eq!(client.await.unwrap().unwrap(), 42);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "block_on")]
    #[doc(alias = "run_forever")]
    pub fn serve(&self) -> RunFuture<'_> {
        RunFuture::of(self.drive(Mode::Serve))
    }

    /// Runs one slice: waits until something is due or ready, dispatches it, and sweeps. False when no session is left.
    ///
    /// It does not start the escalation from IDLE to ZOMBIE (law L43).
    ///
    /// # Errors
    /// As [`run`](Self::run); inside a handler, that the kernel is running.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START};
    /// const COUNT: Event<u32> = Event::new("count");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| cx.yield_to(COUNT, 3))
    ///     .on(COUNT, |cx, n| if n > 1 { cx.yield_to(COUNT, n - 1) })
    ///     .create(&kernel)?;
    /// let mut slices = 0;
    /// while kernel.run_one_timeslice().await? {
    ///     slices += 1; // the program does its own work here
    /// }
    /// assert_eq!(slices, 3); // what a handler posts belongs to the next slice
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    pub async fn run_one_timeslice(&self) -> Result<bool, Error> {
        if self.session_count() == 0 && !self.core().busy.get() {
            return self.core().end_without_sessions().map(|()| false);
        }
        self.drive(Mode::Slice).await?;
        Ok(true)
    }

    /// Runs slices while the flag is set and sessions are left; the flag is read before each.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// ```
    /// use poe::{Kernel, Session, event::{START, STOP}};
    /// use std::{cell::Cell, rc::Rc};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let busy = Rc::new(Cell::new(true));
    /// let flag = busy.clone();
    /// Session::builder(0)
    ///     .on(START, |cx, ()| cx.yield_to("work", ()))
    ///     .on("work", move |cx, ()| {
    ///         *cx.heap += 1;
    ///         flag.set(*cx.heap < 3);
    ///         cx.yield_to("work", ()); // the session alone would go on for ever
    ///     })
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, 3))
    ///     .create(&kernel)?;
    /// kernel.run_while(&busy).await?;
    /// assert_eq!(kernel.session_count(), 1); // it waits, and a later run would continue
    /// kernel.stop_all()?;
    /// kernel.run().await // reports a failed `_stop`
    /// # }).unwrap();
    /// ```
    pub async fn run_while(&self, flag: &Cell<bool>) -> Result<(), Error> {
        while flag.get() && self.session_count() > 0 {
            self.run_one_timeslice().await?;
        }
        Ok(())
    }

    /// Runs like [`run`](Self::run) in a program without a Tokio runtime, on a current-thread runtime that the kernel
    /// keeps.
    ///
    /// Sessions that were created before, outside any runtime, are created inside that one: their `_start` may make
    /// wheels and servers. It may be called again, and continues where the last call stopped.
    ///
    /// # Errors
    /// As [`run`](Self::run), and the system's, when the runtime cannot be made.
    ///
    /// # Panics
    /// Inside a Tokio runtime, which must not be blocked.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// let kernel = Kernel::new();
    /// Session::builder(()).on(START, |_, ()| println!("hello")).create(&kernel).unwrap();
    /// kernel.run_blocking().unwrap();
    /// ```
    pub fn run_blocking(&self) -> Result<(), Error> {
        let runtime = self.core().own_runtime().map_err(|error| ErrorKind::Io {
            operation: "building a runtime",
            error,
        })?;
        runtime.block_on(self.run())
    }

    async fn drive(&self, mode: Mode) -> Result<(), Error> {
        let core = self.core();
        let running = Running::enter(core, mode)?;
        let part = || match core.run.driver.get() {
            0 => Role::Drive,
            _ => Role::Wait,
        };
        core.slices(mode, part).await;
        let error = core.take_error();
        if mode != Mode::Slice || error.is_some() {
            core.end_inbox(error.is_some());
        }
        drop(running);
        core.wake_waiting();
        error.map_or(Ok(()), Err)
    }

    /// Drives the kernel to its end in the place of a run that is under way, which then ends as well.
    pub(crate) async fn drive_for_run(&self) -> Result<(), Error> {
        let core = self.core();
        let mut lock = DriverLock { core, epoch: 0 };
        core.slices(Mode::Run, || lock.take()).await;
        let error = match (core.is_shutting_down(), core.run.running.get()) {
            (false, _) => None,
            (true, false) => core.take_error(),
            (true, true) => core.die.tell_error(),
        };
        drop(lock);
        error.map_or(Ok(()), Err)
    }
}

impl Core {
    /// The end of a run that finds no session: nothing queued is left for a later one.
    fn end_without_sessions(&self) -> Result<(), Error> {
        self.discard_queue();
        self.take_error().map_or(Ok(()), Err)
    }
}
