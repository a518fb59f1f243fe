//! Events by the calendar (POE::Component::Cron, POE::Component::Schedule).

mod plan;

use crate::life;
use crate::panics::caught;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use plan::Plan;
use poe::event::{EventKey, Posts, START, STOP};
use poe::extend::{Caller, Resource, SessionHold, Start};
use poe::inspect::Hold;
use poe::{Context, Error, Event, Kernel, KernelRef, OnFailure, Session, SessionId, TaskId};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::str::FromStr;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio::time::Instant;

const CHECK: Event<()> = Event::new("poe_tools_cron_check");

/// How much the wall clock may run from the monotonic one between two looks without having been set.
const SLEW: Duration = Duration::from_secs(1);

/// An entry that is late by this much was missed.
const LATE: Duration = Duration::from_secs(60);

/// Posts events at times of the calendar, which cron patterns give.
///
/// A pattern has five fields, minute to day of the week, or six, with the second first: `*/5 * * * *`, `0 3 * * MON-FRI`, `30 0 12 L * *`. Names,
/// ranges, steps, lists, `L`, `#`, `W` and `@daily` are understood, as by the crate [`croner`](https://docs.rs/croner). Times are those of one
/// [time zone](CronBuilder::time_zone).
///
/// - *Daylight saving.* A time that a day leaves out is moved to the end of the gap; one that a day has twice comes once. Patterns that repeat within the
///   day, such as each quarter of an hour, skip the gap and run through both hours.
/// - *A clock that is set, a machine that sleeps.* The wall clock is looked at whenever an entry is due, and twice a minute. Times that have passed
///   meanwhile come as one event, which says how many they were; or not at all, with [`MissedRuns::Skip`]. When the clock is set back, patterns with a fixed
///   time of the day do not run again for a time that they have run for, unless it goes back by more than three hours: then it was wrong before. Other patterns
///   go on by the new time.
///
/// An entry keeps its session alive, and ends with it.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// use poe_tools::{Cron, CronTick};
/// const BACKUP: Event<CronTick> = Event::new("backup");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kernel = Kernel::new();
/// let cron = Cron::builder().time_zone("UTC")?.start(&kernel)?;
/// Session::builder(())
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         let nightly = cron.add(cx, "0 3 * * *", BACKUP)?;
///         assert!(cron.next(nightly).is_some());
/// #       cron.remove(nightly);
///         Ok(())
///     })
///     .on(BACKUP, |_, tick| println!("for {:?}, and {} before it", tick.scheduled, tick.missed))
///     .create(&kernel)?;
/// kernel.run().await?;
/// # Ok(())
/// # }
/// ```
#[doc(alias = "POE::Component::Cron")]
#[doc(alias = "POE::Component::Schedule")]
#[derive(Clone)]
pub struct Cron {
    session: SessionId,
    shared: Rc<Shared>,
}

/// An entry of a [`Cron`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CronEntry(u64);

/// The time of an entry has come: the argument of its event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CronTick {
    /// The entry.
    pub entry: CronEntry,
    /// The time that the event is for, the last one that has passed.
    pub scheduled: SystemTime,
    /// How many earlier times it stands for, which had passed as well; at most 1000.
    pub missed: u32,
}

/// What becomes of times that have passed while the machine slept, the clock was set, or the kernel was busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissedRuns {
    /// One event comes for all of them.
    #[default]
    Once,
    /// No event comes, unless the last of them is less than a minute ago.
    Skip,
}

/// What the session and the handles share.
struct Shared {
    plan: RefCell<Plan<Entry>>,
    clock: Box<dyn Fn() -> SystemTime>,
    missed: MissedRuns,
    max_entries: usize,
    closed: Cell<bool>,
    /// Both clocks at the last look.
    last: Cell<Option<(Timestamp, Instant)>>,
    /// The wait for the next look, which ends early when the last entry has gone: so that it keeps no kernel running.
    waits: Cell<Option<TaskId>>,
    emptied: Rc<Notify>,
}

