//! Lines: upstream's `05_filters/04_line.t`, POE's observed behaviour, and the laws that hold
//! for every filter.

use bytes::{Bytes, BytesMut};
use poe::filter::{Filter, FilterError, FilterExt, Line, LineRecord, Raw, Seam};
use proptest::prelude::*;

/// The records of one read after the other, which must all be good.
fn lines<T: LineRecord + AsRef<[u8]>>(filter: &mut Line<T>, reads: &[&[u8]]) -> Vec<String> {
    let records = reads.iter().flat_map(|read| filter.get(read));
    records
        .map(|record| String::from_utf8_lossy(record.unwrap().as_ref()).into_owned())
        .collect()
}

fn put<F: Filter>(filter: &mut F, record: impl Into<F::Output>) -> Vec<u8> {
    let mut out = BytesMut::new();
    filter.put(record.into(), &mut out).unwrap();
    out.to_vec()
}

/// Upstream's battery for every filter: the same records by `get` and by strobing, a fresh copy in between, then put.
fn battery(mut filter: Line, reads: &[&[u8]], records: &[&str], chunks: &[&[u8]]) {
    let all = reads.concat();
    assert_eq!(lines(&mut filter, &[&all]), records, "get");

    let mut filter = filter.fresh();
    assert!(filter.pending().is_empty(), "a fresh copy has no input");

    filter.feed(&all);
    assert_eq!(filter.pending(), all, "starting parses nothing");
    assert_eq!(filter.pending(), all, "looking drains nothing");
    let mut strobed = Vec::new();
    while let Some(record) = filter.next_record().unwrap() {
        strobed.push(record);
    }
    assert_eq!(strobed, records, "next_record");

    for (record, chunk) in records.iter().zip(chunks) {
        assert_eq!(put(&mut filter, *record), *chunk, "put");
    }
}

#[test]
fn by_default_any_newline_ends_a_line_and_cr_lf_is_put() {
    battery(
        Line::new(),
        &[b"a\x0D", b"b\x0A", b"c\x0D\x0A", b"d\x0A\x0D"],
        &["a", "b", "c", "d"],
        &[b"a\x0D\x0A", b"b\x0D\x0A", b"c\x0D\x0A", b"d\x0D\x0A"],
    );
}

#[test]
fn a_literal_ends_lines_both_ways() {
    battery(
        Line::new().literal("x"),
        &[b"axa", b"bxb", b"cxc", b"dxd"],
        &["a", "ab", "bc", "cd"],
        &[b"ax", b"abx", b"bcx", b"cdx"],
    );
}

#[test]
fn input_and_output_literals_may_differ() {
    let mut filter = Line::new().input_literal("x").output_literal("y");
    assert_eq!(
        lines(&mut filter, &[b"axa", b"bxb", b"cxc", b"dxd"]),
        ["a", "ab", "bc", "cd"]
    );
    assert_eq!(put(&mut filter, "ab"), b"aby");
}

#[test]
fn a_pattern_ends_incoming_lines() {
    for pattern in ["[xy]", "x|y", "(?i)[XY]", "((x)|(y))"] {
        let mut filter = Line::new().input_regexp(pattern).unwrap().output_literal("!");
        assert_eq!(
            lines(&mut filter, &[b"axa", b"byb", b"cxc", b"dyd"]),
            ["a", "ab", "bc", "cd"]
        );
        assert_eq!(filter.pending(), b"d");
        assert_eq!(put(&mut filter, "cd"), b"cd!");
    }
}

#[test]
fn autodetection_completes_a_cr_lf_that_was_cut() {
    let mut filter = Line::new().autodetect().output_literal("!");
    assert_eq!(
        lines(&mut filter, &[b"a\x0D", b"\x0Ab\x0D\x0A", b"c\x0A\x0D", b"\x0A"]),
        ["a", "b", "c\x0A"]
    );
}

#[test]
fn autodetection_finds_lf_cr_on_the_first_line() {
    let mut filter = Line::new().input_literal("");
    assert_eq!(
        lines(&mut filter, &[b"a\x0A\x0D", b"\x0Db\x0A\x0D", b"c\x0D", b"\x0A\x0D"]),
        ["a", "\x0Db", "c\x0D"]
    );
}

