//! Postponed events: events that a state cannot handle wait here until the state changes, as in OTP's gen_statem.
//!
//! A change of the state moves all postponed events, oldest first, ahead of everything queued. An event that is
//! postponed again waits for the next change, at its old position. These events hold no session: a machine that nothing
//! else keeps alive cannot change its state any more.

use crate::arg::AnyArg;
use crate::error::drop_each_quietly;
use crate::id::{Place, SessionId};
use crate::kernel::KernelRef;
use crate::name::HeldName;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// An event as it was delivered, to be delivered again.
pub(super) struct Postponed {
    pub(super) event: HeldName,
    pub(super) arg: AnyArg,
    pub(super) sender: SessionId,
    pub(super) caller: HeldName,
    pub(super) place: Place,
}

#[derive(Default)]
pub(super) struct Queue {
    /// Waiting for a change of the state; filled by `postpone`.
    waiting: RefCell<VecDeque<Postponed>>,
    /// To be delivered now; filled by a change of the state.
    ready: RefCell<VecDeque<Postponed>>,
    /// Somebody further up the stack is delivering.
    delivering: Cell<bool>,
}

impl Queue {
    pub(super) fn push(&self, event: Postponed) {
        self.waiting.borrow_mut().push_back(event);
    }

    /// Drops what waits, each by itself.
    pub(super) fn clear(&self) {
        drop_each_quietly(self.waiting.take());
        drop_each_quietly(self.ready.take());
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.borrow().len() + self.ready.borrow().len()
    }

    /// The state has changed: those that were postponed first come first.
    pub(super) fn release(&self) {
        let mut waiting = self.waiting.borrow_mut();
        let mut ready = self.ready.borrow_mut();
        waiting.append(&mut ready);
        std::mem::swap(&mut *waiting, &mut *ready);
    }

    /// The machine ends: what waits is not delivered any more.
    pub(super) fn tell_lost(&self, kernel: KernelRef<'_>) {
        if self.len() == 0 {
            return;
        }
        let facts = |event: &Postponed| (event.event.name(), event.sender, event.place);
        let mut lost: Vec<_> = self.waiting.borrow().iter().map(facts).collect();
        lost.extend(self.ready.borrow().iter().map(facts));
        for (event, sender, place) in lost {
            kernel.tell_postponed(&event, sender, place);
        }
    }

    /// Delivers what is ready, each as an event of its own: a failure is the event's own, and ends no other.
    pub(super) fn deliver(&self, kernel: KernelRef<'_>) {
        if self.ready.borrow().is_empty() || self.delivering.replace(true) {
            return;
        }
        // Each is taken with no borrow left: its handler may postpone, and change the state.
        while kernel.slot().is_some() && !kernel.core.is_failing() {
            let next = self.ready.borrow_mut().pop_front();
            let Some(next) = next else { break };
            let (event, caller) = (next.event.idx(), next.caller.idx());
            let answer = kernel.core.dispatch_to(
                kernel.frame.session.slot,
                next.sender,
                event,
                caller,
                next.arg,
                next.place,
                false,
            );
            crate::error::drop_quietly(answer);
        }
        self.delivering.set(false);
    }
}
