//! A pool as sessions and other threads see it: posts, calls, names and topics across its kernels.

use super::directory::{Directory, Member, What, no_member};
use crate::error::{Error, PostError, PostErrorKind};
use crate::event::{Calls, EventName, Posts};
use crate::id::SessionId;
use crate::kernel::{KernelHandle, KernelRef, ReplyFuture, Target};
use std::fmt;
use std::sync::Arc;

/// Reaches the sessions of any kernel of a pool, by ID or by name: `Send`, `Sync`, cheap to clone; sessions may keep it.
///
/// # Names
///
/// A session can have names that the whole pool knows ([`alias_set`](Self::alias_set)). A name keeps its session alive and goes with it, as an
/// alias does. The aliases of a single kernel are separate: [`kernel`](Self::kernel) reaches them.
///
/// # Publish and subscribe
///
/// A session [subscribes](Self::subscribe) to an event, and gets all values that are [published](Self::publish) with it from then on, as events,
/// whichever kernel it is on. Values of one publisher arrive in the order in which it published them.
///
/// ```
/// use poe::{Event, Session, component::{KernelPool, PoolHandle}, event::START};
/// use std::time::Duration;
/// const TRADE: Event<u32> = Event::new("trade");
/// const BUY: Event<u32> = Event::new("buy");
/// # tokio_test::block_on(async {
/// let pool = KernelPool::builder(2)
///     .setup(|kernel, number| async move {
///         Session::builder(0)
///             .on(START, move |cx, ()| -> poe::HandlerResult {
///                 let pool = PoolHandle::of(cx.kernel).expect("a kernel of a pool");
///                 if number == 0 {
///                     pool.alias_set(cx.kernel, "book")?;
///                 }
///                 Ok(pool.subscribe(cx.kernel, TRADE)?)
///             })
///             .on(BUY, |cx, price| {
///                 let pool = PoolHandle::of(cx.kernel).expect("a kernel of a pool");
///                 pool.publish(TRADE, price);
///             })
///             .on(TRADE, |cx, price| *cx.heap += price)
///             .create(&kernel)
///             .map(drop)
///     })
///     .start()?;
/// pool.handle().post("book", BUY, 7)?; // on whichever kernel it is
/// # let _ = pool.shutdown(Duration::from_secs(5)).await;
/// # Ok::<(), poe::Failure>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct PoolHandle {
    kernels: Arc<[KernelHandle]>,
    directory: Arc<Directory>,
}

impl PoolHandle {
    pub(super) fn new(kernels: Vec<KernelHandle>) -> Self {
        PoolHandle {
            kernels: kernels.into(),
            directory: Arc::default(),
        }
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Returns the handle of the pool that a session's kernel belongs to, if it belongs to one.
    #[must_use]
    pub fn of(kernel: KernelRef<'_>) -> Option<PoolHandle> {
        kernel.resource::<Member>().pool()
    }

    /// Finds a session and the handle of its kernel: a name is looked up in the pool.
    fn find(&self, target: &Target<'_>) -> Option<(&KernelHandle, SessionId)> {
        let session = match target {
            Target::Id(session) => *session,
            Target::Alias(name) => self.resolve(name)?,
        };
        Some((self.kernel_of(session)?, session))
    }

    /// Posts to a session of any kernel of the pool, by ID or by a [name](Self::alias_set) that the pool knows.
    ///
    /// # Errors
    /// As [`KernelHandle::post`]; also, with the argument inside, if no session of the pool has the name, or the ID belongs to no kernel of this pool.
    #[track_caller]
    pub fn post<'t, A: Send + 'static>(
        &self,
        to: impl Into<Target<'t>>,
        event: impl Posts<A>,
        arg: A,
    ) -> Result<(), PostError<A>> {
        let to = to.into();
        match self.find(&to) {
            Some((kernel, session)) => kernel.post(session, event, arg),
            None => Err(PostError::new(
                event.key().as_str(),
                PostErrorKind::NoSuchSession(to.wanted()),
                arg,
            )),
        }
    }

    /// Calls a handler of a session of any kernel of the pool, by ID or by [name](Self::alias_set), and gives its reply as a future.
    ///
    /// # Errors
    /// As [`KernelHandle::call`]; also, with the argument inside, if no session of the pool has the name, or the ID belongs to no kernel of this pool.
    #[track_caller]
    pub fn call<'t, A: Send + 'static, R: Send + 'static>(
        &self,
        to: impl Into<Target<'t>>,
        event: impl Calls<A, R>,
        arg: A,
    ) -> ReplyFuture<A, R> {
        let to = to.into();
        match self.find(&to) {
            Some((kernel, session)) => kernel.call(session, event, arg),
            None => ReplyFuture::to_nobody(event.key().as_str(), to.wanted(), arg),
        }
    }

    /// Gives the running session a name that the whole pool knows; no effect if it has that name already.
    ///
    /// The name keeps the session alive. It is free again when the session has stopped, or its kernel has ended.
    ///
    /// # Errors
    /// Another session of the pool has the name; the session has been stopped; its kernel does not belong to this pool.
    #[track_caller]
    #[doc(alias = "register")]
    #[doc(alias = "registry")]
    #[doc(alias = "whereis")]
    pub fn alias_set(&self, kernel: KernelRef<'_>, name: &str) -> Result<(), Error> {
        self.enter(kernel, What::Name(name.to_owned()))
    }

