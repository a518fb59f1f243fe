//! What machines share with sessions.

use super::super::cell::Handler;
use super::super::state::state_handler;
use super::context::Machine;
use crate::error::{CallError, Error};
use crate::event::{Calls, EventName, assert_reply_type};
use crate::id::SessionId;
use crate::kernel::invoke::sealed;
use crate::kernel::{Core, Target, call_at_once};
use crate::name::Name;
use crate::session::IntoReply;
use std::fmt::Debug;
use std::hash::Hash;
use std::panic::Location;
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
///     .start(&kernel, "only", ENTER, ())?;
/// kernel.run().await
/// # }).unwrap();
/// ```
impl<S: Eq + Hash + Debug + 'static, R: 'static> Machine<'_, S, R> {
    /// Runs a session's handler now; see [`Context::call`](crate::Context::call).
    ///
    /// # Errors
    /// As [`Context::call`](crate::Context::call).
    #[track_caller]
    pub fn call<'t, A: 'static, B: 'static>(
        &mut self,
        target: impl Into<Target<'t>>,
        event: impl Calls<A, B>,
        arg: A,
    ) -> Result<B, CallError<A>> {
        const { assert_reply_type::<B>() };
        call_at_once(self, target.into(), event.key(), arg, Location::caller())
    }

    /// Makes the machine a child of the kernel; see [`Context::detach_myself`](crate::Context::detach_myself).
    ///
    /// # Errors
    /// It is the kernel's child already (`EPERM`).
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa, Session, event::{PARENT, START}};
    /// const ENTER: Event<()> = Event::new("enter");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         Nfa::builder(())
    ///             .state("only", |s| {
    ///                 s.on(ENTER, |cx, ()| cx.yield_to("go", ()))
    ///                     .on("go", |cx, ()| cx.detach_myself())
    ///                     .on(PARENT, |cx, parent| assert_eq!(parent.new, cx.kernel_id()))
    ///             })
    ///             .start_in(cx, "only", ENTER, ())?;
    ///         Ok(())
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn detach_myself(&mut self) -> Result<(), Error> {
        let me = self.session_id();
        let detached = sealed::Caller::at_once(self, "detaching", |core| core.detach(me, true))?;
        self.kernel.core.logged("detach_myself", detached)
    }

    /// Makes a child of the machine a child of the kernel; see [`Context::detach_child`](crate::Context::detach_child).
    ///
    /// # Errors
    /// There is no such session (`ESRCH`), or it is not a child of this one (`EPERM`).
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa, Session, event::START};
    /// const ENTER: Event<()> = Event::new("enter");
    /// let kernel = Kernel::new();
    /// Nfa::builder(())
    ///     .state("only", |s| s.on(ENTER, |cx, ()| -> poe::HandlerResult {
    ///         let worker = Session::builder(()).on(START, |cx, ()| cx.alias_set("worker"));
    ///         let worker = worker.create_in(cx)?;
    ///         Ok(cx.detach_child(worker)?)
    ///     }))
    ///     .start(&kernel, "only", ENTER, ())?;
    /// let report = kernel.why_alive();
    /// let parents: Vec<_> = report.sessions.iter().map(|session| session.parent).collect();
    /// assert_eq!(parents, [kernel.id(), kernel.id()]);
    /// # Ok::<(), poe::Error>(())
    /// ```
    #[track_caller]
    pub fn detach_child(&mut self, child: SessionId) -> Result<(), Error> {
        let detached = sealed::Caller::at_once(self, "detaching", |core| core.detach(child, false))?;
        self.kernel.core.logged("detach_child", detached)
    }

    /// Stops every session of the kernel, as [`Context::stop_all`](crate::Context::stop_all) does.
    ///
    /// ```
    /// use poe::{Event, Kernel, Nfa, Session, event::START};
    /// const ENTER: Event<()> = Event::new("enter");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(()).on(START, |cx, ()| cx.alias_set("daemon")).create(&kernel)?;
    /// Nfa::builder(())
    ///     .state("last", |s| s.on(ENTER, |cx, ()| cx.stop_all()))
    ///     .start(&kernel, "last", ENTER, ())?;
    /// assert_eq!(kernel.session_count(), 0);
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "stop")]
    pub fn stop_all(&mut self) {
        // A context is never busy.
        let _ = sealed::Caller::at_once(self, "stop", Core::stop_all);
    }

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
