//! What holds as long as a run lives, and as long as its poll is on the stack.

use crate::error::{Error, ErrorKind};
use crate::kernel::Core;

/// While the future's poll is on the stack: nobody need wake it, and only contexts may run handlers.
pub(super) struct Polling<'a>(&'a Core);

impl<'a> Polling<'a> {
    pub(super) fn enter(core: &'a Core) -> Self {
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

/// Marks a kernel as running for as long as the future lives.
pub(super) struct Running<'a>(&'a Core);

impl<'a> Running<'a> {
    pub(super) fn enter(core: &'a Core, idle_watch: bool) -> Result<Self, Error> {
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
