//! The events as they are queued, and a ring of them: a power of two of places, and two positions that only grow. The index of a long ring finds the posts of one
//! session.
//!
//! The place of a position is its lowest bits, so neither end ever wraps. Entries have no destructor, and are written and read in
//! their places, field by field: see [`Post`].

use crate::arg::AnyArg;
use crate::id::Place;
use crate::name::NameIdx;
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::panic::Location;

/// A queued event.
#[derive(Debug)]
pub(crate) struct Entry<A = AnyArg> {
    /// Slot of the receiver, or [`DEAD`] once the event was purged.
    pub(crate) to: u32,
    /// Slot of the sender.
    pub(crate) from: u32,
    /// The event's name; the entry holds one reference to it.
    pub(crate) name: NameIdx,
    /// The event that was being handled when this one was made; the entry holds one reference to it, too.
    pub(crate) caller: NameIdx,
    /// Where it was posted.
    pub(crate) place: Place,
    pub(crate) arg: A,
}

/// An entry as the lanes hold it, without a destructor, so that it can be made in its place there.
///
/// A value that must be dropped when a lane cannot grow would be built elsewhere first, and the copy of bytes just written in
/// smaller pieces costs more than all the rest of a post. The code that takes an entry out must drop its argument.
pub(crate) type Post = Entry<ManuallyDrop<AnyArg>>;

impl Post {
    /// What stands where no post does.
    pub(super) fn nothing() -> Self {
        Post {
            to: DEAD,
            from: DEAD,
            name: NameIdx::NONE,
            caller: NameIdx::NONE,
            place: Location::caller(),
            arg: ManuallyDrop::new(AnyArg::UNIT),
        }
    }
}

impl From<Post> for Entry {
    fn from(post: Post) -> Self {
        Entry {
            to: post.to,
            from: post.from,
            name: post.name,
            caller: post.caller,
            place: post.place,
            arg: ManuallyDrop::into_inner(post.arg),
        }
    }
}

const _: () = assert!(size_of::<Entry>() <= 48, "W6 pays for every byte here");

/// No receiver: the entry was purged and only keeps its position in the ring.
pub(super) const DEAD: u32 = u32::MAX;

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
    pub(super) fn get(&self, position: u64) -> Option<&Post> {
        match (self.head..self.tail).contains(&position) {
            true => self.places.get(self.place(position)),
            false => None,
        }
    }

    pub(super) fn get_mut(&mut self, position: u64) -> Option<&mut Post> {
        let place = self.place(position);
        match (self.head..self.tail).contains(&position) {
            true => self.places.get_mut(place),
            false => None,
        }
    }
}

// Finds the posts of one session in a long ring without searching all of it.
//
// A session that ends takes its queued events along. One search of the ring is the cheapest way while that is rare, so
// nothing is noted when an event is posted. When many sessions end while many events wait, as at a shutdown, searching each
// time would take quadratic time: then the ring is read once into this index, and only later posts are read again.
/// Rings up to this length are always searched.
const SHORT: usize = 64;

/// How many entries may be searched, as a multiple of the ring's length, before an index is made.
const PATIENCE: u64 = 4;

#[derive(Default)]
pub(super) struct PostIndex {
    /// The ring positions of a session's posts, in order: those to it and those from it. Some may have left the ring.
    by_session: HashMap<u32, Vec<u64>>,
    /// Posts from this ring position on are not in the index.
    end: u64,
    /// The number of entries in the index; it is made anew when most of them have left the ring.
    entries: usize,
    /// Entries that were searched since there was an index.
    searched: u64,
    made: bool,
}

impl PostIndex {
    /// Whether an index pays for a ring of this length.
    pub(super) fn is_wanted(&mut self, ring: usize) -> bool {
        if ring <= SHORT {
            *self = PostIndex::default();
            return false;
        }
        self.searched += ring as u64;
        self.made || self.searched > PATIENCE * ring as u64
    }

    /// Brings the index up to date. `posts` returns the sessions of the posts from a ring position on, with the positions.
    pub(super) fn update<I>(&mut self, head: u64, ring: usize, posts: impl FnOnce(u64) -> I)
    where
        I: Iterator<Item = (u64, u32, u32)>,
    {
        if self.entries > 4 * ring.max(SHORT) {
            *self = PostIndex::default();
        }
        self.made = true;
        for (at, to, from) in posts(self.end.max(head)) {
            self.by_session.entry(to).or_default().push(at);
            if from != to {
                self.by_session.entry(from).or_default().push(at);
            }
            self.entries += 1;
        }
        self.end = head + ring as u64;
    }

    /// Removes and returns the positions of a session's posts; some of them may have left the ring.
    pub(super) fn take(&mut self, session: u32) -> Vec<u64> {
        self.by_session.remove(&session).unwrap_or_default()
    }
}

#[cfg(test)]
mod index_tests {
    use crate::arg::AnyArg;
    use crate::name::NameIdx;
    use crate::queue::event_queue::{EventQueue, Next, Post};
    use proptest::prelude::*;
    use std::mem::ManuallyDrop;
    use std::panic::Location;

    #[derive(Clone, Debug)]
    enum Step {
        Post(u32, u32),
        Pop(u8),
        Purge(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            12 => (1..40_u32, 1..40_u32).prop_map(|(to, from)| Step::Post(to, from)),
            1 => (1..60_u8).prop_map(Step::Pop),
            2 => (1..40_u32).prop_map(Step::Purge),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Whether the ring is searched or the index is used, a session's posts come out, and those of others stay in order.
        #[test]
        fn purging_finds_each_post_of_a_session_and_no_other(steps in prop::collection::vec(step(), 0..1500)) {
            let mut queue = EventQueue::new();
            let mut model: Vec<(u32, u32)> = Vec::new();
            for step in steps {
                match step {
                    Step::Post(to, from) => {
                        queue.post(Post {
                            to,
                            from,
                            name: NameIdx::NONE,
                            caller: NameIdx::NONE,
                            place: Location::caller(),
                            arg: ManuallyDrop::new(AnyArg::UNIT),
                        });
                        model.push((to, from));
                    }
                    Step::Pop(count) => {
                        for _ in 0..count {
                            let generation = queue.generation(0);
                            // Skips purged entries, as the loop does.
                            let popped = match queue.next(generation) {
                                Next::Post => queue.pass_post().map(|post| (post.to, post.from)),
                                Next::Timer | Next::Nothing => None,
                            };
                            let expected = (!model.is_empty()).then(|| model.remove(0));
                            prop_assert_eq!(popped, expected);
                        }
                    }
                    Step::Purge(session) => {
                        let found: Vec<_> = queue.purge(session).iter().map(|post| (post.to, post.from)).collect();
                        let of_it = model.extract_if(.., |(to, from)| *to == session || *from == session);
                        prop_assert_eq!(found, of_it.collect::<Vec<_>>());
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
            }
            let left: Vec<_> = queue.posts().map(|post| (post.to, post.from)).collect();
            prop_assert_eq!(left, model);
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
