//! The server's side of the protocol: lines and mails in, replies out.
//!
//! | mode | input | leaves it with |
//! |---|---|---|
//! | command | a line that ends in CR LF | `BDAT`: chunk; a violation |
//! | chunk | the bytes behind `BDAT` | its end: command; a chunk over the limit: over |
//! | data, at first in [`SmtpFilter::mail`] | a mail, up to CR LF `.` CR LF | its end: command; a violation |
//! | over | nothing: what comes is dropped | – |

use crate::reply::SmtpReply;
use bytes::{Buf, Bytes, BytesMut};
use poe::filter::{Filter, FilterError};
use std::fmt;

/// An empty buffer keeps no more capacity than this.
const IDLE_CAPACITY: usize = 1024;

/// What a client sends: the records of a [`SmtpFilter`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SmtpInput {
    /// A line, without its end.
    Line(Bytes),
    /// A line over the limit. Its rest is dropped.
    LongLine,
    /// A mail, without dot-stuffing and without the line that ends it.
    Mail(Bytes),
    /// A mail over the limit, all of which was dropped.
    LongMail,
    /// A part of a mail, sent with `BDAT`: any bytes.
    Chunk {
        /// The part.
        data: Bytes,
        /// Whether the mail ends with it.
        is_last: bool,
    },
    /// A part that would be over the limit alone. Nothing that follows is read.
    LongChunk,
    /// Bytes that servers disagree about. Nothing that follows is read.
    Violation(Violation),
}

/// Bytes that servers disagree about, with which a second mail could be smuggled into one that is relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// An LF without a CR before it.
    BareLf,
    /// A CR without an LF behind it.
    BareCr,
    /// A NUL in a command.
    Nul,
    /// `BDAT` without a size: where the next command begins is not known.
    NoChunkSize,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Violation::BareLf => "a bare LF",
            Violation::BareCr => "a bare CR",
            Violation::Nul => "a NUL",
            Violation::NoChunkSize => "BDAT without a size",
        })
    }
}

/// The limits of a [`SmtpFilter`], in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SmtpLimits {
    /// The longest line of a command, with its end; default 12 288, which the longest `AUTH` needs (RFC 4954).
    pub line: usize,
    /// The largest mail, with dot-stuffing; default 10 MiB. The server offers it as `SIZE`.
    pub mail: usize,
}

impl Default for SmtpLimits {
    fn default() -> Self {
        SmtpLimits {
            line: 12_288,
            mail: 10 * 1024 * 1024,
        }
    }
}

/// The server's side of SMTP: lines and mails to records, and replies to bytes.
///
/// A `BDAT` comes with its bytes as one [`SmtpInput::Chunk`].
///
/// When you have put a reply 354 continue with [`SmtpFilter::mail`], which reads one mail and then lines. CR LF alone ends a line, everywhere: a bare LF or CR is a [`Violation`], and what follows it is not read. That is the cure for SMTP smuggling, where `LF . LF` ends a mail for
/// one server and not for the other.
///
/// ```
/// use poe::filter::{Filter, FilterExt};
/// use poe_smtp::{SmtpFilter, SmtpInput, SmtpReply, Violation};
/// let mut filter = SmtpFilter::new();
/// assert_eq!(filter.get(b"DATA\r\n").remove(0).unwrap(), SmtpInput::Line("DATA".into()));
/// let mut out = bytes::BytesMut::new();
/// filter.put(SmtpReply::new(354, "Go ahead"), &mut out).unwrap();
/// assert_eq!(out, "354 Go ahead\r\n");
/// let mut filter = SmtpFilter::mail();
/// let mail = filter.get(b"one\r\n..two\r\n.\r\nQUIT\r\n");
/// assert_eq!(mail[0].as_ref().unwrap(), &SmtpInput::Mail("one\r\n.two\r\n".into()));
/// assert_eq!(mail[1].as_ref().unwrap(), &SmtpInput::Line("QUIT".into()));
/// assert_eq!(filter.get(b"NOOP\n").remove(0).unwrap(), SmtpInput::Violation(Violation::BareLf));
/// ```
#[doc(alias = "POE::Filter::SMTP")]
pub struct SmtpFilter {
    buffer: BytesMut,
    limits: SmtpLimits,
    /// How far the buffer was looked at.
    scanned: usize,
    /// The mode at a boundary of the stream.
    first: Mode,
    mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Command,
    /// The rest of a line that was too long.
    LongLine,
    Data(At, Size),
    Chunk(Chunk),
    Over,
}

