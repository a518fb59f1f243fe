//! Resources from outside the crate (POE::Resource): one of each type per kernel, made at the first use.

use super::{Core, Kernel, KernelRef, Target};
use crate::debug::debug_fields;
use crate::error::{Error, ErrorKind, PostError, PostErrorKind, quietly};
use crate::event::Posts;
use crate::id::{Place, SessionId};
use crate::resource::{Hold, HoldKind, Resource};
use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::panic::Location;
use std::rc::{Rc, Weak};

/// The kernel's resources of other crates, in the order in which they were made.
#[derive(Default)]
pub(super) struct Resources(RefCell<Vec<Entry>>);

#[derive(Clone)]
struct Entry {
    kind: TypeId,
    itself: Rc<dyn Any>,
    table: Rc<dyn Resource>,
}

impl Resources {
    fn find<R: Resource>(&self) -> Option<Rc<R>> {
        let entries = self.0.borrow();
        let entry = entries.iter().find(|entry| entry.kind == TypeId::of::<R>())?;
        entry.itself.clone().downcast().ok()
    }

    fn all(&self) -> Vec<Rc<dyn Resource>> {
        self.0.borrow().iter().map(|entry| entry.table.clone()).collect()
    }
}

/// A guard that keeps a session alive: a [`Resource`] keeps it in its entries.
///
/// Made with [`KernelRef::hold_session`] or [`Kernel::hold_session`]. While it exists the kernel is not idle, as with a
/// reference count. After its session was stopped it holds nothing.
///
/// ```
/// use poe::{Event, Kernel, Session, event::{START, STOP}};
/// const EXPIRED: Event<&'static str> = Event::new("expired");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let id = Session::builder("nothing")
///     .on(START, |_, ()| ())
///     .on(EXPIRED, |cx, what| *cx.heap = what)
///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, "the lease"))
///     .create(&kernel)?;
/// let hold = kernel.hold_session(id)?; // an entry of a resource keeps it
/// assert_eq!(hold.session(), id);
/// let line = hold.report("lease", "printer"); // the resource's `holds` reports the entry
/// assert_eq!(line.to_string(), format!("lease `printer` ({}:{})", hold.place().file(), hold.place().line()));
/// hold.post(EXPIRED, "the lease")?;
/// drop(hold); // with the entry
/// kernel.run().await
/// # }).unwrap();
/// ```
pub struct SessionHold {
    core: Weak<Core>,
    session: SessionId,
    place: Place,
}

impl SessionHold {
    /// Returns the session that it holds.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Returns the file and line that took it.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// Queues an event for the session, so that a resource can notify it. The sender is the running session, or the
    /// kernel.
    ///
    /// # Errors
    /// [`PostError`] with the argument, when the session is gone.
    #[track_caller]
    #[doc(alias = "tell")]
    #[doc(alias = "send")]
    #[doc(alias = "notify")]
    #[doc(alias = "do_send")]
    #[doc(alias = "cast")]
    pub fn post<A: 'static>(&self, event: impl Posts<A>, arg: A) -> Result<(), PostError<A>> {
        let (place, to) = (Location::caller(), self.session);
        match self.core.upgrade() {
            Some(core) => core.post_from(None, to.into(), event.key(), arg, place),
            None => Err(PostError::new(
                event.key().as_str(),
                PostErrorKind::NoSuchSession(Target::from(to).wanted()),
                arg,
            )),
        }
    }

    /// Makes a line for [`Resource::holds`], with this kind and name, and the place that took the hold.
    #[must_use]
    pub fn report(&self, kind: &'static str, name: impl Into<String>) -> Hold {
        Hold {
            kind: HoldKind::Other(kind),
            name: name.into(),
            count: 1,
            place: self.place,
        }
    }
}

impl Drop for SessionHold {
    fn drop(&mut self) {
        if let Some(core) = self.core.upgrade() {
            core.release_outside(self.session, self.place);
        }
    }
}

debug_fields!([] SessionHold, "SessionHold", |this| { session: this.session, place: this.place });

impl Core {
    pub(super) fn resource<R: Resource + Default>(&self) -> Rc<R> {
        if let Some(resource) = self.resources.find() {
            return resource;
        }
        let made = Rc::new(R::default());
        // Its `default` may have asked for the same one.
        if let Some(resource) = self.resources.find() {
            return resource;
        }
        self.resources.0.borrow_mut().push(Entry {
            kind: TypeId::of::<R>(),
            itself: made.clone(),
            table: made.clone(),
        });
        made
    }

    pub(super) fn hold_session(&self, id: SessionId, place: Place) -> Result<SessionHold, Error> {
        let slot = self.sessions.borrow().resolve(id).filter(|_| !id.is_kernel());
        let Some(slot) = slot else {
            return Err(ErrorKind::NoSuchSession(id.to_string()).into());
        };
        self.outside.borrow_mut().take(slot, place);
        self.sessions.borrow_mut().hold(slot);
        self.trace_held(slot, HoldKind::Other("hold"), "of a resource");
        Ok(SessionHold {
            core: self.weak(),
            session: id,
            place,
        })
    }

    fn release_outside(&self, id: SessionId, place: Place) {
        let slot = self.sessions.borrow().resolve(id);
        if let Some(slot) = slot
            && self.outside.borrow_mut().release(slot, place)
        {
            self.sessions.borrow_mut().release(slot);
            self.trace_released(slot, HoldKind::Other("hold"), "of a resource");
            self.wake_host();
        }
    }

