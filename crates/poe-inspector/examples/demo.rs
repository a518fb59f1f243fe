//! A small service under load, to be looked at.
//!
//! `cargo run -p poe-inspector --example demo` prints the page's address and runs until SIGINT or SIGTERM. One kernel has a price server, a
//! supervisor whose children fail now and then, timers, a program, and a handler that is slow at times. A second kernel, on its own thread, has
//! forty clients.
//!
//! | argument | |
//! |---|---|
//! | `--bind ADDRESS` | where the page is, by default `127.0.0.1:7669` |
//! | `--console PLACE` | a text console, `unix:/path` or an address |
//! | `--token TOKEN` | wants that token, and allows actions |
//! | `--sensors N` | that many sessions more, by default 200 |

use poe::component::{Backoff, ChildSpec, KernelThread, Starter, Strategy, Supervisor, TcpClient, TcpServer};
use poe::event::START;
use poe::filter::Line;
use poe::{Event, HandlerResult, Kernel, OnFailure, Session, SessionId, hosts};
use poe_inspector::Inspector;
use std::net::SocketAddr;
use std::time::Duration;

/// A new price, for the book.
const PRICE: Event<u32> = Event::new("price");
/// Time for the next step of the session that has set it.
const TICK: Event<u32> = Event::new("tick");
/// Adds prices up, which takes long.
const AUDIT: Event<()> = Event::new("audit");
/// A reading of a sensor, in thousandths.
const READING: Event<u32> = Event::new("reading");

type Error = Box<dyn std::error::Error>;

struct Arguments {
    bind: String,
    console: Option<String>,
    token: Option<String>,
    sensors: u32,
}

fn arguments() -> Result<Arguments, Error> {
    let mut found = Arguments {
        bind: "127.0.0.1:7669".to_owned(),
        console: None,
        token: None,
        sensors: 200,
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} wants a value"))?;
        match &*name {
            "--bind" => found.bind = value,
            "--console" => found.console = Some(value),
            "--token" => found.token = Some(value),
            "--sensors" => found.sensors = value.parse()?,
            _ => return Err(format!("there is no argument {name}").into()),
        }
    }
    Ok(found)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let given = arguments()?;
    let kernel = Kernel::builder()
        .name("market")
        .on_failure(OnFailure::StopSession)
        .build();
    let mut inspector = Inspector::bind(&*given.bind);
    if let Some(place) = given.console {
        inspector = inspector.console(place);
    }
    if let Some(token) = given.token {
        inspector = inspector.token(token).allow(PRICE).allow_signals().allow_stop();
    }
    let inspector = inspector.start(&kernel).await?;

    market(&kernel)?;
    sensors(&kernel, given.sensors)?;
    let server = price_server(&kernel).await?;
    let address = server.local_addr().ok_or("the server has no address")?;
    let clients = clients(&inspector, address)?;

    if let Some(url) = inspector.url() {
        println!("{url}");
    }
    let report = kernel.serve_until(hosts::terminated()?, Duration::from_secs(3)).await?;
    drop(server);
    // Its sessions have timers for ever, so the limit ends them.
    let _ = clients.shutdown(Duration::from_millis(200)).await;
    if !report.is_clean() {
        eprintln!("{report}");
    }
    inspector.shutdown();
    Ok(())
}

/// Replies to each line with a price.
async fn price_server(kernel: &Kernel) -> Result<TcpServer, poe::Error> {
    TcpServer::builder("127.0.0.1:0")
        .filter(Line::lossy)
        .client_heap(|_| 0_u64)
        .client_input(|cx, line: String| {
            *cx.heap += 1;
            let price = 100 + line.len() as u64 + *cx.heap % 7;
            cx.client().put(format!("{line} {price}"));
        })
        .start(kernel)
        .await
}

/// Clients on a kernel of their own, which ask at different rates.
fn clients(inspector: &Inspector, server: SocketAddr) -> Result<KernelThread, poe::Error> {
    let inspector = inspector.clone();
    let (_, thread) = Kernel::builder().spawn_thread("clients", async move |kernel: &Kernel| {
        inspector.watch("clients", kernel);
        for number in 0..40_u64 {
            let pause = Duration::from_millis(40 + 23 * number);
            TcpClient::builder(server)
                .heap(0_u64)
                .alias(format!("client {number}"))
                .filter(Line::lossy)
                .connected(move |cx| cx.delay(TICK, pause, 0))
                .server_input(|cx, _: String| *cx.heap += 1)
                .state(TICK, move |cx, n: u32| {
                    if cx.server().is_connected() {
                        cx.server().put(format!("EUR/USD {n}"));
                    }
                    cx.delay(TICK, pause, n + 1);
                })
                .start(kernel)?;
        }
        Ok(())
    })?;
    Ok(thread)
}

