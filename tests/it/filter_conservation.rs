//! The input bytes are those of the delivered records and the pending ones, in order: for every filter, chain and
//! stack, for every sequence of feed, get, push, pop, shift, unshift and switch, also when a record was used in part.
//!
//! The streams have letters and the framing of filters: newlines, and lengths of blocks. Only the letters are compared.

use crate::filter_kit::{cuts, put};
use crate::laws_kit::{said, say};
use bytes::Bytes;
use poe::Event;
use poe::event::START;
use poe::filter::{
    Block, ByteStage, Filter, FilterError, FilterExt, Grep, Layer, Line, Map, Raw, RecordBlock, Seam, Stackable, Stage,
};
use poe::wheel::{Input, IoError, ReadWrite};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::rc::Rc;
use tokio::io::{AsyncWriteExt, DuplexStream};

fn letters(bytes: &[u8]) -> String {
    bytes
        .iter()
        .filter(|b| b.is_ascii_alphabetic())
        .map(|b| char::from(*b))
        .collect()
}

/// Each record becomes two of its halves, and goes out as it is.
fn halves() -> Map<Bytes> {
    Map::flat(
        |record: Bytes| {
            let middle = record.len() / 2;
            [record.slice(..middle), record.slice(middle..)]
        },
        |record: Bytes| [record],
    )
}

/// A part of a stack: a layer, or two that belong together.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Line,
    Stream,
    Fixed,
    All,
    Halves,
    /// Records in pairs, which are taken apart again. The stack does not fit while one of the two is gone.
    Pairs,
    /// Lines as text, which are bytes again.
    Text,
    /// Filters that are made of filters: chains, and stacks.
    LinesOfStream,
    LinesOfFixed,
    FixedOfLines,
    HalvesOfLines,
    LinesOfBlocks,
    StackOfLines,
    EmptyStack,
}

impl Kind {
    fn layers(self) -> Vec<Layer> {
        let lines = || Line::bytes().literal("\n");
        let layer = match self {
            Kind::Line => Layer::filter(lines()),
            Kind::Stream => Layer::filter(Raw::new()),
            Kind::Fixed => Layer::filter(Block::fixed(3)),
            Kind::All => Layer::stage(Grep::code(|_: &Bytes| true)),
            Kind::Halves => Layer::stage(halves()),
            Kind::LinesOfStream => Layer::filter(Raw::new().then(ByteStage(lines()))),
            Kind::LinesOfFixed => Layer::filter(Block::fixed(3).then(ByteStage(lines()))),
            Kind::FixedOfLines => Layer::filter(lines().then(ByteStage(Block::fixed(2)))),
            Kind::HalvesOfLines => Layer::filter(lines().then(halves())),
            Kind::LinesOfBlocks => Layer::filter(Raw::new().then(ByteStage(Block::fixed(5))).then(ByteStage(lines()))),
            Kind::StackOfLines => Layer::filter(Stackable::<Bytes>::new([
                Layer::filter(Block::fixed(4)),
                Layer::filter(lines()),
            ])),
            Kind::EmptyStack => Layer::filter(Stackable::<Bytes>::new([])),
            Kind::Pairs => {
                let apart = Map::flat(|pair: Vec<Bytes>| pair, |record: Bytes| [vec![record]]);
                return vec![Layer::stage(RecordBlock::<Bytes>::new(2)), Layer::stage(apart)];
            }
            Kind::Text => {
                let encode = |record: Bytes| String::from_utf8_lossy(&record).into_owned();
                let text = Line::new().literal("\n");
                return vec![
                    Layer::filter(text),
                    Layer::stage(Map::new(|line: String| Bytes::from(line), encode)),
                ];
            }
        };
        vec![layer]
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        6 => prop::sample::select(vec![Kind::Line, Kind::Stream, Kind::Fixed, Kind::All, Kind::Halves]),
        1 => prop::sample::select(vec![Kind::Pairs, Kind::Text]),
        2 => prop::sample::select(vec![
            Kind::LinesOfStream,
            Kind::LinesOfFixed,
            Kind::FixedOfLines,
            Kind::HalvesOfLines,
            Kind::LinesOfBlocks,
            Kind::StackOfLines,
            Kind::EmptyStack,
        ]),
    ]
}

