//! Tests for every filter: upstream's `05_filters/TestFilter.pm`, and the laws of `Filter` as generic functions.

use bytes::{Bytes, BytesMut};
use poe::filter::{Filter, FilterError, FilterExt, Seam, Stage};
use proptest::prelude::*;
use std::fmt::Debug;

/// A record or an error, so that two runs can be compared.
pub(crate) type Seen<T> = Result<T, (bool, bool, Bytes)>;

pub(crate) fn seen<T>(record: Result<T, FilterError>) -> Seen<T> {
    record.map_err(|error| (error.is_fatal(), error.is_too_long(), error.into_bytes()))
}

/// The records of one read after the other, which must all be good.
pub(crate) fn good<F: Filter>(filter: &mut F, reads: &[&[u8]]) -> Vec<F::Input> {
    let records = reads.iter().flat_map(|read| filter.get(read));
    records.map(Result::unwrap).collect()
}

pub(crate) fn all<F: Filter>(filter: &mut F, bytes: &[u8]) -> Vec<Seen<F::Input>> {
    filter.get(bytes).into_iter().map(seen).collect()
}

pub(crate) fn put<F: Filter>(filter: &mut F, record: impl Into<F::Output>) -> Vec<u8> {
    let mut out = BytesMut::new();
    filter.put(record.into(), &mut out).unwrap();
    out.to_vec()
}

/// Upstream's battery: the same records by `get` and by strobing, a fresh copy in between, then put.
pub(crate) fn battery<F>(mut filter: F, reads: &[&[u8]], records: &[F::Input], sent: Vec<F::Output>, chunks: &[&[u8]])
where
    F: Filter,
    F::Input: Debug + PartialEq,
{
    let bytes = reads.concat();
    assert_eq!(good(&mut filter, &[&bytes]), records, "get");
    let mut filter = filter.fresh();
    assert!(filter.pending().is_empty(), "a fresh copy has no input");
    assert!(filter.check().is_ok());

    filter.feed(&bytes);
    assert_eq!(filter.pending(), bytes, "starting parses nothing");
    assert_eq!(filter.pending(), bytes, "looking drains nothing");
    let mut strobed = Vec::new();
    while let Some(record) = filter.next_record().unwrap() {
        strobed.push(record);
    }
    assert_eq!(strobed, records, "next_record");
    let put: Vec<Vec<u8>> = sent.into_iter().map(|record| put(&mut filter, record)).collect();
    assert_eq!(put, chunks, "put");
}

/// The same for a stage.
pub(crate) fn stage_battery<S>(
    mut stage: S,
    raw: &[S::RawInput],
    records: &[S::Input],
    sent: Vec<S::Output>,
    under: &[S::RawOutput],
) where
    S: Stage,
    S::RawInput: Clone + Debug + PartialEq,
    S::Input: Debug + PartialEq,
    S::RawOutput: Debug + PartialEq,
{
    let got: Vec<S::Input> = stage.get(raw.to_vec()).into_iter().map(Result::unwrap).collect();
    assert_eq!(got, records, "get");
    let mut stage = stage.fresh();
    assert_eq!(stage.waiting(), 0, "a fresh copy has no input");
    for record in raw {
        stage.feed(record.clone());
    }
    assert_eq!(stage.waiting(), raw.len(), "starting uses nothing");
    let mut strobed = Vec::new();
    while let Some(record) = stage.next_record().unwrap() {
        strobed.push(record);
    }
    assert_eq!(strobed, records, "next_record");
    let mut put = Vec::new();
    for record in sent {
        stage.put(record, &mut put).unwrap();
    }
    assert_eq!(put, under, "put");
}

/// Where reads end.
pub(crate) fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..12_usize, 0..40)
}

pub(crate) fn chunks<'a>(mut bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for &cut in cuts {
        let (chunk, rest) = bytes.split_at(cut.min(bytes.len()));
        chunks.push(chunk);
        bytes = rest;
    }
    chunks.push(bytes);
    chunks
}

