//! POE::Pipe: two ends that are connected, within the process or to one that is started with the other end.
//!
//! [`OneWay`] makes a reader and a writer, [`TwoWay`] two ends that both read and write. All are Tokio's handles, so they
//! go into a [`ReadWrite`](crate::wheel::ReadWrite) as they are. They must be made within a Tokio runtime.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Shutdown};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::{UnixStream, unix::pipe};

/// What a pipe is made of.
///
/// ```
/// use poe::pipe::{Kind, OneWay};
/// # tokio_test::block_on(async {
/// let (_reader, writer) = OneWay::of(Kind::Inet)?;
/// assert_eq!(writer.kind(), Kind::Inet);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The system's pipe: one way; two of them for both ways. On Unix.
    #[doc(alias = "pipe")]
    Pipe,
    /// A pair of local sockets. On Unix.
    #[doc(alias = "socketpair")]
    SocketPair,
    /// A TCP connection over the loopback address, between ports that only the two ends know.
    #[doc(alias = "inet")]
    Inet,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Pipe => "pipe",
            Kind::SocketPair => "socketpair",
            Kind::Inet => "inet",
        })
    }
}

/// Makes pipes that carry octets one way (`POE::Pipe::OneWay`).
///
/// ```
/// use poe::pipe::OneWay;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// # tokio_test::block_on(async {
/// let (mut reader, mut writer) = OneWay::new()?;
/// writer.write_all(b"hello").await?;
/// drop(writer);
/// let mut text = String::new();
/// reader.read_to_string(&mut text).await?;
/// assert_eq!(text, "hello");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
#[doc(alias = "POE::Pipe::OneWay")]
pub struct OneWay(());

impl OneWay {
    /// A reader and a writer, of the first kind that the system has: a pipe, a pair of local sockets, a loopback connection.
    ///
    /// # Errors
    /// The system's, of the last kind that was tried.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[allow(clippy::new_ret_no_self, reason = "POE's name; a pipe is its two ends")]
    pub fn new() -> io::Result<(PipeReader, PipeWriter)> {
        first_of([Kind::Pipe, Kind::SocketPair, Kind::Inet], OneWay::of)
    }

    /// A reader and a writer of that kind, and no other (POE's falls back to the others).
    ///
    /// # Errors
    /// The system's; [`Unsupported`](io::ErrorKind::Unsupported) if it has no such kind.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    ///
    /// ```
    /// use poe::pipe::{Kind, OneWay};
    /// # tokio_test::block_on(async {
    /// for kind in [Kind::Pipe, Kind::SocketPair, Kind::Inet] {
    ///     let (reader, writer) = OneWay::of(kind)?;
    ///     assert_eq!((reader.kind(), writer.kind()), (kind, kind));
    /// }
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn of(kind: Kind) -> io::Result<(PipeReader, PipeWriter)> {
        let (reader, writer) = match kind {
            #[cfg(unix)]
            Kind::Pipe => {
                let (writer, reader) = pipe::pipe()?;
                (End::Reader(reader), End::Writer(writer))
            }
            #[cfg(unix)]
            Kind::SocketPair => {
                let (reader, writer) = UnixStream::pair()?;
                socket2::SockRef::from(&reader).shutdown(Shutdown::Write)?;
                socket2::SockRef::from(&writer).shutdown(Shutdown::Read)?;
                (End::Unix(reader), End::Unix(writer))
            }
            Kind::Inet => {
                let (reader, writer) = loopback()?;
                socket2::SockRef::from(&reader).shutdown(Shutdown::Write)?;
                socket2::SockRef::from(&writer).shutdown(Shutdown::Read)?;
                (End::Tcp(reader), End::Tcp(writer))
            }
            #[cfg(not(unix))]
            Kind::Pipe | Kind::SocketPair => return Err(unsupported(kind)),
        };
        Ok((PipeReader(reader, kind), PipeWriter(writer, kind)))
    }
}

/// Makes pairs of ends that both read and write (`POE::Pipe::TwoWay`).
///
/// ```
/// use poe::pipe::TwoWay;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// # tokio_test::block_on(async {
/// let (mut ours, mut theirs) = TwoWay::new()?;
/// ours.write_all(b"ask").await?;
/// let mut octets = [0; 3];
/// theirs.read_exact(&mut octets).await?;
/// theirs.write_all(&octets).await?;
/// ours.read_exact(&mut octets).await?;
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
#[doc(alias = "POE::Pipe::TwoWay")]
pub struct TwoWay(());

