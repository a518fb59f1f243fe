//! What a filter says in the place of a record: opaque, asked by predicates, with the bytes it is about.

use bytes::Bytes;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;

type Cause = Box<dyn Error + Send + Sync + 'static>;

/// Why a filter could not make a record of bytes, or bytes of a record.
///
/// Unless it [is fatal](Self::is_fatal), it stands for one record and parsing goes on behind it. The bytes that would
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
///
/// Predicates tell what it is about:
///
/// ```
/// use poe::filter::{Block, Filter, Line};
/// let long_line = Line::new().max_length(3).get(b"long\n").remove(0).unwrap_err();
/// assert!(long_line.is_too_long() && !long_line.is_fatal()); // the next line follows
/// let long_block = Block::new().max_length(3).get(b"4\0").remove(0).unwrap_err();
/// assert!(long_block.is_too_long() && long_block.is_fatal()); // the stream is not to be trusted any more
/// let flood = Line::new().max_length(3).max_buffer(3).get(b"a\nbcd\n").remove(1).unwrap_err();
/// assert!(flood.is_overflow() && flood.is_fatal());
/// let setting = Line::new().literal("").check().unwrap_err();
/// assert!(setting.is_invalid_setting() && setting.bytes().is_empty());
/// ```
///
/// A filter of your own makes one of any cause, or of a text:
///
/// ```
/// use poe::filter::FilterError;
/// fn length(header: [u8; 2]) -> Result<usize, FilterError> {
///     match header {
///         [b'v', length] => Ok(length.into()),
///         // Nobody knows where the next frame begins.
///         _ => Err(FilterError::custom("no such version").with_bytes(header.to_vec()).fatal()),
///     }
/// }
/// assert_eq!(length(*b"v\x07").unwrap(), 7);
/// let error = length(*b"x\x07").unwrap_err();
/// assert!(error.is_fatal() && !error.is_too_long());
/// assert_eq!(error.into_bytes(), "x\x07");
/// ```
pub struct FilterError(Box<Inner>);

struct Inner {
    kind: Kind,
    bytes: Bytes,
    fatal: bool,
}

enum Kind {
    /// A record of more bytes than the limit allows.
    TooLong(usize),
    /// More bytes waiting than the limit allows.
    Overflow(usize),
    InvalidUtf8(std::str::Utf8Error),
    Setting(Cow<'static, str>),
    /// A pattern that cannot be a terminator; the reason, if it is the pattern compiler's.
    Pattern(&'static str, Option<Cause>),
    /// Decoding would make more than a limit allows.
    #[cfg_attr(not(feature = "reference"), allow(dead_code))]
    TooLarge(Cause),
    Custom(Cause),
}

impl FilterError {
    /// The error of a filter of your own: not fatal and without bytes, until [`fatal`](Self::fatal) and
    /// [`with_bytes`](Self::with_bytes) say otherwise. The cause is what [`source`](Error::source) gives.
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

    /// The same error, carrying the bytes that it is about.
    #[must_use]
    pub fn with_bytes(mut self, bytes: impl Into<Bytes>) -> Self {
        self.0.bytes = bytes.into();
        self
    }

    /// The same error, after which parsing cannot go on.
    #[must_use]
    pub fn fatal(mut self) -> Self {
        self.0.fatal = true;
        self
    }

    /// The error of a record of more bytes than a filter of your own allows, with those that have come of it. It is not
    /// fatal, until [`fatal`](Self::fatal) says otherwise.
    ///
    /// ```
    /// use poe::filter::FilterError;
    /// let error = FilterError::too_long(3, "long".as_bytes());
    /// assert!(error.is_too_long() && !error.is_fatal());
    /// assert_eq!(error.to_string(), "the record exceeds the maximum length of 3 bytes");
    /// ```
    pub fn too_long(limit: usize, bytes: impl Into<Bytes>) -> Self {
        Self::new(Kind::TooLong(limit), bytes.into(), false)
    }

    /// The error of a filter of your own that was given more bytes than may wait in it, with those that it has kept.
    /// It is fatal.
    ///
    /// ```
    /// use poe::filter::FilterError;
    /// let error = FilterError::overflow(4, "endl".as_bytes());
    /// assert!(error.is_overflow() && error.is_fatal());
    /// assert_eq!(error.to_string(), "the input buffer exceeds its limit of 4 bytes");
    /// ```
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

    /// What [`Filter::check`](super::Filter::check) of a filter of your own says of its settings. It is fatal.
    ///
    /// ```
    /// use poe::filter::FilterError;
    /// fn check(limit: usize) -> Result<(), FilterError> {
    ///     match limit {
    ///         0 => Err(FilterError::invalid_setting("a limit must be at least one byte")),
    ///         _ => Ok(()),
    ///     }
    /// }
    /// assert!(check(0).is_err_and(|error| error.is_invalid_setting() && error.is_fatal()));
    /// ```
    pub fn invalid_setting(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Setting(what.into()), Bytes::new(), true)
    }

    pub(super) fn pattern(what: &'static str, cause: Option<Cause>) -> Self {
        Self::new(Kind::Pattern(what, cause), Bytes::new(), true)
    }

    fn new(kind: Kind, bytes: Bytes, fatal: bool) -> Self {
        FilterError(Box::new(Inner { kind, bytes, fatal }))
    }

    /// Whether parsing cannot go on: the filter answers every further `next_record` with a fatal error and takes no more
    /// input, until it is replaced or its pending bytes are taken.
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

    /// Whether decoding would have made more than allowed: too many items, or too many levels.
    ///
    /// ```
    /// # #[cfg(feature = "json")] {
    /// use poe::filter::{Filter, Json, Reference, ReferenceLimits};
    /// let limits = ReferenceLimits { max_depth: 1, ..ReferenceLimits::default() };
    /// let mut filter = Reference::new(Json::<Vec<Vec<u8>>>::new()).limits(limits);
    /// assert!(filter.get(b"5\0[[1]]").remove(0).unwrap_err().is_too_large());
    /// # }
    /// ```
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

    /// Whether the filter's own settings are at fault, and not the input: an empty literal, a limit of zero, a pattern
    /// that cannot end a line.
    #[must_use]
    pub fn is_invalid_setting(&self) -> bool {
        matches!(self.0.kind, Kind::Setting(_) | Kind::Pattern(..))
    }

    /// The bytes that the error is about, as they came; empty when there are none to tell of.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The same bytes, without a copy.
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
        // The bytes can be many megabytes; who is stuck wants to see how they begin and how many they are.
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
