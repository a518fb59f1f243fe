//! The questions of POE::API::Peek, each from the public parts of a snapshot.

use poe::inspect::{SessionSnapshot, SignalClass, Snapshot};
use poe::unix::{SelectMode, Watched};
use poe::{SessionId, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::os::fd::{AsFd, AsRawFd};

fn signal_name(name: &str) -> &str {
    match name.strip_prefix("SIG").unwrap_or(name) {
        "CLD" => "CHLD",
        "IOT" => "ABRT",
        "POLL" => "IO",
        short => short,
    }
}

pub(crate) trait Peek {
    fn resolve_alias(&self, alias: &str) -> Option<SessionId>;
    fn session_count(&self) -> usize;
    fn session_list(&self) -> Vec<SessionId>;
    fn get_session_children<'t>(&self, target: impl Into<Target<'t>>) -> Vec<SessionId>;
    fn is_session_child<'p, 'c>(&self, parent: impl Into<Target<'p>>, child: impl Into<Target<'c>>) -> bool;
    fn get_session_parent<'t>(&self, target: impl Into<Target<'t>>) -> Option<SessionId>;
    fn get_session_refcount<'t>(&self, target: impl Into<Target<'t>>) -> usize;
    fn event_list(&self) -> BTreeMap<SessionId, &[String]>;
    fn session_event_list<'t>(&self, target: impl Into<Target<'t>>) -> &[String];
    fn session_alias_list<'t>(&self, target: impl Into<Target<'t>>) -> &[String];
    fn session_alias_count<'t>(&self, target: impl Into<Target<'t>>) -> usize;
    fn session_id_loggable<'t>(&self, target: impl Into<Target<'t>>) -> Option<String>;
    fn event_count_to<'t>(&self, target: impl Into<Target<'t>>) -> usize;
    fn event_count_from<'t>(&self, target: impl Into<Target<'t>>) -> usize;
    fn extref_count(&self) -> usize;
    fn get_session_extref_count<'t>(&self, target: impl Into<Target<'t>>) -> usize;
    fn is_handle_tracked(&self, file: &Watched, mode: SelectMode) -> bool;
    fn handle_count(&self) -> usize;
    fn session_handle_count<'t>(&self, target: impl Into<Target<'t>>) -> usize;
    fn session_pid_count<'t>(&self, target: impl Into<Target<'t>>) -> usize;
    fn is_signal_watched(&self, signal: &str) -> bool;
    fn is_signal_watched_by_session<'t>(&self, signal: &str, target: impl Into<Target<'t>>) -> bool;
    fn signals_watched_by_session<'t>(&self, target: impl Into<Target<'t>>) -> BTreeMap<&str, &str>;
    fn signal_watchers(&self, signal: &str) -> BTreeMap<SessionId, &str>;
    fn get_signal_type(&self, signal: &str) -> SignalClass;
}

impl Peek for Snapshot {
    fn resolve_alias(&self, alias: &str) -> Option<SessionId> {
        let owner = self.sessions.iter().find(|s| s.aliases.iter().any(|own| own == alias));
        owner.map(|session| session.id)
    }

    fn session_count(&self) -> usize {
        self.sessions.len()
    }

    fn session_list(&self) -> Vec<SessionId> {
        self.sessions.iter().map(|session| session.id).collect()
    }

