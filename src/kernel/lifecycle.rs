//! How sessions start, stop, and change parents: laws L18 to L39.

use super::dispatch::discard;
use super::{Active, AtOnce, Core, Invoke, Kernel, Target};
use crate::arg::AnyArg;
use crate::error::{Error, ErrorKind, OnFailure};
use crate::event::{Child, ChildReason, Parent};
use crate::id::{Place, SessionId};
use crate::name::NameIdx;
use crate::resource::HoldKind;
use crate::resource::sessions::KERNEL;
use std::panic::Location;
use std::rc::Rc;

impl Core {
    /// Enters a session and runs its `_start`; its parent is the active session.
    pub(crate) fn create(
        &self,
        object: Rc<dyn Invoke>,
        args: AnyArg,
        on_failure: Option<OnFailure>,
        place: Place,
    ) -> Result<SessionId, Error> {
        if self.is_shutting_down() {
            return Err(ErrorKind::ShuttingDown.into());
        }
        self.reopen_inbox();
        // What was set for the session itself goes first.
        if self.config.assert_states && !object.options().iter().any(|(name, _)| name == "default") {
            drop(object.set_option("default", Some("1")));
        }
        let creator = self.active_slot();
        let (creator_id, id) = {
            let mut sessions = self.sessions.borrow_mut();
            let id = sessions.allocate(creator, object, place);
            sessions.get_mut(id.slot).on_failure = on_failure;
            (sessions.id(creator), id)
        };
        self.trace_session("created", id);
        self.trace_held(creator, HoldKind::Child, "a session");
        let result = self.dispatch_to(id.slot, creator_id, NameIdx::START, NameIdx::NONE, args, place, false);
        let mut sessions = self.sessions.borrow_mut();
        let Some((record, _)) = sessions.own_with_queue(id) else {
            return Ok(id);
        };
        record.starting = false;
        // Not the creator if the session detached itself in `_start` (law L25).
        let parent = sessions.parent(id.slot).unwrap_or(KERNEL);
        // The kernel is not told, and a result in place needs no drop.
        if parent != KERNEL || result.as_ref().is_some_and(AnyArg::is_heavy) {
            let parent = sessions.id(parent);
            drop(sessions);
            self.notify_of_child(parent, ChildReason::Create, id, result);
            sessions = self.sessions.borrow_mut();
        }
        // The marker that keeps a new session until the first sweep behind it (law L23). Its names are not counted.
        if let Some(slot) = sessions.hold_self(id) {
            self.push_into(&mut sessions.queue, slot, slot, NameIdx::GC, NameIdx::NONE, place, ());
            drop(sessions);
            self.tell_of_own(slot, slot, NameIdx::GC, place);
        }
        Ok(id)
    }

    /// Ends a session: passes its children on, runs `_stop`, sends its parent `_child`, and releases everything that it held.
    pub(crate) fn stop_session(&self, slot: u32) {
        let (id, parent_id) = {
            let mut sessions = self.sessions.borrow_mut();
            if std::mem::replace(&mut sessions.get_mut(slot).stopping, true) {
                return;
            }
            let parent = sessions.parent(slot).unwrap_or(KERNEL);
            (sessions.id(slot), sessions.id(parent))
        };
        self.trace_session("stopping", id);
        if self.sessions.borrow().oldest_child(slot).is_some() {
            self.pass_children(slot, parent_id);
        }
        let active = self.active.session();
        let place = Location::caller();
        let result = self.dispatch_to(slot, active, NameIdx::STOP, NameIdx::NONE, AnyArg::UNIT, place, true);
        let end = self.are_ends_watched().then(|| self.end_of(id));
        self.notify_of_child(parent_id, ChildReason::Lose, id, result);
        // A `stop` inside those handlers passes this session over, so it is still here.
        self.free_session(slot);
        if let Some(end) = end {
            self.tell_end(id, &end);
        }
    }

    /// Tells the parent of a session that ends, and its children, of each other.
    #[inline(never)]
    fn pass_children(&self, slot: u32, parent: SessionId) {
        let children: Vec<SessionId> = {
            let sessions = self.sessions.borrow();
            sessions.children(slot).map(|c| sessions.id(c)).collect()
        };
        for child in children {
            self.notify_of_child(parent, ChildReason::Gain, child, None);
            let told = {
                let sessions = self.sessions.borrow();
                let slot = sessions.resolve(child);
                // Another than this session, if the new parent's handler has moved the child meanwhile.
                slot.map(|slot| (slot, sessions.id(sessions.parent(slot).unwrap_or(KERNEL))))
            };
            if let Some((slot, old)) = told {
                self.notify(slot, NameIdx::PARENT, AnyArg::new(Parent { old, new: parent }));
            }
        }
    }

