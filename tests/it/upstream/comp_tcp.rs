//! `comp_tcp` of POE::Test::Loops: a server with an acceptor of its own and one with callbacks, each with its client. Of
//! its 34 facts, those on missing and odd parameters are of the type system here, but for the ones below.

use crate::socket_kit::{Tally, run};
use poe::component::{SHUTDOWN, TcpClient, TcpServer};
use poe::event::{START, STOP};
use poe::filter::Line;
use poe::wheel::{Connection, Input, IoError, ReadWrite};
use poe::{Context, Event, HandlerResult, Kernel, Session, WheelId};
use std::cell::Cell;
use std::os::fd::AsFd;

const LINE: Event<Input<String>> = Event::new("got_input");
const ERROR: Event<IoError> = Event::new("got_error");
const FLUSHED: Event<WheelId> = Event::new("got_flush");

/// The session of a client that the acceptor has taken.
fn accepted(
    cx: &mut Context<'_, (), poe::component::Listener>,
    connection: Connection,
    tally: &Tally,
) -> HandlerResult {
    #[derive(Default)]
    struct Accepted {
        wheel: Option<ReadWrite>,
        quits: bool,
    }
    let (started, stopped, input, flushed) = (tally.clone(), tally.clone(), tally.clone(), tally.clone());
    let stream = Cell::new(Some(connection.stream));
    cx.create(
        Session::builder(Accepted::default())
            .on(START, move |cx, ()| -> HandlerResult {
                let stream = stream.take().expect("a session starts once");
                let wheel = ReadWrite::builder(stream)
                    .input(Line::new(), LINE)
                    .error(ERROR)
                    .flushed(FLUSHED);
                cx.heap.wheel = Some(wheel.start(cx)?);
                started.add("acceptor server got client connection");
                Ok(())
            })
            .on(LINE, move |cx, line| -> HandlerResult {
                input.add("acceptor server received input");
                cx.heap.quits = line.record == "quit";
                if let Some(wheel) = &cx.heap.wheel {
                    wheel.put(format!("echo: {}", line.record))?;
                }
                Ok(())
            })
            .on(ERROR, |cx, error| {
                assert!(error.is_eof(), "{error}");
                cx.heap.wheel = None;
            })
            .on(FLUSHED, move |cx, _| {
                flushed.add("acceptor server flushed output");
                if cx.heap.quits {
                    cx.heap.wheel = None;
                }
            })
            .on(STOP, move |_, ()| {
                stopped.add("acceptor server stopped the client session")
            }),
    )?;
    Ok(())
}

/// A client that says `quit` and waits for the end.
fn quitter(
    server: &TcpServer,
    filter: fn() -> Line,
    alias: &'static str,
    name: &'static str,
    tally: &Tally,
) -> poe::component::TcpClientBuilder<(), Line> {
    let (connected, input, flushed, failed, gone) = (
        tally.clone(),
        tally.clone(),
        tally.clone(),
        tally.clone(),
        tally.clone(),
    );
    TcpClient::builder(server.local_name())
        .filter(filter)
        .connected(move |cx| {
            connected.add(format!("{name} client connected"));
            cx.server().put("quit");
        })
        .connect_error(|_, error| panic!("{error}"))
        .server_input(move |_, line| {
            assert_eq!(line, "echo: quit");
            input.add(format!("{name} client got input"));
        })
        .server_flushed(move |_| flushed.add(format!("{name} client flushed output")))
        .server_error(move |_, error| {
            assert_eq!((error.operation(), error.errno()), ("read", Some(0)));
            failed.add(format!("{name} client got read error 0 (EOF)"));
        })
        .disconnected(move |cx| -> HandlerResult {
            gone.add(format!("{name} client disconnected"));
            cx.post(alias, SHUTDOWN, ())?;
            Ok(())
        })
}

