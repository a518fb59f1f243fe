//! POE::Driver::SysRW: what was put and has not been written yet, and how a stream takes it.
//!
//! One queue of octets per wheel, with the ends of its messages. Reading has no queue: a read goes from the kernel's one
//! buffer straight into the filter.

use bytes::{Buf, BytesMut};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::task::{Poll, ready};

/// An empty queue keeps no more than this, so that idle wheels are cheap.
const IDLE_CAPACITY: usize = 4096;

/// Writes in one go at most; then others have their turn.
const WRITES: usize = 16;

/// The octets of one direction that wait to be written.
#[derive(Default)]
pub(crate) struct Output {
    /// Out while a filter adds to it or a stream takes from it.
    octets: BytesMut,
    /// Octets that ever were put, and that were written of them.
    put: u64,
    written: u64,
    /// Where each message that is not wholly written ends, counted as `put` is.
    ends: VecDeque<u64>,
}

impl Output {
    /// Octets that were put and not written.
    pub(crate) fn octets(&self) -> usize {
        (self.put - self.written) as usize
    }

    /// Messages that are not wholly written.
    pub(crate) fn messages(&self) -> usize {
        self.ends.len()
    }

    /// Forgets what was not written.
    pub(crate) fn discard(&mut self) {
        self.octets = BytesMut::new();
        self.ends = VecDeque::new();
        self.written = self.put;
    }

    /// Has `f` append one message. The queue is not borrowed meanwhile: `f` may be anybody's filter.
    pub(crate) fn append<T>(queue: &RefCell<Output>, f: impl FnOnce(&mut BytesMut) -> T) -> T {
        let mut octets = std::mem::take(&mut queue.borrow_mut().octets);
        let before = octets.len();
        let result = f(&mut octets);
        let mut queue = queue.borrow_mut();
        queue.put += octets.len().saturating_sub(before) as u64;
        let end = queue.put;
        if octets.len() > before {
            queue.ends.push_back(end);
        }
        queue.give_back(octets);
        result
    }

    /// Writes until the queue is empty or `write` would block. `Ok(false)` means: there is more to do, but others wait.
    pub(crate) fn flush(
        queue: &RefCell<Output>,
        mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<bool>> {
        let mut octets = std::mem::take(&mut queue.borrow_mut().octets);
        let result = Self::write_out(queue, &mut octets, &mut write);
        queue.borrow_mut().give_back(octets);
        result
    }

    fn write_out(
        queue: &RefCell<Output>,
        octets: &mut BytesMut,
        write: &mut impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<bool>> {
        for _ in 0..WRITES {
            if octets.is_empty() {
                return Poll::Ready(Ok(true));
            }
            match ready!(write(octets)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    if n == octets.len() {
                        // Unlike `advance` this keeps the front of the buffer for the next message.
                        octets.clear();
                    } else {
                        octets.advance(n);
                    }
                    queue.borrow_mut().wrote(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(octets.is_empty()))
    }

    fn wrote(&mut self, octets: usize) {
        self.written += octets as u64;
        while self.ends.front().is_some_and(|end| *end <= self.written) {
            self.ends.pop_front();
        }
    }

    fn give_back(&mut self, mut octets: BytesMut) {
        if !self.octets.is_empty() {
            // Something was put while the octets were out.
            octets.unsplit(std::mem::take(&mut self.octets));
        }
        if !octets.is_empty() || octets.capacity() <= IDLE_CAPACITY {
            self.octets = octets;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(queue: &RefCell<Output>, octets: &[u8]) {
        Output::append(queue, |out| out.extend_from_slice(octets));
    }

    /// A stream that takes so many octets and then blocks.
    fn taking(mut room: usize, into: &mut Vec<u8>) -> impl FnMut(&[u8]) -> Poll<io::Result<usize>> {
        move |octets| {
            let n = room.min(octets.len());
            if n == 0 {
                return Poll::Pending;
            }
            into.extend_from_slice(&octets[..n]);
            room -= n;
            Poll::Ready(Ok(n))
        }
    }

    #[test]
    fn octets_and_messages_are_counted_as_the_stream_takes_them() {
        let queue = RefCell::new(Output::default());
        let mut taken = Vec::new();
        assert!(matches!(
            Output::flush(&queue, taking(9, &mut taken)),
            Poll::Ready(Ok(true))
        ));
        put(&queue, b"abc");
        put(&queue, b"");
        put(&queue, b"defg");
        assert_eq!((queue.borrow().octets(), queue.borrow().messages()), (7, 2));
        assert!(Output::flush(&queue, taking(4, &mut taken)).is_pending());
        // Half a message counts as one.
        assert_eq!((queue.borrow().octets(), queue.borrow().messages()), (3, 1));
        put(&queue, b"h");
        assert!(matches!(
            Output::flush(&queue, taking(9, &mut taken)),
            Poll::Ready(Ok(true))
        ));
        assert_eq!((queue.borrow().octets(), queue.borrow().messages()), (0, 0));
        assert_eq!(taken, b"abcdefgh");
    }

    #[test]
    fn a_hard_error_keeps_the_data() {
        let queue = RefCell::new(Output::default());
        put(&queue, b"abc");
        let failed = Output::flush(&queue, |_| Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())));
        assert!(matches!(failed, Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::BrokenPipe));
        assert_eq!(queue.borrow().octets(), 3);
        queue.borrow_mut().discard();
        assert_eq!((queue.borrow().octets(), queue.borrow().messages()), (0, 0));
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
        assert!(queue.borrow().octets.capacity() <= IDLE_CAPACITY);
    }
}