    /// Sends `_child` to a parent. No event is built for the kernel, which has no handlers, nor for a parent that the handlers of
    /// those told before have ended.
    fn notify_of_child(&self, parent: SessionId, reason: ChildReason, session: SessionId, mut result: Option<AnyArg>) {
        let told = match parent.is_kernel() {
            true => None,
            false => self.sessions.borrow().resolve(parent),
        };
        if let Some(told) = told {
            let child = Child {
                reason,
                session,
                result,
            };
            self.notify(told, NameIdx::CHILD, AnyArg::new(child));
        } else if let Some(result) = &mut result {
            discard(result);
        }
    }

    /// POE's `stop`: every session, children before parents; the queue is empty then and the kernel is active.
    #[cold]
    #[inline(never)]
    pub(crate) fn stop_all(&self) {
        let order: Vec<SessionId> = {
            let sessions = self.sessions.borrow();
            let mut order: Vec<u32> = sessions.children(KERNEL).collect();
            let mut at = 0;
            while let Some(slot) = order.get(at) {
                let children: Vec<u32> = sessions.children(*slot).collect();
                order.extend(children);
                at += 1;
            }
            order.into_iter().rev().map(|s| sessions.id(s)).collect()
        };
        self.remember_policies(&order);
        for id in order {
            let slot = self.sessions.borrow().resolve(id);
            if let Some(slot) = slot {
                self.stop_session(slot);
            }
            let mut sessions = self.sessions.borrow_mut();
            if let Some(slot) = sessions.resolve(id) {
                sessions.get_mut(slot).passed_over = true;
            }
        }
        // The handler that called this runs on: its event stays the active one, only its session is gone.
        self.active.set(Active {
            session: self.id(),
            ..self.active.get()
        });
        self.sweep();
        self.run.stop_asked.set(true);
        self.wake_host();
    }

    /// The sessions directly below one, the oldest first: for components that look after their own.
    pub(crate) fn children_of(&self, session: SessionId) -> Vec<SessionId> {
        let sessions = self.sessions.borrow();
        let slot = sessions.resolve(session);
        slot.map_or_else(Vec::new, |slot| {
            sessions.children(slot).map(|c| sessions.id(c)).collect()
        })
    }

    /// Makes a session a child of the kernel, at its own wish or its parent's. The old parent's event comes first, then the child's; the
    /// tree changes last (law L39).
    pub(crate) fn detach(&self, child: SessionId, itself: bool) -> Result<(), Error> {
        if self.is_too_deep() {
            return Err(self.too_deep());
        }
        let (slot, parent) = {
            let sessions = self.sessions.borrow();
            let slot = sessions
                .resolve(child)
                .ok_or_else(|| ErrorKind::NoSuchSession(format!("{child}")))?;
            (slot, sessions.parent(slot).unwrap_or(KERNEL))
        };
        let old = self.sessions.borrow().id(parent);
        if itself {
            if parent == KERNEL {
                return Err(ErrorKind::NotPermitted("a child of the kernel cannot detach itself").into());
            }
        } else if old != self.active.session() || parent == KERNEL {
            return Err(ErrorKind::NotPermitted("only a session's own child can be detached").into());
        }
        // No `lose` without a `create` before it: a session that detaches itself in `_start` was never announced.
        // (A `_start` that was posted is an event like others.)
        let starting = self.sessions.borrow().get(slot).starting && self.active.event() == NameIdx::START;
        if !(itself && starting) {
            self.notify_of_child(old, ChildReason::Lose, child, None);
        }
        if self.sessions.borrow().resolve(child).is_none() {
            return Ok(());
        }
        self.notify(slot, NameIdx::PARENT, AnyArg::new(Parent { old, new: self.id() }));
        if self.sessions.borrow().resolve(child).is_some() {
            self.sessions.borrow_mut().move_child(slot, KERNEL);
        }
        Ok(())
    }
}

