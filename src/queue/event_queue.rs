//! The kernel's pending events in one exact order: due time first, then order of arrival.
//!
//! Two lanes make one queue. Events that are due now stand in a [ring](Ring), first in, first out; later ones stand in an
//! indexed heap, from which a timer is really removed. The next event is the smaller of the two fronts.
//!
//! A ring entry carries no time of its own. Posts come in *runs* of one time stamp, and a new run begins only when the
//! order could depend on it: when a timer may have become due since the last stamp. That saves reading the clock, which is the
//! dearest part of a post, and it keeps an entry at 48 bytes.
//!
//! Nothing here reads a clock or drops a user's value: times come in as arguments, entries go out by value.

use super::heap::{HeapId, TimerHeap};
use super::ring::{DEAD, PostIndex, Ring};
pub(crate) use super::ring::{Entry, Post};
use std::collections::VecDeque;

/// Posts that share a time stamp.
struct Run {
    /// Ring position of the first of them.
    start: u64,
    time: u64,
    /// The arrival order of the stamp: a timer with the same due time goes first if it was set before.
    order: u64,
}

/// A timer's event, linked with the other timers of its session.
struct Timer {
    entry: Post,
    links: Links,
}

/// The lane that has the next event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    Post,
    Timer,
    /// The generation is over.
    Nothing,
}

/// A waiting event, for inspection.
pub(crate) enum Waiting<'a> {
    /// A post, with its number among all posts.
    Post(u64, &'a Post),
    /// A timer, with its ID and due time.
    Timer(HeapId, u64, &'a Post),
}

impl<'a> Waiting<'a> {
    pub(crate) fn post(&self) -> &'a Post {
        match self {
            Waiting::Post(_, post) | Waiting::Timer(_, _, post) => post,
        }
    }
}

/// A timer that was taken out because it is due, and is still on its session's list.
pub(crate) struct Fired {
    links: Links,
}

/// The slots of a timer's neighbours on its session's list. They stay in the heap as long as the list has them.
#[derive(Clone, Copy)]
struct Links {
    next: u32,
    previous: u32,
}

/// No neighbour.
const NOBODY: u32 = u32::MAX;

/// A timer that was removed before it fired.
pub(crate) struct Removed {
    pub(crate) id: HeapId,
    pub(crate) due: u64,
    pub(crate) entry: Post,
}

/// The end of a slice: everything that was due when its queue phase began (law L6).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Generation {
    /// Ring position behind the last post of the generation.
    end: u64,
    /// Timers due before this time belong to it, and timers due at this time if they were set before it began.
    now: u64,
    /// The last arrival before it began.
    order: u64,
}

pub(crate) struct EventQueue {
    ring: Ring,
    /// There are purged entries, or more than one run: the one thing that is looked at before each event.
    untidy: bool,
    /// Purged entries that still stand in the ring.
    dead: usize,
    /// For the ends of many sessions while many events wait.
    index: PostIndex,
    /// The run that the next post joins …
    run: Run,
    /// … and those before it which still have posts.
    older: VecDeque<Run>,
    timers: TimerHeap<Timer>,
    /// Arrival counter over both lanes; moves with every timer and every run.
    order: u64,
    /// The number of timer serials given out.
    serial: u64,
    /// Due time of the first timer, or `u64::MAX`. Each post reads it.
    next_due: u64,
    /// The timer that was taken out last, for its span.
    #[cfg(feature = "spans")]
    fired: Option<HeapId>,
}

impl EventQueue {
    pub(crate) fn new() -> Self {
        EventQueue {
            ring: Ring::new(),
            untidy: false,
            #[cfg(feature = "spans")]
            fired: None,
            dead: 0,
            index: PostIndex::default(),
            run: Run {
                start: 0,
                time: 0,
                order: 0,
            },
            older: VecDeque::new(),
            timers: TimerHeap::new(),
            order: 0,
            serial: 0,
            next_due: u64::MAX,
        }
    }

    /// Returns the number of waiting events, timers included.
    pub(crate) fn len(&self) -> usize {
        self.ring.len() - self.dead + self.timers.len()
    }

    /// Returns the number of timers that are set.
    pub(crate) fn timer_count(&self) -> usize {
        self.timers.len()
    }

    /// Returns how many posts ever left the ring.
    pub(crate) fn dispatched(&self) -> u64 {
        self.ring.head()
    }

    /// Returns how many timers were ever set.
    pub(crate) fn timers_set(&self) -> u64 {
        self.serial
    }

    /// Returns the waiting posts, in order, with their numbers.
    pub(crate) fn numbered_posts(&self) -> impl Iterator<Item = (u64, &Post)> {
        let head = self.ring.head();
        (head..).zip(self.ring.from(head)).filter(|(_, post)| post.to != DEAD)
    }

