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
