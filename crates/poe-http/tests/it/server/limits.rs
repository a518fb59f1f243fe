//! Each limit is shown to be set and to bite.

use super::*;
use http::Response;
use poe_http::HttpLimits;

fn limits() -> HttpLimits {
    HttpLimits::default()
}

fn hello(limits: HttpLimits) -> HttpServerBuilder<(), poe::component::WithCallbacks> {
    builder()
        .limits(limits)
        .get("/", |_, exchange| exchange.text("hello"))
        .get("/large", |_, exchange| {
            exchange.send(Response::new(vec![b'x'; 10_000_000])).unwrap();
        })
        .post("/", |_, exchange| {
            let length = exchange.body().len();
            exchange.text(length.to_string());
        })
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_byte_by_byte_is_cut_off() {
    serving(hello(limits()), async |kernel, _| {
        // The first head of a connection, and a later one.
        for first in [true, false] {
            let mut client = connect(kernel);
            if !first {
                send(&mut client, get("/")).await;
                response(&mut client).await;
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            let (mut reads, mut writes) = tokio::io::split(client);
            let (time, ()) = timed(async {
                let mut byte = [0];
                tokio::select! {
                    read = reads.read(&mut byte) => assert_eq!(read.unwrap_or(0), 0),
                    () = async {
                        for byte in get("/").bytes().chain(std::iter::repeat(b'x')) {
                            if writes.write_all(&[byte]).await.is_err() {
                                return;
                            }
                            tokio::time::sleep(Duration::from_secs(1)).await;
                        }
                    } => {}
                }
            })
            .await;
            assert!((10..=11).contains(&time.as_secs()), "{time:?}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_requests_is_closed() {
    serving(hello(limits()), async |kernel, _| {
        let mut client = connect(kernel);
        let (time, _) = timed(rest(&mut client)).await;
        assert_eq!(time.as_secs(), 10, "before the first request");
        let mut client = connect(kernel);
        for _ in 0..3 {
            send(&mut client, get("/")).await;
            assert_eq!(response(&mut client).await.0, 200);
            tokio::time::sleep(Duration::from_secs(50)).await;
        }
        let (time, _) = timed(rest(&mut client)).await;
        assert_eq!(time.as_secs(), 10, "60 s after the last one");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_response_is_cut_off() {
    serving(hello(limits()), async |kernel, server| {
        let mut client = connect(kernel);
        send(&mut client, get("/large")).await;
        tokio::time::sleep(Duration::from_secs(29)).await;
        assert_eq!(server.connections(), 1);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(server.connections(), 0);
        // One that takes a little now and then gets it all.
        let mut client = connect(kernel);
        send(&mut client, get("/large")).await;
        let mut bytes = vec![0; 1_000_000];
        for _ in 0..10 {
            client.read_exact(&mut bytes).await.unwrap();
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    serving(hello(limits()), async |kernel, server| {
        let mut client = connect(kernel);
        send(
            &mut client,
            "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nabc",
        )
        .await;
        let (time, (status, _)) = timed(response(&mut client)).await;
        assert_eq!((time.as_secs(), status), (30, 408));
        assert_eq!(server.requests(), 0);
        let mut client = connect(kernel);
        send(
            &mut client,
            "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nabc",
        )
        .await;
        client.shutdown().await.unwrap();
        let whole = String::from_utf8(rest(&mut client).await).unwrap();
        assert!(whole.is_empty() || whole.starts_with("HTTP/1.1 400 "), "{whole}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_beyond_the_limit_is_refused() {
    let limits = HttpLimits {
        max_body: 10,
        ..limits()
    };
    serving(hello(limits), async |kernel, server| {
        let post = |more: &str| format!("POST / HTTP/1.1\r\nhost: test\r\n{more}");
        assert_eq!(
            ask(kernel, &post("content-length: 10\r\n\r\n0123456789")).await,
            (200, "10".into())
        );
        assert_eq!(ask(kernel, &post("content-length: 11\r\n\r\n0123456789a")).await.0, 413);
        let chunked = "transfer-encoding: chunked\r\n\r\n6\r\n012345\r\n6\r\n678901\r\n0\r\n\r\n";
        assert_eq!(ask(kernel, &post(chunked)).await.0, 413);
        assert_eq!(server.requests(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_before_it_sends_is_told() {
    let limits = HttpLimits {
        max_body: 10,
        ..limits()
    };
    serving(hello(limits), async |kernel, _| {
        let expects = "POST / HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: ";
        let mut client = connect(kernel);
        send(&mut client, format!("{expects}3\r\n\r\n")).await;
        let (goes_on, _) = head(&mut client).await;
        assert_eq!(status(&goes_on), 100);
        send(&mut client, "abc").await;
        assert_eq!(response(&mut client).await, (200, "3".into()));
        let mut client = connect(kernel);
        send(&mut client, format!("{expects}11\r\n\r\n")).await;
        assert_eq!(response(&mut client).await.0, 413, "and not 100");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn heads_beyond_the_limits_are_refused() {
    let limits = HttpLimits {
        max_head: 8192,
        max_headers: 10,
        ..limits()
    };
    serving(hello(limits), async |kernel, server| {
        let with = |more: String| format!("GET / HTTP/1.1\r\nhost: test\r\n{more}\r\n");
        assert_eq!(ask(kernel, &with("a: b\r\n".repeat(9))).await.0, 200);
        assert_eq!(ask(kernel, &with("a: b\r\n".repeat(10))).await.0, 431);
        assert_eq!(ask(kernel, &with(format!("a: {}\r\n", "b".repeat(8000)))).await.0, 200);
        assert_eq!(ask(kernel, &with(format!("a: {}\r\n", "b".repeat(9000)))).await.0, 431);
        assert_eq!(server.requests(), 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let limits = HttpLimits {
        max_connections: 2,
        ..limits()
    };
    serving(hello(limits), async |kernel, server| {
        let mut clients: Vec<_> = (0..3).map(|_| connect(kernel)).collect();
        for client in &mut clients {
            send(client, get("/")).await;
        }
        let mut third = clients.pop().unwrap();
        for client in &mut clients {
            assert_eq!(response(client).await.0, 200);
        }
        let waits = tokio::time::timeout(Duration::from_secs(5), response(&mut third)).await;
        assert!(waits.is_err());
        assert_eq!(server.connections(), 2);
        drop(clients.pop());
        assert_eq!(response(&mut third).await.0, 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_address_has_so_many_connections_and_no_more() {
    let limits = HttpLimits {
        max_connections_per_ip: 2,
        ..limits()
    };
    serving(hello(limits), async |kernel, server| {
        let from = |addr: &str| testing::connect_from(kernel, ADDRESS, addr.parse().unwrap()).unwrap();
        let mut clients = vec![
            from("10.0.0.1:1"),
            from("10.0.0.1:2"),
            from("10.0.0.2:1"),
            from("[2001:db8::1]:1"),
        ];
        for client in &mut clients {
            send(client, get("/")).await;
            assert_eq!(response(client).await.0, 200);
        }
        assert!(rest(&mut from("10.0.0.1:3")).await.is_empty());
        assert_eq!(server.connections(), 4);
        drop(clients.remove(0));
        tokio::time::sleep(Duration::from_millis(10)).await;
        let mut again = from("10.0.0.1:3");
        send(&mut again, get("/")).await;
        assert_eq!(response(&mut again).await.0, 200);
        // A provider's customer has a network of IPv6.
        clients.push(from("[2001:db8::2]:1"));
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(rest(&mut from("[2001:db8::3]:1")).await.is_empty());
    })
    .await;
}
