//! The right to drive the kernel, which a shutdown takes from a run.

use super::Role;
use crate::kernel::Core;

/// Makes a shutdown the driver of the kernel, in the place of a run.
///
/// The present run may be a future that is kept and not polled any more, which cannot be detected; so it waits, and ends when the
/// shutdown has ended.
pub(super) struct DriverLock<'a> {
    pub(super) core: &'a Core,
    /// The epoch in which this shutdown took the lock; 0 before the first time.
    pub(super) epoch: u64,
}

impl DriverLock<'_> {
    /// Takes the lock if it is free. A new shutdown gets it in any case, because the one that holds it may not be polled
    /// any more.
    pub(super) fn take(&mut self) -> Role {
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
