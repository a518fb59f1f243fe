//! Reference counts that programs take, and the one tag that all postbacks of a session share.

use super::{Core, Kernel, KernelRef};
use crate::error::{Error, ErrorKind};
use crate::id::{Place, SessionId};
use crate::resource::extrefs::TagKind;
use std::panic::Location;

/// What a reference count is called.
pub(crate) struct Tag<'a> {
    pub(crate) kind: TagKind,
    pub(crate) name: &'a str,
}

impl<'a> Tag<'a> {
    fn user(name: &'a str) -> Self {
        Tag {
            kind: TagKind::Refcount,
            name,
        }
    }
}

/// The tag of postbacks that post (or callbacks that call) an event.
pub(crate) fn postback_tag(event: &str) -> Tag<'_> {
    Tag {
        kind: TagKind::Postback,
        name: event,
    }
}

impl Core {
    pub(crate) fn refcount_increment(&self, id: SessionId, tag: &Tag<'_>, place: Place) -> Result<u64, Error> {
        let slot = self.slot_of(id)?;
        let change = self.extrefs.borrow_mut().increment(slot, tag.kind, tag.name, place);
        if change.edge {
            self.sessions.borrow_mut().hold(slot);
            self.trace_held(slot, tag.kind.into(), tag.name);
        }
        Ok(change.count)
    }

    pub(crate) fn refcount_decrement(&self, id: SessionId, tag: &Tag<'_>) -> Result<u64, Error> {
        let slot = self.slot_of(id)?;
        let Some(change) = self.extrefs.borrow_mut().decrement(slot, tag.kind, tag.name) else {
            return Err(ErrorKind::NoSuchTag {
                session: id,
                tag: tag.name.to_owned(),
            }
            .into());
        };
        if change.edge {
            self.sessions.borrow_mut().release(slot);
            self.trace_released(slot, tag.kind.into(), tag.name);
            // Nobody need be in a handler: the future must look whether this was the last reason to live.
            self.wake_host();
        }
        Ok(change.count)
    }

    pub(super) fn slot_of(&self, id: SessionId) -> Result<u32, Error> {
        let slot = self.sessions.borrow().resolve(id).filter(|_| !id.is_kernel());
        slot.ok_or_else(|| ErrorKind::NoSuchSession(id.to_string()).into())
    }
}

/// ```
/// use poe::{Event, Session, event::{START, STOP}};
/// const DONE: Event<()> = Event::new("done");
/// # tokio_test::block_on(async { tokio::time::pause();
/// let kernel = poe::testing::kernel();
/// let server = Session::builder(false)
///     .on(START, |_, ()| ())
///     .on(DONE, |cx, ()| *cx.heap = true)
///     .on(STOP, |cx, ()| assert!(*cx.heap))
///     .create(&kernel)?;
/// Session::builder(())
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         assert_eq!(cx.refcount_increment(server, "client")?, 1); // of that tag, and not of all
///         cx.delay("work", 60.0, ());
///         Ok(())
///     })
///     .on("work", move |cx, ()| -> poe::HandlerResult {
///         cx.post(server, DONE, ())?; // nothing else has kept it
///         assert_eq!(cx.refcount_decrement(server, "client")?, 0);
///         assert!(cx.refcount_decrement(server, "client").unwrap_err().is_no_such_tag());
///         Ok(())
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
impl KernelRef<'_> {
    /// Increments a session's count with this tag and returns the new count. A count above zero keeps the session
    /// alive. Any session may increment the counts of another, by its ID.
    ///
    /// # Errors
    /// There is no such session.
    #[track_caller]
    pub fn refcount_increment(self, id: SessionId, tag: &str) -> Result<u64, Error> {
        let count = self.core.refcount_increment(id, &Tag::user(tag), Location::caller());
        self.core.logged("refcount_increment", count)
    }

    /// Decrements a session's count with this tag and returns the new count; at zero the tag is gone.
    ///
    /// # Errors
    /// There is no such session, or it has no such tag (decision D5: a count does not go below zero).
    #[track_caller]
    pub fn refcount_decrement(self, id: SessionId, tag: &str) -> Result<u64, Error> {
        let count = self.core.refcount_decrement(id, &Tag::user(tag));
        self.core.logged("refcount_decrement", count)
    }
}

impl Kernel {
    /// Increments a session's count from outside a handler: see [`KernelRef::refcount_increment`].
    ///
    /// # Errors
    /// There is no such session.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// let kernel = Kernel::new();
    /// let id = Session::builder(()).on(START, |_, ()| ()).create(&kernel).unwrap();
    /// assert_eq!(kernel.refcount_increment(id, "mine").unwrap(), 1);
    /// assert_eq!(kernel.refcount_decrement(id, "mine").unwrap(), 0);
    /// assert!(kernel.refcount_decrement(id, "mine").unwrap_err().is_no_such_tag());
    /// ```
    #[track_caller]
    #[doc(alias = "keep_alive")]
    pub fn refcount_increment(&self, id: SessionId, tag: &str) -> Result<u64, Error> {
        let core = self.core();
        let count = core.refcount_increment(id, &Tag::user(tag), Location::caller());
        core.logged("refcount_increment", count)
    }

    /// Decrements a session's count from outside a handler: see [`KernelRef::refcount_decrement`].
    ///
    /// # Errors
    /// There is no such session, or it has no such tag.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let id = Session::builder(()).on(START, |_, ()| ()).create(&kernel)?;
    /// kernel.refcount_increment(id, "guest")?;
    /// kernel.refcount_increment(id, "guest")?;
    /// assert_eq!(kernel.refcount_decrement(id, "guest")?, 1);
    /// assert_eq!(kernel.refcount_decrement(id, "guest")?, 0); // the tag is gone, and so is the hold
    /// kernel.run().await?;
    /// assert!(kernel.refcount_decrement(id, "guest").unwrap_err().is_no_such_session());
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn refcount_decrement(&self, id: SessionId, tag: &str) -> Result<u64, Error> {
        let core = self.core();
        let count = core.refcount_decrement(id, &Tag::user(tag));
        core.logged("refcount_decrement", count)
    }
}
