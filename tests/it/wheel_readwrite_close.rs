//! The end of a wheel after `close`: which peers are still read, for how long, and how many at a time.

use crate::laws_kit::{ms, said, say};
use crate::socket_kit::{Log, run_with};
use crate::wheel_readwrite::{beside, beside_on, lines, talker};
use crate::wheel_readwrite_faults::connection;
use poe::component::{TcpClient, TcpServer};
use poe::event::START;
use poe::filter::Raw;
use poe::testing::assert_no_leaks;
use poe::wheel::{AnyReadWrite, Input, IoError, ReadWrite, ReadWriteBuilder};
use poe::{Event, HandlerResult, KERNEL_SHUTDOWN, Kernel, Session, SessionBuilder, Signal};
use std::cell::Cell;
use std::io::{self, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Waiting, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};
use tokio::time::{Instant, sleep};

/// A session that closes its wheel as soon as it is there.
fn closer(io: impl AsyncRead + AsyncWrite + 'static, linger: Duration) -> SessionBuilder<Option<AnyReadWrite>> {
    talker(io, lines).on("go", move |cx, ()| -> poe::HandlerResult {
        let Some(wheel) = cx.heap.take() else { return Ok(()) };
        wheel.put("goodbye")?;
        wheel.close(linger);
        Ok(())
    })
}

