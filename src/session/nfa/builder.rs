//! Making state machines, and what the rest of the program has of one.

use super::cell::{Entry, Handler, Move, NfaCell, Plan, Tables, event_of};
use super::history::Transition;
use super::machine::Machine;
use crate::arg::AnyArg;
use crate::error::{CallError, Error, ErrorKind};
use crate::event::{Calls, DEFAULT, Keyed, Posts};
use crate::id::SessionId;
use crate::kernel::{Caller, Invoked, Kernel, call_at_once, create_at_once};
use crate::name::{Key, Name};
use crate::session::IntoReply;
use crate::session::options::Options;
use crate::session::states::{Table, answered, wrong_argument};
use std::any::type_name;
use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::panic::Location;
use std::rc::{Rc, Weak};

/// Transitions that a machine remembers unless it is told otherwise.
const LOG: usize = 16;

/// A state machine (POE::NFA): a session whose handlers depend on the state that it is in.
///
/// States are named by values of any type that is `Eq + Hash + Debug`: an enum, or text. Each has handlers of its own;
/// the builder's [`on`](NfaBuilder::on) adds such as all states share. A handler asks for another state by
/// [`goto_state`](Machine::goto_state), [`call_state`](Machine::call_state) and [`return_state`](Machine::return_state).
/// `R`, the run state, is to a machine what the heap is to a session.
///
/// An event looks for the current state's handler, then for a shared one, then for the state's
/// [`DEFAULT`](crate::event::DEFAULT); found nowhere it is a failure (law L84), but `_child` and `_parent` are not.
/// A machine is told neither `_start` nor `_stop`.
///
/// As a value an `Nfa` is a machine seen from outside. It keeps nothing alive.
///
/// ```
/// use poe::{Event, Kernel, Nfa, event::LEAVE};
/// use std::time::Duration;
///
/// #[derive(PartialEq, Eq, Hash, Debug)]
/// enum Light { Red, Green }
/// const ENTER: Event<()> = Event::new("enter");
/// const TIMER: Event<()> = Event::new("timer");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// Nfa::builder(0_u32)
///     .state(Light::Red, |s| {
///         s.on(ENTER, |cx, ()| cx.state_timeout(TIMER, Duration::from_millis(2), ()))
///             .on(TIMER, |cx, ()| cx.goto_state(Light::Green, ENTER, ()))
///             .on(LEAVE, |cx, ()| *cx.runstate += 1)
///     })
///     .state(Light::Green, |s| s.on(ENTER, |cx, ()| assert_eq!(*cx.runstate, 1)))
///     .start(&kernel, Light::Red, ENTER, ())?;
/// kernel.run().await
/// # }
/// ```
#[doc(alias = "POE::NFA")]
pub struct Nfa<S: 'static, R: 'static> {
    id: SessionId,
    cell: Weak<NfaCell<S, R>>,
}

impl Nfa<(), ()> {
    /// A machine with that run state, yet without states.
    pub fn builder<S: Eq + Hash + Debug + 'static, R: 'static>(runstate: R) -> NfaBuilder<S, R> {
        NfaBuilder {
            runstate,
            states: Vec::new(),
            index: HashMap::new(),
            internal: Table::new(),
            options: Options::default(),
            log: LOG,
        }
    }
}

/// The handlers of one state, given to [`NfaBuilder::state`].
///
/// ```
/// use poe::{Event, Kernel, Nfa, NfaState, Reply, event::SILENT};
/// const SIZE: Event<(), usize> = Event::new("size");
///
/// /// What more than one state has.
/// fn sized(state: NfaState<&'static str, Vec<u8>>) -> NfaState<&'static str, Vec<u8>> {
///     state.on(SIZE, |cx, ()| Reply(cx.runstate.len()))
/// }
/// let kernel = Kernel::new();
/// let machine = Nfa::builder(vec![1, 2, 3])
///     .state("idle", sized)
///     .state("busy", |s| sized(s).postpone("job"))
///     .spawn(&kernel)?;
/// machine.goto_state(&mut &kernel, "busy", SILENT, ())?;
/// assert_eq!(kernel.call(machine.id(), SIZE, ())?, 3);
/// # Ok::<(), poe::Error>(())
/// ```
pub struct NfaState<S: 'static, R: 'static> {
    table: Table<Handler<S, R>>,
}

