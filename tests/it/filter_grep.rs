//! Filtered records: upstream's `05_filters/02_grep.t`. Its checks of wrong arguments are done by
//! types here.

use crate::filter_kit::{a_switch_loses_nothing, chunks_do_not_matter, cuts, stage_battery};
use poe::filter::{Filter, FilterExt, Grep, Line, Stage};
use proptest::prelude::*;

fn texts(words: &str) -> Vec<String> {
    words
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn get(grep: &mut Grep<String>, words: &str) -> Vec<String> {
    grep.get(texts(words)).into_iter().map(Result::unwrap).collect()
}

fn put(grep: &mut Grep<String>, words: &str) -> Vec<String> {
    let mut under = Vec::new();
    for word in texts(words) {
        grep.put(word, &mut under).unwrap();
    }
    under
}

fn is_digit(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_digit())
}

fn is_letter(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_alphabetic())
}

#[test]
fn one_closure_for_each_way() {
    let mut grep = Grep::new(|word: &String| is_digit(word), |word: &String| is_letter(word));
    assert_eq!(put(&mut grep, "A B C 1 2 3"), ["A", "B", "C"]);
    assert_eq!(get(&mut grep, "a b c 1 2 3"), ["1", "2", "3"]);
    stage_battery(grep, &texts("a b c 1 2 3"), &texts("1 2 3"), texts("1 2 3"), &[]);
}

#[test]
fn one_closure_for_both() {
    let grep = Grep::code(|word: &String| is_digit(word) || is_letter(word));
    stage_battery(
        grep,
        &texts("a b c 1 2 3 ! @"),
        &texts("a b c 1 2 3"),
        texts("a b c 1 2 3 ! @"),
        &texts("a b c 1 2 3"),
    );
}

#[test]
fn closures_can_be_changed() {
    let mut grep = Grep::code(|word: &String| word == "1");
    grep.modify_get(|word| is_digit(word));
    assert_eq!(get(&mut grep, "a b c 1 2 3"), ["1", "2", "3"]);
    assert_eq!(put(&mut grep, "a 1 2"), ["1"]);
    grep.modify_put(|word| is_letter(word));
    assert_eq!(put(&mut grep, "A B C 1 2 3"), ["A", "B", "C"]);
    grep.modify_code(|word| word != "!");
    assert_eq!(get(&mut grep, "a ! 1"), ["a", "1"]);
    assert_eq!(put(&mut grep, "a ! 1"), ["a", "1"]);
}

#[test]
fn pending_are_the_records_as_they_came() {
    let mut odd = Grep::code(|n: &u32| n & 1 == 1);
    for n in [1, 1, 2, 3, 5] {
        odd.feed(n);
    }
    assert_eq!(odd.pending().copied().collect::<Vec<_>>(), [1, 1, 2, 3, 5]);
    for n in [1, 1, 3, 5] {
        assert_eq!(odd.next_record().unwrap(), Some(n));
    }
    assert_eq!(odd.next_record().unwrap(), None);
    odd.feed(4);
    assert_eq!(odd.take_pending(), [4]);
}

#[test]
fn a_fresh_copy_has_the_closures_of_its_moment() {
    let mut grep = Grep::code(|n: &u32| *n > 1);
    let mut copy = grep.fresh();
    grep.modify_code(|_| false);
    assert!(grep.get([5]).is_empty());
    assert_eq!(copy.get([5]).len(), 1);
}

#[test]
fn above_a_filter_rejects_are_gone_and_the_next_record_follows_at_once() {
    let mut filter = Line::new().grep(|line| line.contains('1'));
    filter.feed(b"no\nno\n1\nno\n1!");
    assert_eq!(filter.next_record().unwrap().unwrap(), "1");
    assert_eq!(filter.pending(), b"no\n1!");
    assert!(filter.next_record().unwrap().is_none());
    assert_eq!(filter.pending(), b"1!");
}

proptest! {
    #[test]
    fn laws_of_a_grep(stream in "[ab1\n]{0,60}", cuts in cuts(), after in 1..4_usize) {
        let filter = Line::bytes().literal("\n").grep(|line| line.contains(&b'1'));
        chunks_do_not_matter(&filter, stream.as_bytes(), &cuts)?;
        a_switch_loses_nothing(&filter, stream.as_bytes(), &cuts, after)?;
    }
}
