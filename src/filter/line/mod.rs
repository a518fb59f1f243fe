//! POE::Filter::Line: cuts input into lines without their terminators, and ends each output line with a terminator.

#[cfg(feature = "regex")]
mod pattern;
mod search;

use super::buffer::Buffer;
use super::{Filter, FilterError};
use crate::debug::debug_fields;
use bytes::{Bytes, BytesMut};
#[cfg(not(feature = "regex"))]
use no_pattern::{Pattern, Search};
#[cfg(feature = "regex")]
use pattern::{Pattern, Search};
use search::{Found, Terminator};
use std::marker::PhantomData;
#[cfg(feature = "regex")]
use std::sync::Arc;

/// Without the feature `regex` no filter has a pattern.
#[cfg(not(feature = "regex"))]
mod no_pattern {
    use super::search::Found;
    use super::{Line, LineRecord};

    pub(super) enum Pattern {}

    impl Pattern {
        pub(super) fn as_str(&self) -> &str {
            match *self {}
        }
    }

    pub(super) enum Search {}

    impl Search {
        pub(super) fn discard(&mut self, _count: usize) {
            match *self {}
        }
    }

    impl<T: LineRecord> Line<T> {
        pub(super) fn find_match(&mut self, pattern: &Pattern) -> Found {
            match *pattern {}
        }
    }
}

/// The default settings.
mod default {
    pub(super) const OUTPUT: &[u8] = b"\r\n";
    pub(super) const MAX_LENGTH: usize = 64 * 1024;
    /// Room for callers that feed more than a wheel reads at a time.
    pub(super) const MAX_BUFFER: usize = 16 * 1024 * 1024;
}

/// The limits of a [`Line`] filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineLimits {
    /// The longest line in bytes, without its terminator; default 64 KiB. A longer line is an error, and the next one follows.
    pub max_length: usize,
    /// The most bytes that may wait to be parsed; more is a fatal error.
    ///
    /// `None`, the default, is 16 MiB, or twice the longest line if that is more. A wheel never has more waiting than the beginning
    /// of a line and one read.
    pub max_buffer: Option<usize>,
}

impl Default for LineLimits {
    fn default() -> Self {
        LineLimits {
            max_length: default::MAX_LENGTH,
            max_buffer: None,
        }
    }
}

impl LineLimits {
    fn buffer(&self) -> usize {
        let derived = self.max_length.saturating_mul(2).max(default::MAX_BUFFER);
        self.max_buffer.unwrap_or(derived)
    }
}

