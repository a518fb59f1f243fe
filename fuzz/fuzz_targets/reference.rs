//! Any bytes as a stream of frames, in any chunks, with and without compression: the same records and errors as in one
//! piece, nothing lost, no panic, and bounded.

#![no_main]

use libfuzzer_sys::fuzz_target;
use perl_storable::{self as storable, Value};
use poe::filter::{Filter, FilterError, FilterExt, Reference, Storable};

/// A record as its image, or an error: whether it is fatal, and the bytes it carries.
type Seen = Result<Option<Vec<u8>>, (bool, Vec<u8>)>;

const LIMIT: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let &[mode, cuts, ref rest @ ..] = data else {
        return;
    };
    let (cuts, stream) = rest.split_at((cuts as usize).min(rest.len()));
    let filter = Reference::new(Storable::<Value>::new())
        .compression(mode & 1 != 0)
        .max_buffer(LIMIT)
        .max_inflated(10_000);

    let mut whole = filter.fresh();
    let expected = records(&mut whole, stream);

    let mut parts = filter.fresh();
    let mut seen: Vec<Seen> = Vec::new();
    let mut left = stream;
    for cut in cuts.iter().map(|&cut| cut as usize).chain([usize::MAX]) {
        let (read, behind) = left.split_at(cut.min(left.len()));
        left = behind;
        // What comes behind a fatal error is nobody's, and how much of it was taken depends on the reads.
        if !seen.iter().any(|record| matches!(record, Err((true, _)))) {
            seen.extend(records(&mut parts, read));
        }
        assert!(parts.pending().len() <= LIMIT);
    }
    // How much had come when a stream turned out to be too much for the buffer depends on the reads, too.
    if expected.iter().any(|record| matches!(record, Err((true, _)))) && stream.len() > LIMIT {
        return;
    }
    assert_eq!(seen, expected);
    if !matches!(expected.last(), Some(Err((true, _)))) {
        assert_eq!(parts.pending(), whole.pending());
    }
});

fn records(filter: &mut Reference<Storable<Value>>, bytes: &[u8]) -> Vec<Seen> {
    let seen = |record: Result<Value, FilterError>| match record {
        Ok(value) => Ok(storable::freeze(&value).ok()),
        Err(error) => Err((error.is_fatal(), error.bytes().to_vec())),
    };
    filter.get(bytes).into_iter().map(seen).collect()
}
