//! The handlers of one state.

use super::cell::Handler;
use super::machine::Machine;
use crate::arg::AnyArg;
use crate::event::{Calls, DEFAULT, Keyed};
use crate::kernel::Invoked;
use crate::name::Key;
use crate::session::IntoReply;
use crate::session::states::{Table, answered, wrong_argument};
use std::any::type_name;
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::rc::Rc;

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
