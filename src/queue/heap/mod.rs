//! The timers' lane of the event queue: an indexed heap from which items can be removed.
//!
//! An item enters with its due time and its order of arrival, and leaves earliest first;
//! among equals the one that arrived first leaves first. A [`HeapId`] names it in between, to look at
//! it, to move it, or to remove it. The queue calls this module; nothing here reads a clock, and
//! nothing here runs or drops an item: every removed item is returned.
//!
//! The layout is made for the cache. A key is one `u128`: due time, a 32-bit sequence, slot. One
//! comparison orders two keys, and the four children of a node fill one cache line. The items stay
//! in place in a table of slots beside the heap, with a table of the position of each slot's
//! key, so that removing or moving an item is a sift of a level or two and leaves no tombstone.
//!
//! The price: the sequence has 32 bits where an order of arrival has 64, so about
//! every four thousand million arrivals the keys are numbered anew, which costs one sort; and as an
//! ID holds its slot, an item cannot be moved down the table of slots, so one that stays in a
//! high slot keeps the memory below it.

#[cfg(test)]
mod tests;

use std::num::NonZeroU64;

/// Items by due time, then by order of arrival, each reachable by its ID.
///
/// Time is in nanoseconds since an origin that the caller chooses.
pub(crate) struct TimerHeap<T> {
    /// The keys, as a 4-ary heap in which the root is the last lane of the first line (see
    /// [`ROOT`]). The lanes without a key hold `NO_KEY`, which is greater than any key, so that a
    /// line's four lanes can be compared without asking how many are filled.
    lines: Vec<Line>,
    /// The number of keys, and of filled slots.
    len: usize,
    /// The items. An ID is a slot here and the serial in it, which is never used twice.
    slots: Vec<Slot<T>>,
    /// As long as `slots`. For a filled slot, the position of its key among the lanes; for a vacant
    /// one, the next vacant slot in the same half of the table.
    links: Vec<u32>,
    /// Where the upper half of `slots` begins. It is set when the table grows, when no slot is
    /// vacant, and when it is trimmed.
    split: usize,
    /// How many slots the upper half has, if they are worth giving back when all of them are vacant; else `usize::MAX`.
    spare: usize,
    /// The vacant slots of the lower and of the upper half. Items go to the lower half first, so
    /// that the upper one falls vacant in the end, even if there never is a moment without items,
    /// and its memory can be given back.
    vacant: [Vacant; 2],
    /// The order of arrival for which a key's sequence is 0. It rises when the keys are numbered
    /// anew.
    base: u64,
}

/// Names one item of one heap. Serials are never reused, so that a stale ID finds nothing
/// and not another item.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct HeapId {
    pub(crate) serial: NonZeroU64,
    pub(crate) slot: u32,
}

impl HeapId {
    #[cfg(test)]
    /// Returns the serial that the caller of [`TimerHeap::push`] gave to the item.
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
            spare: usize::MAX,
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

    /// Returns when the earliest item is due; `u64::MAX` without items, because lanes without a key hold the greatest one.
    #[inline]
    pub(crate) fn next_due(&self) -> u64 {
        self.lines.first().map_or(u64::MAX, |line| due_of(line.0[ROOT]))
    }

    /// Returns an item without asking when it is due.
    #[inline]
    pub(crate) fn item(&self, id: HeapId) -> Option<&T> {
        let slot = self.slots.get(id.slot as usize)?;
        match slot.serial == id.serial {
            true => slot.item.as_ref(),
            false => None,
        }
    }

    /// Returns the due time and the order of arrival of the earliest item, to compare with the front of
    /// another lane.
    #[inline]
    pub(crate) fn next_key(&self) -> Option<(u64, u64)> {
        let key = self.root()?;
        Some((due_of(key), self.slots[slot_of(key)].order))
    }