/// A chunk that has not arrived as a whole. Its command is still in the buffer, so that pending bytes are those of the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Chunk {
    /// The length of the command.
    begin: usize,
    end: usize,
    is_last: bool,
}

/// Where in a mail the next byte is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    Line,
    Cr,
    /// Behind a dot that begins a line.
    Dot,
    DotCr,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Fits,
    TooLarge,
}

impl SmtpFilter {
    /// Makes a filter of lines with the default limits.
    #[must_use]
    pub fn new() -> Self {
        SmtpFilter::of(Mode::Command)
    }

    /// Makes a filter of one mail, and lines behind it, with the default limits: for what follows a reply 354.
    #[must_use]
    pub fn mail() -> Self {
        SmtpFilter::of(Mode::Data(At::LineStart, Size::Fits))
    }

    fn of(mode: Mode) -> Self {
        SmtpFilter {
            buffer: BytesMut::new(),
            limits: SmtpLimits::default(),
            scanned: 0,
            first: mode,
            mode,
        }
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: SmtpLimits) -> Self {
        self.limits = limits;
        self
    }

    fn take(&mut self, end: usize) -> BytesMut {
        self.scanned = 0;
        self.buffer.split_to(end)
    }

    fn drop_all(&mut self) {
        self.scanned = 0;
        self.buffer = BytesMut::new();
    }

    fn violation(&mut self, violation: Violation) -> SmtpInput {
        self.drop_all();
        self.mode = Mode::Over;
        SmtpInput::Violation(violation)
    }

    fn next_line(&mut self) -> Option<SmtpInput> {
        let Some(at) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) else {
            self.scanned = self.buffer.len();
            if self.mode == Mode::LongLine {
                // Its last byte may be the CR of its end.
                let kept = usize::from(self.buffer.last() == Some(&b'\r'));
                self.buffer.advance(self.buffer.len() - kept);
                self.scanned = kept;
            } else if self.buffer.len() >= self.limits.line {
                self.mode = Mode::LongLine;
                return Some(SmtpInput::LongLine);
            }
            return None;
        };
        let end = self.scanned + at + 1;
        if end > self.limits.line && self.mode == Mode::Command {
            // Whether its end is sound is found next.
            self.buffer.advance(end - 2);
            self.scanned = 0;
            self.mode = Mode::LongLine;
            return Some(SmtpInput::LongLine);
        }
        if self.mode == Mode::Command
            && let Some(chunk) = bdat(&self.buffer[..end])
        {
            return self.begin_chunk(chunk, end);
        }
        let line = self.take(end).freeze();
        let was_long = self.mode == Mode::LongLine;
        self.mode = Mode::Command;
        let Some(text) = line.strip_suffix(b"\r\n") else {
            return Some(self.violation(Violation::BareLf));
        };
        if was_long {
            return self.next_line();
        }
        if text.contains(&b'\r') {
            return Some(self.violation(Violation::BareCr));
        }
        if text.contains(&0) {
            return Some(self.violation(Violation::Nul));
        }
        Some(SmtpInput::Line(line.slice(..text.len())))
    }

    fn begin_chunk(&mut self, sized: Option<(usize, bool)>, begin: usize) -> Option<SmtpInput> {
        match sized {
            None => Some(self.violation(Violation::NoChunkSize)),
            Some((size, _)) if size > self.limits.mail => {
                self.drop_all();
                self.mode = Mode::Over;
                Some(SmtpInput::LongChunk)
            }
            Some((size, is_last)) => {
                let end = begin + size;
                self.next_chunk(Chunk { begin, end, is_last })
            }
        }
    }

    fn next_chunk(&mut self, chunk: Chunk) -> Option<SmtpInput> {
        if self.buffer.len() < chunk.end {
            self.mode = Mode::Chunk(chunk);
            return None;
        }
        self.mode = Mode::Command;
        Some(SmtpInput::Chunk {
            data: self.take(chunk.end).freeze().slice(chunk.begin..),
            is_last: chunk.is_last,
        })
    }

    fn next_mail(&mut self, mut at: At, mut size: Size) -> Option<SmtpInput> {
        while let Some(byte) = self.buffer.get(self.scanned) {
            if at == At::Line {
                // Most bytes of a mail.
                let rest = &self.buffer[self.scanned..];
                match memchr::memchr2(b'\r', b'\n', rest) {
                    Some(0) => {}
                    Some(skip) => {
                        self.scanned += skip;
                        continue;
                    }
                    None => {
                        self.scanned = self.buffer.len();
                        break;
                    }
                }
            }
            at = match (at, byte) {
                (At::DotCr, b'\n') => return Some(self.end_of_mail(size)),
                (At::Cr, b'\n') => At::LineStart,
                (At::Cr | At::DotCr, _) => return Some(self.violation(Violation::BareCr)),
                (_, b'\n') => return Some(self.violation(Violation::BareLf)),
                (At::Dot, b'\r') => At::DotCr,
                (_, b'\r') => At::Cr,
                (At::LineStart, b'.') => At::Dot,
                _ => At::Line,
            };
            self.scanned += 1;
        }
        if self.buffer.len() > self.limits.mail {
            size = Size::TooLarge;
        }
        if size == Size::TooLarge {
            self.drop_all();
        }
        self.mode = Mode::Data(at, size);
        None
    }

    /// Takes the mail, whose last byte is the next one.
    fn end_of_mail(&mut self, size: Size) -> SmtpInput {
        let mail = self.take(self.scanned + 1);
        self.mode = Mode::Command;
        if size == Size::TooLarge || mail.len() > self.limits.mail {
            return SmtpInput::LongMail;
        }
        SmtpInput::Mail(unstuffed(mail))
    }
}