struct Entry {
    pattern: Rc<str>,
    hold: SessionHold,
    event: EventKey<CronTick>,
}

impl Cron {
    /// Starts building one.
    pub fn builder() -> CronBuilder {
        CronBuilder {
            alias: None,
            zone: None,
            clock: Box::new(SystemTime::now),
            missed: MissedRuns::default(),
            max_entries: 4096,
        }
    }

    /// Posts an event to the running session whenever a pattern's time comes.
    ///
    /// # Errors
    /// The pattern is invalid, or its time never comes; there are too many entries; the component was shut down.
    #[track_caller]
    #[doc(alias = "from_cron")]
    pub fn add(&self, cx: &KernelRef<'_>, pattern: &str, event: impl Posts<CronTick>) -> Result<CronEntry, CronError> {
        let failed = |kind| CronError {
            subject: pattern.to_owned(),
            kind,
        };
        if self.shared.closed.get() {
            return Err(failed(CronErrorKind::Closed));
        }
        if self.shared.plan.borrow().len() >= self.shared.max_entries {
            return Err(failed(CronErrorKind::TooMany(self.shared.max_entries)));
        }
        let parsed = croner::Cron::from_str(pattern);
        let parsed = parsed.map_err(|error| failed(CronErrorKind::Invalid(error.to_string())))?;
        let hold = cx.hold_session(cx.session_id());
        let entry = Entry {
            pattern: pattern.into(),
            hold: hold.map_err(|error| failed(CronErrorKind::Invalid(error.to_string())))?,
            event: EventKey::new(event),
        };
        let now = self.shared.now();
        let added = self.shared.plan.borrow_mut().add(parsed, entry, now);
        let id = added.ok_or_else(|| failed(CronErrorKind::Never))?;
        // The component's session sets its timer.
        let _ = cx.post(self.session, CHECK, ());
        Ok(CronEntry(id))
    }

    /// Removes an entry; false if there is none. An event that is queued already still comes.
    pub fn remove(&self, entry: CronEntry) -> bool {
        let removed = self.shared.plan.borrow_mut().remove(entry.0);
        self.shared.tell_if_empty();
        removed.is_some()
    }

    /// Returns when an entry is due next.
    #[must_use]
    pub fn next(&self, entry: CronEntry) -> Option<SystemTime> {
        self.shared.plan.borrow().next_of(entry.0).map(SystemTime::from)
    }

    /// Removes all entries and ends, with an event ([`SHUTDOWN`](crate::SHUTDOWN)).
    #[track_caller]
    pub fn shutdown(&self, cx: &KernelRef<'_>) {
        // It may have ended.
        let _ = cx.post(self.session, crate::SHUTDOWN, ());
    }

    /// Returns its session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.shared.plan.borrow();
        f.debug_struct("Cron")
            .field("session", &self.session)
            .field("entries", &plan.len())
            .field("next", &plan.next())
            .finish()
    }
}

impl Shared {
    fn now(&self) -> Timestamp {
        // A clock that panics, or whose time cannot be represented, stands still.
        let now = caught(&self.clock).ok().and_then(|now| Timestamp::try_from(now).ok());
        now.or_else(|| self.last.get().map(|(last, _)| last))
            .unwrap_or_default()
    }

    fn clear(&self) {
        let removed = self.plan.borrow_mut().remove_unless(|_| false);
        drop(removed);
        self.tell_if_empty();
    }

    fn tell_if_empty(&self) {
        if self.plan.borrow().len() == 0 {
            self.emptied.notify_one();
        }
    }
}

