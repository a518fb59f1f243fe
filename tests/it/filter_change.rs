//! Changing filters in the middle of a stream: upstream's `05_filters/99_filterchange.t`, all sixteen switches among
//! lines, streams, references and blocks; and that a switch at any byte loses nothing.

use crate::filter_kit::{chunks, cuts, good, put};
use bytes::Bytes;
use poe::event::START;
use poe::filter::{Block, Filter, FilterError, FilterExt, Json, Line, Raw, Reference, Seam};
use poe::wheel::{Input, ReadWrite};
use poe::{Context, Event, Session, SessionBuilder};
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;
use tokio::io::{DuplexStream, duplex};

const INPUT: Event<Input<Bytes>> = Event::new("input");
const NEXT: Event<()> = Event::new("next");

/// The client's script: `do MODE` switches both ends, the rest is answered in the current mode.
const HANDSHAKES: [&str; 33] = [
    "do line",
    "rot13 1 kyriel",
    "do stream",
    "rot13 2 addi",
    "do stream",
    "rot13 3 attyz",
    "do line",
    "rot13 4 crimson",
    "do reference",
    "rot13 5 crysflame",
    "do reference",
    "rot13 6 dngor",
    "do line",
    "rot13 7 freeside",
    "do block",
    "rot13 8 halfjack",
    "do block",
    "rot13 9 lenzo",
    "do stream",
    "rot13 10 mendel",
    "do reference",
    "rot13 11 purl",
    "do block",
    "rot13 12 roderick",
    "do reference",
    "rot13 13 shizukesa",
    "do stream",
    "rot13 14 simon",
    "do block",
    "rot13 15 sky",
    "do line",
    "rot13 16 stimps",
    "done",
];

/// The same without raw streams, which take all bytes, also those for the next filter.
const GLUED: [&str; 19] = [
    "do line",
    "kyriel",
    "do reference",
    "coral",
    "do reference",
    "drforr",
    "do block",
    "fimmtiu",
    "do block",
    "sungo",
    "do reference",
    "dynweb",
    "do line",
    "sky",
    "do block",
    "braderuna",
    "do line",
    "caf\u{e9}",
    "done",
];

/// Frozen strings, as bytes like all the others.
fn reference() -> impl Filter<Input = Bytes, Output = Bytes> {
    Reference::new(Json::<String>::new()).map(Bytes::from, |bytes: Bytes| {
        String::from_utf8(bytes.to_vec()).expect("it is text")
    })
}

#[derive(Default)]
struct End {
    wheel: Option<ReadWrite<Bytes>>,
    step: usize,
}

fn switch(wheel: &ReadWrite<Bytes>, mode: &str) -> Result<(), FilterError> {
    match mode {
        "line" => wheel.set_filter(Line::bytes(), INPUT),
        "stream" => wheel.set_filter(Raw::new(), INPUT),
        "block" => wheel.set_filter(Block::new(), INPUT),
        "reference" => wheel.set_filter(reference(), INPUT),
        other => panic!("no mode {other}"),
    }
}

fn rot13(text: &str) -> String {
    let turn = |c: char, a: u8| char::from((c as u8 - a + 13) % 26 + a);
    text.chars()
        .map(|c| match c {
            'a'..='z' => turn(c, b'a'),
            'A'..='Z' => turn(c, b'A'),
            c => c,
        })
        .collect()
}

fn text(input: &Input<Bytes>) -> String {
    String::from_utf8(input.record.to_vec()).unwrap()
}

fn end(io: DuplexStream) -> SessionBuilder<End> {
    let io = RefCell::new(Some(io));
    Session::builder(End::default()).on(START, move |cx, ()| -> poe::HandlerResult {
        let io = io.take().expect("a session starts once");
        cx.heap.wheel = Some(ReadWrite::builder(io).input(Line::bytes(), INPUT).start(cx)?);
        cx.yield_to(NEXT, ());
        Ok(())
    })
}

fn wheel<'a>(cx: &'a Context<'_, End>) -> &'a ReadWrite<Bytes> {
    cx.heap.wheel.as_ref().expect("the wheel is there")
}

