//! The stream under a wheel: one handle for both directions, or one for each.

use crate::wheel::SocketStream;
use pin_project_lite::pin_project;
use std::any::Any;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// Whatever a wheel reads from and writes to.
pub(crate) trait Duplex: AsyncRead + AsyncWrite {
    /// Nothing more will be read. The other end is told if that is possible.
    fn close_input(self: Pin<&mut Self>);
    /// The output was shut down. A handle that serves for nothing else goes.
    fn close_output(self: Pin<&mut Self>);
    fn input(&self) -> Option<&dyn Any>;
    fn output(&self) -> Option<&dyn Any>;
    /// Itself as a `Pin<Box<Whole<T>>>` for whoever knows the `T`.
    fn into_any(self: Pin<Box<Self>>) -> Box<dyn Any>;
    /// It serves for both directions.
    fn is_whole(&self) -> bool;
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

/// The handle itself, if it is one for both directions and of that type.
pub(crate) fn unwrap<T: Unpin + 'static>(io: BoxedDuplex) -> Option<T> {
    let whole = io.into_any().downcast::<Pin<Box<Whole<T>>>>().ok()?;
    Some(Pin::into_inner(*whole).io)
}

/// Registers a socket with the runtime that we are in. Streams of other types do that themselves, or have errors of their own
/// in the new runtime. If it cannot be had, the stream comes back as it was, with the system's error.
pub(crate) fn follow_runtime(io: BoxedDuplex) -> (BoxedDuplex, io::Result<()>) {
    if !io.is_whole() {
        return (io, Ok(()));
    }
    let io = match again::<SocketStream>(io) {
        Ok(moved) => return moved,
        Err(io) => io,
    };
    let io = match again::<TcpStream>(io) {
        Ok(moved) => return moved,
        Err(io) => io,
    };
    #[cfg(unix)]
    let io = match again::<UnixStream>(io) {
        Ok(moved) => return moved,
        Err(io) => io,
    };
    (io, Ok(()))
}

/// What can be registered anew.
trait Again: AsyncRead + AsyncWrite + Unpin + Sized + 'static {
    fn again(&self) -> io::Result<Self>;
}

impl Again for TcpStream {
    fn again(&self) -> io::Result<Self> {
        TcpStream::from_std(socket2::SockRef::from(self).try_clone()?.into())
    }
}

#[cfg(unix)]
impl Again for UnixStream {
    fn again(&self) -> io::Result<Self> {
        let again = socket2::SockRef::from(self).try_clone()?;
        UnixStream::from_std(std::os::fd::OwnedFd::from(again).into())
    }
}

impl Again for SocketStream {
    fn again(&self) -> io::Result<Self> {
        match self {
            SocketStream::Tcp(stream) => stream.again().map(SocketStream::Tcp),
            #[cfg(unix)]
            SocketStream::Unix(stream) => stream.again().map(SocketStream::Unix),
        }
    }
}

/// The stream itself comes back if it is not a `T`.
fn again<T: Again>(io: BoxedDuplex) -> Result<(BoxedDuplex, io::Result<()>), BoxedDuplex> {
    let known = io.input().is_some_and(|input| input.is::<T>());
    if !known {
        return Err(io);
    }
    match unwrap::<T>(io) {
        Some(stream) => Ok(match stream.again() {
            Ok(again) => (whole(again), Ok(())),
            Err(error) => (whole(stream), Err(error)),
        }),
        // It is one: its type was looked at.
        None => Ok((whole(tokio::io::empty()), Err(io::ErrorKind::NotConnected.into()))),
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
        // A TCP peer would learn nothing of it, and what it is sending could not be drained in `close` any more.
        #[cfg(unix)]
        {
            let io: &dyn Any = &self.io;
            let local = io.downcast_ref::<SocketStream>().and_then(SocketStream::as_unix);
            if let Some(stream) = local.or_else(|| io.downcast_ref()) {
                // It fails if the peer is gone, and then there is nobody to tell.
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
    fn is_whole(&self) -> bool {
        true
    }
}

pin_project! {
    /// Each goes when its direction ends: the other end of a pipe knows it by that alone.
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
    fn is_whole(&self) -> bool {
        false
    }
}
