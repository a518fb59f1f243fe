//! Law 1 over a whole wheel: wherever reads cut the stream and whenever the filters change, every byte belongs to one record.
//!
//! The stream is a sequence of records, each of which says which filter the next one wants. The handler changes the filter
//! accordingly, or makes another wheel on the same stream; the peer writes in pieces of any size, with and without pauses.

use crate::laws_kit::ms;
use crate::properties::{check, paused_runtime};
use bytes::{Bytes, BytesMut};
use poe::event::START;
use poe::filter::{Block, Filter, Line, Raw};
use poe::testing::assert_no_leaks;
use poe::wheel::{Input, IoError, ReadWrite};
use poe::{Context, Event, HandlerResult, Session};
use proptest::prelude::*;
use std::cell::Cell;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const TEXT: Event<Input<Bytes>> = Event::new("text");
const ERROR: Event<IoError> = Event::new("error");

/// The filters that take turns; each record's first byte names the next one.
const KINDS: [u8; 4] = *b"nbvf";
const FIXED: usize = 5;

fn newline() -> Line<Bytes> {
    Line::bytes()
}

fn bar() -> Line<Bytes> {
    Line::bytes().literal("|:")
}

#[derive(Clone, Debug)]
struct Case {
    /// What the records say beside the kind of the next, and its kind.
    records: Vec<(usize, Vec<u8>)>,
    /// Sizes of the peer's writes, and whether it pauses after them.
    pieces: Vec<(usize, bool)>,
    room: usize,
    block: usize,
    /// Makes a new wheel instead of changing the filter, at every so many records.
    replace_every: usize,
    /// Which newline ends lines.
    newlines: Vec<u8>,
}

fn cases() -> impl Strategy<Value = Case> {
    let record = (
        0..KINDS.len(),
        prop::collection::vec(prop::sample::select(b"ab:|\x00\xff".to_vec()), 0..12),
    );
    (
        prop::collection::vec(record, 1..20),
        prop::collection::vec((1_usize..9, any::<bool>()), 1..20),
        1_usize..40,
        1_usize..20,
        1_usize..6,
        prop::collection::vec(0_u8..4, 1..8),
    )
        .prop_map(|(records, pieces, room, block, replace_every, newlines)| Case {
            records,
            pieces,
            room,
            block,
            replace_every,
            newlines,
        })
}

/// The records as the handlers should see them, and their bytes.
fn wire(case: &Case) -> (Vec<Bytes>, Bytes) {
    let mut out = BytesMut::new();
    let mut expected = Vec::new();
    let mut kind = b'n';
    for (at, (next, text)) in case.records.iter().enumerate() {
        let mut record = vec![KINDS[*next]];
        record.extend(text);
        if kind == b'b' {
            // The terminator must not stand, or begin, in the text.
            record.retain(|byte| *byte != b'|');
        }
        if kind == b'f' {
            record.resize(FIXED, b'.');
        }
        let record = Bytes::from(record);
        match kind {
            b'n' => {
                out.extend_from_slice(&record);
                let newline: &[u8] = match case.newlines[at % case.newlines.len()] {
                    0 => b"\r\n",
                    1 => b"\n\r",
                    2 => b"\n",
                    // A lone CR is a newline, too, unless the next record begins with LF, which none does.
                    _ => b"\r",
                };
                out.extend_from_slice(newline);
            }
            b'b' => bar().put(record.clone(), &mut out).unwrap(),
            b'v' => Block::new().put(record.clone(), &mut out).unwrap(),
            _ => out.extend_from_slice(&record),
        }
        expected.push(record);
        kind = KINDS[*next];
    }
    (expected, out.freeze())
}

#[derive(Default)]
struct Heap {
    wheel: Option<ReadWrite<Bytes>>,
    seen: Vec<Bytes>,
}