#[test]
fn autodetection_decides_for_a_lone_lf_when_the_next_byte_is_another() {
    let mut filter = Line::new().autodetect();
    assert_eq!(
        lines(&mut filter, &[b"a\x0A", b"b\x0D\x0A", b"c\x0D", b"\x0A"]),
        ["a", "b\x0D", "c\x0D"]
    );
}

#[test]
fn autodetection_gives_the_first_line_before_it_knows_the_newline() {
    let mut filter = Line::new().autodetect();
    assert_eq!(lines(&mut filter, &[b"a\r"]), ["a"]);
    assert_eq!(filter.owed(), Some(b'\n'));
    assert!(filter.pending().is_empty(), "half a newline is state, not pending data");
    assert_eq!(lines(&mut filter, &[b"", b"\n", b"b\rc\r\n"]), ["b\rc"]);
}

#[test]
fn autodetection_takes_a_newline_with_data_behind_it_as_it_is() {
    assert_eq!(lines(&mut Line::new().autodetect(), &[b"a\rb\r\n"]), ["a", "b"]);
    assert_eq!(lines(&mut Line::new().autodetect(), &[b"\n\n\r\n"]), ["", "", "\r"]);
}

#[test]
fn a_fresh_copy_detects_anew() {
    let mut filter = Line::new().autodetect();
    assert_eq!(lines(&mut filter, &[b"a\nb\r\n"]), ["a", "b\r"]);
    assert_eq!(lines(&mut filter.fresh(), &[b"a\r\nb\r\n"]), ["a", "b"]);
}

#[test]
fn what_was_detected_outlives_a_switch_away_and_back() {
    let mut filter = Line::new().autodetect();
    assert_eq!(lines(&mut filter, &[b"a\nb\r"]), ["a"]);
    assert_eq!(filter.take_pending(), &b"b\r"[..]);
    assert_eq!(lines(&mut filter, &[b"c\rd\n"]), ["c\rd"]);
}

#[test]
fn a_cr_lf_that_was_cut_makes_no_phantom_line() {
    assert_eq!(lines(&mut Line::new(), &[b"a\r", b"\nb\r\n"]), ["a", "b"]);
    assert_eq!(lines(&mut Line::new(), &[b"a\n", b"\rb\n\r"]), ["a", "b"]);
    assert_eq!(lines(&mut Line::new(), &[b"a\r", b"\n", b"\r", b"\n"]), ["a", ""]);
    assert_eq!(lines(&mut Line::new(), &[b"a\r", b"", b"\n"]), ["a"]);
}

#[test]
fn a_lone_cr_at_the_end_of_a_read_gives_its_line_at_once() {
    let mut filter = Line::new();
    assert_eq!(lines(&mut filter, &[b"a\r"]), ["a"]);
    assert_eq!(filter.owed(), Some(b'\n'));
    assert_eq!(lines(&mut filter, &[b"b\r"]), ["b"]);
    assert_eq!(lines(&mut filter, &[b"\r"]), [""]);
}

#[test]
fn empty_lines_are_lines() {
    assert_eq!(lines(&mut Line::new(), &[b"\r\n\r\n\n\n"]), ["", "", "", ""]);
    assert_eq!(put(&mut Line::new(), ""), b"\r\n");
}

#[test]
fn newlines_inside_a_record_go_out_untouched_and_the_terminator_may_be_empty() {
    assert_eq!(put(&mut Line::new(), "a\nb"), b"a\nb\r\n");
    assert_eq!(put(&mut Line::new().output_literal(""), "a"), b"a");
}

#[test]
fn bytes_pass_and_text_is_checked() {
    let read = b"one\ncaf\xe9\ntwo\n";
    assert_eq!(Line::bytes().get(read)[1].as_ref().unwrap(), &b"caf\xe9"[..]);

    let mut text = Line::new().get(read).into_iter();
    assert_eq!(text.next().unwrap().unwrap(), "one");
    let error = text.next().unwrap().unwrap_err();
    assert!(error.is_invalid_utf8() && !error.is_fatal());
    assert_eq!(error.bytes(), b"caf\xe9");
    assert_eq!(text.next().unwrap().unwrap(), "two");
}

