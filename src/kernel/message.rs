//! Messages: post, yield, call, and the lookup of targets.

use super::spans::Cause;
use super::{Core, Frame, Kernel, KernelRef, flags};
use crate::arg::AnyArg;
use crate::error::{PostError, PostErrorKind, Wanted};
use crate::event::Posts;
use crate::id::{Place, SessionId};
use crate::name::{Key, Name, NameIdx};
use crate::queue::event_queue::{EventQueue, Post};
use crate::resource::sessions::KERNEL;
use std::borrow::Cow;
use std::mem::ManuallyDrop;
use std::panic::Location;

/// The target of a message: a session's ID or an alias; `into` makes it from either.
///
/// ```
/// use poe::{Kernel, Target};
/// let kernel = Kernel::new();
/// assert!(matches!(Target::from("logger"), Target::Alias(_)));
/// assert!(matches!(Target::from(kernel.id()), Target::Id(_)));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Target<'a> {
    /// By ID.
    Id(SessionId),
    /// By alias.
    Alias(Cow<'a, str>),
}

impl From<SessionId> for Target<'_> {
    #[inline]
    fn from(id: SessionId) -> Self {
        Target::Id(id)
    }
}

impl<'a> From<&'a str> for Target<'a> {
    fn from(alias: &'a str) -> Self {
        Target::Alias(Cow::Borrowed(alias))
    }
}

impl<'a> From<&'a String> for Target<'a> {
    fn from(alias: &'a String) -> Self {
        Target::Alias(Cow::Borrowed(alias))
    }
}

impl From<String> for Target<'_> {
    fn from(alias: String) -> Self {
        Target::Alias(Cow::Owned(alias))
    }
}

impl<'a> From<&'a Name> for Target<'a> {
    fn from(alias: &'a Name) -> Self {
        Target::Alias(Cow::Borrowed(alias.as_str()))
    }
}

impl Target<'_> {
    pub(crate) fn wanted(&self) -> Wanted {
        match self {
            Target::Id(id) => Wanted::Id(*id),
            Target::Alias(alias) => Wanted::Alias(alias.to_string()),
        }
    }
}

/// With any of these a post is told to somebody.
const TOLD: u32 = flags::WATCHING | flags::SPANNED | flags::PROBING | flags::ASLEEP | flags::BOUNDED;

impl Core {
    /// The slot behind a target.
    #[inline]
    pub(crate) fn resolve(&self, target: &Target<'_>) -> Option<u32> {
        match target {
            Target::Id(id) => self.sessions.borrow().resolve(*id),
            Target::Alias(alias) => self.aliases.borrow().resolve(alias),
        }
    }

    /// The slot of the present sender: the active session, or the kernel when there is none (any more).
    pub(crate) fn active_slot(&self) -> u32 {
        self.sessions.borrow().resolve(self.active.session()).unwrap_or(KERNEL)
    }

    /// Queues an event with a name that is in use already. Both ends hold it until it is taken out for dispatch (laws L7, L26).
    #[inline]
    pub(crate) fn enqueue_known(&self, to: u32, from: u32, name: NameIdx, caller: NameIdx, arg: AnyArg, place: Place) {
        self.names.retain_pair(name, caller);
        self.hold_ends(to, from);
        self.push(to, from, name, caller, place, arg);
    }

