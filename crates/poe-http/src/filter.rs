//! The filter: its settings, the states in which a request is read, and the transitions between them.

use crate::buffer::Buffer;
use crate::chunks::{Chunks, Piece};
use crate::head::{self, Body, Head};
use crate::incoming::{HttpdLimits, Incoming, Refused};
use crate::response;
use bytes::{Buf, Bytes, BytesMut};
use http::{Request, Response, StatusCode};
use poe::filter::{Filter, FilterError};
use std::fmt;

/// The server's side of HTTP/1 (`POE::Filter::HTTPD`): yields [`Incoming`], and takes `http::Response<Bytes>`.
///
/// ```
/// use bytes::{Bytes, BytesMut};
/// use http::Response;
/// use poe::filter::Filter;
/// use poe_http::{Httpd, Incoming};
/// let mut filter = Httpd::new();
/// filter.feed(b"POST /pie HTTP/1.1\r\nContent-Length: 4\r\n\r\nwith");
/// let Some(Incoming::Request(request)) = filter.next_record().unwrap() else { panic!() };
/// assert_eq!((request.uri().path(), &request.body()[..]), ("/pie", &b"with"[..]));
/// let mut out = BytesMut::new();
/// filter.put(Response::new(Bytes::from("peas")), &mut out).unwrap();
/// assert_eq!(&out[..], b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\npeas");
/// ```
///
/// # Input
///
/// Whole requests, one at a time, with their bodies; requests may be pipelined. A body exists if `Content-Length` or
/// `Transfer-Encoding: chunked` says so, whatever the method; chunks are joined and trailers dropped. Blanks and newlines
/// before a request are skipped. Lines of a head end in CR LF or LF, those of chunks and trailers in CR LF. A request without a version is HTTP/0.9 but may have headers,
/// folded headers are joined, and several slashes at the beginning of a target become one, as in POE. Bytes of a target that are not allowed in a URI
/// (`"<>[]\^`{|}` and non-ASCII bytes) are escaped as `%XX`, and a path without a slash gets one; a control character, or a
/// colon before the first slash of a target other than `http://…`, is refused.
///
/// A refused request is [`Incoming::Refused`] with a response to put, and not an error: 400, 411, 413, 431, 501, 505.
/// Every request that two readers could understand differently is refused (two lengths, a length and chunks, a bad header), because
/// other requests can be hidden there. POE takes the first length and reads chunks as requests.
///
/// With [`streaming`](Self::streaming) a request comes without its body, and then the body piece by piece.
///
/// # Output
///
/// Framing that two readers could understand differently is an error: several lengths, a length beside `transfer-encoding`, a
/// length that is not a number, a coding other than `chunked`, chunks in HTTP/1.0, and a body that is not in complete chunks
/// where the header says so. With an empty body, `transfer-encoding: chunked` is accepted: put the chunks after it.
///
/// A response is written with its headers, unchanged, and a `content-length` if it has neither that nor `transfer-encoding` and
/// its status allows one. A body whose length differs from the header is an error. To reply to HEAD, put an empty body
/// with the `content-length` that GET would have. No `Date` is added, because a filter has no clock. It is your task to act on
/// [`keeps_alive`].
///
/// [`keeps_alive`]: crate::keeps_alive
///
/// # Pending bytes and limits
///
/// A request's head stays in the buffer until its body is complete (unless it is streamed), so all of it is pending, and
/// a switch of filters loses nothing. That makes an upgrade simple: the next filter receives the bytes after the request.
/// [`HttpdLimits`] has all limits, with their defaults.
#[doc(alias = "POE::Filter::HTTPD")]
pub struct Httpd {
    buffer: Buffer,
    limits: HttpdLimits,
    streaming: bool,
    state: State,
    /// The record that follows the last one, before those in the buffer.
    next: Option<Incoming>,
    /// How far the end of the head was searched for; 0 before the first search.
    scanned: usize,
    /// A copy of the front of the buffer for later heads; empty most of the time.
    shared: Bytes,
    /// Bytes were refused. Cleared only in `take_pending`.
    overflowed: bool,
    /// The settings were checked.
    sound: bool,
}

impl Httpd {
    /// Makes a filter of whole requests with bodies of up to 1 MiB.
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
    #[must_use]
    pub fn limits(mut self, limits: HttpdLimits) -> Self {
        self.limits = limits;
        self.sound = false;
        self
    }

    /// Sets the largest body in bytes; default 1 MiB. Larger ones are refused with 413.
    ///
    /// There is no limit when streaming. Zero is an error at [`check`](Filter::check).
    #[must_use]
    #[doc(alias = "MaxContent")]
    pub fn max_content(mut self, bytes: usize) -> Self {
        self.limits.max_content = bytes;
        self.sound = false;
        self
    }

