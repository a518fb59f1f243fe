//! Event keys: a name, and the type of the argument of events with this name.
//!
//! Names are dynamic, as in POE: any `&str` or `String` is a key. With a typed key, [`Event`], the compiler checks the
//! poster against the handler; a bare name is checked when the event is delivered.

use crate::arg::AnyArg;
use crate::id::SessionId;
use crate::name::{Key, Name, hash};
use std::fmt;
use std::marker::PhantomData;

pub(crate) use sealed::Keyed;

// Keys of events: a typed key, or a bare name.
/// A typed key: the name of an event, the type `A` of its argument, and the type `R` of its reply to a call.
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
#[doc(alias = "message")]
#[doc(alias = "channel")]
pub struct Event<A, R = ()> {
    name: &'static str,
    hash: u32,
    types: PhantomData<fn(A) -> R>,
}

impl<A, R> Event<A, R> {
    /// Makes a key with this name; in a `const` its hash is computed at compile time.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Event {
            name,
            hash: hash(name),
            types: PhantomData,
        }
    }

    /// Returns the event's name.
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

    /// Anything with a name. It is a trait of its own because only the kernel uses it, and because a name does not depend on
    /// the argument's type.
    pub trait Keyed {
        /// Returns the name, ready for the kernel's table.
        fn key(&self) -> Key<'_>;
    }
}

/// A key for an event that carries an `A`: a typed [`Event`], a `&str` or a `String`.
///
/// The trait is sealed.
///
/// ```
/// use poe::{Event, Kernel, Session, SessionId, event::{Posts, START}};
/// const NEWS: Event<String> = Event::new("news");
///
/// /// Posts an event that the caller chooses to all members; returns the number of those left.
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

/// A key for an event that carries an `A` and is replied to with an `R`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a key for an event that carries `{A}` and whose reply is `{R}`",
    note = "the handler must return the type of the key: `Reply(value)` for an `Event<{A}, {R}>`, nothing for an `Event<{A}>`"
)]
pub trait Calls<A, R>: Posts<A> {}

/// A name of an event, whatever the event carries: an [`Event`], a `&str` or a `String`.
///
/// Methods take it that need only the name, such as [`alarm_clear`](crate::KernelRef::alarm_clear).
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name an event",
    note = "use an `Event` constant, or a bare name (`&str` or `String`)"
)]
pub trait EventName: Keyed {
    /// Returns the event's name; it works with [`Posts`] and [`Calls`] keys too.
    ///
    /// ```
    /// use poe::{Event, event::{Calls, EventName}};
    /// fn publish<A, R>(event: impl Calls<A, R>) -> String {
    ///     event.name().to_owned()
    /// }
    /// const ADD: Event<(i64, i64), i64> = Event::new("add");
    /// assert_eq!(publish(ADD), "add");
    /// ```
    fn name(&self) -> &str {
        self.key().as_str()
    }
}

impl<K: Keyed> EventName for K {}

/// Stops the build if the type of a reply is left to the compiler, which then infers `!`. No reply has that type, so the
/// call would always fail.
pub(crate) const fn assert_reply_type<R>() {
    assert!(
        size_of::<Option<R>>() > 0,
        "the type of the reply is not known: name the event with an `Event<A, R>` constant, or say which type you expect, \
         as in `cx.call::<_, ()>(target, \"name\", arg)?` or `let reply: u64 = cx.call(target, \"name\", arg)?`"
    );
}

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

/// A key that is kept: what a wheel's or component's builder stores of an `impl Posts<A>`.
///
/// Give a reference to it wherever a key is asked for.
///
/// ```
/// use poe::{Event, event::{EventKey, Posts}};
/// const LINE: Event<String> = Event::new("line");
///
/// struct Settings { line: Option<EventKey<String>> }
///
/// impl Settings {
///     fn line(mut self, event: impl Posts<String>) -> Self {
///         self.line = Some(EventKey::new(event));
///         self
///     }
/// }
/// let settings = Settings { line: None }.line(LINE);
/// assert_eq!(settings.line.unwrap().name(), "line");
/// ```
pub struct EventKey<A> {
    name: Name,
    arg: PhantomData<fn(A)>,
}

impl<A> EventKey<A> {
    /// Keeps a key of any kind.
    #[must_use]
    pub fn new(event: impl Posts<A>) -> Self {
        EventKey {
            name: Name::from(event.key().as_str()),
            arg: PhantomData,
        }
    }

    /// The event's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<A> Clone for EventKey<A> {
    fn clone(&self) -> Self {
        EventKey {
            name: self.name.clone(),
            arg: PhantomData,
        }
    }
}

impl<A> fmt::Debug for EventKey<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventKey({:?})", self.name())
    }
}

impl<A> Keyed for &EventKey<A> {
    #[inline]
    fn key(&self) -> Key<'_> {
        Key::new(&self.name)
    }
}
impl<A> Posts<A> for &EventKey<A> {}

// The reserved names: the kernel's life-cycle events, and those of state machines.
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

// Arguments of life-cycle events: children, parents, and events without a handler.
/// The argument of [`CHILD`].
#[derive(Debug)]
#[doc(alias = "supervision")]
#[non_exhaustive]
pub struct Child {
    /// Why the event was sent.
    pub reason: ChildReason,
    /// The child session.
    pub session: SessionId,
    /// The result of its `_start` or `_stop`.
    ///
    /// `None` on [`ChildReason::Gain`], on a detach, and when that handler failed or does not exist.
    pub result: Option<AnyArg>,
}

/// Why a [`CHILD`] event was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ChildReason {
    /// The active session created it.
    #[doc(alias = "CHILD_CREATE")]
    Create,
    /// It was adopted from a session that is being stopped.
    #[doc(alias = "CHILD_GAIN")]
    Gain,
    /// It stopped or detached itself.
    #[doc(alias = "CHILD_LOSE")]
    Lose,
}

impl fmt::Display for ChildReason {
    /// Writes POE's word: `create`, `gain` or `lose`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ChildReason::Create => "create",
            ChildReason::Gain => "gain",
            ChildReason::Lose => "lose",
        })
    }
}

/// The argument of [`PARENT`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Parent {
    /// The parent until now.
    pub old: SessionId,
    /// The parent from now on.
    pub new: SessionId,
}

/// The argument of [`DEFAULT`]: an event that has no handler.
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
#[non_exhaustive]
pub struct Unhandled {
    /// The event's name.
    pub event: Name,
    /// The event's argument. An [`AnyArg`] can be posted again as it is.
    pub arg: AnyArg,
}

/// What happens to a post for a session whose inbox is full: see [`SessionBuilder::inbox`](crate::SessionBuilder::inbox).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The post that waits longest becomes a dead letter: for values of which the latest counts.
    DropOldest,
    /// The new post becomes a dead letter.
    DropNewest,
    /// The sender gets its argument back with an error. A post of a [`KernelHandle`](crate::KernelHandle), and one of the session to itself,
    /// has no sender that could get it, and becomes a dead letter.
    Refuse,
}
