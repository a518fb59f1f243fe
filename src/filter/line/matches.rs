//! The search for a terminator given as a pattern, one walk for each line.

use super::search::Found;
use super::{Line, LineRecord};
use crate::filter::pattern::{Pattern, Progress, Walk};

/// A pattern's search. Its positions count from where it began, the buffer's from its present front.
pub(super) struct Search {
    pub(super) walk: Walk,
    /// Bytes seen by the walk that have left the buffer since.
    dropped: usize,
    /// The line was yielded already; only the end of its terminator is still open.
    given: bool,
    /// The end of a match whose start was found to be open, so that it is not examined again.
    held: usize,
    /// Where the open match began. Another match with that start is open, too.
    open_from: usize,
    /// Steps spent on finding the starts of open matches. They are limited to a multiple of the bytes walked, so
    /// that the work stays linear in the input; beyond it a line is yielded a little later.
    pub(super) spent: usize,
}

/// Steps per byte walked that may be spent on yielding lines early.
const STEPS: usize = 16;

impl Search {
    fn new(pattern: &Pattern, max_length: usize) -> Self {
        Search {
            walk: pattern.walk(max_length),
            dropped: 0,
            given: false,
            held: 0,
            open_from: usize::MAX,
            spent: 0,
        }
    }

    /// `count` bytes at the front of a line that is too long have left the buffer.
    pub(super) fn discard(&mut self, count: usize) {
        self.dropped += count;
        self.walk.discard();
    }
}

impl<T: LineRecord> Line<T> {
    /// Searches for the end of the line at the front of the buffer.
    pub(super) fn find_match(&mut self, pattern: &Pattern) -> Found {
        loop {
            let max_length = self.limits.max_length;
            let search = self.search.get_or_insert_with(|| Search::new(pattern, max_length));
            let bytes = self.buffer.as_slice();
            let seen = search.walk.walked() - search.dropped;
            match pattern.advance(&mut search.walk, &bytes[seen..]) {
                Progress::Settled(end) if search.given => {
                    self.buffer.consume(end - search.dropped);
                    self.search = None;
                }
                Progress::Settled(end) => {
                    let rest = end - search.dropped;
                    // The beginning of a dropped line is gone, and not needed.
                    let line = if self.discarding {
                        0
                    } else {
                        pattern.start_of(&bytes[..rest])
                    };
                    self.search = None;
                    return Found::Line { line, rest };
                }
                Progress::Open(end) if search.given || self.discarding => {
                    // A match is only ever replaced by one that ends later.
                    self.buffer.consume(end - search.dropped);
                    search.dropped = end;
                    return Found::More { content: 0 };
                }
                Progress::Open(end) if search.held == end => return Found::More { content: 0 },
                Progress::Open(end) => {
                    search.held = end;
                    let spent = search.spent.saturating_add(end);
                    if spent > search.walk.walked().saturating_mul(STEPS) {
                        return Found::More { content: 0 };
                    }
                    search.spent = spent;
                    let line = pattern.start_of(&bytes[..end]);
                    if line == search.open_from || !pattern.starts_fresh(&bytes[..line]) {
                        search.open_from = line;
                        return Found::More { content: 0 };
                    }
                    search.given = true;
                    search.dropped = end;
                    return Found::Line { line, rest: end };
                }
                Progress::Nothing if !self.discarding => return Found::More { content: 0 },
                Progress::Nothing | Progress::TooFar => {
                    return Found::More {
                        content: search.walk.walked() - search.dropped,
                    };
                }
            }
        }
    }
}
