//! The rows of SocketFactory (SF) and ListenAccept (LA), and laws 21, 22 and 37, as far as POE's own tests do not have
//! them.

use crate::in_child::in_child;
use crate::socket_kit::{Log, SocketPath, Tally, nobody, run, run_with};
use poe::event::START;
use poe::wheel::{Connection, Datagram, SocketError, SocketFactory};
use poe::{Event, Kernel, Session};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const CLIENT: Event<Connection> = Event::new("client");
const FAILED: Event<SocketError> = Event::new("failed");

/// A session with a listener, which others may get at.
fn listening(kernel: &Kernel, log: &Log) -> (Rc<RefCell<Option<SocketFactory>>>, SocketAddr) {
    let wheel = Rc::new(RefCell::new(None));
    let (made, clients, failed) = (wheel.clone(), log.clone(), log.clone());
    Session::builder(Vec::new())
        .on(START, move |cx, ()| {
            let factory = SocketFactory::listen("127.0.0.1:0")
                .success(CLIENT)
                .failure(FAILED)
                .start(cx);
            *made.borrow_mut() = Some(factory);
        })
        .on(CLIENT, move |cx, client| {
            clients.say("client");
            cx.heap.push(client.stream);
        })
        .on(FAILED, move |_, error| {
            failed.say(format!("{} shortage {}", error.operation(), error.is_shortage()))
        })
        .create(kernel)
        .unwrap();
    let addr = wheel.borrow().as_ref().and_then(SocketFactory::local_addr).unwrap();
    (wheel, addr)
}

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Waits until the log has so many lines.
async fn until(log: &Log, lines: usize) {
    while log.lines().len() < lines {
        pause(2).await;
    }
}

#[tokio::test]
async fn law22_a_paused_listener_accepts_no_client_and_then_serves_the_backlog_in_order() {
    let kernel = Kernel::new();
    let log = Log::default();
    let order = Log::default();
    let wheel = Rc::new(RefCell::new(None::<SocketFactory>));
    let (made, clients) = (wheel.clone(), order.clone());
    Session::builder(Vec::new())
        .on(START, move |cx, ()| {
            let factory = SocketFactory::listen("127.0.0.1:0")
                .success(CLIENT)
                .failure(FAILED)
                .start(cx);
            factory.pause_accept();
            *made.borrow_mut() = Some(factory);
        })
        .on(CLIENT, move |cx, client| {
            clients.say(client.peer);
            cx.heap.push(client.stream);
        })
        .create(&kernel)
        .unwrap();
    let addr = wheel.borrow().as_ref().and_then(SocketFactory::local_addr).unwrap();
    let talk = async {
        let mut clients = Vec::new();
        for _ in 0..5 {
            clients.push(TcpStream::connect(addr).await.unwrap());
        }
        pause(30).await;
        assert_eq!(order.lines(), [""; 0], "nobody is accepted while it is paused");
        wheel.borrow().as_ref().unwrap().resume_accept();
        until(&order, 5).await;
        let expected: Vec<String> = clients.iter().map(|c| c.local_addr().unwrap().to_string()).collect();
        assert_eq!(order.lines(), expected);
        // What was accepted goes with the session; who waits in the backlog goes with the listener.
        wheel.borrow().as_ref().unwrap().pause_accept();
        let mut waiting = TcpStream::connect(addr).await.unwrap();
        let gone = wheel.take();
        drop(gone);
        let ended = waiting.read(&mut [0; 8]).await;
        assert!(ended.is_err() || ended.is_ok_and(|n| n == 0));
    };
    run_with(&kernel, talk).await;
    assert_eq!(log.lines(), [""; 0]);
}

