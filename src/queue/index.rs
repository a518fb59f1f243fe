//! Finds the posts of one session in a long ring without searching all of it.
//!
//! A session that ends takes its queued events along. One search of the ring is the cheapest way while that is rare, so
//! nothing is noted when an event is posted. When many sessions end while many events wait, as at a shutdown, searching each
//! time would take quadratic time: then the ring is read once into this index, and only later posts are read again.

use std::collections::HashMap;

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
mod tests {
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
