//! Delivers the results of tasks to their sessions.

use crate::arg::AnyArg;
use crate::error::{Failure, drop_quietly};
use crate::id::{Place, SessionId};
use crate::kernel::dispatch::discard;
use crate::kernel::{Core, Die, Frame};
use crate::name::{HeldName, Name, NameIdx};
use std::cell::Cell;

impl Core {
    /// The panic or failure of a session's task is a DIE of the session, as a handler's is.
    pub(crate) fn raise_for_task(&self, owner: SessionId, event: Name, failure: &Failure, place: Place) {
        let die = Die {
            failure: failure.clone(),
            event,
            session: owner,
            sender: owner,
            caller_state: None,
            place,
        };
        self.raise_die(die, false);
    }

    /// Dispatches an event of a task to its session at once, from the session itself, as POE's watchers do (law L75).
    /// False if nothing more may come: the session is gone, or the kernel is about to stop.
    pub(crate) fn deliver_now(&self, owner: SessionId, event: NameIdx, arg: &mut AnyArg, place: Place) -> bool {
        let object = self.sessions.borrow().object_of(owner);
        let Some(object) = object else {
            drop_quietly(std::mem::take(arg));
            return false;
        };
        // The handler may make the wheel forget the name.
        self.names.retain(event);
        let frame = Frame {
            session: owner,
            event: Cell::new(event),
            sender: owner,
            caller: NameIdx::NONE,
            place,
            answer: None,
        };
        self.dispatch(object, &frame, arg, false);
        discard(arg);
        self.names.release(event);
        self.run.pace.step(self);
        !self.die.is_fatal()
    }

    /// Posts a task's result to its session.
    pub(crate) fn deliver(&self, owner: SessionId, event: &HeldName, arg: AnyArg, place: Place) -> bool {
        let Some(slot) = self.sessions.borrow().resolve(owner) else {
            return false;
        };
        self.enqueue_known(slot, slot, event.idx(), NameIdx::NONE, arg, place);
        true
    }
}