impl<S: Eq + Hash + Debug + 'static, R: 'static> NfaState<S, R> {
    /// A state without handlers.
    #[must_use]
    pub fn new() -> Self {
        NfaState { table: Table::new() }
    }

    /// Adds a handler, in place of an earlier one of the same name.
    #[must_use]
    pub fn on<A: 'static, Ret: IntoReply>(
        mut self,
        event: impl Calls<A, Ret::Value>,
        handler: impl Fn(&mut Machine<'_, S, R>, A) -> Ret + 'static,
    ) -> Self {
        self.table.set(event.key(), state_handler(handler));
        self
    }

    /// Postpones that event while the machine is in this state: see [`Machine::postpone`].
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa, event::SILENT};
    /// use std::{cell::RefCell, rc::Rc};
    /// const ENTER: Event<()> = Event::new("enter");
    /// const JOB: Event<u32> = Event::new("job");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let done = Rc::new(RefCell::new(Vec::new()));
    /// Nfa::builder(done.clone())
    ///     .state("connecting", |s| {
    ///         s.postpone("job").on(ENTER, |cx, ()| {
    ///             cx.yield_to(JOB, 1);
    ///             cx.yield_to(JOB, 2);
    ///             cx.goto_state("connected", SILENT, ())
    ///         })
    ///     })
    ///     .state("connected", |s| s.on(JOB, |cx, n| cx.runstate.borrow_mut().push(n)))
    ///     .start(&kernel, "connecting", ENTER, ())?;
    /// kernel.run().await?;
    /// assert_eq!(*done.borrow(), [1, 2]);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn postpone(self, event: &str) -> Self {
        self.postponing(Key::new(event))
    }

    /// Postpones every event that has no handler in this state and none that all states share.
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa, event::SILENT};
    /// use std::{cell::RefCell, rc::Rc};
    /// const ENTER: Event<()> = Event::new("enter");
    /// const LOGIN: Event<&'static str> = Event::new("login");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let done = Rc::new(RefCell::new(Vec::new()));
    /// Nfa::builder(done.clone())
    ///     .state("nobody", |s| {
    ///         s.postpone_others()
    ///             .on(ENTER, |cx, ()| {
    ///                 cx.yield_to("read", "mail"); // nobody could read it yet
    ///                 cx.yield_to(LOGIN, "root");
    ///             })
    ///             .on(LOGIN, |cx, who| {
    ///                 cx.runstate.borrow_mut().push(who);
    ///                 cx.goto_state("somebody", SILENT, ())
    ///             })
    ///     })
    ///     .state("somebody", |s| s.on("read", |cx, what: &'static str| cx.runstate.borrow_mut().push(what)))
    ///     .start(&kernel, "nobody", ENTER, ())?;
    /// kernel.run().await?;
    /// assert_eq!(*done.borrow(), ["root", "mail"]);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn postpone_others(self) -> Self {
        self.postponing(DEFAULT.key())
    }

    fn postponing(mut self, key: Key<'_>) -> Self {
        self.table.set(
            key,
            Rc::new(|cx: &mut Machine<'_, S, R>, arg: &mut AnyArg| {
                cx.postpone_any(std::mem::take(arg));
                Invoked::Returned
            }),
        );
        self
    }
}

impl<S: Eq + Hash + Debug + 'static, R: 'static> Default for NfaState<S, R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, R> Debug for NfaState<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NfaState").field(&self.table.event_names()).finish()
    }
}

