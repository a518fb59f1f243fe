//! The input buffer that filters share: bytes are appended at the end, records are taken from the front.

use bytes::{Buf, Bytes};
use std::collections::VecDeque;

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

// Counts the wire bytes of records that wait in the stage of a [chain](super::Chain), so that they can be restored as
// the bytes they came as.
//
// When a record is used in part, all of its wire bytes are assigned to the first record made of it. As long as that
// one waits further up, its bytes also stand for the rest; after it has left, no bytes do, and the rest has to be
// encoded as a separate record. *Tokens* tell the two cases apart: the rest has one, and the record with the bytes
// holds it.
/// One entry for each record that a stage was fed and has not used completely.
#[derive(Default)]
pub(super) struct Ledger {
    entries: VecDeque<Entry>,
    /// The sums of the entries.
    units: usize,
    cost: usize,
}

struct Entry {
    /// The units that the stage counts: records, or bytes of them.
    units: usize,
    /// The number of wire bytes.
    cost: usize,
    /// The units are wire bytes themselves, and can be used one by one.
    plain: bool,
    /// Set when the record was used in part and its bytes have moved on.
    token: u64,
    held: Held,
}

/// The tokens of the rests that a record's bytes stand for: some of them, and, if there are more, a range that contains
/// the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    few: [u64; 6],
    from: u64,
    to: u64,
}

impl Held {
    pub(super) fn has(&self, token: u64) -> bool {
        token != 0 && (self.few.contains(&token) || self.from != 0 && (self.from..=self.to).contains(&token))
    }

    pub(super) fn add(&mut self, token: u64) {
        if token == 0 || self.few.contains(&token) {
            return;
        }
        match self.few.iter_mut().find(|free| **free == 0) {
            Some(free) => *free = token,
            None => self.widen(token, token),
        }
    }

    pub(super) fn join(&mut self, other: &Held) {
        other.few.into_iter().for_each(|token| self.add(token));
        if other.from != 0 {
            self.widen(other.from, other.to);
        }
    }

    fn widen(&mut self, from: u64, to: u64) {
        self.from = if self.from == 0 { from } else { self.from.min(from) };
        self.to = self.to.max(to);
    }
}

/// The cost of the units that leave the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Paid {
    pub(super) cost: usize,
    pub(super) held: Held,
    /// For units without a cost: the token of the bytes that stand for them, as long as those wait.
    pub(super) token: u64,
}

/// Issues tokens.
#[derive(Default)]
pub(super) struct Tokens(u64);

impl Tokens {
    pub(super) fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

impl Ledger {
    /// Returns the wire bytes of everything that waits.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn feed(&mut self, units: usize, paid: Paid, plain: bool) {
        self.units += units;
        self.cost += paid.cost;
        self.entries.push_back(Entry {
            units,
            cost: paid.cost,
            plain,
            token: if paid.cost == 0 { paid.token } else { 0 },
            held: paid.held,
        });
    }

    /// Adds to the cost of the last record, for the second half of its terminator.
    pub(super) fn add_to_last(&mut self, cost: usize) {
        if let Some(last) = self.entries.back_mut() {
            last.cost += cost;
            self.cost += cost;
        }
    }

    /// Returns the number of units at the front without bytes, and the token of the first of them.
    pub(super) fn unpaid(&self) -> (usize, u64) {
        let front = self.entries.iter().take_while(|entry| entry.cost == 0);
        let token = self.entries.front().map_or(0, |entry| entry.token);
        (front.map(|entry| entry.units).sum(), token)
    }

    /// Returns whether a waiting record holds the bytes of this token.
    pub(super) fn holds(&self, token: u64) -> bool {
        self.entries.iter().any(|entry| entry.held.has(token))
    }

    /// Removes used units from the front until `left` units wait, and returns their cost. The cost of a record that is
    /// used in part is counted at once.
    pub(super) fn settle(&mut self, waiting: usize, tokens: &mut Tokens) -> Paid {
        let mut paid = Paid::default();
        while let Some(first) = self.entries.front_mut() {
            let used = first.units.min(self.units.saturating_sub(waiting));
            let cost = if first.plain && used < first.units {
                used.min(first.cost)
            } else if used > 0 || first.units == 0 {
                first.cost
            } else {
                0
            };
            if used > 0 && first.cost == 0 {
                paid.token = first.token;
            }
            first.units -= used;
            first.cost -= cost;
            self.units -= used;
            self.cost -= cost;
            paid.cost += cost;
            if first.units > 0 {
                if cost > 0 && first.cost == 0 {
                    first.token = tokens.next();
                    paid.held.add(first.token);
                    paid.held.join(&std::mem::take(&mut first.held));
                }
                break;
            }
            paid.held.join(&first.held);
            self.entries.pop_front();
        }
        paid
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod ledger_tests {
    use super::*;

    fn paid(cost: usize) -> Paid {
        Paid {
            cost,
            ..Paid::default()
        }
    }

    #[test]
    fn records_are_paid_for_whole_and_bytes_one_by_one() {
        let (mut ledger, mut tokens) = (Ledger::default(), Tokens::default());
        ledger.feed(1, paid(5), false);
        ledger.feed(1, paid(7), false);
        assert_eq!(ledger.settle(2, &mut tokens), paid(0));
        assert_eq!(ledger.settle(1, &mut tokens), paid(5));
        assert_eq!((ledger.settle(0, &mut tokens), ledger.is_empty()), (paid(7), true));
        ledger.feed(10, paid(10), true);
        assert_eq!(ledger.settle(6, &mut tokens), paid(4));
        ledger.feed(3, paid(9), false);
        let used = ledger.settle(2, &mut tokens);
        assert_eq!((used.cost, ledger.cost(), ledger.unpaid()), (15, 0, (2, 1)));
        assert!(used.held.has(1) && !used.held.has(2) && !used.held.has(0));
        assert_eq!((ledger.settle(0, &mut tokens).token, ledger.is_empty()), (1, true));
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
