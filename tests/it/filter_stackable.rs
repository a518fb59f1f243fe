//! Stacks: upstream's `05_filters/50_stackable.t`, and that changing one loses nothing.

use crate::filter_kit::{a_fresh_copy_shares_nothing, a_switch_loses_nothing, chunks_do_not_matter, cuts, good, put};
use bytes::{Bytes, BytesMut};
use poe::filter::{Block, ByteStage, Filter, FilterExt, Grep, Layer, Line, Map, RecordBlock, Stackable};
use proptest::prelude::*;

fn parens() -> Map<String> {
    Map::new(|line: String| format!("((({line})))"), |line: String| line)
}

fn ones() -> Grep<String> {
    Grep::new(|line: &String| line.contains('1'), |_: &String| true)
}

fn stack() -> Stackable<Vec<String>> {
    Stackable::new([
        Layer::filter(Line::new().literal("!")),
        Layer::stage(parens()),
        Layer::stage(ones()),
        Layer::stage(RecordBlock::<String>::new(2)),
    ])
}

#[test]
fn records_go_through_all_filters_in_order() {
    let mut stack = stack();
    assert!(stack.get(b"test one (1)!test two (2)!").is_empty());
    // POE shows what the last filter has; here it is what another filter could parse.
    assert_eq!(stack.pending(), b"test one (1)!");
    let block = good(&mut stack, &[b"test three (3)!test four (100)!"]).remove(0);
    assert_eq!(block, ["(((test one (1))))", "(((test four (100))))"]);
    assert_eq!(put(&mut stack, block), b"(((test one (1))))!(((test four (100))))!");
    assert!(stack.pending().is_empty());
}

#[test]
fn the_typed_chain_does_the_same() {
    let mut chain = Line::new()
        .literal("!")
        .then(parens())
        .then(ones())
        .then(RecordBlock::new(2));
    assert!(chain.get(b"test one (1)!test two (2)!").is_empty());
    assert_eq!(chain.pending(), b"test one (1)!");
    let block = good(&mut chain, &[b"test three (3)!test four (100)!"]).remove(0);
    assert_eq!(block, ["(((test one (1))))", "(((test four (100))))"]);
    assert_eq!(put(&mut chain, block), b"(((test one (1))))!(((test four (100))))!");
}

#[test]
fn filters_can_be_listed_popped_shifted_and_put_back() {
    let mut stack = stack();
    let types = stack.filter_types();
    for (name, part) in types.iter().zip(["Line", "Map", "Grep", "RecordBlock"]) {
        assert!(name.contains(part), "{name}");
    }
    let block = stack.pop().unwrap();
    assert!(block.downcast_ref::<RecordBlock<String>>().is_some());
    let line = stack.shift().unwrap();
    assert!(line.downcast_ref::<Line>().is_some());
    assert_eq!(stack.filters().len(), 2);
    stack.push(block);
    stack.unshift(line);
    assert_eq!(stack.filter_types(), types);
    assert_eq!(good(&mut stack, &[b"1!1!"]).len(), 1);
}

#[test]
fn what_came_while_the_stack_was_incomplete_waits() {
    let mut stack = stack();
    assert!(stack.get(b"a1!b1").is_empty());
    let block = stack.pop().unwrap();
    let line = stack.shift().unwrap();
    stack.feed(b"!c1!");
    let error = stack.next_record().unwrap_err();
    assert!(error.is_invalid_setting() && error.is_fatal());
    assert!(error.to_string().contains("Map"), "{error}");
    assert!(stack.put(vec![], &mut BytesMut::new()).is_err());
    assert_eq!(stack.pending(), b"a1!b1!c1!");
    stack.push(block);
    stack.unshift(line);
    assert_eq!(
        good(&mut stack, &[b"d1!"]),
        [["(((a1)))", "(((b1)))"], ["(((c1)))", "(((d1)))"]]
    );
    assert!(stack.pending().is_empty());
}

#[test]
fn a_fresh_stack_has_separate_filters() {
    let mut stack = stack();
    assert!(stack.get(b"1!").is_empty());
    let mut copy = stack.fresh();
    assert_eq!(copy.filter_types(), stack.filter_types());
    assert!(copy.get(b"1!").is_empty(), "the first record is the other's");
    assert_eq!(good(&mut stack, &[b"1!"]).len(), 1);
}

#[test]
fn an_empty_stack_passes_bytes() {
    let mut stack = Stackable::<Bytes>::default();
    assert!(stack.check().is_ok());
    assert_eq!(good(&mut stack, &[b"any", b"thing"]), ["any", "thing"]);
    assert!(stack.get(b"").is_empty());
    assert_eq!(put(&mut stack, "out"), b"out");
    assert!(stack.pop().is_none() && stack.shift().is_none());
}