    /// Removes a name of the running session; returns false if it did not have that name.
    pub fn alias_remove(&self, kernel: KernelRef<'_>, name: &str) -> bool {
        self.leave(kernel, &What::Name(name.to_owned()))
    }

    /// Returns the session of the pool that has a name.
    #[must_use]
    #[doc(alias = "whereis")]
    pub fn resolve(&self, name: &str) -> Option<SessionId> {
        self.directory.resolve(name)
    }

    /// Delivers to the running session what is published with this event on any kernel of the pool; no effect if it has subscribed already.
    ///
    /// The subscription keeps the session alive.
    ///
    /// # Errors
    /// The session has been stopped; its kernel does not belong to this pool.
    #[track_caller]
    pub fn subscribe(&self, kernel: KernelRef<'_>, topic: impl EventName) -> Result<(), Error> {
        self.enter(kernel, What::Topic(topic.name().to_owned()))
    }

    /// Ends a subscription of the running session; returns false if it had none. What was published before still arrives.
    pub fn unsubscribe(&self, kernel: KernelRef<'_>, topic: impl EventName) -> bool {
        self.leave(kernel, &What::Topic(topic.name().to_owned()))
    }

    /// Posts a value to all sessions that have subscribed to the event, on all kernels, in the order in which they subscribed.
    ///
    /// Never blocks. A publisher that has subscribed itself gets the value, too. A subscriber that stops before it gets the value leaves a
    /// dead letter.
    #[track_caller]
    #[doc(alias = "broadcast")]
    pub fn publish<A: Clone + Send + 'static>(&self, topic: impl Posts<A>, value: A) -> Published<A> {
        let subscribers = self.directory.subscribers(topic.key().as_str());
        let mut published = Published {
            delivered: 0,
            refused: Vec::new(),
        };
        for session in subscribers.iter() {
            match self.post(*session, topic.key().as_str(), value.clone()) {
                Ok(()) => published.delivered += 1,
                Err(refused) => published.refused.push((*session, refused)),
            }
        }
        published
    }

    #[track_caller]
    fn enter(&self, kernel: KernelRef<'_>, what: What) -> Result<(), Error> {
        let hold = kernel.hold_session(kernel.session_id())?;
        self.member(kernel)?.enter(hold, what)
    }

    fn leave(&self, kernel: KernelRef<'_>, what: &What) -> bool {
        let member = self.member(kernel);
        member.is_ok_and(|member| member.leave(kernel.session_id(), what))
    }

    fn member(&self, kernel: KernelRef<'_>) -> Result<std::rc::Rc<Member>, Error> {
        let member = kernel.resource::<Member>();
        let is_ours = member
            .pool()
            .is_some_and(|pool| Arc::ptr_eq(&pool.directory, &self.directory));
        if is_ours { Ok(member) } else { Err(no_member()) }
    }

    /// Returns the handle of one kernel, counted from 0, for the aliases of that kernel.
    ///
    /// ```
    /// use poe::{Event, Reply, Session, component::KernelPool, event::START};
    /// const NUMBER: Event<(), usize> = Event::new("number");
    /// # tokio_test::block_on(async {
    /// let pool = KernelPool::new(2)?;
    /// pool.each(|kernel, number| async move {
    ///     let session = Session::builder(number).on(START, |cx, ()| cx.alias_set("who"));
    ///     session.on(NUMBER, |cx, ()| Reply(*cx.heap)).create(&kernel)
    /// })
    /// .await?;
    /// assert_eq!(pool.handle().kernel(1).unwrap().call("who", NUMBER, ()).await?, 1);
    /// assert!(pool.handle().kernel(2).is_none());
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn kernel(&self, index: usize) -> Option<&KernelHandle> {
        self.kernels.get(index)
    }

    /// Returns the handle of the kernel that a session belongs to; `None` if it is not one of this pool.
    #[must_use]
    pub fn kernel_of(&self, session: SessionId) -> Option<&KernelHandle> {
        self.kernels
            .iter()
            .find(|kernel| kernel.kernel_id().kernel == session.kernel)
    }

    /// Returns the handles of all kernels.
    ///
    /// ```
    /// # use poe::component::KernelPool;
    /// let pool = KernelPool::new(3)?;
    /// assert_eq!(pool.handle().iter().count(), 3);
    /// # Ok::<(), poe::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &KernelHandle> {
        self.kernels.iter()
    }
}

impl fmt::Debug for PoolHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PoolHandle").field(&self.kernels).finish()
    }
}

/// Who got a value that was [published](PoolHandle::publish).
#[derive(Debug)]
#[non_exhaustive]
pub struct Published<A> {
    /// How many subscribers it was posted to.
    pub delivered: usize,
    /// The subscribers that it could not be posted to, for instance because their kernel's inbox is full, with the value.
    pub refused: Vec<(SessionId, PostError<A>)>,
}
