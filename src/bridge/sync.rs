//! The atomics and locks of [`wake`](super::wake) and [`mailbox`](super::mailbox), in one place, so that the package
//! `tests/models` can compile the same two files with loom's and try every interleaving.

pub(crate) use futures_util::task::AtomicWaker;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};
