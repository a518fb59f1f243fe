//! Laws 30 to 33 of the TCP components, against clients that behave at random.

use crate::socket_kit::{Gauge, Tally, run_with};
use poe::Kernel;
use poe::component::{TcpClient, TcpServer};
use proptest::prelude::*;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The steps of a client.
#[derive(Clone, Debug)]
enum Step {
    /// Sends so many lines.
    Lines(u8),
    /// Sends a part of a line.
    Part,
    /// Lets the others go on.
    Wait(u8),
    /// Asks the server to end the connection: it answers that with a known number of lines.
    Quit,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// Reads to the end after having ended its own output.
    HalfClose,
    /// Reads to the end after having asked for it.
    Quit,
    /// Drops the connection.
    Close,
    /// Resets the connection.
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..20_u8).prop_map(Step::Lines),
        1 => Just(Step::Part),
        1 => (0..3_u8).prop_map(Step::Wait),
        1 => Just(Step::Quit),
    ]
}

fn plans() -> impl Strategy<Value = Vec<(Vec<Step>, End)>> {
    let end = prop_oneof![
        Just(End::HalfClose),
        Just(End::Quit),
        Just(End::Close),
        Just(End::Reset)
    ];
    prop::collection::vec((prop::collection::vec(step(), 0..6), end), 1..12)
}

/// The lines of an answer to `quit`: more than a socket takes at once.
const FAREWELL: usize = 2000;

async fn behave(addr: std::net::SocketAddr, plan: Vec<Step>, end: End) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let (mut whole, mut part, mut quit) = (0, false, false);
    for step in plan {
        // The server may have closed meanwhile, so a write may fail.
        let sent = match step {
            Step::Lines(n) => {
                if !quit {
                    whole += usize::from(n) - usize::from(part && n == 0);
                }
                part = false;
                stream.write_all(&b"x\r\n".repeat(n.into())).await
            }
            Step::Part => {
                part = true;
                stream.write_all(b"y").await
            }
            Step::Wait(ms) => {
                tokio::time::sleep(Duration::from_millis(ms.into())).await;
                Ok(())
            }
            Step::Quit => {
                // A part before it would make another word of it.
                let word: &[u8] = if part { b"\r\nquit\r\n" } else { b"quit\r\n" };
                if !quit {
                    whole += usize::from(part);
                }
                (part, quit) = (false, true);
                stream.write_all(word).await
            }
        };
        if sent.is_err() {
            assert!(quit, "the server has ended a connection by itself");
        }
    }
    if end == End::Quit && !quit {
        let word: &[u8] = if part { b"\r\nquit\r\n" } else { b"quit\r\n" };
        whole += usize::from(part);
        quit = true;
        stream.write_all(word).await.unwrap();
    }
    match end {
        End::Close => {}
        End::Reset => socket2::SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap(),
        End::HalfClose | End::Quit => {
            let _ = stream.shutdown().await;
            let mut all = String::new();
            stream.read_to_string(&mut all).await.unwrap();
            // Law 31: everything that was put before the end has arrived. Law 33: no input was delivered after it.
            let answers = all.lines().filter(|line| *line == "answer").count();
            let farewell = all.lines().filter(|line| *line == "farewell").count();
            assert_eq!((answers, farewell), (whole, if quit { FAREWELL } else { 0 }), "{end:?}");
        }
    }
}

