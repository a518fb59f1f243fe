//! Running. One turn of the loop, a *slice*, is:
//!
//! 1. The I/O phase. Messages from other threads are taken in. Then the tasks that were ready when the phase began take
//!    their turns, in the order in which they became ready: one read, one batch of accepts, one item of a stream each.
//!    I/O events run their handlers now, ahead of the queue. A sweep follows. Then the watchers of files that are ready
//!    get their events: readers, writers, expedited (law L5). What becomes ready meanwhile, or again, waits for the next slice.
//! 2. If nothing is queued, watched, held or spawned, the signal IDLE is queued (laws L40 to L44).
//! 3. If nothing is due, the future arms the wake-up for the first timer and waits.
//! 4. What is due now is the slice's *generation*: its events are dispatched in order. What they post belongs to the
//!    next one; a timer that they set in the past still runs in this one, first (law L6).
//! 5. A sweep stops the sessions that nothing keeps alive (laws L28, L29).
//!
//! After `budget` pieces of work of any kind, or about 100 µs, the future yields to its host. A yield is a pause: the next
//! poll goes on at the same point (`At`), in the middle of a generation, of a turn, or of the records of one read.
//! During a pause nothing of this kernel runs and no order changes. Messages from other threads join the queue at each
//! pause; only KILL by a handle and the limit of a shutdown act then.
//!
//! The kernel's own parts are polled outside Tokio's cooperative budget, because the pace above bounds them. What a session
//! spawns or attaches is polled on a budget (`guests.rs`).

mod drive;
mod slices;

use super::Core;
use super::flags::{self, Flag, Flags};
use super::shutdown::Shutdown;
use crate::error::{Error, ErrorKind};
use crate::queue::event_queue::Generation;
use drive::Guests;
use std::cell::{Cell, RefCell};
use std::task::Waker;

pub use drive::RunFuture;

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
    Yield,
    /// The mode's end.
    Done,
}

/// What one of several futures that could drive the kernel does in a poll.
enum Role {
    Drive,
    Wait,
    Leave,
}

// State that holds during a run, or during a poll of it.
/// While the future's poll is on the stack: nobody need wake it, and only contexts may run handlers.
struct Polling<'a>(&'a Core);

impl<'a> Polling<'a> {
    fn enter(core: &'a Core) -> Self {
        core.run.asleep.set(false);
        core.busy.set(true);
        core.mark_stack();
        core.follow_runtime();
        Polling(core)
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.run.asleep.set(true);
        self.0.busy.set(false);
    }
}

/// Marks a kernel as running for as long as the future lives.
struct Running<'a> {
    core: &'a Core,
    #[cfg_attr(not(unix), allow(dead_code))]
    mode: Mode,
}

impl<'a> Running<'a> {
    fn enter(core: &'a Core, mode: Mode) -> Result<Self, Error> {
        if core.busy.get() || core.run.running.replace(true) {
            return Err(ErrorKind::AlreadyRunning.into());
        }
        core.reopen_inbox();
        core.run.asleep.set(true);
        core.run.over.set(false);
        core.run.stop_asked.set(false);
        core.run.idle_watch.set(mode == Mode::Run);
        Ok(Running { core, mode })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let core = self.core;
        let run = &core.run;
        run.running.set(false);
        run.asleep.set(run.driver.get() != 0);
        run.idle_watch.set(false);
        // A failure that ended the run, and that the shutdown has told, is no matter of the next one.
        core.die.forget_told();
        core.wake_waiting();
        #[cfg(unix)]
        // Behind a slice there is usually another one.
        if self.mode != Mode::Slice || core.sessions.borrow().count() == 0 {
            core.leave_children();
        }
    }
}

// The position of a run, for the code that depends on it.
/// Where a slice stands. What is not `Start` is a pause whenever the kernel's poll is not on the stack: the next poll goes
/// on at the same point.
#[derive(Clone, Copy, Default)]
pub(crate) enum At {
    /// Between two slices.
    #[default]
    Start,
    /// I/O phase: messages of other threads are taken in.
    Messages,
    /// I/O phase: the tasks that were ready take their turns.
    Tasks,
    /// I/O phase: the watchers of ready files get their events.
    Files,
    /// The rest of this generation is to be dispatched.
    Queue(Generation),
}

