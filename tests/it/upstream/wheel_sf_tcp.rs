//! POE's `wheel_sf_tcp` (POE::Test::Loops): a listener and a client made of SocketFactory and ReadWrite, and what the
//! factory says of its failures.

use crate::laws_kit::{said, say};
use poe::event::{CHILD, START};
use poe::filter::Line;
use poe::testing::assert_no_leaks;
use poe::wheel::{Connection, Input, IoError, ReadWrite, SocketError, SocketFactory};
use poe::{Event, Kernel, Session, WheelId};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const CONNECTED: Event<Connection> = Event::new("connected");
const FAILED: Event<SocketError> = Event::new("failed");
const LINE: Event<Input<String>> = Event::new("line");
const ERROR: Event<IoError> = Event::new("error");
const FLUSHED: Event<WheelId> = Event::new("flushed");

async fn run(kernel: &Kernel) {
    let ran = tokio::time::timeout(Duration::from_secs(20), kernel.run()).await;
    ran.expect("it should have ended by now").unwrap();
    assert_no_leaks(kernel);
}

/// Where nobody but these tests listens, so that a port that was just let go is not taken by another test.
const ALONE: &str = if cfg!(target_os = "linux") {
    "127.84.1.9:0"
} else {
    "127.0.0.1:0"
};

/// An address of this machine where nothing listens.
fn nobody() -> SocketAddr {
    let unused = std::net::TcpListener::bind(ALONE).unwrap();
    unused.local_addr().unwrap()
}

/// One that only tries, and says what it is told.
fn tries(make: impl Fn() -> poe::wheel::SocketFactoryBuilder + 'static) -> poe::SessionBuilder<Option<SocketFactory>> {
    Session::builder(None)
        .on(START, move |cx, ()| {
            let wheel = make().success(CONNECTED).failure(FAILED).start(cx);
            *cx.heap = Some(wheel);
        })
        .on(CONNECTED, |cx, _| {
            say("connected");
            *cx.heap = None;
        })
        .on(FAILED, |cx, error| {
            assert_eq!(Some(error.wheel()), cx.heap.as_ref().map(SocketFactory::id));
            say(format!("{} {:?}", error.operation(), error.os_error().kind()));
            assert!(error.os_error().raw_os_error().is_some_and(|errno| errno > 0));
            *cx.heap = None;
        })
}

/// The server half of POE's test: a session per client that answers each line by its rot13.
fn serves(cx: &mut poe::Context<'_, Option<SocketFactory>>, connection: Connection) -> poe::HandlerResult {
    let stream = Cell::new(Some(connection.stream));
    #[derive(Default)]
    struct Served {
        wheel: Option<ReadWrite>,
        put: usize,
        flushed: usize,
    }
    cx.create(
        Session::builder(Served::default())
            .on(START, move |cx, ()| -> poe::HandlerResult {
                let stream = stream.take().expect("a session starts once");
                let wheel = ReadWrite::builder(stream)
                    .input(Line::new(), LINE)
                    .error(ERROR)
                    .flushed(FLUSHED);
                cx.heap.wheel = Some(wheel.start(cx)?);
                Ok(())
            })
            .on(LINE, |cx, input| -> poe::HandlerResult {
                let turned = input.record.chars().map(|c| match c {
                    'a'..='m' | 'A'..='M' => (c as u8 + 13) as char,
                    'n'..='z' | 'N'..='Z' => (c as u8 - 13) as char,
                    other => other,
                });
                cx.heap.put += 1;
                if let Some(wheel) = &cx.heap.wheel {
                    wheel.put(turned.collect::<String>())?;
                }
                Ok(())
            })
            .on(FLUSHED, |cx, _| cx.heap.flushed += 1)
            .on(ERROR, |cx, error| {
                say(format!("server: {} errno {:?}", error.operation(), error.errno()));
                assert_eq!(
                    cx.heap.put, cx.heap.flushed,
                    "every answer was flushed before the next line came"
                );
                cx.heap.wheel = None;
            }),
    )?;
    Ok(())
}

