//! Timers of the kernel's own, in the one order with those of sessions, and intervals, which are made of them.
//!
//! They run kernel code when they are due, belong to no session, and no session sees them in its list.

use super::deferred::Origin;
use super::handle::{Queued, QueuedCall};
use super::task::{Purpose, Task};
use super::{Core, KernelRef};
use crate::arg::AnyArg;
use crate::bridge::clock::Clock;
use crate::error::CallErrorKind;
use crate::event::Posts;
use crate::id::{Place, SessionId, TaskId};
use crate::name::{HeldName, Name, NameIdx};
use crate::queue::event_queue::Post;
use crate::queue::heap::HeapId;
use crate::resource::HoldKind;
use crate::resource::sessions::KERNEL;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// What such a timer does.
pub(in crate::kernel) trait Due {
    fn fire(self: Box<Self>, core: &Core);
    /// The event for which it is shown.
    fn event(&self) -> Name;
}

struct Timed(Box<dyn Due>);

impl QueuedCall for Timed {
    fn run(self: Box<Self>, core: &Core, _: SessionId, _: Origin) {
        self.0.fire(core);
    }

    fn refuse(self: Box<Self>, _: &Core, _: CallErrorKind) {}

    fn event(&self) -> Name {
        self.0.event()
    }
}

impl Core {
    pub(in crate::kernel) fn set_kernel_timer(&self, due: u64, what: Box<dyn Due>, place: Place) -> HeapId {
        let now = self.clock.now_if_due(due).unwrap_or(0);
        let mut sessions = self.sessions.borrow_mut();
        sessions.hold(KERNEL);
        let post = Post {
            to: KERNEL,
            from: KERNEL,
            name: NameIdx::CALL,
            caller: NameIdx::NONE,
            place,
            arg: ManuallyDrop::new(AnyArg::new(Queued(Box::new(Timed(what))))),
        };
        let (record, queue) = sessions.with_queue(KERNEL);
        let id = queue.set_timer(&mut record.first_timer, post, due, now);
        drop(sessions);
        self.wake_host();
        id
    }

    /// Removes a timer that has not fired, and drops its action.
    pub(in crate::kernel) fn remove_kernel_timer(&self, id: HeapId) {
        let removed = {
            let mut sessions = self.sessions.borrow_mut();
            let (record, queue) = sessions.with_queue(KERNEL);
            let removed = queue.remove_timer(&mut record.first_timer, id);
            if removed.is_some() {
                sessions.release(KERNEL);
            }
            removed
        };
        if let Some(removed) = removed {
            crate::error::drop_quietly(ManuallyDrop::into_inner(removed.entry.arg));
            self.wake_host();
        }
    }
}

// Intervals: a tick again and again, at a steady pace.
/// What the session's task and the kernel's timer share.
struct Ticks {
    core: Weak<Core>,
    owner: SessionId,
    event: HeldName,
    place: Place,
    /// In nanoseconds, at least 1000.
    period: u64,
    missed: MissedTickBehavior,
    timer: Cell<Option<HeapId>>,
}

impl Ticks {
    fn set(self: &Rc<Self>, core: &Core, due: u64) {
        let tick = Tick {
            ticks: self.clone(),
            due,
        };
        self.timer
            .set(Some(core.set_kernel_timer(due, Box::new(tick), self.place)));
    }

    /// When the tick after that of `due` is due, if that one has come `now`.
    fn after(&self, due: u64, now: u64) -> u64 {
        let next = due.saturating_add(self.period);
        if now < next {
            return next;
        }
        match self.missed {
            MissedTickBehavior::Burst => next,
            MissedTickBehavior::Delay => now.saturating_add(self.period),
            MissedTickBehavior::Skip => now.saturating_add(self.period - (now - due) % self.period),
        }
    }
}

/// The kernel's timer for one tick.
struct Tick {
    ticks: Rc<Ticks>,
    due: u64,
}

impl Due for Tick {
    fn fire(self: Box<Self>, core: &Core) {
        let ticks = &self.ticks;
        // Set first, so that the handler can cancel it.
        ticks.set(core, ticks.after(self.due, core.clock.now()));
        core.deliver_now(ticks.owner, ticks.event.idx(), &mut AnyArg::new(()), ticks.place);
    }

    fn event(&self) -> Name {
        self.ticks.event.name()
    }
}

/// What holds the session, and ends with it.
struct IntervalTask(Rc<Ticks>);

impl Task for IntervalTask {
    fn poll(&mut self, _: &Core, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Drop for IntervalTask {
    fn drop(&mut self) {
        if let (Some(core), Some(timer)) = (self.0.core.upgrade(), self.0.timer.take()) {
            core.remove_kernel_timer(timer);
        }
    }
}

impl KernelRef<'_> {
    /// Sends an event again and again, the first time after one period, until it is [cancelled](Self::cancel).
    ///
    /// The ticks have their places in the one order of timers, and keep to the pace, however long their handlers take. `missed` says what
    /// becomes of ticks that could not be sent in time because a handler or the host kept the kernel busy for longer
    /// than a period:
    ///
    /// | `MissedTickBehavior` | then |
    /// |---|---|
    /// | `Burst` | every missed tick is sent at once |
    /// | `Delay` | one is sent, and the next comes a whole period later |
    /// | `Skip` | one is sent, and the next comes at the next multiple of the period |
    ///
    /// It keeps the session alive and ends with it. A period of less than a microsecond counts as one.
    ///
    /// ```
    /// use poe::{Event, Session, event::START, testing};
    /// use std::time::Duration;
    /// use tokio::time::MissedTickBehavior;
    /// const TICK: Event<()> = Event::new("tick");
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// let kernel = testing::kernel();
    /// Session::builder((0, None))
    ///     .on(START, |cx, ()| {
    ///         let ticks = cx.interval(TICK, Duration::from_secs(60), MissedTickBehavior::Skip);
    ///         cx.heap.1 = Some(ticks);
    ///     })
    ///     .on(TICK, |cx, ()| {
    ///         cx.heap.0 += 1;
    ///         if cx.heap.0 == 3 && let Some(ticks) = cx.heap.1 {
    ///             cx.cancel(ticks); // after three minutes
    ///         }
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    #[doc(alias = "send_interval")]
    #[doc(alias = "run_interval")]
    #[doc(alias = "tick")]
    pub fn interval(self, event: impl Posts<()>, period: Duration, missed: MissedTickBehavior) -> TaskId {
        let (core, place, owner) = (self.core, Location::caller(), self.frame.session);
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1000);
        let ticks = Rc::new(Ticks {
            core: core.weak(),
            owner,
            event: HeldName::new(event.key()),
            place,
            period,
            missed,
            timer: Cell::new(None),
        });
        let purpose = Purpose {
            owner,
            kind: HoldKind::Task,
            what: event.key().to_name(),
            place,
            listener: false,
        };
        let task = core.start_task(purpose, Box::new(IntervalTask(ticks.clone())));
        if task.is_some() {
            ticks.set(core, Clock::shifted(core.clock.now(), i128::from(period)));
        }
        // A session that was stopped in its own handler starts nothing; the ID names nothing then.
        task.unwrap_or_else(|| core.no_task())
    }
}
