//! `t/90_regression/leolo-filter-httpd.t`: uploads that are streamed, one after another over one connection, and a last request
//! that ends the server.

use bytes::Bytes;
use http::Response;
use poe::Kernel;
use poe::component::TcpServer;
use poe_http::{Httpd, Incoming};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn uploads_are_streamed_over_one_connection() {
    const SIZE: usize = 3_000_000;
    let kernel = Kernel::new();
    // No body is kept: what may be kept is far less.
    let server = TcpServer::builder("127.0.0.1:0")
        .filter(|| Httpd::new().streaming(true).max_content(10).max_buffer(200_000))
        .alias("server")
        .client_heap(|_| (String::new(), 0))
        .client_input(|cx, incoming| -> poe::HandlerResult {
            let answer = match incoming {
                Incoming::Request(request) if request.method() == "GET" => {
                    cx.post("server", poe::component::SHUTDOWN, ())?;
                    format!("done {}", request.uri())
                }
                Incoming::Request(request) => {
                    *cx.heap = (request.uri().to_string(), 0);
                    return Ok(());
                }
                Incoming::Chunk(bytes) => {
                    assert!(bytes.iter().all(|byte| *byte == b'x'));
                    cx.heap.1 += bytes.len();
                    return Ok(());
                }
                Incoming::End => format!("{} {}", cx.heap.0, cx.heap.1),
                other => panic!("{other:?}"),
            };
            cx.client().put(Response::new(Bytes::from(answer)));
            Ok(())
        })
        .start(&kernel)
        .await
        .unwrap();
    let talk = async {
        let mut stream = TcpStream::connect(server.local_addr().unwrap()).await.unwrap();
        for path in ["/upload", "/other"] {
            let head = format!("POST {path} HTTP/1.1\r\nContent-Length: {SIZE}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            for part in vec![b'x'; SIZE].chunks(99_999) {
                stream.write_all(part).await.unwrap();
            }
            answered(&mut stream, &format!("{path} {SIZE}")).await;
        }
        let last = b"GET /done?bon=jour HTTP/1.1\r\n\r\n";
        stream.write_all(last).await.unwrap();
        answered(&mut stream, "done /done?bon=jour").await;
    };
    let both = async { tokio::join!(kernel.run(), talk) };
    let (ran, ()) = tokio::time::timeout(Duration::from_secs(60), both)
        .await
        .expect("a sane end");
    ran.unwrap();
    poe::testing::assert_no_leaks(&kernel);
}

async fn answered(stream: &mut TcpStream, body: &str) {
    let expected = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), expected);
}
