//! A TLS server that sends each line back. `tls_echo ADDRESS CERTIFICATE.pem KEY.pem`, then
//! `openssl s_client -connect ADDRESS`. It prints `listening on ADDRESS` first, and ends with SIGTERM or SIGINT.

use poe::event::START;
use poe::filter::Line;
use poe::wheel::{Connection, Input, IoError, ReadWrite, SocketError, SocketFactory, SocketStream};
use poe::{Context, Event, HandlerResult, KERNEL_SHUTDOWN, Kernel, Session, Signal, WheelId, hosts, tls};
use std::collections::HashMap;
use std::io;
use std::time::Duration;

const CLIENT: Event<Connection> = Event::new("client");
const FAILED: Event<SocketError> = Event::new("failed");
const SECURED: Event<io::Result<tls::ServerStream<SocketStream>>> = Event::new("secured");
const LINE: Event<Input<bytes::Bytes>> = Event::new("line");
const ERROR: Event<IoError> = Event::new("error");
const SHUTTING_DOWN: Event<Signal> = Event::new("shutting down");

struct Server {
    listener: Option<SocketFactory>,
    tls: tls::Acceptor,
    clients: HashMap<WheelId, ReadWrite<bytes::Bytes>>,
}

fn start(cx: &mut Context<'_, Server>, address: String) -> HandlerResult {
    let listener = SocketFactory::listen(address).success(CLIENT).failure(FAILED).start(cx);
    if let Some(address) = listener.local_addr() {
        println!("listening on {address}");
    }
    cx.heap.listener = Some(listener);
    cx.sig(KERNEL_SHUTDOWN, SHUTTING_DOWN);
    Ok(())
}

fn secured(cx: &mut Context<'_, Server>, stream: io::Result<tls::ServerStream<SocketStream>>) -> HandlerResult {
    match stream {
        Ok(stream) => {
            let wheel = ReadWrite::builder(stream)
                .input(Line::bytes(), LINE)
                .error(ERROR)
                .start(cx)?;
            cx.heap.clients.insert(wheel.id(), wheel);
        }
        // The other clients are not affected.
        Err(error) => eprintln!("handshake: {error}"),
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(certificate), Some(key)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: tls_echo ADDRESS CERTIFICATE.pem KEY.pem".into());
    };
    let server = Server {
        listener: None,
        tls: tls::Acceptor::from_pem(&std::fs::read(certificate)?, &std::fs::read(key)?)?,
        clients: HashMap::new(),
    };
    let kernel = Kernel::new();
    Session::builder(server)
        .on(START, start)
        .on(CLIENT, |cx, client| {
            let handshake = cx.heap.tls.accept(client.stream);
            cx.spawn(handshake, SECURED);
        })
        .on(SECURED, secured)
        .on(LINE, |cx, input| -> HandlerResult {
            if let Some(client) = cx.heap.clients.get(&input.wheel) {
                client.put(input.record)?;
            }
            Ok(())
        })
        .on(ERROR, |cx, error| {
            if let Some(client) = cx.heap.clients.remove(&error.wheel()) {
                client.close(Duration::from_secs(1));
            }
        })
        .on(SHUTTING_DOWN, |cx, _| {
            cx.sig_handled();
            cx.heap.listener = None;
            for (_, client) in cx.heap.clients.drain() {
                client.close(Duration::from_secs(1));
            }
        })
        .on(FAILED, |_, error| eprintln!("{error}"))
        .args(address)
        .create(&kernel)?;
    let report = kernel.serve_until(hosts::terminated()?, Duration::from_secs(5)).await?;
    if !report.is_clean() {
        eprintln!("{report}");
    }
    Ok(())
}
