//! What a pool knows of its sessions: which one has a name, and which ones have subscribed to a topic.
//!
//! The tables are shared by all threads. Each kernel has a resource, [`Member`], with a guard for each entry of its sessions: it keeps the
//! session alive, is shown in `why_alive`, and goes with the session. With a kernel all of its entries go.

use super::handle::PoolHandle;
use crate::error::{Error, ErrorKind};
use crate::id::SessionId;
use crate::kernel::SessionHold;
use crate::resource::{Hold, Resource};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

#[derive(Default)]
pub(super) struct Directory {
    tables: RwLock<Tables>,
}

#[derive(Default)]
struct Tables {
    names: HashMap<String, SessionId>,
    /// In the order in which they subscribed; copied by a change, so that a publisher keeps no lock.
    topics: HashMap<String, Arc<[SessionId]>>,
}

/// One entry of a session.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum What {
    Name(String),
    Topic(String),
}

impl Directory {
    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        // No code panics while the lock is held.
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn resolve(&self, name: &str) -> Option<SessionId> {
        self.read().names.get(name).copied()
    }

    pub(super) fn subscribers(&self, topic: &str) -> Arc<[SessionId]> {
        self.read().topics.get(topic).cloned().unwrap_or_default()
    }

    /// Returns false if the session has it already.
    fn enter(&self, session: SessionId, what: &What) -> Result<bool, Error> {
        let mut tables = self.write();
        match what {
            What::Name(name) => match tables.names.get(name) {
                Some(owner) if *owner == session => Ok(false),
                Some(owner) => Err(ErrorKind::AliasTaken {
                    alias: name.clone(),
                    owner: *owner,
                }
                .into()),
                None => {
                    tables.names.insert(name.clone(), session);
                    Ok(true)
                }
            },
            What::Topic(topic) => {
                let known = tables.topics.entry(topic.clone()).or_default();
                if known.contains(&session) {
                    return Ok(false);
                }
                *known = known.iter().copied().chain([session]).collect();
                Ok(true)
            }
        }
    }

    fn leave(&self, session: SessionId, what: &What) {
        let mut tables = self.write();
        match what {
            What::Name(name) => {
                tables.names.remove(name);
            }
            What::Topic(topic) => {
                let Some(known) = tables.topics.get_mut(topic) else {
                    return;
                };
                *known = known.iter().copied().filter(|other| *other != session).collect();
                if known.is_empty() {
                    tables.topics.remove(topic);
                }
            }
        }
    }
}

/// A kernel's part: the pool that it belongs to, and the entries of its sessions.
#[derive(Default)]
pub(super) struct Member {
    pool: RefCell<Option<PoolHandle>>,
    entries: RefCell<Vec<(SessionHold, What)>>,
}

impl Member {
    pub(super) fn joins(&self, pool: PoolHandle) {
        self.pool.replace(Some(pool));
    }

    pub(super) fn pool(&self) -> Option<PoolHandle> {
        self.pool.borrow().clone()
    }

    /// Takes an entry for the session that `hold` keeps.
    pub(super) fn enter(&self, hold: SessionHold, what: What) -> Result<(), Error> {
        let pool = self.pool.borrow();
        let directory = pool.as_ref().map(PoolHandle::directory);
        let is_new = match directory {
            Some(directory) => directory.enter(hold.session(), &what)?,
            None => return Err(no_member()),
        };
        if is_new {
            self.entries.borrow_mut().push((hold, what));
        }
        Ok(())
    }

    /// Returns false if the session has no such entry.
    pub(super) fn leave(&self, session: SessionId, what: &What) -> bool {
        self.take(|hold, of| hold.session() == session && of == what)
    }

    fn take(&self, is_meant: impl Fn(&SessionHold, &What) -> bool) -> bool {
        let taken: Vec<(SessionHold, What)> = {
            let mut entries = self.entries.borrow_mut();
            entries.extract_if(.., |(hold, what)| is_meant(hold, what)).collect()
        };
        let pool = self.pool.borrow();
        if let Some(directory) = pool.as_ref().map(PoolHandle::directory) {
            for (hold, what) in &taken {
                directory.leave(hold.session(), what);
            }
        }
        !taken.is_empty()
    }
}

impl Resource for Member {
    fn holds(&self, session: SessionId, holds: &mut Vec<Hold>) {
        let entries = self.entries.borrow();
        let own = entries.iter().filter(|(hold, _)| hold.session() == session);
        holds.extend(own.map(|(hold, what)| match what {
            What::Name(name) => hold.report("name in the pool", name),
            What::Topic(topic) => hold.report("subscription in the pool", topic),
        }));
    }

    fn clear(&self, session: SessionId) {
        self.take(|hold, _| hold.session() == session);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.take(|_, _| true);
    }
}

#[cold]
pub(super) fn no_member() -> Error {
    ErrorKind::Invalid("the session's kernel does not belong to this pool".to_owned()).into()
}
