//! Connections that are half made or encrypted when another Tokio runtime takes over, and streams that cannot move there.

use crate::runtimes_kit::{FIRST_GOES, current_thread, switch, switch_to};
use poe::event::START;
use poe::filter::{Line, Raw};
use poe::wheel::{AnyReadWrite, Connection, Input, IoError, ReadWrite, SocketError, SocketFactory};
use poe::{Event, HandlerResult, Kernel, Session};
use std::cell::{Cell, RefCell};
use std::io;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const LINE: Event<Input<String>> = Event::new("line");
const ERROR: Event<IoError> = Event::new("error");
const CONNECTED: Event<Connection> = Event::new("connected");
const FAILED: Event<SocketError> = Event::new("failed");

/// A listener with a full queue: connecting to it waits until a client is accepted.
fn busy_listener() -> (TcpListener, Vec<std::net::TcpStream>) {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let addr = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&addr, Duration::from_millis(200)) {
        waiting.push(stream);
    }
    (listener, waiting)
}

/// A thread whose result is looked at when this is dropped, at the end of each run.
struct Checked<T: PartialEq + std::fmt::Debug> {
    thread: Option<JoinHandle<T>>,
    expected: Cell<Option<T>>,
}

impl<T: PartialEq + std::fmt::Debug> Checked<T> {
    fn new(thread: JoinHandle<T>) -> Self {
        Checked {
            thread: Some(thread),
            expected: Cell::default(),
        }
    }

    fn expect(&self, result: T) {
        self.expected.set(Some(result));
    }
}

impl<T: PartialEq + std::fmt::Debug> Drop for Checked<T> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let result = self.thread.take().unwrap().join().unwrap();
            assert_eq!(Some(result), self.expected.take());
        }
    }
}

/// A session that connects and ends with the connection.
fn connects(kernel: &Kernel, factory: impl Fn() -> poe::wheel::SocketFactoryBuilder<Connection> + 'static) {
    Session::builder(None::<SocketFactory>)
        .on(START, move |cx, ()| {
            *cx.heap = Some(factory().success(CONNECTED).failure(FAILED).start(cx));
        })
        .on(CONNECTED, |cx, made| {
            assert!(made.stream.peer_name().is_ok());
            *cx.heap = None;
        })
        .on(FAILED, |_, failed| panic!("{failed}"))
        .create(kernel)
        .unwrap();
}

#[test]
fn a_tcp_connection_that_is_being_made() {
    switch(
        Kernel::new,
        |kernel| {
            let (listener, waiting) = busy_listener();
            let addr = listener.local_addr().unwrap();
            connects(kernel, move || SocketFactory::connect(addr));
            RefCell::new(Some((listener, waiting)))
        },
        |made| {
            let (listener, waiting) = made.borrow_mut().take().unwrap();
            std::thread::spawn(move || {
                for _ in 0..=waiting.len() {
                    listener.accept().unwrap();
                }
            });
        },
    );
}

/// A stream that is made in the first runtime, and given to a wheel only in the second: nobody sees where it was registered.
#[test]
fn streams_that_become_wheels_later() {
    use poe::wheel::SocketStream;
    use tokio::net::{TcpStream, UnixStream};
    const MAKE: Event<()> = Event::new("make");
    struct Heap {
        given: Option<Given>,
        wheel: Option<ReadWrite>,
    }
    enum Given {
        Tcp(TcpStream),
        Unix(UnixStream),
        Later(TcpStream),
    }
    for kind in 0..3 {
        switch(
            Kernel::new,
            |kernel| {
                let (given, peer): (_, Box<dyn Write + Send>) = if kind == 1 {
                    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
                    ours.set_nonblocking(true).unwrap();
                    (Given::Unix(UnixStream::from_std(ours).unwrap()), Box::new(theirs))
                } else {
                    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                    let theirs = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                    let (ours, _) = listener.accept().unwrap();
                    ours.set_nonblocking(true).unwrap();
                    let ours = TcpStream::from_std(ours).unwrap();
                    let given = if kind == 0 {
                        Given::Tcp(ours)
                    } else {
                        Given::Later(ours)
                    };
                    (given, Box::new(theirs))
                };
                let heap = Heap {
                    given: Some(given),
                    wheel: None,
                };
                let id = Session::builder(heap)
                    .on(START, |cx, ()| {
                        cx.refcount_increment(cx.session_id(), "has a stream").map(drop)
                    })
                    .on(MAKE, |cx, ()| -> HandlerResult {
                        cx.refcount_decrement(cx.session_id(), "has a stream")?;
                        let wheel = match cx.heap.given.take().expect("once") {
                            Given::Tcp(stream) => ReadWrite::builder(stream).input(Line::new(), LINE).start(cx)?,
                            Given::Unix(stream) => ReadWrite::builder(stream).input(Line::new(), LINE).start(cx)?,
                            Given::Later(stream) => {
                                let stream = SocketStream::from(stream);
                                ReadWrite::builder(stream).input(Line::new(), LINE).start(cx)?
                            }
                        };
                        cx.heap.wheel = Some(wheel);
                        Ok(())
                    })
                    .on(LINE, |cx, line| -> HandlerResult {
                        assert_eq!(line.record, "late");
                        cx.heap.wheel = None;
                        Ok(())
                    })
                    .create(kernel)
                    .unwrap();
                (kernel.handle(), id, RefCell::new(Some(peer)))
            },
            |(handle, id, peer)| {
                handle.post(*id, MAKE, ()).unwrap();
                // It comes when the wheel waits, so that only a wake-up can tell of it.
                let mut peer = peer.borrow_mut().take().unwrap();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(50));
                    peer.write_all(b"late\n").unwrap();
                });
            },
        );
    }
}

