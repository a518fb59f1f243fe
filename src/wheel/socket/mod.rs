//! Sockets as SocketFactory, ListenAccept and the TCP components have them: names, streams, datagrams, how they are
//! made, and how clients are accepted.

pub(crate) mod accept;
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

/// An operation that failed, and the address that it was for.
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
    /// Names the address, unless one is named that is more exact.
    pub(crate) fn at(mut self, address: &Address) -> Self {
        self.address.get_or_insert_with(|| address.clone());
        self
    }
}
