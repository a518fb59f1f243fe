//! A failure in a component's callback names the callback and its component as the program knows them, because the failing
//! event is internal to the component.

use crate::socket_kit::{Log, nobody, run, within};
#[cfg(unix)]
use crate::traced::Trace;
use poe::component::{SHUTDOWN, TcpClient, TcpServer};
use poe::{Error, Event, Failure, HandlerResult, Kernel, OnFailure, Signal};
use std::io;
use std::rc::Rc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const DIED: Event<Signal> = Event::new("died");

fn on_purpose() -> HandlerResult {
    Err(Failure::msg("on purpose"))
}

/// Runs to the failure that ends it, beside a client that connects, sends a line and keeps reading.
async fn failed(kernel: &Kernel, server: &TcpServer) -> Error {
    let talk = async {
        // The server may be gone before a client comes, or go while one is connected.
        let mut stream = TcpStream::connect(server.local_addr().unwrap()).await?;
        let peer = stream.local_addr()?;
        let _ = stream.write_all(b"hello\n").await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        io::Result::Ok(peer)
    };
    let (peer, ran) = within(async { tokio::join!(talk, kernel.run()) }).await;
    let error = ran.unwrap_err();
    let callback = error.failure().unwrap().callback().unwrap();
    if callback.contains(" (client ") {
        assert!(
            callback.ends_with(&format!(" (client {})", peer.unwrap())),
            "{callback}"
        );
    }
    error
}

/// The callback that has failed, without the client's address.
fn callback(error: &Error) -> String {
    let callback = error.failure().unwrap().callback().unwrap_or("none");
    callback.split(" (").next().unwrap().to_owned()
}

#[tokio::test]
async fn each_callback_of_a_server_is_in_the_text_of_the_error() {
    let server = || {
        TcpServer::builder("127.0.0.1:0")
            .alias("echo")
            .client_on_failure(OnFailure::StopKernel)
    };
    let quiet = || server().client_input(|cx, _| cx.client().shutdown());
    let cases = [
        ("client_input", server().client_input(|_, _| on_purpose())),
        ("client_connected", quiet().client_connected(|_| on_purpose())),
        ("client_disconnected", quiet().client_disconnected(|_| on_purpose())),
        (
            "client_flushed",
            server()
                .client_input(|cx, line| cx.client().put(line))
                .client_flushed(|_| on_purpose()),
        ),
        (
            "client_high",
            server()
                .client_input(|cx, line| cx.client().put(line))
                .watermarks(2, 1)
                .client_high(|_| on_purpose()),
        ),
        (
            "client_error",
            server()
                .filter(|| poe::filter::Line::new().max_length(1))
                .client_error(|_, _| on_purpose()),
        ),
        ("started", quiet().started(|_| on_purpose())),
        ("stopped", {
            quiet()
                .stopped(|_| on_purpose())
                .client_disconnected(|cx| cx.post("echo", SHUTDOWN, ()))
        }),
    ];
    let mut started = Vec::new();
    for (name, builder) in cases {
        let kernel = Kernel::new();
        started.push((name, builder.start(&kernel).await.unwrap(), kernel));
    }
    let (kernel, acceptor) = (Kernel::new(), server().acceptor(|_, _| on_purpose()));
    started.push(("acceptor", acceptor.start(&kernel).await.unwrap(), kernel));
    for (name, server, kernel) in started {
        let error = failed(&kernel, &server).await;
        assert_eq!(callback(&error), format!("`{name}` of the server `echo`"));
        assert_eq!(error.failure().unwrap().to_string(), "on purpose");
        let text = error.to_string();
        assert!(text.starts_with(&format!("`{name}` of the server `echo`")), "{text}");
        assert!(text.ends_with("): on purpose"), "{text}");
    }
}

#[tokio::test]
async fn the_makers_of_heaps_and_filters_of_a_server_are_in_the_text_too() {
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_on_failure(OnFailure::StopKernel)
        .client_heap(|_| -> u8 { panic!("no heap") })
        .start(&kernel)
        .await
        .unwrap();
    let error = failed(&kernel, &server).await;
    let name = format!("`client_heap` of the server at {}", server.local_name());
    assert_eq!(callback(&error), name);
    assert!(error.failure().unwrap().is_panic());
    let kernel = Kernel::new();
    let made = std::cell::Cell::new(0);
    let server = TcpServer::builder("127.0.0.1:0")
        .client_on_failure(OnFailure::StopKernel)
        .filter(move || {
            made.set(made.get() + 1);
            assert!(made.get() < 2, "the first is looked at by `start`");
            poe::filter::Line::new()
        })
        .start(&kernel)
        .await
        .unwrap();
    let error = failed(&kernel, &server).await;
    assert_eq!(
        callback(&error),
        format!("`filter` of the server at {}", server.local_name())
    );
}

