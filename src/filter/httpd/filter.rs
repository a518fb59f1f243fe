//! The filter, its settings, and the order in which its parts are asked.

use super::super::buffer::Buffer;
use super::super::{Filter, FilterError};
use super::HttpdLimits;
use super::incoming::Incoming;
use super::reading::State;
use super::response;
use bytes::{Bytes, BytesMut};
use http::Response;
use std::fmt;

/// The server's side of HTTP/1 (`POE::Filter::HTTPD`): bytes in, [`Incoming`] out; `http::Response<Bytes>` is put.
///
/// ```
/// use bytes::{Bytes, BytesMut};
/// use http::Response;
/// use poe::filter::{Filter, httpd::{Httpd, Incoming}};
/// let mut filter = Httpd::new();
/// filter.feed(b"POST /pie HTTP/1.1\r\nContent-Length: 4\r\n\r\nwith");
/// let Some(Incoming::Request(request)) = filter.next_record().unwrap() else { panic!() };
/// assert_eq!((request.uri().path(), &request.body()[..]), ("/pie", &b"with"[..]));
/// let mut out = BytesMut::new();
/// filter.put(Response::new(Bytes::from("peas")), &mut out).unwrap();
/// assert_eq!(&out[..], b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\npeas");
/// ```
///
/// # What comes in
///
/// Whole requests, one at a time, with their bodies; requests may be pipelined. A body is there if `Content-Length` or
/// `Transfer-Encoding: chunked` says so, whatever the method; chunks are joined and trailers dropped. Blanks and newlines
/// before a request are skipped. Lines of a head end in CR LF or LF, those of chunks and trailers in CR LF. A request without a version is HTTP/0.9 but may have headers,
/// folded headers are joined, and slashes that begin a target become one, as in POE. Bytes of a target that no URI may have
/// (`"<>[]\^`{|}` and what is not ASCII) are escaped as `%XX`, and a path without a slash gets one; a control character, or a
/// colon before the first slash of what is not `http://…`, is refused.
///
/// What is not accepted is [`Incoming::Refused`] with a response to put, and not an error: 400, 411, 413, 431, 501, 505.
/// Whatever two readers could understand differently is refused (two lengths, a length and chunks, a bad header), because
/// requests can be hidden there. POE takes the first length and reads chunks as requests.
///
/// With [`streaming`](Self::streaming) a request comes without its body, and then the body piece by piece.
///
/// # What goes out
///
/// Framing that two readers could understand differently is an error: several lengths, a length beside `transfer-encoding`, a
/// length that is no number, a coding other than `chunked`, chunks in HTTP/1.0, and a body that is not in complete chunks
/// where the header says so. With an empty body, `transfer-encoding: chunked` is taken: the chunks are then put behind it.
///
/// A response goes out with its headers, as they are, and a `content-length` if it has neither that nor `transfer-encoding` and
/// its status allows one. A body that is not as long as the header says is an error. To answer HEAD, put an empty body
/// with the `content-length` that GET would have. No `Date` is added, for a filter has no clock. What [`keeps_alive`]
/// says is for you to act on.
///
/// [`keeps_alive`]: super::keeps_alive
///
/// # Pending bytes and limits
///
/// A request's head stays in the buffer until its body is complete (unless it is streamed), so all of it is pending, and
/// a switch of filters loses nothing. That makes an upgrade simple: what follows the request is the next filter's.
/// [`HttpdLimits`] has all limits, with their defaults.
#[doc(alias = "POE::Filter::HTTPD")]
pub struct Httpd {
    pub(super) buffer: Buffer,
    pub(super) limits: HttpdLimits,
    pub(super) streaming: bool,
    pub(super) state: State,
    /// What follows the record given last, ahead of what is in the buffer.
    pub(super) next: Option<Incoming>,
    /// How far into the buffer the end of the head was looked for; 0 before the first look.
    pub(super) scanned: usize,
    /// A copy of the front of the buffer for the heads to come; empty most of the time.
    pub(super) shared: Bytes,
    /// Bytes were refused. Ends only with `take_pending`.
    overflowed: bool,
    /// The settings were checked.
    sound: bool,
}

