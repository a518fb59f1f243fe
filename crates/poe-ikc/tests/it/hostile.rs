//! Peers that do harm: each loses its connection at most, and nobody else notices.

use crate::kit::*;
use poe::event::START;
use poe::storable::Value;
use poe::{Event, Session};
use poe_ikc::wire::{Codec, Form, Format, Head};
use poe_ikc::{Ikc, IkcBuilder, Notice, Occurrence, RemoteError, Specifier};
use serde::Serialize;
use std::cell::Cell;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const SETUP: &str = "SETUP KERNEL=evil-1,Evil;FREEZER=Storable;PID=7\r\n";
const MONITOR: Event<Notice> = Event::new("monitor");

/// How many messages a flood has; `.ci/long` sets a million.
fn many() -> u64 {
    std::env::var("POE_MANY").map_or(20_000, |many| many.parse().unwrap())
}

/// A connection to a side, as a peer that writes whatever it likes.
fn peer(side: &Side) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(1024 * 1024);
    side.ikc.attach(theirs, false).unwrap();
    ours
}

fn framed(message: &[u8]) -> Vec<u8> {
    [message.len().to_string().as_bytes(), b"\0", message].concat()
}

fn message<P: Serialize>(to: Specifier, rsvp: Option<Specifier>, params: &P) -> Vec<u8> {
    let head = Head {
        event: to,
        form: Form::Hash,
        rsvp,
        ..Head::default()
    };
    framed(&Codec::default().write(Format::Storable, &head, params).unwrap())
}

/// Runs the side while the peer does what it does, and then until the side is idle.
async fn while_peer(side: &Side, acts: impl Future<Output = ()>) {
    stay(side);
    let acts = async {
        acts.await;
        tokio::time::sleep(Duration::from_secs(100)).await;
        side.ikc.shutdown();
        side.kernel.post("stay", "leave", ()).unwrap();
    };
    let both = async { tokio::join!(side.kernel.run(), acts).0.unwrap() };
    tokio::time::timeout(Duration::from_secs(100_000), both)
        .await
        .expect("it ends");
}

/// What the peer is sent until the connection ends.
async fn rest(peer: &mut DuplexStream) -> String {
    let mut sent = Vec::new();
    peer.read_to_end(&mut sent).await.unwrap();
    String::from_utf8_lossy(&sent).into_owned()
}

fn watched(builder: IkcBuilder) -> Side {
    let side = side(builder);
    let ikc = side.ikc.clone();
    Session::builder(side.log.clone())
        .on(START, move |cx, ()| {
            ikc.monitor(cx, "*", MONITOR);
            cx.alias_set("watcher")
        })
        .on(MONITOR, |cx, notice| {
            if let Occurrence::Error { operation, .. } = notice.what {
                cx.heap.add(operation);
            }
        })
        .create(&side.kernel)
        .unwrap();
    side
}

