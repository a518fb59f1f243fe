//! The context of a machine's running handler.

use super::super::IntoReply;
use super::super::context::Heap;
use super::cell::{Entry, Handler, Move, NfaCell, event_of};
use super::state::{Postponed, Transition, state_handler};
use crate::arg::AnyArg;
use crate::error::{Error, Failure, HandlerResult};
use crate::event::{Calls, EventName, Keyed, Posts, Unhandled};
use crate::id::Place;
use crate::kernel::{AtOnce, Core, Delta, KernelRef, Target, call_at_once};
use crate::name::{HeldName, Key, NameIdx};
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::ops::Deref;
use std::panic::Location;
use std::rc::Rc;

// Changing the state.
/// Changing the state.
///
/// ```
/// use poe::{Event, Kernel, Nfa, event::SILENT};
/// const ENTER: Event<()> = Event::new("enter");
/// const BACK: Event<&'static str> = Event::new("back");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Nfa::builder(())
///     .state("menu", |s| {
///         s.on(ENTER, |cx, ()| cx.call_state(BACK, "settings", ENTER, ())).on(BACK, |cx, saved| {
///             assert_eq!((saved, cx.current_state()), ("saved", Some(&"menu")));
///             let log: Vec<_> = cx.transitions().iter().map(ToString::to_string).collect();
///             assert_eq!(log[1..], [r#"call "menu" -> "settings" (enter)"#, r#"return "settings" -> "menu" (back)"#]);
///         })
///     })
///     .state("settings", |s| s.on(ENTER, |cx, ()| cx.return_state("saved")))
///     .enter("menu", ENTER, ()).start(&kernel)?.id();
/// kernel.run().await
/// # }).unwrap();
/// ```
impl<'k, S: Eq + Hash + Debug + 'static, R: 'static> Machine<'k, S, R> {
    /// Goes to another state: the old one's [`LEAVE`](crate::event::LEAVE) handler runs, then the new one's handler of
    /// the entry event, if that is not [`SILENT`](crate::event::SILENT) (law L81).
    ///
    /// The change is queued behind the waiting events, and this handler continues in the old state. With the option
    /// `immediate`, or while the machine is in no state yet, the whole change happens before this returns (laws L80,
    /// L83).
    ///
    /// # Errors
    /// Only if it takes effect at once: there is no such state, or it has no handler of the entry event, and the
    /// machine keeps its state; or one of the two handlers failed. For a queued change these are failures of that
    /// change and raise `DIE`.
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa, event::LEAVE};
    /// const ENTER: Event<()> = Event::new("enter");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Nfa::builder(Vec::new())
    ///     .state("red", |s| {
    ///         s.on(ENTER, |cx, ()| -> poe::HandlerResult {
    ///             cx.goto_state("green", ENTER, ())?; // after this handler and the waiting events
    ///             cx.runstate.push("still red");
    ///             Ok(())
    ///         })
    ///         .on(LEAVE, |cx, ()| cx.runstate.push("left"))
    ///     })
    ///     .state("green", |s| s.on(ENTER, |cx, ()| assert_eq!(*cx.runstate, ["still red", "left"])))
    ///     .enter("red", ENTER, ()).start(&kernel)?.id();
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn goto_state<A: 'static>(&mut self, state: impl Into<S>, event: impl Posts<A>, args: A) -> HandlerResult {
        let entry = Entry::new(event.key(), AnyArg::new(args));
        let state = state.into();
        self.ask(Move::Goto { state, entry }, Location::caller())
    }

    /// Goes to another state from which [`return_state`](Self::return_state) comes back to this one, with the event
    /// `back`. If that is a bare name, annotate its type: `cx.call_state::<_, u32>("done", ..)`. Calls nest (law L82).
    ///
    /// # Errors
    /// As [`goto_state`](Self::goto_state).
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa, event::SILENT};
    /// const START: Event<()> = Event::new("start");
    /// const DOUBLE: Event<u32> = Event::new("double");
    /// const ANSWER: Event<u32> = Event::new("answer");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Nfa::builder(())
    ///     .state("asks", |s| {
    ///         s.on(START, |cx, ()| cx.call_state(ANSWER, "computes", DOUBLE, 21))
    ///             .on(ANSWER, |_, n| assert_eq!(n, 42))
    ///     })
    ///     .state("computes", |s| s.on(DOUBLE, |cx, n| cx.return_state(2 * n)))
    ///     .enter("asks", START, ()).start(&kernel)
    ///     .unwrap().id();
    /// kernel.run().await.unwrap();
    /// # });
    /// ```
    #[track_caller]
    pub fn call_state<A: 'static, B: 'static>(
        &mut self,
        back: impl Posts<B>,
        state: impl Into<S>,
        event: impl Posts<A>,
        args: A,
    ) -> HandlerResult {
        let entry = Entry::new(event.key(), AnyArg::new(args));
        let (back, state) = (event_of(back.key()), state.into());
        self.ask(Move::Push { back, state, entry }, Location::caller())
    }

    /// Goes back to the state that called this one, where the event that it named is delivered with `args`.
    ///
    /// # Errors
    /// As [`goto_state`](Self::goto_state); or no state was called.
    #[track_caller]
    pub fn return_state<A: 'static>(&mut self, args: A) -> HandlerResult {
        let args = AnyArg::new(args);
        self.ask(Move::Pop { args }, Location::caller())
    }

    /// Ends the machine as soon as the waiting events have been delivered, whatever keeps it alive. None of its
    /// handlers is called, later events are dropped, and its children go to its parent.
    ///
    /// ```
    /// // The parent adopts the machine's children.
    /// use poe::{Event, Kernel, Nfa, Session, event::{CHILD, START, STOP}};
    /// use std::time::Duration;
    /// const ENTER: Event<()> = Event::new("enter");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(Vec::new())
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let machine = Nfa::builder(()).state("only", |s| s.on(ENTER, |cx, ()| -> poe::HandlerResult {
    ///             cx.create(Session::builder(()).on(START, |cx, ()| cx.alias_set("orphan")))?;
    ///             cx.stop();
    ///             cx.yield_to("lost", ()); // behind it
    ///             Ok(())
    ///         }));
    ///         cx.start(machine.enter("only", ENTER, ()))?.id();
    ///         cx.delay("late", Duration::from_millis(1), ());
    ///         Ok(())
    ///     })
    ///     .on(CHILD, |cx, child| cx.heap.push(child.reason.to_string()))
    ///     .on("late", |cx, ()| assert_eq!(*cx.heap, ["create", "gain", "lose"]))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn stop(&self) {
        let _ = self.post_move(Move::Stop, Location::caller());
    }

    fn ask(&mut self, change: Move<S>, place: Place) -> HandlerResult {
        if !self.cell.acts_at_once() {
            return self.post_move(change, place);
        }
        let (me, key) = (self.session_id(), change.key());
        call_at_once::<_, ()>(self, me.into(), key.key(), change, place).map_err(Failure::from)
    }

    fn post_move(&self, change: Move<S>, place: Place) -> HandlerResult {
        let (me, key) = (self.session_id(), change.key());
        let (kernel, to) = (self.kernel, Target::from(me));
        // A machine that was stopped in its own handler goes nowhere.
        let _ = kernel.core.post_from(Some(kernel.frame), to, key.key(), change, place);
        Ok(())
    }

    /// Returns the state that the machine is in; `None` before the first.
    #[must_use]
    #[doc(alias = "get_current_state")]
    pub fn current_state(&self) -> Option<&'k S> {
        self.cell.state_at(self.cell.current.get()).map(|state| &**state)
    }

    /// Returns the state that the machine was in when this handler began: it differs from
    /// [`current_state`](Self::current_state) after a change with the option `immediate`.
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa, event::SILENT};
    /// const ENTER: Event<()> = Event::new("enter");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Nfa::builder(())
    ///     .immediate()
    ///     .state("red", |s| s.on(ENTER, |cx, ()| -> poe::HandlerResult {
    ///         cx.goto_state("green", SILENT, ())?;
    ///         assert_eq!(cx.state_of_event(), Some(&"red"));
    ///         assert_eq!(cx.current_state(), Some(&"green"));
    ///         Ok(())
    ///     }))
    ///     .state("green", |s| s)
    ///     .enter("red", ENTER, ()).start(&kernel)?.id();
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "STATE")]
    #[must_use]
    pub fn state_of_event(&self) -> Option<&'k S> {
        self.cell.state_at(self.state).map(|state| &**state)
    }

    /// Returns the last transitions, oldest first, as many as [`NfaBuilder::log`](crate::nfa::NfaBuilder::log) allows.
    #[must_use]
    pub fn transitions(&self) -> Vec<Transition<S>> {
        self.cell.history.list()
    }
}