/// Law: the records depend on the bytes alone, not on how reads cut them. Looking at what is pending drains nothing.
pub(crate) fn chunks_do_not_matter<F>(make: &F, stream: &[u8], cuts: &[usize]) -> Result<(), TestCaseError>
where
    F: Filter,
    F::Input: Debug + PartialEq,
{
    let mut whole = make.fresh();
    let expected = all(&mut whole, stream);
    let mut parts = make.fresh();
    let mut records = Vec::new();
    for read in chunks(stream, cuts) {
        // Bytes after a fatal error belong to no record.
        if records
            .last()
            .is_none_or(|record: &Seen<F::Input>| !matches!(record, Err((true, ..))))
        {
            records.extend(all(&mut parts, read));
        }
        prop_assert_eq!(parts.pending().to_vec(), parts.pending());
    }
    prop_assert_eq!(&records, &expected);
    if !matches!(expected.last(), Some(Err((true, ..)))) {
        prop_assert_eq!(parts.pending(), whole.pending());
    }
    let pending = parts.pending().to_vec();
    prop_assert_eq!(parts.take_pending(), pending);
    prop_assert!(parts.pending().is_empty());
    Ok(())
}

/// Law: a switch after any record, at any byte, loses nothing and doubles nothing. A filter of the same settings goes
/// on where the old one was, and what comes is what one filter would have given.
pub(crate) fn a_switch_loses_nothing<F>(
    make: &F,
    stream: &[u8],
    cuts: &[usize],
    after: usize,
) -> Result<(), TestCaseError>
where
    F: Filter,
    F::Input: Debug + PartialEq,
{
    let expected = all(&mut make.fresh(), stream);
    let (mut seam, mut filter) = (Seam::new(), make.fresh());
    let mut records: Vec<Seen<F::Input>> = Vec::new();
    let mut until = after;
    for read in chunks(stream, cuts) {
        filter.feed(seam.trim(read));
        while let Some(record) = filter.next_record().transpose() {
            records.push(seen(record));
            if matches!(records.last(), Some(Err((true, ..)))) {
                break;
            }
            until = until.saturating_sub(1);
            if until == 0 {
                let mut next = make.fresh();
                seam.switch(&mut filter, &mut next);
                prop_assert!(filter.pending().is_empty());
                filter = next;
                until = after;
            }
        }
        if matches!(records.last(), Some(Err((true, ..)))) {
            break;
        }
        // In the middle of a record, too.
        let mut next = make.fresh();
        seam.switch(&mut filter, &mut next);
        filter = next;
    }
    prop_assert_eq!(&records, &expected);
    Ok(())
}

/// Law: a fresh copy shares nothing.
pub(crate) fn a_fresh_copy_shares_nothing<F>(make: &F, stream: &[u8], other: &[u8]) -> Result<(), TestCaseError>
where
    F: Filter,
    F::Input: Debug + PartialEq,
{
    let expected = all(&mut make.fresh(), other);
    let mut used = make.fresh();
    drop(used.get(stream));
    let pending = used.pending().to_vec();
    let mut copy = used.fresh();
    prop_assert!(copy.pending().is_empty() && copy.owed().is_none());
    prop_assert_eq!(&all(&mut copy, other), &expected);
    prop_assert_eq!(used.pending(), pending);
    Ok(())
}

/// Law: the limit bounds the memory, whatever the input is.
pub(crate) fn memory_is_bounded<F: Filter>(make: &F, stream: &[u8], limit: usize) -> Result<(), TestCaseError> {
    let mut filter = make.fresh();
    for _ in 0..20 {
        filter.feed(stream);
        prop_assert!(filter.pending().len() <= limit);
    }
    while filter.next_record().is_ok_and(|record| record.is_some()) {}
    prop_assert!(filter.pending().len() <= limit);
    Ok(())
}
