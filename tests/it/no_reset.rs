//! Peers that did nothing wrong see the end of a connection and not a reset: those that wait in the backlog of a listener
//! that closes, and those whose last bytes nobody has read.

use crate::socket_kit::{Log, SocketPath, Tally, run, run_with};
use poe::component::TcpServer;
use poe::event::START;
use poe::filter::Raw;
use poe::wheel::{AnyReadWrite, Connection, Input, ReadWrite, SocketFactory};
use poe::{Event, Kernel, Session};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const ACCEPTED: Event<Connection> = Event::new("accepted");
const CLIENTS: usize = 20;
const LIMIT: Duration = Duration::from_secs(60);

/// Clients that are connected, and have sent a line, before the kernel has had a chance to accept them.
fn waiting(addr: SocketAddr) -> Vec<TcpStream> {
    let client = |n| {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        writeln!(stream, "request {n}").unwrap();
        stream
    };
    (0..CLIENTS).map(client).collect()
}

/// All that each client hears to the end, which must be a good one.
async fn heard(clients: Vec<TcpStream>) -> Vec<String> {
    let all = tokio::task::spawn_blocking(|| {
        let hear = |mut client: TcpStream| {
            let mut text = String::new();
            client.read_to_string(&mut text).map(|_| text)
        };
        clients.into_iter().map(hear).collect::<Result<Vec<_>, _>>()
    });
    all.await.unwrap().expect("the end, and no reset")
}

/// How a server is asked to end.
type End = fn(&TcpServer);

fn echo() -> poe::component::TcpServerBuilder<(), poe::filter::Line, poe::component::WithCallbacks> {
    TcpServer::builder("127.0.0.1:0").client_input(|cx, line| {
        cx.client().put(format!("reply to {line}"));
        cx.client().shutdown();
    })
}

#[tokio::test]
async fn who_waits_in_the_backlog_of_a_server_that_listens_no_more_is_served() {
    let kernel = Kernel::new();
    let server = echo().start(&kernel).await.unwrap();
    let addr = server.local_addr().unwrap();
    let clients = waiting(addr);
    server.shutdown();
    assert!(TcpStream::connect(addr).is_err(), "the port is free at once");
    let heard = run_with(&kernel, heard(clients)).await;
    let replies = (0..CLIENTS).map(|n| format!("reply to request {n}\r\n"));
    assert_eq!(heard, replies.collect::<Vec<_>>());
}

#[tokio::test]
async fn who_waits_in_the_backlog_is_connected_before_a_server_ends_with_its_clients() {
    for end in [TcpServer::shutdown_clients as End, TcpServer::abort_clients as End] {
        let kernel = Kernel::new();
        let tally = Tally::default();
        let (connected, gone) = (tally.clone(), tally.clone());
        let server = echo()
            .client_connected(move |_| connected.add("connected"))
            .client_disconnected(move |_| gone.add("disconnected"))
            .start(&kernel)
            .await
            .unwrap();
        let clients = waiting(server.local_addr().unwrap());
        end(&server);
        // They may have had their replies by then.
        run_with(&kernel, heard(clients)).await;
        tally.is(&[("connected", CLIENTS), ("disconnected", CLIENTS)]);
    }
}

