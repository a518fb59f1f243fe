//! POE's `comp_tcp` (POE::Test::Loops): both TCP components against each other and against real sockets, without
//! PreConnect.

use poe::component::{TcpClient, TcpServer};
use poe::filter::Line;
use poe::{Event, Kernel};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Fails instead of hanging.
async fn within<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), work)
        .await
        .expect("it should have ended by now")
}

#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn say(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    fn count(&self, what: &str) -> usize {
        self.0.borrow().iter().filter(|l| *l == what).count()
    }
}

/// A server that echoes lines in upper case and logs its clients' events.
async fn shouting(kernel: &Kernel, log: &Log) -> TcpServer {
    let (connected, input, flushed, disconnected) = (log.clone(), log.clone(), log.clone(), log.clone());
    TcpServer::builder("127.0.0.1:0")
        .filter(|| Line::new().max_length(100))
        .client_connected(move |cx| {
            connected.say("connected");
            cx.client().put("hello");
        })
        .client_input(move |cx, line| {
            input.say(format!("input {line}"));
            cx.client().put(line.to_uppercase());
        })
        .client_flushed(move |_| flushed.say("flushed"))
        .client_disconnected(move |_| disconnected.say("disconnected"))
        .start(kernel)
        .await
        .unwrap()
}

#[tokio::test]
async fn client_and_server_talk_and_end_by_themselves() {
    let kernel = Kernel::new();
    let log = Log::default();
    let server = shouting(&kernel, &log).await;
    let client = log.clone();
    let gone = log.clone();
    let listener = server.clone();
    TcpClient::builder(server.local_name())
        .server_input(move |cx, line| {
            client.say(format!("client got {line}"));
            match &*line {
                "hello" => cx.server().put("how are you?"),
                _ => cx.server().shutdown(),
            }
        })
        .disconnected(move |_| {
            gone.say("client disconnected");
            listener.shutdown();
        })
        .start(&kernel)
        .unwrap();
    within(kernel.run()).await.unwrap();
    for what in [
        "connected",
        "client got hello",
        "input how are you?",
        "client got HOW ARE YOU?",
        "client disconnected",
        "disconnected",
    ] {
        assert_eq!(log.count(what), 1, "{what} in {:?}", log.0.borrow());
    }
    assert!(log.count("flushed") >= 1);
    assert!(kernel.why_alive().is_empty());
}

#[tokio::test]
async fn a_refused_connection_is_reported_once_and_ends_the_client() {
    let kernel = Kernel::new();
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let errors = Rc::new(Cell::new(0));
    let seen = errors.clone();
    TcpClient::builder(address)
        .server_input(|_, _| panic!("nobody is there"))
        .disconnected(|_| panic!("it was never connected"))
        .connect_error(move |_, error| {
            assert!(error.to_string().contains("connect"), "{error}");
            seen.set(seen.get() + 1);
        })
        .start(&kernel)
        .unwrap();
    within(kernel.run()).await.unwrap();
    assert_eq!(errors.get(), 1);
}

#[tokio::test]
async fn a_thousand_clients_at_once_each_get_their_own_answer() {
    let kernel = Kernel::new();
    let log = Log::default();
    let server = shouting(&kernel, &log).await;
    let address = server.local_addr().unwrap();
    let talk = async {
        let clients = (0..1000).map(|i| async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream
                .write_all(format!("line of {i}\r\nlast of {i}\r\n").as_bytes())
                .await
                .unwrap();
            let expected = format!("hello\r\nLINE OF {i}\r\nLAST OF {i}\r\n");
            let mut got = vec![0; expected.len()];
            stream.read_exact(&mut got).await.unwrap();
            assert_eq!(String::from_utf8(got).unwrap(), expected);
        });
        futures_util::future::join_all(clients).await;
        server.shutdown();
    };
    within(async { tokio::join!(talk, kernel.run()) }).await.1.unwrap();
    assert_eq!(log.count("connected"), 1000);
    assert_eq!(log.count("disconnected"), 1000);
}

