//! A stack of filters that is fed, asked, pushed, popped, shifted, unshifted and switched: the letters of the stream are those
//! of the records given and of what is pending, in order.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use poe::filter::{Block, Filter, Grep, Layer, Line, Map, Raw, Seam, Stackable};

/// A stack has no more layers than this: what is pending is compared after each step, and that costs as much as there are layers.
const LAYERS: usize = 16;

/// Each record is in two halves, and goes out as it is. A single byte stays whole: if it became two records, thirty of these layers would
/// make a milliard of it.
fn halves() -> Map<Bytes> {
    let cut = |record: Bytes| {
        let middle = record.len() / 2;
        let first = (middle > 0).then(|| record.slice(..middle));
        first.into_iter().chain([record.slice(middle..)])
    };
    Map::flat(cut, |record: Bytes| [record])
}

fn layer(kind: u8) -> Layer {
    match kind % 5 {
        0 => Layer::filter(Line::bytes().literal("\n")),
        1 => Layer::filter(Raw::new()),
        2 => Layer::filter(Block::fixed(3)),
        3 => Layer::stage(Grep::code(|_: &Bytes| true)),
        _ => Layer::stage(halves()),
    }
}

fn letters(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(u8::is_ascii_alphabetic).collect()
}

fuzz_target!(|data: &[u8]| {
    let mut stack = Stackable::<Bytes>::new([]);
    let (mut fed, mut given, mut ops) = (Vec::new(), Vec::new(), data.iter().copied());
    while let Some(op) = ops.next() {
        match op % 8 {
            0 | 1 => {
                let text: Vec<u8> = ops
                    .by_ref()
                    .take((op >> 4).into())
                    .map(|byte| b"abcdefg\n"[usize::from(byte % 8)])
                    .collect();
                stack.feed(&text);
                fed.extend(text);
            }
            2 | 3 => {
                for _ in 0..op >> 4 {
                    match stack.next_record().expect("nothing is refused") {
                        Some(record) => given.extend_from_slice(&record),
                        None => break,
                    }
                }
            }
            4 if stack.filters().len() < LAYERS => stack.push(layer(op >> 3)),
            4 => {}
            5 => drop(stack.pop()),
            6 if op & 16 == 0 && stack.filters().len() < LAYERS => stack.unshift(layer(op >> 5)),
            6 => drop(stack.shift()),
            _ => {
                let mut next = Stackable::new([layer(op >> 3), layer(op >> 5)]);
                Seam::new().switch(&mut stack, &mut next);
                assert!(stack.pending().is_empty());
                stack = next;
            }
        }
        assert_eq!([letters(&given), letters(stack.pending())].concat(), letters(&fed));
    }
    given.extend_from_slice(&stack.take_pending());
    assert_eq!(letters(&given), letters(&fed));
});
