//! Gathers a snapshot. Sessions are asked with nothing borrowed, because their code may be the user's.

use super::super::handle::Queued;
use super::super::signal::Raised;
use super::super::{Core, Invoke, Kernel, KernelRef};
use super::data::{
    AwaitedProcess, EventId, EventType, QueuedEvent, Refcount, SessionSnapshot, Snapshot, TaskSnapshot, WatchedFile,
};
use super::why_alive::SessionHolds;
use crate::id::SessionId;
use crate::name::NameIdx;
use crate::queue::event_queue::{Post, Waiting};
use crate::resource::{Hold, HoldKind};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

impl Core {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let queue = self.queued_events();
        let why = self.why_alive();
        let mut grouped = self.grouped(&queue);
        let sessions = why
            .sessions
            .into_iter()
            .filter_map(|holds| self.session_snapshot(holds, &mut grouped));
        let sessions: Vec<_> = sessions.collect();
        Snapshot {
            kernel_id: self.id(),
            is_running: self.run.running.get(),
            which_loop: "Tokio",
            active_session: self.active.session(),
            active_event: self.active_event().map(|name| name.to_string()),
            kernel_refcount: self.sessions.borrow().refs(crate::resource::sessions::KERNEL) as usize,
            memory_size: size_of::<Core>() + self.queue().memory_size() + self.sessions.borrow().memory_size(),
            sessions,
            queue,
        }
    }

    fn queued_events(&self) -> Vec<QueuedEvent> {
        let sessions = self.sessions.borrow();
        let queue = &sessions.queue;
        let events = queue.in_order().into_iter().enumerate().map(|(index, waiting)| {
            let (id, due, post) = match waiting {
                Waiting::Post(number, post) => (EventId::Post(number), None, post),
                Waiting::Timer(id, due, post) => (EventId::Timer(self.alarm_id(id)), Some(self.clock.wall(due)), post),
            };
            let (kind, event) = self.kind_of(post, due.is_some());
            QueuedEvent {
                id,
                index,
                due,
                event,
                source: sessions.id(post.from),
                destination: sessions.id(post.to),
                kind,
                place: post.place,
            }
        });
        events.collect()
    }

    fn kind_of(&self, post: &Post, timer: bool) -> (EventType, String) {
        let name = self.names.name(post.name).to_string();
        if timer {
            // Those of the kernel's own do work for an event that has a name.
            let kernels = post.arg.downcast_ref::<Queued>().filter(|_| post.name == NameIdx::CALL);
            return (EventType::Alarm, kernels.map_or(name, |own| own.event().to_string()));
        }
        // A user's event may have one of the kernel's names, but not what the kernel sends by it.
        match post.name {
            NameIdx::SIGNAL => match post.arg.downcast_ref::<Raised>() {
                Some(raised) => (EventType::Signal, raised.name.to_string()),
                None => (EventType::User, name),
            },
            NameIdx::CALL => match post.arg.downcast_ref::<Queued>() {
                Some(call) => (EventType::Call, call.event().to_string()),
                None => (EventType::User, name),
            },
            NameIdx::GC => (EventType::GarbageCollect, name),
            _ => (EventType::User, name),
        }
    }

    /// Looks through each table once, so that a snapshot takes time in proportion to what there is.
    fn grouped(&self, queue: &[QueuedEvent]) -> HashMap<SessionId, Grouped> {
        let mut found: HashMap<SessionId, Grouped> = HashMap::new();
        for event in queue {
            found.entry(event.destination).or_default().events_to += 1;
            if event.source != event.destination {
                found.entry(event.source).or_default().events_from += 1;
            }
        }
        let sessions = self.sessions.borrow();
        for (session, signal, event) in self.signals.borrow().all() {
            let signals = &mut found.entry(sessions.id(session)).or_default().signals;
            signals.insert(signal.to_string(), event.to_string());
        }
        #[cfg(unix)]
        for (session, file) in self.selects.all() {
            found.entry(session).or_default().files.push(file);
        }
        #[cfg(unix)]
        for (pid, awaiter) in self.children.borrow().all() {
            let pids = &mut found.entry(sessions.id(awaiter.session)).or_default().pids;
            pids.push(AwaitedProcess {
                pid,
                event: awaiter.event.name().to_string(),
                place: awaiter.place,
            });
        }
        found
    }

    fn session_snapshot(
        &self,
        why: SessionHolds,
        grouped: &mut HashMap<SessionId, Grouped>,
    ) -> Option<SessionSnapshot> {
        let id = why.session;
        let (slot, object) = {
            let sessions = self.sessions.borrow();
            let slot = sessions.resolve(id)?;
            (slot, sessions.object(slot)?)
        };
        let said = Said::by(&object);
        drop(object);
        // What it said of itself may have ended it.
        let sessions = self.sessions.borrow();
        let slot = sessions.resolve(id).filter(|found| *found == slot)?;
        #[cfg_attr(not(unix), allow(unused_mut))]
        let mut own = grouped.remove(&id).unwrap_or_default();
        #[cfg(unix)]
        own.files.sort_by_key(|file| (file.descriptor, file.mode));
        Some(SessionSnapshot {
            id,
            parent: why.parent,
            children: sessions.children(slot).map(|child| sessions.id(child)).collect(),
            aliases: why.aliases.iter().map(ToString::to_string).collect(),
            refcount: sessions.refs(slot) as usize,
            heap_type: said.heap_type,
            memory_size: said.heap_size + sessions.record_size() + own.events_to * size_of::<Post>(),
            events: said.events,
            options: said.options,
            place: why.place,
            is_stopping: sessions.get(slot).stopping,
            events_to: own.events_to,
            events_from: own.events_from,
            refcounts: counts(&why.holds, HoldKind::Refcount),
            postbacks: counts(&why.holds, HoldKind::Postback),
            files: own.files,
            wheels: self.tasks_of(slot, |kind| kind == HoldKind::Wheel),
            tasks: self.tasks_of(slot, |kind| kind == HoldKind::Task),
            pids: own.pids,
            signals: own.signals,
            holds: why.holds,
        })
    }

    fn tasks_of(&self, slot: u32, wanted: impl Fn(HoldKind) -> bool) -> Vec<TaskSnapshot> {
        let mut found = Vec::new();
        self.tasks.each_of(slot, |id, purpose| {
            if wanted(purpose.kind) {
                found.push(TaskSnapshot {
                    id,
                    kind: purpose.kind,
                    name: purpose.what.to_string(),
                    place: purpose.place,
                });
            }
        });
        found.sort_by_key(|task| task.id);
        found
    }
}