    fn get_session_children<'t>(&self, target: impl Into<Target<'t>>) -> Vec<SessionId> {
        let parent = self.resolve(target);
        let children = self.sessions.iter().filter(|session| Some(session.parent) == parent);
        children.map(|session| session.id).collect()
    }

    fn is_session_child<'p, 'c>(&self, parent: impl Into<Target<'p>>, child: impl Into<Target<'c>>) -> bool {
        let parent = self.resolve(parent);
        parent.is_some() && self.get_session_parent(child) == parent
    }

    fn get_session_parent<'t>(&self, target: impl Into<Target<'t>>) -> Option<SessionId> {
        self.session(target).map(|session| session.parent)
    }

    fn get_session_refcount<'t>(&self, target: impl Into<Target<'t>>) -> usize {
        match self.resolve(target) {
            Some(id) if id == self.kernel_id => self.kernel_refcount,
            Some(id) => self.session(id).map_or(0, |session| session.refcount),
            None => 0,
        }
    }

    fn event_list(&self) -> BTreeMap<SessionId, &[String]> {
        self.sessions.iter().map(|s| (s.id, &*s.events)).collect()
    }

    fn session_event_list<'t>(&self, target: impl Into<Target<'t>>) -> &[String] {
        self.session(target).map_or(&[], |session| &session.events)
    }

    fn session_alias_list<'t>(&self, target: impl Into<Target<'t>>) -> &[String] {
        self.session(target).map_or(&[], |session| &session.aliases)
    }

    fn session_alias_count<'t>(&self, target: impl Into<Target<'t>>) -> usize {
        self.session_alias_list(target).len()
    }

    fn session_id_loggable<'t>(&self, target: impl Into<Target<'t>>) -> Option<String> {
        let id = self.resolve(target)?;
        let mut text = format!("session {id}");
        let aliases = self.session_alias_list(id);
        if !aliases.is_empty() {
            // Writing into a `String` does not fail.
            let _ = write!(text, " ({})", aliases.join(", "));
        }
        Some(text)
    }

    fn event_count_to<'t>(&self, target: impl Into<Target<'t>>) -> usize {
        let to = self.resolve(target);
        self.queue.iter().filter(|event| Some(event.destination) == to).count()
    }

    fn event_count_from<'t>(&self, target: impl Into<Target<'t>>) -> usize {
        let from = self.resolve(target);
        let sent = self.queue.iter().filter(|event| Some(event.source) == from);
        sent.filter(|event| event.destination != event.source).count()
    }

    fn extref_count(&self) -> usize {
        let held = |s: &&SessionSnapshot| !(s.refcounts.is_empty() && s.postbacks.is_empty());
        self.sessions.iter().filter(held).count()
    }

    fn get_session_extref_count<'t>(&self, target: impl Into<Target<'t>>) -> usize {
        self.session(target)
            .map_or(0, |session| session.refcounts.len() + session.postbacks.len())
    }

    fn is_handle_tracked(&self, file: &Watched, mode: SelectMode) -> bool {
        let number = file.as_fd().as_raw_fd();
        let mut files = self.sessions.iter().flat_map(|session| &session.files);
        files.any(|watched| watched.descriptor == number && watched.mode == mode)
    }

    fn handle_count(&self) -> usize {
        let files = self.sessions.iter().flat_map(|session| &session.files);
        files.map(|file| file.descriptor).collect::<BTreeSet<_>>().len()
    }

    fn session_handle_count<'t>(&self, target: impl Into<Target<'t>>) -> usize {
        let files = self.session(target).into_iter().flat_map(|session| &session.files);
        files.map(|file| file.descriptor).collect::<BTreeSet<_>>().len()
    }

    fn session_pid_count<'t>(&self, target: impl Into<Target<'t>>) -> usize {
        self.session(target).map_or(0, |session| session.pids.len())
    }

    fn is_signal_watched(&self, signal: &str) -> bool {
        let signal = signal_name(signal);
        self.sessions.iter().any(|session| session.signals.contains_key(signal))
    }

    fn is_signal_watched_by_session<'t>(&self, signal: &str, target: impl Into<Target<'t>>) -> bool {
        self.session(target)
            .is_some_and(|session| session.signals.contains_key(signal_name(signal)))
    }

    fn signals_watched_by_session<'t>(&self, target: impl Into<Target<'t>>) -> BTreeMap<&str, &str> {
        let signals = self.session(target).into_iter().flat_map(|session| &session.signals);
        signals.map(|(signal, event)| (&**signal, &**event)).collect()
    }

    fn signal_watchers(&self, signal: &str) -> BTreeMap<SessionId, &str> {
        let watchers = self.sessions.iter();
        watchers
            .filter_map(|session| Some((session.id, &**session.signals.get(signal_name(signal))?)))
            .collect()
    }

    fn get_signal_type(&self, signal: &str) -> SignalClass {
        SignalClass::of(signal)
    }
}
