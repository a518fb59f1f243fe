//! `run`, `serve`, and the ways to run step by step.

use super::super::task::{Purpose, Task};
use super::super::{Core, Kernel};
use super::{DriverLock, Mode, Role, Running};
use crate::debug::debug_fields;
use crate::error::{Error, ErrorKind};
use crate::id::TaskId;
use crate::name::Name;
use crate::resource::HoldKind;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use tokio::task::LocalSet;
use tokio::task::coop::{has_budget_remaining, poll_proceed};

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

// Polls the futures and streams of sessions on a cooperative budget, whatever the host is.
//
// Tokio's I/O, channels and timers sometimes return `Pending` although they are ready, so that a task that always has
// work lets others run. They count on the budget of the task that polls them. If Tokio polls the kernel, the host's
// task has a budget. Other executors set none, and there a single `tokio::io::copy` would never return; so each poll
// is made by a task of a `LocalSet`, which has a budget.
/// Tokio's budgets are smaller than this.
const MORE_THAN_A_BUDGET: u32 = 256;

/// Ticks of the `LocalSet` until the kernel's own task in it must have been polled.
const TICKS: usize = 1024;

/// Whether a budget is counted here. Takes it to its end and gives it back.
fn is_budgeted(cx: &mut Context<'_>, left: u32) -> bool {
    if !has_budget_remaining() {
        return true;
    }
    if left == 0 {
        return false;
    }
    // Dropped in the reverse order, these restore the budget as it was.
    let _restored = poll_proceed(cx);
    is_budgeted(cx, left - 1)
}

/// What is known of the host's budget in one poll.
#[derive(Clone, Copy)]
pub(super) enum Budget {
    Unknown,
    /// The host counts one.
    Host,
    /// The host counts none, or has used it up before it polled the kernel.
    Own,
}

impl Core {
    /// Polls a task of a session's own code. False if the host's budget is used up: the task waits for the next poll.
    pub(super) fn poll_guest(&self, key: u64, budget: &mut Budget, cx: &mut Context<'_>) -> bool {
        if let Budget::Unknown = budget {
            let counted = has_budget_remaining() && is_budgeted(cx, MORE_THAN_A_BUDGET);
            *budget = if counted { Budget::Host } else { Budget::Own };
        }
        match budget {
            Budget::Host if !has_budget_remaining() => return false,
            Budget::Host => self.poll_task(key),
            Budget::Own | Budget::Unknown => self.poll_in_local_set(key),
        }
        self.run.pace.step_and_look(self);
        true
    }

    fn poll_in_local_set(&self, key: u64) {
        let guests = self.run.guests.take();
        let guests = guests.or_else(|| Guests::new(self));
        let Some(mut guests) = guests else {
            self.poll_task(key);
            return;
        };
        guests.desk.key.set(Some(key));
        if let Some(waker) = guests.desk.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
        let waker = self.tasks.waker(guests.task);
        let mut cx = Context::from_waker(waker.as_ref().unwrap_or(Waker::noop()));
        for _ in 0..TICKS {
            let _never = Pin::new(&mut guests.local).poll(&mut cx);
            if guests.desk.key.get().is_none() {
                break;
            }
        }
        if let Some(key) = guests.desk.key.take() {
            self.poll_task(key);
        }
        *self.run.guests.borrow_mut() = Some(guests);
    }
}

/// The `LocalSet`, with the one task in it that polls the kernel's.
pub(super) struct Guests {
    local: LocalSet,
    desk: Rc<Desk>,
    /// Polls the `LocalSet` for what the program's futures have spawned on it.
    task: TaskId,
}

/// Where the task in the `LocalSet` finds what to poll.
#[derive(Default)]
struct Desk {
    key: Cell<Option<u64>>,
    waker: RefCell<Option<Waker>>,
}

impl Guests {
    fn new(core: &Core) -> Option<Self> {
        let purpose = Purpose {
            owner: core.id(),
            kind: HoldKind::Task,
            what: Name::from_static("LocalSet"),
            place: Location::caller(),
            listener: false,
        };
        let task = core.start_task(purpose, Box::new(LocalTask))?;
        let (local, desk) = (LocalSet::new(), Rc::<Desk>::default());
        local.spawn_local(serve(core.weak(), desk.clone()));
        Some(Guests { local, desk, task })
    }
}

async fn serve(core: Weak<Core>, desk: Rc<Desk>) {
    poll_fn(|cx| {
        if !desk.waker.borrow().as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *desk.waker.borrow_mut() = Some(cx.waker().clone());
        }
        if let (Some(key), Some(core)) = (desk.key.take(), core.upgrade()) {
            core.poll_task(key);
        }
        Poll::<()>::Pending
    })
    .await;
}

/// A task of the kernel's, woken for the `LocalSet`.
struct LocalTask;

impl Task for LocalTask {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(mut guests) = core.run.guests.take() {
            let _never = Pin::new(&mut guests.local).poll(cx);
            *core.run.guests.borrow_mut() = Some(guests);
        }
        Poll::Pending
    }
}
