//! The name of a socket or its peer, in any family.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The name of a socket (`getsockname`) or of its peer (`getpeername`).
///
/// It is an IP address with its port, or the path of a
/// UNIX socket. A UNIX client has no path, unless it was bound to one. [`Address`](super::super::Address) reads its text:
/// `127.0.0.1:80`, `[::1]:80`, `unix:/run/service`; a UNIX
/// socket without a path is `unix:`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[doc(alias = "getsockname")]
#[doc(alias = "getpeername")]
#[doc(alias = "remote_ip")]
#[doc(alias = "remote_port")]
#[non_exhaustive]
pub enum SocketName {
    /// An IPv4 or IPv6 address, with the port.
    Ip(SocketAddr),
    /// A UNIX socket, with its path if it has one.
    Unix(Option<PathBuf>),
    /// A server in memory, with its name; a client of it has an empty one.
    Memory(String),
}

impl SocketName {
    /// Returns the address and port, unless it is a UNIX socket.
    #[must_use]
    pub fn as_socket_addr(&self) -> Option<SocketAddr> {
        match self {
            SocketName::Ip(addr) => Some(*addr),
            SocketName::Unix(_) | SocketName::Memory(_) => None,
        }
    }

    /// Returns the path, if it is a UNIX socket that has one.
    #[must_use]
    pub fn as_path(&self) -> Option<&Path> {
        match self {
            SocketName::Ip(_) | SocketName::Memory(_) => None,
            SocketName::Unix(path) => path.as_deref(),
        }
    }

    /// Whether it is a UNIX socket.
    #[must_use]
    pub fn is_unix(&self) -> bool {
        matches!(self, SocketName::Unix(_))
    }

    #[cfg(unix)]
    pub(crate) fn of_unix(name: &tokio::net::unix::SocketAddr) -> Self {
        SocketName::Unix(name.as_pathname().map(Path::to_owned))
    }

    /// Converts the name for a system call.
    pub(super) fn to_raw(&self) -> io::Result<socket2::SockAddr> {
        match self {
            SocketName::Ip(addr) => Ok((*addr).into()),
            SocketName::Unix(Some(path)) => socket2::SockAddr::unix(path),
            SocketName::Memory(_) => Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                "a server in memory takes no datagrams",
            )),
            SocketName::Unix(None) => Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                "a UNIX socket without a path cannot be sent to",
            )),
        }
    }
}

impl From<SocketAddr> for SocketName {
    fn from(addr: SocketAddr) -> Self {
        SocketName::Ip(addr)
    }
}

impl PartialEq<SocketAddr> for SocketName {
    fn eq(&self, other: &SocketAddr) -> bool {
        self.as_socket_addr() == Some(*other)
    }
}

impl fmt::Display for SocketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketName::Ip(addr) => addr.fmt(f),
            SocketName::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            SocketName::Unix(None) => f.write_str("unix:"),
            SocketName::Memory(name) => write!(f, "memory:{name}"),
        }
    }
}

/// The address family that a name is looked up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "SocketDomain")]
#[doc(alias = "AF_INET6")]
pub enum Domain {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

impl Domain {
    pub(super) fn has(self, addr: &SocketAddr) -> bool {
        match self {
            Domain::Inet => addr.is_ipv4(),
            Domain::Inet6 => addr.is_ipv6(),
        }
    }
}
