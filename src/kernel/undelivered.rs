//! Logs events without a handler at the level DEBUG, so that misspelt names and missing sessions can be found.

use super::{Core, Frame, KernelRef};
use crate::error::{Wanted, log_quietly};
use crate::id::{Place, SessionId};
use crate::name::NameIdx;
use crate::queue::event_queue::Entry;
use std::fmt::Display;
use tracing::Level;

impl Core {
    /// A session has no handler for an event. Life-cycle events without a handler are normal.
    #[cold]
    #[inline(never)]
    pub(super) fn tell_unhandled(&self, frame: &Frame<'_>, name: NameIdx) {
        let lives = [NameIdx::START, NameIdx::STOP, NameIdx::CHILD, NameIdx::PARENT];
        if !lives.contains(&name) && tells() {
            let event = self.names.name(name);
            tell(
                &event,
                &frame.session,
                frame.sender,
                frame.place,
                "the session has no handler for it",
            );
        }
    }

    /// Nobody is there to whom an event was posted, or whom a call was for.
    #[cold]
    #[inline(never)]
    pub(super) fn tell_unreachable(&self, event: &str, target: &Wanted, place: Place) {
        if tells() {
            let sender = self.active.session();
            match target {
                Wanted::Id(id) => tell(event, id, sender, place, "the session has ended, or never was"),
                Wanted::Alias(alias) => tell(event, alias, sender, place, "no session has the alias"),
            }
        }
    }

    /// The kernel swallows what it is sent (law L16).
    #[cold]
    #[inline(never)]
    pub(super) fn tell_swallowed(&self, event: &str, sender: SessionId, place: Place) {
        if tells() {
            tell(event, &self.id(), sender, place, "the kernel has no handlers");
        }
    }

    /// The same for what has waited in the queue.
    #[cold]
    #[inline(never)]
    pub(super) fn tell_swallowed_post(&self, name: NameIdx, sender: SessionId, place: Place) {
        if tells() {
            let event = self.names.name(name);
            tell(&event, &self.id(), sender, place, "the kernel has no handlers");
        }
    }

    /// Events that go with a session, to it and from it (law L9). The kernel's own are no loss.
    pub(super) fn tell_purged(&self, events: &[Entry], slot: u32) {
        if events.is_empty() || !tells() {
            return;
        }
        for entry in events {
            if entry.name.is_internal() {
                continue;
            }
            let (session, sender) = {
                let sessions = self.sessions.borrow();
                (sessions.id(entry.to), sessions.id(entry.from))
            };
            let why = match entry.to == slot {
                true => "the session has ended",
                false => "its sender has ended",
            };
            tell(&self.names.name(entry.name), &session, sender, entry.place, why);
        }
    }
}

impl KernelRef<'_> {
    /// A session that was stopped in its own handler sends nothing to itself any more (law L87).
    #[cold]
    #[inline(never)]
    pub(super) fn tell_ended(self, event: &str, place: Place) {
        if tells() {
            let session = self.frame.session;
            tell(event, &session, session, place, "the session has ended");
        }
    }

    /// A machine has ended in a state that had put an event off.
    pub(crate) fn tell_postponed(self, event: &str, sender: SessionId, place: Place) {
        if !tells() {
            return;
        }
        tell(
            event,
            &self.frame.session,
            sender,
            place,
            "the machine has ended, which had postponed it",
        );
    }
}

fn tells() -> bool {
    tracing::enabled!(target: "poe::events", Level::DEBUG)
}

/// Nothing of the kernel may be borrowed: a subscriber is a user's code.
fn tell(event: &str, session: &dyn Display, sender: SessionId, place: Place, why: &str) {
    log_quietly(|| {
        tracing::debug!(target: "poe::events", event, %session, %sender, %place, "an event is lost: {why}");
    });
}