/// ```
/// use poe::{Kernel, Session, event::START};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let id = Session::builder(()).on(START, |cx, ()| cx.alias_set("logger")).create(&kernel)?;
/// assert_eq!(kernel.resolve("logger"), Some(id)); // by alias
/// assert_eq!(kernel.resolve(id), Some(id)); // by ID
/// assert_eq!(kernel.session_by_number(1), Some(id)); // by what a log says
/// assert!(kernel.is_alive(id));
/// kernel.run().await?; // an alias alone does not keep a kernel busy
/// assert!(!kernel.is_alive(id));
/// assert_eq!(kernel.resolve("logger"), None);
/// assert_eq!(kernel.session_by_number(1), None);
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
impl Kernel {
    /// Creates a session of a custom type. `Session::builder` and `Nfa::builder` use it, too.
    ///
    /// # Errors
    /// Busy, inside a handler; shutting down.
    ///
    /// ```
    /// use poe::{AnyArg, Kernel, Name, KernelRef, extend::{Invoke, Invoked}};
    /// use std::{cell::RefCell, rc::Rc};
    ///
    /// /// Keeps the names of all its events.
    /// #[derive(Default)]
    /// struct Recorder(RefCell<Vec<String>>);
    ///
    /// impl Invoke for Recorder {
    ///     fn invoke(&self, kernel: KernelRef<'_>, _: &mut AnyArg) -> Invoked {
    ///         self.0.borrow_mut().push(kernel.event().to_string());
    ///         Invoked::Returned
    ///     }
    ///     fn event_names(&self) -> Vec<Name> {
    ///         Vec::new()
    ///     }
    /// }
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let recorder = Rc::new(Recorder::default());
    /// let id = kernel.session_alloc(recorder.clone(), AnyArg::new("what `_start` is given"))?;
    /// kernel.post(id, "hello", ())?;
    /// kernel.run().await?;
    /// assert_eq!(*recorder.0.borrow(), ["_start", "hello", "_stop"]);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn session_alloc(&self, session: Rc<dyn Invoke>, args: AnyArg) -> Result<SessionId, Error> {
        create_at_once(&mut { self }, session, args, None, Location::caller())
    }

    /// Stops every session, children first. Each runs its `_stop`, and the queue is empty afterwards (law L87).
    ///
    /// Under [`serve`](Kernel::serve) that ends the run.
    ///
    /// A `_stop` that fails or panics does not prevent those of the others, and is not an error of this method: the run
    /// that is under way, or the next one, returns it.
    ///
    /// # Errors
    /// Busy, inside a handler: use [`Context::stop_all`](crate::Context::stop_all).
    ///
    /// ```
    /// use poe::{Kernel, Session, event::{START, STOP}, testing::Sequence};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let stops = Sequence::of(["child", "parent"]);
    /// let [child, parent] = [stops.clone(), stops.clone()];
    /// Session::builder(())
    ///     .on(START, move |cx, ()| -> poe::HandlerResult {
    ///         let child = child.clone();
    ///         cx.create(Session::builder(()).on(START, |_, ()| ()).on(STOP, move |_, ()| child.reach("child")))?;
    ///         cx.delay("work", 3600.0, ());
    ///         Ok(())
    ///     })
    ///     .on(STOP, move |_, ()| parent.reach("parent"))
    ///     .create(&kernel)?;
    /// kernel.stop_all()?;
    /// stops.assert_over();
    /// assert_eq!(kernel.session_count(), 0);
    /// kernel.run().await // at its end at once: the timer is gone, too
    /// # }).unwrap();
    /// ```
    #[doc(alias = "stop")]
    pub fn stop_all(&self) -> Result<(), Error> {
        AtOnce::at_once(&mut { self }, "stop", Core::stop_all)
    }

    /// Returns whether a session is alive.
    #[doc(alias = "ID_id_to_session")]
    #[must_use]
    pub fn is_alive(&self, id: SessionId) -> bool {
        self.core().sessions.borrow().resolve(id).is_some()
    }

    /// Returns the ID of the session with that serial number, as printed in logs.
    #[must_use]
    pub fn session_by_number(&self, serial: u64) -> Option<SessionId> {
        self.core().sessions.borrow().find(serial)
    }

    /// Returns the session that has an alias, or the session with that ID if it is alive.
    #[doc(alias = "alias_resolve")]
    #[must_use]
    pub fn resolve<'t>(&self, target: impl Into<Target<'t>>) -> Option<SessionId> {
        let core = self.core();
        let slot = core.resolve(&target.into())?;
        Some(core.sessions.borrow().id(slot))
    }
}

impl Core {
    #[cold]
    fn too_deep(&self) -> Error {
        ErrorKind::TooDeep(self.config.call_stack).into()
    }
}

/// The one road to creating a session, for a kernel and for a context.
pub(crate) fn create_at_once(
    caller: &mut impl AtOnce,
    session: Rc<dyn Invoke>,
    args: AnyArg,
    on_failure: Option<OnFailure>,
    place: Place,
) -> Result<SessionId, Error> {
    caller.at_once("creating a session", |core| match core.is_too_deep() {
        true => Err(core.too_deep()),
        false => core.create(session, args, on_failure, place),
    })?
}
