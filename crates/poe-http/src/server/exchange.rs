//! A request with its responder: the argument of a route's handler.

use super::reply::{NotReplied, Responder};
use crate::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use poe::wheel::SocketName;
use std::fmt;

/// A request, and the [`Responder`] for its reply.
///
/// It is an ordinary value: keep it in the heap, post it to another session, and reply when you can. `B` is the body: [`Bytes`] for a request
/// that came whole, [`ReceivedBody`](crate::ReceivedBody) for one that is still coming in.
pub struct Exchange<B = Bytes> {
    /// The request.
    pub request: Request<B>,
    /// Replies to it.
    pub responder: Responder,
    params: Params,
    peer: SocketName,
}

/// The parts of a path that a pattern names.
pub(super) type Params = Vec<(Box<str>, Box<str>)>;

impl<B> Exchange<B> {
    pub(super) fn new(request: Request<B>, responder: Responder, params: Params, peer: SocketName) -> Self {
        Exchange {
            request,
            responder,
            params,
            peer,
        }
    }

    /// Returns the part of the path that the route's pattern names, with `%20` and the like decoded: `id` of `/orders/{id}`.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(key, _)| **key == *name);
        found.map(|(_, value)| &**value)
    }

    /// Returns the path of the request.
    #[must_use]
    pub fn path(&self) -> &str {
        self.request.uri().path()
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &B {
        self.request.body()
    }

    /// Returns the name of the client.
    #[must_use]
    pub fn peer(&self) -> &SocketName {
        &self.peer
    }

    /// Takes request and responder apart.
    pub fn into_parts(self) -> (Request<B>, Responder) {
        (self.request, self.responder)
    }

    /// Replies with text and status 200: see [`Responder::text`].
    pub fn text(self, text: impl Into<String>) {
        self.responder.text(text);
    }

    /// Replies with a status: see [`Responder::status`].
    pub fn status(self, status: StatusCode) {
        self.responder.status(status);
    }

    /// Replies: see [`Responder::send`].
    ///
    /// # Errors
    /// The client has gone, or the time is over. It gives the response back.
    pub fn send<C: Into<Body>>(self, response: Response<C>) -> Result<(), NotReplied> {
        self.responder.send(response)
    }
}

impl<B> fmt::Debug for Exchange<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("method", self.request.method())
            .field("uri", self.request.uri())
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// Decodes a part of a path. What is not UTF-8 then stays as it came.
pub(super) fn decoded(text: &str) -> Box<str> {
    if !text.contains('%') {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |at: usize| after.get(at).and_then(|digit| (*digit as char).to_digit(16));
        match (*first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            (byte, ..) => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_or_else(|_| text.into(), String::into_boxed_str)
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn parts_of_a_path_are_decoded() {
        for (raw, text) in [
            ("plain", "plain"),
            ("a%20b", "a b"),
            ("%C3%A4", "ä"),
            ("%2f..%2F", "/../"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
            ("%FF", "%FF"),
        ] {
            assert_eq!(&*decoded(raw), text);
        }
    }
}