/// Cuts a stream into lines, and ends each line that is put (`POE::Filter::Line`).
///
/// [`Line::new()`] has `String` records: a line that is not UTF-8 is an error with its bytes inside, and the next line
/// follows. [`Line::lossy()`] has `String` records, too, and replaces invalid UTF-8; [`Line::bytes()`] has [`Bytes`]
/// records. The last two never fail because of a line's contents. Records come without their terminator; `put`
/// does not change newlines inside a record.
///
/// ```
/// use bytes::BytesMut;
/// use poe::filter::{Filter, Line};
/// let mut filter = Line::new();
/// filter.feed(b"one\r\ntwo\nthr");
/// assert_eq!(filter.next_record().unwrap().unwrap(), "one");
/// assert_eq!(filter.next_record().unwrap().unwrap(), "two");
/// assert!(filter.next_record().unwrap().is_none() && filter.pending() == b"thr");
/// let mut out = BytesMut::new();
/// filter.put("ok".into(), &mut out).unwrap();
/// assert_eq!(&out[..], b"ok\r\n");
/// ```
///
/// # Line terminators
///
/// | setting | input | output |
/// |---|---|---|
/// | none | any of CR LF, LF CR, CR, LF, line by line | CR LF |
/// | [`literal`](Self::literal) | these bytes | the same bytes |
/// | [`input_literal`](Self::input_literal) | these bytes; if empty, as `autodetect` | unchanged |
/// | `input_regexp` (feature `regex`) | every match of the pattern | unchanged |
/// | [`autodetect`](Self::autodetect) | the newline that ends the first line, from then on | unchanged |
/// | [`output_literal`](Self::output_literal) | unchanged | these bytes; may be empty |
///
/// The last setting for a direction counts. Invalid settings (an empty `literal`, a limit of zero, a
/// buffer smaller than a line) are found by [`check`](super::Filter::check), which wheels call when they are made; without it,
/// the first `next_record` or `put` returns the same fatal error.
///
/// # Newlines that are cut in two
///
/// A peer may end its lines in CR and wait for a reply, so a CR at the end of a read ends its line at
/// once. If the next read begins with LF, that LF is dropped, where POE yields an empty line. Until it comes it is
/// owed, and a wheel that switches filters drops it for the new one, too.
///
/// # Limits
///
/// A line of more than [`max_length`](Self::max_length) bytes is an error that is not fatal, and the next line follows,
/// however the reads were cut. The error comes as soon as the line is known to be too long and carries its first
/// `max_length` bytes. The rest is dropped as it arrives, so an endless line costs no memory (in POE it grows up to
/// `MaxBuffer`). More than [`max_buffer`](Self::max_buffer) bytes appended and not yet parsed are a fatal error: the
/// complete lines in the bytes that fit come first, then the error with the rest, and further input is refused.
#[doc(alias = "POE::Filter::Line")]
pub struct Line<T = String> {
    buffer: Buffer,
    /// The setting that the user chose; `fresh` starts from it.
    setting: Terminator,
    /// The present terminator. Differs from the setting once a newline was detected.
    terminator: Terminator,
    output: Bytes,
    limits: LineLimits,
    /// The limit of the buffer, given or derived.
    max_buffer: usize,
    /// Invalid UTF-8 is replaced, where records are text.
    lossy: bool,
    /// The reason why the settings are invalid together; every setter updates it.
    fault: Option<&'static str>,
    /// How far the terminator was searched for. Back to zero with every line.
    scanned: usize,
    /// The other half of a newline that ended the buffer; skipped or forgotten at the next byte. The buffer is empty
    /// while it is set.
    owed: Option<u8>,
    /// With a pattern, the search for the end of this line; begins with the line's first `next_record`.
    search: Option<Search>,
    /// The line at the front was reported as too long; its rest is dropped, terminator included.
    discarding: bool,
    /// Bytes were refused. Cleared only in `take_pending`.
    overflowed: bool,
    record: PhantomData<fn() -> T>,
}

impl Line<String> {
    /// Makes a filter of text lines, in which a line that is not UTF-8 is an error.
    ///
    /// Any newline ends a line; CR LF is written after each.
    #[must_use]
    pub fn new() -> Self {
        Self::with_defaults()
    }

    /// Makes a filter of text lines in which invalid UTF-8 becomes U+FFFD, the replacement character.
    ///
    /// Use it for the output of other programs, such as logs: the contents of a line are never an error. Otherwise it is like
    /// [`Line::new`]. Use [`Line::bytes`] if the bytes must stay unchanged.
    #[must_use]
    #[doc(alias = "from_utf8_lossy")]
    pub fn lossy() -> Self {
        Line {
            lossy: true,
            ..Self::with_defaults()
        }
    }
}

impl Line<Bytes> {
    /// Makes a filter of lines of bytes, with the defaults of [`Line::new`]; the contents are never an error.
    #[must_use]
    pub fn bytes() -> Self {
        Self::with_defaults()
    }
}

impl<T: LineRecord> Line<T> {
    /// Ends lines with these bytes in both directions. Empty is an error at [`check`](super::Filter::check).
    #[must_use]
    #[doc(alias = "Literal")]
    pub fn literal(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.input(Terminator::literal(bytes)).output_literal(bytes)
    }

    /// Ends input lines with these bytes. Empty means [`autodetect`](Self::autodetect), as in POE.
    #[must_use]
    #[doc(alias = "InputLiteral")]
    pub fn input_literal(self, bytes: impl AsRef<[u8]>) -> Self {
        match bytes.as_ref() {
            [] => self.autodetect(),
            bytes => self.input(Terminator::literal(bytes)),
        }
    }

