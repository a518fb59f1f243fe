//! STARTTLS inside the callbacks of a server and of a client: the stream is changed under the connection.

use crate::socket_kit::{Log, run_with, within};
use poe::component::{PlainStream, TcpClient, TcpServer};
use poe::tls::{Acceptor, Connector};
use poe::{Event, HandlerResult, Kernel};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const SECURED: Event<io::Result<()>> = Event::new("secured");
const TELL: Event<&'static str> = Event::new("tell");

/// A server for `localhost`, and a client that trusts it.
fn keys() -> (Acceptor, Connector) {
    let made = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let acceptor = Acceptor::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    (acceptor, Connector::from_pem(certificate.as_bytes()).unwrap())
}

struct Mailer {
    secured: bool,
    lines: u32,
}

/// Echoes lines, upgrades to TLS on request, and logs both.
async fn mailer(kernel: &Kernel, acceptor: Acceptor, log: &Log) -> TcpServer {
    let (input, secured, gone, failed) = (log.clone(), log.clone(), log.clone(), log.clone());
    let builder = TcpServer::builder("127.0.0.1:0")
        .client_heap(|_| Mailer {
            secured: false,
            lines: 0,
        })
        .client_connected(|cx| cx.client().put("220 hello"))
        .client_input(move |cx, line: String| {
            cx.heap.lines += 1;
            input.say(format!("{} {line} {}", cx.heap.lines, cx.heap.secured));
            let client = cx.client();
            match &*line {
                "STARTTLS" => {
                    let acceptor = acceptor.clone();
                    client.put("220 ready");
                    client.upgrade(move |stream| acceptor.accept(stream), SECURED);
                    client.put("250 said only in secret");
                    cx.yield_to(TELL, "250 so is this");
                }
                "QUIT" => client.shutdown(),
                _ => client.put(line.to_uppercase()),
            }
        })
        .client_error(move |_, error| failed.say(format!("error {error}")))
        .client_disconnected(move |_| gone.say("disconnected"))
        .state(TELL, |cx, text| cx.client().put(text))
        .state(SECURED, move |cx, outcome| {
            cx.heap.secured = outcome.is_ok();
            secured.say(match outcome {
                Ok(()) => "secured".to_owned(),
                Err(error) => format!("{:?}", error.kind()),
            });
        });
    builder.start(kernel).await.unwrap()
}

