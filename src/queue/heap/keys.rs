//! The heap's keys, and their positions.

use super::{HeapId, TimerHeap};

impl<T> TimerHeap<T> {
    #[inline]
    pub(super) fn root(&self) -> Option<u128> {
        // The first line stays when its keys are gone, so the length does not follow from it.
        if self.len == 0 { None } else { Some(self.key(ROOT)) }
    }

    #[inline]
    pub(super) fn key(&self, position: usize) -> u128 {
        self.lines[position / LANES].0[position % LANES]
    }

    #[inline]
    pub(super) fn position_of(&self, slot: u32) -> usize {
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
    fn set_key(&mut self, position: usize, key: u128) {
        self.lines[position / LANES].0[position % LANES] = key;
        self.links[slot_of(key)] = position as u32;
    }

    /// Stores a key at a position whose own key is gone, or further up or down.
    #[inline]
    pub(super) fn sift(&mut self, position: usize, key: u128) {
        if position > ROOT && key < self.key(parent(position)) {
            self.sift_up(position, key);
        } else {
            self.sift_down(position, key);
        }
    }

    #[inline]
    pub(super) fn sift_up(&mut self, mut position: usize, key: u128) {
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
    pub(super) fn sift_down(&mut self, mut position: usize, key: u128) {
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
    pub(super) fn take_last(&mut self) -> u128 {
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
    pub(super) fn sequence(&mut self, order: u64) -> u32 {
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
fn parent(position: usize) -> usize {
    position / LANES + 2
}

#[inline]
fn child_line(position: usize) -> usize {
    position - 2
}

/// Children of a node, and keys in a line.
pub(super) const LANES: usize = 4;

/// The position of the root.
///
/// A position is a lane counted from the start of the first line; with the root
/// in lane 3, the children of the node at position p are exactly line p - 2.
pub(super) const ROOT: usize = 3;

/// Greater than every key, because no slot has this number.
const NO_KEY: u128 = u128::MAX;
