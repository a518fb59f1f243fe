//! What a SocketFactory's success event carries.

use crate::id::WheelId;
use crate::wheel::socket::{DatagramSocket, SocketName, SocketStream};

/// The argument of a success event: a connection, who is at its other end, and which wheel has made it.
///
/// ```
/// use poe::{Event, Context, wheel::{Connection, Input, ReadWrite}, filter::Line};
/// const LINE: Event<Input<String>> = Event::new("line");
/// fn on_connection(cx: &mut Context<'_, Vec<ReadWrite>>, connection: Connection) -> poe::HandlerResult {
///     let wheel = ReadWrite::builder(connection.stream).input(Line::new(), LINE).start(cx)?;
///     Ok(cx.heap.push(wheel))
/// }
/// ```
#[derive(Debug)]
#[doc(alias = "SuccessEvent")]
#[non_exhaustive]
pub struct Connection {
    /// The socket, in Tokio's hands; goes into a [`ReadWrite`](crate::wheel::ReadWrite).
    pub stream: SocketStream,
    /// The name of the other end.
    pub peer: SocketName,
    /// The wheel that reports it.
    pub wheel: WheelId,
}

/// The argument of the success event of a datagram socket.
///
/// ```
/// fn on_bound(bound: poe::wheel::Datagram) -> std::io::Result<()> {
///     println!("bound to {}", bound.socket.local_name()?);
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[doc(alias = "SuccessEvent")]
#[non_exhaustive]
pub struct Datagram {
    /// The socket.
    pub socket: DatagramSocket,
    /// Whom it is connected to, if it is.
    pub peer: Option<SocketName>,
    /// The wheel that reports it.
    pub wheel: WheelId,
}
