//! The atomics and locks of [`wake`](super::wake) and [`mailbox`](super::mailbox), in one place.
//!
//! The package `tests/models` compiles these two files with loom's types and tries every interleaving.

pub(crate) use atomic_waker::AtomicWaker;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};
