//! Where a kernel's running stands, for all that it has to do with.

use crate::kernel::shutdown::Shutdown;
use crate::queue::lanes::Generation;
use std::cell::{Cell, RefCell};
use std::task::Waker;

/// Where `run` stands.
#[derive(Default)]
pub(crate) struct RunState {
    /// A future of `run` or `serve` is alive.
    pub(crate) running: Cell<bool>,
    /// A future is alive and its poll is not on the stack: whoever gives the kernel something to do must wake it.
    pub(crate) asleep: Cell<bool>,
    /// The kernel watches IDLE, as it does under `run` only (law L43).
    pub(crate) idle_watch: Cell<bool>,
    /// The host has had a turn since something was due.
    pub(crate) host_asked: Cell<bool>,
    /// A signal has stopped the kernel itself: the run is over.
    pub(crate) over: Cell<bool>,
    /// `stop` was called, which ends `serve`.
    pub(crate) stop_asked: Cell<bool>,
    /// A generation that giving way to the host has cut in two.
    pub(crate) unfinished: Cell<Option<Generation>>,
    pub(crate) shutdown: RefCell<Option<Shutdown>>,
    /// The inbox does not take in everything, because the last run has ended.
    pub(crate) inbox_shut: Cell<bool>,
    /// `shutdown` is set.
    pub(crate) shutting_down: Cell<bool>,
    /// The ticket of the shutdown that drives the kernel in the place of a run; 0 if none does.
    pub(crate) seat: Cell<u64>,
    /// The last ticket for it.
    pub(crate) tickets: Cell<u64>,
    /// Those who wait for the end of a run, or for the seat.
    pub(crate) waiting: RefCell<Vec<Waker>>,
}
