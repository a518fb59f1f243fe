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
) -> poe::component::TcpClientBuilder<(), Line, poe::component::WithCallbacks> {
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
            if stream.as_tcp().unwrap().as_fd().try_clone_to_owned().is_ok() {
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
            if stream.as_tcp().unwrap().as_fd().try_clone_to_owned().is_ok() {
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
async fn a_client_needs_no_callback_and_no_pair_of_marks_and_callbacks() {
    let kernel = Kernel::new();
    let nobody = crate::socket_kit::nobody(21);
    let client = || TcpClient::builder(nobody);
    client().start(&kernel).unwrap();
    client().watermarks(256, 64).start(&kernel).unwrap();
    client().server_high(|_| ()).start(&kernel).unwrap();
    client().server_low(|_| ()).start(&kernel).unwrap();
    client().watermarks(256, 64).server_low(|_| ()).start(&kernel).unwrap();
    let error = refusal(client().watermarks(64, 256).start(&kernel));
    assert!(error.contains("0 < low < high, "), "{error}");
    for (builder, name) in [
        (client().idle_timeout(std::time::Duration::ZERO), "`idle_timeout`"),
        (
            client().first_record_timeout(std::time::Duration::ZERO),
            "`first_record_timeout`",
        ),
        (client().record_timeout(std::time::Duration::ZERO), "`record_timeout`"),
    ] {
        let error = refusal(builder.start(&kernel));
        assert!(error.contains(name), "{error}");
    }
    kernel.run().await.unwrap();
    assert_eq!(kernel.session_count(), 0, "a refused component leaves nothing behind");
}

#[tokio::test]
async fn a_server_needs_no_callback_and_says_what_does_not_go_together() {
    let kernel = Kernel::new();
    let server = || TcpServer::builder("127.0.0.1:0");
    server().start(&kernel).await.unwrap().shutdown();
    server().client_high(|_| ()).start(&kernel).await.unwrap().shutdown();
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
    let counted = refusal(
        server()
            .max_connections_per_ip(1)
            .acceptor(|_, _| ())
            .start(&kernel)
            .await,
    );
    assert!(counted.contains("`max_connections_per_ip`"), "{counted}");
    let own = refusal(server().state("shutdown", |_, ()| ()).start(&kernel).await);
    assert!(own.contains("`shutdown` is the component's own"), "{own}");
    kernel.run().await.unwrap();
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
        .start(&kernel)
        .await;
    let error = started.unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
    drop(std::net::TcpListener::bind(first).expect("the first address is free again"));
    assert_eq!(kernel.session_count(), 0);
}
