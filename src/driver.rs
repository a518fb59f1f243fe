//! POE::Driver: how bytes get from a handle, and what was put and has not been written yet.
//!
//! One queue of bytes, with the ends of its messages. Reading has no queue: a wheel reads into its kernel's one buffer,
//! and from there straight into the filter.

use crate::error::{Error, ErrorKind};
use bytes::{Buf, Bytes, BytesMut};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::task::{Poll, ready};

/// An empty queue keeps no more than this, so that idle wheels are cheap.
const IDLE_CAPACITY: usize = 4096;

/// Writes in one go at most; then others have their turn.
const WRITES: usize = 16;

/// Bytes that one read takes at most, unless the driver says otherwise.
pub(crate) const BLOCK_SIZE: usize = 65_536;

/// Reads blocks, and queues what is to be written (`POE::Driver::SysRW`).
///
/// Each [`ReadWrite`](crate::wheel::ReadWrite) has one; give it your own for another block size
/// ([`driver`](crate::wheel::ReadWriteBuilder::driver)). By itself it serves whoever watches a non-blocking handle of the
/// standard library with [`select_read`](crate::KernelRef::select_read) and its like.
///
/// ```
/// use poe::driver::{Chunk, SysRW};
/// use std::os::unix::net::UnixStream;
/// let (mut ours, mut theirs) = UnixStream::pair()?;
/// ours.set_nonblocking(true)?;
/// theirs.set_nonblocking(true)?;
/// let mut driver = SysRW::new();
/// assert_eq!(driver.block_size(), 65_536);
/// assert_eq!(driver.put(b"hello"), 5); // bytes that wait now
/// assert_eq!((driver.buffered_bytes(), driver.out_messages()), (5, 1));
/// assert_eq!(driver.flush(&mut ours)?, 0);
/// assert_eq!(driver.get(&mut theirs)?, Chunk::Bytes("hello".into()));
/// assert_eq!(driver.get(&mut theirs)?, Chunk::NotReady);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias = "POE::Driver::SysRW")]
#[doc(alias = "POE::Driver")]
pub struct SysRW {
    block_size: usize,
    output: RefCell<Output>,
    /// For `get`; a wheel uses its kernel's.
    buffer: Vec<u8>,
}

/// What one read has brought.
///
/// ```
/// use poe::driver::{Chunk, SysRW};
/// let mut driver = SysRW::with_block_size(6)?;
/// let mut handle = &b"bytes in blocks"[..]; // anything that can be read
/// let mut blocks = Vec::new();
/// let at_end = loop {
///     match driver.get(&mut handle)? {
///         Chunk::Bytes(bytes) => blocks.push(bytes),
///         Chunk::NotReady => break false, // until `select_read` tells of more
///         Chunk::End => break true,
///     }
/// };
/// assert!(at_end);
/// assert_eq!(blocks, ["bytes ", "in blo", "cks"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Bytes, at most as many as the block size.
    Bytes(Bytes),
    /// There is nothing yet.
    NotReady,
    /// The other end will send nothing more.
    End,
}

impl Default for SysRW {
    fn default() -> Self {
        SysRW::new()
    }
}

impl SysRW {
    /// A driver that reads up to 65 536 bytes at a time.
    #[must_use]
    pub fn new() -> Self {
        SysRW {
            block_size: BLOCK_SIZE,
            output: RefCell::default(),
            buffer: Vec::new(),
        }
    }

    /// A driver that reads up to so many bytes at a time. In a wheel the kernel's buffer is a limit, too: 65 536.
    ///
    /// # Errors
    /// Zero bytes are no block.
    ///
    /// ```
    /// use poe::driver::SysRW;
    /// assert_eq!(SysRW::with_block_size(512)?.block_size(), 512);
    /// assert!(SysRW::with_block_size(0).is_err());
    /// # Ok::<(), poe::Error>(())
    /// ```
    #[doc(alias = "BlockSize")]
    pub fn with_block_size(bytes: usize) -> Result<Self, Error> {
        if bytes == 0 {
            return Err(ErrorKind::Invalid("a driver's block size must be above 0".to_owned()).into());
        }
        Ok(SysRW {
            block_size: bytes,
            ..SysRW::new()
        })
    }

    /// Bytes that one read takes at most.
    #[must_use]
    pub fn block_size(&self) -> usize {
        self.block_size
    }