// The context itself: it takes the run state out of the machine, and puts it back.
/// The first argument of a state machine's handler: the run state, the kernel, and the machine.
///
/// It derefs to [`KernelRef`], like a session's [`Context`](crate::Context). `S` is the type of the states, `R` the run
/// state. See [`Nfa`](crate::Nfa).
///
/// ```
/// use poe::{Event, Kernel, Machine, Nfa, event::SILENT};
/// const KNOCK: Event<&'static str> = Event::new("knock");
///
/// fn knock(cx: &mut Machine<'_, &'static str, Vec<String>>, who: &'static str) {
///     let state = cx.current_state().copied().unwrap_or("nowhere");
///     cx.runstate.push(format!("{who} knocks at the {state} door"));
///     if who == "anna" {
///         cx.yield_to("friend", ());
///     }
/// }
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let door = Nfa::builder(Vec::new())
///     .on(KNOCK, knock)
///     .state("shut", |s| s.on("friend", |cx, ()| cx.goto_state("open", KNOCK, "ben")))
///     .state("open", |s| {
///         s.on(KNOCK, |cx, who| {
///             knock(cx, who);
///             assert_eq!(*cx.runstate, ["anna knocks at the shut door", "ben knocks at the open door"]);
///         })
///     })
///     .start(&kernel)?;
/// door.goto_state(&kernel, "shut", SILENT, ())?;
/// kernel.post(door.id(), KNOCK, "anna")?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[doc(alias = "MACHINE")]
pub struct Machine<'k, S: 'static, R: 'static> {
    /// The data that the machine keeps through all its states.
    #[doc(alias = "RUNSTATE")]
    #[doc(alias = "get_runstate")]
    pub runstate: Heap<'k, R>,
    /// The kernel, separate from the run state and `Copy`.
    #[doc(alias = "KERNEL")]
    pub kernel: KernelRef<'k>,
    cell: &'k NfaCell<S, R>,
    /// The state in which the handler was found.
    state: Option<usize>,
}