/// A state machine about to be made; see [`Nfa::builder`].
///
/// ```
/// use poe::{Event, Kernel, Nfa, Reply, event::SILENT};
/// const ENTER: Event<()> = Event::new("enter");
/// const PRESS: Event<()> = Event::new("press");
/// const COUNT: Event<(), u32> = Event::new("count");
/// let kernel = Kernel::new();
/// let lamp = Nfa::builder(0_u32)
///     .state("off", |s| s.on(PRESS, |cx, ()| cx.goto_state("on", ENTER, ())))
///     .state("on", |s| {
///         s.on(ENTER, |cx, ()| *cx.runstate += 1)
///             .on(PRESS, |cx, ()| cx.goto_state("off", SILENT, ()))
///     })
///     .on(COUNT, |cx, ()| Reply(*cx.runstate)) // in both
///     .immediate()
///     .log(2)
///     .option("debug", true)
///     .spawn(&kernel)?;
///
/// lamp.goto_state(&mut &kernel, "off", SILENT, ())?;
/// for _ in 0..3 {
///     kernel.call(lamp.id(), PRESS, ())?;
/// }
/// assert_eq!(lamp.get_current_state().as_deref(), Some(&"on"));
/// assert_eq!(kernel.call(lamp.id(), COUNT, ())?, 2);
/// assert_eq!(lamp.transitions().len(), 2); // of four
/// # Ok::<(), poe::Error>(())
/// ```
#[must_use = "a machine lives only after `start` or `spawn`"]
pub struct NfaBuilder<S: 'static, R: 'static> {
    runstate: R,
    states: Tables<S, R>,
    index: HashMap<Rc<S>, usize>,
    internal: Table<Handler<S, R>>,
    options: Options,
    log: usize,
}

impl<S: Eq + Hash + Debug + 'static, R: 'static> NfaBuilder<S, R> {
    /// Adds a state, in place of an earlier one of the same name.
    #[doc(alias = "inline_states")]
    pub fn state(mut self, state: S, handlers: impl FnOnce(NfaState<S, R>) -> NfaState<S, R>) -> Self {
        let table = handlers(NfaState::new()).table;
        match self.index.get(&state).and_then(|at| self.states.get_mut(*at)) {
            Some((_, old)) => *old = table,
            None => {
                let state = Rc::new(state);
                self.index.insert(state.clone(), self.states.len());
                self.states.push((state, table));
            }
        }
        self
    }

    /// Adds a handler that every state has, unless it has one of its own for that event.
    pub fn on<A: 'static, Ret: IntoReply>(
        mut self,
        event: impl Calls<A, Ret::Value>,
        handler: impl Fn(&mut Machine<'_, S, R>, A) -> Ret + 'static,
    ) -> Self {
        self.internal.set(event.key(), state_handler(handler));
        self
    }

    /// Sets an option: see [`Machine::set_option`].
    #[doc(alias = "options")]
    pub fn option(self, name: &str, value: impl ToString) -> Self {
        self.options.set(name, Some(&value.to_string()));
        self
    }

    /// Changes of the state take effect before the method that asks for them returns (law L83).
    pub fn immediate(self) -> Self {
        self.option("immediate", 1)
    }

    /// How many changes of the state are remembered, the newest ones; default 16, 0 for none.
    pub fn log(mut self, transitions: usize) -> Self {
        self.log = transitions;
        self
    }

