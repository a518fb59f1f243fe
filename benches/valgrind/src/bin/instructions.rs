//! The in-process workloads of the table in CHANGELOG.md, each as one function to count the instructions of.
//!
//! `instructions` alone prints the workloads, one a line with how many events they have; `instructions W1` runs one.
//! `.ci/instructions` runs each under callgrind, which counts only while [`measured`] is on the stack. So that two runs
//! have the same count, nothing may depend on how long anything takes: the kernel's slice is an hour, and timers are
//! too far apart for a slow machine to change their order.

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use poe::event::{START, STOP};
use poe::inspect::Metrics;
use poe::{Event, Kernel, KernelBuilder, Reply, Session, SessionId, States};
use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const TICK: Event<u64> = Event::new("tick");
const PING: Event<u64> = Event::new("ping");
const PONG: Event<u64> = Event::new("pong");
const NEXT: Event<u64, u64> = Event::new("next");
const LATE: Event<u64> = Event::new("late");
const GO: Event<()> = Event::new("go");

/// A workload's name, what it is, how often it does what it is about, and the function.
type Workload = (&'static str, &'static str, u64, fn(u64));

const WORKLOADS: [Workload; 12] = [
    ("W1", "a post to oneself", 20_000, |n| post_to_oneself(n, 0)),
    ("W1p", "the same, 10 000 timers pending", 20_000, |n| {
        post_to_oneself(n, 10_000)
    }),
    ("W1m", "the same, with metrics", 20_000, post_with_metrics),
    ("W2", "a round trip of posts", 10_000, round_trip),
    ("W3", "a call", 20_000, call),
    ("W4", "a session's life with ten yields", 2_000, lives),
    ("W5", "a delay set", 20_000, set),
    ("W5b", "a delay cancelled", 20_000, cancel),
    ("W5c", "a delay adjusted", 20_000, adjust),
    ("W6", "a post to one of a thousand", 20_000, fan_out),
    (
        "W8",
        "a post from another thread, taken in and handled",
        20_000,
        from_a_thread,
    ),
    (
        "W8t",
        "the same with Tokio's channel",
        20_000,
        from_a_thread_by_a_channel,
    ),
];

fn main() {
    // What `cargo bench` passes is no workload.
    match std::env::args().nth(1).filter(|name| !name.starts_with('-')) {
        None => {
            for (name, what, times, _) in WORKLOADS {
                println!("{name}\t{times}\t{what}");
            }
        }
        Some(asked) => {
            let (.., times, run) = WORKLOADS.into_iter().find(|w| w.0 == asked).expect("a workload's name");
            run(times);
        }
    }
}

/// The instructions below this function are counted; its name is what `.ci/instructions` looks for.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    black_box(work)();
}

/// A kernel whose turns end by their number of events alone.
fn kernel() -> Kernel {
    settings().build()
}

fn settings() -> KernelBuilder {
    Kernel::builder().slice(Duration::from_secs(3600))
}

/// A recorder whose figures are atomic numbers: the least that one can do.
struct Atomics;

struct Sum(AtomicU64);

impl HistogramFn for Sum {
    fn record(&self, value: f64) {
        self.0.fetch_add((value * 1e9) as u64, Relaxed);
    }
}

impl Recorder for Atomics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(AtomicU64::new(0)))
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(AtomicU64::new(0)))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Sum(AtomicU64::new(0))))
    }
}

fn post_with_metrics(n: u64) {
    metrics::with_local_recorder(&Atomics, || {
        post_to_oneself_in(&settings().metrics(Metrics::new()).build(), n, 0);
    });
}

fn run_counted(kernel: &Kernel) {
    let runtime = runtime();
    measured(&mut || runtime.block_on(kernel.run()).expect("no handler fails"));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Delays between 1000 and 2000 seconds, in no order, always the same.
fn delays(n: u64) -> impl Iterator<Item = Duration> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    (0..n).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Duration::from_millis(1_000_000 + state % 1_000_000)
    })
}

fn post_to_oneself(n: u64, pending: u64) {
    post_to_oneself_in(&kernel(), n, pending);
}

fn post_to_oneself_in(kernel: &Kernel, n: u64, pending: u64) {
    Session::builder(0_u64)
        .on(START, move |cx, ()| {
            for delay in delays(pending) {
                cx.delay_set(LATE, delay, 0);
            }
            cx.yield_to(TICK, 1);
        })
        .on(TICK, move |cx, by| {
            *cx.heap += by;
            if *cx.heap < n {
                cx.yield_to(TICK, 1);
            } else {
                // Not by letting the timers go here, which would be counted: the run ends by itself.
                cx.stop_all();
            }
        })
        .create(kernel)
        .expect("a session");
    run_counted(kernel);
}

fn round_trip(n: u64) {
    let kernel = kernel();
    let b = Session::builder(())
        .on(START, |_, ()| ())
        .on(PONG, |cx, n| cx.post(cx.sender(), PING, n + 1))
        .create(&kernel)
        .expect("a session");
    let a = Session::builder(())
        .on(START, |_, ()| ())
        .on(PING, move |cx, at| -> poe::HandlerResult {
            if at < n {
                cx.post(b, PONG, at)?;
            }
            Ok(())
        })
        .create(&kernel)
        .expect("a session");
    kernel.post(a, PING, 0).expect("it is alive");
    run_counted(&kernel);
}

