//! What a pump does with the socket under its stream, if the stream is of a known type.

use crate::bridge::moves::mover;
use crate::wheel::SocketStream;
use crate::wheel::socket::backlog::read_away;
use socket2::SockRef;
use std::any::Any;
use std::io;
use std::pin::Pin;
use std::time::Duration;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// Discards the bytes that the system still has to send: the peer of a TCP connection sees a reset.
pub(super) fn reset(output: &dyn Any) {
    if let Some(socket) = tcp_socket(output) {
        // It fails if the connection is gone, and then there is nothing to reset.
        let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
    }
}

/// Discards the input that has arrived.
pub(super) fn discard_input(output: &dyn Any) {
    if let Some(socket) = tcp_socket(output) {
        read_away(&SockRef::from(socket));
    }
    #[cfg(unix)]
    if let Some(socket) = unix_socket(output) {
        read_away(&SockRef::from(socket));
    }
}

/// Tells the peer of a UNIX socket that nothing more is read. The peer of a TCP socket cannot be told.
pub(super) fn end_input(stream: &dyn Any) {
    #[cfg(unix)]
    if let Some(stream) = unix_socket(stream) {
        // It fails if the peer is gone, which does not matter.
        let _ = SockRef::from(stream).shutdown(std::net::Shutdown::Read);
    }
    #[cfg(not(unix))]
    let _ = stream;
}

/// Returns the TCP socket under a stream of a known type.
fn tcp_socket(io: &dyn Any) -> Option<&TcpStream> {
    fn plain(io: &dyn Any) -> Option<&TcpStream> {
        let tcp = io.downcast_ref::<SocketStream>().and_then(SocketStream::as_tcp);
        tcp.or_else(|| io.downcast_ref())
    }
    #[cfg(feature = "tls")]
    {
        use tokio_rustls::{client, server};
        fn under<S: Any>(io: &S) -> &dyn Any {
            io
        }
        macro_rules! encrypted {
            ($($stream:ty),*) => {$(
                if let Some(stream) = io.downcast_ref::<$stream>() {
                    return plain(under(stream.get_ref().0));
                }
            )*};
        }
        encrypted!(client::TlsStream<SocketStream>, server::TlsStream<SocketStream>);
        encrypted!(client::TlsStream<TcpStream>, server::TlsStream<TcpStream>);
    }
    plain(io)
}

#[cfg(unix)]
fn unix_socket(io: &dyn Any) -> Option<&UnixStream> {
    let local = io.downcast_ref::<SocketStream>().and_then(SocketStream::as_unix);
    local.or_else(|| io.downcast_ref())
}

/// Registers a stream of a known type with the current runtime. A stream of another type moves by itself, or has the errors
/// of its own runtime there.
pub(super) fn follow<T: 'static>(io: Pin<&mut T>) -> io::Result<()> {
    match mover::<T>() {
        Some(follow) => follow(io),
        None => {
            let stream = std::any::type_name::<T>();
            tracing::debug!(target: "poe::wheels", stream, "a stream stays with the Tokio runtime that it was made in");
            Ok(())
        }
    }
}