impl Httpd {
    /// Whole requests with bodies of up to 1 MiB.
    #[must_use]
    pub fn new() -> Self {
        Httpd {
            buffer: Buffer::default(),
            limits: HttpdLimits::default(),
            streaming: false,
            state: State::Head,
            next: None,
            scanned: 0,
            shared: Bytes::new(),
            overflowed: false,
            sound: false,
        }
    }

    /// Sets all limits; [`HttpdLimits`] has the defaults.
    ///
    /// ```
    /// use poe::filter::httpd::{Httpd, HttpdLimits};
    /// let uploads = Httpd::new().limits(HttpdLimits { max_content: 100 << 20, ..HttpdLimits::default() });
    /// ```
    #[must_use]
    pub fn limits(mut self, limits: HttpdLimits) -> Self {
        self.limits = limits;
        self.sound = false;
        self
    }

    /// The largest body in bytes, 1 MiB by default; larger ones are refused by a 413. No limit when streaming. Zero is
    /// an error at [`check`](Filter::check).
    ///
    /// ```
    /// use poe::filter::{Filter, httpd::{Httpd, Incoming}};
    /// let mut filter = Httpd::new().max_content(3);
    /// let got = filter.get(b"PUT /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nmuchGET /b HTTP/1.1\r\n\r\n");
    /// assert!(matches!(&got[0], Ok(Incoming::Refused(refused)) if refused.response.status() == 413));
    /// assert!(matches!(&got[1], Ok(Incoming::Request(request)) if request.uri() == "/b")); // the body was skipped
    /// ```
    #[must_use]
    #[doc(alias = "MaxContent")]
    pub fn max_content(mut self, bytes: usize) -> Self {
        self.limits.max_content = bytes;
        self.sound = false;
        self
    }

    /// The largest head in bytes, 64 KiB by default; larger ones are refused by a 431.
    ///
    /// ```
    /// use poe::filter::{Filter, httpd::{Httpd, Incoming}};
    /// let mut filter = Httpd::new().max_head(32);
    /// let got = filter.get(b"GET /a HTTP/1.1\r\nX-Filler: and no end of it yet");
    /// let Ok(Incoming::Refused(refused)) = &got[0] else { panic!() };
    /// assert!(refused.response.status() == 431 && refused.is_last());
    /// ```
    #[must_use]
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.limits.max_head = bytes;
        self.sound = false;
        self
    }

    /// The most bytes that may wait to be parsed, 16 MiB by default; more is a fatal error. It must be larger than
    /// [`max_content`](Self::max_content) by that number's digits and one, or it is an error at
    /// [`check`](Filter::check).
    ///
    /// ```
    /// use poe::filter::{Filter, httpd::Httpd};
    /// let mut filter = Httpd::new().max_content(9).max_buffer(40);
    /// let got = filter.get(&b"GET /a HTTP/1.1\r\n\r\n".repeat(3)); // 57 bytes at once
    /// assert!(got[0].is_ok() && got[1].is_ok());
    /// assert!(got[2].as_ref().is_err_and(|error| error.is_overflow() && error.is_fatal()));
    /// ```
    #[must_use]
    #[doc(alias = "MaxBuffer")]
    pub fn max_buffer(mut self, bytes: usize) -> Self {
        self.limits.max_buffer = Some(bytes);
        self.sound = false;
        self
    }

    /// Gives requests without their bodies, and then the bodies as they come: [`Incoming::Chunk`], [`Incoming::End`].
    ///
    /// ```
    /// use poe::filter::{Filter, httpd::{Httpd, Incoming}};
    /// let mut filter = Httpd::new().streaming(true);
    /// let got = filter.get(b"PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n");
    /// let got: Vec<Incoming> = got.into_iter().map(Result::unwrap).collect();
    /// assert!(matches!(&got[..], [Incoming::Request(_), Incoming::Chunk(chunk), Incoming::End] if chunk == "one"));
    /// ```
    #[must_use]
    #[doc(alias = "Streaming")]
    pub fn streaming(mut self, streaming: bool) -> Self {
        self.streaming = streaming;
        self
    }

    /// Checks the settings, which are the same until a setter is called.
    fn ensure_sound(&mut self) -> Result<(), FilterError> {
        if !self.sound {
            self.check()?;
            self.sound = true;
        }
        Ok(())
    }
}