#[tokio::test]
async fn both_servers_serve_both_clients() {
    let kernel = Kernel::new();
    let tally = Tally::default();
    let acceptor = tally.clone();
    let by_acceptor = TcpServer::builder("127.0.0.1:0")
        .alias("acceptor_server")
        .acceptor(move |cx, connection| accepted(cx, connection, &acceptor))
        .start(&kernel)
        .await
        .unwrap();
    let (pre, connected, input, flushed, gone) = (
        tally.clone(),
        tally.clone(),
        tally.clone(),
        tally.clone(),
        tally.clone(),
    );
    let by_callbacks = TcpServer::builder("127.0.0.1:0")
        .filter(|| Line::new().literal("\n"))
        .alias("input_server")
        .client_pre_connect(move |cx, stream| {
            pre.add("server got pre-connect callback");
            assert_eq!(cx.client().peer(), Some(&stream.peer_name().unwrap()));
            if stream.as_fd().try_clone_to_owned().is_ok() {
                pre.add("the argument is a socket");
            }
            async move { Ok(stream) }
        })
        .client_connected(move |_| connected.add("callback server got client connection"))
        .client_input(move |cx, line| {
            input.add("callback server got input");
            cx.client().put(format!("echo: {line}"));
            if line == "quit" {
                cx.client().shutdown();
            }
        })
        .client_flushed(move |_| flushed.add("callback server flushed output"))
        .client_error(|_, error| panic!("{error}"))
        .client_disconnected(move |_| gone.add("callback server got client disconnected"))
        .start(&kernel)
        .await
        .unwrap();
    let pre = tally.clone();
    quitter(&by_acceptor, Line::new, "acceptor_server", "acceptor", &tally)
        .pre_connect(move |_, stream| {
            pre.add("acceptor pre connect");
            if stream.as_fd().try_clone_to_owned().is_ok() {
                pre.add("acceptor has a socket");
            }
            async move { Ok(stream) }
        })
        .start(&kernel)
        .unwrap();
    let newline = || Line::new().literal("\n");
    quitter(&by_callbacks, newline, "input_server", "callback", &tally)
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    tally.is(&[
        ("acceptor client connected", 1),
        ("acceptor client disconnected", 1),
        ("acceptor client flushed output", 1),
        ("acceptor client got input", 1),
        ("acceptor client got read error 0 (EOF)", 1),
        ("acceptor has a socket", 1),
        ("acceptor pre connect", 1),
        ("acceptor server flushed output", 1),
        ("acceptor server got client connection", 1),
        ("acceptor server received input", 1),
        ("acceptor server stopped the client session", 1),
        ("callback client connected", 1),
        ("callback client disconnected", 1),
        ("callback client flushed output", 1),
        ("callback client got input", 1),
        ("callback client got read error 0 (EOF)", 1),
        ("callback server flushed output", 1),
        ("callback server got client connection", 1),
        ("callback server got client disconnected", 1),
        ("callback server got input", 1),
        ("server got pre-connect callback", 1),
        ("the argument is a socket", 1),
    ]);
}

fn refusal<T: std::fmt::Debug>(started: Result<T, poe::Error>) -> String {
    started.unwrap_err().to_string()
}

#[tokio::test]
async fn a_client_without_input_or_with_a_part_of_the_marks_says_what_to_add() {
    let kernel = Kernel::new();
    let client = || TcpClient::builder("127.0.0.1:9");
    let error = refusal(client().connected(|_| ()).start(&kernel));
    assert!(error.contains("add `server_input`"), "{error}");
    let client = || client().server_input(|_, _| ());
    let marks = [
        (client().watermarks(256, 64), "add `server_high` and `server_low`"),
        (client().server_high(|_| ()), "add `watermarks` and `server_low`"),
        (client().server_low(|_| ()), "add `watermarks` and `server_high`"),
        (client().watermarks(256, 64).server_low(|_| ()), "add `server_high`"),
        (client().watermarks(256, 64).server_high(|_| ()), "add `server_low`"),
        (client().server_high(|_| ()).server_low(|_| ()), "add `watermarks`"),
        (
            client().watermarks(64, 256).server_high(|_| ()).server_low(|_| ()),
            "0 < low < high",
        ),
    ];
    for (builder, what) in marks {
        let error = refusal(builder.start(&kernel));
        assert!(error.ends_with(what) || error.contains("0 < low < high, "), "{error}");
    }
    assert_eq!(kernel.session_count(), 0, "a refused component leaves nothing behind");
}

#[tokio::test]
async fn a_server_with_neither_or_both_of_acceptor_and_input_says_what_to_do() {
    let kernel = Kernel::new();
    let server = || TcpServer::builder("127.0.0.1:0");
    let neither = refusal(server().client_connected(|_| ()).start(&kernel).await);
    assert!(neither.contains("add `client_input`, or an `acceptor`"), "{neither}");
    let both = refusal(
        server()
            .client_input(|_, _| ())
            .acceptor(|_, _| ())
            .start(&kernel)
            .await,
    );
    assert!(both.contains("leave out one or the other"), "{both}");
    let a_part = refusal(server().client_flushed(|_| ()).acceptor(|_, _| ()).start(&kernel).await);
    assert!(a_part.contains("leave out one or the other"), "{a_part}");
    let half = refusal(
        server()
            .client_input(|_, _| ())
            .client_high(|_| ())
            .start(&kernel)
            .await,
    );
    assert!(half.ends_with("add `watermarks` and `client_low`"), "{half}");
    let late = refusal(
        server()
            .client_input(|_, _| ())
            .filter(Line::bytes)
            .client_input(|_, _| ())
            .start(&kernel)
            .await,
    );
    assert!(late.contains("name them before any handler"), "{late}");
    let own = refusal(
        server()
            .client_input(|_, _| ())
            .state("shutdown", |_, ()| ())
            .start(&kernel)
            .await,
    );
    assert!(own.contains("`shutdown` is the component's own"), "{own}");
    assert_eq!(kernel.session_count(), 0);
}

/// What a mistake costs: nothing stays bound.
#[tokio::test]
async fn law37_a_server_that_cannot_start_leaves_no_socket_behind() {
    let kernel = Kernel::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let first = crate::socket_kit::nobody(20);
    let started = TcpServer::builder(first)
        .listen(taken.local_addr().unwrap())
        .client_input(|_, _| ())
        .start(&kernel)
        .await;
    let error = started.unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
    drop(std::net::TcpListener::bind(first).expect("the first address is free again"));
    assert_eq!(kernel.session_count(), 0);
}