/// Where `run` stands.
pub(crate) struct RunState {
    /// A future of `run` or `serve` is alive.
    pub(crate) running: Cell<bool>,
    /// A future is alive and its poll is not on the stack: code that gives the kernel work must wake it.
    pub(crate) asleep: Flag,
    /// The kernel watches IDLE, as it does under `run` only (law L43).
    pub(crate) idle_watch: Cell<bool>,
    /// The host has had a turn since something was due.
    pub(crate) host_asked: Cell<bool>,
    /// A signal has stopped the kernel itself: the run is over.
    pub(crate) over: Flag,
    /// `stop` was called, which ends `serve`.
    pub(crate) stop_asked: Cell<bool>,
    /// How far the slice has come.
    pub(crate) at: Cell<At>,
    /// What the poll on the stack may still do.
    pub(crate) pace: Pace,
    /// A file's watcher was told in this slice.
    told_files: Cell<bool>,
    /// The last pause took in messages, so that the next one goes on with the work first.
    took_messages: Cell<bool>,
    /// This slice has looked into the inbox, and has not come to the end of what was there.
    pub(crate) looked_at_inbox: Cell<bool>,
    /// How many messages the last look has brought.
    pub(crate) taken_in: Cell<usize>,
    /// The task that is polled has its turn in the I/O phase; others are polled for their output only.
    pub(crate) is_turn: Cell<bool>,
    /// The task that is polled asks to go on in the same turn after a pause …
    pub(crate) pausing: Cell<bool>,
    /// … and this one has asked so and goes on before anything else of this kernel: its key, and `is_turn`.
    pub(crate) paused: Cell<Option<(u64, bool)>>,
    /// For the tasks of sessions on a host without a cooperative budget.
    guests: RefCell<Option<Guests>>,
    pub(crate) shutdown: RefCell<Option<Shutdown>>,
    /// The inbox does not take in everything, because the last run has ended.
    pub(crate) inbox_shut: Cell<bool>,
    /// `shutdown` is set.
    pub(crate) shutting_down: Flag,
    /// The epoch of the shutdown that drives the kernel in the place of a run; 0 if none does.
    pub(crate) driver: Cell<u64>,
    /// The last epoch given out.
    pub(crate) epochs: Cell<u64>,
    /// The futures that wait for the end of a run, or for the driver lock.
    pub(crate) waiting: RefCell<Vec<Waker>>,
}

impl RunState {
    pub(crate) fn new(flags: &Flags) -> Self {
        RunState {
            running: Cell::default(),
            asleep: Flag::new(flags, flags::ASLEEP),
            idle_watch: Cell::default(),
            host_asked: Cell::default(),
            over: Flag::new(flags, flags::OVER),
            stop_asked: Cell::default(),
            at: Cell::default(),
            pace: Pace::default(),
            told_files: Cell::default(),
            took_messages: Cell::default(),
            looked_at_inbox: Cell::default(),
            taken_in: Cell::default(),
            is_turn: Cell::default(),
            pausing: Cell::default(),
            paused: Cell::default(),
            guests: RefCell::default(),
            shutdown: RefCell::default(),
            inbox_shut: Cell::default(),
            shutting_down: Flag::new(flags, flags::SHUTTING_DOWN),
            driver: Cell::default(),
            epochs: Cell::default(),
            waiting: RefCell::default(),
        }
    }

    /// A slice has begun and has not ended.
    pub(crate) fn is_paused(&self) -> bool {
        !matches!(self.at.get(), At::Start)
    }
}

// The right to drive the kernel, which a shutdown takes from a run.
/// Makes a shutdown the driver of the kernel, in the place of a run.
///
/// The present run may be a future that is kept and not polled any more, which cannot be detected; so it waits, and ends when the
/// shutdown has ended.
struct DriverLock<'a> {
    core: &'a Core,
    /// The epoch in which this shutdown took the lock; 0 before the first time.
    epoch: u64,
}

impl DriverLock<'_> {
    /// Takes the lock if it is free. A new shutdown gets it in any case, because the one that holds it may not be polled
    /// any more.
    fn take(&mut self) -> Role {
        let run = &self.core.run;
        if !self.core.is_shutting_down() {
            // Another shutdown has finished.
            return Role::Leave;
        }
        if self.core.busy.get() {
            // Polled inside the kernel itself, by a run that is active and must go on.
            self.leave();
            return Role::Wait;
        }
        if self.epoch == 0 || run.driver.get() == 0 {
            self.epoch = run.epochs.get() + 1;
            run.epochs.set(self.epoch);
            run.driver.set(self.epoch);
            run.over.set(false);
        }
        if run.driver.get() == self.epoch {
            Role::Drive
        } else {
            Role::Wait
        }
    }

    fn leave(&self) {
        let run = &self.core.run;
        if self.epoch != 0 && run.driver.get() == self.epoch {
            run.driver.set(0);
            run.asleep.set(run.running.get());
            self.core.wake_waiting();
        }
    }
}

