//! Event keys: a name, and the type of what an event of that name carries.
//!
//! Names stay dynamic, as in POE: any `&str` or `String` is a key. A typed key, [`Event`], lets the compiler check the
//! poster against the handler; a bare name is checked when the event is delivered.

use crate::arg::AnyArg;
use crate::id::SessionId;
use crate::name::{Key, Name, hash};
pub(crate) use sealed::Keyed;
use std::fmt;
use std::marker::PhantomData;

/// A key: an event's name with the type `A` of its argument and the type `R` of its answer to a `call`.
///
/// ```
/// use poe::{Event, Kernel, Reply, Session};
/// const ADD: Event<(u64, u64), u64> = Event::new("add");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let adder = Session::builder(())
///     .on(poe::event::START, |_, ()| ())
///     .on(ADD, |_, (a, b)| Reply(a + b))
///     .create(&kernel).unwrap();
/// assert_eq!(kernel.call(adder, ADD, (2, 3)).unwrap(), 5);
/// assert_eq!(ADD.name(), "add");
/// # });
/// ```
pub struct Event<A, R = ()> {
    name: &'static str,
    hash: u32,
    types: PhantomData<fn(A) -> R>,
}

impl<A, R> Event<A, R> {
    /// A key of that name; the hash is computed at compile time in a `const`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Event {
            name,
            hash: hash(name),
            types: PhantomData,
        }
    }

    /// The event's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<A, R> Clone for Event<A, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, R> Copy for Event<A, R> {}

impl<A, R> fmt::Debug for Event<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({:?})", self.name)
    }
}

mod sealed {
    use crate::name::Key;

    /// What has a name. It is apart from [`Posts`](super::Posts) because it is the kernel's business alone, and because a
    /// name does not depend on what the event carries.
    pub trait Keyed {
        /// The name, ready for the kernel's table.
        fn key(&self) -> Key<'_>;
    }
}

/// What can name an event that carries an `A`: a typed [`Event`], a `&str` or a `String`. No other type can.
///
/// ```
/// use poe::{Event, Kernel, Session, SessionId, event::{Posts, START}};
/// const NEWS: Event<String> = Event::new("news");
///
/// /// Tells everybody, by an event that the caller chooses; gives the number of those who are left.
/// fn broadcast(kernel: &Kernel, to: &[SessionId], event: impl Posts<String> + Copy, text: &str) -> usize {
///     to.iter().filter(|id| kernel.post(**id, event, text.to_owned()).is_ok()).count()
/// }
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let reader = || Session::builder(())
///     .on(START, |_, ()| ())
///     .on(NEWS, |_, text| assert_eq!(text, "hello"));
/// let readers = [reader().create(&kernel)?, reader().create(&kernel)?];
/// assert_eq!(broadcast(&kernel, &readers, NEWS, "hello"), 2); // or "news", unchecked
/// kernel.run().await?;
/// assert_eq!(broadcast(&kernel, &readers, "news", "too late"), 0);
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a key for an event that carries `{A}`",
    note = "use the `Event<{A}>` constant of that name, or a bare name (`&str` or `String`)"
)]
pub trait Posts<A>: Keyed {}

/// What can name an event that carries an `A` and is answered with an `R`.
///
/// ```
/// use poe::{Event, Kernel, Reply, Session, SessionId, event::{Calls, START}};
/// const LOAD: Event<(), u64> = Event::new("load");
///
/// fn sum(kernel: &Kernel, of: &[SessionId], event: impl Calls<(), u64> + Copy) -> u64 {
///     of.iter().filter_map(|id| kernel.call(*id, event, ()).ok()).sum()
/// }
/// let kernel = Kernel::new();
/// let worker = |load: u64| Session::builder(load)
///     .on(START, |_, ()| ())
///     .on(LOAD, |cx, ()| Reply(*cx.heap))
///     .create(&kernel);
/// let workers = [worker(2)?, worker(3)?];
/// assert_eq!(sum(&kernel, &workers, LOAD), 5);
/// # Ok::<(), poe::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a key for an event that carries `{A}` and is answered with `{R}`",
    note = "the handler must return what the key says: `Reply(value)` for an `Event<{A}, {R}>`, nothing for an `Event<{A}>`"
)]
pub trait Calls<A, R>: Posts<A> {}

impl<A, R> Keyed for Event<A, R> {
    #[inline]
    fn key(&self) -> Key<'_> {
        Key::fixed(self.name, self.hash)
    }
}
impl<A, R> Posts<A> for Event<A, R> {}
impl<A, R> Calls<A, R> for Event<A, R> {}

impl Keyed for &str {
    #[inline]
    fn key(&self) -> Key<'_> {
        Key::new(self)
    }
}
impl<A> Posts<A> for &str {}
impl<A, R> Calls<A, R> for &str {}