impl Filter for Httpd {
    type Input = Incoming;
    type Output = Response<Bytes>;

    fn feed(&mut self, mut bytes: &[u8]) {
        if self.overflowed || matches!(self.state, State::Over) {
            return;
        }
        let room = self.limits.buffer().saturating_sub(self.buffer.len());
        if bytes.len() > room {
            self.overflowed = true;
            bytes = &bytes[..room];
        }
        self.buffer.append(bytes);
    }

    fn next_record(&mut self) -> Result<Option<Incoming>, FilterError> {
        self.ensure_sound()?;
        if let Some(next) = self.next.take() {
            return Ok(Some(next));
        }
        // The usual case by a short way, on which the request is moved less.
        if matches!(self.state, State::Head) && self.buffer.len() > 0 {
            let given = self.head();
            if given.is_some() {
                return Ok(given);
            }
        }
        loop {
            let given = match std::mem::take(&mut self.state) {
                State::Head => {
                    let given = self.head();
                    if given.is_none() && matches!(self.state, State::Body(_)) {
                        continue;
                    }
                    given
                }
                State::Body(waiting) => self.body(waiting),
                State::Chunks(chunks) => self.stream_chunks(chunks),
                State::Length(left) => {
                    let chunk = self.take_some(left);
                    match left - chunk.len() as u64 {
                        0 => self.next = Some(Incoming::End),
                        left => self.state = State::Length(left),
                    }
                    (!chunk.is_empty()).then_some(Incoming::Chunk(chunk))
                }
                State::Skip(left) => {
                    let skipped = left.min(self.buffer.len() as u64);
                    self.buffer.consume(skipped as usize);
                    if skipped == left {
                        continue;
                    }
                    self.state = State::Skip(left - skipped);
                    None
                }
                State::Over => {
                    self.state = State::Over;
                    None
                }
            };
            match given {
                Some(_) => return Ok(given),
                None => break,
            }
        }
        if self.overflowed {
            return Err(FilterError::overflow(self.limits.buffer(), self.restart()));
        }
        self.buffer.release();
        Ok(None)
    }

    fn put(&mut self, record: Response<Bytes>, out: &mut BytesMut) -> Result<(), FilterError> {
        self.ensure_sound()?;
        response::write(&record, out)
    }

    fn pending(&self) -> &[u8] {
        self.buffer.as_slice()
    }

    fn take_pending(&mut self) -> Bytes {
        self.overflowed = false;
        self.restart()
    }

    fn fresh(&self) -> Self {
        Httpd {
            limits: self.limits,
            streaming: self.streaming,
            ..Self::new()
        }
    }

    fn check(&self) -> Result<(), FilterError> {
        self.limits.check()
    }
}

impl Default for Httpd {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Httpd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Head => "between requests or in a head",
            State::Body(_) => "in a body",
            State::Length(_) | State::Chunks(_) => "in a streamed body",
            State::Skip(_) => "in a body that was refused",
            State::Over => "over",
        };
        f.debug_struct("Httpd")
            .field("state", &format_args!("{state}"))
            .field("pending", &self.buffer.len())
            .field("streaming", &self.streaming)
            .field("overflowed", &self.overflowed)
            .field("max_content", &self.limits.max_content)
            .field("max_head", &self.limits.max_head)
            .field("max_buffer", &self.limits.max_buffer)
            .finish()
    }
}