#[test]
fn a_popped_filter_leaves_its_records_to_the_others() {
    let mut stack =
        Stackable::<String, String>::new([Layer::filter(Line::new()), Layer::stage(RecordBlock::<String>::new(3))]);
    stack.feed(b"one\ntwo\nthr");
    assert!(
        stack.next_record().unwrap_err().is_invalid_setting(),
        "lists are not strings"
    );
    stack.pop();
    assert_eq!(good(&mut stack, &[b"ee\n"]), ["one", "two", "three"]);

    let mut lists =
        Stackable::<Vec<String>>::new([Layer::filter(Line::new()), Layer::stage(RecordBlock::<String>::new(3))]);
    assert!(lists.get(b"one\ntwo\nthr").is_empty());
    lists.pop();
    lists.push(Layer::stage(RecordBlock::<String>::new(2)));
    assert_eq!(lists.pending(), b"one\ntwo\nthr");
    assert_eq!(lists.next_record().unwrap().unwrap(), ["one", "two"]);
    assert_eq!(lists.pending(), b"thr");
}

#[test]
fn a_filter_of_bytes_that_is_popped_leaves_its_bytes() {
    let mut stack = Stackable::<String>::new([Layer::filter(Block::new()), Layer::filter(Line::new())]);
    assert_eq!(good(&mut stack, &[b"6\0one\ntx1\0w"]), ["one"]);
    let line = stack.pop().unwrap();
    assert!(line.downcast_ref::<Line>().is_some());
    stack.push(Layer::filter(Line::new().literal("t")));
    assert_eq!(good(&mut stack, &[b"2\0ot"]), ["", "xwo"]);
}

#[test]
fn a_shifted_filter_leaves_its_bytes_to_the_next() {
    let mut stack = Stackable::<String>::new([Layer::filter(Block::new()), Layer::filter(Line::new())]);
    assert_eq!(good(&mut stack, &[b"5\0one\nt3\0wo"]), ["one"]);
    stack.shift();
    assert_eq!(good(&mut stack, &[b"\n"]), ["t3\0wo"]);
}

#[test]
fn an_unshifted_filter_gets_the_bytes_that_the_first_had() {
    let mut stack = Stackable::<String>::new([Layer::filter(Line::new())]);
    stack.feed(b"start\n4\0one\n");
    assert_eq!(stack.next_record().unwrap().unwrap(), "start");
    stack.unshift(Layer::filter(Block::new()));
    assert_eq!(good(&mut stack, &[b"4\0two\n"]), ["one", "two"]);
}

#[test]
fn half_a_newline_is_swallowed_wherever_its_line_is() {
    let mut stack =
        Stackable::<Vec<String>>::new([Layer::filter(Line::new()), Layer::stage(RecordBlock::<String>::new(2))]);
    assert!(stack.get(b"one\r").is_empty());
    assert_eq!(stack.owed(), None);
    assert!(stack.get(b"\n").is_empty());
    assert_eq!(stack.pending(), b"one\r\n");
    assert_eq!(good(&mut stack, &[b"two\r"]), [["one", "two"]]);
    assert_eq!(stack.owed(), Some(b'\n'));
    assert!(stack.get(b"\n").is_empty() && stack.pending().is_empty());
}

#[test]
fn half_a_newline_of_a_rejected_line_belongs_to_no_line() {
    let mut stack = stack_of_pairs();
    assert!(stack.get(b"1\nb\r").is_empty());
    assert!(stack.get(b"\n").is_empty());
    assert_eq!(stack.pending(), b"1\n");
    let mut chain = Line::new().grep(|line| line.contains('1')).then(RecordBlock::new(2));
    assert!(chain.get(b"1\nb\r").is_empty());
    assert!(chain.get(b"\n").is_empty());
    assert_eq!(chain.pending(), b"1\n");
}

fn stack_of_pairs() -> Stackable<Vec<String>> {
    Stackable::new([
        Layer::filter(Line::new()),
        Layer::stage(ones()),
        Layer::stage(RecordBlock::<String>::new(2)),
    ])
}

#[test]
fn half_a_newline_is_swallowed_when_its_filter_is_gone() {
    let mut stack = Stackable::<String>::new([Layer::filter(Line::new())]);
    assert_eq!(good(&mut stack, &[b"start\r"]), ["start"]);
    stack.unshift(Layer::filter(Block::new()));
    assert_eq!(stack.owed(), Some(b'\n'));
    assert_eq!(good(&mut stack, &[b"\n2\0a\n"]), ["a"]);
    stack.pop();
    stack.push(Layer::filter(Line::new()));
    stack.shift();
    assert_eq!(good(&mut stack, &[b"b\r"]), ["b"]);
    stack.shift();
    stack.push(Layer::filter(Line::new()));
    assert_eq!(good(&mut stack, &[b"\nc\n"]), ["c"]);
}