impl TwoWay {
    /// Two ends, of the first kind that the system has: a pair of local sockets, a loopback connection, two pipes.
    ///
    /// # Errors
    /// The system's, of the last kind that was tried.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[allow(clippy::new_ret_no_self, reason = "POE's name; a pipe is its two ends")]
    pub fn new() -> io::Result<(PipeEnd, PipeEnd)> {
        first_of([Kind::SocketPair, Kind::Inet, Kind::Pipe], TwoWay::of)
    }

    /// Two ends of that kind, and no other.
    ///
    /// # Errors
    /// The system's; [`Unsupported`](io::ErrorKind::Unsupported) if it has no such kind.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    ///
    /// ```
    /// use poe::pipe::{Kind, TwoWay};
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// # tokio_test::block_on(async {
    /// let (mut ours, mut theirs) = TwoWay::of(Kind::Pipe)?; // two of the system's, one for each way
    /// ours.write_all(b"there").await?;
    /// theirs.write_all(b"back").await?;
    /// let (mut there, mut back) = ([0; 5], [0; 4]);
    /// theirs.read_exact(&mut there).await?;
    /// ours.read_exact(&mut back).await?;
    /// assert_eq!((&there, &back), (b"there", b"back"));
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn of(kind: Kind) -> io::Result<(PipeEnd, PipeEnd)> {
        let (one, other) = match kind {
            #[cfg(unix)]
            Kind::Pipe => {
                let ((there, from_other), (back, from_one)) = (pipe::pipe()?, pipe::pipe()?);
                let one = (End::Reader(from_other), End::Writer(back));
                let other = (End::Reader(from_one), End::Writer(there));
                (one, other)
            }
            #[cfg(unix)]
            Kind::SocketPair => {
                let (one, other) = UnixStream::pair()?;
                ((End::Unix(one), End::Same), (End::Unix(other), End::Same))
            }
            Kind::Inet => {
                let (one, other) = loopback()?;
                ((End::Tcp(one), End::Same), (End::Tcp(other), End::Same))
            }
            #[cfg(not(unix))]
            Kind::Pipe | Kind::SocketPair => return Err(unsupported(kind)),
        };
        Ok((PipeEnd(one.0, one.1, kind), PipeEnd(other.0, other.1, kind)))
    }
}

fn first_of<T>(kinds: [Kind; 3], of: impl Fn(Kind) -> io::Result<T>) -> io::Result<T> {
    let mut failed = None;
    for kind in kinds {
        match of(kind) {
            Ok(made) => return Ok(made),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| io::ErrorKind::Unsupported.into()))
}

#[cfg(not(unix))]
fn unsupported(kind: Kind) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("this system has no {kind}"))
}

/// Two ends of a TCP connection. Somebody else may connect to the port in the meantime, and is sent away.
fn loopback() -> io::Result<(TcpStream, TcpStream)> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let one = std::net::TcpStream::connect(listener.local_addr()?)?;
    let ours = one.local_addr()?;
    loop {
        let (other, peer) = listener.accept()?;
        if peer != ours {
            continue;
        }
        for stream in [&one, &other] {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
        }
        return Ok((TcpStream::from_std(one)?, TcpStream::from_std(other)?));
    }
}

/// A handle of whatever kind.
#[derive(Debug)]
enum End {
    #[cfg(unix)]
    Reader(pipe::Receiver),
    #[cfg(unix)]
    Writer(pipe::Sender),
    #[cfg(unix)]
    Unix(UnixStream),
    Tcp(TcpStream),
    /// The one that is read from.
    Same,
    /// Closed: the only way to end a pipe's output.
    Closed,
}

impl End {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            #[cfg(unix)]
            End::Reader(pipe) => Pin::new(pipe).poll_read(cx, buf),
            #[cfg(unix)]
            End::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            End::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            #[cfg(unix)]
            End::Writer(pipe) => Pin::new(pipe).poll_write(cx, buf),
            #[cfg(unix)]
            End::Unix(socket) => Pin::new(socket).poll_write(cx, buf),
            End::Tcp(socket) => Pin::new(socket).poll_write(cx, buf),
            _ => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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

    /// The descriptor, blocking: what a child process takes.
    #[cfg(unix)]
    fn into_fd(self) -> io::Result<std::os::fd::OwnedFd> {
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

/// The end of a [`OneWay`] that octets come out of. Dropping it makes the writer fail.
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
pub struct PipeReader(End, Kind);

/// The end of a [`OneWay`] that octets go into. Dropping or shutting it down is the end of the reader's input.
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
pub struct PipeWriter(End, Kind);

/// One end of a [`TwoWay`]. Shutting it down ends the other's input, and leaves its own open.
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
pub struct PipeEnd(End, End, Kind);

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

impl AsyncRead for PipeReader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buf)
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
