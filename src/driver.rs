//! What a wheel buffers: output that is not written yet, and how much one read takes (POE::Driver).
//!
//! The output is one queue of bytes, with the ends of its messages. Reading has no queue: a wheel reads into its kernel's one
//! buffer, and from there straight into the filter.

use bytes::{Buf, Bytes, BytesMut};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::task::{Poll, ready};

/// An empty queue keeps no more capacity than this, so that idle wheels are cheap.
const IDLE_CAPACITY: usize = 4096;

/// The most writes in one go; then other tasks have their turn.
const WRITES: usize = 16;

/// The most bytes that one read takes by default.
pub(crate) const BLOCK_SIZE: usize = 65_536;

/// The block size of a wheel's reads, and its output that is not written yet (`POE::Driver::SysRW`).
pub(crate) struct Driver {
    /// The most bytes that one read takes.
    pub(crate) block_size: usize,
    pub(crate) output: RefCell<Output>,
}

impl Default for Driver {
    fn default() -> Self {
        Driver {
            block_size: BLOCK_SIZE,
            output: RefCell::default(),
        }
    }
}

impl Driver {
    /// Queues bytes as one message; no bytes are no message.
    pub(crate) fn put(&self, bytes: &[u8]) {
        Output::append(&self.output, |out| out.extend_from_slice(bytes));
    }
}

/// The output buffer of one direction.
#[derive(Default, Debug)]
pub(crate) struct Output {
    /// Taken while a filter appends to it or a stream reads it. It is boxed for that: a pointer is cheap to move, but moving a
    /// `BytesMut` that was just written to stalls the processor.
    bytes: Option<Box<BytesMut>>,
    /// Bytes put since the beginning, and bytes written of them.
    put: u64,
    written: u64,
    /// Where each message that is not wholly written ends, counted like `put`.
    ends: VecDeque<u64>,
}

impl Output {
    /// Returns the number of bytes not yet written.
    pub(crate) fn bytes(&self) -> usize {
        (self.put - self.written) as usize
    }

    /// Returns the number of bytes ever written.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Returns the number of messages not wholly written.
    pub(crate) fn messages(&self) -> usize {
        self.ends.len()
    }

    /// Drops the bytes not yet written.
    pub(crate) fn discard(&mut self) {
        self.bytes = None;
        self.ends = VecDeque::new();
        self.written = self.put;
    }

    /// Removes and returns the bytes not yet written.
    pub(crate) fn take(&mut self) -> Bytes {
        let bytes = self.bytes.take();
        self.discard();
        bytes.map(|bytes| bytes.freeze()).unwrap_or_default()
    }

    /// Has `f` append one message.
    ///
    /// The queue is not borrowed meanwhile, because `f` may be a user's filter. If it panics, no message is added, and the
    /// earlier ones are kept.
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
                    // Only after a panic: otherwise `before` has been moved up.
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
            // A filter that removes the bytes of earlier messages breaks its contract; the counts stay true.
            let mut queue = queue.borrow_mut();
            queue.put -= (before - now) as u64;
            let end = queue.put;
            queue.ends.retain(|e| *e <= end);
        }
        result
    }

    /// Writes until the queue is empty or `write` would block. `Ok(false)`: there is more to write, but others wait.
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
            // Put while the bytes were taken.
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

    /// A stream that takes `room` bytes and then blocks.
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
