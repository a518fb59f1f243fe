//! `wheel_sf_unix` of POE::Test::Loops: the pair of `wheel_sf_tcp` over a UNIX socket, and SF4's errors for paths.

use crate::socket_kit::{Log, SocketPath, rot13, run};
use poe::event::{CHILD, ChildReason, START, STOP};
use poe::filter::Line;
use poe::wheel::{Connection, Input, IoError, ReadWrite, SocketError, SocketFactory, SocketName};
use poe::{Event, HandlerResult, Kernel, Session, WheelId};
use std::cell::Cell;

const CONNECTED: Event<Connection> = Event::new("connected");
const FAILED: Event<SocketError> = Event::new("failed");
const LINE: Event<Input<String>> = Event::new("line");
const ERROR: Event<IoError> = Event::new("error");
const FLUSHED: Event<WheelId> = Event::new("flushed");

#[derive(Default)]
struct Talk {
    factory: Option<SocketFactory>,
    wheel: Option<ReadWrite>,
    put: usize,
    flushed: usize,
}

/// The session of the one client that is served.
fn serves(cx: &mut poe::Context<'_, Talk>, connection: Connection, log: &Log) -> HandlerResult {
    let stream = Cell::new(Some(connection.stream));
    let (stopped, failed) = (log.clone(), log.clone());
    cx.create(
        Session::builder(Talk::default())
            .on(START, move |cx, ()| -> HandlerResult {
                let stream = stream.take().expect("a session starts once");
                let wheel = ReadWrite::builder(stream)
                    .input(Line::new(), LINE)
                    .error(ERROR)
                    .flushed(FLUSHED);
                cx.heap.wheel = Some(wheel.start(cx)?);
                Ok(())
            })
            .on(LINE, |cx, input| -> HandlerResult {
                cx.heap.put += 1;
                if let Some(wheel) = &cx.heap.wheel {
                    wheel.put(rot13(&input.record))?;
                }
                Ok(())
            })
            .on(FLUSHED, |cx, _| cx.heap.flushed += 1)
            .on(ERROR, move |cx, error| {
                failed.say(format!("served: errno {:?}", error.errno()));
                cx.heap.wheel = None;
            })
            .on(STOP, move |cx, ()| {
                stopped.say(format!("served: {} put, {} flushed", cx.heap.put, cx.heap.flushed))
            }),
    )?;
    Ok(())
}

#[tokio::test]
async fn a_listener_and_a_client_talk_over_a_path() {
    let kernel = Kernel::new();
    let log = Log::default();
    let path = SocketPath::new("sf-unix");
    let (listen, accepted, at) = (log.clone(), log.clone(), path.0.clone());
    Session::builder(Talk::default())
        .on(START, move |cx, ()| {
            let listener = SocketFactory::listen(&*at).success(CONNECTED).failure(FAILED).start(cx);
            assert_eq!(listener.local_name(), Some(SocketName::Unix(Some(at.clone()))));
            assert_eq!(listener.local_addr(), None);
            cx.heap.factory = Some(listener);
        })
        .on(CONNECTED, move |cx, connection| {
            assert_eq!(connection.peer, SocketName::Unix(None));
            serves(cx, connection, &accepted)
        })
        .on(FAILED, |_, error| panic!("{error}"))
        .on(CHILD, move |cx, child| {
            if child.reason == ChildReason::Lose {
                listen.say("lost the child");
                cx.heap.factory = None;
            }
        })
        .create(&kernel)
        .unwrap();
    let (client, at) = (log.clone(), path.0.clone());
    Session::builder(Talk::default())
        .on(START, move |cx, ()| {
            let factory = SocketFactory::connect(&*at).success(CONNECTED).failure(FAILED);
            cx.heap.factory = Some(factory.start(cx));
        })
        .on(CONNECTED, |cx, connection| -> HandlerResult {
            assert!(connection.peer.as_path().is_some());
            cx.heap.factory = None;
            let wheel = ReadWrite::builder(connection.stream)
                .input(Line::new(), LINE)
                .error(ERROR)
                .start(cx)?;
            wheel.put("1: this is a test")?;
            assert_eq!((wheel.buffered_bytes(), wheel.out_messages()), (19, 1));
            cx.heap.wheel = Some(wheel);
            Ok(())
        })
        .on(LINE, move |cx, input| -> HandlerResult {
            let line = rot13(&input.record);
            client.say(&line);
            match line.strip_prefix("1: ") {
                Some(rest) => drop(cx.heap.wheel.as_ref().expect("it reads").put(format!("2: {rest}"))?),
                None => cx.heap.wheel = None,
            }
            Ok(())
        })
        .on(FAILED, |_, error| panic!("{error}"))
        .on(ERROR, |_, error| panic!("{error}"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    let expected = [
        "1: this is a test",
        "2: this is a test",
        "served: errno Some(0)",
        "served: 2 put, 2 flushed",
        "lost the child",
    ];
    assert_eq!(log.lines(), expected);
}

async fn failure_of(make: impl Fn() -> poe::wheel::SocketFactoryBuilder + 'static) -> String {
    let kernel = Kernel::new();
    let log = Log::default();
    let said = log.clone();
    Session::builder(None::<SocketFactory>)
        .on(START, move |cx, ()| {
            *cx.heap = Some(make().success(CONNECTED).failure(FAILED).start(cx))
        })
        .on(CONNECTED, |_, _| panic!("connected"))
        .on(FAILED, move |_, error| {
            said.say(format!("{} {:?}", error.operation(), error.os_error().kind()))
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    log.lines().join(", ")
}

#[tokio::test]
async fn sf4_a_path_that_is_missing_or_there_already() {
    let missing = SocketPath::new("sf-missing");
    let path = missing.0.clone();
    assert_eq!(
        failure_of(move || SocketFactory::connect(&*path)).await,
        "connect NotFound"
    );
    let there = SocketPath::new("sf-there");
    std::fs::write(&there.0, "not a socket").unwrap();
    let path = there.0.clone();
    assert_eq!(
        failure_of(move || SocketFactory::listen(&*path)).await,
        "bind AddrInUse"
    );
    assert!(there.0.exists(), "what is there is nobody's to remove");
}
