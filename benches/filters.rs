//! How fast each filter is, in bytes of the wire. `cargo bench --bench filters`.
//!
//! Lines and frames have 64 bytes, and there are 1024 to a read, unless it says otherwise. `memchr` finds the same
//! newlines and does nothing more: what a filter takes beyond it is the records.

use bytes::{Bytes, BytesMut};
use divan::Bencher;
use divan::counter::BytesCount;
use poe::filter::{Block, Filter, FilterExt, Layer, Line, Raw, RecordBlock, Stackable};

const RECORDS: usize = 1024;

fn main() {
    divan::main();
}

fn lines() -> Vec<u8> {
    let mut line = vec![b'x'; 63];
    line.push(b'\n');
    line.repeat(RECORDS)
}

/// Parses a read over and over, and checks how many records it gives.
fn parse<F: Filter>(bencher: Bencher<'_, '_>, mut filter: F, bytes: &[u8], records: usize) {
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        filter.feed(bytes);
        let mut seen = 0;
        while let Ok(Some(record)) = filter.next_record() {
            divan::black_box(record);
            seen += 1;
        }
        assert_eq!(seen, records);
    });
}

/// Puts a record over and over, `size` bytes each.
fn put<F: Filter<Output: Clone>>(bencher: Bencher<'_, '_>, mut filter: F, record: F::Output, size: usize) {
    let mut out = BytesMut::with_capacity(1 << 16);
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        out.clear();
        filter.put(record.clone(), &mut out).expect("it has a form");
    });
    assert_eq!(out.len(), size);
}

mod line {
    use super::*;

    #[divan::bench]
    fn memchr(bencher: Bencher<'_, '_>) {
        let bytes = lines();
        bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
            let mut left = &bytes[..];
            let mut seen = 0;
            while let Some(at) = memchr::memchr(b'\n', left) {
                divan::black_box(&left[..at]);
                left = &left[at + 1..];
                seen += 1;
            }
            assert_eq!(seen, RECORDS);
        });
    }

    /// The same, and a copy of each line, which a record that may be kept has to be.
    #[divan::bench]
    fn memchr_and_copies(bencher: Bencher<'_, '_>) {
        let bytes = lines();
        bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
            let mut left = &bytes[..];
            while let Some(at) = memchr::memchr(b'\n', left) {
                divan::black_box(Bytes::copy_from_slice(&left[..at]));
                left = &left[at + 1..];
            }
        });
    }

    #[divan::bench]
    fn text(bencher: Bencher<'_, '_>) {
        parse(bencher, Line::new(), &lines(), RECORDS);
    }

    #[divan::bench]
    fn bytes(bencher: Bencher<'_, '_>) {
        parse(bencher, Line::bytes(), &lines(), RECORDS);
    }

    #[divan::bench]
    fn bytes_by_literal(bencher: Bencher<'_, '_>) {
        parse(bencher, Line::bytes().literal("\n"), &lines(), RECORDS);
    }

    #[divan::bench]
    fn bytes_by_pattern(bencher: Bencher<'_, '_>) {
        let filter = Line::bytes().input_regexp(r"\r?\n").expect("it is sound");
        parse(bencher, filter, &lines(), RECORDS);
    }

    #[divan::bench]
    fn text_one_to_a_read(bencher: Bencher<'_, '_>) {
        parse(bencher, Line::new(), &lines()[..64], 1);
    }

    #[divan::bench]
    fn puts(bencher: Bencher<'_, '_>) {
        put(bencher, Line::bytes(), Bytes::from(vec![b'x'; 62]), 64);
    }
}

mod block {
    use super::*;

    #[divan::bench]
    fn decimal(bencher: Bencher<'_, '_>) {
        let mut frame = b"61\0".to_vec();
        frame.resize(64, b'x');
        parse(bencher, Block::new(), &frame.repeat(RECORDS), RECORDS);
    }

    #[divan::bench]
    fn fixed(bencher: Bencher<'_, '_>) {
        parse(bencher, Block::fixed(64), &lines(), RECORDS);
    }

    #[divan::bench]
    fn puts(bencher: Bencher<'_, '_>) {
        put(bencher, Block::new(), Bytes::from(vec![b'x'; 61]), 64);
    }
}

mod stages {
    use super::*;

    #[divan::bench]
    fn grep(bencher: Bencher<'_, '_>) {
        parse(bencher, Line::bytes().grep(|line| line.len() == 63), &lines(), RECORDS);
    }

    #[divan::bench]
    fn map(bencher: Bencher<'_, '_>) {
        let filter = Line::bytes().map(|line| line.len(), |_: usize| Bytes::new());
        parse(bencher, filter, &lines(), RECORDS);
    }

    #[divan::bench]
    fn record_block(bencher: Bencher<'_, '_>) {
        let filter = Line::bytes().then(RecordBlock::<Bytes>::new(4));
        parse(bencher, filter, &lines(), RECORDS / 4);
    }

    #[divan::bench]
    fn stackable(bencher: Bencher<'_, '_>) {
        let layers = [Layer::filter(Line::bytes()), Layer::stage(RecordBlock::<Bytes>::new(4))];
        parse(bencher, Stackable::<Vec<Bytes>>::new(layers), &lines(), RECORDS / 4);
    }

    #[divan::bench]
    fn stream(bencher: Bencher<'_, '_>) {
        parse(bencher, Raw::new(), &lines(), 1);
    }
}
