//! The input buffer: bytes are appended at the end, records are taken from the front.

use bytes::{Buf, Bytes};

/// An empty buffer keeps no more capacity than this: ten thousand idle connections must not hold 64 KiB each.
const IDLE_CAPACITY: usize = 1024;

/// Records from this size on may keep the whole allocation that they came in.
const LARGE: usize = 16 * 1024;

/// A queue of bytes whose front moves without moving the bytes.
#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// Where the live bytes start; earlier ones are consumed and removed at the next append or release.
    head: usize,
}

impl Buffer {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.head
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) {
        // Moving the rest only when at least as much was consumed keeps appending linear, however few bytes are taken
        // between two appends.
        if self.head > 0 && self.head >= self.len() {
            self.bytes.drain(..self.head);
            self.head = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Drops bytes from the front; `count` is at most `len()`.
    pub(crate) fn consume(&mut self, count: usize) {
        self.head += count;
    }

    /// Takes the first `count` bytes: a copy if they are few, the memory itself if they are many and the whole buffer.
    pub(crate) fn take_front(&mut self, count: usize) -> Bytes {
        if count == self.len() && count >= LARGE {
            return self.take();
        }
        let bytes = Bytes::copy_from_slice(&self.as_slice()[..count]);
        self.consume(count);
        bytes
    }

    /// Takes everything, without a copy.
    pub(crate) fn take(&mut self) -> Bytes {
        let mut bytes = Bytes::from(std::mem::take(&mut self.bytes));
        bytes.advance(std::mem::take(&mut self.head));
        bytes
    }

    /// Frees memory that a filter does not need while it waits.
    pub(crate) fn release(&mut self) {
        let capacity = self.bytes.capacity();
        if capacity > IDLE_CAPACITY && self.len() <= capacity / 4 {
            self.bytes = self.as_slice().to_vec();
            self.head = 0;
        } else if self.len() == 0 {
            self.bytes.clear();
            self.head = 0;
        }
    }
}