    /// The last step of every post: behind all that was posted before, and behind every timer that is due by now.
    ///
    /// The entry is made where it is stored, from its parts: see [`ActiveCell`](super::extension::ActiveCell) for why.
    #[inline(always)]
    fn push<A: 'static>(&self, to: u32, from: u32, name: NameIdx, caller: NameIdx, place: Place, arg: A) {
        self.push_into(&mut self.queue_mut(), to, from, name, caller, place, arg);
        self.tell_of_own(to, from, name, place);
    }

    /// The rest of an event of the kernel's own, which no inbox refuses, when nothing is borrowed any more.
    #[inline(always)]
    pub(super) fn tell_of_own(&self, to: u32, from: u32, name: NameIdx, place: Place) {
        if self.flags.get() & (TOLD & !flags::BOUNDED) != 0 {
            self.tell_of_post_slowly(to, from, name, place);
        }
    }

    #[inline(always)]
    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of one event; a struct would be built to be taken apart"
    )]
    pub(super) fn push_into<A: 'static>(
        &self,
        queue: &mut EventQueue,
        to: u32,
        from: u32,
        name: NameIdx,
        caller: NameIdx,
        place: Place,
        arg: A,
    ) {
        if queue.next_due() != u64::MAX {
            self.stamp(queue);
        }
        queue.post(Post {
            to,
            from,
            name,
            caller,
            place,
            arg: ManuallyDrop::new(AnyArg::new(arg)),
        });
    }

    /// The rest of a post, when nothing is borrowed any more: reports it to subscribers, and wakes a host that sleeps.
    ///
    /// False if the post was refused, with its argument in [`take_refused`](Self::take_refused).
    #[inline(always)]
    fn tell_of_post(&self, to: u32, from: u32, name: NameIdx, place: Place) -> bool {
        self.flags.get() & TOLD == 0 || self.admit_post(to, from, name, place)
    }

    /// False if the post was taken out again, because the receiver's inbox is full.
    #[cold]
    #[inline(never)]
    fn admit_post(&self, to: u32, from: u32, name: NameIdx, place: Place) -> bool {
        if self.flags.get() & flags::BOUNDED != 0 && self.bound_post(to) {
            return false;
        }
        self.tell_of_post_slowly(to, from, name, place);
        true
    }

    #[cold]
    #[inline(never)]
    fn tell_of_post_slowly(&self, to: u32, from: u32, name: NameIdx, place: Place) {
        self.watch_post(None, Cause::here);
        if self.is_watching() {
            self.trace_post(to, from, name, place);
        }
        self.wake_host();
    }

    /// Notes the cause of the last post, and marks it, where somebody wants that.
    fn watch_post(&self, sent: Option<u64>, cause: impl FnOnce() -> Cause) {
        if self.is_spanned() {
            self.note_cause(cause());
        }
        if self.flags.get() & flags::PROBING != 0 {
            self.mark_post(sent);
        }
    }

    /// Queues what another thread has sent: behind all that was posted before, dated when it was sent. So a timer that was due
    /// later does not overtake it (law L4), though it may be due by now.
    ///
    /// A post joins the current run, and with it the time of the last post; a new run begins at the time of sending if a
    /// timer was due by then, and [`Queue::stamp`] does not let it be earlier than the run before (law L2).
    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of one event; a struct would be built to be taken apart"
    )]
    pub(super) fn enqueue_sent(
        &self,
        to: u32,
        key: Key<'_>,
        caller: NameIdx,
        arg: AnyArg,
        place: Place,
        sent: u64,
        cause: Cause,
    ) {
        let name = self.names.acquire(key);
        self.hold_ends(to, KERNEL);
        if self.is_watching() {
            self.trace_post(to, KERNEL, name, place);
        }
        let mut queue = self.queue_mut();
        if queue.next_due() <= sent
            && let Some(now) = self.clock.now_if_due(queue.next_due())
        {
            queue.stamp(now.min(sent));
        }
        queue.post(Post {
            to,
            from: KERNEL,
            name,
            caller,
            place,
            arg: ManuallyDrop::new(arg),
        });
        drop(queue);
        self.watch_post(Some(sent), || cause);
        if name != NameIdx::SIGNAL {
            self.bound_sent(to);
        }
        self.wake_host();
    }

    #[inline]
    fn stamp(&self, queue: &mut EventQueue) {
        if let Some(now) = self.clock.now_if_due(queue.next_due()) {
            queue.stamp(now);
        }
    }

    #[inline]
    fn hold_ends(&self, to: u32, from: u32) {
        self.sessions.borrow_mut().hold_ends(to, from);
    }

    /// Gives back what an entry that leaves the queue held of its ends, the receiver first, as POE does.
    #[inline]
    pub(super) fn release_ends(&self, to: u32, from: u32) {
        self.sessions.borrow_mut().release_ends(to, from);
    }

    /// Releases all that an entry held which has left the queue: its ends, and its names.
    pub(super) fn release_entry(&self, to: u32, from: u32, name: NameIdx, caller: NameIdx) {
        self.release_ends(to, from);
        self.names.release_pair(name, caller);
    }

    /// Posts as the session of `frame`, or as the active one.
    #[inline(always)]
    pub(crate) fn post_from<A: 'static>(
        &self,
        frame: Option<&Frame<'_>>,
        target: Target<'_>,
        key: Key<'_>,
        arg: A,
        place: Place,
    ) -> Result<(), PostError<A>> {
        match target {
            Target::Id(id) => self.post_to(frame, id, key, arg, place),
            Target::Alias(alias) => {
                let slot = self.aliases.borrow().resolve(&alias);
                match slot {
                    Some(slot) => {
                        let id = self.sessions.borrow().id(slot);
                        self.post_to(frame, id, key, arg, place)
                    }
                    None => Err(self.refuse(key.as_str(), &Target::Alias(alias), arg, place)),
                }
            }
        }
    }

    #[inline(always)]
    fn post_to<A: 'static>(
        &self,
        frame: Option<&Frame<'_>>,
        target: SessionId,
        key: Key<'_>,
        arg: A,
        place: Place,
    ) -> Result<(), PostError<A>> {
        let mut sessions = self.sessions.borrow_mut();
        // An event to the kernel, which has no handlers (law L16), holds its sender until its turn comes, too.
        // A session that was stopped in its own handler posts as the kernel (law L87).
        let speaks = || !self.active.session().is_kernel();
        let sender = frame.map_or_else(|| self.active.session(), |frame| frame.session);
        let Some(from) = sessions.hold_post(target, sender.slot, sender.serial, speaks) else {
            drop(sessions);
            return Err(self.refuse(key.as_str(), &Target::Id(target), arg, place));
        };
        let to = target.slot;
        let caller = self.active.event();
        let name = self.names.acquire_pair(key, caller);
        self.push_into(&mut sessions.queue, to, from, name, caller, place, arg);
        drop(sessions);
        if !self.tell_of_post(to, from, name, place)
            && let Some((arg, kind)) = self.take_refused()
        {
            return Err(PostError::new(key.as_str(), kind, arg));
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn refuse<A>(&self, event: &str, target: &Target<'_>, arg: A, place: Place) -> PostError<A> {
        let wanted = target.wanted();
        self.tell_unreachable(event, &wanted, place);
        PostError::new(event, PostErrorKind::NoSuchSession(wanted), arg)
    }

    pub(crate) fn active_event(&self) -> Option<Name> {
        let event = self.active.event();
        (event != NameIdx::NONE).then(|| self.names.name(event))
    }
}

impl KernelRef<'_> {
    /// Queues an event for a session, given by ID or alias. Never blocks, and has no limit (law L10).
    ///
    /// The target is looked up now, its handler when the event is delivered (law L8).
    ///
    /// # Errors
    /// [`PostError`] with the argument, when the target does not exist. A post to the kernel itself is dropped.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::{START, STOP}};
    /// const SQUARE: Event<u32> = Event::new("square");
    /// const RESULT: Event<u32> = Event::new("result");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| cx.alias_set("calculator"))
    ///     .on(SQUARE, |cx, n| -> poe::HandlerResult { Ok(cx.post(cx.sender(), RESULT, n * n)?) })
    ///     .create(&kernel)?;
    /// Session::builder(0)
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         cx.post("calculator", SQUARE, 7)?; // by alias
    ///         let refused = cx.post("abacus", SQUARE, 8).unwrap_err();
    ///         assert_eq!(refused.into_arg(), 8);
    ///         Ok(())
    ///     })
    ///     .on(RESULT, |cx, n| *cx.heap = n)
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, 49))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    #[inline(always)]
    #[doc(alias = "tell")]
    #[doc(alias = "send")]
    #[doc(alias = "notify")]
    #[doc(alias = "do_send")]
    #[doc(alias = "cast")]
    pub fn post<'t, A: 'static>(
        self,
        target: impl Into<Target<'t>>,
        event: impl Posts<A>,
        arg: A,
    ) -> Result<(), PostError<A>> {
        let posted = self
            .core
            .post_from(Some(self.frame), target.into(), event.key(), arg, Location::caller());
        self.core.logged("post", posted)
    }

    /// Queues an event for the running session itself (POE's `yield`, which is a keyword in Rust).
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::{START, STOP}};
    /// const COUNT: Event<u32> = Event::new("count");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(Vec::new())
    ///     .on(START, |cx, ()| cx.yield_to(COUNT, 3))
    ///     .on(COUNT, |cx, n| {
    ///         cx.heap.push(n);
    ///         if n > 1 {
    ///             cx.yield_to(COUNT, n - 1); // other sessions have their turns in between
    ///         }
    ///     })
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, [3, 2, 1]))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "yield")]
    #[track_caller]
    #[inline(always)]
    #[doc(alias = "send")]
    #[doc(alias = "self")]
    pub fn yield_to<A: 'static>(self, event: impl Posts<A>, arg: A) {
        let core = self.core;
        // A session that was stopped in its own handler yields into nothing (law L87).
        let mut sessions = core.sessions.borrow_mut();
        let Some(slot) = sessions.hold_self(self.frame.session) else {
            drop(sessions);
            self.tell_ended(event.key().as_str(), Location::caller());
            return;
        };
        let caller = core.active.event();
        let name = core.names.acquire_pair(event.key(), caller);
        let place = Location::caller();
        core.push_into(&mut sessions.queue, slot, slot, name, caller, place, arg);
        drop(sessions);
        if !core.tell_of_post(slot, slot, name, place) {
            core.bury_refused(slot, event.key(), place);
        }
    }
}

impl Kernel {
    /// Queues an event for a session from outside a handler; the sender is the kernel (or the running session).
    ///
    /// # Errors
    /// [`PostError`] with the argument, when the target does not exist.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START};
    /// const GREET: Event<&'static str> = Event::new("greet");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let id = Session::builder(())
    ///     .on(START, |_, ()| ())
    ///     .on(GREET, |_, whom| println!("hello, {whom}"))
    ///     .create(&kernel)?;
    /// kernel.post(id, GREET, "world")?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    #[doc(alias = "tell")]
    #[doc(alias = "send")]
    #[doc(alias = "notify")]
    #[doc(alias = "do_send")]
    #[doc(alias = "cast")]
    pub fn post<'t, A: 'static>(
        &self,
        target: impl Into<Target<'t>>,
        event: impl Posts<A>,
        arg: A,
    ) -> Result<(), PostError<A>> {
        let core = self.core();
        let posted = core.post_from(None, target.into(), event.key(), arg, Location::caller());
        core.logged("post", posted)
    }
}