    /// Sets the largest head in bytes; default 64 KiB. Larger ones are refused with 431.
    #[must_use]
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.limits.max_head = bytes;
        self.sound = false;
        self
    }

    /// Sets the most bytes that may wait to be parsed; default 16 MiB. More is a fatal error.
    ///
    /// It must exceed [`max_content`](Self::max_content) by the number of that limit's digits and one, or it is an error at
    /// [`check`](Filter::check).
    #[must_use]
    #[doc(alias = "MaxBuffer")]
    pub fn max_buffer(mut self, bytes: usize) -> Self {
        self.limits.max_buffer = Some(bytes);
        self.sound = false;
        self
    }

    /// Yields requests without their bodies, then the bodies as they come: [`Incoming::Chunk`], [`Incoming::End`].
    #[must_use]
    #[doc(alias = "Streaming")]
    pub fn streaming(mut self, streaming: bool) -> Self {
        self.streaming = streaming;
        self
    }

    /// Checks the settings once after each change.
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
        // A fast path for the usual case, on which the request is moved less.
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

/// The filter's position in a request.
#[derive(Default)]
enum State {
    /// Between requests, or in a head.
    #[default]
    Head,
    /// The head at the front of the buffer was read, and the body is awaited.
    Body(Box<Waiting>),
    /// Streaming: this many bytes of the body are still to come.
    Length(u64),
    /// Streaming a chunked body.
    Chunks(Chunks),
    /// This many bytes of a refused body are still to come.
    Skip(u64),
    /// The beginning of the next request cannot be found.
    Over,
}

/// A request whose body is not complete.
struct Waiting {
    request: Request<Bytes>,
    body: Body,
    /// Where the body begins in the buffer.
    begin: usize,
    /// How far the chunks were read, from the start of the buffer.
    at: usize,
    chunks: Chunks,
    /// Body bytes in the chunks so far.
    content: u64,
    /// Framing bytes around them.
    framing: usize,
}

impl Httpd {
    /// Reads a head, if one is complete.
    fn head(&mut self) -> Option<Incoming> {
        // Kept only if it is certainly still valid.
        let mut shared = std::mem::take(&mut self.shared);
        if self.scanned == 0 {
            let blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
            let blanks = self.buffer.as_slice().iter().take_while(blank).count();
            if blanks > 0 {
                self.buffer.consume(blanks);
                shared = Bytes::new();
            }
        }
        let bytes = self.buffer.as_slice();
        let usual = if self.scanned == 0 && !bytes.is_empty() {
            match head::parse(bytes, &mut shared, self.limits.max_headers) {
                // The usual case, and each move of a request costs.
                Some((size, Ok(head))) if size <= self.limits.max_head => return self.accept(size, head, shared),
                other => other,
            }
        } else {
            None
        };
        let (size, parsed) = match usual {
            Some(parsed) => parsed,
            // A newline may begin one byte before the end of the bytes seen.
            None => match head::end(bytes, self.scanned.saturating_sub(2)) {
                Ok(size) => {
                    let (head, most) = (&bytes[..size.min(self.limits.max_head)], self.limits.max_headers);
                    let (_, parsed) =
                        head::parse(head, &mut shared, most).unwrap_or_else(|| (size, head::parse_odd(head, most)));
                    (size, parsed)
                }
                Err(scanned) if bytes.len() <= self.limits.max_head => {
                    self.scanned = scanned;
                    return None;
                }
                Err(_) => (usize::MAX, Err(head::too_large())),
            },
        };
        self.scanned = 0;
        let parsed = if size > self.limits.max_head {
            Err(head::too_large())
        } else {
            parsed
        };
        match parsed {
            Ok(head) => self.accept(size, head, shared),
            Err(refused) => Some(self.refuse(refused)),
        }
    }

    /// Accepts a head of `size` bytes. `shared` is a copy of bytes that begin with it.
    fn accept(&mut self, size: usize, head: Head, mut shared: Bytes) -> Option<Incoming> {
        let Head { request, body, expects } = head;
        if body == Body::None || body == Body::Length(0) {
            self.buffer.consume(size);
            if shared.len() > size {
                shared.advance(size);
                self.shared = shared;
            }
            self.next = (self.streaming && body != Body::None).then_some(Incoming::End);
            return Some(Incoming::Request(request));
        }
        let go_on = expects.then(|| {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::CONTINUE;
            Incoming::Expect(response)
        });
        if self.streaming {
            self.buffer.consume(size);
            self.next = go_on;
            self.state = match body {
                Body::Length(length) => State::Length(length),
                _ => State::Chunks(Chunks::Size),
            };
            return Some(Incoming::Request(request));
        }
        if let Body::Length(length) = body
            && length > self.limits.max_content as u64
        {
            let refused = if expects || length == u64::MAX {
                // A client that waits may send the body or not.
                Refused::last(StatusCode::PAYLOAD_TOO_LARGE, &too_large(length))
            } else {
                Refused::new(StatusCode::PAYLOAD_TOO_LARGE, &too_large(length))
            };
            let refused = refused.with_request(request);
            if refused.is_last() {
                return Some(self.refuse(refused));
            }
            self.buffer.consume(size);
            self.state = State::Skip(length);
            return Some(Incoming::Refused(refused));
        }
        self.state = State::Body(Box::new(Waiting {
            request,
            body,
            begin: size,
            at: size,
            chunks: Chunks::Size,
            content: 0,
            framing: 0,
        }));
        go_on
    }

