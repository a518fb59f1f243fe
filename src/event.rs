//! Event keys: a name, and the type of what an event of that name carries.
//!
//! Names stay dynamic, as in POE: any `&str` or `String` is a key. A typed key, [`Event`], lets the compiler check the
//! poster against the handler; a bare name is checked when the event is delivered.

use crate::arg::AnyArg;
use crate::id::SessionId;
use crate::name::{Key, Name, hash};
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

/// What can name an event that carries an `A`: a typed [`Event`], a `&str` or a `String`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a key for an event that carries `{A}`",
    note = "use the `Event<{A}>` constant of that name, or a bare name (`&str` or `String`)"
)]
pub trait Posts<A> {
    /// The name, ready for the kernel's table.
    fn key(&self) -> Key<'_>;
}

/// What can name an event that carries an `A` and is answered with an `R`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a key for an event that carries `{A}` and is answered with `{R}`",
    note = "the handler must return what the key says: `Reply(value)` for an `Event<{A}, {R}>`, nothing for an `Event<{A}>`"
)]
pub trait Calls<A, R>: Posts<A> {}

impl<A, R> Posts<A> for Event<A, R> {
    fn key(&self) -> Key<'_> {
        Key::fixed(self.name, self.hash)
    }
}
impl<A, R> Calls<A, R> for Event<A, R> {}

impl<A> Posts<A> for &str {
    fn key(&self) -> Key<'_> {
        Key::new(self)
    }
}
impl<A, R> Calls<A, R> for &str {}

impl<A> Posts<A> for String {
    fn key(&self) -> Key<'_> {
        Key::new(self)
    }
}
impl<A, R> Calls<A, R> for String {}

impl<A> Posts<A> for &String {
    fn key(&self) -> Key<'_> {
        Key::new(self)
    }
}
impl<A, R> Calls<A, R> for &String {}

impl<A> Posts<A> for Name {
    fn key(&self) -> Key<'_> {
        Key::new(self)
    }
}
impl<A, R> Calls<A, R> for Name {}

impl<A> Posts<A> for &Name {
    fn key(&self) -> Key<'_> {
        Key::new(self)
    }
}
impl<A, R> Calls<A, R> for &Name {}

/// The key of a life-cycle event that the kernel sends: its argument's type is fixed, its answer is free.
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

impl<A> Posts<A> for Reserved<A> {
    fn key(&self) -> Key<'_> {
        Key::fixed(self.0.name, self.0.hash)
    }
}
impl<A, R> Calls<A, R> for Reserved<A> {}

/// The key of `_start`, whose argument is whatever the builder's `args` was given.
#[derive(Clone, Copy, Debug)]
pub struct Start(());

impl<A> Posts<A> for Start {
    fn key(&self) -> Key<'_> {
        Key::fixed("_start", const { hash("_start") })
    }
}
impl<A, R> Calls<A, R> for Start {}

/// `_start`: runs inside `create`, before it returns. Its argument is what the builder's `args` was given, or `()`;
/// what it returns goes to the parent's [`CHILD`].
#[doc(alias = "_start")]
pub const START: Start = Start(());

/// `_stop`: a session's last event. What it returns goes to the parent's [`CHILD`].
#[doc(alias = "_stop")]
pub const STOP: Reserved<()> = Reserved(Event::new("_stop"));

/// `_child`: a session gained or lost a child.
#[doc(alias = "_child")]
pub const CHILD: Reserved<Child> = Reserved(Event::new("_child"));

/// `_parent`: a session got another parent, by detaching or by adoption; never sent at creation.
#[doc(alias = "_parent")]
pub const PARENT: Reserved<Parent> = Reserved(Event::new("_parent"));

/// `_default`: whatever came by a name that has no handler here.
#[doc(alias = "_default")]
pub const DEFAULT: Reserved<Unhandled> = Reserved(Event::new("_default"));

/// What a state machine's old state is told before the new one is entered; see [`Nfa`](crate::Nfa).
///
/// ```
/// use poe::{NfaState, event::LEAVE};
/// let state = NfaState::<&str, ()>::new().on(LEAVE, |_, ()| println!("left"));
/// ```
#[doc(alias = "leave")]
pub const LEAVE: Reserved<()> = Reserved(Event::new("leave"));

/// No event at all: for a change of a machine's state that calls no handler of the new state, or a return that the old
/// one is not told of.
///
/// ```
/// use poe::{Event, NfaState, event::SILENT};
/// const NEXT: Event<()> = Event::new("next");
/// let state = NfaState::<&str, ()>::new().on(NEXT, |cx, ()| cx.goto_state("other", SILENT, ()));
/// ```
pub const SILENT: Reserved<()> = Reserved(Event::new(""));

/// The argument of [`CHILD`].
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
