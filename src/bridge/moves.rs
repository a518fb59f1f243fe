//! Moves sockets and streams from one Tokio runtime to another.
//!
//! A Tokio socket is registered with one runtime for good. To move it, its descriptor is duplicated, the duplicate is
//! registered with the current runtime, and the old one is dropped. A stream on top of a socket (TLS, one half of a
//! split socket) moves the socket below it. Streams of other types stay where they are.

use std::any::Any;
use std::io;
use std::pin::Pin;
use tokio::net::{TcpListener, TcpStream, UdpSocket, tcp};
#[cfg(unix)]
use tokio::net::{UnixDatagram, UnixListener, UnixStream, unix};

/// A socket that can be registered again.
pub(crate) trait Again: Sized {
    /// Returns the same socket, registered with the current runtime.
    ///
    /// # Errors
    /// The system's, most often because no descriptor is left.
    fn again(&self) -> io::Result<Self>;
}

macro_rules! sockets {
    ($($socket:ty),*) => {$(
        impl Again for $socket {
            fn again(&self) -> io::Result<Self> {
                let again = socket2::SockRef::from(self).try_clone()?;
                #[cfg(unix)]
                let again = std::os::fd::OwnedFd::from(again);
                <$socket>::from_std(again.into())
            }
        }
    )*};
}

sockets!(TcpListener, TcpStream, UdpSocket);
#[cfg(unix)]
sockets!(UnixDatagram, UnixListener, UnixStream);

macro_rules! pipes {
    ($($pipe:ty),*) => {$(
        #[cfg(unix)]
        impl Again for $pipe {
            fn again(&self) -> io::Result<Self> {
                <$pipe>::from_owned_fd(std::os::fd::AsFd::as_fd(self).try_clone_to_owned()?)
            }
        }
    )*};
}

pipes!(unix::pipe::Sender, unix::pipe::Receiver);

/// A stream that can move.
trait Moves: Unpin + 'static {
    /// Registers the stream with the current runtime.
    fn follow(&mut self) -> io::Result<()>;
}

impl<T: Again + Unpin + 'static> Moves for T {
    fn follow(&mut self) -> io::Result<()> {
        *self = self.again()?;
        Ok(())
    }
}

macro_rules! halves {
    ($read:ty, $write:ty, $whole:ty) => {
        impl Moves for $read {
            fn follow(&mut self) -> io::Result<()> {
                let (read, write) = AsRef::<$whole>::as_ref(self).again()?.into_split();
                // Dropping it would end the output.
                write.forget();
                *self = read;
                Ok(())
            }
        }

        impl Moves for $write {
            fn follow(&mut self) -> io::Result<()> {
                let (_, write) = AsRef::<$whole>::as_ref(self).again()?.into_split();
                std::mem::replace(self, write).forget();
                Ok(())
            }
        }
    };
}

halves!(tcp::OwnedReadHalf, tcp::OwnedWriteHalf, TcpStream);
#[cfg(unix)]
halves!(unix::OwnedReadHalf, unix::OwnedWriteHalf, UnixStream);

#[cfg(feature = "tls")]
impl<S: Moves> Moves for tokio_rustls::client::TlsStream<S> {
    fn follow(&mut self) -> io::Result<()> {
        self.get_mut().0.follow()
    }
}

#[cfg(feature = "tls")]
impl<S: Moves> Moves for tokio_rustls::server::TlsStream<S> {
    fn follow(&mut self) -> io::Result<()> {
        self.get_mut().0.follow()
    }
}

#[cfg(feature = "tls")]
impl<S: Moves> Moves for tokio_rustls::TlsStream<S> {
    fn follow(&mut self) -> io::Result<()> {
        self.get_mut().0.follow()
    }
}

/// Registers a stream of a known type with the current runtime.
pub(crate) type Move<T> = fn(Pin<&mut T>) -> io::Result<()>;

/// Returns the function that moves a `T`, if the type can be moved and does not move itself.
pub(crate) fn mover<T: 'static>() -> Option<Move<T>> {
    fn follow<K: Moves>(io: Pin<&mut K>) -> io::Result<()> {
        io.get_mut().follow()
    }
    macro_rules! known {
        ($($known:ty),*) => {$({
            let known: Move<$known> = follow::<$known>;
            if let Some(known) = (&known as &dyn Any).downcast_ref::<Move<T>>() {
                return Some(*known);
            }
        })*};
    }
    known!(TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf);
    #[cfg(unix)]
    {
        known!(UnixStream, unix::OwnedReadHalf, unix::OwnedWriteHalf);
        known!(unix::pipe::Sender, unix::pipe::Receiver);
    }
    #[cfg(feature = "tls")]
    {
        use tokio_rustls::{TlsStream, client, server};
        known!(
            TlsStream<TcpStream>,
            client::TlsStream<TcpStream>,
            server::TlsStream<TcpStream>
        );
        #[cfg(unix)]
        known!(
            TlsStream<UnixStream>,
            client::TlsStream<UnixStream>,
            server::TlsStream<UnixStream>
        );
    }
    None
}