    /// Tells every resource that a session is at its end.
    pub(super) fn clear_resources(&self, id: SessionId) {
        if self.resources.0.borrow().is_empty() {
            return;
        }
        for resource in self.resources.all() {
            quietly("a resource panicked when it was to let go of a session", || {
                resource.clear(id)
            });
        }
    }

    /// The holds of resources on a session; and where the others were taken, if the resources do not list all.
    pub(super) fn outside_holds(&self, slot: u32, id: SessionId, holds: &mut Vec<Hold>) {
        let mut places = self.outside.borrow().places(slot);
        for resource in self.resources.all() {
            let mut told = Vec::new();
            quietly("a resource panicked when it was to tell what it holds", || {
                resource.holds(id, &mut told);
            });
            for hold in &told {
                for _ in 0..hold.count {
                    if let Some(at) = places.iter().position(|place| *place == hold.place) {
                        places.swap_remove(at);
                    }
                }
            }
            holds.append(&mut told);
        }
        holds.extend(places.into_iter().map(|place| Hold {
            kind: HoldKind::Other("hold"),
            name: "of no resource that tells".to_owned(),
            count: 1,
            place,
        }));
    }
}

impl Kernel {
    /// Returns the kernel's resource of this type, made at the first use. Other crates add kinds of resources to
    /// kernels with it: see [`Resource`].
    ///
    /// ```
    /// use poe::{Kernel, SessionId, extend::Resource, inspect::Hold};
    /// use std::cell::Cell;
    ///
    /// #[derive(Default)]
    /// struct Tickets(Cell<u32>);
    /// impl Resource for Tickets {
    ///     fn holds(&self, _: SessionId, _: &mut Vec<Hold>) {} // keeps nobody
    /// }
    /// let kernel = Kernel::new();
    /// kernel.resource::<Tickets>().0.set(7);
    /// assert_eq!(kernel.resource::<Tickets>().0.get(), 7); // one for the kernel …
    /// assert_eq!(Kernel::new().resource::<Tickets>().0.get(), 0); // … and one for each other
    /// ```
    #[doc(alias = "POE::Resource")]
    #[must_use]
    pub fn resource<R: Resource + Default>(&self) -> Rc<R> {
        self.core().resource()
    }

    /// Keeps a session alive until the returned guard is dropped, for resources of other crates. (Programs use
    /// [`refcount_increment`](Self::refcount_increment).)
    ///
    /// # Errors
    /// There is no such session.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let id = Session::builder(()).on(START, |_, ()| ()).create(&kernel)?;
    /// let hold = kernel.hold_session(id)?;
    /// assert!(kernel.why_alive().to_string().contains("hold `of no resource that tells`"));
    /// drop(hold);
    /// kernel.run().await?;
    /// assert!(kernel.hold_session(id).unwrap_err().is_no_such_session());
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn hold_session(&self, id: SessionId) -> Result<SessionHold, Error> {
        let core = self.core();
        let held = core.hold_session(id, Location::caller());
        core.logged("hold_session", held)
    }
}

/// Resources of other crates, as their extension traits use them:
///
/// ```
/// # use poe::{Session, SessionId, KernelRef, event::START, extend::{Resource, SessionHold}, inspect::Hold};
/// # use std::cell::RefCell;
/// /// Sessions that must not end yet, a [`Resource`].
/// #[derive(Default)]
/// struct Pins(RefCell<Vec<SessionHold>>);
/// # impl Resource for Pins {
/// #     fn holds(&self, session: SessionId, holds: &mut Vec<Hold>) {
/// #         let pins = self.0.borrow();
/// #         holds.extend(pins.iter().filter(|pin| pin.session() == session).map(|pin| pin.report("pin", "here")));
/// #     }
/// #     fn clear(&self, session: SessionId) {
/// #         self.0.borrow_mut().retain(|pin| pin.session() != session);
/// #     }
/// # }
/// # trait PinApi {
/// #     fn pin(self) -> Result<(), poe::Error>;
/// #     fn unpin(self);
/// # }
///
/// impl PinApi for KernelRef<'_> {
///     #[track_caller] // so that `why_alive` names the line of the program
///     fn pin(self) -> Result<(), poe::Error> {
///         let hold = self.hold_session(self.session_id())?;
///         self.resource::<Pins>().0.borrow_mut().push(hold);
///         Ok(())
///     }
///     fn unpin(self) {
///         self.resource::<Pins>().clear(self.session_id());
///     }
/// }
/// # tokio_test::block_on(async { tokio::time::pause();
/// let kernel = poe::testing::kernel();
/// Session::builder(())
///     .on(START, |cx, ()| {
///         cx.delay("tired", 60.0, ());
///         cx.pin()
///     })
///     .on("tired", |cx, ()| {
///         assert!(cx.why_alive().to_string().contains("pin `here`"));
///         cx.unpin(); // its last reason to live
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
impl KernelRef<'_> {
    /// Returns the kernel's resource of this type: see [`Kernel::resource`].
    #[doc(alias = "POE::Resource")]
    #[must_use]
    pub fn resource<R: Resource + Default>(self) -> Rc<R> {
        self.core.resource()
    }

    /// Keeps a session alive until the returned guard is dropped: see [`Kernel::hold_session`].
    ///
    /// # Errors
    /// There is no such session.
    #[track_caller]
    pub fn hold_session(self, id: SessionId) -> Result<SessionHold, Error> {
        let held = self.core.hold_session(id, Location::caller());
        self.core.logged("hold_session", held)
    }
}
