//! Datagram sockets, UDP or UNIX.

use super::SocketName;
use crate::bridge::moves::Again;
use crate::bridge::runtime::{Home, cannot_move};
use bytes::Bytes;
use futures_core::Stream;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::{fmt, io};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
#[cfg(unix)]
use tokio::net::UnixDatagram;

/// The largest possible datagram.
const LARGEST: usize = 65_536;

/// A datagram socket that a [`SocketFactory`](super::super::SocketFactory) made. Clones are the same socket.
///
/// No wheel reads it: receive its [packets](Self::packets) as events with [`attach`](crate::KernelRef::attach). Sending happens
/// at once.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// use poe::wheel::{Datagram, Packet, SocketFactory};
/// const BOUND: Event<Datagram> = Event::new("bound");
/// const PACKET: Event<Option<std::io::Result<Packet>>> = Event::new("packet");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(None)
///     .on(START, |cx, ()| *cx.heap = Some(SocketFactory::datagram().bind("127.0.0.1:0").success(BOUND).start(cx)))
///     .on(BOUND, |cx, bound| -> poe::HandlerResult {
///         let to_itself = bound.socket.local_name()?;
///         cx.attach(bound.socket.packets(), PACKET);
///         bound.socket.send_to(b"hello", &to_itself)?;
///         Ok(())
///     })
///     .on(PACKET, |cx, packet| -> poe::HandlerResult {
///         let Some(packet) = packet else { return Ok(()) };
///         assert_eq!(packet?.bytes, "hello");
///         cx.stop_all(); // packets never end by themselves
///         Ok(())
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct DatagramSocket(Rc<Socket>);

struct Socket {
    kind: Kind,
    /// The same socket in the reactor of another runtime than the one it was made in.
    moved: RefCell<Option<Rc<Kind>>>,
    home: Cell<Home>,
}

impl Socket {
    fn new(kind: Kind) -> Rc<Self> {
        Rc::new(Socket {
            kind,
            moved: RefCell::default(),
            home: Cell::new(Home::here()),
        })
    }

    /// Waits for a datagram in the runtime that polls.
    fn poll_recv_from(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketName)>> {
        let mut home = self.home.get();
        if home.has_moved() {
            let again = self.kind.again().map_err(|error| cannot_move(&error))?;
            self.moved.replace(Some(Rc::new(again)));
            self.home.set(home);
        }
        let moved = self.moved.borrow().clone();
        moved.as_deref().unwrap_or(&self.kind).poll_recv_from(cx, buffer)
    }
}

enum Kind {
    Udp(UdpSocket),
    #[cfg(unix)]
    Unix(UnixDatagram),
}

/// A datagram and its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packet {
    /// The whole datagram.
    pub bytes: Bytes,
    /// The sender; reply with [`DatagramSocket::send_to`].
    pub from: SocketName,
}

impl Kind {
    /// Returns the same socket, registered with the current runtime.
    fn again(&self) -> io::Result<Kind> {
        match self {
            Kind::Udp(socket) => socket.again().map(Kind::Udp),
            #[cfg(unix)]
            Kind::Unix(socket) => socket.again().map(Kind::Unix),
        }
    }

    fn poll_recv_from(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketName)>> {
        let mut buffer = ReadBuf::new(buffer);
        let from = match self {
            Kind::Udp(socket) => SocketName::Ip(ready!(socket.poll_recv_from(cx, &mut buffer))?),
            #[cfg(unix)]
            Kind::Unix(socket) => SocketName::of_unix(&ready!(socket.poll_recv_from(cx, &mut buffer))?),
        };
        Poll::Ready(Ok((buffer.filled().len(), from)))
    }
}

impl DatagramSocket {
    pub(super) fn udp(socket: UdpSocket) -> Self {
        DatagramSocket(Socket::new(Kind::Udp(socket)))
    }

    #[cfg(unix)]
    pub(super) fn unix(socket: UnixDatagram) -> Self {
        DatagramSocket(Socket::new(Kind::Unix(socket)))
    }

    /// Returns the socket's own name.
    ///
    /// # Errors
    /// The system's.
    #[doc(alias = "getsockname")]
    pub fn local_name(&self) -> io::Result<SocketName> {
        match &self.0.kind {
            Kind::Udp(socket) => socket.local_addr().map(SocketName::Ip),
            #[cfg(unix)]
            Kind::Unix(socket) => socket.local_addr().map(|name| SocketName::of_unix(&name)),
        }
    }

    /// Returns the peer's name, if the socket is connected.
    ///
    /// # Errors
    /// The system's: it is not connected.
    #[doc(alias = "getpeername")]
    pub fn peer_name(&self) -> io::Result<SocketName> {
        match &self.0.kind {
            Kind::Udp(socket) => socket.peer_addr().map(SocketName::Ip),
            #[cfg(unix)]
            Kind::Unix(socket) => socket.peer_addr().map(|name| SocketName::of_unix(&name)),
        }
    }

    /// Sends a datagram to the peer of a connected socket, at once.
    ///
    /// # Errors
    /// The system's. `WouldBlock`: its buffer is full, and the datagram is lost as if the network had dropped it.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.raw().send(bytes)
    }

    /// Sends a datagram to any address, at once.
    ///
    /// # Errors
    /// The system's, as with [`send`](Self::send); a UNIX socket without a path.
    #[doc(alias = "sendto")]
    pub fn send_to(&self, bytes: &[u8], to: &SocketName) -> io::Result<usize> {
        self.raw().send_to(bytes, &to.to_raw()?)
    }

    /// Waits for one datagram. Bytes that do not fit into the buffer are lost.
    ///
    /// # Errors
    /// The system's: a connected socket may report here that nothing uses the peer's port.
    #[doc(alias = "recvfrom")]
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketName)> {
        std::future::poll_fn(|cx| self.0.poll_recv_from(cx, buffer)).await
    }

    /// Returns a stream of all datagrams, for [`attach`](crate::KernelRef::attach).
    ///
    /// It never ends; more datagrams may follow an error.
    #[must_use = "a stream does nothing unless it is attached or polled"]
    pub fn packets(&self) -> impl Stream<Item = io::Result<Packet>> + 'static {
        Packets {
            socket: self.clone(),
            buffer: vec![0; LARGEST],
        }
    }

    /// The raw socket: Tokio tries nothing before it has seen that the socket is ready, which a new one is at once.
    fn raw(&self) -> socket2::SockRef<'_> {
        match &self.0.kind {
            Kind::Udp(socket) => socket2::SockRef::from(socket),
            #[cfg(unix)]
            Kind::Unix(socket) => socket2::SockRef::from(socket),
        }
    }
}

/// The datagrams of a socket, for ever.
struct Packets {
    socket: DatagramSocket,
    buffer: Vec<u8>,
}

impl Stream for Packets {
    type Item = io::Result<Packet>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Packets { socket, buffer } = &mut *self;
        let received = ready!(socket.0.poll_recv_from(cx, buffer));
        Poll::Ready(Some(received.map(|(bytes, from)| Packet {
            bytes: Bytes::copy_from_slice(&buffer[..bytes]),
            from,
        })))
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for DatagramSocket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match &self.0.kind {
            Kind::Udp(socket) => socket.as_fd(),
            Kind::Unix(socket) => socket.as_fd(),
        }
    }
}

impl fmt::Debug for DatagramSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::Udp(socket) => socket.fmt(f),
            #[cfg(unix)]
            Kind::Unix(socket) => socket.fmt(f),
        }
    }
}
