//! The examples that talk over TCP, run as they are.

use crate::socket_kit::within;
use poe::wheel::SocketName;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

#[allow(dead_code)]
#[path = "../../examples/chat_server.rs"]
mod chat_server;
#[allow(dead_code)]
#[path = "../../examples/line_client.rs"]
mod line_client;
#[allow(dead_code)]
#[path = "../../examples/proxy.rs"]
mod proxy;
#[allow(dead_code)]
#[path = "../../examples/two_kernels.rs"]
mod two_kernels;

/// Runs a server of the examples beside what is done to it with its address.
macro_rules! beside {
    (|$end:ident, $listening:ident| $serve:expr, |$addr:ident| $work:expr) => {{
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel::<SocketAddr>();
        let $end = stopped;
        let $listening = |name| {
            let name = SocketName::from(name);
            tell.send(name.as_socket_addr().unwrap()).unwrap();
        };
        let work = async {
            let $addr = told.await.unwrap();
            let done = $work.await;
            drop(stop);
            done
        };
        let (served, done) = within(async { tokio::join!($serve, work) }).await;
        served.unwrap();
        done
    }};
}

struct Chatter(BufReader<TcpStream>);

impl Chatter {
    async fn come(addr: SocketAddr, nick: &str) -> Self {
        let mut chatter = Chatter(BufReader::new(TcpStream::connect(addr).await.unwrap()));
        chatter.say(&format!("/nick {nick}")).await;
        chatter.hears(&format!("is now {nick}")).await;
        chatter
    }

    async fn say(&mut self, line: &str) {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
    }

    /// Waits for a line with that in it.
    async fn hears(&mut self, what: &str) -> String {
        loop {
            let mut line = String::new();
            let bytes = self.0.read_line(&mut line).await.unwrap();
            assert!(bytes > 0, "the end came instead of {what:?}");
            if line.contains(what) {
                return line.trim_end().to_owned();
            }
        }
    }
}

#[tokio::test]
async fn chat_server_has_nicks_and_rooms_and_drops_who_does_not_read() {
    beside!(
        |end, listening| chat_server::serve("127.0.0.1:0", end, listening),
        |addr| async {
            let mut ann = Chatter::come(addr, "ann").await;
            let mut bob = Chatter::come(addr, "bob").await;
            ann.say("hello").await;
            assert_eq!(bob.hears("hello").await, "<ann> hello");
            bob.say("/nick ann").await;
            bob.hears("! that nick is taken").await;
            bob.say("/nick").await;
            bob.hears("! a nick has").await;
            bob.say("/join garden").await;
            ann.hears("* bob has left lobby").await;
            bob.hears("* bob has joined garden").await;
            ann.say("only the lobby hears this").await;
            ann.hears("only the lobby").await;
            bob.say("/who").await;
            assert_eq!(bob.hears("* in ").await, "* in garden: bob");
            // A client that never reads, and a flood of messages: it is disconnected, and ann sees only that it has left.
            let deaf = Chatter::come(addr, "deaf").await;
            // The system would buffer tens of megabytes for it.
            socket2::SockRef::from(deaf.0.get_ref())
                .set_recv_buffer_size(65_536)
                .unwrap();
            let line = "x".repeat(900);
            let (talk, mut heard) = (ann.0.into_inner().into_split(), 0);
            let (mut reader, mut writer) = (BufReader::new(talk.0), talk.1);
            let flood = async {
                for _ in 0..20_000 {
                    writer.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
                }
                writer.write_all(b"/quit\r\n").await.unwrap();
            };
            let listen = async {
                let (mut said, mut left) = (String::new(), false);
                while reader.read_line(&mut said).await.unwrap() > 0 {
                    heard += usize::from(said.starts_with("<ann> "));
                    left |= said.contains("* deaf has left lobby");
                    said.clear();
                }
                left
            };
            let ((), left) = tokio::join!(flood, listen);
            assert!(left && heard == 20_000, "{heard} lines heard");
            drop(deaf);
            // An endless line ends its own connection and no other.
            let mut endless = TcpStream::connect(addr).await.unwrap();
            let _ = endless.write_all(&vec![b'y'; 100_000]).await;
            let mut answer = Vec::new();
            let _ = endless.read_to_end(&mut answer).await;
            bob.say("still here").await;
            bob.hears("<bob> still here").await;
        }
    );
}

/// Whatever bytes a peer sends, the server and the other clients go on.
#[tokio::test]
async fn chat_server_survives_lines_of_any_bytes() {
    beside!(
        |end, listening| chat_server::serve("127.0.0.1:0", end, listening),
        |addr| async {
            let mut ann = Chatter::come(addr, "ann").await;
            let mut bob = Chatter::come(addr, "bob").await;
            for bytes in latin1_lines() {
                bob.0.write_all(&bytes).await.unwrap();
            }
            bob.say("still here").await;
            ann.hears("<bob> still here").await;
            ann.say("me too").await;
            bob.hears("<ann> me too").await;
        }
    );
}

