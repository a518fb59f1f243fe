//! WebSockets, with the client of tokio-tungstenite.

use super::*;
use futures_util::{SinkExt, StreamExt};
use poe_http::{WebSocketEvent, WebSocketLimits};
use std::cell::RefCell;
use std::rc::Rc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

type Log = Rc<RefCell<Vec<String>>>;

fn echo(limits: WebSocketLimits, log: &Log) -> HttpServerBuilder<(), poe::component::WithCallbacks> {
    let log = log.clone();
    builder().websocket("/chat/{room}", limits, move |_, socket, event| {
        log.borrow_mut().push(match &event {
            WebSocketEvent::Opened => format!("opened {}", socket.param("room").unwrap()),
            WebSocketEvent::Message(_) => "message".into(),
            WebSocketEvent::Closed(code, reason) => format!("closed {code} {reason}"),
            other => format!("{other:?}"),
        });
        if let WebSocketEvent::Message(message) = event {
            if message == "fail".into() {
                panic!("a bug");
            }
            if message == "close".into() {
                socket.close(4000, "as you wish");
            }
            // A socket that is closing takes no more.
            let _ = socket.put(message);
        }
    })
}

async fn open(kernel: &Kernel, path: &str) -> Result<WebSocketStream<DuplexStream>, WsError> {
    let url = format!("ws://test{path}");
    Ok(tokio_tungstenite::client_async(url, connect(kernel)).await?.0)
}

fn text(text: &str) -> Message {
    Message::text(text)
}

