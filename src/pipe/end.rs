//! One end of a pipe, of any kind.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::{UnixStream, unix::pipe};

/// A handle of any kind.
#[derive(Debug)]
pub(super) enum End {
    #[cfg(unix)]
    Reader(pipe::Receiver),
    #[cfg(unix)]
    Writer(pipe::Sender),
    #[cfg(unix)]
    Unix(UnixStream),
    Tcp(TcpStream),
    /// The same handle as the one that is read from.
    Same,
    /// Closed, which is the only way to end a pipe's output.
    Closed,
}

impl End {
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            #[cfg(unix)]
            End::Reader(pipe) => Pin::new(pipe).poll_read(cx, buf),
            #[cfg(unix)]
            End::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            End::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            _ => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            #[cfg(unix)]
            End::Writer(pipe) => Pin::new(pipe).poll_write(cx, buf),
            #[cfg(unix)]
            End::Unix(socket) => Pin::new(socket).poll_write(cx, buf),
            End::Tcp(socket) => Pin::new(socket).poll_write(cx, buf),
            _ => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            #[cfg(unix)]
            End::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            End::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            other => {
                *other = End::Closed;
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Returns the descriptor in blocking mode, for a child process.
    #[cfg(unix)]
    pub(super) fn into_fd(self) -> io::Result<std::os::fd::OwnedFd> {
        match self {
            End::Reader(pipe) => pipe.into_blocking_fd(),
            End::Writer(pipe) => pipe.into_blocking_fd(),
            End::Unix(socket) => {
                let socket = socket.into_std()?;
                socket.set_nonblocking(false)?;
                Ok(socket.into())
            }
            End::Tcp(socket) => {
                let socket = socket.into_std()?;
                socket.set_nonblocking(false)?;
                Ok(socket.into())
            }
            End::Same | End::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}
