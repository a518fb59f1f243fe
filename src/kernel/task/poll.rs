//! The start, the polls and the end of tasks.

use super::{Purpose, Task};
use crate::error::{Failure, drop_quietly};
use crate::id::{Place, SessionId, TaskId};
use crate::kernel::Core;
use crate::resource::HoldKind;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

impl Core {
    /// Starts a task for a session, which holds one thing more; nothing if the session is gone.
    pub(crate) fn start_task(&self, purpose: Purpose, body: Box<dyn Task>) -> Option<TaskId> {
        let slot = self.sessions.borrow().resolve(purpose.owner)?;
        self.sessions.borrow_mut().hold(slot);
        self.trace_held(slot, purpose.kind, &purpose.what);
        let id = self.tasks.insert(purpose, body);
        self.wake_host();
        Some(id)
    }

    /// The ID for a session that was stopped in its own handler, and so starts nothing: it names no task.
    pub(crate) fn no_task(&self) -> TaskId {
        TaskId {
            serial: NonZeroU64::MAX,
            slot: u32::MAX,
            kernel: self.tag(),
        }
    }

    /// Ends a task; false if it is over already. Its drop may run user code, so nothing is borrowed then.
    pub(crate) fn cancel_task(&self, id: TaskId) -> bool {
        match self.tasks.remove(id) {
            Some(slot) => {
                self.release_task_owner(slot.purpose.owner, slot.purpose.kind, &slot.purpose.what);
                drop_quietly(slot);
                true
            }
            None => false,
        }
    }

    /// Has a task hold another session from now on; ends it if that one is gone.
    pub(crate) fn move_task(&self, id: TaskId, to: SessionId, place: Place) {
        let Some(slot) = self.sessions.borrow().resolve(to) else {
            self.cancel_task(id);
            return;
        };
        let Some(from) = self.tasks.set_owner(id, to, place) else {
            return;
        };
        self.sessions.borrow_mut().hold(slot);
        self.trace_held(slot, HoldKind::Wheel, "of another session");
        self.release_task_owner(from, HoldKind::Wheel, "given away");
    }

    fn release_task_owner(&self, owner: SessionId, kind: HoldKind, what: &str) {
        let slot = self.sessions.borrow().resolve(owner);
        if let Some(slot) = slot {
            self.sessions.borrow_mut().release(slot);
            self.trace_released(slot, kind, what);
        }
        self.wake_host();
    }

    /// Polls a task, unless it is over.
    pub(crate) fn poll_task(&self, key: u64) {
        let Some((id, mut body, waker)) = self.tasks.take(key) else {
            return;
        };
        let mut cx = Context::from_waker(&waker);
        match catch_unwind(AssertUnwindSafe(|| body.poll(self, &mut cx))) {
            Ok(Poll::Pending) => {
                if self.run.pausing.take() {
                    self.run.paused.set(Some((key, self.run.is_turn.get())));
                }
                let cancelled = self.tasks.put_back(id, body, waker);
                drop_quietly(cancelled);
            }
            Ok(Poll::Ready(())) => {
                // It may have asked for a pause, and have ended instead.
                self.run.pausing.set(false);
                self.finish_task(id);
                drop_quietly(body);
            }
            Err(payload) => {
                self.run.pausing.set(false);
                let failure = Failure::from_panic(payload);
                self.task_failed(id, &failure);
                self.finish_task(id);
                drop_quietly(body);
            }
        }
    }

    /// Whether the task that is polled has its turn in the I/O phase, and may read and run handlers. Otherwise it is polled
    /// for what it has to write, between two events.
    #[inline]
    pub(crate) fn is_turn(&self) -> bool {
        self.run.is_turn.get()
    }

    /// Whether the kernel is to yield. Between two records of a read the task that is polled may do so by
    /// [`pause_turn`](Self::pause_turn) and returning `Pending`.
    #[inline]
    pub(crate) fn must_yield(&self) -> bool {
        self.run.pace.is_spent()
    }

    /// Has the task that is polled go on in the same turn, after the host has had its own and before anything else of this
    /// kernel.
    pub(crate) fn pause_turn(&self) {
        self.run.pausing.set(true);
    }

    /// Counts a piece of work in a task's poll, beside the poll itself and the handlers that it runs.
    #[inline]
    pub(crate) fn count_step(&self) {
        self.run.pace.step(self);
    }

    fn finish_task(&self, id: TaskId) {
        if let Some(slot) = self.tasks.remove(id) {
            self.release_task_owner(slot.purpose.owner, slot.purpose.kind, &slot.purpose.what);
        }
    }

    fn task_failed(&self, id: TaskId, failure: &Failure) {
        let found = {
            let slots = self.tasks.slots.borrow();
            let slot = slots
                .get(id.slot as usize)
                .and_then(Option::as_ref)
                .filter(|s| s.serial == id.serial);
            slot.map(|s| (s.purpose.owner, s.purpose.what.clone(), s.purpose.place))
        };
        if let Some((owner, event, place)) = found {
            self.raise_for_task(owner, event, failure, place);
        }
    }
}
