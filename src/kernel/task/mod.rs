//! The kernel's own tasks: futures, streams and blocking work of sessions, and the I/O of wheels.
//!
//! The kernel's future polls them in its I/O phase, each with its own waker; the host needs no `spawn_local`. A task is
//! out of its slot while it is polled, so the code that it runs may cancel it or start others.
//!
//! A task that was woken has one turn in the next I/O phase. A wheel with new output is polled as soon as the handler
//! returns as well, and only writes then ([`Core::is_turn`]). A turn that is too long for the pace pauses between two
//! records ([`Core::pause_turn`]), and continues before anything else of the kernel runs.

mod table;

use super::dispatch::discard;
use super::{Core, Die, Frame, KernelRef, StreamSnapshot};
use crate::arg::AnyArg;
use crate::bridge::threads::{Job, Lost};
use crate::error::{Failure, drop_quietly};
use crate::event::Posts;
use crate::id::{Place, SessionId, TaskId};
use crate::name::{HeldName, Name, NameIdx};
use crate::resource::HoldKind;
use futures_core::Stream;
use std::cell::Cell;
use std::future::Future;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

pub(super) use table::Tasks;

/// Something that the kernel's I/O phase polls.
pub(crate) trait Task {
    /// Ready when it is over. Nothing of the kernel is borrowed, so it may dispatch events.
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()>;

    /// The bytes of a wheel with a stream, for snapshots.
    fn stream(&self) -> Option<StreamSnapshot> {
        None
    }

    /// Whether it runs code of its session, which must be polled on a cooperative budget.
    fn is_guest(&self) -> bool {
        false
    }
}

/// The name of a task in reports, and the session that it holds.
pub(crate) struct Purpose {
    pub(crate) owner: SessionId,
    pub(crate) kind: HoldKind,
    /// What it does: the event's name, the wheel's description.
    pub(crate) what: Name,
    pub(crate) place: Place,
    /// It takes new clients: the first thing that a shutdown closes.
    pub(crate) listener: bool,
}

// Delivers the results of tasks to their sessions.
impl Core {
    /// The panic or failure of a session's task is a DIE of the session, as a handler's is.
    pub(crate) fn raise_for_task(&self, owner: SessionId, event: Name, failure: &Failure, place: Place) {
        let die = Die {
            failure: failure.clone(),
            event,
            session: owner,
            sender: owner,
            caller_state: None,
            place,
        };
        self.raise_die(die, false);
    }

    /// Dispatches an event of a task to its session at once, from the session itself, as POE's watchers do (law L75).
    /// False if nothing more may come: the session is gone, or the kernel is about to stop.
    pub(crate) fn deliver_now(&self, owner: SessionId, event: NameIdx, arg: &mut AnyArg, place: Place) -> bool {
        let object = self.sessions.borrow().object_of(owner);
        let Some(object) = object else {
            drop_quietly(std::mem::take(arg));
            return false;
        };
        // The handler may make the wheel forget the name.
        self.names.retain(event);
        let frame = Frame {
            session: owner,
            event: Cell::new(event),
            sender: owner,
            caller: NameIdx::NONE,
            place,
            answer: None,
        };
        self.dispatch(object, &frame, arg, false);
        discard(arg);
        self.names.release(event);
        self.run.pace.step(self);
        !self.die.is_fatal()
    }

    /// Posts a task's result to its session.
    pub(crate) fn deliver(&self, owner: SessionId, event: &HeldName, arg: AnyArg, place: Place) -> bool {
        let Some(slot) = self.sessions.borrow().resolve(owner) else {
            return false;
        };
        self.enqueue_known(slot, slot, event.idx(), NameIdx::NONE, arg, place);
        true
    }
}

// The start, the polls and the end of tasks.
impl Core {
    /// Starts a task for a session, which holds one thing more; nothing if the session is gone.
    pub(crate) fn start_task(&self, purpose: Purpose, body: Box<dyn Task>) -> Option<TaskId> {
        let slot = self.sessions.borrow().resolve(purpose.owner)?;
        self.sessions.borrow_mut().hold(slot);
        self.trace_held(slot, purpose.kind, &purpose.what);
        // A wheel's I/O belongs to nobody's trace.
        let body = if purpose.kind == HoldKind::Task {
            self.in_span(body)
        } else {
            body
        };
        let id = self.tasks.insert(purpose, body);
        self.wake_host();
        Some(id)
    }

