//! A custom filter: netstrings (`5:hello,`), and a server that speaks them. Run it with
//! `cargo run --example custom_filter`; it prints `listening on ADDRESS` and ends with Ctrl-C.
//!
//! A filter is a pure state machine, so it is tested without a kernel, bytes in and records out; the contract is on the page of
//! [`Filter`]. Try it with `printf '5:hello,' | nc 127.0.0.1 PORT` in another terminal.

use bytes::{Buf, Bytes, BytesMut};
use poe::component::TcpServer;
use poe::filter::{Filter, FilterError};
use poe::{Kernel, hosts};
use std::time::Duration;

/// Netstrings: the length in decimal digits, a colon, the bytes, a comma.
#[derive(Debug)]
pub struct Netstring {
    buffer: BytesMut,
    /// The longest string that is accepted.
    limit: usize,
    /// Set by an error, after which the beginning of the next string is unknown.
    broken: bool,
}

impl Netstring {
    /// Accepts strings of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Netstring {
            buffer: BytesMut::new(),
            limit,
            broken: false,
        }
    }

    /// Parses the header: the length, and the offset of the first byte; `None` if the colon has not arrived.
    fn header(&self) -> Result<Option<(usize, usize)>, FilterError> {
        // At most as many digits as the limit has, so that an endless number is refused early.
        let most = self.limit.to_string().len();
        let head = &self.buffer[..self.buffer.len().min(most + 1)];
        let Some(colon) = head.iter().position(|byte| !byte.is_ascii_digit()) else {
            return if head.len() > most {
                Err(self.refuse("a length beyond the limit"))
            } else {
                Ok(None)
            };
        };
        let length = str::from_utf8(&head[..colon])
            .ok()
            .and_then(|digits| digits.parse().ok());
        match length {
            Some(length) if head[colon] == b':' && length <= self.limit => Ok(Some((length, colon + 1))),
            _ => Err(self.refuse("the bytes are not the beginning of a netstring")),
        }
    }

    fn refuse(&self, why: &str) -> FilterError {
        FilterError::custom(why)
            .with_bytes(self.buffer.clone().freeze())
            .fatal()
    }
}

impl Filter for Netstring {
    type Input = Bytes;
    type Output = Bytes;

    fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn next_record(&mut self) -> Result<Option<Bytes>, FilterError> {
        let parsed = if self.broken {
            Err(self.refuse("an earlier netstring was broken"))
        } else {
            self.header()
        };
        let (length, start) = match parsed {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.broken = true;
                return Err(error);
            }
        };
        // The header stays in the buffer until the string is whole: it is pending like the rest.
        if self.buffer.len() <= start + length {
            return Ok(None);
        }
        if self.buffer[start + length] != b',' {
            self.broken = true;
            return Err(self.refuse("there is no comma after the bytes"));
        }
        self.buffer.advance(start);
        let record = self.buffer.split_to(length).freeze();
        self.buffer.advance(1);
        Ok(Some(record))
    }

    fn put(&mut self, record: Bytes, out: &mut BytesMut) -> Result<(), FilterError> {
        out.extend_from_slice(format!("{}:", record.len()).as_bytes());
        out.extend_from_slice(&record);
        out.extend_from_slice(b",");
        Ok(())
    }

    fn pending(&self) -> &[u8] {
        &self.buffer
    }

    fn take_pending(&mut self) -> Bytes {
        self.broken = false;
        self.buffer.split().freeze()
    }

    fn fresh(&self) -> Self {
        Netstring::new(self.limit)
    }
}

/// Starts a server that returns each string with its bytes in reverse order.
pub async fn start_server(kernel: &Kernel, address: &str) -> Result<TcpServer, poe::Error> {
    TcpServer::builder(address)
        .filter(|| Netstring::new(1 << 20))
        .client_input(|cx, record| {
            let mut bytes = record.to_vec();
            bytes.reverse();
            cx.client().put(Bytes::from(bytes));
        })
        .start(kernel)
        .await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    let server = start_server(&kernel, "127.0.0.1:0").await?;
    println!("listening on {}", server.local_name());
    let report = kernel.serve_until(hosts::terminated()?, Duration::from_secs(5)).await?;
    if !report.is_clean() {
        eprintln!("{report}");
    }
    Ok(())
}
