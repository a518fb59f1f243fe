//! Text that is not UTF-8, the default limits, and the size of decoded frames.

use crate::filter_kit::{all, chunks_do_not_matter, cuts, good, put};
use bytes::{Bytes, BytesMut};
use poe::filter::{
    Block, BlockLimits, Cbor, Filter, FilterExt, Json, Line, LineLimits, MsgPack, Reference, ReferenceLimits,
    Serializer, Storable,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

#[test]
fn a_lossy_line_replaces_what_is_not_utf8() {
    let got = good(&mut Line::lossy(), &[b"caf\xe9\r\nna\xc3\xafve\n\xff\n", b"\n"]);
    assert_eq!(got, ["caf\u{fffd}", "na\u{ef}ve", "\u{fffd}", ""]);
    let mut copy = Line::lossy().literal("\n").max_length(9).fresh();
    assert_eq!(good(&mut copy, &[b"\xe9\n"]), ["\u{fffd}"]);
    assert_eq!(put(&mut copy, "t\u{e9}".to_owned()), "t\u{e9}\n".as_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes: `bytes` and `lossy` never fail, and `new` fails where and only where `lossy` replaces.
    #[test]
    fn lines_of_any_bytes(stream in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'a'), any::<u8>()], 0..200), cuts in cuts()) {
        let lines = |filter: Line<Bytes>| filter.literal("\n");
        let raw = good(&mut lines(Line::bytes()), &[&stream]);
        let lossy = good(&mut Line::lossy().literal("\n"), &[&stream]);
        let strict = all(&mut Line::new().literal("\n"), &stream);
        prop_assert_eq!(raw.len(), lossy.len());
        for ((raw, lossy), strict) in raw.iter().zip(&lossy).zip(&strict) {
            prop_assert_eq!(&String::from_utf8_lossy(raw), lossy);
            match strict {
                Ok(text) => prop_assert_eq!(text, lossy),
                Err((fatal, long, bytes)) => prop_assert!(!fatal && !long && bytes == raw && str::from_utf8(raw).is_err()),
            }
        }
        chunks_do_not_matter(&Line::lossy(), &stream, &cuts)?;
    }
}

#[test]
fn the_default_limits_are_those_of_the_documentation() {
    assert_eq!(
        (LineLimits::default().max_length, LineLimits::default().max_buffer),
        (64 << 10, None)
    );
    assert_eq!(
        (BlockLimits::default().max_length, BlockLimits::default().max_buffer),
        (16 << 20, None)
    );
    let limits = ReferenceLimits::default();
    assert_eq!(
        (
            limits.max_frame,
            limits.max_inflated,
            limits.max_items,
            limits.max_depth
        ),
        (16 << 20, 16 << 20, 1 << 20, 128)
    );

    let mut lines = Line::bytes();
    assert_eq!(good(&mut lines, &[&[b'x'; 64 << 10], b"\n"])[0].len(), 64 << 10);
    assert!(lines.get(&[b'x'; (64 << 10) + 1]).remove(0).unwrap_err().is_too_long());
    let mut blocks = Block::new();
    assert!(blocks.get(b"16777216\0").is_empty());
    assert!(blocks.fresh().get(b"16777217\0").remove(0).unwrap_err().is_too_long());
    let mut frames = Reference::new(Json::<u8>::new());
    assert!(frames.get(b"16777216\0").is_empty());
    assert!(frames.fresh().get(b"16777217\0").remove(0).unwrap_err().is_too_long());
}

#[test]
fn a_longer_record_does_not_need_a_longer_buffer_to_be_set() {
    let long = [&[b'x'; 20 << 20][..], b"\n"].concat();
    assert_eq!(
        good(&mut Line::bytes().max_length(20 << 20), &[&long])[0].len(),
        20 << 20
    );
    assert!(Line::new().max_length(usize::MAX).check().is_ok());
    assert!(Block::new().max_length(40 << 20).check().is_ok());
    assert!(Block::new().max_length(usize::MAX).check().is_ok());
    assert!(Block::fixed(usize::MAX).check().is_ok());
    for wrong in [
        ReferenceLimits {
            max_items: 0,
            ..ReferenceLimits::default()
        },
        ReferenceLimits {
            max_depth: 0,
            ..ReferenceLimits::default()
        },
        ReferenceLimits {
            max_frame: 0,
            ..ReferenceLimits::default()
        },
        ReferenceLimits {
            max_buffer: Some(9),
            ..ReferenceLimits::default()
        },
    ] {
        let filter = Reference::new(Json::<u8>::new()).limits(wrong);
        assert!(filter.check().unwrap_err().is_invalid_setting());
    }
}