#[test]
fn literals_of_several_bytes_may_be_cut_anywhere_and_overlap_themselves() {
    for literal in ["\r\n", "ab", "aa", "aab", "abab", "-end-"] {
        let stream = format!("1{literal}a{literal}{literal}-e{literal}");
        let whole = lines(&mut Line::new().literal(literal), &[stream.as_bytes()]);
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(lines(&mut Line::new().literal(literal), &bytes), whole, "{literal}");
    }
    assert_eq!(lines(&mut Line::new().literal("aa"), &[b"aaa", b"a"]), ["", ""]);
}

#[test]
fn a_pattern_that_cannot_grow_gives_its_line_at_once() {
    let mut filter = Line::new().input_regexp(r"\r?\n").unwrap();
    assert_eq!(lines(&mut filter, &[b"a\r\n"]), ["a"]);
    assert_eq!(lines(&mut filter, &[b"b\r"]), [""; 0]);
    assert_eq!(lines(&mut filter, &[b"\n", b"c\n"]), ["b", "c"]);
}

#[test]
fn a_terminator_that_may_grow_gives_its_line_at_once_and_is_swallowed_later() {
    let mut filter = Line::new().input_regexp(r"\n+").unwrap();
    assert_eq!(lines(&mut filter, &[b"a\n"]), ["a"]);
    assert_eq!(lines(&mut filter, &[b"\n", b"\n\nb\n\n", b"c"]), ["b"]);
    assert_eq!(filter.pending(), b"c");

    let mut filter = Line::new().input_regexp(r"\r\n?").unwrap();
    assert_eq!(lines(&mut filter, &[b"a\r", b"\nb\r", b"c\r"]), ["a", "b", "c"]);
}

#[test]
fn a_terminator_that_may_still_take_more_keeps_what_is_behind_it_pending() {
    let mut filter = Line::new().input_regexp(r"\n(?:x*y)?").unwrap();
    assert_eq!(lines(&mut filter, &[b"a\nxx"]), ["a"]);
    assert_eq!(filter.pending(), b"xx");
    assert_eq!(lines(&mut filter.fresh(), &[b"a\nxxyb\n"]), ["a", "b"]);
    assert_eq!(lines(&mut filter, &[b"yb\n"]), ["b"]);

    let mut filter = Line::new().input_regexp(r"\n(?:x*y)?").unwrap();
    assert_eq!(lines(&mut filter, &[b"a\nxx", b"b\n"]), ["a", "xxb"]);
}

#[test]
fn a_line_that_may_still_end_earlier_waits() {
    let mut filter = Line::new().input_regexp("abcd|c").unwrap();
    assert_eq!(lines(&mut filter, &[b"1abc"]), [""; 0]);
    assert_eq!(filter.pending(), b"1abc");
    assert_eq!(lines(&mut filter, &[b"d2abc", b"x"]), ["1", "2ab"]);
}

#[test]
fn the_first_alternative_wins_as_in_perl() {
    assert_eq!(
        lines(&mut Line::new().input_regexp("x|xy").unwrap(), &[b"axybx"]),
        ["a", "yb"]
    );
    assert_eq!(
        lines(&mut Line::new().input_regexp("xy|x").unwrap(), &[b"axybx"]),
        ["a", "b"]
    );
    assert_eq!(
        lines(&mut Line::new().input_regexp("x+?").unwrap(), &[b"axxb"]),
        ["a", ""]
    );
}

#[test]
fn a_pattern_that_cannot_end_a_line_is_refused() {
    for pattern in ["", r"\n*", "a|", "(", "^x", "x$", r"\bx", r"\z", "(?:x{1000}){1000}"] {
        let error = Line::new().input_regexp(pattern).unwrap_err();
        assert!(error.is_invalid_setting() && error.is_fatal(), "{pattern}");
    }
}

