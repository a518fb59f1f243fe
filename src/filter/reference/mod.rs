//! POE::Filter::Reference: frames of data structures, frozen by a serializer and optionally compressed.

#[cfg(any(feature = "json", feature = "msgpack", feature = "cbor"))]
mod bounded;
#[cfg(any(feature = "json", feature = "msgpack", feature = "cbor"))]
mod formats;
mod limits;
#[cfg(feature = "storable")]
mod storable;
mod zlib;

use super::{Block, Filter, FilterError};
use crate::debug::debug_fields;
use bytes::{Bytes, BytesMut};
use limits::Exceeded;
use std::error::Error;
use std::sync::Arc;
use zlib::Refused;

#[cfg(feature = "cbor")]
pub use formats::Cbor;
#[cfg(feature = "json")]
pub use formats::Json;
#[cfg(feature = "msgpack")]
pub use formats::MsgPack;
pub use limits::ReferenceLimits;
#[cfg(feature = "storable")]
pub use storable::Storable;

// The filter: a decimal length, a NUL, a payload.
/// Sends and receives data structures (`POE::Filter::Reference`).
///
/// A frame is the length of its payload in decimal, a NUL, and the payload, which a [`Serializer`] makes from a record. Both
/// peers must agree on the serializer and on compression, because nothing in a frame tells them. With the serializer `Storable` the
/// peer can be Perl's POE with its defaults.
///
/// ```
/// # #[cfg(feature = "storable")] {
/// use bytes::BytesMut;
/// use poe::filter::{Filter, FilterExt, Reference, Storable};
/// use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, Debug, PartialEq)]
/// struct Job { id: u32, args: Vec<String> }
///
/// let mut filter = Reference::new(Storable::<Job>::new());
/// let mut out = BytesMut::new();
/// filter.put(Job { id: 7, args: vec!["-v".into()] }, &mut out).unwrap();
/// let job = filter.get(&out).remove(0).unwrap();
/// assert_eq!(job, Job { id: 7, args: vec!["-v".into()] });
/// # }
/// ```
///
/// # Errors in the stream
///
/// A payload that cannot be inflated or thawed is an error in its record's place, with the payload inside; it is not
/// fatal, and the next frame follows (`NoFatals`). Bytes that are not a length are one error up to the next digit, where
/// parsing goes on; POE waits for ever there.
///
/// # Limits
///
/// [`ReferenceLimits`] has all limits, with their defaults. A frame that is too long is a fatal error as soon as its length
/// has arrived, and so is more input than may wait to be parsed. A payload that inflates to too much, or has too many items or
/// levels, is an error that is not fatal and [is too large](FilterError::is_too_large) (or
/// [too long](FilterError::is_too_long)). A frame has exactly one record: bytes after it are an error.
#[doc(alias = "POE::Filter::Reference")]
pub struct Reference<S> {
    frames: Block,
    serializer: Arc<S>,
    compression: bool,
    limits: ReferenceLimits,
}

impl<S: Serializer> Reference<S> {
    /// Makes frames with this serializer, without compression.
    #[must_use]
    #[doc(alias = "Serializer")]
    pub fn new(serializer: S) -> Self {
        Self::with(Arc::new(serializer))
    }

    fn with(serializer: Arc<S>) -> Self {
        let filter = Reference {
            frames: Block::new(),
            serializer,
            compression: false,
            limits: ReferenceLimits::default(),
        };
        filter.limits(ReferenceLimits::default())
    }

    /// Sets all limits; [`ReferenceLimits`] has the defaults.
    #[must_use]
    pub fn limits(mut self, limits: ReferenceLimits) -> Self {
        self.limits = limits;
        self.frames = Block::new().max_length(limits.max_frame).max_buffer(limits.buffer());
        self
    }

    /// Sets whether payloads are compressed with zlib, in both directions; default false. Both peers must be set alike.
    #[must_use]
    #[doc(alias = "Compression")]
    pub fn compression(mut self, on: bool) -> Self {
        self.compression = on;
        self
    }

    /// Sets the most bytes that may wait to be parsed, and with it the longest frame, which just fits.
    ///
    /// By default a frame has up to 16 MiB; see [`ReferenceLimits`]. Less than three is an error at
    /// [`check`](Filter::check).
    #[must_use]
    #[doc(alias = "MaxBuffer")]
    pub fn max_buffer(self, bytes: usize) -> Self {
        let limits = self.limits.with_buffer(bytes);
        self.limits(limits)
    }

    /// Sets the most bytes that a compressed payload may inflate to; default 16 MiB.
    ///
    /// Zero is an error at [`check`](Filter::check).
    #[must_use]
    pub fn max_inflated(mut self, bytes: usize) -> Self {
        self.limits.max_inflated = bytes;
        self
    }

