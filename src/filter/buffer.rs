//! The input buffer that filters share: octets go in behind, records come out in front.

use bytes::{Buf, Bytes};

/// An empty buffer keeps no more than this: ten thousand idle connections must not hold a read's worth each.
const IDLE_CAPACITY: usize = 1024;

/// Records from this size on are worth the whole allocation that they came in.
const LARGE: usize = 16 * 1024;

/// A queue of octets whose front moves without moving the octets.
#[derive(Default)]
pub(super) struct Buffer {
    octets: Vec<u8>,
    /// Where the live octets start; those before it are consumed and go at the next append or release.
    head: usize,
}

impl Buffer {
    pub(super) fn len(&self) -> usize {
        self.octets.len() - self.head
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.octets[self.head..]
    }

    pub(super) fn append(&mut self, octets: &[u8]) {
        // Moving the rest only when at least as much was consumed keeps appending linear, however little is taken
        // between two appends.
        if self.head > 0 && self.head >= self.len() {
            self.octets.drain(..self.head);
            self.head = 0;
        }
        self.octets.extend_from_slice(octets);
    }

    /// Drops octets from the front; `count` is at most `len()`.
    pub(super) fn consume(&mut self, count: usize) {
        self.head += count;
    }

    /// Copies the first `count` octets out.
    pub(super) fn copy_front(&self, count: usize) -> Bytes {
        Bytes::copy_from_slice(&self.as_slice()[..count])
    }

    /// Takes the first `count` octets out: a copy of few, the memory itself of many that are all there is.
    pub(super) fn take_front(&mut self, count: usize) -> Bytes {
        if count == self.len() && count >= LARGE {
            return self.take();
        }
        let octets = self.copy_front(count);
        self.consume(count);
        octets
    }

    /// Drops octets from the middle.
    pub(super) fn remove(&mut self, at: usize, count: usize) {
        if at == 0 {
            self.consume(count);
        } else {
            self.octets.drain(self.head + at..self.head + at + count);
        }
    }

    /// Puts octets into the middle.
    pub(super) fn insert(&mut self, at: usize, octets: &[u8]) {
        let at = self.head + at;
        self.octets.splice(at..at, octets.iter().copied());
    }

    /// Drops octets from the end.
    pub(super) fn drop_back(&mut self, count: usize) {
        self.octets.truncate(self.octets.len() - count);
    }

    /// Takes everything, without a copy.
    pub(super) fn take(&mut self) -> Bytes {
        let mut octets = Bytes::from(std::mem::take(&mut self.octets));
        octets.advance(std::mem::take(&mut self.head));
        octets
    }

    /// Gives memory back that a filter does not need while it waits.
    pub(super) fn release(&mut self) {
        let capacity = self.octets.capacity();
        if capacity > IDLE_CAPACITY && self.len() <= capacity / 4 {
            self.octets = self.as_slice().to_vec();
            self.head = 0;
        } else if self.len() == 0 {
            self.octets.clear();
            self.head = 0;
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.octets.capacity()
    }
}
