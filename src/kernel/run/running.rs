//! State that holds during a run, or during a poll of it.

use super::Mode;
use crate::error::{Error, ErrorKind};
use crate::kernel::Core;

/// While the future's poll is on the stack: nobody need wake it, and only contexts may run handlers.
pub(super) struct Polling<'a>(&'a Core);

impl<'a> Polling<'a> {
    pub(super) fn enter(core: &'a Core) -> Self {
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
pub(super) struct Running<'a> {
    core: &'a Core,
    #[cfg_attr(not(unix), allow(dead_code))]
    mode: Mode,
}

impl<'a> Running<'a> {
    pub(super) fn enter(core: &'a Core, mode: Mode) -> Result<Self, Error> {
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
