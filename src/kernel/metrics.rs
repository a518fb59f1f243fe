//! The kernel's figures for the `metrics` facade.
//!
//! An event costs a countdown and a comparison: one in [`Metrics::sample_every`] is timed. For the waiting time the next post after a sample is marked: the kernel notes its number and
//! the time, and looks at the clock again when the queue has come to that number. Gauges and counters are brought up to date when the kernel gives its thread back. So a recorder, which is a
//! user's code, is called a few times per poll, and nothing of the kernel is borrowed then.

use super::count::{Count, Traffic};
use super::flags::{self, Flag, Flags};
use super::{Config, Core, Frame};
use crate::error::quietly;
use metrics::{Counter, Gauge, Histogram, Label, Unit};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// What a kernel tells the `metrics` facade, for [`KernelBuilder::metrics`](crate::KernelBuilder::metrics) (feature `metrics`).
///
/// Install a recorder, for example that of `metrics-exporter-prometheus`, before you build the kernel: the kernel gets its counters then.
///
/// | name | type | unit | labels | what it is |
/// |---|---|---|---|---|
/// | `poe_events_dispatched_total` | counter | | `kernel` | handlers called: events, calls, signals, I/O, and events of a session's life |
/// | `poe_event_wait_seconds` | histogram | seconds | `kernel` | from a post to its dispatch; a sample |
/// | `poe_handler_seconds` | histogram | seconds | `kernel`, `event` | how long a handler ran, with all that it called; a sample |
/// | `poe_queue_length` | gauge | events | `kernel` | posts that wait |
/// | `poe_timers` | gauge | timers | `kernel` | timers that are set |
/// | `poe_sessions` | gauge | sessions | `kernel` | sessions that are alive |
/// | `poe_sessions_born_total` | counter | | `kernel` | sessions created |
/// | `poe_sessions_stopped_total` | counter | | `kernel` | sessions that have ended |
/// | `poe_handler_failures_total` | counter | | `kernel` | handlers that returned an error or panicked, and raised `DIE` |
/// | `poe_dead_letters_total` | counter | | `kernel` | messages that did not reach a handler |
/// | `poe_inbox_messages` | gauge | messages | `kernel` | messages of handles that were not taken in yet |
/// | `poe_inbox_capacity` | gauge | messages | `kernel` | how many may wait |
/// | `poe_wheel_read_bytes_total` | counter | bytes | `kernel`, `wheel` | bytes read |
/// | `poe_wheel_written_bytes_total` | counter | bytes | `kernel`, `wheel` | bytes that the system has taken |
/// | `poe_wheel_read_records_total` | counter | | `kernel`, `wheel` | records delivered to sessions |
/// | `poe_wheel_written_records_total` | counter | | `kernel`, `wheel` | records put |
/// | `poe_accepts_total` | counter | | `kernel` | connections accepted |
/// | `poe_reconnects_total` | counter | | `kernel` | attempts of a `TcpClient` after its first one |
/// | `poe_supervisor_restarts_total` | counter | | `kernel` | children that supervisors have started again |
///
/// `kernel` is the [name](crate::KernelBuilder::name) given in the builder, or `kernel`. `wheel` is `ReadWrite`, `Run` or `FollowTail`.
/// `event` has at most [`event_names`](Self::event_names) values; all others together are `other`. In Grafana,
/// `rate(poe_events_dispatched_total[1m])` is the event rate, and
/// `histogram_quantile(0.99, sum by (le, event) (rate(poe_handler_seconds_bucket[5m])))` the p99 of each handler, if the recorder has buckets for it.
///
/// ```
/// use poe::{Kernel, inspect::Metrics};
/// // metrics_exporter_prometheus::PrometheusBuilder::new().install()?;
/// let kernel = Kernel::builder().name("orders").metrics(Metrics::new().sample_every(16)).build();
/// # drop(kernel);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Metrics {
    every: u32,
    names: usize,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl Metrics {
    /// Returns the defaults: one event in 128 is timed, and 64 event names are told apart.
    pub fn new() -> Self {
        Metrics { every: 128, names: 64 }
    }

    /// Sets how many events are dispatched for one that is timed; at least 1, which times each event.
    ///
    /// A sample costs four readings of the clock and two calls of the recorder.
    pub fn sample_every(mut self, events: u32) -> Self {
        self.every = events.max(1);
        self
    }

    /// Sets how many event names the label `event` may have, besides `other`.
    pub fn event_names(mut self, names: usize) -> Self {
        self.names = names;
        self
    }
}