impl Drop for DriverLock<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

// Decides when the kernel yields to its host.
//
// Every piece of work counts: an event, a record, a read, an accept, a poll of a task, a message of another thread. The
// kernel yields when it has done [`budget`](crate::KernelBuilder::budget) pieces, or worked for the time of its
// [`slice`](crate::KernelBuilder::slice), whichever comes first.
/// Readings of the clock in a slice that are aimed at: one costs as much as some handlers.
const LOOKS: u64 = 8;

/// The most pieces between two readings …
const MOST: u32 = 128;

/// … and before the first one of a poll.
const FIRST: u32 = 32;

/// How much longer the poll that is on the stack may go on: so many pieces of work, and so long.
#[derive(Default)]
pub(crate) struct Pace {
    /// Nothing more is to be done in this poll.
    spent: Cell<bool>,
    /// Pieces until the clock is read again: the one thing that each piece changes.
    until_check: Cell<u32>,
    /// Pieces between the last reading and the next one, as planned.
    planned: Cell<u32>,
    /// Pieces that were left at the last reading.
    left: Cell<u32>,
    /// The most pieces between two readings, by the pace of the short ones, in earlier polls too; 0 at first.
    stride: Cell<u32>,
    /// How long a short piece took when that was looked at last, in nanoseconds.
    each: Cell<u64>,
    began: Cell<u64>,
    last: Cell<u64>,
}

impl Pace {
    /// A new poll begins.
    fn begin(&self, core: &Core) {
        let now = core.clock.now();
        self.spent.set(false);
        self.left.set(core.config.budget);
        self.began.set(now);
        self.last.set(now);
        // The first look comes early, in case each handler takes long now.
        self.plan(self.stride.get().clamp(2, FIRST));
    }

    fn plan(&self, pieces: u32) {
        let planned = pieces.min(self.left.get()).max(1);
        self.planned.set(planned);
        self.until_check.set(planned);
    }

    #[inline(always)]
    pub(crate) fn is_spent(&self) -> bool {
        self.spent.get()
    }

    /// Counts a piece of work that is usually short: an event, a record, a message.
    #[inline(always)]
    pub(crate) fn step(&self, core: &Core) {
        if self.count() {
            self.check(core, false);
        }
    }

    /// Counts such a piece without more. If true, [`check`](Self::check) must be called.
    #[inline(always)]
    fn count(&self) -> bool {
        // A check leaves at least one step; once the pace is spent, the clock is read at each step.
        let until_check = self.until_check.get() - 1;
        self.until_check.set(until_check);
        until_check == 0
    }

    /// Counts a piece of work that may take long, and reads the clock: a system call, a poll of a task.
    pub(crate) fn step_and_look(&self, core: &Core) {
        self.until_check.set(self.until_check.get() - 1);
        self.check(core, true);
    }

    /// `long`: the piece that was counted last may have taken long, and says nothing about those that follow.
    #[cold]
    #[inline(never)]
    fn check(&self, core: &Core, long: bool) {
        let now = core.clock.now();
        let done = (self.planned.get() - self.until_check.get()).max(1);
        let slice = core.config.slice_nanos;
        if !long {
            let each = (now.saturating_sub(self.last.get()) / u64::from(done)).max(1);
            self.each.set(each);
            // Twice as far as last time, unless the pieces have become longer.
            let wanted = (slice / LOOKS / each).min(u64::from(MOST)) as u32;
            self.stride.set(wanted.min(self.stride.get() * 2).max(2));
        }
        self.last.set(now);
        self.left.set(self.left.get().saturating_sub(done));
        let room = slice.saturating_sub(now.saturating_sub(self.began.get()));
        if room == 0 || self.left.get() == 0 {
            self.spent.set(true);
        }
        let fits = (room / self.each.get().max(1)).min(u64::from(MOST)) as u32;
        self.plan(fits.clamp(1, self.stride.get().max(2)));
    }
}
