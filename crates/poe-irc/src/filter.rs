//! The filter: lines to messages and back, for both sides of the protocol.

use crate::message::Message;
use bytes::{Buf, Bytes, BytesMut};
use poe::filter::{Filter, FilterError};

/// An empty buffer keeps no more capacity than this.
const IDLE_CAPACITY: usize = 1024;

/// How much of a line an error shows.
const SHOWN: usize = 64;

/// The limits of an [`IrcFilter`], in bytes.
///
/// ```
/// use poe_irc::{IrcFilter, IrcLimits};
/// let mut limits = IrcLimits::default();
/// limits.line = 2048;                                 // InspIRCd's `LINELEN`
/// let filter = IrcFilter::new().limits(limits);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IrcLimits {
    /// The longest line without its tags, with its end; default 512.
    pub line: usize,
    /// The longest tags, with `@` and the space; default 8191.
    pub tags: usize,
    /// How many bytes may wait to be parsed; default 256 KiB. More is a fatal error.
    pub buffer: usize,
}

impl Default for IrcLimits {
    fn default() -> Self {
        IrcLimits {
            line: 512,
            tags: 8191,
            buffer: 256 * 1024,
        }
    }
}

/// Lines to [`Message`]s and back: the protocol of clients and servers, RFC 1459 with IRCv3's message tags.
///
/// The filter knows nothing about the client component, so it serves servers and bouncers as well. Bytes that are not UTF-8 stay as they are.
///
/// | on input | |
/// |---|---|
/// | CR LF, or LF | ends a line; an empty line is skipped |
/// | a line over the [limits](IrcLimits) | an error that is not fatal; the rest of the line is dropped as it arrives |
/// | a CR or NUL inside a line, no command | an error that is not fatal, with the line |
///
/// | on output | |
/// |---|---|
/// | a CR, LF or NUL in a parameter | an error: nobody can inject a command through your bot |
/// | a space, in another parameter than the last | an error |
/// | a line over the limits | an error |
///
/// The crate has a parser of its own because `irc-proto` takes and gives `String`s, which loses the bytes of other encodings, has no limits, and is under
/// the MPL.
///
/// ```
/// use bytes::BytesMut;
/// use poe::filter::{Filter, FilterExt};
/// use poe_irc::{IrcFilter, Message};
/// let mut filter = IrcFilter::new();
/// let messages = filter.get(b":irc.test 001 ann :Welcome\r\nPING :1234\r\nPRIV");
/// assert_eq!(messages.len(), 2);
/// assert_eq!(messages[1].as_ref().unwrap(), &Message::new("PING", ["1234"]));
/// assert_eq!(filter.pending(), b"PRIV");
/// let mut out = BytesMut::new();
/// filter.put(Message::new("PRIVMSG", ["#poe", "hello, world"]), &mut out).unwrap();
/// assert_eq!(&out[..], b"PRIVMSG #poe :hello, world\r\n");
/// assert!(filter.put(Message::new("PRIVMSG", ["#poe", "hi\r\nQUIT"]), &mut out).is_err());
/// ```
#[doc(alias = "POE::Filter::IRCD")]
#[doc(alias = "POE::Filter::IRC")]
pub struct IrcFilter {
    buffer: BytesMut,
    limits: IrcLimits,
    /// How far the buffer has no line end.
    scanned: usize,
    /// A line was too long: its rest is dropped.
    skipping: bool,
    overflowed: bool,
}

