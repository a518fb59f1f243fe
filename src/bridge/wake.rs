//! State that other threads may touch: the list of woken tasks, and the flag and waker of the kernel's future.

use super::sync::{AtomicBool, AtomicWaker, Mutex, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Wake, Waker};

/// Shared between a kernel, the wakers of its tasks, and its handles.
#[derive(Default)]
pub(crate) struct WakeState {
    /// Tasks that were woken since the kernel last looked.
    woken: Mutex<Vec<u64>>,
    /// Set when anything outside needs the kernel's attention: one flag, so that a slice has one thing to test.
    attention: AtomicBool,
    /// The host's waker for the kernel's future.
    host: AtomicWaker,
}

impl WakeState {
    /// Wakes the kernel's future, once for everything that happens until it looks.
    pub(crate) fn notify(&self) {
        if !self.attention.swap(true, Ordering::AcqRel) {
            self.host.wake();
        }
    }

    #[inline]
    pub(crate) fn wants_attention(&self) -> bool {
        self.attention.load(Ordering::Relaxed)
    }

    /// Clears the flag. The next caller that sets it wakes the future again.
    pub(crate) fn attend(&self) -> bool {
        self.attention.swap(false, Ordering::AcqRel)
    }

    /// Has the future woken by `waker` from now on.
    ///
    /// Test [`wants_attention`](Self::wants_attention) afterwards: a flag that was set before this call woke nothing.
    pub(crate) fn register(&self, waker: &Waker) {
        self.host.register(waker);
    }

    /// Drops the waker while the future is polled: until it registers again, wake-ups only set the flag.
    pub(crate) fn unregister(&self) {
        drop(self.host.take());
    }

    /// Moves the list of woken tasks, in the order in which they were woken, into `into`, which must be empty.
    pub(crate) fn take_woken(&self, into: &mut Vec<u64>) {
        std::mem::swap(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner), into);
    }
}

/// The waker of one task.
pub(crate) struct TaskWaker {
    shared: Arc<WakeState>,
    /// The task's slot, and the low half of its serial as a guard against reuse.
    key: u64,
    /// The task is in the list already.
    queued: AtomicBool,
}

impl TaskWaker {
    pub(crate) fn new(shared: Arc<WakeState>, key: u64) -> Arc<Self> {
        Arc::new(TaskWaker {
            shared,
            key,
            queued: AtomicBool::new(false),
        })
    }

    /// Must be called once the task has left the list, before it is polled, so that a wake-up during the poll counts.
    ///
    /// A swap and not a store: a thread that has changed something and then found the flag still set relies on this poll to
    /// see its change. Only a read of the flag orders the two; a store may become visible after the poll's first reads.
    pub(crate) fn rearm(&self) {
        self.queued.swap(false, Ordering::AcqRel);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.shared
                .woken
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(self.key);
            self.shared.notify();
        }
    }
}
