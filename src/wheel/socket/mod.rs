//! Sockets of SocketFactory and the TCP components: names, streams, datagrams, making them,
//! and accepting clients.

pub(crate) mod accept;
pub(crate) mod backlog;
mod connect;
mod datagram;
mod error;
pub(crate) mod make;

use super::address::Address;
use crate::bridge::moves::Again;
use crate::bridge::runtime::{Home, poll_here};
use backlog::read_away;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

pub use accept::ListenSocket;
pub use datagram::{DatagramSocket, Packet};
pub use error::SocketError;
pub(crate) use make::Spread;
pub use make::{Domain, SocketName};

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

// A connected stream socket of any family.
/// A connected socket, TCP, UNIX or in memory, for a [`ReadWrite`](super::ReadWrite) or a TLS handshake.
///
/// When another Tokio runtime polls it than the one it was made in, it registers there; so does every stream built on it.
///
/// ```
/// use poe::wheel::SocketStream;
/// # tokio_test::block_on(async {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let stream = SocketStream::from(tokio::net::TcpStream::connect(listener.local_addr()?).await?);
/// assert_eq!(stream.peer_name()?, listener.local_addr()?);
/// let (_, client) = listener.accept().await?;
/// assert_eq!(stream.local_name()?, client);
/// stream.as_tcp().unwrap().set_nodelay(true)?;
/// # Ok::<(), std::io::Error>(()) }).unwrap();
/// ```
pub struct SocketStream {
    socket: Socket,
    home: Home,
}

enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Memory(Box<Memory>),
}

/// A connection in memory, with the names of both ends.
struct Memory {
    stream: DuplexStream,
    local: SocketName,
    peer: SocketName,
}

impl Socket {
    fn follow(&mut self) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => *stream = stream.again()?,
            #[cfg(unix)]
            Socket::Unix(stream) => *stream = stream.again()?,
            Socket::Memory(_) => {}
        }
        Ok(())
    }
}

impl SocketStream {
    /// Returns the peer's name.
    ///
    /// # Errors
    /// The system's: the connection is gone.
    #[doc(alias = "getpeername")]
    pub fn peer_name(&self) -> io::Result<SocketName> {
        match &self.socket {
            Socket::Tcp(stream) => stream.peer_addr().map(SocketName::Ip),
            #[cfg(unix)]
            Socket::Unix(stream) => stream.peer_addr().map(|name| SocketName::of_unix(&name)),
            Socket::Memory(memory) => Ok(memory.peer.clone()),
        }
    }

    /// Returns the socket's own name.
    ///
    /// # Errors
    /// The system's.
    #[doc(alias = "getsockname")]
    pub fn local_name(&self) -> io::Result<SocketName> {
        match &self.socket {
            Socket::Tcp(stream) => stream.local_addr().map(SocketName::Ip),
            #[cfg(unix)]
            Socket::Unix(stream) => stream.local_addr().map(|name| SocketName::of_unix(&name)),
            Socket::Memory(memory) => Ok(memory.local.clone()),
        }
    }

    /// Returns Tokio's stream, if it is TCP: for options of the socket.
    #[must_use]
    pub fn as_tcp(&self) -> Option<&TcpStream> {
        match &self.socket {
            Socket::Tcp(stream) => Some(stream),
            #[cfg(unix)]
            Socket::Unix(_) => None,
            Socket::Memory(_) => None,
        }
    }

    /// Returns Tokio's stream by value.
    ///
    /// # Errors
    /// This stream itself, if it is not TCP.
    pub fn into_tcp(self) -> Result<TcpStream, SocketStream> {
        match self.socket {
            Socket::Tcp(stream) => Ok(stream),
            socket => Err(SocketStream {
                socket,
                home: self.home,
            }),
        }
    }

    /// Returns Tokio's stream, if it is a UNIX socket: for the peer's credentials.
    #[cfg(unix)]
    #[must_use]
    pub fn as_unix(&self) -> Option<&UnixStream> {
        match &self.socket {
            Socket::Unix(stream) => Some(stream),
            Socket::Tcp(_) | Socket::Memory(_) => None,
        }
    }
}

impl From<TcpStream> for SocketStream {
    fn from(stream: TcpStream) -> Self {
        SocketStream {
            socket: Socket::Tcp(stream),
            home: Home::of_a_given(),
        }
    }
}

#[cfg(unix)]
impl From<UnixStream> for SocketStream {
    fn from(stream: UnixStream) -> Self {
        SocketStream {
            socket: Socket::Unix(stream),
            home: Home::of_a_given(),
        }
    }
}

impl SocketStream {
    /// Closes a connection that is refused: the peer sees the end, and no reset, whatever it has sent until now.
    pub(crate) fn hang_up(self) {
        match &self.socket {
            Socket::Tcp(stream) => read_away(&stream.into()),
            #[cfg(unix)]
            Socket::Unix(stream) => read_away(&stream.into()),
            Socket::Memory(_) => {}
        }
    }

    /// One end of a connection in memory.
    pub(crate) fn memory(stream: DuplexStream, local: SocketName, peer: SocketName) -> Self {
        SocketStream {
            socket: Socket::Memory(Box::new(Memory { stream, local, peer })),
            home: Home::here(),
        }
    }
}

impl fmt::Debug for SocketStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Socket::Tcp(stream) => stream.fmt(f),
            #[cfg(unix)]
            Socket::Unix(stream) => stream.fmt(f),
            Socket::Memory(memory) => memory.stream.fmt(f),
        }
    }
}

/// Polls the inner stream.
macro_rules! polled {
    ($this:expr, $stream:ident => $poll:expr) => {{
        let SocketStream { socket, home } = $this.get_mut();
        let poll = |socket: &mut Socket| match socket {
            Socket::Tcp($stream) => $poll,
            #[cfg(unix)]
            Socket::Unix($stream) => $poll,
            Socket::Memory(memory) => {
                let $stream = &mut memory.stream;
                $poll
            }
        };
        poll_here(home, socket, poll, Socket::follow)
    }};
}

impl AsyncRead for SocketStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        polled!(self, stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl AsyncWrite for SocketStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        polled!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        polled!(self, stream => Pin::new(stream).poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Tcp(stream) => stream.is_write_vectored(),
            #[cfg(unix)]
            Socket::Unix(stream) => stream.is_write_vectored(),
            Socket::Memory(memory) => memory.stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        polled!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        polled!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
