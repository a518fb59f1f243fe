//! The contract between a wheel, which has bytes, and a protocol, which has records.

use super::{Chain, FilterError, Grep, Map, Stage};
use bytes::{Bytes, BytesMut};

/// Turns a stream of bytes into records, and records into bytes (`POE::Filter`).
///
/// # The contract
///
/// | step | call | effect |
/// |---|---|---|
/// | feed | [`feed`](Self::feed) | bytes join the input buffer; nothing is parsed yet |
/// | next | [`next_record`](Self::next_record) | one record leaves the buffer, or `None`: the rest needs more bytes |
/// | pending | [`pending`](Self::pending) | the bytes of which no record was made; reading does not drain them |
/// | switch | [`take_pending`](Self::take_pending) | the same bytes, drained, for the next filter |
/// | put | [`put`](Self::put) | a record becomes bytes at the end of `out` |
///
/// A filter is a pure state machine, and four laws hold for it:
///
/// 1. *Chunks do not matter.* The records depend on the bytes alone, not on how reads cut them.
/// 2. *Bytes leave the buffer only in a record or an error.* All others are pending.
/// 3. *`next_record` takes no more than it returns.* The bytes after the record stay untouched, because the very next byte may
///    belong to another filter.
/// 4. *No input panics, and memory is bounded* by the filter's limits, whatever the peer sends.
///
/// # States
///
/// A filter is *at a boundary* when its buffer is empty, *inside a record* when some bytes are pending, and *broken*
/// after an error whose [`is_fatal`](FilterError::is_fatal) is true. Any other error takes the place of one record
/// and the next `next_record` continues after it. A broken filter returns a fatal error from every `next_record`.
///
/// # The trap: pending bytes must survive a switch
///
/// A protocol changes its filter in the middle of a stream: lines for the head, blocks for the body. One read often
/// brings the end of the head *and* the start of the body, so the old filter holds bytes that belong to the new one.
///
/// ```
/// use poe::filter::{Filter, Line, Raw};
/// let mut head = Line::new();
/// head.feed(b"LENGTH 4\r\nbody");
/// assert_eq!(head.next_record().unwrap().unwrap(), "LENGTH 4");
/// let mut body = Raw::new();               // Wrong: go on with `body` and the next read; four bytes are lost.
/// body.feed(&head.take_pending());   // Right: pending bytes go in first.
/// assert_eq!(body.next_record().unwrap().unwrap(), "body");
/// ```
///
/// It follows that a filter must not take a frame's header out of its buffer before the frame is complete, and must not
/// parse ahead of the record it returns: both would keep bytes from the next filter. A wheel performs the switch, and also skips
/// the LF of a CR LF whose CR ended the old filter's last line.
///
/// [`FilterExt`] has what every filter can do with these methods.
///
/// # Implementing one
///
/// ```
/// use bytes::{Buf, Bytes, BytesMut};
/// use poe::filter::{Filter, FilterError, FilterExt};
///
/// /// Pairs of bytes.
/// struct Pairs(BytesMut);
/// impl Filter for Pairs {
///     type Input = [u8; 2];
///     type Output = [u8; 2];
///     fn feed(&mut self, bytes: &[u8]) { self.0.extend_from_slice(bytes) }
///     fn next_record(&mut self) -> Result<Option<[u8; 2]>, FilterError> {
///         Ok((self.0.len() >= 2).then(|| self.0.get_u16().to_be_bytes()))
///     }
///     fn put(&mut self, pair: [u8; 2], out: &mut BytesMut) -> Result<(), FilterError> {
///         Ok(out.extend_from_slice(&pair))
///     }
///     fn pending(&self) -> &[u8] { &self.0 }
///     fn take_pending(&mut self) -> Bytes { self.0.split().freeze() }
///     fn fresh(&self) -> Self { Pairs(BytesMut::new()) }
/// }
/// assert_eq!(Pairs(BytesMut::new()).get(b"abc").len(), 1);
/// ```
#[doc(alias = "POE::Filter")]
pub trait Filter: 'static {
    /// The record that parsing yields.
    type Input: 'static;

    /// The record that [`put`](Self::put) takes.
    type Output: 'static;

    /// Appends bytes to the input buffer.
    ///
    /// It cannot fail: a full filter keeps the bytes that fit, yields the records in them, and then a fatal error.
    fn feed(&mut self, bytes: &[u8]);

    /// Takes one record out of the buffer; `None` when there is no whole record.
    ///
    /// # Errors
    /// The error that takes the place of a record that could not be made. Continue unless it
    /// [is fatal](FilterError::is_fatal).
    fn next_record(&mut self) -> Result<Option<Self::Input>, FilterError>;

    /// Appends the bytes of one record to `out`.
    ///
    /// # Errors
    /// This record has no form in the protocol; `out` is unchanged then.
    fn put(&mut self, record: Self::Output, out: &mut BytesMut) -> Result<(), FilterError>;

    /// Returns the bytes in the buffer that are not part of a record yet, as the peer sent them; empty at a boundary.
    ///
    /// It does not drain them: two calls return the same. It is one slice because a filter's buffer is one run of wire
    /// bytes; a filter made of filters keeps the wire bytes of everything that it has not yielded yet.
    fn pending(&self) -> &[u8];

    /// Takes the [`pending`](Self::pending) bytes, for the next filter; the buffer is empty afterwards.
    ///
    /// The filter is then at a boundary and may be used again. A broken filter works again, but the bytes it refused are
    /// lost.
    fn take_pending(&mut self) -> Bytes;

    /// Returns how many pending bytes are as they came; earlier ones are the rest of a record that was used in part.
    #[doc(hidden)]
    fn on_wire(&self) -> usize {
        self.pending().len()
    }

    /// Whether there is such a rest, only in filters made of filters.
    #[doc(hidden)]
    fn has_rest(&self) -> bool {
        false
    }

    /// Takes the records that were made together with one that was yielded. Always empty for most filters.
    ///
    /// A filter with a stage above it that makes several records from one (a flat [`Map`]) has such records between two calls of
    /// [`next_record`](Self::next_record). No pending bytes stand for them, so a wheel delivers them before the records of a new filter.
    /// [`take_pending`](Self::take_pending) alone encodes them again with `put`, if the types of the two directions are the
    /// same, or else drops them.
    #[doc(hidden)]
    fn take_made(&mut self) -> Vec<Self::Input> {
        Vec::new()
    }

    /// Returns the byte that, if it comes next, still belongs to the last record; always `None` for most filters.
    ///
    /// A filter that yields a record before it knows whether its terminator is complete (a line that ends in CR, when the
    /// LF of a CR LF may yet come) returns here the byte that it would skip. A switch of filters must skip it too, or the new
    /// filter's first byte is the old one's last. Never `Some` while bytes are pending.
    #[doc(hidden)]
    fn owed(&self) -> Option<u8> {
        None
    }

    /// Returns another filter with the same settings that has seen no input and shares no buffer (`clone`).
    ///
    /// Unlike `clone` in POE it does not copy parser state, such as a detected newline.
    #[doc(alias = "clone")]
    fn fresh(&self) -> Self
    where
        Self: Sized;

    /// Checks the settings; wheels call it when they are made.
    ///
    /// # Errors
    /// A fatal error that [is about a setting](FilterError::invalid_setting). The default returns none.
    fn check(&self) -> Result<(), FilterError> {
        Ok(())
    }
}

