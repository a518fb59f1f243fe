//! Timers: POE's alarms (at a wall time) and delays (after a duration), by name and by ID.
//!
//! A timer belongs to the session that set it. By name: [`alarm`](KernelRef::alarm) and [`delay`](KernelRef::delay) replace every
//! timer of that name, the `_add` forms do not. By ID: the `_set` forms give an [`TimerId`] for adjusting and removing.
//!
//! How late a timer may be on each system, and what a suspend of the machine does to it, is in the guide
//! ([`timers`](crate::guide::timers)).

use super::{Core, KernelRef, flags};
use crate::arg::AnyArg;
use crate::bridge::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::event::{EventName, Posts};
use crate::id::{Place, TimerId};
use crate::name::{Key, Name, NameIdx};
use crate::queue::event_queue::{Post, Removed};
use crate::queue::heap::HeapId;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::panic::Location;
use std::time::{Duration, SystemTime};

/// A signed span of time, made from a [`Duration`] or from seconds as `f64`.
///
/// Seconds may be negative. NaN counts as zero. A span beyond the kernel's scale (438 years after the kernel was made),
/// infinity included, means never: the timer stays set and does not fire. A span far into the past means now.
///
/// ```
/// use poe::{TimerId, Event, KernelRef};
/// use std::time::Duration;
/// const TICK: Event<()> = Event::new("tick");
/// fn handler(kernel: KernelRef<'_>, id: TimerId) -> poe::HandlerResult {
///     kernel.delay_set(TICK, Duration::from_millis(1500), ());
///     kernel.delay_set(TICK, 1.5, ());
///     kernel.alarm_adjust(id, -0.25)?; // a quarter of a second earlier
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delta(i128);

impl From<Duration> for Delta {
    #[inline]
    fn from(d: Duration) -> Self {
        Delta(i128::from(d.as_secs()) * 1_000_000_000 + i128::from(d.subsec_nanos()))
    }
}

impl Delta {
    const LARGEST: i128 = crate::bridge::clock::LARGEST_SHIFT;
}

impl From<f64> for Delta {
    fn from(seconds: f64) -> Self {
        // The cast sends NaN to zero. A span of more years than there are nanoseconds since 1970 is no span for a clock, and
        // adding it to a time must not overflow.
        Delta(((seconds * 1e9).round() as i128).clamp(-Delta::LARGEST, Delta::LARGEST))
    }
}

/// A timer that was removed before it fired, with everything it was set with.
///
/// ```
/// use poe::{Event, Session, event::{START, STOP}, testing, inspect::Timer};
/// const NOTE: Event<String> = Event::new("note");
/// # tokio_test::block_on(async { tokio::time::pause();
/// let kernel = testing::kernel();
/// Session::builder(Vec::new())
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let id = cx.delay_set(NOTE, 60.0, String::from("hello"));
///         let Timer { event, arg, .. } = cx.alarm_remove(id)?;
///         cx.yield_to(&event, arg); // now instead, whatever its type
///         Ok(())
///     })
///     .on(NOTE, |cx, text| cx.heap.push(text))
///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, ["hello"]))
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Timer {
    /// Its ID, which is not valid any more.
    pub id: TimerId,
    /// The event that it would have sent.
    pub event: Name,
    /// When it was due, on the wall clock, also for delays (decision D3).
    pub due: SystemTime,
    /// The argument, to downcast or to post again.
    pub arg: AnyArg,
}

