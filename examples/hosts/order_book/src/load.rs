//! The load: connections that send one order after another over HTTP/1.1.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Measured {
    /// In microseconds.
    pub p50: f64,
    pub p99: f64,
    /// Requests per second, of all connections together.
    pub rate: f64,
}

pub async fn run(address: SocketAddr, connections: u64, requests: u64, pause: Duration) -> std::io::Result<Measured> {
    let began = Instant::now();
    let clients: Vec<_> = (0..connections)
        .map(|number| tokio::spawn(client(address, number, requests, pause)))
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await.map_err(Error::other)??);
    }
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    times.sort();
    let micros = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    Ok(Measured {
        p50: micros(0.5),
        p99: micros(0.99),
        rate,
    })
}

async fn client(address: SocketAddr, number: u64, requests: u64, pause: Duration) -> std::io::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut times = Vec::new();
    let mut buffer = Vec::new();
    for request in 0..requests {
        // Buyers and sellers meet, so that the book stays small.
        let side = if (number + request) % 2 == 0 { "Buy" } else { "Sell" };
        let body = format!(
            r#"{{"side":"{side}","price":{},"quantity":5}}"#,
            100 + (number + request) % 7
        );
        let head = format!(
            "POST /orders HTTP/1.1\r\nhost: book\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let sent = Instant::now();
        stream.write_all((head + &body).as_bytes()).await?;
        buffer.clear();
        while !is_whole(&buffer)? {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        times.push(sent.elapsed());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(times)
}

/// Whether a response with a body is complete.
fn is_whole(bytes: &[u8]) -> std::io::Result<bool> {
    let text = std::str::from_utf8(bytes).map_err(Error::other)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Ok(false);
    };
    if !head.starts_with("HTTP/1.1 200") {
        return Err(Error::other(head.to_owned()));
    }
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length: ")?
            .parse::<usize>()
            .ok()
    });
    Ok(length.is_some_and(|length| body.len() >= length))
}
