//! `HttpServer` on virtual time, with clients in memory.

mod ends;
mod h2;
mod limits;
mod requests;
mod services;
mod websocket;

use poe::extend::Start;
use poe::testing;
use poe::{Error, Kernel};
use poe_http::{HttpServer, HttpServerBuilder};
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const ADDRESS: &str = "memory:http";

fn builder() -> HttpServerBuilder<()> {
    HttpServer::builder(ADDRESS)
}

/// Runs a server while `talk` talks to it, shuts it down, and checks that nothing is left.
async fn serving<H: 'static, S, T>(
    server: HttpServerBuilder<H, S>,
    talk: impl AsyncFnOnce(&Kernel, &HttpServer) -> T,
) -> T {
    let kernel = testing::kernel();
    let server = server.start(&kernel).await.unwrap();
    let talk = async {
        let told = talk(&kernel, &server).await;
        server.shutdown();
        told
    };
    let (ran, told) = tokio::join!(kernel.run(), talk);
    ran.unwrap();
    testing::assert_no_leaks(&kernel);
    assert_eq!(server.connections(), 0);
    told
}

fn connect(kernel: &Kernel) -> DuplexStream {
    testing::connect(kernel, ADDRESS).unwrap()
}

/// Sends bytes.
async fn send(client: &mut DuplexStream, bytes: impl AsRef<[u8]>) {
    client.write_all(bytes.as_ref()).await.unwrap();
}

/// Reads one response with a length, and returns its status and body.
async fn response(client: &mut DuplexStream) -> (u16, String) {
    let (head, mut body) = head(client).await;
    let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    while body.len() < length {
        assert_ne!(client.read_buf(&mut body).await.unwrap(), 0, "the body breaks off");
    }
    (status(&head), String::from_utf8(body).unwrap())
}

/// Reads a head, and what came behind it.
async fn head(client: &mut DuplexStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return (String::from_utf8(bytes).unwrap(), body);
        }
        assert_ne!(client.read_buf(&mut bytes).await.unwrap(), 0, "the head breaks off");
    }
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let line = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
    line.map(|line| line.split_once(':').unwrap().1.trim())
}

/// Reads to the end, which may be a reset.
async fn rest(client: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What came before a failure counts.
    let _ = client.read_to_end(&mut bytes).await;
    bytes
}

/// Makes one request on a connection of its own.
async fn ask(kernel: &Kernel, request: &str) -> (u16, String) {
    let mut client = connect(kernel);
    send(&mut client, request).await;
    response(&mut client).await
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")
}

/// The time that a future takes, on the virtual clock.
async fn timed<T>(future: impl Future<Output = T>) -> (Duration, T) {
    let began = tokio::time::Instant::now();
    let done = future.await;
    (began.elapsed(), done)
}

fn start_in_handler<B: Start>(kernel: &Kernel, builder: B) -> Result<B::Started, Error> {
    builder.start_by(&mut { kernel })
}
