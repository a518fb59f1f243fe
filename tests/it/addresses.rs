//! Addresses: their texts, zones of IPv6, and the texts of socket errors.

use crate::laws_kit::{said, say};
use crate::properties::check;
use poe::component::{TcpClient, TcpServer};
use poe::event::START;
use poe::wheel::{Address, Connection, SocketError, SocketFactory};
use poe::{Event, Kernel, Session};
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const CONNECTED: Event<Connection> = Event::new("connected");
const FAILED: Event<SocketError> = Event::new("failed");

const LONG: Duration = Duration::from_secs(60);

async fn run(kernel: &Kernel) {
    let ran = tokio::time::timeout(LONG, kernel.run()).await;
    ran.expect("it ends").unwrap();
}

fn any_address() -> impl Strategy<Value = Address> {
    let host = prop_oneof![
        "[a-z0-9.-]{0,12}",
        Just("unix".to_owned()),
        Just("fe80::1%eth0".to_owned()),
        Just("[::1]".to_owned()),
        "[0-9a-f:%.\\[\\]/ux]{0,12}",
        any::<String>(),
    ];
    prop_oneof![
        any::<(IpAddr, u16)>().prop_map(|(ip, port)| Address::from(SocketAddr::new(ip, port))),
        (host, any::<u16>()).prop_map(|(host, port)| Address::from((&*host, port))),
        any::<String>().prop_map(|path| Address::from(std::path::Path::new(&path))),
        any_text().prop_map(Address::from),
    ]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[0-9a-f:%.\\[\\]]{0,20}:[0-9+]{0,6}",
        "\\[[0-9a-f:]{0,10}(%[a-z0-9]{0,6})?\\]:[0-9]{1,5}",
        "(unix:)?[a-z/.]{0,9}(:[0-9]{0,6})?",
    ]
}

#[test]
fn every_address_is_made_again_from_its_text() {
    check(3000, any_address(), |address| {
        let text = address.to_string();
        prop_assert_eq!(&Address::from(&*text), &address, "by way of `{}`", text);
        prop_assert_eq!(Address::from(text.clone()).to_string(), text);
        Ok(())
    });
}

#[test]
fn texts_that_are_written_as_usual_come_back_as_they_were() {
    for text in [
        "127.0.0.1:80",
        "[::1]:0",
        "[fe80::1%2]:7",
        "[fe80::1%eth0]:7",
        "localhost:80",
        "unix:/run/service",
        "unix:",
        "[unix]:80",
        "localhost",
        "::1",
        "localhost:http",
        "",
    ] {
        assert_eq!(Address::from(text).to_string(), text);
    }
    assert_eq!(Address::from(("::1%lo", 0)), Address::from("[::1%lo]:0"));
    assert_eq!(Address::from(("::1%1", 0)), Address::from("[::1%1]:0"));
}

/// The zone may be a name or an index; the error is about the address, which no interface has.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_zone_may_be_an_interface_by_name() {
    let bound = async |address: Address| {
        let server = TcpServer::builder(address);
        server
            .start(&Kernel::new())
            .await
            .map(|server| server.local_name().clone())
    };
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return; // a machine without IPv6
    }
    let local = bound(Address::from(("::1%lo", 0))).await.unwrap();
    assert!(local.as_socket_addr().unwrap().ip().is_loopback());
    for address in [
        Address::from("[fe80::1%lo]:0"),
        Address::from(("fe80::1%lo", 0)),
        Address::from("[fe80::1%1]:0"),
    ] {
        let error = bound(address.clone()).await.unwrap_err();
        let system = error.io().expect("the system has refused it");
        assert_eq!(system.kind(), std::io::ErrorKind::AddrNotAvailable);
        assert!(system.raw_os_error().is_some(), "{error}");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
    let error = bound(Address::from("[fe80::1%nosuch]:0")).await.unwrap_err();
    assert!(
        error.to_string().contains("there is no network interface `nosuch`"),
        "{error}"
    );
}

/// A UNIX listener with a backlog of one that is busy for a while: its clients wait, like TCP clients.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn clients_of_a_busy_unix_listener_wait_for_it() {
    use std::io::Write;
    let path = std::env::temp_dir().join(format!("poe-backlog-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    listener.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(1).unwrap();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        while let Ok((client, _)) = listener.accept() {
            let client = std::os::unix::net::UnixStream::from(std::os::fd::OwnedFd::from(client));
            let _ = (&client).write_all(b"hello\n");
        }
    });
    let kernel = Kernel::new();
    for n in 0..6 {
        TcpClient::builder(&*path)
            .connect_timeout(LONG)
            .server_input(move |_, line: String| say(format!("{n} {line}")))
            .connect_error(move |_, error| say(format!("{n} {error}")))
            .start(&kernel)
            .unwrap();
    }
    run(&kernel).await;
    let mut said = said();
    said.sort();
    assert_eq!(said, (0..6).map(|n| format!("{n} hello")).collect::<Vec<_>>());
    std::fs::remove_file(&path).unwrap();
}