impl<'k, S, R> Machine<'k, S, R> {
    /// None while the run state is out.
    pub(in crate::session::nfa) fn enter(cell: &'k NfaCell<S, R>, kernel: KernelRef<'k>) -> Option<Self> {
        Some(Machine {
            runstate: Heap::enter(&cell.runstate)?,
            kernel,
            cell,
            state: cell.current.get(),
        })
    }
}

impl<'k, S, R> Deref for Machine<'k, S, R> {
    type Target = KernelRef<'k>;
    fn deref(&self) -> &KernelRef<'k> {
        &self.kernel
    }
}

impl<S, R> Debug for Machine<'_, S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kernel.fmt(f)
    }
}

impl<S: 'static, R: 'static> AtOnce for Machine<'_, S, R> {
    fn core(&self) -> &Core {
        self.kernel.core
    }

    fn at_once<T>(&mut self, _what: &'static str, f: impl FnOnce(&Core) -> T) -> Result<T, Error> {
        let (cell, core) = (self.cell, self.kernel.core);
        Ok(self.runstate.lent(&cell.runstate, || f(core)))
    }
}

// Features of OTP's gen_statem that POE lacks: postponed events, and timers that end with their state.
/// What OTP's gen_statem has and POE has not.
impl<S: Eq + Hash + Debug + 'static, R: 'static> Machine<'_, S, R> {
    /// Delivers the present event once more, with `arg`, when the state has changed: ahead of everything queued, and
    /// after earlier postponed events. In a `_default` handler the argument says which event it is.
    ///
    /// A postponed event keeps no session alive. Its sender and its place stay the same; the caller of a call has its
    /// reply already. Entering the same state again is not a change.
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa, event::SILENT};
    /// const START: Event<()> = Event::new("start");
    /// const JOB: Event<u32> = Event::new("job");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Nfa::builder(())
    ///     .state("connecting", |s| {
    ///         s.on(START, |cx, ()| {
    ///             cx.yield_to(JOB, 7); // comes too early
    ///             cx.goto_state("connected", SILENT, ())
    ///         })
    ///         .on(JOB, |cx, n| cx.postpone(n))
    ///     })
    ///     .state("connected", |s| s.on(JOB, |_, n| assert_eq!(n, 7)))
    ///     .enter("connecting", START, ()).start(&kernel)
    ///     .unwrap().id();
    /// kernel.run().await.unwrap();
    /// # });
    /// ```
    pub fn postpone<A: 'static>(&self, arg: A) {
        self.postpone_any(AnyArg::new(arg));
    }

    pub(in crate::session::nfa) fn postpone_any(&self, mut arg: AnyArg) {
        let frame = self.kernel.frame;
        let names = &self.kernel.core.names;
        let mut event = names.name(frame.event.get());
        if frame.event.get() == NameIdx::DEFAULT
            && let Some(unhandled) = arg.take::<Unhandled>()
        {
            event = unhandled.event;
            arg = unhandled.arg;
        }
        self.cell.postponed.push(Postponed {
            event: HeldName::new(Key::new(&event)),
            arg,
            sender: frame.sender,
            caller: HeldName::new(Key::new(&names.name(frame.caller))),
            place: frame.place,
        });
    }

    /// Returns the number of postponed events.
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa, event::SILENT};
    /// const ENTER: Event<()> = Event::new("enter");
    /// const CAR: Event<usize> = Event::new("car");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Nfa::builder(())
    ///     .state("red", |s| {
    ///         s.on(ENTER, |cx, ()| (1..=3).for_each(|car| cx.yield_to(CAR, car))).on(CAR, |cx, car| {
    ///             cx.postpone(car);
    ///             match cx.postponed_count() {
    ///                 3 => cx.goto_state("green", SILENT, ()), // a jam
    ///                 _ => Ok(()),
    ///             }
    ///         })
    ///     })
    ///     .state("green", |s| s.on(CAR, |cx, car| assert_eq!(cx.postponed_count(), 3 - car)))
    ///     .enter("red", ENTER, ()).start(&kernel)?.id();
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn postponed_count(&self) -> usize {
        self.cell.postponed.len()
    }

    /// Sets a timer that ends with the state: it is removed when the machine goes to another state. There is one per
    /// event; setting it again replaces it.
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa};
    /// use std::{cell::Cell, rc::Rc, time::Duration};
    /// const ENTER: Event<()> = Event::new("enter");
    /// const LATE: Event<()> = Event::new("late");
    /// # tokio_test::block_on(async {
    /// let failed = Rc::new(Cell::new(false));
    /// let kernel = Kernel::new();
    /// Nfa::builder(failed.clone())
    ///     .state("waiting", |s| {
    ///         s.on(ENTER, |cx, ()| cx.state_timeout(LATE, Duration::from_millis(5), ()))
    ///             .on(LATE, |cx, ()| cx.goto_state("failed", ENTER, ()))
    ///     })
    ///     .state("failed", |s| s.on(ENTER, |cx, ()| cx.runstate.set(true)))
    ///     .enter("waiting", ENTER, ()).start(&kernel)?.id();
    /// kernel.run().await?;
    /// assert!(failed.get());
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn state_timeout<A: 'static>(&self, event: impl Posts<A>, after: impl Into<Delta>, arg: A) {
        let name = HeldName::new(event.key());
        self.end_timeout(&name);
        let id = self.kernel.delay_set(event, after, arg);
        self.cell.timeouts.borrow_mut().push((name, id));
    }

    /// Removes a state's timer; false if there is none, or it has fired.
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa};
    /// use std::time::Duration;
    /// const ENTER: Event<()> = Event::new("enter");
    /// const LATE: Event<()> = Event::new("late");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Nfa::builder(())
    ///     .state("waiting", |s| {
    ///         s.on(ENTER, |cx, ()| {
    ///             cx.state_timeout(LATE, Duration::from_secs(60), ());
    ///             assert!(cx.state_timeout_clear(LATE)); // it has come already
    ///             assert!(!cx.state_timeout_clear(LATE));
    ///         })
    ///     })
    ///     .enter("waiting", ENTER, ()).start(&kernel)?.id();
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "state_timeout")]
    pub fn state_timeout_clear(&self, event: impl EventName) -> bool {
        self.end_timeout(&HeldName::new(event.key()))
    }

    fn end_timeout(&self, name: &HeldName) -> bool {
        let old = {
            let mut timeouts = self.cell.timeouts.borrow_mut();
            let at = timeouts.iter().position(|(own, _)| own.idx() == name.idx());
            at.map(|at| timeouts.swap_remove(at))
        };
        // What comes back is the timer's argument, dropped here with nothing borrowed.
        old.is_some_and(|(_, id)| self.kernel.alarm_remove_if_set(id).is_ok())
    }
}

