//! Priority queues (POE::Queue): the trait, and a queue for programs.
//!
//! The kernel's own queue is separate; a [`Snapshot`](crate::Snapshot) shows its contents.

pub(crate) mod event_queue;
pub(crate) mod heap;
mod index;
mod priority;

pub use priority::{Item, ItemId, PriorityQueue, Queue, QueueError};