#[test]
fn a_connection_to_a_busy_unix_listener() {
    switch(
        Kernel::new,
        |kernel| {
            use socket2::{Domain, SockAddr, Socket, Type};
            static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
            let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("poe-busy-{}-{number}", std::process::id()));
            let name = SockAddr::unix(&path).unwrap();
            let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            listener.bind(&name).unwrap();
            listener.listen(0).unwrap();
            let mut waiting = Vec::new();
            loop {
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
                socket.set_nonblocking(true).unwrap();
                match socket.connect(&name) {
                    Ok(()) => waiting.push(socket),
                    Err(_) => break,
                }
            }
            let there = path.clone();
            connects(kernel, move || SocketFactory::connect(there.as_path()));
            RefCell::new(Some((listener, waiting, path)))
        },
        |made| {
            let (listener, waiting, path) = made.borrow_mut().take().unwrap();
            std::thread::spawn(move || {
                for _ in 0..=waiting.len() {
                    listener.accept().unwrap();
                }
                let _ = std::fs::remove_file(path);
            });
        },
    );
}

/// The one thread for lookups is busy until the trigger.
#[test]
fn a_name_that_is_being_looked_up() {
    const FREE: Event<()> = Event::new("free");
    switch(
        || Kernel::builder().blocking_threads(1).build(),
        |kernel| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let (release, wait) = std::sync::mpsc::channel::<()>();
            let wait = Cell::new(Some(wait));
            Session::builder(())
                .on(START, move |cx, ()| {
                    let wait = wait.take().unwrap();
                    cx.blocking(move || wait.recv().unwrap(), FREE);
                })
                .on(FREE, |_, ()| ())
                .create(kernel)
                .unwrap();
            connects(kernel, move || SocketFactory::connect(("localhost", port)));
            (listener, release)
        },
        |(_, release)| release.send(()).unwrap(),
    );
}

/// A stream of a foreign type, which cannot be registered again.
struct Foreign(tokio::net::UnixStream);

impl Foreign {
    fn pair() -> (Self, std::os::unix::net::UnixStream) {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Foreign(tokio::net::UnixStream::from_std(ours).unwrap()), theirs)
    }
}

