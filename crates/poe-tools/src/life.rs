//! What the sessions of all components have in common: how they stay alive, and how they end.

use poe::{Context, Error, Event, KERNEL_SHUTDOWN, KernelRef, SessionBuilder, Signal};

/// Ends a component of this crate: post it to its alias or session. Each component says what becomes of its work.
///
/// The signal [`KERNEL_SHUTDOWN`] has the same effect, so [`Kernel::shutdown`](poe::Kernel::shutdown) and supervisors end components in this way.
pub const SHUTDOWN: Event<()> = Event::new("shutdown");

const KERNEL_ENDS: Event<Signal> = Event::new("poe_tools_kernel_ends");

/// Gives the running session its alias, or one made of its kind and number, so that it lives as long as anything can happen in its kernel.
pub(crate) fn begin(cx: &KernelRef<'_>, alias: Option<&str>, kind: &str) -> Result<(), Error> {
    cx.sig(KERNEL_SHUTDOWN, KERNEL_ENDS);
    match alias {
        Some(alias) => cx.alias_set(alias),
        None => cx.alias_set(&format!("{kind} {}", cx.session_id())),
    }
}

/// Removes what [`begin`] gave: the session ends with its last timer, task and child.
pub(crate) fn end(cx: &KernelRef<'_>) {
    for alias in cx.alias_list() {
        // It is one of the session's.
        let _ = cx.alias_remove(&alias);
    }
}

/// Adds the handlers that end a session with `end`, which runs once for each `SHUTDOWN`.
pub(crate) fn ends<H: 'static>(
    session: SessionBuilder<H>,
    end: impl Fn(&mut Context<'_, H>) + 'static,
) -> SessionBuilder<H> {
    session.on(SHUTDOWN, move |cx, ()| end(cx)).on(KERNEL_ENDS, |cx, _| {
        cx.sig_handled();
        cx.yield_to(SHUTDOWN, ());
    })
}