    /// Reads once.
    ///
    /// # Errors
    /// The system's; to be interrupted, or that nothing is there yet, is none.
    pub fn get(&mut self, handle: &mut impl io::Read) -> io::Result<Chunk> {
        self.buffer.resize(self.block_size, 0);
        loop {
            match handle.read(&mut self.buffer) {
                Ok(0) => return Ok(Chunk::End),
                Ok(bytes) => return Ok(Chunk::Bytes(Bytes::copy_from_slice(&self.buffer[..bytes]))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Chunk::NotReady),
                Err(error) => return Err(error),
            }
        }
    }

    /// Queues a message to be written; says how many bytes wait now. An empty one is no message.
    pub fn put(&mut self, bytes: &[u8]) -> usize {
        Output::append(&self.output, |out| out.extend_from_slice(bytes));
        self.buffered_bytes()
    }

    /// Writes until nothing waits or the handle takes no more for now; says how many bytes still wait.
    ///
    /// # Errors
    /// The system's; the bytes are kept. That the handle takes no more is none.
    pub fn flush(&mut self, handle: &mut impl io::Write) -> io::Result<usize> {
        loop {
            let step = Output::flush(&self.output, |bytes| match handle.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                written => Poll::Ready(written),
            });
            match step {
                Poll::Ready(Ok(false)) => {}
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Ready(Ok(true)) | Poll::Pending => return Ok(self.buffered_bytes()),
            }
        }
    }

    /// Bytes that were put and not written.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.output.borrow().bytes()
    }

    /// Messages that were put and not wholly written.
    #[doc(alias = "get_out_messages_buffered")]
    #[must_use]
    pub fn out_messages(&self) -> usize {
        self.output.borrow().messages()
    }

    /// The queue, for wheels.
    pub(crate) fn output(&self) -> &RefCell<Output> {
        &self.output
    }
}

/// The bytes of one direction that wait to be written.
#[derive(Default, Debug)]
pub(crate) struct Output {
    /// Out while a filter adds to it or a stream takes from it. Boxed for that: a pointer is cheap to move, a `BytesMut`
    /// that was just written to stalls the processor.
    bytes: Option<Box<BytesMut>>,
    /// Bytes that ever were put, and that were written of them.
    put: u64,
    written: u64,
    /// Where each message that is not wholly written ends, counted as `put` is.
    ends: VecDeque<u64>,
}

impl Output {
    /// Bytes that were put and not written.
    pub(crate) fn bytes(&self) -> usize {
        (self.put - self.written) as usize
    }

    /// Messages that are not wholly written.
    pub(crate) fn messages(&self) -> usize {
        self.ends.len()
    }

    /// Forgets what was not written.
    pub(crate) fn discard(&mut self) {
        self.bytes = None;
        self.ends = VecDeque::new();
        self.written = self.put;
    }

    /// Takes what was not written out of the queue.
    pub(crate) fn take(&mut self) -> Bytes {
        let bytes = self.bytes.take();
        self.discard();
        bytes.map(|bytes| bytes.freeze()).unwrap_or_default()
    }

