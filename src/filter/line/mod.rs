//! POE::Filter::Line: a stream of bytes in, lines without their terminators out; and a terminator behind each line put.

mod filter;
mod record;
mod search;
mod terminator;
#[cfg(test)]
mod tests;

pub use record::LineRecord;

use super::FilterError;
use super::buffer::Buffer;
use super::pattern::Pattern;
use bytes::Bytes;
use search::Search;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use terminator::Terminator;

/// The settings of a filter on which no setter was called, all in one place.
mod default {
    pub(super) const OUTPUT: &[u8] = b"\r\n";
    pub(super) const MAX_LENGTH: usize = 64 * 1024;
    /// Room for whoever feeds more than a wheel reads at a time.
    pub(super) const MAX_BUFFER: usize = 16 * 1024 * 1024;
}

/// The limits of a [`Line`] filter, all in one place.
///
/// ```
/// use poe::filter::{Filter, Line, LineLimits};
/// let limits = LineLimits { max_length: 1024 * 1024, ..LineLimits::default() };
/// let mut filter = Line::bytes().limits(limits);
/// assert_eq!(filter.get(&[&[b'x'; 70_000][..], b"\n"].concat()).remove(0).unwrap().len(), 70_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineLimits {
    /// The longest line in bytes, terminator not counted; 64 KiB. A longer line is an error, and the next one follows.
    pub max_length: usize,
    /// The most bytes that may wait to be parsed; more are a fatal error.
    ///
    /// `None`, the default, is 16 MiB, or twice the longest line if that is more. A wheel never has more than the beginning
    /// of a line and one read waiting.
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
/// follows. [`Line::lossy()`] has `String` records, too, and replaces what is not UTF-8; [`Line::bytes()`] has [`Bytes`]
/// records. Neither of the two ever fails for a line's content. Records come without their terminator, and put
/// leaves newlines inside a record alone.
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
/// # What ends a line
///
/// | setting | input | output |
/// |---|---|---|
/// | none | any of CR LF, LF CR, CR, LF, line by line | CR LF |
/// | [`literal`](Self::literal) | these bytes | the same bytes |
/// | [`input_literal`](Self::input_literal) | these bytes; if empty, as `autodetect` | unchanged |
/// | [`input_regexp`](Self::input_regexp) | whatever the pattern matches | unchanged |
/// | [`autodetect`](Self::autodetect) | the newline that ends the first line, for good | unchanged |
/// | [`output_literal`](Self::output_literal) | unchanged | these bytes; may be empty |
///
/// The last setting for a direction holds. Settings that make no sense together (an empty `literal`, a limit of zero, a
/// buffer smaller than a line) are found by [`check`](super::Filter::check), which wheels call when they are made; without it,
/// the first `next_record` or `put` gives the same fatal error.
///
/// # Newlines that are cut in two
///
/// A peer that ends its lines in CR and waits for an answer must get one, so a CR at the end of a read gives its line at
/// once. An LF that opens the next read is then swallowed, where POE gives an empty line. Until it comes it is
/// [owed](super::Filter::owed), and a switch of filters must see to it; [`Seam`](super::Seam) does.
///
/// # Limits
///
/// A line of more than [`max_length`](Self::max_length) bytes is an error that is not fatal, and the next line follows,
/// however the reads were cut. The error comes as soon as the line is known to be too long, carries its first
/// `max_length` bytes, and the rest is dropped as it arrives, so an endless line costs no memory (POE lets it grow up to
/// `MaxBuffer`). More than [`max_buffer`](Self::max_buffer) bytes appended and not yet parsed are a fatal error: the
/// complete lines in what fits come first, then the error with the rest, and further input is refused.
#[doc(alias = "POE::Filter::Line")]
pub struct Line<T = String> {
    buffer: Buffer,
    /// What the setters asked for; `fresh` starts from it.
    setting: Terminator,
    /// What ends lines now. Differs from the setting once a newline was detected.
    terminator: Terminator,
    output: Bytes,
    limits: LineLimits,
    /// The limit of the buffer, given or derived.
    max_buffer: usize,
    /// Invalid UTF-8 is replaced, where records are text.
    lossy: bool,
    /// What is wrong with the settings taken together; every setter brings it up to date.
    fault: Option<&'static str>,
    /// How far into the buffer the terminator was looked for. Back to zero with every line.
    scanned: usize,
    /// The other half of a newline that ended the buffer; swallowed or forgotten at the next byte. The buffer is empty
    /// while it is set.
    owed: Option<u8>,
    /// With a pattern, the search for the end of this line; begins with the line's first `next_record`.
    search: Option<Search>,
    /// The line at the front was reported as too long; what is left of it goes, terminator included.
    discarding: bool,
    /// Bytes were refused. Ends only with `take_pending`.
    overflowed: bool,
    record: PhantomData<fn() -> T>,
}

