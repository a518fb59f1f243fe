//! Tasks begin, are polled, and end.

use super::{Purpose, Task};
use crate::error::{Failure, drop_quietly};
use crate::id::{SessionId, TaskId};
use crate::kernel::Core;
use crate::resource::HoldKind;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
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
    pub(crate) fn move_task(&self, id: TaskId, to: SessionId, place: &'static Location<'static>) {
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

    /// Polls the tasks that were woken and those that are new.
    pub(crate) fn poll_tasks(&self) {
        let mut woken = std::mem::take(&mut *self.tasks.woken.borrow_mut());
        self.shared.take_woken(&mut woken);
        for key in woken.drain(..) {
            self.poll_task(key);
        }
        *self.tasks.woken.borrow_mut() = woken;
        self.poll_intake();
    }

    /// Polls new tasks, and wheels that were put something. Those that appear meanwhile are polled, too, but only
    /// as many rounds as a chain of handlers needs; a task that schedules itself for ever waits for the next slice.
    pub(crate) fn poll_intake(&self) {
        for _ in 0..4 {
            if !self.tasks.has_intake.replace(false) {
                return;
            }
            let keys = std::mem::take(&mut *self.tasks.intake.borrow_mut());
            for key in keys {
                self.poll_task(key);
            }
        }
    }

    fn poll_task(&self, key: u64) {
        let Some((id, mut body, waker)) = self.tasks.take(key) else {
            return;
        };
        let mut cx = Context::from_waker(&waker);
        match catch_unwind(AssertUnwindSafe(|| body.poll(self, &mut cx))) {
            Ok(Poll::Pending) => {
                let cancelled = self.tasks.put_back(id, body, waker);
                drop_quietly(cancelled);
            }
            Ok(Poll::Ready(())) => {
                self.finish_task(id);
                drop_quietly(body);
            }
            Err(payload) => {
                let failure = Failure::from_panic(payload);
                self.task_failed(id, &failure);
                self.finish_task(id);
                drop_quietly(body);
            }
        }
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
