//! The queue between threads: any thread sends letters, the kernel's thread takes them. `tests/models` tries its interleavings.

use super::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};
use super::wake::WakeState;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, PoisonError};
use std::task::{Poll, Waker};

/// Which letters are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Door {
    #[default]
    Open,
    /// The run has ended, and no other one is prepared yet: a call would wait for ever. A post may wait.
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
    /// The mailbox is full; its capacity.
    Full(usize),
}

/// What a letter needs to be accepted; see [`Door`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// A run, because a caller waits for the reply.
    Run,
    /// A kernel.
    Kernel,
}

/// Letters `L`, and urgent letters `U`, which overtake them.
pub(crate) struct Mailbox<L, U> {
    pub(crate) shared: Arc<WakeState>,
    slots: Mutex<Slots<L, U>>,
    capacity: usize,
    /// Handles that are not dropped. It is counted down before the kernel is woken: see [`leave`](Self::leave).
    handles: AtomicUsize,
}

struct Slots<L, U> {
    waiting: VecDeque<L>,
    /// Taken during a pause, too: KILL.
    urgent: Vec<U>,
    door: Door,
    /// The kernel was woken and has not looked yet: one wake-up for everything that comes until then.
    announced: bool,
    /// Senders that wait for room, by the order in which they came. While there is one, letters wait or a sender is called.
    senders: BTreeMap<Place, Waker>,
    /// Senders that were woken, and have not come back yet. There is room for them, unless others who do not wait have taken it.
    called: BTreeSet<Place>,
    next_place: u64,
}

/// A sender's place in the line for room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

impl<L, U> Slots<L, U> {
    /// Whether letters of that kind are let in at all.
    fn admit(&self, needs: Needs) -> Result<(), Refusal> {
        match self.door {
            Door::Open => Ok(()),
            Door::NoCalls if needs == Needs::Kernel => Ok(()),
            Door::NoCalls | Door::Failed => Err(Refusal::Ended),
            Door::Closed => Err(Refusal::Closed),
        }
    }

    /// Calls senders, until so many have been called and have not come back: the first in line first.
    fn call_senders(&mut self, most: usize) -> Vec<Waker> {
        let mut woken = Vec::new();
        while self.called.len() < most
            && let Some((place, waker)) = self.senders.pop_first()
        {
            self.called.insert(place);
            woken.push(waker);
        }
        woken
    }