#[derive(Clone, Debug)]
enum Op {
    Feed(usize),
    Get(usize),
    Push(Kind),
    Pop,
    Shift,
    Unshift(Kind),
    /// The pending bytes go to a new stack.
    Switch(Vec<Kind>),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..9_usize).prop_map(Op::Feed),
        4 => (1..4_usize).prop_map(Op::Get),
        1 => Just(Op::Get(usize::MAX)),
        2 => kind().prop_map(Op::Push),
        2 => Just(Op::Pop),
        1 => Just(Op::Shift),
        1 => kind().prop_map(Op::Unshift),
        1 => prop::collection::vec(kind(), 0..4).prop_map(Op::Switch),
    ]
}

/// The letters in blocks with their lengths.
fn framed(stream: &str, frames: &[usize]) -> Vec<u8> {
    let chunks = crate::filter_kit::chunks(stream.as_bytes(), frames);
    chunks
        .into_iter()
        .flat_map(|frame| put(&mut Block::new(), frame.to_vec()))
        .collect()
}

#[test]
fn a_stack_loses_and_doubles_nothing() {
    let programs = (
        "[a-z\n]{0,80}",
        prop::option::of(prop::collection::vec(0..9_usize, 0..20)),
        prop::collection::vec(kind(), 0..4),
        prop::collection::vec(op(), 0..50),
    );
    crate::properties::check(500, programs, |(text, frames, layers, ops)| {
        stack_conserves(&text, frames, layers, ops)
    });
}

fn stack_conserves(
    text: &str,
    frames: Option<Vec<usize>>,
    layers: Vec<Kind>,
    ops: Vec<Op>,
) -> Result<(), TestCaseError> {
    let mut layers: Vec<Layer> = layers.into_iter().flat_map(Kind::layers).collect();
    let stream = match &frames {
        Some(frames) => {
            layers.insert(0, Layer::filter(Block::new()));
            framed(text, frames)
        }
        None => text.as_bytes().to_vec(),
    };
    let mut stack = Stackable::<Bytes>::new(layers);
    let (mut given, mut fed) = (Vec::new(), 0);
    // A layer below one that takes lengths apart would cut them elsewhere.
    let mut blocks = frames.is_some();
    for op in ops {
        match op {
            Op::Feed(count) => {
                let next = (fed + count).min(stream.len());
                stack.feed(&stream[fed..next]);
                fed = next;
            }
            Op::Get(count) => {
                for _ in 0..count {
                    match stack.next_record() {
                        Ok(Some(record)) => given.extend_from_slice(&record),
                        Ok(None) => break,
                        Err(error) => {
                            prop_assert!(error.is_invalid_setting(), "{}", error);
                            break;
                        }
                    }
                }
            }
            Op::Push(kind) => kind.layers().into_iter().for_each(|layer| stack.push(layer)),
            Op::Pop => {
                blocks &= stack.filters().len() > 1;
                stack.pop();
            }
            Op::Shift => {
                blocks = false;
                stack.shift();
            }
            Op::Unshift(_) if blocks => {}
            Op::Unshift(kind) => kind.layers().into_iter().rev().for_each(|layer| stack.unshift(layer)),
            Op::Switch(kinds) => {
                let mut layers: Vec<Layer> = kinds.into_iter().flat_map(Kind::layers).collect();
                if blocks {
                    layers.insert(0, Layer::filter(Block::new()));
                }
                let mut next = Stackable::<Bytes>::new(layers);
                Seam::new().switch(&mut stack, &mut next);
                prop_assert_eq!(stack.pending(), b"");
                stack = next;
            }
        }
        let all = letters(&given) + &letters(stack.pending());
        prop_assert_eq!(all, letters(&stream[..fed]));
        prop_assert_eq!(stack.pending().to_vec(), stack.pending());
    }
    given.extend_from_slice(&stack.take_pending());
    prop_assert_eq!(letters(&given), letters(&stream[..fed]));
    Ok(())
}

/// Feeds, gets and switches; the letters of the records are those of the stream.
fn conserves<F>(
    make: &F,
    stream: &[u8],
    ops: &[Op],
    letters_of: impl Fn(F::Input) -> String,
) -> Result<(), TestCaseError>
where
    F: Filter,
    F::Input: Debug,
{
    let (mut filter, mut given, mut fed) = (make.fresh(), String::new(), 0);
    for op in ops {
        match op {
            Op::Feed(count) => {
                let next = (fed + count).min(stream.len());
                filter.feed(&stream[fed..next]);
                fed = next;
            }
            Op::Switch(_) => {
                let mut next = make.fresh();
                Seam::new().switch(&mut filter, &mut next);
                filter = next;
            }
            Op::Get(count) => {
                for _ in 0..*count {
                    let Some(record) = filter.next_record().unwrap() else {
                        break;
                    };
                    given += &letters_of(record);
                }
            }
            // What a stage below the last has made of a record and not given is pending only when it is taken.
            _ if std::any::type_name::<F>().contains("Map") => {}
            _ => {
                for record in filter.take_made() {
                    given += &letters_of(record);
                }
                let all = given.clone() + &letters(filter.pending());
                prop_assert_eq!(all, letters(&stream[..fed]), "{}", std::any::type_name::<F>());
            }
        }
    }
    given += &letters(&filter.take_pending());
    let name = std::any::type_name::<F>();
    prop_assert_eq!(given, letters(&stream[..fed]), "{}", name);
    Ok(())
}

