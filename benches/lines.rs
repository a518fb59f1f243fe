//! How fast lines are parsed: 64-byte lines, many to a read and one to a read. `cargo bench --bench lines`.

use bytes::BytesMut;
use divan::Bencher;
use divan::counter::BytesCount;
use poe::filter::{Filter, Line};

fn main() {
    divan::main();
}

fn input(lines: usize) -> Vec<u8> {
    let mut line = vec![b'x'; 63];
    line.push(b'\n');
    line.repeat(lines)
}

fn parse<F: Filter>(filter: &mut F, octets: &[u8]) -> usize {
    filter.get_one_start(octets);
    let mut lines = 0;
    while let Ok(Some(line)) = filter.get_one() {
        divan::black_box(line);
        lines += 1;
    }
    lines
}

#[divan::bench(args = [1, 16, 1024])]
fn text(bencher: Bencher<'_, '_>, lines: usize) {
    let octets = input(lines);
    let mut filter = Line::new();
    bencher
        .counter(BytesCount::new(octets.len()))
        .bench_local(|| assert_eq!(parse(&mut filter, &octets), lines));
}

#[divan::bench(args = [1, 16, 1024])]
fn octets(bencher: Bencher<'_, '_>, lines: usize) {
    let octets = input(lines);
    let mut filter = Line::bytes().literal("\n");
    bencher
        .counter(BytesCount::new(octets.len()))
        .bench_local(|| assert_eq!(parse(&mut filter, &octets), lines));
}

#[divan::bench]
fn put(bencher: Bencher<'_, '_>) {
    let mut filter = Line::new();
    let mut out = BytesMut::with_capacity(1 << 16);
    let line = "x".repeat(62);
    bencher.counter(BytesCount::new(64_usize)).bench_local(|| {
        out.clear();
        filter.put(line.clone(), &mut out)
    });
}
