//! What a Line holds in memory, and what it looks at.

use super::Line;
use crate::filter::Filter;

#[test]
fn an_idle_filter_holds_little_memory() {
    let mut filter = Line::new();
    let read = [b"x".repeat(63), b"\n".to_vec()].concat().repeat(1024);
    assert_eq!(filter.get(&read).len(), 1024);
    assert!(filter.buffer.capacity() <= 1024);
    filter.get([&read[..], b"partial"].concat().as_slice());
    assert_eq!(filter.get_pending(), b"partial");
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
fn octets_are_searched_once() {
    let mut filter = Line::new();
    filter.get(b"abc");
    assert_eq!(filter.scanned, 3);
    filter.get(b"def");
    assert_eq!(filter.scanned, 6);
}
