//! The sessions that are alive, and why: for sessions that do not stop.

use super::super::{Core, Kernel};
use crate::id::{Place, SessionId};
use crate::name::{Name, NameIdx};
use crate::resource::{Hold, HoldKind, Resource};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::panic::Location;

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
        let mut posts = self.posts_by_session();
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

    /// The posts that wait, with the sessions that they hold. One look at the queue serves all sessions.
    fn posts_by_session(&self) -> HashMap<u32, Vec<Held>> {
        let mut found: HashMap<u32, Vec<Held>> = HashMap::new();
        for e in self.queue().posts() {
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
