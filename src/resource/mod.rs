//! What sessions hold, one table per kind (POE::Resource).
//!
//! A table knows its own kind only: no table sees another, and none counts references. What a change took or released
//! is what its methods return; the kernel applies it to the one count per session, in `kernel/gc.rs`.

pub(crate) mod aliases;
#[cfg(unix)]
pub(crate) mod children;
pub(crate) mod extrefs;
pub(crate) mod sessions;
pub(crate) mod signals;

use std::fmt;
use std::panic::Location;

/// One reason why a session is alive: a line of [`why_alive`](crate::Kernel::why_alive).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Hold {
    /// What sort of thing it is.
    pub kind: HoldKind,
    /// Its name: the event, alias, tag or child.
    pub name: String,
    /// How many of the same kind, name and place.
    pub count: usize,
    /// Where it was taken.
    #[cfg_attr(feature = "serde", serde(serialize_with = "serialize_place"))]
    pub place: &'static Location<'static>,
}

/// The sorts of things that keep a session alive (law L26).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum HoldKind {
    /// An event that waits for it.
    Event,
    /// An event that it sent to another session and that waits there.
    SentEvent,
    /// A timer.
    Timer,
    /// An alias.
    Alias,
    /// A child session.
    Child,
    /// A reference count by [`refcount_increment`](crate::Turn::refcount_increment).
    Refcount,
    /// A postback or callback.
    Postback,
    /// Spawned work: a future, a stream or a blocking call.
    Task,
    /// A wheel.
    Wheel,
    /// A watched descriptor, also while it is paused.
    File,
    /// A process whose end is awaited.
    Process,
}

/// A place as `file:line`.
#[cfg(feature = "serde")]
pub(crate) fn serialize_place<S: serde::Serializer>(
    place: &&'static Location<'static>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}:{}", place.file(), place.line()))
}

/// As it prints.
#[cfg(feature = "serde")]
impl serde::Serialize for HoldKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for HoldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            HoldKind::Event => "event",
            HoldKind::SentEvent => "sent event",
            HoldKind::Timer => "timer",
            HoldKind::Alias => "alias",
            HoldKind::Child => "child",
            HoldKind::Refcount => "refcount",
            HoldKind::Postback => "postback",
            HoldKind::Task => "task",
            HoldKind::Wheel => "wheel",
            HoldKind::File => "watched file",
            HoldKind::Process => "awaited process",
        })
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind, self.name)?;
        if self.count != 1 {
            write!(f, " × {}", self.count)?;
        }
        write!(f, " ({}:{})", self.place.file(), self.place.line())
    }
}

/// A table of things that sessions hold.
pub(crate) trait Resource {
    /// Appends what the session in that slot holds here.
    fn holds(&self, session: u32, out: &mut Vec<Hold>);
}
