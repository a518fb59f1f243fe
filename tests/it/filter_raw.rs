//! The pass-through filter: upstream's `05_filters/08_stream.t`, and the laws that hold for every filter.

use bytes::BytesMut;
use poe::filter::{Filter, FilterExt, Raw};
use proptest::prelude::*;

const FODDER: [&str; 5] = ["a", "bc", "def", "ghij", "klmno"];

fn started() -> Raw {
    let mut filter = Raw::new();
    for bytes in FODDER {
        filter.feed(bytes.as_bytes());
    }
    filter
}

#[test]
fn all_that_is_buffered_is_one_record() {
    let mut filter = started();
    assert_eq!(filter.next_record().unwrap().unwrap(), "abcdefghijklmno");
    assert!(filter.next_record().unwrap().is_none());
    assert!(filter.pending().is_empty());
}

#[test]
fn get_returns_one_record_and_nothing_for_empty_input() {
    let mut filter = Raw::new();
    let records = filter.get(b"abc");
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].as_ref().unwrap(), "abc");
    assert!(filter.get(b"").is_empty());
}

#[test]
fn pending_is_not_drained_by_looking_but_by_taking() {
    let mut filter = started();
    assert_eq!(filter.pending(), b"abcdefghijklmno");
    assert_eq!(filter.pending(), b"abcdefghijklmno");
    assert_eq!(filter.take_pending(), "abcdefghijklmno");
    assert!(filter.pending().is_empty());
    assert!(filter.next_record().unwrap().is_none());
}

#[test]
fn each_record_goes_out_as_it_is() {
    let mut out = BytesMut::new();
    for record in FODDER {
        let before = out.len();
        Raw::new().put(record.into(), &mut out).unwrap();
        assert_eq!(&out[before..], record.as_bytes());
    }
    Raw::new().put("".into(), &mut out).unwrap();
    assert_eq!(&out[..], b"abcdefghijklmno");
}

#[test]
fn a_fresh_copy_has_no_input() {
    let filter = started();
    assert!(filter.fresh().pending().is_empty());
    assert_eq!(filter.pending(), b"abcdefghijklmno");
}

#[test]
fn it_skips_no_byte_and_its_settings_are_always_valid() {
    assert_eq!(started().owed(), None);
    assert!(Raw::new().check().is_ok());
}

proptest! {
    #[test]
    fn no_byte_is_lost_or_doubled(reads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20), ask in any::<u32>()) {
        let mut filter = Raw::new();
        let mut got = Vec::new();
        for (i, read) in reads.iter().enumerate() {
            filter.feed(read);
            if ask >> i & 1 == 1 {
                got.extend(filter.next_record().unwrap().into_iter().flatten());
            }
        }
        got.extend(filter.take_pending());
        prop_assert_eq!(got, reads.concat());
    }
}