    /// Adds an item.
    ///
    /// `order` must be greater than any that was given to this heap before, here or to
    /// [`set_due`](Self::set_due); a smaller one is not detected, it only takes a wrong position
    /// among equals. `serial` must not be zero, and must not have been used before.
    #[inline(always)]
    pub(crate) fn push(&mut self, due: u64, order: u64, serial: u64, item: T) -> HeapId {
        let serial = NonZeroU64::new(serial).expect("a serial is not zero");
        let sequence = self.sequence(order);
        let slot = self.vacant_slot();
        // In its place, field by field: a whole slot would be built elsewhere and copied.
        let place = &mut self.slots[slot as usize];
        place.serial = serial;
        place.order = order;
        place.item = Some(item);
        let position = self.len + ROOT;
        if position / LANES == self.lines.len() {
            self.lines.push(Line::EMPTY);
        }
        self.len += 1;
        self.sift_up(position, pack(due, sequence, slot));
        HeapId { serial, slot }
    }

    /// Removes the earliest item.
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
    /// Returns the earliest item and leaves it in the heap.
    #[inline]
    pub(crate) fn peek(&self) -> Option<(u64, HeapId, &T)> {
        self.root().and_then(|key| self.read(key))
    }

    /// Returns when an item is due, and the item; `None` for the ID of an item that has left.
    #[inline]
    pub(crate) fn get(&self, id: HeapId) -> Option<(u64, &T)> {
        let slot = self.slots.get(id.slot as usize)?;
        if slot.serial != id.serial {
            return None;
        }
        let item = slot.item.as_ref()?;
        Some((due_of(self.key(self.position_of(id.slot))), item))
    }

    /// Returns the order of arrival of an item, which orders items that are due at one time.
    pub(crate) fn order(&self, id: HeapId) -> Option<u64> {
        self.slots
            .get(id.slot as usize)
            .filter(|s| s.serial == id.serial)
            .map(|s| s.order)
    }

    /// Returns the item of a filled slot, for a caller that knows that the slot still holds the same item.
    ///
    /// The due time is changed with [`set_due`](Self::set_due) only.
    #[inline]
    pub(crate) fn item_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.item.as_mut()
    }

    /// Returns the ID of the item in a filled slot.
    #[inline]
    pub(crate) fn id_in(&self, slot: u32) -> Option<HeapId> {
        let filled = self.slots.get(slot as usize).filter(|s| s.item.is_some())?;
        Some(HeapId {
            serial: filled.serial,
            slot,
        })
    }

    /// Removes one item at any position.
    #[inline(always)]
    pub(crate) fn remove(&mut self, id: HeapId) -> Option<(u64, T)> {
        let due = self.unkey(id)?;
        Some((due, self.take(id.slot)?))
    }

    /// Takes an item whose key is gone out of its slot.
    #[inline(always)]
    pub(crate) fn take(&mut self, slot: u32) -> Option<T> {
        let item = self.slots[slot as usize].item.take()?;
        self.vacate(slot);
        Some(item)
    }

    /// Removes an item's key from the heap, and leaves the item in its slot until it is [taken](Self::take): it is moved once, at
    /// the very end. Returns when it was due.
    #[inline(always)]
    pub(crate) fn unkey(&mut self, id: HeapId) -> Option<u64> {
        let slot = self.slots.get(id.slot as usize)?;
        if slot.serial != id.serial || slot.item.is_none() {
            return None;
        }
        let position = self.position_of(id.slot);
        let key = self.key(position);
        let last = self.take_last();
        if last != key {
            self.sift(position, last);
        }
        Some(due_of(key))
    }

    /// Moves the item of a filled slot to another time, behind its equals as if it had arrived now.
    ///
    /// An item that is due at that time already keeps its position among its equals, and `order` is not
    /// used.
    #[inline(always)]
    pub(crate) fn set_due(&mut self, slot: u32, due: u64, order: u64) {
        if due_of(self.key(self.position_of(slot))) == due {
            return;
        }
        // Numbering anew may move the key: its position is read after this.
        let sequence = self.sequence(order);
        self.slots[slot as usize].order = order;
        self.sift(self.position_of(slot), pack(due, sequence, slot));
    }

    #[cfg(test)]
    /// Returns all items, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, HeapId, &T)> {
        self.keys().filter_map(|key| self.read(key))
    }

    /// Returns all items' times and IDs, in the order in which they would be popped.
    pub(crate) fn sorted(&self) -> Vec<(u64, HeapId)> {
        self.first(usize::MAX)
    }

    /// Returns the first items in the order in which they would be popped. It looks at every key, and sorts only those.
    pub(crate) fn first(&self, limit: usize) -> Vec<(u64, HeapId)> {
        let mut keys: Vec<u128> = self.keys().collect();
        if limit < keys.len() {
            keys.select_nth_unstable(limit);
            keys.truncate(limit);
        }
        keys.sort_unstable();
        keys.into_iter().map(|key| (due_of(key), self.id_of(key))).collect()
    }

    /// Removes the items for which `f` returns true, and returns them in the order in which they would
    /// have been popped.
    ///
    /// `f` sees the items in no particular order, all of them before the first is removed:
    /// should `f` panic, the heap is unchanged.
    pub(crate) fn drain_where(&mut self, mut f: impl FnMut(&T) -> bool) -> Vec<(u64, HeapId, T)> {
        let mut keys: Vec<u128> = self
            .keys()
            .filter(|&key| self.read(key).is_some_and(|(_, _, item)| f(item)))
            .collect();
        keys.sort_unstable();
        // The latest is removed first, as it is near the leaves and little has to move.
        let mut drained = Vec::with_capacity(keys.len());
        while let Some(key) = keys.pop() {
            let id = self.id_of(key);
            drained.extend(self.remove(id).map(|(due, item)| (due, id, item)));
        }
        drained.reverse();
        drained
    }
}

