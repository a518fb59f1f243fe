//! Frozen data: upstream's `05_filters/07_reference.t` and `51_reference_die.t`, errors in the stream, limits,
//! the laws of filters, and every serializer both ways.

use crate::filter_kit::{
    a_fresh_copy_shares_nothing, a_switch_loses_nothing, battery, chunks_do_not_matter, cuts, good, memory_is_bounded,
    put,
};
use bytes::BytesMut;
use poe::filter::{
    Cbor, Filter, FilterError, FilterExt, Json, MsgPack, Reference, ReferenceLimits, Serializer, Storable,
};
use poe::storable::{Settings, Value};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::error::Error;

type Cause = Box<dyn Error + Send + Sync>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Thing {
    Scalar(String),
    Package(Vec<i64>),
}

fn things() -> Vec<Thing> {
    vec![
        Thing::Scalar("this is a test".to_owned()),
        Thing::Package(vec![1, 1, 2, 3, 5]),
    ]
}

/// Upstream's serializer: parts joined by NULs, in reverse.
struct Backwards;

impl Serializer for Backwards {
    type Record = Thing;

    fn freeze(&self, thing: &Thing) -> Result<Vec<u8>, Cause> {
        let text = match thing {
            Thing::Scalar(text) => format!("SCALAR\0{text}"),
            Thing::Package(items) => {
                let items: Vec<String> = items.iter().map(i64::to_string).collect();
                format!("Package\0{}", items.join("\0"))
            }
        };
        Ok(text.bytes().rev().collect())
    }

    fn thaw(&self, bytes: &[u8], _: &ReferenceLimits) -> Result<Thing, Cause> {
        let text = String::from_utf8(bytes.iter().rev().copied().collect())?;
        match text.split_once('\0') {
            Some(("SCALAR", text)) => Ok(Thing::Scalar(text.to_owned())),
            Some(("Package", items)) => Ok(Thing::Package(
                items.split('\0').map(str::parse).collect::<Result<_, _>>()?,
            )),
            _ => Err("a type that is unknown".into()),
        }
    }
}

fn freezes_and_thaws<S: Serializer<Record = Thing>>(make: impl Fn() -> S) {
    for compression in [false, true] {
        let mut filter = Reference::new(make()).compression(compression);
        let frames: Vec<u8> = things().into_iter().flat_map(|thing| put(&mut filter, thing)).collect();
        assert_eq!(good(&mut filter, &[&frames]), things());
        assert!(filter.pending().is_empty());
    }
}

#[test]
fn each_serializer_with_and_without_compression() {
    freezes_and_thaws(|| Backwards);
    freezes_and_thaws(Storable::new);
    freezes_and_thaws(Json::new);
    freezes_and_thaws(MsgPack::new);
    freezes_and_thaws(Cbor::new);
}

#[test]
fn the_common_interface() {
    let frames: [&[u8]; 2] = [b"3\0[1]", b"5\0[2,3]"];
    battery(
        Reference::new(Json::<Vec<u8>>::new()),
        &[b"3\0[", b"1]5\0[2,3]"],
        &[vec![1], vec![2, 3]],
        vec![vec![1], vec![2, 3]],
        &frames,
    );
}

#[test]
fn frames_are_those_of_perl() {
    let mut filter = Reference::new(Storable::<BTreeMap<String, i32>>::new());
    let record = BTreeMap::from([("a".to_owned(), 1)]);
    let frame = b"14\0\x05\x0b\x03\0\0\0\x01\x08\x81\0\0\0\x01a";
    assert_eq!(put(&mut filter, record.clone()), frame);
    assert_eq!(good(&mut filter, &[frame]).pop().as_ref(), Some(&record));
    // A length may have leading zeros.
    assert_eq!(
        good(&mut filter, &[b"00014", &frame[2..]]),
        std::slice::from_ref(&record)
    );
    let mut filter = filter.fresh().compression(true);
    let perl = b"19\0\x78\x9c\x63\xe5\x66\x66\x60\x60\x60\xe4\x68\x04\x91\x89\x00\x04\xb0\x01\x00";
    assert_eq!(good(&mut filter, &[perl]), [record]);
}

#[test]
fn what_is_pending_can_be_read_again() {
    let mut filter = Reference::new(Storable::<Vec<u8>>::new());
    let frame = put(&mut filter, vec![2, 4, 6]);
    filter.feed(&frame);
    let pending = filter.pending().to_vec();
    assert_eq!(good(&mut filter, &[&pending]), [[2, 4, 6], [2, 4, 6]]);
}

#[test]
fn compression_makes_it_another_and_a_shorter_frame() {
    let record = vec!["honk honk honk honk".to_owned()];
    let plain = put(&mut Reference::new(Storable::<Vec<String>>::new()), record.clone());
    let short = put(
        &mut Reference::new(Storable::<Vec<String>>::new()).compression(true),
        record.clone(),
    );
    assert!(plain.len() > short.len());
    assert_eq!(put(&mut Reference::new(Storable::<Vec<String>>::new()), record), plain);
}

