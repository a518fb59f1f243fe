//! What resources written outside the crate hold sessions by: only how often, and since where. What it is, they know.

use std::collections::HashMap;
use std::panic::Location;

#[derive(Default)]
pub(crate) struct Outside {
    /// An entry for each hold that stands; only sessions that are held stand here.
    by_session: HashMap<u32, Vec<&'static Location<'static>>>,
}

impl Outside {
    /// The session holds one thing more.
    pub(crate) fn take(&mut self, session: u32, place: &'static Location<'static>) {
        self.by_session.entry(session).or_default().push(place);
    }

    /// True if the session was held from there, and so holds one thing less.
    #[must_use]
    pub(crate) fn release(&mut self, session: u32, place: &'static Location<'static>) -> bool {
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

    /// Where the session's holds were taken.
    pub(crate) fn places(&self, session: u32) -> Vec<&'static Location<'static>> {
        self.by_session.get(&session).cloned().unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_session.is_empty()
    }

    /// Forgets a session; says how many things less it holds.
    #[must_use]
    pub(crate) fn clear(&mut self, session: u32) -> u32 {
        // Looking for it would cost a hash, which most sessions can be spared.
        if self.by_session.is_empty() {
            return 0;
        }
        self.by_session.remove(&session).map_or(0, |places| places.len() as u32)
    }
}
