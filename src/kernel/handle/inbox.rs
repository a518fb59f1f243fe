//! The inbox: any thread adds letters, the kernel takes them out in its I/O phase.

use super::call::Queued;
use super::dead_letter::{DeadLetter, Lost};
use super::letter::{Letter, Post};
use crate::arg::AnyArg;
use crate::bridge::clock::SendClock;
use crate::bridge::mailbox::{Door, Mailbox, Refusal};
use crate::bridge::wake::WakeState;
use crate::error::{CallErrorKind, PostErrorKind, drop_quietly, quietly};
use crate::kernel::Core;
use crate::kernel::deferred::Origin;
use crate::kernel::dispatch::discard;
use crate::name::{Key, NameIdx};
use crate::resource::sessions::KERNEL;
use std::sync::Arc;

pub(crate) struct Inbox {
    pub(super) mailbox: Mailbox<Letter, Post>,
    pub(super) clock: SendClock,
    pub(super) kernel: u32,
}

impl Inbox {
    pub(crate) fn new(shared: Arc<WakeState>, capacity: usize, clock: SendClock, kernel: u32) -> Arc<Self> {
        Arc::new(Inbox {
            mailbox: Mailbox::new(shared, capacity),
            clock,
            kernel,
        })
    }

    /// No handle is left that could put anything in.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.mailbox.is_abandoned()
    }

    /// Lets in only what `door` says from now on, and gives out what was not taken in yet.
    fn shut(&self, door: Door) -> impl Iterator<Item = Letter> {
        let (urgent, waiting) = self.mailbox.shut(door);
        urgent.into_iter().map(Letter::Signal).chain(waiting)
    }

    /// Puts work in even if the inbox is full, for what must not be lost. If the kernel is gone, the work is dropped here.
    pub(crate) fn put_always(&self, work: Box<dyn FnOnce(&Core) + Send>) {
        drop(self.mailbox.put_always(Letter::Run(work)));
    }
}

impl From<Refusal> for PostErrorKind {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Ended => PostErrorKind::Ended,
            Refusal::Closed => PostErrorKind::Closed,
            Refusal::Full(capacity) => PostErrorKind::Full(capacity),
        }
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
            && self.queue().len() < self.config.inbox
        {
            self.empty_inbox();
            self.take_rest(true);
        }
    }

    /// Does what must not wait for the end of a slice.
    pub(crate) fn take_urgent(&self) {
        for signal in self.inbox.mailbox.take_urgent() {
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
        self.inbox.mailbox.take(&mut letters);
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
    pub(super) fn take_in_post(&self, post: Post) {
        let Post {
            target,
            event,
            arg,
            place,
            sent,
        } = post;
        match self.resolve(&target.target()) {
            Some(KERNEL) => {
                self.tell_swallowed(event.key().as_str(), self.id(), place);
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
                Some(KERNEL) => {
                    let (sender, caller) = (self.id(), NameIdx::REMOTE);
                    call.run(self, sender, Origin { sender, caller, place });
                }
                Some(to) => self.enqueue_sent(to, Key::CALL, NameIdx::REMOTE, AnyArg::new(Queued(call)), place, sent),
                None => call.refuse(self, CallErrorKind::NoSuchSession(target.target().wanted())),
            },
            Letter::Run(work) => quietly("a value panicked in a message from another thread", || work(self)),
        }
    }

    /// A run has ended: calls in the inbox, and later ones, get an error. Posts wait for another run, unless a failure has
    /// ended this one.
    pub(crate) fn end_inbox(&self, failed: bool) {
        self.run.inbox_shut.set(true);
        let door = if failed { Door::Failed } else { Door::NoCalls };
        for letter in self.take_all(door) {
            match letter {
                Letter::Call { call, .. } => call.refuse(self, CallErrorKind::Ended),
                other => self.take_in(other),
            }
        }
    }

    /// There is, or will be, something to do for the kernel: it takes in everything again.
    #[inline]
    pub(crate) fn reopen_inbox(&self) {
        if self.run.inbox_shut.replace(false) {
            self.inbox.mailbox.set_door(Door::Open);
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
                Letter::Call { call, .. } => call.refuse(self, CallErrorKind::Closed),
                Letter::Run(work) => drop_quietly(work),
            }
        }
        self.tell_all_lost(lost);
    }
}
