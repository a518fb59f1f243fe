//! A supervisor with three children, two of which fail now and then.
//!
//! `cargo run --example supervised` prints what the supervisor reports, for three seconds, and then shuts it down. The children depend on each
//! other in order: the store is opened first, the book is built from it, and the feed posts prices to the book. So a failed
//! feed is restarted alone, and a failed book together with the feed.

use poe::component::{Backoff, ChildSpec, Starter, Strategy, Supervisor};
use poe::event::START;
use poe::{Error, Event, HandlerResult, Kernel, Session, SessionId};
use std::time::Duration;

/// A new price, for the book.
const PRICE: Event<u32> = Event::new("price");
/// Time for the feed's next price.
const TICK: Event<u32> = Event::new("tick");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let kernel = Kernel::new();
    start(&kernel, |line| println!("{line}"))?;
    let end = tokio::time::sleep(Duration::from_secs(3));
    let report = kernel.serve_until(end, Duration::from_secs(5)).await?;
    println!("{report}");
    Ok(())
}

/// Starts the supervisor and its children; `print` gets a line for each report.
pub(crate) fn start(kernel: &Kernel, print: impl Fn(String) + 'static) -> Result<Supervisor, Error> {
    let backoff = Backoff::new().first(Duration::from_millis(200)).jitter(0.0);
    Supervisor::builder(Strategy::RestForOne)
        .name("market")
        .intensity(10, Duration::from_secs(10))
        .child(ChildSpec::prepared("store", open_store, start_store))
        .child(ChildSpec::new("book", start_book).alias("book").backoff(backoff))
        .child(ChildSpec::new("feed", start_feed))
        .on_report(move |report| print(report.to_string()))
        .start(kernel)
}

/// Stands for a connection to a database: the children after it wait until it is there.
async fn open_store() -> std::io::Result<Vec<u32>> {
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok(Vec::new())
}

fn start_store(cx: &mut Starter<'_>, prices: Vec<u32>) -> Result<SessionId, Error> {
    let store = Session::builder(prices)
        .on(START, |cx, ()| cx.alias_set("store"))
        .on(PRICE, |cx, price| cx.heap.push(price));
    cx.create(store)
}

/// Fails at a price that cannot be. The prices that come while it is down are kept for the next one.
fn start_book(cx: &mut Starter<'_>) -> Result<SessionId, Error> {
    let book = Session::builder(())
        .on(START, |_, ()| ())
        .on(PRICE, |cx, price| -> HandlerResult {
            if price == 0 {
                return Err("a price of zero".into());
            }
            Ok(cx.post("store", PRICE, price)?)
        });
    cx.create(book)
}

/// Sends a price every 100 ms, and fails after eight of them. The second feed sends a wrong price.
fn start_feed(cx: &mut Starter<'_>) -> Result<SessionId, Error> {
    let restarts = cx.restarts();
    let feed = Session::builder(())
        .on(START, |cx, ()| cx.delay(TICK, Duration::from_millis(100), 1))
        .on(TICK, move |cx, n| -> HandlerResult {
            if n > 8 {
                return Err("the connection was lost".into());
            }
            let wrong = restarts == 1 && n == 4;
            cx.post("book", PRICE, if wrong { 0 } else { 100 + n })?;
            cx.delay(TICK, Duration::from_millis(100), n + 1);
            Ok(())
        });
    cx.create(feed)
}