    /// Ready when the sender may have room, and in line until then: no other sender is ahead. A sender that is refused leaves the line.
    fn poll_turn(
        &mut self,
        needs: Needs,
        capacity: usize,
        place: &mut Option<Place>,
        waker: &Waker,
    ) -> Poll<Result<(), Refusal>> {
        let was_called = place.is_some_and(|place| self.leave(place));
        if let Err(refusal) = self.admit(needs) {
            *place = None;
            return Poll::Ready(Err(refusal));
        }
        // The room of those who were called is theirs, and a newcomer is behind all who wait.
        let ahead = match was_called {
            true => 0,
            false => self
                .called
                .len()
                .max(if self.senders.is_empty() { 0 } else { capacity }),
        };
        if self.waiting.len() + ahead >= capacity {
            let own = self.place(place);
            self.senders.insert(own, waker.clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// The sender's place, a new one behind all others if it has none.
    fn place(&mut self, place: &mut Option<Place>) -> Place {
        *place.get_or_insert_with(|| {
            let own = Place(self.next_place);
            self.next_place += 1;
            own
        })
    }

    /// A sender comes back, or gives up. True if it was called.
    fn leave(&mut self, place: Place) -> bool {
        self.senders.remove(&place);
        self.called.remove(&place)
    }
}

impl<L, U> Mailbox<L, U> {
    pub(crate) fn new(shared: Arc<WakeState>, capacity: usize) -> Self {
        Mailbox {
            shared,
            slots: Mutex::new(Slots {
                waiting: VecDeque::new(),
                urgent: Vec::new(),
                door: Door::Open,
                announced: false,
                senders: BTreeMap::new(),
                called: BTreeSet::new(),
                next_place: 0,
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

    /// Counts a new handle.
    pub(crate) fn enter(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a dropped handle; `serve` may be waiting for the last one.
    ///
    /// No interleaving loses the end of `serve`. The dropping thread does D1: counts down, D2: sets the flag, D3: wakes the
    /// registered waker if the flag was clear. The kernel does K1: clears the flag, K2: reads the count, K3: registers its
    /// waker, K4: reads the flag again and sleeps if it is clear. If K2 still sees the handle, D1 comes after K2 and so D2
    /// after K1. Then either K4 sees the flag, or D2 comes after K4 and finds it clear: D3 wakes the waker of K3. A thread that
    /// has set the flag in between and was not seen by K4 does the same in place of D3.
    pub(crate) fn leave(&self) {
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.notify();
        }
    }

    /// Whether no handle is left that could send a letter.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.handles.load(Ordering::Acquire) == 0 && self.slots().waiting.is_empty()
    }

    /// Adds a letter. `write` runs only if the letter is accepted, so that a refused sender still has its parts.
    #[inline]
    pub(crate) fn put(&self, needs: Needs, write: impl FnOnce() -> L) -> Result<(), Refusal> {
        let announced = {
            let mut slots = self.slots();
            slots.admit(needs)?;
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

    /// Adds a letter as soon as there is room and no other sender is ahead in the line. `place` is the sender's place, once it
    /// has waited; a sender that gives up calls [`leave_line`](Self::leave_line).
    pub(crate) fn poll_put(
        &self,
        needs: Needs,
        place: &mut Option<Place>,
        waker: &Waker,
        write: impl FnOnce() -> L,
    ) -> Poll<Result<(), Refusal>> {
        let announced = {
            let mut slots = self.slots();
            if let Err(refusal) = std::task::ready!(slots.poll_turn(needs, self.capacity, place, waker)) {
                return Poll::Ready(Err(refusal));
            }
            *place = None;
            slots.waiting.push_back(write());
            std::mem::replace(&mut slots.announced, true)
        };
        if !announced {
            self.shared.notify();
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for room as [`poll_put`](Self::poll_put) does, and keeps it for the sender, as for one that was called: until
    /// [`leave_line`](Self::leave_line).
    #[cfg(feature = "tower")]
    pub(crate) fn poll_room(
        &self,
        needs: Needs,
        place: &mut Option<Place>,
        waker: &Waker,
    ) -> Poll<Result<(), Refusal>> {
        let mut slots = self.slots();
        let turn = std::task::ready!(slots.poll_turn(needs, self.capacity, place, waker));
        if turn.is_ok() {
            let own = slots.place(place);
            slots.called.insert(own);
        }
        Poll::Ready(turn)
    }

    /// A sender has given up. If it was called, the next one comes in its stead.
    pub(crate) fn leave_line(&self, place: Place) {
        let woken = {
            let mut slots = self.slots();
            match slots.leave(place) {
                true => {
                    let most = slots.called.len() + 1;
                    slots.call_senders(most)
                }
                false => Vec::new(),
            }
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// Adds an urgent letter, which acts as soon as the kernel looks, also in the middle of a slice.
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

    /// Adds a letter even if the mailbox is full, for letters that must not be lost. Returns it if the kernel is gone.
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

    /// Moves the letters into `into`, which must be empty; its buffer is used for later letters.
    #[inline]
    pub(crate) fn take(&self, into: &mut VecDeque<L>) {
        let mut slots = self.slots();
        slots.announced = false;
        std::mem::swap(&mut slots.waiting, into);
        if !slots.senders.is_empty() {
            self.make_room(slots);
        }
    }

    #[cold]
    fn make_room(&self, mut slots: MutexGuard<'_, Slots<L, U>>) {
        let woken = slots.call_senders(self.capacity);
        drop(slots);
        woken.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn take_urgent(&self) -> Vec<U> {
        std::mem::take(&mut self.slots().urgent)
    }

    /// Accepts only the letters that `door` allows from now on, and returns those that were not taken yet.
    pub(crate) fn shut(&self, door: Door) -> (Vec<U>, VecDeque<L>) {
        let mut slots = self.slots();
        slots.door = door;
        let taken = (std::mem::take(&mut slots.urgent), std::mem::take(&mut slots.waiting));
        // There is room for some, or they are to hear that there will be none.
        let woken = slots.call_senders(usize::MAX);
        drop(slots);
        woken.into_iter().for_each(Waker::wake);
        taken
    }
}
