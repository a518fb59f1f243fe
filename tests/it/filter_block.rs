//! Frames: upstream's `05_filters/01_block.t`, the corrected quirks, and the laws of filters.

use crate::filter_kit::{
    a_fresh_copy_shares_nothing, a_switch_loses_nothing, all, battery, chunks_do_not_matter, cuts, good,
    memory_is_bounded, put,
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use poe::filter::{Block, Filter, FilterError, FilterExt};
use proptest::prelude::*;

fn big_endian() -> Block {
    let encode = |length: usize, out: &mut BytesMut| out.put_u32(length.try_into().unwrap());
    let decode = |mut bytes: &[u8]| Ok((bytes.len() >= 4).then(|| (4, bytes.get_u32() as usize)));
    Block::new().length_codec((encode, decode))
}

fn frames(texts: &[&'static str]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
}

#[test]
fn blocks_of_a_fixed_size() {
    battery(
        Block::fixed(4),
        &[b"12345", b"678"],
        &frames(&["1234", "5678"]),
        frames(&["1234", "5678"]),
        &[b"1234", b"5678"],
    );
    let mut filter = Block::fixed(4);
    filter.feed(b"12345678");
    assert_eq!(filter.next_record().unwrap().unwrap(), "1234");
    assert_eq!(filter.pending(), b"5678");
}

#[test]
fn a_fixed_block_is_put_as_it_is() {
    assert_eq!(put(&mut Block::fixed(4), "12345678"), b"12345678");
    assert_eq!(put(&mut Block::fixed(4), "12"), b"12");
    assert_eq!(put(&mut Block::fixed(4), ""), b"");
}

#[test]
fn blocks_with_their_length_before_them() {
    battery(
        Block::new(),
        &[b"1\0a2\0bc3\0d", b"ef4\0ghij"],
        &frames(&["a", "bc", "def", "ghij"]),
        frames(&["a", "bc", "def", "ghij"]),
        &[b"1\0a", b"2\0bc", b"3\0def", b"4\0ghij"],
    );
}

#[test]
fn a_block_that_comes_in_pieces_waits_for_its_end() {
    let mut filter = Block::new();
    for read in ["1", "0", "\0", "klmno"] {
        assert!(filter.get(read.as_bytes()).is_empty(), "{read:?}");
    }
    // Its header is pending with it, so that the filter can be changed here.
    assert_eq!(filter.pending(), b"10\0klmno");
    assert_eq!(good(&mut filter, &[b"pqrst"]), ["klmnopqrst"]);
}

#[test]
fn a_codec_of_ones_own() {
    battery(
        big_endian(),
        &[b"\0\0\0\x01a\0\0\0\x02bc\0\0\0\x03def\0\0\0", b"\x04ghij"],
        &frames(&["a", "bc", "def", "ghij"]),
        frames(&["a", "bc", "def", "ghij"]),
        &[b"\0\0\0\x01a", b"\0\0\0\x02bc", b"\0\0\0\x03def", b"\0\0\0\x04ghij"],
    );
    let mut filter = big_endian();
    for read in [&b"\0"[..], b"\0", b"\0", b"\x0a", b"klmno"] {
        assert!(filter.get(read).is_empty());
    }
    assert_eq!(good(&mut filter, &[b"pqrst"]), ["klmnopqrst"]);
}

#[test]
fn leading_zeros_and_empty_blocks_are_accepted() {
    assert_eq!(good(&mut Block::new(), &[b"0003\0abc0\x000\0"]), ["abc", "", ""]);
    assert_eq!(put(&mut Block::new(), ""), b"0\0");
    assert_eq!(put(&mut Block::new(), "x".repeat(1234))[..5], *b"1234\0");
}

#[test]
fn settings_that_make_no_sense_are_found() {
    let wrong = [
        Block::new().max_length(10).max_buffer(5),
        Block::new().max_length(10).max_buffer(12),
        Block::new().max_length(0),
        Block::new().max_buffer(0),
        Block::fixed(0),
        Block::fixed(4).max_length(10),
        Block::fixed(4).max_buffer(3),
    ];
    for mut filter in wrong {
        assert!(filter.check().unwrap_err().is_invalid_setting(), "{filter:?}");
        assert!(filter.fresh().check().is_err());
        assert!(filter.get(b"1\0a").remove(0).unwrap_err().is_fatal());
        assert!(filter.put("a".into(), &mut BytesMut::new()).is_err());
    }
    assert!(Block::new().max_length(10).max_buffer(13).check().is_ok());
}

#[test]
fn a_block_that_is_too_long_breaks_the_filter_for_good() {
    let mut filter = Block::new().max_length(10);
    let error = filter.get(b"134\0a bunch of data here").remove(0).unwrap_err();
    assert!(error.is_too_long() && error.is_fatal());
    assert_eq!(error.bytes(), b"134\0");
    // POE delivers it with the next read.
    for _ in 0..3 {
        assert!(filter.get(&[b'x'; 200]).remove(0).unwrap_err().is_fatal());
    }
    assert_eq!(filter.take_pending(), "134\0a bunch of data here");
    assert_eq!(good(&mut filter, &[b"1\0a"]), ["a"]);
}

#[test]
fn a_length_beyond_all_numbers_is_too_long() {
    let records = Block::new().get(b"99999999999999999999999999\0");
    assert!(records[0].as_ref().unwrap_err().is_too_long());
    assert!(
        big_endian().get(b"\xff\xff\xff\xff")[0]
            .as_ref()
            .unwrap_err()
            .is_too_long()
    );
}

#[test]
fn an_overfull_buffer_gives_the_blocks_it_holds_and_then_breaks() {
    let mut filter = Block::new().max_length(5).max_buffer(10);
    let records = all(&mut filter, b"3\0one3\0two5\0three");
    assert_eq!(records[0].as_ref().unwrap(), "one");
    assert_eq!(records[1].as_ref().unwrap(), "two");
    assert_eq!(records.len(), 3);
    let mut filter = Block::new().max_length(5).max_buffer(10);
    assert!(filter.get(b"4\0a bunch of data here")[1].is_err());
    let error = Block::fixed(8)
        .max_buffer(10)
        .get(b"12345678901234")
        .remove(1)
        .unwrap_err();
    assert!(error.is_overflow() && error.is_fatal());
    assert_eq!(error.bytes(), b"90");
}

#[test]
fn junk_before_a_length_is_an_error_and_parsing_goes_on_at_the_next_digit() {
    for cuts in [&[][..], &[1; 30]] {
        let mut filter = Block::new();
        let reads = crate::filter_kit::chunks(b"1\0a<junk>2\0bc12x!3\0def\0", cuts);
        let records: Vec<_> = reads.into_iter().flat_map(|read| all(&mut filter, read)).collect();
        assert_eq!(records.len(), 6);
        assert_eq!(records[0].as_ref().unwrap(), "a");
        assert_eq!(records[1], Err((false, false, "<".into())));
        assert_eq!(records[2].as_ref().unwrap(), "bc");
        assert_eq!(records[3], Err((false, false, "12x".into())));
        assert_eq!(records[4].as_ref().unwrap(), "def");
        assert_eq!(records[5], Err((false, false, "\0".into())));
        assert!(filter.pending().is_empty());
    }
}

#[test]
fn a_codec_may_fail_and_its_error_says_how_much_to_drop() {
    let decode = |bytes: &[u8]| match bytes {
        [] => Ok(None),
        [b'!', ..] => Err(FilterError::custom("shut").fatal()),
        [b'a'..=b'z', ..] => Err(FilterError::custom("no length").with_bytes(bytes[..1].to_vec())),
        [length, ..] => Ok(Some((1, usize::from(*length)))),
    };
    let mut filter = Block::new().length_codec((|_: usize, _: &mut BytesMut| (), decode));
    let records = all(&mut filter, b"\x01Xab\x02YZ!more");
    assert_eq!(records.len(), 5);
    assert_eq!(records[0].as_ref().unwrap(), "X");
    assert_eq!(records[3].as_ref().unwrap(), "YZ");
    assert!(matches!(records[4], Err((true, ..))));
    assert_eq!(filter.take_pending(), "!more");
}

fn filters() -> Vec<Block> {
    vec![
        Block::new(),
        Block::new().max_length(9),
        Block::fixed(1),
        Block::fixed(4),
        big_endian(),
    ]
}

/// Frames, whole or not, among other bytes.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[a-z0-9]{0,12}".prop_map(|text| put(&mut Block::new(), text)),
        "[a-z]{0,8}".prop_map(|text| put(&mut big_endian(), text)),
        prop::collection::vec(prop::sample::select(&b"01239\0\0ab"[..]), 0..4),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn sound_streams() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec("[a-z0-9]{0,12}".prop_map(|text| put(&mut Block::new(), text)), 0..8)
        .prop_map(|frames| frames.concat())
}

proptest! {
    #[test]
    fn chunks_do_not_matter_to_blocks(stream in streams(), cuts in cuts()) {
        for filter in filters() {
            chunks_do_not_matter(&filter, &stream, &cuts)?;
        }
    }

    #[test]
    fn a_switch_of_blocks_loses_nothing(stream in sound_streams(), cuts in cuts(), after in 1..4_usize) {
        for filter in filters() {
            a_switch_loses_nothing(&filter, &stream, &cuts, after)?;
        }
    }

    #[test]
    fn a_fresh_copy_of_a_block_shares_nothing(stream in streams(), other in streams()) {
        for filter in filters() {
            a_fresh_copy_shares_nothing(&filter, &stream, &other)?;
        }
    }

    #[test]
    fn a_blocks_memory_is_bounded(stream in streams(), limit in 1..9_usize, extra in 2..20_usize) {
        memory_is_bounded(&Block::new().max_length(limit).max_buffer(limit + extra), &stream, limit + extra)?;
    }

    #[test]
    fn what_is_put_into_blocks_is_got(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10)) {
        for mut filter in [Block::new(), big_endian()] {
            let wire: Vec<u8> = records.iter().flat_map(|record| put(&mut filter, record.clone())).collect();
            prop_assert_eq!(&good(&mut filter, &[&wire]), &records);
        }
    }
}

#[test]
fn a_codec_that_takes_nothing_does_not_give_frames_for_ever() {
    let nothing = (|_: usize, _: &mut bytes::BytesMut| (), |_: &[u8]| Ok(Some((0, 0))));
    let got = Block::new().length_codec(nothing).get(b"abc");
    assert_eq!(got.len(), 1);
    assert!(got[0].as_ref().is_err_and(|error| error.is_fatal()));
    let lies = (
        |_: usize, _: &mut bytes::BytesMut| (),
        |_: &[u8]| Ok(Some((usize::MAX, usize::MAX))),
    );
    let mut filter = Block::new().length_codec(lies);
    assert!(
        filter
            .get(b"abc")
            .remove(0)
            .is_err_and(|error| error.is_fatal() && error.bytes() == b"abc")
    );
}