fn joined(records: Vec<Bytes>) -> String {
    letters(&records.concat())
}

#[test]
fn chains_lose_and_double_nothing() {
    let programs = (
        "[a-z\n]{0,80}",
        prop::collection::vec(0..9_usize, 0..20),
        prop::collection::vec(op(), 0..50),
    );
    crate::properties::check(200, programs, |(text, frames, ops)| {
        chains_conserve(&text, &frames, &ops)
    });
}

fn chains_conserve(text: &str, frames: &[usize], ops: &[Op]) -> Result<(), TestCaseError> {
    let lines = || Line::bytes().literal("\n");
    let one = |record: Bytes| letters(&record);
    let plain = text.as_bytes();
    let blocks = framed(text, frames);
    conserves(&lines(), plain, ops, one)?;
    conserves(&Block::new(), &blocks, ops, one)?;
    conserves(&Raw::new(), plain, ops, one)?;
    conserves(&(lines(), Raw::new()), plain, ops, one)?;
    conserves(&lines().then(RecordBlock::<Bytes>::new(3)), plain, ops, joined)?;
    conserves(&Raw::new().then(ByteStage(lines())), plain, ops, one)?;
    conserves(
        &Raw::new().then(ByteStage(Block::fixed(2))).then(ByteStage(lines())),
        plain,
        ops,
        one,
    )?;
    conserves(&Block::new().then(ByteStage(lines())), &blocks, ops, one)?;
    conserves(
        &Block::new().then(ByteStage(lines())).then(RecordBlock::<Bytes>::new(2)),
        &blocks,
        ops,
        joined,
    )?;
    conserves(
        &Block::new().then(ByteStage(Block::fixed(2))).then(ByteStage(lines())),
        &blocks,
        ops,
        one,
    )?;
    conserves(&lines().then(halves()), plain, ops, one)?;
    conserves(
        &lines().then(halves()).then(RecordBlock::<Bytes>::new(3)),
        plain,
        ops,
        joined,
    )?;
    conserves(&Block::new().then(halves()).then(ByteStage(lines())), &blocks, ops, one)?;
    conserves(
        &Stackable::<Bytes>::new([Layer::filter(Block::new()), Layer::filter(lines())]),
        &blocks,
        ops,
        one,
    )?;
    Ok(())
}

#[test]
fn a_stack_shows_a_new_layer_what_came_while_it_was_empty() {
    let mut stack = Stackable::<Bytes>::new([]);
    stack.feed(b"ab\ncd\n");
    stack.push(Layer::filter(Line::bytes()));
    assert_eq!(stack.next_record().unwrap().unwrap(), "ab");
    stack.feed(b"e\n");
    assert_eq!(stack.next_record().unwrap().unwrap(), "cd");
    assert_eq!(stack.next_record().unwrap().unwrap(), "e");
    assert_eq!((stack.next_record().unwrap(), stack.pending()), (None, &b""[..]));

    let mut emptied = Stackable::<Bytes>::new([Layer::filter(Line::bytes())]);
    emptied.feed(b"ab\nc");
    assert_eq!(emptied.next_record().unwrap().unwrap(), "ab");
    emptied.pop();
    emptied.feed(b"d\nrest");
    emptied.push(Layer::filter(Line::bytes()));
    assert_eq!(emptied.next_record().unwrap().unwrap(), "cd");
    assert_eq!(emptied.pending(), b"rest");
}

