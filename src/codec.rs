//! Adapters between `tokio_util::codec` and filters (feature `codec`).
//!
//! [`CodecFilter`] turns any `Decoder` and `Encoder` into a filter, so that a protocol written for Tokio can be used in a
//! wheel. [`FilterCodec`] turns any filter into both, so that a filter can be used in `Framed`.

use crate::debug::debug_fields;
use crate::filter::{Filter, FilterError};
use bytes::{Buf, Bytes, BytesMut};
use std::error::Error;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::rc::Rc;
use tokio_util::codec::{Decoder, Encoder};

/// The default limit of bytes that wait for a decoder that returns no frame.
const MAX_BUFFER: usize = 32 * 1024 * 1024;

/// A Tokio codec as a [`Filter`]. Input records are the decoder's items; output records are of type `T`.
///
/// ```
/// use bytes::{Bytes, BytesMut};
/// use poe::{codec::CodecFilter, filter::Filter};
/// use tokio_util::codec::LengthDelimitedCodec;
/// let mut filter = CodecFilter::<_, Bytes>::new(LengthDelimitedCodec::new);
/// let mut wire = BytesMut::new();
/// filter.put("hello".into(), &mut wire).unwrap();
/// assert_eq!(&wire[..], b"\0\0\0\x05hello");
/// filter.feed(&wire[..7]);
/// assert!(filter.next_record().unwrap().is_none());
/// assert_eq!(filter.pending(), b"\0\0\0\x05hel"); // the header as well, which the codec has taken
/// filter.feed(b"lo");
/// assert_eq!(filter.next_record().unwrap().unwrap(), "hello");
/// ```
///
/// An error of the decoder takes the place of a frame, and is fatal if no byte was used since the one before. A
/// filter does not learn of the end of a stream, so `decode_eof` is never called.
pub struct CodecFilter<C, T> {
    codec: C,
    make: Rc<dyn Fn() -> C>,
    /// The decoder's buffer.
    source: BytesMut,
    /// All bytes of which no frame was made: the decoder's buffer, after the bytes that it has removed ahead of time.
    wire: BytesMut,
    max_buffer: usize,
    overflowed: bool,
    /// An error came, and no byte was used since.
    stuck: bool,
    record: PhantomData<fn(T)>,
}

impl<C: Decoder + 'static, T> CodecFilter<C, T> {
    /// Makes a filter from a function that makes codecs.
    ///
    /// `make` is called again for each `fresh` filter, and when pending bytes are taken.
    pub fn new(make: impl Fn() -> C + 'static) -> Self {
        Self::shared(Rc::new(make), MAX_BUFFER)
    }

    /// Limits the bytes that may wait to be decoded; default 32 MiB. More is a fatal error.
    #[must_use]
    pub fn max_buffer(mut self, bytes: usize) -> Self {
        self.max_buffer = bytes;
        self
    }

    fn shared(make: Rc<dyn Fn() -> C>, max_buffer: usize) -> Self {
        CodecFilter {
            codec: make(),
            make,
            source: BytesMut::new(),
            wire: BytesMut::new(),
            max_buffer,
            overflowed: false,
            stuck: false,
            record: PhantomData,
        }
    }

    /// Drops the bytes of which the decoder has made a frame or an error; returns whether there were any.
    fn settle(&mut self) -> bool {
        let used = self.wire.len().saturating_sub(self.source.len());
        self.wire.advance(used);
        used > 0
    }

    fn restart(&mut self) -> Bytes {
        self.codec = (self.make)();
        self.source.clear();
        self.stuck = false;
        self.wire.split().freeze()
    }
}

impl<C, T> Filter for CodecFilter<C, T>
where
    C: Decoder + Encoder<T> + 'static,
    C::Item: 'static,
    <C as Decoder>::Error: Error + Send + Sync + 'static,
    <C as Encoder<T>>::Error: Error + Send + Sync + 'static,
    T: 'static,
{
    type Input = C::Item;
    type Output = T;

    fn feed(&mut self, mut bytes: &[u8]) {
        if self.overflowed {
            return;
        }
        let room = self.max_buffer.saturating_sub(self.wire.len());
        if bytes.len() > room {
            self.overflowed = true;
            bytes = &bytes[..room];
        }
        self.source.extend_from_slice(bytes);
        self.wire.extend_from_slice(bytes);
    }

    fn next_record(&mut self) -> Result<Option<C::Item>, FilterError> {
        match self.codec.decode(&mut self.source) {
            Ok(Some(item)) => {
                self.settle();
                self.stuck = false;
                Ok(Some(item))
            }
            Ok(None) if self.overflowed => {
                let bytes = self.restart();
                Err(FilterError::overflow(self.max_buffer, bytes))
            }
            Ok(None) => Ok(None),
            Err(cause) => {
                let error = FilterError::custom(cause);
                if self.settle() {
                    self.stuck = false;
                } else if std::mem::replace(&mut self.stuck, true) {
                    return Err(error.fatal());
                }
                Err(error)
            }
        }
    }

    fn put(&mut self, record: T, out: &mut BytesMut) -> Result<(), FilterError> {
        let before = out.len();
        self.codec.encode(record, out).map_err(|cause| {
            out.truncate(before);
            FilterError::custom(cause)
        })
    }

    fn pending(&self) -> &[u8] {
        &self.wire
    }

    fn take_pending(&mut self) -> Bytes {
        self.overflowed = false;
        self.restart()
    }

    fn fresh(&self) -> Self {
        Self::shared(self.make.clone(), self.max_buffer)
    }
}

debug_fields!([C: fmt::Debug, T] CodecFilter<C, T>, "CodecFilter", |this| {
    codec: this.codec,
    pending: this.wire.len(),
});

/// A filter as a Tokio `Decoder` and `Encoder`, for `Framed` and the like.
///
/// Its errors are `io::Error`s of the kind `InvalidData` around the [`FilterError`]. `Framed` stops at the first error, even at
/// one that is not fatal. Bytes that the filter has not used when the stream ends are an error, as with other codecs.
///
/// ```
/// use bytes::BytesMut;
/// use poe::{codec::FilterCodec, filter::Line};
/// use tokio_util::codec::{Decoder, Encoder};
/// let mut codec = FilterCodec(Line::new());
/// let mut bytes = BytesMut::from("one\ntw");
/// assert_eq!(codec.decode(&mut bytes).unwrap().unwrap(), "one");
/// assert!(codec.decode(&mut bytes).unwrap().is_none());
/// assert!(codec.decode_eof(&mut bytes).is_err());
/// codec.encode("two".to_owned(), &mut bytes).unwrap();
/// assert_eq!(&bytes[..], b"two\r\n");
/// ```
#[derive(Debug)]
pub struct FilterCodec<F>(pub F);

impl<F: Filter> Decoder for FilterCodec<F> {
    type Item = F::Input;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<F::Input>> {
        if !bytes.is_empty() {
            self.0.feed(bytes);
            bytes.clear();
        }
        self.0.next_record().map_err(invalid)
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> io::Result<Option<F::Input>> {
        match self.decode(bytes)? {
            None if !self.0.pending().is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            record => Ok(record),
        }
    }
}

impl<F: Filter> Encoder<F::Output> for FilterCodec<F> {
    type Error = io::Error;

    fn encode(&mut self, record: F::Output, out: &mut BytesMut) -> io::Result<()> {
        self.0.put(record, out).map_err(invalid)
    }
}

fn invalid(error: FilterError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
