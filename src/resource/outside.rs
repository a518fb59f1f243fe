//! Holds of resources written outside the crate: only their number and places. The resource knows the rest.

use crate::id::Place;
use std::collections::HashMap;

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
