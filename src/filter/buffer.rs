//! The input buffer that filters share: bytes are appended at the end, records are taken from the front.

use bytes::{Buf, Bytes};

/// An empty buffer keeps no more capacity than this: ten thousand idle connections must not hold 64 KiB each.
const IDLE_CAPACITY: usize = 1024;

/// Records from this size on may keep the whole allocation that they came in.
const LARGE: usize = 16 * 1024;

/// A queue of bytes whose front moves without moving the bytes.
#[derive(Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// Where the live bytes start; earlier ones are consumed and removed at the next append or release.
    head: usize,
}

impl Buffer {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.head
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        // Moving the rest only when at least as much was consumed keeps appending linear, however few bytes are taken
        // between two appends.
        if self.head > 0 && self.head >= self.len() {
            self.bytes.drain(..self.head);
            self.head = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Drops bytes from the front; `count` is at most `len()`.
    pub(super) fn consume(&mut self, count: usize) {
        self.head += count;
    }

    /// Copies the first `count` bytes.
    pub(super) fn copy_front(&self, count: usize) -> Bytes {
        Bytes::copy_from_slice(&self.as_slice()[..count])
    }

    /// Takes the first `count` bytes: a copy if they are few, the memory itself if they are many and the whole buffer.
    pub(super) fn take_front(&mut self, count: usize) -> Bytes {
        if count == self.len() && count >= LARGE {
            return self.take();
        }
        let bytes = self.copy_front(count);
        self.consume(count);
        bytes
    }

    /// Removes bytes from the middle.
    pub(super) fn remove(&mut self, at: usize, count: usize) {
        if at == 0 {
            self.consume(count);
        } else {
            self.bytes.drain(self.head + at..self.head + at + count);
        }
    }

    /// Inserts bytes into the middle.
    pub(super) fn insert(&mut self, at: usize, bytes: &[u8]) {
        let at = self.head + at;
        self.bytes.splice(at..at, bytes.iter().copied());
    }

    /// Drops bytes from the end.
    pub(super) fn drop_back(&mut self, count: usize) {
        self.bytes.truncate(self.bytes.len() - count);
    }

    /// Takes everything, without a copy.
    pub(super) fn take(&mut self) -> Bytes {
        let mut bytes = Bytes::from(std::mem::take(&mut self.bytes));
        bytes.advance(std::mem::take(&mut self.head));
        bytes
    }

    /// Frees memory that a filter does not need while it waits.
    pub(super) fn release(&mut self) {
        let capacity = self.bytes.capacity();
        if capacity > IDLE_CAPACITY && self.len() <= capacity / 4 {
            self.bytes = self.as_slice().to_vec();
            self.head = 0;
        } else if self.len() == 0 {
            self.bytes.clear();
            self.head = 0;
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
