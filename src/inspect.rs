//! What you look at while a kernel runs, and after it: snapshots, what keeps sessions alive, dead letters, reports.
//!
//! [`Kernel::snapshot`](crate::Kernel::snapshot) returns everything as data: sessions with their parents and handlers, queued
//! events, timers, signals, files and processes. [`Kernel::why_alive`](crate::Kernel::why_alive) lists what keeps each session
//! alive, with file and line.

pub use crate::error::WrongArgument;
pub use crate::kernel::{
    AwaitedProcess, DeadLetter, Die, EventId, EventType, QueuedEvent, Refcount, SessionHolds, SessionSnapshot,
    ShutdownReport, Snapshot, TaskSnapshot, Timer, WatchedFile, WhyAlive,
};
pub use crate::resource::signals::SignalClass;
pub use crate::resource::{Hold, HoldKind};