#[test]
fn settings_that_make_no_sense_together_are_found_by_check_and_at_first_use() {
    let wrong = [
        Line::new().literal(""),
        Line::new().max_length(10).max_buffer(5),
        Line::new().max_length(0),
        Line::new().max_buffer(0),
        Line::new().literal("").fresh(),
    ];
    for mut filter in wrong {
        assert!(filter.check().unwrap_err().is_invalid_setting());
        filter.feed(b"a\n");
        let error = filter.next_record().unwrap_err();
        assert!(error.is_invalid_setting() && error.is_fatal());
        let mut out = BytesMut::from(&b"before"[..]);
        assert!(filter.put("a".to_owned(), &mut out).unwrap_err().is_invalid_setting());
        assert_eq!(&out[..], b"before");
    }
    assert!(
        Line::new().max_buffer(5).max_length(5).check().is_ok(),
        "the order of the setters does not matter"
    );
    assert!(
        Line::new().literal("").literal("\n").check().is_ok(),
        "the last setting holds"
    );
}

#[test]
fn a_line_that_is_too_long_is_an_error_in_its_place() {
    let mut filter = Line::new().max_length(10);
    let error = filter
        .get(b"This line is going to be to long for our filter\n")
        .remove(0)
        .unwrap_err();
    assert!(error.is_too_long() && !error.is_fatal());
    assert_eq!(error.bytes(), b"This line ");
    assert_eq!(lines(&mut filter, &[b"0123456789\n"]), ["0123456789"]);
}

#[test]
fn a_line_that_is_too_long_is_reported_before_its_end_and_the_rest_is_dropped() {
    let filters = [
        Line::new(),
        Line::new().autodetect(),
        Line::new().literal("\n"),
        Line::new().literal("\r\n"),
        Line::new().literal("\r\n\r"),
    ];
    for filter in filters {
        let mut filter = filter.max_length(10);
        let mut records = filter.get(b"good\r\n\rbad, bad, bad, bad").into_iter();
        assert!(records.any(|record| record.is_err_and(|error| error.bytes().len() == 10)));
        for _ in 0..1000 {
            assert!(filter.get(b"still the same line").is_empty());
            assert!(filter.pending().len() <= 2);
        }
        let records: Vec<String> = filter
            .get(b" end\r\n\rnext\r\n\r")
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert!(
            records.iter().any(|line| line.trim() == "next"),
            "{filter:?}: {records:?}"
        );
    }
}

#[test]
fn a_pattern_may_take_a_terminators_length_more_before_a_line_is_too_long() {
    let mut filter = Line::new().input_regexp(r"-+\n").unwrap().max_length(10);
    assert!(filter.get(&[b'-'; 4000]).is_empty());
    assert!(
        filter.get(&[b'-'; 200])[0]
            .as_ref()
            .is_err_and(FilterError::is_too_long)
    );
    assert!(filter.pending().is_empty());
    assert!(filter.get(&[b'-'; 100_000]).is_empty());
    assert_eq!(lines(&mut filter, &[b"-\nnext-\n"]), ["next"]);
}

#[test]
fn an_overfull_buffer_gives_the_lines_it_holds_and_then_breaks() {
    let mut filter = Line::new().max_length(5).max_buffer(10);
    let records = filter.get(b"one\ntwo\nthree\nfour\n");
    assert_eq!(records[0].as_ref().unwrap(), "one");
    assert_eq!(records[1].as_ref().unwrap(), "two");
    let error = records[2].as_ref().unwrap_err();
    assert!(error.is_overflow() && error.is_fatal() && !error.is_too_long());
    assert_eq!(error.bytes(), b"th");
    assert_eq!(records.len(), 3);

    for _ in 0..3 {
        let again = filter.get(b"more\n").remove(0).unwrap_err();
        assert!(again.is_fatal() && again.bytes().is_empty());
        assert!(filter.pending().is_empty(), "a broken filter takes no more input");
    }
    assert!(filter.take_pending().is_empty());
    assert_eq!(lines(&mut filter, &[b"good\n"]), ["good"]);
}

#[test]
fn an_overfull_buffer_breaks_a_pattern_filter_as_well() {
    let mut filter = Line::new().input_regexp(r"\n+").unwrap().max_length(5).max_buffer(10);
    let records = filter.get(b"one\n\ntwo\n\n\nthree");
    assert_eq!(records.len(), 3);
    assert!(records[2].as_ref().unwrap_err().is_overflow());
    assert!(filter.get(b"x\n").remove(0).unwrap_err().is_fatal());
}

