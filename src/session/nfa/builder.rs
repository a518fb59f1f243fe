//! Making state machines.

use super::cell::{Entry, Handler, Move, NfaCell, Plan, Tables};
use super::handle::Nfa;
use super::machine::Machine;
use super::state::{NfaState, state_handler};
use crate::arg::AnyArg;
use crate::error::{Error, ErrorKind, OnFailure};
use crate::event::{Calls, Posts};
use crate::id::{Place, SessionId};
use crate::kernel::{Caller, Kernel, create_at_once};
use crate::name::Key;
use crate::session::IntoReply;
use crate::session::options::Options;
use crate::session::states::Table;
use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::panic::Location;
use std::rc::Rc;

/// Transitions that a machine remembers unless it is told otherwise.
const LOG: usize = 16;

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
    on_failure: Option<OnFailure>,
}

impl<S: Eq + Hash + Debug + 'static, R: 'static> NfaBuilder<S, R> {
    pub(super) fn new(runstate: R) -> Self {
        NfaBuilder {
            runstate,
            states: Vec::new(),
            index: HashMap::new(),
            internal: Table::new(),
            options: Options::default(),
            log: LOG,
            on_failure: None,
        }
    }

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

    /// Sets what an unhandled failure of the machine stops: see [`SessionBuilder::on_failure`](crate::SessionBuilder::on_failure).
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa, OnFailure};
    /// const ENTER: Event<()> = Event::new("enter");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Nfa::builder(())
    ///     .state("only", |s| s.on(ENTER, |_, ()| panic!("a bug")))
    ///     .on_failure(OnFailure::StopSession)
    ///     .start(&kernel, "only", ENTER, ())?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.on_failure = Some(policy);
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
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
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
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
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
    ///     .on(STOP, |cx, ()| {
    ///         // The machine, a child, has stopped before; it still tells its last state.
    ///         let last = cx.heap.as_ref().and_then(|door| door.get_current_state());
    ///         assert_eq!(last.as_deref(), Some(&"open"));
    ///     })
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
        place: Place,
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

    fn spawn_at(self, caller: &mut impl Caller, place: Place) -> Result<Nfa<S, R>, Error> {
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
        let (weak, history) = (Rc::downgrade(&cell), cell.history.clone());
        let id = create_at_once(caller, cell, AnyArg::UNIT, self.on_failure, place)?;
        Ok(Nfa {
            id,
            cell: weak,
            history,
        })
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
