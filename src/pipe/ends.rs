//! The ends of pipes, as their users have them.

use super::Kind;
use super::end::End;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The end of a [`OneWay`](super::OneWay) that bytes come out of. Dropping it makes the writer fail.
///
/// ```
/// use poe::pipe::{Kind, OneWay, PipeReader};
/// use tokio::io::AsyncWriteExt;
/// # tokio_test::block_on(async {
/// let (reader, mut writer): (PipeReader, _) = OneWay::new()?;
/// assert_eq!(reader.kind(), Kind::Pipe);
/// drop(reader);
/// let refused = writer.write_all(b"hello").await.unwrap_err();
/// assert_eq!(refused.kind(), std::io::ErrorKind::BrokenPipe);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct PipeReader(pub(super) End, pub(super) Kind);

impl PipeReader {
    /// What it is made of.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.1
    }

    /// The descriptor itself, in blocking mode, as a child process wants it for its standard input.
    ///
    /// # Errors
    /// The system's.
    ///
    /// ```
    /// use poe::pipe::OneWay;
    /// use std::process::{Command, Stdio};
    /// use tokio::io::AsyncWriteExt;
    /// # tokio_test::block_on(async {
    /// let (reader, mut writer) = OneWay::new()?;
    /// let cat = Command::new("cat").stdin(reader.into_blocking_fd()?).stdout(Stdio::piped()).spawn()?;
    /// writer.write_all(b"hello").await?;
    /// drop(writer); // the end of its input
    /// assert_eq!(cat.wait_with_output()?.stdout, b"hello");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
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

/// The end of a [`OneWay`](super::OneWay) that bytes go into. Dropping or shutting it down is the end of the reader's input.
///
/// ```
/// use poe::pipe::{Kind, OneWay, PipeWriter};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// # tokio_test::block_on(async {
/// let (mut reader, mut writer): (_, PipeWriter) = OneWay::new()?;
/// assert_eq!(writer.kind(), Kind::Pipe);
/// writer.write_all(b"all of it").await?;
/// writer.shutdown().await?;
/// let mut text = String::new();
/// reader.read_to_string(&mut text).await?;
/// assert_eq!(text, "all of it");
/// assert!(writer.write_all(b"more").await.is_err());
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct PipeWriter(pub(super) End, pub(super) Kind);

impl PipeWriter {
    /// What it is made of.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.1
    }

    /// The descriptor itself, in blocking mode, as a child process wants it for its standard output.
    ///
    /// # Errors
    /// The system's; [`NotConnected`](io::ErrorKind::NotConnected) if it was shut down.
    ///
    /// ```
    /// use poe::pipe::OneWay;
    /// use tokio::io::AsyncReadExt;
    /// # tokio_test::block_on(async {
    /// let (mut reader, writer) = OneWay::new()?;
    /// std::process::Command::new("echo").arg("hello").stdout(writer.into_blocking_fd()?).status()?;
    /// let mut text = String::new();
    /// reader.read_to_string(&mut text).await?;
    /// assert_eq!(text, "hello\n");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
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

/// One end of a [`TwoWay`](super::TwoWay). Shutting it down ends the other's input, and leaves its own open.
///
/// ```
/// use poe::pipe::{Kind, PipeEnd, TwoWay};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// # tokio_test::block_on(async {
/// let (mut ours, mut theirs): (PipeEnd, PipeEnd) = TwoWay::new()?;
/// assert_eq!(ours.kind(), Kind::SocketPair);
/// ours.write_all(b"a question").await?;
/// ours.shutdown().await?;
/// let mut text = String::new();
/// theirs.read_to_string(&mut text).await?; // which sees the end
/// theirs.write_all(b", an answer").await?;
/// drop(theirs);
/// ours.read_to_string(&mut text).await?;
/// assert_eq!(text, "a question, an answer");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct PipeEnd(pub(super) End, pub(super) End, pub(super) Kind);

impl PipeEnd {
    /// What it is made of.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.2
    }

    /// The descriptors that are read from and written to, in blocking mode; of sockets that is one, twice.
    ///
    /// # Errors
    /// The system's; [`NotConnected`](io::ErrorKind::NotConnected) if it is of two pipes and was shut down.
    ///
    /// ```
    /// use poe::pipe::TwoWay;
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// # tokio_test::block_on(async {
    /// let (mut ours, theirs) = TwoWay::new()?;
    /// let (stdin, stdout) = theirs.into_blocking_fds()?;
    /// let mut child = std::process::Command::new("tr").args(["a-z", "A-Z"]).stdin(stdin).stdout(stdout).spawn()?;
    /// ours.write_all(b"hello").await?;
    /// ours.shutdown().await?;
    /// let mut text = String::new();
    /// ours.read_to_string(&mut text).await?;
    /// assert_eq!(text, "HELLO");
    /// assert!(child.wait()?.success());
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
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
