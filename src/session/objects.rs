//! Handlers that are methods of an object (POE's `object_states`), and sets of handlers (`package_states`).

use super::builder::SessionBuilder;
use super::context::Context;
use super::nfa::{Machine, NfaState};
use super::postback::IntoReply;
use super::states::States;
use crate::error::{Error, ErrorKind};
use crate::event::Calls;
use crate::name::Key;
use std::fmt;
use std::rc::Rc;

/// The methods of one object that become handlers, for the closure of [`States::object_states`].
///
/// ```
/// use poe::{Context, Event, ObjectStates, States};
/// const OPEN: Event<()> = Event::new("open");
/// const CLOSE: Event<()> = Event::new("close");
/// struct Door;
/// impl Door {
///     fn open(&self, cx: &mut Context<'_, bool>, (): ()) {
///         *cx.heap = true;
///     }
///     fn close(&self, cx: &mut Context<'_, bool>, (): ()) {
///         *cx.heap = false;
///     }
///     /// The handlers of a door, in one place for all tables.
///     fn states(methods: ObjectStates<Door, bool>) -> ObjectStates<Door, bool> {
///         methods.on(OPEN, Door::open).on(CLOSE, Door::close)
///     }
/// }
/// let states = States::new().object_states(&std::rc::Rc::new(Door), Door::states);
/// assert_eq!(states.event_names(), ["close", "open"]);
/// ```
pub struct ObjectStates<T: ?Sized + 'static, H: 'static, X: 'static = ()> {
    object: Rc<T>,
    states: States<H, X>,
}

impl<T: ?Sized + 'static, H: 'static, X: 'static> ObjectStates<T, H, X> {
    /// Makes a method the handler of an event; it replaces an earlier one of that event. A closure that takes the
    /// object first works, too.
    #[must_use]
    pub fn on<A: 'static, Ret: IntoReply>(
        mut self,
        event: impl Calls<A, Ret::Value>,
        method: impl Fn(&T, &mut Context<'_, H, X>, A) -> Ret + 'static,
    ) -> Self {
        let object = self.object.clone();
        self.states = self.states.on(event, move |cx, arg| method(&object, cx, arg));
        self
    }
}

impl<T: ?Sized, H, X> fmt::Debug for ObjectStates<T, H, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ObjectStates").field(&self.states).finish()
    }
}

/// A set of handlers for any session whose heap has the fields that they use: POE's `package_states`.
///
/// A package is written for a trait bound and not for a heap, so that it can come from another crate.
///
/// ```
/// use poe::{Event, Kernel, Package, Session, States, event::START};
///
/// // In the package's crate:
/// const LOG: Event<String> = Event::new("log");
/// struct Logging { prefix: &'static str }
/// impl<H: AsMut<Vec<String>> + 'static> Package<H> for Logging {
///     fn states(&self) -> States<H> {
///         let prefix = self.prefix;
///         States::<H>::new().on(LOG, move |cx, line| cx.heap.as_mut().push(format!("{prefix}: {line}")))
///     }
/// }
///
/// // In the program:
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(Vec::new())
///     .package_states(&Logging { prefix: "news" })
///     .on(START, |cx, ()| cx.yield_to(LOG, "hello".to_owned()))
///     .on("_stop", |cx, ()| assert_eq!(*cx.heap, ["news: hello"]))
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[doc(alias = "package_states")]
pub trait Package<H: 'static, X: 'static = ()> {
    /// Returns the handlers.
    fn states(&self) -> States<H, X>;
}