fn frame(payload: &[u8]) -> Vec<u8> {
    [format!("{}\0", payload.len()).as_bytes(), payload].concat()
}

/// Two values in one frame.
#[test]
fn a_second_value_in_a_frame_is_an_error() {
    fn second<S: Serializer<Record = u32>>(serializer: S, one: &[u8], more: &[u8]) {
        let mut filter = Reference::new(serializer);
        let stream = [frame(&[one, more].concat()), frame(one)].concat();
        let mut got = filter.get(&stream).into_iter();
        let error = got.next().unwrap().unwrap_err();
        assert!(!error.is_fatal() && error.bytes() == [one, more].concat(), "{error}");
        assert_eq!(got.next().unwrap().unwrap(), 1);
    }
    for more in [&b"\x02"[..], b"\x01\x01", b"\xc0"] {
        second(MsgPack::new(), b"\x01", more);
        second(Cbor::new(), b"\x01", more);
        second(Storable::new(), b"\x05\x0b\x08\x81", more);
    }
    second(Json::new(), b"1", b" 2");
}

/// Records of each size that zlib's window and our steps could stumble over, in any cut.
#[test]
fn compressed_data_of_any_size_comes_back() {
    let noise = |length: usize| -> String {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'a' + (state >> 24) as u8 % 26)
        };
        (0..length).map(|_| next()).collect()
    };
    for length in [0, 1, 32_000, 32_765, 32_766, 32_768, 40_000, 65_536, 100_000, 1_000_000] {
        for text in ["x".repeat(length), noise(length)] {
            let mut filter = Reference::new(Json::<String>::new()).compression(true);
            let frame = put(&mut filter, text.clone());
            let mut whole = filter.fresh();
            assert!(good(&mut whole, &[&frame]) == [text.as_str()], "{length}");
            let cut = frame.len() / 3;
            assert!(
                good(&mut filter, &[&frame[..cut], &frame[cut..]]) == [text.as_str()],
                "{length}"
            );
        }
    }
    // Up to the limit, and no further. Two quotation marks are JSON's own.
    let limited = |limit| {
        Reference::new(Json::<String>::new())
            .compression(true)
            .max_inflated(limit)
    };
    for length in [1_000, 32_768, 100_000] {
        let frame = put(&mut limited(1), "y".repeat(length));
        assert_eq!(good(&mut limited(length + 2), &[&frame])[0].len(), length);
        assert!(limited(length + 1).get(&frame).remove(0).unwrap_err().is_too_long());
    }
}

/// Lists in lists, or whatever a format has.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Nested(Vec<Nested>);

fn nested(levels: usize) -> Nested {
    (1..levels).fold(Nested(vec![]), |inner, _| Nested(vec![inner]))
}

/// The limits of a record's size hold for each serializer that has serde's records.
fn is_bounded<S, N>(numbers: S, nests: N)
where
    S: Serializer<Record = Vec<Option<u16>>>,
    N: Serializer<Record = Nested>,
{
    let limits = ReferenceLimits {
        max_items: 100,
        max_depth: 10,
        ..ReferenceLimits::default()
    };
    let mut filter = Reference::new(numbers).limits(limits);
    for (count, fits) in [(99, true), (100, true), (101, false), (5000, false)] {
        let mut out = BytesMut::new();
        // Storable counts the list itself, too.
        let count = if std::any::type_name::<S>().contains("Storable") {
            count - 1
        } else {
            count
        };
        filter.put(vec![None; count], &mut out).unwrap();
        let got = filter.get(&out).remove(0);
        assert_eq!(got.is_ok(), fits, "{count} {}", std::any::type_name::<S>());
        if let Err(error) = got {
            assert!(error.is_too_large() && !error.is_fatal(), "{error:?}");
        }
    }
    let mut filter = Reference::new(nests).limits(limits);
    for (levels, fits) in [(9, true), (10, true), (11, false), (120, false)] {
        let mut out = BytesMut::new();
        if let Err(error) = filter.put(nested(levels), &mut out) {
            // Storable's bound is for both ways.
            assert!(!fits, "{error}");
            continue;
        }
        let got = filter.get(&out).remove(0);
        assert_eq!(got.is_ok(), fits, "{levels} {}", std::any::type_name::<N>());
        if let Err(error) = got {
            assert!(error.is_too_large() && !error.is_fatal(), "{error:?}");
        }
    }
}

