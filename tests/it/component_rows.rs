//! The rows of the TCP components (ST, CT) and the decisions on their quirks (Q25 to Q28), as far as POE's own tests do not
//! have them.

use crate::socket_kit::{Log, SocketPath, Tally, alone, nobody, run, run_with};
use poe::component::{Backoff, SET_CONCURRENCY, SHUTDOWN, TcpClient, TcpServer};
use poe::filter::{Line, Raw};
use poe::wheel::SocketStream;
use poe::{Event, Kernel};
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

async fn all_of(stream: &mut TcpStream) -> String {
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    all
}

#[tokio::test]
async fn st_p1_a_server_listens_in_several_places_of_several_families() {
    let kernel = Kernel::new();
    let path = SocketPath::new("several");
    let tally = Tally::default();
    let families = tally.clone();
    let ready = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let by_hand = ready.local_addr().unwrap();
    let server = TcpServer::builder("127.0.0.1:0")
        .listen("[::1]:0")
        .listen(&*path.0)
        .listener(ready)
        .client_connected(move |cx| {
            let family = match cx.client().peer_addr() {
                Some(addr) if addr.is_ipv4() => "IPv4",
                Some(_) => "IPv6",
                None => "UNIX",
            };
            families.add(family);
            cx.client().put(family);
            cx.client().shutdown();
        })
        .start(&kernel)
        .await
        .unwrap();
    let names = server.local_names().to_vec();
    assert_eq!(
        (names.len(), server.local_addr(), server.local_name()),
        (4, names[0].as_socket_addr(), &names[0])
    );
    let talk = async {
        for addr in [
            server.local_addr().unwrap(),
            names[1].as_socket_addr().unwrap(),
            by_hand,
        ] {
            let said = all_of(&mut TcpStream::connect(addr).await.unwrap()).await;
            assert_eq!(said, if addr.is_ipv4() { "IPv4\r\n" } else { "IPv6\r\n" });
        }
        let mut unix = tokio::net::UnixStream::connect(&path.0).await.unwrap();
        let mut said = String::new();
        unix.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "UNIX\r\n");
        server.shutdown();
        let refused = TcpStream::connect(by_hand).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    };
    run_with(&kernel, talk).await;
    tally.is(&[("IPv4", 2), ("IPv6", 1), ("UNIX", 1)]);
}