#[test]
fn an_error_can_be_asked_and_shown() {
    fn travels<T: std::error::Error + Send + Sync + 'static>(_: &T) {}
    let error = Line::new().max_length(3).get(b"abcdef\n").remove(0).unwrap_err();
    travels(&error);
    assert_eq!(error.to_string(), "the record exceeds the maximum length of 3 bytes");
    assert!(format!("{error:?}").contains("abc"));
    assert_eq!(error.into_bytes(), &b"abc"[..]);
    assert_eq!(size_of::<FilterError>(), size_of::<usize>());
}

#[test]
fn a_switch_after_half_a_newline_swallows_the_other_half() {
    let (mut seam, mut old, mut middle, mut next) = (Seam::new(), Line::new(), Raw::new(), Raw::new());
    assert_eq!(lines(&mut old, &[b"head\r"]), ["head"]);
    seam.switch(&mut old, &mut middle);
    seam.switch(&mut middle, &mut next);
    next.feed(seam.trim(b""));
    next.feed(seam.trim(b"\nbo"));
    next.feed(seam.trim(b"\ndy"));
    assert_eq!(next.next_record().unwrap().unwrap(), "bo\ndy");
}

/// Bytes among which terminators are frequent.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(&b"ab\r\r\n\n\n-xy\xff"[..]), 0..80)
}

/// Where reads end.
fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..12_usize, 0..40)
}

fn chunks<'a>(mut bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for &cut in cuts {
        let (chunk, rest) = bytes.split_at(cut.min(bytes.len()));
        chunks.push(chunk);
        bytes = rest;
    }
    chunks.push(bytes);
    chunks
}

/// All ways to end a line, over bytes.
fn modes() -> Vec<Line<Bytes>> {
    let mut modes = exact_modes();
    modes.extend(GROWING.map(|pattern| Line::bytes().input_regexp(pattern).unwrap()));
    modes
}

/// Those that at any moment have taken exactly the bytes of what they gave, but for the byte they say they are owed.
fn exact_modes() -> Vec<Line<Bytes>> {
    let mut modes = vec![Line::bytes(), Line::bytes().autodetect()];
    modes.extend(["\n", "\r\n", "aa", "\n\n", "\r\n\r", "abab"].map(|literal| Line::bytes().literal(literal)));
    modes.extend(CLOSED.map(|pattern| Line::bytes().input_regexp(pattern).unwrap()));
    modes
}

/// Terminators whose end is known when they are matched.
const CLOSED: [&str; 5] = ["[xy]", r"\r?\n", r"\n+?", "x|xy", r"[xy]{2}"];

/// Terminators that what follows may still change. A line may be given before its terminator is over.
const GROWING: [&str; 8] = [
    r"\r\n?",
    r"\n+",
    r"\n(?:a*b)?",
    r"ab\r\n|b",
    "a+b+|x",
    "[^ab]+",
    r"-.*\n",
    r"(?:\r\n|\n\r|\r|\n){2}",
];

/// A record or an error, so that two runs can be compared.
type Seen = Result<Bytes, (bool, Bytes)>;

fn seen(record: Result<Bytes, FilterError>) -> Seen {
    record.map_err(|error| (error.is_too_long(), error.into_bytes()))
}

