//! Keys of events: a typed key, or a bare name.

use crate::name::{Key, Name, hash};
pub(crate) use sealed::Keyed;
use std::fmt;
use std::marker::PhantomData;

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
