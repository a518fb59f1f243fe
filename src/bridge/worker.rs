//! Reads or writes on a separate thread, for descriptors that cannot be used without blocking.

use std::io::{self, PipeWriter};
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;
use tokio::sync::oneshot;

/// The most bytes that one request reads or writes.
pub(super) const BLOCK: usize = 65_536;

/// A thread that reads or writes one descriptor, one request at a time. It ends when this is dropped, or as soon as the
/// system lets it.
#[derive(Debug)]
pub(super) struct Worker {
    requests: mpsc::Sender<Request>,
    under_way: Option<oneshot::Receiver<io::Result<Vec<u8>>>>,
    /// Bytes that were read and not taken yet.
    read: Vec<u8>,
    taken: usize,
    /// Closing it tells a thread that can wait for it to end.
    _wake: Option<PipeWriter>,
}

pub(super) enum Request {
    /// Requests the next bytes, or (at the end) none.
    Read(oneshot::Sender<io::Result<Vec<u8>>>),
    /// Writes all of the bytes; the reply has none.
    Write(Vec<u8>, oneshot::Sender<io::Result<Vec<u8>>>),
}

impl Worker {
    pub(super) fn start(
        name: &str,
        wake: Option<PipeWriter>,
        serve: impl FnOnce(&mpsc::Receiver<Request>) + Send + 'static,
    ) -> io::Result<Self> {
        let (requests, received) = mpsc::channel();
        let thread = std::thread::Builder::new().name(name.to_owned());
        let _detached = thread.spawn(move || serve(&received))?;
        Ok(Worker {
            requests,
            under_way: None,
            read: Vec::new(),
            taken: 0,
            _wake: wake,
        })
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.taken == self.read.len() {
            if self.under_way.is_none() {
                let (sender, result) = oneshot::channel();
                // It fails only if the thread is gone; then there is no result, either.
                let _ = self.requests.send(Request::Read(sender));
                self.under_way = Some(result);
            }
            self.read = ready!(self.poll_result(cx))?;
            self.taken = 0;
        }
        let now = buffer.remaining().min(self.read.len() - self.taken);
        buffer.put_slice(&self.read[self.taken..self.taken + now]);
        self.taken += now;
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_idle(cx))?;
        let now = bytes.len().min(BLOCK);
        let (sender, result) = oneshot::channel();
        let _ = self.requests.send(Request::Write(bytes[..now].to_vec(), sender));
        self.under_way = Some(result);
        Poll::Ready(Ok(now))
    }

    /// Waits for the last write, and returns its error.
    pub(super) fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.under_way {
            Some(_) => self.poll_result(cx).map_ok(drop),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_result(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        let Some(under_way) = &mut self.under_way else {
            return Poll::Ready(Ok(Vec::new()));
        };
        let result = ready!(Pin::new(under_way).poll(cx));
        self.under_way = None;
        Poll::Ready(result.unwrap_or_else(|_| Err(io::Error::other("the descriptor's thread has ended"))))
    }
}
