//! The heap's table of slots, which hold the items, and the chains of vacant slots.

use super::TimerHeap;
use super::keys::LANES;
use std::num::NonZeroU64;

impl<T> TimerHeap<T> {
    #[inline(always)]
    pub(super) fn fill_slot(&mut self, slot: Slot<T>) -> u32 {
        let half = usize::from(self.vacant[LOWER].first == NO_SLOT);
        let vacant = &mut self.vacant[half];
        let index = vacant.first;
        if index == NO_SLOT {
            return self.add_slot(slot);
        }
        vacant.first = self.links[index as usize];
        vacant.count -= 1;
        // The slot was empty, so no drop runs code.
        self.slots[index as usize] = slot;
        index
    }

    fn add_slot(&mut self, slot: Slot<T>) -> u32 {
        let index = self.slots.len();
        // Both slots and positions are kept in 32 bits, and positions begin at 3.
        assert!(index < NO_SLOT as usize - LANES, "a heap has room for no more items");
        self.slots.push(slot);
        self.links.push(NO_SLOT);
        // The halves may change here, and only here and in `trim`, because no slot is vacant.
        self.split = self.slots.len() / 2;
        index as u32
    }

    /// Takes back a slot whose item and key are gone.
    #[inline]
    pub(super) fn vacate(&mut self, slot: u32) {
        let half = usize::from(slot as usize >= self.split);
        let vacant = &mut self.vacant[half];
        self.links[slot as usize] = vacant.first;
        vacant.first = slot;
        vacant.count += 1;
        if self.vacant[UPPER].count == self.slots.len() - self.split && self.slots.len() >= 2 * KEPT_SLOTS {
            self.trim();
        }
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
pub(super) struct Slot<T> {
    pub(super) serial: NonZeroU64,
    /// The full order of arrival, of which the key has 32 bits.
    pub(super) order: u64,
    pub(super) item: Option<T>,
}

/// A chain of vacant slots through `links`.
#[derive(Clone, Copy)]
pub(super) struct Vacant {
    pub(super) first: u32,
    pub(super) count: usize,
}

impl Vacant {
    pub(super) const NONE: Vacant = Vacant {
        first: NO_SLOT,
        count: 0,
    };
}

/// The end of a chain of vacant slots.
const NO_SLOT: u32 = u32::MAX;

/// A table of slots that is less than twice as long is not trimmed.
pub(super) const KEPT_SLOTS: usize = 1024;

/// Indices of [`TimerHeap::vacant`].
const LOWER: usize = 0;
const UPPER: usize = 1;
