//! What the loop must know before its next event, and a post when it is made: one word, so that each has one thing to test.

use std::cell::Cell;
use std::rc::Rc;

/// The word, shared by the kernel and the owners of its bits.
pub(crate) type Flags = Rc<Cell<u32>>;

/// Somebody listens: a `tracing` subscriber, a hook, or the watch for slow handlers.
pub(crate) const WATCHING: u32 = 1;
/// A future is alive and its poll is not on the stack: code that gives the kernel something to do must wake it.
pub(crate) const ASLEEP: u32 = 2;
/// A failure is ending the run.
pub(crate) const FATAL: u32 = 4;
/// A task waits that no waker announces.
pub(crate) const INTAKE: u32 = 8;
/// The watchers of files have something to ask for.
pub(crate) const READY_FILES: u32 = 16;
/// A signal has stopped the kernel itself: the run is over.
pub(crate) const OVER: u32 = 32;
/// A shutdown is under way.
pub(crate) const SHUTTING_DOWN: u32 = 64;
/// Dispatches are counted and sampled (feature `metrics`).
pub(crate) const METERED: u32 = 128;
/// The next post is to be marked for its waiting time.
pub(crate) const PROBING: u32 = 256;
/// Dispatches have spans (feature `spans`).
pub(crate) const SPANNED: u32 = 512;
/// Some session has a limited inbox.
pub(crate) const BOUNDED: u32 = 1024;

/// A dispatch is to be told to somebody.
pub(crate) const LISTENING: u32 = WATCHING | METERED | SPANNED;
/// The bits that give the loop nothing to do between two events.
pub(crate) const QUIET: u32 = LISTENING | PROBING | BOUNDED;

/// One bit of the word, which its owner uses like a `Cell<bool>`.
pub(crate) struct Flag {
    word: Flags,
    bit: u32,
}

impl Flag {
    pub(crate) fn new(word: &Flags, bit: u32) -> Self {
        Flag {
            word: word.clone(),
            bit,
        }
    }

    #[inline]
    pub(crate) fn get(&self) -> bool {
        self.word.get() & self.bit != 0
    }

    #[inline]
    pub(crate) fn set(&self, on: bool) {
        let others = self.word.get() & !self.bit;
        self.word.set(others | if on { self.bit } else { 0 });
    }

    #[inline]
    pub(crate) fn replace(&self, on: bool) -> bool {
        let old = self.get();
        self.set(on);
        old
    }
}
