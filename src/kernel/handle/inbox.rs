//! The inbox: letters in from any thread, out in the kernel's I/O phase.

use super::letter::{Letter, Letters, Post};
use crate::bridge::wake::Shared;
use crate::error::{PostErrorKind, drop_each_quietly, quietly};
use crate::kernel::Core;
use crate::kernel::dispatch::discard;
use crate::name::NameIdx;
use crate::resource::sessions::KERNEL;
use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) struct Inbox {
    pub(crate) shared: Arc<Shared>,
    letters: Mutex<Letters>,
    capacity: usize,
    pub(super) kernel: u32,
}

impl Inbox {
    pub(crate) fn new(shared: Arc<Shared>, capacity: usize, kernel: u32) -> Arc<Self> {
        Arc::new(Inbox {
            shared,
            letters: Mutex::default(),
            capacity,
            kernel,
        })
    }

    pub(super) fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses what comes from now on.
    pub(crate) fn close(&self) {
        let left = {
            let mut letters = self.letters();
            letters.closed = true;
            std::mem::take(&mut letters.waiting)
        };
        drop_each_quietly(left);
    }

    /// No handle is left that could put anything in.
    pub(crate) fn is_abandoned(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1 && self.letters().waiting.is_empty()
    }

    /// Puts a letter in. It is written only if it is taken, so that whoever is refused still has what was to be in it.
    #[inline]
    pub(super) fn put(&self, write: impl FnOnce() -> Letter) -> Result<(), PostErrorKind> {
        let told = {
            let mut letters = self.letters();
            if letters.closed {
                return Err(PostErrorKind::Closed);
            }
            if letters.waiting.len() >= self.capacity {
                return Err(PostErrorKind::Full(self.capacity));
            }
            letters.waiting.push(write());
            std::mem::replace(&mut letters.told, true)
        };
        if !told {
            self.shared.notify();
        }
        Ok(())
    }

    /// Puts work in even if the inbox is full, for what must not be lost; the kernel may be gone, which is as good.
    pub(crate) fn put_always(&self, work: Box<dyn FnOnce(&Core) + Send>) {
        let refused = {
            let mut letters = self.letters();
            if letters.closed {
                Some(work)
            } else {
                letters.waiting.push(Letter::Run(work));
                None
            }
        };
        drop(refused);
        self.shared.notify();
    }
}

thread_local! {
    /// Buffers are handed round so that neither side allocates in the long run.
    static SPARE: RefCell<Vec<Letter>> = const { RefCell::new(Vec::new()) };
}

impl Core {
    /// Takes in what other threads have sent, in the order in which they sent it.
    pub(crate) fn drain_inbox(&self) {
        let mut letters = SPARE.take();
        {
            let mut inbox = self.inbox.letters();
            inbox.told = false;
            std::mem::swap(&mut inbox.waiting, &mut letters);
        }
        let taken = letters.len();
        for letter in letters.drain(..) {
            match letter {
                Letter::Post(post) => self.take_in(post),
                Letter::Run(work) => quietly("a value panicked in a message from another thread", || work(self)),
            }
        }
        // A burst's memory is given back step by step, so that a steady stream does not fetch it anew each time.
        if taken < letters.capacity() / 8 && letters.capacity() > 256 {
            letters.shrink_to(letters.capacity() / 2);
        }
        SPARE.set(letters);
    }

    #[inline]
    fn take_in(&self, post: Post) {
        let Post {
            target,
            event,
            arg,
            place,
        } = post;
        match self.resolve(&target.target()) {
            Some(KERNEL) => {
                self.tell_swallowed(event.key(), self.id(), place);
                discard(&mut arg.into_any());
            }
            Some(to) => self.enqueue(to, KERNEL, event.key(), NameIdx::NONE, arg.into_any(), place),
            None => self.dead_letter(&target.target(), event.key(), arg.into_any(), place),
        }
    }
}