impl AsyncRead for Foreign {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Foreign {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

fn names_the_cause(error: &IoError, operation: &str) {
    assert_eq!(error.operation(), operation);
    let text = error.to_string();
    assert!(
        text.contains("runtime that the stream is registered with has been shut down"),
        "{text}"
    );
}

const GO: Event<()> = Event::new("go");
const STILL: Event<()> = Event::new("still");

#[test]
fn a_stream_that_cannot_move_fails_and_the_error_names_the_cause() {
    for writes in [false, true] {
        switch_to(
            &FIRST_GOES,
            Kernel::new,
            |kernel| {
                let (ours, theirs) = Foreign::pair();
                let ours = Cell::new(Some(ours));
                let failed = Rc::new(Cell::new(0));
                let count = failed.clone();
                Session::builder(None::<AnyReadWrite>)
                    .on(START, move |cx, ()| -> HandlerResult {
                        let builder = ReadWrite::builder(ours.take().unwrap()).error(ERROR);
                        let wheel = match writes {
                            true => builder.output(Raw::new()).start(cx)?.into_any(),
                            false => builder.input(Line::new(), LINE).start(cx)?.into_any(),
                        };
                        if writes {
                            // More than the system takes, and nobody reads it.
                            wheel.put(bytes::Bytes::from(vec![b'x'; 4 << 20]))?;
                        }
                        *cx.heap = Some(wheel);
                        Ok(())
                    })
                    .on(ERROR, move |cx, error| {
                        names_the_cause(&error, if writes { "write" } else { "read" });
                        count.set(count.get() + 1);
                        assert_eq!(count.get(), 1);
                        *cx.heap = None;
                    })
                    .on(LINE, |_, line| panic!("{line:?}"))
                    .create(kernel)
                    .unwrap();
                // In two of the four runs its end comes before the trigger.
                Session::builder(None)
                    .on(START, |cx, ()| {
                        *cx.heap = Some(cx.spawn(std::future::pending::<()>(), STILL));
                        cx.alias_set("waiting")
                    })
                    .on(STILL, |_, ()| ())
                    .on(GO, |cx, ()| {
                        cx.heap.take().map(|still| cx.cancel(still));
                        cx.alias_remove("waiting")
                    })
                    .create(kernel)
                    .unwrap();
                (theirs, kernel.handle(), failed)
            },
            |(_, handle, _)| handle.post("waiting", GO, ()).unwrap(),
        );
    }
}

/// The stream's own timer panics in a runtime that has been shut down. That is a failure of the session, as any panic is.
#[test]
fn a_stream_that_panics_because_its_runtime_is_gone_is_a_failure_with_the_text() {
    struct Timed(Pin<Box<tokio::time::Sleep>>);
    impl AsyncRead for Timed {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            self.0.as_mut().poll(cx).map(Ok)
        }
    }
    impl AsyncWrite for Timed {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    let kernel = Kernel::new();
    let first = current_thread();
    first.block_on(async {
        Session::builder(None::<ReadWrite>)
            .on(START, |cx, ()| -> HandlerResult {
                let io = Timed(Box::pin(tokio::time::sleep(Duration::from_secs(3600))));
                *cx.heap = Some(ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?);
                Ok(())
            })
            .create(&kernel)
            .unwrap();
        let early = tokio::time::timeout(Duration::from_millis(20), kernel.run()).await;
        assert!(early.is_err());
    });
    drop(first);
    let ran = current_thread().block_on(async { tokio::time::timeout(Duration::from_secs(20), kernel.run()).await });
    let text = ran.expect("it ends").unwrap_err().to_string();
    assert!(text.contains("shutdown") || text.contains("shut down"), "{text}");
}

/// Streams that the program brings, of each type that can move, in each way that a wheel takes them.
#[test]
fn halves_and_pipes() {
    for kind in 0..3 {
        switch(
            Kernel::new,
            |kernel| {
                let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
                ours.set_nonblocking(true).unwrap();
                let ours = Cell::new(Some(ours));
                Session::builder(None::<ReadWrite>)
                    .on(START, move |cx, ()| -> HandlerResult {
                        let ours = ours.take().unwrap();
                        let builder = match kind {
                            0 => {
                                let (read, write) = tokio::net::UnixStream::from_std(ours)?.into_split();
                                ReadWrite::with_handles(read, write)
                            }
                            1 => {
                                let (read, write) = tokio::io::split(poe::wheel::SocketStream::from(
                                    tokio::net::UnixStream::from_std(ours)?,
                                ));
                                ReadWrite::with_handles(read, write)
                            }
                            _ => ReadWrite::builder(poe::wheel::SocketStream::from(tokio::net::UnixStream::from_std(
                                ours,
                            )?)),
                        };
                        *cx.heap = Some(builder.input(Line::new(), LINE).start(cx)?);
                        Ok(())
                    })
                    .on(LINE, |cx, line| -> HandlerResult {
                        assert_eq!(line.record, "late");
                        let wheel = cx.heap.take().unwrap();
                        wheel.put("got it".to_owned())?;
                        wheel.close(Duration::from_secs(1));
                        Ok(())
                    })
                    .create(kernel)
                    .unwrap();
                let mut reads = theirs.try_clone().unwrap();
                let reading = std::thread::spawn(move || {
                    let mut text = String::new();
                    reads.read_to_string(&mut text).map(|_| text).unwrap()
                });
                (theirs, Checked::new(reading))
            },
            |(theirs, heard)| {
                heard.expect("got it\r\n".to_owned());
                let mut theirs = theirs;
                theirs.write_all(b"late\n").unwrap();
            },
        );
    }
}

#[cfg(feature = "ring")]
mod tls {
    use super::*;
    use poe::component::TcpServer;
    use poe::tls::{Acceptor, Connector, ServerStream};
    use poe::wheel::{SocketStream, Splice, Spliced, splice};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn keys() -> (Acceptor, Connector) {
        let made = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let acceptor = Acceptor::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        (acceptor, Connector::from_pem(certificate.as_bytes()).unwrap())
    }