fn counts(holds: &[Hold], kind: HoldKind) -> Vec<Refcount> {
    let of_kind = holds.iter().filter(|hold| hold.kind == kind);
    let counts = of_kind.map(|hold| Refcount {
        tag: hold.name.clone(),
        count: hold.count,
        place: hold.place,
    });
    counts.collect()
}

/// What the tables of all sessions have of one.
#[derive(Default)]
struct Grouped {
    events_to: usize,
    events_from: usize,
    signals: BTreeMap<String, String>,
    files: Vec<WatchedFile>,
    pids: Vec<AwaitedProcess>,
}

/// What a session says of itself.
struct Said {
    heap_type: &'static str,
    heap_size: usize,
    events: Vec<String>,
    options: BTreeMap<String, String>,
}

impl Said {
    fn by(object: &Rc<dyn Invoke>) -> Self {
        let mut events: Vec<_> = object.event_names().iter().map(ToString::to_string).collect();
        events.sort();
        Said {
            heap_type: object.heap_type(),
            heap_size: object.heap_size(),
            events,
            options: object.options().into_iter().collect(),
        }
    }
}

impl Kernel {
    /// Returns everything that the kernel knows, as plain data. It takes time that grows with the number of events and
    /// sessions, and costs nothing otherwise.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// let kernel = Kernel::new();
    /// let id = Session::builder(()).on(START, |cx, ()| cx.delay("tick", 60.0, ())).create(&kernel)?;
    /// let snapshot = kernel.snapshot();
    /// assert_eq!(snapshot.sessions[0].id, id);
    /// assert_eq!(snapshot.timers_of(id)[0].event, "tick");
    /// println!("{snapshot}"); // a report for people
    /// # Ok::<(), poe::Error>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.core().snapshot()
    }
}

impl KernelRef<'_> {
    /// Returns everything that the kernel knows, as plain data, inside a handler: see [`Kernel::snapshot`].
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| {
    ///         let snapshot = cx.snapshot();
    ///         assert_eq!(snapshot.active_session, cx.session_id());
    ///         assert_eq!(snapshot.active_event.as_deref(), Some("_start"));
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn snapshot(self) -> Snapshot {
        self.core.snapshot()
    }

    /// Returns what keeps each session alive: see [`Kernel::why_alive`].
    ///
    /// ```
    /// use poe::{Session, event::{START, STOP}};
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// let kernel = poe::testing::kernel();
    /// Session::builder(false)
    ///     .on(START, |cx, ()| {
    ///         cx.delay("tick", 60.0, ());
    ///         assert!(cx.why_alive().to_string().contains("timer `tick`"));
    ///     })
    ///     .on("tick", |cx, ()| *cx.heap = cx.why_alive().sessions[0].holds.is_empty()) // it ends after this
    ///     .on(STOP, |cx, ()| assert!(*cx.heap))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    #[doc(alias = "JoinHandle")]
    #[doc(alias = "leak")]
    #[doc(alias = "debug")]
    pub fn why_alive(self) -> super::WhyAlive {
        self.core.why_alive()
    }
}
