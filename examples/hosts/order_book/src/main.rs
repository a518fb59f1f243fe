//! One order book behind axum three times: as a POE session (`ours.rs`), as a Tokio task, as a kameo actor.
//!
//! `poe-order-book serve [ADDRESS]` serves the first one. `poe-order-book bench [ROUNDS]` measures all three in turn over HTTP: sixteen
//! connections, each with one request after another, without a pause, which fills all cores, and with pauses.

mod book;
mod kameo_actor;
#[cfg(test)]
mod kit;
mod load;
mod ours;
mod tokio_task;

use axum::Router;
use poe::{Kernel, hosts};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("bench") => bench(args.next().map_or(Ok(7), |rounds| rounds.parse())?).await,
        Some("serve") | None => serve(args.next().as_deref().unwrap_or("127.0.0.1:0")).await,
        Some(other) => Err(format!("`{other}` is neither `serve` nor `bench`").into()),
    }
}

async fn serve(address: &str) -> Outcome {
    let (kernel, thread) = Kernel::builder()
        .spawn_thread_async("orders", async |kernel| ours::start(kernel))
        .await?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    let asked_to_end = hosts::terminated()?;
    let server = axum::serve(listener, ours::routes(kernel)).with_graceful_shutdown(async move {
        asked_to_end.await;
    });
    server.await?;
    thread.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}

async fn listen(routes: Router) -> Outcome<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}

async fn bench(rounds: usize) -> Outcome {
    let (kernel, thread) = Kernel::builder()
        .spawn_thread_async("orders", async |kernel| ours::start(kernel))
        .await?;
    let (actor, _root) = kameo_actor::start().await;
    let systems = [
        ("POE session", listen(ours::routes(kernel)).await?),
        ("Tokio task", listen(tokio_task::routes(tokio_task::start())).await?),
        ("kameo actor", listen(kameo_actor::routes(actor)).await?),
    ];
    for (what, requests, pause) in [
        ("without a pause", 1000, Duration::ZERO),
        ("with pauses of 5 ms", 200, Duration::from_millis(5)),
    ] {
        let mut measured = [const { Vec::new() }; 3];
        for _ in 0..rounds {
            for ((_, address), measured) in systems.iter().zip(&mut measured) {
                measured.push(load::run(*address, 16, requests, pause).await?);
            }
        }
        println!("| {what} | p50, µs | p99, µs | requests/s |\n|---|---|---|---|");
        for ((name, _), rounds) in systems.iter().zip(&measured) {
            let median = |of: fn(&load::Measured) -> f64| {
                let mut all: Vec<f64> = rounds.iter().map(of).collect();
                all.sort_by(f64::total_cmp);
                all[all.len() / 2]
            };
            let (p50, p99, rate) = (median(|m| m.p50), median(|m| m.p99), median(|m| m.rate));
            println!("| {name} | {p50:.0} | {p99:.0} | {rate:.0} |");
        }
    }
    thread.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}
