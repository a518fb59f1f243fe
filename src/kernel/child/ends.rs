//! Notifies watchers of the end of a process (laws L55 to L57).

use super::ProcessExit;
use crate::arg::AnyArg;
use crate::bridge::processes::{ProcessState, any_runs, children, process_state};
use crate::bridge::reaper::OwnChild;
use crate::kernel::Core;
use crate::name::NameIdx;
use crate::resource::HoldKind;
use crate::resource::children::Awaiter;
use crate::resource::sessions::KERNEL;
use std::process::ExitStatus;

impl Core {
    /// Tells of a process's end if it has come; `sure` if it has, whatever else can be found out. True if it was told.
    pub(super) fn look_at_process(&self, pid: u32, sure: bool) -> bool {
        let (given, ours) = {
            let known = self.processes.known.borrow();
            let Some(known) = known.get(&pid) else {
                return true;
            };
            (known.child.as_ref().map(OwnChild::end), known.ours)
        };
        let status = match given {
            Some(None) => return false,
            Some(Some(status)) => status,
            None => match process_state(pid) {
                Ok(ProcessState::Running) => return false,
                Ok(ProcessState::Exited(status)) => Some(status),
                // Reaped by its owner.
                _ if sure || ours => None,
                _ => return false,
            },
        };
        self.process_ended(pid, status);
        true
    }

    /// Notifies the sessions that wait for this process, and then those that watch CHLD (law L56).
    fn process_ended(&self, pid: u32, status: Option<ExitStatus>) {
        tracing::trace!(target: "poe::signals", pid, ?status, "a process has ended");
        let awaiters = self.children.borrow_mut().take(pid);
        for awaiter in awaiters {
            let arg = (awaiter.arg)(pid, status);
            let slot = awaiter.session;
            self.enqueue_known(slot, KERNEL, awaiter.event.idx(), NameIdx::NONE, arg, awaiter.place);
            self.sessions.borrow_mut().release(slot);
            self.trace_released(slot, HoldKind::Process, &pid.to_string());
        }
        let known = self.processes.known.borrow_mut().remove(&pid);
        let (task, reaped, hooks) = known.map_or((None, false, Vec::new()), |k| (k.task, k.child.is_some(), k.ended));
        for hook in hooks {
            hook(status);
        }
        if let Some(task) = task {
            self.cancel_task(task);
        }
        if self.processes.tell(pid) && self.signals.borrow().is_watched("CHLD") {
            let exit = ProcessExit { pid, status, extra: () };
            self.kernel_signal(KERNEL, "CHLD", AnyArg::new(exit));
        }
        if reaped || status.is_none() {
            self.processes.told.borrow_mut().remove(&pid);
        }
        self.settle_listeners();
    }

    /// SIGCHLD has come, or somebody has begun to watch it: tells of every child that has ended and was not told of.
    pub(crate) fn children_may_have_ended(&self, arrived: bool) {
        let pids: Vec<u32> = self.processes.known.borrow().keys().copied().collect();
        let mut told = false;
        for pid in pids {
            told |= self.look_at_process(pid, false);
        }
        if !self.signals.borrow().is_watched("CHLD") {
            return;
        }
        match children() {
            Some(pids) => self.tell_of_the_ended(&pids),
            // Somebody else's, and there is no way to know which.
            None if arrived && !told => self.kernel_signal(KERNEL, "CHLD", AnyArg::UNIT),
            None => {}
        }
    }

    fn tell_of_the_ended(&self, pids: &[u32]) {
        self.processes
            .told
            .borrow_mut()
            .retain(|pid| pids.binary_search(pid).is_ok());
        for pid in pids {
            let told = self.processes.told.borrow().contains(pid) || self.processes.known.borrow().contains_key(pid);
            if !told && let Ok(ProcessState::Exited(status)) = process_state(*pid) {
                self.process_ended(*pid, Some(status));
            }
        }
    }

    /// Whether the end of a process will have something to tell, so that the kernel is not idle (laws L44, L57).
    pub(crate) fn awaits_children(&self) -> bool {
        let known = self.processes.known.borrow();
        let table = self.children.borrow();
        if known.iter().any(|(pid, known)| known.ours && table.is_awaited(*pid)) {
            return true;
        }
        if self.is_virtual() || !self.signals.borrow().is_watched("CHLD") {
            return false;
        }
        match children() {
            Some(pids) => {
                let told = self.processes.told.borrow();
                pids.iter().any(|pid| !told.contains(pid))
            }
            None => any_runs(),
        }
    }

    /// Forgets what a session awaited, one hold each; they are the caller's to drop.
    #[must_use]
    pub(crate) fn clear_children(&self, slot: u32) -> Vec<Awaiter> {
        let cleared = self.children.borrow_mut().clear(slot);
        if cleared.is_empty() {
            return Vec::new();
        }
        let (pids, awaiters): (Vec<u32>, Vec<Awaiter>) = cleared.into_iter().unzip();
        for pid in pids {
            self.settle_process(pid);
        }
        awaiters
    }
}
