//! The reserved names: the kernel's life-cycle events, and those of state machines.

use super::key::{Calls, Event, Keyed, Posts};
use super::life::{Child, Parent, Unhandled};
use crate::name::{Key, hash};
use std::fmt;

/// The key of a life-cycle event that the kernel sends. The argument's type is fixed; the reply may be of any type.
pub struct Reserved<A>(Event<A>);

impl<A> Clone for Reserved<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Reserved<A> {}

impl<A> fmt::Debug for Reserved<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<A> Keyed for Reserved<A> {
    #[inline]
    fn key(&self) -> Key<'_> {
        self.0.key()
    }
}
impl<A> Posts<A> for Reserved<A> {}
impl<A, R> Calls<A, R> for Reserved<A> {}

/// The key of `_start`. Its argument is the value given to the builder's `args`.
#[derive(Clone, Copy, Debug)]
pub struct Start(());

impl Keyed for Start {
    #[inline]
    fn key(&self) -> Key<'_> {
        Key::fixed("_start", const { hash("_start") })
    }
}
impl<A> Posts<A> for Start {}
impl<A, R> Calls<A, R> for Start {}

/// `_start`: a session's first event, handled inside `create` before that returns.
///
/// Its argument is the value given to the builder's `args`, or `()`. Its result goes to the parent's [`CHILD`].
///
/// ```
/// use poe::{Event, Kernel, Reply, Session, event::START};
/// const FIRST: Event<(), u32> = Event::new("first");
/// let kernel = Kernel::new();
/// let id = Session::builder(0)
///     .on(START, |cx, first: u32| *cx.heap = first)
///     .on(FIRST, |cx, ()| Reply(*cx.heap))
///     .args(7_u32)
///     .create(&kernel)?;
/// // `create` has returned, so `_start` has run.
/// assert_eq!(kernel.call(id, FIRST, ())?, 7);
/// # Ok::<(), poe::Error>(())
/// ```
#[doc(alias = "_start")]
pub const START: Start = Start(());

/// `_stop`: a session's last event. Its result goes to the parent's [`CHILD`].
#[doc(alias = "_stop")]
pub const STOP: Reserved<()> = Reserved(Event::new("_stop"));

/// `_child`: a session gained or lost a child.
///
/// ```
/// use poe::{Kernel, Reply, Session, event::{CHILD, START, STOP}};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(Vec::new())
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let child = Session::builder(()).on(START, |_, ()| Reply("hello")).on(STOP, |_, ()| Reply("goodbye"));
///         cx.create(child)?;
///         Ok(())
///     })
///     .on(CHILD, |cx, child| {
///         let said = child.result.and_then(|result| result.downcast::<&str>().ok());
///         cx.heap.push((child.reason.to_string(), said.unwrap_or("nothing")));
///     })
///     .on(STOP, |cx, ()| {
///         let told = [("create".to_owned(), "hello"), ("lose".to_owned(), "goodbye")];
///         assert_eq!(*cx.heap, told);
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[doc(alias = "_child")]
pub const CHILD: Reserved<Child> = Reserved(Event::new("_child"));

/// `_parent`: a session got another parent because it was detached or adopted. It is not sent at creation.
#[doc(alias = "_parent")]
pub const PARENT: Reserved<Parent> = Reserved(Event::new("_parent"));

/// `_default`: an event that has no handler in this session.
///
/// ```
/// // A session that passes on unknown events.
/// use poe::{Event, Kernel, Session, event::{DEFAULT, START, STOP}};
/// const GREET: Event<String> = Event::new("greet");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let greeter = Session::builder(String::new())
///     .on(START, |cx, ()| cx.alias_set("greeter"))
///     .on(GREET, |cx, whom| *cx.heap = whom)
///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, "world"))
///     .create(&kernel)?;
/// Session::builder(())
///     .on(START, |cx, ()| cx.yield_to(GREET, "world".to_owned()))
///     .on(DEFAULT, move |cx, unhandled| -> poe::HandlerResult {
///         if unhandled.event == GREET.name() {
///             cx.post(greeter, &unhandled.event, unhandled.arg)?;
///         }
///         Ok(())
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[doc(alias = "_default")]
pub const DEFAULT: Reserved<Unhandled> = Reserved(Event::new("_default"));

/// `leave`: sent to the old state of a state machine before the new one is entered; see [`Nfa`](crate::Nfa).
#[doc(alias = "leave")]
pub const LEAVE: Reserved<()> = Reserved(Event::new("leave"));

/// Sends no event: for a state change that calls no handler of the new state, or a return without an event to the old one.
pub const SILENT: Reserved<()> = Reserved(Event::new(""));
