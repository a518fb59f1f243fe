//! The inbox: letters in from any thread, out in the kernel's I/O phase.

use super::call::Queued;
use super::dead_letter::{DeadLetter, Lost};
use super::letter::{Door, Letter, Letters, Post};
use crate::arg::AnyArg;
use crate::bridge::clock::SendClock;
use crate::bridge::wake::Shared;
use crate::error::{CallErrorKind, PostErrorKind, drop_quietly, quietly};
use crate::kernel::Core;
use crate::kernel::dispatch::discard;
use crate::name::{Key, NameIdx};
use crate::resource::sessions::KERNEL;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) struct Inbox {
    pub(crate) shared: Arc<Shared>,
    letters: Mutex<Letters>,
    capacity: usize,
    /// Handles that are not dropped. It is counted down before the kernel is woken: see [`leave`](Self::leave).
    handles: AtomicUsize,
    pub(super) clock: SendClock,
    pub(super) kernel: u32,
}

impl Inbox {
    pub(crate) fn new(shared: Arc<Shared>, capacity: usize, clock: SendClock, kernel: u32) -> Arc<Self> {
        Arc::new(Inbox {
            shared,
            letters: Mutex::default(),
            capacity,
            handles: AtomicUsize::new(0),
            clock,
            kernel,
        })
    }

    pub(super) fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One handle more.
    pub(super) fn enter(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// One handle less; `serve` may be waiting for just this.
    ///
    /// No interleaving loses the end of `serve`. The dropping thread does D1: counts down, D2: raises the flag, D3: wakes the
    /// registered waker if the flag was down. The kernel does K1: takes the flag down, K2: reads the count, K3: registers its
    /// waker, K4: looks at the flag again and sleeps if it is down. If K2 still sees the handle, D1 comes after K2 and so D2
    /// after K1. Then either K4 sees the flag, or D2 comes after K4 and finds it down: D3 wakes the waker of K3. Whoever has
    /// raised the flag in between and not been seen by K4 does the same in place of D3.
    pub(super) fn leave(&self) {
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.notify();
        }
    }

    /// No handle is left that could put anything in.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.handles.load(Ordering::Acquire) == 0 && self.letters().waiting.is_empty()
    }

    /// Lets in only what `door` says from now on, and gives out what was not taken in yet.
    pub(super) fn shut(&self, door: Door) -> Vec<Letter> {
        let mut letters = self.letters();
        letters.door = door;
        let urgent = std::mem::take(&mut letters.urgent).into_iter().map(Letter::Signal);
        urgent.chain(std::mem::take(&mut letters.waiting)).collect()
    }

    /// Puts a letter in. It is written only if it is taken, so that whoever is refused still has what was to be in it.
    #[inline]
    pub(super) fn put(&self, is_call: bool, write: impl FnOnce() -> Letter) -> Result<(), PostErrorKind> {
        let told = {
            let mut letters = self.letters();
            match letters.door {
                Door::Open => {}
                Door::NoCalls if !is_call => {}
                Door::NoCalls | Door::Failed => return Err(PostErrorKind::Ended),
                Door::Closed => return Err(PostErrorKind::Closed),
            }
            if letters.waiting.len() >= self.capacity {
                return Err(PostErrorKind::Full(self.capacity));
            }
            letters.waiting.push_back(write());
            std::mem::replace(&mut letters.told, true)
        };
        if !told {
            self.shared.notify();
        }
        Ok(())
    }

    /// Puts in a signal that acts as soon as the kernel looks, ahead of all that waits and also in the middle of a slice.
    pub(super) fn put_urgent(&self, write: impl FnOnce() -> Post) -> Result<(), PostErrorKind> {
        {
            let mut letters = self.letters();
            match letters.door {
                Door::Open | Door::NoCalls => {}
                Door::Failed => return Err(PostErrorKind::Ended),
                Door::Closed => return Err(PostErrorKind::Closed),
            }
            if letters.urgent.len() >= self.capacity {
                return Err(PostErrorKind::Full(self.capacity));
            }
            letters.urgent.push(write());
        }
        self.shared.notify();
        Ok(())
    }

    /// Puts work in even if the inbox is full, for what must not be lost; the kernel may be gone, which is as good.
    pub(crate) fn put_always(&self, work: Box<dyn FnOnce(&Core) + Send>) {
        let refused = {
            let mut letters = self.letters();
            if letters.door == Door::Closed {
                Some(work)
            } else {
                letters.waiting.push_back(Letter::Run(work));
                None
            }
        };
        drop(refused);
        self.shared.notify();
    }
}

impl Core {
    /// Takes in what other threads have sent until now, in the order in which they sent it. False if the pace is spent
    /// before the end.
    pub(crate) fn take_messages(&self) -> bool {
        self.take_urgent();
        // What a pause has left; then one look at the inbox, because a steady stream must not hold the slice.
        if !self.take_rest(false) {
            return false;
        }
        if !self.run.looked_at_inbox.replace(true) {
            self.empty_inbox();
            if !self.take_rest(false) {
                return false;
            }
        }
        self.run.looked_at_inbox.set(false);
        true
    }

    /// The same at a pause. Messages only join the queue then, as far as the queue holds fewer events than the inbox may
    /// hold messages; the kernel's own work stays for the next slice.
    pub(crate) fn take_messages_in_pause(&self) {
        if self.take_rest(true)
            && self.letters.borrow().is_empty()
            && self.shared.wants_attention()
            && self.queue.borrow().len() < self.config.inbox
        {
            self.empty_inbox();
            self.take_rest(true);
        }
    }

