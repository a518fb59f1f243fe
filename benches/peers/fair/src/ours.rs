//! The same on this crate. Where the API has changed since the older commit, `before` says how it was.

use crate::Count;
#[cfg(before)]
use poe::Handled as HandlerResult;
#[cfg(not(before))]
use poe::HandlerResult;
use poe::component::TcpServer;
use poe::event::START;
use poe::filter::Line;
#[cfg(not(before))]
use poe::filter::Raw;
#[cfg(before)]
use poe::filter::Stream as Raw;
use poe::wheel::{Conduit, FollowTail, Input, Run};
use poe::{Event, Kernel, Session};
use std::net::SocketAddr;
use std::path::Path;

const RECORD: Event<Input<String>> = Event::new("record");

pub async fn serve(clients: impl FnOnce(SocketAddr), count: Count) {
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_input(move |cx, line: String| {
            if line.starts_with("echo") {
                cx.client().put(line);
            } else {
                count.set(count.get() + line.len() as u64 + 1);
            }
        })
        .start(&kernel)
        .await
        .expect("a server");
    clients(server.local_addr().expect("an address"));
    kernel.run().await.expect("nobody fails");
}

pub async fn program(terminal: bool, count: Count) {
    let kernel = Kernel::new();
    Session::builder(None)
        .on(START, move |cx, ()| -> HandlerResult {
            let conduit = if terminal { Conduit::Pty } else { Conduit::Pipe };
            let run = Run::shell("exec yes").conduit(conduit).stdout(Line::new(), RECORD);
            *cx.heap = Some(run.start(cx)?);
            Ok(())
        })
        .on(RECORD, move |_, input| {
            count.set(count.get() + input.record.len() as u64 + 1)
        })
        .create(&kernel)
        .expect("a session");
    kernel.run().await.expect("nobody fails");
}

pub async fn tail(path: &Path, count: Count) {
    let (kernel, path) = (Kernel::new(), path.to_owned());
    Session::builder(None)
        .on(START, move |cx, ()| -> HandlerResult {
            *cx.heap = Some(
                FollowTail::builder(&path)
                    .input(Raw::new(), "block")
                    .seek(0)
                    .start(cx)?,
            );
            Ok(())
        })
        .on("block", move |_, input: Input<bytes::Bytes>| {
            count.set(count.get() + input.record.len() as u64)
        })
        .create(&kernel)
        .expect("a session");
    kernel.run().await.expect("nobody fails");
}
