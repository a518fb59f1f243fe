//! POE::Queue as a trait, and [`PriorityQueue`], POE::Queue::Array on the heap that the kernel uses for timers.

use super::heap::{HeapId, TimerHeap};
use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// A queue ordered by priority: low numbers first, and among equals the item that arrived first.
///
/// Each item has an [`ItemId`], with which it is removed or moved. The caller also gives a filter, which sees the
/// item's payload and may refuse: in POE it protects a session's timers from other sessions. Filters must not touch
/// the queue.
///
/// ```
/// use poe::queue::{PriorityQueue, Queue};
/// let mut queue = PriorityQueue::new();
/// queue.enqueue(2.0, "second");
/// let first = queue.enqueue(1.0, "first");
/// queue.enqueue(2.0, "third");
/// assert_eq!(queue.adjust_priority(first, |_| true, 9.0), Ok(10.0));
/// let order: Vec<_> = std::iter::from_fn(|| queue.dequeue_next()).map(|item| item.payload).collect();
/// assert_eq!(order, ["second", "third", "first"]);
/// ```
#[doc(alias = "POE::Queue")]
pub trait Queue<T> {
    /// Adds an item behind those with the same priority.
    fn enqueue(&mut self, priority: f64, payload: T) -> ItemId;

    /// Removes and returns the first item.
    fn dequeue_next(&mut self) -> Option<Item<T>>;

    /// Returns the first item's priority.
    fn get_next_priority(&self) -> Option<f64>;

    /// Returns the number of items.
    fn get_item_count(&self) -> usize;

    /// Removes an item, if `filter` returns true for it.
    ///
    /// # Errors
    /// There is no item with this ID (`ESRCH`); the filter refuses (`EPERM`).
    fn remove_item(&mut self, id: ItemId, filter: impl FnOnce(&T) -> bool) -> Result<Item<T>, QueueError>;

    /// Removes at most `max` items for which `filter` returns true, and returns them in the queue's order.
    ///
    /// (In POE `max` is a hint.)
    fn remove_items(&mut self, filter: impl FnMut(&T) -> bool, max: Option<usize>) -> Vec<Item<T>>;

    /// Returns the same items as `remove_items`, but leaves them in the queue.
    fn peek_items(&self, filter: impl FnMut(&T) -> bool, max: Option<usize>) -> Vec<Item<&T>>;

    /// Adds `delta` to an item's priority, if `filter` returns true for it, and returns the new priority.
    ///
    /// With zero it keeps its position; otherwise it goes behind those with the same priority.
    ///
    /// # Errors
    /// There is no item with this ID (`ESRCH`); the filter refuses (`EPERM`).
    fn adjust_priority(&mut self, id: ItemId, filter: impl FnOnce(&T) -> bool, delta: f64) -> Result<f64, QueueError>;

    /// Sets an item's priority, if `filter` returns true for it, behind those that have this priority.
    ///
    /// If the item has this priority already nothing happens, and the filter is not called.
    ///
    /// # Errors
    /// There is no item with this ID (`ESRCH`); the filter refuses (`EPERM`).
    fn set_priority(&mut self, id: ItemId, filter: impl FnOnce(&T) -> bool, priority: f64) -> Result<f64, QueueError>;
}

/// An item that was removed from a queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item<T> {
    /// The item's priority.
    #[doc(alias = "ITEM_PRIORITY")]
    pub priority: f64,
    /// The item's ID.
    #[doc(alias = "ITEM_ID")]
    pub id: ItemId,
    /// The item's payload.
    #[doc(alias = "ITEM_PAYLOAD")]
    pub payload: T,
}

/// Names one item of one queue.
///
/// No other queue of the process has an item with the same ID, and later items have larger ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(NonZeroU64);

impl ItemId {
    /// Returns an ID that no item has had, for your own implementations of [`Queue`].
    #[must_use]
    pub fn fresh() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        ItemId(NonZeroU64::new(id).unwrap_or(NonZeroU64::MAX))
    }

    /// Returns the number, which counts from 1.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// Why an item was not removed or moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueueError {
    /// The queue has no item with this ID, or not any more.
    #[doc(alias = "ESRCH")]
    NoSuchItem(ItemId),
    /// The filter refused.
    #[doc(alias = "EPERM")]
    NotPermitted(ItemId),
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueError::NoSuchItem(id) => write!(f, "the queue has no item {}", id.get()),
            QueueError::NotPermitted(id) => write!(f, "item {} is not for this caller", id.get()),
        }
    }
}

impl StdError for QueueError {}

/// A priority queue from which any item can be removed.
///
/// Adding, moving and removing take a time that grows with the logarithm of the number of items. Memory follows the number
/// of items, also downwards. Priorities are any numbers. Not-a-number sorts behind infinity, and if it is negative ahead of all.
#[doc(alias = "POE::Queue::Array")]
pub struct PriorityQueue<T> {
    items: TimerHeap<T>,
    /// The heap's ID of each item; an entry is removed with its item.
    handles: HashMap<ItemId, HeapId>,
    /// Order of arrival, which also advances with every move.
    order: u64,
}

impl<T> PriorityQueue<T> {
    /// Makes an empty queue.
    #[must_use]
    pub fn new() -> Self {
        PriorityQueue {
            items: TimerHeap::new(),
            handles: HashMap::new(),
            order: 0,
        }
    }

