//! Aliases of sessions: a session may have many, an alias belongs to one session.

use super::{Hold, HoldKind, Resource};
use crate::id::{Place, SessionId};
use crate::name::Name;
use std::collections::HashMap;

#[derive(Default)]
pub(crate) struct Aliases {
    /// Written by `set` and `remove`; empty when no session has an alias.
    owners: HashMap<Name, Alias>,
    /// The same by session; an entry is removed with the session's last alias.
    by_session: HashMap<u32, Vec<Name>>,
}

struct Alias {
    session: u32,
    place: Place,
}

impl Aliases {
    pub(crate) fn resolve(&self, alias: &str) -> Option<u32> {
        self.owners.get(alias).map(|a| a.session)
    }

    /// Enters an alias that no session has. The session gains one reference.
    pub(crate) fn set(&mut self, session: u32, alias: Name, place: Place) {
        self.by_session.entry(session).or_default().push(alias.clone());
        self.owners.insert(alias, Alias { session, place });
    }

    /// Removes an alias; returns true if the session had it and so loses one reference.
    #[must_use]
    pub(crate) fn remove(&mut self, session: u32, alias: &str) -> bool {
        if self.resolve(alias) != Some(session) {
            return false;
        }
        self.owners.remove(alias);
        if let Some(list) = self.by_session.get_mut(&session) {
            list.retain(|a| a != alias);
            if list.is_empty() {
                self.by_session.remove(&session);
            }
        }
        true
    }

    /// Returns the session's aliases, sorted.
    pub(crate) fn list(&self, session: u32) -> Vec<Name> {
        let mut list = self.by_session.get(&session).cloned().unwrap_or_default();
        list.sort();
        list
    }

    /// Returns every alias with its session's slot.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Name, u32)> {
        self.owners.iter().map(|(name, alias)| (name, alias.session))
    }

    /// Removes a session's entries; returns the number of references that it loses.
    #[must_use]
    pub(crate) fn clear(&mut self, session: u32) -> u32 {
        if self.by_session.is_empty() {
            return 0;
        }
        let list = self.by_session.remove(&session).unwrap_or_default();
        for alias in &list {
            self.owners.remove(alias.as_str());
        }
        list.len() as u32
    }
}

impl Resource for Aliases {
    fn holds(&self, session: SessionId, out: &mut Vec<Hold>) {
        for name in self.list(session.slot) {
            if let Some(alias) = self.owners.get(name.as_str()) {
                out.push(Hold {
                    kind: HoldKind::Alias,
                    name: name.to_string(),
                    count: 1,
                    place: alias.place,
                });
            }
        }
    }
}
