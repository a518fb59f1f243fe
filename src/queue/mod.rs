//! Queues by priority (POE::Queue): the trait, and a queue for programs' own use. The kernel's own queue is apart; what
//! waits in it is in a [`Snapshot`](crate::Snapshot).

pub(crate) mod heap;
mod index;
pub(crate) mod lanes;
mod priority;

pub use priority::{Item, ItemId, PriorityQueue, Queue, QueueError};
