//! What other threads may touch: the list of tasks that were woken, and the flag and waker of the kernel's future.

use super::sync::{AtomicBool, AtomicWaker, Mutex, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Wake, Waker};

/// Shared by a kernel, the wakers of its tasks and its handles.
#[derive(Default)]
pub(crate) struct Shared {
    /// Tasks that were woken since the kernel last looked.
    woken: Mutex<Vec<u64>>,
    /// Something from outside wants the kernel's attention: one flag, so that a slice has one thing to look at.
    attention: AtomicBool,
    /// The host's waker for the kernel's future.
    host: AtomicWaker,
}

impl Shared {
    /// Wakes the kernel's future, once for all that happens until it looks.
    pub(crate) fn notify(&self) {
        if !self.attention.swap(true, Ordering::AcqRel) {
            self.host.wake();
        }
    }

    #[inline]
    pub(crate) fn wants_attention(&self) -> bool {
        self.attention.load(Ordering::Relaxed)
    }

    /// Takes the flag down. The next thread that raises it wakes the future again.
    pub(crate) fn attend(&self) -> bool {
        self.attention.swap(false, Ordering::AcqRel)
    }

    /// Has the future woken by `waker` from now on. Look at [`wants_attention`](Self::wants_attention) afterwards:
    /// a thread that raised the flag before this has woken nobody.
    pub(crate) fn register(&self, waker: &Waker) {
        self.host.register(waker);
    }

    /// The future is being polled: what happens until it registers again is only noted.
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
    shared: Arc<Shared>,
    /// The task's slot, and its serial's low half as a guard against reuse.
    key: u64,
    /// Stands in the list already.
    queued: AtomicBool,
}

impl TaskWaker {
    pub(crate) fn new(shared: Arc<Shared>, key: u64) -> Arc<Self> {
        Arc::new(TaskWaker {
            shared,
            key,
            queued: AtomicBool::new(false),
        })
    }

    /// To be called before the task is polled, so that a wake-up during the poll counts.
    ///
    /// A swap and not a store: a thread that has changed something and then found the flag still up relies on this poll to
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
