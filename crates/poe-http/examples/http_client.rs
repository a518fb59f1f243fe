//! A client that fetches URLs again and again on `HttpClient`, and says what came.
//!
//! `cargo run -p poe-http --all-features --example http_client -- -n 1000 -c 20 http://127.0.0.1:8080/` prints the number of responses with each
//! status. `--ca FILE` trusts the roots in a PEM file, `--proxy URL` uses a proxy, `--bytes` prints the number of bytes.

use bytes::Bytes;
use http::{Request, Response};
use poe::event::{START, STOP};
use poe::{Context, Event, Kernel, Session};
use poe_http::{HttpClient, HttpError};
use std::collections::BTreeMap;

/// A response, and the number of its URL.
const FETCHED: Event<(usize, Result<Response<Bytes>, HttpError>)> = Event::new("fetched");

struct Fetcher {
    http: HttpClient,
    urls: Vec<String>,
    /// The requests to make.
    left: usize,
    outcomes: BTreeMap<String, u64>,
    bytes: u64,
}

fn fetch(cx: &mut Context<'_, Fetcher>, number: usize) -> poe::HandlerResult {
    if cx.heap.left > 0 {
        cx.heap.left -= 1;
        let request = Request::get(&cx.heap.urls[number]).body(())?;
        cx.heap.http.request(request).send(cx, number, FETCHED);
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut count, mut parallel, mut shows_bytes) = (1, 1, false);
    let mut urls = Vec::new();
    let mut builder = HttpClient::builder();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or("an argument wants a value");
        match &*arg {
            "-n" => count = value()?.parse()?,
            "-c" => parallel = value()?.parse()?,
            "--ca" => builder = builder.tls(poe::tls::Connector::from_pem(&std::fs::read(value()?)?)?),
            "--proxy" => builder = builder.proxy(value()?, ""),
            "--bytes" => shows_bytes = true,
            _ => urls.push(arg),
        }
    }
    if urls.is_empty() {
        return Err("which URL?".into());
    }

    let kernel = Kernel::new();
    let http = builder.start(&kernel)?;
    let fetcher = Fetcher {
        http,
        urls,
        left: count,
        outcomes: BTreeMap::new(),
        bytes: 0,
    };
    Session::builder(fetcher)
        .on(START, move |cx, ()| {
            (0..parallel).try_for_each(|number| fetch(cx, number % cx.heap.urls.len()))
        })
        .on(FETCHED, |cx, (number, response)| {
            let outcome = match response {
                Ok(response) => {
                    cx.heap.bytes += response.body().len() as u64;
                    format!("{} {:?}", response.status().as_u16(), response.version())
                }
                Err(error) => error.to_string(),
            };
            *cx.heap.outcomes.entry(outcome).or_default() += 1;
            fetch(cx, number)
        })
        .on(STOP, move |cx, ()| {
            for (outcome, count) in &cx.heap.outcomes {
                println!("{count} {outcome}");
            }
            if shows_bytes {
                println!("{} bytes", cx.heap.bytes);
            }
        })
        .create(&kernel)?;
    kernel.run().await?;
    Ok(())
}