impl Core {
    #[inline(always)]
    fn set_timer<A: 'static>(
        &self,
        kernel: KernelRef<'_>,
        key: Key<'_>,
        due: u64,
        now: u64,
        arg: A,
        place: Place,
    ) -> TimerId {
        let name = self.names.acquire(key);
        let caller = self.active.event();
        self.names.retain(caller);
        let mut sessions = self.sessions.borrow_mut();
        let Some((record, queue)) = sessions.own_with_queue(kernel.frame.session) else {
            // The session was stopped in its own handler: the timer goes nowhere, its ID names nothing.
            drop(sessions);
            self.names.release(name);
            self.names.release(caller);
            kernel.tell_ended(key.as_str(), place);
            return self.alarm_id(HeapId {
                serial: NonZeroU64::MAX,
                slot: u32::MAX,
            });
        };
        let slot = kernel.frame.session.slot;
        record.hold();
        let post = Post {
            to: slot,
            from: slot,
            name,
            caller,
            place,
            arg: ManuallyDrop::new(AnyArg::new(arg)),
        };
        let id = queue.set_timer(&mut record.first_timer, post, due, now);
        drop(sessions);
        if self.flags.get() & (flags::LISTENING | flags::ASLEEP) != 0 {
            self.tell_of_timer(id, slot, name, place, due);
        }
        self.alarm_id(id)
    }

    /// The rest of a timer that was set, when nothing is borrowed any more: reports it to subscribers, and wakes a host that sleeps.
    #[cold]
    #[inline(never)]
    fn tell_of_timer(&self, id: HeapId, slot: u32, name: NameIdx, place: Place, due: u64) {
        if self.is_listening() {
            self.watch_timer(id, slot, name, place, due);
        }
        self.wake_host();
    }

    /// The public identifier of a timer: the queue knows nothing of kernels.
    #[inline]
    pub(super) fn alarm_id(&self, id: HeapId) -> TimerId {
        TimerId {
            serial: id.serial,
            slot: id.slot,
            kernel: self.tag(),
        }
    }

    /// The queue's name for a timer. An identifier of another kernel names nothing here.
    #[inline]
    fn timer_of(&self, id: TimerId) -> Option<HeapId> {
        if id.kernel != self.tag() {
            return None;
        }
        Some(HeapId {
            serial: id.serial,
            slot: id.slot,
        })
    }

    /// Gives back what a removed timer held and makes of it what the user sees.
    #[inline(always)]
    fn removed(&self, removed: Removed) -> Timer {
        let Removed { id, due, entry } = removed;
        let event = self.names.take_pair(entry.name, entry.caller);
        if self.is_watching() {
            self.trace_timer_removed(entry.to, &event);
        }
        Timer {
            id: self.alarm_id(id),
            event,
            due: self.clock.wall(due),
            arg: ManuallyDrop::into_inner(entry.arg),
        }
    }

    /// Removes the timers of a session, all of them or those of one name, in due order.
    fn clear_timers(&self, slot: u32, name: Option<NameIdx>) -> Vec<Timer> {
        let removed: Vec<Removed> = {
            let mut sessions = self.sessions.borrow_mut();
            let (record, queue) = sessions.with_queue(slot);
            let ids: Vec<HeapId> = queue
                .timers_of(record.first_timer)
                .into_iter()
                .filter(|(_, _, e)| name.is_none_or(|n| n == e.name))
                .map(|(id, _, _)| id)
                .collect();
            let removed: Vec<_> = ids
                .into_iter()
                .filter_map(|id| queue.remove_timer(&mut record.first_timer, id))
                .collect();
            if !removed.is_empty() {
                sessions.release_many(slot, removed.len() as u32);
            }
            removed
        };
        removed.into_iter().map(|r| self.removed(r)).collect()
    }

    fn clear_by_name(&self, kernel: KernelRef<'_>, key: Key<'_>) -> Vec<Timer> {
        match (kernel.slot(), self.names.lookup(key)) {
            (Some(slot), Some(name)) => self.clear_timers(slot, Some(name)),
            _ => Vec::new(),
        }
    }

    /// Moves a timer of the running session to where `due` says from where it is.
    fn move_timer(
        &self,
        kernel: KernelRef<'_>,
        id: TimerId,
        due: impl FnOnce(u64) -> u64,
    ) -> Result<SystemTime, Error> {
        let mut sessions = self.sessions.borrow_mut();
        let Some(known) = self.timer_of(id) else {
            return Err(no_such_alarm(id));
        };
        let Some((old, entry)) = sessions.queue.timer(known) else {
            return Err(no_such_alarm(id));
        };
        if entry.to != kernel.frame.session.slot || !sessions.is_alive(kernel.frame.session) {
            return Err(not_ours());
        }
        let due = due(old);
        // Only a timer that is overdue where it is put needs the true time, to date the posts before it.
        let now = self.clock.now_if_due(due).unwrap_or(0);
        sessions.queue.set_due(known, due, now);
        drop(sessions);
        self.wake_host();
        Ok(self.clock.wall(due))
    }
}

