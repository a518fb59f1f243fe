//! Arguments of a SocketFactory's success event.

use crate::id::WheelId;
use crate::wheel::socket::{DatagramSocket, SocketName, SocketStream};

/// The argument of a success event: a connection, its peer, and the wheel that made it.
#[derive(Debug)]
#[doc(alias = "SuccessEvent")]
#[non_exhaustive]
pub struct Connection {
    /// The Tokio socket, for a [`ReadWrite`](crate::wheel::ReadWrite).
    pub stream: SocketStream,
    /// The peer's name.
    pub peer: SocketName,
    /// The wheel that reports it.
    pub wheel: WheelId,
}

/// The argument of the success event of a datagram socket.
#[derive(Debug)]
#[doc(alias = "SuccessEvent")]
#[non_exhaustive]
pub struct Datagram {
    /// The socket.
    pub socket: DatagramSocket,
    /// The peer, if the socket is connected.
    pub peer: Option<SocketName>,
    /// The wheel that reports it.
    pub wheel: WheelId,
}