#[tokio::test]
async fn law21_a_connecting_wheel_has_one_event_and_never_inside_start() {
    let kernel = Kernel::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let targets = [listener.local_addr().unwrap(), nobody(2), "[100::1]:1".parse().unwrap()];
    let tally = Tally::default();
    for target in targets {
        let (up, down) = (tally.clone(), tally.clone());
        Session::builder((None::<SocketFactory>, 0))
            .on(START, move |cx, ()| {
                let started = SocketFactory::connect(target).success(CLIENT).failure(FAILED).start(cx);
                assert_eq!(cx.heap.1, 0, "nothing comes inside `start`");
                cx.heap.0 = Some(started);
                // An address that is not routed may keep the system busy for minutes.
                cx.delay("enough", Duration::from_millis(300), ());
            })
            .on(CLIENT, move |cx, _| {
                cx.heap.1 += 1;
                up.add("up");
            })
            .on(FAILED, move |cx, _| {
                cx.heap.1 += 1;
                down.add("down");
            })
            .on("enough", |cx, ()| {
                assert!(cx.heap.1 <= 1);
                cx.heap.0 = None;
            })
            .create(&kernel)
            .unwrap();
    }
    run(&kernel).await;
    assert_eq!(tally.of("up"), 1);
    assert!((1..=2).contains(&tally.of("down")));
}

#[tokio::test]
async fn sf1_what_is_wrong_at_once_is_posted_behind_what_is_queued() {
    let kernel = Kernel::new();
    let log = Log::default();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let (queued, failed) = (log.clone(), log.clone());
    Session::builder(None::<SocketFactory>)
        .on(START, move |cx, ()| {
            cx.yield_to("queued", ());
            *cx.heap = Some(SocketFactory::listen(addr).success(CLIENT).failure(FAILED).start(cx));
        })
        .on("queued", move |_, ()| queued.say("queued"))
        .on(FAILED, move |_, error| failed.say(error.operation()))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    let lines = log.lines();
    assert!(
        lines == ["queued", "bind"] || lines == ["queued", "listen"],
        "{lines:?}"
    );
}

#[tokio::test]
async fn sf3_an_unknown_name_is_address_not_available() {
    let kernel = Kernel::new();
    let log = Log::default();
    for name in ["no-such-name.invalid:80", "127.0.0.1:70000", "no port"] {
        let failed = log.clone();
        Session::builder(None::<SocketFactory>)
            .on(START, move |cx, ()| {
                *cx.heap = Some(SocketFactory::connect(name).success(CLIENT).failure(FAILED).start(cx));
            })
            .on(FAILED, move |cx, error| {
                assert!(error.to_string().contains(name), "{error}");
                failed.say(format!("{} {:?}", error.operation(), error.os_error().kind()));
                *cx.heap = None;
            })
            .create(&kernel)
            .unwrap();
    }
    run(&kernel).await;
    assert_eq!(log.lines(), ["getaddrinfo AddrNotAvailable"; 3]);
}

/// SF8: without a peer the success is posted, and the wheel is inert from the start.
#[tokio::test]
async fn sf8_a_datagram_socket_without_a_peer_is_posted() {
    const MADE: Event<Datagram> = Event::new("made");
    let kernel = Kernel::new();
    let log = Log::default();
    let (queued, made) = (log.clone(), log.clone());
    Session::builder(())
        .on(START, move |cx, ()| {
            cx.yield_to("queued", ());
            let wheel = SocketFactory::datagram()
                .bind("127.0.0.1:0")
                .success(MADE)
                .failure(FAILED)
                .start(cx);
            assert!(wheel.local_addr().is_some_and(|addr| addr.port() > 0));
            // Not kept, and still it has its event: it was posted.
            drop(wheel);
        })
        .on("queued", move |_, ()| queued.say("queued"))
        .on(MADE, move |_, socket| made.say(format!("made, peer {:?}", socket.peer)))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(log.lines(), ["queued", "made, peer None"]);
}