/// … but not for ever, if there is a limit.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_unix_listener_that_stays_busy_is_given_up_at_the_limit() {
    let path = std::env::temp_dir().join(format!("poe-backlog-full-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    listener.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let _first = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let kernel = Kernel::new();
    let expected = format!("cannot connect to unix:{}: ", path.display());
    TcpClient::builder(&*path)
        .connect_timeout(Duration::from_millis(100))
        .connect_error(move |_, error| {
            assert!(error.to_string().starts_with(&expected), "{error}");
            say(error.operation());
        })
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["connect"]);
    std::fs::remove_file(&path).unwrap();
}

/// A name is looked up, and each of its addresses is tried: nothing listens on `[::1]` here.
#[tokio::test]
async fn a_name_is_connected_to_by_the_address_that_replies() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let kernel = Kernel::new();
    Session::builder(None)
        .on(START, move |cx, ()| {
            *cx.heap = Some(
                SocketFactory::connect(("localhost", port))
                    .success(CONNECTED)
                    .failure(FAILED)
                    .start(cx),
            );
        })
        .on(CONNECTED, |cx, connection| {
            say(connection.peer);
            *cx.heap = None;
        })
        .on(FAILED, |cx, error| {
            say(error);
            *cx.heap = None;
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), [format!("127.0.0.1:{port}")]);
}

/// The operation and the address of each failure that can be provoked.
#[tokio::test]
async fn every_error_of_a_socket_names_its_address() {
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().map(|addr| (busy, addr)).unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let missing = "unix:/no/such/folder/socket";
    let cases: Vec<(&str, String, SocketFactoryOf)> = vec![
        ("connect", nobody.to_string(), SocketFactoryOf::Connect(nobody.into())),
        ("connect", missing.to_owned(), SocketFactoryOf::Connect(missing.into())),
        ("bind", busy.1.to_string(), SocketFactoryOf::Listen(busy.1.into())),
        ("bind", missing.to_owned(), SocketFactoryOf::Listen(missing.into())),
        ("bind", missing.to_owned(), SocketFactoryOf::Datagram(missing.into())),
        (
            "getaddrinfo",
            "no port".to_owned(),
            SocketFactoryOf::Connect("no port".into()),
        ),
        (
            "getaddrinfo",
            "[fe80::1%nosuch]:1".to_owned(),
            SocketFactoryOf::Listen("[fe80::1%nosuch]:1".into()),
        ),
        (
            "getaddrinfo",
            "[::1".to_owned(),
            SocketFactoryOf::Datagram("[::1".into()),
        ),
        (
            "getaddrinfo",
            "no-such-host.invalid:1".to_owned(),
            SocketFactoryOf::Connect("no-such-host.invalid:1".into()),
        ),
    ];
    for (operation, address, what) in cases {
        let kernel = Kernel::new();
        let expected = Address::from(&*address);
        Session::builder(None::<Box<dyn std::any::Any>>)
            .on(START, move |cx, ()| {
                *cx.heap = Some(match &what {
                    SocketFactoryOf::Connect(addr) => Box::new(
                        SocketFactory::connect(addr.clone())
                            .success(CONNECTED)
                            .failure(FAILED)
                            .start(cx),
                    ),
                    SocketFactoryOf::Listen(addr) => Box::new(
                        SocketFactory::listen(addr.clone())
                            .success(CONNECTED)
                            .failure(FAILED)
                            .start(cx),
                    ),
                    SocketFactoryOf::Datagram(addr) => {
                        Box::new(SocketFactory::datagram().bind(addr.clone()).failure(FAILED).start(cx))
                    }
                });
            })
            .on(FAILED, move |cx, error| {
                assert_eq!(error.address(), Some(&expected), "{error}");
                assert!(error.to_string().contains(&expected.to_string()), "{error}");
                say(error.operation());
                *cx.heap = None;
            })
            .create(&kernel)
            .unwrap();
        run(&kernel).await;
        assert_eq!(said(), [operation], "{address}");
    }
}

enum SocketFactoryOf {
    Connect(Address),
    Listen(Address),
    Datagram(Address),
}