proptest! {
    #[test]
    fn chunks_do_not_matter(stream in streams(), cuts in cuts()) {
        for mode in modes() {
            for limit in [3, 1000] {
                let mut whole = mode.fresh().max_length(limit);
                let expected: Vec<Seen> = whole.get(&stream).into_iter().map(seen).collect();
                let mut parts = mode.fresh().max_length(limit);
                let records: Vec<Seen> = chunks(&stream, &cuts).into_iter().flat_map(|read| parts.get(read)).map(seen).collect();
                prop_assert_eq!(&records, &expected, "{:?}", mode);
            }
        }
    }

    #[test]
    fn what_is_put_is_got(records in prop::collection::vec("[abxy \u{e9}\u{2603}]{0,20}", 0..10)) {
        for mut filter in [Line::new(), Line::new().literal("\n"), Line::new().literal("<>"), Line::new().literal("--\n")] {
            let wire: Vec<u8> = records.iter().flat_map(|record| put(&mut filter, record.as_str())).collect();
            prop_assert_eq!(&lines(&mut filter, &[&wire]), &records);
        }
    }

    /// The rest of the stream, after the switch, is the same as if all of it had been there from the start.
    #[test]
    fn a_switch_to_stream_loses_nothing(stream in streams(), cuts in cuts(), after in 0..6_usize) {
        for mode in exact_modes() {
            let mut whole = mode.fresh();
            whole.feed(&stream);
            let mut wanted = 0;
            while wanted < after && whole.next_record().unwrap().is_some() {
                wanted += 1;
            }
            let expected = whole.take_pending();

            let (mut seam, mut old, mut next) = (Seam::new(), mode.fresh(), Raw::new());
            let (mut lines, mut rest) = (0, Vec::new());
            // The wheel's loop: the filter is looked up afresh before every record.
            let mut switched = wanted == 0;
            for read in chunks(&stream, &cuts) {
                if switched {
                    next.feed(seam.trim(read));
                } else {
                    old.feed(seam.trim(read));
                    while !switched && old.next_record().unwrap().is_some() {
                        lines += 1;
                        switched = lines == wanted;
                    }
                    if switched {
                        seam.switch(&mut old, &mut next);
                    }
                }
                while let Some(bytes) = next.next_record().unwrap() {
                    rest.extend_from_slice(&bytes);
                }
            }
            prop_assert!(switched);
            prop_assert_eq!(&rest[..], &expected[..], "{:?}", mode);
        }
    }

    #[test]
    fn a_switch_to_another_line_filter_at_any_byte_loses_nothing(stream in streams(), at in 0..80_usize) {
        let (before, behind) = stream.split_at(at.min(stream.len()));
        for mode in modes() {
            let expected: Vec<Seen> = mode.fresh().get(&stream).into_iter().map(seen).collect();
            let (mut seam, mut first, mut second) = (Seam::new(), Raw::new(), mode.fresh());
            first.feed(seam.trim(before));
            seam.switch(&mut first, &mut second);
            let mut records = second.get(seam.trim(behind));
            records.extend(second.get(b""));
            let records: Vec<Seen> = records.into_iter().map(seen).collect();
            prop_assert_eq!(&records, &expected, "{:?}", mode);
        }
    }

    #[test]
    fn pending_is_what_no_record_was_made_of(stream in streams(), cuts in cuts()) {
        let mut filter = Line::bytes().literal("\n");
        let mut wire = Vec::new();
        for read in chunks(&stream, &cuts) {
            for record in filter.get(read) {
                wire.extend_from_slice(&record.unwrap());
                wire.push(b'\n');
            }
        }
        wire.extend_from_slice(filter.pending());
        prop_assert_eq!(&wire, &stream);
        prop_assert_eq!(filter.pending().to_vec(), filter.take_pending());
        prop_assert!(filter.pending().is_empty());
    }

    #[test]
    fn a_fresh_copy_shares_nothing(stream in streams(), other in streams()) {
        for mut mode in modes() {
            let expected: Vec<Seen> = mode.fresh().get(&other).into_iter().map(seen).collect();
            mode.get(&stream);
            let pending = mode.pending().to_vec();
            let mut copy = mode.fresh();
            prop_assert!(copy.pending().is_empty() && copy.owed().is_none());
            let records: Vec<Seen> = copy.get(&other).into_iter().map(seen).collect();
            prop_assert_eq!(&records, &expected, "{:?}", mode);
            prop_assert_eq!(mode.pending(), pending);
        }
    }

    #[test]
    fn memory_is_bounded(stream in streams(), limit in 1..20_usize, extra in 0..20_usize) {
        for mode in modes() {
            let mut filter = mode.max_length(limit).max_buffer(limit + extra);
            for _ in 0..20 {
                filter.feed(&stream);
                prop_assert!(filter.pending().len() <= limit + extra);
            }
            while filter.next_record().is_ok_and(|record| record.is_some()) {}
            prop_assert!(filter.pending().len() <= limit + extra);
        }
    }
}