#[tokio::test(start_paused = true)]
async fn two_ends_switch_together() {
    let kernel = poe::testing::kernel();
    let (near, far) = duplex(1024);
    end(far)
        .on(NEXT, |_, ()| ())
        .on(INPUT, |cx, input| -> poe::HandlerResult {
            let said = text(&input);
            if let Some(mode) = said.strip_prefix("do ") {
                wheel(cx).put(Bytes::from(format!("will {mode}")))?;
                switch(wheel(cx), mode)?;
            } else if let Some(rest) = said.strip_prefix("rot13 ") {
                let (_, word) = rest.split_once(' ').unwrap();
                wheel(cx).put(Bytes::from(format!("{rest}={}", rot13(word))))?;
            } else {
                assert_eq!(said, "done");
                cx.heap.wheel.take().unwrap().close(std::time::Duration::ZERO);
            }
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    let answers = Rc::new(RefCell::new(Vec::new()));
    let seen = answers.clone();
    end(near)
        .on(NEXT, |cx, ()| -> poe::HandlerResult {
            let line = HANDSHAKES[cx.heap.step];
            cx.heap.step += 1;
            wheel(cx).put(Bytes::from(line))?;
            if line == "done" {
                cx.heap.wheel.take().unwrap().close(std::time::Duration::ZERO);
            }
            Ok(())
        })
        .on(INPUT, move |cx, input| -> poe::HandlerResult {
            let said = text(&input);
            if let Some(mode) = said.strip_prefix("will ") {
                switch(wheel(cx), mode)?;
            }
            seen.borrow_mut().push(said);
            cx.yield_to(NEXT, ());
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(60), kernel.run())
        .await
        .expect("it ends")
        .unwrap();
    let expected = HANDSHAKES[..HANDSHAKES.len() - 1]
        .iter()
        .map(|line| match line.split_once(' ').unwrap() {
            ("do", mode) => format!("will {mode}"),
            (_, rest) => format!("{rest}={}", rot13(rest.split_once(' ').unwrap().1)),
        });
    assert_eq!(*answers.borrow(), expected.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn one_stream_in_many_filters_is_taken_apart_by_as_many() {
    let kernel = poe::testing::kernel();
    // Small enough for reads to end anywhere, and large enough to hold several records.
    let (near, far) = duplex(37);
    end(near)
        .on(NEXT, |cx, ()| -> poe::HandlerResult {
            for line in GLUED {
                wheel(cx).put(Bytes::from(line))?;
                match line.strip_prefix("do ") {
                    Some("line") => wheel(cx).set_output_filter(Line::bytes())?,
                    Some("block") => wheel(cx).set_output_filter(Block::new())?,
                    Some(_) => wheel(cx).set_output_filter(reference())?,
                    None => {}
                }
            }
            let wheel = cx.heap.wheel.take().unwrap();
            wheel.close(std::time::Duration::ZERO);
            Ok(())
        })
        .on(INPUT, |_, _| panic!("nobody answers"))
        .create(&kernel)
        .unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let records = seen.clone();
    end(far)
        .on(NEXT, |_, ()| ())
        .on(INPUT, move |cx, input| -> poe::HandlerResult {
            let said = text(&input);
            if let Some(mode) = said.strip_prefix("do ") {
                switch(wheel(cx), mode)?;
            }
            let done = said == "done";
            records.borrow_mut().push(said);
            if done {
                drop(cx.heap.wheel.take());
            }
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(60), kernel.run())
        .await
        .expect("it ends")
        .unwrap();
    assert_eq!(*seen.borrow(), GLUED);
}

#[test]
fn a_whole_record_and_a_part_of_one() {
    let mut line = Line::new();
    assert_eq!(good(&mut line, &[b"whole line\x0D\x0Apartial line"]), ["whole line"]);
    assert_eq!(line.pending(), b"partial line");
    let mut block = Block::fixed(64);
    let bytes = [&[b'w'; 64][..], b"partial block"].concat();
    assert_eq!(good(&mut block, &[&bytes]), [vec![b'w'; 64]]);
    assert_eq!(block.pending(), b"partial block");
    assert_eq!(block.take_pending(), "partial block");
    assert!(block.pending().is_empty());
}

/// The filter that a record is put with, and the one that reads it.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Line,
    Block,
    Fixed,
}

impl Mode {
    fn put(self, record: &str) -> Vec<u8> {
        match self {
            Mode::Line => put(&mut Line::bytes(), record.to_owned()),
            Mode::Block => put(&mut Block::new(), record.to_owned()),
            Mode::Fixed => put(&mut Block::fixed(4), format!("{record:4.4}")),
        }
    }
}

enum Now {
    Line(Line<Bytes>),
    Block(Block),
}

impl Now {
    fn new(mode: Mode) -> Self {
        match mode {
            Mode::Line => Now::Line(Line::bytes()),
            Mode::Block => Now::Block(Block::new()),
            Mode::Fixed => Now::Block(Block::fixed(4)),
        }
    }

    fn filter(&mut self) -> &mut dyn Parse {
        match self {
            Now::Line(line) => line,
            Now::Block(block) => block,
        }
    }
}

trait Parse {
    fn start(&mut self, bytes: &[u8]);
    fn one(&mut self) -> Option<Bytes>;
    fn follow(&mut self, seam: &mut Seam, next: &mut Now);
}

impl<F: Filter<Input = Bytes>> Parse for F {
    fn start(&mut self, bytes: &[u8]) {
        self.feed(bytes);
    }

    fn one(&mut self) -> Option<Bytes> {
        self.next_record().unwrap()
    }

    fn follow(&mut self, seam: &mut Seam, next: &mut Now) {
        match next {
            Now::Line(next) => seam.switch(self, next),
            Now::Block(next) => seam.switch(self, next),
        }
    }
}

fn modes() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![Mode::Line, Mode::Block, Mode::Fixed])
}

proptest! {
    /// Every record has a separate filter, the reads end anywhere, and each record comes out unchanged.
    #[test]
    fn a_filter_for_each_record(records in prop::collection::vec((modes(), "[a-z\t]{0,9}"), 1..12), cuts in cuts()) {
        let wire: Vec<u8> = records.iter().flat_map(|(mode, record)| mode.put(record)).collect();
        let expected: Vec<Vec<u8>> = records
            .iter()
            .map(|(mode, record)| match mode {
                Mode::Fixed => format!("{record:4.4}").into_bytes(),
                _ => record.clone().into_bytes(),
            })
            .collect();
        let (mut seam, mut seen) = (Seam::new(), Vec::new());
        let mut now = Now::new(records[0].0);
        for read in chunks(&wire, &cuts) {
            let read = seam.trim(read);
            now.filter().start(read);
            while let Some(record) = now.filter().one() {
                seen.push(record.to_vec());
                let Some((mode, _)) = records.get(seen.len()) else { break };
                let mut next = Now::new(*mode);
                now.filter().follow(&mut seam, &mut next);
                now = next;
            }
        }
        prop_assert_eq!(seen, expected);
    }
}
