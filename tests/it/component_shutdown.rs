//! Components and the end of the kernel: they take no signal of the process, and drain when the kernel is shut down.

use poe::component::{TcpClient, TcpServer};
use poe::event::START;
use poe::filter::Line;
use poe::wheel::{Input, ReadWrite};
use poe::{Event, Failure, KERNEL_SHUTDOWN, Kernel, Session, Signal};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const FAREWELL: Event<()> = Event::new("farewell");
const DOWN: Event<Signal> = Event::new("down");
const LIMIT: Duration = Duration::from_secs(20);

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(3 * LIMIT, future).await.expect("it ends in time")
}

/// Reads until the server ends the connection.
async fn all_of(addr: SocketAddr) -> String {
    let mut text = String::new();
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// The program decides what TERM does, whether it watched before the server started or not.
#[tokio::test]
async fn a_farewell_at_term_is_sent_whichever_session_is_older() {
    fn watcher(kernel: &Kernel) {
        Session::builder(())
            .on(START, |cx, ()| {
                cx.sig("TERM", DOWN);
                cx.alias_set("control")
            })
            .on(DOWN, |cx, _| -> poe::HandlerResult {
                cx.post("client", FAREWELL, ())?;
                cx.sig_ignore("TERM");
                cx.sig_handled();
                Ok(cx.alias_remove("control")?)
            })
            .create(kernel)
            .unwrap();
    }
    for watcher_first in [true, false] {
        // It watches the TERM of the process, too, which other tests use; their handler must stay.
        let kernel = Kernel::builder().keep_signal_handlers().build();
        if watcher_first {
            watcher(&kernel);
        }
        let connected = Rc::new(tokio::sync::Notify::new());
        let is_connected = connected.clone();
        let server = TcpServer::builder("127.0.0.1:0")
            .client_connected(move |cx| {
                is_connected.notify_one();
                cx.alias_set("client")
            })
            .client_disconnected(|cx| cx.alias_remove("client"))
            .state(FAREWELL, |cx, ()| {
                cx.client().put("* server going down");
                cx.client().shutdown();
            })
            .start(&kernel)
            .await
            .unwrap();
        if !watcher_first {
            watcher(&kernel);
        }
        let handle = kernel.handle();
        let ask = async {
            connected.notified().await;
            handle.signal(handle.kernel_id(), "TERM", ()).unwrap();
        };
        let read = async {
            let read = all_of(server.local_addr().unwrap()).await;
            server.shutdown();
            read
        };
        let all = async { tokio::join!(kernel.run(), read, ask) };
        let (ran, read, ()) = within(all).await;
        ran.unwrap();
        assert_eq!(read, "* server going down\r\n", "the watcher first: {watcher_first}");
    }
}

/// The session of a client watches the signal and sends a last line, and the server ends the connection after it.
#[tokio::test]
async fn a_clients_session_may_say_its_last_word_at_a_shutdown() {
    let kernel = Kernel::new();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_connected(move |cx| {
            cx.sig(KERNEL_SHUTDOWN, DOWN);
            tell.send(()).unwrap();
        })
        .state(DOWN, |cx, _| cx.client().put("* server going down"))
        .start(&kernel)
        .await
        .unwrap();
    let addr = server.local_addr().unwrap();
    let end = async {
        told.recv().await;
        told.recv().await;
    };
    let (report, one, two) =
        within(async { tokio::join!(kernel.serve_until(end, LIMIT), all_of(addr), all_of(addr)) }).await;
    let report = report.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!([one, two], ["* server going down\r\n"; 2]);
    assert!(TcpStream::connect(server.local_addr().unwrap()).await.is_err());
}

/// A server and a client inside a tree of sessions drain as well, and the tree is not stopped meanwhile.
#[tokio::test]
async fn components_below_a_session_drain_at_a_shutdown() {
    const LINES: usize = 20_000;
    let kernel = Kernel::new();
    let peer = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer_addr = peer.local_addr().unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let place = Rc::new(RefCell::new(None));
    let found = place.clone();
    Session::builder(())
        .on(START, move |cx, ()| -> poe::HandlerResult {
            cx.alias_set("the owner")?;
            let (from_server, from_client) = (tell.clone(), tell.clone());
            let server = cx.start(TcpServer::builder("127.0.0.1:0").client_connected(move |cx| {
                (0..LINES).for_each(|n| cx.client().put(n.to_string()));
                from_server.send(()).unwrap();
            }))?;
            *found.borrow_mut() = server.local_addr();
            cx.start(TcpClient::builder(peer_addr).connected(move |cx| {
                (0..LINES).for_each(|n| cx.server().put(n.to_string()));
                from_client.send(()).unwrap();
            }))?;
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    let addr = place.borrow().unwrap();
    let end = async {
        told.recv().await;
        told.recv().await;
    };
    let of_client = async {
        let (mut stream, mut text) = (peer.accept().await.unwrap().0, String::new());
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    let all = async { tokio::join!(kernel.serve_until(end, LIMIT), all_of(addr), of_client) };
    let (report, by_server, by_client) = within(all).await;
    let report = report.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!([by_server.lines().count(), by_client.lines().count()], [LINES; 2]);
}

/// With an `acceptor` the connections are the program's sessions: those that watch the signal go on, and the listener closes.
#[tokio::test]
async fn a_listener_closes_at_a_shutdown_and_leaves_the_rest_to_the_programs_sessions() {
    struct Heap(Option<ReadWrite>);
    const LINE: Event<Input<String>> = Event::new("line");
    for watches in [true, false] {
        let kernel = Kernel::new();
        let accepted = Rc::new(tokio::sync::Notify::new());
        let is_accepted = accepted.clone();
        let server = TcpServer::builder("127.0.0.1:0")
            .acceptor(move |cx, client| -> poe::HandlerResult {
                let wheel = std::cell::Cell::new(Some(client.stream));
                let notify = is_accepted.clone();
                cx.create(
                    Session::builder(Heap(None))
                        .on(START, move |cx, ()| -> poe::HandlerResult {
                            if watches {
                                cx.sig(KERNEL_SHUTDOWN, DOWN);
                            }
                            let stream = wheel.take().ok_or_else(|| Failure::msg("there is one"))?;
                            cx.heap.0 = Some(ReadWrite::builder(stream).input(Line::new(), LINE).start(cx)?);
                            notify.notify_one();
                            Ok(())
                        })
                        .on(LINE, |_, _| ())
                        .on(DOWN, |cx, _| -> poe::HandlerResult {
                            cx.sig_handled();
                            let wheel = cx.heap.0.take().ok_or_else(|| Failure::msg("there is one"))?;
                            wheel.put("goodbye".to_owned())?;
                            wheel.close(Duration::ZERO);
                            Ok(())
                        }),
                )?;
                Ok(())
            })
            .start(&kernel)
            .await
            .unwrap();
        let addr = server.local_addr().unwrap();
        let all = async { tokio::join!(kernel.serve_until(accepted.notified(), LIMIT), all_of(addr)) };
        let (report, read) = within(all).await;
        let report = report.unwrap();
        assert!(report.is_clean(), "{report}");
        assert_eq!(read, if watches { "goodbye\r\n" } else { "" });
        assert!(TcpStream::connect(server.local_addr().unwrap()).await.is_err());
    }
}
