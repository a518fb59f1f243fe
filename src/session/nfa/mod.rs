//! POE::NFA: a session whose handlers depend on the state that it is in; this file is what the rest of the program sees of it.

mod builder;
mod cell;
mod machine;
mod state;

use super::Caller;
use crate::arg::AnyArg;
use crate::error::{CallError, Error};
use crate::event::{Keyed, Posts};
use crate::id::{Place, SessionId};
use crate::kernel::{AtOnce, call_at_once};
use crate::name::Name;
use cell::{Entry, Move, NfaCell, event_of};
use state::History;
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::panic::Location;
use std::rc::{Rc, Weak};

pub use builder::NfaBuilder;
pub use machine::Machine;
pub use state::{NfaState, Transition, TransitionKind};

// A machine as the rest of the program sees it.
/// A state machine (POE::NFA): a session whose handlers depend on the state that it is in.
///
/// States are values of any type that is `Eq + Hash + Debug`: an enum, or text. Each has its own handlers; the
/// builder's [`on`](NfaBuilder::on) adds handlers for all states. A handler changes the state with
/// [`goto_state`](crate::Machine::goto_state), [`call_state`](crate::Machine::call_state) and
/// [`return_state`](crate::Machine::return_state). `R`, the run state, is to a machine what the heap is to a session.
///
/// An event is handled by the current state's handler, else by a shared one, else by the state's
/// [`DEFAULT`](crate::event::DEFAULT). Without any of them it is a failure (law L84), except for `_child` and
/// `_parent`. A machine gets neither `_start` nor `_stop`.
///
/// An `Nfa` value is a handle to the machine. It keeps nothing alive.
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
///     .enter(Light::Red, ENTER, ()).start(&kernel)?.id();
/// kernel.run().await
/// # }
/// ```
#[doc(alias = "POE::NFA")]
#[doc(alias = "state machine")]
#[doc(alias = "FSM")]
#[doc(alias = "gen_statem")]
pub struct Nfa<S: 'static, R: 'static> {
    id: SessionId,
    cell: Weak<NfaCell<S, R>>,
    /// Outlives the machine.
    history: Rc<History<S>>,
}

impl Nfa<(), ()> {
    /// Starts building a machine with that run state.
    pub fn builder<S: Eq + Hash + Debug + 'static, R: 'static>(runstate: R) -> NfaBuilder<S, R> {
        NfaBuilder::new(runstate)
    }
}

/// A machine from outside. `caller` is `&kernel`, or inside a handler its context: `cx`, or `&mut *cx` if it is used again.
///
/// ```
/// use poe::{Event, Kernel, Nfa, event::SILENT, nfa::TransitionKind};
/// const HUNG_UP: Event<u32> = Event::new("hung up");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let phone = Nfa::builder(Vec::new())
///     .state("idle", |s| s.on(HUNG_UP, |cx, minutes| cx.runstate.push(minutes)))
///     .state("talking", |s| s)
///     .immediate()
///     .start(&kernel)?;
/// assert_eq!(phone.event_names(), ["hung up"]);
///
/// phone.goto_state(&kernel, "idle", SILENT, ())?;
/// phone.call_state(&kernel, HUNG_UP, "talking", SILENT, ())?;
/// assert_eq!(phone.current_state().as_deref(), Some(&"talking"));
/// phone.return_state(&kernel, 3_u32)?;
/// assert_eq!(phone.current_state().as_deref(), Some(&"idle"));
/// assert_eq!(phone.with_runstate(|minutes| minutes.clone()), Some(vec![3]));
/// let kinds: Vec<_> = phone.transitions().iter().map(|transition| transition.kind).collect();
/// assert_eq!(kinds, [TransitionKind::Start, TransitionKind::Call, TransitionKind::Return]);
///
/// phone.stop(&kernel)?;
/// kernel.run().await?;
/// assert!(!kernel.is_alive(phone.id()));
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
impl<S: Eq + Hash + Debug + 'static, R: 'static> Nfa<S, R> {
    /// Returns the machine's session.
    #[doc(alias = "ID")]
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Brings the machine into a state: at once if it is in none yet, or with its option `immediate`; otherwise with an
    /// event behind those that wait (law L80). See [`Machine::goto_state`](crate::Machine::goto_state).
    ///
    /// # Errors
    /// The machine is gone; or a change that takes effect at once has failed, which raises its `DIE`.
    #[track_caller]
    pub fn goto_state<A: 'static>(
        &self,
        mut caller: impl Caller,
        state: impl Into<S>,
        event: impl Posts<A>,
        args: A,
    ) -> Result<(), Error> {
        let entry = Entry::new(event.key(), AnyArg::new(args));
        let state = state.into();
        Ok(self.ask(&mut caller, Move::Goto { state, entry }, Location::caller())?)
    }

    /// Enters a state like a subroutine: see [`Machine::call_state`](crate::Machine::call_state).
    ///
    /// # Errors
    /// As [`goto_state`](Self::goto_state).
    #[track_caller]
    pub fn call_state<A: 'static, B: 'static>(
        &self,
        mut caller: impl Caller,
        back: impl Posts<B>,
        state: impl Into<S>,
        event: impl Posts<A>,
        args: A,
    ) -> Result<(), Error> {
        let entry = Entry::new(event.key(), AnyArg::new(args));
        let (back, state) = (event_of(back.key()), state.into());
        Ok(self.ask(&mut caller, Move::Push { back, state, entry }, Location::caller())?)
    }

    /// Returns from a state: see [`Machine::return_state`](crate::Machine::return_state).
    ///
    /// # Errors
    /// As [`goto_state`](Self::goto_state).
    #[track_caller]
    pub fn return_state<A: 'static>(&self, mut caller: impl Caller, args: A) -> Result<(), Error> {
        let args = AnyArg::new(args);
        Ok(self.ask(&mut caller, Move::Pop { args }, Location::caller())?)
    }

    /// Ends the machine, behind the waiting events; see [`Machine::stop`](crate::Machine::stop).
    ///
    /// # Errors
    /// The machine is gone.
    #[track_caller]
    pub fn stop(&self, mut caller: impl Caller) -> Result<(), Error> {
        Ok(self.send(&mut caller, Move::Stop, false, Location::caller())?)
    }

    fn ask(&self, caller: &mut impl AtOnce, change: Move<S>, place: Place) -> Result<(), CallError<Move<S>>> {
        let at_once = self.cell.upgrade().is_some_and(|cell| cell.acts_at_once());
        self.send(caller, change, at_once, place)
    }

    fn send(
        &self,
        caller: &mut impl AtOnce,
        change: Move<S>,
        at_once: bool,
        place: Place,
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

    /// Returns the current state, or the last one after the machine's end; `None` before the first.
    #[must_use]
    #[doc(alias = "get_current_state")]
    pub fn current_state(&self) -> Option<Rc<S>> {
        self.history.state()
    }

    /// Calls `f` with the run state; `None` while one of the machine's handlers has it, and after its end.
    #[doc(alias = "get_runstate")]
    pub fn with_runstate<T>(&self, look: impl FnOnce(&mut R) -> T) -> Option<T> {
        let cell = self.cell.upgrade()?;
        let mut runstate = cell.runstate.lend()?;
        Some(look(&mut runstate))
    }

    /// Returns the last transitions, oldest first; also after the machine's end.
    #[must_use]
    pub fn transitions(&self) -> Vec<Transition<S>> {
        self.history.list()
    }

    /// Returns the names that have a handler in any state, sorted.
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
            history: self.history.clone(),
        }
    }
}

impl<S, R> Debug for Nfa<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nfa({})", self.id)
    }
}