// The common methods of machines and sessions.
/// What machines share with sessions.
///
/// ```
/// use poe::{Event, Kernel, Nfa, Reply};
/// const ENTER: Event<()> = Event::new("enter");
/// const COUNT: Event<(), u32> = Event::new("count");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Nfa::builder(7)
///     .state("only", |s| {
///         s.on(ENTER, |cx, ()| -> poe::HandlerResult {
///             cx.state(COUNT, |cx, ()| Reply(*cx.runstate)); // in every state, from now on
///             assert_eq!(cx.event_names_of(cx.session_id()), ["count", "enter"]);
///             let me = cx.session_id();
///             assert_eq!(cx.call(me, COUNT, ())?, 7);
///             assert!(cx.state_remove("count"));
///
///             assert_eq!(cx.set_option("immediate", true), None);
///             assert_eq!(cx.option("immediate").as_deref(), Some("1"));
///             assert_eq!(cx.remove_option("immediate").as_deref(), Some("1"));
///             Ok(())
///         })
///     })
///     .enter("only", ENTER, ()).start(&kernel)?.id();
/// kernel.run().await
/// # }).unwrap();
/// ```
impl<S: Eq + Hash + Debug + 'static, R: 'static> Machine<'_, S, R> {
    /// Sets or replaces a handler for every state that has no handler of its own for that event.
    pub fn state<A: 'static, Ret: IntoReply>(
        &self,
        event: impl Calls<A, Ret::Value>,
        handler: impl Fn(&mut Machine<'_, S, R>, A) -> Ret + 'static,
    ) {
        let handler: Rc<Handler<S, R>> = state_handler(handler);
        let replaced = self.cell.internal.change(|table| table.set(event.key(), handler));
        if replaced && self.cell.options.flags().debug {
            tracing::warn!(target: "poe::sessions", "machine {} replaces its handler of `{}`", self.session_id(), event.key().as_str());
        }
    }

    /// Removes a handler of all states; false if there was none.
    #[doc(alias = "state")]
    pub fn state_remove(&self, event: impl EventName) -> bool {
        self.cell.internal.change(|table| table.remove(event.key()))
    }
}
