//! Looking at a kernel from outside: observers, which the kernel tells what happens, and looks, which other threads ask for.
//!
//! A kernel without observers looks at one empty list per poll. With observers that want no dispatches an event costs the same.

use super::deferred::Origin;
use super::handle::{Inbox, Queued, QueuedCall};
use super::spans::Cause;
use super::{Core, DeadLetter, Die, Frame, Invoked, Kernel, KernelHandle};
use crate::arg::AnyArg;
use crate::error::{CallErrorKind, Failure, drop_quietly, quietly};
use crate::id::SessionId;
use crate::name::{Key, Name, NameIdx};
use crate::resource::sessions::KERNEL;
use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::sync::oneshot;

/// What a kernel tells while it runs: see [`Kernel::observe`].
///
/// Its methods run on the kernel's thread, between handlers, and must be short. A panic in them is logged.
pub trait Observer: 'static {
    /// Whether it wants to be told of dispatches now.
    ///
    /// The kernel asks when it is polled, and after each dispatch that it has told of, so an observer can take a sample:
    /// once it says no, the rest of the poll costs nothing.
    fn wants_dispatches(&self) -> bool {
        false
    }

    /// A handler has returned, or failed.
    fn dispatched(&self, dispatch: &Dispatch<'_>) {
        let _ = dispatch;
    }

    /// Whether it wants to be told how long the kernel's polls take: asked when the kernel is polled.
    fn wants_polls(&self) -> bool {
        false
    }

    /// The kernel has given its thread back after that long.
    fn polled(&self, took: Duration) {
        let _ = took;
    }

    /// A handler has failed, and nobody handled its `DIE`.
    fn failed(&self, failure: &Die, consequence: &str) {
        let _ = (failure, consequence);
    }

    /// A message did not reach a handler.
    fn dead_letter(&self, letter: &DeadLetter) {
        let _ = letter;
    }

    /// A component tells something, for instance a supervisor a [`ChildReport`](crate::component::ChildReport).
    fn reported(&self, report: &dyn Any) {
        let _ = report;
    }
}

/// One call of a handler, as an [`Observer`] sees it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Dispatch<'a> {
    /// The session whose handler ran.
    pub session: SessionId,
    /// The event.
    pub event: &'a str,
    /// The session that sent the event.
    pub sender: SessionId,
    /// The line that sent the event.
    pub place: &'static Location<'static>,
    /// When the handler began.
    pub started: SystemTime,
    /// How long it took, with everything that it called.
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome<'a>,
}

/// How a handler ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// It returned.
    Handled,
    /// The session has no handler for the event.
    Unhandled,
    /// It returned an error, or panicked.
    Failed(&'a Failure),
}

/// An observer's place at a kernel, and the way for other threads to look at the kernel: `Send`, `Sync`, cheap to clone.
///
/// It keeps neither the kernel nor [`serve`](Kernel::serve) alive. Dropping it changes nothing; [`end`](Self::end) removes the observer.
#[derive(Clone)]
pub struct Observation {
    inbox: Arc<Inbox>,
    number: u64,
}

impl Observation {
    /// Runs `look` in the kernel's task, between two slices, and returns what it returns.
    ///
    /// `None` if the kernel is gone. If the kernel is not polled, or a handler of it blocks, the future waits: give it a time limit.
    pub fn look<T: Send + 'static>(&self, look: impl FnOnce(Look<'_>) -> T + Send + 'static) -> LookFuture<T> {
        let (reply, receiver) = oneshot::channel();
        self.inbox.put_always(Box::new(move |core| {
            if !reply.is_closed() {
                drop(reply.send(look(Look { core })));
            }
        }));
        LookFuture(receiver)
    }

    /// Measures how long an event waits, with an event that goes through the inbox and the queue like a post from another thread.
    pub fn probe(&self) -> LookFuture<Duration> {
        let (reply, receiver) = oneshot::channel();
        let (sent, place) = (self.inbox.clock.now(), Location::caller());
        self.inbox.put_always(Box::new(move |core| {
            let sent = sent.min(core.clock.now());
            let probe = AnyArg::new(Queued(Box::new(Probe { sent, reply })));
            core.enqueue_sent(KERNEL, Key::CALL, NameIdx::REMOTE, probe, place, sent, Cause::none());
        }));
        LookFuture(receiver)
    }

    /// Whether the kernel is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inbox.is_closed()
    }

    /// Removes the observer.
    pub fn end(self) {
        let number = self.number;
        self.inbox.put_always(Box::new(move |core| core.unobserve(number)));
    }
}

impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observation")
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Waits for a [look](Observation::look) at a kernel; `None` if the kernel is gone.
#[must_use = "it does nothing unless it is polled"]
#[derive(Debug)]
pub struct LookFuture<T>(oneshot::Receiver<T>);

impl<T> Future for LookFuture<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(cx).map(Result::ok)
    }
}

struct Probe {
    sent: u64,
    reply: oneshot::Sender<Duration>,
}

impl QueuedCall for Probe {
    fn run(self: Box<Self>, core: &Core, _: SessionId, _: Origin) {
        let waited = core.clock.now().saturating_sub(self.sent);
        let _ = self.reply.send(Duration::from_nanos(waited));
    }

    fn refuse(self: Box<Self>, _: &Core, _: CallErrorKind) {}

    fn event(&self) -> Name {
        Name::from_static("poe_probe")
    }
}

/// A kernel, seen between two slices by an [`Observation`].
///
/// Its methods return owned data. Those that return parts take time in proportion to the part, so that a kernel with many sessions
/// is looked at in pieces.
#[derive(Clone, Copy)]
pub struct Look<'k> {
    pub(super) core: &'k Core,
}

impl Look<'_> {
    /// Returns the kernel's name.
    #[must_use]
    pub fn name(self) -> Rc<str> {
        self.core.name()
    }

    /// Returns a handle, to post events, call or signal.
    #[must_use]
    pub fn handle(self) -> KernelHandle {
        KernelHandle::of(self.core)
    }
}

impl fmt::Debug for Look<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").field("kernel", &self.name()).finish()
    }
}

/// The observers of a kernel.
#[derive(Default)]
pub(super) struct Observers {
    list: std::cell::RefCell<Vec<(u64, Rc<dyn Observer>)>>,
    next: Cell<u64>,
    /// One of them wants dispatches, as of the last look.
    wants_dispatches: Cell<bool>,
    wants_polls: Cell<bool>,
}

impl Observers {
    /// Asks them anew.
    pub(super) fn refresh(&self) -> bool {
        if self.list.borrow().is_empty() {
            return false;
        }
        let (mut dispatches, mut polls) = (false, false);
        for observer in self.all() {
            quietly("an observer panicked", || {
                dispatches |= observer.wants_dispatches();
                polls |= observer.wants_polls();
            });
        }
        self.wants_dispatches.set(dispatches);
        self.wants_polls.set(polls);
        dispatches
    }

    pub(super) fn want_dispatches(&self) -> bool {
        self.wants_dispatches.get()
    }

    fn all(&self) -> Vec<Rc<dyn Observer>> {
        let list = self.list.borrow();
        list.iter().map(|(_, observer)| observer.clone()).collect()
    }

    /// Tells all of them; nothing is borrowed meanwhile.
    fn tell(&self, tell: impl Fn(&dyn Observer)) {
        if self.list.borrow().is_empty() {
            return;
        }
        for observer in self.all() {
            quietly("an observer panicked", || tell(&*observer));
        }
    }

    /// Takes all of them out, at the end of the kernel.
    pub(super) fn clear(&self) {
        self.wants_dispatches.set(false);
        self.wants_polls.set(false);
        for (_, observer) in self.list.take() {
            drop_quietly(observer);
        }
    }
}

impl Core {
    fn unobserve(&self, number: u64) {
        let removed = {
            let mut list = self.observer.observers.list.borrow_mut();
            let at = list.iter().position(|(own, _)| *own == number);
            at.map(|at| list.remove(at))
        };
        drop_quietly(removed);
        self.observer.observers.wants_dispatches.set(false);
        self.observer.observers.wants_polls.set(false);
        self.refresh_watching();
    }

