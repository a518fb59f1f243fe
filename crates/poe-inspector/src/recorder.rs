//! The observer in a kernel: it puts a sample of the dispatches into a bounded ring, and what is rare into a log.
//!
//! It runs on the kernel's thread. It never waits for the inspector's thread: where that has the ring at the moment, the
//! dispatch is counted as missed.

use crate::log::{Entry, Kind, Log};
use poe::SessionId;
use poe::component::ChildReport;
use poe::inspect::{DeadLetter, Die, Dispatch, Observer, Outcome};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The dispatches that wait for the inspector's thread, at most.
const RING: usize = 4096;
/// How many dispatches may be recorded in a row, after a pause.
const BURST: f64 = 256.0;
/// Names of events that are kept, so that a recorded dispatch allocates none.
const NAMES: usize = 1024;

/// One recorded dispatch.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) session: SessionId,
    pub(crate) sender: SessionId,
    pub(crate) event: Arc<str>,
    pub(crate) place: &'static Location<'static>,
    pub(crate) started: SystemTime,
    pub(crate) took: Duration,
    pub(crate) outcome: End,
}

#[derive(Clone, Debug)]
pub(crate) enum End {
    Handled,
    Unhandled,
    Failed(Arc<str>),
}

/// What the kernel's thread and the inspector's share.
pub(crate) struct Record {
    /// Somebody looks.
    pub(crate) recording: AtomicBool,
    /// Dispatches per second, at most.
    pub(crate) rate: AtomicU32,
    /// Since it was last looked at, not every dispatch was recorded.
    pub(crate) sampled: AtomicBool,
    /// Dispatches that were wanted, and for which the ring had no room.
    pub(crate) missed: AtomicU64,
    ring: Mutex<Ring>,
    log: Mutex<Log>,
}

#[derive(Default)]
pub(crate) struct Ring {
    pub(crate) seen: Vec<Seen>,
    /// The longest poll since the ring was last taken, and all of them.
    pub(crate) longest_poll: Duration,
    pub(crate) polling: Duration,
}

impl Record {
    pub(crate) fn new(rate: u32) -> Self {
        Record {
            recording: AtomicBool::new(false),
            rate: AtomicU32::new(rate),
            sampled: AtomicBool::new(false),
            missed: AtomicU64::new(0),
            ring: Mutex::default(),
            log: Mutex::default(),
        }
    }

    /// Takes what was recorded since the last time.
    pub(crate) fn take(&self) -> Ring {
        let fresh = Ring::default();
        std::mem::replace(&mut self.ring.lock().unwrap_or_else(PoisonError::into_inner), fresh)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Recorder {
    record: Arc<Record>,
    tokens: Cell<f64>,
    filled: Cell<Option<Instant>>,
    names: RefCell<HashMap<String, Arc<str>>>,
    gone: Box<dyn Fn()>,
}

impl Recorder {
    /// `gone` is called when the kernel is dropped.
    pub(crate) fn new(record: Arc<Record>, gone: impl Fn() + 'static) -> Self {
        Recorder {
            record,
            tokens: Cell::new(BURST),
            filled: Cell::new(None),
            names: RefCell::default(),
            gone: Box::new(gone),
        }
    }

    fn name(&self, event: &str) -> Arc<str> {
        let mut names = self.names.borrow_mut();
        if let Some(name) = names.get(event) {
            return name.clone();
        }
        if names.len() >= NAMES {
            names.clear();
        }
        let name: Arc<str> = event.into();
        names.insert(event.to_owned(), name.clone());
        name
    }

    fn tell(
        &self,
        kind: Kind,
        session: Option<SessionId>,
        subject: &str,
        text: String,
        place: Option<&'static Location<'static>>,
    ) {
        self.record.log().push(Entry {
            time: SystemTime::now(),
            kind,
            session,
            subject: subject.to_owned(),
            text,
            place,
        });
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        (self.gone)();
    }
}

impl Observer for Recorder {
    fn wants_dispatches(&self) -> bool {
        if !self.record.recording.load(Relaxed) {
            return false;
        }
        if self.tokens.get() < 1.0 {
            let now = Instant::now();
            let since = self
                .filled
                .replace(Some(now))
                .map_or(Duration::from_secs(1), |filled| now - filled);
            let rate = f64::from(self.record.rate.load(Relaxed));
            self.tokens
                .set((self.tokens.get() + since.as_secs_f64() * rate).min(BURST));
        }
        let wants = self.tokens.get() >= 1.0;
        if !wants {
            self.record.sampled.store(true, Relaxed);
        }
        wants
    }

    fn wants_polls(&self) -> bool {
        self.record.recording.load(Relaxed)
    }

    fn dispatched(&self, dispatch: &Dispatch<'_>) {
        self.tokens.set(self.tokens.get() - 1.0);
        let seen = Seen {
            session: dispatch.session,
            sender: dispatch.sender,
            event: self.name(dispatch.event),
            place: dispatch.place,
            started: dispatch.started,
            took: dispatch.took,
            outcome: match dispatch.outcome {
                Outcome::Unhandled => End::Unhandled,
                Outcome::Failed(failure) => End::Failed(failure.to_string().into()),
                _ => End::Handled,
            },
        };
        match self.record.ring.try_lock() {
            Ok(mut ring) if ring.seen.len() < RING => ring.seen.push(seen),
            _ => {
                self.record.missed.fetch_add(1, Relaxed);
            }
        }
    }

    fn polled(&self, took: Duration) {
        if let Ok(mut ring) = self.record.ring.try_lock() {
            ring.longest_poll = ring.longest_poll.max(took);
            ring.polling += took;
        }
    }

    fn failed(&self, failure: &Die, consequence: &str) {
        let text = format!("{} ({consequence})", failure.failure);
        self.tell(
            Kind::Failure,
            Some(failure.session),
            &failure.event,
            text,
            Some(failure.place),
        );
    }

    fn dead_letter(&self, letter: &DeadLetter) {
        let text = format!("{}; its argument was {}", letter.target, letter.arg.type_name());
        self.tell(Kind::DeadLetter, None, &letter.event, text, Some(letter.place));
    }

    fn reported(&self, report: &dyn std::any::Any) {
        if let Some(report) = report.downcast_ref::<ChildReport>() {
            self.record.log().supervised(report);
        }
    }
}
