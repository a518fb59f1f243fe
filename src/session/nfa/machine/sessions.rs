//! What machines share with sessions.

use super::super::cell::Handler;
use super::super::state::state_handler;
use super::context::Machine;
use crate::event::{Calls, EventName};
use crate::name::Name;
use crate::session::IntoReply;
use std::fmt::Debug;
use std::hash::Hash;
use std::rc::Rc;

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
///             assert_eq!(cx.event_names(), ["count", "enter"]);
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
    /// Sets or replaces a handler that every state has, unless it has one of its own for that event.
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

    /// Removes a handler that every state has; false if there was none.
    #[doc(alias = "state")]
    pub fn state_remove(&self, event: impl EventName) -> bool {
        self.cell.internal.change(|table| table.remove(event.key()))
    }

    /// The names that have a handler in any state, sorted.
    #[must_use]
    pub fn event_names(&self) -> Vec<Name> {
        crate::kernel::Invoke::event_names(self.cell)
    }

    /// Sets an option and gives its old value; spelled as by [`Context::set_option`](crate::Context::set_option). A
    /// machine heeds `trace`, `debug` and `immediate`.
    #[doc(alias = "option")]
    pub fn set_option(&self, name: &str, value: impl ToString) -> Option<String> {
        self.cell.options.set(name, Some(&value.to_string()))
    }

    /// Deletes an option and gives its old value.
    #[doc(alias = "option")]
    pub fn remove_option(&self, name: &str) -> Option<String> {
        self.cell.options.set(name, None)
    }

    /// The value of an option.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<String> {
        self.cell.options.get(name)
    }
}
