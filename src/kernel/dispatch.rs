//! One event to one handler: who is active meanwhile, and what a failure does.

use super::{Active, Core, Frame, Invoke, Invoked, Turn};
use crate::arg::AnyArg;
use crate::error::Failure;
use crate::id::SessionId;
use crate::name::NameIdx;
use crate::queue::{Entry, Fired};
use crate::resource::sessions::KERNEL;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;

impl Core {
    /// Invokes a session's handler with the session as the active one. A failure becomes a `DIE` signal to it, or a
    /// fatal error where POE has it so: in `_stop` and in DIE handlers (`fatal`), after `stop`, and with catching off.
    #[inline(always)]
    pub(crate) fn dispatch(&self, object: Rc<dyn Invoke>, frame: &Frame, arg: &mut AnyArg, fatal: bool) -> Invoked {
        let started = if self.is_watching() {
            self.observe(frame, true);
            self.slow_start()
        } else {
            0
        };
        let name = frame.event.get();
        let before = self.active.replace(Active {
            session: frame.session,
            event: name,
        });
        let result = catch_unwind(AssertUnwindSafe(|| object.invoke(Turn { core: self, frame }, arg)));
        if started != 0 {
            self.report_if_slow(started, frame);
        }
        let invoked = match result {
            Ok(invoked) => invoked,
            Err(payload) => failed(payload),
        };
        if let Invoked::Failed(failure) = &invoked {
            self.handler_failed(failure, frame, name, fatal);
        }
        // The object may be the last of a session that ended meanwhile: its heap is dropped here, still as its own.
        drop_object(object);
        self.active.set(before);
        invoked
    }

    #[cold]
    #[inline(never)]
    fn handler_failed(&self, failure: &Failure, frame: &Frame, name: NameIdx, fatal: bool) {
        let stopped = self.active.get().session.is_kernel();
        self.raise(failure, frame, name, fatal || stopped);
    }

    /// An event for a session in a slot, from outside the queue. The answer, if the handler gave one.
    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of one event; a struct would be built to be taken apart"
    )]
    pub(crate) fn dispatch_to(
        &self,
        to: u32,
        sender: SessionId,
        name: NameIdx,
        caller: NameIdx,
        mut arg: AnyArg,
        place: &'static Location<'static>,
        fatal: bool,
    ) -> Option<AnyArg> {
        let (object, session) = {
            let sessions = self.sessions.borrow();
            (sessions.object(to)?, sessions.id(to))
        };
        let frame = Frame::new(session, name, sender, caller, place);
        let invoked = self.dispatch(object, &frame, &mut arg, fatal);
        discard(arg);
        match invoked {
            Invoked::Returned => Some(frame.answer.into_inner()),
            Invoked::Unhandled | Invoked::Failed(_) => {
                discard(frame.answer.into_inner());
                None
            }
        }
    }

    /// Dispatches what the queue gave: a signal, the marker of a new session, or an event for a handler.
    #[inline]
    pub(crate) fn dispatch_post(&self, mut entry: Entry) {
        let (object, session, sender, mark) = {
            let mut sessions = self.sessions.borrow_mut();
            let sender = sessions.id(entry.from);
            let (object, session, mark) = sessions.take_event(entry.to, entry.from);
            (object, session, sender, mark)
        };
        match object {
            Some(object) if entry.name != NameIdx::SIGNAL && entry.name != NameIdx::GC => {
                let frame = Frame::new(session, entry.name, sender, entry.caller, entry.place);
                self.dispatch(object, &frame, &mut entry.arg, false);
                discard(frame.answer.into_inner());
            }
            object => {
                // A signal may end the session, whose heap must go with it and not with a look of ours.
                drop(object);
                self.dispatch_internal(&mut entry);
            }
        }
        self.names.release_pair(entry.name, entry.caller);
        if mark != 0 {
            self.sessions.borrow_mut().confirm_mark(session, mark);
        }
        discard(entry.arg);
        if self.die.is_fatal() {
            self.stop_all();
        }
    }

    /// The kernel's own queue items.
    #[cold]
    #[inline(never)]
    fn dispatch_internal(&self, entry: &mut Entry) {
        // A marker only gave a new session time until the first sweep behind it (law L23).
        if entry.name == NameIdx::SIGNAL {
            self.dispatch_signal(entry.to, entry.caller, std::mem::take(&mut entry.arg), entry.place);
        }
    }

    pub(crate) fn dispatch_timer(&self, entry: Entry, fired: &Fired) {
        {
            let mut sessions = self.sessions.borrow_mut();
            let record = sessions.get_mut(entry.to);
            self.queue.borrow_mut().unlink_fired(&mut record.first_timer, fired);
        }
        self.dispatch_post(entry);
    }

    /// A life-cycle event, sent by the kernel.
    pub(super) fn notify(&self, to: u32, name: NameIdx, arg: AnyArg) {
        let answer = match to {
            KERNEL => Some(arg),
            to => self.dispatch_to(to, self.id(), name, NameIdx::NONE, arg, Location::caller(), false),
        };
        if let Some(value) = answer {
            discard(value);
        }
    }
}

#[cold]
#[inline(never)]
fn failed(payload: Box<dyn std::any::Any + Send>) -> Invoked {
    Invoked::Failed(Failure::from_panic(payload))
}

/// Drops an argument that nobody took, or an answer that nobody wants. Its `Drop` is user code and may panic; that must
/// not take the kernel along.
#[inline]
pub(super) fn discard(value: AnyArg) {
    if value.is_boxed() {
        discard_boxed(value);
    }
}

#[cold]
#[inline(never)]
fn discard_boxed(value: AnyArg) {
    crate::error::drop_quietly(value);
}

/// A heap's `Drop` is user code and may panic; that must not take the kernel along.
#[inline]
fn drop_object(object: Rc<dyn Invoke>) {
    if Rc::strong_count(&object) == 1 {
        drop_last(object);
    }
}

#[cold]
#[inline(never)]
fn drop_last(object: Rc<dyn Invoke>) {
    crate::error::drop_quietly(object);
}