async fn lines<S: tokio::io::AsyncBufRead + Unpin>(stream: &mut S, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..count {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[tokio::test]
async fn a_server_goes_on_under_tls_with_the_same_heap_and_callbacks() {
    let (acceptor, connector) = keys();
    let (kernel, log) = (Kernel::new(), Log::default());
    let server = mailer(&kernel, acceptor, &log).await;
    let addr = server.local_addr().unwrap();
    let talk = async {
        let mut plain = BufReader::new(TcpStream::connect(addr).await.unwrap());
        plain.write_all(b"ehlo\r\n").await.unwrap();
        assert_eq!(lines(&mut plain, 2).await, ["220 hello", "EHLO"]);
        plain.write_all(b"STARTTLS\r\n").await.unwrap();
        assert_eq!(lines(&mut plain, 1).await, ["220 ready"]);
        // Nothing more comes in clear text, however long the test waits.
        let early = tokio::time::timeout(Duration::from_millis(100), plain.fill_buf()).await;
        assert!(early.is_err(), "{early:?}");
        let secret = connector.connect("localhost", plain.into_inner()).await.unwrap();
        let mut secret = BufReader::new(secret);
        assert_eq!(
            lines(&mut secret, 2).await,
            ["250 said only in secret", "250 so is this"]
        );
        secret.write_all(b"again\r\nQUIT\r\n").await.unwrap();
        assert_eq!(lines(&mut secret, 1).await, ["AGAIN"]);
        let mut rest = String::new();
        secret.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "");
        server.shutdown();
    };
    run_with(&kernel, talk).await;
    let expected = [
        "1 ehlo false",
        "2 STARTTLS false",
        "secured",
        "3 again true",
        "4 QUIT true",
        "disconnected",
    ];
    assert_eq!(log.lines(), expected);
}

/// Commands that an attacker appends to STARTTLS are not taken for commands of the secured peer (CVE-2011-0411).
#[tokio::test]
async fn bytes_that_come_behind_the_command_are_not_delivered() {
    for cut in [false, true] {
        let (acceptor, _) = keys();
        let (kernel, log) = (Kernel::new(), Log::default());
        let server = mailer(&kernel, acceptor, &log).await;
        let addr = server.local_addr().unwrap();
        let talk = async {
            let mut plain = TcpStream::connect(addr).await.unwrap();
            let injected: &[u8] = if cut {
                b"STARTTLS\r\nRS"
            } else {
                b"STARTTLS\r\nRSET\r\nMAIL FROM:<mallory>\r\n"
            };
            plain.write_all(injected).await.unwrap();
            let mut said = String::new();
            // The connection ends; it may be reset.
            let _ = plain.read_to_string(&mut said).await;
            assert!(!said.contains("secret") && !said.contains("RSET"), "{said}");
            server.shutdown();
        };
        run_with(&kernel, talk).await;
        assert_eq!(log.lines(), ["1 STARTTLS false", "InvalidData", "disconnected"]);
    }
}

/// … and bytes after the reply that are not TLS fail the handshake.
#[tokio::test]
async fn a_failed_handshake_is_reported_and_ends_the_connection() {
    let (acceptor, _) = keys();
    let (kernel, log) = (Kernel::new(), Log::default());
    let server = mailer(&kernel, acceptor, &log).await;
    let addr = server.local_addr().unwrap();
    let talk = async {
        let mut plain = BufReader::new(TcpStream::connect(addr).await.unwrap());
        plain.write_all(b"STARTTLS\r\n").await.unwrap();
        assert_eq!(lines(&mut plain, 2).await, ["220 hello", "220 ready"]);
        plain.write_all(b"RSET\r\nMAIL FROM:<mallory>\r\n").await.unwrap();
        let mut rest = Vec::new();
        let _ = plain.read_to_end(&mut rest).await;
        assert!(!rest.windows(6).any(|part| part == b"secret"));
        server.shutdown();
    };
    run_with(&kernel, talk).await;
    let said = log.lines();
    assert_eq!(
        (said.len(), &*said[0], &*said[2]),
        (3, "1 STARTTLS false", "disconnected")
    );
    assert!(said[1] != "secured");
}

/// A shutdown does not wait for a peer that never begins the handshake.
#[tokio::test]
async fn a_shutdown_cancels_an_upgrade() {
    let (acceptor, _) = keys();
    let (kernel, log) = (Kernel::new(), Log::default());
    let server = mailer(&kernel, acceptor, &log).await;
    let addr = server.local_addr().unwrap();
    let talk = async {
        let mut plain = BufReader::new(TcpStream::connect(addr).await.unwrap());
        plain.write_all(b"STARTTLS\r\n").await.unwrap();
        assert_eq!(lines(&mut plain, 2).await, ["220 hello", "220 ready"]);
        // Let it take the stream.
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.shutdown_clients();
        let mut rest = String::new();
        let _ = plain.read_to_string(&mut rest).await;
        assert_eq!(rest, "");
    };
    run_with(&kernel, talk).await;
    let said = log.lines();
    assert_eq!(said[0], "1 STARTTLS false");
    let mut ends = said[1..].to_vec();
    ends.sort();
    assert_eq!(ends, ["ConnectionAborted", "disconnected"]);
}

/// Both components upgrade, and go back to the earlier stream: an upgrade can be undone.
#[tokio::test]
async fn a_client_is_upgraded_as_a_server_is() {
    let (acceptor, connector) = keys();
    let (kernel, log) = (Kernel::new(), Log::default());
    let server = mailer(&kernel, acceptor, &log).await;
    let heard = Log::default();
    let (input, secured) = (heard.clone(), heard.clone());
    TcpClient::builder(server.local_name())
        .heap(0_u32)
        .server_input(move |cx, line: String| {
            *cx.heap += 1;
            input.say(format!("{} {line}", *cx.heap));
            let link = cx.server();
            match &*line {
                "220 hello" => link.put("STARTTLS"),
                "220 ready" => {
                    let connector = connector.clone();
                    link.upgrade(
                        move |stream| async move { connector.connect("localhost", stream).await },
                        SECURED,
                    );
                    link.put("behind the handshake");
                }
                "BEHIND THE HANDSHAKE" => link.shutdown(),
                _ => {}
            }
        })
        .state(SECURED, move |_, outcome| -> HandlerResult {
            outcome?;
            secured.say("secured");
            Ok(())
        })
        .disconnected(move |_| server.shutdown())
        .start(&kernel)
        .unwrap();
    within(kernel.run()).await.unwrap();
    let expected = [
        "1 220 hello",
        "2 220 ready",
        "secured",
        "3 250 said only in secret",
        "4 250 so is this",
        "5 BEHIND THE HANDSHAKE",
    ];
    assert_eq!(heard.lines(), expected);
}

/// An impossible upgrade reports the reason; a panic in an upgrade is a failure of that connection only.
#[tokio::test]
async fn upgrades_that_are_not_possible_are_reported() {
    let (kernel, log) = (Kernel::new(), Log::default());
    let (told, gone) = (log.clone(), log.clone());
    let failures = Log::default();
    let hook = failures.clone();
    kernel.on_unhandled_failure(move |die| hook.say(die.failure.callback().unwrap_or("none")));
    let server = TcpServer::builder("127.0.0.1:0")
        .client_input(|cx, line: String| {
            let client = cx.client();
            if line == "panic" {
                let bug = |stream: PlainStream| async move {
                    assert!(format!("{stream:?}").is_empty(), "a bug in an upgrade");
                    Ok(stream)
                };
                return client.upgrade(bug, SECURED);
            }
            client.upgrade(|stream| async { Ok(stream) }, SECURED);
            client.upgrade(|stream| async { Ok(stream) }, SECURED);
        })
        .client_disconnected(move |_| gone.say("disconnected"))
        .state(SECURED, move |cx, outcome| {
            told.say(format!("{:?}", outcome.map_err(|error| error.kind())));
            cx.client().put("done");
        })
        .start(&kernel)
        .await
        .unwrap();
    let addr = server.local_addr().unwrap();
    let talk = async {
        let mut plain = BufReader::new(TcpStream::connect(addr).await.unwrap());
        plain.write_all(b"twice\r\n").await.unwrap();
        assert_eq!(lines(&mut plain, 2).await, ["done", "done"]);
        plain.write_all(b"panic\r\n").await.unwrap();
        let mut rest = String::new();
        let _ = plain.read_to_string(&mut rest).await;
        assert_eq!(rest, "");
        server.shutdown();
    };
    run_with(&kernel, talk).await;
    assert_eq!(log.lines()[..3], ["Err(AlreadyExists)", "Ok(())", "disconnected"]);
    assert!(
        failures.lines()[0].starts_with("`upgrade` of the server at"),
        "{:?}",
        failures.lines()
    );
}
