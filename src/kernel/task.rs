//! The kernel's own tasks: futures, streams and blocking work of sessions, and the I/O of wheels.
//!
//! The kernel's future polls them, in its I/O phase, each by a waker of its own; no host needs `spawn_local`. A task is
//! out of its slot while it is polled, so that whatever it runs may cancel it or start others.

use super::dispatch::discard;
use super::{Core, Frame, Turn};
use crate::arg::AnyArg;
use crate::bridge::wake::{Shared, TaskWaker};
use crate::error::{Error, ErrorKind, Failure, drop_quietly};
use crate::event::Posts;
use crate::id::{SessionId, TaskId};
use crate::name::{HeldName, Name, NameIdx};
use crate::resource::{Hold, HoldKind, Resource};
use futures_util::Stream;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Something that the kernel's I/O phase polls.
pub(crate) trait Task {
    /// Ready when it is over. Nothing of the kernel is borrowed, so it may dispatch events.
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()>;
}

/// What a task is called in reports, and whom it holds.
pub(crate) struct Purpose {
    pub(crate) owner: SessionId,
    pub(crate) kind: HoldKind,
    /// What it does: the event's name, the wheel's description.
    pub(crate) what: Name,
    pub(crate) place: &'static Location<'static>,
    /// It takes new clients: the first thing that a shutdown closes.
    pub(crate) listener: bool,
}

struct Slot {
    serial: NonZeroU64,
    purpose: Purpose,
    waker: Arc<TaskWaker>,
    /// Out while it is polled.
    body: Option<(Box<dyn Task>, Waker)>,
    /// Stands in the intake.
    scheduled: bool,
    /// It only waits for a peer's goodbye.
    lingers: bool,
}

/// Tasks of a kernel that may wait at a time for what peers have still to say: each keeps a descriptor.
const LINGERING: usize = 1024;

pub(crate) struct Tasks {
    shared: Arc<Shared>,
    slots: RefCell<Vec<Option<Slot>>>,
    free: RefCell<Vec<u32>>,
    serial: Cell<u64>,
    /// Those of sessions. The kernel's own, which listen for signals, keep nothing alive.
    count: Cell<usize>,
    /// Those that linger.
    lingering: Cell<usize>,
    /// Tasks to be polled without having been woken: new ones, and wheels that have something to write.
    intake: RefCell<Vec<u64>>,
    /// `intake` is not empty: looked at after each event.
    has_intake: Cell<bool>,
    woken: RefCell<Vec<u64>>,
}

fn key(slot: u32, serial: NonZeroU64) -> u64 {
    u64::from(slot) << 32 | (serial.get() & 0xffff_ffff)
}