impl Line<String> {
    /// Lines of text, where one that is not UTF-8 is an error. Any newline ends a line, CR LF is put behind one.
    ///
    /// ```
    /// use poe::filter::{Filter, Line};
    /// let records = Line::new().get(b"a\rb\nc\r\nd\n\r");
    /// let lines: Vec<String> = records.into_iter().map(Result::unwrap).collect();
    /// assert_eq!(lines, ["a", "b", "c", "d"]);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with_defaults()
    }

    /// Lines of text, where bytes that are not UTF-8 become U+FFFD, the replacement character.
    ///
    /// Use it for what other programs print, such as logs: no content of a line is an error. Otherwise it is as
    /// [`Line::new`]. Use [`Line::bytes`] if the bytes must come through unchanged.
    ///
    /// ```
    /// use poe::filter::{Filter, Line};
    /// let mut filter = Line::lossy();
    /// filter.feed(b"caf\xe9\n");
    /// assert_eq!(filter.next_record().unwrap().unwrap(), "caf\u{fffd}");
    /// ```
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
    /// Lines of bytes, with the defaults of [`Line::new`]; no content is an error.
    ///
    /// ```
    /// use poe::filter::{Filter, Line};
    /// let mut filter = Line::bytes();
    /// filter.feed(b"caf\xe9\n");
    /// assert_eq!(filter.next_record().unwrap().unwrap(), &b"caf\xe9"[..]);
    /// ```
    #[must_use]
    pub fn bytes() -> Self {
        Self::with_defaults()
    }
}

impl<T: LineRecord> Line<T> {
    /// Ends lines with these bytes, both ways. Empty is an error at [`check`](super::Filter::check).
    ///
    /// ```
    /// use bytes::BytesMut;
    /// use poe::filter::{Filter, Line};
    /// let mut filter = Line::new().literal("\n");
    /// assert_eq!(filter.get(b"a\rb\n").remove(0).unwrap(), "a\rb");
    /// let mut out = BytesMut::new();
    /// filter.put("c".into(), &mut out).unwrap();
    /// assert_eq!(&out[..], b"c\n");
    /// ```
    #[must_use]
    #[doc(alias = "Literal")]
    pub fn literal(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.input(Terminator::literal(bytes)).output_literal(bytes)
    }

    /// Ends incoming lines with these bytes. Empty means [`autodetect`](Self::autodetect), as in POE.
    ///
    /// ```
    /// use poe::filter::{Filter, Line};
    /// let records = Line::new().input_literal("--").get(b"a-b--c--");
    /// let lines: Vec<String> = records.into_iter().map(Result::unwrap).collect();
    /// assert_eq!(lines, ["a-b", "c"]);
    /// ```
    #[must_use]
    #[doc(alias = "InputLiteral")]
    pub fn input_literal(self, bytes: impl AsRef<[u8]>) -> Self {
        match bytes.as_ref() {
            [] => self.autodetect(),
            bytes => self.input(Terminator::literal(bytes)),
        }
    }

    /// Ends incoming lines with whatever matches, leftmost and, among alternatives, first.
    ///
    /// The syntax is that of the `regex` crate, on bytes: `.` is one byte but LF, `\w` and `\s` are ASCII, and flags
    /// stand inside, as in `(?i)end`. Groups do no harm. Compile it once and give each connection a
    /// [`fresh`](super::Filter::fresh) copy: copies share the compiled pattern.
    ///
    /// Two traps of POE are not here: in a pattern given as text its `.` takes LF as well (say `(?s)` for that), and it
    /// does not take a bare `a|b` as a whole.
    ///
    /// How reads are cut makes no difference. A line is given as soon as nothing that follows could change it. Where only
    /// the terminator may still grow (`\n+`) the line is given at once, too, and what then belongs to its terminator is
    /// swallowed, unless the filter is switched in between. Where even the line may change (after `c` in `abcd|c`, for a
    /// `d` would make it end earlier) it waits. The end of a terminator is settled at most 4096 bytes behind
    /// the first match.
    ///
    /// ```
    /// use poe::filter::{Filter, Line};
    /// let records = Line::new().input_regexp("[xy]").unwrap().get(b"axbyc");
    /// let lines: Vec<String> = records.into_iter().map(Result::unwrap).collect();
    /// assert_eq!(lines, ["a", "b"]);
    /// assert!(Line::new().input_regexp(r"\n*").unwrap_err().is_invalid_setting());
    /// ```
    ///
    /// # Errors
    /// A pattern that does not compile, that needs more than some megabytes, that can match the empty string (POE gives
    /// empty lines for ever), or that holds an anchor or a word boundary, which in a stream would match wherever a read
    /// happens to end.
    #[doc(alias = "InputRegexp")]
    pub fn input_regexp(self, pattern: &str) -> Result<Self, FilterError> {
        let pattern = Arc::new(Pattern::new(pattern)?);
        Ok(self.input(Terminator::Regexp(pattern)))
    }

