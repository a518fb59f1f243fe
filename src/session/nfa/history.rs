//! The last transitions of a machine, for logs and tests.

use crate::name::Name;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::SystemTime;

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