/// ST.p6 and ST7: a rejected client has no callback and sees the end of the connection.
#[tokio::test]
async fn st_p6_pre_connect_refuses_waits_and_makes_another_stream() {
    let kernel = Kernel::new();
    let log = Log::default();
    let turn = Cell::new(0);
    let [l1, l2, l3] = std::array::from_fn(|_| log.clone());
    let server = TcpServer::builder("127.0.0.1:0")
        .client_pre_connect(move |_, mut stream: SocketStream| {
            turn.set(turn.get() + 1);
            let turn = turn.get();
            async move {
                if turn == 1 {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                // The first bytes are another protocol's.
                let mut greeting = [0; 5];
                stream.read_exact(&mut greeting).await?;
                assert_eq!(&greeting, b"magic");
                Ok(tokio::io::BufStream::new(stream))
            }
        })
        .client_connected(move |_| l1.say("connected"))
        .client_input(move |cx, line| {
            l2.say(&line);
            cx.client().put(line);
            cx.client().shutdown();
        })
        .client_disconnected(move |_| l3.say("disconnected"))
        .start(&kernel)
        .await
        .unwrap();
    let addr = server.local_addr().unwrap();
    let talk = async {
        let refused = all_of(&mut TcpStream::connect(addr).await.unwrap()).await;
        assert_eq!(refused, "");
        assert_eq!(log.lines(), [""; 0]);
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(b"mag").await.unwrap();
        pause(10).await;
        assert_eq!((server.connections(), log.lines().len()), (1, 0), "PreConnect waits");
        stream.write_all(b"ichello\r\n").await.unwrap();
        assert_eq!(all_of(&mut stream).await, "hello\r\n");
        // A client whose PreConnect is under way when the server ends.
        let mut waiting = TcpStream::connect(addr).await.unwrap();
        waiting.write_all(b"ma").await.unwrap();
        while server.connections() == 0 {
            pause(2).await;
        }
        server.shutdown_clients();
        // Reset, if the two bytes were not read before.
        let mut rest = String::new();
        let _ = waiting.read_to_string(&mut rest).await;
        assert_eq!(rest, "");
    };
    run_with(&kernel, talk).await;
    assert_eq!(log.lines(), ["connected", "hello", "disconnected"]);
}

/// ST.p12: one filter for each direction, each with its own type.
#[tokio::test]
async fn st_p12_filters_per_direction() {
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .filter(|| (Line::new(), Raw::new()))
        .client_input(|cx, line: String| {
            cx.client().put(bytes::Bytes::from(format!("<{line}>")));
            cx.client().shutdown();
        })
        .start(&kernel)
        .await
        .unwrap();
    let addr = server.local_addr().unwrap();
    let talk = async {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(b"line\r\n").await.unwrap();
        assert_eq!(all_of(&mut stream).await, "<line>");
        server.shutdown();
    };
    run_with(&kernel, talk).await;
}

/// Q26: with a limit of 0 the server starts paused.
#[tokio::test]
async fn st6_a_server_with_concurrency_zero_starts_paused_until_it_is_changed() {
    let kernel = Kernel::new();
    let tally = Tally::default();
    let connected = tally.clone();
    let server = TcpServer::builder("127.0.0.1:0")
        .alias("server")
        .concurrency(0)
        .client_connected(move |cx| {
            connected.add("connected");
            cx.client().shutdown();
        })
        .start(&kernel)
        .await
        .unwrap();
    let addr = server.local_addr().unwrap();
    let kernel_too = kernel.clone();
    let talk = async {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        pause(30).await;
        assert_eq!(tally.of("connected"), 0);
        kernel_too.post("server", SET_CONCURRENCY, 1).unwrap();
        assert_eq!(all_of(&mut stream).await, "");
        server.shutdown();
    };
    run_with(&kernel, talk).await;
    tally.is(&[("connected", 1)]);
}

/// ST8: in POE the client may lose output that was flushed.
#[tokio::test]
async fn st8_a_client_that_is_still_sending_when_we_close_loses_nothing() {
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_input(|cx, _| {
            cx.client().put("goodbye");
            cx.client().shutdown();
        })
        .start(&kernel)
        .await
        .unwrap();
    let addr = server.local_addr().unwrap();
    let talk = async {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            // More than one read, so that there is unread input when the connection is closed.
            stream.write_all(&b"a line\r\n".repeat(20_000)).await.unwrap();
            assert_eq!(all_of(&mut stream).await, "goodbye\r\n");
        }
        server.shutdown();
    };
    run_with(&kernel, talk).await;
}

/// Law 31 for a server, and its opposite.
#[tokio::test]
async fn a_server_ends_its_clients_in_good_order_or_at_once() {
    const LINES: usize = 200_000;
    for now in [false, true] {
        let kernel = Kernel::new();
        let tally = Tally::default();
        let (connected, gone, gone_by_then) = (tally.clone(), tally.clone(), tally.clone());
        let server = TcpServer::builder("127.0.0.1:0")
            .client_connected(move |cx| {
                connected.add("connected");
                for _ in 0..LINES {
                    cx.client()
                        .put("a line that is long enough to fill the system's buffers sooner or later");
                }
            })
            .client_disconnected(move |_| gone.add("disconnected"))
            .start(&kernel)
            .await
            .unwrap();
        let addr = server.local_addr().unwrap();
        let talk = async {
            let mut streams = Vec::new();
            for _ in 0..3 {
                streams.push(TcpStream::connect(addr).await.unwrap());
            }
            while server.connections() < 3 {
                pause(2).await;
            }
            match now {
                true => {
                    server.abort_clients();
                    // A client that reads meanwhile would have the system take all of it.
                    while gone_by_then.of("disconnected") < 3 {
                        pause(2).await;
                    }
                }
                false => server.shutdown_clients(),
            }
            for stream in &mut streams {
                let mut all = Vec::new();
                // An aborted connection may be reset.
                let ended = stream.read_to_end(&mut all).await;
                let lines = all.iter().filter(|c| **c == b'\n').count();
                match now {
                    true => assert!(lines < LINES, "all of it had been written"),
                    false => assert!(ended.is_ok() && lines == LINES, "{lines} lines, {ended:?}"),
                }
            }
        };
        run_with(&kernel, talk).await;
        tally.is(&[("connected", 3), ("disconnected", 3)]);
    }
}

