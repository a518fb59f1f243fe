//! The filter: a decimal length, a NUL, a payload.

use super::Serializer;
use super::zlib::{self, Refused};
use crate::filter::{Block, Filter, FilterError};
use bytes::{Bytes, BytesMut};
use std::fmt;
use std::sync::Arc;

/// The settings of a filter on which no setter was called, all in one place.
mod default {
    pub(super) const MAX_BUFFER: usize = 512 * 1024 * 1024;
    pub(super) const MAX_INFLATED: usize = 64 * 1024 * 1024;
}

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
/// fatal, and the next frame follows (`NoFatals`). Octets that are no length are one error up to the next digit, where
/// parsing goes on; POE waits for ever there.
///
/// # Limits
///
/// A frame that would not fit into [`max_buffer`](Self::max_buffer) is a fatal error as soon as its length is there, and
/// so is more input than that which is not yet parsed. A payload that inflates to more than
/// [`max_inflated`](Self::max_inflated) octets is an error that is not fatal. What a serializer makes of a payload can be
/// much greater than the payload, so choose the limits for peers that you do not trust.
#[doc(alias = "POE::Filter::Reference")]
pub struct Reference<S> {
    frames: Block,
    serializer: Arc<S>,
    compression: bool,
    max_buffer: usize,
    max_inflated: usize,
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
            max_buffer: 0,
            max_inflated: default::MAX_INFLATED,
        };
        filter.max_buffer(default::MAX_BUFFER)
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

    /// The most octets that may wait to be parsed, and so the longest frame; 512 MiB by default. Less than three is an
    /// error at [`check`](Filter::check).
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
    pub fn max_buffer(mut self, octets: usize) -> Self {
        self.max_buffer = octets;
        // The digits of the length and the NUL take their room, too.
        let header = octets.checked_ilog10().unwrap_or(0) as usize + 2;
        let longest = octets.saturating_sub(header);
        self.frames = Block::new().max_length(longest).max_buffer(octets);
        self
    }

    /// The most octets that a compressed payload may inflate to; 64 MiB by default. Zero is an error at
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
    pub fn max_inflated(mut self, octets: usize) -> Self {
        self.max_inflated = octets;
        self
    }

    fn thaw(&self, payload: Bytes) -> Result<S::Record, FilterError> {
        let thawed = if self.compression {
            match zlib::inflate(&payload, self.max_inflated) {
                Ok(octets) => self.serializer.thaw(&octets),
                Err(Refused::TooLong) => return Err(FilterError::too_long(self.max_inflated, payload)),
                Err(Refused::Bad(what)) => Err(what.into()),
            }
        } else {
            self.serializer.thaw(&payload)
        };
        thawed.map_err(|cause| FilterError::custom(cause).with_octets(payload))
    }
}

impl<S: Serializer> Filter for Reference<S> {
    type Input = S::Record;
    type Output = S::Record;

    fn get_one_start(&mut self, octets: &[u8]) {
        self.frames.get_one_start(octets);
    }

    fn get_one(&mut self) -> Result<Option<S::Record>, FilterError> {
        self.check()?;
        match self.frames.get_one()? {
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

    fn get_pending(&self) -> &[u8] {
        self.frames.get_pending()
    }

    fn take_pending(&mut self) -> Bytes {
        self.frames.take_pending()
    }

    fn fresh(&self) -> Self {
        Self::with(self.serializer.clone())
            .compression(self.compression)
            .max_buffer(self.max_buffer)
            .max_inflated(self.max_inflated)
    }

    fn check(&self) -> Result<(), FilterError> {
        if self.max_inflated == 0 {
            return Err(FilterError::invalid_setting("a limit must be at least one octet"));
        }
        self.frames.check()
    }
}

impl<S> fmt::Debug for Reference<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reference")
            .field("serializer", &std::any::type_name::<S>())
            .field("compression", &self.compression)
            .field("max_buffer", &self.max_buffer)
            .field("max_inflated", &self.max_inflated)
            .field("pending", &self.frames.get_pending().len())
            .finish()
    }
}