    /// A client on a separate thread: shakes hands early or on request, then sends "late" and reads to the end.
    struct Client {
        go: std::sync::mpsc::Sender<()>,
        heard: Checked<String>,
    }

    fn client(connector: Connector, addr: SocketAddr, early: bool) -> Client {
        client_that(connector, addr, early, false)
    }

    fn client_that(connector: Connector, addr: SocketAddr, early: bool, asks: bool) -> Client {
        let (go, wait) = std::sync::mpsc::channel();
        let heard = std::thread::spawn(move || {
            current_thread().block_on(async {
                let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
                if asks {
                    stream.write_all(b"STARTTLS\n").await.unwrap();
                    stream.read_exact(&mut [0; 10]).await.unwrap();
                }
                if !early {
                    wait.recv().unwrap();
                }
                let mut stream = connector.connect("localhost", stream).await.unwrap();
                if early {
                    wait.recv().unwrap();
                }
                stream.write_all(b"late\n").await.unwrap();
                stream.shutdown().await.unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).await.unwrap();
                text
            })
        });
        let heard = Checked::new(heard);
        Client { go, heard }
    }

    /// The client says it, and hears the reply from whatever runs the kernel next.
    fn goes(client: &Client, reply: &'static str) {
        client.heard.expect(reply.to_owned());
        client.go.send(()).unwrap();
    }

    const SECURED: Event<io::Result<ServerStream<SocketStream>>> = Event::new("secured");
    const TCP_SECURED: Event<io::Result<ServerStream<tokio::net::TcpStream>>> = Event::new("secured over tcp");
    const SPLICED: Event<Spliced> = Event::new("spliced");

    #[derive(Default)]
    struct Heap {
        factory: Option<SocketFactory>,
        wheel: Option<ReadWrite>,
        splice: Option<Splice>,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Over {
        SocketStream,
        TcpStream,
    }

    fn reply(heap: &mut Heap) -> HandlerResult {
        heap.factory = None;
        let wheel = heap.wheel.take().expect("there is a wheel");
        wheel.put("in time".to_owned())?;
        wheel.close(Duration::from_secs(1));
        Ok(())
    }

    #[test]
    fn encrypted_connections_and_hand_shakes() {
        for (early, over) in [
            (true, Over::SocketStream),
            (true, Over::TcpStream),
            (false, Over::SocketStream),
            (false, Over::TcpStream),
        ] {
            let (acceptor, connector) = keys();
            switch(
                Kernel::new,
                |kernel| {
                    let (acceptor, addr) = (acceptor.clone(), Rc::new(Cell::new(None)));
                    let give = addr.clone();
                    Session::builder(Heap::default())
                        .on(START, move |cx, ()| {
                            let factory = SocketFactory::listen("127.0.0.1:0").success(CONNECTED).start(cx);
                            give.set(factory.local_addr());
                            cx.heap.factory = Some(factory);
                        })
                        .on(CONNECTED, move |cx, made| match over {
                            Over::SocketStream => {
                                cx.spawn(acceptor.accept(made.stream), SECURED);
                            }
                            Over::TcpStream => {
                                let stream = made.stream.into_tcp().unwrap();
                                cx.spawn(acceptor.accept(stream), TCP_SECURED);
                            }
                        })
                        .on(SECURED, |cx, stream| -> HandlerResult {
                            cx.heap.wheel = Some(ReadWrite::builder(stream?).input(Line::new(), LINE).start(cx)?);
                            Ok(())
                        })
                        .on(TCP_SECURED, |cx, stream| -> HandlerResult {
                            cx.heap.wheel = Some(ReadWrite::builder(stream?).input(Line::new(), LINE).start(cx)?);
                            Ok(())
                        })
                        .on(LINE, |cx, line| -> HandlerResult {
                            assert_eq!(line.record, "late");
                            reply(&mut cx.heap)
                        })
                        .create(kernel)
                        .unwrap();
                    client(connector.clone(), addr.get().unwrap(), early)
                },
                |client| goes(client, "in time\r\n"),
            );
        }
    }

