//! A service that tells what it does: metrics for Prometheus, and a trace of each request with OpenTelemetry.
//!
//! A request of axum calls the session `book` on its kernel. That one looks a price up in a spawned future, and posts to an auditor on a kernel of a
//! pool. All of it is one trace. The guide's chapter "Metrics and spans" quotes this file.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use poe::component::{KernelPool, PoolHandle};
use poe::event::START;
use poe::{Event, HandlerResult, Kernel, KernelHandle, Reply, Session, hosts};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tower_http::trace::TraceLayer;
use tracing_subscriber::layer::SubscriberExt;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

#[derive(Serialize, Deserialize)]
struct Order {
    quantity: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct View {
    quantity: u64,
    value: u64,
}

const ADD: Event<Order, View> = Event::new("add");
const AUDIT: Event<u64> = Event::new("audit");
/// How many orders were audited.
const AUDITED: Event<(), u64> = Event::new("audited");

#[tracing::instrument]
async fn price() -> u64 {
    tokio::task::yield_now().await; // asks another service
    7
}

fn start_orders(kernel: &Kernel, pool: PoolHandle) -> Result<(), poe::Error> {
    Session::builder(View { quantity: 0, value: 0 })
        .on(START, |cx, ()| cx.alias_set("book"))
        .on(ADD, move |cx, order: Order| {
            let (reply, pending) = cx.defer_reply();
            let pool = pool.clone();
            cx.spawn_then(price(), move |cx, price| -> HandlerResult {
                let View { quantity, value } = &mut *cx.heap;
                *quantity += order.quantity;
                *value += price * order.quantity;
                let (quantity, value) = (*quantity, *value);
                pool.post("auditor", AUDIT, value)?;
                let _ = reply.send(View { quantity, value }); // the caller may have given up
                Ok(())
            });
            pending
        })
        .create(kernel)?;
    Ok(())
}

/// One auditor for the pool, on its last kernel.
fn start_pool() -> Result<KernelPool, poe::Error> {
    let kernels = 2;
    KernelPool::builder(kernels)
        .kernel(|kernel| kernel.metrics(poe::inspect::Metrics::new()))
        .setup(move |kernel, number| async move {
            if number + 1 == kernels {
                Session::builder(0_u64)
                    .on(START, |cx, ()| {
                        PoolHandle::of(cx.kernel)
                            .expect("a pool")
                            .alias_set(cx.kernel, "auditor")
                    })
                    .on(AUDIT, |cx, value| {
                        tracing::info!(value, "audited");
                        *cx.heap += 1;
                    })
                    .on(AUDITED, |cx, ()| Reply(*cx.heap))
                    .create(&kernel)?;
            }
            Ok(())
        })
        .start()
}

async fn add(State(orders): State<KernelHandle>, Json(order): Json<Order>) -> Result<Json<View>, StatusCode> {
    // Inside tower-http's span of the request: the dispatch of ADD, and everything that it causes, is below it.
    orders
        .call("book", ADD, order)
        .await
        .map(Json)
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

fn routes(orders: KernelHandle) -> Router {
    let spans = TraceLayer::new_for_http().make_span_with(|_: &axum::extract::Request| tracing::info_span!("request"));
    Router::new().route("/add", post(add)).layer(spans).with_state(orders)
}

/// All spans of the process go to this provider.
fn export(provider: &SdkTracerProvider) -> Outcome {
    // Its location of a span is where the macro stands; the kernel's is the line that posted.
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("orders"))
        .with_location(false);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(spans))?;
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome {
    // A program gives it the exporter of `opentelemetry-otlp`.
    let provider = SdkTracerProvider::builder().build();
    export(&provider)?;
    let pool = start_pool()?;
    let auditors = pool.handle();
    // At http://127.0.0.1:9000/metrics.
    metrics_exporter_prometheus::PrometheusBuilder::new().install()?;
    let (orders, thread) = Kernel::builder()
        .name("orders") // the label `kernel`
        .metrics(poe::inspect::Metrics::new())
        .spawn_thread("orders", async |kernel| start_orders(kernel, auditors))?;
    let asked_to_end = hosts::terminated()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, routes(orders))
        .with_graceful_shutdown(async {
            asked_to_end.await;
        })
        .await?;
    thread.shutdown(Duration::from_secs(5)).await?;
    pool.shutdown(Duration::from_secs(5)).await;
    provider.shutdown()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use opentelemetry::trace::SpanId;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
    use tower::ServiceExt;

    /// From the span of the request through two kernels and a spawned future, as an exporter of OpenTelemetry gets it.
    #[tokio::test]
    async fn one_request_is_one_trace_across_threads() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        export(&provider).unwrap();
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new()
            .install_recorder()
            .unwrap();
        let pool = start_pool().unwrap();
        let auditors = pool.handle();
        let (orders, thread) = Kernel::builder()
            .name("orders")
            .metrics(poe::inspect::Metrics::new())
            .spawn_thread("orders", async |kernel| start_orders(kernel, auditors))
            .unwrap();
        let request = Request::post("/add").header("content-type", "application/json");
        let request = request.body(Body::from(r#"{"quantity":6}"#)).unwrap();
        let response = routes(orders).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body = to_bytes(response.into_body(), 1024).await.unwrap();
        assert_eq!(body, r#"{"quantity":6,"value":42}"#);
        // A shutdown does not wait for a post that its kernel has not taken in yet.
        assert_eq!(pool.handle().call("auditor", AUDITED, ()).await.unwrap(), 1);
        // Spans are exported when they are closed: all are when the kernels have ended.
        thread.shutdown(Duration::from_secs(20)).await.unwrap();
        assert!(pool.shutdown(Duration::from_secs(20)).await.is_clean());
        provider.force_flush().unwrap();
        let spans = exporter.get_finished_spans().unwrap();
        let named = |name: &str| -> &SpanData {
            let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
            let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
            assert_eq!(found.len(), 1, "`{name}` among {names:?}");
            found[0]
        };
        let (request, added, audited) = (named("request"), named("process add"), named("process audit"));
        let (price, continued) = (named("price"), named("process poe_then"));
        assert_eq!(request.parent_span_id, SpanId::INVALID);
        for (child, parent) in [
            (added, request),
            (price, added),
            (continued, added),
            (audited, continued),
        ] {
            assert_eq!(
                child.parent_span_id,
                parent.span_context.span_id(),
                "{} under {}",
                child.name,
                parent.name
            );
            assert_eq!(child.span_context.trace_id(), request.span_context.trace_id());
        }
        let attribute = |span: &SpanData, key: &str| {
            let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
            found.map(|attribute| attribute.value.to_string()).unwrap_or_default()
        };
        assert_eq!(attribute(added, "messaging.system"), "poe");
        assert_eq!(attribute(added, "messaging.destination.name"), "book");
        assert_eq!(attribute(audited, "messaging.operation.name"), "process");
        let path = attribute(audited, "code.file.path");
        assert!(path.ends_with("main.rs"), "{path}");
        let metrics = recorder.render();
        assert!(
            metrics.contains(r#"poe_events_dispatched_total{kernel="orders""#),
            "{metrics}"
        );
    }
}
