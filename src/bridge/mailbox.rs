//! The queue between threads: letters in from any thread, out on the kernel's. `tests/models` tries its interleavings.

use super::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};
use super::wake::Shared;
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

/// Who is let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Door {
    #[default]
    Open,
    /// The run has ended, and nothing was made for another one yet: a call would wait for ever. A post may wait.
    NoCalls,
    /// A failure has ended the run.
    Failed,
    /// The kernel is gone.
    Closed,
}

/// Why a letter was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The run has ended.
    Ended,
    /// The kernel is gone.
    Closed,
    /// So many letters wait already.
    Full(usize),
}

/// How a letter is treated at the [`Door`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// A run: somebody waits for the reply.
    Run,
    /// A kernel.
    Kernel,
}

/// Letters `L`, and urgent ones `U`, which overtake them.
pub(crate) struct Mailbox<L, U> {
    pub(crate) shared: Arc<Shared>,
    slots: Mutex<Slots<L, U>>,
    capacity: usize,
    /// Handles that are not dropped. It is counted down before the kernel is woken: see [`leave`](Self::leave).
    handles: AtomicUsize,
}

struct Slots<L, U> {
    waiting: VecDeque<L>,
    /// Acts during a pause, too: KILL.
    urgent: Vec<U>,
    door: Door,
    /// The kernel was woken and has not looked yet: one wake-up for all that comes until then.
    announced: bool,
}

impl<L, U> Mailbox<L, U> {
    pub(crate) fn new(shared: Arc<Shared>, capacity: usize) -> Self {
        Mailbox {
            shared,
            slots: Mutex::new(Slots {
                waiting: VecDeque::new(),
                urgent: Vec::new(),
                door: Door::Open,
                announced: false,
            }),
            capacity,
            handles: AtomicUsize::new(0),
        }
    }

    fn slots(&self) -> MutexGuard<'_, Slots<L, U>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots().waiting.len()
    }

    pub(crate) fn door(&self) -> Door {
        self.slots().door
    }

    pub(crate) fn set_door(&self, door: Door) {
        self.slots().door = door;
    }

    /// One handle more.
    pub(crate) fn enter(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// One handle less; `serve` may be waiting for just this.
    ///
    /// No interleaving loses the end of `serve`. The dropping thread does D1: counts down, D2: raises the flag, D3: wakes the
    /// registered waker if the flag was down. The kernel does K1: takes the flag down, K2: reads the count, K3: registers its
    /// waker, K4: looks at the flag again and sleeps if it is down. If K2 still sees the handle, D1 comes after K2 and so D2
    /// after K1. Then either K4 sees the flag, or D2 comes after K4 and finds it down: D3 wakes the waker of K3. A thread that
    /// has raised the flag in between and was not seen by K4 does the same in place of D3.
    pub(crate) fn leave(&self) {
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.notify();
        }
    }

    /// No handle is left that could put anything in.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.handles.load(Ordering::Acquire) == 0 && self.slots().waiting.is_empty()
    }

    /// Puts a letter in. `write` runs only if the letter is accepted, so that a refused sender still has its parts.
    #[inline]
    pub(crate) fn put(&self, needs: Needs, write: impl FnOnce() -> L) -> Result<(), Refusal> {
        let announced = {
            let mut slots = self.slots();
            match slots.door {
                Door::Open => {}
                Door::NoCalls if needs == Needs::Kernel => {}
                Door::NoCalls | Door::Failed => return Err(Refusal::Ended),
                Door::Closed => return Err(Refusal::Closed),
            }
            if slots.waiting.len() >= self.capacity {
                return Err(Refusal::Full(self.capacity));
            }
            slots.waiting.push_back(write());
            std::mem::replace(&mut slots.announced, true)
        };
        if !announced {
            self.shared.notify();
        }
        Ok(())
    }

    /// Puts an urgent letter in, which acts as soon as the kernel looks, also in the middle of a slice.
    pub(crate) fn put_urgent(&self, write: impl FnOnce() -> U) -> Result<(), Refusal> {
        {
            let mut slots = self.slots();
            match slots.door {
                Door::Open | Door::NoCalls => {}
                Door::Failed => return Err(Refusal::Ended),
                Door::Closed => return Err(Refusal::Closed),
            }
            if slots.urgent.len() >= self.capacity {
                return Err(Refusal::Full(self.capacity));
            }
            slots.urgent.push(write());
        }
        self.shared.notify();
        Ok(())
    }

    /// Puts a letter in even if the mailbox is full, for what must not be lost. Gives it back if the kernel is gone.
    pub(crate) fn put_always(&self, letter: L) -> Result<(), L> {
        {
            let mut slots = self.slots();
            if slots.door == Door::Closed {
                return Err(letter);
            }
            slots.waiting.push_back(letter);
        }
        self.shared.notify();
        Ok(())
    }

    /// Moves the letters into `into`, which must be empty; its buffer is used for those that come.
    #[inline]
    pub(crate) fn take(&self, into: &mut VecDeque<L>) {
        let mut slots = self.slots();
        slots.announced = false;
        std::mem::swap(&mut slots.waiting, into);
    }

    pub(crate) fn take_urgent(&self) -> Vec<U> {
        std::mem::take(&mut self.slots().urgent)
    }

    /// Lets in only what `door` says from now on, and gives out what was not taken yet.
    pub(crate) fn shut(&self, door: Door) -> (Vec<U>, VecDeque<L>) {
        let mut slots = self.slots();
        slots.door = door;
        (std::mem::take(&mut slots.urgent), std::mem::take(&mut slots.waiting))
    }
}
