//! Gathers a snapshot. Sessions are asked with nothing borrowed, because their code may be the user's.

use super::super::handle::Queued;
use super::super::signal::Raised;
use super::super::{Core, InboxState, Invoke, Kernel, KernelRef};
use super::{
    AwaitedProcess, EventId, EventType, QueuedEvent, Refcount, SessionSnapshot, Snapshot, TaskSnapshot, WatchedFile,
};
use crate::id::{Place, SessionId};
use crate::name::{Name, NameIdx};
use crate::queue::event_queue::{Post, Waiting};
use crate::resource::{Hold, HoldKind, Resource};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::Location;
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
        let queue = self.queue();
        let events = queue.in_order().into_iter().enumerate();
        events
            .map(|(index, waiting)| self.queued_event(index, &waiting))
            .collect()
    }

    pub(super) fn queued_event(&self, index: usize, waiting: &Waiting<'_>) -> QueuedEvent {
        let sessions = self.sessions.borrow();
        let (id, due, post) = match *waiting {
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
        self.group_others(None, |session, add| add(found.entry(session).or_default()));
        found
    }

    /// What sessions have beside events: of one session, or of all.
    pub(super) fn group_others(
        &self,
        only: Option<SessionId>,
        mut own: impl FnMut(SessionId, &mut dyn FnMut(&mut Grouped)),
    ) {
        let wanted = |session: SessionId| only.is_none_or(|only| only == session);
        let sessions = self.sessions.borrow();
        for (session, signal, event) in self.signals.borrow().all() {
            let session = sessions.id(session);
            if wanted(session) {
                own(session, &mut |own| {
                    own.signals.insert(signal.to_string(), event.to_string());
                });
            }
        }
        #[cfg(unix)]
        for (session, file) in self.selects.all() {
            if wanted(session) {
                own(session, &mut |own| own.files.push(file.clone()));
            }
        }
        #[cfg(unix)]
        for (pid, awaiter) in self.children.borrow().all() {
            let session = sessions.id(awaiter.session);
            if wanted(session) {
                own(session, &mut |own| {
                    own.pids.push(AwaitedProcess {
                        pid,
                        event: awaiter.event.name().to_string(),
                        place: awaiter.place,
                    });
                });
            }
        }
    }

    pub(super) fn session_snapshot(
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
        self.tasks.each_of(slot, |task| {
            if wanted(task.kind) {
                found.push(task);
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
pub(super) struct Grouped {
    pub(super) events_to: usize,
    pub(super) events_from: usize,
    pub(super) signals: BTreeMap<String, String>,
    pub(super) files: Vec<WatchedFile>,
    pub(super) pids: Vec<AwaitedProcess>,
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

// The sessions that are alive, and why: for sessions that do not stop.
/// Every session that is alive, with everything that keeps it alive; empty when none is. Prints as a report for people.
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// let kernel = Kernel::new();
/// Session::builder(()).on(START, |cx, ()| cx.alias_set("daemon")).create(&kernel).unwrap();
/// let why = kernel.why_alive();
/// assert!(why.to_string().contains("alias `daemon`"));
/// println!("{why}");
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WhyAlive {
    /// One entry per session, oldest first.
    pub sessions: Vec<SessionHolds>,
}

impl WhyAlive {
    /// Returns whether no session is alive.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(()).on(START, |_, ()| ()).create(&kernel)?;
    /// assert!(!kernel.why_alive().is_empty());
    /// kernel.run().await?;
    /// assert!(kernel.why_alive().is_empty());
    /// assert_eq!(kernel.why_alive().to_string(), "no session is alive");
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

impl fmt::Display for WhyAlive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sessions.is_empty() {
            return f.write_str("no session is alive");
        }
        for (i, session) in self.sessions.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            session.fmt(f)?;
        }
        Ok(())
    }
}

/// One session and what keeps it alive.
///
/// ```
/// use poe::{Kernel, Session, event::START, inspect::HoldKind};
/// let kernel = Kernel::new();
/// let id = Session::builder(())
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         cx.alias_set("daemon")?;
///         cx.refcount_increment(cx.session_id(), "client")?;
///         Ok(())
///     })
///     .create(&kernel)?;
/// let daemon = &kernel.why_alive().sessions[0];
/// assert_eq!((daemon.session, daemon.parent), (id, kernel.id()));
/// assert_eq!(daemon.aliases, ["daemon"]);
/// let client = daemon.holds.iter().find(|hold| hold.kind == HoldKind::Refcount).unwrap();
/// assert_eq!((client.name.as_str(), client.count), ("client", 1));
/// println!("created at {}, counted at {}", daemon.place, client.place);
/// # Ok::<(), poe::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionHolds {
    /// The session's ID.
    pub session: SessionId,
    /// Its aliases, sorted.
    pub aliases: Vec<Name>,
    /// Its parent.
    pub parent: SessionId,
    /// The line that created it.
    pub place: &'static Location<'static>,
    /// Its holds; empty if the next sweep stops it.
    pub holds: Vec<Hold>,
    /// Its inbox, if it has a [limit](crate::SessionBuilder::inbox).
    pub inbox: Option<InboxState>,
}

impl fmt::Display for SessionHolds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}", self.session)?;
        if !self.aliases.is_empty() {
            let names: Vec<&str> = self.aliases.iter().map(|a| a.as_str()).collect();
            write!(f, " ({})", names.join(", "))?;
        }
        write!(
            f,
            ", child of {}, created at {}:{}",
            self.parent,
            self.place.file(),
            self.place.line()
        )?;
        if let Some(inbox) = &self.inbox {
            write!(f, ", inbox: {inbox}")?;
        }
        if self.holds.is_empty() {
            return f.write_str(": nothing keeps it alive, the next sweep stops it");
        }
        f.write_str(", is kept alive by")?;
        for hold in &self.holds {
            write!(f, "\n  {hold}")?;
        }
        Ok(())
    }
}