#[test]
fn items_and_nesting_are_bounded_for_every_serializer() {
    is_bounded(Json::new(), Json::new());
    is_bounded(MsgPack::new(), MsgPack::new());
    is_bounded(Cbor::new(), Cbor::new());
    let shallow = poe::storable::Settings::new().max_depth(19);
    is_bounded(Storable::new(), Storable::with(shallow));
}

/// One byte of the frame each, and 32 of a `serde_json::Value`.
#[test]
fn a_frame_of_the_maximum_length_makes_no_more_than_a_million_items() {
    let count = 2 << 20;
    let header = |kind: u8| [&[kind][..], &(count as u32).to_be_bytes()].concat();
    let error = |serializer: &dyn Serializer<Record = serde_json::Value>, payload: &[u8]| {
        let error = serializer.thaw(payload, &ReferenceLimits::default()).unwrap_err();
        assert!(error.to_string().contains("1048576 items"), "{error}");
    };
    error(&MsgPack::new(), &[header(0xdd), vec![0xc0; count]].concat());
    error(&Cbor::new(), &[header(0x9a), vec![0xf6; count]].concat());
    error(&Json::new(), format!("[{}0]", "0,".repeat(count)).as_bytes());
    error(&Storable::new(), &[vec![5, 11], header(2), vec![5; count]].concat());
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
enum Shape {
    Unit,
    New(Box<Option<Shape>>),
    Tuple(i64, String),
    Struct {
        map: std::collections::BTreeMap<String, f64>,
        bytes: Vec<u8>,
        nothing: (),
    },
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Unit),
        (any::<i32>(), "[a-z\u{e9}]{0,9}").prop_map(|(n, text)| Shape::Tuple(n.into(), text)),
        (
            prop::collection::btree_map("[a-z]{1,4}", (0..99_i16).prop_map(f64::from), 0..4),
            any::<Vec<u8>>()
        )
            .prop_map(|(map, bytes)| Shape::Struct {
                map,
                bytes,
                nothing: ()
            }),
    ];
    leaf.prop_recursive(4, 16, 1, |inner| {
        prop::option::of(inner).prop_map(|inner| Shape::New(Box::new(inner)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Counting works with all of serde's types.
    #[test]
    fn records_of_all_kinds_come_back(shapes in prop::collection::vec(shape(), 0..4)) {
        fn back<S: Serializer>(serializer: S, record: &S::Record) -> Result<(), TestCaseError>
        where
            S::Record: Debug + PartialEq,
        {
            let bytes = serializer.freeze(record).unwrap();
            prop_assert_eq!(&serializer.thaw(&bytes, &ReferenceLimits::default()).unwrap(), record);
            Ok(())
        }
        back(Json::new(), &shapes)?;
        back(MsgPack::new(), &shapes)?;
        back(Cbor::new(), &shapes)?;
    }
}

#[test]
fn an_error_of_a_custom_filter_says_which_limit_was_exceeded() {
    let error = poe::filter::FilterError::too_long(3, "long".as_bytes());
    assert!(error.is_too_long() && !error.is_fatal());
    assert_eq!(error.to_string(), "the record exceeds the maximum length of 3 bytes");
    assert_eq!(error.bytes(), b"long");
    let error = poe::filter::FilterError::overflow(4, "endl".as_bytes());
    assert!(error.is_overflow() && error.is_fatal());
    assert_eq!(error.to_string(), "the input buffer exceeds its limit of 4 bytes");
}