    /// Returns the timers that are due first, in order.
    pub(crate) fn first_timers(&self, limit: usize) -> Vec<Waiting<'_>> {
        let first = self.timers.first(limit).into_iter();
        first.filter_map(|(due, id)| self.waiting_timer(due, id)).collect()
    }

    /// Returns the position behind the last post, for [`has_passed`](Self::has_passed) later.
    pub(crate) fn position(&self) -> u64 {
        self.ring.tail()
    }

    /// Whether everything that was posted before that position has left the ring.
    pub(crate) fn has_passed(&self, position: u64) -> bool {
        self.ring.head() >= position
    }

    /// Returns the positions behind the waiting posts to a session.
    pub(crate) fn positions_of(&self, session: u32) -> VecDeque<u64> {
        let head = self.ring.head();
        let posts = (head..).zip(self.ring.from(head));
        posts
            .filter(|(_, post)| post.to == session)
            .map(|(at, _)| at + 1)
            .collect()
    }

    /// Whether the post before that position waits, and is for that session.
    pub(crate) fn is_post_to(&self, position: u64, session: u32) -> bool {
        let post = self.ring.get(position.wrapping_sub(1));
        post.is_some_and(|post| post.to == session)
    }

    /// Removes the post before that position.
    #[must_use]
    pub(crate) fn take_post(&mut self, position: u64) -> Option<Entry> {
        let post = self
            .ring
            .get_mut(position.wrapping_sub(1))
            .filter(|post| post.to != DEAD)?;
        let post = std::mem::replace(post, Post::nothing());
        self.dead += 1;
        self.untidy = true;
        Some(post.into())
    }

    /// Returns the position behind the last post that was taken out.
    pub(crate) fn passed(&self) -> u64 {
        self.ring.head()
    }

    /// Returns the number of posts that wait.
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "for those who watch"))]
    pub(crate) fn post_count(&self) -> usize {
        self.ring.len() - self.dead
    }

    /// Whether a post waits, which is due already.
    #[inline]
    pub(crate) fn has_posts(&self) -> bool {
        self.ring.len() > self.dead
    }

    /// Returns when the first timer is due; `u64::MAX` without timers.
    #[inline]
    pub(crate) fn next_due(&self) -> u64 {
        self.next_due
    }

    /// Appends a post to the current run. Call [`stamp`](Self::stamp) first if a timer has become due.
    #[inline(always)]
    pub(crate) fn post(&mut self, post: Post) {
        self.ring.push(post);
    }

    /// Begins a new run at `now`, because a timer is due by then: later posts go behind it, earlier ones stay ahead of it.
    #[cold]
    pub(crate) fn stamp(&mut self, now: u64) {
        let start = self.ring.tail();
        self.order += 1;
        let run = Run {
            start,
            time: self.run.time.max(now),
            order: self.order,
        };
        let last = std::mem::replace(&mut self.run, run);
        if last.start != start {
            self.older.push_back(last);
            self.untidy = true;
        }
    }

    /// Dates the current run as late as possible, before a timer enters or moves.
    ///
    /// Its posts were made at an unknown time since its stamp. With the latest date, a timer that is overdue when it is set goes
    /// before them, one that is due just now goes behind them, and none that was pending when they were made changes its position.
    #[inline(always)]
    fn date_current_run(&mut self, now: u64) {
        self.run.time = self.run.time.max(now.min(self.next_due.saturating_sub(1)));
    }

    /// Sets a timer. `first` is the head of the session's list of timers, which the caller stores.
    #[inline(always)]
    pub(crate) fn set_timer(&mut self, first: &mut Option<HeapId>, entry: Post, due: u64, now: u64) -> HeapId {
        self.date_current_run(now);
        self.order += 1;
        self.serial += 1;
        let next = first.map_or(NOBODY, |id| id.slot);
        let id = self.timers.push(
            due,
            self.order,
            self.serial,
            Timer {
                entry,
                links: Links { next, previous: NOBODY },
            },
        );
        if let Some(timer) = self.timers.item_mut(next) {
            timer.links.previous = id.slot;
        }
        self.next_due = self.next_due.min(due);
        *first = Some(id);
        id
    }

    /// Returns the timer's due time and event.
    #[inline]
    pub(crate) fn timer(&self, id: HeapId) -> Option<(u64, &Post)> {
        self.timers.get(id).map(|(due, t)| (due, &t.entry))
    }

    /// Returns the slot of the session whose timer it is.
    #[inline(always)]
    pub(crate) fn timer_owner(&self, id: HeapId) -> Option<u32> {
        self.timers.item(id).map(|t| t.entry.to)
    }

    /// Moves a timer, which there must be. At its own due time it keeps its position; otherwise it goes behind its equals.
    #[inline(always)]
    pub(crate) fn set_due(&mut self, id: HeapId, due: u64, now: u64) {
        self.date_current_run(now);
        self.order += 1;
        self.timers.set_due(id.slot, due, self.order);
        self.next_due = self.timers.next_due();
    }

    #[inline(always)]
    pub(crate) fn remove_timer(&mut self, first: &mut Option<HeapId>, id: HeapId) -> Option<Removed> {
        let due = self.timers.unkey(id)?;
        self.next_due = self.timers.next_due();
        let Timer { entry, links } = self.timers.take(id.slot)?;
        self.unlink(first, links);
        Some(Removed { id, due, entry })
    }

    #[inline(always)]
    fn unlink(&mut self, first: &mut Option<HeapId>, links: Links) {
        if let Some(timer) = self.timers.item_mut(links.next) {
            timer.links.previous = links.previous;
        }
        match self.timers.item_mut(links.previous) {
            Some(timer) => timer.links.next = links.next,
            None => *first = self.timers.id_in(links.next),
        }
    }

    /// Returns the timers of a session in due order; `first` is the head of its list.
    pub(crate) fn timers_of(&self, first: Option<HeapId>) -> Vec<(HeapId, u64, &Post)> {
        let mut found = Vec::new();
        let mut at = first;
        while let Some(id) = at
            && let Some((due, timer)) = self.timers.get(id)
        {
            found.push((id, due, &timer.entry));
            at = self.timers.id_in(timer.links.next);
        }
        found.sort_by_key(|(id, due, _)| (*due, self.timers.order(*id)));
        found
    }

    /// Returns the generation that begins now: everything due is in this slice's queue phase.
    #[inline]
    pub(crate) fn generation(&self, now: u64) -> Generation {
        Generation {
            end: self.ring.tail(),
            now,
            order: self.order,
        }
    }

    /// Returns the lane of the next event of the generation.
    #[inline(always)]
    pub(crate) fn next(&mut self, generation: Generation) -> Next {
        if self.untidy {
            self.tidy();
        }
        // A post of the next generation, too, goes before a timer that was set behind it for this very instant.
        if self.next_due <= generation.now && self.is_timer_next(generation) {
            return Next::Timer;
        }
        // A generation ends where the ring did when it began, or before.
        match self.ring.head() < generation.end {
            true => Next::Post,
            false => Next::Nothing,
        }
    }

    /// The same at the beginning of a generation, with posts waiting and right after [`next`](Self::next).
    #[inline(always)]
    pub(crate) fn first(&mut self, generation: Generation) -> Next {
        match self.untidy || self.next_due <= generation.now {
            true => self.next(generation),
            false => Next::Post,
        }
    }

    /// Removes the first post, when it is [next](Self::next), and returns its place, from which the caller must take the argument.
    #[inline(always)]
    pub(crate) fn pass_post(&mut self) -> Option<&mut Post> {
        self.ring.pass()
    }

    /// Removes the first timer from the heap. It is still on its session's list: [`unlink_fired`](Self::unlink_fired) removes it.
    pub(crate) fn pop_timer(&mut self) -> Option<(Post, Fired)> {
        let (_, _id, timer) = self.timers.pop()?;
        #[cfg(feature = "spans")]
        {
            self.fired = Some(_id);
        }
        self.next_due = self.timers.next_due();
        Some((timer.entry, Fired { links: timer.links }))
    }

    /// Returns the timer that was taken out last, once.
    #[cfg(feature = "spans")]
    pub(crate) fn take_fired(&mut self) -> Option<HeapId> {
        self.fired.take()
    }

    /// Whether a timer is set.
    #[cfg(feature = "spans")]
    pub(crate) fn has_timer(&self, id: HeapId) -> bool {
        self.timers.get(id).is_some()
    }

    /// Removes a timer that has left the heap from its session's list, which begins at `first`.
    pub(crate) fn unlink_fired(&mut self, first: &mut Option<HeapId>, fired: &Fired) {
        self.unlink(first, fired.links);
    }

    /// Whether the first timer, which is due, belongs to the generation and goes before its posts.
    ///
    /// A timer that a handler sets for this very instant belongs to the next generation, like a post. Only a clock that stands still
    /// makes the difference.
    #[inline(never)]
    fn is_timer_next(&self, generation: Generation) -> bool {
        let belongs = self.next_due < generation.now
            || self
                .timers
                .next_key()
                .is_some_and(|(_, order)| order <= generation.order);
        belongs && (self.ring.is_empty() || self.timer_goes_first())
    }

    fn timer_goes_first(&self) -> bool {
        match (self.timers.next_key(), self.front_run()) {
            (Some(key), Some(run)) => key < (run.time, run.order),
            _ => false,
        }
    }

    /// Returns the run of the ring's front entry.
    fn front_run(&self) -> Option<&Run> {
        self.runs().take_while(|r| r.start <= self.ring.head()).last()
    }

    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.older.iter().chain([&self.run])
    }

    fn drop_old_runs(&mut self) {
        while self.runs().nth(1).is_some_and(|run| run.start <= self.ring.head()) {
            self.older.pop_front();
        }
        self.untidy = self.dead > 0 || !self.older.is_empty();
    }

    /// Removes purged entries from the front, and the stamps of posts that have left.
    #[cold]
    #[inline(never)]
    fn tidy(&mut self) {
        while self.ring.first().is_some_and(|e| e.to == DEAD) {
            self.ring.pass();
            self.dead -= 1;
        }
        self.drop_old_runs();
    }

    /// Removes every post to or from a session (law L9); timers are removed with [`remove_timer`](Self::remove_timer).
    ///
    /// Returns the entries so that the caller can release their references and drop their arguments.
    #[must_use]
    pub(crate) fn purge(&mut self, session: u32) -> Vec<Entry> {
        let mut out = Vec::new();
        let (head, length) = (self.ring.head(), self.ring.len());
        let mut bury = |entry: &mut Post| {
            if entry.to != DEAD && (entry.to == session || entry.from == session) {
                out.push(std::mem::replace(entry, Post::nothing()).into());
            }
        };
        if self.index.is_wanted(length) {
            let ring = &self.ring;
            self.index.update(head, length, |from| {
                let posts = (from..).zip(ring.from(from));
                posts
                    .filter(|(_, post)| post.to != DEAD)
                    .map(|(at, post)| (at, post.to, post.from))
            });
            for at in self.index.take(session) {
                self.ring.get_mut(at).map(&mut bury);
            }
        } else {
            for at in head..self.ring.tail() {
                self.ring.get_mut(at).map(&mut bury);
            }
        }
        self.dead += out.len();
        self.untidy |= !out.is_empty();
        out
    }

    /// Returns the waiting posts, in order.
    pub(crate) fn posts(&self) -> impl Iterator<Item = &Post> {
        self.ring.from(self.ring.head()).filter(|e| e.to != DEAD)
    }

    /// Returns everything that waits, in the order in which it would be dispatched if every timer were due.
    pub(crate) fn in_order(&self) -> Vec<Waiting<'_>> {
        let mut out = Vec::with_capacity(self.len());
        let mut timers = self.timers.sorted().into_iter().peekable();
        let mut runs = self.runs().peekable();
        let mut stamp = (0, 0);
        let head = self.ring.head();
        for (at, post) in (head..).zip(self.ring.from(head)) {
            while let Some(run) = runs.next_if(|run| run.start <= at) {
                stamp = (run.time, run.order);
            }
            let first = |due: u64, id: HeapId| self.timers.order(id).is_some_and(|order| (due, order) < stamp);
            while let Some((due, id)) = timers.next_if(|(due, id)| first(*due, *id)) {
                out.extend(self.waiting_timer(due, id));
            }
            if post.to != DEAD {
                out.push(Waiting::Post(at, post));
            }
        }
        out.extend(timers.filter_map(|(due, id)| self.waiting_timer(due, id)));
        out
    }

    fn waiting_timer(&self, due: u64, id: HeapId) -> Option<Waiting<'_>> {
        let (_, timer) = self.timers.get(id)?;
        Some(Waiting::Timer(id, due, &timer.entry))
    }

    /// Returns the bytes of memory that the lanes use.
    pub(crate) fn memory_size(&self) -> usize {
        self.ring.capacity() * size_of::<Post>() + self.timers.len() * size_of::<Timer>()
    }

    /// Removes everything that is left, for the end of a kernel.
    #[must_use]
    pub(crate) fn drain(&mut self) -> Vec<Entry> {
        let mut out: Vec<_> = self
            .timers
            .drain_where(|_| true)
            .into_iter()
            .map(|(_, _, t)| t.entry.into())
            .collect();
        while !self.ring.is_empty()
            && let Some(post) = self.ring.pass()
        {
            let post = std::mem::replace(post, Post::nothing());
            if post.to != DEAD {
                out.push(post.into());
            }
        }
        self.dead = 0;
        self.next_due = u64::MAX;
        self.drop_old_runs();
        out
    }
}

impl Drop for EventQueue {
    fn drop(&mut self) {
        drop(self.drain());
    }
}