fn on_a_runtime<F: Future>(work: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn laws_30_31_and_33_hold_for_a_server_whatever_its_clients_do(plans in plans(), limit in 1..6_usize) {
        on_a_runtime(async {
            let kernel = Kernel::new();
            let (tally, gauge) = (Tally::default(), Gauge::default());
            let (connected, gone) = ((tally.clone(), gauge.clone()), (tally.clone(), gauge.clone()));
            let server = TcpServer::builder("127.0.0.1:0")
                .client_heap(|_| Cell::new(false))
                .concurrency(limit)
                .client_connected(move |_| {
                    connected.0.add("connected");
                    connected.1.up();
                })
                .client_input(|cx, line| {
                    assert!(!cx.heap.get(), "a record after the end was asked for");
                    if line == "quit" {
                        for _ in 0..FAREWELL {
                            cx.client().put("farewell");
                        }
                        cx.heap.set(true);
                        cx.client().shutdown();
                    } else {
                        cx.client().put("answer");
                    }
                })
                .client_error(|_, _| ())
                .client_disconnected(move |_| {
                    gone.0.add("disconnected");
                    gone.1.down();
                })
                .start(&kernel)
                .await
                .unwrap();
            let addr = server.local_addr().unwrap();
            let count = plans.len();
            let talk = async {
                let clients = plans.into_iter().map(|(plan, end)| behave(addr, plan, end));
                futures_util::future::join_all(clients).await;
                while server.connections() > 0 || (tally.of("connected") < count && gauge.now() > 0) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                server.shutdown();
            };
            run_with(&kernel, talk).await;
            // A client that reset the connection before it was accepted may never have been seen.
            assert!(tally.of("connected") <= count);
            assert_eq!(tally.of("connected"), tally.of("disconnected"));
            assert!(gauge.most() <= limit, "{} at once", gauge.most());
        });
    }

    /// Each byte says what the server does when it has a connection, and when it has a line.
    #[test]
    fn law_32_each_connected_has_its_disconnected_whatever_the_server_does(moods in prop::collection::vec(0..6_u8, 1..10)) {
        on_a_runtime(async {
            let kernel = Kernel::new();
            let tally = Tally::default();
            let left = Rc::new(Cell::new(moods.len()));
            let (connected, gone, client_left) = (tally.clone(), tally.clone(), left.clone());
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            TcpClient::builder(listener.local_addr().unwrap())
                .heap(false)
                .connected(move |cx| {
                    connected.add("connected");
                    assert!(!std::mem::replace(&mut *cx.heap, true), "connected twice");
                    cx.server().put("hello");
                })
                .server_input(|cx, line| match &*line {
                    "reconnect" => cx.reconnect(),
                    "shutdown" => cx.server().shutdown(),
                    _ => cx.server().abort(),
                })
                // A peer that resets at once may do so before its connection is noticed: that attempt was accepted as well.
                .connect_error(|cx, error| {
                    if error.os_error().kind() != std::io::ErrorKind::ConnectionRefused {
                        cx.reconnect();
                    }
                })
                .server_error(|_, _| ())
                .disconnected(move |cx| {
                    gone.add("disconnected");
                    assert!(std::mem::take(&mut *cx.heap), "disconnected twice");
                    // A `reconnect` that was asked for makes one more than there are moods.
                    client_left.set(client_left.get().saturating_sub(1));
                    if client_left.get() > 0 {
                        cx.reconnect();
                    }
                })
                .start(&kernel)
                .unwrap();
            let talk = async {
                for mood in moods {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let mut hello = [0; 7];
                    match mood {
                        0 => {}
                        1 => socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
                        2 => drop(stream.read_exact(&mut hello).await),
                        _ => {
                            // It may be gone: who reconnects inside `disconnected` when that is already asked for gives up
                            // an attempt that was accepted here.
                            let _ = stream.read_exact(&mut hello).await;
                            let word = ["reconnect\r\n", "shutdown\r\n", "cut\r\n"][usize::from(mood) - 3];
                            let _ = stream.write_all(word.as_bytes()).await;
                            let mut rest = Vec::new();
                            let _ = stream.read_to_end(&mut rest).await;
                        }
                    }
                }
                // A `reconnect` of the last one, and of those that answer "reconnect" twice, finds nobody any more.
                drop(listener);
            };
            run_with(&kernel, talk).await;
            assert_eq!(tally.of("connected"), tally.of("disconnected"));
            assert!(tally.of("connected") >= 1);
        });
    }
}