const COUNTS: [(&str, &str); 5] = [
    ("poe_handler_failures_total", "Handlers that failed and raised DIE"),
    ("poe_dead_letters_total", "Messages that did not reach a handler"),
    ("poe_accepts_total", "Connections accepted"),
    ("poe_reconnects_total", "Attempts of a TcpClient after its first one"),
    (
        "poe_supervisor_restarts_total",
        "Children that supervisors have started again",
    ),
];

const TRAFFIC: [(&str, Unit, &str); 4] = [
    ("poe_wheel_read_bytes_total", Unit::Bytes, "Bytes read"),
    (
        "poe_wheel_written_bytes_total",
        Unit::Bytes,
        "Bytes that the system has taken",
    ),
    (
        "poe_wheel_read_records_total",
        Unit::Count,
        "Records delivered to sessions",
    ),
    ("poe_wheel_written_records_total", Unit::Count, "Records put"),
];

/// A counter that is told from time to time.
struct Total {
    counter: Counter,
    told: Cell<u64>,
}

impl Total {
    fn tell(&self, now: u64) {
        let told = self.told.replace(now);
        if now != told {
            self.counter.increment(now.wrapping_sub(told));
        }
    }
}

/// A gauge that is set at changes only.
struct Level {
    gauge: Gauge,
    told: Cell<usize>,
}

impl Level {
    fn tell(&self, now: usize) {
        if self.told.replace(now) != now {
            self.gauge.set(now as f64);
        }
    }
}

/// The counters of one kernel, if it has any.
#[derive(Default)]
pub(crate) struct Meters(Option<Box<Inner>>);

