//! A span for each dispatch, under the span of the code that posted.
//!
//! Each test runs in a process of its own, for the reason that `traced` gives.

use crate::laws_kit::ms;
use poe::event::{START, STOP};
use poe::{Event, Failure, HandlerResult, Kernel, OnFailure, Reply, Session, Signal, testing};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Instrument, Subscriber, info_span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

const ASK: Event<u32, u32> = Event::new("ask");
const STEP: Event<u32> = Event::new("step");
const NOTE: Event<u32> = Event::new("note");
const FAIL: Event<()> = Event::new("fail");

/// What is known of a span: its name or event, its parent, its fields.
#[derive(Clone, Debug, Default)]
struct Seen {
    name: String,
    parent: Option<u64>,
    follows: Option<u64>,
    fields: HashMap<String, String>,
    open: bool,
}

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(u64, Seen)>>>);

struct Fields<'a>(&'a mut HashMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collector {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let span = cx.span(id).unwrap();
        let mut seen = Seen {
            name: span.name().to_owned(),
            parent: span.parent().map(|parent| parent.id().into_u64()),
            open: true,
            ..Seen::default()
        };
        attributes.record(&mut Fields(&mut seen.fields));
        if let Some(event) = seen.fields.get("poe.event") {
            seen.name = event.clone();
        }
        self.0.lock().unwrap().push((id.into_u64(), seen));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        let (_, seen) = spans.iter_mut().rev().find(|(n, _)| *n == id.into_u64()).unwrap();
        values.record(&mut Fields(&mut seen.fields));
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, _: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        let (_, seen) = spans.iter_mut().rev().find(|(n, _)| *n == id.into_u64()).unwrap();
        seen.follows = Some(follows.into_u64());
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        let (_, seen) = spans.iter_mut().rev().find(|(n, _)| *n == id.into_u64()).unwrap();
        seen.open = false;
    }
}

impl Collector {
    fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        Registry::default().with(self.clone())
    }

    fn spans(&self) -> Vec<Seen> {
        self.0.lock().unwrap().iter().map(|(_, seen)| seen.clone()).collect()
    }

    /// The names from the outermost span to the last one of that name.
    fn path(&self, name: &str) -> Vec<String> {
        let spans = self.0.lock().unwrap();
        let mut at = spans.iter().rposition(|(_, seen)| seen.name == name);
        let mut path = Vec::new();
        while let Some(i) = at {
            path.insert(0, spans[i].1.name.clone());
            // An identifier may be used again: the last one before this span.
            at = spans[i]
                .1
                .parent
                .and_then(|parent| spans[..i].iter().rposition(|(id, _)| *id == parent));
        }
        path
    }

    fn open(&self) -> usize {
        self.0.lock().unwrap().iter().filter(|(_, seen)| seen.open).count()
    }

    fn run<F: Future>(&self, code: F) -> F::Output {
        let _guard = tracing::subscriber::set_default(self.subscriber());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(code)
    }
}

#[test]
fn a_dispatch_is_under_the_span_of_its_poster_across_posts_timers_futures_and_calls() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let collector = Collector::default();
    collector.run(async {
        let kernel = testing::kernel();
        Session::builder(())
            .on(START, |cx, ()| cx.alias_set("b"))
            .on(NOTE, |_, _| ())
            .on(ASK, |_, n| Reply(n + 1))
            .create(&kernel)
            .unwrap();
        let id = Session::builder(())
            .on(START, |cx, ()| cx.alias_set("a"))
            .on(STEP, |cx, n| cx.delay("timer", 0.5, n))
            .on("timer", |cx, n: u32| {
                cx.spawn_then(
                    async move {
                        tokio::time::sleep(ms(5)).await;
                        n + 1
                    },
                    |cx, n| -> HandlerResult {
                        assert_eq!(cx.call("b", ASK, n)?, n + 1);
                        Ok(cx.post("b", NOTE, n)?)
                    },
                );
            })
            .create(&kernel)
            .unwrap();
        kernel.run_one_timeslice().await.unwrap();
        info_span!("request").in_scope(|| kernel.post(id, STEP, 1).unwrap());
        kernel.run().await.unwrap();
    });
    let start = ["request", "step", "timer", "poe_then"];
    assert_eq!(collector.path("note"), [&start[..], &["note"]].concat());
    assert_eq!(collector.path("ask"), [&start[..], &["ask"]].concat());
    // The ends of sessions are nobody's work.
    assert_eq!(collector.path("_stop"), ["_stop"]);
    let spans = collector.spans();
    let note = spans.iter().find(|seen| seen.name == "note").unwrap();
    for (field, value) in [
        ("otel.name", "process note"),
        ("otel.kind", "consumer"),
        ("messaging.system", "poe"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "b"),
    ] {
        assert_eq!(note.fields.get(field).map(String::as_str), Some(value), "{note:?}");
    }
    assert!(note.fields["code.file.path"].ends_with("spans.rs"), "{note:?}");
    assert_eq!(collector.open(), 0, "{spans:#?}");
}