impl Tasks {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Tasks {
            shared,
            slots: RefCell::default(),
            free: RefCell::default(),
            serial: Cell::new(0),
            count: Cell::new(0),
            lingering: Cell::new(0),
            intake: RefCell::default(),
            has_intake: Cell::new(false),
            woken: RefCell::default(),
        }
    }

    /// The tasks of sessions: while there is one the kernel is not idle.
    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

    /// Whether a task waits that no waker announces.
    #[inline]
    pub(super) fn has_intake(&self) -> bool {
        self.has_intake.get()
    }

    fn insert(&self, purpose: Purpose, body: Box<dyn Task>) -> TaskId {
        let serial = self.serial.get() + 1;
        self.serial.set(serial);
        let serial = NonZeroU64::new(serial).unwrap_or(NonZeroU64::MIN);
        let mut slots = self.slots.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(None);
            slots.len() as u32 - 1
        });
        if !purpose.owner.is_kernel() {
            self.count.set(self.count.get() + 1);
        }
        let waker = TaskWaker::new(self.shared.clone(), key(slot, serial));
        let std_waker = Waker::from(waker.clone());
        slots[slot as usize] = Some(Slot {
            serial,
            purpose,
            waker,
            body: Some((body, std_waker)),
            scheduled: true,
            lingers: false,
        });
        self.put_in(key(slot, serial));
        TaskId { serial, slot }
    }

    fn put_in(&self, key: u64) {
        self.intake.borrow_mut().push(key);
        self.has_intake.set(true);
    }

    fn remove(&self, id: TaskId) -> Option<Slot> {
        let mut slots = self.slots.borrow_mut();
        let place = slots.get_mut(id.slot as usize)?;
        if place.as_ref()?.serial != id.serial {
            return None;
        }
        let slot = place.take()?;
        self.free.borrow_mut().push(id.slot);
        if !slot.purpose.owner.is_kernel() {
            self.count.set(self.count.get() - 1);
        }
        if slot.lingers {
            self.lingering.set(self.lingering.get() - 1);
        }
        Some(slot)
    }

    /// The waker of a task, for who does some of its work in its stead; nothing if it is over.
    pub(crate) fn waker(&self, id: TaskId) -> Option<Waker> {
        let slots = self.slots.borrow();
        let slot = slots.get(id.slot as usize)?.as_ref()?;
        (slot.serial == id.serial).then(|| Waker::from(slot.waker.clone()))
    }

    /// Enters another owner; gives the old one, or nothing if the task is over.
    fn set_owner(&self, id: TaskId, to: SessionId, place: &'static Location<'static>) -> Option<SessionId> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(id.slot as usize)?.as_mut()?;
        if slot.serial != id.serial {
            return None;
        }
        slot.purpose.place = place;
        Some(std::mem::replace(&mut slot.purpose.owner, to))
    }

    /// Has the task polled as soon as the current handler returns.
    pub(crate) fn schedule(&self, id: TaskId) {
        let mut slots = self.slots.borrow_mut();
        if let Some(Some(slot)) = slots.get_mut(id.slot as usize)
            && slot.serial == id.serial
            && !std::mem::replace(&mut slot.scheduled, true)
        {
            self.put_in(key(id.slot, id.serial));
        }
    }

    /// Notes that a task waits for nothing but its peer's goodbye. False if so many do that it must not.
    pub(crate) fn linger(&self, id: TaskId) -> bool {
        let mut slots = self.slots.borrow_mut();
        match slots.get_mut(id.slot as usize) {
            Some(Some(slot)) if slot.serial == id.serial => {
                if !slot.lingers && self.lingering.get() < LINGERING {
                    slot.lingers = true;
                    self.lingering.set(self.lingering.get() + 1);
                }
                slot.lingers
            }
            _ => false,
        }
    }

    /// Takes out every task of a session; they come back to be dropped by the caller.
    #[must_use]
    pub(super) fn clear(&self, session: u32) -> Vec<impl Sized + use<>> {
        if self.count.get() == 0 {
            return Vec::new();
        }
        let ids: Vec<TaskId> = self
            .slots
            .borrow()
            .iter()
            .enumerate()
            .filter_map(|(i, s)| s.as_ref().map(|s| (i as u32, s)))
            .filter(|(_, s)| s.purpose.owner.slot == session)
            .map(|(slot, s)| TaskId { serial: s.serial, slot })
            .collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// The tasks that take new clients.
    pub(super) fn listeners(&self) -> Vec<TaskId> {
        self.those(|slot| slot.purpose.listener)
    }

    /// The tasks that only wait for a peer's goodbye.
    pub(super) fn lingerers(&self) -> Vec<TaskId> {
        self.those(|slot| slot.lingers)
    }

    fn those(&self, wanted: impl Fn(&Slot) -> bool) -> Vec<TaskId> {
        let slots = self.slots.borrow();
        let found = slots
            .iter()
            .enumerate()
            .filter_map(|(i, s)| s.as_ref().map(|s| (i as u32, s)));
        found
            .filter(|(_, s)| wanted(s))
            .map(|(slot, s)| TaskId { serial: s.serial, slot })
            .collect()
    }

    /// Takes the task with that key out for a poll.
    fn take(&self, key: u64) -> Option<(TaskId, Box<dyn Task>, Waker)> {
        let index = (key >> 32) as u32;
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(index as usize)?.as_mut()?;
        if slot.serial.get() & 0xffff_ffff != key & 0xffff_ffff {
            return None;
        }
        slot.scheduled = false;
        slot.waker.rearm();
        let (body, waker) = slot.body.take()?;
        Some((
            TaskId {
                serial: slot.serial,
                slot: index,
            },
            body,
            waker,
        ))
    }

    /// Puts a task back behind its poll, or gives it back if it was cancelled meanwhile.
    fn put_back(&self, id: TaskId, body: Box<dyn Task>, waker: Waker) -> Option<Box<dyn Task>> {
        match self.slots.borrow_mut().get_mut(id.slot as usize) {
            Some(Some(slot)) if slot.serial == id.serial => {
                slot.body = Some((body, waker));
                None
            }
            _ => Some(body),
        }
    }
}

impl Tasks {
    /// Calls `f` for each task of a session.
    pub(super) fn each_of(&self, session: u32, mut f: impl FnMut(TaskId, &Purpose)) {
        for (i, slot) in self.slots.borrow().iter().enumerate() {
            if let Some(slot) = slot.as_ref().filter(|s| s.purpose.owner.slot == session) {
                let id = TaskId {
                    serial: slot.serial,
                    slot: i as u32,
                };
                f(id, &slot.purpose);
            }
        }
    }
}

impl Resource for Tasks {
    fn holds(&self, session: SessionId, out: &mut Vec<Hold>) {
        for slot in self.slots.borrow().iter().flatten() {
            let purpose = &slot.purpose;
            if purpose.owner.slot == session.slot {
                let lingers = if slot.lingers {
                    ", closed: its peer is heard out"
                } else {
                    ""
                };
                out.push(Hold {
                    kind: purpose.kind,
                    name: format!("{}{lingers}", purpose.what),
                    count: 1,
                    place: purpose.place,
                });
            }
        }
    }
}