    /// Refuses a request after which the stream cannot be parsed.
    fn refuse(&mut self, refused: Box<Refused>) -> Incoming {
        self.state = State::Over;
        drop(self.buffer.take());
        Incoming::Refused(refused)
    }

    /// Continues with a request whose head was read.
    fn body(&mut self, mut waiting: Box<Waiting>) -> Option<Incoming> {
        if let Body::Length(length) = waiting.body {
            // It is within the limit, which is of this type.
            let length = length as usize;
            if self.buffer.len() < waiting.begin.saturating_add(length) {
                self.state = State::Body(waiting);
                return None;
            }
            self.buffer.consume(waiting.begin);
            *waiting.request.body_mut() = self.buffer.take_front(length);
            return Some(Incoming::Request(waiting.request));
        }
        loop {
            match waiting.chunks.next(&self.buffer.as_slice()[waiting.at..], &self.limits) {
                Ok(Piece::More) => {
                    self.state = State::Body(waiting);
                    return None;
                }
                Ok(Piece::Framing(size, chunk)) => {
                    waiting.at += size;
                    waiting.framing += size;
                    if waiting.framing > self.limits.max_framing {
                        let why = "The framing of the chunks of the content is too large.";
                        let refused = Refused::last(StatusCode::PAYLOAD_TOO_LARGE, why);
                        return Some(self.refuse(refused.with_request(waiting.request)));
                    }
                    let content = waiting.content.saturating_add(chunk);
                    if content > self.limits.max_content as u64 {
                        let refused = Refused::last(StatusCode::PAYLOAD_TOO_LARGE, &too_large(content));
                        return Some(self.refuse(refused.with_request(waiting.request)));
                    }
                    waiting.content = content;
                }
                Ok(Piece::Data(size)) => waiting.at += size,
                Ok(Piece::End(size)) => {
                    let end = waiting.at + size;
                    let body = joined(
                        &self.buffer.as_slice()[waiting.begin..end],
                        waiting.content as usize,
                        &self.limits,
                    );
                    self.buffer.consume(end);
                    *waiting.request.body_mut() = body;
                    return Some(Incoming::Request(waiting.request));
                }
                Err(why) => {
                    let refused = Refused::last(StatusCode::BAD_REQUEST, why);
                    return Some(self.refuse(refused.with_request(waiting.request)));
                }
            }
        }
    }

    /// Continues with a chunked body that is streamed.
    fn stream_chunks(&mut self, mut chunks: Chunks) -> Option<Incoming> {
        loop {
            match chunks.next(self.buffer.as_slice(), &self.limits) {
                Ok(Piece::More) => {
                    self.state = State::Chunks(chunks);
                    return None;
                }
                Ok(Piece::Framing(size, _)) => self.buffer.consume(size),
                Ok(Piece::Data(size)) => {
                    self.state = State::Chunks(chunks);
                    return Some(Incoming::Chunk(self.buffer.take_front(size)));
                }
                Ok(Piece::End(size)) => {
                    self.buffer.consume(size);
                    return Some(Incoming::End);
                }
                Err(why) => return Some(self.refuse(Refused::last(StatusCode::BAD_REQUEST, why))),
            }
        }
    }

    /// Takes the available bytes, `left` at most.
    fn take_some(&mut self, left: u64) -> Bytes {
        let here = left.min(self.buffer.len() as u64) as usize;
        self.buffer.take_front(here)
    }

    /// Returns to the state between requests; returns the unused bytes.
    fn restart(&mut self) -> Bytes {
        self.state = State::Head;
        self.next = None;
        self.scanned = 0;
        self.shared = Bytes::new();
        self.buffer.take()
    }
}

fn too_large(length: u64) -> String {
    format!("Content of {length} bytes is not accepted.")
}

/// Joins the body of these chunks, which are complete and in order.
fn joined(mut bytes: &[u8], content: usize, limits: &HttpdLimits) -> Bytes {
    let mut body = Vec::with_capacity(content);
    let mut chunks = Chunks::Size;
    loop {
        match chunks.next(bytes, limits) {
            Ok(Piece::Framing(size, _)) => bytes = &bytes[size..],
            Ok(Piece::Data(size)) => {
                body.extend_from_slice(&bytes[..size]);
                bytes = &bytes[size..];
            }
            Ok(Piece::More | Piece::End(_)) | Err(_) => return body.into(),
        }
    }
}
