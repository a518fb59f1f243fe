//! `wheel_sf_ipv6` of POE::Test::Loops: both components over `::1`.

use crate::socket_kit::{Tally, rot13, run};
use poe::Kernel;
use poe::component::{SHUTDOWN, TcpClient, TcpServer};
use poe::wheel::Domain;

#[tokio::test]
async fn both_components_talk_over_ipv6_and_know_their_peers() {
    let kernel = Kernel::new();
    let tally = Tally::default();
    let gone = tally.clone();
    let server = TcpServer::builder("[::1]:0")
        .client_heap(|_| (0, 0))
        .alias("server")
        .client_input(|cx, line| {
            // Q25: POE leaves the address out.
            assert!(cx.client().peer_addr().is_some_and(|peer| peer.is_ipv6()));
            cx.client().put(rot13(&line));
            cx.heap.0 += 1;
        })
        .client_flushed(|cx| cx.heap.1 += 1)
        .client_disconnected(move |cx| {
            assert_eq!(cx.heap.0, cx.heap.1, "server put_count matches flush_count");
            gone.add("server disconnected");
        })
        .start(&kernel)
        .await
        .unwrap();
    let (received, gone) = (tally.clone(), tally.clone());
    TcpClient::builder(server.local_name())
        .heap((0, 0))
        .domain(Domain::Inet6)
        .bind("[::1]:0")
        .connected(|cx| {
            cx.heap.0 += 1;
            cx.server().put("1: this is a test");
        })
        .server_input(move |cx, line| {
            let line = rot13(&line);
            match line.strip_prefix("1: ") {
                Some(rest) => {
                    cx.heap.0 += 1;
                    cx.server().put(format!("2: {rest}"));
                }
                None => {
                    received.add(line);
                    cx.post("server", SHUTDOWN, ()).unwrap();
                    cx.yield_to(SHUTDOWN, ());
                }
            }
        })
        .server_flushed(|cx| cx.heap.1 += 1)
        .disconnected(move |cx| {
            assert_eq!(cx.heap.0, cx.heap.1, "client put_count matches flush_count");
            gone.add("client disconnected");
        })
        .connect_error(|_, error| panic!("{error}"))
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    tally.is(&[
        ("2: this is a test", 1),
        ("client disconnected", 1),
        ("server disconnected", 1),
    ]);
}

/// A name's addresses of the other domain are not tried.
#[tokio::test]
async fn a_domain_that_a_name_has_no_address_of_is_a_failure_of_the_look_up() {
    let kernel = Kernel::new();
    let tally = Tally::default();
    let failed = tally.clone();
    TcpClient::builder("127.0.0.1:9")
        .domain(Domain::Inet6)
        .connect_error(move |_, error| failed.add(format!("{} {:?}", error.operation(), error.os_error().kind())))
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    tally.is(&[("getaddrinfo AddrNotAvailable", 1)]);
}
