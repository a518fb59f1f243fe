//! The input buffer that filters share: bytes are appended at the end, records are taken from the front.

use bytes::{Buf, Bytes};

/// An empty buffer keeps no more capacity than this: ten thousand idle connections must not hold 64 KiB each.
const IDLE_CAPACITY: usize = 1024;

/// Records from this size on may keep the whole allocation that they came in.
const LARGE: usize = 16 * 1024;

/// Shorter buffers are not tested for UTF-8 as a whole.
const WORTH_TESTING: usize = 512;

/// How many appends are not tested after bytes that were not text.
const DISTRUST: u8 = 32;

/// A queue of bytes whose front moves without moving the bytes.
#[derive(Default)]
pub(super) struct Buffer {
    /// All bytes; empty while they are in `text`.
    bytes: Vec<u8>,
    /// All bytes, known to be UTF-8. Cutting many short lines out of it is faster than testing each line.
    text: String,
    /// Where the live bytes start; earlier ones are consumed and removed at the next append or release.
    head: usize,
    /// The bytes were not tested for UTF-8 yet.
    untested: bool,
    /// How many further appends are not tested, because an earlier one was not text.
    distrust: u8,
}

impl Buffer {
    pub(super) fn len(&self) -> usize {
        // One of the two is empty.
        self.bytes.len() + self.text.len() - self.head
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        let all = if self.text.is_empty() {
            &self.bytes
        } else {
            self.text.as_bytes()
        };
        &all[self.head..]
    }

    /// Returns the first `count` bytes as text, if the bytes appended last are known to be text. After `None` they may
    /// still be text.
    #[inline]
    pub(super) fn front_text(&mut self, count: usize) -> Option<&str> {
        if self.untested {
            self.test();
        }
        self.text.get(self.head..self.head + count)
    }

    #[cold]
    #[inline(never)]
    fn test(&mut self) {
        self.untested = false;
        if self.distrust > 0 {
            self.distrust -= 1;
        } else if self.text.is_empty() && self.len() >= WORTH_TESTING {
            match String::from_utf8(std::mem::take(&mut self.bytes)) {
                Ok(text) => self.text = text,
                Err(error) => {
                    self.bytes = error.into_bytes();
                    self.distrust = DISTRUST;
                }
            }
        }
    }

    /// Returns the bytes for changing them.
    fn change(&mut self) -> &mut Vec<u8> {
        if !self.text.is_empty() {
            self.bytes = std::mem::take(&mut self.text).into_bytes();
        }
        self.untested = true;
        &mut self.bytes
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        // Moving the rest only when at least as much was consumed keeps appending linear, however few bytes are taken
        // between two appends.
        let consumed = if self.head >= self.len() {
            std::mem::take(&mut self.head)
        } else {
            0
        };
        let all = self.change();
        all.drain(..consumed);
        all.extend_from_slice(bytes);
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
            let at = self.head + at;
            self.change().drain(at..at + count);
        }
    }

    /// Inserts bytes into the middle.
    pub(super) fn insert(&mut self, at: usize, bytes: &[u8]) {
        let at = self.head + at;
        self.change().splice(at..at, bytes.iter().copied());
    }

    /// Drops bytes from the end.
    pub(super) fn drop_back(&mut self, count: usize) {
        let all = self.change();
        all.truncate(all.len() - count);
    }

    /// Takes everything, without a copy.
    pub(super) fn take(&mut self) -> Bytes {
        let mut bytes = Bytes::from(std::mem::take(self.change()));
        bytes.advance(std::mem::take(&mut self.head));
        bytes
    }

    /// Frees memory that a filter does not need while it waits.
    pub(super) fn release(&mut self) {
        let capacity = self.change().capacity();
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
        self.bytes.capacity() + self.text.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::Buffer;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Append(Vec<u8>),
        Consume(usize),
        Text(usize),
        Remove(usize, usize),
        Insert(usize, Vec<u8>),
        DropBack(usize),
        Release,
    }

    fn step() -> impl Strategy<Value = Step> {
        let bytes = || {
            let some = prop_oneof![3 => "[a-z\n]{0,900}", 1 => ".{0,300}"].prop_map(String::into_bytes);
            prop_oneof![6 => some, 1 => proptest::collection::vec(any::<u8>(), 0..900)]
        };
        let place = || 0..1000_usize;
        prop_oneof![
            4 => bytes().prop_map(Step::Append),
            3 => place().prop_map(Step::Consume),
            6 => (0..90_usize).prop_map(Step::Text),
            1 => (place(), 0..9_usize).prop_map(|(at, count)| Step::Remove(at, count)),
            1 => (place(), bytes()).prop_map(|(at, bytes)| Step::Insert(at, bytes)),
            1 => (0..9_usize).prop_map(Step::DropBack),
            1 => Just(Step::Release),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_queue_of_bytes_whether_they_are_text_or_not(steps in proptest::collection::vec(step(), 0..40)) {
            let (mut buffer, mut model) = (Buffer::default(), Vec::<u8>::new());
            for step in steps {
                let len = model.len();
                match step {
                    Step::Append(bytes) => {
                        buffer.append(&bytes);
                        model.extend(bytes);
                    }
                    Step::Consume(count) => {
                        buffer.consume(count.min(len));
                        model.drain(..count.min(len));
                    }
                    Step::Text(count) => {
                        let front = &model[..count.min(len)];
                        if let Some(text) = buffer.front_text(front.len()) {
                            prop_assert_eq!(text.as_bytes(), front);
                        }
                    }
                    Step::Remove(at, count) => {
                        let (at, end) = (at.min(len), (at + count).min(len));
                        buffer.remove(at, end - at);
                        model.drain(at..end);
                    }
                    Step::Insert(at, bytes) => {
                        buffer.insert(at.min(len), &bytes);
                        model.splice(at.min(len)..at.min(len), bytes);
                    }
                    Step::DropBack(count) => {
                        buffer.drop_back(count.min(len));
                        model.truncate(len - count.min(len));
                    }
                    Step::Release => buffer.release(),
                }
                prop_assert_eq!(buffer.as_slice(), &model[..]);
                prop_assert_eq!(buffer.len(), model.len());
            }
            prop_assert_eq!(&buffer.take()[..], &model[..]);
            prop_assert_eq!(buffer.len(), 0);
        }
    }

    #[test]
    fn lines_of_a_large_block_of_text_are_cut_out_of_it() {
        let mut buffer = Buffer::default();
        buffer.append(&"naïve\n".as_bytes().repeat(100));
        assert_eq!(buffer.front_text(6), Some("naïve"));
        assert_eq!(buffer.front_text(3), None, "half a letter");
        buffer.consume(7);
        assert_eq!(buffer.front_text(6), Some("naïve"));
        buffer.append(b"\xff");
        assert_eq!(buffer.front_text(6), None);
    }
}