    /// Ends incoming lines with whichever newline ends the first: CR LF, LF CR, CR or LF, and no other from then on.
    ///
    /// Half a newline at the end of a read gives its line at once, and the first byte of the next read decides which it
    /// was.
    ///
    /// ```
    /// use poe::filter::{Filter, Line};
    /// let records = Line::new().autodetect().get(b"a\nb\r\n");
    /// let lines: Vec<String> = records.into_iter().map(Result::unwrap).collect();
    /// assert_eq!(lines, ["a", "b\r"]);
    /// ```
    #[must_use]
    #[doc(alias = "InputLiteral")]
    pub fn autodetect(self) -> Self {
        self.input(Terminator::Autodetect)
    }

    /// Puts these bytes behind each outgoing line; CR LF by default, and none if empty.
    ///
    /// ```
    /// use bytes::BytesMut;
    /// use poe::filter::{Filter, Line};
    /// let mut out = BytesMut::new();
    /// Line::new().output_literal("!").put("stop".into(), &mut out).unwrap();
    /// assert_eq!(&out[..], b"stop!");
    /// ```
    #[must_use]
    #[doc(alias = "OutputLiteral")]
    pub fn output_literal(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.output = Bytes::copy_from_slice(bytes.as_ref());
        self
    }

    /// Sets all limits; [`LineLimits`] has the defaults.
    ///
    /// ```
    /// use poe::filter::{Line, LineLimits};
    /// let commands = Line::new().limits(LineLimits { max_length: 512, max_buffer: Some(64 * 1024) });
    /// ```
    #[must_use]
    pub fn limits(mut self, limits: LineLimits) -> Self {
        self.limits = limits;
        self.reconsider()
    }

    /// Sets the longest line in bytes, terminator not counted; 64 KiB by default. Zero is an error at
    /// [`check`](super::Filter::check).
    ///
    /// ```
    /// use poe::filter::{Filter, Line};
    /// let mut records = Line::new().max_length(4).get(b"toolong\nfine\n").into_iter();
    /// assert!(records.next().unwrap().unwrap_err().is_too_long());
    /// assert_eq!(records.next().unwrap().unwrap(), "fine");
    /// ```
    #[must_use]
    #[doc(alias = "MaxLength")]
    pub fn max_length(mut self, bytes: usize) -> Self {
        self.limits.max_length = bytes;
        self.reconsider()
    }

    /// Sets the most bytes that may wait to be parsed; at least [`max_length`](Self::max_length), or it is an error at
    /// [`check`](super::Filter::check). By default 16 MiB, or twice the longest line if that is more.
    ///
    /// It bounds what a caller may append without taking the records out; an unterminated line is bounded by
    /// `max_length` alone. With a pattern, leave room for 4096 bytes more than a line.
    ///
    /// ```
    /// use poe::filter::{Filter, Line};
    /// assert!(Line::new().max_length(10).max_buffer(5).check().unwrap_err().is_invalid_setting());
    /// let mut records = Line::new().max_length(5).max_buffer(5).get(b"one\ntwo\n").into_iter();
    /// assert_eq!(records.next().unwrap().unwrap(), "one");
    /// assert!(records.next().unwrap().is_err_and(|error| error.is_overflow() && error.is_fatal()));
    /// ```
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

    /// Looks at the settings as a whole, and forgets how far a search under other settings had come.
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

impl<T> fmt::Debug for Line<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("input", &self.setting)
            .field("now", &self.terminator)
            .field("output", &format_args!("\"{}\"", self.output.escape_ascii()))
            .field("pending", &self.buffer.len())
            .field("owed", &self.owed.map(char::from))
            .field("discarding", &self.discarding)
            .field("overflowed", &self.overflowed)
            .field("max_length", &self.limits.max_length)
            .field("max_buffer", &self.max_buffer)
            .finish()
    }
}
