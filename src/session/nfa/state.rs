//! The handlers of one state.

use super::super::IntoReply;
use super::super::states::{Table, answered, wrong_argument};
use super::cell::Handler;
use super::machine::Machine;
use crate::arg::AnyArg;
use crate::error::drop_each_quietly;
use crate::event::{Calls, DEFAULT, Keyed};
use crate::id::{Place, SessionId};
use crate::kernel::{Invoked, KernelRef};
use crate::name::{HeldName, Key, Name};
use std::any::type_name;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::panic::Location;
use std::rc::Rc;
use std::time::SystemTime;

/// The handlers of one state, given to [`NfaBuilder::state`](crate::nfa::NfaBuilder::state).
///
/// ```
/// use poe::{Event, Kernel, Nfa, Reply, event::SILENT, nfa::NfaState};
/// const SIZE: Event<(), usize> = Event::new("size");
///
/// /// Handlers of more than one state.
/// fn sized(state: NfaState<&'static str, Vec<u8>>) -> NfaState<&'static str, Vec<u8>> {
///     state.on(SIZE, |cx, ()| Reply(cx.runstate.len()))
/// }
/// let kernel = Kernel::new();
/// let machine = Nfa::builder(vec![1, 2, 3])
///     .state("idle", sized)
///     .state("busy", |s| sized(s).postpone("job"))
///     .start(&kernel)?;
/// machine.goto_state(&kernel, "busy", SILENT, ())?;
/// assert_eq!(kernel.call(machine.id(), SIZE, ())?, 3);
/// # Ok::<(), poe::Error>(())
/// ```
pub struct NfaState<S: 'static, R: 'static> {
    pub(super) table: Table<Handler<S, R>>,
}

impl<S: Eq + Hash + Debug + 'static, R: 'static> NfaState<S, R> {
    /// Makes a state without handlers.
    #[must_use]
    pub fn new() -> Self {
        NfaState { table: Table::new() }
    }

    /// Adds a handler; it replaces an earlier one of the same name.
    #[must_use]
    pub fn on<A: 'static, Ret: IntoReply>(
        mut self,
        event: impl Calls<A, Ret::Value>,
        handler: impl Fn(&mut Machine<'_, S, R>, A) -> Ret + 'static,
    ) -> Self {
        self.table.set(event.key(), state_handler(handler));
        self
    }

    /// Postpones this event while the machine is in this state: see [`Machine::postpone`].
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
    ///     .enter("connecting", ENTER, ()).start(&kernel)?.id();
    /// kernel.run().await?;
    /// assert_eq!(*done.borrow(), [1, 2]);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn postpone(self, event: &str) -> Self {
        self.postponing(Key::new(event))
    }

    /// Postpones every event that has neither a handler in this state nor a shared one.
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
    ///                 cx.yield_to("read", "mail"); // no handler could read it yet
    ///                 cx.yield_to(LOGIN, "root");
    ///             })
    ///             .on(LOGIN, |cx, who| {
    ///                 cx.runstate.borrow_mut().push(who);
    ///                 cx.goto_state("somebody", SILENT, ())
    ///             })
    ///     })
    ///     .state("somebody", |s| s.on("read", |cx, what: &'static str| cx.runstate.borrow_mut().push(what)))
    ///     .enter("nobody", ENTER, ()).start(&kernel)?.id();
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

// The last transitions of a machine, for logs and tests.
/// One transition of a machine, as recorded: see [`Machine::transitions`](crate::Machine::transitions).
///
/// ```
/// use poe::{Event, Kernel, Nfa};
/// const ENTER: Event<()> = Event::new("enter");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let machine = Nfa::builder(())
///     .state("idle", |s| s.on(ENTER, |cx, ()| cx.goto_state("busy", ENTER, ())))
///     .state("busy", |s| s.on(ENTER, |cx, ()| {
///         let log: Vec<String> = cx.transitions().iter().map(ToString::to_string).collect();
///         assert_eq!(log, [r#"start -> "idle" (enter)"#, r#"goto "idle" -> "busy" (enter)"#]);
///     }))
///     .enter("idle", ENTER, ()).start(&kernel)
///     .unwrap().id();
/// kernel.run().await.unwrap();
/// # });
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Transition<S> {
    /// The cause.
    pub kind: TransitionKind,
    /// The state before; `None` at the start.
    pub from: Option<Rc<S>>,
    /// The state after.
    pub to: Rc<S>,
    /// The entry event, if there was one.
    pub event: Option<Name>,
    /// The time.
    pub at: SystemTime,
    /// The line that asked for it.
    pub place: &'static Location<'static>,
}

impl<S> Clone for Transition<S> {
    fn clone(&self) -> Self {
        Transition {
            kind: self.kind,
            from: self.from.clone(),
            to: self.to.clone(),
            event: self.event.clone(),
            at: self.at,
            place: self.place,
        }
    }
}

