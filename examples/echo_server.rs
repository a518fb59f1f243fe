//! A line echo server.
//!
//! `cargo run --release --example echo_server -- 127.0.0.1:7777 [--max-line N]` prints `listening on ADDR` first. A line
//! that is longer than the limit (default 64 KiB) gets a message on standard error and a closed connection. SIGINT and
//! SIGTERM shut the server down: queued output is written, then the connections close.

use poe::component::TcpServer;
use poe::filter::Line;
use poe::{Kernel, hosts};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut address = String::from("127.0.0.1:0");
    let mut max_line = 65_536;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match &*arg {
            "--max-line" => max_line = args.next().ok_or("--max-line wants a number")?.parse()?,
            _ => address = arg,
        }
    }

    let kernel = Kernel::new();
    let server = TcpServer::builder(address)
        .filter(move || Line::bytes().literal("\n").max_length(max_line))
        .client_heap(|peer| peer.to_string())
        .client_input(|cx, line| cx.client().put(line))
        .client_error(|cx, error| {
            if !error.is_eof() {
                let peer: &String = &cx.heap;
                eprintln!("{peer}: {error}");
            }
        })
        .start(&kernel)
        .await?;
    println!("listening on {}", server.local_name());

    let report = kernel.serve_until(hosts::terminated()?, Duration::from_secs(5)).await?;
    if !report.is_clean() {
        eprintln!("{report}");
    }
    Ok(())
}
