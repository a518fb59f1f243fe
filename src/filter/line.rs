//! POE::Filter::Line: a stream of octets in, lines without their terminators out; and a terminator behind each line put.

use super::buffer::Buffer;
use super::pattern::{Pattern, Progress, Walk};
use super::{Filter, FilterError};
use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

const CR: u8 = b'\r';
const LF: u8 = b'\n';

/// The settings of a filter on which no setter was called, all in one place.
mod default {
    pub(super) const OUTPUT: &[u8] = b"\r\n";
    pub(super) const MAX_LENGTH: usize = 64 * 1024 * 1024;
    pub(super) const MAX_BUFFER: usize = 512 * 1024 * 1024;
}

/// Cuts a stream into lines, and ends each line that is put (`POE::Filter::Line`).
///
/// [`Line::new()`] has `String` records: a line that is not UTF-8 is an error with its octets inside, and the next line
/// follows. [`Line::bytes()`] has [`Bytes`] records and takes any octets. Records come without their terminator, and put
/// leaves newlines inside a record alone.
///
/// ```
/// use bytes::BytesMut;
/// use poe::filter::{Filter, Line};
/// let mut filter = Line::new();
/// filter.get_one_start(b"one\r\ntwo\nthr");
/// assert_eq!(filter.get_one().unwrap().unwrap(), "one");
/// assert_eq!(filter.get_one().unwrap().unwrap(), "two");
/// assert!(filter.get_one().unwrap().is_none() && filter.get_pending() == b"thr");
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
/// | [`literal`](Self::literal) | these octets | the same octets |
/// | [`input_literal`](Self::input_literal) | these octets; if empty, as `autodetect` | unchanged |
/// | [`input_regexp`](Self::input_regexp) | whatever the pattern matches | unchanged |
/// | [`autodetect`](Self::autodetect) | the newline that ends the first line, for good | unchanged |
/// | [`output_literal`](Self::output_literal) | unchanged | these octets; may be empty |
///
/// The last setting for a direction holds. Settings that make no sense together (an empty `literal`, a limit of zero, a
/// buffer smaller than a line) are found by [`check`](Filter::check), which wheels call when they are made; without it,
/// the first `get_one` or `put` gives the same fatal error.
///
/// # Newlines that are cut in two
///
/// A peer that ends its lines in CR and waits for an answer must get one, so a CR at the end of a read gives its line at
/// once. An LF that opens the next read is then swallowed, where POE gives an empty line. Until it comes it is
/// [owed](Filter::owed), and a switch of filters must see to it; [`Seam`](super::Seam) does.
///
/// # Limits
///
/// A line of more than [`max_length`](Self::max_length) octets is an error that is not fatal, and the next line follows,
/// however the reads were cut. The error comes as soon as the line is known to be too long, carries its first
/// `max_length` octets, and the rest is dropped as it arrives, so an endless line costs no memory (POE lets it grow up to
/// `MaxBuffer`). More than [`max_buffer`](Self::max_buffer) octets appended and not yet parsed are a fatal error: the
/// complete lines in what fits come first, then the error with the rest, and further input is refused.
#[doc(alias = "POE::Filter::Line")]
pub struct Line<T = String> {
    buffer: Buffer,
    /// What the setters asked for; `fresh` starts from it.
    setting: Terminator,
    /// What ends lines now. Differs from the setting once a newline was detected.
    terminator: Terminator,
    output: Bytes,
    max_length: usize,
    max_buffer: usize,
    /// What is wrong with the settings taken together; every setter brings it up to date.
    fault: Option<&'static str>,
    /// How far into the buffer the terminator was looked for. Back to zero with every line.
    scanned: usize,
    /// The other half of a newline that ended the buffer; swallowed or forgotten at the next octet. The buffer is empty
    /// while it is set.
    owed: Option<u8>,
    /// With a pattern, the search for the end of this line; begins with the line's first `get_one`.
    search: Option<Search>,
    /// The line at the front was reported as too long; what is left of it goes, terminator included.
    discarding: bool,
    /// Octets were refused. Ends only with `take_pending`.
    overflowed: bool,
    record: PhantomData<fn() -> T>,
}

