//! A server that runs on all kernels of a pool.

use super::{Local, Order, Posting, ask};
use crate::component::tcp_server::TcpServer;
use crate::debug::debug_fields;
use std::net::SocketAddr;
use std::rc::Rc;

/// A server that the kernels of a pool serve together. Dropping this value changes nothing.
///
/// ```
/// use poe::component::KernelPool;
/// use tokio::{io::{AsyncBufReadExt, AsyncWriteExt, BufReader}, net::TcpStream};
/// # tokio_test::block_on(async {
/// let pool = KernelPool::new(2)?;
/// let server = pool
///     .serve("127.0.0.1:0", |server| server.client_input(|cx, line| cx.client().put(line.to_uppercase())))
///     .await?;
/// let mut client = BufReader::new(TcpStream::connect(server.local_addr()).await?);
/// client.write_all(b"hello\n").await?;
/// let mut line = String::new();
/// client.read_line(&mut line).await?;
/// assert_eq!(line, "HELLO\r\n");
/// assert_eq!(server.connections().await.iter().sum::<usize>(), 1); // one of the two kernels has it
/// server.shutdown();                                          // no further client is accepted …
/// server.shutdown_clients();                                  // … and the present ones are disconnected
/// line.clear();
/// assert_eq!(client.read_line(&mut line).await?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub struct PoolServer {
    pub(in super::super) local: SocketAddr,
    pub(in super::super) number: usize,
    pub(in super::super) workers: Vec<Posting>,
}

impl PoolServer {
    /// Returns the address that it listens on, with the port that the system chose.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Stops listening on every kernel; clients stay connected.
    pub fn shutdown(&self) {
        self.tell(TcpServer::shutdown);
    }

    /// Stops listening, and ends each connection after its output is written.
    pub fn shutdown_clients(&self) {
        self.tell(TcpServer::shutdown_clients);
    }

    /// Returns the number of clients of each kernel.
    pub async fn connections(&self) -> Vec<usize> {
        let mut counts = Vec::new();
        for worker in &self.workers {
            let number = self.number;
            let asked = ask(worker, move |local: Rc<Local>| {
                let count = local.server(number).map_or(0, |server| server.connections());
                Box::pin(async move { Ok(count) })
            });
            counts.push(asked.await.unwrap_or(Ok(0)).unwrap_or(0));
        }
        counts
    }

    fn tell(&self, what: fn(&TcpServer)) {
        for worker in &self.workers {
            let number = self.number;
            let order = Order::Run(Box::new(move |local: Rc<Local>| {
                if let Some(server) = local.server(number) {
                    what(&server);
                }
                // So that a restart does not bring it back.
                local.forget(number);
                Box::pin(async {})
            }));
            // A thread that is gone serves no client.
            worker.send(order);
        }
    }
}

debug_fields!([] PoolServer, "PoolServer", |this| { local_addr: this.local, .. });
