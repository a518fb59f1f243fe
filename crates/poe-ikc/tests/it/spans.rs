//! A trace goes on in the other kernel, and comes back with the reply.

use crate::kit::*;
use poe::event::START;
use poe::{Event, Session};
use poe_ikc::{Ikc, RemoteError};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Subscriber, info_span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

const SUM: Event<Result<i64, RemoteError>> = Event::new("sum");

/// What is known of a span, by its number: its name, its parent's number, its fields.
type Seen = (u64, String, Option<u64>, HashMap<String, String>);

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Seen>>>);

struct Fields<'a>(&'a mut HashMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(
            field.name().to_owned(),
            format!("{value:?}").trim_matches('"').to_owned(),
        );
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collector {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let span = cx.span(id).unwrap();
        let parent = span.parent().map(|parent| parent.id().into_u64());
        let mut fields = HashMap::new();
        attributes.record(&mut Fields(&mut fields));
        let name = match fields.get("poe.event") {
            Some(event) => format!("dispatch {event}"),
            None => span.name().to_owned(),
        };
        self.0.lock().unwrap().push((id.into_u64(), name, parent, fields));
    }
}

impl Collector {
    fn last(&self, name: &str) -> Seen {
        let spans = self.0.lock().unwrap();
        spans
            .iter()
            .rfind(|span| span.1 == name)
            .unwrap_or_else(|| panic!("no {name}: {spans:?}"))
            .clone()
    }

    /// Whether a span comes after another one.
    fn is_under(&self, name: &str, ancestor: &str) -> bool {
        let mut at = self.last(name);
        while at.1 != ancestor {
            let spans = self.0.lock().unwrap();
            let Some(parent) = spans.iter().rfind(|span| Some(span.0) == at.2) else {
                return false;
            };
            at = parent.clone();
        }
        true
    }
}

/// One kernel calls the other inside the span `caller`; returns what is known of all spans.
fn call(client: impl FnOnce() -> Side, server: impl FnOnce() -> Side) -> Collector {
    let collector = Collector::default();
    let _guard = tracing::subscriber::set_default(Registry::default().with(collector.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, server) = (client(), server());
        join(&client, &server);
        Session::builder(client.ikc.clone())
            .on(START, |cx, ()| cx.alias_set("main"))
            .on(GO, |cx, ()| {
                let _caller = info_span!("caller").entered();
                cx.heap.call(cx, "poe://Pulse/test", ADD, (40, 2), SUM, LONG)
            })
            .on(SUM, |cx, sum| {
                assert_eq!(sum, Ok(42));
                cx.heap.shutdown();
            })
            .create(&client.kernel)
            .unwrap();
        go(&client, &server).await;
    });
    collector
}

#[test]
fn the_handler_of_a_request_is_under_a_span_that_names_the_callers() {
    let spans = call(|| side(Ikc::builder("Cli")), || side(Ikc::builder("Pulse")));
    let caller = spans.last("caller");
    let request = spans.last("poe.request");
    assert_eq!(request.3["poe.trace"], caller.0.to_string());
    assert!(request.3["messaging.destination.name"].ends_with("/test/add"));
    assert_eq!(request.2, None);
    assert!(spans.is_under("dispatch add", "poe.request"));
    assert!(
        spans.is_under("dispatch sum", "caller"),
        "{spans:?}",
        spans = spans.0.lock()
    );
}

#[test]
fn the_programs_functions_write_and_read_the_context() {
    let given = Arc::new(Mutex::new(Vec::new()));
    let taken = given.clone();
    let spans = call(
        || side(Ikc::builder("Cli").trace_context(|_| Some("00-abc-def-01".to_owned()), |_, _| {})),
        move || {
            side(Ikc::builder("Pulse").trace_context(
                |_| None,
                move |span, context| {
                    let id = span.id().unwrap().into_u64();
                    taken.lock().unwrap().push((id, context.to_owned()));
                },
            ))
        },
    );
    let request = spans.last("poe.request").0;
    assert_eq!(*given.lock().unwrap(), [(request, "00-abc-def-01".to_owned())]);
}

#[test]
fn a_context_that_is_too_long_and_one_for_perl_are_not_sent() {
    let long = || side(Ikc::builder("Cli").trace_context(|_| Some("x".repeat(600)), |_, _| {}));
    let perl = || side(Ikc::builder("Cli").perl_only());
    for spans in [
        call(long, || side(Ikc::builder("Pulse"))),
        call(perl, || side(Ikc::builder("Pulse"))),
    ] {
        assert!(!spans.last("poe.request").3.contains_key("poe.trace"));
    }
}
