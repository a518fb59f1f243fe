//! A server that all kernels of a pool serve.

use super::worker::{Local, Order, ask};
use crate::component::tcp_server::TcpServer;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::sync::mpsc;

/// A server that a pool's kernels serve together. Dropping this value changes nothing.
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
/// assert_eq!(server.connections().await.iter().sum::<usize>(), 1); // one of the two has it
/// server.shutdown();                                          // nobody else comes …
/// server.shutdown_clients();                                  // … and who is there is let go
/// line.clear();
/// assert_eq!(client.read_line(&mut line).await?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub struct PoolServer {
    pub(super) local: SocketAddr,
    pub(super) number: usize,
    pub(super) workers: Vec<mpsc::UnboundedSender<Order>>,
}

impl PoolServer {
    /// The address that it listens on, with the port that the system chose.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Stops listening on every kernel; clients live on.
    pub fn shutdown(&self) {
        self.tell(TcpServer::shutdown);
    }

    /// The same, and each connection is ended in good order.
    pub fn shutdown_clients(&self) {
        self.tell(TcpServer::shutdown_clients);
    }

    /// How many clients each kernel has.
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
                // It is not to come back.
                local.forget(number);
                Box::pin(async {})
            }));
            // A thread that is gone serves nobody.
            let _ = worker.send(order);
        }
    }
}

impl fmt::Debug for PoolServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolServer")
            .field("local_addr", &self.local)
            .finish_non_exhaustive()
    }
}