/// SF.p8: a wheel on a datagram socket has its success event changed by a key of its own type. What was posted when the
/// wheel was made has its name already; what waits for a look-up has it when it comes.
#[tokio::test]
async fn sf_p8_a_datagram_sockets_success_event_is_changed() {
    const MADE: Event<Datagram> = Event::new("made");
    for (ours, told) in [("127.0.0.1:0", "old name"), ("localhost:0", "made")] {
        let kernel = Kernel::new();
        let log = Log::default();
        let (before, after) = (log.clone(), log.clone());
        Session::builder(None::<SocketFactory<Datagram>>)
            .on(START, move |cx, ()| {
                let builder = SocketFactory::datagram().bind(ours).success("old name");
                let wheel = builder.failure(FAILED).start(cx);
                wheel.set_success_event(MADE);
                *cx.heap = Some(wheel);
            })
            .on("old name", move |_, _: Datagram| before.say("old name"))
            .on(MADE, move |cx, made| {
                assert_eq!(Some(made.wheel), cx.heap.as_ref().map(SocketFactory::id));
                after.say("made");
            })
            .on(FAILED, |_, error| panic!("{error}"))
            .create(&kernel)
            .unwrap();
        run(&kernel).await;
        assert_eq!(log.lines(), [told], "{ours}");
    }
}

#[tokio::test]
async fn sf11_the_any_address_of_ipv6_is_bound_and_names_are_told_at_run_time() {
    let kernel = Kernel::new();
    let tally = Tally::default();
    let (before, after) = (tally.clone(), tally.clone());
    Session::builder(None::<SocketFactory>)
        .on(START, |cx, ()| {
            let wheel = SocketFactory::listen("[::]:0")
                .success("old name")
                .failure(FAILED)
                .start(cx);
            let mut addr = wheel.local_addr().expect("bound at once");
            assert!(addr.ip().is_unspecified() && addr.is_ipv6());
            wheel.set_success_event(CLIENT);
            addr.set_ip("::1".parse().unwrap());
            std::thread::spawn(move || std::net::TcpStream::connect(addr));
            *cx.heap = Some(wheel);
        })
        .on("old name", move |_, _: Connection| before.add("old name"))
        .on(CLIENT, move |cx, client| {
            assert!(client.peer.as_socket_addr().is_some_and(|peer| peer.is_ipv6()));
            after.add("new name");
            *cx.heap = None;
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    tally.is(&[("new name", 1)]);
}

#[tokio::test]
async fn w4_dropping_a_wheel_that_connects_sends_nothing_and_ends_its_session() {
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| {
            let wheel = SocketFactory::connect("no-such-name.invalid:1")
                .success(CLIENT)
                .failure(FAILED)
                .start(cx);
            drop(wheel);
        })
        .on(CLIENT, |_, _| panic!("an event of a wheel that is gone"))
        .on(FAILED, |_, _| panic!("an event of a wheel that is gone"))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
}

/// SF.p4: whether several sockets may have one address. For listeners it is on, or a server could not be started again.
#[cfg(unix)]
#[tokio::test]
async fn sf_p4_an_address_is_shared_by_sockets_that_allow_it() {
    const MADE: Event<Datagram> = Event::new("made");
    for reuse in [true, false] {
        let kernel = Kernel::new();
        let log = Log::default();
        let (made, failed) = (log.clone(), log.clone());
        Session::builder(Vec::new())
            .on(START, move |cx, ()| {
                let bound = |addr| {
                    let builder = SocketFactory::datagram().bind(addr).reuse(reuse);
                    builder.success(MADE).failure(FAILED).start(cx)
                };
                let first = bound("127.0.0.1:0".parse::<SocketAddr>().unwrap());
                drop(bound(first.local_addr().expect("bound at once")));
            })
            .on(MADE, move |cx, datagram| {
                made.say("made");
                cx.heap.push(datagram.socket);
            })
            .on(FAILED, move |_, error| {
                failed.say(format!("{} {:?}", error.operation(), error.os_error().kind()))
            })
            .create(&kernel)
            .unwrap();
        run(&kernel).await;
        let second = if reuse { "made" } else { "bind AddrInUse" };
        assert_eq!(log.lines(), ["made", second]);
    }
}

/// SF.p5, SF9: our end of a connection has the address that was asked for, or it is a failure to bind.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn sf_p5_our_end_is_bound_where_it_was_asked_for() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    // The last is of a net for documentation: no machine has it.
    for ours in ["127.77.0.5:0", "203.0.113.1:0"] {
        let kernel = Kernel::new();
        let log = Log::default();
        let (connected, failed) = (log.clone(), log.clone());
        Session::builder(None::<SocketFactory>)
            .on(START, move |cx, ()| {
                let builder = SocketFactory::connect(addr).bind(ours);
                *cx.heap = Some(builder.success(CLIENT).failure(FAILED).start(cx));
            })
            .on(CLIENT, move |_, connection| -> poe::HandlerResult {
                let local = connection.stream.local_name()?.as_socket_addr().expect("an address");
                connected.say(format!("from {}", local.ip()));
                Ok(())
            })
            .on(FAILED, move |_, error| {
                failed.say(format!("{} {:?}", error.operation(), error.os_error().kind()))
            })
            .create(&kernel)
            .unwrap();
        run(&kernel).await;
        if ours.starts_with("127") {
            assert_eq!(log.lines(), ["from 127.77.0.5"]);
            assert_eq!(listener.accept().await.unwrap().1.ip().to_string(), "127.77.0.5");
        } else {
            assert_eq!(log.lines(), ["bind AddrNotAvailable"]);
        }
    }
}

