//! Clients of servers in memory.

use crate::kernel::Kernel;
use crate::wheel::Address;
use std::io;
use std::net::SocketAddr;
use tokio::io::DuplexStream;

/// Connects to a server in memory, such as one at `memory:echo`, and returns the client's end.
///
/// The server sees a client without a name; [`connect_from`] gives it an IP address.
///
/// # Errors
/// No server of this kernel listens there, the address is not one in memory, or too many clients wait to be accepted.
///
/// ```
/// use poe::{component::TcpServer, testing};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// // In your test: #[tokio::test(start_paused = true)]
/// # tokio_test::block_on(async { tokio::time::pause();
/// let kernel = testing::kernel();
/// let server = TcpServer::builder("memory:echo")
///     .client_input(|cx, line| cx.client().put(line))
///     .start(&kernel)
///     .await?;
/// let mut client = testing::connect(&kernel, "memory:echo").unwrap();
/// let talk = async {
///     client.write_all(b"hello\r\n").await.unwrap();
///     client.shutdown().await.unwrap();
///     let mut reply = String::new();
///     client.read_to_string(&mut reply).await.unwrap();
///     assert_eq!(reply, "hello\r\n");
///     server.shutdown();
/// };
/// tokio::join!(async { kernel.run().await.unwrap() }, talk);
/// testing::assert_no_leaks(&kernel);
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
pub fn connect(kernel: &Kernel, addr: impl Into<Address>) -> io::Result<DuplexStream> {
    connect_by(kernel, &addr.into(), None)
}

/// Connects as [`connect`] does, from an IP address that the server sees as its client's.
///
/// # Errors
/// As [`connect`].
pub fn connect_from(kernel: &Kernel, addr: impl Into<Address>, from: SocketAddr) -> io::Result<DuplexStream> {
    connect_by(kernel, &addr.into(), Some(from))
}

fn connect_by(kernel: &Kernel, addr: &Address, from: Option<SocketAddr>) -> io::Result<DuplexStream> {
    match addr.as_memory() {
        Some(name) => kernel.core().memory.connect(name, from),
        None => {
            let what = format!("`{addr}` is not an address in memory, such as `memory:echo`");
            Err(io::Error::new(io::ErrorKind::InvalidInput, what))
        }
    }
}
