//! TLS under a ReadWrite: it behaves like a plain stream, and a truncation is not an end.

use crate::laws_kit::{ms, said, say};
use poe::event::START;
use poe::filter::Line;
use poe::testing::assert_no_leaks;
use poe::tls::{Acceptor, ClientStream, Connector, ServerStream};
use poe::wheel::{Input, IoError, ReadWrite};
use poe::{Context, Event, HandlerResult, Kernel, Session, SessionBuilder};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const SECURED: Event<io::Result<ServerStream<DuplexStream>>> = Event::new("secured");
const LINE: Event<Input<String>> = Event::new("line");
const ERROR: Event<IoError> = Event::new("error");

/// A server for `localhost`, and a client that trusts it.
fn keys() -> (Acceptor, Connector) {
    let made = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let acceptor = Acceptor::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    (acceptor, Connector::from_pem(certificate.as_bytes()).unwrap())
}

/// A session that shakes hands, upper-cases lines, and logs them.
fn shouter(acceptor: Acceptor, io: DuplexStream) -> SessionBuilder<Option<ReadWrite>> {
    let io = std::cell::Cell::new(Some(io));
    Session::builder(None)
        .on(START, move |cx, ()| {
            cx.spawn(acceptor.accept(io.take().expect("a session starts once")), SECURED);
        })
        .on(SECURED, |cx, stream| -> HandlerResult {
            match stream {
                Ok(stream) => {
                    *cx.heap = Some(
                        ReadWrite::builder(stream)
                            .input(Line::new(), LINE)
                            .error(ERROR)
                            .start(cx)?,
                    )
                }
                Err(error) => say(format!("hand-shake: {:?}", error.kind())),
            }
            Ok(())
        })
        .on(
            LINE,
            |cx: &mut Context<'_, Option<ReadWrite>>, input| -> HandlerResult {
                if let Some(wheel) = &*cx.heap {
                    wheel.put(input.record.to_uppercase())?;
                }
                say(input.record);
                Ok(())
            },
        )
        .on(ERROR, |cx, error| {
            say(match error.os_error() {
                Some(error) => format!("{:?}", error.kind()),
                None => "end".to_owned(),
            });
            if let Some(wheel) = cx.heap.take() {
                wheel.close(Duration::from_secs(1));
            }
        })
}

async fn beside<T>(session: SessionBuilder<Option<ReadWrite>>, peer: impl Future<Output = T>) -> T {
    let kernel = poe::testing::kernel();
    session.create(&kernel).unwrap();
    let both = async { tokio::join!(kernel.run(), peer) };
    let (ran, answer) = tokio::time::timeout(ms(60_000), both).await.expect("it ends");
    ran.unwrap();
    assert_no_leaks(&kernel);
    answer
}

async fn all(mut stream: ClientStream<DuplexStream>) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// Through a stream that takes little at a time, so that records of TLS and lines are cut anywhere.
#[tokio::test(start_paused = true)]
async fn lines_go_there_and_back() {
    let (acceptor, connector) = keys();
    let (peer, ours) = duplex(37);
    let answer = beside(shouter(acceptor, ours), async move {
        let stream = connector.connect("localhost", peer).await.unwrap();
        let (mut reads, mut writes) = tokio::io::split(stream);
        let sent: String = (0..200).map(|n| format!("line number {n}\n")).collect();
        let writing = async {
            writes.write_all(sent.as_bytes()).await.unwrap();
            writes.shutdown().await.unwrap();
        };
        let reading = async {
            let mut text = String::new();
            reads.read_to_string(&mut text).await.unwrap();
            text
        };
        tokio::join!(writing, reading).1
    })
    .await;
    assert_eq!(answer.lines().count(), 200);
    assert!(answer.ends_with("LINE NUMBER 199\r\n"));
    let said = said();
    assert_eq!((said.len(), &*said[200]), (201, "end"));
}

/// A truncated connection is not taken for a complete one: without a TLS close it is an error, after all data.
#[tokio::test(start_paused = true)]
async fn a_cut_is_an_error_and_not_the_end() {
    let (acceptor, connector) = keys();
    let (peer, ours) = duplex(4096);
    beside(shouter(acceptor, ours), async move {
        let mut stream = connector.connect("localhost", peer).await.unwrap();
        stream.write_all(b"one\ntwo\nha").await.unwrap();
        stream.flush().await.unwrap();
        stream.read_exact(&mut [0; 10]).await.unwrap();
        let (raw, _) = stream.into_inner();
        drop(raw);
    })
    .await;
    assert_eq!(said(), ["one", "two", "UnexpectedEof"]);
}

