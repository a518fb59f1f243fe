//! POE::Queue as a trait, and [`PriorityQueue`], which does the work of POE::Queue::Array on the heap of the kernel's timers.

use super::heap::{HeapId, TimerHeap};
use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// A queue in the order of priorities, the low numbers first; of equal ones the first that came is the first to go.
///
/// Each item has an [`ItemId`], by which it is removed or moved. Who does that must also pass a filter, which sees the
/// item's payload and may refuse: in POE it is how a session is kept from other sessions' timers. Filters must not touch
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
///
///
/// With a filter for each owner of items:
///
/// ```
/// use poe::queue::{PriorityQueue, Queue, QueueError};
/// fn annas(item: &(&str, &str)) -> bool {
///     item.0 == "anna"
/// }
/// let mut queue = PriorityQueue::new();
/// let tea = queue.enqueue(5.0, ("anna", "tea"));
/// let cake = queue.enqueue(6.0, ("ben", "cake"));
/// queue.enqueue(7.0, ("anna", "jam"));
///
/// assert_eq!(queue.remove_item(cake, annas), Err(QueueError::NotPermitted(cake)));
/// assert_eq!(queue.set_priority(tea, annas, 8.0), Ok(8.0));
/// let waiting: Vec<_> = queue.peek_items(annas, None).iter().map(|item| item.payload.1).collect();
/// assert_eq!(waiting, ["jam", "tea"]);
/// assert_eq!(queue.remove_items(annas, None).len(), 2);
/// assert_eq!((queue.get_item_count(), queue.get_next_priority()), (1, Some(6.0)));
/// ```
#[doc(alias = "POE::Queue")]
pub trait Queue<T> {
    /// Puts an item in, behind those of the same priority.
    fn enqueue(&mut self, priority: f64, payload: T) -> ItemId;

    /// Takes out the first item.
    fn dequeue_next(&mut self) -> Option<Item<T>>;

    /// The first item's priority.
    fn get_next_priority(&self) -> Option<f64>;

    /// How many items there are.
    fn get_item_count(&self) -> usize;

    /// Takes out an item, if `filter` says so of it.
    ///
    /// # Errors
    /// There is none of that ID (`ESRCH`); the filter refuses (`EPERM`).
    fn remove_item(&mut self, id: ItemId, filter: impl FnOnce(&T) -> bool) -> Result<Item<T>, QueueError>;

    /// Takes out the items of which `filter` says so, at most `max` of them, and gives them in the queue's order. (To
    /// POE's queues `max` is a hint.)
    fn remove_items(&mut self, filter: impl FnMut(&T) -> bool, max: Option<usize>) -> Vec<Item<T>>;

    /// The same, but they stay.
    fn peek_items(&self, filter: impl FnMut(&T) -> bool, max: Option<usize>) -> Vec<Item<&T>>;

    /// Adds to an item's priority, if `filter` says so, and gives the new one. By zero it keeps its place; otherwise it
    /// goes behind those of the same priority.
    ///
    /// # Errors
    /// There is none of that ID (`ESRCH`); the filter refuses (`EPERM`).
    fn adjust_priority(&mut self, id: ItemId, filter: impl FnOnce(&T) -> bool, delta: f64) -> Result<f64, QueueError>;

    /// Gives an item another priority, if `filter` says so, behind those that have it already. If it has it itself
    /// nothing happens, and the filter is not asked.
    ///
    /// # Errors
    /// There is none of that ID (`ESRCH`); the filter refuses (`EPERM`).
    fn set_priority(&mut self, id: ItemId, filter: impl FnOnce(&T) -> bool, priority: f64) -> Result<f64, QueueError>;
}

/// What a queue gives back.
///
/// ```
/// use poe::queue::{Item, PriorityQueue, Queue};
/// let mut queue = PriorityQueue::new();
/// let tea = queue.enqueue(2.5, "tea");
/// assert_eq!(queue.dequeue_next(), Some(Item { priority: 2.5, id: tea, payload: "tea" }));
/// assert_eq!(queue.dequeue_next(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item<T> {
    /// Its priority.
    #[doc(alias = "ITEM_PRIORITY")]
    pub priority: f64,
    /// What it was known by.
    #[doc(alias = "ITEM_ID")]
    pub id: ItemId,
    /// What was put in.
    #[doc(alias = "ITEM_PAYLOAD")]
    pub payload: T,
}

/// Names one item of one queue: no other queue of the process has an item of the same ID, and later items have larger ones.
///
/// ```
/// use poe::queue::ItemId;
/// let (earlier, later) = (ItemId::fresh(), ItemId::fresh());
/// assert!(0 < earlier.get() && earlier < later);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(NonZeroU64);

impl ItemId {
    /// One that no item has had: for queues of one's own.
    #[must_use]
    pub fn fresh() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        ItemId(NonZeroU64::new(id).unwrap_or(NonZeroU64::MAX))
    }

    /// The number, from 1 upwards.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// Why an item was not removed or moved.