#[tokio::test]
async fn a_client_is_cut_off_by_its_own_handler() {
    let kernel = Kernel::new();
    let log = Log::default();
    let (input, gone) = (log.clone(), log.clone());
    let server = TcpServer::builder("127.0.0.1:0")
        .client_input(move |cx, line| {
            input.say(line);
            cx.client().put("never written");
            cx.client().abort();
        })
        .client_disconnected(move |_| gone.say("disconnected"))
        .start(&kernel)
        .await
        .unwrap();
    let addr = server.local_addr().unwrap();
    let talk = async {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(b"one\r\ntwo\r\n").await.unwrap();
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
        server.shutdown();
    };
    run_with(&kernel, talk).await;
    assert_eq!(log.lines(), ["one", "disconnected"]);
}

#[tokio::test]
async fn st_p10_watermarks_tell_of_a_slow_client_and_of_its_recovery() {
    let kernel = Kernel::new();
    let log = Log::default();
    let (high, low) = (log.clone(), log.clone());
    let server = TcpServer::builder("127.0.0.1:0")
        .watermarks(1 << 20, 1 << 10)
        .client_connected(|cx| {
            let megabytes = "x".repeat(8 << 20);
            let level = cx.client().try_put(megabytes).unwrap();
            assert!(level.is_high());
        })
        .client_high(move |_| high.say("high"))
        .client_low(move |cx| {
            low.say("low");
            cx.client().shutdown();
        })
        .start(&kernel)
        .await
        .unwrap();
    let addr = server.local_addr().unwrap();
    let talk = async {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        pause(20).await;
        assert_eq!(all_of(&mut stream).await.len(), (8 << 20) + 2);
        server.shutdown();
    };
    run_with(&kernel, talk).await;
    assert_eq!(log.lines(), ["high", "low"]);
}

/// CT3: `connect` remembers the new target; Q28: each connection has its `disconnected`, this one too.
#[tokio::test]
async fn ct3_connect_goes_to_another_server_and_reconnect_stays_there() {
    let kernel = Kernel::new();
    let log = Log::default();
    let mut servers = Vec::new();
    for name in ["first", "second"] {
        let server = TcpServer::builder("127.0.0.1:0")
            .client_connected(move |cx| cx.client().put(name))
            .start(&kernel)
            .await
            .unwrap();
        servers.push(server);
    }
    let (connected, input, gone) = (log.clone(), log.clone(), log.clone());
    let second = servers[1].local_addr().unwrap();
    let targets = servers.clone();
    TcpClient::builder(servers[0].local_name())
        .heap(0)
        .connected(move |_| connected.say("connected"))
        .server_input(move |cx, line| {
            input.say(line);
            *cx.heap += 1;
            match *cx.heap {
                1 => cx.connect(second),
                2 => cx.reconnect(),
                _ => cx.server().shutdown(),
            }
        })
        .disconnected(move |cx| {
            gone.say("disconnected");
            if *cx.heap == 3 {
                assert_eq!(cx.target().as_socket_addr(), Some(second));
                targets.iter().for_each(TcpServer::shutdown);
            }
        })
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    let once = |name| ["connected", name, "disconnected"];
    assert_eq!(log.lines(), [once("first"), once("second"), once("second")].concat());
}

/// Q27: the timeout is exact to the millisecond. It covers PreConnect, or a silent server would block a client for ever.
#[tokio::test]
async fn ct_p4_connecting_times_out_exactly() {
    let kernel = Kernel::new();
    let log = Log::default();
    let failed = log.clone();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let began = Instant::now();
    TcpClient::builder(silent.local_addr().unwrap())
        .connect_timeout(Duration::from_millis(120))
        .pre_connect(|_, mut stream| async move {
            stream.read_u8().await?;
            Ok(stream)
        })
        .connected(|_| panic!("connected"))
        .connect_error(move |_, error| {
            assert!(error.is_timeout());
            let took = began.elapsed();
            assert!(took >= Duration::from_millis(120), "{took:?}");
            failed.say(error.operation());
        })
        .disconnected(|_| panic!("it was never connected"))
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(log.lines(), ["connect"]);
}

