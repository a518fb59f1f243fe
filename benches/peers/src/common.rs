//! Things that every system under test shares: the workload names, the
//! `Peer` trait, the JSON line, and small measuring helpers.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    /// W1: one actor posts to itself N times.
    Yield,
    /// W2: two actors, N round trips by post.
    PingPong,
    /// W3: N synchronous request/replies.
    Call,
    /// W4: N actors start, yield ten times, stop.
    Spawn,
    /// W4m: N actors that stay alive; bytes each.
    Alive,
    /// W5: N one-shot delays uniform over one second, all fire.
    Timers,
    /// W5b: set N delays and cancel each by id.
    TimersCancel,
    /// W5c: set N delays and adjust each once.
    TimersAdjust,
    /// W6: one poster, N events round robin to 1000 actors.
    Fanout,
    /// W7: TCP line echo server (prints its port, runs until killed).
    Echo,
    /// W8: N messages from another OS thread.
    XThread,
    /// W9: N pop+push pairs on a queue that holds `opts.size` entries.
    Queue,
    /// W10: lateness of a 1 ms timer while an actor yields without end.
    Starve,
    /// POOL: several kernels of ours (`opts.size`).
    Pool,
}

pub const WORKS: &[(&str, Work)] = &[
    ("yield", Work::Yield),
    ("pingpong", Work::PingPong),
    ("call", Work::Call),
    ("spawn", Work::Spawn),
    ("alive", Work::Alive),
    ("timers", Work::Timers),
    ("timers-cancel", Work::TimersCancel),
    ("timers-adjust", Work::TimersAdjust),
    ("fanout", Work::Fanout),
    ("echo", Work::Echo),
    ("xthread", Work::XThread),
    ("queue", Work::Queue),
    ("starve", Work::Starve),
    ("pool", Work::Pool),
];

#[derive(Clone, Debug)]
pub struct Opts {
    /// W9: entries the queue holds while it is exercised.
    pub size: usize,
    /// W5: the first timer is due this many seconds after the set phase began.
    pub lead: f64,
    /// proto-*: events handled per poll of the kernel task.
    pub batch: u32,
    /// W1: timers set far ahead that stay pending while the actor yields.
    pub pending: u64,
    /// A variant name (W9: which queue).
    pub variant: String,
}

pub struct Sample {
    pub n: u64,
    pub seconds: f64,
    pub extra: Vec<(&'static str, f64)>,
}

impl Sample {
    pub fn new(n: u64, d: Duration) -> Self {
        Sample {
            n,
            seconds: d.as_secs_f64(),
            extra: Vec::new(),
        }
    }
    pub fn with(mut self, k: &'static str, v: f64) -> Self {
        self.extra.push((k, v));
        self
    }
}

pub enum Out {
    Done(Sample),
    Skip(&'static str),
}

/// One system under test. To add another (`ours`), implement this for a unit
/// struct and put it in `SYSTEMS` in main.rs.
pub trait Peer: Sync {
    fn name(&self) -> &'static str;
    fn run(&self, w: Work, n: u64, o: &Opts) -> Out;
}

pub fn print_line(system: &str, work: &str, s: &Sample) {
    let mut extra = String::new();
    for (i, (k, v)) in s.extra.iter().enumerate() {
        if i > 0 {
            extra.push_str(", ");
        }
        extra.push_str(&format!("\"{k}\": {v:.6}"));
    }
    println!(
        "{{\"system\": \"{system}\", \"workload\": \"{work}\", \"n\": {}, \"seconds\": {:.6}, \"per_sec\": {:.1}, \"extra\": {{{extra}}}}}",
        s.n,
        s.seconds,
        s.n as f64 / s.seconds.max(1e-9),
    );
}

/// User plus system CPU seconds of this process.
pub fn cpu_seconds() -> f64 {
    let mut ru: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut ru) };
    let t = |tv: libc::timeval| tv.tv_sec as f64 + tv.tv_usec as f64 / 1e6;
    t(ru.ru_utime) + t(ru.ru_stime)
}

/// Peak resident set in bytes (VmHWM).
pub fn vm_hwm() -> u64 {
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    s.lines()
        .find(|l| l.starts_with("VmHWM:"))
        .and_then(|l| l.split_whitespace().nth(1))
        .and_then(|v| v.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// The same small generator in all languages (see perl/ and python/).
pub struct Lcg(pub u64);
impl Lcg {
    #[inline]
    pub fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        self.0 >> 33
    }
    /// Uniform in [0, 1).
    #[inline]
    pub fn unit(&mut self) -> f64 {
        self.next() as f64 / (1u64 << 31) as f64
    }
}

/// N delays: `lead` + uniform over one second, random order.
pub fn delays(n: u64, lead: f64) -> Vec<Duration> {
    let mut r = Lcg(42);
    (0..n).map(|_| Duration::from_secs_f64(lead + r.unit())).collect()
}

/// Lateness figures (µs) of a finished timer run.
pub fn lateness(mut us: Vec<f64>) -> Vec<(&'static str, f64)> {
    us.sort_by(|a, b| a.partial_cmp(b).unwrap());
    let p = |q: f64| us[((us.len() - 1) as f64 * q) as usize];
    vec![
        ("late_p50_us", p(0.5)),
        ("late_p99_us", p(0.99)),
        ("late_max_us", p(1.0)),
        ("late_min_us", p(0.0)),
    ]
}

pub fn late_us(due: Instant) -> f64 {
    let now = Instant::now();
    if now >= due {
        (now - due).as_secs_f64() * 1e6
    } else {
        -((due - now).as_secs_f64() * 1e6)
    }
}

/// W5: what a system hands back once all its timers fired.
pub fn timers_sample(n: u64, set: Duration, late: Vec<f64>, cpu0: f64, cpu_set: f64, t0: Instant) -> Sample {
    let total = t0.elapsed();
    let mut s = Sample::new(n, set).with("total_s", total.as_secs_f64());
    s = s
        .with("cpu_s", cpu_seconds() - cpu0)
        .with("cpu_fire_s", cpu_seconds() - cpu_set);
    s.extra.extend(lateness(late));
    s
}
