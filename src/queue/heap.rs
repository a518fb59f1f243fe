//! The lane of the event queue for what is due later: a heap that can also forget.
//!
//! An item goes in with the time it is due and its order of arrival, and comes out earliest first;
//! among equals the one that arrived first goes first. [`HeapId`] names it in between, to look at
//! it, to move it, or to take it out. The queue calls this module; nothing here reads a clock, and
//! nothing here runs or drops an item: whatever leaves the heap is returned.
//!
//! The layout is made for the cache. A key is one `u128`: due time, a 32-bit sequence, slot. One
//! comparison orders two keys, and the four children of a node fill one cache line. The items stand
//! still in a table of slots beside the heap, with a table that tells where in the heap each slot's
//! key is, so that removing or moving an item is a sift of a level or two and leaves no tombstone.
//!
//! What it trades away: the sequence has 32 bits where an order of arrival has 64, so that about
//! every four thousand million arrivals the keys are numbered anew, which costs one sort; and as an
//! id holds its slot, an item cannot be moved down the table of slots, so that one that stays in a
//! high slot keeps the memory below it.

use std::num::NonZeroU64;

/// Items by due time, then by order of arrival, each within reach by its id.
///
/// Time is in nanoseconds since an origin that the caller chooses.
pub(crate) struct TimerHeap<T> {
    /// The keys, as a 4-ary heap in which the root is the last lane of the first line (see
    /// [`ROOT`]). The lanes without a key hold [`NO_KEY`], which is greater than any key, so that a
    /// line's four lanes can be compared without asking how many are filled.
    lines: Vec<Line>,
    /// The number of keys, and of filled slots.
    len: usize,
    /// The items. An id is a slot here and the serial in it, which is not used twice.
    slots: Vec<Slot<T>>,
    /// As long as `slots`. For a filled slot, the place of its key among the lanes; for a vacant
    /// one, the next vacant slot in the same half of the table.
    links: Vec<u32>,
    /// Where the upper half of `slots` begins. It is set when the table grows, when no slot is
    /// vacant, and when it is trimmed.
    split: usize,
    /// The vacant slots of the lower and of the upper half. Items go to the lower half first, so
    /// that the upper one falls vacant in the end, even if there never is a moment without items,
    /// and can be given back.
    vacant: [Vacant; 2],
    /// The order of arrival for which a key's sequence is 0. It rises when the keys are numbered
    /// anew.
    base: u64,
}

/// Names one item of one heap. The serial is never given twice, so that a stale id finds nothing,
/// not another item.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct HeapId {
    pub(crate) serial: NonZeroU64,
    pub(crate) slot: u32,
}

impl HeapId {
    #[cfg(test)]
    /// The serial that the caller of [`TimerHeap::push`] gave to the item.
    #[inline]
    pub(crate) fn serial(self) -> u64 {
        self.serial.get()
    }
}

impl<T> TimerHeap<T> {
    /// Makes an empty heap, which has no memory yet.
    pub(crate) fn new() -> Self {
        Self {
            lines: Vec::new(),
            len: 0,
            slots: Vec::new(),
            links: Vec::new(),
            split: 0,
            vacant: [Vacant::NONE; 2],
            base: 0,
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// When the earliest item is due. The kernel asks this for every event, so it touches the root
    /// and nothing else.
    #[inline]
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.root().map(due_of)
    }

    /// The due time and the order of arrival of the earliest item, to compare with the front of
    /// another lane.
    #[inline]
    pub(crate) fn next_key(&self) -> Option<(u64, u64)> {
        let key = self.root()?;
        Some((due_of(key), self.slots[slot_of(key)].order))
    }

    /// Puts an item in.
    ///
    /// `order` must be greater than any that was given to this heap before, here or to
    /// [`set_due`](Self::set_due); a smaller one is not found out, it only goes to a wrong place
    /// among equals. `serial` must not be zero, and must not have been used before.
    #[inline(always)]
    pub(crate) fn push(&mut self, due: u64, order: u64, serial: u64, item: T) -> HeapId {
        let serial = NonZeroU64::new(serial).expect("a serial is not zero");
        let sequence = self.sequence(order);
        let slot = self.fill_slot(Slot {
            serial,
            order,
            item: Some(item),
        });
        let place = self.len + ROOT;
        if place / LANES == self.lines.len() {
            self.lines.push(Line::EMPTY);
        }
        self.len += 1;
        self.sift_up(place, pack(due, sequence, slot));
        HeapId { serial, slot }
    }

    /// Takes the earliest item out.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(u64, HeapId, T)> {
        let key = self.root()?;
        let slot = &mut self.slots[slot_of(key)];
        let id = HeapId {
            serial: slot.serial,
            slot: key as u32,
        };
        let item = slot.item.take()?;
        let last = self.take_last();
        if self.len > 0 {
            self.sift_down(ROOT, last);
        }
        self.vacate(id.slot);
        Some((due_of(key), id, item))
    }

