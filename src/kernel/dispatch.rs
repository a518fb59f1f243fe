//! Dispatches one event to one handler: the active session and event, and the consequences of a failure.

use super::deferred::Origin;
use super::handle::Queued;
use super::trace::Observed;
use super::{Active, Core, Frame, Invoke, Invoked, KernelRef, flags};
use crate::arg::AnyArg;
use crate::error::Failure;
use crate::id::{Place, SessionId};
use crate::name::NameIdx;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;

impl Core {
    /// Invokes a session's handler with the session as the active one. A failure becomes a `DIE` signal to it, or a
    /// fatal error where POE has it so: in `_stop` and in DIE handlers (`fatal`), after `stop`, and with catching off.
    #[inline(always)]
    pub(crate) fn dispatch(&self, object: Rc<dyn Invoke>, frame: &Frame<'_>, arg: &mut AnyArg, fatal: bool) -> Invoked {
        let observed = self.is_listening().then(|| self.begin_observed(frame, true));
        self.dispatch_observed(object, frame, arg, fatal, observed)
    }

    #[inline(always)]
    fn dispatch_observed(
        &self,
        object: Rc<dyn Invoke>,
        frame: &Frame<'_>,
        arg: &mut AnyArg,
        fatal: bool,
        observed: Option<Observed>,
    ) -> Invoked {
        let name = frame.event.get();
        let before = self.active.get();
        self.active.set(Active {
            session: frame.session,
            event: name,
        });
        let result = catch_unwind(AssertUnwindSafe(|| object.invoke(KernelRef { core: self, frame }, arg)));
        let invoked = match result {
            Ok(invoked) => invoked,
            Err(payload) => failed(payload),
        };
        if let Some(observed) = observed {
            self.end_observed(observed, frame, &invoked);
        }
        match &invoked {
            Invoked::Returned => {}
            Invoked::Failed(failure) => self.handler_failed(failure, frame, name, arg, fatal),
            Invoked::Unhandled => self.tell_unhandled(frame, name),
        }
        // The object may be the last of a session that ended meanwhile: its heap is dropped here, still as its own.
        drop_object(object);
        self.active.set(before);
        invoked
    }

    /// Invokes a session's handler, with the session as the active one, and raises nothing if it fails.
    pub(super) fn invoke_contained(&self, object: Rc<dyn Invoke>, frame: &Frame<'_>, arg: &mut AnyArg) -> Invoked {
        let observed = self.is_listening().then(|| self.begin_observed(frame, true));
        let before = self.active.get();
        self.active.set(Active {
            session: frame.session,
            event: frame.event.get(),
        });
        let result = catch_unwind(AssertUnwindSafe(|| object.invoke(KernelRef { core: self, frame }, arg)));
        let invoked = result.unwrap_or_else(failed);
        if let Some(observed) = observed {
            self.end_observed(observed, frame, &invoked);
        }
        drop_object(object);
        self.active.set(before);
        invoked
    }

    #[cold]
    #[inline(never)]
    fn handler_failed(&self, failure: &Failure, frame: &Frame<'_>, name: NameIdx, arg: &AnyArg, fatal: bool) {
        if self.is_undeliverable(failure, frame, arg) {
            return;
        }
        let stopped = self.active.session().is_kernel();
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
        place: Place,
        fatal: bool,
    ) -> Option<AnyArg> {
        let (object, session) = {
            let sessions = self.sessions.borrow();
            (sessions.object(to)?, sessions.id(to))
        };
        let answer = Cell::new(AnyArg::UNIT);
        let frame = Frame {
            session,
            event: Cell::new(name),
            sender,
            caller,
            place,
            answer: Some(&answer),
        };
        let invoked = self.dispatch(object, &frame, &mut arg, fatal);
        discard(&mut arg);
        match invoked {
            Invoked::Returned => Some(answer.into_inner()),
            Invoked::Unhandled | Invoked::Failed(_) => {
                discard(&mut answer.into_inner());
                None
            }
        }
    }

    /// Dispatches an event of the loop, where no other handler is on the stack, to the object of its receiver.
    ///
    /// The active session is left as it was in the handler: the loop sets it to none when something else than the next event follows.
    #[inline(always)]
    pub(super) fn dispatch_post(&self, object: Rc<dyn Invoke>, frame: &Frame<'_>, arg: &mut ManuallyDrop<AnyArg>) {
        let name = frame.event.get();
        if name.is_plain(frame.caller) && (!self.is_listening() || self.is_counted_only()) {
            self.dispatch_plain(object, frame, arg);
        } else {
            self.dispatch_otherwise(object, frame, arg);
        }
        // Nearly every argument has been taken by now, or needs no dropping: one look for both.
        if arg.is_heavy() {
            self.drop_untaken(arg);
        }
    }