#[test]
fn a_bad_payload_is_an_error_in_its_place() {
    for compression in [false, true] {
        let mut filter = Reference::new(Storable::<Value>::new()).compression(compression);
        let frame = put(&mut filter, Value::from(7));
        let stream = [&frame, &b"12\x00123456789012"[..], b"0\0", &frame].concat();
        let mut records = filter.get(&stream).into_iter();
        assert_eq!(records.next().unwrap().unwrap().as_i64(), Some(7));
        let error = records.next().unwrap().unwrap_err();
        assert!(!error.is_fatal() && error.bytes() == b"123456789012" && error.source().is_some());
        assert!(!records.next().unwrap().unwrap_err().is_fatal());
        assert_eq!(records.next().unwrap().unwrap().as_i64(), Some(7));
        assert!(records.next().is_none());
    }
}

#[test]
fn more_than_the_buffer_may_hold_is_fatal() {
    let mut filter = Reference::new(Storable::<Value>::new()).max_buffer(10);
    let error = filter.get(b"12\x00123456789012").remove(0).unwrap_err();
    assert!(
        error.is_fatal() && (error.is_overflow() || error.is_too_long()),
        "{error}"
    );
    let mut filter = filter.fresh();
    let error = filter.get(b"7\0").pop();
    assert!(error.is_none(), "a frame of ten bytes has its place");
    for small in [0, 1, 2] {
        let filter = Reference::new(Storable::<Value>::new()).max_buffer(small);
        assert!(filter.check().unwrap_err().is_invalid_setting(), "{small}");
    }
    assert!(Reference::new(Backwards).max_inflated(0).check().is_err());
    assert!(Reference::new(Backwards).max_buffer(usize::MAX).check().is_ok());
}

#[test]
fn junk_is_an_error_and_does_not_stall() {
    let mut filter = Reference::new(Json::<u8>::new());
    let records = filter.get(b"junk 1\x007-1\x008");
    let records: Vec<Option<u8>> = records.into_iter().map(Result::ok).collect();
    assert_eq!(records, [None, Some(7), None, Some(8)]);
}

/// A kilobyte that would be a megabyte is refused, having cost no more than the limit.
#[test]
fn an_inflation_is_bounded() {
    let mut filter = Reference::new(Json::<String>::new())
        .compression(true)
        .max_inflated(1000);
    let bomb = put(&mut filter, "x".repeat(1_000_000));
    let fits = put(&mut filter, "x".repeat(998));
    let over = put(&mut filter, "x".repeat(999));
    let mut records = filter.get(&[bomb, fits, over].concat()).into_iter();
    let error = records.next().unwrap().unwrap_err();
    assert!(error.is_too_long() && !error.is_fatal() && error.bytes().len() > 900);
    assert_eq!(records.next().unwrap().unwrap().len(), 998);
    assert!(records.next().unwrap().unwrap_err().is_too_long());
}

/// A zlib stream that is cut, or followed by something, at each byte.
#[test]
fn a_cut_zlib_stream_is_an_error() {
    let mut filter = Reference::new(Json::<String>::new()).compression(true);
    let frame = put(&mut filter, "some text, some text".to_owned());
    let payload = &frame[frame.iter().position(|&byte| byte == 0).unwrap() + 1..];
    for length in 0..payload.len() {
        let cut = [format!("{length}\0").as_bytes(), &payload[..length]].concat();
        let error = filter.get(&cut).remove(0).unwrap_err();
        assert!(!error.is_fatal(), "{length}");
    }
    let longer = [format!("{}\0", payload.len() + 3).as_bytes(), payload, b"abc"].concat();
    let error = filter.get(&longer).remove(0).unwrap_err();
    assert!(!error.is_fatal() && error.to_string().contains("follow"), "{error}");
}

/// `51_reference_die`: data that the serializer rejects is an error, and nothing dies.
#[test]
fn the_serializer_refuses_to_thaw() {
    let mut filter = Reference::new(Backwards);
    assert_eq!(good(&mut filter, &[b"8\0x\0RALACS"]), [Thing::Scalar("x".to_owned())]);
    for refused in [&b"5\0other"[..], b"1\0\xff", b"9\0x\0egakcaP"] {
        let error = filter.get(refused).remove(0).unwrap_err();
        assert!(!error.is_fatal() && error.bytes() == &refused[2..], "{error}");
    }
    assert_eq!(good(&mut filter, &[b"8\0x\0RALACS"]).len(), 1);
}

