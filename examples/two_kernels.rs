//! An echo server on several kernels, each on a separate thread, with a common count of lines.
//!
//! `cargo run --release --example two_kernels -- 127.0.0.1:7777 [KERNELS]` prints `listening on ADDR` first. The server is
//! written as for one kernel. Each kernel has a counter session, and posts go from any kernel to any other: at the end of
//! each connection its count goes to the counter of the first kernel, which prints the sum.

use poe::component::KernelPool;
use poe::event::START;
use poe::filter::Line;
use poe::{Event, Session, hosts};
use std::net::SocketAddr;
use std::time::Duration;

/// Adds to the number of lines.
const COUNT: Event<u64> = Event::new("count");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:0".into());
    let kernels = args.next().map_or(Ok(2), |n| n.parse())?;
    let shown = |sum| println!("{sum} lines");
    serve(
        &address,
        kernels,
        hosts::terminated()?,
        |addr| println!("listening on {addr}"),
        shown,
    )
    .await
}

/// Serves until `end` completes, and calls `show` with the number of lines whenever it has changed.
pub(crate) async fn serve(
    address: &str,
    kernels: usize,
    end: impl Future,
    listening: impl FnOnce(SocketAddr),
    show: impl Fn(u64) + Clone + Send + Sync + 'static,
) -> Result<(), Box<dyn std::error::Error>> {
    let pool = KernelPool::new(kernels)?;
    let counters = pool
        .each(move |kernel, _number| {
            let show = show.clone();
            async move {
                Session::builder(0_u64)
                    .on(START, |cx, ()| cx.alias_set("counter"))
                    .on(COUNT, move |cx, lines| {
                        *cx.heap += lines;
                        show(*cx.heap);
                    })
                    .create(&kernel)
            }
        })
        .await?;
    let (handle, counter) = (pool.handle(), counters[0]);
    let server = pool
        .serve(address, move |server| {
            let handle = handle.clone();
            server
                .filter(|| Line::bytes().literal("\n"))
                .client_heap(|_| 0_u64)
                .client_input(|cx, line| {
                    *cx.heap += 1;
                    cx.client().put(line);
                })
                .client_disconnected(move |cx| -> poe::HandlerResult {
                    handle.post(counter, COUNT, *cx.heap)?;
                    Ok(())
                })
        })
        .await?;
    listening(server.local_addr());
    let mut end = std::pin::pin!(end);
    end.as_mut().await;
    let report = pool.shutdown(Duration::from_secs(5)).await;
    if !report.is_clean() {
        eprintln!("{report}");
    }
    Ok(())
}
