//! The names that are the kernel's: its life-cycle events, and those of state machines.

use super::key::{Calls, Event, Keyed, Posts};
use super::life::{Child, Parent, Unhandled};
use crate::name::{Key, hash};
use std::fmt;

/// The key of a life-cycle event that the kernel sends: its argument's type is fixed, its answer is free.
///
/// ```
/// use poe::{Reply, States, event::{Reserved, STOP}};
/// const LAST: Reserved<()> = STOP;
/// let states = States::<u32>::new().on(LAST, |cx, ()| Reply(*cx.heap)); // any answer will do
/// assert_eq!(states.event_names(), ["_stop"]);
/// ```
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

/// The key of `_start`, whose argument is whatever the builder's `args` was given.
///
/// ```
/// use poe::{Kernel, Session, event::{START, Start}};
/// const FIRST: Start = START;
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(FIRST, |_, (host, port): (&'static str, u16)| assert_eq!((host, port), ("localhost", 80)))
///     .args(("localhost", 80_u16))
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
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

/// `_start`: runs inside `create`, before it returns. Its argument is what the builder's `args` was given, or `()`;
/// what it returns goes to the parent's [`CHILD`].
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

/// `_stop`: a session's last event. What it returns goes to the parent's [`CHILD`].
///
/// ```
/// use poe::{Kernel, Session, event::{START, STOP}};
/// use std::{cell::Cell, rc::Rc};
/// # tokio_test::block_on(async {
/// let saved = Rc::new(Cell::new(0));
/// let kernel = Kernel::new();
/// Session::builder(saved.clone())
///     .on(START, |cx, ()| cx.yield_to("work", ()))
///     .on("work", |_, ()| println!("nothing is left to do after this"))
///     .on(STOP, |cx, ()| cx.heap.set(1))
///     .create(&kernel)?;
/// kernel.run().await?;
/// assert_eq!(saved.get(), 1);
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
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
///         child.create_in(cx)?;
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

/// `_parent`: a session got another parent, by detaching or by adoption; never sent at creation.
///
/// ```
/// use poe::{Kernel, Session, event::{PARENT, START}};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         Session::builder(cx.session_id())
///             .on(START, |cx, ()| cx.yield_to("go", ()))
///             .on("go", |cx, ()| cx.detach_myself())
///             .on(PARENT, |cx, parent| {
///                 assert_eq!((parent.old, parent.new), (*cx.heap, cx.kernel_id()));
///             })
///             .create_in(cx)?;
///         Ok(())
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[doc(alias = "_parent")]
pub const PARENT: Reserved<Parent> = Reserved(Event::new("_parent"));

/// `_default`: whatever came by a name that has no handler here.
///
/// ```
/// // A session that passes on what it does not know.
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

/// What a state machine's old state is told before the new one is entered; see [`Nfa`](crate::Nfa).
///
/// ```
/// use poe::{Kernel, Nfa, event::{LEAVE, SILENT}};
/// let kernel = Kernel::new();
/// let lamp = Nfa::builder(0)
///     .state("on", |s| s.on(LEAVE, |cx, ()| *cx.runstate += 1))
///     .state("off", |s| s)
///     .immediate()
///     .spawn(&kernel)?;
/// lamp.goto_state(&mut &kernel, "on", SILENT, ())?;
/// lamp.goto_state(&mut &kernel, "off", SILENT, ())?;
/// assert_eq!(lamp.with_runstate(|left| *left), Some(1));
/// # Ok::<(), poe::Error>(())
/// ```
#[doc(alias = "leave")]
pub const LEAVE: Reserved<()> = Reserved(Event::new("leave"));

/// No event at all: for a change of a machine's state that calls no handler of the new state, or a return that the old
/// one is not told of.
///
/// ```
/// use poe::{Event, Kernel, Nfa, event::SILENT};
/// const ENTER: Event<()> = Event::new("enter");
/// let kernel = Kernel::new();
/// let lamp = Nfa::builder(0)
///     .state("on", |s| s.on(ENTER, |cx, ()| *cx.runstate += 1))
///     .state("off", |s| s)
///     .immediate()
///     .spawn(&kernel)?;
/// lamp.goto_state(&mut &kernel, "on", ENTER, ())?;
/// lamp.goto_state(&mut &kernel, "off", SILENT, ())?;
/// lamp.goto_state(&mut &kernel, "on", SILENT, ())?;
/// assert_eq!(lamp.with_runstate(|entered| *entered), Some(1));
/// # Ok::<(), poe::Error>(())
/// ```
pub const SILENT: Reserved<()> = Reserved(Event::new(""));