impl<H: 'static, X: 'static> States<H, X> {
    /// Adds methods of an object as handlers; they replace earlier ones of the same events.
    ///
    /// The table shares the object with its other owners: one object may serve many sessions, and many objects one
    /// session.
    ///
    /// ```
    /// use poe::{Context, Event, Reply, States};
    /// use std::{cell::Cell, rc::Rc};
    /// const ADD: Event<u64> = Event::new("add");
    /// const TOTAL: Event<(), u64> = Event::new("total");
    ///
    /// #[derive(Default)]
    /// struct Sum(Cell<u64>);
    /// impl Sum {
    ///     fn add(&self, _cx: &mut Context<'_, ()>, n: u64) {
    ///         self.0.set(self.0.get() + n);
    ///     }
    /// }
    ///
    /// let sum = Rc::new(Sum::default());
    /// let states = States::<()>::new().object_states(&sum, |o| {
    ///     o.on(ADD, Sum::add).on(TOTAL, |sum, _, ()| Reply(sum.0.get()))
    /// });
    /// assert_eq!(states.event_names(), ["add", "total"]);
    /// ```
    #[must_use]
    pub fn object_states<T: ?Sized + 'static>(
        self,
        object: &Rc<T>,
        methods: impl FnOnce(ObjectStates<T, H, X>) -> ObjectStates<T, H, X>,
    ) -> Self {
        let object = object.clone();
        methods(ObjectStates { object, states: self }).states
    }

    /// Adds a package's handlers; they replace earlier ones of the same events.
    ///
    /// ```
    /// use poe::{Package, Reply, States};
    /// struct Clock;
    /// impl<H: 'static> Package<H> for Clock {
    ///     fn states(&self) -> States<H> {
    ///         States::<H>::new().on("hour", |_, ()| Reply(12_u8)).on("minute", |_, ()| Reply(30_u8))
    ///     }
    /// }
    /// let states = States::<()>::new().package_states(&Clock).on("second", |_, ()| Reply(0_u8));
    /// assert_eq!(states.event_names(), ["hour", "minute", "second"]);
    /// ```
    #[must_use]
    pub fn package_states(self, package: &(impl Package<H, X> + ?Sized)) -> Self {
        self.with(&package.states())
    }

    /// Returns the handlers of these events only: POE's list of method names.
    ///
    /// # Errors
    /// There is no handler of one of them.
    ///
    /// ```
    /// use poe::States;
    /// let states = States::<()>::new().on("a", |_, ()| ()).on("b", |_, ()| ()).on("c", |_, ()| ());
    /// assert_eq!(states.only(["c", "a"]).unwrap().event_names(), ["a", "c"]);
    /// assert!(states.only(["d"]).unwrap_err().to_string().contains("`d`"));
    /// ```
    pub fn only<'n>(&self, events: impl IntoIterator<Item = &'n str>) -> Result<Self, Error> {
        let mut chosen = States::new();
        for event in events {
            let handler = self.handler(event)?;
            chosen.set(Key::new(event), handler);
        }
        Ok(chosen)
    }

    /// Returns the same handlers, with that of `method` bound to `event`: POE's pairs of event and method.
    ///
    /// # Errors
    /// There is no handler of `method`.
    ///
    /// ```
    /// use poe::States;
    /// let states = States::<()>::new().on("a", |_, ()| ()).renamed("a", "b").unwrap();
    /// assert_eq!(states.event_names(), ["b"]);
    /// ```
    pub fn renamed(mut self, method: &str, event: &str) -> Result<Self, Error> {
        let handler = self.handler(method)?;
        self.unset(Key::new(method));
        self.set(Key::new(event), handler);
        Ok(self)
    }

    fn handler(&self, event: &str) -> Result<Rc<super::states::Handler<H, X>>, Error> {
        let found = self.find(Key::new(event));
        found.ok_or_else(|| ErrorKind::Invalid(format!("the table has no handler of `{event}`")).into())
    }
}

