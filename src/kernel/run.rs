//! Running. One turn of the loop, a *slice*, is:
//!
//! 1. Messages from other threads are taken in, and tasks that were woken are polled: I/O events run their handlers
//!    now, ahead of the queue. A sweep follows.
//! 2. If nothing is queued, watched, held or spawned, the signal IDLE is queued (laws L40 to L44).
//! 3. If nothing is due, the future arms the wake-up for the first timer and waits.
//! 4. What is due now is the slice's *generation*: its events are dispatched in order. What they post belongs to the
//!    next one; a timer that they set in the past still runs in this one, first (law L6).
//! 5. A sweep stops the sessions that nothing keeps alive (laws L28, L29).
//!
//! After `budget` events or about 100 µs the future gives way to its host, and goes on in the same generation.

use super::{Core, Kernel};
use crate::arg::AnyArg;
use crate::error::{Error, ErrorKind};
use crate::queue::lanes::{Generation, Next};
use crate::resource::sessions::KERNEL;
use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Until nothing can happen any more.
    Run,
    /// Until it is stopped.
    Serve,
    /// One slice.
    Slice,
}

enum Step {
    /// The host's turn; there is more to do.
    GiveWay,
    /// The mode's end.
    Done,
}

/// What one of several futures that could drive the kernel does in a poll.
enum Part {
    Drive,
    Wait,
    Leave,
}