#[tokio::test(start_paused = true)]
async fn closing_at_every_byte_of_the_handshake_harms_nobody() {
    let server = watched(Ikc::builder("Pulse"));
    let old = "HELLO\r\nOK\r\nOK\r\nIAM evil\r\nDONE\r\nFREEZER Storable\r\nWORLD\r\n";
    while_peer(&server, async {
        for text in [SETUP, old] {
            for cut in 0..=text.len() {
                let mut evil = peer(&server);
                evil.write_all(&text.as_bytes()[..cut]).await.unwrap();
                drop(evil);
            }
        }
        let mut good = peer(&server);
        good.write_all(SETUP.as_bytes()).await.unwrap();
        let note = Specifier::new("Pulse", "test", "note");
        good.write_all(&message(note, None, &"still here")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    })
    .await;
    assert!(server.log.lines().contains(&"note still here".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_costs_the_connection_and_nothing_else() {
    let codec = Codec::default();
    let hash = |value: Value| framed(&poe::storable::freeze(&value).unwrap());
    let unpublished = codec.write(
        Format::Storable,
        &Head {
            event: "poe://Pulse/test/x".parse().unwrap(),
            ..Head::default()
        },
        &1,
    );
    let bad = [
        b"no number\0".to_vec(),
        b"99999999999\0".to_vec(),
        b"3\0abc".to_vec(),
        framed(&[]),
        hash(Value::array([1.into()])),
        hash(Value::from("text")),
        hash(Value::hash([("params", Value::from(1))])),
        hash(Value::hash([("event", Value::array([]))])),
        hash(Value::hash([("event", Value::from("no\taddress"))])),
        hash(Value::hash([("event", Value::from("poe://a/b/IKC:proxy"))])),
        // A count that would need more memory than there is.
        framed(b"\x05\x0b\x02\xff\xff\xff\xff"),
        // Code, and a reference to itself.
        framed(b"\x05\x0b\x03\0\0\0\x01\x1a\x0a\x01x\0\0\0\x05event"),
        framed(&unpublished.unwrap()[..20]),
    ];
    for frame in bad {
        let server = watched(Ikc::builder("Pulse"));
        while_peer(&server, async {
            let mut evil = peer(&server);
            evil.write_all(SETUP.as_bytes()).await.unwrap();
            evil.write_all(&frame).await.unwrap();
            let sent = rest(&mut evil).await;
            assert!(
                sent.starts_with("SETUP ") && sent.ends_with("\r\n"),
                "{sent} {:?}",
                String::from_utf8_lossy(&frame)
            );
        })
        .await;
        assert_eq!(
            server.ikc.counters().dropped,
            1,
            "{:?}",
            String::from_utf8_lossy(&frame)
        );
        assert!(server.ikc.kernels().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn silence_in_the_handshake_or_within_a_frame_ends_after_the_limit() {
    let server = watched(Ikc::builder("Pulse").handshake_timeout(Duration::from_secs(5)));
    while_peer(&server, async {
        for text in ["", "SETUP KERNEL=", &format!("{SETUP}100\0abc")] {
            let began = tokio::time::Instant::now();
            let mut evil = peer(&server);
            evil.write_all(text.as_bytes()).await.unwrap();
            rest(&mut evil).await;
            assert!(
                (5..8).contains(&began.elapsed().as_secs()),
                "{text}: {:?}",
                began.elapsed()
            );
        }
        // A peer that is silent between frames stays.
        let mut good = peer(&server);
        good.write_all(SETUP.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(server.ikc.kernels(), ["Evil", "evil-1"]);
    })
    .await;
    assert_eq!(server.ikc.counters().dropped, 3);
}

#[tokio::test(start_paused = true)]
async fn an_endless_line_and_an_endless_handshake_are_cut() {
    let server = watched(Ikc::builder("Pulse"));
    while_peer(&server, async {
        let mut evil = peer(&server);
        evil.write_all(&[b'x'; 100_000]).await.unwrap();
        rest(&mut evil).await;
        let mut evil = peer(&server);
        for _ in 0..300 {
            if evil.write_all(b"nonsense\r\n").await.is_err() {
                break;
            }
        }
        rest(&mut evil).await;
    })
    .await;
    assert_eq!(server.ikc.counters().dropped, 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_takes_a_name_that_somebody_has() {
    let server = watched(Ikc::builder("Pulse"));
    let honest = side(Ikc::builder("Honest"));
    join(&honest, &server);
    let evil = async {
        server.ikc.registered("Honest").await.unwrap();
        let mut evil = peer(&server);
        let names = format!("evil-1,Honest,Pulse,{},{}", server.ikc.id(), honest.ikc.id());
        evil.write_all(format!("SETUP KERNEL={names};FREEZER=Storable;PID=7\r\n").as_bytes())
            .await
            .unwrap();
        server.ikc.registered("evil-1").await.unwrap();
        server
            .ikc
            .post("poe://Honest/test", NOTE, "for the honest".to_owned())
            .unwrap();
        server
            .ikc
            .post("poe://Pulse/test", NOTE, "for itself".to_owned())
            .unwrap();
        // It is replied to all the same, and its end is not the other's.
        let sum = Specifier::new("x", "y", "sum");
        evil.write_all(&message(Specifier::new("", "test", "add"), Some(sum), &(1, 2)))
            .await
            .unwrap();
        let mut line = [0; 400];
        let read = evil.read(&mut line).await.unwrap();
        assert!(read > 0);
        drop(evil);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(server.ikc.kernels().contains(&"Honest".to_owned()));
        assert!(!server.ikc.kernels().contains(&"evil-1".to_owned()));
    };
    tokio::select! {
        () = while_peer(&server, evil) => {}
        ran = honest.kernel.run() => ran.unwrap(),
    }
    assert_eq!(honest.log.lines(), ["note for the honest"]);
    assert!(server.log.lines().contains(&"note for itself".to_owned()));
    assert_eq!(server.log.lines().iter().filter(|line| *line == "register").count(), 4);
}

#[tokio::test(start_paused = true)]
async fn invented_replies_unpublished_events_and_errors_about_errors_are_counted() {
    let server = watched(Ikc::builder("Pulse"));
    while_peer(&server, async {
        let mut evil = peer(&server);
        evil.write_all(SETUP.as_bytes()).await.unwrap();
        for n in 0..100 {
            let reply = Specifier::new("Pulse", "IKC", format!("IKC:reply {n}"));
            evil.write_all(&message(reply, None, &n)).await.unwrap();
            let secret = Specifier::new("Pulse", "IKC", format!("shutdown{n}"));
            let mut head = Head {
                event: secret,
                form: Form::Hash,
                is_error: true,
                ..Head::default()
            };
            let frame = Codec::default().write(Format::Storable, &head, &n).unwrap();
            evil.write_all(&framed(&frame)).await.unwrap();
            head.is_error = false;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut sent = [0; 4096];
        let read = evil.read(&mut sent).await.unwrap();
        let sent = String::from_utf8_lossy(&sent[..read]).into_owned();
        assert!(
            !sent.contains("remote_error"),
            "an error report is never replied to with one: {sent}"
        );
    })
    .await;
    let counters = server.ikc.counters();
    assert_eq!(
        (counters.unexpected_replies, counters.refused, counters.dropped),
        (100, 100, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_subscriptions_and_senders_leaves_no_trace() {
    let (server, many) = (side(Ikc::builder("Pulse")), many());
    while_peer(&server, async {
        let mut evil = peer(&server);
        evil.write_all(SETUP.as_bytes()).await.unwrap();
        let (mut from_peer, mut to_peer) = tokio::io::split(evil);
        let reader = async {
            let mut sink = vec![0; 64 * 1024];
            while from_peer.read(&mut sink).await.unwrap() > 0 {}
        };
        let writer = async {
            let asked = (Specifier::new("Pulse", "test", ""), "evil-1");
            for n in 0..many {
                let receipt = Specifier::new("evil-1", "IKC", format!("IKC:receipt {n}"));
                let have = Specifier::new("Pulse", "IKC", "do_you_have");
                to_peer.write_all(&message(have, Some(receipt), &asked)).await.unwrap();
            }
            for n in 0..2000 {
                let event = Specifier::new("Pulse", "test", "add");
                let from = Some(Specifier::new("evil-1", format!("session{n}"), "IKC:proxy"));
                let head = Head {
                    event,
                    form: Form::Hash,
                    from,
                    ..Head::default()
                };
                let frame = Codec::default().write(Format::Storable, &head, &(1, 2)).unwrap();
                to_peer.write_all(&framed(&frame)).await.unwrap();
            }
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert!(
                server.kernel.session_count() < 300,
                "{} sessions",
                server.kernel.session_count()
            );
            to_peer.shutdown().await.unwrap();
        };
        tokio::join!(reader, writer);
    })
    .await;
    assert_eq!(server.ikc.counters().received, many + 2000);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_end_when_their_peer_dies_and_the_others_go_on() {
    const SUM: Event<Result<i64, RemoteError>> = Event::new("sum");
    let client = side(Ikc::builder("Cli").max_calls(10_001));
    let honest = side(Ikc::builder("Honest"));
    join(&client, &honest);
    let mut evil = {
        let (ours, theirs) = tokio::io::duplex(16 * 1024 * 1024);
        client.ikc.attach(theirs, false).unwrap();
        ours
    };
    let ikc = client.ikc.clone();
    Session::builder((0, 0))
        .on(START, |cx, ()| cx.alias_set("main"))
        .on(GO, move |cx, ()| -> poe::HandlerResult {
            for n in 0..10_000 {
                ikc.call(cx, "poe://evil-1/test", ADD, (n, 1), SUM, LONG)?;
            }
            ikc.call(cx, "poe://Honest/test", ADD, (40, 2), SUM, LONG)?;
            let full = ikc.call(cx, "poe://Honest/test", ADD, (1, 1), SUM, LONG).unwrap_err();
            assert!(full.is_full());
            assert_eq!(full.into_arg(), (1, 1));
            Ok(())
        })
        .on(SUM, {
            let (ikc, log) = (client.ikc.clone(), client.log.clone());
            move |cx, sum| {
                match sum {
                    Ok(sum) => {
                        assert_eq!(sum, 42);
                        cx.heap.1 += 1;
                    }
                    Err(error) => {
                        assert!(error.is_lost());
                        cx.heap.0 += 1;
                    }
                }
                if cx.heap.0 + cx.heap.1 == 10_001 {
                    log.add(format!("{:?}, {} pending", *cx.heap, ikc.pending_calls()));
                    ikc.shutdown();
                }
            }
        })
        .create(&client.kernel)
        .unwrap();
    let acts = async {
        evil.write_all(SETUP.as_bytes()).await.unwrap();
        client.ikc.registered("evil-1").await.unwrap();
        client.ikc.registered("Honest").await.unwrap();
        client.kernel.post("main", GO, ()).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(evil);
    };
    let both = async {
        tokio::select! {
            (ran, ()) = async { tokio::join!(client.kernel.run(), acts) } => ran.unwrap(),
            ran = honest.kernel.run() => ran.unwrap(),
        }
    };
    tokio::time::timeout(Duration::from_secs(1000), both)
        .await
        .expect("it ends");
    assert_eq!(client.log.lines(), ["(10000, 1), 0 pending"]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_makes_the_sender_fail_and_not_grow() {
    let server = side(Ikc::builder("Pulse").max_output(100_000));
    let ikc = server.ikc.clone();
    while_peer(&server, async {
        let (mut evil, theirs) = tokio::io::duplex(1000);
        ikc.attach(theirs, false).unwrap();
        evil.write_all(SETUP.as_bytes()).await.unwrap();
        ikc.registered("Evil").await.unwrap();
        let full = (0..10_000).find_map(|n| ikc.post("poe://Evil/x", NOTE, format!("{n:01000}")).err());
        let full = full.expect("the buffer is bounded");
        assert!(full.is_full(), "{full}");
        let sent: usize = full.into_arg().parse().unwrap();
        assert!((50..200).contains(&sent), "{sent}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn there_are_no_more_connections_than_allowed() {
    let server = side(Ikc::builder("Pulse").max_connections(10));
    while_peer(&server, async {
        let mut peers: Vec<_> = (0..15).map(|_| peer(&server)).collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(server.ikc.counters().turned_away, 5);
        for evil in &mut peers[10..] {
            assert_eq!(rest(evil).await, "");
        }
        drop(peers);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut good = peer(&server);
        good.write_all(SETUP.as_bytes()).await.unwrap();
        server.ikc.registered("Evil").await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_frames_without_end_keeps_nobody_waiting() {
    const SUM: Event<Result<i64, RemoteError>> = Event::new("sum");
    let (server, many) = (side(Ikc::builder("Pulse")), many());
    let honest = side(Ikc::builder("Honest"));
    join(&honest, &server);
    let (ikc, log) = (honest.ikc.clone(), honest.log.clone());
    Session::builder(0)
        .on(START, |cx, ()| cx.alias_set("main"))
        .on(GO, {
            let ikc = ikc.clone();
            move |cx, ()| ikc.call(cx, "poe://Pulse/test", ADD, (40, 2), SUM, LONG)
        })
        .on(SUM, move |cx, sum| -> poe::HandlerResult {
            assert_eq!(sum, Ok(42));
            *cx.heap += 1;
            if *cx.heap == 100 {
                log.add("all");
                ikc.shutdown();
                return Ok(());
            }
            Ok(ikc.call(cx, "poe://Pulse/test", ADD, (40, 2), SUM, LONG)?)
        })
        .create(&honest.kernel)
        .unwrap();
    let written = Cell::new(0);
    let flood = async {
        let mut evil = peer(&server);
        evil.write_all(SETUP.as_bytes()).await.unwrap();
        server.ikc.registered("evil-1").await.unwrap();
        server.ikc.registered("Honest").await.unwrap();
        honest.kernel.post("main", GO, ()).unwrap();
        let (mut from_peer, mut to_peer) = tokio::io::split(evil);
        let secret = message(Specifier::new("Pulse", "test", "secret"), None, &1);
        let writer = async {
            // It goes on for as long as the other has calls to make.
            while written.get() < many || honest.log.lines().is_empty() {
                to_peer.write_all(&secret).await.unwrap();
                written.set(written.get() + 1);
            }
            to_peer.shutdown().await.unwrap();
        };
        let reader = async {
            let mut sink = vec![0; 64 * 1024];
            while from_peer.read(&mut sink).await.is_ok_and(|read| read > 0) {}
        };
        tokio::join!(writer, reader);
    };
    let honest_too = async {
        tokio::join!(while_peer(&server, flood), honest.kernel.run()).1.unwrap();
    };
    honest_too.await;
    assert_eq!(honest.log.lines(), ["all"]);
    let counted = server.ikc.counters();
    assert_eq!((counted.refused, counted.dropped), (written.get(), 0));
}
