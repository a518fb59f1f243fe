//! `connect_errors` of POE::Test::Loops: a refused connection is told once, and the client's session ends.

use crate::socket_kit::{Tally, nobody, run};
use poe::component::TcpClient;
use poe::event::START;
use poe::{HandlerResult, Kernel, Session};
use std::time::Duration;

#[tokio::test]
async fn a_refused_connection_is_reported_once_and_the_run_ends() {
    let kernel = Kernel::new();
    let tally = Tally::default();
    Session::builder(())
        .on(START, |cx, ()| -> HandlerResult {
            cx.alias_set("watcher")?;
            cx.delay_set("timeout", Duration::from_secs(20), ());
            Ok(())
        })
        .on("timeout", |_, ()| panic!("no connect error came"))
        .on("shutdown", |cx, ()| -> HandlerResult {
            cx.alarm_remove_all();
            Ok(cx.alias_remove("watcher")?)
        })
        .create(&kernel)
        .unwrap();
    let errors = tally.clone();
    TcpClient::builder(nobody(1))
        .alias("client")
        .connected(|_| panic!("nobody is there"))
        .connect_error(move |cx, error| -> HandlerResult {
            assert_eq!((error.operation(), error.is_refused()), ("connect", true));
            errors.add("connect error");
            cx.post("watcher", "shutdown", ())?;
            // POE keeps the alias, and so the session, until it is told to shut down.
            cx.yield_to(poe::component::SHUTDOWN, ());
            Ok(())
        })
        .server_input(|_, _| panic!("nobody is there"))
        .disconnected(|_| panic!("it was never connected"))
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    tally.is(&[("connect error", 1)]);
}
