//! What is counted while somebody looks: rates, the time of handlers, and one point of each chart per second.

use crate::recorder::{End, Ring, Seen};
use poe::inspect::KernelStats;
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds that the charts go back.
const HISTORY: usize = 600;
/// Dispatches that are kept for the sessions' details.
const RECENT: usize = 4096;
/// Slow handlers that are kept.
const SLOW: usize = 200;
/// Names of events with counts of their own; the rest is `(others)`.
const EVENTS: usize = 500;
/// Sessions with rates.
const RATES: usize = 20_000;
/// How often the ring is emptied.
pub(crate) const TICK: Duration = Duration::from_millis(200);
/// Ticks of a point.
pub(crate) const TICKS: u32 = 5;
/// Upper bounds of the histogram of handler times, in seconds.
pub(crate) const BOUNDS: [f64; 9] = [10e-6, 50e-6, 100e-6, 500e-6, 1e-3, 5e-3, 10e-3, 100e-3, 1.0];

/// One second of the charts.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Point {
    /// Milliseconds since 1970.
    pub(crate) t: u64,
    /// Events per second: all that were recorded, or, while only a sample is recorded, at least the posts.
    pub(crate) events: f64,
    pub(crate) sampled: bool,
    pub(crate) sessions: usize,
    pub(crate) queue: usize,
    pub(crate) timers: usize,
    pub(crate) tasks: usize,
    pub(crate) inbox: usize,
    /// How long an event waited; `null` if the kernel did not reply.
    pub(crate) wait_us: Option<f64>,
    /// The longest time that the kernel kept its thread.
    pub(crate) poll_us: f64,
    /// The part of the second in which the kernel ran, 0 to 1.
    pub(crate) busy: f64,
    pub(crate) failures: u64,
}

/// What the handlers of one event took.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Handler {
    pub(crate) count: u64,
    pub(crate) failed: u64,
    pub(crate) total_us: f64,
    pub(crate) max_us: f64,
    #[serde(skip)]
    pub(crate) buckets: [u64; BOUNDS.len()],
}

#[derive(Clone, Copy, Default)]
struct Rate {
    count: u32,
    per_second: f64,
}

/// Dispatches that go to streams together.
pub(crate) struct Batch {
    /// The number of the first.
    pub(crate) first: u64,
    pub(crate) seen: Vec<Seen>,
    /// Some dispatches before these were not recorded.
    pub(crate) sampled: bool,
}

pub(crate) struct Sample {
    pub(crate) stats: KernelStats,
    pub(crate) history: VecDeque<Point>,
    pub(crate) recent: VecDeque<Seen>,
    pub(crate) slow: VecDeque<Seen>,
    pub(crate) slow_limit: Duration,
    pub(crate) handlers: HashMap<Arc<str>, Handler>,
    pub(crate) failed: VecDeque<(poe::SessionId, Instant)>,
    rates: HashMap<u64, Rate>,
    /// Recorded dispatches: of the present second, and all.
    recorded: u64,
    pub(crate) number: u64,
    longest_poll: Duration,
    polling: Duration,
    since: Option<(Instant, u64, u64)>,
}

impl Default for Sample {
    fn default() -> Self {
        Sample {
            stats: KernelStats::default(),
            history: VecDeque::new(),
            recent: VecDeque::new(),
            slow: VecDeque::new(),
            slow_limit: Duration::from_millis(5),
            handlers: HashMap::new(),
            failed: VecDeque::new(),
            rates: HashMap::new(),
            recorded: 0,
            number: 0,
            longest_poll: Duration::ZERO,
            polling: Duration::ZERO,
            since: None,
        }
    }
}

pub(crate) fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

pub(crate) fn micros(time: Duration) -> f64 {
    (time.as_nanos() as f64 / 100.0).round() / 10.0
}

fn push<T>(list: &mut VecDeque<T>, value: T, most: usize) {
    if list.len() == most {
        list.pop_front();
    }
    list.push_back(value);
}

impl Sample {
    /// Counts what the ring had.
    pub(crate) fn add(&mut self, ring: &Ring) {
        self.longest_poll = self.longest_poll.max(ring.longest_poll);
        self.polling += ring.polling;
        self.number += ring.seen.len() as u64;
        self.recorded += ring.seen.len() as u64;
        for seen in &ring.seen {
            if self.rates.len() < RATES || self.rates.contains_key(&seen.session.get()) {
                self.rates.entry(seen.session.get()).or_default().count += 1;
            }
            let event = match self.handlers.len() < EVENTS || self.handlers.contains_key(&seen.event) {
                true => seen.event.clone(),
                false => "(others)".into(),
            };
            let handler = self.handlers.entry(event).or_default();
            handler.count += 1;
            handler.total_us += micros(seen.took);
            handler.max_us = handler.max_us.max(micros(seen.took));
            if let Some(at) = BOUNDS.iter().position(|bound| seen.took.as_secs_f64() <= *bound) {
                handler.buckets[at] += 1;
            }
            if matches!(seen.outcome, End::Failed(_)) {
                handler.failed += 1;
                push(&mut self.failed, (seen.session, Instant::now()), SLOW);
            }
            if seen.took >= self.slow_limit {
                push(&mut self.slow, seen.clone(), SLOW);
            }
            push(&mut self.recent, seen.clone(), RECENT);
        }
    }

    /// Ends a second.
    pub(crate) fn point(&mut self, stats: Option<KernelStats>, wait: Option<Duration>, failures: u64, sampled: bool) {
        if let Some(stats) = stats {
            self.stats = stats;
        }
        let now = Instant::now();
        let (before, posts, failed) =
            self.since
                .unwrap_or((now - TICK * TICKS, self.stats.events_dispatched, failures));
        let seconds = (now - before).as_secs_f64().max(0.001);
        self.since = Some((now, self.stats.events_dispatched, failures));
        let recorded = self.recorded as f64 / seconds;
        let posted = self.stats.events_dispatched.saturating_sub(posts) as f64 / seconds;
        let events = if sampled { recorded.max(posted) } else { recorded };
        let scale = if recorded > 0.0 { events / recorded } else { 1.0 };
        self.rates.retain(|_, rate| {
            let now = f64::from(rate.count) / seconds * scale;
            rate.per_second = rate.per_second * 0.4 + now * 0.6;
            rate.count = 0;
            rate.per_second > 0.05
        });
        let point = Point {
            t: millis(SystemTime::now()),
            events: events.round(),
            sampled,
            sessions: self.stats.sessions,
            queue: self.stats.queue,
            timers: self.stats.timers,
            tasks: self.stats.tasks,
            inbox: self.stats.inbox,
            wait_us: wait.map(micros),
            poll_us: micros(self.longest_poll),
            busy: (self.polling.as_secs_f64() / seconds).min(1.0),
            failures: failures.saturating_sub(failed),
        };
        push(&mut self.history, point, HISTORY);
        (self.recorded, self.longest_poll, self.polling) = (0, Duration::ZERO, Duration::ZERO);
    }

    /// Events per second of a session, lately.
    pub(crate) fn rate(&self, session: u64) -> f64 {
        self.rates
            .get(&session)
            .map_or(0.0, |rate| (rate.per_second * 10.0).round() / 10.0)
    }

    /// Forgets what is out of date when somebody looks after a pause.
    pub(crate) fn begin(&mut self) {
        self.rates.clear();
        self.since = None;
        (self.recorded, self.longest_poll, self.polling) = (0, Duration::ZERO, Duration::ZERO);
    }
}
