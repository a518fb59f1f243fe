//! Reference counts by tag, which programs take to keep a session alive; postbacks are one kind of tag.

use super::{Hold, HoldKind, Resource};
use crate::id::{Place, SessionId};
use crate::name::Name;
use std::collections::HashMap;

#[derive(Default)]
pub(crate) struct Extrefs {
    /// Contains only sessions that hold a tag: the number of entries decides whether the kernel can be idle.
    by_session: HashMap<u32, Vec<Tag>>,
    /// The tag that was taken last.
    last: Option<Name>,
}

/// The kind of a tag: one byte beside the count, where a [`HoldKind`] needs several words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TagKind {
    Refcount,
    Postback,
}

impl From<TagKind> for HoldKind {
    fn from(kind: TagKind) -> Self {
        match kind {
            TagKind::Refcount => HoldKind::Refcount,
            TagKind::Postback => HoldKind::Postback,
        }
    }
}

struct Tag {
    kind: TagKind,
    name: Name,
    count: u64,
    /// Where the count was last raised.
    place: Place,
}

/// The effect of a change on a tag.
pub(crate) struct Change {
    pub(crate) count: u64,
    /// The tag appeared or vanished, so that the session gains or loses one reference.
    pub(crate) edge: bool,
}

impl Extrefs {
    #[must_use]
    pub(crate) fn increment(&mut self, session: u32, kind: TagKind, name: &str, place: Place) -> Change {
        let tags = self.by_session.entry(session).or_insert_with(|| Vec::with_capacity(1));
        if let Some(tag) = tags.iter_mut().find(|t| t.kind == kind && t.name == name) {
            tag.count += 1;
            tag.place = place;
            return Change {
                count: tag.count,
                edge: false,
            };
        }
        // Many sessions take the same tag one after another: they share its text.
        let name = match &self.last {
            Some(last) if *last == name => last.clone(),
            _ => self.last.insert(Name::from(name)).clone(),
        };
        tags.push(Tag {
            kind,
            name,
            count: 1,
            place,
        });
        Change { count: 1, edge: true }
    }

    /// Lowers a count; returns `None` if the tag is not held (decision D5: a count does not go below zero).
    #[must_use]
    pub(crate) fn decrement(&mut self, session: u32, kind: TagKind, name: &str) -> Option<Change> {
        let tags = self.by_session.get_mut(&session)?;
        let at = tags.iter().position(|t| t.kind == kind && t.name == name)?;
        tags[at].count -= 1;
        let count = tags[at].count;
        if count == 0 {
            tags.remove(at);
            if tags.is_empty() {
                self.by_session.remove(&session);
            }
        }
        Some(Change {
            count,
            edge: count == 0,
        })
    }

    /// Returns the number of sessions that hold any tag.
    pub(crate) fn session_count(&self) -> usize {
        self.by_session.len()
    }

    /// Removes a session's tags; returns the number of references that it loses.
    #[must_use]
    pub(crate) fn clear(&mut self, session: u32) -> u32 {
        if self.by_session.is_empty() {
            return 0;
        }
        self.by_session.remove(&session).map_or(0, |tags| tags.len() as u32)
    }
}

impl Resource for Extrefs {
    fn holds(&self, session: SessionId, out: &mut Vec<Hold>) {
        for tag in self.by_session.get(&session.slot).into_iter().flatten() {
            out.push(Hold {
                kind: tag.kind.into(),
                name: tag.name.to_string(),
                count: tag.count as usize,
                place: tag.place,
            });
        }
    }
}

// Aliases of sessions: a session may have many, an alias belongs to one session.
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

// Holds of resources written outside the crate: only their number and places. The resource knows the rest.
#[derive(Default)]
pub(crate) struct Outside {
    /// An entry for each hold; only sessions that are held have one.
    by_session: HashMap<u32, Vec<Place>>,
}

impl Outside {
    /// Enters a hold. The session gains one reference.
    pub(crate) fn take(&mut self, session: u32, place: Place) {
        self.by_session.entry(session).or_default().push(place);
    }

    /// Returns true if the session had a hold from this place, and so loses one reference.
    #[must_use]
    pub(crate) fn release(&mut self, session: u32, place: Place) -> bool {
        let Some(places) = self.by_session.get_mut(&session) else {
            return false;
        };
        let Some(at) = places.iter().rposition(|taken| *taken == place) else {
            return false;
        };
        places.remove(at);
        if places.is_empty() {
            self.by_session.remove(&session);
        }
        true
    }

    /// Returns where the session's holds were taken.
    pub(crate) fn places(&self, session: u32) -> Vec<Place> {
        self.by_session.get(&session).cloned().unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_session.is_empty()
    }

    /// Removes a session's holds; returns the number of references that it loses.
    #[must_use]
    pub(crate) fn clear(&mut self, session: u32) -> u32 {
        // A lookup would cost a hash, which most sessions can do without.
        if self.by_session.is_empty() {
            return 0;
        }
        self.by_session.remove(&session).map_or(0, |places| places.len() as u32)
    }
}
