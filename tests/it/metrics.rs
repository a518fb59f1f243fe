//! The kernel's figures through the `metrics` facade, with a recorder that keeps them.

use crate::laws_kit::ms;
use ::metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use poe::component::{Backoff, ChildSpec, Restart, Strategy, Supervisor, TcpClient, TcpServer};
use poe::event::{START, STOP};
use poe::inspect::Metrics;
use poe::{Event, Failure, HandlerResult, Kernel, KernelBuilder, OnFailure, Session, testing};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TICK: Event<u32> = Event::new("tick");
const FAIL: Event<()> = Event::new("fail");

/// A recorder in memory: each figure by its name and labels.
#[derive(Clone, Default)]
struct Figures(Arc<Mutex<BTreeMap<String, Arc<Figure>>>>);

#[derive(Default)]
struct Figure(Mutex<Vec<f64>>);

impl CounterFn for Figure {
    fn increment(&self, by: u64) {
        self.add(by as f64);
    }
    fn absolute(&self, _: u64) {
        unreachable!("counters only grow");
    }
}

impl GaugeFn for Figure {
    fn increment(&self, by: f64) {
        self.add(by);
    }
    fn decrement(&self, by: f64) {
        self.add(-by);
    }
    fn set(&self, to: f64) {
        *self.0.lock().unwrap() = vec![to];
    }
}

impl HistogramFn for Figure {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}

impl Figure {
    fn add(&self, by: f64) {
        let mut values = self.0.lock().unwrap();
        let sum: f64 = values.iter().sum();
        *values = vec![sum + by];
    }
}