/// CT5: POE reports nothing.
#[tokio::test]
async fn ct5_pre_connect_that_refuses_is_a_connect_error() {
    let kernel = Kernel::new();
    let log = Log::default();
    let failed = log.clone();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    TcpClient::builder(addr)
        .pre_connect(|_, stream| async move {
            drop(stream);
            Err::<SocketStream, _>(io::Error::other("not to my liking"))
        })
        .connect_error(move |_, error| failed.say(error))
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    let told = format!("cannot set up the connection to {addr}: preconnect: not to my liking");
    assert_eq!(log.lines(), [told]);
}

#[tokio::test]
async fn a_client_reconnects_until_it_is_shut_down() {
    let kernel = Kernel::new();
    let log = Log::default();
    let addr = nobody(3);
    let [l1, l2, l3] = std::array::from_fn(|_| log.clone());
    let client = TcpClient::builder(addr)
        .alias("client")
        .backoff(
            Backoff::new()
                .first(Duration::from_millis(10))
                .longest(Duration::from_millis(40)),
        )
        .heap(0)
        .connected(move |_| l1.say("connected"))
        .connect_error(move |cx, error| {
            assert!(error.is_refused());
            // The lost connection had brought a record, so the count starts over.
            l2.say(format!("failure {}", cx.failures()));
        })
        .disconnected(move |_| l3.say("disconnected"))
        .start(&kernel)
        .unwrap();
    let kernel_too = kernel.clone();
    let talk = async {
        while log.lines().len() < 3 {
            pause(2).await;
        }
        let mut lines = log.lines();
        lines.dedup();
        assert_eq!(lines[..3], ["failure 0", "failure 1", "failure 2"]);
        let listener = tokio::net::TcpListener::bind(addr).await.unwrap();
        let before = log.lines().len();
        let lines = || -> Vec<String> {
            let lines = log.lines().into_iter().skip(before);
            lines.filter(|l| !l.starts_with("failure")).collect()
        };
        // The second connection stays until the client has reported it, so that there is no third.
        let mut streams = Vec::new();
        for told in [1, 3] {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"a record\r\n").await.unwrap();
            while lines().len() < told {
                pause(2).await;
            }
            streams.extend((told == 3).then_some(stream));
        }
        let lines = lines();
        assert_eq!(lines[..3], ["connected", "disconnected", "connected"]);
        drop((listener, streams));
        while log.lines().last().is_none_or(|l| l != "failure 2") {
            pause(2).await;
        }
        // It waits for its next attempt now, and the alias is there.
        kernel_too.post("client", SHUTDOWN, ()).unwrap();
        client.shutdown();
    };
    run_with(&kernel, talk).await;
}

#[tokio::test]
async fn a_client_gives_up_after_its_attempts_and_removes_its_alias() {
    let kernel = Kernel::new();
    let tally = Tally::default();
    let failed = tally.clone();
    TcpClient::builder(nobody(4))
        .alias("client")
        .backoff(Backoff::new().first(Duration::from_millis(1)).attempts(4))
        .connect_error(move |_, _| failed.add("failed"))
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    tally.is(&[("failed", 4)]);
}

/// A client that is asked to end inside a lost connection's callbacks does not reconnect.
#[tokio::test]
async fn a_shutdown_from_disconnected_ends_the_coming_back() {
    let kernel = Kernel::new();
    let log = Log::default();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_connected(|cx| cx.client().shutdown())
        .start(&kernel)
        .await
        .unwrap();
    let gone = log.clone();
    TcpClient::builder(server.local_name())
        .backoff(Backoff::new().first(Duration::from_millis(1)))
        .heap(0)
        .disconnected(move |cx| {
            gone.say("disconnected");
            *cx.heap += 1;
            if *cx.heap == 3 {
                cx.server().shutdown();
                server.shutdown();
            }
        })
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(log.lines(), ["disconnected"; 3]);
}

/// On a shutdown of the kernel, servers and clients write their queued output.
#[tokio::test]
async fn a_shutdown_of_the_kernel_writes_what_clients_have_put() {
    let kernel = Kernel::new();
    let log = Log::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (connected, gone) = (log.clone(), log.clone());
    let up = Rc::new(Cell::new(false));
    let is_up = up.clone();
    TcpClient::builder(listener.local_addr().unwrap())
        .connected(move |cx| {
            for i in 0..50_000 {
                cx.server().put(format!("line {i}"));
            }
            connected.say("connected");
            is_up.set(true);
        })
        .disconnected(move |_| gone.say("disconnected"))
        .start(&kernel)
        .unwrap();
    let talk = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        while !up.get() {
            pause(2).await;
        }
        let (report, all) = tokio::join!(kernel.shutdown(Duration::from_secs(10)), all_of(&mut stream));
        assert!(report.is_clean(), "{report}");
        assert_eq!(all.lines().count(), 50_000);
    };
    run_with(&kernel, talk).await;
    assert_eq!(log.lines(), ["connected", "disconnected"]);
}

