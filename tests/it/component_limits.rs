//! Servers and clients in memory, under virtual time: time limits, limits of connections, filters that change, tags.

use bytes::Bytes;
use poe::component::{TcpClient, TcpServer};
use poe::event::START;
use poe::filter::{Line, Raw};
use poe::testing::{self, assert_no_leaks, connect, connect_from};
use poe::wheel::{Connection, Input, IoError, ReadWrite, SocketError, SocketFactory};
use poe::{Event, HandlerResult, Kernel, Session, WheelId};
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A log with the seconds of the virtual clock.
#[derive(Clone)]
struct Notes(Rc<RefCell<Vec<String>>>, Instant);

impl Notes {
    fn new() -> Self {
        Notes(Rc::default(), Instant::now())
    }
    fn add(&self, what: impl std::fmt::Display) {
        let note = format!("{} {what}", self.1.elapsed().as_secs());
        self.0.borrow_mut().push(note);
    }
    fn taken(&self) -> Vec<String> {
        self.0.take()
    }
}

async fn beside<T>(kernel: &Kernel, talk: impl Future<Output = T>) -> T {
    let both = async { tokio::join!(kernel.run(), talk) };
    let (ran, said) = tokio::time::timeout(secs(100_000), both).await.expect("it ends");
    ran.unwrap();
    assert_no_leaks(kernel);
    said
}

