//! Groups of records: upstream's `05_filters/06_recordblock.t`, and that waiting records are not lost.

use crate::filter_kit::{
    a_fresh_copy_shares_nothing, a_switch_loses_nothing, chunks_do_not_matter, cuts, good, put, stage_battery,
};
use bytes::Bytes;
use poe::filter::{Block, Filter, FilterExt, Line, Raw, RecordBlock, Seam, Stage};
use proptest::prelude::*;

fn sent(blocks: &mut RecordBlock<u8>, lists: &[&[u8]]) -> Vec<u8> {
    let mut under = Vec::new();
    for list in lists {
        blocks.put(list.to_vec(), &mut under).unwrap();
    }
    under
}

fn left(blocks: &RecordBlock<u8>) -> Vec<u8> {
    blocks.put_pending().copied().collect()
}

#[test]
fn records_come_in_lists_and_lists_are_put() {
    stage_battery(
        RecordBlock::<u8>::new(4),
        &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        &[vec![1, 2, 3, 4], vec![5, 6, 7, 8]],
        vec![vec![1, 2, 3, 4], vec![5, 6, 7, 8]],
        &[1, 2, 3, 4, 5, 6, 7, 8],
    );
}

#[test]
fn the_size_can_be_asked_and_changed_and_what_waits_is_grouped_anew() {
    let mut blocks = RecordBlock::<u8>::new(4);
    assert_eq!(blocks.blocksize(), 4);
    assert!(blocks.get([1, 2, 3]).is_empty());
    assert_eq!(blocks.pending().count(), 3);
    blocks.set_blocksize(1.try_into().unwrap());
    assert_eq!(blocks.blocksize(), 1);
    for n in [1, 2, 3] {
        assert_eq!(blocks.next_record().unwrap().unwrap(), [n]);
    }
}

#[test]
fn a_size_of_zero_is_found() {
    let mut blocks = RecordBlock::<u8>::new(0);
    assert!(Stage::check(&blocks).unwrap_err().is_invalid_setting());
    assert!(blocks.get([1]).remove(0).unwrap_err().is_fatal());
    assert!(blocks.put(vec![1], &mut Vec::new()).is_err());
    assert!(Line::new().then(RecordBlock::new(0)).check().is_err());
}

#[test]
fn with_check_put_only_whole_blocks_leave() {
    let mut blocks = RecordBlock::<u8>::new(3).check_put(true);
    assert!(blocks.checkput());
    assert_eq!(sent(&mut blocks, &[&[1, 2], &[3, 10]]), [1, 2, 3]);
    assert_eq!(left(&blocks), [10]);
    assert_eq!(
        sent(&mut blocks, &[&[2, 3, 1, 2, 3], &[1, 2, 3, 11]]),
        [10, 2, 3, 1, 2, 3, 1, 2, 3]
    );
    assert_eq!(left(&blocks), [11]);
    assert_eq!(
        sent(&mut blocks, &[&[2, 3, 1, 2], &[3, 1], &[2, 3, 1], &[2, 3]]),
        [11, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]
    );
    assert_eq!(left(&blocks), [0; 0]);
}

#[test]
fn without_it_everything_leaves_and_what_waited_first() {
    let mut blocks = RecordBlock::<u8>::new(3);
    assert!(!blocks.checkput());
    assert_eq!(sent(&mut blocks, &[&[1, 2], &[1, 2]]), [1, 2, 1, 2]);
    assert_eq!(left(&blocks), [0; 0]);
    assert_eq!(sent(&mut blocks, &[&[1, 2, 3, 4, 5], &[1]]), [1, 2, 3, 4, 5, 1]);

    blocks.set_checkput(true);
    assert_eq!(sent(&mut blocks, &[&[7]]), [0; 0]);
    blocks.set_checkput(false);
    assert_eq!(left(&blocks), [0; 0], "as in POE: it is there, but not reported");
    assert_eq!(sent(&mut blocks, &[&[8]]), [7, 8]);
}

#[test]
fn a_fresh_copy_has_empty_buffers_both_ways() {
    let mut blocks = RecordBlock::<u8>::new(3).check_put(true);
    blocks.feed(1);
    sent(&mut blocks, &[&[1]]);
    let copy = blocks.fresh();
    assert_eq!((copy.blocksize(), copy.checkput()), (3, true));
    assert_eq!((copy.waiting(), copy.put_pending().count()), (0, 0));
}

#[test]
fn waiting_records_are_pending_as_they_were_on_the_wire() {
    let mut seam = Seam::new();
    let mut old = Line::new().then(RecordBlock::new(3));
    assert_eq!(good(&mut old, &[b"1\r\n2\n3\n4\r\n", b"\xc3\xa9\r"]), [["1", "2", "3"]]);
    assert_eq!(old.pending(), b"4\r\n\xc3\xa9\r");
    assert_eq!(old.owed(), None);
    old.feed(seam.trim(b"\nhalf"));
    let mut next = Raw::new();
    seam.switch(&mut old, &mut next);
    assert_eq!(next.next_record().unwrap().unwrap(), &b"4\r\n\xc3\xa9\r\nhalf"[..]);
}

#[test]
fn an_error_between_waiting_records_leaves_the_wire_alone() {
    let mut filter = Line::new().then(RecordBlock::new(2));
    let records = filter.get(b"1\n\xff\n");
    assert!(records.len() == 1 && records[0].is_err());
    assert_eq!(filter.pending(), b"1\n");
    assert_eq!(good(&mut filter, &[b"2\n"]), [["1", "2"]]);
    assert!(filter.pending().is_empty());
}

#[test]
fn a_smaller_size_gives_groups_whose_bytes_leave_one_by_one() {
    let mut filter = Line::new().then(RecordBlock::new(5));
    assert!(filter.get(b"1\n2\n3\n4\n").is_empty());
    filter.stage_mut().set_blocksize(2.try_into().unwrap());
    assert_eq!(filter.next_record().unwrap().unwrap(), ["1", "2"]);
    assert_eq!(filter.pending(), b"3\n4\n");
}

proptest! {
    #[test]
    fn laws_of_a_record_block(stream in prop::collection::vec(prop::sample::select(&b"ab\r\n\n\xff"[..]), 0..60), cuts in cuts(), after in 1..3_usize, size in 1..4_usize) {
        let text = Line::new().then(RecordBlock::new(size));
        chunks_do_not_matter(&text, &stream, &cuts)?;
        a_fresh_copy_shares_nothing(&text, &stream, b"x\ny\n")?;
        let bytes = Line::bytes().then(RecordBlock::<Bytes>::new(size));
        chunks_do_not_matter(&bytes, &stream, &cuts)?;
        a_switch_loses_nothing(&bytes, &stream, &cuts, after)?;
        a_switch_loses_nothing(&Block::fixed(3).then(RecordBlock::<Bytes>::new(size)), &stream, &cuts, after)?;
    }

    #[test]
    fn what_is_put_in_lists_is_got(lists in prop::collection::vec(prop::collection::vec("[a-z]{0,5}", 3), 0..6)) {
        let mut filter = Line::new().then(RecordBlock::new(3));
        let wire: Vec<u8> = lists.iter().flat_map(|list| put(&mut filter, list.clone())).collect();
        prop_assert_eq!(good(&mut filter, &[&wire]), lists);
    }
}