/// There is no session for them, or no place, or no listener any more: they see the end.
#[tokio::test]
async fn who_waits_in_the_backlog_and_cannot_be_served_sees_the_end() {
    // The kernel is shut down.
    let kernel = Kernel::new();
    let server = echo().start(&kernel).await.unwrap();
    let clients = waiting(server.local_addr().unwrap());
    let report = kernel.shutdown(LIMIT).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(heard(clients).await, [""; CLIENTS]);

    // The listener's session has posted them to itself, and the kernel is shut down before it gets them.
    let server = echo().start(&kernel).await.unwrap();
    let clients = waiting(server.local_addr().unwrap());
    server.shutdown();
    let report = kernel.shutdown(LIMIT).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(heard(clients).await, [""; CLIENTS]);

    // The server has fewer places.
    let server = echo().concurrency(3).start(&kernel).await.unwrap();
    let clients = waiting(server.local_addr().unwrap());
    server.shutdown();
    let all = run_with(&kernel, heard(clients)).await;
    assert_eq!(all.iter().filter(|text| text.starts_with("reply")).count(), 3);

    // A bare wheel is dropped.
    let kernel = Kernel::new();
    let clients = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let theirs = clients.clone();
    Session::builder(())
        .on(START, move |cx, ()| {
            let wheel = SocketFactory::listen("127.0.0.1:0").success(ACCEPTED).start(cx);
            theirs.replace(waiting(wheel.local_addr().unwrap()));
        })
        .on(ACCEPTED, |_, _| panic!("it was dropped before"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(heard(clients.take()).await, [""; CLIENTS]);
}

/// A client that the server refuses has sent something already.
#[tokio::test]
async fn a_client_with_too_many_connections_sees_the_end() {
    let kernel = Kernel::new();
    let server = echo().max_connections_per_ip(1).start(&kernel).await.unwrap();
    let clients = waiting(server.local_addr().unwrap());
    server.shutdown();
    let all = run_with(&kernel, heard(clients)).await;
    assert_eq!(all.iter().filter(|text| text.starts_with("reply")).count(), 1);
    assert_eq!(all.iter().filter(|text| text.is_empty()).count(), CLIENTS - 1);
}

#[tokio::test]
async fn who_waits_in_the_backlog_of_a_unix_socket_is_served() {
    let kernel = Kernel::new();
    let path = SocketPath::new("backlog");
    let server = TcpServer::builder(&*path.0)
        .client_input(|cx, line| {
            cx.client().put(line);
            cx.client().shutdown();
        })
        .start(&kernel)
        .await
        .unwrap();
    let mut client = UnixStream::connect(&path.0).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    writeln!(client, "hello").unwrap();
    server.shutdown();
    let hear = async {
        let hear = move || {
            let mut text = String::new();
            client.read_to_string(&mut text).map(|_| text)
        };
        tokio::task::spawn_blocking(hear).await.unwrap()
    };
    assert_eq!(run_with(&kernel, hear).await.unwrap(), "hello\r\n");
}

/// A socket that the program has passed in may be another's as well, who accepts from it.
#[tokio::test]
async fn the_backlog_of_a_socket_that_was_passed_in_is_left_alone() {
    let kernel = Kernel::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let ours = tokio::net::TcpListener::from_std(listener.try_clone().unwrap()).unwrap();
    let shared = tokio::net::TcpListener::from_std(listener.try_clone().unwrap()).unwrap();
    let server = TcpServer::on(ours)
        .client_input(|_, _| panic!("it was not accepted here"))
        .start(&kernel)
        .await
        .unwrap();
    Session::builder(None)
        .on(START, |cx, shared: tokio::net::TcpListener| {
            *cx.heap = Some(SocketFactory::on(shared).success(ACCEPTED).start(cx));
            *cx.heap = None;
        })
        .on(ACCEPTED, |_, _| panic!("it was not accepted here"))
        .args(shared)
        .create(&kernel)
        .unwrap();
    let mut client = TcpStream::connect(addr).unwrap();
    client.write_all(b"hello").unwrap();
    server.shutdown();
    run(&kernel).await;
    listener.set_nonblocking(false).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    let mut bytes = [0; 5];
    accepted.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
}

/// More than the system's buffers of the two sides take at once would hold, and input that nobody reads.
#[tokio::test]
async fn a_wheel_that_is_dropped_with_unread_input_loses_no_output_that_the_system_has() {
    const GOT: Event<Input<bytes::Bytes>> = Event::new("got");
    const DROP: Event<u32> = Event::new("drop");
    let kernel = Kernel::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    // A small window: the rest of the output waits on the sender's side.
    let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    client.set_recv_buffer_size(4096).unwrap();
    client.connect(&addr.into()).unwrap();
    let mut client = TcpStream::from(client);
    client.set_read_timeout(Some(LIMIT)).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    accepted.set_nonblocking(true).unwrap();
    let accepted = tokio::net::TcpStream::from_std(accepted).unwrap();
    const OUTPUT: usize = 200_000;
    let log = Log::default();
    let written = log.clone();
    Session::builder(None::<AnyReadWrite>)
        .on(START, |cx, accepted: tokio::net::TcpStream| -> poe::HandlerResult {
            let wheel = ReadWrite::builder(accepted).input(Raw::new(), GOT).start(cx)?;
            wheel.pause_input();
            wheel.put(vec![b'x'; OUTPUT])?;
            *cx.heap = Some(wheel.into_any());
            cx.yield_to(DROP, 0);
            Ok(())
        })
        .on(GOT, |_, _| panic!("the input is paused"))
        .on(DROP, move |cx, slices| {
            let waits = cx.heap.as_ref().is_some_and(|wheel| wheel.buffered_bytes() > 0);
            if waits && slices < 1000 {
                cx.yield_to(DROP, slices + 1);
            } else {
                written.say(waits);
                *cx.heap = None;
            }
        })
        .args(accepted)
        .create(&kernel)
        .unwrap();
    client.write_all(&[b'y'; 10_000]).unwrap();
    run(&kernel).await;
    assert_eq!(log.lines(), ["false"], "the system did not take the output");
    let mut all = Vec::new();
    let ended = client.read_to_end(&mut all);
    assert!(ended.is_ok() && all.len() == OUTPUT, "{} bytes, {ended:?}", all.len());
}
