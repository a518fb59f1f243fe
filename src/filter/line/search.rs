//! The search for the end of a line, which continues where the last one stopped.

use super::{Line, LineRecord, Pattern};
use memchr::memmem::Finder;
use std::fmt;
use std::sync::Arc;

const CR: u8 = b'\r';
const LF: u8 = b'\n';

/// The result of a search.
pub(super) enum Found {
    /// A line, and where the next one begins.
    Line { line: usize, rest: usize },
    /// No end yet. `content` bytes belong to the line, whatever comes.
    More { content: usize },
}

/// Where the first CR or LF is. Looks at eight bytes before it calls `memchr2`, which costs more than a short line.
#[inline]
fn find_newline(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    /// Has the high bit of each byte that is 0. Bytes above the first one that is 0 may have it, too.
    fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & (ONES << 7)
    }
    let Some((word, rest)) = bytes.split_first_chunk() else {
        return memchr::memchr2(CR, LF, bytes);
    };
    let word = u64::from_le_bytes(*word);
    let newlines = zeros(word ^ (ONES * u64::from(CR))) | zeros(word ^ (ONES * u64::from(LF)));
    if newlines != 0 {
        return Some(newlines.trailing_zeros() as usize / 8);
    }
    memchr::memchr2(CR, LF, rest).map(|at| at + size_of::<u64>())
}

impl<T: LineRecord> Line<T> {
    /// Searches for the end of the line at the front of the buffer.
    pub(super) fn find(&mut self) -> Found {
        let bytes = self.buffer.as_slice();
        let len = bytes.len();
        let from = self.scanned;
        let (line, terminator_len) = match &self.terminator {
            Terminator::Newline | Terminator::Autodetect => {
                let Some(at) = find_newline(&bytes[from..]) else {
                    self.scanned = len;
                    return Found::More { content: len };
                };
                let line = from + at;
                return Found::Line {
                    line,
                    rest: self.end_of_newline(line),
                };
            }
            Terminator::One(byte) => match memchr::memchr(*byte, &bytes[from..]) {
                Some(at) => (from + at, 1),
                None => {
                    self.scanned = len;
                    return Found::More { content: len };
                }
            },
            &Terminator::Two([first, second]) => {
                // Scanned bytes were examined as the second of the two, so nothing is examined again.
                let mut from = from.max(1);
                loop {
                    let Some(at) = bytes.get(from..).and_then(|bytes| memchr::memchr(second, bytes)) else {
                        self.scanned = len;
                        return Found::More {
                            content: len.saturating_sub(1),
                        };
                    };
                    if bytes[from + at - 1] == first {
                        break (from + at - 1, 2);
                    }
                    from += at + 1;
                }
            }
            Terminator::Long(finder) => match finder.find(&bytes[from..]) {
                Some(at) => (from + at, finder.needle().len()),
                None => {
                    // The literal may have begun at the end of the buffer.
                    self.scanned = len.saturating_sub(finder.needle().len() - 1).max(from);
                    return Found::More { content: self.scanned };
                }
            },
            Terminator::Regexp(pattern) => {
                let pattern = Arc::clone(pattern);
                return self.find_match(&pattern);
            }
            Terminator::Missing => return Found::More { content: 0 },
        };
        Found::Line {
            line,
            rest: line + terminator_len,
        }
    }

    /// Returns where the newline at `at` ends. At the end of the buffer it may be half a newline: then the other half is owed.
    fn end_of_newline(&mut self, at: usize) -> usize {
        let bytes = self.buffer.as_slice();
        let first = bytes[at];
        let second = if first == CR { LF } else { CR };
        let (found, rest) = match bytes.get(at + 1) {
            Some(&next) if next == second => (Terminator::Two([first, second]), at + 2),
            Some(_) => (Terminator::One(first), at + 1),
            None => {
                self.owed = Some(second);
                (Terminator::One(first), at + 1)
            }
        };
        if matches!(self.terminator, Terminator::Autodetect) {
            self.terminator = found;
        }
        rest
    }