#[derive(Clone)]
enum Terminator {
    Newline,
    Autodetect,
    One(u8),
    Two([u8; 2]),
    Long(Arc<Finder<'static>>),
    Regexp(Arc<Pattern>),
    /// An empty literal. The fault keeps it from being searched for.
    Missing,
}

/// A pattern's search. Its positions count from where it began, the buffer's from what is left.
struct Search {
    walk: Walk,
    /// Octets seen by the walk that have left the buffer since.
    dropped: usize,
    /// The line was given already; only the end of its terminator is still open.
    given: bool,
    /// The end of a match whose start was found to be open, so that it is not looked at again.
    held: usize,
}

/// What a look into the buffer found.
enum Found {
    /// A line, and where the next one begins.
    Line { line: usize, rest: usize },
    /// No end yet. So many octets are the line's own, whatever comes.
    More { content: usize },
}

/// What lines can be: `String` or [`Bytes`]. Sealed.
///
/// ```
/// use poe::filter::{Filter, Line, LineRecord};
/// fn good_lines<T: LineRecord>(mut filter: Line<T>, octets: &[u8]) -> usize {
///     filter.get(octets).iter().filter(|line| line.is_ok()).count()
/// }
/// assert_eq!(good_lines(Line::new(), b"caf\xe9\ntea\n"), 1); // `String`
/// assert_eq!(good_lines(Line::bytes(), b"caf\xe9\ntea\n"), 2); // `Bytes`
/// ```
pub trait LineRecord: sealed::Sealed {}

impl LineRecord for String {}
impl LineRecord for Bytes {}

mod sealed {
    use super::{Bytes, FilterError};

    pub trait Sealed: Sized + 'static {
        fn from_line(octets: &[u8]) -> Result<Self, FilterError>;
        fn octets(&self) -> &[u8];
    }

    impl Sealed for String {
        // A `Result` that goes through memory is read back in other pieces than it was written in, which stalls.
        #[inline(always)]
        fn from_line(octets: &[u8]) -> Result<Self, FilterError> {
            match str::from_utf8(octets) {
                Ok(text) => Ok(text.to_owned()),
                Err(cause) => Err(FilterError::invalid_utf8(cause, Bytes::copy_from_slice(octets))),
            }
        }

        fn octets(&self) -> &[u8] {
            self.as_bytes()
        }
    }

    impl Sealed for Bytes {
        // A copy, for a slice of the read buffer would keep all of it in memory as long as one line lives.
        #[inline(always)]
        fn from_line(octets: &[u8]) -> Result<Self, FilterError> {
            Ok(Bytes::copy_from_slice(octets))
        }

        fn octets(&self) -> &[u8] {
            self
        }
    }
}

impl Line<String> {
    /// Lines of text; any newline ends one, CR LF is put behind one, 64 MiB is the longest.
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
}

impl Line<Bytes> {
    /// Lines of octets, with the defaults of [`Line::new`]; no content is an error.
    ///
    /// ```
    /// use poe::filter::{Filter, Line};
    /// let mut filter = Line::bytes();
    /// filter.get_one_start(b"caf\xe9\n");
    /// assert_eq!(filter.get_one().unwrap().unwrap(), &b"caf\xe9"[..]);
    /// ```
    #[must_use]
    pub fn bytes() -> Self {
        Self::with_defaults()
    }
}

impl<T: LineRecord> Line<T> {
    /// Ends lines with these octets, both ways. Empty is an error at [`check`](Filter::check).
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
    pub fn literal(self, octets: impl AsRef<[u8]>) -> Self {
        let octets = octets.as_ref();
        self.input(Terminator::literal(octets)).output_literal(octets)
    }

    /// Ends incoming lines with these octets. Empty means [`autodetect`](Self::autodetect), as in POE.
    ///
    /// ```
    /// use poe::filter::{Filter, Line};
    /// let records = Line::new().input_literal("--").get(b"a-b--c--");
    /// let lines: Vec<String> = records.into_iter().map(Result::unwrap).collect();
    /// assert_eq!(lines, ["a-b", "c"]);
    /// ```
    #[must_use]
    #[doc(alias = "InputLiteral")]
    pub fn input_literal(self, octets: impl AsRef<[u8]>) -> Self {
        match octets.as_ref() {
            [] => self.autodetect(),
            octets => self.input(Terminator::literal(octets)),
        }
    }