/// The supervised part: a store, a book that fails at a price of zero, a feed, an auditor, a program.
fn market(kernel: &Kernel) -> Result<(), poe::Error> {
    let patient = || Backoff::new().first(Duration::from_millis(1500)).jitter(0.0);
    Supervisor::builder(Strategy::OneForOne)
        .name("market")
        .alias("market")
        .intensity(1000, Duration::from_secs(10))
        .child(ChildSpec::new("store", start_store))
        .child(ChildSpec::new("book", start_book).alias("book").backoff(patient()))
        .child(ChildSpec::new("feed", start_feed).backoff(patient()))
        .child(ChildSpec::new("auditor", start_auditor))
        .child(ChildSpec::program("indexer", || {
            poe::wheel::Run::shell("n=0; while [ $n -lt 9 ]; do n=$((n+1)); echo indexed $n; sleep 1; done; exit 3")
        }))
        .start(kernel)?;
    Ok(())
}

fn start_store(cx: &mut Starter<'_>) -> Result<SessionId, poe::Error> {
    cx.create(
        Session::builder(Vec::new())
            .on(START, |cx, ()| cx.alias_set("store"))
            .on(PRICE, |cx, price| {
                if cx.heap.len() == 1000 {
                    cx.heap.clear();
                }
                cx.heap.push(price);
            }),
    )
}

fn start_book(cx: &mut Starter<'_>) -> Result<SessionId, poe::Error> {
    cx.create(
        Session::builder(())
            .on(START, |_, ()| ())
            .on(PRICE, |cx, price| -> HandlerResult {
                if price == 0 {
                    return Err("a price of zero".into());
                }
                Ok(cx.post("store", PRICE, price)?)
            }),
    )
}

/// Sends twenty prices a second; every twelve seconds a wrong one, and every thirty it loses its source.
fn start_feed(cx: &mut Starter<'_>) -> Result<SessionId, poe::Error> {
    cx.create(
        Session::builder(())
            .on(START, |cx, ()| -> HandlerResult {
                cx.alias_set("feed")?;
                cx.delay(TICK, Duration::from_millis(50), 1);
                Ok(())
            })
            .on(TICK, |cx, n| -> HandlerResult {
                if n == 600 {
                    return Err("the source was lost".into());
                }
                cx.post("book", PRICE, if n % 240 == 0 { 0 } else { 100 + n % 50 })?;
                cx.delay(TICK, Duration::from_millis(50), n + 1);
                Ok(())
            }),
    )
}

/// Takes 12 ms every four seconds, so that everybody waits.
fn start_auditor(cx: &mut Starter<'_>) -> Result<SessionId, poe::Error> {
    cx.create(
        Session::builder(())
            .on(START, |cx, ()| -> HandlerResult {
                cx.alias_set("auditor")?;
                cx.delay(AUDIT, Duration::from_secs(4), ());
                Ok(())
            })
            .on(AUDIT, |cx, ()| {
                std::thread::sleep(Duration::from_millis(12));
                cx.delay(AUDIT, Duration::from_secs(4), ());
            }),
    )
}

/// Sessions with a timer each, as a service has one for each device or customer.
fn sensors(kernel: &Kernel, count: u32) -> Result<(), poe::Error> {
    Session::builder(0_u64)
        .on(START, move |cx, ()| -> HandlerResult {
            cx.alias_set("sensors")?;
            for number in 0..count {
                let pause = Duration::from_millis(u64::from(3000 + number * 37 % 27_000));
                let sensor = Session::builder(Sensor { number, pause })
                    .on(START, |cx, ()| cx.delay(TICK, cx.heap.pause, 0))
                    .on(TICK, |cx, n| -> HandlerResult {
                        cx.post("sensors", READING, cx.heap.number * 1000 + n)?;
                        cx.delay(TICK, cx.heap.pause, n + 1);
                        Ok(())
                    });
                cx.create(sensor)?;
            }
            Ok(())
        })
        .on(READING, |cx, reading| *cx.heap += u64::from(reading))
        .create(kernel)?;
    Ok(())
}

struct Sensor {
    number: u32,
    pause: Duration,
}
