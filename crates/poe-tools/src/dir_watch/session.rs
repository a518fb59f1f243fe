//! The session of a watched directory: it lists, reports, and waits for the next time.
//!
//! `SCAN` starts a listing on a thread, whose event is `SCANNED`. What that has found waits in `reports`, is posted with `DELIVER` a few
//! at a time, and only then the next listing is planned: so the queue never has more than a batch.

use super::differ::{Change, Differ, Stamp};
use super::scan::Scan;
use super::{DirWatchError, FileChange};
use crate::life;
use poe::event::{EventKey, START};
use poe::{Context, Error, Event, OnFailure, Session, SessionBuilder, Target, TaskId};
use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::time::Duration;
use tokio::time::Instant;

const SCAN: Event<()> = Event::new("poe_tools_scan");
const SCANNED: Event<Scanned> = Event::new("poe_tools_scanned");
const DELIVER: Event<()> = Event::new("poe_tools_deliver");
#[cfg(feature = "notify")]
const HINTED: Event<()> = Event::new("poe_tools_hinted");
pub(super) const PAUSE: Event<bool> = Event::new("poe_tools_pause");
pub(super) const SCAN_NOW: Event<()> = Event::new("poe_tools_scan_now");

/// How many reports are posted before others have their turn.
const BATCH: usize = 256;

/// When a listing began and ended, and what it found.
type Scanned = (Instant, Instant, Result<HashMap<OsString, Stamp>, DirWatchError>);

#[derive(Default)]
pub(super) struct Events {
    pub(super) new: Option<EventKey<FileChange>>,
    pub(super) modified: Option<EventKey<FileChange>>,
    pub(super) removed: Option<EventKey<FileChange>>,
    pub(super) renamed: Option<EventKey<FileChange>>,
    pub(super) settled: Option<EventKey<FileChange>>,
    pub(super) present: Option<EventKey<FileChange>>,
    pub(super) error: Option<EventKey<DirWatchError>>,
}

pub(super) struct Watch {
    pub(super) alias: Option<String>,
    pub(super) target: Option<Target<'static>>,
    pub(super) interval: Duration,
    pub(super) scan: Scan,
    pub(super) events: Events,
    pub(super) differ: Differ,
    pub(super) began: Instant,
    pub(super) reports: VecDeque<(EventKey<FileChange>, FileChange)>,
    pub(super) state: State,
    pub(super) scanning: Option<TaskId>,
    /// When the last listing ended.
    pub(super) last: Instant,
    /// When files that are present are reported again.
    pub(super) next_poll: Instant,
    /// The last listing failed, which was told.
    pub(super) is_failing: bool,
    /// The target is the session that has started this one: it ends with it.
    pub(super) follows: bool,
    #[cfg(feature = "notify")]
    pub(super) hint: Option<super::hint::Hint>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Until the timer of `SCAN`.
    Waits(Instant),
    Scans,
    Delivers,
    Paused,
    Over,
}

type Cx<'k> = Context<'k, Watch>;

pub(super) fn session(watch: Watch) -> SessionBuilder<Watch> {
    let session = Session::builder(watch)
        .on_failure(OnFailure::StopSession)
        .on(START, |cx, ()| -> Result<(), Error> {
            life::begin(cx, cx.heap.alias.as_deref(), "directory watch")?;
            if cx.heap.target.is_none() {
                (cx.heap.target, cx.heap.follows) = (Some(cx.sender().into()), true);
            }
            #[cfg(feature = "notify")]
            renew_hint(cx);
            scan(cx);
            Ok(())
        })
        .on(SCAN, |cx, ()| scan(cx))
        .on(SCANNED, |cx, (began, ended, listing)| {
            if cx.heap.state != State::Scans {
                // It was paused since.
                return;
            }
            (cx.heap.last, cx.heap.state) = (ended, State::Delivers);
            match listing {
                Ok(listing) => {
                    if std::mem::take(&mut cx.heap.is_failing) {
                        #[cfg(feature = "notify")]
                        renew_hint(cx);
                    }
                    collect(cx, listing, began, ended);
                }
                Err(error) => tell(cx, error),
            }
            deliver(cx);
        })
        .on(DELIVER, |cx, ()| deliver(cx))
        .on(PAUSE, |cx, pause| match (pause, cx.heap.state) {
            (_, State::Over) | (false, State::Waits(_) | State::Scans | State::Delivers) => {}
            (true, _) => {
                cx.alarm_remove_all();
                if let Some(task) = cx.heap.scanning.take() {
                    cx.cancel(task);
                }
                cx.heap.state = State::Paused;
            }
            (false, State::Paused) => scan(cx),
        })
        .on(SCAN_NOW, |cx, ()| {
            if let State::Waits(_) = cx.heap.state {
                cx.alarm_clear(SCAN);
                scan(cx);
            }
        });
    #[cfg(feature = "notify")]
    let session = session.on(HINTED, |cx, ()| {
        await_hint(cx);
        if let State::Waits(until) = cx.heap.state {
            // Not more often than changes are confirmed, whatever happens in the directory.
            let soon = cx.heap.last + cx.heap.differ.confirm;
            wait(cx, until.min(soon));
        }
    });
    life::ends(session, |cx| {
        cx.heap.state = State::Over;
        cx.heap.reports.clear();
        cx.alarm_remove_all();
        if let Some(task) = cx.heap.scanning.take() {
            cx.cancel(task);
        }
        #[cfg(feature = "notify")]
        if let Some(hint) = cx.heap.hint.take() {
            hint.end(cx);
        }
        life::end(cx);
    })
}