#[cold]
fn no_such_alarm(id: TimerId) -> Error {
    ErrorKind::NoSuchAlarm(id.get()).into()
}

#[cold]
fn not_ours() -> Error {
    ErrorKind::NotPermitted("the timer belongs to another session").into()
}

/// Timers. By name a session has one timer, or several:
///
/// ```
/// use poe::{Event, Session, event::{START, STOP}, testing};
/// use std::time::{Duration, SystemTime};
/// const NOTE: Event<&'static str> = Event::new("note");
/// const GIVE_UP: Event<()> = Event::new("give up");
/// # tokio_test::block_on(async { tokio::time::pause();
/// let kernel = testing::kernel(); // on virtual time
/// Session::builder(Vec::new())
///     .on(START, |cx, ()| {
///         cx.delay(NOTE, Duration::from_secs(60), "replaced");
///         cx.delay(NOTE, Duration::from_secs(10), "the one of its name");
///         cx.delay_set(NOTE, 20.0, "one more");
///         cx.alarm_set(NOTE, SystemTime::now() + Duration::from_secs(30), "and one by the wall clock");
///         cx.delay_set(GIVE_UP, 1.0, ());
///         cx.delay_set(GIVE_UP, 2.0, ());
///         assert_eq!(cx.alarm_clear(GIVE_UP), 2);
///     })
///     .on(NOTE, |cx, text| cx.heap.push(text))
///     .on(GIVE_UP, |_, ()| panic!("it was cleared"))
///     .on(STOP, |cx, ()| {
///         assert_eq!(*cx.heap, ["the one of its name", "one more", "and one by the wall clock"]);
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
///
/// By ID each is moved or removed for itself:
///
/// ```
/// use poe::{Event, Session, event::{START, STOP}, testing};
/// use std::time::{Duration, SystemTime};
/// const NOTE: Event<&'static str> = Event::new("note");
/// # tokio_test::block_on(async { tokio::time::pause();
/// let kernel = testing::kernel();
/// Session::builder(Vec::new())
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let first = cx.delay_set(NOTE, 10.0, "first");
///         let second = cx.alarm_set(NOTE, SystemTime::now() + Duration::from_secs(20), "second");
///         let never = cx.delay_set(NOTE, 30.0, "never");
///         cx.delay_adjust(first, 60.0)?; // in a minute from now
///         cx.alarm_adjust(second, 5.0)?; // five seconds later than it was
///         cx.alarm_remove(never)?;
///         Ok(())
///     })
///     .on(NOTE, |cx, text| cx.heap.push(text))
///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, ["second", "first"]))
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
impl KernelRef<'_> {
    /// Sets the one timer of that name to a wall time; it replaces every other timer of the name.
    ///
    /// Posted events of the name stay. A time in the past is due at once, ahead of all waiting posts.
    ///
    /// ```
    /// use poe::{Event, Session, event::{START, STOP}, testing};
    /// use std::time::{Duration, SystemTime};
    /// const NOTE: Event<&'static str> = Event::new("note");
    /// const LATE: Event<()> = Event::new("late");
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// let kernel = testing::kernel();
    /// Session::builder(Vec::new())
    ///     .on(START, |cx, ()| {
    ///         cx.alarm(NOTE, SystemTime::now() + Duration::from_secs(60), "replaced");
    ///         cx.alarm(NOTE, SystemTime::now() + Duration::from_secs(10), "in its place");
    ///         cx.yield_to(NOTE, "posted");
    ///         cx.alarm(LATE, SystemTime::UNIX_EPOCH, ()); // overdue
    ///     })
    ///     .on(NOTE, |cx, text| cx.heap.push(text))
    ///     .on(LATE, |cx, ()| cx.heap.push("late"))
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, ["late", "posted", "in its place"]))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn alarm<A: 'static>(self, event: impl Posts<A>, when: SystemTime, arg: A) {
        drop(self.core.clear_by_name(self, event.key()));
        self.alarm_set(event, when, arg);
    }

    /// Removes every timer of that name (POE's `alarm` or `delay` without a time); returns their number.
    #[doc(alias = "alarm")]
    #[doc(alias = "delay")]
    #[doc(alias = "cancel")]
    pub fn alarm_clear(self, event: impl EventName) -> usize {
        let cleared = self.core.clear_by_name(self, event.key());
        cleared.len()
    }

    /// Sets the one timer of that name to a duration from now; it replaces every other timer of the name.
    #[track_caller]
    #[doc(alias = "sleep")]
    #[doc(alias = "timeout")]
    #[doc(alias = "run_later")]
    pub fn delay<A: 'static>(self, event: impl Posts<A>, after: impl Into<Delta>, arg: A) {
        let now = self.core.clock.now();
        drop(self.core.clear_by_name(self, event.key()));
        let due = Clock::shifted(now, after.into().0);
        self.core
            .set_timer(self, event.key(), due, now, arg, Location::caller());
    }

    /// Sets a timer to a wall time, which is converted once: a later step of the wall clock does not move it (law L89).
    ///
    /// If the machine is suspended meanwhile, the timer is late by that time where the monotonic clock stands still, as
    /// on Linux; see the [guide](crate::guide::timers).
    #[track_caller]
    #[doc(alias = "alarm_add")]
    #[doc(alias = "sleep_until")]
    #[doc(alias = "deadline")]
    #[doc(alias = "schedule")]
    pub fn alarm_set<A: 'static>(self, event: impl Posts<A>, when: SystemTime, arg: A) -> TimerId {
        let due = self.core.clock.due_at(when);
        let now = self.core.clock.now_if_due(due).unwrap_or(0);
        self.core
            .set_timer(self, event.key(), due, now, arg, Location::caller())
    }

    /// Sets a timer to a duration from now, by the monotonic clock. A negative one is due at once, ahead of all waiting
    /// posts.
    #[track_caller]
    #[inline]
    #[doc(alias = "sleep")]
    #[doc(alias = "timeout")]
    #[doc(alias = "after")]
    #[doc(alias = "delay_add")]
    #[doc(alias = "send_after")]
    pub fn delay_set<A: 'static>(self, event: impl Posts<A>, after: impl Into<Delta>, arg: A) -> TimerId {
        let now = self.core.clock.now();
        let due = Clock::shifted(now, after.into().0);
        self.core
            .set_timer(self, event.key(), due, now, arg, Location::caller())
    }

    /// Moves a timer by a signed span and returns its new wall time. Zero keeps its position among equal times; any
    /// other span puts it behind those that are due at the same time (law L3).
    ///
    /// # Errors
    /// No such timer (`ESRCH`); another session's (`EPERM`).
    ///
    /// ```
    /// use poe::{Event, Session, event::{START, STOP}, testing};
    /// use std::time::Duration;
    /// const NOTE: Event<&'static str> = Event::new("note");
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// let kernel = testing::kernel();
    /// Session::builder(Vec::new())
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let a = cx.delay_set(NOTE, 10.0, "a");
    ///         cx.delay_set(NOTE, 10.0, "b");
    ///         let due = cx.alarm_adjust(a, 0.0)?; // asks, and leaves it ahead of `b`
    ///         let later = cx.alarm_adjust(a, Duration::from_secs(5))?;
    ///         assert_eq!(later.duration_since(due)?, Duration::from_secs(5));
    ///         cx.alarm_adjust(a, -5.0)?; // back at the old time, but behind `b`
    ///         Ok(())
    ///     })
    ///     .on(NOTE, |cx, text| cx.heap.push(text))
    ///     .on(STOP, |cx, ()| assert_eq!(*cx.heap, ["b", "a"]))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn alarm_adjust(self, id: TimerId, by: impl Into<Delta>) -> Result<SystemTime, Error> {
        let by = by.into().0;
        let moved = self.core.move_timer(self, id, |due| Clock::shifted(due, by));
        self.core.logged("alarm_adjust", moved)
    }

    /// Moves a timer to a duration from now and returns its new wall time.
    ///
    /// # Errors
    /// No such timer; another session's (decision D2: POE does not report either).
    ///
    /// ```
    /// use poe::{Event, Session, event::{START, STOP}, testing};
    /// const INPUT: Event<()> = Event::new("input");
    /// const QUIET: Event<()> = Event::new("quiet");
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// let kernel = testing::kernel();
    /// Session::builder(None)
    ///     .on(START, |cx, ()| {
    ///         *cx.heap = Some(cx.delay_set(QUIET, 10.0, ()));
    ///         cx.delay_set(INPUT, 5.0, ());
    ///         cx.delay_set(INPUT, 12.0, ());
    ///     })
    ///     .on(INPUT, |cx, ()| -> poe::HandlerResult {
    ///         let quiet = cx.heap.unwrap();
    ///         cx.delay_adjust(quiet, 10.0)?; // not before ten seconds without input
    ///         Ok(())
    ///     })
    ///     .on(QUIET, |cx, ()| {
    ///         let fired = cx.heap.take().unwrap();
    ///         assert!(cx.delay_adjust(fired, 10.0).unwrap_err().is_no_such_timer());
    ///     })
    ///     .on(STOP, |cx, ()| assert!(cx.heap.is_none()))
    ///     .create(&kernel)?;
    /// let began = tokio::time::Instant::now();
    /// kernel.run().await?;
    /// assert_eq!(began.elapsed().as_secs(), 22);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[track_caller]
    #[doc(alias = "reset")]
    pub fn delay_adjust(self, id: TimerId, after: impl Into<Delta>) -> Result<SystemTime, Error> {
        let due = Clock::shifted(self.core.clock.now(), after.into().0);
        let moved = self.core.move_timer(self, id, |_| due);
        self.core.logged("delay_adjust", moved)
    }

    /// Removes a timer and returns it.
    ///
    /// # Errors
    /// There is no such timer in this kernel, or it has fired (`ESRCH`); it belongs to another session (`EPERM`).
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START};
    /// const TIMEOUT: Event<String> = Event::new("timeout");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let id = cx.delay_set(TIMEOUT, 60.0, String::from("job 7"));
    ///         let removed = cx.alarm_remove(id)?; // the job was done in time
    ///         assert_eq!((removed.id, removed.event.as_str()), (id, "timeout"));
    ///         assert_eq!(removed.arg.downcast::<String>().unwrap(), "job 7");
    ///         assert!(cx.alarm_remove(id).unwrap_err().is_no_such_timer());
    ///         Ok(())
    ///     })
    ///     .on(TIMEOUT, |_, _| panic!("it was removed"))
    ///     .create(&kernel)?;
    /// kernel.run().await // does not wait for it
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn alarm_remove(self, id: TimerId) -> Result<Timer, Error> {
        let place = Location::caller();
        self.take_alarm(id, |error| self.core.trace_error("alarm_remove", error, place))
    }

    /// The same where it is no mistake if the timer has fired.
    pub(crate) fn alarm_remove_if_set(self, id: TimerId) -> Result<Timer, Error> {
        self.take_alarm(id, |_| ())
    }

    #[inline(always)]
    fn take_alarm(self, id: TimerId, failed: impl FnOnce(&Error)) -> Result<Timer, Error> {
        let core = self.core;
        let removed = 'removed: {
            let mut sessions = core.sessions.borrow_mut();
            let Some(known) = core.timer_of(id) else {
                break 'removed Err(no_such_alarm(id));
            };
            let Some(slot) = sessions.queue.timer_owner(known) else {
                break 'removed Err(no_such_alarm(id));
            };
            let session = self.frame.session;
            let Some((record, queue)) = sessions.own_with_queue(session).filter(|_| slot == session.slot) else {
                break 'removed Err(not_ours());
            };
            let removed = queue.remove_timer(&mut record.first_timer, known);
            sessions.release(slot);
            removed.ok_or_else(|| no_such_alarm(id))
        };
        match removed {
            Ok(removed) => Ok(core.removed(removed)),
            Err(error) => {
                failed(&error);
                Err(error)
            }
        }
    }

    /// Removes every timer of the session and returns them, in due order.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| {
    ///         cx.delay("stop", 7200.0, ());
    ///         cx.delay("break", 3600.0, ());
    ///         let removed = cx.alarm_remove_all();
    ///         assert_eq!(removed.len(), 2);
    ///         assert_eq!(removed[0].event, "break"); // the next one first
    ///         assert!(removed[0].due < removed[1].due);
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    pub fn alarm_remove_all(self) -> Vec<Timer> {
        self.slot()
            .map_or_else(Vec::new, |slot| self.core.clear_timers(slot, None))
    }
}
