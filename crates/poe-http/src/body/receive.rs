//! Bodies that a program receives, within limits of size and time.

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use poe::extend::Sleep;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

type BoxError = Box<dyn Error + Send + Sync>;

/// The body of a message that comes in, as a stream of chunks.
///
/// It is a [`Stream`], so `cx.attach(body, CHUNK)` delivers each chunk as an event, and it is an [`http_body::Body`]. Nothing is read from the
/// connection ahead of the program: a peer that sends faster than the chunks are taken is held back by TCP or by HTTP/2's windows.
pub struct ReceivedBody {
    inner: Inner,
    /// The bytes that may still come.
    left: u64,
    limit: u64,
    /// The longest silence.
    silence: Duration,
    timer: Option<Sleep>,
}

enum Inner {
    Hyper(Incoming),
    /// A layer has made something of it.
    #[cfg(feature = "client")]
    Other(super::Body),
}

impl Inner {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Inner::Hyper(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            #[cfg(feature = "client")]
            Inner::Other(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Inner::Hyper(body) => body.size_hint(),
            #[cfg(feature = "client")]
            Inner::Other(body) => body.size_hint(),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Inner::Hyper(body) => body.is_end_stream(),
            #[cfg(feature = "client")]
            Inner::Other(body) => body.is_end_stream(),
        }
    }
}

impl ReceivedBody {
    #[cfg(feature = "client")]
    pub(crate) fn of_layers(body: super::Body, limit: u64, silence: Duration) -> Self {
        ReceivedBody {
            inner: Inner::Other(body),
            left: limit,
            limit,
            silence,
            timer: None,
        }
    }

    pub(crate) fn new(inner: Incoming, limit: u64, silence: Duration) -> Self {
        ReceivedBody {
            inner: Inner::Hyper(inner),
            left: limit,
            limit,
            silence,
            timer: None,
        }
    }

    /// Whether the announced length is above the limit. What is not announced is counted as it comes.
    pub(crate) fn is_too_large(&self) -> bool {
        self.inner.size_hint().lower() > self.left
    }

    /// Sets the largest number of bytes that this body may have, in place of the component's limit.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        let had = self.limit - self.left;
        self.limit = bytes;
        self.left = bytes.saturating_sub(had);
        self
    }

    /// Reads the rest of the body.
    ///
    /// # Errors
    /// It is too large, the peer was silent for too long, or the connection has failed.
    pub async fn collect(self) -> Result<Bytes, BodyError> {
        self.collect_with(|_| {}).await
    }

    /// Reads the rest of the body, and tells the bytes so far with each chunk.
    pub(crate) async fn collect_with(mut self, mut told: impl FnMut(u64)) -> Result<Bytes, BodyError> {
        if self.is_too_large() {
            return Err(BodyError::too_large(self.limit));
        }
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(chunk) = std::future::poll_fn(|cx| self.poll_chunk(cx)).await {
            let chunk = chunk?;
            told(self.limit - self.left);
            if first.is_empty() {
                first = chunk;
            } else {
                if rest.is_empty() {
                    rest.extend_from_slice(&first);
                }
                rest.extend_from_slice(&chunk);
            }
        }
        Ok(if rest.is_empty() { first } else { rest.freeze() })
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            match self.inner.poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.timer = None;
                    // Trailers have no meaning here.
                    let Ok(data) = frame.into_data() else { continue };
                    let length = data.len() as u64;
                    if length > self.left {
                        return Poll::Ready(Some(Err(BodyError::too_large(self.limit))));
                    }
                    self.left -= length;
                    return Poll::Ready(Some(Ok(data)));
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(BodyError(Kind::Connection(error))))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    let silence = self.silence;
                    let timer = self.timer.get_or_insert_with(|| Sleep::new(silence));
                    std::task::ready!(Pin::new(timer).poll(cx));
                    self.timer = None;
                    return Poll::Ready(Some(Err(BodyError(Kind::Silent(silence)))));
                }
            }
        }
    }
}

impl Stream for ReceivedBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_chunk(cx)
    }
}

impl HttpBody for ReceivedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.poll_chunk(cx).map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl fmt::Debug for ReceivedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedBody")
            .field("limit", &self.limit)
            .field("received", &(self.limit - self.left))
            .finish_non_exhaustive()
    }
}

/// Why a body did not arrive whole.
#[derive(Debug)]
pub struct BodyError(Kind);

#[derive(Debug)]
enum Kind {
    TooLarge(u64),
    Silent(Duration),
    Connection(BoxError),
}

impl BodyError {
    fn too_large(limit: u64) -> Self {
        BodyError(Kind::TooLarge(limit))
    }

    /// Whether it has more bytes than allowed.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self.0, Kind::TooLarge(_))
    }

    /// Whether the peer was silent for too long.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.0, Kind::Silent(_))
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::TooLarge(limit) => write!(f, "the body has more than {limit} bytes, the limit of `max_body`"),
            Kind::Silent(limit) => write!(f, "no byte of the body came for {limit:?}, the limit of `body_timeout`"),
            Kind::Connection(error) => write!(f, "the body broke off: {error}"),
        }
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Kind::Connection(error) => Some(&**error),
            _ => None,
        }
    }
}
