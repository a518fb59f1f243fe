//! `comp_tcp_concurrent` of POE::Test::Loops: an acceptor with one client at a time, a server with four, nine clients
//! for each. Its 18 facts: one per connection, that there were never too many.

use crate::socket_kit::{Gauge, Tally, run};
use poe::component::{DISCONNECTED, SHUTDOWN, TcpClient, TcpServer};
use poe::event::START;
use poe::filter::Line;
use poe::wheel::{Input, IoError, ReadWrite};
use poe::{Event, HandlerResult, Kernel, Session};
use std::cell::Cell;

const CLIENTS: usize = 9;
const LINE: Event<Input<String>> = Event::new("got_input");
const ERROR: Event<IoError> = Event::new("got_error");

fn clients(kernel: &Kernel, server: &TcpServer, kind: &'static str, tally: &Tally) {
    for n in 1..=CLIENTS {
        let (answered, gone, listener) = (tally.clone(), tally.clone(), server.clone());
        TcpClient::builder(server.local_name())
            .alias(format!("{kind} client {n}"))
            .connected(move |cx| cx.server().put(format!("hello {n}")))
            .connect_error(|_, error| panic!("{error}"))
            .server_input(move |cx, line| {
                assert!(line.starts_with(&format!("echo: hello {n}")), "{line}");
                answered.add(format!("{kind} answered"));
                if answered.of(&format!("{kind} answered")) == CLIENTS {
                    listener.shutdown();
                }
                cx.yield_to(SHUTDOWN, ());
            })
            .server_error(|_, error| assert!(error.is_eof(), "{error}"))
            .disconnected(move |_| gone.add(format!("{kind} disconnected")))
            .start(kernel)
            .unwrap();
    }
}

#[tokio::test]
async fn an_acceptor_with_one_client_and_a_server_with_four_serve_nine_each() {
    let kernel = Kernel::new();
    let tally = Tally::default();
    let (ones, fours) = (Gauge::default(), Gauge::default());

    let one = ones.clone();
    let by_acceptor = TcpServer::builder("127.0.0.1:0")
        .alias("acceptor_server")
        .concurrency(1)
        .acceptor(move |cx, connection| -> HandlerResult {
            one.up();
            assert_eq!((one.now(), cx.listener().connections()), (1, 1));
            let (listener, gauge) = (cx.session_id(), one.clone());
            let stream = Cell::new(Some(connection.stream));
            cx.create(
                Session::builder(None::<ReadWrite>)
                    .on(START, move |cx, ()| -> HandlerResult {
                        let stream = stream.take().expect("a session starts once");
                        *cx.heap = Some(
                            ReadWrite::builder(stream)
                                .input(Line::new(), LINE)
                                .error(ERROR)
                                .start(cx)?,
                        );
                        Ok(())
                    })
                    .on(LINE, |cx, input| -> HandlerResult {
                        if let Some(wheel) = &*cx.heap {
                            wheel.put(format!("echo: {}", input.record))?;
                        }
                        Ok(())
                    })
                    .on(ERROR, move |cx, error| -> HandlerResult {
                        assert!(error.is_eof(), "{error}");
                        *cx.heap = None;
                        gauge.down();
                        // Not in `_stop`: what a session posts there goes with it.
                        cx.post(listener, DISCONNECTED, ())?;
                        Ok(())
                    }),
            )?;
            Ok(())
        })
        .start(&kernel)
        .await
        .unwrap();

    let (up, down) = (fours.clone(), fours.clone());
    let by_callbacks = TcpServer::builder("127.0.0.1:0")
        .alias("callback_server")
        .concurrency(4)
        .client_connected(move |_| {
            up.up();
            assert!(up.now() <= 4);
        })
        .client_input(|cx, line| cx.client().put(format!("echo: {line}")))
        .client_disconnected(move |_| down.down())
        .start(&kernel)
        .await
        .unwrap();

    clients(&kernel, &by_acceptor, "acceptor", &tally);
    clients(&kernel, &by_callbacks, "callback", &tally);
    run(&kernel).await;
    tally.is(&[
        ("acceptor answered", CLIENTS),
        ("acceptor disconnected", CLIENTS),
        ("callback answered", CLIENTS),
        ("callback disconnected", CLIENTS),
    ]);
    assert_eq!((ones.most(), ones.now()), (1, 0));
    assert!((1..=4).contains(&fours.most()) && fours.now() == 0);
}
