//! Decides when the kernel yields to its host.
//!
//! Every piece of work counts: an event, a record, a read, an accept, a poll of a task, a message of another thread. The
//! kernel yields when it has done [`budget`](crate::KernelBuilder::budget) pieces, or worked for the time of its
//! [`slice`](crate::KernelBuilder::slice), whichever comes first.

use crate::kernel::Core;
use std::cell::Cell;

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
    pub(super) fn begin(&self, core: &Core) {
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
    pub(super) fn count(&self) -> bool {
        // A check leaves at least one; what is done after the pace is spent is looked at each time.
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
    pub(super) fn check(&self, core: &Core, long: bool) {
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