/// ST.p14, ST.p15: custom states, and options of the sessions.
#[tokio::test]
async fn st_p15_options_reach_the_listener_and_the_clients() {
    const TELL: Event<()> = Event::new("tell");
    let kernel = Kernel::new();
    let log = Log::default();
    let (listener, client) = (log.clone(), log.clone());
    let server = TcpServer::builder(alone(5))
        .option("colour", "green")
        .started(move |cx| listener.say(format!("listener {:?}", cx.option("colour"))))
        .client_connected(|cx| cx.yield_to(TELL, ()))
        .state(TELL, move |cx, ()| {
            client.say(format!("client {:?}", cx.option("colour")));
            cx.client().shutdown();
        })
        .start(&kernel)
        .await
        .unwrap();
    let addr = server.local_addr().unwrap();
    let talk = async {
        all_of(&mut TcpStream::connect(addr).await.unwrap()).await;
        server.shutdown();
    };
    run_with(&kernel, talk).await;
    assert_eq!(log.lines(), ["listener Some(\"green\")", "client Some(\"green\")"]);
}

/// ST.p4: an error of one socket is reported, and that socket is closed; without the callback the whole listener is.
#[tokio::test]
async fn st_p4_an_error_of_accept_is_reported_or_ends_the_listener() {
    for told in [true, false] {
        let kernel = Kernel::new();
        let log = Log::default();
        // Bound, but not listening: `accept` returns EINVAL.
        let broken = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        broken
            .bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into())
            .unwrap();
        broken.set_nonblocking(true).unwrap();
        let broken = tokio::net::TcpListener::from_std(broken.into()).unwrap();
        let mut builder = TcpServer::builder(alone(6)).listener(broken).client_input(|cx, line| {
            cx.client().put(line);
            cx.client().shutdown();
        });
        if told {
            let failed = log.clone();
            builder = builder.error(move |_, error| failed.say(error.operation()));
        }
        let server = builder.start(&kernel).await.unwrap();
        let addr = server.local_addr().unwrap();
        let talk = async {
            if told {
                while log.lines().is_empty() {
                    pause(2).await;
                }
                let mut stream = TcpStream::connect(addr).await.unwrap();
                stream.write_all(b"still here\r\n").await.unwrap();
                assert_eq!(all_of(&mut stream).await, "still here\r\n");
                server.shutdown();
            } else {
                // One that comes while the listener is closed may be taken, or reset.
                let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
                while !TcpStream::connect(addr).await.is_err_and(|error| refused(&error)) {
                    pause(2).await;
                }
            }
        };
        run_with(&kernel, talk).await;
        assert_eq!(log.lines(), if told { vec!["accept"] } else { vec![] });
    }
}

/// ST.p13: a connection ends with the client's output, or not.
#[tokio::test]
async fn st_p13_an_error_ends_the_connection_unless_it_is_not_to() {
    const LATER: Event<()> = Event::new("later");
    for ends in [true, false] {
        let kernel = Kernel::new();
        let log = Log::default();
        let [failed, gone] = std::array::from_fn(|_| log.clone());
        let server = TcpServer::builder("127.0.0.1:0")
            .shutdown_on_error(ends)
            .client_error(move |cx, error| {
                assert!(error.is_eof());
                failed.say("the end");
                cx.delay(LATER, Duration::from_millis(50), ());
            })
            .state(LATER, |cx, ()| {
                if cx.client().is_connected() {
                    cx.client().put("an answer");
                    cx.client().shutdown();
                }
            })
            .client_disconnected(move |_| gone.say("disconnected"))
            .start(&kernel)
            .await
            .unwrap();
        let addr = server.local_addr().unwrap();
        let talk = async {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            stream.shutdown().await.unwrap();
            assert_eq!(all_of(&mut stream).await, if ends { "" } else { "an answer\r\n" });
            server.shutdown();
        };
        run_with(&kernel, talk).await;
        assert_eq!(log.lines(), ["the end", "disconnected"], "ends: {ends}");
    }
}

