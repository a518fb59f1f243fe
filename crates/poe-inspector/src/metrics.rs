//! Metrics in Prometheus' text format.

use crate::sample::BOUNDS;
use crate::state::Server;
use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

/// Events with a histogram of their own, at most: those that took most of the time.
const EVENTS: usize = 50;

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}

/// One family with a value for each kernel: name, type, help, value.
type Family = (&'static str, &'static str, &'static str, fn(&Scraped) -> f64);

const FAMILIES: [Family; 13] = [
    ("poe_up", "gauge", "Whether the kernel replies.", |s| {
        f64::from(u8::from(s.up))
    }),
    ("poe_sessions", "gauge", "Sessions that are alive.", |s| {
        s.stats.sessions as f64
    }),
    (
        "poe_sessions_created_total",
        "counter",
        "Sessions that were ever created.",
        |s| s.stats.sessions_created as f64,
    ),
    (
        "poe_queue_events",
        "gauge",
        "Events that wait in the queue, without timers.",
        |s| s.stats.queue as f64,
    ),
    (
        "poe_inbox_messages",
        "gauge",
        "Messages of other threads that were not taken in yet.",
        |s| s.stats.inbox as f64,
    ),
    ("poe_timers", "gauge", "Timers that are set.", |s| s.stats.timers as f64),
    ("poe_timers_set_total", "counter", "Timers that were ever set.", |s| {
        s.stats.timers_set as f64
    }),
    ("poe_tasks", "gauge", "Wheels, futures and streams.", |s| {
        s.stats.tasks as f64
    }),
    (
        "poe_posts_dispatched_total",
        "counter",
        "Events that left the queue, without timers.",
        |s| s.stats.events_dispatched as f64,
    ),
    (
        "poe_failures_total",
        "counter",
        "Failures of handlers that no session handled.",
        |s| s.totals.failures as f64,
    ),
    (
        "poe_dead_letters_total",
        "counter",
        "Messages that reached no handler.",
        |s| s.totals.dead_letters as f64,
    ),
    (
        "poe_restarts_total",
        "counter",
        "Restarts of supervised children.",
        |s| s.totals.restarts as f64,
    ),
    (
        "poe_inspector_missed_total",
        "counter",
        "Dispatches that the recorder had no room for.",
        |s| s.missed as f64,
    ),
];

struct Scraped {
    name: String,
    up: bool,
    stats: poe::inspect::KernelStats,
    totals: crate::log::Totals,
    missed: u64,
    wait: Option<f64>,
}

pub(crate) async fn text(server: &Server) -> String {
    let views = server.all();
    let mut kernels = Vec::new();
    for view in &views {
        let stats = view.ask(|kernel| kernel.stats()).await;
        let wait = view.probe().await;
        if let Ok(stats) = &stats {
            view.sample.borrow_mut().stats = stats.clone();
        }
        kernels.push(Scraped {
            name: view.name().to_owned(),
            up: stats.is_ok(),
            stats: view.sample.borrow().stats.clone(),
            totals: view.record().log().totals,
            missed: view.record().missed.load(Relaxed),
            wait: wait.map(|wait| wait.as_secs_f64()),
        });
    }
    let mut text = Text(String::new());
    for (name, kind, help, value) in FAMILIES {
        text.family(name, kind, help);
        for kernel in &kernels {
            text.value(name, &[("kernel", &kernel.name)], value(kernel));
        }
    }
    text.family(
        "poe_queue_wait_seconds",
        "gauge",
        "How long an event waited, measured at this scrape.",
    );
    for kernel in &kernels {
        if let Some(wait) = kernel.wait {
            text.value("poe_queue_wait_seconds", &[("kernel", &kernel.name)], wait);
        }
    }
    let name = "poe_handler_seconds";
    text.family(
        name,
        "histogram",
        "Time of handlers by event, of the sample that is recorded while somebody looks.",
    );
    for view in &views {
        let sample = view.sample.borrow();
        let mut handlers: Vec<_> = sample.handlers.iter().collect();
        handlers.sort_by(|a, b| b.1.total_us.total_cmp(&a.1.total_us));
        for (event, handler) in handlers.into_iter().take(EVENTS) {
            let kernel = view.name();
            let mut sum = 0;
            for (bound, count) in BOUNDS.iter().zip(&handler.buckets) {
                sum += count;
                let labels = [("kernel", kernel), ("event", event), ("le", &bound.to_string())];
                text.value("poe_handler_seconds_bucket", &labels, sum as f64);
            }
            let labels = [("kernel", kernel), ("event", event), ("le", "+Inf")];
            text.value("poe_handler_seconds_bucket", &labels, handler.count as f64);
            let labels = [("kernel", kernel), ("event", event.as_ref())];
            text.value("poe_handler_seconds_sum", &labels, handler.total_us / 1e6);
            text.value("poe_handler_seconds_count", &labels, handler.count as f64);
        }
    }
    let counts = &server.counts;
    for (name, kind, help, value) in [
        (
            "poe_inspector_connections",
            "gauge",
            "HTTP connections to the inspector.",
            counts.connections.get() as f64,
        ),
        (
            "poe_inspector_streams",
            "gauge",
            "Event streams of the inspector.",
            counts.streams.get() as f64,
        ),
        (
            "poe_inspector_consoles",
            "gauge",
            "Text consoles of the inspector.",
            counts.consoles.get() as f64,
        ),
        (
            "poe_inspector_accepted_total",
            "counter",
            "Connections that the inspector accepted.",
            counts.accepted.get() as f64,
        ),
        (
            "poe_inspector_refused_total",
            "counter",
            "Connections and streams above the limits.",
            counts.refused.get() as f64,
        ),
        (
            "poe_inspector_requests_total",
            "counter",
            "HTTP requests to the inspector.",
            counts.requests.get() as f64,
        ),
        (
            "poe_inspector_denied_total",
            "counter",
            "Requests with a wrong host, origin or token.",
            counts.denied.get() as f64,
        ),
    ] {
        text.family(name, kind, help);
        text.value(name, &[], value);
    }
    text.0
}
