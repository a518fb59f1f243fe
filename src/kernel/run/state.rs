//! The position of a run, for the code that depends on it.

use super::guests::Guests;
use super::pace::Pace;
use crate::kernel::flags::{self, Flag, Flags};
use crate::kernel::shutdown::Shutdown;
use crate::queue::event_queue::Generation;
use std::cell::{Cell, RefCell};
use std::task::Waker;

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
    /// I/O phase: the watchers whose files are ready are told.
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
    pub(super) told_files: Cell<bool>,
    /// The last pause took in messages, so that the next one goes on with the work first.
    pub(super) took_messages: Cell<bool>,
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
    pub(super) guests: RefCell<Option<Guests>>,
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
