//! State carried from one filter of a stream to the next: whether a byte must be skipped.

use super::Filter;

/// Joins two filters of one stream without losing or doubling a byte.
///
/// A reader of a stream keeps one `Seam` beside the filter, sends each read through [`trim`](Self::trim), and changes
/// filters with [`switch`](Self::switch). The seam is needed because of [`Filter::owed`]: if the old filter yielded a line
/// that ended in CR at the end of a read, an LF at the beginning of the next read is the rest of that newline, and the new filter
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
#[doc(hidden)]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Seam {
    /// Set in a switch; cleared with the first byte that is read after it.
    owed: Option<u8>,
}

impl Seam {
    /// Makes a seam for the start of a stream, without a byte to skip.
    #[must_use]
    pub const fn new() -> Self {
        Seam { owed: None }
    }

    /// Moves the pending bytes of `old` into `next`, and remembers the byte that `old` would have skipped.
    ///
    /// `old` is at a boundary afterwards. Records that `next` can already see come from its `next_record`.
    pub fn switch<A: Filter + ?Sized, B: Filter + ?Sized>(&mut self, old: &mut A, next: &mut B) {
        // A second switch before any input must not forget the byte of the first one.
        self.owed = old.owed().or(self.owed);
        next.feed(&old.take_pending());
    }

    /// Returns the part of this read that is for the filter: all of it, or all but its first byte.
    #[must_use]
    pub fn trim<'a>(&mut self, read: &'a [u8]) -> &'a [u8] {
        let Some((&first, rest)) = read.split_first() else {
            return read;
        };
        if self.owed.take() == Some(first) { rest } else { read }
    }
}
