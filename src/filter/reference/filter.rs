//! The filter: a decimal length, a NUL, a payload.

use super::limits::Exceeded;
use super::zlib::{self, Refused};
use super::{ReferenceLimits, Serializer};
use crate::filter::{Block, Filter, FilterError};
use bytes::{Bytes, BytesMut};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Sends and receives data structures (`POE::Filter::Reference`).
///
/// A frame is the length of its payload in decimal, a NUL, and the payload, which a [`Serializer`] makes of a record. Both
/// ends must agree on the serializer and on compression, for nothing in a frame tells. With the serializer `Storable` the
/// other end can be Perl's POE with its defaults.
///
/// ```
/// # #[cfg(feature = "storable")] {
/// use bytes::BytesMut;
/// use poe::filter::{Filter, Reference, Storable};
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
/// fatal, and the next frame follows (`NoFatals`). Bytes that are no length are one error up to the next digit, where
/// parsing goes on; POE waits for ever there.
///
/// # Limits
///
/// [`ReferenceLimits`] has them all, with their defaults. A frame that is too long is a fatal error as soon as its length is
/// there, and so is more input than may wait to be parsed. A payload that inflates to too much, or has too many items or
/// levels, is an error that is not fatal and [is too large](FilterError::is_too_large) (or
/// [too long](FilterError::is_too_long)). A frame has exactly one record: bytes behind it are an error.
#[doc(alias = "POE::Filter::Reference")]
pub struct Reference<S> {
    frames: Block,
    serializer: Arc<S>,
    compression: bool,
    limits: ReferenceLimits,
}

impl<S: Serializer> Reference<S> {
    /// Frames of what this serializer freezes; not compressed.
    ///
    /// ```
    /// # #[cfg(feature = "json")] {
    /// use poe::filter::{Filter, Json, Reference};
    /// let mut filter = Reference::new(Json::<Vec<u8>>::new());
    /// assert_eq!(filter.get(b"5\0[1,2]").remove(0).unwrap(), [1, 2]);
    /// # }
    /// ```
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
    ///
    /// ```
    /// # #[cfg(feature = "json")] {
    /// use poe::filter::{Json, Reference, ReferenceLimits};
    /// let limits = ReferenceLimits { max_frame: 65_536, max_items: 1000, ..ReferenceLimits::default() };
    /// let filter = Reference::new(Json::<Vec<String>>::new()).limits(limits);
    /// # }
    /// ```
    #[must_use]
    pub fn limits(mut self, limits: ReferenceLimits) -> Self {
        self.limits = limits;
        self.frames = Block::new().max_length(limits.max_frame).max_buffer(limits.buffer());
        self
    }

    /// Compresses each payload by zlib, and expects the peer to. Off by default; both ends must be set alike.
    ///
    /// ```
    /// # #[cfg(feature = "json")] {
    /// use bytes::BytesMut;
    /// use poe::filter::{Filter, Json, Reference};
    /// let mut filter = Reference::new(Json::<String>::new()).compression(true);
    /// let mut out = BytesMut::new();
    /// filter.put("x".repeat(10_000), &mut out).unwrap();
    /// assert!(out.len() < 100);
    /// assert_eq!(filter.get(&out).remove(0).unwrap().len(), 10_000);
    /// # }
    /// ```
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
    ///
    /// ```
    /// # #[cfg(feature = "json")] {
    /// use poe::filter::{Filter, Json, Reference};
    /// let mut filter = Reference::new(Json::<Vec<u8>>::new()).max_buffer(16);
    /// let got = filter.get(b"5\0[1,2]99\0"); // the second frame need not come to be refused
    /// assert_eq!(got[0].as_ref().unwrap(), &[1, 2]);
    /// assert!(got[1].as_ref().is_err_and(|error| error.is_too_long() && error.is_fatal()));
    /// # }
    /// ```
    #[must_use]
    #[doc(alias = "MaxBuffer")]
    pub fn max_buffer(self, bytes: usize) -> Self {
        let limits = self.limits.with_buffer(bytes);
        self.limits(limits)
    }

    /// Sets the most bytes that a compressed payload may inflate to; 16 MiB by default. Zero is an error at
    /// [`check`](Filter::check).
    ///
    /// ```
    /// # #[cfg(feature = "json")] {
    /// use bytes::BytesMut;
    /// use poe::filter::{Filter, Json, Reference};
    /// let mut filter = Reference::new(Json::<String>::new()).compression(true).max_inflated(100);
    /// let mut out = BytesMut::new();
    /// filter.put("x".repeat(10_000), &mut out).unwrap();
    /// assert!(filter.get(&out).remove(0).is_err_and(|error| error.is_too_long() && !error.is_fatal()));
    /// # }
    /// ```
    #[must_use]
    pub fn max_inflated(mut self, bytes: usize) -> Self {
        self.limits.max_inflated = bytes;
        self
    }

    fn thaw(&self, payload: Bytes) -> Result<S::Record, FilterError> {
        let limits = &self.limits;
        let thawed = if self.compression {
            match zlib::inflate(&payload, limits.max_inflated) {
                Ok(bytes) => self.serializer.thaw_within(&bytes, limits),
                Err(Refused::TooLong) => return Err(FilterError::too_long(limits.max_inflated, payload)),
                Err(Refused::Bad(what)) => Err(what.into()),
            }
        } else {
            self.serializer.thaw_within(&payload, limits)
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

/// Whether a limit of what decoding makes is the cause.
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

impl<S> fmt::Debug for Reference<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reference")
            .field("serializer", &std::any::type_name::<S>())
            .field("compression", &self.compression)
            .field("limits", &self.limits)
            .field("pending", &self.frames.pending().len())
            .finish()
    }
}