impl Core {
    /// Slices until the mode's end, in those polls that `part` says are ours.
    async fn slices(&self, mode: Mode, mut part: impl FnMut() -> Part) {
        // The kernel has a budget of its own; Tokio's would cut a turn into pieces of 128 and starve the I/O in them.
        tokio::task::unconstrained(async {
            loop {
                let step = poll_fn(|cx| match part() {
                    Part::Drive => self.poll_run(mode, cx),
                    Part::Wait => {
                        let mut waiting = self.run.waiting.borrow_mut();
                        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                            waiting.push(cx.waker().clone());
                        }
                        Poll::Pending
                    }
                    Part::Leave => Poll::Ready(Step::Done),
                });
                match step.await {
                    // Not by waking ourselves: that would be sixty polls ahead of the I/O driver.
                    Step::GiveWay => give_way().await,
                    Step::Done => break,
                }
            }
        })
        .await;
    }

    /// Wakes those who wait for the end of a run, or for the seat of its driver.
    fn wake_waiting(&self) {
        for waker in self.run.waiting.take() {
            waker.wake();
        }
    }

    /// As many slices as the budget allows.
    fn poll_run(&self, mode: Mode, cx: &mut Context<'_>) -> Poll<Step> {
        self.shared.register(cx.waker());
        self.refresh_watching();
        let _polling = Polling::enter(self);
        self.clock.glance();
        let mut pace = Pace::new(self);
        loop {
            let mut generation = match self.run.unfinished.take() {
                Some(generation) => generation,
                None => {
                    let ready = self.io_phase();
                    if self.is_over(mode) {
                        return Poll::Ready(Step::Done);
                    }
                    let now = match self.due_now() {
                        Some(now) => {
                            self.run.host_asked.set(false);
                            now
                        }
                        // Ready descriptors are all that this slice had to offer.
                        None if ready && mode == Mode::Slice => return Poll::Ready(Step::Done),
                        None => {
                            if self.is_idle(mode) {
                                if self.must_ask_host() {
                                    return Poll::Ready(Step::GiveWay);
                                }
                                self.kernel_signal(KERNEL, "IDLE", AnyArg::UNIT);
                                0
                            } else {
                                match self.wait(cx) {
                                    // A descriptor that stays ready must not shut out its host.
                                    Poll::Ready(()) if self.has_ready_files() => return Poll::Ready(Step::GiveWay),
                                    Poll::Ready(()) => continue,
                                    Poll::Pending => return Poll::Pending,
                                }
                            }
                        }
                    };
                    self.queue.borrow().generation(now)
                }
            };
            if !self.run_generations(&mut generation, &mut pace, mode) {
                self.run.unfinished.set(Some(generation));
                return Poll::Ready(Step::GiveWay);
            }
            self.sweep();
            if self.config.assert_data {
                self.assert_data();
            }
            if mode == Mode::Slice {
                return Poll::Ready(Step::Done);
            }
        }
    }

    /// Dispatches what is left of a generation, and of those that follow while nothing else wants to be done. False when
    /// the pace is spent before the end.
    #[inline(never)]
    fn run_generations(&self, generation: &mut Generation, pace: &mut Pace, mode: Mode) -> bool {
        while !pace.is_spent() {
            let mut queue = self.queue.borrow_mut();
            let mut next = queue.next(*generation);
            if next == Next::Nothing {
                drop(queue);
                match self.next_generation(mode) {
                    Some(next) => *generation = next,
                    None => return true,
                }
                queue = self.queue.borrow_mut();
                next = queue.next(*generation);
            }
            match next {
                Next::Post => {
                    let Some(entry) = queue.pop_post() else { return true };
                    drop(queue);
                    self.dispatch_post(entry);
                }
                Next::Timer => {
                    let Some((entry, fired)) = queue.pop_timer() else {
                        return true;
                    };
                    drop(queue);
                    self.dispatch_timer(entry, &fired);
                }
                Next::Nothing => continue,
            }
            if self.tasks.has_intake() {
                self.poll_intake();
            }
            pace.step(self);
        }
        false
    }

    /// The next slice's generation, where nothing but its queue phase has anything to do: the short way round for
    /// sessions that keep the queue busy.
    #[inline]
    fn next_generation(&self, mode: Mode) -> Option<Generation> {
        if mode == Mode::Slice
            || self.shared.wants_attention()
            || self.tasks.has_intake()
            || self.has_ready_files()
            || self.run.over.get()
            || self.is_shutting_down()
            || self.sessions.borrow_mut().settle_marks()
        {
            return None;
        }
        let queue = self.queue.borrow();
        if !queue.has_posts() {
            return None;
        }
        // The posts of the generation that has just ended have looked at the clock, if a timer was pending.
        let now = self.clock.reached_as_seen(queue.next_due());
        // A timer that this generation's handlers set in the past belongs to it, so its time is never "none".
        let now = now.unwrap_or_else(|| self.clock.passed());
        Some(queue.generation(now))
    }

    /// True if it had a descriptor's handler run.
    #[inline]
    fn io_phase(&self) -> bool {
        if self.shared.wants_attention() && self.shared.attend() {
            self.drain_inbox();
            self.poll_tasks();
            self.after_io();
        } else if self.tasks.has_intake() {
            self.poll_intake();
            self.after_io();
        }
        let ready = self.has_ready_files() && self.dispatch_files();
        if self.is_shutting_down() {
            self.check_shutdown();
        }
        ready
    }

    #[cfg(not(unix))]
    fn has_ready_files(&self) -> bool {
        false
    }

    #[cfg(not(unix))]
    fn dispatch_files(&self) -> bool {
        false
    }

    pub(super) fn after_io(&self) {
        if self.die.is_fatal() {
            self.stop_all();
        }
        self.sweep();
    }

    /// The time to which timers are due, if anything is due at all. With posts waiting and a timer far away, the clock is
    /// not read: a time that has passed will do for the timers that handlers are going to set in the past (law L6).
    #[inline]
    fn due_now(&self) -> Option<u64> {
        let queue = self.queue.borrow();
        let next = queue.next_due();
        if queue.has_posts() {
            let now = if next == u64::MAX {
                None
            } else {
                self.clock.reached(next)
            };
            return Some(now.unwrap_or_else(|| self.clock.passed()));
        }
        if next == u64::MAX {
            return None;
        }
        self.clock.reached(next)
    }

    #[inline]
    fn is_over(&self, mode: Mode) -> bool {
        if self.run.over.get() {
            return true;
        }
        let sessions = self.sessions.borrow().count();
        if sessions > 0 {
            return false;
        }
        match mode {
            Mode::Run | Mode::Slice => !self.queue.borrow().has_posts(),
            Mode::Serve => {
                self.run.stop_asked.get() || self.is_shutting_down() || self.inbox.is_abandoned() || self.die.is_fatal()
            }
        }
    }

    /// Whether nothing can happen any more by itself.
    fn is_idle(&self, mode: Mode) -> bool {
        if mode == Mode::Serve && !self.is_shutting_down() {
            return false;
        }
        self.queue.borrow().len() == 0
            && self.tasks.count() == 0
            && self.extrefs.borrow().session_count() == 0
            && self.outside.borrow().is_empty()
            && self.sessions.borrow().count() > 0
            && !self.awaits_children()
    }

    /// Whether the host is to have a turn before the kernel calls itself idle: a signal of the system may have come that
    /// only the host's I/O driver can tell of. Once for each time that it would be idle.
    fn must_ask_host(&self) -> bool {
        let ask = self.listens() && !self.run.host_asked.get();
        self.run.host_asked.set(ask);
        ask
    }

    /// Waits for the next timer or for a waker. Ready means: look again.
    fn wait(&self, cx: &mut Context<'_>) -> Poll<()> {
        // A timer that set itself while the clock moved on must not be slept on by an old reading: `poll` reads anew.
        let due = self.queue.borrow().next_due().min(self.shutdown_due());
        let polled = self
            .deadline
            .borrow_mut()
            .poll(&self.clock, due, self.config.timer_slack, cx);
        if polled.is_ready() || self.shared.wants_attention() || self.tasks.has_intake() || self.has_ready_files() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

/// While the future's poll is on the stack: nobody need wake it, and only contexts may run handlers.
struct Polling<'a>(&'a Core);

