//! Any bytes, in any chunks, through every kind of line filter: the same records as in one piece, nothing lost, no panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use poe::filter::{Filter, FilterExt, Line};

/// `None` is an error, with the bytes that it carries.
type Seen = (Option<String>, Vec<u8>);

fuzz_target!(|data: &[u8]| {
    let &[mode, limit, cuts, ref rest @ ..] = data else {
        return;
    };
    let (cuts, stream) = rest.split_at((cuts as usize).min(rest.len()));
    let filter = mode_of(mode).max_length(limit as usize + 1);

    let mut whole = filter.fresh();
    let expected = records(&mut whole, stream);

    let mut parts = filter.fresh();
    let mut seen = Vec::new();
    let mut left = stream;
    for &cut in cuts {
        let (read, behind) = left.split_at((cut as usize).min(left.len()));
        seen.extend(records(&mut parts, read));
        left = behind;
    }
    seen.extend(records(&mut parts, left));
    assert_eq!(seen, expected, "{filter:?}");

    let pending = parts.pending().to_vec();
    assert_eq!(parts.take_pending(), pending);
    assert!(parts.pending().is_empty());
    assert!(pending.len() <= limit as usize + 1 + 2 * 4096);
});

fn records(filter: &mut Line, bytes: &[u8]) -> Vec<Seen> {
    let seen = |record: Result<String, poe::filter::FilterError>| match record {
        Ok(line) => (Some(line), Vec::new()),
        Err(error) => {
            assert!(!error.is_fatal());
            (None, error.bytes().to_vec())
        }
    };
    filter.get(bytes).into_iter().map(seen).collect()
}

fn mode_of(byte: u8) -> Line {
    let pattern = |pattern| Line::new().input_regexp(pattern).expect("a pattern of ours is sound");
    match byte % 14 {
        0 => Line::new(),
        1 => Line::new().autodetect(),
        2 => Line::new().literal("\n"),
        3 => Line::new().literal("\r\n"),
        4 => Line::new().literal("\n\n"),
        5 => Line::new().literal("\r\n\r\n"),
        6 => Line::new().literal("aab"),
        7 => pattern(r"\r?\n"),
        8 => pattern(r"\n+"),
        9 => pattern(r"\r\n?"),
        10 => pattern("abcd|c"),
        11 => pattern(r"\n(?:x*y)?"),
        12 => pattern("a+b+|x"),
        _ => pattern("[^a-z]+"),
    }
}
