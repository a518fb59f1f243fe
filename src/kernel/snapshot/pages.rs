//! Parts of a snapshot, for kernels that are too large to be looked at as a whole.

use super::super::observe::Look;
use super::super::{Core, Target};
use super::collect::Grouped;
use super::{QueuedEvent, SessionSnapshot, Snapshot, TaskSnapshot, WhyAlive};
use crate::id::SessionId;
use crate::queue::event_queue::Waiting;
use crate::resource::HoldKind;
use std::panic::Location;

/// Counts of a kernel, which are known without looking through its tables.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct KernelStats {
    /// Sessions that are alive.
    pub sessions: usize,
    /// Sessions that were ever created.
    pub sessions_created: u64,
    /// Events that wait, without timers.
    pub queue: usize,
    /// Timers that are set.
    pub timers: usize,
    /// Tasks: wheels, futures, streams.
    pub tasks: usize,
    /// Messages of other threads that wait in the inbox.
    pub inbox: usize,
    /// Events that ever left the queue, without timers.
    pub events_dispatched: u64,
    /// Timers that were ever set.
    pub timers_set: u64,
    /// Whether a future of `run` or `serve` is alive.
    pub is_running: bool,
}

/// Some sessions of a kernel, in no particular order.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<SessionRow>,
    /// Where the next page begins; `None` behind the last one.
    pub next: Option<u32>,
}

/// One session of a [`SessionPage`]: what is known of it without looking through the queue.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SessionRow {
    /// The session's ID.
    pub id: SessionId,
    /// Its parent's ID; the kernel's for a session at the top.
    pub parent: SessionId,
    /// Its aliases, sorted.
    pub aliases: Vec<String>,
    /// The type of its heap.
    pub heap_type: &'static str,
    /// How many things keep it alive.
    pub refcount: usize,
    /// Whether `_stop` runs, or has run.
    pub is_stopping: bool,
    /// The line that created it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::resource::serialize_place"))]
    pub place: &'static Location<'static>,
}

/// Some tasks of a kernel: see [`Look::tasks`].
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TaskPage {
    /// The tasks, each with its session.
    pub tasks: Vec<(SessionId, TaskSnapshot)>,
    /// Where the next page begins; `None` behind the last one.
    pub next: Option<u32>,
}

impl Look<'_> {
    /// Returns the kernel's counts.
    #[must_use]
    pub fn stats(self) -> KernelStats {
        let core = self.core;
        let queue = core.queue();
        let sessions = core.sessions.borrow();
        KernelStats {
            sessions: sessions.count(),
            sessions_created: sessions.created(),
            queue: queue.len() - queue.timer_count(),
            timers: queue.timer_count(),
            tasks: core.tasks.count(),
            inbox: core.inbox.len() + core.letters.borrow().len(),
            events_dispatched: queue.dispatched(),
            timers_set: queue.timers_set(),
            is_running: core.run.running.get(),
        }
    }

    /// Returns up to `limit` sessions, beginning `from` where the last page ended (0 at first).
    ///
    /// Sessions that begin or end between two pages may be missing; none comes twice.
    #[must_use]
    pub fn sessions(self, from: u32, limit: usize) -> SessionPage {
        let core = self.core;
        let mut slots: Vec<u32> = core
            .sessions
            .borrow()
            .slots_from(from)
            .take(limit.saturating_add(1))
            .collect();
        let next = (slots.len() > limit).then(|| slots.pop()).flatten();
        let rows = slots.into_iter().filter_map(|slot| core.session_row(slot));
        SessionPage {
            sessions: rows.collect(),
            next,
        }
    }

    /// Returns everything about one session; `None` if it is not alive.
    #[must_use]
    pub fn session<'t>(self, target: impl Into<Target<'t>>) -> Option<SessionSnapshot> {
        self.core.snapshot_of(self.core.resolve(&target.into())?)
    }

    /// Returns the ID of the session with a serial number.
    #[must_use]
    pub fn session_by_number(self, number: u64) -> Option<SessionId> {
        self.core.sessions.borrow().find(number).filter(|_| number != u64::MAX)
    }

    /// Returns the first events that wait, in order, without timers.
    #[must_use]
    pub fn queue(self, limit: usize) -> Vec<QueuedEvent> {
        self.core.first_events(limit)
    }

    /// Returns the timers that are due first, in order.
    #[must_use]
    pub fn timers(self, limit: usize) -> Vec<QueuedEvent> {
        self.core.first_timers(limit)
    }

    /// Returns up to `limit` tasks (wheels, futures, streams), beginning `from` where the last page ended (0 at first).
    #[must_use]
    pub fn tasks(self, from: u32, limit: usize) -> TaskPage {
        self.core.task_page(from, limit)
    }

    /// Returns everything that the kernel knows: see [`Kernel::snapshot`](crate::Kernel::snapshot).
    #[must_use]
    pub fn snapshot(self) -> Snapshot {
        self.core.snapshot()
    }

    /// Returns what keeps each session alive: see [`Kernel::why_alive`](crate::Kernel::why_alive).
    #[must_use]
    pub fn why_alive(self) -> WhyAlive {
        self.core.why_alive()
    }
}

impl Core {
    fn session_row(&self, slot: u32) -> Option<SessionRow> {
        let object = self.sessions.borrow().object(slot)?;
        let heap_type = object.heap_type();
        drop(object);
        let sessions = self.sessions.borrow();
        let record = sessions.get(slot);
        Some(SessionRow {
            id: sessions.id(slot),
            parent: sessions.id(sessions.parent(slot).unwrap_or(crate::resource::sessions::KERNEL)),
            aliases: self
                .aliases
                .borrow()
                .list(slot)
                .iter()
                .map(ToString::to_string)
                .collect(),
            heap_type,
            refcount: sessions.refs(slot) as usize,
            is_stopping: record.stopping,
            place: sessions.place(slot),
        })
    }

    /// Looks through the queue once, and copies only what belongs to the session.
    fn snapshot_of(&self, slot: u32) -> Option<SessionSnapshot> {
        let holds = self.why_alive_of(slot)?;
        let id = holds.session;
        let count = |kind: fn(&HoldKind) -> bool| {
            holds
                .holds
                .iter()
                .filter(|hold| kind(&hold.kind))
                .map(|hold| hold.count)
                .sum()
        };
        let mut own = Grouped {
            events_to: count(|kind| matches!(kind, HoldKind::Event | HoldKind::Timer | HoldKind::Creation)),
            events_from: count(|kind| matches!(kind, HoldKind::SentEvent)),
            ..Grouped::default()
        };
        self.group_others(Some(id), |_, add| add(&mut own));
        let mut grouped = std::collections::HashMap::from([(id, own)]);
        self.session_snapshot(holds, &mut grouped)
    }

    fn task_page(&self, from: u32, limit: usize) -> TaskPage {
        let mut tasks = Vec::new();
        let next = self
            .tasks
            .each_from(from, limit, |task, purpose| tasks.push((purpose.owner, task)));
        TaskPage { tasks, next }
    }

    fn first_events(&self, limit: usize) -> Vec<QueuedEvent> {
        let queue = self.queue();
        let events = queue.numbered_posts().take(limit);
        let events = events.map(|(number, post)| Waiting::Post(number, post));
        events
            .enumerate()
            .map(|(index, waiting)| self.queued_event(index, &waiting))
            .collect()
    }

    fn first_timers(&self, limit: usize) -> Vec<QueuedEvent> {
        let queue = self.queue();
        let timers = queue.first_timers(limit).into_iter();
        timers
            .enumerate()
            .map(|(index, waiting)| self.queued_event(index, &waiting))
            .collect()
    }
}
