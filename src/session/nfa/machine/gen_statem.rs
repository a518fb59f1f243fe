//! Features of OTP's gen_statem that POE lacks: postponed events, and timers that end with their state.

use super::super::postpone::Postponed;
use super::context::Machine;
use crate::arg::AnyArg;
use crate::event::{EventName, Posts, Unhandled};
use crate::kernel::Delta;
use crate::name::{HeldName, Key, NameIdx};
use std::fmt::Debug;
use std::hash::Hash;

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
