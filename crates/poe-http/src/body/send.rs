//! Bodies that a program sends: bytes, a bounded channel, or any other body.

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::sync::mpsc;

type BoxError = Box<dyn Error + Send + Sync>;

/// The body of a message that your program sends.
///
/// | made with | body |
/// |---|---|
/// | `From` of `Bytes`, `String`, `&'static str`, `Vec<u8>`, `()` | all of it at once |
/// | [`Body::channel`] | chunk by chunk, with backpressure |
/// | [`Body::new`] | any [`http_body::Body`], such as the body of a request that is passed on |
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    /// With whether the sender has finished, which is set before it is dropped.
    Channel(mpsc::Receiver<Bytes>, Arc<AtomicBool>),
    Other(UnsyncBoxBody<Bytes, BoxError>),
}

impl Body {
    /// Makes a body without bytes.
    #[must_use]
    pub fn empty() -> Self {
        Body::default()
    }

    /// Makes a body that is sent chunk by chunk. At most `chunks` of them (at least one) wait for the connection.
    ///
    /// The connection takes the next chunk when it has room for it, so the channel is full while the peer does not read.
    pub fn channel(chunks: usize) -> (BodySender, Body) {
        let (channel, receiver) = mpsc::channel(chunks.max(1));
        let finished = Arc::new(AtomicBool::new(false));
        let body = Body(Kind::Channel(receiver, finished.clone()));
        (BodySender { channel, finished }, body)
    }

    /// Copies a body that is bytes, for another attempt.
    #[cfg(feature = "client")]
    pub(crate) fn try_clone(&self) -> Option<Self> {
        match &self.0 {
            Kind::Empty => Some(Body::empty()),
            Kind::Full(bytes) => Some(bytes.clone().into()),
            Kind::Channel(..) | Kind::Other(_) => None,
        }
    }

    /// Takes a body of another kind.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Body(Kind::Other(body.map_err(Into::into).boxed_unsync()))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        match bytes.is_empty() {
            true => Body::empty(),
            false => Body(Kind::Full(bytes)),
        }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Body::empty()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Channel(receiver, finished) => match std::task::ready!(receiver.poll_recv(cx)) {
                Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                None => {
                    let whole = finished.load(Ordering::Acquire);
                    self.0 = Kind::Empty;
                    Poll::Ready((!whole).then(|| Err(BodyAborted(()).into())))
                }
            },
            Kind::Other(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(_) | Kind::Channel(..) => false,
            Kind::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Channel(..) => SizeHint::default(),
            Kind::Other(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Empty => f.write_str("Body(empty)"),
            Kind::Full(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Kind::Channel(..) => f.write_str("Body(channel)"),
            Kind::Other(_) => f.write_str("Body(other)"),
        }
    }
}

/// Sends the chunks of a body that was made with [`Body::channel`].
///
/// Call [`finish`](Self::finish) at the end. A sender that is dropped before breaks the message off, so that the peer cannot take
/// a part for the whole.
#[derive(Debug)]
#[must_use = "dropping it breaks the message off"]
pub struct BodySender {
    channel: mpsc::Sender<Bytes>,
    finished: Arc<AtomicBool>,
}

impl BodySender {
    /// Sends a chunk, if there is room.
    ///
    /// # Errors
    /// The channel is full ([`NotSent::is_full`]; wait for [`ready`](Self::ready)), or nobody reads the body any more. It gives the
    /// chunk back.
    pub fn try_send(&self, chunk: impl Into<Bytes>) -> Result<(), NotSent> {
        let chunk = chunk.into();
        if chunk.is_empty() {
            return Ok(());
        }
        self.channel.try_send(chunk).map_err(|error| NotSent {
            full: matches!(error, mpsc::error::TrySendError::Full(_)),
            chunk: error.into_inner(),
        })
    }

    /// Waits until there is room for a chunk, or nobody reads the body any more. Returns whether there is room.
    ///
    /// The future does not borrow the sender: spawn it, and send the next chunks in the handler of its event.
    pub fn ready(&self) -> impl Future<Output = bool> + Send + 'static + use<> {
        let channel = self.channel.clone();
        async move { channel.reserve().await.is_ok() }
    }

    /// Sends a chunk as soon as there is room.
    ///
    /// # Errors
    /// Nobody reads the body any more. It gives the chunk back.
    pub async fn send(&self, chunk: impl Into<Bytes>) -> Result<(), NotSent> {
        let chunk = chunk.into();
        match self.channel.reserve().await {
            Ok(permit) => {
                if !chunk.is_empty() {
                    permit.send(chunk);
                }
                Ok(())
            }
            Err(_) => Err(NotSent { chunk, full: false }),
        }
    }

    /// Ends the body, when the chunks before have gone out.
    pub fn finish(self) {
        self.finished.store(true, Ordering::Release);
    }

    /// Whether nobody reads the body any more: the connection has ended, or the peer has reset the stream.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.channel.is_closed()
    }
}

/// A chunk that was not sent.
#[derive(Debug)]
pub struct NotSent {
    chunk: Bytes,
    full: bool,
}

impl NotSent {
    /// Whether the channel was full. If not, nobody reads the body any more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Takes the chunk back.
    #[must_use]
    pub fn into_chunk(self) -> Bytes {
        self.chunk
    }
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.chunk.len();
        match self.full {
            true => write!(
                f,
                "a chunk of {bytes} bytes was not sent: the body's channel is full; wait for `ready`"
            ),
            false => write!(
                f,
                "a chunk of {bytes} bytes was not sent: the peer does not read the body any more"
            ),
        }
    }
}

impl Error for NotSent {}

/// A body whose [`BodySender`] was dropped before [`finish`](BodySender::finish).
#[derive(Debug)]
pub struct BodyAborted(());

impl fmt::Display for BodyAborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the program broke the body off: its sender was dropped without `finish`")
    }
}

impl Error for BodyAborted {}