    /// Drops the front of a line that is too long; the search for its end continues behind it.
    pub(super) fn discard(&mut self, count: usize) {
        self.buffer.consume(count);
        self.scanned = self.scanned.saturating_sub(count);
        if let Some(search) = &mut self.search {
            search.discard(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CR, LF, find_newline};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_newline_is_found_wherever_it_is(bytes in proptest::collection::vec(
            prop_oneof![40 => Just(b'x'), 1 => Just(CR), 1 => Just(LF), 1 => 9..15_u8, 1 => Just(0x8a), 2 => any::<u8>()], 0..200)) {
            prop_assert_eq!(find_newline(&bytes), bytes.iter().position(|byte| matches!(*byte, CR | LF)));
        }
    }
}

// The terminators of lines.
#[derive(Clone)]
pub(super) enum Terminator {
    Newline,
    Autodetect,
    One(u8),
    Two([u8; 2]),
    Long(Arc<Finder<'static>>),
    #[cfg_attr(not(feature = "regex"), allow(dead_code))]
    Regexp(Arc<Pattern>),
    /// An empty literal. The fault prevents a search for it.
    Missing,
}

impl Terminator {
    pub(super) fn literal(bytes: &[u8]) -> Self {
        match *bytes {
            [] => Terminator::Missing,
            [byte] => Terminator::One(byte),
            [first, second] => Terminator::Two([first, second]),
            _ => Terminator::Long(Arc::new(Finder::new(bytes).into_owned())),
        }
    }
}

impl fmt::Debug for Terminator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Terminator::Newline => f.write_str("any newline"),
            Terminator::Autodetect => f.write_str("to be detected"),
            Terminator::One(byte) => write!(f, "\"{}\"", byte.escape_ascii()),
            Terminator::Two(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Terminator::Long(finder) => write!(f, "\"{}\"", finder.needle().escape_ascii()),
            Terminator::Regexp(pattern) => write!(f, "/{}/", pattern.as_str()),
            Terminator::Missing => f.write_str("\"\""),
        }
    }
}

/// Tests of a filter's memory and work.
#[cfg(test)]
mod memory {
    use crate::filter::Line;
    use crate::filter::{Filter, FilterExt};

    #[test]
    fn an_idle_filter_holds_little_memory() {
        let mut filter = Line::new();
        let read = [b"x".repeat(63), b"\n".to_vec()].concat().repeat(1024);
        assert_eq!(filter.get(&read).len(), 1024);
        assert!(filter.buffer.capacity() <= 1024);
        filter.get([&read[..], b"partial"].concat().as_slice());
        assert_eq!(filter.pending(), b"partial");
        assert!(filter.buffer.capacity() <= 1024);
    }

    #[test]
    fn an_endless_line_does_not_grow_the_buffer() {
        for filter in [Line::new(), Line::new().literal("\r\n"), Line::new().literal("<end>")] {
            let mut filter = filter.max_length(1000);
            for _ in 0..1000 {
                filter.get(&[b'x'; 512]);
                assert!(filter.buffer.capacity() <= 4096 && filter.buffer.len() <= 1512);
            }
        }
        let mut filter = Line::new().input_regexp(r"\r?\n").unwrap().max_length(1000);
        for _ in 0..1000 {
            filter.get(&[b'x'; 512]);
            assert!(filter.buffer.capacity() <= 16384 && filter.buffer.len() <= 6000);
        }
    }

    #[test]
    fn bytes_are_searched_once() {
        let mut filter = Line::new();
        filter.get(b"abc");
        assert_eq!(filter.scanned, 3);
        filter.get(b"def");
        assert_eq!(filter.scanned, 6);
    }

    /// While a match is open and may begin elsewhere, each byte is a reason to look again where the line ends; that must not walk
    /// the whole line each time.
    #[test]
    fn the_work_of_a_pattern_is_linear_in_what_is_received() {
        for (pattern, end) in [
            (r"ab|\n+", "a\n"),
            (r"abcd+e|c|\n", "abcd"),
            (r"(?s)x.*y|\n", "x"),
            (r"ab|(\nc?)+", "a\n"),
        ] {
            let mut filter = Line::new().input_regexp(pattern).unwrap().max_length(1 << 20);
            let line = ["z".repeat(100_000), end.to_owned()].concat();
            filter.feed(line.as_bytes());
            let mut given = 0;
            for byte in b"\ny\nycd".repeat(300) {
                given += usize::from(filter.next_record().unwrap().is_some());
                if let Some(search) = &filter.search {
                    assert!(search.spent <= 16 * search.walk.walked(), "{pattern}");
                }
                filter.feed(&[byte]);
            }
            assert!(given > 0 || pattern.contains('x'), "{pattern}");
        }
    }
}