impl<H: 'static, X: 'static> SessionBuilder<H, X> {
    /// Adds methods of an object as handlers: see [`States::object_states`].
    ///
    /// ```
    /// // One journal, and two sessions that write to it.
    /// use poe::{Context, Kernel, Session, event::START};
    /// use std::{cell::RefCell, rc::Rc};
    /// #[derive(Default)]
    /// struct Journal(RefCell<Vec<String>>);
    /// impl Journal {
    ///     fn write(&self, cx: &mut Context<'_, ()>, line: String) {
    ///         self.0.borrow_mut().push(format!("{}: {line}", cx.session_id()));
    ///     }
    /// }
    /// # tokio_test::block_on(async {
    /// let journal = Rc::new(Journal::default());
    /// let kernel = Kernel::new();
    /// for word in ["hello", "world"] {
    ///     Session::builder(())
    ///         .object_states(&journal, |o| o.on("write", Journal::write))
    ///         .on(START, move |cx, ()| cx.yield_to("write", word.to_owned()))
    ///         .create(&kernel)?;
    /// }
    /// kernel.run().await?;
    /// assert_eq!(*journal.0.borrow(), ["1: hello", "2: world"]);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    pub fn object_states<T: ?Sized + 'static>(
        self,
        object: &Rc<T>,
        methods: impl FnOnce(ObjectStates<T, H, X>) -> ObjectStates<T, H, X>,
    ) -> Self {
        self.map_states(|states| states.object_states(object, methods))
    }

    /// Adds a package's handlers: see [`Package`].
    ///
    /// ```
    /// use poe::{Kernel, Package, Reply, Session, States, event::START};
    /// struct Clock;
    /// impl<H: 'static> Package<H> for Clock {
    ///     fn states(&self) -> States<H> {
    ///         States::<H>::new().on("hour", |_, ()| Reply(12_u8)).on("minute", |_, ()| Reply(30_u8))
    ///     }
    /// }
    /// let kernel = Kernel::new();
    /// let id = Session::builder(())
    ///     .on(START, |_, ()| ())
    ///     .package_states(&Clock)
    ///     .on("hour", |_, ()| Reply(13_u8)) // replaces the package's
    ///     .create(&kernel)?;
    /// assert_eq!(kernel.call::<_, u8>(id, "hour", ())?, 13);
    /// assert_eq!(kernel.call::<_, u8>(id, "minute", ())?, 30);
    /// # Ok::<(), poe::Error>(())
    /// ```
    pub fn package_states(self, package: &(impl Package<H, X> + ?Sized)) -> Self {
        self.map_states(|states| states.package_states(package))
    }
}

impl<H: 'static, X: 'static> Context<'_, H, X> {
    /// Sets or replaces a handler of this session with a method of an object: see [`state`](Self::state).
    ///
    /// ```
    /// use poe::{Context, Kernel, Session, event::{START, STOP}};
    /// struct Door;
    /// impl Door {
    ///     fn open(&self, cx: &mut Context<'_, String>, who: String) {
    ///         *cx.heap = who;
    ///     }
    /// }
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(String::new())
    ///     .on(START, |cx, ()| {
    ///         cx.object_state(&std::rc::Rc::new(Door), "knock", Door::open);
    ///         cx.yield_to("knock", "you".to_owned());
    ///     })
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, "you"))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "state")]
    pub fn object_state<T: ?Sized + 'static, A: 'static, Ret: IntoReply>(
        &self,
        object: &Rc<T>,
        event: impl Calls<A, Ret::Value>,
        method: impl Fn(&T, &mut Context<'_, H, X>, A) -> Ret + 'static,
    ) {
        let object = object.clone();
        self.state(event, move |cx, arg| method(&object, cx, arg));
    }
}