    /// Ends input lines with every match of a pattern, leftmost and, among alternatives, first.
    ///
    /// The syntax is that of the `regex` crate, on bytes: `.` matches any byte but LF, `\w` and `\s` are ASCII, and flags
    /// are written inside, as in `(?i)end`. Groups are allowed. Compile the pattern once and give each connection a
    /// [`fresh`](super::Filter::fresh) copy: copies share the compiled pattern.
    ///
    /// Two traps of POE are missing here: in a pattern given as text its `.` matches LF as well (write `(?s)` for that), and it
    /// does not treat a bare `a|b` as a whole.
    ///
    /// The cuts between reads make no difference. A line is yielded as soon as no further byte could change it. If only
    /// the terminator may still grow (`\n+`) the line is yielded at once, too, and further bytes of its terminator are
    /// dropped, unless the filter is switched in between. If even the line may change (after `c` with `abcd|c`, because a
    /// `d` would make it end earlier) it waits. The end of a terminator is decided at most 4096 bytes after
    /// the first match.
    ///
    /// # Errors
    /// A pattern that does not compile, that needs more than 2 MiB, that can match the empty string (POE yields
    /// empty lines for ever), or that contains an anchor or a word boundary, which in a stream would match at the end of
    /// any read.
    #[cfg(feature = "regex")]
    #[doc(alias = "InputRegexp")]
    pub fn input_regexp(self, pattern: &str) -> Result<Self, FilterError> {
        let pattern = Arc::new(Pattern::new(pattern)?);
        Ok(self.input(Terminator::Regexp(pattern)))
    }

    /// Ends input lines with the newline that ends the first line: CR LF, LF CR, CR or LF.
    ///
    /// Half a newline at the end of a read ends its line at once, and the first byte of the next read decides which newline it
    /// was.
    #[must_use]
    #[doc(alias = "InputLiteral")]
    pub fn autodetect(self) -> Self {
        self.input(Terminator::Autodetect)
    }

    /// Writes these bytes after each output line; default CR LF, none if empty.
    #[must_use]
    #[doc(alias = "OutputLiteral")]
    pub fn output_literal(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.output = Bytes::copy_from_slice(bytes.as_ref());
        self
    }

    /// Sets all limits; [`LineLimits`] has the defaults.
    #[must_use]
    pub fn limits(mut self, limits: LineLimits) -> Self {
        self.limits = limits;
        self.reconsider()
    }

    /// Sets the longest line in bytes, without its terminator; default 64 KiB.
    ///
    /// Zero is an error at [`check`](super::Filter::check).
    #[must_use]
    #[doc(alias = "MaxLength")]
    pub fn max_length(mut self, bytes: usize) -> Self {
        self.limits.max_length = bytes;
        self.reconsider()
    }

    /// Sets the most bytes that may wait to be parsed; default 16 MiB, or twice the longest line if that is more.
    ///
    /// Less than [`max_length`](Self::max_length) is an error at [`check`](super::Filter::check). The limit bounds how much a caller
    /// may append without taking records; an unterminated line is bounded by
    /// `max_length` alone. With a pattern, leave room for 4096 bytes more than a line.
    #[must_use]
    #[doc(alias = "MaxBuffer")]
    pub fn max_buffer(mut self, bytes: usize) -> Self {
        self.limits.max_buffer = Some(bytes);
        self.reconsider()
    }

    fn with_defaults() -> Self {
        Line {
            buffer: Buffer::default(),
            setting: Terminator::Newline,
            terminator: Terminator::Newline,
            output: Bytes::from_static(default::OUTPUT),
            limits: LineLimits::default(),
            max_buffer: LineLimits::default().buffer(),
            lossy: false,
            fault: None,
            scanned: 0,
            owed: None,
            search: None,
            discarding: false,
            overflowed: false,
            record: PhantomData,
        }
    }

    fn input(mut self, terminator: Terminator) -> Self {
        self.terminator = terminator.clone();
        self.setting = terminator;
        self.reconsider()
    }

    /// Checks the settings as a whole, and resets a search under other settings.
    fn reconsider(mut self) -> Self {
        self.max_buffer = self.limits.buffer();
        self.fault = if matches!(self.setting, Terminator::Missing) {
            Some("a literal line terminator needs at least one byte")
        } else if self.limits.max_length == 0 || self.max_buffer == 0 {
            Some("a limit must be at least one byte")
        } else if self.max_buffer < self.limits.max_length {
            Some("the buffer's limit must be at least the limit of a line")
        } else {
            None
        };
        self.scanned = 0;
        self.search = None;
        self
    }
}