    /// Makes the machine as a child of the kernel and enters its first state, before it returns (law L80).
    ///
    /// # Errors
    /// There is no such state, or it has no handler of the entry event, and nothing is made; a handler is running (use
    /// [`start_in`](Self::start_in)); the kernel is shutting down. A failure of the entry event's handler is a `DIE`, as
    /// one in a session's `_start` is.
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa, event::SILENT};
    /// const ENTER: Event<u32> = Event::new("enter");
    /// let kernel = Kernel::new();
    /// let machine = || Nfa::builder(0_u32).state("only", |s| s.on(ENTER, |cx, n| *cx.runstate = n));
    /// let id = machine().start(&kernel, "only", ENTER, 7)?; // entered by now
    /// assert!(kernel.is_alive(id));
    /// assert!(machine().start(&kernel, "other", SILENT, ()).is_err());
    /// assert!(machine().start(&kernel, "only", "unknown", ()).is_err());
    /// assert_eq!(kernel.session_count(), 1);
    /// # Ok::<(), poe::Error>(())
    /// ```
    #[track_caller]
    pub fn start<A: 'static>(
        self,
        kernel: &Kernel,
        state: S,
        event: impl Posts<A>,
        args: A,
    ) -> Result<SessionId, Error> {
        let mut kernel = kernel;
        self.start_at(&mut kernel, state, event.key(), AnyArg::new(args), Location::caller())
    }

    /// The same inside a handler, whose session the machine is a child of.
    ///
    /// # Errors
    /// As [`start`](Self::start), but never busy.
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa, Session, event::{CHILD, ChildReason, START}};
    /// const ENTER: Event<u32> = Event::new("enter");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(None)
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let machine = Nfa::builder(()).state("only", |s| s.on(ENTER, |_, n| assert_eq!(n, 7)));
    ///         let id = machine.start_in(cx, "only", ENTER, 7)?;
    ///         assert_eq!(*cx.heap, Some(id)); // told before `start_in` returned
    ///         Ok(())
    ///     })
    ///     .on(CHILD, |cx, child| match child.reason {
    ///         ChildReason::Create => *cx.heap = Some(child.session),
    ///         _ => *cx.heap = None,
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn start_in<A: 'static>(
        self,
        cx: &mut impl Caller,
        state: S,
        event: impl Posts<A>,
        args: A,
    ) -> Result<SessionId, Error> {
        self.start_at(cx, state, event.key(), AnyArg::new(args), Location::caller())
    }

    /// Makes the machine, which is in no state until [`Nfa::goto_state`] brings it into one; if nothing does, it is gone
    /// at the next sweep.
    ///
    /// # Errors
    /// It has no states; a handler is running; the kernel is shutting down.
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa};
    /// const ENTER: Event<()> = Event::new("enter");
    /// let kernel = Kernel::new();
    /// let machine = Nfa::builder(0_u32).state("first", |s| s.on(ENTER, |cx, ()| *cx.runstate += 1)).spawn(&kernel)?;
    /// assert_eq!(machine.get_current_state(), None);
    /// machine.goto_state(&mut &kernel, "first", ENTER, ())?;
    /// assert_eq!(machine.get_current_state().as_deref(), Some(&"first"));
    /// assert_eq!(machine.with_runstate(|entered| *entered), Some(1));
    /// # Ok::<(), poe::Error>(())
    /// ```
    #[track_caller]
    pub fn spawn(self, kernel: &Kernel) -> Result<Nfa<S, R>, Error> {
        let mut kernel = kernel;
        self.spawn_at(&mut kernel, Location::caller())
    }

    /// The same inside a handler, whose session the machine is a child of.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn), but never busy.
    ///
    /// ```
    /// // A session with a machine in its heap, which it tells what to do.
    /// use poe::{Event, Kernel, Nfa, Session, event::{SILENT, START, STOP}};
    /// const OPEN: Event<()> = Event::new("open");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(None::<Nfa<&'static str, u32>>)
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let door = Nfa::builder(0)
    ///             .state("shut", |s| s)
    ///             .state("open", |s| s.on(OPEN, |cx, ()| *cx.runstate += 1))
    ///             .immediate()
    ///             .spawn_in(cx)?;
    ///         door.goto_state(cx, "shut", SILENT, ())?;
    ///         door.goto_state(cx, "open", OPEN, ())?;
    ///         assert_eq!(door.with_runstate(|times| *times), Some(1));
    ///         *cx.heap = Some(door);
    ///         Ok(())
    ///     })
    ///     .on(STOP, |cx, ()| assert!(cx.heap.as_ref().is_some_and(|door| door.get_current_state().is_none())))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn spawn_in(self, cx: &mut impl Caller) -> Result<Nfa<S, R>, Error> {
        self.spawn_at(cx, Location::caller())
    }

    fn start_at(
        self,
        caller: &mut impl Caller,
        state: S,
        event: Key<'_>,
        args: AnyArg,
        place: &'static Location<'static>,
    ) -> Result<SessionId, Error> {
        let found = self.index.get(&state).and_then(|at| self.states.get(*at));
        let Some((_, table)) = found else {
            return Err(invalid(place, &format!("has no state {state:?}")));
        };
        if !event.as_str().is_empty() && !table.event_names().iter().any(|name| **name == *event.as_str()) {
            let text = format!(
                "cannot enter {state:?} by `{}`, which has no handler there",
                event.as_str()
            );
            return Err(invalid(place, &text));
        }
        let machine = self.spawn_at(caller, place)?;
        let entry = Entry::new(event, args);
        match machine.ask(caller, Move::Goto { state, entry }, place) {
            Err(error) if !error.is_died() => Err(error.into()),
            _ => Ok(machine.id),
        }
    }

    fn spawn_at(self, caller: &mut impl Caller, place: &'static Location<'static>) -> Result<Nfa<S, R>, Error> {
        if self.states.is_empty() {
            return Err(invalid(place, "has no states"));
        }
        let plan = Plan {
            states: self.states,
            index: self.index,
        };
        let cell = Rc::new(NfaCell::new(
            self.runstate,
            plan,
            Rc::new(self.internal),
            self.options,
            self.log,
        ));
        let weak = Rc::downgrade(&cell);
        let id = create_at_once(caller, cell, AnyArg::UNIT, place)?;
        Ok(Nfa { id, cell: weak })
    }
}