/// The name of a kind of wheels, and its counters.
type KindOfWheel = (&'static str, [Option<Counter>; 4]);

struct Inner {
    settings: Metrics,
    labels: Vec<Label>,
    /// Dispatches until the next sample …
    left: Cell<u32>,
    /// … and the dispatches before the last one.
    before: Cell<u64>,
    /// The next post is to be marked.
    probing: Flag,
    /// The queue's position once the marked post is taken out; `u64::MAX` if none is marked.
    marked: Cell<u64>,
    /// When it was posted.
    posted: Cell<u64>,
    wait: Histogram,
    handlers: RefCell<HashMap<Box<str>, Histogram>>,
    other: RefCell<Option<Histogram>>,
    events: Total,
    born: Total,
    stopped: Total,
    queue: Level,
    timers: Level,
    sessions: Level,
    inbox: Level,
    counts: [Counter; 5],
    wheels: RefCell<Vec<KindOfWheel>>,
}

impl Inner {
    fn new(settings: Metrics, kernel: &str, capacity: usize, flags: &Flags) -> Self {
        let labels = vec![Label::new("kernel", kernel.to_owned())];
        let total = |name: &'static str, what: &'static str| {
            metrics::describe_counter!(name, what);
            metrics::counter!(name, labels.clone())
        };
        let told = |name, what| Total {
            counter: total(name, what),
            told: Cell::new(0),
        };
        let level = |name: &'static str, what: &'static str| {
            metrics::describe_gauge!(name, Unit::Count, what);
            let gauge = metrics::gauge!(name, labels.clone());
            gauge.set(0.0);
            Level {
                gauge,
                told: Cell::new(0),
            }
        };
        let histogram =
            |name: &'static str, what: &'static str| metrics::describe_histogram!(name, Unit::Seconds, what);
        histogram(
            "poe_event_wait_seconds",
            "From a post to its dispatch, of a sample of events",
        );
        histogram("poe_handler_seconds", "How long handlers run, of a sample of events");
        level("poe_inbox_capacity", "Messages of handles that may wait")
            .gauge
            .set(capacity as f64);
        Inner {
            left: Cell::new(settings.every),
            before: Cell::new(0),
            probing: Flag::new(flags, flags::PROBING),
            marked: Cell::new(u64::MAX),
            posted: Cell::new(0),
            wait: metrics::histogram!("poe_event_wait_seconds", labels.clone()),
            handlers: RefCell::default(),
            other: RefCell::default(),
            events: told("poe_events_dispatched_total", "Handlers called"),
            born: told("poe_sessions_born_total", "Sessions created"),
            stopped: told("poe_sessions_stopped_total", "Sessions that have ended"),
            queue: level("poe_queue_length", "Posts that wait"),
            timers: level("poe_timers", "Timers that are set"),
            sessions: level("poe_sessions", "Sessions that are alive"),
            inbox: level("poe_inbox_messages", "Messages of handles that were not taken in yet"),
            counts: COUNTS.map(|(name, what)| total(name, what)),
            wheels: RefCell::default(),
            settings,
            labels,
        }
    }

    /// The dispatches until now.
    fn dispatched(&self) -> u64 {
        self.before.get() + u64::from(self.settings.every - self.left.get())
    }

    /// The histogram of an event's handlers.
    fn handler(&self, event: &str) -> Histogram {
        let found = self.handlers.borrow().get(event).cloned();
        if let Some(found) = found {
            return found;
        }
        let make = |event: &str| {
            let mut labels = self.labels.clone();
            labels.push(Label::new("event", event.to_owned()));
            metrics::histogram!("poe_handler_seconds", labels)
        };
        if self.handlers.borrow().len() < self.settings.names {
            let made = make(event);
            self.handlers.borrow_mut().insert(event.into(), made.clone());
            return made;
        }
        let other = self.other.borrow().clone();
        other.unwrap_or_else(|| {
            let made = make("other");
            self.other.replace(Some(made.clone()));
            made
        })
    }

    fn wheel(&self, kind: &'static str, what: Traffic) -> Counter {
        let at = what as usize;
        let found = self
            .wheels
            .borrow()
            .iter()
            .find(|(k, _)| *k == kind)
            .and_then(|(_, c)| c[at].clone());
        found.unwrap_or_else(|| {
            let (name, unit, text) = TRAFFIC[at];
            metrics::describe_counter!(name, unit, text);
            let mut labels = self.labels.clone();
            labels.push(Label::from_static_parts("wheel", kind));
            let made = metrics::counter!(name, labels);
            let mut wheels = self.wheels.borrow_mut();
            let place = match wheels.iter().position(|(k, _)| *k == kind) {
                Some(place) => place,
                None => {
                    wheels.push((kind, [const { None }; 4]));
                    wheels.len() - 1
                }
            };
            wheels[place].1[at] = Some(made.clone());
            made
        })
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

impl Meters {
    /// Gets the counters of the recorder that is installed now.
    pub(super) fn new(config: &Config, flags: &Flags) -> Self {
        let inner = config.metrics.as_ref().map(|settings| {
            Flag::new(flags, flags::METERED).set(true);
            let inner = Inner::new(
                settings.clone(),
                config.name.as_deref().unwrap_or("kernel"),
                config.inbox,
                flags,
            );
            inner.probing.set(true);
            Box::new(inner)
        });
        Meters(inner)
    }
}

impl Core {
    /// Counts a dispatch of the loop, if that is all there is to do about it.
    #[cold]
    #[inline(never)]
    pub(super) fn is_counted_only(&self) -> bool {
        let Some(meters) = &self.meters.0 else { return false };
        if self.flags.get() & (flags::WATCHING | flags::SPANNED) != 0 {
            return false;
        }
        let left = meters.left.get().wrapping_sub(1);
        if left == 0 || meters.marked.get() != u64::MAX {
            return false;
        }
        meters.left.set(left);
        true
    }

    /// Counts a dispatch. True if it is to be timed.
    #[inline]
    pub(super) fn count_dispatch(&self) -> bool {
        let Some(meters) = &self.meters.0 else { return false };
        let left = meters.left.get().wrapping_sub(1);
        meters.left.set(left);
        left == 0
    }

    /// A dispatch is to be timed: the next sample comes after as many as the settings say, and the next post is marked.
    pub(super) fn begin_sample(&self) {
        let Some(meters) = &self.meters.0 else { return };
        let every = meters.settings.every;
        meters.before.set(meters.before.get() + u64::from(every));
        meters.left.set(every);
        if meters.marked.get() == u64::MAX {
            meters.probing.set(true);
        }
    }

    /// Looks whether the event that the loop dispatches now is the marked post.
    #[inline]
    pub(super) fn look_for_mark(&self) {
        let Some(meters) = &self.meters.0 else { return };
        if meters.marked.get() != u64::MAX {
            let position = self.queue().passed();
            if position >= meters.marked.get() {
                self.meet_mark(meters, position);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn meet_mark(&self, meters: &Inner, position: u64) {
        // Beyond it, the post was purged: nobody has waited for it.
        if meters.marked.replace(u64::MAX) == position {
            let waited = self.clock.now().saturating_sub(meters.posted.get());
            quietly("a metrics recorder panicked", || meters.wait.record(seconds(waited)));
        }
    }

    /// A timed handler has returned.
    pub(super) fn end_sample(&self, took: u64, frame: &Frame<'_>) {
        let Some(meters) = &self.meters.0 else { return };
        let event = self.names.name(frame.event.get());
        quietly("a metrics recorder panicked", || {
            meters.handler(&event).record(seconds(took))
        });
    }

    /// The last post is the one to be marked. It was posted at that time, or now.
    #[cold]
    pub(super) fn mark_post(&self, posted: Option<u64>) {
        let Some(meters) = &self.meters.0 else { return };
        meters.probing.set(false);
        meters.marked.set(self.queue().position());
        meters.posted.set(posted.unwrap_or_else(|| self.clock.now()));
    }

    /// Brings gauges and counters up to date: the kernel gives its thread back.
    pub(super) fn tell_meters(&self) {
        let Some(meters) = &self.meters.0 else { return };
        let (alive, born, queued, timers) = {
            let sessions = self.sessions.borrow();
            let queue = &sessions.queue;
            (
                sessions.count(),
                sessions.born(),
                queue.post_count(),
                queue.timer_count(),
            )
        };
        let waiting = self.letters.borrow().len() + self.inbox.len();
        quietly("a metrics recorder panicked", || {
            meters.events.tell(meters.dispatched());
            meters.born.tell(born);
            meters.stopped.tell(born - alive as u64);
            meters.sessions.tell(alive);
            meters.queue.tell(queued);
            meters.timers.tell(timers);
            meters.inbox.tell(waiting);
        });
    }

    /// Counts something that happens seldom.
    pub(crate) fn count(&self, what: Count) {
        if let Some(meters) = &self.meters.0 {
            quietly("a metrics recorder panicked", || {
                meters.counts[what as usize].increment(1)
            });
        }
    }

    /// Counts what a wheel of that kind has read or written.
    pub(crate) fn count_traffic(&self, wheel: &'static str, what: Traffic, amount: usize) {
        if let Some(meters) = &self.meters.0
            && amount > 0
        {
            quietly("a metrics recorder panicked", || {
                meters.wheel(wheel, what).increment(amount as u64)
            });
        }
    }
}