fn call(n: u64) {
    let kernel = kernel();
    let callee = Session::builder(())
        .on(START, |_, ()| ())
        .on(NEXT, |_, n| Reply(n + 1))
        .create(&kernel)
        .expect("a session");
    let caller = Session::builder(())
        .on(START, |_, ()| ())
        .on(GO, move |cx, ()| {
            let mut at = 0;
            measured(&mut || {
                for _ in 0..n {
                    at = cx.call(callee, NEXT, at).expect("an answer");
                }
            });
            assert_eq!(at, n);
        })
        .create(&kernel)
        .expect("a session");
    kernel.call(caller, GO, ()).expect("it is alive");
}

fn lives(n: u64) {
    let left = Rc::new(Cell::new(n));
    let stopped = left.clone();
    let states = States::<u64>::new()
        .on(START, |cx, ()| cx.yield_to(TICK, 1))
        .on(TICK, |cx, by| {
            *cx.heap += by;
            if *cx.heap < 10 {
                cx.yield_to(TICK, 1);
            }
        })
        .on(STOP, move |_, ()| stopped.set(stopped.get() - 1));
    let kernel = kernel();
    let runtime = runtime();
    measured(&mut || {
        for _ in 0..n {
            Session::builder(0_u64)
                .inline_states(&states)
                .create(&kernel)
                .expect("a session");
        }
        runtime.block_on(kernel.run()).expect("no handler fails");
    });
    assert_eq!(left.get(), 0);
}

/// Runs a handler with so many delays.
fn with_delays(n: u64, handler: impl Fn(poe::KernelRef<'_>, &[Duration]) + 'static) {
    let delays: Vec<Duration> = delays(n).collect();
    let kernel = kernel();
    let id = Session::builder(())
        .on(START, |_, ()| ())
        .on(GO, move |cx, ()| handler(cx.kernel, &delays))
        .create(&kernel)
        .expect("a session");
    kernel.call(id, GO, ()).expect("it is alive");
}

fn set(n: u64) {
    with_delays(n, |turn, delays| {
        measured(&mut || {
            for delay in delays {
                black_box(turn.delay_set(LATE, *delay, 1));
            }
        });
    });
}

fn cancel(n: u64) {
    with_delays(n, |turn, delays| {
        let ids: Vec<_> = delays.iter().map(|d| turn.delay_set(LATE, *d, 1)).collect();
        measured(&mut || {
            for id in &ids {
                turn.alarm_remove(*id).expect("it was set");
            }
        });
    });
}

fn adjust(n: u64) {
    with_delays(n, |turn, delays| {
        let ids: Vec<_> = delays.iter().map(|d| turn.delay_set(LATE, *d, 1)).collect();
        measured(&mut || {
            for id in &ids {
                turn.alarm_adjust(*id, Duration::from_secs(7)).expect("it was set");
            }
        });
    });
}

/// The receiver's side: the thread has sent everything, and has ended, when the count begins.
fn from_a_thread(n: u64) {
    let kernel = kernel();
    let id = Session::builder(0_u64)
        .on(START, |_, ()| ())
        .on(TICK, move |cx, by| {
            *cx.heap += by;
            if *cx.heap == n {
                cx.stop_all();
            }
        })
        .create(&kernel)
        .expect("a session");
    let handle = kernel.handle();
    let sender = std::thread::spawn(move || (0..n).try_for_each(|_| handle.post(id, TICK, 1)));
    sender.join().expect("no panic").expect("the inbox has room");
    run_counted(&kernel);
    assert_eq!(kernel.session_count(), 0);
}

fn from_a_thread_by_a_channel(n: u64) {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<u64>();
    let sender = std::thread::spawn(move || (0..n).try_for_each(|_| sender.send(1)));
    sender.join().expect("no panic").expect("the receiver is alive");
    let runtime = runtime();
    let mut sum = 0;
    measured(&mut || {
        runtime.block_on(async {
            while let Some(by) = receiver.recv().await {
                sum += by;
            }
        });
    });
    assert_eq!(sum, n);
}

fn fan_out(n: u64) {
    let kernel = kernel();
    let got = Rc::new(Cell::new(0));
    let sum = got.clone();
    let states = States::<()>::new()
        .on(START, |_, ()| ())
        .on(TICK, move |_, by| sum.set(sum.get() + by));
    let ids: Vec<SessionId> = (0..1000)
        .map(|_| {
            Session::builder(())
                .inline_states(&states)
                .create(&kernel)
                .expect("a session")
        })
        .collect();
    Session::builder(())
        .on(START, |cx, ()| cx.yield_to(GO, ()))
        .on(GO, move |cx, ()| -> poe::HandlerResult {
            for i in 0..n as usize {
                cx.post(ids[i % ids.len()], TICK, 1)?;
            }
            Ok(())
        })
        .create(&kernel)
        .expect("a session");
    run_counted(&kernel);
    assert_eq!(got.get(), n);
}
