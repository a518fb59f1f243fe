//! Replaced records: upstream's `05_filters/05_map.t`. Its checks of wrong arguments are done by types here.

use crate::filter_kit::{a_switch_loses_nothing, chunks_do_not_matter, cuts, good, put, stage_battery};
use bytes::BytesMut;
use poe::filter::{Filter, FilterError, FilterExt, Line, Map, Stage};
use proptest::prelude::*;

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn one_closure_for_each_way() {
    stage_battery(
        Map::new(|word: String| word.to_uppercase(), |word: String| word.to_lowercase()),
        &texts(&["a", "b", "c"]),
        &texts(&["A", "B", "C"]),
        texts(&["A", "B", "C"]),
        &texts(&["a", "b", "c"]),
    );
}

#[test]
fn one_closure_for_both() {
    stage_battery(
        Map::code(|word: String| word.to_uppercase()),
        &texts(&["a", "b"]),
        &texts(&["A", "B"]),
        texts(&["a", "b"]),
        &texts(&["A", "B"]),
    );
}

#[test]
fn closures_can_be_changed() {
    let said = |text: &'static str| move |_: String| Some(text.to_owned());
    let mut map = Map::flat(said("GET"), said("PUT"));
    map.modify_get(said("NGet"));
    assert_eq!(map.get(texts(&["a"])).remove(0).unwrap(), "NGet");
    map.modify_put(said("NPut"));
    let mut under = Vec::new();
    map.put("a".into(), &mut under).unwrap();
    map.modify_code(|_| "NCode".to_owned());
    map.put("a".into(), &mut under).unwrap();
    assert_eq!(under, ["NPut", "NCode"]);
    assert_eq!(map.get(texts(&["a"])).remove(0).unwrap(), "NCode");
}

#[test]
fn a_record_of_which_nothing_is_made_does_not_keep_the_next_one() {
    let mut numbers = Map::flat(|text: String| text.parse::<u32>().ok(), |n: u32| [n.to_string()]);
    let got: Vec<u32> = numbers
        .get(texts(&["x", "y", "3", "z", "4"]))
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(got, [3, 4]);
}

#[test]
fn one_record_may_become_several_both_ways() {
    let words = Map::flat(
        |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>(),
        |words: Vec<String>| words,
    );
    let mut filter = Line::new().then(words);
    assert_eq!(good(&mut filter, &[b"one two\nthree\n"]), ["one", "two", "three"]);
    assert_eq!(put(&mut filter, texts(&["a", "b"])), b"a\r\nb\r\n");
    // The first word has used its line up.
    filter.feed(b"four five\nsix\n");
    assert_eq!(filter.next_record().unwrap().unwrap(), "four");
    assert_eq!(filter.take_pending(), "six\n");
    assert!(filter.next_record().unwrap().is_none());
}

#[test]
fn pending_are_the_records_as_they_came() {
    let mut map = Map::new(|n: u32| format!("((({n})))"), |text: String| text.len());
    for n in [1, 1, 2, 3, 5] {
        map.feed(n);
    }
    assert_eq!(map.pending().copied().collect::<Vec<_>>(), [1, 1, 2, 3, 5]);
    for n in [1, 1, 2, 3, 5] {
        assert_eq!(map.next_record().unwrap().unwrap(), format!("((({n})))"));
    }
    assert!(map.next_record().unwrap().is_none());
}

#[test]
fn a_closure_may_fail_in_the_place_of_its_record() {
    let numbers = Map::fallible(
        |text: String| text.parse::<u32>().map_err(FilterError::custom),
        |n: u32| {
            if n < 10 {
                Ok(n.to_string())
            } else {
                Err(FilterError::custom("two digits"))
            }
        },
    );
    let mut filter = Line::new().then(numbers);
    let got = filter.get(b"1\nx\n3\n");
    assert!(got.len() == 3 && got[1].as_ref().is_err_and(|error| !error.is_fatal()));
    let mut out = BytesMut::from(&b"before"[..]);
    assert!(filter.put(10, &mut out).is_err());
    assert_eq!(&out[..], b"before");
}

proptest! {
    #[test]
    fn laws_of_a_map(stream in "[ab\r\n]{0,60}", cuts in cuts(), after in 1..4_usize) {
        let filter = Line::new().map(|line| line.len(), |length: usize| "x".repeat(length));
        chunks_do_not_matter(&filter, stream.as_bytes(), &cuts)?;
        a_switch_loses_nothing(&filter, stream.as_bytes(), &cuts, after)?;
    }
}