#[test]
fn a_value_that_cannot_be_frozen_leaves_nothing_in_the_output() {
    let mut filter = Reference::new(Json::<BTreeMap<Vec<u8>, u8>>::new());
    let mut out = BytesMut::from("before");
    let error: FilterError = filter.put(BTreeMap::from([(vec![1], 1)]), &mut out).unwrap_err();
    assert!(!error.is_fatal() && &out[..] == b"before");
    assert!(format!("{filter:?}").contains("Json"));
}

/// A record of anything that the serializers must keep.
#[test]
fn the_source_of_an_error_is_the_serializers() {
    let cause = |error: &FilterError| error.source().unwrap().downcast_ref::<poe::storable::Error>().is_some();
    let mut filter = Reference::new(Storable::<u8>::new());
    let error = filter.get(b"3\0\x05\x0b\x1a").remove(0).unwrap_err();
    assert!(cause(&error) && !error.is_too_large(), "{error}");
    let mut filter = Reference::new(Storable::<Value>::with(Settings::new().max_items(1)));
    let error = filter.get(b"8\0\x05\x0b\x02\0\0\0\x01\x05").remove(0).unwrap_err();
    assert!(cause(&error) && error.is_too_large(), "{error}");
}

/// An envelope whose event is typed, and whose parameters are what Perl sent.
#[test]
fn a_record_may_have_a_value_inside() {
    #[derive(Serialize, Deserialize)]
    struct Message {
        event: String,
        params: Value,
    }
    let mut filter = Reference::new(Storable::<Message>::new());
    let params = Value::hash([("x", 3.into())]).bless("Point");
    let event = "move".to_owned();
    let frame = put(&mut filter, Message { event, params });
    let message = filter.get(&frame).remove(0).unwrap();
    assert_eq!(
        (message.event.as_str(), message.params.class().as_deref()),
        ("move", Some("Point"))
    );
}

#[path = "../../crates/perl-storable/tests/records/mod.rs"]
mod records;

use records::{Record, record};

fn comes_back<S: Serializer<Record = Record>>(serializer: S, records: &[Record]) -> Result<(), TestCaseError> {
    let plain = Reference::new(serializer);
    for mut filter in [plain.fresh(), plain.fresh().compression(true)] {
        let frames: Vec<u8> = records
            .iter()
            .cloned()
            .flat_map(|record| put(&mut filter, record))
            .collect();
        prop_assert_eq!(&good(&mut filter, &[&frames]), records);
    }
    Ok(())
}

/// Frames, bad payloads and junk.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..3).prop_map(|record| {
            let text = serde_json::to_vec(&record).unwrap();
            [format!("{}\0", text.len()).as_bytes(), &text].concat()
        }),
        1 => prop::collection::vec(any::<u8>(), 0..6),
        1 => Just(b"3\0bad".to_vec()),
        1 => Just(b"99\0".to_vec()),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

fn limited() -> Reference<Json<Vec<u8>>> {
    Reference::new(Json::new()).max_buffer(500)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn records_come_back(records in prop::collection::vec(record(), 0..3)) {
        comes_back(Storable::new(), &records)?;
        comes_back(Storable::with(Settings::new().canonical(true)), &records)?;
        comes_back(MsgPack::new(), &records)?;
        comes_back(Cbor::new(), &records)?;
        // JSON's reader is not exact to the last bit unless asked for, and that is a feature of its own.
        let whole: Vec<Record> =
            records.into_iter().map(|record| Record { float: record.small.into(), narrow: 0.5, ..record }).collect();
        comes_back(Json::new(), &whole)?;
    }

    #[test]
    fn cuts_do_not_matter(stream in stream(), cuts in cuts()) {
        chunks_do_not_matter(&limited(), &stream, &cuts)?;
    }

    #[test]
    fn switches_lose_nothing(cuts in cuts(), after in 1..4_usize) {
        let stream = b"3\0[1]5\0[2,3]3\0bad2\0[]0000003\0[9]7\0[1,2,3]";
        a_switch_loses_nothing(&limited(), stream, &cuts, after)?;
    }

    #[test]
    fn copies_share_nothing(stream in stream(), other in stream()) {
        a_fresh_copy_shares_nothing(&limited(), &stream, &other)?;
    }

    #[test]
    fn bounded(stream in stream()) {
        memory_is_bounded(&limited(), &stream, 500)?;
    }

    #[test]
    fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..200), compression: bool) {
        fn try_it<S: Serializer>(serializer: S, compression: bool, payload: &[u8]) {
            let frame = [format!("{}\0", payload.len()).as_bytes(), payload].concat();
            assert_eq!(Reference::new(serializer).compression(compression).get(&frame).len(), 1);
        }
        try_it(Storable::<Value>::new(), compression, &payload);
        try_it(Storable::<Record>::new(), compression, &payload);
        try_it(MsgPack::<serde_json::Value>::new(), compression, &payload);
        try_it(Cbor::<serde_json::Value>::new(), compression, &payload);
        try_it(Json::<serde_json::Value>::new(), compression, &payload);
    }
}