    /// Tells observers of a handler that has returned.
    #[cold]
    pub(super) fn tell_dispatched(&self, started: u64, took: u64, frame: &Frame<'_>, invoked: &Invoked) {
        let event = self.names.name(frame.event.get());
        let dispatch = Dispatch {
            session: frame.session,
            event: &event,
            sender: frame.sender,
            place: frame.place,
            started: self.clock.wall(started),
            took: Duration::from_nanos(took),
            outcome: match invoked {
                Invoked::Returned => Outcome::Handled,
                Invoked::Unhandled => Outcome::Unhandled,
                Invoked::Failed(failure) => Outcome::Failed(failure),
            },
        };
        let observers = &self.observer.observers;
        observers.tell(|observer| observer.dispatched(&dispatch));
        // They may have seen enough of this poll.
        if !observers.refresh() {
            self.refresh_watching();
        }
    }

    /// When a poll begins, if observers want to know how long it takes; never 0 then.
    #[inline]
    pub(super) fn time_poll(&self) -> u64 {
        if self.observer.observers.wants_polls.get() {
            self.clock.now().max(1)
        } else {
            0
        }
    }

    #[cold]
    pub(super) fn tell_polled(&self, began: u64) {
        let took = Duration::from_nanos(self.clock.now().saturating_sub(began));
        self.observer.observers.tell(|observer| observer.polled(took));
    }

    pub(super) fn tell_observers_of_failure(&self, die: &Die, consequence: &str) {
        let observers = &self.observer.observers;
        observers.tell(|observer| observer.failed(die, consequence));
    }

    pub(super) fn tell_observers_of_letter(&self, letter: &DeadLetter) {
        let observers = &self.observer.observers;
        observers.tell(|observer| observer.dead_letter(letter));
    }

    /// Tells observers what a component reports.
    pub(crate) fn tell_observers_of(&self, report: &dyn Any) {
        let observers = &self.observer.observers;
        observers.tell(|observer| observer.reported(report));
    }
}

impl Kernel {
    /// Tells `observer` what happens in this kernel, and lets other threads look at the kernel through the [`Observation`].
    ///
    /// Observers are for programs that show a running kernel, such as the crate `poe-inspector`. As long as no observer
    /// [wants dispatches](Observer::wants_dispatches), events cost what they cost without observers.
    ///
    /// The observer belongs to the kernel: a clone of the kernel in it would keep both alive for ever.
    ///
    /// ```
    /// use poe::inspect::{Dispatch, Observer};
    /// use poe::{Kernel, Session, event::START};
    /// use std::{cell::RefCell, rc::Rc};
    ///
    /// #[derive(Default)]
    /// struct Log(Rc<RefCell<Vec<String>>>);
    /// impl Observer for Log {
    ///     fn wants_dispatches(&self) -> bool {
    ///         true
    ///     }
    ///     fn dispatched(&self, dispatch: &Dispatch<'_>) {
    ///         self.0.borrow_mut().push(dispatch.event.to_owned());
    ///     }
    /// }
    ///
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let log = Log::default();
    /// let seen = log.0.clone();
    /// let observation = kernel.observe(log);
    /// Session::builder(()).on(START, |cx, ()| cx.yield_to("work", ())).on("work", |_, ()| ()).create(&kernel)?;
    /// let stats = observation.look(|kernel| kernel.stats()); // also from another thread
    /// kernel.run().await?;
    /// assert_eq!(stats.await.unwrap().sessions, 1);
    /// assert!(seen.borrow().iter().any(|event| event == "work"));
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    pub fn observe(&self, observer: impl Observer) -> Observation {
        let core = self.core();
        let observers = &core.observer.observers;
        let number = observers.next.get();
        observers.next.set(number + 1);
        observers.list.borrow_mut().push((number, Rc::new(observer)));
        core.refresh_watching();
        Observation {
            inbox: core.inbox.clone(),
            number,
        }
    }
}