#[tokio::test(start_paused = true)]
async fn a_hand_shake_that_fails_is_an_event_on_both_sides() {
    let ((acceptor, _), (_, stranger)) = (keys(), keys());
    let (peer, ours) = duplex(4096);
    let refused = beside(shouter(acceptor, ours), async move {
        stranger.connect("localhost", peer).await
    })
    .await;
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(said(), ["hand-shake: InvalidData"]);

    // A client without TLS.
    let (mut peer, ours) = duplex(4096);
    beside(shouter(keys().0, ours), async move {
        peer.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    })
    .await;
    assert_eq!(said(), ["hand-shake: InvalidData"]);

    // A name that is none.
    let (peer, _ours) = duplex(4096);
    let refused = keys().1.connect("no name", peer).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_given_up() {
    let (peer, ours) = duplex(4096);
    let began = tokio::time::Instant::now();
    beside(shouter(keys().0.handshake_limit(ms(3000)), ours), async {}).await;
    assert_eq!(said(), ["hand-shake: TimedOut"]);
    assert_eq!(began.elapsed().as_secs(), 3);
    drop(peer);
}

/// A wheel in clear becomes an encrypted one on the same stream, as STARTTLS wants it.
#[tokio::test(start_paused = true)]
async fn starttls_takes_the_stream_from_under_a_wheel() {
    let (acceptor, connector) = keys();
    let (mut peer, ours) = duplex(4096);
    let plain = std::cell::Cell::new(Some(ours));
    let session = shouter(acceptor.clone(), duplex(1).0)
        .on(START, move |cx, ()| -> HandlerResult {
            let builder = ReadWrite::builder(plain.take().expect("a session starts once"));
            *cx.heap = Some(builder.input(Line::new(), LINE).start(cx)?);
            Ok(())
        })
        .on(LINE, move |cx, input| -> HandlerResult {
            say(&input.record);
            let Some(wheel) = &*cx.heap else { return Ok(()) };
            if input.record != "STARTTLS" {
                wheel.put(input.record.to_uppercase())?;
                return Ok(());
            }
            wheel.put("go ahead")?;
            wheel.flush();
            let wheel = cx.heap.take().expect("the wheel is there");
            let parts = wheel.into_parts::<DuplexStream>().expect("it is a duplex stream");
            assert!(parts.unread.is_empty() && parts.unwritten.is_empty());
            cx.spawn(acceptor.accept(parts.io), SECURED);
            Ok(())
        });
    let answer = beside(session, async move {
        peer.write_all(b"STARTTLS\r\n").await.unwrap();
        let mut go_ahead = [0; 10];
        peer.read_exact(&mut go_ahead).await.unwrap();
        assert_eq!(&go_ahead, b"go ahead\r\n");
        let mut stream = connector.connect("localhost", peer).await.unwrap();
        stream.write_all(b"secret\n").await.unwrap();
        stream.shutdown().await.unwrap();
        all(stream).await
    })
    .await;
    assert_eq!(answer, "SECRET\r\n");
    assert_eq!(said(), ["STARTTLS", "secret", "end"]);
}

#[test]
fn what_is_no_certificate_is_refused() {
    let made = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
    let other = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let said = |result: Result<Acceptor, poe::Error>| result.unwrap_err().to_string();
    assert!(said(Acceptor::from_pem(b"nothing", key.as_bytes())).contains("contains no certificate"));
    assert!(said(Acceptor::from_pem(certificate.as_bytes(), b"nothing")).contains("private key"));
    let foreign = other.signing_key.serialize_pem();
    assert!(said(Acceptor::from_pem(certificate.as_bytes(), foreign.as_bytes())).contains("key"));
    assert!(Connector::from_pem(key.as_bytes()).is_err());
}

/// Over real sockets, on a kernel in real time.
#[tokio::test]
async fn over_tcp() {
    let (acceptor, connector) = keys();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    const TCP: Event<io::Result<ServerStream<tokio::net::TcpStream>>> = Event::new("secured over tcp");
    let kernel = Kernel::new();
    let listener = std::cell::RefCell::new(Some(listener));
    shouter(acceptor.clone(), duplex(1).0)
        .on(START, move |cx, ()| {
            let (listener, acceptor) = (listener.take().expect("a session starts once"), acceptor.clone());
            cx.spawn(async move { acceptor.accept(listener.accept().await?.0).await }, TCP);
        })
        .on(TCP, |cx, stream| -> HandlerResult {
            *cx.heap = Some(
                ReadWrite::builder(stream?)
                    .input(Line::new(), LINE)
                    .error(ERROR)
                    .start(cx)?,
            );
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    let client = async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut stream = connector.connect("localhost", stream).await.unwrap();
        stream.write_all(b"hello\n").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "HELLO\r\n");
    };
    let both = async { tokio::join!(kernel.run(), client) };
    tokio::time::timeout(ms(60_000), both)
        .await
        .expect("it ends")
        .0
        .unwrap();
    assert_eq!(said(), ["hello", "end"]);
    assert_no_leaks(&kernel);
}

/// An application that has chosen its provider gets it: one that can do nothing shows that no other is used.
#[cfg(unix)]
#[test]
fn the_installed_crypto_provider_is_used() {
    crate::in_child::in_child!();
    use poe::tls::rustls::crypto::{CryptoProvider, ring};
    let made = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    assert!(Acceptor::from_pem(certificate.as_bytes(), key.as_bytes()).is_ok());
    assert!(CryptoProvider::get_default().is_none(), "nothing is installed by us");
    let useless = CryptoProvider {
        cipher_suites: Vec::new(),
        ..ring::default_provider()
    };
    useless.install_default().unwrap();
    assert!(Acceptor::from_pem(certificate.as_bytes(), key.as_bytes()).is_err());
    assert!(Connector::from_pem(certificate.as_bytes()).is_err());
}

/// With two providers compiled in rustls panics where none is chosen, so the feature for TLS must not bring one.
#[test]
fn the_feature_tls_brings_no_crypto_provider() {
    let manifest = include_str!("../../Cargo.toml");
    let line = |start: &str| {
        manifest
            .lines()
            .find(|line| line.starts_with(start))
            .unwrap_or_default()
    };
    assert_eq!(line("tls ="), r#"tls = ["dep:tokio-rustls"]"#);
    let rustls = line("tokio-rustls =");
    assert!(rustls.contains("default-features = false"), "{rustls}");
    assert!(!rustls.contains("ring") && !rustls.contains("aws"), "{rustls}");
}