///
/// ```
/// use poe::queue::{PriorityQueue, Queue, QueueError};
/// let mut queue = PriorityQueue::new();
/// let tea = queue.enqueue(1.0, "tea");
/// assert_eq!(queue.remove_item(tea, |_| false), Err(QueueError::NotPermitted(tea)));
/// queue.dequeue_next();
/// assert_eq!(queue.remove_item(tea, |_| true), Err(QueueError::NoSuchItem(tea)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueueError {
    /// The queue has no item of that ID (any more).
    #[doc(alias = "ESRCH")]
    NoSuchItem(ItemId),
    /// The filter has refused.
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

/// A queue by priority that can also forget: an item goes in, is moved and is taken out in a time that grows with the
/// logarithm of their number. Memory follows the number of items, also downwards.
///
/// Priorities are any numbers. Not-a-number sorts behind infinity, and if it is negative ahead of all.
///
/// ```
/// use poe::queue::{PriorityQueue, Queue};
/// let mut queue = PriorityQueue::new();
/// for priority in [f64::INFINITY, 1.5, -0.0, 0.0, f64::NAN, -7.0] {
///     queue.enqueue(priority, priority.to_string());
/// }
/// let order: Vec<_> = queue.remove_items(|_| true, None).into_iter().map(|item| item.payload).collect();
/// assert_eq!(order, ["-7", "-0", "0", "1.5", "inf", "NaN"]);
/// ```
#[doc(alias = "POE::Queue::Array")]
pub struct PriorityQueue<T> {
    items: TimerHeap<T>,
    /// Where each item stands; an entry goes with its item.
    places: HashMap<ItemId, HeapId>,
    /// Order of arrival, which goes on with every move.
    order: u64,
}

impl<T> PriorityQueue<T> {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        PriorityQueue {
            items: TimerHeap::new(),
            places: HashMap::new(),
            order: 0,
        }
    }

    /// Where an item is, with its priority as the heap has it, if there is one and the filter agrees.
    fn find(&self, id: ItemId, filter: impl FnOnce(&T) -> bool) -> Result<(HeapId, u64), QueueError> {
        let (place, key, payload) = self.look_up(id)?;
        match filter(payload) {
            true => Ok((place, key)),
            false => Err(QueueError::NotPermitted(id)),
        }
    }

    fn look_up(&self, id: ItemId) -> Result<(HeapId, u64, &T), QueueError> {
        let place = self.places.get(&id).copied();
        let found = place.and_then(|place| self.items.get(place).map(|(key, payload)| (place, key, payload)));
        found.ok_or(QueueError::NoSuchItem(id))
    }

    fn move_to(&mut self, place: HeapId, key: u64) {
        self.order += 1;
        self.items.set_due(place, key, self.order);
    }

    fn chosen(&self, mut filter: impl FnMut(&T) -> bool, max: Option<usize>) -> Vec<(u64, HeapId)> {
        let all = self.items.sorted().into_iter();
        all.filter(|(_, place)| self.items.get(*place).is_some_and(|(_, payload)| filter(payload)))
            .take(max.unwrap_or(usize::MAX))
            .collect()
    }
}

fn id_of(place: HeapId) -> ItemId {
    ItemId(place.serial)
}

/// A number whose order among all `u64` is that of the priority among all `f64`; both zeros are one.
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
        let place = self.items.push(to_key(priority), self.order, id.get(), payload);
        self.places.insert(id, place);
        id
    }

    fn dequeue_next(&mut self) -> Option<Item<T>> {
        let (key, place, payload) = self.items.pop()?;
        let id = id_of(place);
        self.places.remove(&id);
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
        let (place, _) = self.find(id, filter)?;
        self.places.remove(&id);
        let (key, payload) = self.items.remove(place).ok_or(QueueError::NoSuchItem(id))?;
        Ok(Item {
            priority: to_priority(key),
            id,
            payload,
        })
    }

    fn remove_items(&mut self, filter: impl FnMut(&T) -> bool, max: Option<usize>) -> Vec<Item<T>> {
        // All are asked before the first is taken out: should the filter panic, the queue is as it was.
        let chosen = self.chosen(filter, max);
        let removed = chosen.into_iter().filter_map(|(_, place)| {
            let id = id_of(place);
            self.places.remove(&id);
            let (key, payload) = self.items.remove(place)?;
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
        let seen = chosen.into_iter().filter_map(|(key, place)| {
            let (_, payload) = self.items.get(place)?;
            Some(Item {
                priority: to_priority(key),
                id: id_of(place),
                payload,
            })
        });
        seen.collect()
    }

    fn adjust_priority(&mut self, id: ItemId, filter: impl FnOnce(&T) -> bool, delta: f64) -> Result<f64, QueueError> {
        let (place, key) = self.find(id, filter)?;
        let priority = to_priority(key) + delta;
        if delta != 0.0 {
            self.move_to(place, to_key(priority));
        }
        Ok(priority)
    }

    fn set_priority(&mut self, id: ItemId, filter: impl FnOnce(&T) -> bool, priority: f64) -> Result<f64, QueueError> {
        let (_, old, _) = self.look_up(id)?;
        let key = to_key(priority);
        if key != old {
            let (place, _) = self.find(id, filter)?;
            self.move_to(place, key);
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