impl<'a> Polling<'a> {
    fn enter(core: &'a Core) -> Self {
        core.run.asleep.set(false);
        core.busy.set(true);
        Polling(core)
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.run.asleep.set(true);
        self.0.busy.set(false);
    }
}

/// How much longer this poll may go on: so many events, and so long.
struct Pace {
    left: u32,
    /// Events until the clock is looked at again.
    until_check: u32,
    checked: u32,
    began: u64,
    last: u64,
    limit: u64,
}

impl Pace {
    fn new(core: &Core) -> Self {
        let limit = core.config.slice_nanos;
        // The first look comes early, in case each handler takes long; then as seldom as their pace allows.
        Pace {
            left: core.config.budget,
            until_check: 2,
            checked: 2,
            began: 0,
            last: 0,
            limit,
        }
    }

    #[inline]
    fn is_spent(&self) -> bool {
        self.left == 0
    }

    #[inline]
    fn step(&mut self, core: &Core) {
        self.left -= 1;
        self.until_check -= 1;
        if self.until_check == 0 {
            self.check(core);
        }
    }

    #[cold]
    fn check(&mut self, core: &Core) {
        let now = core.clock.now();
        if self.began == 0 {
            (self.began, self.last) = (now, now);
        }
        let each = ((now - self.last) / u64::from(self.checked)).max(1);
        self.last = now;
        let room = self.limit.saturating_sub(now - self.began);
        if room == 0 {
            self.left = 0;
        }
        // Twice as far as last time, unless the time may run out before.
        self.checked = (room / each).clamp(1, u64::from(self.checked) * 2).min(128) as u32;
        self.until_check = self.checked;
    }
}

/// Marks a kernel as running for as long as the future lives.
struct Running<'a>(&'a Core);

impl<'a> Running<'a> {
    fn enter(core: &'a Core, idle_watch: bool) -> Result<Self, Error> {
        if core.busy.get() || core.run.running.replace(true) {
            return Err(ErrorKind::AlreadyRunning.into());
        }
        core.run.asleep.set(true);
        core.run.over.set(false);
        core.run.stop_asked.set(false);
        core.run.idle_watch.set(idle_watch);
        Ok(Running(core))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let run = &self.0.run;
        run.running.set(false);
        run.asleep.set(run.seat.get() != 0);
        run.idle_watch.set(false);
        // A failure that ended the run, and that the shutdown has told, is no matter of the next one.
        self.0.die.forget_told();
        self.0.wake_waiting();
    }
}

/// The place of a run's driver, taken by a shutdown. The run that is under way may be one that is kept and not polled any
/// more, and nobody can know that; so it waits, and ends when the shutdown has.
struct Seat<'a> {
    core: &'a Core,
    /// Zero before the seat was taken for the first time.
    ticket: u64,
}

