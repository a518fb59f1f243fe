//! A service on `HttpServer`: HTTP/1.1 and HTTP/2, with or without TLS, replies that come later, uploads and downloads as streams.
//!
//! `cargo run -p poe-http --all-features --example http_service -- 127.0.0.1:8080` prints `listening on ADDR` first. More arguments:
//! `--tls CERTIFICATE KEY` (PEM files), `--files DIR`, `--head-timeout MS`. `/chat` is a WebSocket that sends back what it gets. SIGINT and SIGTERM end it in good order.
//!
//! ```text
//! curl http://127.0.0.1:8080/                     hello
//! curl --data 'with peas' …/echo                  with peas
//! curl -T FILE …/count                            the number of its bytes, which are read as they come
//! curl …/later/100                                a reply after 100 ms
//! curl …/numbers/1000000                          lines, as fast as the client takes them
//! ```

use futures_util::TryStreamExt;
use http::{Method, Response, StatusCode};
use poe::{Context, Event, Kernel, hosts};
use poe_http::{Body, Exchange, Http, HttpLimits, HttpServer, ReceivedBody, WebSocketEvent, WebSocketLimits};
use std::time::Duration;

/// The reply to `/later`.
const LATER: Event<Exchange> = Event::new("later");
/// A download has ended.
const SENT: Event<()> = Event::new("sent");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut address = String::from("127.0.0.1:0");
    let mut limits = HttpLimits {
        max_body: 64 * 1024 * 1024,
        ..HttpLimits::default()
    };
    let mut tls = None;
    let mut files = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or("an argument wants a value");
        match &*arg {
            "--tls" => tls = Some((std::fs::read(value()?)?, std::fs::read(value()?)?)),
            "--files" => files = Some(value()?),
            "--head-timeout" => limits.head_timeout = Duration::from_millis(value()?.parse()?),
            _ => address = arg,
        }
    }

    let kernel = Kernel::new();
    let mut builder = HttpServer::builder(address)
        .heap(0_u64) // the downloads so far
        .limits(limits)
        .get("/", |_, exchange| exchange.text("hello\n"))
        .route(Method::POST, "/echo", echo)
        .route(Method::PUT, "/echo", echo)
        .get("/later/{ms}", |cx, exchange| {
            match exchange.param("ms").map(str::parse) {
                Some(Ok(ms)) => {
                    cx.delay_set(LATER, Duration::from_millis(ms), exchange);
                }
                _ => exchange.status(StatusCode::BAD_REQUEST),
            };
        })
        .state(LATER, |_, exchange| exchange.text("later\n"))
        .streaming(Method::PUT, "/count", count)
        .get("/numbers/{end}", numbers)
        .websocket("/chat", WebSocketLimits::default(), |_, socket, event| {
            if let WebSocketEvent::Message(message) = event {
                // What a client does not take in time is dropped.
                let _ = socket.put(message);
            }
        })
        .state(SENT, |cx, ()| *cx.heap += 1);
    if let Some((certificates, key)) = tls {
        builder = builder.tls(poe::tls::Acceptor::from_pem(&certificates, &key)?);
    }
    if let Some(folder) = files {
        builder = builder.files("/files", folder);
    }
    let server = builder.start(&kernel).await?;
    println!("listening on {}", server.local_name());

    let report = kernel.serve_until(hosts::terminated()?, Duration::from_secs(5)).await?;
    if !report.is_clean() {
        eprintln!("{report}");
    }
    Ok(())
}

fn echo(_: &mut Context<'_, u64, Http>, exchange: Exchange) {
    let (request, responder) = exchange.into_parts();
    // If the client has gone, nobody wants the reply.
    let _ = responder.send(Response::new(request.into_body()));
}

/// Counts the bytes of an upload as they come; the client is held back while nobody reads.
fn count(cx: &mut Context<'_, u64, Http>, exchange: Exchange<ReceivedBody>) {
    let (request, responder) = exchange.into_parts();
    let body = request.into_body().max_bytes(u64::MAX);
    let counting = body.try_fold(0, |count, chunk| async move { Ok(count + chunk.len()) });
    cx.spawn_then(counting, |_, counted| match counted {
        Ok(bytes) => responder.text(format!("{bytes}\n")),
        Err(error) => eprintln!("{error}"), // the dropped responder replies with 500, if anybody is there
    });
}

/// Sends lines, as fast as the client takes them: four chunks wait at most.
fn numbers(cx: &mut Context<'_, u64, Http>, exchange: Exchange) {
    let Some(Ok(end)) = exchange.param("end").map(str::parse::<u64>) else {
        return exchange.status(StatusCode::BAD_REQUEST);
    };
    let (sender, body) = Body::channel(4);
    let sending = async move {
        for number in 1..=end {
            if sender.send(format!("{number}\n")).await.is_err() {
                return; // the client has gone
            }
        }
        sender.finish();
    };
    // If the client has gone, the first chunk finds out.
    let _ = exchange.send(Response::new(body));
    cx.spawn(sending, SENT);
}
