//! The stream under a wheel: one handle for both directions, or one for each.

use crate::bridge::moves::mover;
use crate::wheel::SocketStream;
use crate::wheel::socket::backlog::read_away;
use pin_project_lite::pin_project;
use std::any::Any;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// A stream that a wheel reads and writes.
pub(crate) trait Duplex: AsyncRead + AsyncWrite {
    /// Ends reading, and notifies the peer if that is possible.
    fn close_input(self: Pin<&mut Self>);
    /// The output was shut down. Drops a handle that has no other use.
    fn close_output(self: Pin<&mut Self>);
    fn input(&self) -> Option<&dyn Any>;
    fn output(&self) -> Option<&dyn Any>;
    /// Returns itself as a `Pin<Box<Whole<T>>>`, for a caller that knows the `T`.
    fn into_any(self: Pin<Box<Self>>) -> Box<dyn Any>;
    /// Discards the bytes that the system still has to send: the peer of a TCP connection sees a reset.
    fn abort(self: Pin<&mut Self>) {
        if let Some(socket) = self.output().and_then(tcp_socket) {
            // It fails if the connection is gone, and then there is nothing to reset.
            let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
    }
    /// Discards the input that has arrived, before the stream is closed: otherwise the system resets the connection, and
    /// the peer loses output.
    fn read_away(&self) {
        let Some(output) = self.output() else { return };
        if let Some(socket) = tcp_socket(output) {
            read_away(&socket2::SockRef::from(socket));
        }
        #[cfg(unix)]
        if let Some(socket) = unix_socket(output) {
            read_away(&socket2::SockRef::from(socket));
        }
    }
    /// Registers the stream with the current runtime.
    fn follow_runtime(self: Pin<&mut Self>) -> io::Result<()>;
}

pub(crate) type BoxedDuplex = Pin<Box<dyn Duplex>>;

/// One handle for both directions.
pub(crate) fn whole(io: impl AsyncRead + AsyncWrite + 'static) -> BoxedDuplex {
    Box::pin(Whole { io })
}

/// A handle for each direction.
pub(crate) fn pair(input: impl AsyncRead + 'static, output: impl AsyncWrite + 'static) -> BoxedDuplex {
    Box::pin(Pair {
        input: Some(input),
        output: Some(output),
    })
}

/// Returns the handle itself, if it serves both directions and has that type.
pub(crate) fn unwrap<T: Unpin + 'static>(io: BoxedDuplex) -> Option<T> {
    let whole = io.into_any().downcast::<Pin<Box<Whole<T>>>>().ok()?;
    Some(Pin::into_inner(*whole).io)
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
fn follow<T: 'static>(io: Pin<&mut T>) -> io::Result<()> {
    match mover::<T>() {
        Some(follow) => follow(io),
        None => {
            let stream = std::any::type_name::<T>();
            tracing::debug!(target: "poe::wheels", stream, "a stream stays with the Tokio runtime that it was made in");
            Ok(())
        }
    }
}

pin_project! {
    struct Whole<T> {
        #[pin]
        io: T,
    }
}

impl<T: AsyncRead> AsyncRead for Whole<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_read(cx, buf)
    }
}

impl<T: AsyncWrite> AsyncWrite for Whole<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.project().io.poll_write(cx, buf)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
    }
}

impl<T: AsyncRead + AsyncWrite + 'static> Duplex for Whole<T> {
    fn close_input(self: Pin<&mut Self>) {
        // A TCP peer would not notice it, and its data could not be drained in `close` any more.
        #[cfg(unix)]
        {
            if let Some(stream) = unix_socket(&self.io) {
                // It fails if the peer is gone, which does not matter.
                let _ = socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Read);
            }
        }
    }
    fn close_output(self: Pin<&mut Self>) {}
    fn input(&self) -> Option<&dyn Any> {
        Some(&self.io)
    }
    fn output(&self) -> Option<&dyn Any> {
        Some(&self.io)
    }
    fn into_any(self: Pin<Box<Self>>) -> Box<dyn Any> {
        Box::new(self)
    }
    fn follow_runtime(self: Pin<&mut Self>) -> io::Result<()> {
        follow(self.project().io)
    }
}

pin_project! {
    /// Each handle is dropped when its direction ends: only this shows the end to the other side of a pipe.
    struct Pair<R, W> {
        #[pin]
        input: Option<R>,
        #[pin]
        output: Option<W>,
    }
}

impl<R: AsyncRead, W> AsyncRead for Pair<R, W> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.project().input.as_pin_mut() {
            Some(input) => input.poll_read(cx, buf),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl<R, W: AsyncWrite> AsyncWrite for Pair<R, W> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.project().output.as_pin_mut() {
            Some(output) => output.poll_write(cx, buf),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.project().output.as_pin_mut() {
            Some(output) => output.poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.project().output.as_pin_mut() {
            Some(output) => output.poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl<R: AsyncRead + 'static, W: AsyncWrite + 'static> Duplex for Pair<R, W> {
    fn close_input(self: Pin<&mut Self>) {
        self.project().input.set(None);
    }
    fn close_output(self: Pin<&mut Self>) {
        self.project().output.set(None);
    }
    fn input(&self) -> Option<&dyn Any> {
        self.input.as_ref().map(|r| r as &dyn Any)
    }
    fn output(&self) -> Option<&dyn Any> {
        self.output.as_ref().map(|w| w as &dyn Any)
    }
    fn into_any(self: Pin<Box<Self>>) -> Box<dyn Any> {
        Box::new(self)
    }
    fn follow_runtime(self: Pin<&mut Self>) -> io::Result<()> {
        let this = self.project();
        if let Some(input) = this.input.as_pin_mut() {
            follow(input)?;
        }
        this.output.as_pin_mut().map_or(Ok(()), follow)
    }
}