    /// Has `f` append one message. The queue is not borrowed meanwhile: `f` may be anybody's filter. If it panics, the
    /// message is none, and what was put before is kept.
    pub(crate) fn append<T>(queue: &RefCell<Output>, f: impl FnOnce(&mut BytesMut) -> T) -> T {
        struct Lent<'a> {
            queue: &'a RefCell<Output>,
            bytes: Option<Box<BytesMut>>,
            before: usize,
        }
        impl Drop for Lent<'_> {
            #[inline]
            fn drop(&mut self) {
                if let Some(mut bytes) = self.bytes.take() {
                    // Only after a panic: else it is `before` that was moved up.
                    bytes.truncate(self.before);
                    self.queue.borrow_mut().give_back(bytes);
                }
            }
        }
        let bytes = queue.borrow_mut().bytes.take().unwrap_or_default();
        let before = bytes.len();
        let mut lent = Lent {
            queue,
            bytes: Some(bytes),
            before,
        };
        let out = lent.bytes.get_or_insert_default();
        let result = f(out);
        let now = out.len();
        if now > before {
            let mut queue = queue.borrow_mut();
            queue.put += (now - before) as u64;
            let end = queue.put;
            queue.ends.push_back(end);
            lent.before = now;
        } else if now < before {
            // A filter that takes away what others have put breaks its contract; the counts stay true.
            let mut queue = queue.borrow_mut();
            queue.put -= (before - now) as u64;
            let end = queue.put;
            queue.ends.retain(|e| *e <= end);
        }
        result
    }

    /// Writes until the queue is empty or `write` would block. `Ok(false)` means: there is more to do, but others wait.
    pub(crate) fn flush(
        queue: &RefCell<Output>,
        mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<bool>> {
        let Some(mut bytes) = queue.borrow_mut().bytes.take() else {
            return Poll::Ready(Ok(true));
        };
        let result = Self::write_out(queue, &mut bytes, &mut write);
        queue.borrow_mut().give_back(bytes);
        result
    }

    fn write_out(
        queue: &RefCell<Output>,
        bytes: &mut BytesMut,
        write: &mut impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<bool>> {
        for _ in 0..WRITES {
            if bytes.is_empty() {
                return Poll::Ready(Ok(true));
            }
            match ready!(write(bytes)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    if n == bytes.len() {
                        // Unlike `advance` this keeps the front of the buffer for the next message.
                        bytes.clear();
                    } else {
                        bytes.advance(n);
                    }
                    queue.borrow_mut().wrote(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(bytes.is_empty()))
    }

    fn wrote(&mut self, bytes: usize) {
        self.written += bytes as u64;
        while self.ends.front().is_some_and(|end| *end <= self.written) {
            self.ends.pop_front();
        }
    }

    #[inline]
    fn give_back(&mut self, mut bytes: Box<BytesMut>) {
        if let Some(later) = self.bytes.take() {
            // Put while the bytes were out.
            bytes.unsplit(*later);
        }
        if !bytes.is_empty() || bytes.capacity() <= IDLE_CAPACITY {
            self.bytes = Some(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(queue: &RefCell<Output>, bytes: &[u8]) {
        Output::append(queue, |out| out.extend_from_slice(bytes));
    }

    /// A stream that takes so many bytes and then blocks.
    fn taking(mut room: usize, into: &mut Vec<u8>) -> impl FnMut(&[u8]) -> Poll<io::Result<usize>> {
        move |bytes| {
            let n = room.min(bytes.len());
            if n == 0 {
                return Poll::Pending;
            }
            into.extend_from_slice(&bytes[..n]);
            room -= n;
            Poll::Ready(Ok(n))
        }
    }

    #[test]
    fn bytes_and_messages_are_counted_as_the_stream_takes_them() {
        let queue = RefCell::new(Output::default());
        let mut taken = Vec::new();
        assert!(matches!(
            Output::flush(&queue, taking(9, &mut taken)),
            Poll::Ready(Ok(true))
        ));
        put(&queue, b"abc");
        put(&queue, b"");
        put(&queue, b"defg");
        assert_eq!((queue.borrow().bytes(), queue.borrow().messages()), (7, 2));
        assert!(Output::flush(&queue, taking(4, &mut taken)).is_pending());
        // Half a message counts as one.
        assert_eq!((queue.borrow().bytes(), queue.borrow().messages()), (3, 1));
        put(&queue, b"h");
        assert!(matches!(
            Output::flush(&queue, taking(9, &mut taken)),
            Poll::Ready(Ok(true))
        ));
        assert_eq!((queue.borrow().bytes(), queue.borrow().messages()), (0, 0));
        assert_eq!(taken, b"abcdefgh");
    }

    #[test]
    fn a_hard_error_keeps_the_data() {
        let queue = RefCell::new(Output::default());
        put(&queue, b"abc");
        let failed = Output::flush(&queue, |_| Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())));
        assert!(matches!(failed, Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::BrokenPipe));
        assert_eq!(queue.borrow().bytes(), 3);
        queue.borrow_mut().discard();
        assert_eq!((queue.borrow().bytes(), queue.borrow().messages()), (0, 0));
    }

    #[test]
    fn a_big_buffer_is_not_kept_when_it_is_empty() {
        let queue = RefCell::new(Output::default());
        put(&queue, &[b'x'; 100_000]);
        let mut taken = Vec::new();
        assert!(matches!(
            Output::flush(&queue, taking(100_000, &mut taken)),
            Poll::Ready(Ok(true))
        ));
        assert!(queue.borrow().bytes.is_none());
    }
}
