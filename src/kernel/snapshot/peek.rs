//! The questions of POE::API::Peek, answered by a snapshot.

use super::super::Target;
use super::data::{EventType, QueuedEvent, SessionSnapshot, Snapshot};
use crate::id::SessionId;
use crate::name::signal_name;
use crate::resource::signals::SignalClass;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

#[cfg(unix)]
use super::super::{SelectMode, Watched};
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd};

/// The questions of POE::API::Peek. A session is named by its ID or by an alias, as it was at that moment; for one that
/// was not alive numbers are 0, lists empty, and the rest is `None` or false. The kernel is asked about by
/// [`kernel_id`](Self::kernel_id).
///
/// Sessions, their family and what they handle:
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// let kernel = Kernel::new();
/// let parent = Session::builder(())
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         cx.alias_set("parent")?;
///         cx.create(Session::builder(()).on(START, |cx, ()| cx.alias_set("child")))?;
///         Ok(())
///     })
///     .create(&kernel)?;
/// let snapshot = kernel.snapshot();
/// let child = snapshot.resolve("child").unwrap();
/// assert_eq!(snapshot.resolve("nobody"), None);
/// assert_eq!(snapshot.session_count(), 2);
/// assert_eq!(snapshot.session_list(), [parent, child]);
/// assert_eq!(snapshot.get_session_children("parent"), [child]);
/// assert_eq!(snapshot.get_session_children(snapshot.kernel_id), [parent]);
/// assert!(snapshot.is_session_child("parent", "child"));
/// assert_eq!(snapshot.get_session_parent(parent), Some(snapshot.kernel_id));
/// assert_eq!(snapshot.session_alias_list(child), ["child"]);
/// assert_eq!(snapshot.session_alias_count("nobody"), 0);
/// assert_eq!(snapshot.session_event_list(child), ["_start"]);
/// assert_eq!(snapshot.event_list()[&parent], ["_start"]);
/// # Ok::<(), poe::Error>(())
/// ```
///
/// What waits, and what is counted:
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// const LINE: Event<&'static str> = Event::new("line");
/// let kernel = Kernel::new();
/// let log = Session::builder(()).on(START, |cx, ()| cx.alias_set("log")).create(&kernel)?;
/// let id = Session::builder(())
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         cx.delay("tick", 60.0, ());
///         cx.refcount_increment(log, "client")?;
///         Ok(cx.post("log", LINE, "hello")?)
///     })
///     .create(&kernel)?;
/// let snapshot = kernel.snapshot();
/// assert_eq!(snapshot.event_count_from(id), 1); // `line`: what it sends itself does not count
/// assert_eq!(snapshot.event_count_to("log"), 2); // that, and the marker of a new session
/// assert_eq!(snapshot.timers_of(id)[0].event, "tick");
/// assert_eq!(snapshot.extref_count(), 1); // one session has some
/// assert_eq!(snapshot.get_session_extref_count("log"), 1); // of one tag
/// assert_eq!(snapshot.get_session_refcount("log"), 4); // its alias, the tag, and the two events
/// # Ok::<(), poe::Error>(())
/// ```
///
/// Files and processes:
///
/// ```
/// # #[cfg(unix)]
/// # mod unix {
/// use poe::{Event, Kernel, Session, event::START, unix::{ProcessExit, SelectMode, Selected, Watched}};
/// const READABLE: Event<Selected> = Event::new("readable");
/// const ENDED: Event<ProcessExit> = Event::new("ended");
/// # #[tokio::main(flavor = "current_thread")]
/// # pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kernel = Kernel::new();
/// let (reader, _writer) = std::io::pipe()?;
/// let file = Watched::new(&reader)?;
/// let (watched, mut child) = (file.clone(), std::process::Command::new("true").spawn()?);
/// let pid = child.id();
/// let id = Session::builder(())
///     .on(START, move |cx, ()| {
///         cx.select_read(&watched, READABLE, ())?;
///         cx.sig_child(pid, ENDED, ())
///     })
///     .create(&kernel)?;
/// let snapshot = kernel.snapshot();
/// assert!(snapshot.is_handle_tracked(&file, SelectMode::Read));
/// assert!(!snapshot.is_handle_tracked(&file, SelectMode::Write));
/// assert_eq!((snapshot.handle_count(), snapshot.session_handle_count(id)), (1, 1));
/// assert_eq!(snapshot.session_pid_count(id), 1);
/// child.wait()?;
/// # Ok(())
/// # }
/// # }
/// # #[cfg(unix)]
/// # fn main() { unix::main().unwrap() }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
///
/// Signals:
///
/// ```
/// use poe::{Kernel, Session, event::START, inspect::SignalClass};
/// let kernel = Kernel::new();
/// let id = Session::builder(()).on(START, |cx, ()| cx.sig("reload", "on reload")).create(&kernel)?;
/// let snapshot = kernel.snapshot();
/// assert!(snapshot.is_signal_watched("reload"));
/// assert!(!snapshot.is_signal_watched_by_session("reload", "nobody"));
/// assert_eq!(snapshot.signals_watched_by_session(id)["reload"], "on reload");
/// assert_eq!(snapshot.signal_watchers("reload")[&id], "on reload");
/// assert_eq!(snapshot.get_signal_type("reload"), SignalClass::Benign);
/// # Ok::<(), poe::Error>(())
/// ```
impl Snapshot {
    /// That session.
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

