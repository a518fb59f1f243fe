//! POE::Filter::Stream: everything received is one record; output is written unchanged.

use super::buffer::Buffer;
use super::{Filter, FilterError};
use crate::debug::debug_fields;
use bytes::{Bytes, BytesMut};

/// Passes bytes through: a record is everything in the buffer (`POE::Filter::Stream`).
///
/// Records are [`Bytes`] in both directions. The filter has no settings and no limit of its own: it holds the bytes appended since the last
/// `next_record`, which takes them all without a copy. The boundaries of records depend on the reads and have no meaning; only the
/// concatenation is the peer's. It never fails.
///
/// ```
/// use poe::filter::{Filter, Raw};
/// let mut filter = Raw::new();
/// filter.feed(b"any");
/// filter.feed(b"thing");
/// assert_eq!(filter.next_record().unwrap().unwrap(), "anything");
/// assert!(filter.next_record().unwrap().is_none());
/// ```
#[doc(alias = "POE::Filter::Stream")]
#[derive(Default)]
pub struct Raw {
    buffer: Buffer,
}

impl Raw {
    /// Makes a pass-through filter.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Filter for Raw {
    type Input = Bytes;
    type Output = Bytes;

    fn feed(&mut self, bytes: &[u8]) {
        self.buffer.append(bytes);
    }

    fn next_record(&mut self) -> Result<Option<Bytes>, FilterError> {
        Ok((self.buffer.len() > 0).then(|| self.buffer.take()))
    }

    fn put(&mut self, record: Bytes, out: &mut BytesMut) -> Result<(), FilterError> {
        out.extend_from_slice(&record);
        Ok(())
    }

    fn pending(&self) -> &[u8] {
        self.buffer.as_slice()
    }

    fn take_pending(&mut self) -> Bytes {
        self.buffer.take()
    }

    fn fresh(&self) -> Self {
        Self::new()
    }
}

debug_fields!([] Raw, "Raw", |this| { pending: this.buffer.len() });