impl Figures {
    fn figure(&self, key: &Key) -> Arc<Figure> {
        let labels: Vec<String> = key.labels().map(|l| format!("{}={}", l.key(), l.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        self.0.lock().unwrap().entry(name).or_default().clone()
    }

    fn values(&self, name: &str) -> Vec<f64> {
        let figures = self.0.lock().unwrap();
        figures
            .get(name)
            .map_or_else(Vec::new, |figure| figure.0.lock().unwrap().clone())
    }

    /// A counter, or a gauge: 0 if it was never told.
    fn value(&self, name: &str) -> f64 {
        self.values(name).iter().sum()
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    /// A kernel that tells these figures.
    fn kernel(&self, builder: KernelBuilder, metrics: Metrics) -> Kernel {
        ::metrics::with_local_recorder(self, || builder.metrics(metrics).build())
    }

    /// Runs `code` with these as the recorder, so that figures that appear later are found, too.
    fn run<F: Future>(&self, code: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        ::metrics::with_local_recorder(self, || runtime.block_on(code))
    }
}

impl Recorder for Figures {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.figure(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.figure(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.figure(key))
    }
}

/// The same delay each time.
fn backoff(delay: Duration) -> Backoff {
    Backoff::new().first(delay).factor(1.0).jitter(0.0)
}

/// A session that dispatches `ticks` events to itself.
fn ticking(kernel: &Kernel, ticks: u32) {
    Session::builder(())
        .on(START, move |cx, ()| {
            if ticks > 0 {
                cx.yield_to(TICK, ticks - 1);
            }
        })
        .on(TICK, |cx, left| {
            if left > 0 {
                cx.yield_to(TICK, left - 1);
            }
        })
        .on(STOP, |_, ()| ())
        .create(kernel)
        .unwrap();
}

#[test]
fn dispatches_sessions_and_handlers_are_counted_and_names_are_bounded() {
    let figures = Figures::default();
    figures.run(async {
        let kernel = figures.kernel(
            testing::builder().name("k"),
            Metrics::new().sample_every(1).event_names(2),
        );
        ticking(&kernel, 3);
        kernel.run().await.unwrap();
    });
    // `_start`, three ticks, `_stop`.
    assert_eq!(figures.value("poe_events_dispatched_total{kernel=k}"), 5.0);
    assert_eq!(figures.value("poe_sessions_born_total{kernel=k}"), 1.0);
    assert_eq!(figures.value("poe_sessions_stopped_total{kernel=k}"), 1.0);
    assert_eq!(figures.value("poe_sessions{kernel=k}"), 0.0);
    for (event, count) in [("_start", 1), ("tick", 3), ("other", 1)] {
        let name = format!("poe_handler_seconds{{kernel=k,event={event}}}");
        assert_eq!(figures.values(&name).len(), count, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn each_dispatch_is_counted_and_one_in_so_many_is_timed(ticks in 0_u32..400, every in 1_u32..150) {
        let figures = Figures::default();
        figures.run(async {
            let kernel = figures.kernel(testing::builder(), Metrics::new().sample_every(every));
            ticking(&kernel, ticks);
            kernel.run().await.unwrap();
        });
        let dispatched = ticks + 2;
        prop_assert_eq!(figures.value("poe_events_dispatched_total{kernel=kernel}"), f64::from(dispatched));
        let timed: usize = ["_start", "tick", "_stop"]
            .map(|event| figures.values(&format!("poe_handler_seconds{{kernel=kernel,event={event}}}")).len())
            .iter()
            .sum();
        prop_assert_eq!(timed as u32, dispatched / every);
    }
}

#[test]
fn the_waiting_time_counts_from_the_post_to_the_dispatch() {
    let figures = Figures::default();
    figures.run(async {
        let kernel = figures.kernel(testing::builder(), Metrics::new().sample_every(1));
        let id = Session::builder(())
            .on(START, |cx, ()| cx.alias_set("a"))
            .on(TICK, |_, _| ())
            .create(&kernel)
            .unwrap();
        // The marker of the new session is the first post, and this one is the first sample.
        kernel.post(id, TICK, 0).unwrap();
        kernel.run_one_timeslice().await.unwrap();
        kernel.post(id, TICK, 1).unwrap();
        tokio::time::advance(ms(250)).await;
        kernel.run_one_timeslice().await.unwrap();
        let handle = kernel.handle();
        handle.post(id, TICK, 2).unwrap();
        kernel.run_one_timeslice().await.unwrap();
    });
    let waited = figures.values("poe_event_wait_seconds{kernel=kernel}");
    assert!(waited.contains(&0.25), "{waited:?}");
}

#[test]
fn gauges_are_the_state_when_the_kernel_gives_its_thread_back() {
    let figures = Figures::default();
    figures.run(async {
        let kernel = figures.kernel(testing::builder().inbox_capacity(7), Metrics::new());
        Session::builder(())
            .on(START, |cx, ()| {
                cx.delay("later", 1.0, ());
                cx.delay("much later", 2.0, ());
            })
            .on("later", |_, ()| ())
            .on("much later", |_, ()| ())
            .create(&kernel)
            .unwrap();
        let run = kernel.run();
        tokio::pin!(run);
        tokio::select! {
            biased;
            result = &mut run => result.unwrap(),
            () = tokio::time::sleep(ms(500)) => {
                assert_eq!(figures.value("poe_timers{kernel=kernel}"), 2.0);
                assert_eq!(figures.value("poe_sessions{kernel=kernel}"), 1.0);
                assert_eq!(figures.value("poe_inbox_capacity{kernel=kernel}"), 7.0);
            }
        }
        run.await.unwrap();
    });
    assert_eq!(figures.value("poe_timers{kernel=kernel}"), 0.0);
    assert_eq!(figures.value("poe_queue_length{kernel=kernel}"), 0.0);
}

#[test]
fn failures_dead_letters_and_restarts_are_counted() {
    let figures = Figures::default();
    figures.run(async {
        let kernel = figures.kernel(testing::builder().on_failure(OnFailure::StopSession), Metrics::new());
        Supervisor::builder(Strategy::OneForOne)
            .intensity(5, Duration::from_secs(10))
            .child(
                ChildSpec::new("worker", |cx| {
                    cx.create(
                        Session::builder(())
                            .on(START, |cx, ()| cx.alias_set("worker"))
                            .on(FAIL, |_, ()| -> HandlerResult { Err(Failure::msg("a bug")) }),
                    )
                })
                .restart(Restart::Permanent)
                .backoff(backoff(ms(10))),
            )
            .start(&kernel)
            .unwrap();
        let handle = kernel.handle();
        handle.post("nobody", FAIL, ()).unwrap();
        let clients = async move {
            for _ in 0..3 {
                tokio::time::sleep(ms(100)).await;
                handle.post("worker", FAIL, ()).unwrap();
            }
            tokio::time::sleep(ms(100)).await;
        };
        kernel.serve_until(clients, ms(1000)).await.unwrap();
    });
    assert_eq!(figures.value("poe_handler_failures_total{kernel=kernel}"), 3.0);
    assert_eq!(figures.value("poe_supervisor_restarts_total{kernel=kernel}"), 3.0);
    assert_eq!(figures.value("poe_dead_letters_total{kernel=kernel}"), 1.0);
}

#[test]
fn bytes_records_accepts_and_reconnects_are_counted() {
    let figures = Figures::default();
    figures.run(async {
        let kernel = figures.kernel(testing::builder(), Metrics::new());
        let server = TcpServer::builder("memory:echo")
            .client_input(|cx, line| {
                cx.client().put(line);
                cx.client().shutdown();
            })
            .start(&kernel)
            .await
            .unwrap();
        TcpClient::builder("memory:echo")
            .backoff(backoff(ms(10)).attempts(3))
            .connected(|cx| cx.server().put("hello"))
            .server_input(|_, line: String| assert_eq!(line, "hello"))
            .start(&kernel)
            .unwrap();
        let _ = server;
        assert!(!kernel.run_for(ms(15)).await.unwrap());
    });
    // Two connections; on each, a line of seven bytes (with CR LF) went there and back, through two ReadWrite wheels.
    let traffic = |what: &str| figures.value(&format!("poe_wheel_{what}_total{{kernel=kernel,wheel=ReadWrite}}"));
    let accepts = figures.value("poe_accepts_total{kernel=kernel}");
    assert_eq!(accepts, 2.0, "{:?}", figures.names());
    assert_eq!(figures.value("poe_reconnects_total{kernel=kernel}"), 1.0);
    assert_eq!(traffic("read_bytes"), 2.0 * 2.0 * 7.0);
    assert_eq!(traffic("written_bytes"), 2.0 * 2.0 * 7.0);
    assert_eq!(traffic("read_records"), 4.0);
    assert_eq!(traffic("written_records"), 4.0);
}

#[test]
fn a_recorder_that_panics_does_no_harm() {
    struct Broken;
    impl CounterFn for Broken {
        fn increment(&self, _: u64) {
            panic!("a broken recorder");
        }
        fn absolute(&self, _: u64) {}
    }
    impl HistogramFn for Broken {
        fn record(&self, _: f64) {
            panic!("a broken recorder");
        }
    }
    struct Breaks;
    impl Recorder for Breaks {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(Arc::new(Broken))
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::from_arc(Arc::new(Broken))
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    ::metrics::with_local_recorder(&Breaks, || {
        let kernel = Kernel::builder().metrics(Metrics::new().sample_every(1)).build();
        ticking(&kernel, 10);
        runtime.block_on(kernel.run()).unwrap();
        assert_eq!(kernel.session_count(), 0);
    });
}
