//! Creating state machines.

use super::Nfa;
use super::cell::{Entry, Handler, Move, NfaCell, Plan, Tables};
use super::machine::Machine;
use super::state::{NfaState, state_handler};
use crate::arg::AnyArg;
use crate::error::{Error, ErrorKind, OnFailure};
use crate::event::{Calls, Posts};
use crate::kernel::{Kernel, create_at_once};
use crate::session::states::{Options, Table};
use crate::session::{Caller, IntoReply, Start};
use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::panic::Location;
use std::rc::Rc;

/// The number of transitions that a machine remembers by default.
const LOG: usize = 16;

/// A state machine before it is started; see [`Nfa::builder`].
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
///     .start(&kernel)?;
///
/// lamp.goto_state(&kernel, "off", SILENT, ())?;
/// for _ in 0..3 {
///     kernel.call(lamp.id(), PRESS, ())?;
/// }
/// assert_eq!(lamp.current_state().as_deref(), Some(&"on"));
/// assert_eq!(kernel.call(lamp.id(), COUNT, ())?, 2);
/// assert_eq!(lamp.transitions().len(), 2); // of four
/// # Ok::<(), poe::Error>(())
/// ```
#[must_use = "a machine lives only after `start`"]
pub struct NfaBuilder<S: 'static, R: 'static> {
    runstate: R,
    states: Tables<S, R>,
    index: HashMap<Rc<S>, usize>,
    internal: Table<Handler<S, R>>,
    options: Options,
    log: usize,
    on_failure: Option<OnFailure>,
    first: Option<(S, Entry)>,
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
            first: None,
        }
    }

    /// Adds a state; it replaces an earlier one of the same name.
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

    /// Adds a handler for every state that has no handler of its own for that event.
    pub fn on<A: 'static, Ret: IntoReply>(
        mut self,
        event: impl Calls<A, Ret::Value>,
        handler: impl Fn(&mut Machine<'_, S, R>, A) -> Ret + 'static,
    ) -> Self {
        self.internal.set(event.key(), state_handler(handler));
        self
    }

    /// Sets an option: see [`KernelRef::set_option`](crate::KernelRef::set_option).
    #[doc(alias = "options")]
    pub fn option(self, name: &str, value: impl ToString) -> Self {
        self.options.set(name, Some(&value.to_string()));
        self
    }

    /// Makes changes of the state take effect before the method that asks for them returns (law L83).
    pub fn immediate(self) -> Self {
        self.option("immediate", 1)
    }

    /// Sets how many transitions are remembered, the newest ones; default 16, 0 for none.
    pub fn log(mut self, transitions: usize) -> Self {
        self.log = transitions;
        self
    }

    /// Sets the policy for unhandled failures of the machine: see
    /// [`SessionBuilder::on_failure`](crate::SessionBuilder::on_failure).
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa, OnFailure};
    /// const ENTER: Event<()> = Event::new("enter");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Nfa::builder(())
    ///     .state("only", |s| s.on(ENTER, |_, ()| panic!("a bug")))
    ///     .on_failure(OnFailure::StopSession)
    ///     .enter("only", ENTER, ()).start(&kernel)?.id();
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.on_failure = Some(policy);
        self
    }

    /// Sets the state that the machine enters when it starts, before `start` returns (law L80).
    ///
    /// Without it the machine is in no state until [`Nfa::goto_state`] is called; if that does not happen, it stops at
    /// the next sweep.
    pub fn enter<A: 'static>(mut self, state: S, event: impl Posts<A>, args: A) -> Self {
        self.first = Some((state, Entry::new(event.key(), AnyArg::new(args))));
        self
    }

    /// Starts the machine as a child of the kernel. Inside a handler use [`cx.start(builder)`](crate::Context::start).
    ///
    /// # Errors
    /// It has no states, or not the one to [`enter`](Self::enter), or that one has no handler of the entry event, and
    /// nothing is created; a handler is running; the kernel is shutting down. A failure of the entry event's handler is
    /// a `DIE`, like one in a session's `_start`.
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa, Session, event::{SILENT, START}};
    /// const ENTER: Event<u32> = Event::new("enter");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let machine = || Nfa::builder(0_u32).state("only", |s| s.on(ENTER, |cx, n| *cx.runstate = n));
    /// let entered = machine().enter("only", ENTER, 7).start(&kernel)?;
    /// assert_eq!(entered.with_runstate(|n| *n), Some(7));
    /// assert!(machine().enter("other", SILENT, ()).start(&kernel).is_err());
    /// assert!(machine().enter("only", "unknown", ()).start(&kernel).is_err());
    /// assert_eq!(kernel.session_count(), 1);
    /// // A session with a machine in its heap, which it controls.
    /// Session::builder(None)
    ///     .on(START, move |cx, ()| -> poe::HandlerResult {
    ///         let own = cx.start(machine().immediate())?;
    ///         own.goto_state(&mut *cx, "only", ENTER, 8)?;
    ///         assert_eq!(own.with_runstate(|n| *n), Some(8));
    ///         *cx.heap = Some(own);
    ///         Ok(())
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    #[doc(alias = "spawn")]
    pub fn start(self, kernel: &Kernel) -> Result<Nfa<S, R>, Error> {
        self.start_by(&mut { kernel })
    }
}

impl<S: Eq + Hash + Debug + 'static, R: 'static> Start for NfaBuilder<S, R> {
    type Started = Nfa<S, R>;

    #[track_caller]
    fn start_by(mut self, caller: &mut impl Caller) -> Result<Nfa<S, R>, Error> {
        let place = Location::caller();
        let first = self.first.take();
        if let Some((state, entry)) = &first {
            let found = self.index.get(state).and_then(|at| self.states.get(*at));
            let Some((_, table)) = found else {
                return Err(invalid(place, &format!("has no state {state:?}")));
            };
            if let Some(event) = &entry.event
                && !table.event_names().iter().any(|name| **name == *event.name())
            {
                let text = format!(
                    "cannot enter {state:?} by `{}`, which has no handler there",
                    event.name()
                );
                return Err(invalid(place, &text));
            }
        }
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
        let machine = Nfa {
            id,
            cell: weak,
            history,
        };
        if let Some((state, entry)) = first {
            match machine.ask(caller, Move::Goto { state, entry }, place) {
                Err(error) if !error.is_died() => return Err(error.into()),
                _ => {}
            }
        }
        Ok(machine)
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
