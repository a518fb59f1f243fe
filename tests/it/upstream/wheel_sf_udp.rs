//! `wheel_sf_udp` of POE::Test::Loops: two datagram sockets throw ten datagrams each way.

use crate::socket_kit::{Log, SocketPath, rot13, run};
use poe::event::START;
use poe::wheel::{Address, Datagram, DatagramSocket, Packet, SocketError, SocketFactory};
use poe::{Event, HandlerResult, Kernel, Session, TaskId};
use std::io;

const SENDS: usize = 10;
const MADE: Event<Datagram> = Event::new("ev_socket");
const FAILED: Event<SocketError> = Event::new("ev_error");
const A: Event<Option<io::Result<Packet>>> = Event::new("ev_peer_a_input");
const B: Event<Option<io::Result<Packet>>> = Event::new("ev_peer_b_input");

#[derive(Default)]
struct Peers {
    wheels: Vec<SocketFactory<Datagram>>,
    sockets: Vec<DatagramSocket>,
    readers: Vec<TaskId>,
    sent: [usize; 2],
}

fn got(cx: &mut poe::Context<'_, Peers>, own: usize, packet: Option<io::Result<Packet>>) -> HandlerResult {
    let packet = packet.expect("packets do not end")?;
    if cx.heap.sent[own] == SENDS {
        for reader in std::mem::take(&mut cx.heap.readers) {
            cx.cancel(reader);
        }
        return Ok(());
    }
    let text = rot13(&String::from_utf8_lossy(&packet.bytes));
    assert_eq!(packet.from, cx.heap.sockets[1 - own].local_name()?);
    cx.heap.sent[own] += 1;
    cx.heap.sockets[own].send_to(text.as_bytes(), &packet.from)?;
    Ok(())
}

/// Two sockets at these addresses; the first sends, each answers ten times.
async fn throw(addresses: [Address; 2]) {
    let kernel = Kernel::new();
    let log = Log::default();
    let end = log.clone();
    Session::builder(Peers::default())
        .on(START, move |cx, ()| {
            for addr in &addresses {
                let wheel = SocketFactory::datagram()
                    .bind(addr.clone())
                    .success(MADE)
                    .failure(FAILED)
                    .start(cx);
                cx.heap.wheels.push(wheel);
            }
        })
        .on(MADE, |cx, made| -> HandlerResult {
            assert_eq!(cx.heap.wheels[cx.heap.sockets.len()].id(), made.wheel);
            assert_eq!(made.peer, None);
            cx.heap.sockets.push(made.socket);
            if let [a, b] = &*cx.heap.sockets {
                let (a, b) = (a.clone(), b.clone());
                cx.heap.wheels.clear();
                cx.heap.readers = vec![cx.attach(a.packets(), A), cx.attach(b.packets(), B)];
                cx.heap.sent[0] = 1;
                a.send_to(b"a is here", &b.local_name()?)?;
            }
            Ok(())
        })
        .on(FAILED, |_, error| panic!("{error}"))
        .on(A, |cx, packet| got(cx, 0, packet))
        .on(B, |cx, packet| got(cx, 1, packet))
        .on(poe::event::STOP, move |cx, ()| end.say(format!("{:?}", cx.heap.sent)))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(log.lines(), ["[10, 10]"]);
}

#[tokio::test]
async fn two_udp_sockets_throw_ten_datagrams_each_way() {
    throw(["127.0.0.1:0".into(), "127.0.0.1:0".into()]).await;
}

#[tokio::test]
async fn so_do_two_over_ipv6() {
    throw(["[::1]:0".into(), "[::1]:0".into()]).await;
}

#[tokio::test]
async fn two_unix_datagram_sockets_throw_ten_datagrams_each_way() {
    let (a, b) = (SocketPath::new("udp-a"), SocketPath::new("udp-b"));
    throw([(&*a.0).into(), (&*b.0).into()]).await;
}

/// SF8: with a peer the socket is connected, and receives from nobody else.
#[tokio::test]
async fn a_connected_datagram_socket_receives_from_its_peer_only() {
    let kernel = Kernel::new();
    let log = Log::default();
    let friend = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = friend.local_addr().unwrap();
    let said = log.clone();
    Session::builder((None::<SocketFactory<Datagram>>, None::<DatagramSocket>))
        .on(START, move |cx, ()| {
            let wheel = SocketFactory::datagram().remote(addr).success(MADE).failure(FAILED);
            cx.heap.0 = Some(wheel.start(cx));
        })
        .on(MADE, move |cx, made| -> HandlerResult {
            assert_eq!(made.peer, Some(addr.into()));
            let local = made.socket.local_name()?.as_socket_addr().expect("an address");
            stranger.send_to(b"psst", local)?;
            made.socket.send(b"hello")?;
            let mut buffer = [0; 16];
            let (bytes, from) = friend.recv_from(&mut buffer)?;
            assert_eq!((&buffer[..bytes], from), (&b"hello"[..], local));
            friend.send_to(b"hello yourself", from)?;
            cx.attach(made.socket.packets(), A);
            cx.heap.1 = Some(made.socket);
            Ok(())
        })
        .on(A, move |cx, packet| -> HandlerResult {
            let packet = packet.expect("packets do not end")?;
            said.say(String::from_utf8_lossy(&packet.bytes));
            cx.stop_all();
            Ok(())
        })
        .on(FAILED, |_, error| panic!("{error}"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(log.lines(), ["hello yourself"]);
}