#[test]
fn the_rest_of_a_frame_is_pending_as_a_frame() {
    let mut filter = Block::new().then(ByteStage(Line::bytes()));
    filter.feed(b"11\0one\ntwo\nthr2\0ee");
    assert_eq!(filter.next_record().unwrap().unwrap(), "one");
    assert_eq!(filter.pending(), b"7\0two\nthr2\0ee");
    assert_eq!(filter.next_record().unwrap().unwrap(), "two");
    let mut next = filter.fresh();
    Seam::new().switch(&mut filter, &mut next);
    assert_eq!(filter.pending(), b"");
    assert_eq!(next.pending(), b"3\0thr2\0ee");
    next.feed(b"1\0\n");
    assert_eq!(next.next_record().unwrap().unwrap(), "three");
}

const PIECE: Event<Input<Bytes>> = Event::new("piece");
const WORDS: Event<Input<Vec<usize>>> = Event::new("words");
const ERROR: Event<IoError> = Event::new("error");

/// The wheel's next filter; it is changed after every `every` records.
fn change(wheel: &ReadWrite<Bytes>, to: usize) -> Result<(), poe::filter::FilterError> {
    let lines = || Line::bytes().literal("\n");
    match to % 5 {
        0 => wheel.set_input_filter(lines(), PIECE),
        1 => wheel.set_input_filter(Raw::new().then(ByteStage(Block::fixed(3))), PIECE),
        2 => wheel.set_input_filter(Raw::new().then(ByteStage(lines())), PIECE),
        3 => wheel.set_input_filter(lines().then(halves()), PIECE),
        // Its records are of a type that cannot be put back.
        _ => {
            let spell = |line: Bytes| {
                let letters = line.iter().filter(|b| b.is_ascii_alphabetic());
                letters.map(|b| vec![usize::from(*b)]).collect::<Vec<_>>()
            };
            wheel.set_input_filter(lines().then(Map::flat(spell, |line: Bytes| [line])), WORDS)
        }
    }
}

struct Heap {
    wheel: Option<ReadWrite<Bytes>>,
    changes: Vec<usize>,
    seen: usize,
}