/// The system resets a closed socket that gets something, and forgets what it had still to send.
#[tokio::test]
async fn a_peer_that_speaks_after_the_close_gets_all_that_was_written() {
    const BYTES: usize = 150_000;
    let (mut peer, ours) = connection();
    // The peer's system takes some of it, the rest waits in ours.
    socket2::SockRef::from(&peer).set_recv_buffer_size(4096).unwrap();
    socket2::SockRef::from(&ours).set_send_buffer_size(1 << 20).unwrap();
    let session = talker(ours, lines).on("go", |cx, ()| -> poe::HandlerResult {
        let Some(wheel) = cx.heap.take() else { return Ok(()) };
        wheel.put("x".repeat(BYTES - 2))?;
        wheel.close(Duration::from_secs(600));
        say("closed");
        Ok(())
    });
    let got = beside_on(&Kernel::new(), session, async move {
        while said().is_empty() {
            sleep(ms(1)).await;
        }
        sleep(ms(50)).await;
        for _ in 0..10 {
            // The first that comes too late is answered by the reset, the second meets it.
            peer.write_all(b"late\r\n").unwrap();
            sleep(ms(5)).await;
        }
        peer.set_nonblocking(true).unwrap();
        let mut peer = tokio::net::TcpStream::from_std(peer).unwrap();
        let mut got = Vec::new();
        peer.read_to_end(&mut got).await.unwrap();
        got.len()
    })
    .await;
    assert_eq!(got, BYTES);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_waited_for_until_it_ends_or_the_time_is_over() {
    for (ends, expected) in [(ms(30), ms(30)), (ms(9000), ms(2000))] {
        let (mut peer, ours) = duplex(64);
        let began = Instant::now();
        let took = Rc::new(Cell::new(None));
        let noted = took.clone();
        let session = closer(ours, ms(2000)).on("_stop", move |_, ()| noted.set(Some(began.elapsed())));
        beside(session, async move {
            sleep(ends).await;
            let mut all = String::new();
            peer.shutdown().await.unwrap();
            peer.read_to_string(&mut all).await.unwrap();
            assert_eq!(all, "goodbye\r\n");
        })
        .await;
        assert_eq!(took.get(), Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_linger_of_zero_does_not_wait() {
    let (peer, ours) = duplex(64);
    let began = Instant::now();
    beside(closer(ours, Duration::ZERO), async {}).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    drop(peer);
}

/// A stream with endless input.
struct Endless(Rc<Cell<usize>>);

impl AsyncRead for Endless {
    fn poll_read(self: Pin<&mut Self>, _: &mut Waiting<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.set(self.0.get() + buf.remaining());
        let bytes = buf.initialize_unfilled().len();
        buf.advance(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(self: Pin<&mut Self>, _: &mut Waiting<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Waiting<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Waiting<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_stop_is_not_read_for_ever() {
    let read = Rc::new(Cell::new(0));
    beside(closer(Endless(read.clone()), ms(60_000)), async {}).await;
    assert!((16 << 20..17 << 20).contains(&read.get()), "{} bytes", read.get());
}

/// What is thrown away is work as any other: one read in a turn, and other sessions in between.
#[tokio::test(start_paused = true)]
async fn a_wheel_that_is_closed_reads_once_in_a_slice() {
    let kernel = poe::testing::kernel();
    let read = Rc::new(Cell::new(0));
    closer(Endless(read.clone()), ms(60_000)).create(&kernel).unwrap();
    let most = Rc::new(Cell::new(0));
    let (noted, seen, last) = (most.clone(), read.clone(), Cell::new(0));
    Session::builder(())
        .on(START, |cx, ()| cx.yield_to("again", ()))
        .on("again", move |cx, ()| {
            let now = seen.get();
            let read = now - last.replace(now);
            // Before it is closed it also reads ahead.
            if now > 256 << 10 {
                noted.set(noted.get().max(read));
            }
            if now < 8 << 20 {
                cx.yield_to("again", ());
            }
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    assert_eq!(most.get(), 65_536);
}

/// A put has a wheel polled for its output between two events. That is no reason for a second turn in a slice.
#[tokio::test(start_paused = true)]
async fn a_wheel_that_is_written_to_while_it_reads_has_one_turn_in_a_slice() {
    const READ: Event<Input<bytes::Bytes>> = Event::new("read");
    let kernel = poe::testing::kernel();
    let read = Rc::new(Cell::new(0));
    let (most, last, seen) = (Rc::new(Cell::new(0)), Cell::new(0), read.clone());
    let noted = most.clone();
    Session::builder(None::<ReadWrite<bytes::Bytes>>)
        .on(START, |cx, io: Endless| -> HandlerResult {
            *cx.heap = Some(ReadWrite::builder(io).input(Raw::new(), READ).start(cx)?);
            cx.yield_to("again", ());
            Ok(())
        })
        .on(READ, |_, _| ())
        .on("again", move |cx, ()| -> HandlerResult {
            let now = seen.get();
            noted.set(noted.get().max(now - last.replace(now)));
            if now > 8 << 20 {
                *cx.heap = None;
            } else if let Some(wheel) = &*cx.heap {
                // Both of it are polled before the next read: at once, and when the handler returns.
                wheel.put(bytes::Bytes::from_static(b"x"))?;
                wheel.flush();
                cx.yield_to("again", ());
            }
            Ok(())
        })
        .args(Endless(read))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    assert_eq!(most.get(), 65_536);
}

#[tokio::test(start_paused = true)]
async fn a_kernel_drains_1024_closed_connections_at_a_time() {
    let kernel = poe::testing::kernel();
    let peers: Vec<_> = (0..1100)
        .map(|_| {
            let (peer, ours) = duplex(64);
            closer(ours, ms(2000)).create(&kernel).unwrap();
            peer
        })
        .collect();
    let look = async {
        sleep(ms(1000)).await;
        kernel.session_count()
    };
    let (ran, at_half_time) = tokio::join!(kernel.run(), look);
    ran.unwrap();
    assert_eq!(at_half_time, 1024);
    // And again: the places were given back.
    let (peer, ours) = duplex(64);
    let began = Instant::now();
    beside_on(&kernel, closer(ours, ms(2000)), async {}).await;
    assert_eq!(began.elapsed(), ms(2000));
    drop((peer, peers));
}

/// Its wheel has done all that it had to: nobody is stopped before the end of its work.
#[tokio::test(start_paused = true)]
async fn a_shutdown_at_its_limit_does_not_report_closed_connections() {
    let kernel = poe::testing::kernel();
    let (mut peer, ours) = duplex(64);
    talker(ours, lines)
        .on("go", |cx, ()| -> poe::HandlerResult {
            cx.sig(KERNEL_SHUTDOWN, "term");
            let Some(wheel) = cx.heap.take() else { return Ok(()) };
            wheel.put("goodbye")?;
            wheel.close(ms(60_000));
            Ok(())
        })
        .on("term", |cx, _: Signal| cx.sig_handled())
        .on("_stop", |_, ()| say("stop"))
        .create(&kernel)
        .unwrap();
    let work = async {
        sleep(ms(10)).await;
        let why = kernel.why_alive().to_string();
        assert!(
            why.contains("ReadWrite") && why.contains("reading until the peer closes"),
            "{why}"
        );
        let began = Instant::now();
        let report = kernel.shutdown(ms(100)).await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(began.elapsed(), ms(100));
    };
    let (ran, ()) = tokio::join!(kernel.run(), work);
    ran.unwrap();
    assert_no_leaks(&kernel);
    assert_eq!(said(), ["stop"]);
    let mut all = String::new();
    peer.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "goodbye\r\n");
}

/// A server's client that does not end its side is told as gone at once, and counts until it is.
#[tokio::test]
async fn a_server_counts_a_client_that_it_still_drains() {
    let kernel = Kernel::new();
    let log = Log::default();
    let gone = log.clone();
    let server = TcpServer::builder("127.0.0.1:0")
        .linger(Duration::from_secs(600))
        .client_connected(|cx| {
            cx.client().put("goodbye");
            cx.client().shutdown();
        })
        .client_input(|_, _| panic!("nothing is to come"))
        .client_disconnected(move |_| gone.say("gone"))
        .start(&kernel)
        .await
        .unwrap();
    let addr = server.local_addr().unwrap();
    let talk = async {
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "goodbye\r\n");
        for _ in 0..5 {
            stream.write_all(b"late\r\n").await.unwrap();
            sleep(ms(5)).await;
        }
        assert_eq!((log.lines().len(), server.connections()), (1, 1));
        drop(stream);
        server.shutdown();
    };
    run_with(&kernel, talk).await;
    assert_eq!(server.connections(), 0);
}

const ERROR: Event<IoError> = Event::new("error");

/// A session that puts 1000 bytes, closes its wheel and says what it is told, and when.
fn reporting_closer(
    io: impl AsyncRead + AsyncWrite + 'static,
    set: impl Fn(ReadWriteBuilder) -> ReadWriteBuilder + 'static,
) -> SessionBuilder<()> {
    let (io, began) = (Cell::new(Some(io)), Instant::now());
    Session::builder(())
        .on(START, move |cx, ()| -> HandlerResult {
            let wheel = set(ReadWrite::builder(io.take().unwrap())).start(cx)?;
            wheel.put("x".repeat(998))?;
            wheel.close(ms(1000));
            Ok(())
        })
        .on(ERROR, |_, error| say(format!("{error} ({})", error.unwritten())))
        .on("_stop", move |_, ()| say(format!("stopped at {:?}", began.elapsed())))
}

#[tokio::test(start_paused = true)]
async fn a_closed_wheel_gives_up_a_peer_that_takes_nothing() {
    for (limit, at) in [(None, "30s"), (Some(ms(7000)), "7s"), (Some(Duration::ZERO), "0ns")] {
        let (_never_reads, ours) = duplex(64);
        let session = reporting_closer(ours, move |wheel| match limit {
            Some(limit) => wheel.error(ERROR).flush_timeout(limit),
            None => wheel.error(ERROR),
        });
        let kernel = poe::testing::kernel();
        session.create(&kernel).unwrap();
        kernel.run().await.unwrap();
        assert_no_leaks(&kernel);
        let told = format!("write: 936 bytes were not written: the peer took nothing for {at} (936)");
        assert_eq!(said(), [told, format!("stopped at {at}")]);
    }
}

/// A slow peer gets everything: only standing still is limited.
#[tokio::test(start_paused = true)]
async fn a_closed_wheel_writes_for_as_long_as_its_peer_takes_something() {
    let (mut peer, ours) = duplex(64);
    let kernel = poe::testing::kernel();
    reporting_closer(ours, |wheel| wheel.error(ERROR))
        .create(&kernel)
        .unwrap();
    let reads = async {
        let mut all = Vec::new();
        let mut some = [0; 64];
        loop {
            sleep(ms(29_000)).await;
            match peer.read(&mut some).await.unwrap() {
                0 => return all.len(),
                read => all.extend_from_slice(&some[..read]),
            }
        }
    };
    let (ran, got) = tokio::join!(kernel.run(), reads);
    ran.unwrap();
    assert_eq!(got, 1000);
    assert!(!said().iter().any(|line| line.contains("not written")));
}

#[tokio::test(start_paused = true)]
async fn a_closed_wheel_without_a_limit_waits_for_its_peer() {
    let (mut peer, ours) = duplex(64);
    let kernel = poe::testing::kernel();
    reporting_closer(ours, |wheel| wheel.error(ERROR).flush_timeout(Duration::MAX))
        .create(&kernel)
        .unwrap();
    let reads = async {
        sleep(Duration::from_secs(86_400)).await;
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await.unwrap();
        all.len()
    };
    let (ran, got) = tokio::join!(kernel.run(), reads);
    ran.unwrap();
    assert_eq!((got, said().len()), (1000, 1));
}

/// A stream whose end cannot be sent: what a TLS stream does when its peer reads nothing.
struct NeverShut(tokio::io::DuplexStream);

impl AsyncRead for NeverShut {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Waiting<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for NeverShut {
    fn poll_write(self: Pin<&mut Self>, _: &mut Waiting<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Waiting<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Waiting<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_wheel_gives_up_a_stream_that_cannot_send_its_end() {
    let (_never_reads, ours) = duplex(64);
    let kernel = poe::testing::kernel();
    reporting_closer(NeverShut(ours), |wheel| wheel)
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
    assert_eq!(said(), ["stopped at 30s"]);
}

/// The end of a component's connection: its error callback gets the number of bytes, and the peer sees a reset.
#[tokio::test]
async fn a_server_gives_up_a_client_that_reads_nothing() {
    const BYTES: usize = 32 << 20;
    let kernel = Kernel::new();
    let log = Log::default();
    let (failed, gone) = (log.clone(), log.clone());
    let server = TcpServer::builder("127.0.0.1:0")
        .flush_timeout(ms(300))
        .client_connected(|cx| {
            cx.client().put("x".repeat(BYTES));
            cx.client().shutdown();
        })
        .client_input(|_, _| panic!("nothing is to come"))
        .client_error(move |_, error| {
            assert!(error.unwritten() > 0 && error.unwritten() < BYTES, "{error}");
            failed.say(error.operation());
        })
        .client_disconnected(move |_| gone.say("gone"))
        .start(&kernel)
        .await
        .unwrap();
    let addr = server.local_addr().unwrap();
    let talk = async {
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        while log.lines().len() < 2 {
            sleep(ms(5)).await;
        }
        server.shutdown();
        let mut all = Vec::new();
        let error = stream.read_to_end(&mut all).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(all.len() < BYTES);
    };
    run_with(&kernel, talk).await;
    assert_eq!(log.lines(), ["write", "gone"]);
}

/// The same for a client, whose server reads nothing.
#[tokio::test]
async fn a_client_gives_up_a_server_that_reads_nothing() {
    let kernel = Kernel::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let log = Log::default();
    let (failed, gone) = (log.clone(), log.clone());
    TcpClient::builder(listener.local_addr().unwrap())
        .flush_timeout(ms(300))
        .connected(|cx| {
            cx.server().put("x".repeat(32 << 20));
            cx.server().shutdown();
        })
        .server_input(|_, _: String| panic!("nothing is to come"))
        .server_error(move |_, error| {
            assert!(error.unwritten() > 0, "{error}");
            failed.say(error.operation());
        })
        .disconnected(move |_| gone.say("gone"))
        .start(&kernel)
        .unwrap();
    run_with(&kernel, async {}).await;
    assert_eq!(log.lines(), ["write", "gone"]);
}
