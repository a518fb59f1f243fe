//! Lookups in a snapshot, by ID or alias.

use super::super::Target;
use super::data::{EventType, QueuedEvent, SessionSnapshot, Snapshot};
use crate::id::SessionId;

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
/// assert_eq!(session.events_from, 1); // `line`: what it sends itself does not count
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