impl Core {
    /// Starts a task for a session, which holds one thing more; nothing if the session is gone.
    pub(crate) fn start_task(&self, purpose: Purpose, body: Box<dyn Task>) -> Option<TaskId> {
        let slot = self.sessions.borrow().resolve(purpose.owner)?;
        self.sessions.borrow_mut().hold(slot);
        self.trace_held(slot, purpose.kind, &purpose.what);
        let id = self.tasks.insert(purpose, body);
        self.wake_host();
        Some(id)
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
    pub(crate) fn move_task(&self, id: TaskId, to: SessionId, place: &'static Location<'static>) {
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

    /// Polls the tasks that were woken and those that are new.
    pub(super) fn poll_tasks(&self) {
        let mut woken = std::mem::take(&mut *self.tasks.woken.borrow_mut());
        self.shared.take_woken(&mut woken);
        for key in woken.drain(..) {
            self.poll_task(key);
        }
        *self.tasks.woken.borrow_mut() = woken;
        self.poll_intake();
    }

    /// Polls new tasks, and wheels that were put something. Those that appear meanwhile are polled, too, but only
    /// as many rounds as a chain of handlers needs; a task that schedules itself for ever waits for the next slice.
    pub(super) fn poll_intake(&self) {
        for _ in 0..4 {
            if !self.tasks.has_intake.replace(false) {
                return;
            }
            let keys = std::mem::take(&mut *self.tasks.intake.borrow_mut());
            for key in keys {
                self.poll_task(key);
            }
        }
    }

    fn poll_task(&self, key: u64) {
        let Some((id, mut body, waker)) = self.tasks.take(key) else {
            return;
        };
        let mut cx = Context::from_waker(&waker);
        match catch_unwind(AssertUnwindSafe(|| body.poll(self, &mut cx))) {
            Ok(Poll::Pending) => {
                let cancelled = self.tasks.put_back(id, body, waker);
                drop_quietly(cancelled);
            }
            Ok(Poll::Ready(())) => {
                self.finish_task(id);
                drop_quietly(body);
            }
            Err(payload) => {
                let failure = Failure::from_panic(payload);
                self.task_failed(id, &failure);
                self.finish_task(id);
                drop_quietly(body);
            }
        }
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

    /// The panic or failure of a session's task is a DIE of the session, as a handler's is.
    pub(crate) fn raise_for_task(
        &self,
        owner: SessionId,
        event: Name,
        failure: &Failure,
        place: &'static Location<'static>,
    ) {
        let slot = self.sessions.borrow().resolve(owner);
        match slot.filter(|_| self.catching.get()) {
            Some(slot) => {
                let die = super::Die {
                    failure: failure.clone(),
                    event,
                    session: owner,
                    sender: owner,
                    caller_state: None,
                    place,
                };
                self.enqueue_die(slot, die);
            }
            None => self.fail_run(failure.clone(), owner, event),
        }
    }

    /// The sessions directly below one, the oldest first: for components that look after their own.
    pub(crate) fn children_of(&self, session: SessionId) -> Vec<SessionId> {
        let sessions = self.sessions.borrow();
        let slot = sessions.resolve(session);
        slot.map_or_else(Vec::new, |slot| {
            sessions.children(slot).map(|c| sessions.id(c)).collect()
        })
    }

    /// Refuses an alias that somebody has, before a session is made for it.
    pub(crate) fn check_alias(&self, alias: Option<&str>) -> Result<(), Error> {
        let taken = alias.and_then(|alias| Some((alias, self.aliases.borrow().resolve(alias)?)));
        match taken {
            Some((alias, owner)) => {
                let owner = self.sessions.borrow().id(owner);
                Err(ErrorKind::AliasTaken {
                    alias: alias.to_owned(),
                    owner,
                }
                .into())
            }
            None => Ok(()),
        }
    }

    /// Dispatches an event of a task to its session at once, from the session itself, as POE's watchers do (law L75).
    /// False if nothing more may come: the session is gone, or the kernel is about to stop.
    pub(crate) fn deliver_now(
        &self,
        owner: SessionId,
        event: NameIdx,
        arg: &mut AnyArg,
        place: &'static Location<'static>,
    ) -> bool {
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
        !self.die.is_fatal()
    }

    /// Posts a task's result to its session.
    pub(crate) fn deliver(
        &self,
        owner: SessionId,
        event: &HeldName,
        arg: AnyArg,
        place: &'static Location<'static>,
    ) -> bool {
        let Some(slot) = self.sessions.borrow().resolve(owner) else {
            return false;
        };
        self.enqueue_known(slot, slot, event.idx(), NameIdx::NONE, arg, place);
        true
    }
}

struct SpawnTask<F> {
    future: Pin<Box<F>>,
    owner: SessionId,
    event: HeldName,
    place: &'static Location<'static>,
}

impl<F> Task for SpawnTask<F>
where
    F: Future,
    F::Output: 'static,
{
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        self.future.as_mut().poll(cx).map(|output| {
            core.deliver(self.owner, &self.event, AnyArg::new(output), self.place);
        })
    }
}

struct StreamTask<S> {
    stream: Pin<Box<S>>,
    owner: SessionId,
    event: HeldName,
    place: &'static Location<'static>,
    /// How many events had been taken out of the queue once the item that is in flight will have been.
    in_flight: Option<u64>,
}

impl<S> Task for StreamTask<S>
where
    S: Stream,
    S::Item: 'static,
{
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(position) = self.in_flight {
            if !core.queue.borrow().has_passed(position) {
                // The item waits in the queue: look again when this slice is over.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.in_flight = None;
        }
        match self.stream.as_mut().poll_next(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(item) => {
                let over = item.is_none();
                core.deliver(self.owner, &self.event, AnyArg::new(item), self.place);
                if over {
                    return Poll::Ready(());
                }
                self.in_flight = Some(core.queue.borrow().position());
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl Turn<'_> {
    #[track_caller]
    fn start<A>(
        self,
        event: impl Posts<A>,
        make: impl FnOnce(HeldName, &'static Location<'static>) -> Box<dyn Task>,
    ) -> TaskId {
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
        self.core.start_task(purpose, body).unwrap_or(TaskId {
            serial: NonZeroU64::MAX,
            slot: u32::MAX,
        })
    }

    /// Runs a future beside the sessions; its output comes as an event. It keeps the session alive until then, and is
    /// dropped with it. Its panic is a `DIE` of the session.
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
    pub fn spawn<F>(self, future: F, event: impl Posts<F::Output>) -> TaskId
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let owner = self.frame.session;
        self.start(event, |event, place| {
            Box::new(SpawnTask {
                future: Box::pin(future),
                owner,
                event,
                place,
            })
        })
    }

    /// Reads a stream: each item comes as an event with `Some(item)`, its end with `None`. One item is in flight at a
    /// time: the stream is polled again when the last one has been dispatched, so that it cannot flood the queue.
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
    pub fn attach<S>(self, stream: S, event: impl Posts<Option<S::Item>>) -> TaskId
    where
        S: Stream + 'static,
        S::Item: 'static,
    {
        let owner = self.frame.session;
        self.start(event, |event, place| {
            Box::new(StreamTask {
                stream: Box::pin(stream),
                owner,
                event,
                place,
                in_flight: None,
            })
        })
    }

    /// Runs blocking work on Tokio's threads for that; its result comes as an event. Cancelling forgets the result,
    /// but cannot stop work that has begun.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::{START, STOP}};
    /// const READ: Event<std::io::Result<String>> = Event::new("read");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// Session::builder(String::new())
    ///     .on(START, |cx, ()| {
    ///         cx.blocking(|| std::fs::read_to_string("Cargo.toml"), READ); // on a thread where waiting harms nobody
    ///     })
    ///     .on(READ, |cx, text| -> poe::Handled {
    ///         *cx.heap = text?;
    ///         Ok(())
    ///     })
    ///     .on(STOP, |cx, ()| assert!(cx.heap.contains("[package]")))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }
    /// ```
    #[track_caller]
    pub fn blocking<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
        event: impl Posts<T>,
    ) -> TaskId {
        let owner = self.frame.session;
        let handle = tokio::task::spawn_blocking(work);
        self.start(event, |event, place| {
            Box::new(BlockingTask {
                handle,
                owner,
                event,
                place,
            })
        })
    }

    /// Ends a task of [`spawn`](Self::spawn), [`attach`](Self::attach) or [`blocking`](Self::blocking) and drops it at
    /// once; false if it was over. A result that was posted already still arrives.
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
    ///             assert!(cx.cancel(task)); // the future is dropped now, and does not keep the session
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

struct BlockingTask<T> {
    handle: tokio::task::JoinHandle<T>,
    owner: SessionId,
    event: HeldName,
    place: &'static Location<'static>,
}

impl<T> Drop for BlockingTask<T> {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl<T: 'static> Task for BlockingTask<T> {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.handle).poll(cx).map(|result| match result {
            Ok(value) => {
                core.deliver(self.owner, &self.event, AnyArg::new(value), self.place);
            }
            Err(error) => {
                let failure = match error.try_into_panic() {
                    Ok(payload) => Failure::from_panic(payload),
                    Err(error) => Failure::from(error),
                };
                core.raise_for_task(self.owner, self.event.name(), &failure, self.place);
            }
        })
    }
}
