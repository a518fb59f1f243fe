//! The public types of the ends of pipes.

use super::Kind;
use super::end::End;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The reading end of a [`OneWay`](super::OneWay) pipe. After it is dropped, writes fail.
#[derive(Debug)]
pub struct PipeReader(pub(super) End, pub(super) Kind);

impl PipeReader {
    /// Returns the kind of the pipe.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.1
    }

    /// Returns the descriptor in blocking mode, for the standard input of a child process.
    ///
    /// # Errors
    /// The system's.
    #[cfg(unix)]
    pub fn into_blocking_fd(self) -> io::Result<std::os::fd::OwnedFd> {
        self.0.into_fd()
    }
}

impl AsyncRead for PipeReader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buf)
    }
}

/// The writing end of a [`OneWay`](super::OneWay) pipe. Dropping it or shutting it down ends the reader's input.
#[derive(Debug)]
pub struct PipeWriter(pub(super) End, pub(super) Kind);

impl PipeWriter {
    /// Returns the kind of the pipe.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.1
    }

    /// Returns the descriptor in blocking mode, for the standard output of a child process.
    ///
    /// # Errors
    /// The system's; [`NotConnected`](io::ErrorKind::NotConnected) if it was shut down.
    #[cfg(unix)]
    pub fn into_blocking_fd(self) -> io::Result<std::os::fd::OwnedFd> {
        self.0.into_fd()
    }
}

impl AsyncWrite for PipeWriter {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, buf)
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}

/// One end of a [`TwoWay`](super::TwoWay) pipe. Shutting it down ends the peer's input and leaves its own open.
#[derive(Debug)]
pub struct PipeEnd(pub(super) End, pub(super) End, pub(super) Kind);

impl PipeEnd {
    /// Returns the kind of the pipe.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.2
    }

    /// Returns the descriptors for reading and writing in blocking mode; for sockets, the same one twice.
    ///
    /// # Errors
    /// The system's; [`NotConnected`](io::ErrorKind::NotConnected) if it consists of two pipes and was shut down.
    #[cfg(unix)]
    pub fn into_blocking_fds(self) -> io::Result<(std::os::fd::OwnedFd, std::os::fd::OwnedFd)> {
        let input = self.0.into_fd()?;
        let output = match self.1 {
            End::Same => input.try_clone()?,
            output => output.into_fd()?,
        };
        Ok((input, output))
    }

    fn output(&mut self) -> &mut End {
        match &mut self.1 {
            End::Same => &mut self.0,
            output => output,
        }
    }
}

impl AsyncRead for PipeEnd {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buf)
    }
}

impl AsyncWrite for PipeEnd {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.output().poll_write(cx, buf)
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output().poll_shutdown(cx)
    }
}
