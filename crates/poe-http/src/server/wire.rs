//! The stream of a connection, which counts its bytes and ends its turn after one block.

use poe::wheel::SocketStream;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The bytes that are read in one turn.
const TURN: usize = 64 * 1024;

/// What a connection's stream and its wheel share. Hyper wants a stream that is `Send`, so these are atomics.
#[derive(Default)]
pub(super) struct Meter {
    /// The bytes that may still be read in this turn.
    budget: AtomicUsize,
    /// All that was read.
    pub(super) read: AtomicU64,
    /// All that was written.
    pub(super) written: AtomicU64,
    /// The last write found no room.
    pub(super) blocked: AtomicBool,
}

impl Meter {
    /// Begins a turn.
    pub(super) fn begin_turn(&self) {
        self.budget.store(TURN, Relaxed);
    }

    /// Others than the kernel will read from the stream: it was upgraded.
    pub(super) fn ends_no_turn(&self) {
        self.budget.store(usize::MAX, Relaxed);
    }
}

pub(super) struct Wire {
    stream: Stream,
    meter: Arc<Meter>,
}

enum Stream {
    Plain(SocketStream),
    #[cfg(feature = "tls")]
    Tls(Box<poe::tls::ServerStream<SocketStream>>),
}

impl Wire {
    pub(super) fn plain(stream: SocketStream, meter: Arc<Meter>) -> Self {
        let stream = Stream::Plain(stream);
        Wire { stream, meter }
    }

    #[cfg(feature = "tls")]
    pub(super) fn tls(stream: poe::tls::ServerStream<SocketStream>, meter: Arc<Meter>) -> Self {
        let stream = Stream::Tls(Box::new(stream));
        Wire { stream, meter }
    }

    fn written(&self, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.meter.blocked.store(wrote.is_pending(), Relaxed);
        if let Poll::Ready(Ok(bytes)) = wrote {
            self.meter.written.fetch_add(bytes as u64, Relaxed);
        }
        wrote
    }
}

macro_rules! polled {
    ($this:expr, $stream:ident => $poll:expr) => {
        match &mut $this.stream {
            Stream::Plain($stream) => {
                let $stream = Pin::new($stream);
                $poll
            }
            #[cfg(feature = "tls")]
            Stream::Tls($stream) => {
                let $stream = Pin::new(&mut **$stream);
                $poll
            }
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let budget = self.meter.budget.load(Relaxed);
        if budget == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let had = buffer.filled().len();
        let polled = polled!(self, stream => stream.poll_read(cx, buffer));
        let read = buffer.filled().len() - had;
        if budget != usize::MAX {
            self.meter.budget.store(budget.saturating_sub(read), Relaxed);
        }
        self.meter.read.fetch_add(read as u64, Relaxed);
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = polled!(self, stream => stream.poll_write(cx, bytes));
        self.written(wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = polled!(self, stream => stream.poll_write_vectored(cx, bytes));
        self.written(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        polled!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        polled!(self, stream => stream.poll_shutdown(cx))
    }
}
