//! Any bytes, in any chunks, through every kind of block filter: the same records as in one piece, nothing lost, no panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use poe::filter::{Block, Filter, FilterExt};

/// A record, or the bytes of an error and whether it is fatal.
type Seen = Result<Vec<u8>, (bool, Vec<u8>)>;

fuzz_target!(|data: &[u8]| {
    let &[mode, limit, cuts, ref rest @ ..] = data else {
        return;
    };
    let (cuts, stream) = rest.split_at((cuts as usize).min(rest.len()));
    let filter = mode_of(mode, limit.into());
    assert!(filter.check().is_ok());

    let mut whole = filter.fresh();
    let expected = records(&mut whole, stream);

    let mut parts = filter.fresh();
    let mut seen = Vec::new();
    let mut left = stream;
    for &cut in cuts {
        let (read, behind) = left.split_at((cut as usize).min(left.len()));
        feed(&mut parts, &mut seen, read);
        left = behind;
    }
    feed(&mut parts, &mut seen, left);
    assert_eq!(seen, expected, "{filter:?}");

    let pending = parts.pending().to_vec();
    assert_eq!(parts.take_pending(), pending);
    assert!(parts.pending().is_empty());
});

fn feed(filter: &mut Block, seen: &mut Vec<Seen>, read: &[u8]) {
    if !matches!(seen.last(), Some(Err((true, _)))) {
        seen.extend(records(filter, read));
    }
}

fn records(filter: &mut Block, bytes: &[u8]) -> Vec<Seen> {
    let records = filter.get(bytes).into_iter();
    records
        .map(|record| match record {
            Ok(record) => Ok(record.to_vec()),
            Err(error) => Err((error.is_fatal(), error.bytes().to_vec())),
        })
        .collect()
}

fn mode_of(byte: u8, limit: usize) -> Block {
    match byte % 4 {
        0 => Block::new().max_length(limit + 1),
        1 => Block::fixed(limit + 1),
        2 => Block::new(),
        _ => {
            let decode = |bytes: &[u8]| {
                let header = bytes.first_chunk::<2>();
                Ok(header.map(|length| (2, u16::from_be_bytes(*length).into())))
            };
            let encode = |_: usize, _: &mut bytes::BytesMut| ();
            Block::new().length_codec((encode, decode)).max_length(limit + 1)
        }
    }
}
