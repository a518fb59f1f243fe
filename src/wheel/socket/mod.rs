//! Sockets as SocketFactory, ListenAccept and the TCP components have them: names, streams, datagrams, how they are
//! made, and how clients are accepted.

pub(crate) mod accept;
mod datagram;
pub(crate) mod make;
mod name;
mod spread;
mod stream;

pub use accept::ListenSocket;
pub use datagram::{DatagramSocket, Packet};
pub use name::{Domain, SocketName};
pub(crate) use spread::Spread;
pub use stream::SocketStream;

/// What is wrong, and with which operation.
pub(crate) type Failed = (&'static str, std::io::Error);