    /// The ID of that session, or of the kernel.
    #[doc(alias = "resolve_session_to_id")]
    #[must_use]
    pub fn resolve<'t>(&self, target: impl Into<Target<'t>>) -> Option<SessionId> {
        match target.into() {
            Target::Id(id) if id == self.kernel_id => Some(id),
            Target::Id(id) => self.find(id).map(|session| session.id),
            Target::Alias(alias) => self.resolve_alias(&alias),
        }
    }

    /// The session that has an alias.
    #[must_use]
    pub fn resolve_alias(&self, alias: &str) -> Option<SessionId> {
        let owner = self.sessions.iter().find(|s| s.aliases.iter().any(|own| own == alias));
        owner.map(|session| session.id)
    }

    /// How many sessions were alive. (POE::API::Peek counts the kernel as well.)
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// The IDs of the sessions, the oldest first, without the kernel's.
    #[must_use]
    pub fn session_list(&self) -> Vec<SessionId> {
        self.sessions.iter().map(|session| session.id).collect()
    }

    /// A session's or the kernel's children, the oldest first.
    #[must_use]
    pub fn get_session_children<'t>(&self, target: impl Into<Target<'t>>) -> Vec<SessionId> {
        let parent = self.resolve(target);
        let children = self.sessions.iter().filter(|session| Some(session.parent) == parent);
        children.map(|session| session.id).collect()
    }

    /// Whether `child` is a direct child of `parent`.
    #[must_use]
    pub fn is_session_child<'p, 'c>(&self, parent: impl Into<Target<'p>>, child: impl Into<Target<'c>>) -> bool {
        let parent = self.resolve(parent);
        parent.is_some() && self.get_session_parent(child) == parent
    }

    /// A session's parent; the kernel has none.
    #[must_use]
    pub fn get_session_parent<'t>(&self, target: impl Into<Target<'t>>) -> Option<SessionId> {
        self.session(target).map(|session| session.parent)
    }

    /// How many things keep a session, or the kernel.
    #[must_use]
    pub fn get_session_refcount<'t>(&self, target: impl Into<Target<'t>>) -> usize {
        match self.resolve(target) {
            Some(id) if id == self.kernel_id => self.kernel_refcount,
            Some(id) => self.session(id).map_or(0, |session| session.refcount),
            None => 0,
        }
    }

    /// Every session with the events that it has handlers for, sorted.
    #[must_use]
    pub fn event_list(&self) -> BTreeMap<SessionId, &[String]> {
        self.sessions.iter().map(|s| (s.id, &*s.events)).collect()
    }

    /// The events that a session has handlers for, sorted.
    #[must_use]
    pub fn session_event_list<'t>(&self, target: impl Into<Target<'t>>) -> &[String] {
        self.session(target).map_or(&[], |session| &session.events)
    }

    /// A session's aliases, sorted.
    #[must_use]
    pub fn session_alias_list<'t>(&self, target: impl Into<Target<'t>>) -> &[String] {
        self.session(target).map_or(&[], |session| &session.aliases)
    }

    /// How many aliases a session has.
    #[must_use]
    pub fn session_alias_count<'t>(&self, target: impl Into<Target<'t>>) -> usize {
        self.session_alias_list(target).len()
    }

    /// What a log calls a session: its number, and its aliases if it has any.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// let kernel = Kernel::new();
    /// let id = Session::builder(()).on(START, |cx, ()| cx.alias_set("logger")).create(&kernel).unwrap();
    /// assert_eq!(kernel.snapshot().session_id_loggable(id).unwrap(), "session 1 (logger)");
    /// ```
    #[must_use]
    pub fn session_id_loggable<'t>(&self, target: impl Into<Target<'t>>) -> Option<String> {
        let id = self.resolve(target)?;
        let mut text = format!("session {id}");
        let aliases = self.session_alias_list(id);
        if !aliases.is_empty() {
            // Writing into a `String` does not fail.
            let _ = write!(text, " ({})", aliases.join(", "));
        }
        Some(text)
    }

    /// Events that wait for a session or for the kernel, timers included.
    #[must_use]
    pub fn event_count_to<'t>(&self, target: impl Into<Target<'t>>) -> usize {
        let to = self.resolve(target);
        self.queue.iter().filter(|event| Some(event.destination) == to).count()
    }

    /// Events that a session or the kernel has sent to others and that wait there.
    #[must_use]
    pub fn event_count_from<'t>(&self, target: impl Into<Target<'t>>) -> usize {
        let from = self.resolve(target);
        let sent = self.queue.iter().filter(|event| Some(event.source) == from);
        sent.filter(|event| event.destination != event.source).count()
    }

    /// A session's timers, the next one first.
    #[must_use]
    pub fn timers_of<'t>(&self, target: impl Into<Target<'t>>) -> Vec<&QueuedEvent> {
        let owner = self.resolve(target);
        let timers = self.queue.iter().filter(|event| event.kind == EventType::Alarm);
        timers.filter(|event| Some(event.destination) == owner).collect()
    }

    /// How many sessions have a reference count of any tag, postbacks included.
    #[must_use]
    pub fn extref_count(&self) -> usize {
        let held = |s: &&SessionSnapshot| !(s.refcounts.is_empty() && s.postbacks.is_empty());
        self.sessions.iter().filter(held).count()
    }

    /// How many tags a session has, an event's postbacks counting as one.
    #[must_use]
    pub fn get_session_extref_count<'t>(&self, target: impl Into<Target<'t>>) -> usize {
        self.session(target)
            .map_or(0, |session| session.refcounts.len() + session.postbacks.len())
    }

    /// Whether any session watches a descriptor in that mode.
    #[cfg(unix)]
    #[must_use]
    pub fn is_handle_tracked(&self, file: &Watched, mode: SelectMode) -> bool {
        let number = file.as_fd().as_raw_fd();
        let mut files = self.sessions.iter().flat_map(|session| &session.files);
        files.any(|watched| watched.descriptor == number && watched.mode == mode)
    }

    /// How many descriptors are watched.
    #[must_use]
    pub fn handle_count(&self) -> usize {
        let files = self.sessions.iter().flat_map(|session| &session.files);
        files.map(|file| file.descriptor).collect::<BTreeSet<_>>().len()
    }

    /// How many descriptors a session watches.
    #[must_use]
    pub fn session_handle_count<'t>(&self, target: impl Into<Target<'t>>) -> usize {
        let files = self.session(target).into_iter().flat_map(|session| &session.files);
        files.map(|file| file.descriptor).collect::<BTreeSet<_>>().len()
    }

    /// How many processes a session awaits. (POE::API::Peek has not been able to tell since POE 1.350.)
    #[must_use]
    pub fn session_pid_count<'t>(&self, target: impl Into<Target<'t>>) -> usize {
        self.session(target).map_or(0, |session| session.pids.len())
    }

    /// Whether any session watches a signal.
    #[must_use]
    pub fn is_signal_watched(&self, signal: &str) -> bool {
        let signal = signal_name(signal);
        self.sessions.iter().any(|session| session.signals.contains_key(signal))
    }

    /// Whether a session watches a signal.
    #[must_use]
    pub fn is_signal_watched_by_session<'t>(&self, signal: &str, target: impl Into<Target<'t>>) -> bool {
        self.session(target)
            .is_some_and(|session| session.signals.contains_key(signal_name(signal)))
    }

    /// The signals that a session watches, each with the event that it becomes.
    #[must_use]
    pub fn signals_watched_by_session<'t>(&self, target: impl Into<Target<'t>>) -> BTreeMap<&str, &str> {
        let signals = self.session(target).into_iter().flat_map(|session| &session.signals);
        signals.map(|(signal, event)| (&**signal, &**event)).collect()
    }

    /// The sessions that watch a signal, each with the event that it becomes there.
    #[must_use]
    pub fn signal_watchers(&self, signal: &str) -> BTreeMap<SessionId, &str> {
        let watchers = self.sessions.iter();
        watchers
            .filter_map(|session| Some((session.id, &**session.signals.get(signal_name(signal))?)))
            .collect()
    }

    /// The class of a signal, which is what [`SignalClass::of`] says.
    #[must_use]
    pub fn get_signal_type(&self, signal: &str) -> SignalClass {
        SignalClass::of(signal)
    }
}