    fn thaw(&self, payload: Bytes) -> Result<S::Record, FilterError> {
        let limits = &self.limits;
        let thawed = if self.compression {
            match zlib::inflate(&payload, limits.max_inflated) {
                Ok(bytes) => self.serializer.thaw(&bytes, limits),
                Err(Refused::TooLong) => return Err(FilterError::too_long(limits.max_inflated, payload)),
                Err(Refused::Bad(what)) => Err(what.into()),
            }
        } else {
            self.serializer.thaw(&payload, limits)
        };
        thawed.map_err(|cause| {
            if is_limit(&*cause) {
                FilterError::too_large(cause, payload)
            } else {
                FilterError::custom(cause).with_bytes(payload)
            }
        })
    }
}

/// Whether a limit on decoding is the cause.
fn is_limit(cause: &(dyn Error + 'static)) -> bool {
    #[cfg(feature = "storable")]
    if let Some(error) = cause.downcast_ref::<perl_storable::Error>() {
        return error.is_too_large() || error.is_too_deep();
    }
    cause.is::<Exceeded>()
}

impl<S: Serializer> Filter for Reference<S> {
    type Input = S::Record;
    type Output = S::Record;

    fn feed(&mut self, bytes: &[u8]) {
        self.frames.feed(bytes);
    }

    fn next_record(&mut self) -> Result<Option<S::Record>, FilterError> {
        self.check()?;
        match self.frames.next_record()? {
            Some(payload) => self.thaw(payload).map(Some),
            None => Ok(None),
        }
    }

    fn put(&mut self, record: S::Record, out: &mut BytesMut) -> Result<(), FilterError> {
        self.check()?;
        let mut payload = self.serializer.freeze(&record).map_err(FilterError::custom)?;
        if self.compression {
            payload = zlib::deflate(&payload).map_err(FilterError::custom)?;
        }
        self.frames.put(payload.into(), out)
    }

    fn pending(&self) -> &[u8] {
        self.frames.pending()
    }

    fn take_pending(&mut self) -> Bytes {
        self.frames.take_pending()
    }

    fn fresh(&self) -> Self {
        Self::with(self.serializer.clone())
            .compression(self.compression)
            .limits(self.limits)
    }

    fn check(&self) -> Result<(), FilterError> {
        self.limits.check()?;
        self.frames.check()
    }
}

debug_fields!([S] Reference<S>, "Reference", |this| {
    serializer: std::any::type_name::<S>(),
    compression: this.compression,
    limits: this.limits,
    pending: this.frames.pending().len(),
});

// The trait that turns records into bytes, and bytes into records.
/// Freezes records and thaws them (`Serializer` of POE::Filter::Reference).
///
/// `Storable`, `Json`, `MsgPack` and `Cbor` implement it, each behind a feature of its name in lower case. A serializer takes
/// and returns whole payloads; the filter does framing, compression and limits. The bytes come from a peer, so `thaw` must
/// not panic, and must not use much more memory than their size.
///
/// ```
/// use poe::filter::{FilterExt, Reference, ReferenceLimits, Serializer};
/// type Cause = Box<dyn std::error::Error + Send + Sync>;
///
/// /// Text, backwards.
/// struct Backwards;
/// impl Serializer for Backwards {
///     type Record = String;
///     fn freeze(&self, record: &String) -> Result<Vec<u8>, Cause> {
///         Ok(record.chars().rev().collect::<String>().into_bytes())
///     }
///     fn thaw(&self, bytes: &[u8], _: &ReferenceLimits) -> Result<String, Cause> {
///         Ok(str::from_utf8(bytes)?.chars().rev().collect())
///     }
/// }
/// let mut filter = Reference::new(Backwards);
/// assert_eq!(filter.get(b"3\0cba").remove(0).unwrap(), "abc");
/// assert!(filter.get(b"1\0\xff").remove(0).is_err_and(|error| !error.is_fatal()));
/// ```
pub trait Serializer: 'static {
    /// The type that is frozen and thawed.
    type Record: 'static;

    /// Returns the bytes of a record.
    ///
    /// # Errors
    /// The record has no form in this format.
    #[doc(alias = "nfreeze")]
    fn freeze(&self, record: &Self::Record) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>>;

    /// Returns the record of these bytes, within the filter's limits.
    ///
    /// If bytes can become much larger in memory, obey `max_items` and `max_depth`, as the serializers of this crate do.
    ///
    /// # Errors
    /// The bytes are not a record, or one that exceeds a limit.
    fn thaw(&self, bytes: &[u8], limits: &ReferenceLimits) -> Result<Self::Record, Box<dyn Error + Send + Sync>>;
}
