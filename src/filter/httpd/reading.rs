//! The states in which a request is read, and the transitions between them.

use super::chunks::{Chunks, Piece};
use super::head::{self, Body, Head};
use super::incoming::Incoming;
use super::refused::Refused;
use super::{Httpd, HttpdLimits};
use bytes::{Buf, Bytes};
use http::{Request, Response, StatusCode};

/// The filter's position in a request.
#[derive(Default)]
pub(super) enum State {
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
pub(super) struct Waiting {
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
    pub(super) fn head(&mut self) -> Option<Incoming> {
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
    pub(super) fn body(&mut self, mut waiting: Box<Waiting>) -> Option<Incoming> {
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
    pub(super) fn stream_chunks(&mut self, mut chunks: Chunks) -> Option<Incoming> {
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
    pub(super) fn take_some(&mut self, left: u64) -> Bytes {
        let here = left.min(self.buffer.len() as u64) as usize;
        self.buffer.take_front(here)
    }

    /// Returns to the state between requests; returns the unused bytes.
    pub(super) fn restart(&mut self) -> Bytes {
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
