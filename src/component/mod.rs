//! POE::Component: whole sessions ready made: a TCP server, and a TCP client.

mod connection;
mod tcp_client;
mod tcp_server;

pub use connection::{Link, SHUTDOWN};
pub use tcp_client::{CONNECT, RECONNECT, ServerHeap, TcpClient, TcpClientBuilder};
pub use tcp_server::{ClientHeap, DISCONNECTED, Listener, SET_CONCURRENCY, TcpServer, TcpServerBuilder};