    #[cfg(test)]
    /// The earliest item, left where it is.
    #[inline]
    pub(crate) fn peek(&self) -> Option<(u64, HeapId, &T)> {
        self.root().and_then(|key| self.read(key))
    }

    /// When an item is due, and the item. The id of one that has left finds nothing.
    #[inline]
    pub(crate) fn get(&self, id: HeapId) -> Option<(u64, &T)> {
        let slot = self.slots.get(id.slot as usize)?;
        if slot.serial != id.serial {
            return None;
        }
        let item = slot.item.as_ref()?;
        Some((due_of(self.key(self.place_of(id.slot))), item))
    }

    /// The order of arrival of a filled slot's item: what it goes by among those due at one time.
    pub(crate) fn order(&self, id: HeapId) -> Option<u64> {
        self.slots
            .get(id.slot as usize)
            .filter(|s| s.serial == id.serial)
            .map(|s| s.order)
    }

    /// The item of a filled slot, by a caller who knows that the slot has not changed hands. The due time is not changed
    /// through this but by [`set_due`](Self::set_due).
    #[inline]
    pub(crate) fn item_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.item.as_mut()
    }

    /// The id of what is in a filled slot.
    #[inline]
    pub(crate) fn id_in(&self, slot: u32) -> Option<HeapId> {
        let filled = self.slots.get(slot as usize).filter(|s| s.item.is_some())?;
        Some(HeapId {
            serial: filled.serial,
            slot,
        })
    }

    /// Takes one item out, wherever it is.
    #[inline(always)]
    pub(crate) fn remove(&mut self, id: HeapId) -> Option<(u64, T)> {
        let due = self.unkey(id)?;
        let item = self.slots[id.slot as usize].item.take()?;
        self.vacate(id.slot);
        Some((due, item))
    }

    /// Takes an item's key out of the heap, and leaves the item in its slot: it is moved once, at the very end.
    fn unkey(&mut self, id: HeapId) -> Option<u64> {
        let slot = self.slots.get(id.slot as usize)?;
        if slot.serial != id.serial || slot.item.is_none() {
            return None;
        }
        let place = self.place_of(id.slot);
        let key = self.key(place);
        let last = self.take_last();
        if last != key {
            self.sift(place, last);
        }
        Some(due_of(key))
    }

    /// Moves an item to another time, where it goes behind its equals as if it had arrived now. An
    /// item that is due at that time already keeps its place among its equals, and `order` is not
    /// used. The answer is whether there is such an item.
    #[inline]
    pub(crate) fn set_due(&mut self, id: HeapId, due: u64, order: u64) -> bool {
        match self.get(id) {
            None => return false,
            Some((now, _)) if now == due => return true,
            Some(_) => {}
        }
        // Numbering anew may move the key: its place is asked for after this.
        let sequence = self.sequence(order);
        self.slots[id.slot as usize].order = order;
        self.sift(self.place_of(id.slot), pack(due, sequence, id.slot));
        true
    }

    #[cfg(test)]
    /// All items, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, HeapId, &T)> {
        self.keys().filter_map(|key| self.read(key))
    }

    /// All items' times and ids, in the order in which they would be popped.
    pub(crate) fn sorted(&self) -> Vec<(u64, HeapId)> {
        let mut keys: Vec<u128> = self.keys().collect();
        keys.sort_unstable();
        keys.into_iter().map(|key| (due_of(key), self.id_of(key))).collect()
    }

    /// Takes out the items for which `f` says so, and returns them in the order in which they would
    /// have been popped.
    ///
    /// `f` sees the items in no particular order. All of them are asked before the first is taken
    /// out: should `f` panic, the heap is as it was.
    pub(crate) fn drain_where(&mut self, mut f: impl FnMut(&T) -> bool) -> Vec<(u64, HeapId, T)> {
        let mut keys: Vec<u128> = self
            .keys()
            .filter(|&key| self.read(key).is_some_and(|(_, _, item)| f(item)))
            .collect();
        keys.sort_unstable();
        // The latest is taken out first, as it is near the leaves and little has to move.
        let mut drained = Vec::with_capacity(keys.len());
        while let Some(key) = keys.pop() {
            let id = self.id_of(key);
            drained.extend(self.remove(id).map(|(due, item)| (due, id, item)));
        }
        drained.reverse();
        drained
    }
}