#[tokio::test]
async fn an_over_long_line_costs_that_connection_only() {
    let kernel = Kernel::new();
    let log = Log::default();
    let server = shouting(&kernel, &log).await;
    let address = server.local_addr().unwrap();
    let talk = async {
        let mut good = TcpStream::connect(address).await.unwrap();
        let mut bad = TcpStream::connect(address).await.unwrap();
        bad.write_all(b"before\r\n").await.unwrap();
        // A megabyte without a newline, into a filter that takes a hundred bytes.
        let _ = bad.write_all(&vec![b'x'; 1 << 20]).await;
        let mut all = Vec::new();
        let _ = bad.read_to_end(&mut all).await;
        assert!(
            String::from_utf8_lossy(&all).starts_with("hello\r\nBEFORE\r\n"),
            "what came before is answered"
        );
        good.write_all(b"still here\r\n").await.unwrap();
        let mut got = vec![0; "hello\r\nSTILL HERE\r\n".len()];
        good.read_exact(&mut got).await.unwrap();
        assert_eq!(got, b"hello\r\nSTILL HERE\r\n");
        drop(good);
        server.shutdown();
    };
    within(async { tokio::join!(talk, kernel.run()) }).await.1.unwrap();
    assert_eq!(log.count("disconnected"), 2);
}

#[tokio::test]
async fn a_graceful_shutdown_writes_what_was_put_before_it() {
    const LINES: usize = 20_000;
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_connected(|cx| {
            for i in 0..LINES {
                cx.client().put(format!("line {i}"));
            }
            cx.client().shutdown();
        })
        .start(&kernel)
        .await
        .unwrap();
    let address = server.local_addr().unwrap();
    let talk = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        server.shutdown();
        all.lines().count()
    };
    let (lines, ran) = within(async { tokio::join!(talk, kernel.run()) }).await;
    ran.unwrap();
    assert_eq!(lines, LINES);
}

#[tokio::test]
async fn concurrency_is_never_exceeded_and_every_client_is_served() {
    let kernel = Kernel::new();
    let (now, most, served) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (n1, n2, m1, s1) = (now.clone(), now.clone(), most.clone(), served.clone());
    let server = TcpServer::builder("127.0.0.1:0")
        .concurrency(4)
        .client_connected(move |_| {
            n1.set(n1.get() + 1);
            m1.set(m1.get().max(n1.get()));
        })
        .client_input(|cx, line| {
            cx.client().put(line);
            cx.client().shutdown();
        })
        .client_disconnected(move |_| {
            n2.set(n2.get() - 1);
            s1.set(s1.get() + 1);
        })
        .start(&kernel)
        .await
        .unwrap();
    let address = server.local_addr().unwrap();
    let talk = async {
        let clients = (0..9).map(|_| async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"hi\r\n").await.unwrap();
            let mut all = String::new();
            stream.read_to_string(&mut all).await.unwrap();
            assert_eq!(all, "hi\r\n");
        });
        futures_util::future::join_all(clients).await;
        server.shutdown();
    };
    within(async { tokio::join!(talk, kernel.run()) }).await.1.unwrap();
    assert_eq!(served.get(), 9);
    assert!((1..=4).contains(&most.get()), "{} at once", most.get());
}

#[tokio::test]
async fn sessions_of_clients_take_events_of_their_own() {
    const SHOUT: Event<String> = Event::new("shout");
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_connected(|cx| cx.yield_to(SHOUT, String::from("welcome")))
        .state(SHOUT, |cx, what: String| {
            cx.client().put(what.to_uppercase());
            cx.client().shutdown();
        })
        .start(&kernel)
        .await
        .unwrap();
    let address = server.local_addr().unwrap();
    let talk = async {
        let mut all = String::new();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "WELCOME\r\n");
        server.shutdown();
    };
    within(async { tokio::join!(talk, kernel.run()) }).await.1.unwrap();
}

/// POE calls Disconnected again for a connection that was lost and then shut down; here the two come in pairs.
#[tokio::test]
async fn reconnecting_gives_each_connected_its_disconnected() {
    let kernel = Kernel::new();
    let (log, ours) = (Log::default(), Log::default());
    let server = shouting(&kernel, &log).await;
    let (connected, disconnected, listener) = (ours.clone(), ours.clone(), server.clone());
    TcpClient::builder(server.local_name())
        .heap(0)
        .connected(move |cx| {
            *cx.heap += 1;
            connected.say("connected");
        })
        .server_input(|cx, line| match (&*line, *cx.heap) {
            ("hello", n) => cx.server().put(format!("connection {n}")),
            ("CONNECTION 3", _) => {
                cx.server().shutdown();
                cx.server().shutdown();
            }
            _ => cx.reconnect(),
        })
        .disconnected(move |cx| {
            disconnected.say("disconnected");
            if *cx.heap == 3 {
                listener.shutdown();
            }
        })
        .start(&kernel)
        .unwrap();
    within(kernel.run()).await.unwrap();
    assert_eq!(*ours.0.borrow(), ["connected", "disconnected"].repeat(3));
    for n in 1..=3 {
        assert_eq!(log.count(&format!("input connection {n}")), 1);
    }
    assert_eq!((log.count("connected"), log.count("disconnected")), (3, 3));
    assert!(kernel.why_alive().is_empty());
}

