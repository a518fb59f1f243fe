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

mod keys;
mod slots;
#[cfg(test)]
mod tests;

use keys::{LANES, Line, ROOT, due_of, pack, slot_of};
use slots::{Slot, Vacant};
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

    /// Returns when the earliest item is due. The kernel asks this for every event, so it reads the root
    /// and nothing else.
    #[inline]
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.root().map(due_of)
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
        let slot = self.fill_slot(Slot {
            serial,
            order,
            item: Some(item),
        });
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
        let item = self.slots[id.slot as usize].item.take()?;
        self.vacate(id.slot);
        Some((due, item))
    }

    /// Removes an item's key from the heap, and leaves the item in its slot: it is moved once, at the very end.
    #[inline(always)]
    fn unkey(&mut self, id: HeapId) -> Option<u64> {
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

    /// Moves an item to another time, behind its equals as if it had arrived now.
    ///
    /// An item that is due at that time already keeps its position among its equals, and `order` is not
    /// used. Returns whether there is such an item.
    #[inline]
    pub(crate) fn set_due(&mut self, id: HeapId, due: u64, order: u64) -> bool {
        match self.get(id) {
            None => return false,
            Some((now, _)) if now == due => return true,
            Some(_) => {}
        }
        // Numbering anew may move the key: its position is read after this.
        let sequence = self.sequence(order);
        self.slots[id.slot as usize].order = order;
        self.sift(self.position_of(id.slot), pack(due, sequence, id.slot));
        true
    }

    #[cfg(test)]
    /// Returns all items, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, HeapId, &T)> {
        self.keys().filter_map(|key| self.read(key))
    }

    /// Returns all items' times and IDs, in the order in which they would be popped.
    pub(crate) fn sorted(&self) -> Vec<(u64, HeapId)> {
        let mut keys: Vec<u128> = self.keys().collect();
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