    /// An event with a constant as its name, of which nobody hears but its receiver.
    #[inline(always)]
    fn dispatch_plain(&self, object: Rc<dyn Invoke>, frame: &Frame<'_>, arg: &mut AnyArg) {
        let name = frame.event.get();
        self.active.enter(frame.session.serial, frame.session.slot, name);
        match catch_unwind(AssertUnwindSafe(|| object.invoke(KernelRef { core: self, frame }, arg))) {
            Ok(Invoked::Returned) => {}
            otherwise => self.post_failed(otherwise, frame, name, arg),
        }
        drop_object(object);
    }

    /// All other events: those that somebody watches, those with names of the run time, and the kernel's own items.
    #[inline(never)]
    fn dispatch_otherwise(&self, object: Rc<dyn Invoke>, frame: &Frame<'_>, arg: &mut AnyArg) {
        let name = frame.event.get();
        if self.is_listening() {
            self.look_for_mark();
            if self.is_spanned() {
                self.find_cause();
            }
        }
        if name.is_internal() || frame.session.is_kernel() {
            // A signal may end the session; its heap must be dropped with it, and not by this loop.
            drop(object);
            self.active.set_idle();
            let _cause = self.is_spanned().then(|| self.enter_cause());
            self.dispatch_internal(frame, name, arg);
        } else if self.is_listening() {
            // Most events are only counted.
            let timed = self.count_dispatch();
            if timed || self.flags.get() & (flags::WATCHING | flags::SPANNED) != 0 {
                self.dispatch_told(object, frame, arg, timed);
            } else {
                self.dispatch_plain(object, frame, arg);
            }
        } else {
            self.dispatch_plain(object, frame, arg);
        }
        self.names.release_pair(name, frame.caller);
    }

    /// An event that is reported to listeners, or that is timed.
    #[inline(never)]
    fn dispatch_told(&self, object: Rc<dyn Invoke>, frame: &Frame<'_>, arg: &mut AnyArg, timed: bool) {
        let name = frame.event.get();
        self.active.set_idle();
        let observed = self.begin_counted(frame, true, timed);
        let invoked = self.dispatch_observed(object, frame, arg, false, Some(observed));
        self.unhandled_letter(&invoked, frame, name, arg);
    }

    #[cold]
    #[inline(never)]
    fn drop_untaken(&self, arg: &mut ManuallyDrop<AnyArg>) {
        self.active.set_idle();
        let arg = std::mem::replace(&mut **arg, AnyArg::UNIT);
        crate::error::drop_quietly(arg);
    }

    #[cold]
    #[inline(never)]
    fn post_failed(&self, result: std::thread::Result<Invoked>, frame: &Frame<'_>, name: NameIdx, arg: &mut AnyArg) {
        let invoked = result.unwrap_or_else(failed);
        match &invoked {
            Invoked::Returned => {}
            Invoked::Failed(failure) => self.handler_failed(failure, frame, name, arg, false),
            Invoked::Unhandled if frame.session.is_kernel() => {
                self.active.set_idle();
                return self.tell_swallowed_post(name, frame.sender, frame.place);
            }
            Invoked::Unhandled => self.tell_unhandled(frame, name),
        }
        self.unhandled_letter(&invoked, frame, name, arg);
    }

    /// The kernel's own queue items, and events that are posted to the kernel.
    #[cold]
    #[inline(never)]
    fn dispatch_internal(&self, frame: &Frame<'_>, name: NameIdx, arg: &mut AnyArg) {
        let to = frame.session;
        // A marker only gave a new session time until the first sweep behind it (law L23).
        if name == NameIdx::SIGNAL {
            // The event of a signal carries the signal's name where others have their caller.
            self.dispatch_signal(to.slot, frame.caller, std::mem::take(arg), frame.place);
        } else if name == NameIdx::CALL
            && let Some(call) = arg.take::<Queued>()
        {
            let origin = Origin {
                sender: frame.sender,
                caller: frame.caller,
                place: frame.place,
            };
            call.run(self, to, origin);
        } else if to.is_kernel() && name != NameIdx::GC {
            self.tell_swallowed_post(name, frame.sender, frame.place);
        }
    }

    /// A life-cycle event, sent by the kernel.
    pub(super) fn notify(&self, to: u32, name: NameIdx, arg: AnyArg) {
        let reply = self.dispatch_to(to, self.id(), name, NameIdx::NONE, arg, Location::caller(), false);
        if let Some(mut value) = reply {
            discard(&mut value);
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
pub(crate) fn discard(value: &mut AnyArg) {
    if value.is_boxed() {
        discard_boxed(value);
    }
}

#[cold]
#[inline(never)]
fn discard_boxed(value: &mut AnyArg) {
    crate::error::drop_quietly(std::mem::take(value));
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