#[test]
fn the_span_of_a_handles_user_is_the_parent_of_posts_calls_and_signals() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let collector = Collector::default();
    collector.run(async {
        let kernel = testing::kernel();
        Session::builder(())
            .on(START, |cx, ()| {
                cx.sig("USR1", "on usr1");
                cx.alias_set("a")
            })
            .on("on usr1", |_, _: Signal| ())
            .on(STEP, |_, _| ())
            .on(ASK, |_, n| Reply(2 * n))
            .create(&kernel)
            .unwrap();
        let handle = kernel.handle();
        let client = async move {
            info_span!("posting").in_scope(|| handle.post("a", STEP, 1).unwrap());
            info_span!("signalling").in_scope(|| handle.signal("a", "USR1", ()).unwrap());
            let reply = handle.call("a", ASK, 4).instrument(info_span!("not this"));
            assert_eq!(reply.await.unwrap(), 8);
            let calling = async { handle.call("a", ASK, 5).await.unwrap() };
            assert_eq!(calling.instrument(info_span!("calling")).await, 10);
            let later = async {
                handle.post_wait("a", NOTE, 1).await.unwrap();
                handle.post_after("a", "later", ms(5), ()).unwrap();
            };
            later.instrument(info_span!("waiting")).await;
            tokio::time::sleep(ms(10)).await;
        };
        kernel.serve_until(client, ms(100)).await.unwrap();
    });
    assert_eq!(collector.path("step"), ["posting", "step"]);
    assert_eq!(collector.path("on usr1"), ["signalling", "on usr1"]);
    assert_eq!(collector.path("ask"), ["calling", "ask"]);
    assert_eq!(collector.path("note"), ["waiting", "note"]);
    assert_eq!(collector.path("later"), ["waiting", "later"]);
    let first = collector.spans().into_iter().find(|seen| seen.name == "ask").unwrap();
    assert_eq!(
        first.parent, None,
        "a call is sent when it is made, not when its future is polled"
    );
    assert_eq!(collector.open(), 0);
}

#[test]
fn spans_go_on_in_another_kernel() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let collector = Collector::default();
    // Where there is one subscriber alone `tracing` asks the thread that comes by a place first, and that one may have none.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let dispatch = tracing::Dispatch::new(collector.subscriber());
    let inner = dispatch.clone();
    let (other, thread) = Kernel::builder()
        .spawn_thread("other", async move |kernel| {
            let guard = tracing::dispatcher::set_default(&inner);
            Session::builder(guard)
                .on(START, |cx, ()| cx.alias_set("b"))
                .on(ASK, |_, n| Reply(n + 1))
                .create(kernel)
                .map(drop)
        })
        .unwrap();
    let _guard = tracing::dispatcher::set_default(&dispatch);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let kernel = Kernel::new();
        let id = Session::builder(0)
            .on(START, |_, ()| ())
            .on(STEP, move |cx, n| {
                let other = other.clone();
                cx.spawn_then(async move { other.call("b", ASK, n).await.unwrap() }, |cx, n| {
                    *cx.heap = n
                });
            })
            .on(STOP, |cx, ()| assert_eq!(*cx.heap, 8))
            .create(&kernel)
            .unwrap();
        info_span!("request").in_scope(|| kernel.post(id, STEP, 7).unwrap());
        kernel.run().await.unwrap();
        thread.shutdown(std::time::Duration::from_secs(30)).await.unwrap();
    });
    assert_eq!(collector.path("ask"), ["request", "step", "ask"]);
    assert_eq!(collector.path("poe_then"), ["request", "step", "poe_then"]);
}

