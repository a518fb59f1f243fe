//! `t/90_regression/socketfactory-timeout.t`: to connect to port 0 of a name fails at once.

use crate::socket_kit::{Tally, run};
use poe::event::START;
use poe::wheel::{Connection, SocketError, SocketFactory};
use poe::{Event, Kernel, Session};
use std::time::Duration;

const UP: Event<Connection> = Event::new("sock_up");
const DOWN: Event<SocketError> = Event::new("sock_down");

#[tokio::test]
async fn port_zero_of_a_name_fails_promptly() {
    let kernel = Kernel::new();
    let tally = Tally::default();
    let down = tally.clone();
    Session::builder(None::<SocketFactory>)
        .on(START, |cx, ()| {
            *cx.heap = Some(
                SocketFactory::connect(("localhost", 0))
                    .success(UP)
                    .failure(DOWN)
                    .start(cx),
            );
            cx.delay("timeout", Duration::from_secs(15), ());
        })
        .on(UP, |_, _| panic!("nobody has port 0"))
        .on(DOWN, move |cx, error| {
            assert_eq!(error.operation(), "connect");
            down.add("failed");
            *cx.heap = None;
            cx.alarm_remove_all();
        })
        .on("timeout", |_, ()| panic!("neither event came"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    tally.is(&[("failed", 1)]);
}