// Keys and their places.
impl<T> TimerHeap<T> {
    #[inline]
    fn root(&self) -> Option<u128> {
        // The first line outlives its keys, so the length does not follow from it.
        if self.len == 0 { None } else { Some(self.key(ROOT)) }
    }

    #[inline]
    fn key(&self, place: usize) -> u128 {
        self.lines[place / LANES].0[place % LANES]
    }

    #[inline]
    fn place_of(&self, slot: u32) -> usize {
        self.links[slot as usize] as usize
    }

    #[inline]
    fn id_of(&self, key: u128) -> HeapId {
        HeapId {
            serial: self.slots[slot_of(key)].serial,
            slot: key as u32,
        }
    }

    #[inline]
    fn read(&self, key: u128) -> Option<(u64, HeapId, &T)> {
        let slot = &self.slots[slot_of(key)];
        let id = HeapId {
            serial: slot.serial,
            slot: key as u32,
        };
        slot.item.as_ref().map(|item| (due_of(key), id, item))
    }

    fn keys(&self) -> impl Iterator<Item = u128> {
        self.lines.iter().flat_map(|line| line.0).filter(|&key| key != NO_KEY)
    }

    #[inline]
    fn set_key(&mut self, place: usize, key: u128) {
        self.lines[place / LANES].0[place % LANES] = key;
        self.links[slot_of(key)] = place as u32;
    }

    /// Puts a key at a place whose own key is gone, or further up or down.
    #[inline]
    fn sift(&mut self, place: usize, key: u128) {
        if place > ROOT && key < self.key(parent(place)) {
            self.sift_up(place, key);
        } else {
            self.sift_down(place, key);
        }
    }

    #[inline]
    fn sift_up(&mut self, mut place: usize, key: u128) {
        while place > ROOT {
            let above = parent(place);
            let other = self.key(above);
            if other <= key {
                break;
            }
            self.set_key(place, other);
            place = above;
        }
        self.set_key(place, key);
    }

    #[inline]
    fn sift_down(&mut self, mut place: usize, key: u128) {
        // Past the last line there are no children, and in it the lanes without a key stop the
        // descent by themselves.
        while let Some(Line(lanes)) = self.lines.get(child_line(place)) {
            let low = usize::from(lanes[1] < lanes[0]);
            let high = 2 + usize::from(lanes[3] < lanes[2]);
            let lane = if lanes[high] < lanes[low] { high } else { low };
            let other = lanes[lane];
            if other >= key {
                break;
            }
            self.set_key(place, other);
            place = child_line(place) * LANES + lane;
        }
        self.set_key(place, key);
    }

    /// Takes away the last leaf, which the caller is to put where a key is gone, unless it is that
    /// key itself.
    #[inline]
    fn take_last(&mut self) -> u128 {
        self.len -= 1;
        let place = self.len + ROOT;
        let lane = &mut self.lines[place / LANES].0[place % LANES];
        let key = std::mem::replace(lane, NO_KEY);
        // The first line stays, though the first lanes of it are never used.
        self.lines.truncate((place + ROOT) / LANES);
        key
    }

    /// The 32 bits that stand for an order of arrival in a key.
    #[inline]
    fn sequence(&mut self, order: u64) -> u32 {
        u32::try_from(order.wrapping_sub(self.base)).unwrap_or_else(|_| self.renumber(order))
    }

    /// Numbers the keys from 0 in the order in which they stand, and returns the next number, for
    /// `order`.
    #[cold]
    fn renumber(&mut self, order: u64) -> u32 {
        let mut keys: Vec<u128> = self.keys().collect();
        keys.sort_unstable();
        // Sorted keys are a heap.
        for (rank, key) in keys.into_iter().enumerate() {
            self.set_key(rank + ROOT, pack(due_of(key), rank as u32, key as u32));
        }
        self.base = order.wrapping_sub(self.len as u64);
        self.len as u32
    }
}

