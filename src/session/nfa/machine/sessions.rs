//! The common methods of machines and sessions.

use super::super::cell::Handler;
use super::super::state::state_handler;
use super::context::Machine;
use crate::event::{Calls, EventName};
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
