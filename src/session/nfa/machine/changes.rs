//! Changing the state.

use super::super::cell::{Entry, Move, event_of};
use super::super::history::Transition;
use super::context::Machine;
use crate::arg::AnyArg;
use crate::error::{Failure, HandlerResult};
use crate::event::{Keyed, Posts};
use crate::id::Place;
use crate::kernel::{Target, call_at_once};
use std::fmt::Debug;
use std::hash::Hash;
use std::panic::Location;

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
