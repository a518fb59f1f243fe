//! The kernel's queue of events, and the indexed heap of its timers.

pub(crate) mod event_queue;
pub(crate) mod heap;
mod ring;