/// SF.p7: so many wait to be accepted, and no more.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn sf_p7_the_backlog_is_as_long_as_it_was_asked_for() {
    const CLIENTS: usize = 20;
    for backlog in [1, 100] {
        let kernel = Kernel::new();
        let wheel = Rc::new(RefCell::new(None::<SocketFactory>));
        let made = wheel.clone();
        Session::builder(())
            .on(START, move |cx, ()| {
                let builder = SocketFactory::listen("127.0.0.1:0").backlog(backlog);
                let factory = builder.success(CLIENT).failure(FAILED).start(cx);
                factory.pause_accept();
                *made.borrow_mut() = Some(factory);
            })
            .create(&kernel)
            .unwrap();
        let addr = wheel.borrow().as_ref().and_then(SocketFactory::local_addr).unwrap();
        let talk = async {
            // A client for which the system has no place waits.
            let client = || tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(addr));
            let clients = futures_util::future::join_all((0..CLIENTS).map(|_| client())).await;
            let up = clients.iter().filter(|client| matches!(client, Ok(Ok(_)))).count();
            match backlog {
                1 => assert!((1..CLIENTS).contains(&up), "{up}"),
                _ => assert_eq!(up, CLIENTS),
            }
            let gone = wheel.take();
            drop(gone);
        };
        run_with(&kernel, talk).await;
    }
}

