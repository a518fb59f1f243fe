//! Creating sessions.

use super::context::{Context, SessionCell};
use super::postback::IntoReply;
use super::states::{Options, States};
use crate::arg::AnyArg;
use crate::debug::debug_fields;
use crate::error::{Error, ErrorKind, OnFailure};
use crate::event::{Calls, Overflow};
use crate::id::SessionId;
use crate::kernel::{AtOnce, Invoke, Kernel, create_at_once};
use crate::name::NameIdx;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// Builds sessions; see [`Session::builder`].
///
#[doc = include_str!("../../docs/pictures/life.inline.svg")]
///
/// ```
/// use poe::{Event, Kernel, Session, event::{START, STOP}};
/// const COUNT: Event<u32> = Event::new("count");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(Vec::new()) // the heap
///     .on(START, |cx, ()| cx.yield_to(COUNT, 3))
///     .on(COUNT, |cx, n| {
///         cx.heap.push(n);
///         if n > 1 {
///             cx.yield_to(COUNT, n - 1);
///         }
///     })
///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, [3, 2, 1]))
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[doc(alias = "POE::Session")]
#[derive(Debug)]
#[doc(alias = "actor")]
#[doc(alias = "task")]
#[doc(alias = "process")]
#[doc(alias = "GenServer")]
pub struct Session(());

impl Session {
    /// Starts building a session that owns `heap`.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::{START, STOP}};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let id = Session::builder(Vec::<String>::new())
    ///     .on(START, |cx, ()| cx.yield_to("greet", String::from("world")))
    ///     .on("greet", |cx, whom: String| cx.heap.push(whom))
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, ["world"]))
    ///     .create(&kernel)?;
    /// println!("made session {id}");
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "create")]
    pub fn builder<H: 'static>(heap: H) -> SessionBuilder<H> {
        Session::builder_with(heap, ())
    }

    /// Starts building a session that keeps `component` beside its heap, for components built on sessions.
    ///
    /// Handlers reach it with [`Context::component`], as a shared reference, so its changing parts are cells. A
    /// component adds methods to `Context<'_, H, X>` with an extension trait, so that `cx.heap` is the user's heap and
    /// nothing else.
    ///
    /// ```
    /// use poe::{Context, Kernel, Session, event::{START, STOP}};
    /// use std::cell::Cell;
    /// /// The counter of a component.
    /// #[derive(Default)]
    /// struct Meter(Cell<u64>);
    /// trait Metered<'k> {
    ///     fn meter(&self) -> &'k Meter;
    /// }
    /// impl<'k, H: 'static> Metered<'k> for Context<'k, H, Meter> {
    ///     fn meter(&self) -> &'k Meter {
    ///         self.component()
    ///     }
    /// }
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder_with(0_u32, Meter::default())
    ///     .on(START, |cx, ()| {
    ///         let meter = cx.meter(); // can be held while the heap is borrowed
    ///         let heap: &mut u32 = &mut cx.heap;
    ///         meter.0.set(7);
    ///         *heap += 1;
    ///     })
    ///     .on(STOP, |cx, ()| assert_eq!((*cx.heap, cx.meter().0.get()), (1, 7)))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    pub fn builder_with<H: 'static, X: 'static>(heap: H, component: X) -> SessionBuilder<H, X> {
        SessionBuilder {
            heap,
            component,
            states: None,
            args: AnyArg::UNIT,
            options: Options::default(),
            session_type: None,
            on_failure: None,
            inbox: None,
        }
    }
}

