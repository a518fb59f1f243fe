//! Timers of the kernel's own, in the one order with those of sessions. They run kernel code when they are due, belong to no
//! session, and no session sees them in its list.

use super::Core;
use super::deferred::Origin;
use super::handle::{Queued, QueuedCall};
use crate::arg::AnyArg;
use crate::error::CallErrorKind;
use crate::id::{Place, SessionId};
use crate::name::{Name, NameIdx};
use crate::queue::event_queue::Post;
use crate::queue::heap::HeapId;
use crate::resource::sessions::KERNEL;
use std::mem::ManuallyDrop;

/// What such a timer does.
pub(in crate::kernel) trait Due {
    fn fire(self: Box<Self>, core: &Core);
    /// The event for which it is shown.
    fn event(&self) -> Name;
}

struct Timed(Box<dyn Due>);

impl QueuedCall for Timed {
    fn run(self: Box<Self>, core: &Core, _: SessionId, _: Origin) {
        self.0.fire(core);
    }

    fn refuse(self: Box<Self>, _: &Core, _: CallErrorKind) {}

    fn event(&self) -> Name {
        self.0.event()
    }
}

impl Core {
    pub(in crate::kernel) fn set_kernel_timer(&self, due: u64, what: Box<dyn Due>, place: Place) -> HeapId {
        let now = self.clock.now_if_due(due).unwrap_or(0);
        let mut sessions = self.sessions.borrow_mut();
        sessions.hold(KERNEL);
        let post = Post {
            to: KERNEL,
            from: KERNEL,
            name: NameIdx::CALL,
            caller: NameIdx::NONE,
            place,
            arg: ManuallyDrop::new(AnyArg::new(Queued(Box::new(Timed(what))))),
        };
        let (record, queue) = sessions.with_queue(KERNEL);
        let id = queue.set_timer(&mut record.first_timer, post, due, now);
        drop(sessions);
        self.wake_host();
        id
    }

    /// Removes one that has not fired, and drops what it would have done.
    pub(in crate::kernel) fn remove_kernel_timer(&self, id: HeapId) {
        let removed = {
            let mut sessions = self.sessions.borrow_mut();
            let (record, queue) = sessions.with_queue(KERNEL);
            let removed = queue.remove_timer(&mut record.first_timer, id);
            if removed.is_some() {
                sessions.release(KERNEL);
            }
            removed
        };
        if let Some(removed) = removed {
            crate::error::drop_quietly(ManuallyDrop::into_inner(removed.entry.arg));
            self.wake_host();
        }
    }
}