#[tokio::test]
async fn a_panic_of_pre_connect_is_labelled_in_the_closure_and_in_the_future() {
    for early in [true, false] {
        let kernel = Kernel::new();
        let server = TcpServer::builder("127.0.0.1:0")
            .alias("echo")
            .client_on_failure(OnFailure::StopKernel)
            .client_pre_connect(move |_, stream| {
                assert!(!early, "in the closure");
                async move {
                    assert!(early, "in the future");
                    Ok(stream)
                }
            })
            .start(&kernel)
            .await
            .unwrap();
        let error = failed(&kernel, &server).await;
        assert_eq!(callback(&error), "`client_pre_connect` of the server `echo`");
        let failure = error.failure().unwrap();
        let text = if early { "in the closure" } else { "in the future" };
        assert!(failure.is_panic() && failure.to_string().ends_with(text), "{failure}");
    }
}

#[tokio::test]
async fn each_callback_of_a_client_is_in_the_text_of_the_error() {
    for alias in [Some("ann"), None] {
        for name in [
            "started",
            "connected",
            "server_input",
            "server_flushed",
            "server_high",
            "server_error",
            "disconnected",
        ] {
            let kernel = Kernel::new();
            let server = TcpServer::builder("127.0.0.1:0")
                .client_connected(|cx| cx.client().put("hello"))
                .client_input(|cx, _| cx.client().shutdown())
                .start(&kernel)
                .await
                .unwrap();
            let fails = move |callback: &str| {
                if callback == name { on_purpose() } else { Ok(()) }
            };
            let mut client = TcpClient::builder(server.local_name())
                .started(move |_| fails("started"))
                .connected(move |_| fails("connected"))
                .server_input(move |cx, _| {
                    cx.server().put("answer");
                    fails("server_input")
                })
                .server_flushed(move |_| fails("server_flushed"))
                .watermarks(2, 1)
                .server_high(move |_| fails("server_high"))
                .server_error(move |_, _| fails("server_error"))
                .disconnected(move |_| fails("disconnected"));
            if let Some(alias) = alias {
                client = client.alias(alias);
            }
            client.start(&kernel).unwrap();
            let error = within(kernel.run()).await.unwrap_err();
            let whose = match alias {
                Some(alias) => format!("the client `{alias}`"),
                None => format!("the client of {}", server.local_name()),
            };
            assert_eq!(callback(&error), format!("`{name}` of {whose}"));
        }
    }
    let (kernel, addr) = (Kernel::new(), nobody(93));
    TcpClient::builder(addr)
        .connect_error(|_, _| on_purpose())
        .start(&kernel)
        .unwrap();
    let error = within(kernel.run()).await.unwrap_err();
    assert_eq!(callback(&error), format!("`connect_error` of the client of {addr}"));
}

/// The failure itself keeps its text and its cause.
#[tokio::test]
async fn a_die_handler_has_the_callback_the_event_and_the_cause() {
    let kernel = Kernel::new();
    let log = Log::default();
    let told = log.clone();
    let server = TcpServer::builder("127.0.0.1:0")
        .alias("adder")
        .client_connected(|cx| cx.sig("DIE", DIED))
        .client_input(|_, line| -> HandlerResult {
            line.parse::<u64>()?;
            Ok(())
        })
        .state(DIED, move |cx, signal| {
            cx.sig_handled();
            let die = signal.die().unwrap();
            assert!(die.failure.callback().unwrap().starts_with("`client_input` of"));
            assert!(die.failure.source().unwrap().is::<std::num::ParseIntError>());
            assert!(!die.failure.is_panic() && die.failure.wrong_type().is_none());
            told.say(format!("{}: {}", die.event, die.failure));
            cx.client().shutdown();
        })
        .start(&kernel)
        .await
        .unwrap();
    TcpClient::builder(server.local_name())
        .connected(|cx| cx.server().put("one"))
        .disconnected(move |_| server.shutdown())
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(log.lines(), ["tcp_got_input: invalid digit found in string"]);
}