/// A session before it is created.
///
/// ```
/// use poe::{Event, Kernel, Reply, Session, States, event::START};
/// const ADD: Event<u64> = Event::new("add");
/// const TOTAL: Event<(), u64> = Event::new("total");
/// let counting = States::<u64>::new()
///     .on(START, |cx, first: u64| *cx.heap = first)
///     .on(ADD, |cx, n| *cx.heap += n)
///     .on(TOTAL, |cx, ()| Reply(*cx.heap));
///
/// let kernel = Kernel::new();
/// let plain = Session::builder(0).inline_states(&counting).args(5_u64).create(&kernel)?;
/// let double = Session::builder(0)
///     .inline_states(&counting)
///     .on(ADD, |cx, n| *cx.heap += 2 * n) // replaces the one of the table
///     .args(5_u64)
///     .option("default", true) // warns of events without a handler
///     .create(&kernel)?;
/// for id in [plain, double] {
///     kernel.call(id, ADD, 3)?;
/// }
/// assert_eq!(kernel.call(plain, TOTAL, ())?, 8);
/// assert_eq!(kernel.call(double, TOTAL, ())?, 11);
/// # Ok::<(), poe::Error>(())
/// ```
#[must_use = "a session lives only after `create`"]
pub struct SessionBuilder<H: 'static, X: 'static = ()> {
    heap: H,
    component: X,
    states: Option<States<H, X>>,
    args: AnyArg,
    options: Options,
    session_type: Option<Box<SessionType>>,
    on_failure: Option<OnFailure>,
    inbox: Option<(usize, Overflow)>,
}

/// Wraps the session's object in the one that the kernel runs.
type SessionType = dyn FnOnce(Rc<dyn Invoke>) -> Rc<dyn Invoke>;

impl<H: 'static, X: 'static> SessionBuilder<H, X> {
    /// Adds the handlers of a table; they replace earlier ones of the same names. Sessions made with one table share
    /// it.
    pub fn inline_states(mut self, states: &States<H, X>) -> Self {
        self.states = Some(match self.states {
            Some(own) => own.with(states),
            None => states.clone(),
        });
        self
    }

    pub(super) fn map_states(mut self, change: impl FnOnce(States<H, X>) -> States<H, X>) -> Self {
        self.states = Some(change(self.states.unwrap_or_default()));
        self
    }

    /// Adds a handler; it replaces an earlier one of the same name.
    pub fn on<A: 'static, Ret: IntoReply>(
        self,
        event: impl Calls<A, Ret::Value>,
        handler: impl Fn(&mut Context<'_, H, X>, A) -> Ret + 'static,
    ) -> Self {
        self.map_states(|states| states.on(event, handler))
    }

