//! Sockets of SocketFactory and the TCP components: names, streams, datagrams, making them,
//! and accepting clients.

pub(crate) mod accept;
pub(crate) mod backlog;
mod connect;
mod datagram;
pub(crate) mod make;
mod name;
mod spread;
mod stream;

use super::address::Address;

pub use accept::ListenSocket;
pub use datagram::{DatagramSocket, Packet};
pub use name::{Domain, SocketName};
pub(crate) use spread::Spread;
pub use stream::SocketStream;

/// An operation that failed, and its address.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) operation: &'static str,
    pub(crate) error: std::io::Error,
    pub(crate) address: Option<Address>,
}

impl From<(&'static str, std::io::Error)> for Failed {
    fn from((operation, error): (&'static str, std::io::Error)) -> Self {
        Failed {
            operation,
            error,
            address: None,
        }
    }
}

impl Failed {
    /// Adds the address, unless a more exact one is set.
    pub(crate) fn at(mut self, address: &Address) -> Self {
        self.address.get_or_insert_with(|| address.clone());
        self
    }
}