/// Lines in which each byte that is not ASCII occurs, alone and among others, but never as UTF-8.
fn latin1_lines() -> Vec<Vec<u8>> {
    let each = (0x80..=0xff_u8).map(|byte| vec![b'a', byte, b'z', b'\r', b'\n']);
    each.chain([b"caf\xe9 \xc3 \x80\xff\xfe\r\n".to_vec()]).collect()
}

#[tokio::test]
async fn line_client_shows_lines_of_any_bytes() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let shown = Arc::new(Mutex::new(Vec::new()));
    let show = shown.clone();
    let (mut typed, input) = tokio::io::duplex(1024);
    let client = line_client::talk(addr.into(), input, move |line| {
        show.lock().unwrap().push(line.to_owned());
    });
    let server = async {
        typed.write_all(b"typed\n").await.unwrap();
        drop(typed);
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        stream.write_all(&latin1_lines().concat()).await.unwrap();
        assert_eq!(stream.read_line(&mut line).await.unwrap(), 0);
    };
    let (talked, ()) = within(async { tokio::join!(client, server) }).await;
    talked.unwrap();
    let expected: Vec<String> = latin1_lines()
        .iter()
        .map(|line| String::from_utf8_lossy(line.trim_ascii_end()).into_owned())
        .collect();
    assert_eq!(*shown.lock().unwrap(), expected);
}

#[tokio::test]
async fn line_client_reconnects_and_sends_the_lines_typed_meanwhile() {
    let addr = crate::socket_kit::nobody(30);
    let shown = Arc::new(Mutex::new(Vec::new()));
    let show = shown.clone();
    let (mut typed, input) = tokio::io::duplex(1024);
    let client = line_client::talk(addr.into(), input, move |line| {
        show.lock().unwrap().push(line.to_owned())
    });
    let server = async {
        typed.write_all(b"typed before the server was there\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let listener = tokio::net::TcpListener::bind(addr).await.unwrap();
        for answer in ["first", "second"] {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            if answer == "second" {
                typed.write_all(b"typed later\n").await.unwrap();
            }
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            stream.write_all(format!("{answer}: {line}").as_bytes()).await.unwrap();
            if answer == "second" {
                drop(typed);
                // A silence ends it.
                assert_eq!(stream.read_line(&mut line).await.unwrap(), 0);
                break;
            }
        }
    };
    let (talked, ()) = within(async { tokio::join!(client, server) }).await;
    talked.unwrap();
    let shown = shown.lock().unwrap();
    assert_eq!(
        *shown,
        ["first: typed before the server was there", "second: typed later"]
    );
}

/// An echo server on plain Tokio, which reads only on request.
async fn echo(listener: tokio::net::TcpListener, go: oneshot::Receiver<()>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let _ = go.await;
    let (mut reader, mut writer) = stream.split();
    tokio::io::copy(&mut reader, &mut writer).await.unwrap();
    writer.shutdown().await.unwrap();
}

#[tokio::test]
async fn proxy_passes_every_byte_and_holds_back_who_is_too_fast() {
    let target = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target_addr = target.local_addr().unwrap();
    let (go, gone) = oneshot::channel();
    let echoing = tokio::spawn(echo(target, gone));
    beside!(
        |end, listening| proxy::serve("127.0.0.1:0", target_addr.into(), end, listening),
        |addr| async {
            let (mut reader, mut writer) = TcpStream::connect(addr).await.unwrap().into_split();
            let data: Vec<u8> = (0..40_000_000_u32).map(|i| (i / 7) as u8).collect();
            // The other end does not read: only the system's buffers and 64 KiB of ours are filled.
            let mut sent = 0;
            while let Ok(n) = tokio::time::timeout(Duration::from_millis(300), writer.write(&data[sent..])).await {
                sent += n.unwrap();
                if sent == data.len() {
                    break;
                }
            }
            assert!(sent < data.len(), "the proxy has swallowed everything");
            go.send(()).unwrap();
            let send = async {
                writer.write_all(&data[sent..]).await.unwrap();
                writer.shutdown().await.unwrap();
            };
            let mut back = Vec::new();
            let receive = reader.read_to_end(&mut back);
            let ((), received) = tokio::join!(send, receive);
            received.unwrap();
            assert!(back == data, "{} of {} bytes came back", back.len(), data.len());
        }
    );
    echoing.await.unwrap();
}

#[tokio::test]
async fn two_kernels_serve_and_count_together() {
    let sums = Arc::new(Mutex::new(Vec::new()));
    let seen = sums.clone();
    beside!(
        |end, listening| two_kernels::serve("127.0.0.1:0", 2, end, listening, move |sum| seen
            .lock()
            .unwrap()
            .push(sum)),
        |addr| async {
            for _ in 0..50 {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                stream.write_all(b"one\ntwo\n").await.unwrap();
                stream.shutdown().await.unwrap();
                let mut all = String::new();
                stream.read_to_string(&mut all).await.unwrap();
                assert_eq!(all, "one\ntwo\n");
            }
            while sums.lock().unwrap().last() != Some(&100) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    );
    assert_eq!(sums.lock().unwrap().len(), 50);
}
