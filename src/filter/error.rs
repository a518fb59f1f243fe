//! The error of a filter, which takes the place of a record and carries the bytes that it is about.

use bytes::Bytes;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;

type Cause = Box<dyn Error + Send + Sync + 'static>;

/// Why a filter could not make a record from bytes, or bytes from a record.
///
/// Unless it [is fatal](Self::is_fatal), it stands for one record and parsing goes on after it. The bytes that would
/// have been the record are [inside](Self::bytes). It is one word wide, so a `Result` of a record stays small.
///
/// ```
/// use poe::filter::{Filter, Line};
/// let mut filter = Line::new();
/// filter.feed(b"caf\xe9\r\n");
/// let error = filter.next_record().unwrap_err();
/// assert!(error.is_invalid_utf8() && !error.is_fatal());
/// assert_eq!(error.bytes(), b"caf\xe9");
/// ```
pub struct FilterError(Box<Inner>);

struct Inner {
    kind: Kind,
    bytes: Bytes,
    fatal: bool,
}

enum Kind {
    /// A record has more bytes than the limit allows.
    TooLong(usize),
    /// More bytes wait than the limit allows.
    Overflow(usize),
    InvalidUtf8(std::str::Utf8Error),
    Setting(Cow<'static, str>),
    /// A pattern that cannot be a terminator; the cause, if the pattern compiler reported one.
    #[cfg_attr(not(feature = "regex"), allow(dead_code))]
    Pattern(&'static str, Option<Cause>),
    /// Decoding would exceed a limit.
    #[cfg_attr(not(feature = "reference"), allow(dead_code))]
    TooLarge(Cause),
    Custom(Cause),
}

impl FilterError {
    /// Makes an error for your own filter, from a cause or a text.
    ///
    /// It is not fatal and has no bytes; see [`fatal`](Self::fatal) and [`with_bytes`](Self::with_bytes). The cause is returned by
    /// [`source`](Error::source).
    ///
    /// ```
    /// use poe::filter::FilterError;
    /// let error = FilterError::custom("bad checksum").with_bytes(&b"\x00\x17"[..]).fatal();
    /// assert_eq!(error.to_string(), "bad checksum");
    /// assert!(error.is_fatal() && !error.is_too_long());
    /// ```
    pub fn custom(cause: impl Into<Box<dyn Error + Send + Sync + 'static>>) -> Self {
        Self::new(Kind::Custom(cause.into()), Bytes::new(), false)
    }

    /// Adds the bytes that the error is about.
    #[must_use]
    pub fn with_bytes(mut self, bytes: impl Into<Bytes>) -> Self {
        self.0.bytes = bytes.into();
        self
    }

    /// Makes the error fatal: parsing cannot go on after it.
    #[must_use]
    pub fn fatal(mut self) -> Self {
        self.0.fatal = true;
        self
    }

    /// Makes the error of a record that is longer than your own filter allows; `bytes` is its beginning.
    ///
    /// It is not fatal; see [`fatal`](Self::fatal).
    pub fn too_long(limit: usize, bytes: impl Into<Bytes>) -> Self {
        Self::new(Kind::TooLong(limit), bytes.into(), false)
    }

    /// Makes the fatal error of your own filter when more bytes wait than it allows; `bytes` are those that it kept.
    pub fn overflow(limit: usize, bytes: impl Into<Bytes>) -> Self {
        Self::new(Kind::Overflow(limit), bytes.into(), true)
    }

    #[cfg(feature = "reference")]
    pub(super) fn too_large(cause: Cause, bytes: Bytes) -> Self {
        Self::new(Kind::TooLarge(cause), bytes, false)
    }

    pub(super) fn invalid_utf8(cause: std::str::Utf8Error, bytes: Bytes) -> Self {
        Self::new(Kind::InvalidUtf8(cause), bytes, false)
    }

    /// Makes the fatal error that [`Filter::check`](super::Filter::check) of your own filter returns for an invalid setting.
    pub fn invalid_setting(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Setting(what.into()), Bytes::new(), true)
    }

    #[cfg(feature = "regex")]
    pub(super) fn pattern(what: &'static str, cause: Option<Cause>) -> Self {
        Self::new(Kind::Pattern(what, cause), Bytes::new(), true)
    }

    fn new(kind: Kind, bytes: Bytes, fatal: bool) -> Self {
        FilterError(Box::new(Inner { kind, bytes, fatal }))
    }

    /// Whether parsing cannot go on.
    ///
    /// The filter returns a fatal error for every further `next_record` and takes no more input, until it is replaced or its
    /// pending bytes are taken.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.0.fatal
    }

    /// Whether one record was longer than allowed (`MaxLength`).
    #[must_use]
    #[doc(alias = "MaxLength")]
    pub fn is_too_long(&self) -> bool {
        matches!(self.0.kind, Kind::TooLong(_))
    }

    /// Whether decoding would have exceeded a limit on the number of items or on the nesting.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self.0.kind, Kind::TooLarge(_))
    }

    /// Whether more bytes waited to be parsed than allowed (`MaxBuffer`).
    #[must_use]
    #[doc(alias = "MaxBuffer")]
    pub fn is_overflow(&self) -> bool {
        matches!(self.0.kind, Kind::Overflow(_))
    }

    /// Whether a record that should be text was not UTF-8.
    #[must_use]
    pub fn is_invalid_utf8(&self) -> bool {
        matches!(self.0.kind, Kind::InvalidUtf8(_))
    }

    /// Whether the filter's own settings are invalid: an empty literal, a limit of zero, a pattern that cannot end a line.
    #[must_use]
    pub fn is_invalid_setting(&self) -> bool {
        matches!(self.0.kind, Kind::Setting(_) | Kind::Pattern(..))
    }

    /// Returns the bytes that the error is about, as they came; empty if there are none.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Returns the same bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0.bytes
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::TooLong(limit) => {
                write!(f, "the record exceeds the maximum length of {limit} bytes")
            }
            Kind::Overflow(limit) => {
                write!(f, "the input buffer exceeds its limit of {limit} bytes")
            }
            Kind::InvalidUtf8(cause) => write!(f, "the record is not UTF-8: {cause}"),
            Kind::Setting(what) => f.write_str(what),
            Kind::Pattern(what, _) => f.write_str(what),
            Kind::TooLarge(cause) | Kind::Custom(cause) => cause.fmt(f),
        }
    }
}

impl fmt::Debug for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bytes can be many megabytes; the reader needs their beginning and their number.
        let shown = &self.0.bytes[..self.0.bytes.len().min(64)];
        f.debug_struct("FilterError")
            .field("reason", &format_args!("{self}"))
            .field("fatal", &self.0.fatal)
            .field("bytes", &format_args!("\"{}\"", shown.escape_ascii()))
            .field("len", &self.0.bytes.len())
            .finish()
    }
}

impl Error for FilterError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.kind {
            Kind::InvalidUtf8(cause) => Some(cause),
            Kind::Pattern(_, Some(cause)) | Kind::TooLarge(cause) | Kind::Custom(cause) => Some(cause.as_ref()),
            _ => None,
        }
    }
}
