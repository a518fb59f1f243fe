//! What the reader of a stream keeps from one filter to the next: at most one byte that is still to be swallowed.

use super::Filter;

/// Joins two filters of one stream without losing or doubling a byte.
///
/// Whoever reads a stream keeps one `Seam` beside the filter, sends each read through [`trim`](Self::trim), and changes
/// filters with [`switch`](Self::switch). The seam is needed because of [`Filter::owed`]: when the old filter gave a line
/// that ended in CR at the end of a read, an LF that opens the next read is the rest of that newline, and the new filter
/// must not see it.
///
/// ```
/// use poe::filter::{Filter, Line, Seam, Raw};
/// let (mut seam, mut head, mut body) = (Seam::new(), Line::new(), Raw::new());
/// head.feed(seam.trim(b"head\r"));
/// assert_eq!(head.next_record().unwrap().unwrap(), "head");
/// seam.switch(&mut head, &mut body);
/// body.feed(seam.trim(b"\nbody"));
/// assert_eq!(body.next_record().unwrap().unwrap(), "body");
/// ```
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Seam {
    /// Set by a switch; cleared by the first byte that is read after it, whichever that is.
    owed: Option<u8>,
}

impl Seam {
    /// A seam at the start of a stream, where nothing is owed.
    #[must_use]
    pub const fn new() -> Self {
        Seam { owed: None }
    }

    /// Moves what is pending in `old` into `next`, and remembers what `old` would have swallowed.
    ///
    /// `old` is at a boundary afterwards. Records that `next` can already see are there for its `next_record`.
    pub fn switch<A: Filter + ?Sized, B: Filter + ?Sized>(&mut self, old: &mut A, next: &mut B) {
        // A second switch before any input must not forget what the first one noted.
        self.owed = old.owed().or(self.owed);
        next.feed(&old.take_pending());
    }

    /// What of this read is for the filter: all of it, or all but its first byte.
    #[must_use]
    pub fn trim<'a>(&mut self, read: &'a [u8]) -> &'a [u8] {
        let Some((&first, rest)) = read.split_first() else {
            return read;
        };
        if self.owed.take() == Some(first) { rest } else { read }
    }
}