/// CT.p2, CT.p11: the local end of a client's connection, the family of a name's addresses, custom states, options.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn ct_p2_and_ct_p11_a_clients_end_its_states_and_its_options() {
    const TELL: Event<()> = Event::new("tell");
    const TABLE: Event<()> = Event::new("table");
    let kernel = Kernel::new();
    let log = Log::default();
    let (accepted, told, table) = (log.clone(), log.clone(), log.clone());
    let server = TcpServer::builder("127.0.0.1:0")
        .client_connected(move |cx| {
            let peer = cx.client().peer_addr().expect("an address");
            accepted.say(format!("from {}", peer.ip()));
            cx.client().put("hello");
        })
        .start(&kernel)
        .await
        .unwrap();
    let listener = server.clone();
    let states = poe::States::new().on(TABLE, move |cx, ()| {
        table.say("table");
        cx.server().shutdown();
    });
    TcpClient::builder(("localhost", server.local_addr().unwrap().port()))
        .domain(poe::wheel::Domain::Inet)
        .bind("127.77.0.6:0")
        .option("colour", "green")
        .connect_error(|_, error| panic!("{error}"))
        .server_input(|cx, _| cx.yield_to(TELL, ()))
        .state(TELL, move |cx, ()| {
            told.say(format!("client {:?}", cx.option("colour")));
            cx.yield_to(TABLE, ());
        })
        .inline_states(&states)
        .disconnected(move |_| listener.shutdown())
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(log.lines(), ["from 127.77.0.6", "client Some(\"green\")", "table"]);
}

/// A thousand clients with requests in flight: each gets every reply that was put before the shutdown, then the end.
#[tokio::test]
async fn a_shutdown_under_load_sends_a_thousand_clients_every_reply() {
    const CLIENTS: usize = 1000;
    let kernel = Kernel::new();
    let answered = Rc::new(Cell::new(0));
    let count = answered.clone();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_input(move |cx, line| {
            count.set(count.get() + 1);
            cx.client().put(format!("answer to {line}"));
        })
        // The clients read until they have everything, which may take longer than the default.
        .linger(Duration::from_secs(170))
        .client_error(|_, _| ())
        .start(&kernel)
        .await
        .unwrap();
    let addr = server.local_addr().unwrap();
    let ends = Rc::new(Cell::new(0));
    let talk = async {
        let (client_ends, server) = (&ends, &server);
        let client = |n: usize| {
            let ends = client_ends.clone();
            async move {
                let (mut reader, mut writer) = TcpStream::connect(addr).await.unwrap().into_split();
                // Clients that still wait in the backlog when the listener closes are reset by the system.
                while server.connections() < CLIENTS {
                    pause(5).await;
                }
                // Some requests are always on the way, until the server takes no more; but not more than a busy machine can
                // answer, or one I/O phase of the server would be longer than the one before, without end.
                let heard = Cell::new(0);
                let ask = async {
                    for i in 0.. {
                        while i - heard.get() >= 4 {
                            pause(20).await;
                        }
                        let request = format!("request {i} of {n}\r\n");
                        if writer.write_all(request.as_bytes()).await.is_err() {
                            break;
                        }
                        pause(20).await;
                    }
                };
                let hear = async {
                    let mut all = Vec::new();
                    while reader.read_buf(&mut all).await.unwrap() > 0 {
                        heard.set(all.iter().filter(|byte| **byte == b'\n').count());
                    }
                    let all = String::from_utf8(all).unwrap();
                    for (i, line) in all.lines().enumerate() {
                        assert_eq!(line, format!("answer to request {i} of {n}"));
                    }
                    ends.set(ends.get() + 1);
                    heard.get()
                };
                tokio::pin!(ask, hear);
                tokio::select! {
                    heard = &mut hear => heard,
                    () = &mut ask => hear.await,
                }
            }
        };
        let clients = futures_util::future::join_all((0..CLIENTS).map(client));
        let end = async {
            while answered.get() < 3 * CLIENTS {
                pause(2).await;
            }
            assert_eq!(ends.get(), 0);
            kernel.shutdown(Duration::from_secs(160)).await
        };
        let (heard, report) = tokio::join!(clients, end);
        assert!(report.is_clean(), "{report}");
        heard.iter().sum::<usize>()
    };
    let heard = run_with(&kernel, talk).await;
    assert_eq!((heard, ends.get()), (answered.get(), CLIENTS));
}
