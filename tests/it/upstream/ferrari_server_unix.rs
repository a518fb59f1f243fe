//! `t/90_regression/ferrari-server-unix.t`: a server on a UNIX socket, without complaints. Here with a client, too.

use crate::socket_kit::{SocketPath, Tally, run};
use poe::Kernel;
use poe::component::{SHUTDOWN, TcpClient, TcpServer};
use poe::wheel::SocketName;

#[tokio::test]
async fn a_server_on_a_unix_socket_shuts_down_before_anybody_came() {
    let kernel = Kernel::new();
    let path = SocketPath::new("ferrari");
    TcpServer::builder(&*path.0)
        .alias("testserver")
        .error(|_, error| panic!("{error}"))
        .start(&kernel)
        .await
        .unwrap();
    kernel.post("testserver", SHUTDOWN, ()).unwrap();
    run(&kernel).await;
}

#[tokio::test]
async fn a_server_on_a_unix_socket_serves_and_knows_the_family_of_its_client() {
    let kernel = Kernel::new();
    let path = SocketPath::new("ferrari-client");
    let tally = Tally::default();
    let (peers, answers) = (tally.clone(), tally.clone());
    let server = TcpServer::builder(format!("unix:{}", path.0.display()))
        .client_heap(move |peer| {
            assert!(peer.is_unix() && peer.as_path().is_none());
            peers.add(peer);
        })
        .client_input(|cx, line| {
            assert_eq!(cx.client().peer_addr(), None);
            cx.client()
                .put(format!("{line}, {:?}", cx.client().peer().map(SocketName::is_unix)));
        })
        .start(&kernel)
        .await
        .unwrap();
    assert_eq!(server.local_names(), [SocketName::Unix(Some(path.0.clone()))]);
    assert_eq!(server.local_name().as_path(), Some(&*path.0));
    assert_eq!(server.local_addr(), None);
    let listener = server.clone();
    TcpClient::builder(server.local_name())
        .connected(|cx| cx.server().put("hello"))
        .server_input(move |cx, line| {
            answers.add(line);
            listener.shutdown();
            cx.server().shutdown();
        })
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    tally.is(&[("hello, Some(true)", 1), ("unix:", 1)]);
}