/// Watches the directory that has this name now, instead of the one that had it.
#[cfg(feature = "notify")]
fn renew_hint(cx: &mut Cx<'_>) {
    if let Some(old) = cx.heap.hint.take() {
        old.end(cx);
    }
    cx.heap.hint = super::hint::Hint::of(&cx.heap.scan.directory);
    await_hint(cx);
}

#[cfg(feature = "notify")]
fn await_hint(cx: &mut Cx<'_>) {
    let kernel = cx.kernel;
    if let Some(hint) = &mut cx.heap.hint {
        hint.wait(kernel, HINTED);
    }
}

fn scan(cx: &mut Cx<'_>) {
    if cx.heap.state == State::Over {
        return;
    }
    cx.heap.state = State::Scans;
    let scan = cx.heap.scan.clone();
    let began = Instant::now();
    let scanning = move || {
        let listing = scan.run();
        (began, Instant::now(), listing)
    };
    cx.heap.scanning = Some(cx.blocking(scanning, SCANNED));
}

/// Makes reports of a listing.
fn collect(cx: &mut Cx<'_>, listing: HashMap<OsString, Stamp>, began: Instant, ended: Instant) {
    let Watch {
        differ,
        events,
        reports,
        scan,
        began: start,
        next_poll,
        interval,
        ..
    } = &mut *cx.heap;
    let of = |name: &OsString, stamp: Stamp, from: Option<&OsString>| FileChange {
        path: scan.directory.join(name),
        from: from.map(|from| scan.directory.join(from)),
        len: stamp.len,
        modified: stamp.modified,
        is_dir: stamp.is_dir,
    };
    for (change, name, stamp) in differ.step(listing, began - *start, ended - *start) {
        let (event, from) = match &change {
            Change::New => (&events.new, None),
            Change::Modified => (&events.modified, None),
            Change::Removed => (&events.removed, None),
            Change::RenamedFrom(from) => (&events.renamed, Some(from)),
            Change::Settled => (&events.settled, None),
        };
        if let Some(event) = event {
            reports.push_back((event.clone(), of(&name, stamp, from)));
        }
    }
    if ended >= *next_poll {
        *next_poll = ended + *interval;
        if let Some(event) = &events.present {
            let present = differ.present().into_iter();
            reports.extend(present.map(|(name, stamp)| (event.clone(), of(&name, stamp, None))));
        }
    }
}

fn deliver(cx: &mut Cx<'_>) {
    if cx.heap.state != State::Delivers {
        return;
    }
    let kernel = cx.kernel;
    for _ in 0..BATCH {
        let Watch { reports, target, .. } = &mut *cx.heap;
        let (Some((event, change)), Some(target)) = (reports.pop_front(), &target) else {
            return plan(cx);
        };
        if let Err(refused) = kernel.post(target.clone(), &event, change) {
            tracing::debug!(target: "poe::tools", "a directory's change cannot be reported: {refused}");
            reports.push_front((event, refused.into_arg()));
            if cx.heap.follows {
                return cx.yield_to(life::SHUTDOWN, ());
            }
            // The session with that alias may come back.
            let interval = cx.heap.interval;
            return cx.delay(DELIVER, interval, ());
        }
    }
    cx.yield_to(DELIVER, ());
}

/// Sets the time of the next listing.
fn plan(cx: &mut Cx<'_>) {
    let watch = &*cx.heap;
    let at = match watch.differ.due() {
        // A change that waits for another one is overdue meanwhile.
        Some(due) => (watch.began + due)
            .max(watch.last + watch.differ.confirm)
            .min(watch.next_poll),
        None => watch.next_poll,
    };
    // A listing that has failed says nothing of what is due.
    let at = if watch.is_failing {
        watch.last + watch.interval
    } else {
        at
    };
    wait(cx, at);
}

fn wait(cx: &mut Cx<'_>, until: Instant) {
    cx.heap.state = State::Waits(until);
    cx.delay(SCAN, until.saturating_duration_since(Instant::now()), ());
}

/// Reports that the directory cannot be read, once until it can be read again.
fn tell(cx: &mut Cx<'_>, error: DirWatchError) {
    if std::mem::replace(&mut cx.heap.is_failing, true) {
        return;
    }
    match (&cx.heap.events.error, &cx.heap.target) {
        (Some(event), Some(target)) => drop(cx.post(target.clone(), event, error)),
        _ => tracing::warn!(target: "poe::tools", "{error}"),
    }
}