fn seen(cx: &mut poe::Context<'_, Heap>) -> poe::HandlerResult {
    cx.heap.seen += 1;
    if cx.heap.seen.is_multiple_of(2)
        && let Some(to) = cx.heap.changes.pop()
        && let Some(wheel) = &cx.heap.wheel
    {
        change(wheel, to)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// A live wheel, whose filters are changed in the handlers of their records, also at the end of the input.
    #[test]
    fn a_wheel_loses_and_doubles_nothing(text in "[a-z\n]{0,120}", changes in prop::collection::vec(0..5_usize, 0..40), cuts in cuts()) {
        let runtime = crate::properties::paused_runtime();
        runtime.block_on(async {
            let kernel = poe::testing::kernel();
            let (mut peer, ours) = tokio::io::duplex(16);
            let heap = Heap { wheel: None, changes, seen: 0 };
            poe::Session::builder(heap)
                .on(START, |cx, ours: DuplexStream| -> poe::HandlerResult {
                    let wheel = ReadWrite::builder(ours).input(Line::bytes().literal("\n"), PIECE).error(ERROR).start(cx)?;
                    cx.heap.wheel = Some(wheel);
                    Ok(())
                })
                .on(PIECE, |cx, piece| -> poe::HandlerResult {
                    say(letters(&piece.record));
                    seen(cx)
                })
                .on(WORDS, |cx, word| -> poe::HandlerResult {
                    let word: Vec<u8> = word.record.into_iter().map(|b| b as u8).collect();
                    say(letters(&word));
                    seen(cx)
                })
                .on(ERROR, |cx, end| -> poe::HandlerResult {
                    assert!(end.is_eof());
                    cx.delay("end", 1.0, ());
                    seen(cx)
                })
                .on("end", |cx, ()| {
                    if let Some(wheel) = cx.heap.wheel.take() {
                        say(letters(&wheel.input_pending()));
                    }
                })
                .args(ours)
                .create(&kernel)
                .unwrap();
            let text = text.clone();
            let write = async move {
                for chunk in crate::filter_kit::chunks(text.as_bytes(), &cuts) {
                    peer.write_all(chunk).await.unwrap();
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
            };
            let (run, ()) = tokio::join!(kernel.run(), write);
            run.unwrap();
        });
        prop_assert_eq!(said().concat(), letters(text.as_bytes()));
    }
}

/// Found at random: records of a stage wait behind those that the layer above returned.
#[test]
fn the_records_of_a_removed_stage_come_behind_the_returned_ones() {
    let mut stack = Stackable::<Bytes>::new([Kind::Halves, Kind::Line].into_iter().flat_map(Kind::layers));
    stack.feed(b"\n\n\n\na\n");
    assert_eq!(stack.next_record().unwrap().unwrap(), "");
    stack.pop();
    stack.shift();
    let mut given = stack.next_record().unwrap().unwrap().to_vec();
    given.extend_from_slice(&stack.take_pending());
    assert_eq!(letters(&given), "a");
}

/// Counts how often its code is called.
struct Counted {
    calls: Rc<Cell<usize>>,
    waiting: VecDeque<Bytes>,
}

impl Counted {
    fn layer(calls: &Rc<Cell<usize>>) -> Layer {
        Layer::stage(Counted {
            calls: calls.clone(),
            waiting: VecDeque::new(),
        })
    }

    fn count(&self) {
        self.calls.set(self.calls.get() + 1);
    }
}

impl Stage for Counted {
    type RawInput = Bytes;
    type Input = Bytes;
    type Output = Bytes;
    type RawOutput = Bytes;

    fn feed(&mut self, record: Bytes) {
        self.count();
        self.waiting.push_back(record);
    }

    fn next_record(&mut self) -> Result<Option<Bytes>, FilterError> {
        self.count();
        Ok(self.waiting.pop_front())
    }

    fn put(&mut self, record: Bytes, under: &mut Vec<Bytes>) -> Result<(), FilterError> {
        self.count();
        under.push(record);
        Ok(())
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn take_pending(&mut self) -> Vec<Bytes> {
        self.count();
        self.waiting.drain(..).collect()
    }

    fn fresh(&self) -> Self {
        self.count();
        Counted {
            calls: self.calls.clone(),
            waiting: VecDeque::new(),
        }
    }
}

/// A block that is used byte by byte, looked at, and taken back when a layer is popped.
#[test]
fn the_work_of_a_stack_is_linear_in_what_comes() {
    let work = |bytes: usize| {
        let calls = Rc::default();
        let fixed = || Layer::filter(Block::fixed(1));
        let counted = || Counted::layer(&calls);
        let layers = [
            Layer::filter(Block::new()),
            counted(),
            fixed(),
            counted(),
            Layer::filter(Line::bytes()),
        ];
        let mut stack = Stackable::<Bytes>::new(layers);
        stack.feed(&put(&mut Block::new(), vec![b'a'; bytes]));
        assert_eq!(stack.next_record().unwrap(), None);
        assert_eq!(letters(stack.pending()).len(), bytes);
        stack.pop();
        for _ in 0..bytes / 2 {
            assert_eq!(stack.next_record().unwrap().unwrap(), "a");
        }
        assert_eq!(letters(stack.pending()).len(), bytes / 2);
        stack.shift();
        assert_eq!(letters(&stack.take_pending()).len(), bytes / 2);
        calls.get()
    };
    let (small, large) = (work(1000), work(4000));
    assert!(small >= 4000 && large <= 4 * small + 100, "{small} calls, then {large}");
}

/// Layers that come and go above or below waiting records do not make them be parsed again.
#[test]
fn a_change_of_a_stack_costs_the_same_whatever_waits() {
    let work = |lines: usize| {
        let calls = Rc::default();
        let layers = [
            Layer::filter(Line::bytes()),
            Counted::layer(&calls),
            Layer::stage(RecordBlock::<Bytes>::new(usize::MAX)),
        ];
        let mut stack = Stackable::<Vec<Bytes>>::new(layers);
        stack.feed(&b"line\n".repeat(lines));
        assert_eq!(stack.next_record().unwrap(), None);
        let before = calls.get();
        for _ in 0..100 {
            stack.push(Layer::stage(Grep::code(|_: &Vec<Bytes>| true)));
            assert_eq!(stack.next_record().unwrap(), None);
            stack.pop();
            stack.unshift(Layer::filter(Raw::new()));
            assert_eq!(stack.next_record().unwrap(), None);
            stack.shift();
        }
        assert_eq!(letters(stack.pending()).len(), 4 * lines);
        calls.get() - before
    };
    assert_eq!(work(10), work(10_000));
}

/// Found at random: the layer below goes while its records are used in part.
#[test]
fn a_layer_that_is_shifted_away_in_mid_record_doubles_nothing() {
    let ops = vec![
        Op::Feed(4),
        Op::Push(Kind::Fixed),
        Op::Feed(7),
        Op::Get(1),
        Op::Feed(1),
        Op::Shift,
        Op::Feed(4),
        Op::Get(3),
    ];
    stack_conserves("\naaaaaa\n\n", Some(vec![2, 4, 3]), vec![Kind::Fixed, Kind::Line], ops).unwrap();
}