#[tokio::test(start_paused = true)]
async fn messages_are_events_and_the_end_has_a_code() {
    let log = Log::default();
    serving(echo(WebSocketLimits::default(), &log), async |kernel, server| {
        let mut client = open(kernel, "/chat/den").await.unwrap();
        client.send(text("hello")).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), text("hello"));
        client.send(Message::Ping("x".into())).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), Message::Pong("x".into()));
        let alive = kernel.why_alive().to_string();
        assert!(alive.contains("WebSocket of"), "{alive}");
        assert_eq!(server.connections(), 1, "a socket counts as a connection");
        client.close(None).await.unwrap();
        while client.next().await.is_some() {}
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(log.take(), ["opened den", "message", "closed 1005 "]);
        // The server's close.
        let mut client = open(kernel, "/chat/den").await.unwrap();
        client.send(text("close")).await.unwrap();
        let Some(Ok(Message::Close(Some(frame)))) = client.next().await else {
            panic!("no close")
        };
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4000, "as you wish"));
        while client.next().await.is_some() {}
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(log.take()[2].starts_with("closed 4000"));
        // A callback that fails.
        let mut client = open(kernel, "/chat/den").await.unwrap();
        client.send(text("fail")).await.unwrap();
        let Some(Ok(Message::Close(Some(frame)))) = client.next().await else {
            panic!("no close")
        };
        assert_eq!(u16::from(frame.code), 1011);
        // A client that disappears.
        log.take();
        drop(open(kernel, "/chat/den").await.unwrap());
        drop(client);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(
            log.borrow().iter().any(|line| line.starts_with("closed 1006")),
            "{log:?}"
        );
        assert_eq!(server.connections(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_message_beyond_the_limit_closes_the_socket() {
    let log = Log::default();
    let limits = WebSocketLimits {
        max_message: 1000,
        ..WebSocketLimits::default()
    };
    serving(echo(limits, &log), async |kernel, _| {
        let mut client = open(kernel, "/chat/den").await.unwrap();
        client.send(text(&"x".repeat(1000))).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap().len(), 1000);
        client.send(text(&"x".repeat(1001))).await.unwrap();
        let Some(Ok(Message::Close(Some(frame)))) = client.next().await else {
            panic!("no close")
        };
        assert_eq!(u16::from(frame.code), 1009);
    })
    .await;
    assert!(
        log.borrow().iter().any(|line| line.starts_with("closed 1009")),
        "{log:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn output_is_bounded_and_a_peer_that_takes_none_is_gone() {
    let log = Log::default();
    let (refused, noted) = (Rc::new(RefCell::new(0)), log.clone());
    let counts = refused.clone();
    let limits = WebSocketLimits {
        max_queue: 100_000,
        ..WebSocketLimits::default()
    };
    let server = builder().websocket("/", limits, move |_, socket, event| match event {
        WebSocketEvent::Opened => {
            for _ in 0..1000 {
                if let Err(error) = socket.put("x".repeat(10_000)) {
                    assert!(error.is_full());
                    *counts.borrow_mut() += 1;
                }
            }
            assert!(socket.queued() <= 100_000);
        }
        WebSocketEvent::Low => noted.borrow_mut().push("low".into()),
        WebSocketEvent::Closed(code, _) => noted.borrow_mut().push(code.to_string()),
        _ => {}
    });
    serving(server, async |kernel, _| {
        let mut client = open(kernel, "/").await.unwrap();
        for _ in 0..10 {
            assert_eq!(client.next().await.unwrap().unwrap().len(), 10_000);
        }
        assert_eq!(*refused.borrow(), 990);
        assert_eq!(log.take(), ["low"]);
        let stuck = open(kernel, "/").await.unwrap();
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert_eq!(log.borrow().last().unwrap(), "1006");
        drop(stuck);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_pinged_and_then_gone() {
    let log = Log::default();
    serving(echo(WebSocketLimits::default(), &log), async |kernel, _| {
        let (mut good, silent) = (
            open(kernel, "/chat/a").await.unwrap(),
            open(kernel, "/chat/b").await.unwrap(),
        );
        // The client replies to pings while it reads.
        let reads = tokio::time::timeout(Duration::from_secs(65), good.next()).await;
        assert!(matches!(reads, Ok(Some(Ok(Message::Ping(_)))) | Err(_)), "{reads:?}");
        while tokio::time::timeout(Duration::from_secs(1), good.next()).await.is_ok() {}
        tokio::time::sleep(Duration::from_secs(30)).await;
        drop(silent);
        assert!(
            log.borrow().iter().any(|line| line == "closed 1006 the peer is silent"),
            "{log:?}"
        );
        good.send(text("hello")).await.unwrap();
        let echoed = loop {
            match good.next().await.unwrap().unwrap() {
                Message::Ping(_) => {}
                other => break other,
            }
        };
        assert_eq!(echoed, text("hello"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn handshakes_that_are_none_are_refused() {
    let log = Log::default();
    let limits = WebSocketLimits {
        origins: vec!["https://good.example".into()],
        ..WebSocketLimits::default()
    };
    serving(echo(limits, &log), async |kernel, _| {
        assert_eq!(ask(kernel, &get("/chat/den")).await.0, 426);
        let handshake = |more: &str| {
            format!("GET /chat/den HTTP/1.1\r\nhost: test\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n{more}\r\n")
        };
        assert_eq!(ask(kernel, &handshake("sec-websocket-version: 12\r\n")).await.0, 400);
        let key = "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        assert_eq!(ask(kernel, &handshake(key)).await.0, 403);
        assert_eq!(ask(kernel, &handshake(&format!("{key}origin: https://bad.example\r\n"))).await.0, 403);
        let mut client = connect(kernel);
        send(&mut client, handshake(&format!("{key}origin: https://good.example\r\n"))).await;
        let (head, _) = head(&mut client).await;
        assert_eq!(status(&head), 101);
        assert_eq!(header(&head, "sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_tells_sockets_to_close() {
    let log = Log::default();
    serving(echo(WebSocketLimits::default(), &log), async |kernel, server| {
        let mut client = open(kernel, "/chat/den").await.unwrap();
        server.shutdown();
        let Some(Ok(Message::Close(Some(frame)))) = client.next().await else {
            panic!("no close")
        };
        assert_eq!(u16::from(frame.code), 1001);
        while client.next().await.is_some() {}
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_clients_talk_at_a_time() {
    let log = Log::default();
    serving(echo(WebSocketLimits::default(), &log), async |kernel, server| {
        let mut clients = Vec::new();
        for _ in 0..1000 {
            clients.push(open(kernel, "/chat/den").await.unwrap());
        }
        assert_eq!(server.connections(), 1000);
        for round in 0..3 {
            for (number, client) in clients.iter_mut().enumerate() {
                client.send(text(&format!("{round} {number}"))).await.unwrap();
            }
            for (number, client) in clients.iter_mut().enumerate() {
                assert_eq!(
                    client.next().await.unwrap().unwrap(),
                    text(&format!("{round} {number}"))
                );
            }
        }
        for mut client in clients {
            client.close(None).await.unwrap();
            while client.next().await.is_some() {}
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(server.connections(), 0);
        assert_eq!(log.borrow().iter().filter(|line| *line == "message").count(), 3000);
    })
    .await;
}
