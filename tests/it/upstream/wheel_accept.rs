//! `wheel_accept` of POE::Test::Loops: a ListenAccept on somebody else's socket takes five clients, by the names that its
//! events were given last.

use crate::socket_kit::{Tally, run};
use poe::event::START;
use poe::wheel::{Connection, SocketError, SocketFactory};
use poe::{Event, Kernel, Session};
use std::rc::Rc;

const CLIENTS: usize = 5;
const CLIENT: Event<Connection> = Event::new("got_connection");
const FAILED: Event<SocketError> = Event::new("got_error");

#[tokio::test]
async fn five_clients_are_taken_and_the_socket_outlives_the_wheel() {
    let kernel = Kernel::new();
    let tally = Tally::default();
    let socket = Rc::new(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    let addr = socket.local_addr().unwrap();
    let (listener, accepts) = (socket.clone(), tally.clone());
    Session::builder(None::<SocketFactory>)
        .on(START, move |cx, ()| {
            let wheel = SocketFactory::on(listener.clone())
                .success("got_connection_nonexistent")
                .failure("got_error_nonexistent")
                .start(cx);
            wheel.set_success_event(CLIENT);
            wheel.set_failure_event(FAILED);
            *cx.heap = Some(wheel);
        })
        .on(CLIENT, move |cx, client| {
            assert_eq!(Some(client.wheel), cx.heap.as_ref().map(SocketFactory::id));
            assert_eq!(client.peer, client.stream.peer_name().unwrap());
            accepts.add("accepted");
            if accepts.of("accepted") == CLIENTS {
                *cx.heap = None;
            }
        })
        .on(FAILED, |_, error| panic!("{error}"))
        .create(&kernel)
        .unwrap();
    for _ in 0..CLIENTS {
        let connects = tally.clone();
        Session::builder(None::<SocketFactory>)
            .on(START, move |cx, ()| {
                *cx.heap = Some(SocketFactory::connect(addr).success(CLIENT).failure(FAILED).start(cx));
            })
            .on(CLIENT, move |cx, connection| {
                assert_eq!(connection.peer, addr);
                connects.add("connected");
                *cx.heap = None;
            })
            .on(FAILED, |_, error| panic!("{error}"))
            .create(&kernel)
            .unwrap();
    }
    run(&kernel).await;
    tally.is(&[("accepted", CLIENTS), ("connected", CLIENTS)]);
    // LA1: the wheel has let go of the socket and not closed it.
    let (_client, accepted) = tokio::join!(tokio::net::TcpStream::connect(addr), socket.accept());
    accepted.unwrap();
}