    /// Ends incoming lines with whatever matches, leftmost and, among alternatives, first.
    ///
    /// The syntax is that of the `regex` crate, on octets: `.` is one octet but LF, `\w` and `\s` are ASCII, and flags
    /// stand inside, as in `(?i)end`. Groups do no harm. Compile it once and give each connection a
    /// [`fresh`](Filter::fresh) copy: copies share the compiled pattern.
    ///
    /// Two traps of POE are not here: in a pattern given as text its `.` takes LF as well (say `(?s)` for that), and it
    /// does not take a bare `a|b` as a whole.
    ///
    /// How reads are cut makes no difference. A line is given as soon as nothing that follows could change it. Where only
    /// the terminator may still grow (`\n+`) the line is given at once, too, and what then belongs to its terminator is
    /// swallowed, unless the filter is switched in between. Where even the line may change (after `c` in `abcd|c`, for a
    /// `d` would make it end earlier) it waits. The end of a terminator is settled at most 4096 octets behind
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
    /// Half a newline at the end of a read gives its line at once, and the first octet of the next read decides which it
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

    /// Puts these octets behind each outgoing line; CR LF by default, and none if empty.
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
    pub fn output_literal(mut self, octets: impl AsRef<[u8]>) -> Self {
        self.output = Bytes::copy_from_slice(octets.as_ref());
        self
    }

    /// The longest line in octets, terminator not counted; 64 MiB by default. Zero is an error at
    /// [`check`](Filter::check).
    ///
    /// ```
    /// use poe::filter::{Filter, Line};
    /// let mut records = Line::new().max_length(4).get(b"toolong\nfine\n").into_iter();
    /// assert!(records.next().unwrap().unwrap_err().is_too_long());
    /// assert_eq!(records.next().unwrap().unwrap(), "fine");
    /// ```
    #[must_use]
    #[doc(alias = "MaxLength")]
    pub fn max_length(mut self, octets: usize) -> Self {
        self.max_length = octets;
        self.reconsider()
    }

    /// The most octets that may wait to be parsed; 512 MiB by default, and at least [`max_length`](Self::max_length), or
    /// it is an error at [`check`](Filter::check).
    ///
    /// It bounds what a caller may append without taking the records out; an unterminated line is bounded by
    /// `max_length` alone. With a pattern, leave room for 4096 octets more than a line.
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
    pub fn max_buffer(mut self, octets: usize) -> Self {
        self.max_buffer = octets;
        self.reconsider()
    }