/// Looks at the clock, posts what is due, and sets the timer for the next look.
fn check(cx: &mut Context<'_, Rc<Shared>>) {
    let shared = cx.heap.clone();
    let (now, monotonic) = (shared.now(), Instant::now());
    if let Some((then, then_monotonic)) = shared.last.replace(Some((now, monotonic))) {
        let expected = then + jiff::SignedDuration::try_from(monotonic - then_monotonic).unwrap_or_default();
        let back = Duration::try_from(expected.duration_since(now)).unwrap_or_default();
        if back > SLEW {
            tracing::info!(target: "poe::tools", "the clock was set back by {back:?}");
            shared.plan.borrow_mut().set_back(back, now);
        }
    }
    let due = shared.plan.borrow_mut().due(now);
    for due in due {
        let late = Duration::try_from(now.duration_since(due.scheduled)).unwrap_or_default();
        if (shared.missed == MissedRuns::Once || late < LATE)
            && let Some(entry) = shared.plan.borrow().get(due.id)
        {
            let tick = CronTick {
                entry: CronEntry(due.id),
                scheduled: due.scheduled.into(),
                missed: due.missed,
            };
            // Its session may have been stopped a moment ago.
            let _ = entry.hold.post(&entry.event, tick);
        }
        if due.is_last {
            let over = shared.plan.borrow_mut().remove(due.id);
            drop(over);
        }
    }
    if let Some(waits) = shared.waits.take() {
        cx.cancel(waits);
    }
    let next = shared.plan.borrow().next();
    if let Some(next) = next {
        let wait = Duration::try_from(next.duration_since(now)).unwrap_or_default();
        let emptied = shared.emptied.clone();
        let waiting = async move {
            let _ = tokio::time::timeout(wait.min(LATE / 2), emptied.notified()).await;
        };
        shared.waits.set(Some(cx.spawn(waiting, CHECK)));
    }
}

/// All of a kernel: they report which sessions they hold, and are notified of ends.
#[derive(Default)]
struct Crons(RefCell<Vec<Weak<Shared>>>);

impl Resource for Crons {
    fn holds(&self, session: SessionId, holds: &mut Vec<Hold>) {
        for cron in self.0.borrow().iter().filter_map(Weak::upgrade) {
            let plan = cron.plan.borrow();
            let own = plan.values().filter(|entry| entry.hold.session() == session);
            holds.extend(own.map(|entry| entry.hold.report("cron", &*entry.pattern)));
        }
    }

    fn clear(&self, session: SessionId) {
        for cron in self.0.borrow().iter().filter_map(Weak::upgrade) {
            let removed = cron
                .plan
                .borrow_mut()
                .remove_unless(|entry| entry.hold.session() != session);
            drop(removed);
        }
    }
}

/// Configures a [`Cron`].
///
/// | setting | default |
/// |---|---|
/// | [`time_zone`](Self::time_zone) | the system's |
/// | [`missed`](Self::missed) | [`MissedRuns::Once`] |
/// | [`max_entries`](Self::max_entries) | 4096 |
/// | [`clock`](Self::clock) | [`SystemTime::now`] |
/// | [`alias`](Self::alias) | one that is made of the session's number |
#[must_use = "nothing happens until `start` is called"]
pub struct CronBuilder {
    alias: Option<String>,
    zone: Option<TimeZone>,
    clock: Box<dyn Fn() -> SystemTime>,
    missed: MissedRuns,
    max_entries: usize,
}

impl CronBuilder {
    /// Sets the alias of its session.
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    /// Sets the time zone of all patterns, by its name in the IANA database, such as `Europe/Berlin` or `UTC`.
    ///
    /// # Errors
    /// The system's database does not have it, or there is none.
    pub fn time_zone(mut self, name: &str) -> Result<Self, CronError> {
        let zone = TimeZone::get(name).map_err(|error| CronError {
            subject: name.to_owned(),
            kind: CronErrorKind::Zone(error.to_string()),
        })?;
        self.zone = Some(zone);
        Ok(self)
    }

    /// Sets what becomes of times that have passed unnoticed.
    pub fn missed(mut self, missed: MissedRuns) -> Self {
        self.missed = missed;
        self
    }