// Slots.
impl<T> TimerHeap<T> {
    #[inline(always)]
    fn fill_slot(&mut self, slot: Slot<T>) -> u32 {
        let half = usize::from(self.vacant[LOWER].first == NO_SLOT);
        let vacant = &mut self.vacant[half];
        let index = vacant.first;
        if index == NO_SLOT {
            return self.add_slot(slot);
        }
        vacant.first = self.links[index as usize];
        vacant.count -= 1;
        // What was there is an empty slot, so nothing is dropped that could run code.
        self.slots[index as usize] = slot;
        index
    }

    fn add_slot(&mut self, slot: Slot<T>) -> u32 {
        let index = self.slots.len();
        // Both slots and places are kept in 32 bits, and the places begin at 3.
        assert!(index < NO_SLOT as usize - LANES, "a heap has room for no more items");
        self.slots.push(slot);
        self.links.push(NO_SLOT);
        // The halves may change here, and only here and in `trim`, because no slot is vacant.
        self.split = self.slots.len() / 2;
        index as u32
    }

    /// Takes back a slot whose item and key are gone.
    #[inline]
    fn vacate(&mut self, slot: u32) {
        let half = usize::from(slot as usize >= self.split);
        let vacant = &mut self.vacant[half];
        self.links[slot as usize] = vacant.first;
        vacant.first = slot;
        vacant.count += 1;
        if self.vacant[UPPER].count == self.slots.len() - self.split && self.slots.len() >= 2 * KEPT_SLOTS {
            self.trim();
        }
    }

    /// Gives back the upper half of the table of slots, which is vacant, and as much of the lower
    /// one as is.
    ///
    /// The calls until the table has to grow or can be trimmed again are in proportion to its
    /// length, so that a call costs the same however long it is, if not every single one.
    #[cold]
    fn trim(&mut self) {
        let filled = self.slots[..self.split]
            .iter()
            .rposition(|slot| slot.item.is_some())
            .map_or(0, |last| last + 1);
        let kept = filled.max(KEPT_SLOTS);
        self.slots.truncate(kept);
        self.links.truncate(kept);
        // Room to grow remains, so that a heap that shrinks and grows by turns does not allocate at
        // each of them.
        self.slots.shrink_to(2 * kept);
        self.links.shrink_to(2 * kept);
        self.lines.shrink_to(2 * kept / LANES + 1);

        self.split = kept / 2;
        self.vacant = [Vacant::NONE; 2];
        for index in (0..kept).rev().filter(|&index| self.slots[index].item.is_none()) {
            let vacant = &mut self.vacant[usize::from(index >= self.split)];
            self.links[index] = vacant.first;
            vacant.first = index as u32;
            vacant.count += 1;
        }
    }
}

/// One item. A vacant slot has none, and keeps the serial of the last one.
struct Slot<T> {
    serial: NonZeroU64,
    /// The order of arrival in full, of which the key has 32 bits.
    order: u64,
    item: Option<T>,
}

/// Four keys, in one cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u128; LANES]);

impl Line {
    const EMPTY: Line = Line([NO_KEY; LANES]);
}

/// A chain of vacant slots through `links`.
#[derive(Clone, Copy)]
struct Vacant {
    first: u32,
    count: usize,
}

impl Vacant {
    const NONE: Vacant = Vacant {
        first: NO_SLOT,
        count: 0,
    };
}

#[inline]
fn pack(due: u64, sequence: u32, slot: u32) -> u128 {
    u128::from(due) << 64 | u128::from(sequence) << 32 | u128::from(slot)
}

#[inline]
fn due_of(key: u128) -> u64 {
    (key >> 64) as u64
}

#[inline]
fn slot_of(key: u128) -> usize {
    key as u32 as usize
}

#[inline]
fn parent(place: usize) -> usize {
    place / LANES + 2
}

#[inline]
fn child_line(place: usize) -> usize {
    place - 2
}

/// Children of a node, and keys in a line.
const LANES: usize = 4;

/// The place of the root. A place is a lane counted from the start of the first line; with the root
/// in lane 3, the children of the node at place p are exactly line p - 2.
const ROOT: usize = 3;

/// No key is as great, because no slot has this number.
const NO_KEY: u128 = u128::MAX;

/// The end of a chain of vacant slots.
const NO_SLOT: u32 = u32::MAX;

/// A table of slots that is less than twice as long is not trimmed.
const KEPT_SLOTS: usize = 1024;

