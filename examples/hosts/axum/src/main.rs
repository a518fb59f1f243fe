//! An existing multi-threaded Tokio service with a POE kernel beside it.
//!
//! The kernel has its own thread; axum's handlers run on the service's threads and call a session through the
//! `Send` handle. `GET /count` returns the total, `POST /add` with a number as the body adds it and returns the new total.
//! SIGTERM or SIGINT shuts both down.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use poe::event::START;
use poe::{Event, Kernel, KernelHandle, Reply, Session, hosts};
use std::time::Duration;

const COUNT: Event<(), u64> = Event::new("count");
const ADD: Event<u64, u64> = Event::new("add");

/// Starts the kernel's thread; returns the handle to the kernel, and the thread to join.
fn start_kernel() -> (KernelHandle, std::thread::JoinHandle<Result<(), poe::Error>>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let kernel = Kernel::new();
            Session::builder(0_u64)
                .on(START, |cx, ()| cx.alias_set("counter"))
                .on(COUNT, |cx, ()| Reply(*cx.heap))
                .on(ADD, |cx, n| {
                    *cx.heap += n;
                    Reply(*cx.heap)
                })
                .create(&kernel)?;
            // The service has the only handle: `serve` would end with the last of them, once no session is left.
            sender.send(kernel.handle()).expect("the service waits for the handle");
            kernel.serve().await
        })
    });
    (receiver.recv().expect("the kernel's thread starts"), thread)
}

async fn count(State(kernel): State<KernelHandle>) -> Result<String, StatusCode> {
    let total = kernel
        .call("counter", COUNT, ())
        .await
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(format!("{total}\n"))
}

async fn add(State(kernel): State<KernelHandle>, body: String) -> Result<String, StatusCode> {
    let n: u64 = body.trim().parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    let total = kernel
        .call("counter", ADD, n)
        .await
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(format!("{total}\n"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (kernel, thread) = start_kernel();
    let app = Router::new()
        .route("/count", get(count))
        .route("/add", post(add))
        .with_state(kernel.clone());
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    let asked_to_end = hosts::terminated()?;
    axum::serve(listener, app)
        .with_graceful_shutdown(async { _ = asked_to_end.await })
        .await?;
    // A terminal signal to the kernel is for every session; nobody handles it, so all stop and `serve` returns.
    kernel
        .signal(kernel.kernel_id(), "TERM", ())
        .map_err(poe::Error::from)?;
    while !thread.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    thread.join().map_err(|_| "the kernel's thread panicked")??;
    println!("good bye");
    Ok(())
}