impl IrcFilter {
    /// Makes a filter with the default limits.
    #[must_use]
    pub fn new() -> Self {
        IrcFilter {
            buffer: BytesMut::new(),
            limits: IrcLimits::default(),
            scanned: 0,
            skipping: false,
            overflowed: false,
        }
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: IrcLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether a line of which these bytes are known is over a limit, whatever follows; `ended` if its LF is among them.
    fn excess(&self, line: &[u8], ended: bool) -> Option<usize> {
        let mut rest = line.len();
        if line.first() == Some(&b'@') {
            let tags = match memchr::memchr(b' ', line) {
                Some(space) => space + 1,
                None => line.len(),
            };
            if tags > self.limits.tags {
                return Some(self.limits.tags);
            }
            rest -= tags;
        }
        // A line that has not ended needs one byte more.
        (rest + usize::from(!ended) > self.limits.line).then_some(self.limits.line)
    }

    fn too_long(&self, limit: usize, line: &[u8]) -> FilterError {
        let shown = SHOWN.min(self.limits.line).min(self.limits.tags).min(line.len());
        FilterError::too_long(limit, Bytes::copy_from_slice(&line[..shown]))
    }

    /// Frees the memory of an empty buffer.
    fn release(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > IDLE_CAPACITY {
            self.buffer = BytesMut::new();
        }
    }

    fn take_line(&mut self, line_end: usize) -> Bytes {
        self.scanned = 0;
        self.buffer.split_to(line_end).freeze()
    }
}

impl Default for IrcFilter {
    fn default() -> Self {
        IrcFilter::new()
    }
}

impl std::fmt::Debug for IrcFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IrcFilter")
            .field("limits", &self.limits)
            .field("pending", &self.buffer.len())
            .finish_non_exhaustive()
    }
}

impl Filter for IrcFilter {
    type Input = Message;
    type Output = Message;

    fn feed(&mut self, bytes: &[u8]) {
        let room = self.limits.buffer.saturating_sub(self.buffer.len());
        if self.overflowed || bytes.len() > room {
            self.overflowed = true;
            return self.buffer.extend_from_slice(&bytes[..room.min(bytes.len())]);
        }
        self.buffer.extend_from_slice(bytes);
    }

    fn next_record(&mut self) -> Result<Option<Message>, FilterError> {
        loop {
            let found = memchr::memchr(b'\n', &self.buffer[self.scanned..]).map(|at| self.scanned + at + 1);
            let Some(end) = found else {
                if self.skipping {
                    self.buffer.clear();
                    self.scanned = 0;
                } else if let Some(limit) = self.excess(&self.buffer, false) {
                    let error = self.too_long(limit, &self.buffer);
                    self.buffer.clear();
                    self.scanned = 0;
                    self.skipping = true;
                    return Err(error);
                }
                self.scanned = self.buffer.len();
                self.release();
                if self.overflowed {
                    let kept = Bytes::copy_from_slice(&self.buffer);
                    return Err(FilterError::overflow(self.limits.buffer, kept));
                }
                return Ok(None);
            };
            let line = self.take_line(end);
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if let Some(limit) = self.excess(&line, true) {
                return Err(self.too_long(limit, &line));
            }
            let text = match &line[..line.len() - 1] {
                [text @ .., b'\r'] => text.len(),
                text => text.len(),
            };
            if text == 0 {
                continue;
            }
            let line = line.slice(..text);
            // The message shares the memory of its line; a copy keeps it from holding the whole read.
            let line = Bytes::copy_from_slice(&line);
            let read = Message::from_line(line.clone());
            return match read {
                Ok(message) => Ok(Some(message)),
                Err(error) => Err(FilterError::custom(error).with_bytes(line)),
            };
        }
    }

    fn put(&mut self, message: Message, out: &mut BytesMut) -> Result<(), FilterError> {
        let before = out.len();
        let written = message.write(out);
        out.extend_from_slice(b"\r\n");
        let error = match written {
            Err(error) => FilterError::custom(error),
            Ok(tags) if tags > self.limits.tags => self.too_long(self.limits.tags, &out[before..]),
            Ok(tags) if out.len() - before - tags > self.limits.line => self.too_long(self.limits.line, &out[before..]),
            Ok(_) => return Ok(()),
        };
        out.truncate(before);
        Err(error)
    }

    fn pending(&self) -> &[u8] {
        &self.buffer
    }

    fn take_pending(&mut self) -> Bytes {
        self.scanned = 0;
        self.skipping = false;
        self.overflowed = false;
        let len = self.buffer.len();
        self.buffer.copy_to_bytes(len)
    }

    fn fresh(&self) -> Self {
        IrcFilter::new().limits(self.limits)
    }

    fn check(&self) -> Result<(), FilterError> {
        let IrcLimits { line, tags, buffer } = self.limits;
        if line < 16 || tags < 2 || buffer < line.saturating_add(tags) {
            return Err(FilterError::invalid_setting(
                "an IRC line needs at least 16 bytes and tags 2, and the buffer room for a line and its tags",
            ));
        }
        Ok(())
    }
}
