//! A machine as the kernel runs it: the lookup of handlers (law L84), and the changes of its state (laws L80 to L83).

use super::machine::Machine;
use super::state::{History, Queue, Transition, TransitionKind};
use crate::arg::AnyArg;
use crate::error::{Failure, drop_quietly};
use crate::event::{Event, Keyed, LEAVE, Unhandled};
use crate::id::TimerId;
use crate::kernel::{Frame, Invoke, Invoked, KernelRef};
use crate::name::{HeldName, Key, Name, NameIdx};
use crate::session::context::HeapCell;
use crate::session::states::{Options, Table, TableSlot};
use crate::session::then::MachineThen;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::rc::Rc;

/// A machine's handler with its types erased.
pub(super) type Handler<S, R> = dyn Fn(&mut Machine<'_, S, R>, &mut AnyArg) -> Invoked;

/// The states in the order in which they were named, each with its handlers.
pub(super) type Tables<S, R> = Vec<(Rc<S>, Table<Handler<S, R>>)>;

/// What a state may be: an enum of the user's, a name …
pub(super) trait StateKey: Eq + Hash + Debug + 'static {}
impl<S: Eq + Hash + Debug + 'static> StateKey for S {}

/// The states of a machine with their handlers; fixed when it is made.
pub(super) struct Plan<S: 'static, R: 'static> {
    pub(super) states: Tables<S, R>,
    pub(super) index: HashMap<Rc<S>, usize>,
}

/// What travels to the machine itself, by POE's reserved names.
pub(super) enum Move<S> {
    Goto {
        state: S,
        entry: Entry,
    },
    Push {
        back: Option<HeldName>,
        state: S,
        entry: Entry,
    },
    Pop {
        args: AnyArg,
    },
    Stop,
}

/// The entry event of the new state and its arguments.
pub(super) struct Entry {
    pub(super) event: Option<HeldName>,
    pub(super) args: AnyArg,
}

impl Entry {
    pub(super) fn new(key: Key<'_>, args: AnyArg) -> Self {
        Entry {
            event: event_of(key),
            args,
        }
    }
}

/// The event of a key, or none for [`SILENT`](crate::event::SILENT).
pub(super) fn event_of(key: Key<'_>) -> Option<HeldName> {
    (!key.as_str().is_empty()).then(|| HeldName::new(key))
}

impl<S> Move<S> {
    /// The name by which it travels.
    pub(super) fn key(&self) -> Event<Move<S>> {
        match self {
            Move::Goto { .. } => Event::new(RESERVED[0]),
            Move::Push { .. } => Event::new(RESERVED[1]),
            Move::Pop { .. } => Event::new(RESERVED[2]),
            Move::Stop => Event::new(RESERVED[3]),
        }
    }
}

const RESERVED: [&str; 4] = [
    "poe_nfa_goto_state",
    "poe_nfa_push_state",
    "poe_nfa_pop_state",
    "poe_nfa_stop",
];

pub(super) struct NfaCell<S: 'static, R: 'static> {
    pub(super) runstate: HeapCell<R>,
    pub(super) plan: Plan<S, R>,
    /// Handlers that every state has, unless it has one of its own; changed by `state`.
    pub(super) internal: TableSlot<Handler<S, R>>,
    pub(super) options: Options,
    /// None before the first `goto_state`.
    pub(super) current: Cell<Option<usize>>,
    /// The state that `return_state` goes to, and the event that it sends there.
    stack: RefCell<Vec<(Option<usize>, Option<HeldName>)>>,
    pub(super) postponed: Queue,
    /// Timers that end with the state, by their events; those that have fired stay until then.
    pub(super) timeouts: RefCell<Vec<(HeldName, TimerId)>>,
    pub(super) history: Rc<History<S>>,
    /// How many of the machine's handlers are on the stack.
    depth: Cell<u32>,
    /// A `leave` handler is on the stack.
    leaving: Cell<bool>,
    leave: HeldName,
    reserved: [HeldName; 4],
}

impl<S: 'static, R: 'static> Drop for NfaCell<S, R> {
    /// The run state and the postponed events go by themselves: their drops may panic, and so may those of the other parts.
    fn drop(&mut self) {
        self.runstate.clear();
        self.postponed.clear();
    }
}

/// One level of handlers less when it is dropped, also by a panic.
struct Level<'a>(&'a Cell<u32>);

impl Drop for Level<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