impl Default for Line<String> {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Line<Bytes> {
    fn default() -> Self {
        Self::bytes()
    }
}

debug_fields!([T] Line<T>, "Line", |this| {
    input: this.setting,
    now: this.terminator,
    output: format_args!("\"{}\"", this.output.escape_ascii()),
    pending: this.buffer.len(),
    owed: this.owed.map(char::from),
    discarding: this.discarding,
    overflowed: this.overflowed,
    max_length: this.limits.max_length,
    max_buffer: this.max_buffer,
});

// Implements [`Filter`] for Line.
impl<T: LineRecord> Filter for Line<T> {
    type Input = T;
    type Output = T;

    fn feed(&mut self, mut bytes: &[u8]) {
        if let (Some(second), Some((&next, rest))) = (self.owed, bytes.split_first()) {
            self.owed = None;
            if next == second {
                bytes = rest;
                if let (Terminator::Autodetect, &Terminator::One(first)) = (&self.setting, &self.terminator) {
                    self.terminator = Terminator::Two([first, second]);
                }
            }
        }
        if self.overflowed {
            return;
        }
        let room = self.max_buffer.saturating_sub(self.buffer.len());
        if bytes.len() > room {
            self.overflowed = true;
            bytes = &bytes[..room];
        }
        self.buffer.append(bytes);
    }

    fn next_record(&mut self) -> Result<Option<T>, FilterError> {
        self.check()?;
        loop {
            match self.find() {
                Found::Line { rest, .. } if self.discarding => {
                    self.discarding = false;
                    self.scanned = 0;
                    self.buffer.consume(rest);
                }
                Found::Line { line, rest } => {
                    let record = if line > self.limits.max_length {
                        Err(FilterError::too_long(
                            self.limits.max_length,
                            self.buffer.copy_front(self.limits.max_length),
                        ))
                    } else if T::IS_TEXT
                        && let Some(text) = self.buffer.front_text(line)
                    {
                        Ok(Some(T::from_text(text)))
                    } else {
                        T::from_line(&self.buffer.as_slice()[..line], self.lossy).map(Some)
                    };
                    self.scanned = 0;
                    self.buffer.consume(rest);
                    return record;
                }
                Found::More { content } if !self.discarding && content > self.limits.max_length => {
                    let head = self.buffer.copy_front(self.limits.max_length);
                    self.discarding = true;
                    self.discard(content);
                    return Err(FilterError::too_long(self.limits.max_length, head));
                }
                Found::More { content } => {
                    if self.discarding {
                        self.discard(content);
                    }
                    if self.overflowed {
                        return Err(FilterError::overflow(self.max_buffer, self.restart()));
                    }
                    self.buffer.release();
                    return Ok(None);
                }
            }
        }
    }

    fn put(&mut self, record: T, out: &mut BytesMut) -> Result<(), FilterError> {
        self.check()?;
        let bytes = record.bytes();
        out.reserve(bytes.len() + self.output.len());
        out.extend_from_slice(bytes);
        out.extend_from_slice(&self.output);
        Ok(())
    }

    fn pending(&self) -> &[u8] {
        self.buffer.as_slice()
    }

    fn take_pending(&mut self) -> Bytes {
        self.overflowed = false;
        self.restart()
    }

    fn owed(&self) -> Option<u8> {
        self.owed
    }

    fn fresh(&self) -> Self {
        Line {
            setting: self.setting.clone(),
            terminator: self.setting.clone(),
            output: self.output.clone(),
            limits: self.limits,
            max_buffer: self.max_buffer,
            lossy: self.lossy,
            fault: self.fault,
            ..Self::with_defaults()
        }
    }

    fn check(&self) -> Result<(), FilterError> {
        self.fault
            .map_or(Ok(()), |what| Err(FilterError::invalid_setting(what)))
    }
}

impl<T: LineRecord> Line<T> {
    /// Empties the filter as if the stream began here; the detected newline stays.
    fn restart(&mut self) -> Bytes {
        if self.owed.take().is_some() && matches!(self.setting, Terminator::Autodetect) {
            // Half a newline is not certain enough to be kept.
            self.terminator = Terminator::Autodetect;
        }
        self.scanned = 0;
        self.search = None;
        self.discarding = false;
        self.buffer.take()
    }
}

// The record types of Line.
/// The record types of [`Line`](Line): `String` and [`Bytes`]. Sealed.
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
