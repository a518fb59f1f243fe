//! Any bytes as the payload of a frame, for each serializer: no panic, no more items and levels than the limits allow, no
//! second value; and what was read comes back. The same bytes as text come back compressed, whatever their size.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use poe::filter::{Cbor, Filter, FilterExt, Json, MsgPack, Reference, ReferenceLimits, Serializer, Storable};
use serde_json::Value;

const ITEMS: usize = 300;
const DEPTH: usize = 20;

fn items(value: &Value) -> usize {
    match value {
        Value::Array(list) => list.iter().map(|item| 1 + items(item)).sum(),
        Value::Object(map) => map.values().map(|item| 2 + items(item)).sum(),
        _ => 0,
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&mode, payload)) = data.split_first() else {
        return;
    };
    match mode % 8 {
        0 | 1 => read(Json::new(), payload),
        2 | 3 => read(MsgPack::new(), payload),
        4 | 5 => read(Cbor::new(), payload),
        6 => read(Storable::new(), payload),
        _ => inflated(payload),
    }
});

fn read<S: Serializer<Record = Value>>(serializer: S, payload: &[u8]) {
    let limits = ReferenceLimits {
        max_items: ITEMS,
        max_depth: DEPTH,
        ..ReferenceLimits::default()
    };
    let mut filter = Reference::new(serializer).limits(limits);
    let frame = [format!("{}\0", payload.len()).as_bytes(), payload].concat();
    let Ok(value) = filter.get(&frame).remove(0) else {
        return;
    };
    // What Storable shares is counted by its memory.
    if !std::any::type_name::<S>().contains("Storable") {
        assert!(items(&value) <= ITEMS && depth(&value) <= DEPTH);
        for more in [&b"0"[..], b"\x00", payload] {
            let longer = [payload, b" ", more].concat();
            let frame = [format!("{}\0", longer.len()).as_bytes(), &longer].concat();
            assert!(filter.get(&frame).remove(0).is_err(), "a second value is an error");
        }
    }
    let mut out = BytesMut::new();
    if filter.put(value.clone(), &mut out).is_ok()
        && let Ok(back) = filter.get(&out).remove(0)
    {
        assert_eq!(items(&back), items(&value));
    }
}

fn inflated(payload: &[u8]) {
    let [times, text @ ..] = payload else { return };
    let text = String::from_utf8_lossy(text).repeat(usize::from(*times) + 1);
    let limits = ReferenceLimits {
        max_inflated: 100_000,
        ..ReferenceLimits::default()
    };
    let mut filter = Reference::new(MsgPack::<String>::new())
        .compression(true)
        .limits(limits);
    let mut out = BytesMut::new();
    filter.put(text.clone(), &mut out).expect("text has a form");
    match filter.get(&out).remove(0) {
        Ok(back) => assert_eq!(back, text),
        Err(error) => assert!(error.is_too_long() && text.len() > 99_990),
    }
}
