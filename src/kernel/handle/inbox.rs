//! The inbox: any thread adds letters, the kernel takes them out in its I/O phase.

use super::super::deferred::Origin;
use super::super::dispatch::discard;
use super::super::spans::Cause;
use super::super::{Core, Target};
use super::call::{Queued, QueuedCall};
use super::dead_letter::{DeadLetter, Lost};
use crate::arg::{AnyArg, SendArg};
use crate::bridge::clock::SendClock;
use crate::bridge::mailbox::{Door, Mailbox, Needs, Place as Line, Refusal};
use crate::bridge::wake::WakeState;
use crate::error::{CallErrorKind, PostError, PostErrorKind, drop_quietly, quietly};
use crate::id::{Place, SessionId};
use crate::name::{Key, NameIdx};
use crate::resource::sessions::KERNEL;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

pub(crate) struct Inbox {
    pub(super) mailbox: Mailbox<Letter, Post>,
    pub(in crate::kernel) clock: SendClock,
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

    /// Whether the kernel is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.mailbox.door() == Door::Closed
    }

    /// The number of messages that were not taken in yet.
    pub(crate) fn len(&self) -> usize {
        self.mailbox.len()
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

    /// Returns all letters that were not delivered, the oldest first; from now on `door` decides what comes in.
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
            cause,
        } = post;
        match self.resolve(&target.target()) {
            Some(KERNEL) => {
                self.tell_swallowed(event.key().as_str(), self.id(), place);
                discard(&mut arg.into_any());
            }
            Some(to) => self.enqueue_sent(to, event.key(), NameIdx::REMOTE, arg.into_any(), place, sent, cause),
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
                cause,
            }) => match self.resolve(&target.target()) {
                Some(to) => self.enqueue_sent_signal(to, event.key().as_str(), arg.into_any(), place, sent, cause),
                None => self.dead_letter(&target.target(), event.key(), arg.into_any(), place),
            },
            Letter::Call {
                target,
                call,
                place,
                sent,
                cause,
            } => match self.resolve(&target.target()) {
                // It has no handlers, and nothing to wait for.
                Some(KERNEL) => {
                    let (sender, caller) = (self.id(), NameIdx::REMOTE);
                    call.run(self, sender, Origin { sender, caller, place });
                }
                Some(to) => self.enqueue_sent(
                    to,
                    Key::CALL,
                    NameIdx::REMOTE,
                    AnyArg::new(Queued(call)),
                    place,
                    sent,
                    cause,
                ),
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

// The contents of the inbox: messages that may cross threads.
/// A name that may cross threads.
pub(in crate::kernel) enum SendName {
    Fixed(Key<'static>),
    Owned(Box<str>),
}

impl SendName {
    pub(super) fn new(key: Key<'_>) -> Self {
        match key.as_fixed() {
            Some(key) => SendName::Fixed(key),
            None => SendName::Owned(key.as_str().into()),
        }
    }

    pub(super) fn key(&self) -> Key<'_> {
        match self {
            SendName::Fixed(key) => *key,
            SendName::Owned(text) => Key::new(text),
        }
    }
}

/// A target that may cross threads.
pub(in crate::kernel) enum SendTarget {
    Id(SessionId),
    Alias(Box<str>),
}

impl SendTarget {
    pub(super) fn new(target: Target<'_>) -> Self {
        match target {
            Target::Id(id) => SendTarget::Id(id),
            Target::Alias(alias) => SendTarget::Alias(alias.into()),
        }
    }

    pub(super) fn target(&self) -> Target<'_> {
        match self {
            SendTarget::Id(id) => Target::Id(*id),
            SendTarget::Alias(alias) => Target::from(&**alias),
        }
    }
}

pub(in crate::kernel) struct Post {
    pub(super) target: SendTarget,
    pub(super) event: SendName,
    pub(super) arg: SendArg,
    pub(super) place: Place,
    /// When it was sent, on the kernel's scale.
    pub(super) sent: u64,
    pub(super) cause: Cause,
}

/// What lies in the inbox. All but `Run` only joins the queue when the kernel takes it in.
pub(in crate::kernel) enum Letter {
    Post(Post),
    /// Its event is the signal's name.
    Signal(Post),
    Call {
        target: SendTarget,
        call: Box<dyn QueuedCall + Send>,
        place: Place,
        sent: u64,
        cause: Cause,
    },
    /// The kernel's own work, such as the release of a postback.
    Run(Box<dyn FnOnce(&Core) + Send>),
}

// Posts that wait for room in the inbox.
pub(super) struct PostWait<'h, A> {
    pub(super) inbox: &'h Inbox,
    /// Until it is posted.
    pub(super) post: Option<(SendTarget, SendName, A)>,
    pub(super) cause: Cause,
    pub(super) place: Place,
    /// Its place in the line, once it waits.
    pub(super) line: Option<Line>,
}

impl<A> Unpin for PostWait<'_, A> {}

impl<A: Send + 'static> Future for PostWait<'_, A> {
    type Output = Result<(), PostError<A>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let put = this
            .inbox
            .mailbox
            .poll_put(Needs::Kernel, &mut this.line, cx.waker(), || match this.post.take() {
                Some((target, event, arg)) => Letter::Post(Post {
                    target,
                    event,
                    arg: SendArg::new(arg),
                    place: this.place,
                    sent: this.inbox.clock.now(),
                    cause: std::mem::take(&mut this.cause),
                }),
                None => unreachable!("a future is not polled after its end"),
            });
        put.map_err(|refusal| match this.post.take() {
            Some((_, event, arg)) => PostError::new(event.key().as_str(), refusal.into(), arg),
            None => unreachable!("a refused post still has its argument"),
        })
    }
}

impl<A> Drop for PostWait<'_, A> {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            self.inbox.mailbox.leave_line(line);
        }
    }
}
