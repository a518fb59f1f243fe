//! A signal's way through the tree of sessions, and the sessions that it stops at its end.

use super::{Raised, Signal};
use crate::arg::AnyArg;
use crate::error::{OnFailure, drop_each_quietly, drop_quietly};
use crate::id::{Place, SessionId};
use crate::kernel::die::DieVisit;
use crate::kernel::dispatch::discard;
use crate::kernel::{Core, Die};
use crate::name::NameIdx;
use crate::resource::sessions::KERNEL;
use crate::resource::signals::{KERNEL_SHUTDOWN, SignalClass};

impl Core {
    /// Takes a signal to its target and all below it, the deepest generation first, and then stops whom its class and
    /// the handlers' word condemn.
    pub(crate) fn dispatch_signal(&self, target: u32, caller: NameIdx, arg: AnyArg, place: Place) {
        let Ok(Raised { name: signal, arg }) = arg.downcast::<Raised>() else {
            // Nobody but the kernel can register for `_signal`, so an event that only has its name finds no handler.
            return;
        };
        let is_die = signal == "DIE";
        let to = self.sessions.borrow().id(target);
        tracing::trace!(target: "poe::signals", %signal, %to, "dispatch");
        let mut touched = self.tree_of(target);
        if signal == KERNEL_SHUTDOWN {
            self.leave_to_supervisors(&mut touched);
        }
        let below = touched.len();
        let policy = if is_die && target != KERNEL {
            self.policy_of(to)
        } else {
            OnFailure::StopKernel
        };
        if is_die {
            let sessions = self.sessions.borrow();
            let mut ancestor = sessions.parent(target);
            while let Some(slot) = ancestor.filter(|s| *s != KERNEL) {
                touched.push(sessions.id(slot));
                ancestor = sessions.parent(slot);
            }
        }
        // A DIE that a program sends without a record of a failure is a signal like others, whose handlers may fail.
        let of_failure = is_die && arg.downcast_ref::<Die>().is_some();
        let watchers = self.signals.borrow().watchers(&signal);
        let outer = self.handled.replace(Some(0));
        for id in &touched {
            if id.is_kernel() {
                self.kernel_watches(&signal);
                continue;
            }
            // Gone, if a watcher before it stopped it (decision D18).
            let Some(slot) = self.sessions.borrow().resolve(*id) else {
                continue;
            };
            let Some(watcher) = watchers.get(&slot) else { continue };
            tracing::trace!(target: "poe::signals", %signal, session = %id, event = %watcher.event.name(), "delivered");
            let given = Signal {
                name: signal.clone(),
                arg: arg.clone(),
                extra: watcher.extra.clone(),
            };
            let answer = self.dispatch_to(
                slot,
                self.id(),
                watcher.event.idx(),
                caller,
                AnyArg::new(given),
                place,
                of_failure,
            );
            if let Some(mut value) = answer {
                discard(&mut value);
            }
        }
        let handled = self.handled.replace(outer).unwrap_or(0);
        let condemned = match SignalClass::of(&signal) {
            SignalClass::NonMaskable => true,
            SignalClass::Terminal => handled == 0,
            SignalClass::Benign => false,
        };
        if is_die {
            let visit = DieVisit {
                target: to,
                policy,
                touched: &touched,
                below,
            };
            self.end_of_die(&visit, arg.downcast_ref(), handled > 0);
        } else if condemned {
            self.stop_touched(&signal, None, &touched);
        }
        // Their last owners may be here, and their drops may panic.
        drop_each_quietly(watchers);
        drop_quietly(arg);
    }

    /// A session and all below it, in the order in which a signal visits them: the deepest generation first, of siblings the
    /// youngest, the session itself last.
    pub(in crate::kernel) fn tree_of(&self, target: u32) -> Vec<SessionId> {
        let sessions = self.sessions.borrow();
        let mut found = vec![target];
        let mut at = 0;
        while let Some(slot) = found.get(at) {
            let children: Vec<u32> = sessions.children(*slot).collect();
            found.extend(children);
            at += 1;
        }
        found.into_iter().rev().map(|slot| sessions.id(slot)).collect()
    }

    /// Stops those whom a signal has visited, as far as they are still there; a DIE, because of this failure.
    pub(in crate::kernel) fn stop_touched(&self, signal: &str, die: Option<&Die>, touched: &[SessionId]) {
        let noted = self.ending(signal, die, touched);
        for id in touched {
            tracing::trace!(target: "poe::signals", %signal, session = %id, "stops");
            if id.is_kernel() {
                self.stop_kernel();
                continue;
            }
            let slot = self.sessions.borrow().resolve(*id);
            if let Some(slot) = slot {
                self.stop_session(slot);
            }
        }
        self.ended(noted);
    }

    /// The kernel is the last that IDLE visits: if nobody has found anything to do by then, it is the turn of ZOMBIE.
    fn kernel_watches(&self, signal: &str) {
        if signal == "IDLE" && self.run.idle_watch.get() && self.queue().len() == 0 && self.tasks.count() == 0 {
            self.kernel_signal(KERNEL, "ZOMBIE", AnyArg::UNIT);
        }
    }

    /// A terminal signal reached the kernel itself: the run is over, and whatever waited is lost. A session that another's
    /// `_stop` has just made is the kernel's child now and goes on (law L35), so the run does.
    fn stop_kernel(&self) {
        if self.sessions.borrow().count() > 0 {
            return;
        }
        self.run.over.set(true);
        self.discard_queue();
    }

    /// Drops what is queued for the kernel itself when a run ends without sessions, so that a later run begins with an empty
    /// queue (as POE's `_finalize_kernel` does).
    pub(in crate::kernel) fn discard_queue(&self) {
        let events = self.queue_mut().drain();
        self.tell_purged(&events, KERNEL);
        for entry in &events {
            self.release_entry(entry.to, entry.from, entry.name, entry.caller);
        }
        drop_each_quietly(events);
    }
}