    /// Does what must not wait for the end of a slice.
    pub(crate) fn take_urgent(&self) {
        let urgent = std::mem::take(&mut self.inbox.letters().urgent);
        for signal in urgent {
            let (target, name) = (signal.target.target(), signal.event.key());
            match self.resolve(&target) {
                Some(to) => self.signal_at_once(to, name.as_str(), signal.arg.into_any(), signal.place),
                None => self.dead_letter(&target, name, signal.arg.into_any(), signal.place),
            }
        }
    }

    /// Moves what waits in the inbox to the kernel's side. Both sides' buffers are used again.
    fn empty_inbox(&self) {
        let mut letters = self.letters.borrow_mut();
        // A burst's memory is given back step by step, so that a steady stream does not fetch it anew each time.
        let capacity = letters.capacity();
        if capacity > 256 && self.run.taken_in.get() < capacity / 8 {
            letters.shrink_to(capacity / 2);
        }
        {
            let mut inbox = self.inbox.letters();
            inbox.told = false;
            std::mem::swap(&mut inbox.waiting, &mut *letters);
        }
        self.run.taken_in.set(letters.len());
    }

    /// Delivers what was taken out of the inbox. False if the pace is spent before the end.
    fn take_rest(&self, in_pause: bool) -> bool {
        loop {
            let letter = {
                let mut letters = self.letters.borrow_mut();
                match letters.front() {
                    None => return true,
                    Some(_) if self.run.pace.is_spent() => return false,
                    Some(Letter::Run(_)) if in_pause => return true,
                    Some(_) => letters.pop_front(),
                }
            };
            let Some(letter) = letter else { return true };
            self.take_in(letter);
            self.run.pace.step(self);
        }
    }

    /// All letters that were not delivered, the oldest first; `door` lets in only what it says from now on.
    fn take_all(&self, door: Door) -> Vec<Letter> {
        let untaken = self.letters.take();
        untaken.into_iter().chain(self.inbox.shut(door)).collect()
    }

    #[inline]
    fn take_in(&self, letter: Letter) {
        match letter {
            Letter::Post(post) => self.take_in_post(post),
            other => self.take_in_other(other),
        }
    }

    #[inline]
    fn take_in_post(&self, post: Post) {
        let Post {
            target,
            event,
            arg,
            place,
            sent,
        } = post;
        match self.resolve(&target.target()) {
            Some(KERNEL) => {
                self.tell_swallowed(event.key(), self.id(), place);
                discard(&mut arg.into_any());
            }
            Some(to) => self.enqueue_sent(to, event.key(), NameIdx::REMOTE, arg.into_any(), place, sent),
            None => self.dead_letter(&target.target(), event.key(), arg.into_any(), place),
        }
    }

    #[inline(never)]
    fn take_in_other(&self, letter: Letter) {
        match letter {
            Letter::Post(post) => self.take_in_post(post),
            Letter::Signal(Post {
                target,
                event,
                arg,
                place,
                sent,
            }) => match self.resolve(&target.target()) {
                Some(to) => self.enqueue_sent_signal(to, event.key().as_str(), arg.into_any(), place, sent),
                None => self.dead_letter(&target.target(), event.key(), arg.into_any(), place),
            },
            Letter::Call {
                target,
                call,
                place,
                sent,
            } => match self.resolve(&target.target()) {
                // It has no handlers, and nothing to wait for.
                Some(KERNEL) => call.run(self, self.id(), place),
                Some(to) => self.enqueue_sent(to, Key::CALL, NameIdx::REMOTE, AnyArg::new(Queued(call)), place, sent),
                None => call.refuse(CallErrorKind::NoSuchSession(target.target().wanted())),
            },
            Letter::Run(work) => quietly("a value panicked in a message from another thread", || work(self)),
        }
    }

    /// A run has ended: everybody who waits in the inbox is told so, and so is whoever calls from now on. Posts may wait for
    /// another run, unless a failure has ended this one.
    pub(crate) fn end_inbox(&self, failed: bool) {
        self.run.inbox_shut.set(true);
        let door = if failed { Door::Failed } else { Door::NoCalls };
        for letter in self.take_all(door) {
            match letter {
                Letter::Call { call, .. } => call.refuse(CallErrorKind::Ended),
                other => self.take_in(other),
            }
        }
    }

    /// There is, or will be, something to do for the kernel: it takes in everything again.
    #[inline]
    pub(crate) fn reopen_inbox(&self) {
        if self.run.inbox_shut.replace(false) {
            self.inbox.letters().door = Door::Open;
        }
    }

    /// The end of the kernel: what was not taken in is for nobody.
    pub(crate) fn close_inbox(&self) {
        let mut lost = Vec::new();
        for letter in self.take_all(Door::Closed) {
            match letter {
                Letter::Post(post) | Letter::Signal(post) => lost.push(Lost::Letter(DeadLetter::of(
                    &post.target.target(),
                    post.event.key(),
                    post.arg.into_any(),
                    post.place,
                ))),
                Letter::Call { call, .. } => call.refuse(CallErrorKind::Closed),
                Letter::Run(work) => drop_quietly(work),
            }
        }
        self.tell_all_lost(lost);
    }
}