fn switch(cx: &mut Context<'_, Heap>, kind: u8, replace: bool, block: usize) -> HandlerResult {
    let Some(wheel) = cx.heap.wheel.take() else {
        return Ok(());
    };
    if replace {
        let parts = wheel.into_parts::<DuplexStream>().expect("it is a duplex stream");
        let builder = ReadWrite::from_parts(parts).error(ERROR).block_size(block);
        let builder = match kind {
            b'n' => builder.input(newline(), TEXT),
            b'b' => builder.input(bar(), TEXT),
            b'v' => builder.input(Block::new(), TEXT),
            _ => builder.input(Block::fixed(FIXED), TEXT),
        };
        cx.heap.wheel = Some(builder.output(Raw::new()).start(cx)?);
        return Ok(());
    }
    match kind {
        b'n' => wheel.set_input_filter(newline(), TEXT),
        b'b' => wheel.set_input_filter(bar(), TEXT),
        b'v' => wheel.set_input_filter(Block::new(), TEXT),
        _ => wheel.set_input_filter(Block::fixed(FIXED), TEXT),
    }?;
    cx.heap.wheel = Some(wheel);
    Ok(())
}

/// Each record is echoed as it came, so that what is put is checked, too, across filters and wheels.
async fn play(case: &Case) -> (Vec<Bytes>, Vec<u8>) {
    let (expected, bytes) = wire(case);
    let (peer, ours) = duplex(case.room);
    let ours = Cell::new(Some(ours));
    let (block, every) = (case.block, case.replace_every);
    let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let out = seen.clone();
    let kernel = poe::testing::kernel();
    Session::builder(Heap::default())
        .on(START, move |cx, ()| -> HandlerResult {
            let io = ours.take().expect("a session starts once");
            let builder = ReadWrite::builder(io)
                .input(newline(), TEXT)
                .output(Raw::new())
                .error(ERROR);
            cx.heap.wheel = Some(builder.block_size(block).start(cx)?);
            Ok(())
        })
        .on(TEXT, move |cx, input| -> HandlerResult {
            let kind = input.record[0];
            cx.heap
                .wheel
                .as_ref()
                .expect("the wheel is there")
                .put(input.record.clone())?;
            cx.heap.seen.push(input.record);
            let replace = cx.heap.seen.len() % every == 0;
            switch(cx, kind, replace, block)
        })
        .on(ERROR, move |cx, error| {
            assert!(error.is_eof(), "{error}");
            out.borrow_mut().append(&mut cx.heap.seen);
            if let Some(wheel) = cx.heap.wheel.take() {
                wheel.close(ms(0));
            }
        })
        .create(&kernel)
        .unwrap();
    let pieces = case.pieces.clone();
    let total: usize = expected.iter().map(Bytes::len).sum();
    let (mut reads, mut writes) = tokio::io::split(peer);
    let echoed = {
        let writing = async {
            let mut rest = &bytes[..];
            for (size, pause) in pieces.iter().cycle() {
                let (piece, after) = rest.split_at((*size).min(rest.len()));
                writes.write_all(piece).await.unwrap();
                rest = after;
                if *pause {
                    tokio::time::sleep(ms(1)).await;
                }
                if rest.is_empty() {
                    break;
                }
            }
            writes.shutdown().await.unwrap();
        };
        let reading = async {
            let mut echoed = Vec::new();
            reads.read_to_end(&mut echoed).await.unwrap();
            echoed
        };
        let all = async { tokio::join!(kernel.run(), writing, reading) };
        let (ran, (), echoed) = tokio::time::timeout(ms(600_000), all).await.expect("it ends");
        ran.unwrap();
        echoed
    };
    assert_no_leaks(&kernel);
    assert_eq!(echoed.len(), total);
    (seen.take(), echoed)
}

#[test]
fn law_1_no_byte_is_lost_or_doubled_by_a_change_of_filters_or_wheels() {
    check(300, cases(), |case| {
        let (expected, _) = wire(&case);
        let (seen, echoed) = paused_runtime().block_on(play(&case));
        prop_assert_eq!(&seen, &expected);
        prop_assert_eq!(echoed, expected.concat());
        Ok(())
    });
}
