//! Host names as the system resolves them: tests in a mount namespace with its own hosts file and name server.

use crate::in_child::{MARK, arguments, is_in_child, output, this_test};
use poe::component::{TcpClient, TcpServer};
use poe::event::START;
use poe::wheel::{Connection, SocketError, SocketFactory};
use poe::{Event, Kernel, Session};
use socket2::{Domain, Socket, Type};
use std::cell::RefCell;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;

const CONNECTED: Event<Connection> = Event::new("connected");
const FAILED: Event<SocketError> = Event::new("failed");
const ENOUGH: Event<()> = Event::new("enough");

const LONG: Duration = Duration::from_secs(60);

/// Runs the test `name` where these are the known hosts and the name servers; true there.
fn is_among(name: &str, hosts: &str, servers: &str) -> bool {
    if is_in_child(name) {
        return true;
    }
    // As root, or as the root of a user namespace.
    let flags = ["-m", "-rm"].into_iter().find(|flags| {
        let tried = output_of(Command::new("unshare").args([flags, "true"]));
        tried.is_some_and(|status| status.success())
    });
    let Some(flags) = flags else {
        eprintln!("left out: no namespace can be made here");
        return false;
    };
    let file = |what: &str, text: &str| {
        let test = name.replace("::", "-");
        let file = std::env::temp_dir().join(format!("{what}-{test}-{}", std::process::id()));
        std::fs::write(&file, text).unwrap();
        file
    };
    let (hosts, servers) = (file("hosts", hosts), file("servers", servers));
    let mut command = Command::new("unshare");
    command.args([flags, "sh", "-c"]);
    command.arg(r#"mount --bind "$0" /etc/hosts && mount --bind "$1" /etc/resolv.conf && shift && exec "$@""#);
    command.args([&hosts, &servers]).arg(std::env::current_exe().unwrap());
    let ended = output(command.args(arguments(name)).env(MARK, name), name);
    for file in [hosts, servers] {
        std::fs::remove_file(file).unwrap();
    }
    assert!(
        ended.status.success() && ended.stdout.contains("1 passed"),
        "{name} in its own namespace: {}\n{}",
        ended.status,
        ended.told()
    );
    false
}

fn output_of(command: &mut Command) -> Option<std::process::ExitStatus> {
    command.output().ok().map(|output| output.status)
}

/// A listener that accepts no client, with a full queue: connecting to it takes for ever.
fn silent() -> (Vec<Socket>, SocketAddr) {
    let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let listener = socket();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let addr = listener.local_addr().unwrap().as_socket().unwrap();
    let mut sockets = vec![listener];
    for _ in 0..4 {
        let client = socket();
        client.set_nonblocking(true).unwrap();
        let _ = client.connect(&addr.into());
        sockets.push(client);
    }
    (sockets, addr)
}

#[test]
fn the_second_address_of_a_name_has_its_turn_while_the_first_is_silent() {
    if !is_among(this_test!(), "127.0.0.1 two.test\n127.0.0.2 two.test\n", "") {
        return;
    }
    let (_silent, addr) = silent();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    for limit in [Some(Duration::from_secs(30)), None] {
        let told = Rc::new(RefCell::new(Vec::new()));
        let (kernel, connected, failed) = (Kernel::new(), told.clone(), told.clone());
        runtime.block_on(async {
            let server = TcpServer::builder(("127.0.0.2", addr.port()))
                .start(&kernel)
                .await
                .unwrap();
            let server = Rc::new(server);
            let (one, other) = (server.clone(), server);
            let mut client = TcpClient::builder(("two.test", addr.port()))
                .connected(move |cx| {
                    let peer = cx.server().peer().unwrap().to_string();
                    connected.borrow_mut().push(peer);
                    cx.server().shutdown();
                    one.shutdown();
                })
                .connect_error(move |_, error| {
                    failed.borrow_mut().push(error.to_string());
                    other.shutdown();
                });
            if let Some(limit) = limit {
                client = client.connect_timeout(limit);
            }
            client.start(&kernel).unwrap();
            let ran = tokio::time::timeout(LONG, kernel.run()).await;
            ran.expect("it ends").unwrap();
        });
        assert_eq!(*told.borrow(), [format!("127.0.0.2:{}", addr.port())], "{limit:?}");
    }
}

#[test]
fn a_lookup_that_was_given_up_holds_neither_the_kernel_nor_the_exit() {
    if !is_among(
        this_test!(),
        "",
        "nameserver 127.0.0.9\noptions timeout:30 attempts:1\n",
    ) {
        return;
    }
    // A name server that never replies. Only root may use its port.
    let Ok(server) = UdpSocket::bind("127.0.0.9:53") else {
        eprintln!("left out: no name server can be made here");
        return;
    };
    let begin = Instant::now();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let kernel = Kernel::new();
    let errors = Rc::new(RefCell::new(Vec::new()));
    let told = errors.clone();
    runtime.block_on(async {
        TcpClient::builder("limited.test:80")
            .connect_timeout(Duration::from_millis(200))
            .connect_error(move |_, error| told.borrow_mut().push(error.to_string()))
            .start(&kernel)
            .unwrap();
        Session::builder(None::<SocketFactory>)
            .on(START, |cx, ()| {
                *cx.heap = Some(
                    SocketFactory::connect(("dropped.test", 80))
                        .success(CONNECTED)
                        .failure(FAILED)
                        .start(cx),
                );
                cx.delay(ENOUGH, Duration::from_millis(200), ());
            })
            .on(ENOUGH, |cx, ()| *cx.heap = None)
            .create(&kernel)
            .unwrap();
        let ran = tokio::time::timeout(LONG, kernel.run()).await;
        ran.expect("it ends").unwrap();
    });
    drop(kernel);
    drop(runtime);
    assert!(begin.elapsed() < Duration::from_secs(25), "{:?}", begin.elapsed());
    assert_eq!(
        *errors.borrow(),
        ["cannot connect to limited.test:80: the time for connecting is over"]
    );
    // It was asked.
    server.set_nonblocking(true).unwrap();
    assert!(server.recv(&mut [0; 512]).is_ok());
}
