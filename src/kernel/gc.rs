//! The end of sessions: the sweep, and the sum of the reference counts of all tables.

use super::handle::Lost;
use super::{Core, Frame, KernelRef};
use crate::error::{Teardown, Wanted, drop_all_quietly, drop_each_quietly, drop_quietly, log_quietly};
use crate::id::{Place, SessionId};
use crate::name::NameIdx;
use crate::queue::event_queue::Entry;
use crate::resource::sessions::KERNEL;
use std::fmt::Display;
use tracing::Level;
use tracing::level_filters::LevelFilter;

/// Events that are out of the queue, and have released what they held.
struct Released {
    silent: Vec<Entry>,
    /// Those that somebody is to be told of.
    lost: Vec<Lost>,
}

/// The events of a session that has ended.
struct Purged {
    to_it: Released,
    from_it: Released,
    /// Of what it has sent, if something was also sent to it.
    receivers: Vec<SessionId>,
}

impl Core {
    /// Stops every session that nothing keeps alive, the last marked first, until no mark is left (laws L28, L29).
    #[inline]
    pub(crate) fn sweep(&self) {
        if self.sessions.borrow_mut().has_marks() {
            self.sweep_marked();
        }
    }

    fn sweep_marked(&self) {
        let mut round = Vec::new();
        loop {
            {
                let mut sessions = self.sessions.borrow_mut();
                if !sessions.has_marks() {
                    return;
                }
                sessions.take_marked(&mut round);
            }
            // The round is a snapshot, as in POE: a session that is revived by another's `_stop` in it stops all the same.
            for id in round.drain(..) {
                let slot = self.sessions.borrow().resolve(id);
                if let Some(slot) = slot {
                    self.stop_session(slot);
                }
            }
        }
    }

    /// Takes a session out of every table: first out of the tree, and then its events out of the queue, those to it
    /// before those from it, which is the order in which others lose their last hold and are collected (laws L29, L32).
    /// What it held is dropped at the end, when all tables are whole again.
    pub(super) fn free_session(&self, slot: u32) {
        let id = self.sessions.borrow().id(slot);
        self.trace_destroy(slot);
        self.clear_resources(id);
        self.forget_inbox(slot);
        let parent = self.sessions.borrow().parent(slot).unwrap_or(KERNEL);
        {
            let mut sessions = self.sessions.borrow_mut();
            sessions.orphan(slot);
            while let Some(child) = sessions.oldest_child(slot) {
                sessions.move_child(child, parent);
            }
        }
        let watchers = self.signals.borrow_mut().clear(slot);
        self.settle_listeners();
        // Without references no table has anything of it, which debug builds check.
        let is_held = self.sessions.borrow().refs(slot) > 0 || cfg!(debug_assertions);
        let drop_held = is_held.then(|| self.take_held(slot, id));
        let object = self.sessions.borrow_mut().free(slot);
        self.trace_session("freed", id);
        if let Some(drop_held) = drop_held {
            drop_held();
        }
        drop_all_quietly(watchers);
        drop_quietly(object);
    }

    /// Takes what holds a session out of every table, and returns what drops it.
    #[inline(never)]
    fn take_held(&self, slot: u32, id: SessionId) -> impl FnOnce() {
        let mut released = self.aliases.borrow_mut().clear(slot);
        released += self.extrefs.borrow_mut().clear(slot);
        released += self.outside.borrow_mut().clear(slot);
        let awaiters = self.clear_children(slot);
        let tasks = self.tasks.clear(slot);
        released += (awaiters.len() + tasks.len()) as u32;
        // What is left now is events.
        let queued = self.sessions.borrow().refs(slot) - released;
        let purged = (queued > 0).then(|| self.purge(slot));
        debug_assert!(
            self.sessions.borrow().refs(slot) == released,
            "session {id} is freed with unexplained references"
        );
        move || {
            drop_all_quietly(tasks);
            drop_all_quietly(awaiters);
            if let Some(purged) = purged {
                self.drop_purged(purged);
            }
        }
    }

    /// Takes every event to and from a session out of the queue (law L9); the other ends let go of them.
    fn purge(&self, slot: u32) -> Purged {
        let mut events = Vec::new();
        {
            let mut sessions = self.sessions.borrow_mut();
            let refs = sessions.refs(slot);
            let (record, queue) = sessions.with_queue(slot);
            while let Some(id) = record.first_timer {
                match queue.remove_timer(&mut record.first_timer, id) {
                    Some(removed) => events.push(removed.entry.into()),
                    None => break,
                }
            }
            if refs as usize > events.len() {
                events.extend(queue.purge(slot));
            }
        }
        self.tell_purged(&events, slot);
        let (to_it, from_it): (Vec<Entry>, Vec<Entry>) = events.into_iter().partition(|e| e.to == slot);
        let receivers = match to_it.is_empty() {
            true => Vec::new(),
            false => {
                let sessions = self.sessions.borrow();
                from_it.iter().map(|entry| sessions.id(entry.to)).collect()
            }
        };
        Purged {
            to_it: self.release_each(to_it, |_| slot),
            from_it: self.release_each(from_it, |_| slot),
            receivers,
        }
    }