/// Indices of [`TimerHeap::vacant`].
const LOWER: usize = 0;
const UPPER: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A heap and what a plain list says should be in it.
    struct Pair {
        heap: TimerHeap<u64>,
        /// Due time, order of arrival, id; the item is the serial.
        list: Vec<(u64, u64, HeapId)>,
        order: u64,
        serial: u64,
        gone: Vec<HeapId>,
    }

    impl Pair {
        fn new(order: u64) -> Pair {
            Pair {
                heap: TimerHeap::new(),
                list: Vec::new(),
                order,
                serial: 0,
                gone: Vec::new(),
            }
        }

        fn push(&mut self, due: u64) {
            self.order += 1;
            self.serial += 1;
            let id = self.heap.push(due, self.order, self.serial, self.serial);
            assert_eq!(id.serial(), self.serial);
            self.list.push((due, self.order, id));
        }

        fn pick(&self, n: usize) -> Option<usize> {
            (!self.list.is_empty()).then(|| n % self.list.len())
        }

        fn sort(&mut self) {
            self.list.sort_by_key(|&(due, order, _)| (due, order));
        }

        fn apply(&mut self, step: Step) {
            match step {
                Step::Push(due) => self.push(due),
                Step::Pop => {
                    self.sort();
                    let first = (!self.list.is_empty()).then(|| self.list.remove(0));
                    assert_eq!(self.heap.pop(), first.map(|(due, _, id)| (due, id, id.serial())));
                    self.gone.extend(first.map(|(_, _, id)| id));
                }
                Step::Remove(n) => {
                    let Some(n) = self.pick(n) else { return };
                    let (due, _, id) = self.list.swap_remove(n);
                    assert_eq!(self.heap.remove(id), Some((due, id.serial())));
                    self.gone.push(id);
                }
                Step::SetDue(n, due) => {
                    let Some(n) = self.pick(n) else { return };
                    self.order += 1;
                    let entry = &mut self.list[n];
                    assert!(self.heap.set_due(entry.2, due, self.order));
                    if entry.0 != due {
                        (entry.0, entry.1) = (due, self.order);
                    }
                }
                Step::DrainWhere(m) => {
                    self.sort();
                    let drained: Vec<_> = self.list.extract_if(.., |entry| entry.2.serial() % m == 0).collect();
                    let expected: Vec<_> = drained.iter().map(|&(due, _, id)| (due, id, id.serial())).collect();
                    assert_eq!(self.heap.drain_where(|serial| serial % m == 0), expected);
                    self.gone.extend(drained.into_iter().map(|(_, _, id)| id));
                }
                Step::Wait(orders) => self.order += orders,
            }
        }

        fn check(&mut self) {
            self.sort();
            let (heap, list) = (&mut self.heap, &self.list);
            let first = list.first();
            assert_eq!((heap.len(), heap.is_empty()), (list.len(), list.is_empty()));
            assert_eq!(heap.next_due(), first.map(|entry| entry.0));
            assert_eq!(heap.next_key(), first.map(|entry| (entry.0, entry.1)));
            assert_eq!(
                heap.peek().map(|(due, id, _)| (due, id)),
                first.map(|entry| (entry.0, entry.2))
            );
            assert_eq!(
                heap.sorted(),
                list.iter().map(|&(due, _, id)| (due, id)).collect::<Vec<_>>()
            );
            let mut all: Vec<_> = heap.iter().map(|(due, id, &item)| (due, id.serial(), item)).collect();
            all.sort_unstable();
            let mut expected: Vec<_> = list.iter().map(|e| (e.0, e.2.serial(), e.2.serial())).collect();
            expected.sort_unstable();
            assert_eq!(all, expected);
            for &(due, _, id) in list {
                assert_eq!(heap.get(id), Some((due, &id.serial())));
                assert_eq!(heap.item_mut(id.slot), Some(&mut id.serial()));
                assert_eq!(heap.id_in(id.slot), Some(id));
            }
            for &id in &self.gone {
                assert_eq!(heap.get(id), None);
                assert_eq!(heap.remove(id), None);
                assert!(!heap.set_due(id, 0, u64::MAX));
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(u64),
        Pop,
        Remove(usize),
        SetDue(usize, u64),
        DrainWhere(u64),
        Wait(u64),
    }

    /// Few times, so that there are many equals, and both ends of the scale.
    fn time() -> impl Strategy<Value = u64> {
        prop_oneof![8 => 0..6u64, 4 => 0..1000u64, 1 => Just(u64::MAX)]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            12 => time().prop_map(Step::Push),
            4 => Just(Step::Pop),
            4 => any::<usize>().prop_map(Step::Remove),
            6 => (any::<usize>(), time()).prop_map(|(n, due)| Step::SetDue(n, due)),
            1 => (1..7u64).prop_map(Step::DrainWhere),
            1 => (1..u64::from(u32::MAX)).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// The sequence is 32 bits of the order, so an order shortly before that is where the wrap
        /// is near.
        #[test]
        fn it_does_what_a_sorted_list_does(
            before in prop_oneof![Just(u64::from(u32::MAX)), 60..200u64],
            steps in prop::collection::vec(step(), 1..200),
        ) {
            let mut pair = Pair::new(u64::from(u32::MAX) - before);
            for step in steps {
                pair.apply(step);
                pair.check();
            }
            while !pair.heap.is_empty() {
                pair.apply(Step::Pop);
            }
            prop_assert!(pair.list.is_empty());
        }
    }

    #[test]
    fn equals_stay_in_order_of_arrival_when_the_sequence_wraps() {
        let mut pair = Pair::new(u64::from(u32::MAX) - 50);
        for n in 0..100 {
            pair.push(n % 3);
        }
        assert!(pair.heap.base > 0, "the keys were not numbered anew");
        pair.check();
    }

    #[test]
    fn the_same_time_again_keeps_the_place_among_equals() {
        let mut heap = TimerHeap::new();
        let first = heap.push(5, 1, 1, 'a');
        let second = heap.push(5, 2, 2, 'b');
        assert!(heap.set_due(first, 5, 3));
        assert_eq!(heap.next_key(), Some((5, 1)));
        assert!(heap.set_due(first, 6, 4) && heap.set_due(first, 5, 5));
        assert_eq!(heap.sorted(), [(5, second), (5, first)]);
    }

    #[test]
    fn a_panic_while_choosing_takes_nothing_out() {
        let mut pair = Pair::new(0);
        (0..50).for_each(|due| pair.push(due));
        let heap = &mut pair.heap;
        let choose = std::panic::AssertUnwindSafe(|| heap.drain_where(|&n| if n == 40 { panic!("no") } else { true }));
        assert!(std::panic::catch_unwind(choose).is_err());
        pair.check();
    }

    fn capacities<T>(heap: &TimerHeap<T>) -> [usize; 3] {
        [heap.lines.capacity(), heap.links.capacity(), heap.slots.capacity()]
    }

    #[test]
    fn setting_and_cancelling_takes_no_memory() {
        let mut pair = Pair::new(0);
        (0..100).for_each(|due| pair.push(due));
        let heap = &mut pair.heap;
        let before = capacities(heap);
        for n in 101..=1_000_100 {
            let id = heap.push(n % 1000, n, n, n);
            assert!(heap.remove(id).is_some());
        }
        assert_eq!(capacities(heap), before);
        pair.check();
    }

    #[test]
    fn memory_is_given_back_after_a_rush_though_an_item_is_always_there() {
        let mut heap = TimerHeap::new();
        let mut numbers = 1..;
        let mut push = |heap: &mut TimerHeap<()>, due| {
            let n = numbers.next().unwrap();
            heap.push(due, n, n, ());
        };
        for rush in 0..3 {
            // They fall due in another order than that of their slots.
            (0..50_000).for_each(|n| push(&mut heap, rush * 1_000_000 + n * 7919 % 50_000));
            while heap.len() > 1 {
                heap.pop();
            }
            // A timer that is set again whenever it fires.
            for n in 0..50_000 {
                push(&mut heap, rush * 1_000_000 + 500_000 + n);
                heap.pop();
            }
            assert!(capacities(&heap).iter().all(|&items| items <= 2 * KEPT_SLOTS));
        }
    }
    #[test]
    fn ids_name_the_same_items_when_memory_was_given_back() {
        let mut pair = Pair::new(0);
        for few in [40, 0, 7] {
            (0..6000).for_each(|n| pair.push(n * 7919 % 1000));
            pair.list.sort_by_key(|&(_, _, id)| id.slot);
            while pair.list.len() > few {
                let above = pair.list.len() - few;
                pair.apply(Step::Remove(few + above * 13 / 17));
            }
            pair.check();
            (0..2500).for_each(|n| pair.push(n % 100));
            pair.check();
            assert!(pair.heap.slots.len() < 6000, "no memory was given back");
        }
    }
}
