//! Dispatches the events of ready descriptors.

use super::SelectMode;
use super::watch::{Selects, Watch};
use crate::bridge::files::levels;
use crate::error::{Failure, drop_quietly};
use crate::kernel::Core;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// In their order (law L5).
const MODES: [SelectMode; 3] = [SelectMode::Read, SelectMode::Write, SelectMode::Expedite];

/// The watchers that were asked at the beginning of one I/O phase, and how far they have been told.
pub(super) struct Round {
    ready: Vec<Rc<Watch>>,
    /// Whether each descriptor was ready then.
    levels: Vec<bool>,
    /// Which of [`MODES`], and which of `ready` is next.
    mode: usize,
    next: usize,
    /// One of this mode was told.
    told: bool,
}

impl Round {
    fn begin(selects: &Selects) -> Self {
        let ready = selects.take_ready();
        let files: Vec<_> = ready.iter().map(|w| (w.watched.as_fd(), w.mode.want())).collect();
        let levels = levels(&files);
        Round {
            ready,
            levels,
            mode: 0,
            next: 0,
            told: false,
        }
    }
}

impl Core {
    #[inline]
    pub(crate) fn has_ready_files(&self) -> bool {
        self.selects.has_ready.get()
    }

    /// Delivers an event to each watcher whose descriptor is ready: readers, then writers, then the expedited, with a
    /// sweep after each (law L5). False if the pace is spent before the end.
    pub(crate) fn dispatch_files(&self) -> bool {
        let round = self.selects.round.take();
        let mut round = round.unwrap_or_else(|| Round::begin(&self.selects));
        let over = self.tell_watchers(&mut round);
        if !over {
            *self.selects.round.borrow_mut() = Some(round);
            self.selects.has_ready.set(true);
            return false;
        }
        self.selects.has_ready.set(!self.selects.ready.borrow().is_empty());
        for (watch, ready) in round.ready.iter().zip(&round.levels) {
            watch.ready.set(false);
            if watch.paused.get() {
                continue;
            }
            if *ready || watch.always.get() {
                self.selects.mark_ready(watch);
            } else if let Some(task) = watch.task.get() {
                self.tasks.schedule(task);
            }
        }
        // The watchers that were removed are dropped here, with what the program gave them, and nothing borrowed.
        drop_quietly(round);
        self.after_io();
        true
    }

    /// False if the pace is spent before the end of the round.
    fn tell_watchers(&self, round: &mut Round) -> bool {
        while let Some(mode) = MODES.get(round.mode) {
            while let Some(watch) = round.ready.get(round.next) {
                // A handler of this round may have removed or paused it (law L76).
                let ready = round.levels[round.next] || watch.always.get();
                if watch.mode == *mode && ready && !watch.gone.get() && !watch.paused.get() {
                    if self.run.pace.is_spent() {
                        return false;
                    }
                    round.told = true;
                    self.note_told_files();
                    self.tell_watcher(watch);
                    if self.die.is_fatal() {
                        return true;
                    }
                }
                round.next += 1;
            }
            if std::mem::take(&mut round.told) {
                self.sweep();
            }
            (round.mode, round.next) = (round.mode + 1, 0);
        }
        true
    }

    fn tell_watcher(&self, watch: &Watch) {
        watch.trace("ready");
        match catch_unwind(AssertUnwindSafe(|| (watch.arg)())) {
            Ok(mut arg) => {
                self.deliver_now(watch.owner, watch.event.idx(), &mut arg, watch.place);
            }
            // Cloning what the program gave the watcher is its own code.
            Err(payload) => {
                let failure = Failure::from_panic(payload);
                self.raise_for_task(watch.owner, watch.event.name(), &failure, watch.place);
            }
        }
    }
}