    /// Sets how many entries there may be.
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.max_entries = entries;
        self
    }

    /// Sets the wall clock, for tests on virtual time.
    ///
    /// ```
    /// use poe_tools::Cron;
    /// use std::time::{Duration, SystemTime};
    /// use tokio::time::Instant;
    /// let (new_year, began) = (SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600), Instant::now());
    /// let cron = Cron::builder().clock(move || new_year + began.elapsed());
    /// ```
    pub fn clock(mut self, clock: impl Fn() -> SystemTime + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Starts it, below the kernel.
    ///
    /// # Errors
    /// The alias is taken; a handler is running (use [`cx.start(builder)`](poe::Context::start)); the kernel is shutting down.
    #[track_caller]
    pub fn start(self, kernel: &Kernel) -> Result<Cron, Error> {
        self.start_by(&mut { kernel })
    }
}

impl Start for CronBuilder {
    type Started = Cron;

    #[track_caller]
    fn start_by(self, caller: &mut impl Caller) -> Result<Cron, Error> {
        let shared = Rc::new(Shared {
            plan: RefCell::new(Plan::new(self.zone.unwrap_or_else(TimeZone::system))),
            clock: self.clock,
            missed: self.missed,
            max_entries: self.max_entries,
            closed: Cell::new(false),
            last: Cell::new(None),
            waits: Cell::new(None),
            emptied: Rc::default(),
        });
        let alias = self.alias;
        let session = Session::builder(shared.clone())
            .on_failure(OnFailure::StopSession)
            .on(START, move |cx, ()| {
                let crons = cx.resource::<Crons>();
                let mut crons = crons.0.borrow_mut();
                crons.retain(|cron| cron.strong_count() > 0);
                crons.push(Rc::downgrade(&cx.heap));
                life::begin(cx, alias.as_deref(), "cron")
            })
            .on(CHECK, |cx, ()| check(cx))
            .on(STOP, |cx, ()| {
                cx.heap.closed.set(true);
                cx.heap.clear();
            });
        let session = life::ends(session, |cx| {
            cx.heap.closed.set(true);
            cx.heap.clear();
            if let Some(waits) = cx.heap.waits.take() {
                cx.cancel(waits);
            }
            life::end(cx);
        });
        let session = caller.create(session)?;
        Ok(Cron { session, shared })
    }
}

impl fmt::Debug for CronBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CronBuilder")
            .field("alias", &self.alias)
            .field("time_zone", &self.zone)
            .field("missed", &self.missed)
            .field("max_entries", &self.max_entries)
            .finish_non_exhaustive()
    }
}

/// An entry that cannot be added, or a time zone that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronError {
    subject: String,
    kind: CronErrorKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum CronErrorKind {
    Invalid(String),
    Never,
    TooMany(usize),
    Zone(String),
    Closed,
}

impl CronError {
    /// The pattern is not a cron pattern.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        matches!(self.kind, CronErrorKind::Invalid(_))
    }

    /// The pattern's time never comes, such as the 30th of February.
    #[must_use]
    pub fn is_never(&self) -> bool {
        matches!(self.kind, CronErrorKind::Never)
    }

    /// There are as many entries as [`CronBuilder::max_entries`] allows.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.kind, CronErrorKind::TooMany(_))
    }
}

impl fmt::Display for CronError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            CronErrorKind::Zone(why) => write!(f, "time zone `{}`: {why}", self.subject),
            CronErrorKind::Invalid(why) => write!(f, "cron pattern `{}`: {why}", self.subject),
            CronErrorKind::Never => write!(f, "cron pattern `{}`: its time never comes", self.subject),
            CronErrorKind::TooMany(limit) => write!(
                f,
                "cron pattern `{}`: there are {limit} entries already (`CronBuilder::max_entries`)",
                self.subject
            ),
            CronErrorKind::Closed => write!(f, "cron pattern `{}`: this Cron was shut down", self.subject),
        }
    }
}

impl std::error::Error for CronError {}