/// An event that holds a session: how, its name, and where it was made.
type Held = (HoldKind, NameIdx, Place);

impl Core {
    pub(crate) fn why_alive(&self) -> WhyAlive {
        let slots: Vec<u32> = self.sessions.borrow().slots().collect();
        let mut posts = self.posts_by_session(None);
        let mut processes = self.processes_by_session();
        let mut sessions: Vec<_> = slots
            .into_iter()
            .map(|slot| {
                let processes = processes.remove(&slot).unwrap_or_default();
                self.holds_of(slot, posts.remove(&slot).unwrap_or_default(), processes)
            })
            .collect();
        sessions.sort_by_key(|s| s.session);
        // Asked last and with nothing borrowed: these are not ours.
        for SessionHolds { session, holds, .. } in &mut sessions {
            self.outside_holds(session.slot, *session, holds);
        }
        WhyAlive { sessions }
    }

    /// Of one session.
    pub(super) fn why_alive_of(&self, slot: u32) -> Option<SessionHolds> {
        self.sessions.borrow().object(slot)?;
        let posts = self.posts_by_session(Some(slot)).remove(&slot).unwrap_or_default();
        let processes = self.processes_by_session().remove(&slot).unwrap_or_default();
        let mut found = self.holds_of(slot, posts, processes);
        // Asked last and with nothing borrowed: these are not ours.
        self.outside_holds(slot, found.session, &mut found.holds);
        Some(found)
    }

    /// The posts that wait, with the sessions that they hold; of one session, or of all. One look at the queue serves all sessions.
    fn posts_by_session(&self, only: Option<u32>) -> HashMap<u32, Vec<Held>> {
        let mut found: HashMap<u32, Vec<Held>> = HashMap::new();
        for e in self.queue().posts() {
            if only.is_some_and(|slot| e.to != slot && e.from != slot) {
                continue;
            }
            let kind = match e.name {
                NameIdx::GC if e.from == e.to => HoldKind::Creation,
                _ => HoldKind::Event,
            };
            found.entry(e.to).or_default().push((kind, e.name, e.place));
            if e.from != e.to {
                found
                    .entry(e.from)
                    .or_default()
                    .push((HoldKind::SentEvent, e.name, e.place));
            }
        }
        found
    }

    /// The processes that sessions await.
    fn processes_by_session(&self) -> HashMap<u32, Vec<Hold>> {
        #[allow(unused_mut)]
        let mut found: HashMap<u32, Vec<Hold>> = HashMap::new();
        #[cfg(unix)]
        for (pid, awaiter) in self.children.borrow().all() {
            found.entry(awaiter.session).or_default().push(awaiter.hold(pid));
        }
        found
    }

    fn holds_of(&self, slot: u32, posts: Vec<Held>, mut processes: Vec<Hold>) -> SessionHolds {
        let mut holds = Vec::new();
        self.event_holds(slot, posts, &mut holds);
        let tables: [&dyn Resource; 4] = [
            &*self.aliases.borrow(),
            &*self.sessions.borrow(),
            &*self.extrefs.borrow(),
            &self.tasks,
        ];
        let sessions = self.sessions.borrow();
        let id = sessions.id(slot);
        for table in tables {
            table.holds(id, &mut holds);
        }
        holds.append(&mut processes);
        SessionHolds {
            session: id,
            aliases: self.aliases.borrow().list(slot),
            parent: sessions.id(sessions.parent(slot).unwrap_or(crate::resource::sessions::KERNEL)),
            place: sessions.place(slot),
            holds,
            inbox: self.inbox_state(slot),
        }
    }

    /// The events that wait for a session or that it has sent, those of one name and place together.
    fn event_holds(&self, slot: u32, posts: Vec<Held>, holds: &mut Vec<Hold>) {
        let mut found = posts;
        {
            let first = self.sessions.borrow().get(slot).first_timer;
            let queue = self.queue();
            found.extend(
                queue
                    .timers_of(first)
                    .into_iter()
                    .map(|(_, _, e)| (HoldKind::Timer, e.name, e.place)),
            );
        }
        let mut at: HashMap<Held, usize> = HashMap::new();
        for held @ (kind, name, place) in found {
            match at.entry(held) {
                Entry::Occupied(known) => holds[*known.get()].count += 1,
                Entry::Vacant(new) => {
                    new.insert(holds.len());
                    holds.push(Hold {
                        kind,
                        name: self.names.name(name).to_string(),
                        count: 1,
                        place,
                    });
                }
            }
        }
    }
}

impl Kernel {
    /// Lists every session that is alive with what keeps it alive: each event, timer, alias, child, reference count,
    /// postback, task and wheel, with its name, its number, and the file and line that took it.
    ///
    /// ```
    /// use poe::{Session, event::START, testing};
    /// use std::time::Duration;
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// let kernel = testing::kernel();
    /// Session::builder(()).on(START, |cx, ()| cx.delay("retry", 3600.0, ())).create(&kernel)?;
    /// testing::run_for(&kernel, Duration::from_secs(60)).await?; // it should have ended by now
    /// let why = kernel.why_alive();
    /// assert_eq!(why.sessions[0].holds[0].name, "retry");
    /// println!("{why}"); // session 1, child of kernel, created at …, is kept alive by timer `retry` (…)
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    #[doc(alias = "JoinHandle")]
    #[doc(alias = "leak")]
    #[doc(alias = "debug")]
    pub fn why_alive(&self) -> WhyAlive {
        self.core().why_alive()
    }
}