/// What every [`Filter`] can do: have stages put above it, and take all records of a block of bytes at once.
pub trait FilterExt: Filter {
    /// Puts a stage above this filter; the two are a filter. See [`Chain`].
    fn then<S>(self, stage: S) -> Chain<Self, S>
    where
        Self: Sized,
        S: Stage<RawInput = Self::Input, RawOutput = Self::Output>,
    {
        Chain::new(self, stage)
    }

    /// Puts a [`Map`] above this filter: each record is replaced on input and on output.
    ///
    /// ```
    /// use bytes::BytesMut;
    /// use poe::filter::{Filter, FilterExt, Line};
    /// let mut lengths = Line::new().map(|line| line.len(), |length: usize| length.to_string());
    /// assert_eq!(lengths.get(b"four\n").remove(0).unwrap(), 4);
    /// let mut out = BytesMut::new();
    /// lengths.put(12, &mut out).unwrap();
    /// assert_eq!(&out[..], b"12\r\n");
    /// ```
    fn map<I: 'static, O: 'static>(
        self,
        get: impl Fn(Self::Input) -> I + 'static,
        put: impl Fn(O) -> Self::Output + 'static,
    ) -> Chain<Self, Map<Self::Input, I, O, Self::Output>>
    where
        Self: Sized,
    {
        self.then(Map::new(get, put))
    }