struct Leaving<'a>(&'a Cell<bool>);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl<S: StateKey, R: 'static> Invoke for NfaCell<S, R> {
    fn invoke(&self, kernel: KernelRef<'_>, arg: &mut AnyArg) -> Invoked {
        self.depth.set(self.depth.get() + 1);
        let level = Level(&self.depth);
        let invoked = self.receive(kernel, arg);
        drop(level);
        // A handler that asked for a change with `immediate` is finished first.
        if self.depth.get() == 0 {
            self.postponed.deliver(kernel);
        }
        invoked
    }

    fn event_names(&self) -> Vec<Name> {
        let mut names = self.internal.get().event_names();
        for (_, table) in &self.plan.states {
            names.extend(table.event_names());
        }
        names.sort();
        names.dedup();
        names
    }

    fn heap_type(&self) -> &'static str {
        std::any::type_name::<R>()
    }

    fn heap_size(&self) -> usize {
        size_of::<R>()
    }

    fn options(&self) -> Vec<(String, String)> {
        self.options.all()
    }

    fn set_option(&self, name: &str, value: Option<&str>) -> Option<String> {
        self.options.set(name, value)
    }
}

impl<S: StateKey, R: 'static> NfaCell<S, R> {
    pub(super) fn new(
        runstate: R,
        plan: Plan<S, R>,
        internal: Rc<Table<Handler<S, R>>>,
        options: Options,
        log: usize,
    ) -> Self {
        NfaCell {
            runstate: HeapCell::new(runstate),
            plan,
            internal: TableSlot::new(internal),
            options,
            current: Cell::new(None),
            stack: RefCell::default(),
            postponed: Queue::default(),
            timeouts: RefCell::default(),
            history: Rc::new(History::new(log)),
            depth: Cell::new(0),
            leaving: Cell::new(false),
            leave: HeldName::new(LEAVE.key()),
            reserved: RESERVED.map(|name| HeldName::new(Key::new(name))),
        }
    }

    /// Whether a change of the state takes effect before the method that asks for it returns.
    pub(super) fn acts_at_once(&self) -> bool {
        self.current.get().is_none() || self.is_immediate()
    }

    fn is_immediate(&self) -> bool {
        self.options
            .get("immediate")
            .is_some_and(|value| value != "0" && !value.is_empty())
    }

    pub(super) fn state_at(&self, at: Option<usize>) -> Option<&Rc<S>> {
        at.and_then(|at| self.plan.states.get(at)).map(|(key, _)| key)
    }

    fn table(&self) -> Option<&Table<Handler<S, R>>> {
        let at = self.current.get()?;
        self.plan.states.get(at).map(|(_, table)| table)
    }

    fn receive(&self, kernel: KernelRef<'_>, arg: &mut AnyArg) -> Invoked {
        let name = kernel.frame.event.get();
        if self.options.flags().trace {
            let (session, place) = (kernel.session_id(), kernel.caller_place());
            tracing::info!(target: "poe::sessions", "{session} -> {} (from {place})", kernel.event());
        }
        // A machine has no `_start` and `_stop`; its entry and leave events take their place.
        if name == NameIdx::START || name == NameIdx::STOP {
            if name == NameIdx::STOP {
                self.postponed.tell_lost(kernel);
            }
            return Invoked::Returned;
        }
        if self.reserved.iter().any(|own| own.idx() == name)
            && let Some(change) = arg.take::<Move<S>>()
        {
            return self.change(kernel, change);
        }
        if name == NameIdx::THEN
            && let Some(then) = arg.take::<MachineThen<S, R>>()
        {
            return match Machine::enter(self, kernel) {
                Some(mut cx) => then.into_inner()(&mut cx),
                None => in_use(),
            };
        }
        self.handle(kernel, arg)
    }

    /// The current state's own handler, one that all states share, the state's `_default`, or a failure (law L84).
    fn handle(&self, kernel: KernelRef<'_>, arg: &mut AnyArg) -> Invoked {
        let name = kernel.frame.event.get();
        let table = self.table();
        if let Some(handler) = table.and_then(|table| table.find(name)) {
            return self.run(kernel, handler, arg);
        }
        let internal = self.internal.get().find(name).cloned();
        if let Some(handler) = internal {
            return self.run(kernel, &handler, arg);
        }
        if let Some(handler) = table.and_then(|table| table.find(NameIdx::DEFAULT)) {
            if self.options.flags().trace {
                tracing::info!(target: "poe::sessions", "{} -> {} redirected to _default in state {:?}", kernel.session_id(), kernel.event(), self.state_at(self.current.get()));
            }
            let given = std::mem::take(arg);
            *arg = AnyArg::new(Unhandled {
                event: kernel.event(),
                arg: given,
            });
            kernel.frame.event.set(NameIdx::DEFAULT);
            return self.run(kernel, handler, arg);
        }
        // POE fails here for life-cycle events as well, which kills machines that merely have children.
        if name == NameIdx::CHILD || name == NameIdx::PARENT {
            return Invoked::Unhandled;
        }
        self.unknown(kernel)
    }

    #[cold]
    fn unknown(&self, kernel: KernelRef<'_>) -> Invoked {
        let place = kernel.caller_place();
        let state = match self.state_at(self.current.get()) {
            Some(state) => format!("in its current state, {state:?}"),
            None => "as it is in no state yet".to_owned(),
        };
        Invoked::Failed(Failure::msg(format!(
            "event `{}` was sent from {}:{} to machine {}, which has neither a handler for it nor a _default {state}",
            kernel.event(),
            place.file(),
            place.line(),
            kernel.session_id(),
        )))
    }

    fn run(&self, kernel: KernelRef<'_>, handler: &Rc<Handler<S, R>>, arg: &mut AnyArg) -> Invoked {
        match Machine::enter(self, kernel) {
            Some(mut cx) => handler(&mut cx, arg),
            None => in_use(),
        }
    }

    fn change(&self, kernel: KernelRef<'_>, change: Move<S>) -> Invoked {
        if self.leaving.get() && self.is_immediate() {
            return fail(kernel, "asked for another change of its state while it leaves one");
        }
        match change {
            Move::Goto { state, entry } => {
                let Some(&to) = self.plan.index.get(&state) else {
                    return fail(kernel, &format!("tried to enter the nonexistent state {state:?}"));
                };
                let kind = match self.current.get() {
                    Some(_) => TransitionKind::Goto,
                    None => TransitionKind::Start,
                };
                self.enter(kernel, to, entry, kind, || ())
            }
            Move::Push { back, state, entry } => {
                let Some(&to) = self.plan.index.get(&state) else {
                    return fail(kernel, &format!("tried to enter the nonexistent state {state:?}"));
                };
                // POE pushes before it looks, and so leaves an entry behind when the new state is not there.
                let push = || self.stack.borrow_mut().push((self.current.get(), back));
                self.enter(kernel, to, entry, TransitionKind::Call, push)
            }
            Move::Pop { args } => {
                let top = self.stack.borrow_mut().pop();
                let Some((state, event)) = top else {
                    return fail(kernel, "tried to return from a state that was not called");
                };
                let Some(to) = state else {
                    return fail(kernel, "tried to return to no state");
                };
                self.enter(kernel, to, Entry { event, args }, TransitionKind::Return, || ())
            }
            Move::Stop => {
                if let Some(slot) = kernel.slot() {
                    kernel.core.stop_session(slot);
                }
                Invoked::Returned
            }
        }
    }

    /// Checks first, then tells the old state, then changes it, then tells the new one (law L81).
    fn enter(
        &self,
        kernel: KernelRef<'_>,
        to: usize,
        entry: Entry,
        kind: TransitionKind,
        checked: impl FnOnce(),
    ) -> Invoked {
        let Some((key, table)) = self.plan.states.get(to) else {
            return fail(kernel, "tried to enter a nonexistent state");
        };
        if let Some(event) = &entry.event
            && table.find(event.idx()).is_none()
        {
            let event = event.name();
            return fail(
                kernel,
                &format!("tried to enter the state {key:?} by `{event}`, for which it has no handler"),
            );
        }
        checked();
        let from = self.current.get();
        if self.table().is_some_and(|old| old.find(self.leave.idx()).is_some()) {
            self.leaving.set(true);
            let leaving = Leaving(&self.leaving);
            let invoked = self.tell(kernel, self.leave.idx(), AnyArg::UNIT);
            drop(leaving);
            if let Invoked::Failed(_) = invoked {
                return invoked;
            }
        }
        self.current.set(Some(to));
        self.history.set_state(self.state_at(Some(to)).cloned());
        if from != Some(to) {
            let timeouts = self.timeouts.take();
            for (_, id) in timeouts {
                // Those that have fired are gone already.
                drop(kernel.alarm_remove_if_set(id));
            }
            self.postponed.release();
        }
        self.history.add(|| Transition {
            kind,
            from: self.state_at(from).cloned(),
            to: key.clone(),
            event: entry.event.as_ref().map(HeldName::name),
            at: kernel.core.wall_now(),
            place: kernel.frame.place,
        });
        match entry.event {
            Some(event) => self.tell(kernel, event.idx(), entry.args),
            None => Invoked::Returned,
        }
    }

    /// An entry or leave event: sent by the machine itself, during no event.
    fn tell(&self, kernel: KernelRef<'_>, event: NameIdx, mut arg: AnyArg) -> Invoked {
        let session = kernel.frame.session;
        let frame = Frame {
            session,
            event: Cell::new(event),
            sender: session,
            caller: NameIdx::NONE,
            place: kernel.frame.place,
            answer: None,
        };
        let core = kernel.core;
        let observed = core.is_listening().then(|| core.begin_observed(&frame, false));
        let invoked = self.handle(
            KernelRef {
                core: kernel.core,
                frame: &frame,
            },
            &mut arg,
        );
        if let Some(observed) = observed {
            core.end_observed(observed, &frame, &invoked);
        }
        drop_quietly(arg);
        invoked
    }
}

#[cold]
fn in_use() -> Invoked {
    Invoked::Failed(Failure::msg("the machine's run state is in use further up the stack"))
}

#[cold]
fn fail(kernel: KernelRef<'_>, what: &str) -> Invoked {
    Invoked::Failed(Failure::msg(format!("machine {} {what}", kernel.session_id())))
}