#[tokio::test]
async fn a_client_whose_server_hangs_up_may_reconnect_from_disconnected() {
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_connected(|cx| cx.client().shutdown())
        .start(&kernel)
        .await
        .unwrap();
    let log = Log::default();
    let (connected, failed, disconnected, listener) = (log.clone(), log.clone(), log.clone(), server.clone());
    TcpClient::builder(server.local_name())
        .heap(0)
        .connected(move |_| connected.say("connected"))
        .server_error(move |_, error| failed.say(error.to_string()))
        .disconnected(move |cx| {
            disconnected.say("disconnected");
            *cx.heap += 1;
            match *cx.heap {
                3 => listener.shutdown(),
                _ => cx.reconnect(),
            }
        })
        .start(&kernel)
        .unwrap();
    within(kernel.run()).await.unwrap();
    let ended = format!("read {}: end of input", server.local_name());
    assert_eq!(*log.0.borrow(), ["connected", &*ended, "disconnected"].repeat(3));
    assert!(kernel.why_alive().is_empty());
}

/// The error has the filter's text, and comes before `disconnected`, to that client's session only.
#[tokio::test]
async fn an_over_long_line_closes_its_connection_with_one_error_event() {
    let kernel = Kernel::new();
    let log = Log::default();
    let (input, failed, disconnected) = (log.clone(), log.clone(), log.clone());
    let server = TcpServer::builder("127.0.0.1:0")
        .filter(|| Line::new().max_length(10))
        .client_input(move |_, line| input.say(line))
        .client_error(move |_, error| {
            assert!(
                error.as_filter().is_some_and(poe::filter::FilterError::is_too_long),
                "{error}"
            );
            failed.say("too long");
        })
        .client_disconnected(move |_| disconnected.say("disconnected"))
        .start(&kernel)
        .await
        .unwrap();
    let address = server.local_addr().unwrap();
    let talk = async {
        let mut bad = TcpStream::connect(address).await.unwrap();
        bad.write_all(b"before\r\nmore than ten bytes\r\nafter\r\n")
            .await
            .unwrap();
        let mut all = Vec::new();
        let _ = bad.read_to_end(&mut all).await;
        server.shutdown();
    };
    within(async { tokio::join!(talk, kernel.run()) }).await.1.unwrap();
    assert_eq!(*log.0.borrow(), ["before", "too long", "disconnected"]);
    assert!(kernel.why_alive().is_empty());
}

#[tokio::test]
async fn a_server_that_shuts_down_frees_its_port_at_once_and_its_clients_live_on() {
    // An address that other tests do not use, so that none of them takes this port meanwhile.
    let alone = if cfg!(target_os = "linux") {
        "127.84.1.10:0"
    } else {
        "127.0.0.1:0"
    };
    let kernel = Kernel::new();
    let (disconnected, stopped) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    let (gone, over) = (disconnected.clone(), stopped.clone());
    let server = TcpServer::builder(alone)
        .client_input(|cx, line| cx.client().put(line))
        .client_disconnected(move |_| gone.set(gone.get() + 1))
        .stopped(move |_| over.set(true))
        .start(&kernel)
        .await
        .unwrap();
    let address = server.local_addr().unwrap();
    let talk = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut got = [0; 7];
        stream.write_all(b"first\r\n").await.unwrap();
        stream.read_exact(&mut got).await.unwrap();
        assert_eq!(server.connections(), 1);
        server.shutdown();
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        drop(std::net::TcpListener::bind(address).unwrap());
        stream.write_all(b"after\r\n").await.unwrap();
        stream.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"after\r\n");
        assert_eq!((server.connections(), disconnected.get()), (1, 0));
        // A second call has no further effect.
        server.shutdown();
    };
    within(async { tokio::join!(talk, kernel.run()) }).await.1.unwrap();
    assert_eq!((server.connections(), disconnected.get()), (0, 1));
    assert!(stopped.get());
    assert!(kernel.why_alive().is_empty());
}

#[tokio::test]
#[ignore = "needs Perl's POE; .ci/run installs it and runs these"]
async fn a_perl_client_is_served() {
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .filter(|| Line::new().literal("\n"))
        .client_input(|cx, line| cx.client().put(line))
        .start(&kernel)
        .await
        .unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/perl/echo_client.pl");
    let perl = async {
        let ran = tokio::process::Command::new("perl")
            .args([script, &port])
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        server.shutdown();
        ran
    };
    let (ran, served) = within(async { tokio::join!(perl, kernel.run()) }).await;
    served.unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(said, "got one\ngot two words\ngot the third line\ndisconnected\n");
}