    fn with_defaults() -> Self {
        Line {
            buffer: Buffer::default(),
            setting: Terminator::Newline,
            terminator: Terminator::Newline,
            output: Bytes::from_static(default::OUTPUT),
            max_length: default::MAX_LENGTH,
            max_buffer: default::MAX_BUFFER,
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
        self.fault = if matches!(self.setting, Terminator::Missing) {
            Some("a literal line terminator needs at least one octet")
        } else if self.max_length == 0 || self.max_buffer == 0 {
            Some("a limit must be at least one octet")
        } else if self.max_buffer < self.max_length {
            Some("the buffer's limit must be at least the limit of a line")
        } else {
            None
        };
        self.scanned = 0;
        self.search = None;
        self
    }

    /// Looks for the end of the line at the front of the buffer, from where the last look ended.
    fn find(&mut self) -> Found {
        let octets = self.buffer.as_slice();
        let len = octets.len();
        let from = self.scanned;
        let (line, terminator_len) = match &self.terminator {
            Terminator::Newline | Terminator::Autodetect => {
                let Some(at) = memchr::memchr2(CR, LF, &octets[from..]) else {
                    self.scanned = len;
                    return Found::More { content: len };
                };
                let line = from + at;
                return Found::Line {
                    line,
                    rest: self.end_of_newline(line),
                };
            }
            Terminator::One(octet) => match memchr::memchr(*octet, &octets[from..]) {
                Some(at) => (from + at, 1),
                None => {
                    self.scanned = len;
                    return Found::More { content: len };
                }
            },
            &Terminator::Two([first, second]) => {
                // What was scanned was looked at as the second of the two, so nothing is looked at again.
                let mut from = from.max(1);
                loop {
                    let Some(at) = octets.get(from..).and_then(|octets| memchr::memchr(second, octets)) else {
                        self.scanned = len;
                        return Found::More {
                            content: len.saturating_sub(1),
                        };
                    };
                    if octets[from + at - 1] == first {
                        break (from + at - 1, 2);
                    }
                    from += at + 1;
                }
            }
            Terminator::Long(finder) => match finder.find(&octets[from..]) {
                Some(at) => (from + at, finder.needle().len()),
                None => {
                    // The literal may have begun at the end of the buffer.
                    self.scanned = len.saturating_sub(finder.needle().len() - 1).max(from);
                    return Found::More { content: self.scanned };
                }
            },
            Terminator::Regexp(pattern) => {
                let pattern = Arc::clone(pattern);
                return self.find_match(&pattern);
            }
            Terminator::Missing => return Found::More { content: 0 },
        };
        Found::Line {
            line,
            rest: line + terminator_len,
        }
    }

    /// Where the newline at `at` ends. At the end of the buffer it may be half of one: then the other half is owed.
    fn end_of_newline(&mut self, at: usize) -> usize {
        let octets = self.buffer.as_slice();
        let first = octets[at];
        let second = if first == CR { LF } else { CR };
        let (found, rest) = match octets.get(at + 1) {
            Some(&next) if next == second => (Terminator::Two([first, second]), at + 2),
            Some(_) => (Terminator::One(first), at + 1),
            None => {
                self.owed = Some(second);
                (Terminator::One(first), at + 1)
            }
        };
        if matches!(self.terminator, Terminator::Autodetect) {
            self.terminator = found;
        }
        rest
    }

    fn find_match(&mut self, pattern: &Pattern) -> Found {
        loop {
            let max_length = self.max_length;
            let search = self.search.get_or_insert_with(|| Search::new(pattern, max_length));
            let octets = self.buffer.as_slice();
            let seen = search.walk.walked() - search.dropped;
            match pattern.advance(&mut search.walk, &octets[seen..]) {
                Progress::Settled(end) if search.given => {
                    self.buffer.consume(end - search.dropped);
                    self.search = None;
                }
                Progress::Settled(end) => {
                    let rest = end - search.dropped;
                    // A line that is dropped has no beginning any more, and needs none.
                    let line = if self.discarding {
                        0
                    } else {
                        pattern.start_of(&octets[..rest])
                    };
                    self.search = None;
                    return Found::Line { line, rest };
                }
                Progress::Open(end) if search.given || self.discarding => {
                    // A match is only ever replaced by one that ends further on.
                    self.buffer.consume(end - search.dropped);
                    search.dropped = end;
                    return Found::More { content: 0 };
                }
                Progress::Open(end) if search.held == end => return Found::More { content: 0 },
                Progress::Open(end) => {
                    let line = pattern.start_of(&octets[..end]);
                    if !pattern.starts_fresh(&octets[..line]) {
                        search.held = end;
                        return Found::More { content: 0 };
                    }
                    search.given = true;
                    search.dropped = end;
                    return Found::Line { line, rest: end };
                }
                Progress::Nothing if !self.discarding => return Found::More { content: 0 },
                Progress::Nothing | Progress::TooFar => {
                    return Found::More {
                        content: search.walk.walked() - search.dropped,
                    };
                }
            }
        }
    }

    /// Drops the front of a line that is too long; the search for its end goes on behind.
    fn discard(&mut self, count: usize) {
        self.buffer.consume(count);
        self.scanned = self.scanned.saturating_sub(count);
        if let Some(search) = &mut self.search {
            search.dropped += count;
            search.walk.discard();
        }
    }

    /// Empties the filter as if the stream began here; what was detected about it stays.
    fn restart(&mut self) -> Bytes {
        if self.owed.take().is_some() && matches!(self.setting, Terminator::Autodetect) {
            // Half a newline is not known well enough to be kept.
            self.terminator = Terminator::Autodetect;
        }
        self.scanned = 0;
        self.search = None;
        self.discarding = false;
        self.buffer.take()
    }
}

impl<T: LineRecord> Filter for Line<T> {
    type Input = T;
    type Output = T;

    fn get_one_start(&mut self, mut octets: &[u8]) {
        if let (Some(second), Some((&next, rest))) = (self.owed, octets.split_first()) {
            self.owed = None;
            if next == second {
                octets = rest;
                if let (Terminator::Autodetect, &Terminator::One(first)) = (&self.setting, &self.terminator) {
                    self.terminator = Terminator::Two([first, second]);
                }
            }
        }
        if self.overflowed {
            return;
        }
        let room = self.max_buffer.saturating_sub(self.buffer.len());
        if octets.len() > room {
            self.overflowed = true;
            octets = &octets[..room];
        }
        self.buffer.append(octets);
    }

