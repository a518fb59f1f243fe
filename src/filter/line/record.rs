//! The record types of Line.

use crate::filter::FilterError;
use bytes::Bytes;

/// The record types of [`Line`](super::Line): `String` and [`Bytes`]. Sealed.
pub trait LineRecord: sealed::Sealed {}

impl LineRecord for String {}

impl LineRecord for Bytes {}

mod sealed {
    use super::{Bytes, FilterError};

    pub trait Sealed: Sized + 'static {
        /// A line that is known to be text need not be looked at again.
        const IS_TEXT: bool;
        fn from_text(text: &str) -> Self;
        fn from_line(bytes: &[u8], lossy: bool) -> Result<Self, FilterError>;
        fn bytes(&self) -> &[u8];
    }

    impl Sealed for String {
        const IS_TEXT: bool = true;

        #[inline(always)]
        fn from_text(text: &str) -> Self {
            text.to_owned()
        }

        // A `Result` that goes through memory is read back in other pieces than it was written in, which stalls.
        #[inline(always)]
        fn from_line(bytes: &[u8], lossy: bool) -> Result<Self, FilterError> {
            match str::from_utf8(bytes) {
                Ok(text) => Ok(text.to_owned()),
                Err(_) if lossy => Ok(String::from_utf8_lossy(bytes).into_owned()),
                Err(cause) => Err(FilterError::invalid_utf8(cause, Bytes::copy_from_slice(bytes))),
            }
        }

        fn bytes(&self) -> &[u8] {
            self.as_bytes()
        }
    }

    impl Sealed for Bytes {
        const IS_TEXT: bool = false;

        fn from_text(text: &str) -> Self {
            Bytes::copy_from_slice(text.as_bytes())
        }

        // A copy, because a slice of the read buffer would keep all of it in memory as long as one line lives.
        #[inline(always)]
        fn from_line(bytes: &[u8], _: bool) -> Result<Self, FilterError> {
            Ok(Bytes::copy_from_slice(bytes))
        }

        fn bytes(&self) -> &[u8] {
            self
        }
    }
}
