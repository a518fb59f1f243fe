//! A ring of events: a power of two of places, and two positions that only grow.
//!
//! The place of a position is its lowest bits, so neither end ever wraps. Entries have no destructor, and are written and read in
//! their places, field by field: see [`Post`].

use super::event_queue::Post;

/// First in, first out. A position is the number of all posts that were pushed before.
pub(super) struct Ring {
    /// The places that were filled once, at most `mask + 1`. The place of a post that has left keeps what was there, without the
    /// argument.
    places: Vec<Post>,
    mask: u64,
    head: u64,
    tail: u64,
}

/// Places that are made at a time on the first way round.
const STEP: usize = 64;

impl Ring {
    pub(super) fn new() -> Self {
        Ring {
            places: Vec::new(),
            mask: 3,
            head: 0,
            tail: 0,
        }
    }

    /// Returns the position of the first post.
    #[inline]
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// Returns the position behind the last post.
    #[inline]
    pub(super) fn tail(&self) -> u64 {
        self.tail
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        (self.tail - self.head) as usize
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.tail == self.head
    }

    pub(super) fn capacity(&self) -> usize {
        self.places.capacity()
    }

    #[inline]
    fn place(&self, position: u64) -> usize {
        (position & self.mask) as usize
    }

    #[inline(always)]
    pub(super) fn push(&mut self, post: Post) {
        if self.tail - self.head > self.mask {
            self.grow();
        }
        let place = self.place(self.tail);
        self.tail += 1;
        loop {
            if let Some(vacant) = self.places.get_mut(place) {
                *vacant = post;
                return;
            }
            self.fill();
        }
    }

    /// Makes the next places of the first way round.
    #[cold]
    #[inline(never)]
    fn fill(&mut self) {
        let length = (self.places.len() + STEP).min(self.mask as usize + 1);
        self.places.resize_with(length, Post::nothing);
    }

    /// Doubles a full ring. Those whose positions have one bit more set move to the new half.
    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let full = self.places.len();
        let split = self.place(self.head);
        self.mask = 2 * self.mask + 1;
        // The posts from `split` on are the older ones.
        let moving = match self.place(self.head) {
            0 => return,
            first if first == split => 0..split,
            _ => split..full,
        };
        self.places.resize_with(full + moving.end, Post::nothing);
        let (old, new) = self.places.split_at_mut(full);
        old[moving.clone()].swap_with_slice(&mut new[moving]);
    }

    #[inline]
    pub(super) fn first(&self) -> Option<&Post> {
        match self.is_empty() {
            true => None,
            false => self.places.get(self.place(self.head)),
        }
    }

    /// Removes the first post, which there must be, and returns its place, from which the caller must take the argument.
    #[inline(always)]
    pub(super) fn pass(&mut self) -> Option<&mut Post> {
        let place = self.place(self.head);
        self.head += 1;
        self.places.get_mut(place)
    }

    /// Returns the posts from a position on.
    pub(super) fn from(&self, position: u64) -> impl Iterator<Item = &Post> {
        (position..self.tail).map(|position| &self.places[self.place(position)])
    }

    /// Returns the post at a position, if it has not left the ring.
    pub(super) fn get_mut(&mut self, position: u64) -> Option<&mut Post> {
        let place = self.place(position);
        match (self.head..self.tail).contains(&position) {
            true => self.places.get_mut(place),
            false => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn numbered(number: u32) -> Post {
        Post {
            to: number,
            ..Post::nothing()
        }
    }

    proptest! {
        /// Bursts of pushes and pops, against a deque.
        #[test]
        fn a_ring_is_a_queue(bursts in prop::collection::vec((0_u32..200, 0_usize..200), 1..30)) {
            let (mut ring, mut model) = (Ring::new(), VecDeque::new());
            let mut number = 0;
            for (pushes, pops) in bursts {
                for _ in 0..pushes {
                    ring.push(numbered(number));
                    model.push_back(number);
                    number += 1;
                }
                for _ in 0..pops.min(model.len()) {
                    prop_assert_eq!(ring.pass().map(|post| post.to), model.pop_front());
                }
                prop_assert_eq!(ring.len(), model.len());
                prop_assert_eq!(ring.first().map(|post| post.to), model.front().copied());
                prop_assert!(ring.from(ring.head()).map(|post| post.to).eq(model.iter().copied()));
                prop_assert!(ring.get_mut(ring.tail()).is_none());
                if let Some(last) = model.back() {
                    prop_assert_eq!(ring.get_mut(ring.tail() - 1).map(|post| post.to), Some(*last));
                }
            }
        }
    }
}
