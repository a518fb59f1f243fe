//! What is alive, and why: the kernel's answer to the session that will not stop.

use super::{Core, Kernel};
use crate::id::SessionId;
use crate::name::{Name, NameIdx};
use crate::resource::{Hold, HoldKind, Resource};
use std::fmt;
use std::panic::Location;

/// Every session that is alive, with everything that keeps it so; empty when none is. Prints as a report for people.
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
pub struct WhyAlive {
    /// One entry per session, oldest first.
    pub sessions: Vec<SessionHolds>,
}

impl WhyAlive {
    /// Whether no session is alive.
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
#[derive(Clone, Debug)]
pub struct SessionHolds {
    /// Which.
    pub session: SessionId,
    /// Its aliases, sorted.
    pub aliases: Vec<Name>,
    /// Its parent.
    pub parent: SessionId,
    /// Where it was created.
    pub place: &'static Location<'static>,
    /// What keeps it alive; empty for one that the next sweep will take.
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
            return f.write_str(", is kept by nothing: the next sweep takes it");
        }
        f.write_str(", is kept alive by")?;
        for hold in &self.holds {
            write!(f, "\n  {hold}")?;
        }
        Ok(())
    }
}

impl Core {
    pub(crate) fn why_alive(&self) -> WhyAlive {
        let slots: Vec<u32> = self.sessions.borrow().slots().collect();
        let mut sessions: Vec<_> = slots.into_iter().map(|slot| self.holds_of(slot)).collect();
        sessions.sort_by_key(|s| s.session);
        WhyAlive { sessions }
    }

    fn holds_of(&self, slot: u32) -> SessionHolds {
        let mut holds = Vec::new();
        self.event_holds(slot, &mut holds);
        let tables: [&dyn Resource; 4] = [
            &*self.aliases.borrow(),
            &*self.sessions.borrow(),
            &*self.extrefs.borrow(),
            &self.tasks,
        ];
        for table in tables {
            table.holds(slot, &mut holds);
        }
        let sessions = self.sessions.borrow();
        SessionHolds {
            session: sessions.id(slot),
            aliases: self.aliases.borrow().list(slot),
            parent: sessions.id(sessions.parent(slot).unwrap_or(crate::resource::sessions::KERNEL)),
            place: sessions.place(slot),
            holds,
        }
    }

    /// The events that wait for a session or that it has sent, those of one name and place together.
    fn event_holds(&self, slot: u32, holds: &mut Vec<Hold>) {
        let queue = self.queue.borrow();
        let posts = queue.posts().filter_map(|e| {
            let kind = match (e.to == slot, e.from == slot) {
                (true, _) => HoldKind::Event,
                (_, true) => HoldKind::SentEvent,
                _ => return None,
            };
            Some((kind, e.name, e.place))
        });
        let first = self.sessions.borrow().get(slot).first_timer;
        let timers = queue
            .timers_of(first)
            .into_iter()
            .map(|(_, _, e)| (HoldKind::Timer, e.name, e.place));
        let found: Vec<(HoldKind, NameIdx, &'static Location<'static>)> = posts.chain(timers).collect();
        for (kind, name, place) in found {
            let name = self.names.name(name);
            match holds
                .iter_mut()
                .find(|h| h.kind == kind && name == *h.name && h.place == place)
            {
                Some(hold) => hold.count += 1,
                None => holds.push(Hold {
                    kind,
                    name: name.to_string(),
                    count: 1,
                    place,
                }),
            }
        }
    }
}

impl Kernel {
    /// Says of every session that is alive what keeps it so: each event, timer, alias, child, reference count,
    /// postback, task and wheel, with its name, its number, and the file and line that took it.
    #[must_use]
    pub fn why_alive(&self) -> WhyAlive {
        self.core().why_alive()
    }
}
