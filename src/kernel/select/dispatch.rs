//! The events of the descriptors that are ready.

use super::SelectMode;
use crate::bridge::files::levels;
use crate::error::{Failure, drop_quietly};
use crate::kernel::Core;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Core {
    #[inline]
    pub(crate) fn has_ready_files(&self) -> bool {
        self.selects.is_hot.get()
    }

    /// Delivers an event to each watcher whose descriptor is ready: readers, then writers, then the expedited, with a
    /// sweep after each (law L5). True if there was one.
    pub(crate) fn dispatch_files(&self) -> bool {
        self.selects.is_hot.set(false);
        let hot = self.selects.hot.take();
        let files: Vec<_> = hot.iter().map(|w| (w.watched.as_fd(), w.mode.want())).collect();
        let ready = levels(&files);
        let mut delivered = false;
        'modes: for mode in [SelectMode::Read, SelectMode::Write, SelectMode::Expedite] {
            let before = delivered;
            for (watch, ready) in hot.iter().zip(&ready) {
                // A handler of this round may have removed or paused it (law L76).
                if watch.mode != mode || !(*ready || watch.always.get()) || watch.gone.get() || watch.paused.get() {
                    continue;
                }
                delivered = true;
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
                if self.die.is_fatal() {
                    break 'modes;
                }
            }
            if delivered != before {
                self.sweep();
            }
        }
        for (watch, ready) in hot.iter().zip(&ready) {
            watch.hot.set(false);
            if watch.paused.get() {
                continue;
            }
            if *ready || watch.always.get() {
                self.selects.heat(watch);
            } else if let Some(task) = watch.task.get() {
                self.tasks.schedule(task);
            }
        }
        // The watchers that were removed are dropped here, with what the program gave them, and nothing borrowed.
        drop_quietly(hot);
        self.after_io();
        delivered
    }
}