    /// Sets the argument of `_start`; default `()`.
    pub fn args<A: 'static>(mut self, args: A) -> Self {
        self.args = AnyArg::new(args);
        self
    }

    /// Sets the policy for unhandled failures of this session, and of its descendants without a policy.
    ///
    /// Without it the session takes the policy of its nearest ancestor that has one, and then the kernel's
    /// ([`KernelBuilder::on_failure`](crate::KernelBuilder::on_failure)). It is in force from `_start` on.
    ///
    /// ```
    /// use poe::{Kernel, OnFailure, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |_, ()| panic!("a bug"))
    ///     .on_failure(OnFailure::StopSession)
    ///     .create(&kernel)?;
    /// kernel.run().await // the failure is logged, and stops no other session
    /// # }).unwrap();
    /// ```
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.on_failure = Some(policy);
        self
    }

    /// Limits how many posts may wait for the session, and says what happens to more; unlimited by default.
    ///
    /// Posts and yields of sessions count, and posts and calls of handles; timers, signals and I/O do not. A post that is dropped becomes a
    /// dead letter ([`Kernel::on_dead_letter`]), a call that finds no room fails with
    /// [`CallError::is_full`](crate::CallError::is_full). The limit is in force when `_start` has returned. [`Kernel::why_alive`] shows how full the
    /// inbox is.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::{Overflow, START, STOP}};
    /// const PRICE: Event<u32> = Event::new("price");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let screen = Session::builder(Vec::new())
    ///     .inbox(2, Overflow::DropOldest) // only the latest prices count
    ///     .on(START, |_, ()| ())
    ///     .on(PRICE, |cx, price| cx.heap.push(price))
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, [4, 5]))
    ///     .create(&kernel)?;
    /// for price in 1..=5 {
    ///     kernel.post(screen, PRICE, price)?;
    /// }
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "mailbox")]
    #[doc(alias = "backpressure")]
    pub fn inbox(mut self, posts: usize, overflow: Overflow) -> Self {
        self.inbox = Some((posts, overflow));
        self
    }

    /// Sets an option: see [`KernelRef::set_option`](crate::KernelRef::set_option).
    #[doc(alias = "options")]
    pub fn option(self, name: &str, value: impl ToString) -> Self {
        self.options.set(name, Some(&value.to_string()));
        self
    }

    /// Replaces the object that the kernel runs: a custom session type, which handles some events itself and passes the
    /// others to the session that the closure gets.
    ///
    /// It corresponds to a subclass of POE::Session; captured values are its parameters. A later call replaces an
    /// earlier one.
    ///
    /// Everything of the session goes through that object: life-cycle events, posts, timers, I/O, and calls, also those
    /// of the session to itself. Events that it does not pass on do not reach the session. It should pass on all
    /// methods of [`Invoke`], or else snapshots describe the object instead of the session.
    ///
    /// ```
    /// use poe::{AnyArg, Event, Kernel, Name, Reply, Session, KernelRef, event::START, extend::{Invoke, Invoked}};
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    /// const TOTAL: Event<(), u64> = Event::new("total");
    ///
    /// /// A session that counts its events.
    /// struct Counted {
    ///     session: Rc<dyn Invoke>,
    ///     events: Rc<Cell<u64>>,
    /// }
    ///
    /// impl Invoke for Counted {
    ///     fn invoke(&self, kernel: KernelRef<'_>, arg: &mut AnyArg) -> Invoked {
    ///         self.events.set(self.events.get() + 1);
    ///         self.session.invoke(kernel, arg)
    ///     }
    ///     fn event_names(&self) -> Vec<Name> {
    ///         self.session.event_names()
    ///     }
    ///     fn heap_type(&self) -> &'static str {
    ///         self.session.heap_type()
    ///     }
    ///     fn heap_size(&self) -> usize {
    ///         self.session.heap_size()
    ///     }
    ///     fn options(&self) -> Vec<(String, String)> {
    ///         self.session.options()
    ///     }
    ///     fn set_option(&self, name: &str, value: Option<&str>) -> Option<String> {
    ///         self.session.set_option(name, value)
    ///     }
    /// }
    ///
    /// let kernel = Kernel::new();
    /// let events = Rc::new(Cell::new(0));
    /// let counter = events.clone();
    /// let id = Session::builder(42_u64)
    ///     .on(START, |_, ()| ())
    ///     .on(TOTAL, |cx, ()| Reply(*cx.heap))
    ///     .session_type(move |session| Rc::new(Counted { session, events: counter }))
    ///     .create(&kernel)?;
    /// assert_eq!(kernel.call(id, TOTAL, ())?, 42);
    /// assert_eq!(events.get(), 2); // `_start` was the first
    /// # Ok::<(), poe::Error>(())
    /// ```
    #[doc(alias = "SessionType")]
    #[doc(alias = "SessionParams")]
    pub fn session_type(mut self, session_type: impl FnOnce(Rc<dyn Invoke>) -> Rc<dyn Invoke> + 'static) -> Self {
        self.session_type = Some(Box::new(session_type));
        self
    }

    /// Creates the session as a child of the kernel and runs its `_start`.
    ///
    /// # Errors
    /// There is no `_start` handler, and nothing is created (law L22); a handler is running (use
    /// [`cx.create(builder)`](Context::create)); the kernel is shutting down.
    #[track_caller]
    #[doc(alias = "spawn")]
    pub fn create(self, kernel: &Kernel) -> Result<SessionId, Error> {
        self.create_by(&mut { kernel }, Location::caller())
    }

    pub(crate) fn create_by(
        self,
        caller: &mut impl AtOnce,
        place: &'static Location<'static>,
    ) -> Result<SessionId, Error> {
        let Some(states) = self.states.filter(|states| states.has(NameIdx::START)) else {
            return Err(ErrorKind::NoStart {
                place: place.to_string(),
            }
            .into());
        };
        let session: Rc<dyn Invoke> = Rc::new(SessionCell::new(self.heap, self.component, states, self.options));
        let object = match self.session_type {
            Some(session_type) => session_type(session),
            None => session,
        };
        let session = create_at_once(caller, object, self.args, self.on_failure, place)?;
        if let Some((capacity, overflow)) = self.inbox {
            caller.core().limit_inbox(session, capacity, overflow);
        }
        Ok(session)
    }
}

debug_fields!([H: fmt::Debug, X] SessionBuilder<H, X>, "SessionBuilder", |this| {
    heap: this.heap,
    states: this.states,
    ..
});