    /// The ID for a session that was stopped in its own handler, and so starts nothing: it names no task.
    pub(crate) fn no_task(&self) -> TaskId {
        TaskId {
            serial: NonZeroU64::MAX,
            slot: u32::MAX,
            kernel: self.tag(),
        }
    }

    /// Ends a task; false if it is over already. Its drop may run user code, so nothing is borrowed then.
    pub(crate) fn cancel_task(&self, id: TaskId) -> bool {
        match self.tasks.remove(id) {
            Some(slot) => {
                self.release_task_owner(slot.purpose.owner, slot.purpose.kind, &slot.purpose.what);
                drop_quietly(slot);
                true
            }
            None => false,
        }
    }

    /// Has a task hold another session from now on; ends it if that one is gone.
    pub(crate) fn move_task(&self, id: TaskId, to: SessionId, place: Place) {
        let Some(slot) = self.sessions.borrow().resolve(to) else {
            self.cancel_task(id);
            return;
        };
        let Some(from) = self.tasks.set_owner(id, to, place) else {
            return;
        };
        self.sessions.borrow_mut().hold(slot);
        self.trace_held(slot, HoldKind::Wheel, "of another session");
        self.release_task_owner(from, HoldKind::Wheel, "given away");
    }

    fn release_task_owner(&self, owner: SessionId, kind: HoldKind, what: &str) {
        let slot = self.sessions.borrow().resolve(owner);
        if let Some(slot) = slot {
            self.sessions.borrow_mut().release(slot);
            self.trace_released(slot, kind, what);
        }
        self.wake_host();
    }

    /// Polls a task, unless it is over.
    pub(crate) fn poll_task(&self, key: u64) {
        let Some((id, mut body, waker)) = self.tasks.take(key) else {
            return;
        };
        let mut cx = Context::from_waker(&waker);
        match catch_unwind(AssertUnwindSafe(|| body.poll(self, &mut cx))) {
            Ok(Poll::Pending) => {
                if self.run.pausing.take() {
                    self.run.paused.set(Some((key, self.run.is_turn.get())));
                }
                let cancelled = self.tasks.put_back(id, body, waker);
                drop_quietly(cancelled);
            }
            Ok(Poll::Ready(())) => {
                // It may have asked for a pause, and have ended instead.
                self.run.pausing.set(false);
                self.finish_task(id);
                drop_quietly(body);
            }
            Err(payload) => {
                self.run.pausing.set(false);
                let failure = Failure::from_panic(payload);
                self.task_failed(id, &failure);
                self.finish_task(id);
                drop_quietly(body);
            }
        }
    }

    /// Whether the task that is polled has its turn in the I/O phase, and may read and run handlers. Otherwise it is polled
    /// for its output, between two events.
    #[inline]
    pub(crate) fn is_turn(&self) -> bool {
        self.run.is_turn.get()
    }

    /// Whether the kernel is to yield. Between two records of a read the task that is polled may do so by
    /// [`pause_turn`](Self::pause_turn) and returning `Pending`.
    #[inline]
    pub(crate) fn must_yield(&self) -> bool {
        self.run.pace.is_spent()
    }

    /// Has the task that is polled go on in the same turn, after the host has had its own and before anything else of this
    /// kernel.
    pub(crate) fn pause_turn(&self) {
        self.run.pausing.set(true);
    }

    /// Counts a piece of work in a task's poll, beside the poll itself and the handlers that it runs.
    #[inline]
    pub(crate) fn count_step(&self) {
        self.run.pace.step(self);
    }

    fn finish_task(&self, id: TaskId) {
        if let Some(slot) = self.tasks.remove(id) {
            self.release_task_owner(slot.purpose.owner, slot.purpose.kind, &slot.purpose.what);
        }
    }

    fn task_failed(&self, id: TaskId, failure: &Failure) {
        let found = {
            let slots = self.tasks.slots.borrow();
            let slot = slots
                .get(id.slot as usize)
                .and_then(Option::as_ref)
                .filter(|s| s.serial == id.serial);
            slot.map(|s| (s.purpose.owner, s.purpose.what.clone(), s.purpose.place))
        };
        if let Some((owner, event, place)) = found {
            self.raise_for_task(owner, event, failure, place);
        }
    }
}