/// The size of the chunk that a line announces, and whether it is the last one; `Some(None)` if the line is a `BDAT` that says neither.
///
/// A line with a bare CR or LF is none, and found to be a violation.
fn bdat(line: &[u8]) -> Option<Option<(usize, bool)>> {
    let line = std::str::from_utf8(line.strip_suffix(b"\r\n")?).ok()?;
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    if line.contains('\r') || !words.next()?.eq_ignore_ascii_case("BDAT") {
        return None;
    }
    let size = words
        .next()
        .filter(|size| size.bytes().all(|digit| digit.is_ascii_digit()));
    // A size that is too large for the type is too large for every limit.
    let size = size.map(|digits| digits.parse().unwrap_or(usize::MAX));
    let is_last = match (words.next(), words.next()) {
        (None, _) => Some(false),
        (Some(last), None) if last.eq_ignore_ascii_case("LAST") => Some(true),
        _ => None,
    };
    Some(size.zip(is_last))
}

/// Removes the line that ends the mail, and a dot at the beginning of each line that has one.
fn unstuffed(mut mail: BytesMut) -> Bytes {
    mail.truncate(mail.len() - 3);
    if !mail.starts_with(b".") && memchr::memmem::find(&mail, b"\n.").is_none() {
        return mail.freeze();
    }
    let mut plain = BytesMut::with_capacity(mail.len());
    for line in mail.split_inclusive(|b| *b == b'\n') {
        plain.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    plain.freeze()
}

impl Default for SmtpFilter {
    fn default() -> Self {
        SmtpFilter::new()
    }
}

impl fmt::Debug for SmtpFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpFilter")
            .field("limits", &self.limits)
            .field("pending", &self.buffer.len())
            .finish_non_exhaustive()
    }
}

impl Filter for SmtpFilter {
    type Input = SmtpInput;
    type Output = SmtpReply;

    fn feed(&mut self, bytes: &[u8]) {
        if self.mode != Mode::Over {
            self.buffer.extend_from_slice(bytes);
        }
    }

    fn next_record(&mut self) -> Result<Option<SmtpInput>, FilterError> {
        let record = match self.mode {
            Mode::Command | Mode::LongLine => self.next_line(),
            Mode::Data(at, size) => self.next_mail(at, size),
            Mode::Chunk(chunk) => self.next_chunk(chunk),
            Mode::Over => None,
        };
        if self.buffer.is_empty() && self.buffer.capacity() > IDLE_CAPACITY {
            self.buffer = BytesMut::new();
        }
        Ok(record)
    }

    fn put(&mut self, reply: SmtpReply, out: &mut BytesMut) -> Result<(), FilterError> {
        reply.write(out);
        Ok(())
    }

    fn pending(&self) -> &[u8] {
        &self.buffer
    }

    fn take_pending(&mut self) -> Bytes {
        self.scanned = 0;
        self.mode = self.first;
        std::mem::take(&mut self.buffer).freeze()
    }

    fn fresh(&self) -> Self {
        SmtpFilter::of(self.first).limits(self.limits)
    }

    fn check(&self) -> Result<(), FilterError> {
        if self.limits.line < 64 || self.limits.mail < 64 {
            return Err(FilterError::invalid_setting(
                "an SMTP line and a mail need at least 64 bytes",
            ));
        }
        Ok(())
    }
}