#[test]
fn a_failed_handler_marks_its_span() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let collector = Collector::default();
    collector.run(async {
        let kernel = testing::builder().on_failure(OnFailure::StopSession).build();
        Session::builder(())
            .on(START, |cx, ()| cx.yield_to(FAIL, ()))
            .on(FAIL, |_, ()| -> HandlerResult { Err(Failure::msg("out of paper")) })
            .create(&kernel)
            .unwrap();
        kernel.run().await.unwrap();
    });
    let spans = collector.spans();
    let failed = spans.iter().find(|seen| seen.name == "fail").unwrap();
    assert_eq!(failed.fields["otel.status_code"], "ERROR");
    assert_eq!(failed.fields["otel.status_description"], "out of paper");
    assert_eq!(collector.path("fail"), ["_start", "fail"]);
    assert!(
        spans
            .iter()
            .filter(|seen| seen.name != "fail")
            .all(|seen| !seen.fields.contains_key("otel.status_code"))
    );
}

#[test]
fn an_endless_chain_keeps_a_bounded_number_of_spans_open() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let collector = Collector::default();
    collector.run(async {
        let kernel = testing::kernel();
        let seen = collector.clone();
        Session::builder(0)
            .on(START, |cx, ()| cx.yield_to(STEP, 1000))
            .on(STEP, move |cx, left| {
                *cx.heap = (*cx.heap).max(seen.open());
                match left {
                    0 => (),
                    n if n % 3 == 0 => drop(cx.delay_set(STEP, ms(1), n - 1)),
                    n => cx.yield_to(STEP, n - 1),
                }
                assert!(*cx.heap <= 65, "{} spans are open", *cx.heap);
            })
            .create(&kernel)
            .unwrap();
        kernel.run().await.unwrap();
    });
    assert_eq!(collector.open(), 0);
    let spans = collector.spans();
    let followers = spans.iter().filter(|seen| seen.follows.is_some()).count();
    assert_eq!(followers, 1001 / 64, "each chain of 64 is followed by a new trace");
    assert!(
        spans
            .iter()
            .filter(|seen| seen.follows.is_some())
            .all(|seen| seen.parent.is_none())
    );
}

#[test]
fn removed_timers_and_purged_posts_leave_no_span_open() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let collector = Collector::default();
    collector.run(async {
        let kernel = testing::kernel();
        let id = Session::builder(())
            .on(START, |_, ()| ())
            .on(STEP, |cx, _| {
                for _ in 0..200 {
                    let timer = cx.delay_set("never", ms(100_000), ());
                    cx.alarm_remove(timer).unwrap();
                    cx.yield_to(NOTE, 1);
                }
                cx.signal(cx.session_id(), "KILL", ()).unwrap();
            })
            .on(NOTE, |_, _| ())
            .create(&kernel)
            .unwrap();
        kernel.post(id, STEP, 1).unwrap();
        kernel.run().await.unwrap();
        drop(kernel);
    });
    assert_eq!(collector.open(), 0);
}

#[test]
fn without_a_subscriber_that_wants_them_there_are_no_spans() {
    #[cfg(unix)]
    crate::in_child::in_child!();
    let collector = Collector::default();
    let filtered = collector
        .clone()
        .with_filter(tracing_subscriber::EnvFilter::new("info,poe::spans=off"));
    let _guard = tracing::subscriber::set_default(Registry::default().with(filtered));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let kernel = testing::kernel();
        Session::builder(())
            .on(START, |cx, ()| cx.yield_to(STEP, 1))
            .on(STEP, |_, _| ())
            .create(&kernel)
            .unwrap();
        kernel.run().await.unwrap();
    });
    assert_eq!(collector.spans().len(), 0);
}
