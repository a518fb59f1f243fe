//! One kernel, as the inspector's thread sees it.

use crate::door::Entry;
use crate::recorder::{Record, Seen};
use crate::sample::{Batch, Sample};
use crate::table::Table;
use poe::inspect::Look;
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore, broadcast};

/// How long a kernel may take to reply.
const REPLY: Duration = Duration::from_secs(2);
/// Looks that may wait for a kernel that does not reply.
const LOOKS: usize = 8;
/// Batches of the stream that a slow reader may be behind.
const BATCHES: usize = 16;
/// How long after the last request somebody is still taken to look.
const LOOKING: Duration = Duration::from_secs(10);

/// Why a kernel has not replied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silent {
    /// It was dropped.
    Gone,
    /// It is not polled, or a handler does not return.
    Busy,
}

pub(crate) struct View {
    pub(crate) entry: Arc<Entry>,
    pub(crate) sample: RefCell<Sample>,
    pub(crate) stream: broadcast::Sender<Arc<Batch>>,
    /// The last table of sessions, and whether a newer one is being made.
    pub(crate) table: RefCell<Option<Rc<Table>>>,
    pub(crate) refresh: tokio::sync::Mutex<()>,
    looks: Arc<Semaphore>,
    looked: Cell<Option<Instant>>,
    replied: Cell<Instant>,
    /// Somebody begins to look.
    pub(crate) wanted: Notify,
}

impl View {
    pub(crate) fn new(entry: Arc<Entry>) -> Rc<Self> {
        Rc::new(View {
            entry,
            sample: RefCell::default(),
            stream: broadcast::Sender::new(BATCHES),
            table: RefCell::default(),
            refresh: tokio::sync::Mutex::default(),
            looks: Arc::new(Semaphore::new(LOOKS)),
            looked: Cell::new(None),
            replied: Cell::new(Instant::now()),
            wanted: Notify::new(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.entry.name
    }

    pub(crate) fn record(&self) -> &Record {
        &self.entry.record
    }

    /// Looks at the kernel. At most [`LOOKS`] looks wait for one that does not reply.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        look: impl FnOnce(Look<'_>) -> T + Send + 'static,
    ) -> Result<T, Silent> {
        let permit = self.looks.clone().try_acquire_owned().map_err(|_| Silent::Busy)?;
        let future = self.entry.observation.look(move |kernel| {
            let looked = look(kernel);
            drop(permit);
            looked
        });
        match tokio::time::timeout(REPLY, future).await {
            Ok(Some(looked)) => {
                self.replied.set(Instant::now());
                Ok(looked)
            }
            Ok(None) => Err(Silent::Gone),
            Err(_) => Err(Silent::Busy),
        }
    }

    /// How long an event waits in the queue now.
    pub(crate) async fn probe(&self) -> Option<Duration> {
        let _permit = self.looks.try_acquire().ok()?;
        tokio::time::timeout(REPLY, self.entry.observation.probe()).await.ok()?
    }

    /// How long ago the kernel has replied.
    pub(crate) fn silence(&self) -> Duration {
        self.replied.get().elapsed()
    }

    /// Somebody looks: the kernel is sampled for a while.
    pub(crate) fn touch(&self) {
        self.looked.set(Some(Instant::now()));
        if !self.record().recording.swap(true, Relaxed) {
            self.wanted.notify_one();
        }
    }

    pub(crate) fn is_looked_at(&self) -> bool {
        let recently = self.looked.get().is_some_and(|at| at.elapsed() < LOOKING);
        recently || self.stream.receiver_count() > 0
    }

    /// The last recorded dispatches of a session, or from it, the latest first.
    pub(crate) fn recent(&self, wanted: impl Fn(&Seen) -> bool, limit: usize) -> Vec<Seen> {
        let sample = self.sample.borrow();
        let found = sample.recent.iter().rev().filter(|seen| wanted(seen)).take(limit);
        found.cloned().collect()
    }
}

/// A kernel in the list of kernels.
#[derive(Serialize)]
pub(crate) struct Summary {
    pub(crate) index: usize,
    pub(crate) name: String,
    /// `running`, `silent` (it is not polled, or a handler does not return) or `gone`.
    pub(crate) state: &'static str,
    pub(crate) silent_ms: u64,
    pub(crate) stats: poe::inspect::KernelStats,
    pub(crate) totals: crate::log::Totals,
    pub(crate) sampled: bool,
    pub(crate) missed: u64,
    pub(crate) rate_limit: u32,
    pub(crate) slow_ms: f64,
}

impl View {
    pub(crate) async fn summary(&self, index: usize) -> Summary {
        let asked = self.ask(|kernel| kernel.stats()).await;
        let mut sample = self.sample.borrow_mut();
        let state = match asked {
            Ok(stats) => {
                sample.stats = stats;
                "running"
            }
            Err(Silent::Busy) => "silent",
            Err(Silent::Gone) => "gone",
        };
        Summary {
            index,
            name: self.name().to_owned(),
            state,
            silent_ms: match state {
                "running" => 0,
                _ => self.silence().as_millis() as u64,
            },
            stats: sample.stats.clone(),
            totals: self.record().log().totals,
            sampled: sample.history.back().is_some_and(|point| point.sampled),
            missed: self.record().missed.load(Relaxed),
            rate_limit: self.record().rate.load(Relaxed),
            slow_ms: sample.slow_limit.as_secs_f64() * 1e3,
        }
    }
}