    fn get_one(&mut self) -> Result<Option<T>, FilterError> {
        self.check()?;
        loop {
            match self.find() {
                Found::Line { rest, .. } if self.discarding => {
                    self.discarding = false;
                    self.scanned = 0;
                    self.buffer.consume(rest);
                }
                Found::Line { line, rest } => {
                    let record = if line > self.max_length {
                        Err(FilterError::too_long(
                            self.max_length,
                            self.buffer.copy_front(self.max_length),
                        ))
                    } else {
                        T::from_line(&self.buffer.as_slice()[..line]).map(Some)
                    };
                    self.scanned = 0;
                    self.buffer.consume(rest);
                    return record;
                }
                Found::More { content } if !self.discarding && content > self.max_length => {
                    let head = self.buffer.copy_front(self.max_length);
                    self.discarding = true;
                    self.discard(content);
                    return Err(FilterError::too_long(self.max_length, head));
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
        let octets = record.octets();
        out.reserve(octets.len() + self.output.len());
        out.extend_from_slice(octets);
        out.extend_from_slice(&self.output);
        Ok(())
    }

    fn get_pending(&self) -> &[u8] {
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
            max_length: self.max_length,
            max_buffer: self.max_buffer,
            fault: self.fault,
            ..Self::with_defaults()
        }
    }

    fn check(&self) -> Result<(), FilterError> {
        self.fault
            .map_or(Ok(()), |what| Err(FilterError::invalid_setting(what)))
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
            .field("max_length", &self.max_length)
            .field("max_buffer", &self.max_buffer)
            .finish()
    }
}

impl Terminator {
    fn literal(octets: &[u8]) -> Self {
        match *octets {
            [] => Terminator::Missing,
            [octet] => Terminator::One(octet),
            [first, second] => Terminator::Two([first, second]),
            _ => Terminator::Long(Arc::new(Finder::new(octets).into_owned())),
        }
    }
}

impl fmt::Debug for Terminator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Terminator::Newline => f.write_str("any newline"),
            Terminator::Autodetect => f.write_str("to be detected"),
            Terminator::One(octet) => write!(f, "\"{}\"", octet.escape_ascii()),
            Terminator::Two(octets) => write!(f, "\"{}\"", octets.escape_ascii()),
            Terminator::Long(finder) => write!(f, "\"{}\"", finder.needle().escape_ascii()),
            Terminator::Regexp(pattern) => write!(f, "/{}/", pattern.as_str()),
            Terminator::Missing => f.write_str("\"\""),
        }
    }
}

impl Search {
    fn new(pattern: &Pattern, max_length: usize) -> Self {
        Search {
            walk: pattern.walk(max_length),
            dropped: 0,
            given: false,
            held: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_filter_holds_little_memory() {
        let mut filter = Line::new();
        let read = [b"x".repeat(63), b"\n".to_vec()].concat().repeat(1024);
        assert_eq!(filter.get(&read).len(), 1024);
        assert!(filter.buffer.capacity() <= 1024);
        filter.get([&read[..], b"partial"].concat().as_slice());
        assert_eq!(filter.get_pending(), b"partial");
        assert!(filter.buffer.capacity() <= 1024);
    }

    #[test]
    fn an_endless_line_does_not_grow_the_buffer() {
        for filter in [Line::new(), Line::new().literal("\r\n"), Line::new().literal("<end>")] {
            let mut filter = filter.max_length(1000);
            for _ in 0..1000 {
                filter.get(&[b'x'; 512]);
                assert!(filter.buffer.capacity() <= 4096 && filter.buffer.len() <= 1512);
            }
        }
        let mut filter = Line::new().input_regexp(r"\r?\n").unwrap().max_length(1000);
        for _ in 0..1000 {
            filter.get(&[b'x'; 512]);
            assert!(filter.buffer.capacity() <= 16384 && filter.buffer.len() <= 6000);
        }
    }

    #[test]
    fn octets_are_searched_once() {
        let mut filter = Line::new();
        filter.get(b"abc");
        assert_eq!(filter.scanned, 3);
        filter.get(b"def");
        assert_eq!(filter.scanned, 6);
    }
}