#[cold]
fn invalid(place: &Location<'_>, what: &str) -> Error {
    ErrorKind::Invalid(format!("the machine made at {}:{} {what}", place.file(), place.line())).into()
}

impl<S: Debug, R> Debug for NfaBuilder<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states = self.states.iter().map(|(state, table)| (state, table.event_names()));
        f.debug_map().entries(states).finish()
    }
}

/// Makes the erased handler of a typed closure, as `session/states.rs` does for sessions.
pub(super) fn state_handler<S, R, A, Ret>(f: impl Fn(&mut Machine<'_, S, R>, A) -> Ret + 'static) -> Rc<Handler<S, R>>
where
    S: 'static,
    R: 'static,
    A: 'static,
    Ret: IntoReply,
{
    Rc::new(move |cx: &mut Machine<'_, S, R>, arg: &mut AnyArg| {
        let Some(arg) = arg.take::<A>() else {
            return wrong_argument(cx.kernel, type_name::<A>(), arg);
        };
        let reply = f(cx, arg);
        answered(cx.kernel, reply)
    })
}

/// A machine from outside. `caller` is the running handler's context, or the kernel (`&mut &kernel`) while none runs.
///
/// ```
/// use poe::{Event, Kernel, Nfa, TransitionKind, event::SILENT};
/// const HUNG_UP: Event<u32> = Event::new("hung up");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let phone = Nfa::builder(Vec::new())
///     .state("idle", |s| s.on(HUNG_UP, |cx, minutes| cx.runstate.push(minutes)))
///     .state("talking", |s| s)
///     .immediate()
///     .spawn(&kernel)?;
/// assert_eq!(phone.event_names(), ["hung up"]);
///
/// let mut caller = &kernel;
/// phone.goto_state(&mut caller, "idle", SILENT, ())?;
/// phone.call_state(&mut caller, HUNG_UP, "talking", SILENT, ())?;
/// assert_eq!(phone.get_current_state().as_deref(), Some(&"talking"));
/// phone.return_state(&mut caller, 3_u32)?;
/// assert_eq!(phone.get_current_state().as_deref(), Some(&"idle"));
/// assert_eq!(phone.with_runstate(|minutes| minutes.clone()), Some(vec![3]));
/// let kinds: Vec<_> = phone.transitions().iter().map(|transition| transition.kind).collect();
/// assert_eq!(kinds, [TransitionKind::Start, TransitionKind::Call, TransitionKind::Return]);
///
/// phone.stop(&mut caller)?;
/// kernel.run().await?;
/// assert!(!kernel.is_alive(phone.id()));
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
impl<S: Eq + Hash + Debug + 'static, R: 'static> Nfa<S, R> {
    /// The machine as a session.
    #[doc(alias = "ID")]
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Brings the machine into a state: at once if it is in none yet, or with its option `immediate`; else as an event
    /// behind those that wait (law L80). See [`Machine::goto_state`].
    ///
    /// # Errors
    /// The machine is gone; or what it did at once failed, which is its `DIE`.
    #[track_caller]
    pub fn goto_state<A: 'static>(
        &self,
        caller: &mut impl Caller,
        state: impl Into<S>,
        event: impl Posts<A>,
        args: A,
    ) -> Result<(), Error> {
        let entry = Entry::new(event.key(), AnyArg::new(args));
        let state = state.into();
        Ok(self.ask(caller, Move::Goto { state, entry }, Location::caller())?)
    }

    /// See [`Machine::call_state`].
    ///
    /// # Errors
    /// As [`goto_state`](Self::goto_state).
    #[track_caller]
    pub fn call_state<A: 'static, B: 'static>(
        &self,
        caller: &mut impl Caller,
        back: impl Posts<B>,
        state: impl Into<S>,
        event: impl Posts<A>,
        args: A,
    ) -> Result<(), Error> {
        let entry = Entry::new(event.key(), AnyArg::new(args));
        let (back, state) = (event_of(back.key()), state.into());
        Ok(self.ask(caller, Move::Push { back, state, entry }, Location::caller())?)
    }

    /// See [`Machine::return_state`].
    ///
    /// # Errors
    /// As [`goto_state`](Self::goto_state).
    #[track_caller]
    pub fn return_state<A: 'static>(&self, caller: &mut impl Caller, args: A) -> Result<(), Error> {
        let args = AnyArg::new(args);
        Ok(self.ask(caller, Move::Pop { args }, Location::caller())?)
    }

    /// Ends the machine, behind the events that wait; see [`Machine::stop`].
    ///
    /// # Errors
    /// The machine is gone.
    #[track_caller]
    pub fn stop(&self, caller: &mut impl Caller) -> Result<(), Error> {
        Ok(self.send(caller, Move::Stop, false, Location::caller())?)
    }

    fn ask(
        &self,
        caller: &mut impl Caller,
        change: Move<S>,
        place: &'static Location<'static>,
    ) -> Result<(), CallError<Move<S>>> {
        let at_once = self.cell.upgrade().is_some_and(|cell| cell.acts_at_once());
        self.send(caller, change, at_once, place)
    }

    fn send(
        &self,
        caller: &mut impl Caller,
        change: Move<S>,
        at_once: bool,
        place: &'static Location<'static>,
    ) -> Result<(), CallError<Move<S>>> {
        let event = change.key();
        if at_once {
            return call_at_once(caller, self.id.into(), event.key(), change, place);
        }
        let mut change = Some(change);
        let posted = caller.at_once("a machine", |core| match change.take() {
            Some(change) => core.post_from(None, self.id.into(), event.key(), change, place),
            None => Ok(()),
        });
        match posted {
            Ok(Ok(())) => Ok(()),
            Ok(Err(refused)) => Err(CallError::no_such_session(event.name(), self.id, refused.into_arg())),
            Err(_) => Err(CallError::busy(event.name(), change)),
        }
    }

    /// The state that the machine is in; `None` before the first and after its end.
    #[must_use]
    pub fn get_current_state(&self) -> Option<Rc<S>> {
        let cell = self.cell.upgrade()?;
        cell.state_at(cell.current.get()).cloned()
    }

    /// Looks into the run state; `None` while one of the machine's handlers has it, and after its end.
    #[doc(alias = "get_runstate")]
    pub fn with_runstate<T>(&self, look: impl FnOnce(&mut R) -> T) -> Option<T> {
        let cell = self.cell.upgrade()?;
        let mut runstate = cell.runstate.take()?;
        let seen = look(&mut runstate);
        cell.runstate.set(Some(runstate));
        Some(seen)
    }

    /// The last changes of the state, oldest first; none after its end.
    #[must_use]
    pub fn transitions(&self) -> Vec<Transition<S>> {
        self.cell.upgrade().map_or_else(Vec::new, |cell| cell.history.list())
    }

    /// The names that have a handler in any state, sorted.
    #[must_use]
    pub fn event_names(&self) -> Vec<Name> {
        let cell = self.cell.upgrade();
        cell.map_or_else(Vec::new, |cell| crate::kernel::Invoke::event_names(&*cell))
    }
}

impl<S, R> Clone for Nfa<S, R> {
    fn clone(&self) -> Self {
        Nfa {
            id: self.id,
            cell: self.cell.clone(),
        }
    }
}

impl<S, R> Debug for Nfa<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nfa({})", self.id)
    }
}