/// If one callback leads to another, the inner one is reported as failed; a state of the user is not a callback.
#[tokio::test]
async fn the_innermost_callback_is_reported_and_a_state_by_its_own_name() {
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_on_failure(OnFailure::StopKernel)
        .client_input(|cx, _| -> HandlerResult {
            let me = cx.session_id();
            cx.call(me, SHUTDOWN, ())?;
            Ok(())
        })
        .client_disconnected(|_| on_purpose())
        .start(&kernel)
        .await
        .unwrap();
    let error = failed(&kernel, &server).await;
    assert!(
        callback(&error).starts_with("`client_disconnected` of the server at 127."),
        "{error}"
    );

    let kernel = Kernel::new();
    TcpClient::builder(nobody(94))
        .started(|cx| cx.yield_to("a state", ()))
        .state("a state", |_, ()| on_purpose())
        .connect_error(|_, _: poe::wheel::SocketError| ())
        .start(&kernel)
        .unwrap();
    let error = within(kernel.run()).await.unwrap_err();
    assert!(error.failure().unwrap().callback().is_none());
    assert_eq!(error.to_string(), "event `a state` of session 1 failed: on purpose");
}

/// A server without an alias is labelled with its address; a client without a name has no label.
#[cfg(unix)]
#[tokio::test]
async fn a_server_on_a_unix_socket_is_labelled_with_its_path() {
    let kernel = Kernel::new();
    let path = crate::socket_kit::SocketPath::new("fails");
    let server = TcpServer::builder(&*path.0)
        .client_on_failure(OnFailure::StopKernel)
        .client_input(|_, _| on_purpose())
        .start(&kernel)
        .await
        .unwrap();
    TcpClient::builder(server.local_name())
        .connected(|cx| cx.server().put("hello"))
        .start(&kernel)
        .unwrap();
    let error = within(kernel.run()).await.unwrap_err();
    let name = format!("`client_input` of the server at unix:{}", path.0.display());
    assert_eq!(error.failure().unwrap().callback(), Some(&*name));
}

/// L70: a failure during a failure is reported with the first one.
#[tokio::test]
async fn a_failure_while_one_is_handled_keeps_the_first_ones_callback() {
    let kernel = Kernel::new();
    TcpClient::builder(nobody(95))
        .alias("ann")
        .started(|cx| cx.sig("DIE", DIED))
        .state(DIED, |_, _| Err::<(), _>(io::Error::other("once more")))
        .connect_error(|_, _| on_purpose())
        .start(&kernel)
        .unwrap();
    let text = within(kernel.run()).await.unwrap_err().to_string();
    assert!(
        text.starts_with("`connect_error` of the client `ann` failed (event `"),
        "{text}"
    );
    assert!(text.contains("on purpose") && text.ends_with("once more"), "{text}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_trace_of_a_failure_names_the_callback() {
    crate::in_child::in_child!();
    let trace = Trace::of("poe::sessions=debug");
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .alias("echo")
        .client_on_failure(OnFailure::StopKernel)
        .client_input(|_, _| on_purpose())
        .start(&kernel)
        .await
        .unwrap();
    failed(&kernel, &server).await;
    let lines = trace.lines();
    let line = lines.iter().find(|line| line.contains("handler failed")).unwrap();
    assert!(
        line.contains("event=tcp_got_input callback=\"`client_input` of the server `echo` (client 127."),
        "{line}"
    );
}

/// An alias that was removed already is not an error.
#[tokio::test]
async fn a_component_that_is_shut_down_twice_has_no_error_to_tell_of() {
    let kernel = Kernel::builder().assert_retvals(true).build();
    let server = TcpServer::builder("127.0.0.1:0")
        .alias("server")
        .start(&kernel)
        .await
        .unwrap();
    let held = Rc::new(std::cell::RefCell::new(None));
    let own = held.clone();
    let client = TcpClient::builder(server.local_name())
        .alias("client")
        .connected(move |_| {
            let client: Option<TcpClient> = own.borrow_mut().take();
            let client = client.unwrap();
            for _ in 0..2 {
                client.shutdown();
                server.shutdown();
            }
        })
        .start(&kernel)
        .unwrap();
    *held.borrow_mut() = Some(client);
    run(&kernel).await;
}
