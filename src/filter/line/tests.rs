//! Tests of Line's memory and work.

use super::Line;
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
