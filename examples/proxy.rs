//! A TCP proxy with backpressure in both directions.
//!
//! `cargo run --example proxy -- 127.0.0.1:7777 example.org:80` prints `listening on ADDR` first. At most 64 KiB are
//! buffered in each direction of a connection, however fast one side sends and however slowly the other reads. SIGINT and SIGTERM
//! end it.

use poe::component::TcpServer;
use poe::event::START;
use poe::filter::Raw;
use poe::wheel::{
    Address, Connection, ReadWrite, SocketError, SocketFactory, SocketName, SocketStream, Splice, Spliced, splice,
};
use poe::{Context, Event, HandlerResult, Kernel, Session, hosts};
use std::cell::Cell;
use std::time::Duration;

const CONNECTED: Event<Connection> = Event::new("connected");
const FAILED: Event<SocketError> = Event::new("failed");
const ENDED: Event<Spliced> = Event::new("ended");

/// The heap of a session that joins two connections: first the connecting wheel, then the splice.
#[derive(Default)]
struct Joint {
    client: Cell<Option<SocketStream>>,
    connecting: Option<SocketFactory>,
    splice: Option<Splice>,
}

fn connected(cx: &mut Context<'_, Joint>, server: Connection) -> HandlerResult {
    cx.heap.connecting = None;
    let Some(client) = cx.heap.client.take() else {
        return Ok(());
    };
    let client = ReadWrite::builder(client).output(Raw::new()).start(cx)?;
    let server = ReadWrite::builder(server.stream).output(Raw::new()).start(cx)?;
    cx.heap.splice = Some(splice(client, server).ended(ENDED).start(cx)?);
    Ok(())
}

/// Creates a session for one client, which connects to the target and joins the two streams.
fn join(cx: &mut Context<'_, (), poe::component::Listener>, client: Connection, target: Address) -> HandlerResult {
    let heap = Joint {
        client: Cell::new(Some(client.stream)),
        ..Joint::default()
    };
    cx.create(
        Session::builder(heap)
            .on(START, move |cx, ()| {
                let factory = SocketFactory::connect(target.clone())
                    .success(CONNECTED)
                    .failure(FAILED);
                cx.heap.connecting = Some(factory.start(cx));
            })
            .on(CONNECTED, connected)
            .on(FAILED, |cx, error| {
                eprintln!("{error}");
                *cx.heap = Joint::default();
            })
            .on(ENDED, |cx, ended| {
                for error in ended.errors.iter().filter(|error| !error.is_reset()) {
                    eprintln!("{error}");
                }
                cx.heap.splice = None;
            }),
    )?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(listen), Some(target)) = (args.next(), args.next()) else {
        return Err("usage: proxy LISTEN TARGET".into());
    };
    let end = hosts::terminated()?;
    serve(&listen, target.into(), end, |addr| println!("listening on {addr}")).await
}

/// Serves until `end` completes.
pub(crate) async fn serve(
    listen: &str,
    target: Address,
    end: impl Future,
    listening: impl FnOnce(SocketName),
) -> Result<(), Box<dyn std::error::Error>> {
    let kernel = Kernel::new();
    let server = TcpServer::builder(listen)
        .acceptor(move |cx, client| join(cx, client, target.clone()))
        .start(&kernel)
        .await?;
    listening(server.local_name().clone());
    kernel.serve_until(end, Duration::from_secs(1)).await?;
    Ok(())
}