    /// Returns an item's heap ID and its priority as a heap key, if the item exists and the filter agrees.
    fn find(&self, id: ItemId, filter: impl FnOnce(&T) -> bool) -> Result<(HeapId, u64), QueueError> {
        let (handle, key, payload) = self.look_up(id)?;
        match filter(payload) {
            true => Ok((handle, key)),
            false => Err(QueueError::NotPermitted(id)),
        }
    }

    fn look_up(&self, id: ItemId) -> Result<(HeapId, u64, &T), QueueError> {
        let handle = self.handles.get(&id).copied();
        let found = handle.and_then(|handle| self.items.get(handle).map(|(key, payload)| (handle, key, payload)));
        found.ok_or(QueueError::NoSuchItem(id))
    }

    fn move_to(&mut self, handle: HeapId, key: u64) {
        self.order += 1;
        self.items.set_due(handle, key, self.order);
    }

    fn chosen(&self, mut filter: impl FnMut(&T) -> bool, max: Option<usize>) -> Vec<(u64, HeapId)> {
        let all = self.items.sorted().into_iter();
        all.filter(|(_, handle)| self.items.get(*handle).is_some_and(|(_, payload)| filter(payload)))
            .take(max.unwrap_or(usize::MAX))
            .collect()
    }
}

fn id_of(handle: HeapId) -> ItemId {
    ItemId(handle.serial)
}

/// Converts a priority to a number with the same order among all `u64`; both zeros are equal.
fn to_key(priority: f64) -> u64 {
    let bits = (priority + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

fn to_priority(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
}

impl<T> Queue<T> for PriorityQueue<T> {
    fn enqueue(&mut self, priority: f64, payload: T) -> ItemId {
        let id = ItemId::fresh();
        self.order += 1;
        let handle = self.items.push(to_key(priority), self.order, id.get(), payload);
        self.handles.insert(id, handle);
        id
    }

    fn dequeue_next(&mut self) -> Option<Item<T>> {
        let (key, handle, payload) = self.items.pop()?;
        let id = id_of(handle);
        self.handles.remove(&id);
        Some(Item {
            priority: to_priority(key),
            id,
            payload,
        })
    }

    fn get_next_priority(&self) -> Option<f64> {
        self.items.next_due().map(to_priority)
    }

    fn get_item_count(&self) -> usize {
        self.items.len()
    }

    fn remove_item(&mut self, id: ItemId, filter: impl FnOnce(&T) -> bool) -> Result<Item<T>, QueueError> {
        let (handle, _) = self.find(id, filter)?;
        self.handles.remove(&id);
        let (key, payload) = self.items.remove(handle).ok_or(QueueError::NoSuchItem(id))?;
        Ok(Item {
            priority: to_priority(key),
            id,
            payload,
        })
    }

    fn remove_items(&mut self, filter: impl FnMut(&T) -> bool, max: Option<usize>) -> Vec<Item<T>> {
        // All are asked before the first is removed: should the filter panic, the queue is unchanged.
        let chosen = self.chosen(filter, max);
        let removed = chosen.into_iter().filter_map(|(_, handle)| {
            let id = id_of(handle);
            self.handles.remove(&id);
            let (key, payload) = self.items.remove(handle)?;
            Some(Item {
                priority: to_priority(key),
                id,
                payload,
            })
        });
        removed.collect()
    }

    fn peek_items(&self, filter: impl FnMut(&T) -> bool, max: Option<usize>) -> Vec<Item<&T>> {
        let chosen = self.chosen(filter, max);
        let seen = chosen.into_iter().filter_map(|(key, handle)| {
            let (_, payload) = self.items.get(handle)?;
            Some(Item {
                priority: to_priority(key),
                id: id_of(handle),
                payload,
            })
        });
        seen.collect()
    }

    fn adjust_priority(&mut self, id: ItemId, filter: impl FnOnce(&T) -> bool, delta: f64) -> Result<f64, QueueError> {
        let (handle, key) = self.find(id, filter)?;
        let priority = to_priority(key) + delta;
        if delta != 0.0 {
            self.move_to(handle, to_key(priority));
        }
        Ok(priority)
    }

    fn set_priority(&mut self, id: ItemId, filter: impl FnOnce(&T) -> bool, priority: f64) -> Result<f64, QueueError> {
        let (_, old, _) = self.look_up(id)?;
        let key = to_key(priority);
        if key != old {
            let (handle, _) = self.find(id, filter)?;
            self.move_to(handle, key);
        }
        Ok(priority)
    }
}

impl<T> Default for PriorityQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for PriorityQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.peek_items(|_| true, None)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_priorities_and_back() {
        let sorted = [
            f64::NEG_INFINITY,
            -1e300,
            -2.5,
            -1e-300,
            0.0,
            5e-324,
            1.0,
            1e9,
            f64::MAX,
            f64::INFINITY,
        ];
        for pair in sorted.windows(2) {
            assert!(to_key(pair[0]) < to_key(pair[1]), "{pair:?}");
        }
        for priority in sorted {
            assert_eq!(to_priority(to_key(priority)), priority);
        }
        assert_eq!(to_key(-0.0), to_key(0.0));
        assert!(to_key(f64::NAN) > to_key(f64::INFINITY));
    }
}
