//! Tokio's codecs as filters, filters as Tokio's codecs.

use crate::filter_kit::{a_switch_loses_nothing, battery, chunks_do_not_matter, cuts, good, put};
use bytes::{Bytes, BytesMut};
use poe::codec::{CodecFilter, FilterCodec};
use poe::filter::{Block, Filter, FilterExt, Line};
use proptest::prelude::*;
use tokio_util::codec::{Decoder, Encoder, Framed, LengthDelimitedCodec, LinesCodec};

fn delimited() -> CodecFilter<LengthDelimitedCodec, Bytes> {
    CodecFilter::new(LengthDelimitedCodec::new)
}

#[test]
fn a_codec_passes_the_battery_of_filters() {
    battery(
        CodecFilter::<_, String>::new(LinesCodec::new),
        &[b"a\nb", b"\r\nc\n"],
        &["a".to_owned(), "b".to_owned(), "c".to_owned()],
        vec!["a".to_owned(), "b".to_owned()],
        &[b"a\n", b"b\n"],
    );
}

#[test]
fn what_a_codec_has_taken_ahead_is_pending_all_the_same() {
    let mut filter = delimited();
    assert_eq!(good(&mut filter, &[b"\0\0\0\x01a\0\0\0\x02b"]), ["a"]);
    assert_eq!(filter.take_pending(), &b"\0\0\0\x02b"[..]);
    assert_eq!(good(&mut filter, &[b"\0\0\0\x01c"]), ["c"], "it begins anew");
}

#[test]
fn an_error_of_the_codec_stands_in_the_place_of_a_frame() {
    let mut filter = CodecFilter::<_, String>::new(|| LinesCodec::new_with_max_length(4));
    let records = filter.get(b"one\ntoo long\ntwo\n");
    assert_eq!(records[0].as_ref().unwrap(), "one");
    assert!(records[1].as_ref().is_err_and(|error| !error.is_fatal()));
    assert_eq!(records[2].as_ref().unwrap(), "two");
}

/// A codec that never makes progress.
struct Stuck;

impl Decoder for Stuck {
    type Item = ();
    type Error = std::io::Error;
    fn decode(&mut self, _: &mut BytesMut) -> Result<Option<()>, Self::Error> {
        Err(std::io::ErrorKind::InvalidData.into())
    }
}

impl Encoder<()> for Stuck {
    type Error = std::io::Error;
    fn encode(&mut self, (): (), out: &mut BytesMut) -> Result<(), Self::Error> {
        out.extend_from_slice(b"half a fra");
        Err(std::io::ErrorKind::InvalidData.into())
    }
}

#[test]
fn a_codec_that_is_stuck_breaks_the_filter_and_a_failed_put_leaves_nothing() {
    let mut filter = CodecFilter::<_, ()>::new(|| Stuck);
    let records = filter.get(b"x");
    assert_eq!(records.len(), 2);
    assert!(records[1].as_ref().unwrap_err().is_fatal());
    let mut out = BytesMut::from(&b"before"[..]);
    assert!(filter.put((), &mut out).is_err());
    assert_eq!(&out[..], b"before");
}

#[test]
fn a_decoder_that_only_collects_is_bounded() {
    let mut filter = delimited().max_buffer(10);
    for _ in 0..10 {
        filter.feed(b"\0\x10\0\0");
    }
    assert_eq!(filter.pending().len(), 10);
    let error = filter.next_record().unwrap_err();
    assert!(error.is_overflow() && error.is_fatal());
    assert_eq!(error.bytes().len(), 10);
}

#[tokio::test]
async fn a_filter_frames_a_stream() {
    use futures_util::StreamExt;
    use tokio::io::AsyncWriteExt;
    let (mut near, far) = tokio::io::duplex(64);
    let mut far = Framed::new(far, FilterCodec(Block::new()));
    let mut wire = BytesMut::new();
    for text in ["hello", "again"] {
        far.codec_mut().encode(text.into(), &mut wire).unwrap();
    }
    near.write_all(&wire).await.unwrap();
    assert_eq!(far.next().await.unwrap().unwrap(), "hello");
    assert_eq!(far.next().await.unwrap().unwrap(), "again");
    near.write_all(b"5\0hal").await.unwrap();
    drop(near);
    assert!(far.next().await.unwrap().is_err(), "the end in the middle of a frame");
    assert!(far.next().await.is_none());
}

#[test]
fn errors_keep_the_filters_error_inside() {
    let mut codec = FilterCodec(Line::new());
    let error = codec.decode(&mut BytesMut::from(&b"\xff\nnext\n"[..])).unwrap_err();
    let inside = error.get_ref().unwrap().downcast_ref::<poe::filter::FilterError>();
    assert!(inside.unwrap().is_invalid_utf8());
    assert_eq!(codec.decode(&mut BytesMut::new()).unwrap().unwrap(), "next");
}

proptest! {
    #[test]
    fn laws_of_a_codec(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..6), cuts in cuts(), after in 1..3_usize) {
        let mut filter = delimited();
        let wire: Vec<u8> = frames.iter().flat_map(|frame| put(&mut filter, frame.clone())).collect();
        chunks_do_not_matter(&filter, &wire, &cuts)?;
        a_switch_loses_nothing(&filter, &wire, &cuts, after)?;
        prop_assert_eq!(&good(&mut filter, &[&wire]), &frames);
    }
}
