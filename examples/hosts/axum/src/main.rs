//! An existing multi-threaded Tokio service with a POE kernel beside it.
//!
//! The kernel has its own thread; axum's handlers run on the service's threads and call a session through the `Send` handle. At SIGTERM
//! or SIGINT the service first says that it is not ready, then the kernel and the web server end. The tests run the same
//! routes and the same session on virtual time.

mod counter;
#[cfg(test)]
mod tests;
mod web;

use poe::{Kernel, hosts};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (kernel, thread) = Kernel::builder()
        .spawn_thread_async("counter", async |kernel| {
            counter::start(kernel, Duration::from_millis(500))?;
            Ok(())
        })
        .await?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    let asked_to_end = hosts::terminated()?;
    let (drained, end) = tokio::sync::oneshot::channel();
    let server = axum::serve(listener, web::routes(kernel)).with_graceful_shutdown(async {
        let _ = end.await;
    });
    let kernel_ends = async {
        asked_to_end.await;
        let ended = thread.shutdown(Duration::from_secs(5)).await; // `/ready` fails from now on
        let _ = drained.send(());
        ended
    };
    let (served, ended) = tokio::join!(server, kernel_ends);
    served?;
    ended?;
    println!("good bye");
    Ok(())
}
