//! POE::Pipe: two connected ends, within a process or between it and a child process.
//!
//! [`OneWay`] makes a reader and a writer, [`TwoWay`] two ends that both read and write. All are Tokio handles, which
//! can be given to a [`ReadWrite`](crate::wheel::ReadWrite). They must be made within a Tokio runtime.

mod end;
mod ends;
mod kind;

pub use ends::{PipeEnd, PipeReader, PipeWriter};
pub use kind::Kind;

use end::End;
use std::io;
use std::net::{Ipv4Addr, Shutdown};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::{UnixStream, unix::pipe};

/// Makes pipes that carry bytes one way (`POE::Pipe::OneWay`).
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
    /// Makes a pipe of the first kind that works: a pipe, a pair of local sockets, a loopback connection.
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

    /// Makes a pipe of this kind only. (POE falls back to the other kinds.)
    ///
    /// # Errors
    /// The system's; [`Unsupported`](io::ErrorKind::Unsupported) if it does not have this kind.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
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
#[derive(Debug)]
#[doc(alias = "POE::Pipe::TwoWay")]
pub struct TwoWay(());

impl TwoWay {
    /// Makes a pair of the first kind that works: a pair of local sockets, a loopback connection, two pipes.
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

    /// Makes a pair of this kind only.
    ///
    /// # Errors
    /// The system's; [`Unsupported`](io::ErrorKind::Unsupported) if it does not have this kind.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
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

/// Makes two ends of a TCP connection. Another process that connects to the port meanwhile is rejected.
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
