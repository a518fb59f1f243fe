//! Introspection (POE::API::Peek): everything that a kernel knows as plain data, and the reasons why a session does not
//! stop.

mod collect;
mod data;
mod peek;
mod print;
mod why_alive;

pub use data::{
    AwaitedProcess, EventId, EventType, QueuedEvent, Refcount, SessionSnapshot, Snapshot, TaskSnapshot, WatchedFile,
};
pub use why_alive::{SessionHolds, WhyAlive};
