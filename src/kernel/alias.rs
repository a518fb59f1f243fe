//! Aliases: names of sessions. An alias keeps its session alive, but only as long as something else can still act (law
//! L90).

use super::{Core, Kernel, KernelRef, Target};
use crate::error::{Error, ErrorKind};
use crate::id::{Place, SessionId};
use crate::name::Name;
use crate::resource::HoldKind;
use crate::resource::extrefs::TagKind;
use std::panic::Location;

impl Core {
    pub(crate) fn alias_set(&self, slot: u32, alias: &str, place: Place) -> Result<(), Error> {
        let owner = self.aliases.borrow().resolve(alias);
        match owner {
            Some(owner) if owner == slot => Ok(()),
            Some(owner) => Err(self.taken(alias, owner)),
            None => {
                self.aliases.borrow_mut().set(slot, Name::from(alias), place);
                self.sessions.borrow_mut().hold(slot);
                self.trace_held(slot, HoldKind::Alias, alias);
                Ok(())
            }
        }
    }

    /// Refuses an alias that somebody has, before a session is made for it.
    pub(crate) fn check_alias(&self, alias: Option<&str>) -> Result<(), Error> {
        let taken = alias.and_then(|alias| Some((alias, self.aliases.borrow().resolve(alias)?)));
        match taken {
            Some((alias, owner)) => Err(self.taken(alias, owner)),
            None => Ok(()),
        }
    }

    fn taken(&self, alias: &str, owner: u32) -> Error {
        let owner = self.sessions.borrow().id(owner);
        let alias = alias.to_owned();
        ErrorKind::AliasTaken { alias, owner }.into()
    }

    pub(crate) fn alias_remove(&self, slot: u32, alias: &str) -> Result<(), Error> {
        if self.aliases.borrow().resolve(alias).is_none() {
            return Err(ErrorKind::NoSuchAlias(alias.to_owned()).into());
        }
        if !self.aliases.borrow_mut().remove(slot, alias) {
            return Err(ErrorKind::NotPermitted("the alias belongs to another session").into());
        }
        self.sessions.borrow_mut().release(slot);
        self.trace_released(slot, HoldKind::Alias, alias);
        Ok(())
    }

    fn named(&self, target: &Target<'_>) -> Result<u32, Error> {
        let slot = self.resolve(target);
        slot.ok_or_else(|| ErrorKind::NoSuchSession(target.wanted().to_string()).into())
    }
}

impl KernelRef<'_> {
    /// Gives the session a name that others can post to; no effect if it has that name already.
    ///
    /// # Errors
    /// Another session has the name (`EEXIST`); the session has been stopped.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let logger = || Session::builder(()).on(START, |cx, ()| cx.alias_set("logger"));
    /// let first = logger().create(&kernel).unwrap();
    /// assert_eq!(kernel.resolve("logger"), Some(first));
    /// logger().create(&kernel).unwrap();
    /// // The second one's `_start` failed, and nobody handled it:
    /// let error = kernel.run().await.unwrap_err();
    /// assert!(error.to_string().ends_with("the alias `logger` is taken by session 1"));
    /// # });
    /// ```
    #[track_caller]
    #[doc(alias = "register")]
    #[doc(alias = "registry")]
    #[doc(alias = "name")]
    #[doc(alias = "whereis")]
    pub fn alias_set(self, alias: &str) -> Result<(), Error> {
        let place = Location::caller();
        let slot = self.own_slot();
        let set = slot.and_then(|slot| self.core.alias_set(slot, alias, place));
        self.core.logged("alias_set", set)
    }

    /// Removes one of the session's names. Events posted with it still arrive.
    ///
    /// # Errors
    /// No session has it (`ESRCH`); another session has it (`EPERM`).
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::{START, STOP}};
    /// const JOB: Event<u32> = Event::new("job");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(0)
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         cx.alias_set("worker")?;
    ///         cx.post("worker", JOB, 7)?; // the session is found now, and stays the target
    ///         cx.alias_remove("worker")?;
    ///         assert!(cx.alias_remove("worker").unwrap_err().is_no_such_alias());
    ///         assert!(cx.post("worker", JOB, 8).unwrap_err().is_no_such_session());
    ///         Ok(())
    ///     })
    ///     .on(JOB, |cx, n| *cx.heap += n)
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, 7))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn alias_remove(self, alias: &str) -> Result<(), Error> {
        let slot = self.own_slot();
        let removed = slot.and_then(|slot| self.core.alias_remove(slot, alias));
        self.core.logged("alias_remove", removed)
    }

    /// Returns the session that has an alias, or the session with that ID if it is alive.
    ///
    /// # Errors
    /// There is none (decision D1: POE gives no reason).
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(()).on(START, |cx, ()| cx.alias_set("logger")).create(&kernel)?;
    /// Session::builder(())
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let logger = cx.alias_resolve("logger")?;
    ///         assert_eq!(logger.get(), 1);
    ///         assert_eq!(cx.alias_resolve(logger)?, logger); // an ID that is alive is itself
    ///         assert!(cx.alias_resolve("nobody").unwrap_err().is_no_such_session());
    ///         Ok(())
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn alias_resolve<'t>(self, target: impl Into<Target<'t>>) -> Result<SessionId, Error> {
        let target = target.into();
        let slot = self.core.named(&target);
        let found = slot.map(|slot| self.core.sessions.borrow().id(slot));
        self.core.logged("alias_resolve", found)
    }

    /// Returns the session's aliases, sorted.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         cx.alias_set("web")?;
    ///         cx.alias_set("api")?;
    ///         assert_eq!(cx.alias_list(), ["api", "web"]);
    ///         for alias in cx.alias_list() {
    ///             cx.alias_remove(&alias)?;
    ///         }
    ///         assert!(cx.alias_list().is_empty());
    ///         Ok(())
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn alias_list(self) -> Vec<Name> {
        self.slot()
            .map_or_else(Vec::new, |slot| self.core.aliases.borrow().list(slot))
    }

    /// Returns another session's aliases, sorted.
    ///
    /// # Errors
    /// There is no such session.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(()).on(START, |cx, ()| cx.alias_set("logger")).create(&kernel)?;
    /// Session::builder(())
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let logger = cx.alias_resolve("logger")?;
    ///         assert_eq!(cx.alias_list_of(logger)?, ["logger"]);
    ///         assert!(cx.alias_list().is_empty()); // this session has none
    ///         Ok(())
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "alias_list")]
    #[track_caller]
    pub fn alias_list_of<'t>(self, target: impl Into<Target<'t>>) -> Result<Vec<Name>, Error> {
        let target = target.into();
        let slot = self.core.named(&target);
        let found = slot.map(|slot| self.core.aliases.borrow().list(slot));
        self.core.logged("alias_list_of", found)
    }
}

// Reference counts that programs take, and the one tag that all postbacks of a session share.
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