    /// Drops what was purged, when the session is in no table any more. A postback in an event to the session holds another one:
    /// POE lets go of that before the receivers of the session's own events, so these get a later mark, and are collected earlier.
    fn drop_purged(&self, purged: Purged) {
        self.drop_released(purged.to_it);
        for id in purged.receivers {
            let mut sessions = self.sessions.borrow_mut();
            if let Some(slot) = sessions.resolve(id) {
                sessions.mark_again(slot);
            }
        }
        self.drop_released(purged.from_it);
    }

    fn drop_released(&self, released: Released) {
        drop_all_quietly(released.silent);
        for lost in released.lost {
            self.tell_lost(lost);
        }
    }

    /// Releases what these events hold, in their order. Those that go with the session `gone` are reported.
    fn release_each(&self, events: Vec<Entry>, gone: impl Fn(&Entry) -> u32) -> Released {
        if !events.iter().any(|event| self.may_be_told(event)) {
            for entry in &events {
                self.release_entry(entry.to, entry.from, entry.name, entry.caller);
            }
            return Released {
                silent: events,
                lost: Vec::new(),
            };
        }
        let (mut silent, mut lost) = (Vec::new(), Vec::new());
        for entry in events {
            let (to, from, name, caller) = (entry.to, entry.from, entry.name, entry.caller);
            let gone = gone(&entry);
            match self.lost(entry, gone) {
                Ok(one) => lost.push(one),
                Err(entry) => silent.push(entry),
            }
            self.release_entry(to, from, name, caller);
        }
        Released { silent, lost }
    }

    /// The end of the kernel: no handler runs, every heap is dropped, no cycle of references stays.
    pub(super) fn teardown(&self) {
        let _logs = Teardown::begin();
        self.busy.set(true);
        self.close_inbox();
        let alive = self.why_alive();
        if !alive.is_empty() {
            let alive = alive.to_string();
            log_elsewhere(LevelFilter::WARN, || {
                Some(move || {
                    tracing::warn!(target: "poe::sessions", "kernel dropped while sessions are alive:\n{alive}");
                })
            });
        }
        // Out of the queue first, all at once: looking for each session's events in it would take the square of it.
        let queued = self.queue_mut().drain();
        let Released { silent, lost } = self.release_each(queued, |entry| entry.to);
        self.tell_all_lost(lost);
        let slots: Vec<u32> = self.sessions.borrow().slots().collect();
        // Children first, so that nobody is moved about.
        let mut ordered = slots;
        ordered.sort_by_key(|s| std::cmp::Reverse(self.sessions.borrow().id(*s).serial));
        for slot in ordered {
            self.free_session(slot);
        }
        drop_each_quietly(silent);
        self.extensions.clear();
        self.observer.observers.clear();
        // What those drops have posted meanwhile.
        let late = self.queue_mut().drain();
        for entry in &late {
            self.names.release_pair(entry.name, entry.caller);
        }
        drop_each_quietly(late);
        drop_quietly(self.dead_letters.take());
        drop_quietly(self.die.hook.take());
        self.drop_own_runtime();
    }
}

/// Logs from another thread what `make` makes, if it is not nothing: a kernel in a thread-local is dropped when what the
/// subscriber keeps in thread-locals may be gone already, and its panic there would end the process.
#[cold]
pub(super) fn log_elsewhere<L: FnOnce() + Send>(level: LevelFilter, make: impl FnOnce() -> Option<L>) {
    use tracing::dispatcher::{get_default, with_default};
    if LevelFilter::current() < level {
        return;
    }
    let Some(log) = make() else { return };
    let subscriber = get_default(Clone::clone);
    std::thread::scope(|scope| {
        let logged = std::thread::Builder::new()
            .name("poe-log".to_owned())
            .spawn_scoped(scope, || with_default(&subscriber, log));
        // A subscriber that panics has told the panic hook.
        let _ = logged.map(std::thread::ScopedJoinHandle::join);
    });
}

// Logs events without a handler at the level DEBUG, so that misspelt names and missing sessions can be found.
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

    /// The target of a post or of a call does not exist.
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

    /// The kernel swallows events that are sent to it (law L16).
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
