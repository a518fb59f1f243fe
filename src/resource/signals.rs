//! Watchers of signals. A watcher keeps no session alive (law L27), so nothing here is counted.

use crate::arg::AnyArg;
use crate::name::{HeldName, Name, signal_name};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// The signal that [`Kernel::shutdown`](crate::Kernel::shutdown) sends to each tree of sessions.
///
/// It is terminal, like `TERM`, but no signal of the operating system maps to it, and watching it installs no handler. The
/// components watch it: they stop listening, write what is buffered, and end. A session that has work to finish watches it
/// too, and calls [`sig_handled`](crate::KernelRef::sig_handled). A tree in which no session handles it is stopped.
///
/// ```
/// use poe::{Event, KERNEL_SHUTDOWN, Kernel, Session, Signal, event::{START, STOP}};
/// use std::time::Duration;
/// const SHUTTING_DOWN: Event<Signal> = Event::new("shutting down");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(Vec::new())
///     .on(START, |cx, ()| {
///         cx.sig(KERNEL_SHUTDOWN, SHUTTING_DOWN);
///         cx.delay("next report", Duration::from_secs(3600), ());
///     })
///     .on(SHUTTING_DOWN, |cx, _| {
///         cx.sig_handled(); // this session ends by itself, as soon as the last report is written
///         cx.delay("next report", Duration::ZERO, ());
///     })
///     .on("next report", |cx, ()| cx.heap.push("report"))
///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, ["report"]))
///     .create(&kernel)?;
/// let report = kernel.shutdown(Duration::from_secs(5)).await;
/// assert!(report.is_clean(), "{report}");
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
pub const KERNEL_SHUTDOWN: &str = "KERNEL_SHUTDOWN";

/// The effect of a signal on the sessions that it reached (POE's SIGTYPE).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum SignalClass {
    /// Stops no session.
    #[doc(alias = "SIGTYPE_BENIGN")]
    Benign,
    /// Stops every session that it reached, unless one of their handlers called `sig_handled`.
    #[doc(alias = "SIGTYPE_TERMINAL")]
    Terminal,
    /// Stops every session that it reached.
    #[doc(alias = "SIGTYPE_NONMASKABLE")]
    NonMaskable,
}

impl SignalClass {
    /// Returns the class of a signal; system signals may be given with or without `SIG`.
    #[must_use]
    pub fn of(signal: &str) -> Self {
        match signal_name(signal) {
            "HUP" | "INT" | "QUIT" | "TERM" | "KILL" | "IDLE" | "DIE" | KERNEL_SHUTDOWN => SignalClass::Terminal,
            "ZOMBIE" | "UIDESTROY" => SignalClass::NonMaskable,
            _ => SignalClass::Benign,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Watcher {
    pub(crate) event: HeldName,
    /// The watcher's own argument; shared, since a signal may come many times.
    pub(crate) extra: Rc<AnyArg>,
}

#[derive(Default)]
pub(crate) struct Signals {
    /// By signal, then by session: at most one watcher each.
    watchers: HashMap<Name, HashMap<u32, Watcher>>,
    /// The signals that each session watches; a session that watches none has no entry.
    by_session: HashMap<u32, HashSet<Name>>,
}

impl Signals {
    /// Sets or replaces a watcher; returns the old one, so that the caller drops its argument.
    #[must_use]
    pub(crate) fn watch(&mut self, session: u32, signal: &str, watcher: Watcher) -> Option<Watcher> {
        let name = match self.watchers.get_key_value(signal) {
            Some((name, _)) => name.clone(),
            None => Name::from(signal),
        };
        self.by_session.entry(session).or_default().insert(name.clone());
        self.watchers.entry(name).or_default().insert(session, watcher)
    }

    #[must_use]
    pub(crate) fn ignore(&mut self, session: u32, signal: &str) -> Option<Watcher> {
        let sessions = self.watchers.get_mut(signal)?;
        let watcher = sessions.remove(&session);
        if sessions.is_empty() {
            self.watchers.remove(signal);
        }
        if let Some(signals) = self.by_session.get_mut(&session) {
            signals.remove(signal);
            if signals.is_empty() {
                self.by_session.remove(&session);
            }
        }
        watcher
    }

    /// Whether any session watches the signal.
    pub(crate) fn is_watched(&self, signal: &str) -> bool {
        self.watchers.contains_key(signal)
    }

    /// Returns the present watchers of a signal; the dispatch works on this copy (law L48).
    pub(crate) fn watchers(&self, signal: &str) -> HashMap<u32, Watcher> {
        self.watchers.get(signal).cloned().unwrap_or_default()
    }

    /// Returns every watcher: its session, its signal, and the event that the signal becomes.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, &Name, Name)> {
        let watchers = self.watchers.iter();
        watchers.flat_map(|(signal, sessions)| {
            let sessions = sessions.iter();
            sessions.map(move |(session, watcher)| (*session, signal, watcher.event.name()))
        })
    }

    /// Removes a session's watchers and returns them for the caller to drop.
    #[must_use]
    pub(crate) fn clear(&mut self, session: u32) -> Vec<Watcher> {
        if self.by_session.is_empty() {
            return Vec::new();
        }
        let signals = self.by_session.remove(&session).unwrap_or_default();
        let watchers = signals.iter().filter_map(|signal| self.ignore(session, signal));
        watchers.collect()
    }
}