/// The methods of one object that become handlers of one state, for the closure of [`NfaState::object_states`].
///
/// ```
/// // The same methods in more than one state.
/// use poe::{Event, Kernel, Machine, Nfa, event::SILENT, nfa::NfaObjectStates};
/// const PRESS: Event<()> = Event::new("press");
/// struct Button;
/// impl Button {
///     fn press(&self, cx: &mut Machine<'_, bool, u32>, (): ()) -> poe::HandlerResult {
///         *cx.runstate += 1;
///         let on = cx.current_state() == Some(&true);
///         cx.goto_state(!on, SILENT, ())
///     }
///     fn states(methods: NfaObjectStates<Button, bool, u32>) -> NfaObjectStates<Button, bool, u32> {
///         methods.on(PRESS, Button::press)
///     }
/// }
/// let kernel = Kernel::new();
/// let button = std::rc::Rc::new(Button);
/// let lamp = Nfa::builder(0)
///     .state(false, |s| s.object_states(&button, Button::states))
///     .state(true, |s| s.object_states(&button, Button::states))
///     .immediate()
///     .start(&kernel)?;
/// lamp.goto_state(&kernel, false, SILENT, ())?;
/// for _ in 0..3 {
///     kernel.call(lamp.id(), PRESS, ())?;
/// }
/// assert_eq!(lamp.current_state().as_deref(), Some(&true));
/// assert_eq!(lamp.with_runstate(|presses| *presses), Some(3));
/// # Ok::<(), poe::Error>(())
/// ```
pub struct NfaObjectStates<T: ?Sized + 'static, S: 'static, R: 'static> {
    object: Rc<T>,
    state: NfaState<S, R>,
}

impl<T: ?Sized + 'static, S: Eq + std::hash::Hash + fmt::Debug + 'static, R: 'static> NfaObjectStates<T, S, R> {
    /// Makes a method the handler of an event in this state; it replaces an earlier one of that event.
    #[must_use]
    pub fn on<A: 'static, Ret: IntoReply>(
        mut self,
        event: impl Calls<A, Ret::Value>,
        method: impl Fn(&T, &mut Machine<'_, S, R>, A) -> Ret + 'static,
    ) -> Self {
        let object = self.object.clone();
        self.state = self.state.on(event, move |cx, arg| method(&object, cx, arg));
        self
    }
}

impl<T: ?Sized, S, R> fmt::Debug for NfaObjectStates<T, S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NfaObjectStates").field(&self.state).finish()
    }
}

impl<S: Eq + std::hash::Hash + fmt::Debug + 'static, R: 'static> NfaState<S, R> {
    /// Adds methods of an object as handlers of this state; they replace earlier ones of the same events.
    ///
    /// A reusable set of a state's handlers, POE's `package_states`, is a function from `NfaState` to `NfaState`, which
    /// [`NfaBuilder::state`](crate::nfa::NfaBuilder::state) takes as it is.
    ///
    /// ```
    /// use poe::{Event, Kernel, Machine, Nfa, event::SILENT};
    /// const OPEN: Event<u32> = Event::new("open");
    /// struct Lock { code: u32 }
    /// impl Lock {
    ///     fn open(&self, cx: &mut Machine<'_, &'static str, ()>, code: u32) -> poe::HandlerResult {
    ///         if code == self.code { cx.goto_state("open", SILENT, ()) } else { Ok(()) }
    ///     }
    /// }
    /// let kernel = Kernel::new();
    /// let lock = std::rc::Rc::new(Lock { code: 1234 });
    /// let door = Nfa::builder(())
    ///     .state("closed", |s| s.object_states(&lock, |o| o.on(OPEN, Lock::open)))
    ///     .state("open", |s| s)
    ///     .immediate()
    ///     .start(&kernel)?;
    /// door.goto_state(&kernel, "closed", OPEN, 1111)?;
    /// assert_eq!(door.current_state().as_deref(), Some(&"closed"));
    /// kernel.call(door.id(), OPEN, 1234)?;
    /// assert_eq!(door.current_state().as_deref(), Some(&"open"));
    /// # Ok::<(), poe::Error>(())
    /// ```
    #[doc(alias = "package_states")]
    #[must_use]
    pub fn object_states<T: ?Sized + 'static>(
        self,
        object: &Rc<T>,
        methods: impl FnOnce(NfaObjectStates<T, S, R>) -> NfaObjectStates<T, S, R>,
    ) -> Self {
        let object = object.clone();
        methods(NfaObjectStates { object, state: self }).state
    }
}