#[tokio::test]
async fn a_listener_and_a_client_talk_and_end() {
    let kernel = Kernel::new();
    let address = Rc::new(Cell::new(None));
    let bound = address.clone();
    Session::builder(None::<SocketFactory>)
        .on(START, move |cx, ()| {
            let listener = SocketFactory::listen("127.0.0.1:0")
                .success(CONNECTED)
                .failure(FAILED)
                .start(cx);
            bound.set(listener.local_addr());
            *cx.heap = Some(listener);
        })
        .on(CONNECTED, |cx, connection| {
            say("accepted");
            assert_eq!(Some(connection.wheel), cx.heap.as_ref().map(SocketFactory::id));
            assert_eq!(connection.peer, connection.stream.peer_name().unwrap());
            serves(cx, connection)?;
            // One client is enough. The connection lives on without the listener.
            *cx.heap = None;
            Ok::<_, poe::Failure>(())
        })
        .on(CHILD, |_, _| ())
        .create(&kernel)
        .unwrap();
    let address: SocketAddr = address.get().expect("a numeric address is bound at once");

    #[derive(Default)]
    struct Client {
        factory: Option<SocketFactory>,
        wheel: Option<ReadWrite>,
        lines: usize,
    }
    Session::builder(Client::default())
        .on(START, move |cx, ()| {
            let factory = SocketFactory::connect(address)
                .success(CONNECTED)
                .failure(FAILED)
                .start(cx);
            cx.heap.factory = Some(factory);
        })
        .on(CONNECTED, move |cx, connection| -> poe::HandlerResult {
            assert_eq!(connection.peer, address);
            // The factory goes as the ReadWrite comes.
            cx.heap.factory = None;
            let wheel = ReadWrite::builder(connection.stream)
                .input(Line::new(), LINE)
                .error(ERROR)
                .start(cx)?;
            wheel.put("this is line one")?;
            cx.heap.wheel = Some(wheel);
            Ok(())
        })
        .on(LINE, |cx, input| -> poe::HandlerResult {
            say(format!("client: {}", input.record));
            cx.heap.lines += 1;
            match (&cx.heap.wheel, cx.heap.lines) {
                (Some(wheel), 1) => drop(wheel.put("this is line two")?),
                _ => cx.heap.wheel = None,
            }
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    let expected = [
        "accepted",
        "client: guvf vf yvar bar",
        "client: guvf vf yvar gjb",
        "server: read errno Some(0)",
    ];
    assert_eq!(said(), expected);
}

#[tokio::test]
async fn a_refused_connection_is_a_failure_of_connect_with_its_errno() {
    let kernel = Kernel::new();
    let address = nobody();
    tries(move || SocketFactory::connect(address)).create(&kernel).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["connect ConnectionRefused"]);
}

#[tokio::test]
async fn an_address_that_is_taken_is_a_failure_of_bind_or_listen() {
    let kernel = Kernel::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    tries(move || SocketFactory::listen(address)).create(&kernel).unwrap();
    run(&kernel).await;
    let said = said();
    assert!(
        ["bind AddrInUse", "listen AddrInUse"].contains(&&*said[0]) && said.len() == 1,
        "{said:?}"
    );
}

#[tokio::test]
async fn dropping_the_listener_closes_its_port() {
    let kernel = Kernel::new();
    let address = Rc::new(Cell::new(None));
    let bound = address.clone();
    Session::builder(None::<SocketFactory>)
        .on(START, move |cx, ()| {
            let listener = SocketFactory::listen(ALONE)
                .success(CONNECTED)
                .failure(FAILED)
                .start(cx);
            bound.set(listener.local_addr());
            *cx.heap = Some(listener);
            cx.yield_to("close", ());
        })
        .on("close", |cx, ()| *cx.heap = None)
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    let address: SocketAddr = address.get().unwrap();
    let refused = std::net::TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}
