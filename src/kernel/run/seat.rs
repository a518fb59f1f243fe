//! Who drives the kernel, when a shutdown does it in the place of a run.

use super::Part;
use crate::kernel::Core;

/// The place of a run's driver, taken by a shutdown. The run that is under way may be one that is kept and not polled any
/// more, and nobody can know that; so it waits, and ends when the shutdown has.
pub(super) struct Seat<'a> {
    pub(super) core: &'a Core,
    /// Zero before the seat was taken for the first time.
    pub(super) ticket: u64,
}

impl Seat<'_> {
    /// Takes the seat if it is to be had. A newcomer gets it in any case: another shutdown may be one that is not polled
    /// any more, too.
    pub(super) fn take(&mut self) -> Part {
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
