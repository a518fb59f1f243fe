//! The heap's keys, and the places where they stand.

use super::{HeapId, TimerHeap};

impl<T> TimerHeap<T> {
    #[inline]
    pub(super) fn root(&self) -> Option<u128> {
        // The first line outlives its keys, so the length does not follow from it.
        if self.len == 0 { None } else { Some(self.key(ROOT)) }
    }

    #[inline]
    pub(super) fn key(&self, place: usize) -> u128 {
        self.lines[place / LANES].0[place % LANES]
    }

    #[inline]
    pub(super) fn place_of(&self, slot: u32) -> usize {
        self.links[slot as usize] as usize
    }

    #[inline]
    pub(super) fn id_of(&self, key: u128) -> HeapId {
        HeapId {
            serial: self.slots[slot_of(key)].serial,
            slot: key as u32,
        }
    }

    #[inline]
    pub(super) fn read(&self, key: u128) -> Option<(u64, HeapId, &T)> {
        let slot = &self.slots[slot_of(key)];
        let id = HeapId {
            serial: slot.serial,
            slot: key as u32,
        };
        slot.item.as_ref().map(|item| (due_of(key), id, item))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = u128> {
        self.lines.iter().flat_map(|line| line.0).filter(|&key| key != NO_KEY)
    }

    #[inline]
    fn set_key(&mut self, place: usize, key: u128) {
        self.lines[place / LANES].0[place % LANES] = key;
        self.links[slot_of(key)] = place as u32;
    }

    /// Puts a key at a place whose own key is gone, or further up or down.
    #[inline]
    pub(super) fn sift(&mut self, place: usize, key: u128) {
        if place > ROOT && key < self.key(parent(place)) {
            self.sift_up(place, key);
        } else {
            self.sift_down(place, key);
        }
    }

    #[inline]
    pub(super) fn sift_up(&mut self, mut place: usize, key: u128) {
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
    pub(super) fn sift_down(&mut self, mut place: usize, key: u128) {
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
    pub(super) fn take_last(&mut self) -> u128 {
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
    pub(super) fn sequence(&mut self, order: u64) -> u32 {
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

/// Four keys, in one cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u128; LANES]);

impl Line {
    pub(super) const EMPTY: Line = Line([NO_KEY; LANES]);
}

#[inline]
pub(super) fn pack(due: u64, sequence: u32, slot: u32) -> u128 {
    u128::from(due) << 64 | u128::from(sequence) << 32 | u128::from(slot)
}

#[inline]
pub(super) fn due_of(key: u128) -> u64 {
    (key >> 64) as u64
}

#[inline]
pub(super) fn slot_of(key: u128) -> usize {
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
pub(super) const LANES: usize = 4;

/// The place of the root. A place is a lane counted from the start of the first line; with the root
/// in lane 3, the children of the node at place p are exactly line p - 2.
pub(super) const ROOT: usize = 3;

/// No key is as great, because no slot has this number.
const NO_KEY: u128 = u128::MAX;