// Work of sessions: futures, streams, and blocking work.
impl KernelRef<'_> {
    #[track_caller]
    fn start<A>(self, event: impl Posts<A>, make: impl FnOnce(HeldName, Place) -> Box<dyn Task>) -> TaskId {
        let place = Location::caller();
        let purpose = Purpose {
            owner: self.frame.session,
            kind: HoldKind::Task,
            what: event.key().to_name(),
            place,
            listener: false,
        };
        let body = make(HeldName::new(event.key()), place);
        // A session that was stopped in its own handler starts nothing; the ID names nothing then.
        self.core
            .start_task(purpose, body)
            .unwrap_or_else(|| self.core.no_task())
    }

    /// Runs a future beside the sessions; its output comes as an event.
    ///
    /// It keeps the session alive until then, and is dropped with it. A panic in it is a `DIE` of the session.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::{START, STOP}};
    /// use std::time::Duration;
    /// const SLEPT: Event<&'static str> = Event::new("slept");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder("not at all")
    ///     .on(START, |cx, ()| {
    ///         cx.spawn(async { tokio::time::sleep(Duration::from_millis(1)).await; "well" }, SLEPT);
    ///     })
    ///     .on(SLEPT, |cx, how| *cx.heap = how)
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, "well"))
    ///     .create(&kernel).unwrap();
    /// kernel.run().await.unwrap();
    /// # });
    /// ```
    #[track_caller]
    #[doc(alias = "JoinHandle")]
    #[doc(alias = "async")]
    #[doc(alias = "await")]
    #[doc(alias = "ask")]
    pub fn spawn<F>(self, future: F, event: impl Posts<F::Output>) -> TaskId
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.spawn_as(future, event, AnyArg::new)
    }

    /// Reads a stream: each item comes as an event with `Some(item)`, its end with `None`.
    ///
    /// One item is in flight at a time: the stream is polled again when the last one has been dispatched, so that it
    /// cannot flood the queue.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::{START, STOP}};
    /// const ITEM: Event<Option<u8>> = Event::new("item");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(Vec::new())
    ///     .on(START, |cx, ()| {
    ///         cx.attach(futures_util::stream::iter([1, 2, 3]), ITEM);
    ///     })
    ///     .on(ITEM, |cx, item| cx.heap.push(item))
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, [Some(1), Some(2), Some(3), None]))
    ///     .create(&kernel).unwrap();
    /// kernel.run().await.unwrap();
    /// # });
    /// ```
    #[track_caller]
    #[doc(alias = "stream")]
    #[doc(alias = "select")]
    #[doc(alias = "StreamExt")]
    #[doc(alias = "subscribe")]
    pub fn attach<S>(self, stream: S, event: impl Posts<Option<S::Item>>) -> TaskId
    where
        S: Stream + 'static,
        S::Item: 'static,
    {
        self.attach_as(stream, event, AnyArg::new)
    }

    /// Runs blocking work on a thread of the kernel; its result comes as an event.
    ///
    /// At most [`blocking_threads`](crate::KernelBuilder::blocking_threads) work at a time; the rest waits. Cancelling
    /// drops the result, and work that has not begun. Work that has begun cannot be stopped, but it keeps neither the
    /// kernel nor the process alive: a program that has given it up may exit.
    ///
    /// A panic of the work, or a refusal of the system to start a thread, is a `DIE` of the session. On virtual time
    /// the kernel uses Tokio's threads, because a paused clock stands still while those are busy.
    ///
    /// # Panics
    /// Under virtual time, outside a Tokio runtime.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::{START, STOP}};
    /// const READ: Event<std::io::Result<String>> = Event::new("read");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// Session::builder(String::new())
    ///     .on(START, |cx, ()| {
    ///         cx.blocking(|| std::fs::read_to_string("Cargo.toml"), READ); // on a thread that may block
    ///     })
    ///     .on(READ, |cx, text| -> poe::HandlerResult {
    ///         *cx.heap = text?;
    ///         Ok(())
    ///     })
    ///     .on(STOP, |cx, ()| assert!(cx.heap.contains("[package]")))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias = "spawn_blocking")]
    #[doc(alias = "thread pool")]
    #[doc(alias = "rayon")]
    pub fn blocking<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
        event: impl Posts<T>,
    ) -> TaskId {
        self.blocking_as(work, event, AnyArg::new)
    }

    /// Cancels a task of [`spawn`](Self::spawn), [`attach`](Self::attach) or [`blocking`](Self::blocking) and drops it
    /// at once; false if it was over. A result that was posted already still arrives.
    ///
    /// ```
    /// use poe::{Event, Session, event::START};
    /// const ANSWER: Event<&'static str> = Event::new("answer");
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// let kernel = poe::testing::kernel();
    /// Session::builder(None)
    ///     .on(START, |cx, ()| {
    ///         let task = cx.spawn(std::future::pending::<&str>(), ANSWER);
    ///         *cx.heap = Some(task);
    ///         cx.delay("too late", 5.0, ());
    ///     })
    ///     .on(ANSWER, |_, _| panic!("there is none"))
    ///     .on("too late", |cx, ()| {
    ///         if let Some(task) = cx.heap.take() {
    ///             assert!(cx.cancel(task)); // the future is dropped now, and keeps the session no longer
    ///             assert!(!cx.cancel(task));
    ///         }
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    pub fn cancel(self, id: TaskId) -> bool {
        self.core.cancel_task(id)
    }
}