async fn rest(mut peer: DuplexStream) -> String {
    let mut text = String::new();
    peer.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn a_server_and_a_client_talk_in_memory_under_virtual_time() {
    let kernel = testing::kernel();
    let server = TcpServer::builder("memory:echo")
        .client_input(|cx, line| {
            assert_eq!(cx.client().peer().map(ToString::to_string).as_deref(), Some("memory:"));
            cx.client().put(line.to_uppercase());
        })
        .start(&kernel)
        .await
        .unwrap();
    assert_eq!(server.local_name().to_string(), "memory:echo");
    let notes = Notes::new();
    let noted = notes.clone();
    TcpClient::builder(server.local_name())
        .connected(|cx| cx.delay("later", secs(3600), ()))
        .state("later", |cx, ()| cx.server().put("hello"))
        .server_input(move |cx, line| {
            assert_eq!(
                cx.server().peer().map(ToString::to_string).as_deref(),
                Some("memory:echo")
            );
            noted.add(line);
            cx.server().shutdown();
            server.shutdown();
        })
        .start(&kernel)
        .unwrap();
    beside(&kernel, async {}).await;
    assert_eq!(notes.taken(), ["3600 HELLO"]);
}

#[tokio::test(start_paused = true)]
async fn names_in_memory_are_free_taken_or_chosen() {
    let kernel = testing::kernel();
    let refused = connect(&kernel, "memory:echo").unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert!(refused.to_string().contains("memory:echo"), "{refused}");
    assert_eq!(
        connect(&kernel, "127.0.0.1:1").unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
    let server = || TcpServer::builder("memory:echo");
    let first = server().start(&kernel).await.unwrap();
    let taken = server().start(&kernel).await.unwrap_err();
    assert!(taken.to_string().contains("memory:echo"), "{taken}");
    let (any, other) = (TcpServer::builder("memory:"), TcpServer::builder("memory:"));
    let (any, other) = (any.start(&kernel).await.unwrap(), other.start(&kernel).await.unwrap());
    assert_ne!(any.local_name(), other.local_name());
    let waits = connect(&kernel, "memory:echo").unwrap();
    for server in [&first, &any, &other] {
        server.shutdown();
    }
    // It was accepted when its server closed, and goes now.
    drop(waits);
    server()
        .start(&kernel)
        .await
        .expect("the name is free again")
        .shutdown();
    let real = TcpServer::builder("127.0.0.1:0").start(&kernel).await.unwrap_err();
    assert!(real.to_string().contains("memory:"), "{real}");
    let notes = Notes::new();
    let noted = notes.clone();
    TcpClient::builder("memory:nobody")
        .connect_error(move |_, error| {
            assert!(error.is_refused());
            noted.add(error.operation());
        })
        .start(&kernel)
        .unwrap();
    beside(&kernel, async {}).await;
    assert_eq!(notes.taken(), ["0 connect"]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_ends_after_the_idle_timeout_and_an_active_one_does_not() {
    let kernel = testing::kernel();
    let notes = Notes::new();
    let (errors, ends) = (notes.clone(), notes.clone());
    let server = TcpServer::builder("memory:echo")
        .idle_timeout(secs(300))
        .client_input(|cx, line| cx.client().put(line))
        .client_error(move |cx, error| {
            assert!(error.is_timeout() && !error.is_final() && error.errno().is_none());
            errors.add(&error);
            cx.client().put("goodbye");
        })
        .client_disconnected(move |_| ends.add("gone"))
        .start(&kernel)
        .await
        .unwrap();
    let mut peer = connect(&kernel, "memory:echo").unwrap();
    let text = beside(&kernel, async {
        for _ in 0..3 {
            sleep(secs(299)).await;
            peer.write_all(b"x\r\n").await.unwrap();
        }
        let text = rest(peer).await;
        server.shutdown();
        text
    })
    .await;
    assert_eq!(text, "x\r\nx\r\nx\r\ngoodbye\r\n");
    let noted = notes.taken();
    assert_eq!(noted[1..], ["1197 gone"]);
    assert!(
        noted[0].starts_with("1197 read memory:: no byte has come or gone for 300s"),
        "{noted:?}"
    );
}

/// A peer that sends but does not read blocks nothing, and one whose input the program has paused does not count as silent.
#[tokio::test(start_paused = true)]
async fn the_idle_timeout_stands_still_while_the_input_is_paused_and_no_output_waits() {
    let kernel = testing::kernel();
    let notes = Notes::new();
    let ends = notes.clone();
    let server = TcpServer::builder("memory:echo")
        .idle_timeout(secs(10))
        .client_input(|cx, line| {
            let client = cx.client();
            match &*line {
                "hold" => {
                    client.wheel().unwrap().pause_input();
                    cx.delay("go on", secs(1000), ());
                }
                _ => client.put("x".repeat(1 << 20)),
            }
        })
        .state("go on", |cx, ()| cx.client().wheel().unwrap().resume_input())
        .client_disconnected(move |_| ends.add("gone"))
        .flush_timeout(secs(5))
        .start(&kernel)
        .await
        .unwrap();
    let mut holds = connect(&kernel, "memory:echo").unwrap();
    let mut stuffed = connect(&kernel, "memory:echo").unwrap();
    beside(&kernel, async {
        holds.write_all(b"hold\r\n").await.unwrap();
        stuffed.write_all(b"much\r\n").await.unwrap();
        assert_eq!(rest(holds).await, "");
        drop(stuffed);
        server.shutdown();
    })
    .await;
    // The peer that takes no output: ten seconds of silence, and five for writing the rest.
    assert_eq!(notes.taken(), ["15 gone", "1010 gone"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_record_must_come_in_time_also_behind_a_handshake() {
    let kernel = testing::kernel();
    let notes = Notes::new();
    let (errors, ends) = (notes.clone(), notes.clone());
    let server = TcpServer::builder("memory:echo")
        .first_record_timeout(secs(10))
        .client_pre_connect(|_, mut stream| async move {
            let mut magic = [0; 2];
            stream.read_exact(&mut magic).await?;
            Ok(stream)
        })
        .client_input(|cx, line| cx.client().put(line))
        .client_error(move |_, error| match error.is_timeout() {
            true => errors.add("too late"),
            false => errors.add(error),
        })
        .client_disconnected(move |_| ends.add("gone"))
        .start(&kernel)
        .await
        .unwrap();
    let [mut mute, mut late, mut good] = [(); 3].map(|()| connect(&kernel, "memory:echo").unwrap());
    beside(&kernel, async {
        good.write_all(b"v2hello\r\n").await.unwrap();
        sleep(secs(6)).await;
        late.write_all(b"v2half a li").await.unwrap();
        let began = Instant::now();
        assert_eq!(mute.read(&mut [0; 8]).await.unwrap(), 0, "the handshake counts");
        assert_eq!(began.elapsed().as_secs(), 4);
        assert_eq!(rest(late).await, "");
        assert_eq!(began.elapsed().as_secs(), 4, "what the handshake took counts, too");
        sleep(secs(1000)).await;
        good.write_all(b"still here\r\n").await.unwrap();
        good.shutdown().await.unwrap();
        assert_eq!(rest(good).await, "hello\r\nstill here\r\n");
        server.shutdown();
    })
    .await;
    assert_eq!(
        notes.taken(),
        ["10 too late", "10 gone", "1010 read memory:: end of input", "1010 gone"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_a_byte_now_and_then_does_not_outlast_the_record_timeout() {
    let kernel = testing::kernel();
    let notes = Notes::new();
    let errors = notes.clone();
    let server = TcpServer::builder("memory:echo")
        .idle_timeout(secs(5))
        .record_timeout(secs(31))
        .client_error(move |_, error| errors.add(error))
        .start(&kernel)
        .await
        .unwrap();
    let mut peer = connect(&kernel, "memory:echo").unwrap();
    beside(&kernel, async {
        // Records that are complete in time, although bytes arrive slowly.
        for _ in 0..20 {
            peer.write_all(b"a").await.unwrap();
            sleep(secs(4)).await;
            peer.write_all(b"b\r\nc\r\n").await.unwrap();
        }
        while peer.write_all(b"x").await.is_ok() {
            sleep(secs(3)).await;
        }
        server.shutdown();
    })
    .await;
    let noted = notes.taken();
    assert_eq!(noted.len(), 1, "{noted:?}");
    let expected = "111 read memory:: a record, 11 bytes so far, is still incomplete after 31s (`record_timeout`)";
    assert_eq!(noted[0], expected);
}

/// On a bare wheel the error comes once for each record, and ends nothing (gap G12).
#[tokio::test(start_paused = true)]
async fn a_wheel_tells_of_each_record_that_takes_too_long() {
    const LINE: Event<Input<String>> = Event::new("line");
    const ERROR: Event<IoError> = Event::new("error");
    let kernel = testing::kernel();
    let notes = Notes::new();
    let (lines, errors) = (notes.clone(), notes.clone());
    let (mut peer, ours) = tokio::io::duplex(64);
    Session::builder(None::<ReadWrite>)
        .on(START, |cx, io: DuplexStream| -> HandlerResult {
            let builder = ReadWrite::builder(io).record_timeout(secs(10)).error(ERROR);
            *cx.heap = Some(builder.input(Line::new(), LINE).start(cx)?);
            Ok(())
        })
        .on(LINE, move |_, input| lines.add(input.record))
        .on(ERROR, move |cx, error| {
            errors.add(if error.is_timeout() { "slow" } else { "end" });
            if error.is_eof() {
                *cx.heap = None;
            }
        })
        .args(ours)
        .create(&kernel)
        .unwrap();
    beside(&kernel, async move {
        peer.write_all(b"one").await.unwrap();
        sleep(secs(25)).await;
        peer.write_all(b"\ntwo").await.unwrap();
        sleep(secs(9)).await;
        peer.write_all(b"\nthree").await.unwrap();
        sleep(secs(11)).await;
    })
    .await;
    assert_eq!(notes.taken(), ["10 slow", "25 one", "34 two", "44 slow", "45 end"]);
}

#[tokio::test(start_paused = true)]
async fn an_address_is_limited_in_its_connections_at_a_time() {
    let kernel = testing::kernel();
    let server = TcpServer::builder("memory:echo")
        .max_connections_per_ip(2)
        .client_connected(|cx| cx.client().put("welcome"))
        .start(&kernel)
        .await
        .unwrap();
    let from = |ip: &str| connect_from(&kernel, "memory:echo", format!("{ip}:4000").parse().unwrap()).unwrap();
    let [mut first, second, third, mapped] = ["10.0.0.1", "10.0.0.1", "10.0.0.1", "[::ffff:10.0.0.1]"].map(from);
    let [six, seven, eight, nine] = ["[2001:db8::1]", "[2001:db8::2]", "[2001:db8::3]", "[2001:db8:0:1::1]"].map(from);
    let other = from("10.0.0.2");
    let unnamed: Vec<_> = (0..5).map(|_| connect(&kernel, "memory:echo").unwrap()).collect();
    beside(&kernel, async {
        sleep(secs(1)).await;
        assert_eq!(server.connections(), 2 + 2 + 1 + 1 + 5);
        for refused in [third, mapped, eight] {
            assert_eq!(rest(refused).await, "");
        }
        first.shutdown().await.unwrap();
        assert_eq!(rest(first).await, "welcome\r\n");
        let again = from("10.0.0.1");
        sleep(secs(1)).await;
        assert_eq!(server.connections(), 11, "one has made room");
        server.shutdown_clients();
        for mut client in [again, second, six, seven, nine, other].into_iter().chain(unnamed) {
            client.shutdown().await.unwrap();
            assert_eq!(rest(client).await, "welcome\r\n");
        }
    })
    .await;
}

/// Gap G11: a connection with a changed filter continues in another protocol, and a record of the old type is reported.
#[tokio::test(start_paused = true)]
async fn the_filter_of_a_connection_is_changed_for_one_of_another_type() {
    const TEXT: Event<String> = Event::new("text");
    let kernel = testing::kernel();
    let notes = Notes::new();
    let errors = notes.clone();
    let server = TcpServer::builder("memory:echo")
        .filter(Line::bytes)
        .client_input(|cx, line: Bytes| -> HandlerResult {
            let client = cx.client();
            client.put(line);
            client.set_filter(Line::new().literal("|"), TEXT)?;
            client.put(&b"bytes"[..]); // comes back
            assert!(client.set_filter(Line::new().literal(""), "never").is_err());
            Ok(())
        })
        .state(TEXT, |cx, text| -> HandlerResult {
            let client = cx.client();
            let refused = client.put_any(17_u8).unwrap_err();
            assert!(refused.is_wrong_type());
            assert_eq!(refused.into_record(), Some(17));
            let stops = text == "stop";
            client.put_any(text)?;
            if stops {
                client.shutdown();
            }
            Ok(())
        })
        .client_error(move |cx, error| match cx.client().take_refused() {
            Some(bytes) => errors.add(format!("{} {}", error.operation(), String::from_utf8_lossy(&bytes))),
            None => errors.add(error),
        })
        .start(&kernel)
        .await
        .unwrap();
    let mut peer = connect(&kernel, "memory:echo").unwrap();
    let text = beside(&kernel, async {
        peer.write_all(b"lines\r\ngo on|stop|never|").await.unwrap();
        peer.shutdown().await.unwrap();
        server.shutdown();
        rest(peer).await
    })
    .await;
    assert_eq!(text, "lines\r\ngo on|stop|");
    assert_eq!(notes.taken(), ["0 write bytes"]);
}

#[tokio::test(start_paused = true)]
async fn a_wheel_is_found_by_its_tag_for_as_long_as_it_lives() {
    const LINE: Event<Input<String>> = Event::new("line");
    const FLUSHED: Event<WheelId> = Event::new("flushed");
    const CLIENT: Event<Connection> = Event::new("client");
    const FAILED: Event<SocketError> = Event::new("failed");
    let kernel = testing::kernel();
    let notes = Notes::new();
    let noted = notes.clone();
    let log = move |what: &str, tag: Option<Rc<&'static str>>| {
        noted.add(format!("{what} {}", tag.as_deref().unwrap_or(&"?")))
    };
    let (accepted, read, flushed) = (log.clone(), log.clone(), log.clone());
    let (mut peer, ours) = tokio::io::duplex(64);
    Session::builder((None::<SocketFactory>, None::<ReadWrite>))
        .on(START, |cx, io: DuplexStream| -> HandlerResult {
            let builder = SocketFactory::listen("memory:door").success(CLIENT).failure(FAILED);
            cx.heap.0 = Some(builder.tag("the door").start(cx));
            let builder = ReadWrite::builder(io).tag("the line").flushed(FLUSHED);
            let wheel = builder.input(Line::new(), LINE).start(cx)?;
            assert_eq!(wheel.tag::<&str>().as_deref(), Some(&"the line"));
            assert!(wheel.tag::<u32>().is_none() && cx.tag::<u32>(wheel.id()).is_none());
            wheel.put("hello")?;
            cx.heap.1 = Some(wheel);
            Ok(())
        })
        .on(CLIENT, move |cx, client| {
            accepted("client of", cx.tag(client.wheel));
            cx.heap.0 = None;
            assert!(cx.tag::<&str>(client.wheel).is_none(), "it went with the wheel");
        })
        .on(FLUSHED, move |cx, wheel| flushed("flushed", cx.tag(wheel)))
        .on(LINE, move |cx, input| {
            read("line of", cx.tag(input.wheel));
            cx.heap.1 = None;
        })
        .args(ours)
        .create(&kernel)
        .unwrap();
    let client = connect(&kernel, "memory:door").unwrap();
    peer.write_all(b"hello\n").await.unwrap();
    beside(&kernel, async { drop(rest(client).await) }).await;
    let mut noted = notes.taken();
    noted.sort();
    assert_eq!(
        noted,
        ["0 client of the door", "0 flushed the line", "0 line of the line"]
    );
}

/// RW3, RW4: a wheel that takes other records is the same wheel.
#[tokio::test(start_paused = true)]
async fn a_retyped_wheel_keeps_its_id_events_input_and_output() {
    const LINE: Event<Input<String>> = Event::new("line");
    const BYTES: Event<Input<Bytes>> = Event::new("bytes");
    const FLUSHED: Event<WheelId> = Event::new("flushed");
    enum Talk {
        Over,
        Text(ReadWrite),
        Bytes(ReadWrite<Bytes>),
    }
    let kernel = testing::kernel();
    let notes = Notes::new();
    let (read, flushed) = (notes.clone(), notes.clone());
    let (mut peer, ours) = tokio::io::duplex(64);
    Session::builder(Talk::Over)
        .on(START, |cx, io: DuplexStream| -> HandlerResult {
            *cx.heap = Talk::Text(
                ReadWrite::builder(io)
                    .flushed(FLUSHED)
                    .input(Line::new(), LINE)
                    .start(cx)?,
            );
            Ok(())
        })
        .on(LINE, |cx, input| -> HandlerResult {
            let Talk::Text(wheel) = std::mem::replace(&mut *cx.heap, Talk::Over) else {
                return Ok(());
            };
            wheel.put(input.record)?;
            let refused = wheel.retype(Line::bytes().literal("")).unwrap_err();
            assert!(
                refused.to_string().contains(&format!("ReadWrite {}", input.wheel)),
                "{refused}"
            );
            let wheel = refused.into_wheel();
            wheel.set_input_filter(Raw::new(), BYTES)?;
            let wheel = wheel.retype(Raw::new())?;
            assert_eq!((wheel.id(), wheel.buffered_bytes()), (input.wheel, 7));
            let any = wheel.into_any().into_typed::<String>().expect_err("it takes bytes");
            *cx.heap = Talk::Bytes(any.into_typed().expect("it takes bytes"));
            Ok(())
        })
        .on(BYTES, move |cx, input| -> HandlerResult {
            read.add(String::from_utf8_lossy(&input.record));
            let Talk::Bytes(wheel) = std::mem::replace(&mut *cx.heap, Talk::Over) else {
                return Ok(());
            };
            wheel.put(input.record)?;
            wheel.flush();
            cx.delay("end", secs(1), ());
            *cx.heap = Talk::Bytes(wheel);
            Ok(())
        })
        .on(FLUSHED, move |_, _| flushed.add("flushed"))
        .on("end", |cx, ()| *cx.heap = Talk::Over)
        .args(ours)
        .create(&kernel)
        .unwrap();
    peer.write_all(b"hello\nbytes").await.unwrap();
    let text = beside(&kernel, rest(peer)).await;
    assert_eq!(text, "hello\r\nbytes");
    let noted = notes.taken();
    assert_eq!(noted[0], "0 bytes");
    assert!(
        noted[1..].iter().all(|note| note == "0 flushed") && noted.len() > 1,
        "{noted:?}"
    );
}
