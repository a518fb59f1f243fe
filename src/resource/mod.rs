//! Tables of what sessions hold, one per kind (POE::Resource).
//!
//! A table knows its own kind only: no table sees another, and none counts references. Its methods return which references
//! were taken or released; the kernel applies them to the one count per session, in `kernel/gc.rs`.

#[cfg(unix)]
pub(crate) mod children;
pub(crate) mod extrefs;
pub(crate) mod sessions;
pub(crate) mod signals;

use crate::id::SessionId;
use std::fmt;
use std::panic::Location;

/// One reason why a session is alive: a line of [`why_alive`](crate::Kernel::why_alive).
///
/// ```
/// use poe::{Kernel, Session, event::START, inspect::HoldKind};
/// let kernel = Kernel::new();
/// Session::builder(()).on(START, |cx, ()| cx.alias_set("logger")).create(&kernel)?;
/// let report = kernel.why_alive();
/// let hold = report.sessions[0].holds.iter().find(|hold| hold.kind == HoldKind::Alias).unwrap();
/// assert_eq!((&*hold.name, hold.count), ("logger", 1));
/// println!("{hold}"); // alias `logger` (src/main.rs:3)
/// # assert!(hold.to_string().starts_with("alias `logger` ("));
/// # Ok::<(), poe::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Hold {
    /// The kind of the reason.
    pub kind: HoldKind,
    /// The name of the event, alias, tag or child.
    pub name: String,
    /// How many have the same kind, name and place.
    pub count: usize,
    /// Where it was taken.
    #[cfg_attr(feature = "serde", serde(serialize_with = "serialize_place"))]
    pub place: &'static Location<'static>,
}

/// The kinds of things that keep a session alive (law L26).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum HoldKind {
    /// An event that waits for the session.
    Event,
    /// An event from the session that waits for another session.
    SentEvent,
    /// A timer.
    Timer,
    /// An alias.
    Alias,
    /// A child session.
    Child,
    /// A reference count of [`refcount_increment`](crate::KernelRef::refcount_increment).
    Refcount,
    /// A postback or callback.
    Postback,
    /// A spawned future, an attached stream or a blocking call.
    Task,
    /// A wheel.
    Wheel,
    /// A watched descriptor, also while it is paused.
    File,
    /// A process whose end is awaited.
    Process,
    /// The session is new: no sweep has tested yet whether anything else keeps it alive (law L23).
    ///
    /// In the queue this is POE's event `_garbage_collect`, which is the hold's name.
    #[doc(alias = "_garbage_collect")]
    Creation,
    /// A hold of a [`Resource`] outside the crate, with the name of its kind.
    Other(&'static str),
}

/// Serializes a place as `file:line`.
#[cfg(feature = "serde")]
pub(crate) fn serialize_place<S: serde::Serializer>(
    place: &crate::id::Place,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}:{}", place.file(), place.line()))
}

/// Serializes the text that it prints as.
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
            HoldKind::Creation => "creation",
            HoldKind::Other(kind) => kind,
        })
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            // The queue's name for it would confuse the reader.
            HoldKind::Creation => f.write_str("its creation, which no sweep has looked at yet")?,
            kind => write!(f, "{kind} `{}`", self.name)?,
        }
        if self.count != 1 {
            write!(f, " × {}", self.count)?;
        }
        write!(f, " ({}:{})", self.place.file(), self.place.line())
    }
}

/// A table of things that sessions hold and that keep them alive (POE::Resource).
///
/// Aliases and reference counts are such tables. A table outside the crate is a type of your own;
/// each kernel makes one when it is first asked for ([`Kernel::resource`](crate::Kernel::resource)). Each of its entries
/// has a [`SessionHold`](crate::extend::SessionHold), which keeps the session alive and is shown by
/// [`why_alive`](crate::Kernel::why_alive) and in a [`Snapshot`](crate::inspect::Snapshot). Programs use the table through
/// an extension trait over [`KernelRef`](crate::KernelRef), [`Kernel`](crate::Kernel), or both, like POE's mix-ins.
///
/// Nothing of the kernel is borrowed while these methods run. A resource must not keep a `Kernel`, because neither would
/// ever be dropped.
///
/// ```
/// use poe::{Kernel, Session, SessionId, KernelRef, event::START, extend::{Resource, SessionHold}, inspect::Hold};
/// use std::cell::RefCell;
///
/// #[derive(Default)]
/// struct Leases(RefCell<Vec<(String, SessionHold)>>);
///
/// impl Resource for Leases {
///     fn holds(&self, session: SessionId, holds: &mut Vec<Hold>) {
///         let leases = self.0.borrow();
///         let own = leases.iter().filter(|(_, hold)| hold.session() == session);
///         holds.extend(own.map(|(name, hold)| hold.report("lease", name)));
///     }
///     fn clear(&self, session: SessionId) {
///         self.0.borrow_mut().retain(|(_, hold)| hold.session() != session);
///     }
/// }
///
/// trait LeaseApi {
///     fn lease(self, name: &str) -> poe::HandlerResult;
/// }
/// impl LeaseApi for KernelRef<'_> {
///     #[track_caller]
///     fn lease(self, name: &str) -> poe::HandlerResult {
///         let hold = self.hold_session(self.session_id())?;
///         self.resource::<Leases>().0.borrow_mut().push((name.to_owned(), hold));
///         Ok(())
///     }
/// }
///
/// let kernel = Kernel::new();
/// Session::builder(()).on(START, |cx, ()| cx.lease("printer")).create(&kernel).unwrap();
/// assert!(kernel.why_alive().to_string().contains("lease `printer`"));
/// ```
#[doc(alias = "POE::Resource")]
pub trait Resource: 'static {
    /// Appends the things that a session holds here: an entry each, or one for several with the same name and place.
    fn holds(&self, session: SessionId, holds: &mut Vec<Hold>);

    /// Releases everything that a session holds here, after its `_stop` has run.
    fn clear(&self, session: SessionId) {
        let _ = session;
    }
}