/// The same with the function that makes the event's argument of what the work gives.
impl KernelRef<'_> {
    #[track_caller]
    pub(crate) fn spawn_as<F, A>(
        self,
        future: F,
        event: impl Posts<A>,
        wrap: impl FnOnce(F::Output) -> AnyArg + 'static,
    ) -> TaskId
    where
        F: Future + 'static,
    {
        let owner = self.frame.session;
        self.start(event, |event, place| {
            Box::new(SpawnTask {
                future: Box::pin(future),
                wrap: Some(wrap),
                owner,
                event,
                place,
            })
        })
    }

    #[track_caller]
    pub(crate) fn attach_as<S, A>(
        self,
        stream: S,
        event: impl Posts<A>,
        wrap: impl Fn(Option<S::Item>) -> AnyArg + 'static,
    ) -> TaskId
    where
        S: Stream + 'static,
    {
        let owner = self.frame.session;
        self.start(event, |event, place| {
            Box::new(StreamTask {
                stream: Box::pin(stream),
                wrap,
                owner,
                event,
                place,
                in_flight: None,
            })
        })
    }

    #[track_caller]
    pub(crate) fn blocking_as<T: Send + 'static, A>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
        event: impl Posts<A>,
        wrap: impl FnOnce(T) -> AnyArg + 'static,
    ) -> TaskId {
        let owner = self.frame.session;
        let job = self.core.threads.run(work);
        self.start(event, |event, place| {
            Box::new(BlockingTask {
                job,
                wrap: Some(wrap),
                owner,
                event,
                place,
            })
        })
    }
}

struct SpawnTask<F, W> {
    future: Pin<Box<F>>,
    /// Makes the argument, once.
    wrap: Option<W>,
    owner: SessionId,
    event: HeldName,
    place: Place,
}

impl<F, W> Task for SpawnTask<F, W>
where
    F: Future,
    W: FnOnce(F::Output) -> AnyArg,
{
    fn is_guest(&self) -> bool {
        true
    }

    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        self.future.as_mut().poll(cx).map(|output| {
            if let Some(wrap) = self.wrap.take() {
                core.deliver(self.owner, &self.event, wrap(output), self.place);
            }
        })
    }
}

struct StreamTask<S, W> {
    stream: Pin<Box<S>>,
    wrap: W,
    owner: SessionId,
    event: HeldName,
    place: Place,
    /// How many events had been taken out of the queue once the item that is in flight will have been.
    in_flight: Option<u64>,
}

impl<S, W> Task for StreamTask<S, W>
where
    S: Stream,
    W: Fn(Option<S::Item>) -> AnyArg,
{
    fn is_guest(&self) -> bool {
        true
    }

    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(position) = self.in_flight {
            if !core.queue().has_passed(position) {
                // The item waits in the queue: look again when this slice is over.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.in_flight = None;
        }
        // One item is a turn.
        match self.stream.as_mut().poll_next(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(item) => {
                let over = item.is_none();
                core.deliver(self.owner, &self.event, (self.wrap)(item), self.place);
                if over {
                    return Poll::Ready(());
                }
                self.in_flight = Some(core.queue().position());
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

struct BlockingTask<T, W> {
    job: Job<T>,
    wrap: Option<W>,
    owner: SessionId,
    event: HeldName,
    place: Place,
}

impl<T: 'static, W: FnOnce(T) -> AnyArg> Task for BlockingTask<T, W> {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.job).poll(cx).map(|result| match result {
            Ok(value) => {
                if let Some(wrap) = self.wrap.take() {
                    core.deliver(self.owner, &self.event, wrap(value), self.place);
                }
            }
            Err(lost) => {
                let failure = match lost {
                    Lost::Panicked(payload) => Failure::from_panic(payload),
                    Lost::NotRun(error) => Failure::from(error),
                };
                core.raise_for_task(self.owner, self.event.name(), &failure, self.place);
            }
        })
    }
}