/// The cause of a transition.
///
/// ```
/// use poe::{Event, Kernel, Nfa, event::SILENT, nfa::TransitionKind};
/// const NEXT: Event<()> = Event::new("next");
/// let kernel = Kernel::new();
/// let machine = Nfa::builder(())
///     .state(1, |s| s.on(NEXT, |cx, ()| cx.goto_state(2, SILENT, ())))
///     .state(2, |s| s)
///     .immediate()
///     .start(&kernel)?;
/// machine.goto_state(&kernel, 1, SILENT, ())?;
/// kernel.call(machine.id(), NEXT, ())?;
/// let kinds: Vec<_> = machine.transitions().iter().map(|transition| transition.kind).collect();
/// assert_eq!(kinds, [TransitionKind::Start, TransitionKind::Goto]);
/// # Ok::<(), poe::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum TransitionKind {
    /// The first state.
    Start,
    /// [`goto_state`](crate::Machine::goto_state).
    Goto,
    /// [`call_state`](crate::Machine::call_state).
    Call,
    /// [`return_state`](crate::Machine::return_state).
    Return,
}

impl<S: fmt::Debug> fmt::Display for Transition<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            TransitionKind::Start => "start",
            TransitionKind::Goto => "goto",
            TransitionKind::Call => "call",
            TransitionKind::Return => "return",
        })?;
        if let Some(from) = &self.from {
            write!(f, " {from:?}")?;
        }
        write!(f, " -> {:?}", self.to)?;
        match &self.event {
            Some(event) => write!(f, " ({event})"),
            None => Ok(()),
        }
    }
}

/// The current state and the newest transitions, oldest first. Handles share it, so that a machine still tells them after
/// its end, as POE's does.
pub(super) struct History<S> {
    limit: usize,
    state: RefCell<Option<Rc<S>>>,
    entries: RefCell<VecDeque<Transition<S>>>,
}

impl<S> History<S> {
    pub(super) fn new(limit: usize) -> Self {
        History {
            limit,
            state: RefCell::default(),
            entries: RefCell::default(),
        }
    }

    /// The state that the machine is in, or was in at its end.
    pub(super) fn state(&self) -> Option<Rc<S>> {
        self.state.borrow().clone()
    }

    pub(super) fn set_state(&self, state: Option<Rc<S>>) {
        // The machine's own table keeps the old one, so nothing of the user's is dropped here.
        drop(self.state.replace(state));
    }

    /// Makes the entry only if it is going to be kept.
    pub(super) fn add(&self, entry: impl FnOnce() -> Transition<S>) {
        if self.limit == 0 {
            return;
        }
        let entry = entry();
        let mut entries = self.entries.borrow_mut();
        let oldest = if entries.len() == self.limit {
            entries.pop_front()
        } else {
            None
        };
        entries.push_back(entry);
        drop(entries);
        drop(oldest);
    }

    pub(super) fn list(&self) -> Vec<Transition<S>> {
        self.entries.borrow().iter().cloned().collect()
    }
}

// Postponed events: events that a state cannot handle wait here until the state changes, as in OTP's gen_statem.
//
// A change of the state moves all postponed events, oldest first, ahead of everything queued. An event that is
// postponed again waits for the next change, at its old position. These events hold no session: a machine that nothing
// else keeps alive cannot change its state any more.
/// An event as it was delivered, to be delivered again.
pub(super) struct Postponed {
    pub(super) event: HeldName,
    pub(super) arg: AnyArg,
    pub(super) sender: SessionId,
    pub(super) caller: HeldName,
    pub(super) place: Place,
}

#[derive(Default)]
pub(super) struct Queue {
    /// Waiting for a change of the state; filled by `postpone`.
    waiting: RefCell<VecDeque<Postponed>>,
    /// To be delivered now; filled by a change of the state.
    ready: RefCell<VecDeque<Postponed>>,
    /// Somebody further up the stack is delivering.
    delivering: Cell<bool>,
}

impl Queue {
    pub(super) fn push(&self, event: Postponed) {
        self.waiting.borrow_mut().push_back(event);
    }

    /// Drops what waits, each by itself.
    pub(super) fn clear(&self) {
        drop_each_quietly(self.waiting.take());
        drop_each_quietly(self.ready.take());
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.borrow().len() + self.ready.borrow().len()
    }

    /// The state has changed: those that were postponed first come first.
    pub(super) fn release(&self) {
        let mut waiting = self.waiting.borrow_mut();
        let mut ready = self.ready.borrow_mut();
        waiting.append(&mut ready);
        std::mem::swap(&mut *waiting, &mut *ready);
    }

    /// The machine ends: what waits is not delivered any more.
    pub(super) fn tell_lost(&self, kernel: KernelRef<'_>) {
        if self.len() == 0 {
            return;
        }
        let facts = |event: &Postponed| (event.event.name(), event.sender, event.place);
        let mut lost: Vec<_> = self.waiting.borrow().iter().map(facts).collect();
        lost.extend(self.ready.borrow().iter().map(facts));
        for (event, sender, place) in lost {
            kernel.tell_postponed(&event, sender, place);
        }
    }

    /// Delivers the postponed events that are ready, each as a separate event: a failure is that event's, and stops no other.
    pub(super) fn deliver(&self, kernel: KernelRef<'_>) {
        if self.ready.borrow().is_empty() || self.delivering.replace(true) {
            return;
        }
        // Each is taken with no borrow left: its handler may postpone, and change the state.
        while kernel.slot().is_some() && !kernel.core.is_failing() {
            let next = self.ready.borrow_mut().pop_front();
            let Some(next) = next else { break };
            let (event, caller) = (next.event.idx(), next.caller.idx());
            let answer = kernel.core.dispatch_to(
                kernel.frame.session.slot,
                next.sender,
                event,
                caller,
                next.arg,
                next.place,
                false,
            );
            crate::error::drop_quietly(answer);
        }
        self.delivering.set(false);
    }
}
