//! A limit on the posts that wait for one session, in a table beside the queue: sessions without a limit pay nothing for it.

use super::handle::{DeadLetter, Queued};
use super::{Core, flags};
use crate::arg::AnyArg;
use crate::error::{CallErrorKind, PostErrorKind};
use crate::event::Overflow;
use crate::id::{Place, SessionId};
use crate::name::{Key, NameIdx};
use crate::queue::event_queue::Entry;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt;

/// The limited inbox of a session, as [`why_alive`](crate::Kernel::why_alive) shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InboxState {
    /// How many posts may wait.
    pub capacity: usize,
    /// How many posts wait.
    pub waiting: usize,
    /// How many posts were dropped or refused.
    pub lost: u64,
    /// What happens to posts for which there is no room.
    pub overflow: Overflow,
}

impl fmt::Display for InboxState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InboxState {
            capacity,
            waiting,
            lost,
            overflow,
        } = self;
        write!(f, "{waiting} of {capacity} posts wait, {lost} were lost ({overflow:?})")
    }
}

/// The limited inboxes, by slot.
#[derive(Default)]
pub(super) struct SessionInboxes {
    table: RefCell<HashMap<u32, Limited>>,
    /// The argument of the post that was just refused.
    refused: Cell<Option<(AnyArg, PostErrorKind)>>,
}

struct Limited {
    capacity: usize,
    overflow: Overflow,
    lost: u64,
    /// The queue's positions behind its posts. Those that were dispatched or purged are found out when it matters.
    posts: VecDeque<u64>,
}

/// A post for which there was no room.
struct Victim {
    entry: Entry,
    /// It is the one that was just made, and its sender is to get it back.
    refused: bool,
    capacity: usize,
}

impl Core {
    /// Limits the inbox of a session from now on.
    pub(crate) fn limit_inbox(&self, session: SessionId, capacity: usize, overflow: Overflow) {
        let (slot, posts) = {
            let sessions = self.sessions.borrow();
            let Some(slot) = sessions.resolve(session) else { return };
            (slot, sessions.queue.positions_of(slot))
        };
        let limited = Limited {
            capacity: capacity.max(1),
            overflow,
            lost: 0,
            posts,
        };
        self.inboxes.table.borrow_mut().insert(slot, limited);
        self.flags.set(self.flags.get() | flags::BOUNDED);
    }

    /// The session in that slot ends.
    pub(super) fn forget_inbox(&self, slot: u32) {
        if self.flags.get() & flags::BOUNDED != 0 {
            let mut table = self.inboxes.table.borrow_mut();
            table.remove(&slot);
            if table.is_empty() {
                self.flags.set(self.flags.get() & !flags::BOUNDED);
            }
        }
    }

    pub(super) fn inbox_state(&self, slot: u32) -> Option<InboxState> {
        let table = self.inboxes.table.borrow();
        let limited = table.get(&slot)?;
        let queue = self.queue();
        Some(InboxState {
            capacity: limited.capacity,
            waiting: limited.posts.iter().filter(|at| queue.is_post_to(**at, slot)).count(),
            lost: limited.lost,
            overflow: limited.overflow,
        })
    }

    /// The last post was for that slot. Returns the post that is taken out because there is no room.
    fn make_room(&self, to: u32) -> Option<Victim> {
        let mut table = self.inboxes.table.borrow_mut();
        let limited = table.get_mut(&to)?;
        let mut queue = self.queue_mut();
        let passed = queue.passed();
        while limited.posts.front().is_some_and(|at| *at <= passed) {
            limited.posts.pop_front();
        }
        limited.posts.push_back(queue.position());
        if limited.posts.len() > limited.capacity {
            limited.posts.retain(|at| queue.is_post_to(*at, to));
        }
        if limited.posts.len() <= limited.capacity {
            return None;
        }
        let at = match limited.overflow {
            Overflow::DropOldest => limited.posts.pop_front()?,
            Overflow::DropNewest | Overflow::Refuse => limited.posts.pop_back()?,
        };
        limited.lost += 1;
        Some(Victim {
            entry: queue.take_post(at)?,
            refused: limited.overflow == Overflow::Refuse,
            capacity: limited.capacity,
        })
    }

    /// The last post was for that slot. True if its sender is to get it back, with [`take_refused`](Self::take_refused).
    #[cold]
    #[inline(never)]
    pub(super) fn bound_post(&self, to: u32) -> bool {
        let Some(mut victim) = self.make_room(to) else {
            return false;
        };
        if !victim.refused {
            self.bury_victim(victim);
            return false;
        }
        let session = self.sessions.borrow().id(to);
        let arg = std::mem::take(&mut victim.entry.arg);
        let refused = (arg, PostErrorKind::SessionFull(session, victim.capacity));
        drop(self.inboxes.refused.replace(Some(refused)));
        let Entry {
            to, from, name, caller, ..
        } = victim.entry;
        self.release_entry(to, from, name, caller);
        true
    }

    /// The same for a post whose sender cannot get it back.
    pub(super) fn bound_sent(&self, to: u32) {
        if self.flags.get() & flags::BOUNDED != 0
            && let Some(victim) = self.make_room(to)
        {
            self.bury_victim(victim);
        }
    }

    /// Takes what [`bound_post`](Self::bound_post) has refused.
    #[cold]
    #[inline(never)]
    pub(super) fn take_refused<A: 'static>(&self) -> Option<(A, PostErrorKind)> {
        let (mut arg, kind) = self.inboxes.refused.take()?;
        Some((arg.take()?, kind))
    }

    /// The session's own post was refused.
    #[cold]
    #[inline(never)]
    pub(super) fn bury_refused(&self, to: u32, event: Key<'_>, place: Place) {
        if let Some((arg, _)) = self.inboxes.refused.take() {
            let session = self.sessions.borrow().id(to);
            self.send_dead_letter(DeadLetter {
                target: format!("session {session}, whose inbox is full"),
                event: event.to_name(),
                arg,
                place,
            });
        }
    }

    fn bury_victim(&self, victim: Victim) {
        let Victim {
            mut entry, capacity, ..
        } = victim;
        let session = self.sessions.borrow().id(entry.to);
        let call = (entry.name == NameIdx::CALL)
            .then(|| entry.arg.take::<Queued>())
            .flatten();
        match call {
            Some(call) => call.0.refuse(self, CallErrorKind::SessionFull(session, capacity)),
            None => self.send_dead_letter(DeadLetter {
                target: format!("session {session}, whose inbox is full ({capacity} posts)"),
                event: self.names.name(entry.name),
                arg: std::mem::take(&mut entry.arg),
                place: entry.place,
            }),
        }
        self.release_entry(entry.to, entry.from, entry.name, entry.caller);
    }
}
