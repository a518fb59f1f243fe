//! What a supervisor is told about each child: how it is started, when it comes back, how it is stopped.

use super::super::backoff::Backoff;
use super::builder::SupervisorBuilder;
use crate::error::{CallError, Error, Failure};
use crate::event::Calls;
use crate::id::SessionId;
use crate::kernel::{AtOnce, Core, KernelRef, Target};
use crate::session::{Caller, SessionBuilder, Start};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

/// Which children a supervisor restarts when one of them is to be restarted.
#[doc(alias = "one_for_one")]
#[doc(alias = "one_for_all")]
#[doc(alias = "rest_for_one")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// Only that child.
    #[default]
    OneForOne,
    /// All children: the others are stopped in reverse order, then all are started in order.
    OneForAll,
    /// That child and those after it, which depend on it.
    RestForOne,
}

/// When a supervisor restarts a child that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// Only if it failed.
    Transient,
    /// Never. The supervisor forgets the child when it has ended.
    Temporary,
}

pub(super) type StartFn = dyn Fn(&mut Starter<'_>) -> Result<SessionId, Failure>;
pub(super) type ReadyFn = Box<dyn FnOnce(&mut Starter<'_>) -> Result<SessionId, Failure>>;
pub(super) type PrepareFn = dyn Fn() -> Pin<Box<dyn Future<Output = Result<ReadyFn, Failure>>>>;

#[derive(Clone)]
pub(super) enum How {
    Now(Rc<StartFn>),
    /// After a future, which makes the function.
    Later(Rc<PrepareFn>),
}

/// How a supervisor starts, restarts and stops one child.
///
/// | setting | default |
/// |---|---|
/// | [`restart`](Self::restart) | [`Restart::Permanent`] |
/// | [`shutdown`](Self::shutdown) | 5 s; a supervisor has no limit |
/// | [`backoff`](Self::backoff) | none: a restart follows at once |
/// | [`alias`](Self::alias) | none |
///
/// ```
/// use poe::{Event, Session, SessionId, component::{Backoff, ChildSpec, Restart, Starter}, event::START};
/// use std::time::Duration;
/// const POLL: Event<()> = Event::new("poll");
/// fn start_feed(cx: &mut Starter<'_>) -> Result<SessionId, poe::Error> {
///     cx.create(Session::builder(0_u64).on(START, |cx, ()| cx.yield_to(POLL, ())).on(POLL, |cx, ()| *cx.heap += 1))
/// }
/// let feed = ChildSpec::new("feed", start_feed)
///     .alias("feed")
///     .restart(Restart::Transient)
///     .backoff(Backoff::new().first(Duration::from_millis(100)))
///     .shutdown(Duration::from_secs(2));
/// assert_eq!(feed.name(), "feed");
/// ```
#[derive(Clone)]
#[must_use = "a child is started by the supervisor that it is given to"]
pub struct ChildSpec {
    pub(super) name: Rc<str>,
    pub(super) how: How,
    pub(super) restart: Restart,
    pub(super) shutdown: Option<Duration>,
    pub(super) backoff: Option<Backoff>,
    pub(super) alias: Option<Rc<str>>,
    is_supervisor: bool,
}

impl ChildSpec {
    /// Describes a child whose session `start` creates, at each start.
    ///
    /// The function creates the session with the [`Starter`] that it is given, so that it is the supervisor's child, and
    /// returns its ID. It may create others: the child is the returned session with its descendants. Its error, its panic and a failed
    /// `_start` mean that the child could not be started.
    pub fn new<E: Into<Failure>>(
        name: impl Into<Rc<str>>,
        start: impl Fn(&mut Starter<'_>) -> Result<SessionId, E> + 'static,
    ) -> Self {
        ChildSpec::with(name.into(), How::Now(Rc::new(move |cx| start(cx).map_err(Into::into))))
    }

    /// Describes a child that needs asynchronous work before each start.
    ///
    /// The future is spawned; while it runs the child is [`Starting`](super::ChildState::Starting), and the children after it wait. Its output is
    /// given to `start`. An error of either means that the child could not be started.
    ///
    /// ```
    /// use poe::{Kernel, Session, component::{ChildSpec, Strategy, Supervisor}, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let connected = ChildSpec::prepared(
    ///     "store",
    ///     || async { tokio::task::yield_now().await; Ok::<_, std::io::Error>(7_u32) }, // connect to a database
    ///     |cx, connection| cx.create(Session::builder(connection).on(START, |cx, ()| assert_eq!(*cx.heap, 7))),
    /// );
    /// let connected = connected.restart(poe::component::Restart::Temporary);
    /// Supervisor::builder(Strategy::OneForOne).child(connected).start(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    pub fn prepared<T, Fut, E, E2>(
        name: impl Into<Rc<str>>,
        prepare: impl Fn() -> Fut + 'static,
        start: impl Fn(&mut Starter<'_>, T) -> Result<SessionId, E2> + 'static,
    ) -> Self
    where
        T: 'static,
        Fut: Future<Output = Result<T, E>> + 'static,
        E: Into<Failure>,
        E2: Into<Failure> + 'static,
    {
        let start = Rc::new(start);
        ChildSpec::with(
            name.into(),
            How::Later(Rc::new(move || {
                let (future, start) = (prepare(), start.clone());
                Box::pin(async move {
                    let prepared = future.await.map_err(Into::into)?;
                    let ready: ReadyFn = Box::new(move |cx| start(cx, prepared).map_err(Into::into));
                    Ok(ready)
                })
            })),
        )
    }

    /// Describes a supervisor as a child. It has no limit for its shutdown, since its own children have theirs.
    ///
    /// It is started when all of its children are; until then the children after it wait. When it gives up, it has failed, and this supervisor restarts it or gives up as well.
    ///
    /// ```
    /// use poe::component::{ChildSpec, Strategy, Supervisor};
    /// let feeds = ChildSpec::supervisor("feeds", || {
    ///     Supervisor::builder(Strategy::RestForOne) // .child(…).child(…)
    /// });
    /// let all = Supervisor::builder(Strategy::OneForOne).child(feeds);
    /// # drop(all);
    /// ```
    pub fn supervisor(name: impl Into<Rc<str>>, make: impl Fn() -> SupervisorBuilder + 'static) -> Self {
        let name: Rc<str> = name.into();
        let own = name.clone();
        let start = move |cx: &mut Starter<'_>| -> Result<SessionId, Failure> { Ok(make().start_below(cx, &own)?) };
        let mut spec = ChildSpec::with(name, How::Now(Rc::new(start)));
        spec.is_supervisor = true;
        spec
    }

    fn with(name: Rc<str>, how: How) -> Self {
        ChildSpec {
            name,
            how,
            restart: Restart::default(),
            shutdown: None,
            backoff: None,
            alias: None,
            is_supervisor: false,
        }
    }

    /// Returns the child's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sets when the child is restarted; default [`Restart::Permanent`].
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Sets how long the child may take to end after `KERNEL_SHUTDOWN` was sent to it and its descendants; default 5 seconds.
    ///
    /// Then it is killed: the sessions are stopped. With [`Duration::ZERO`] it is killed without being asked, with [`Duration::MAX`]
    /// the supervisor waits for ever. A session that does not watch `KERNEL_SHUTDOWN` ends at once.
    #[doc(alias = "brutal_kill")]
    pub fn shutdown(mut self, limit: Duration) -> Self {
        self.shutdown = Some(limit);
        self
    }

    /// Sets how long the supervisor waits before a restart; default not at all.
    ///
    /// The wait grows with each failure in a row; a child that has run for the period of the supervisor's intensity starts again with the first wait.
    /// When the backoff's attempts are used up, the supervisor gives up.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Gives the child's session an alias, which belongs to the supervisor while the child is down.
    ///
    /// Posts to the alias before the first start and between two lives are kept, up to 1024, and delivered to the next session in
    /// their order. Further ones are dead letters, as are the posts that a session has not handled when it ends. Calls are refused while the child is down.
    /// Do not set the alias in the session itself.
    pub fn alias(mut self, alias: impl Into<Rc<str>>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    pub(super) fn limit(&self) -> Duration {
        self.shutdown.unwrap_or(match self.is_supervisor {
            true => Duration::MAX,
            false => Duration::from_secs(5),
        })
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("name", &self.name)
            .field("restart", &self.restart)
            .field("shutdown", &self.limit())
            .field("backoff", &self.backoff)
            .field("alias", &self.alias)
            .finish_non_exhaustive()
    }
}

// What the function of a child is given.
/// Creates the sessions of a supervisor's child.
///
/// It is a [`Caller`] without a heap: what it creates and starts is a child of the supervisor's session.
pub struct Starter<'s> {
    pub(super) kernel: KernelRef<'s>,
    pub(super) name: &'s str,
    pub(super) starts: u64,
    /// The session says itself when it is started.
    pub(super) is_pending: bool,
}

impl Starter<'_> {
    /// Creates a session as a child of the supervisor, and runs its `_start` before it returns.
    ///
    /// # Errors
    /// There is no `_start` handler; the kernel is shutting down.
    #[track_caller]
    pub fn create<H: 'static, X: 'static>(&mut self, builder: SessionBuilder<H, X>) -> Result<SessionId, Error> {
        Caller::create(self, builder)
    }

    /// Starts a machine or a component, whose session is a child of the supervisor.
    ///
    /// # Errors
    /// As the builder's own `start`.
    #[track_caller]
    pub fn start<B: Start>(&mut self, builder: B) -> Result<B::Started, Error> {
        builder.start_by(self)
    }

    /// Runs a session's handler now and returns its reply: see [`Context::call`](crate::Context::call).
    ///
    /// # Errors
    /// As [`Context::call`](crate::Context::call).
    #[track_caller]
    pub fn call<'t, A: 'static, B: 'static>(
        &mut self,
        target: impl Into<Target<'t>>,
        event: impl Calls<A, B>,
        arg: A,
    ) -> Result<B, CallError<A>> {
        Caller::call(self, target, event, arg)
    }

    /// Returns the child's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// Returns the number of starts before this one: 0 at the first.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.starts
    }

    /// Returns the supervisor's session.
    #[must_use]
    pub fn supervisor_id(&self) -> SessionId {
        self.kernel.session_id()
    }
}

impl AtOnce for Starter<'_> {
    fn core(&self) -> &Core {
        self.kernel.core
    }

    /// The supervisor's session has nothing in its heap that a handler could need.
    fn at_once<T>(&mut self, _what: &'static str, f: impl FnOnce(&Core) -> T) -> Result<T, Error> {
        Ok(f(self.kernel.core))
    }
}

impl fmt::Debug for Starter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Starter")
            .field("name", &self.name)
            .field("restarts", &self.starts)
            .finish_non_exhaustive()
    }
}