impl Keyed for String {
    #[inline]
    fn key(&self) -> Key<'_> {
        Key::new(self)
    }
}
impl<A> Posts<A> for String {}
impl<A, R> Calls<A, R> for String {}

impl Keyed for &String {
    #[inline]
    fn key(&self) -> Key<'_> {
        Key::new(self)
    }
}
impl<A> Posts<A> for &String {}
impl<A, R> Calls<A, R> for &String {}

impl Keyed for Name {
    #[inline]
    fn key(&self) -> Key<'_> {
        Key::new(self)
    }
}
impl<A> Posts<A> for Name {}
impl<A, R> Calls<A, R> for Name {}

impl Keyed for &Name {
    #[inline]
    fn key(&self) -> Key<'_> {
        Key::new(self)
    }
}
impl<A> Posts<A> for &Name {}
impl<A, R> Calls<A, R> for &Name {}

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
        Key::fixed(self.0.name, self.0.hash)
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
///     .on(START, |cx, ()| -> poe::Handled {
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
///     .on(START, |cx, ()| -> poe::Handled {
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
///     .on(DEFAULT, move |cx, unhandled| -> poe::Handled {
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

/// The argument of [`CHILD`].
///
/// ```
/// use poe::{Context, Kernel, Session, SessionId, event::{CHILD, Child, ChildReason, START, STOP}};
/// use std::collections::HashSet;
///
/// /// Keeps the set of those that are below the session.
/// fn on_child(cx: &mut Context<'_, HashSet<SessionId>>, child: Child) {
///     match child.reason {
///         ChildReason::Create | ChildReason::Gain => cx.heap.insert(child.session),
///         ChildReason::Lose => cx.heap.remove(&child.session),
///     };
/// }
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(HashSet::new())
///     .on(START, |cx, ()| -> poe::Handled {
///         let child = Session::builder(()).on(START, |_, ()| ()).create_in(cx)?;
///         assert!(cx.heap.contains(&child)); // it was told before `create_in` returned
///         Ok(())
///     })
///     .on(CHILD, on_child)
///     .on(STOP, |cx, ()| assert!(cx.heap.is_empty()))
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Child {
    /// What happened.
    pub reason: ChildReason,
    /// Which session.
    pub session: SessionId,
    /// What its `_start` or `_stop` returned; `None` on [`ChildReason::Gain`], on a detach, and when that handler failed or was absent.
    pub result: Option<AnyArg>,
}

/// Why a [`CHILD`] event was sent.
///
/// ```
/// use poe::event::ChildReason;
/// let words = [ChildReason::Create, ChildReason::Gain, ChildReason::Lose].map(|reason| reason.to_string());
/// assert_eq!(words, ["create", "gain", "lose"]); // as POE has them
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ChildReason {
    /// The active session made it.
    #[doc(alias = "CHILD_CREATE")]
    Create,
    /// It came from a session that is being stopped.
    #[doc(alias = "CHILD_GAIN")]
    Gain,
    /// It stopped or detached itself.
    #[doc(alias = "CHILD_LOSE")]
    Lose,
}

impl fmt::Display for ChildReason {
    /// POE's word: `create`, `gain` or `lose`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ChildReason::Create => "create",
            ChildReason::Gain => "gain",
            ChildReason::Lose => "lose",
        })
    }
}

/// The argument of [`PARENT`].
///
/// ```
/// use poe::{Context, Kernel, Session, SessionId, event::{PARENT, Parent, START, STOP}};
///
/// fn on_parent(cx: &mut Context<'_, Option<SessionId>>, parent: Parent) {
///     println!("{} has given me to {}", parent.old, parent.new);
///     *cx.heap = Some(parent.new);
/// }
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| -> poe::Handled {
///         let child = Session::builder(None)
///             .on(START, |_, ()| ())
///             .on(PARENT, on_parent)
///             .on(STOP, |cx, ()| assert_eq!(*cx.heap, Some(cx.kernel_id())))
///             .create_in(cx)?;
///         Ok(cx.detach_child(child)?)
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parent {
    /// The parent until now.
    pub old: SessionId,
    /// The parent from now on.
    pub new: SessionId,
}

/// The argument of [`DEFAULT`]: the event that found no handler.
///
/// ```
/// use poe::{Kernel, Session, event::{DEFAULT, START}};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| cx.yield_to("no such event", 7_u64))
///     .on(DEFAULT, |_, unhandled| {
///         // It is asked about life-cycle events, too: `_stop` comes this way at the end.
///         if unhandled.event == "no such event" {
///             assert_eq!(unhandled.arg.downcast::<u64>().unwrap(), 7);
///         }
///     })
///     .create(&kernel).unwrap();
/// kernel.run().await.unwrap();
/// # });
/// ```
#[derive(Debug)]
pub struct Unhandled {
    /// Its name.
    pub event: Name,
    /// What it carried; an [`AnyArg`] can be posted on as it is.
    pub arg: AnyArg,
}
