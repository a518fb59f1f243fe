//! `t/90_regression/cfedde-filter-httpd.t`: an HTTP server answers two clients, one of which says too little, and a signal
//! ends it. There the server is a process of its own; here its sessions are the server.

use bytes::Bytes;
use http::Response;
use poe::Kernel;
use poe::component::TcpServer;
use poe_http::{Httpd, Incoming};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn two_clients_are_answered_and_a_signal_ends_the_server() {
    let kernel = Kernel::new();
    let answered = Rc::new(Cell::new(0));
    let count = answered.clone();
    let server = TcpServer::builder("127.0.0.1:0")
        .filter(Httpd::new)
        .client_input(move |cx, incoming| match incoming {
            Incoming::Request(request) => {
                count.set(count.get() + 1);
                cx.client()
                    .put(Response::new(Bytes::from(format!("hi, {}", request.uri()))));
                cx.client().shutdown();
            }
            other => panic!("{other:?}"),
        })
        .start(&kernel)
        .await
        .unwrap();
    let talk = async {
        for path in ["/", "/again"] {
            let mut stream = TcpStream::connect(server.local_addr().unwrap()).await.unwrap();
            // No version, but something in its place.
            stream
                .write_all(format!("GET {path} 1.0\r\n\r\n").as_bytes())
                .await
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/"), "{answer}");
            assert!(answer.ends_with(&format!("hi, {path}")), "{answer}");
        }
        kernel.signal(server.session_id(), "KILL", ()).unwrap();
    };
    let both = async { tokio::join!(kernel.run(), talk) };
    let (ran, ()) = tokio::time::timeout(Duration::from_secs(30), both)
        .await
        .expect("a sane end");
    ran.unwrap();
    assert_eq!(answered.get(), 2);
    poe::testing::assert_no_leaks(&kernel);
}