// The heap's keys, and their positions.
impl<T> TimerHeap<T> {
    #[inline]
    fn root(&self) -> Option<u128> {
        // The first line stays when its keys are gone, so the length does not follow from it.
        if self.len == 0 { None } else { Some(self.key(ROOT)) }
    }

    #[inline]
    fn key(&self, position: usize) -> u128 {
        self.lines[position / LANES].0[position % LANES]
    }

    #[inline]
    fn position_of(&self, slot: u32) -> usize {
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
    fn set_key(&mut self, position: usize, key: u128) {
        self.lines[position / LANES].0[position % LANES] = key;
        self.links[slot_of(key)] = position as u32;
    }

    /// Stores a key at a position whose own key is gone, or further up or down.
    #[inline(always)]
    fn sift(&mut self, position: usize, key: u128) {
        if position > ROOT && key < self.key(parent(position)) {
            self.sift_up(position, key);
        } else {
            self.sift_down(position, key);
        }
    }

    #[inline(always)]
    fn sift_up(&mut self, mut position: usize, key: u128) {
        while position > ROOT {
            let above = parent(position);
            let other = self.key(above);
            if other <= key {
                break;
            }
            self.set_key(position, other);
            position = above;
        }
        self.set_key(position, key);
    }

    #[inline]
    fn sift_down(&mut self, mut position: usize, key: u128) {
        // Past the last line there are no children, and in it the lanes without a key stop the
        // descent by themselves.
        while let Some(Line(lanes)) = self.lines.get(child_line(position)) {
            let low = usize::from(lanes[1] < lanes[0]);
            let high = 2 + usize::from(lanes[3] < lanes[2]);
            let lane = if lanes[high] < lanes[low] { high } else { low };
            let other = lanes[lane];
            if other >= key {
                break;
            }
            self.set_key(position, other);
            position = child_line(position) * LANES + lane;
        }
        self.set_key(position, key);
    }

    /// Removes the last leaf and returns its key, which the caller stores where a key is gone, unless it is that
    /// key itself.
    #[inline]
    fn take_last(&mut self) -> u128 {
        self.len -= 1;
        let position = self.len + ROOT;
        let lane = &mut self.lines[position / LANES].0[position % LANES];
        let key = std::mem::replace(lane, NO_KEY);
        // The first line stays, though its first lanes are never used.
        self.lines.truncate((position + ROOT) / LANES);
        key
    }

    /// Returns the 32 bits that stand for an order of arrival in a key.
    #[inline]
    fn sequence(&mut self, order: u64) -> u32 {
        u32::try_from(order.wrapping_sub(self.base)).unwrap_or_else(|_| self.renumber(order))
    }

    /// Numbers the keys from 0 in their present order, and returns the next number, for
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

/// Four keys, in one cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u128; LANES]);

impl Line {
    const EMPTY: Line = Line([NO_KEY; LANES]);
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
fn parent(position: usize) -> usize {
    position / LANES + 2
}

#[inline]
fn child_line(position: usize) -> usize {
    position - 2
}

/// Children of a node, and keys in a line.
const LANES: usize = 4;

/// The position of the root.
///
/// A position is a lane counted from the start of the first line; with the root
/// in lane 3, the children of the node at position p are exactly line p - 2.
const ROOT: usize = 3;

/// Greater than every key, because no slot has this number.
const NO_KEY: u128 = u128::MAX;

// The heap's table of slots, which hold the items, and the chains of vacant slots.
impl<T> TimerHeap<T> {
    #[inline(always)]
    fn vacant_slot(&mut self) -> u32 {
        loop {
            let half = usize::from(self.vacant[LOWER].first == NO_SLOT);
            let vacant = &mut self.vacant[half];
            let slot = vacant.first;
            if slot != NO_SLOT {
                vacant.first = self.links[slot as usize];
                vacant.count -= 1;
                return slot;
            }
            self.add_slots();
        }
    }

    /// Adds slots when none is vacant: some at a time.
    #[cold]
    #[inline(never)]
    fn add_slots(&mut self) {
        let old = self.slots.len();
        // Both slots and positions are kept in 32 bits, and positions begin at 3.
        let limit = NO_SLOT as usize - LANES;
        assert!(old < limit, "a heap has room for no more items");
        let new = (old + (old / 8).clamp(LANES, 64)).min(limit);
        self.slots.resize_with(new, Slot::vacant);
        self.links.resize(new, NO_SLOT);
        // The halves may change here, and only here and in `trim`, because no slot is vacant.
        self.halve(new);
        for slot in (old..new).rev() {
            self.chain(slot as u32);
        }
    }

    /// Takes back a slot whose item and key are gone.
    #[inline]
    fn vacate(&mut self, slot: u32) {
        self.chain(slot);
        if self.vacant[UPPER].count == self.spare {
            self.trim();
        }
    }

    /// Halves a table of that length.
    fn halve(&mut self, length: usize) {
        self.split = length / 2;
        self.spare = match length >= 2 * KEPT_SLOTS {
            true => length - self.split,
            false => usize::MAX,
        };
    }

    /// Makes a slot the first of the vacant ones in its half.
    #[inline(always)]
    fn chain(&mut self, slot: u32) {
        let vacant = &mut self.vacant[usize::from(slot as usize >= self.split)];
        self.links[slot as usize] = vacant.first;
        vacant.first = slot;
        vacant.count += 1;
    }

    /// Gives back the memory of the upper half of the table of slots, which is vacant, and as much of the lower
    /// one as is.
    ///
    /// The number of calls until the table has to grow or can be trimmed again is proportional to its
    /// length, so the cost of a call is constant on average.
    #[cold]
    fn trim(&mut self) {
        let filled = self.slots[..self.split]
            .iter()
            .rposition(|slot| slot.item.is_some())
            .map_or(0, |last| last + 1);
        let kept = filled.max(KEPT_SLOTS);
        self.slots.truncate(kept);
        self.links.truncate(kept);
        // Room to grow remains, so that a heap that shrinks and grows in turn does not allocate each time.
        self.slots.shrink_to(2 * kept);
        self.links.shrink_to(2 * kept);
        self.lines.shrink_to(2 * kept / LANES + 1);

        self.halve(kept);
        self.vacant = [Vacant::NONE; 2];
        for slot in (0..kept).rev() {
            if self.slots[slot].item.is_none() {
                self.chain(slot as u32);
            }
        }
    }
}

/// One item. A vacant slot has none, and keeps the serial of the last one.
struct Slot<T> {
    serial: NonZeroU64,
    /// The full order of arrival, of which the key has 32 bits.
    order: u64,
    item: Option<T>,
}

impl<T> Slot<T> {
    /// A slot that never had an item. No item has its serial.
    fn vacant() -> Self {
        Slot {
            serial: NonZeroU64::MAX,
            order: 0,
            item: None,
        }
    }
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

/// The end of a chain of vacant slots.
const NO_SLOT: u32 = u32::MAX;

/// A table of slots that is less than twice as long is not trimmed.
const KEPT_SLOTS: usize = 1024;

/// Indices of [`TimerHeap::vacant`].
const LOWER: usize = 0;
const UPPER: usize = 1;