impl Seat<'_> {
    /// Takes the seat if it is to be had. A newcomer gets it in any case: another shutdown may be one that is not polled
    /// any more, too.
    fn take(&mut self) -> Part {
        let run = &self.core.run;
        if !self.core.is_shutting_down() {
            // Another shutdown has done it.
            return Part::Leave;
        }
        if self.core.busy.get() {
            // We are polled inside the kernel itself, by a run that is well, and must go on.
            self.leave();
            return Part::Wait;
        }
        if self.ticket == 0 || run.seat.get() == 0 {
            self.ticket = run.tickets.get() + 1;
            run.tickets.set(self.ticket);
            run.seat.set(self.ticket);
            run.over.set(false);
        }
        if run.seat.get() == self.ticket {
            Part::Drive
        } else {
            Part::Wait
        }
    }

    fn leave(&self) {
        let run = &self.core.run;
        if self.ticket != 0 && run.seat.get() == self.ticket {
            run.seat.set(0);
            run.asleep.set(run.running.get());
            self.core.wake_waiting();
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A kernel that runs: the future of [`Kernel::run`] and [`Kernel::serve`]. It stays on its thread.
///
/// It is boxed, once a run, so that whoever sends it to another thread by mistake is told of this type, and not of every cell
/// inside the kernel.
///
/// ```
/// # tokio_test::block_on(async {
/// let kernel = poe::Kernel::new();
/// let running: poe::Run<'_> = kernel.run();
/// running.await
/// # }).unwrap();
/// ```
#[must_use = "a kernel runs only while this is awaited"]
pub struct Run<'k>(Pin<Box<dyn Future<Output = Result<(), Error>> + 'k>>);

impl<'k> Run<'k> {
    fn of(future: impl Future<Output = Result<(), Error>> + 'k) -> Self {
        Run(Box::pin(future))
    }
}

impl Future for Run<'_> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}

impl Kernel {
    /// Runs until nothing can happen any more, as POE does: when no event waits, nothing is watched, spawned or held by
    /// a reference count, the signal IDLE (and, if it is handled in vain, ZOMBIE) ends the sessions that are left.
    /// Without sessions it returns at once. It may be called again, with new sessions.
    ///
    /// The sessions and their work belong to the kernel, not to this future: dropping it (in a `select!`, by a timeout)
    /// loses nothing, and a later `run` goes on where it stopped. It is `!Send`: await it on a current-thread runtime,
    /// in a `LocalSet`, or on a thread of its own. The runtime needs its time and I/O drivers (`enable_all`).
    ///
    /// # Errors
    /// The failure of a handler whose `DIE` nobody handled, after every session had its `_stop`; or that the kernel is
    /// running already.
    ///
    /// # Panics
    /// Outside a Tokio runtime, as soon as there is a timer to wait for.
    pub fn run(&self) -> Run<'_> {
        Run::of(async {
            let core = self.core();
            if core.sessions.borrow().count() == 0 && core.run.unfinished.get().is_none() && !core.busy.get() {
                return core.die.take_error().map_or(Ok(()), Err);
            }
            self.drive(Mode::Run).await
        })
    }

    /// Runs like [`run`](Self::run), but stays up while nothing happens: for a kernel inside a service, which waits for
    /// messages by its [`KernelHandle`](super::KernelHandle). Ends by [`stop`](Self::stop) or
    /// [`shutdown`](Self::shutdown), by a terminal signal to the kernel that nobody handles, or when the last handle is
    /// dropped and no session is left.
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
    pub fn serve(&self) -> Run<'_> {
        Run::of(self.drive(Mode::Serve))
    }

    /// Runs one slice: waits until something is due or ready, dispatches that, and sweeps. False when no session is
    /// left. It does not arm the escalation from IDLE to ZOMBIE (law L43).
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
    ///     slices += 1; // here the program does what is its own
    /// }
    /// assert_eq!(slices, 3); // what a handler posts belongs to the next slice
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    pub async fn run_one_timeslice(&self) -> Result<bool, Error> {
        if self.session_count() == 0 && !self.core().busy.get() {
            return self.core().die.take_error().map_or(Ok(false), Err);
        }
        self.drive(Mode::Slice).await?;
        Ok(true)
    }

    /// Runs slices while the flag is set and sessions are left; the flag is looked at before each.
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
    ///         cx.yield_to("work", ()); // for ever, if it goes by the session
    ///     })
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, 3))
    ///     .create(&kernel)?;
    /// kernel.run_while(&busy).await?;
    /// assert_eq!(kernel.session_count(), 1); // it waits, and a later run would go on
    /// kernel.stop()?;
    /// kernel.run().await // tells what went wrong in a `_stop`
    /// # }).unwrap();
    /// ```
    pub async fn run_while(&self, flag: &Cell<bool>) -> Result<(), Error> {
        while flag.get() && self.session_count() > 0 {
            self.run_one_timeslice().await?;
        }
        Ok(())
    }

    /// [`run`](Self::run) for a program that has no runtime of its own: makes a current-thread one for as long as it lasts.
    ///
    /// # Errors
    /// As [`run`](Self::run), and the system's when it refuses the runtime.
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
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| ErrorKind::Io {
                operation: "building a runtime",
                error,
            })?;
        runtime.block_on(self.run())
    }

    async fn drive(&self, mode: Mode) -> Result<(), Error> {
        let core = self.core();
        let running = Running::enter(core, mode == Mode::Run)?;
        let part = || match core.run.seat.get() {
            0 => Part::Drive,
            _ => Part::Wait,
        };
        core.slices(mode, part).await;
        let error = core.die.take_error();
        drop(running);
        core.wake_waiting();
        error.map_or(Ok(()), Err)
    }

    /// Drives the kernel to its end in the place of a run that is under way, which then ends as well.
    pub(super) async fn drive_for_run(&self) -> Result<(), Error> {
        let core = self.core();
        let mut seat = Seat { core, ticket: 0 };
        core.slices(Mode::Run, || seat.take()).await;
        let error = match (core.is_shutting_down(), core.run.running.get()) {
            (false, _) => None,
            (true, false) => core.die.take_error(),
            (true, true) => core.die.tell_error(),
        };
        drop(seat);
        error.map_or(Ok(()), Err)
    }
}

fn give_way() -> impl Future<Output = ()> {
    tokio::task::yield_now()
}
