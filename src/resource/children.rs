//! Sessions that wait for the end of a process (POE's pid watchers).
//!
//! Unlike a signal's watcher, each keeps its session alive.

use super::{Hold, HoldKind};
use crate::arg::AnyArg;
use crate::id::Place;
use crate::name::HeldName;
use std::collections::BTreeMap;
use std::process::ExitStatus;

/// One session's wait for one process.
pub(crate) struct Awaiter {
    pub(crate) session: u32,
    pub(crate) event: HeldName,
    /// Builds the event's argument around the watcher's own value.
    pub(crate) arg: Box<dyn FnOnce(u32, Option<ExitStatus>) -> AnyArg>,
    pub(crate) place: Place,
}

#[derive(Default)]
pub(crate) struct Children {
    /// By process number, then in the order in which they were entered.
    awaiters: BTreeMap<u32, Vec<Awaiter>>,
}

impl Children {
    /// Enters a wait. Returns the wait that it replaces; without one the session gains one reference.
    #[must_use]
    pub(crate) fn enter(&mut self, pid: u32, awaiter: Awaiter) -> Option<Awaiter> {
        let awaiters = self.awaiters.entry(pid).or_default();
        match awaiters.iter_mut().find(|a| a.session == awaiter.session) {
            Some(old) => Some(std::mem::replace(old, awaiter)),
            None => {
                awaiters.push(awaiter);
                None
            }
        }
    }

    /// Removes a wait; the session loses one reference if there was one.
    #[must_use]
    pub(crate) fn remove(&mut self, pid: u32, session: u32) -> Option<Awaiter> {
        let awaiters = self.awaiters.get_mut(&pid)?;
        let at = awaiters.iter().position(|a| a.session == session)?;
        let removed = awaiters.remove(at);
        if awaiters.is_empty() {
            self.awaiters.remove(&pid);
        }
        Some(removed)
    }

    /// Removes all waits for a process that has ended: each of their sessions loses one reference.
    #[must_use]
    pub(crate) fn take(&mut self, pid: u32) -> Vec<Awaiter> {
        self.awaiters.remove(&pid).unwrap_or_default()
    }

    /// Removes a session's waits and returns them for the caller to drop.
    #[must_use]
    pub(crate) fn clear(&mut self, session: u32) -> Vec<(u32, Awaiter)> {
        if self.awaiters.is_empty() {
            return Vec::new();
        }
        let pids: Vec<u32> = self.awaiters.keys().copied().collect();
        let removed = pids
            .into_iter()
            .filter_map(|pid| Some((pid, self.remove(pid, session)?)));
        removed.collect()
    }

    /// Returns every wait with the number of its process.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, &Awaiter)> {
        let all = self.awaiters.iter();
        all.flat_map(|(pid, awaiters)| awaiters.iter().map(|awaiter| (*pid, awaiter)))
    }

    pub(crate) fn is_awaited(&self, pid: u32) -> bool {
        self.awaiters.contains_key(&pid)
    }
}

impl Awaiter {
    /// Returns the report of a wait.
    pub(crate) fn hold(&self, pid: u32) -> Hold {
        Hold {
            kind: HoldKind::Process,
            name: pid.to_string(),
            count: 1,
            place: self.place,
        }
    }
}