    /// Puts a [`Grep`] above this filter: only the records that `get` accepts are yielded. Output is not filtered.
    fn grep(self, get: impl Fn(&Self::Input) -> bool + 'static) -> Chain<Self, Grep<Self::Input, Self::Output>>
    where
        Self: Sized,
    {
        self.then(Grep::new(get, |_| true))
    }

    /// Appends bytes and takes every record that is complete, in order.
    ///
    /// An error takes the place of its record, so nothing before or after it is lost; a fatal one comes last.
    /// `.into_iter().collect::<Result<Vec<_>, _>>()` stops at the first error instead.
    ///
    /// ```
    /// use poe::filter::{FilterExt, Line};
    /// let mut lines = Line::new().get(b"one\r\n\xff\r\ntwo\r\nthr").into_iter();
    /// assert_eq!(lines.next().unwrap().unwrap(), "one");
    /// assert!(lines.next().unwrap().unwrap_err().is_invalid_utf8());
    /// assert_eq!(lines.next().unwrap().unwrap(), "two");
    /// assert!(lines.next().is_none());
    /// ```
    fn get(&mut self, bytes: &[u8]) -> Vec<Result<Self::Input, FilterError>> {
        self.feed(bytes);
        let mut records = Vec::new();
        while let Some(record) = self.next_record().transpose() {
            let broken = record.as_ref().is_err_and(FilterError::is_fatal);
            records.push(record);
            if broken {
                break;
            }
        }
        records
    }
}

impl<F: Filter> FilterExt for F {}

// Two filters, one for each direction.
/// A pair reads with the first filter and writes with the second.
///
/// ```
/// use bytes::BytesMut;
/// use poe::filter::{Filter, FilterExt, Line, Raw};
/// let mut pair = (Line::new(), Raw::new());
/// assert_eq!(pair.get(b"a line\r\n").remove(0).unwrap(), "a line");
/// let mut out = BytesMut::new();
/// pair.put("as it is".into(), &mut out).unwrap();
/// assert_eq!(out, "as it is");
/// ```
impl<I: Filter, O: Filter> Filter for (I, O) {
    type Input = I::Input;
    type Output = O::Output;

    fn feed(&mut self, bytes: &[u8]) {
        self.0.feed(bytes);
    }

    fn next_record(&mut self) -> Result<Option<I::Input>, FilterError> {
        self.0.next_record()
    }

    fn put(&mut self, record: O::Output, out: &mut BytesMut) -> Result<(), FilterError> {
        self.1.put(record, out)
    }

    fn pending(&self) -> &[u8] {
        self.0.pending()
    }

    fn take_pending(&mut self) -> Bytes {
        self.0.take_pending()
    }

    fn on_wire(&self) -> usize {
        self.0.on_wire()
    }

    fn has_rest(&self) -> bool {
        self.0.has_rest()
    }

    fn take_made(&mut self) -> Vec<I::Input> {
        self.0.take_made()
    }

    fn owed(&self) -> Option<u8> {
        self.0.owed()
    }

    fn fresh(&self) -> Self {
        (self.0.fresh(), self.1.fresh())
    }

    fn check(&self) -> Result<(), FilterError> {
        self.0.check()?;
        self.1.check()
    }
}

// State carried from one filter of a stream to the next: whether a byte must be skipped.
/// Joins two filters of one stream without losing or doubling a byte.
///
/// A reader of a stream keeps one `Seam` beside the filter, sends each read through [`trim`](Self::trim), and changes
/// filters with [`switch`](Self::switch). The seam is needed because of [`Filter::owed`]: if the old filter yielded a line
/// that ended in CR at the end of a read, an LF at the beginning of the next read is the rest of that newline, and the new filter
/// must not see it.
///
/// ```
/// use poe::filter::{Filter, Line, Seam, Raw};
/// let (mut seam, mut head, mut body) = (Seam::new(), Line::new(), Raw::new());
/// head.feed(seam.trim(b"head\r"));
/// assert_eq!(head.next_record().unwrap().unwrap(), "head");
/// seam.switch(&mut head, &mut body);
/// body.feed(seam.trim(b"\nbody"));
/// assert_eq!(body.next_record().unwrap().unwrap(), "body");
/// ```
#[doc(hidden)]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Seam {
    /// Set in a switch; cleared with the first byte that is read after it.
    owed: Option<u8>,
}

impl Seam {
    /// Makes a seam for the start of a stream, without a byte to skip.
    #[must_use]
    pub const fn new() -> Self {
        Seam { owed: None }
    }

    /// Moves the pending bytes of `old` into `next`, and remembers the byte that `old` would have skipped.
    ///
    /// `old` is at a boundary afterwards. Records that `next` can already see come from its `next_record`.
    pub fn switch<A: Filter + ?Sized, B: Filter + ?Sized>(&mut self, old: &mut A, next: &mut B) {
        self.leave(old.owed());
        next.feed(&old.take_pending());
    }

    /// Notes the byte that a filter would have skipped, before its pending bytes are taken.
    pub(crate) fn leave(&mut self, owed: Option<u8>) {
        // A second switch before any input must not forget the byte of the first one.
        self.owed = owed.or(self.owed);
    }

    /// Returns the part of this read that is for the filter: all of it, or all but its first byte.
    #[must_use]
    pub fn trim<'a>(&mut self, read: &'a [u8]) -> &'a [u8] {
        let Some((&first, rest)) = read.split_first() else {
            return read;
        };
        if self.owed.take() == Some(first) { rest } else { read }
    }
}
