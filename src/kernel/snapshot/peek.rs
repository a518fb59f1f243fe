//! Lookups in a snapshot, by ID or alias.

use super::super::Target;
use super::{EventId, EventType, QueuedEvent, SessionSnapshot, Snapshot};
use crate::id::SessionId;
use std::fmt;

/// Sessions by their ID or alias. The other questions of POE::API::Peek are fields of what these methods return.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// const LINE: Event<&'static str> = Event::new("line");
/// let kernel = Kernel::new();
/// let log = Session::builder(()).on(START, |cx, ()| cx.alias_set("log")).create(&kernel)?;
/// let id = Session::builder(())
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         cx.delay("tick", 60.0, ());
///         cx.sig("reload", "on reload");
///         cx.refcount_increment(log, "client")?;
///         Ok(cx.post("log", LINE, "hello")?)
///     })
///     .create(&kernel)?;
/// let snapshot = kernel.snapshot();
/// assert_eq!(snapshot.resolve("log"), Some(log));
/// assert_eq!(snapshot.resolve("nobody"), None);
/// assert_eq!(snapshot.timers_of(id)[0].event, "tick");
/// let session = snapshot.session(id).unwrap();
/// assert_eq!(session.parent, snapshot.kernel_id);
/// assert_eq!(session.events, ["_start"]);
/// assert_eq!(session.signals["reload"], "on reload");
/// assert_eq!(session.events_from, 1); // `line`: events to itself do not count
/// let log = snapshot.session("log").unwrap();
/// assert_eq!((log.aliases.len(), log.refcounts.len()), (1, 1));
/// assert_eq!(log.events_to, 2); // `line`, and the marker of a new session
/// assert_eq!(log.refcount, 4); // its alias, the tag, and the two events
/// # Ok::<(), poe::Error>(())
/// ```
impl Snapshot {
    /// Returns that session, by its ID or by an alias that it had at that moment.
    #[doc(alias = "resolve_session_to_ref")]
    #[must_use]
    pub fn session<'t>(&self, target: impl Into<Target<'t>>) -> Option<&SessionSnapshot> {
        let id = self.resolve(target)?;
        self.find(id)
    }

    /// A snapshot has its sessions in the order of their IDs, unless its owner has changed that.
    fn find(&self, id: SessionId) -> Option<&SessionSnapshot> {
        match self.sessions.binary_search_by_key(&id, |session| session.id) {
            Ok(at) => self.sessions.get(at),
            Err(_) => self.sessions.iter().find(|session| session.id == id),
        }
    }

    /// Returns the ID of that session, or of the kernel.
    #[doc(alias = "resolve_session_to_id")]
    #[doc(alias = "resolve_alias")]
    #[must_use]
    pub fn resolve<'t>(&self, target: impl Into<Target<'t>>) -> Option<SessionId> {
        match target.into() {
            Target::Id(id) if id == self.kernel_id => Some(id),
            Target::Id(id) => self.find(id).map(|session| session.id),
            Target::Alias(alias) => {
                let owner = self.sessions.iter().find(|s| s.aliases.iter().any(|own| *own == alias));
                owner.map(|session| session.id)
            }
        }
    }

    /// Returns a session's timers, the next one first.
    #[must_use]
    pub fn timers_of<'t>(&self, target: impl Into<Target<'t>>) -> Vec<&QueuedEvent> {
        let owner = self.resolve(target);
        let timers = self.queue.iter().filter(|event| event.kind == EventType::Alarm);
        timers.filter(|event| Some(event.destination) == owner).collect()
    }
}

// A snapshot as a report for people.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = if self.is_running { "running" } else { "not running" };
        write!(f, "kernel on {}, {running}", self.which_loop)?;
        if let Some(event) = &self.active_event {
            write!(f, ", session {} handles `{event}`", self.active_session)?;
        }
        let (sessions, events) = (self.sessions.len(), self.queue.len());
        write!(f, "; {}, {}", number(sessions, "session"), number(events, "event"))?;
        for session in &self.sessions {
            write!(f, "\n{session}")?;
        }
        if !self.queue.is_empty() {
            f.write_str("\nqueue:")?;
        }
        for event in &self.queue {
            write!(f, "\n  {event}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SessionSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}", self.id)?;
        if !self.aliases.is_empty() {
            write!(f, " ({})", self.aliases.join(", "))?;
        }
        write!(
            f,
            ", child of {}, heap {}, created at {}:{}, {}, {} to it and {} from it",
            self.parent,
            self.heap_type,
            self.place.file(),
            self.place.line(),
            number(self.refcount, "reference"),
            number(self.events_to, "event"),
            self.events_from
        )?;
        if self.is_stopping {
            f.write_str(", stopping")?;
        }
        list(f, "handles", self.events.iter())?;
        list(
            f,
            "options",
            self.options.iter().map(|(name, value)| format!("{name}={value}")),
        )?;
        let signals = self.signals.iter();
        list(
            f,
            "watches",
            signals.map(|(signal, event)| format!("{signal} as {event}")),
        )?;
        for hold in &self.holds {
            write!(f, "\n  {hold}")?;
        }
        Ok(())
    }
}

fn number(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn list(f: &mut fmt::Formatter<'_>, what: &str, items: impl Iterator<Item = impl fmt::Display>) -> fmt::Result {
    for (i, item) in items.enumerate() {
        match i {
            0 => write!(f, "\n  {what} {item}")?,
            _ => write!(f, ", {item}")?,
        }
    }
    Ok(())
}

impl fmt::Display for QueuedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, kind) = (self.index, self.kind);
        let ends = (self.source, self.destination);
        write!(
            f,
            "{index}: {kind} `{}`, {} to {}, {}",
            self.event, ends.0, ends.1, self.id
        )?;
        write!(f, " ({}:{})", self.place.file(), self.place.line())
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventId::Post(number) => write!(f, "post {number}"),
            EventId::Timer(id) => write!(f, "timer {id}"),
        }
    }
}