/// LA2: a socket that cannot be accepted from is reported once, and the wheel is over.
#[tokio::test]
async fn la2_a_socket_that_does_not_listen_fails_once_and_lets_its_session_go() {
    let kernel = Kernel::new();
    let log = Log::default();
    let failed = log.clone();
    // Bound, but not listening: `accept` returns EINVAL.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket
        .bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into())
        .unwrap();
    socket.set_nonblocking(true).unwrap();
    let listener = Rc::new(tokio::net::TcpListener::from_std(socket.into()).unwrap());
    Session::builder(None::<SocketFactory>)
        .on(START, move |cx, ()| {
            *cx.heap = Some(
                SocketFactory::on(listener.clone())
                    .success(CLIENT)
                    .failure(FAILED)
                    .start(cx),
            );
        })
        .on(FAILED, move |_, error| {
            failed.say(format!("{} {}", error.operation(), error.is_shortage()))
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(log.lines(), ["accept false"]);
}

/// All descriptors that this process may have, used up; they come back when the value is dropped.
struct Exhausted(#[allow(dead_code)] Vec<std::fs::File>);

impl Exhausted {
    fn new() -> Self {
        let mut files = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            files.push(file);
        }
        Exhausted(files)
    }
}

fn limit_descriptors(most: u64) {
    let old = getrlimit(Resource::Nofile);
    let new = Rlimit {
        current: Some(most),
        maximum: old.maximum,
    };
    setrlimit(Resource::Nofile, new).unwrap();
}

/// Q16: POE spins. Here it rests, and one event reports the episode, however many tries it takes.
#[tokio::test]
async fn sf7_descriptors_are_exhausted_and_come_back() {
    in_child!();
    limit_descriptors(64);
    let kernel = Kernel::new();
    let log = Log::default();
    let (wheel, addr) = listening(&kernel, &log);
    let talk = async {
        for episode in 1..=2 {
            let before = log.lines().len();
            let mut client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            let exhausted = Exhausted::new();
            client.connect(&addr.into()).unwrap();
            until(&log, before + 1).await;
            assert_eq!(log.lines()[before], "accept shortage true", "episode {episode}");
            // Three tries more, which all fail and are not told.
            pause(350).await;
            assert_eq!(log.lines().len(), before + 1, "{:?}", log.lines());
            drop(exhausted);
            until(&log, before + 2).await;
            assert_eq!(log.lines()[before + 1], "client");
            std::io::Write::write_all(&mut client, b"still there").unwrap();
        }
        let listener = wheel.take();
        drop(listener);
    };
    run_with(&kernel, talk).await;
}

/// The default of a server: it says so in the log, and goes on when there are descriptors again.
#[tokio::test]
async fn a_server_survives_a_shortage_of_descriptors() {
    in_child!();
    limit_descriptors(64);
    let kernel = Kernel::new();
    let tally = Tally::default();
    let connected = tally.clone();
    let server = poe::component::TcpServer::builder("127.0.0.1:0")
        .client_connected(move |cx| {
            connected.add("connected");
            cx.client().put("hello");
            cx.client().shutdown();
        })
        .start(&kernel)
        .await
        .unwrap();
    let addr = server.local_addr().unwrap();
    let talk = async {
        let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let exhausted = Exhausted::new();
        client.connect(&addr.into()).unwrap();
        pause(150).await;
        assert_eq!(tally.of("connected"), 0);
        drop(exhausted);
        client.set_nonblocking(true).unwrap();
        let mut client = TcpStream::from_std(client.into()).unwrap();
        let mut all = String::new();
        client.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "hello\r\n");
        server.shutdown();
    };
    run_with(&kernel, talk).await;
    tally.is(&[("connected", 1)]);
}

/// A thousand connections come and go; no descriptor is left over.
#[tokio::test]
async fn no_descriptor_is_left_over_of_connections_that_came_and_went() {
    in_child!();
    let descriptors = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let kernel = Kernel::new();
    let path = SocketPath::new("come-and-go");
    let server = poe::component::TcpServer::builder("127.0.0.1:0")
        .listen(&*path.0)
        .client_input(|cx, line| cx.client().put(line))
        .start(&kernel)
        .await
        .unwrap();
    let addr = server.local_addr().unwrap();
    let before = descriptors();
    let talk = async {
        for round in 0..10 {
            let mut tcp = Vec::new();
            for _ in 0..100 {
                tcp.push(TcpStream::connect(addr).await.unwrap());
                let unix = tokio::net::UnixStream::connect(&path.0).await.unwrap();
                drop(unix);
            }
            if round % 2 == 0 {
                // Half of them are reset, and not ended.
                for stream in &tcp {
                    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
                }
            }
            drop(tcp);
            while server.connections() > 0 {
                pause(2).await;
            }
        }
        assert_eq!(descriptors(), before);
        server.shutdown();
    };
    run_with(&kernel, talk).await;
}
