//! Calls that wait for their replies.

use crate::error::{RemoteError, RemoteErrorKind};
use crate::specifier::Specifier;
use crate::wire::Params;
use poe::extend::{Nested, SessionHold};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;
use tokio::time::Instant;

/// What becomes of a reply of that target.
pub(crate) type Complete = Box<dyn FnOnce(&mut Nested<'_>, &Specifier, Result<Params<'_>, RemoteError>)>;

pub(crate) struct Call {
    /// The connection that it was sent on. A reply from another one is not its reply.
    pub(crate) channel: u64,
    /// The target.
    pub(crate) to: Specifier,
    pub(crate) timeout: Duration,
    pub(crate) complete: Complete,
    /// The caller's, in which the reply is taken.
    pub(crate) span: tracing::Span,
    /// The caller lives until the reply comes.
    pub(crate) _hold: Option<SessionHold>,
}

impl Call {
    pub(crate) fn end(self, cx: &mut Nested<'_>, reply: Result<Params<'_>, RemoteError>) {
        let _entered = self.span.enter();
        (self.complete)(cx, &self.to, reply);
    }

    pub(crate) fn fail(self, cx: &mut Nested<'_>, kind: RemoteErrorKind) {
        let error = RemoteError::new(self.to.to_string(), kind);
        self.end(cx, Err(error));
    }
}

/// All pending calls, and the times at which they end.
#[derive(Default)]
pub(crate) struct Calls {
    serial: u64,
    pending: HashMap<u64, Call>,
    /// Earliest first. Entries of calls that are over stay until their time, or until they are the majority.
    deadlines: BinaryHeap<Reverse<(Instant, u64)>>,
}

impl Calls {
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// The number of the next call.
    pub(crate) fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Adds a call; returns whether it is the first to end.
    pub(crate) fn add(&mut self, id: u64, call: Call, deadline: Instant) -> bool {
        if self.deadlines.len() > 64 + 2 * self.pending.len() {
            let pending = &self.pending;
            self.deadlines.retain(|Reverse((_, id))| pending.contains_key(id));
        }
        let first = self
            .deadlines
            .peek()
            .is_none_or(|Reverse((earliest, _))| deadline < *earliest);
        self.deadlines.push(Reverse((deadline, id)));
        self.pending.insert(id, call);
        first
    }

    /// Takes a call if its reply may come from there.
    pub(crate) fn take(&mut self, id: u64, is_from: impl FnOnce(u64) -> bool) -> Option<Call> {
        if !is_from(self.pending.get(&id)?.channel) {
            return None;
        }
        self.pending.remove(&id)
    }

    /// Takes the oldest call of a connection to a target: Perl's error reports say no more.
    pub(crate) fn take_oldest(&mut self, channel: u64, to: &str) -> Option<Call> {
        let matching = self
            .pending
            .iter()
            .filter(|(_, call)| call.channel == channel && call.to.to_string() == to);
        let oldest = *matching.map(|(id, _)| id).min()?;
        self.pending.remove(&oldest)
    }

    /// Takes all calls of a connection, or of all connections, oldest first.
    pub(crate) fn take_all(&mut self, channel: Option<u64>) -> Vec<Call> {
        let mut ids: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, call)| channel.is_none_or(|c| call.channel == c))
            .map(|(id, _)| *id)
            .collect();
        ids.sort_unstable();
        ids.into_iter().filter_map(|id| self.pending.remove(&id)).collect()
    }

    /// Takes a call whose time is over.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Option<Call> {
        while let Some(Reverse((deadline, id))) = self.deadlines.peek().copied() {
            let pending = self.pending.contains_key(&id);
            if pending && deadline > now {
                return None;
            }
            self.deadlines.pop();
            if pending {
                return self.pending.remove(&id);
            }
        }
        None
    }

    /// When the next call ends.
    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        while let Some(Reverse((deadline, id))) = self.deadlines.peek() {
            if self.pending.contains_key(id) {
                return Some(*deadline);
            }
            self.deadlines.pop();
        }
        None
    }
}