#[test]
fn a_full_filter_in_a_stack_breaks_it_and_pending_stays_true() {
    let line = || Line::new().max_length(5).max_buffer(10);
    let mut stack = Stackable::<Vec<String>>::new([Layer::filter(line()), Layer::stage(RecordBlock::<String>::new(2))]);
    let records = stack.get(b"one\n123456789");
    assert!(records.last().unwrap().as_ref().unwrap_err().is_fatal());
    assert_eq!(stack.pending(), b"one\n");
    let mut chain = line().then(RecordBlock::new(2));
    assert!(
        chain
            .get(b"one\n123456789")
            .last()
            .unwrap()
            .as_ref()
            .unwrap_err()
            .is_fatal()
    );
    assert_eq!(chain.pending(), b"one\n");
}

#[test]
fn layers_must_fit() {
    let wrong = [
        Stackable::<String>::new([]),
        Stackable::<String>::new([Layer::stage(parens())]),
        Stackable::<String>::new([Layer::filter(Line::bytes())]),
        Stackable::<String>::new([Layer::filter(Line::new()), Layer::filter(Line::new())]),
    ];
    for stack in wrong {
        assert!(stack.check().unwrap_err().is_invalid_setting(), "{stack:?}");
    }
}

proptest! {
    #[test]
    fn laws_of_a_stack(stream in prop::collection::vec(prop::sample::select(&b"1ab\r\n\n\xff"[..]), 0..60), cuts in cuts(), after in 1..3_usize) {
        let bytes = Stackable::<Vec<Bytes>>::new([
            Layer::filter(Line::bytes()),
            Layer::stage(Grep::code(|line: &Bytes| line.contains(&b'1'))),
            Layer::stage(RecordBlock::<Bytes>::new(2)),
        ]);
        chunks_do_not_matter(&bytes, &stream, &cuts)?;
        a_switch_loses_nothing(&bytes, &stream, &cuts, after)?;
        a_fresh_copy_shares_nothing(&bytes, &stream, b"1\n1\n")?;
        let text = Stackable::<Vec<String>>::new([Layer::filter(Line::new()), Layer::stage(parens()), Layer::stage(RecordBlock::<String>::new(2))]);
        chunks_do_not_matter(&text, &stream, &cuts)?;
    }

    /// Lines inside of blocks: how the two are cut has nothing to do with each other.
    #[test]
    fn laws_of_a_filter_above_a_filter(text in "[ab\n]{0,60}", frames in prop::collection::vec(0..6_usize, 0..30), cuts in cuts()) {
        let stream: Vec<u8> = crate::filter_kit::chunks(text.as_bytes(), &frames).into_iter().flat_map(|frame| put(&mut Block::new(), frame.to_vec())).collect();
        let expected = good(&mut Line::new().literal("\n"), &[text.as_bytes()]);
        let chain = Block::new().then(ByteStage(Line::new().literal("\n")));
        chunks_do_not_matter(&chain, &stream, &cuts)?;
        prop_assert_eq!(&good(&mut chain.fresh(), &[&stream]), &expected);
        let stack = Stackable::<String>::new([Layer::filter(Block::new()), Layer::filter(Line::new().literal("\n"))]);
        chunks_do_not_matter(&stack, &stream, &cuts)?;
        prop_assert_eq!(&good(&mut stack.fresh(), &[&stream]), &expected);
    }

    /// Filters come and go at any record, and the records are those of one filter.
    #[test]
    fn changing_a_stack_loses_nothing(stream in prop::collection::vec(prop::sample::select(&b"ab\r\n\n"[..]), 0..60), cuts in cuts(), every in 1..4_usize) {
        let expected = good(&mut Line::bytes(), &[&stream]);
        let mut stack = Stackable::<Bytes>::new([Layer::filter(Line::bytes())]);
        let (mut records, mut steps) = (Vec::new(), 0);
        for read in crate::filter_kit::chunks(&stream, &cuts) {
            stack.feed(read);
            while let Some(record) = stack.next_record().unwrap() {
                records.push(record);
                steps += 1;
                if steps % every == 0 {
                    let layers = stack.filters().len();
                    match layers {
                        1 if steps % 2 == 0 => stack.push(Layer::stage(Grep::code(|_: &Bytes| true))),
                        1 => stack.unshift(Layer::filter(poe::filter::Raw::new())),
                        _ if stack.filter_types()[0].contains("Raw") => drop(stack.shift()),
                        _ => drop(stack.pop()),
                    }
                }
            }
        }
        prop_assert_eq!(records, expected);
    }
}