    #[test]
    fn connections_of_a_server_with_a_pre_connect() {
        for early in [true, false] {
            let (acceptor, connector) = keys();
            switch(
                Kernel::new,
                |kernel| {
                    let acceptor = acceptor.clone();
                    let running = Rc::new(RefCell::new(None::<TcpServer>));
                    let stop = running.clone();
                    let server = TcpServer::builder("127.0.0.1:0")
                        .client_pre_connect(move |_, stream| acceptor.accept(stream))
                        .client_input(move |cx, line: String| {
                            assert_eq!(line, "late");
                            cx.client().put("in time");
                            cx.client().shutdown();
                            if let Some(server) = stop.borrow_mut().take() {
                                server.shutdown();
                            }
                        });
                    let server = futures_util::FutureExt::now_or_never(server.start(kernel))
                        .unwrap()
                        .unwrap();
                    let addr = server.local_name().as_socket_addr().unwrap();
                    *running.borrow_mut() = Some(server);
                    client(connector.clone(), addr, early)
                },
                |client| goes(client, "in time\r\n"),
            );
        }
    }

    /// The handshake is over before the change of the runtime, or under way.
    #[test]
    fn connections_that_are_upgraded() {
        const UPGRADED: Event<io::Result<()>> = Event::new("upgraded");
        for early in [true, false] {
            let (acceptor, connector) = keys();
            switch(
                Kernel::new,
                |kernel| {
                    let acceptor = acceptor.clone();
                    let running = Rc::new(RefCell::new(None::<TcpServer>));
                    let stop = running.clone();
                    let server = TcpServer::builder("127.0.0.1:0")
                        .client_input(move |cx, line: String| {
                            let acceptor = acceptor.clone();
                            if line == "STARTTLS" {
                                cx.client().put("go ahead");
                                cx.client().upgrade(move |stream| acceptor.accept(stream), UPGRADED);
                                return;
                            }
                            assert_eq!(line, "late");
                            cx.client().put("in time");
                            cx.client().shutdown();
                            if let Some(server) = stop.borrow_mut().take() {
                                server.shutdown();
                            }
                        })
                        .state(UPGRADED, |_, upgraded| upgraded.map_err(poe::Failure::from));
                    let server = futures_util::FutureExt::now_or_never(server.start(kernel))
                        .unwrap()
                        .unwrap();
                    let addr = server.local_name().as_socket_addr().unwrap();
                    *running.borrow_mut() = Some(server);
                    client_that(connector.clone(), addr, early, true)
                },
                |client| goes(client, "in time\r\n"),
            );
        }
    }

    /// An encrypted client, an echo service, and the splice between them.
    #[test]
    fn splices_over_an_encrypted_connection() {
        let (acceptor, connector) = keys();
        switch(
            Kernel::new,
            |kernel| {
                let (acceptor, addr) = (acceptor.clone(), Rc::new(Cell::new(None)));
                let give = addr.clone();
                Session::builder(Heap::default())
                    .on(START, move |cx, ()| {
                        let factory = SocketFactory::listen("127.0.0.1:0").success(CONNECTED).start(cx);
                        give.set(factory.local_addr());
                        cx.heap.factory = Some(factory);
                    })
                    .on(CONNECTED, move |cx, made| {
                        cx.spawn(acceptor.accept(made.stream), SECURED);
                    })
                    .on(SECURED, |cx, stream| -> HandlerResult {
                        let (ours, echo) = std::os::unix::net::UnixStream::pair()?;
                        std::thread::spawn(move || {
                            io::copy(&mut &echo, &mut &echo).unwrap();
                            echo.shutdown(std::net::Shutdown::Write).unwrap();
                        });
                        ours.set_nonblocking(true)?;
                        let client = ReadWrite::builder(stream?).start(cx)?;
                        let server = ReadWrite::builder(tokio::net::UnixStream::from_std(ours)?).start(cx)?;
                        cx.heap.splice = Some(splice(client, server).ended(SPLICED).start(cx)?);
                        Ok(())
                    })
                    .on(SPLICED, |cx, ended| {
                        assert!(ended.errors.is_empty(), "{ended:?}");
                        assert_eq!((ended.there, ended.back), (5, 5));
                        *cx.heap = Heap::default();
                    })
                    .create(kernel)
                    .unwrap();
                client(connector.clone(), addr.get().unwrap(), true)
            },
            |client| goes(client, "late\n"),
        );
    }
}
