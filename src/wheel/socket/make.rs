//! Making sockets: lookup, bind, listen, connect; errors have the name of the operation that failed.

use super::super::address::{Address, Spot};
use super::accept::ListenSocket;
use super::datagram::DatagramSocket;
use super::{Failed, SocketStream};
use crate::bridge::memory::Network;
use crate::bridge::threads::Threads;
use socket2::{Protocol, Socket, Type};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};
#[cfg(unix)]
use tokio::net::UnixSocket;
use tokio::net::{TcpListener, UdpSocket};

pub(crate) use super::connect::connect;

/// The options of all kinds of sockets.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Where a connecting socket is bound.
    pub(crate) bind: Option<Address>,
    pub(crate) domain: Option<Domain>,
    pub(crate) reuse: bool,
    pub(crate) backlog: u32,
    pub(crate) nodelay: bool,
    /// The connect timeout, which the connecting code enforces.
    pub(crate) connect_timeout: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            bind: None,
            domain: None,
            reuse: true,
            backlog: 4096,
            nodelay: true,
            connect_timeout: None,
        }
    }
}

impl Options {
    /// Looks up all addresses of a name, in the resolver's order; at least one.
    pub(crate) async fn resolve(&self, addr: &Address, threads: &Threads) -> Result<Vec<Spot>, Failed> {
        let failed = |error| Failed::from(("getaddrinfo", error)).at(addr);
        let mut found = addr.resolve(threads).await.map_err(failed)?;
        if let Some(domain) = self.domain {
            found.retain(|spot| matches!(spot, Spot::Ip(addr) if domain.has(addr)));
        }
        if found.is_empty() {
            let what = "it has no address of the requested domain";
            return Err(failed(io::Error::new(io::ErrorKind::AddrNotAvailable, what)));
        }
        Ok(found)
    }
}

/// Returns the address, if no name has to be looked up.
pub(crate) fn spot(addr: &Address) -> Result<Option<Spot>, Failed> {
    let spot = addr.spot().transpose();
    spot.map_err(|error| Failed::from(("getaddrinfo", error)).at(addr))
}

/// Listens in memory.
pub(crate) fn listen_in_memory(
    network: &Network,
    addr: &Address,
    name: &str,
    options: &Options,
) -> Result<ListenSocket, Failed> {
    let listener = network.listen(name, options.backlog);
    let listener = listener.map_err(|error| Failed::from(("listen", error)).at(addr))?;
    Ok(listener.into())
}

/// Connects to a server in memory.
pub(crate) fn connect_in_memory(network: &Network, addr: &Address, name: &str) -> Result<SocketStream, Failed> {
    let stream = network.connect(name, None);
    let stream = stream.map_err(|error| Failed::from(("connect", error)).at(addr))?;
    let (local, peer) = (SocketName::Memory(String::new()), SocketName::Memory(name.to_owned()));
    Ok(SocketStream::memory(stream, local, peer))
}

/// Returns the first success; the error is that of the last attempt, and names its address.
fn first<T>(spots: Vec<Spot>, mut attempt: impl FnMut(&Spot) -> Result<T, Failed>) -> Result<T, Failed> {
    let mut failed = Failed::from(("getaddrinfo", io::ErrorKind::AddrNotAvailable.into()));
    for spot in spots {
        match attempt(&spot) {
            Ok(made) => return Ok(made),
            Err(error) => failed = error.at(&spot.into()),
        }
    }
    Err(failed)
}

#[cfg(not(unix))]
pub(super) fn no_unix<T>() -> Result<T, Failed> {
    let what = "this system has no UNIX sockets";
    Err(("domain", io::Error::new(io::ErrorKind::Unsupported, what)).into())
}

/// Binds and listens.
pub(crate) fn listen_at(spot: &Spot, options: &Options) -> Result<ListenSocket, Failed> {
    let listener = bind_and_listen(spot, options).map_err(|failed| failed.at(&spot.clone().into()))?;
    Ok(listener.private(true))
}

fn bind_and_listen(spot: &Spot, options: &Options) -> Result<ListenSocket, Failed> {
    match spot {
        Spot::Ip(addr) => {
            let socket = tcp_socket(*addr, options)?;
            socket.bind(&(*addr).into()).map_err(|e| ("bind", e))?;
            let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
            socket.listen(backlog).map_err(|e| ("listen", e))?;
            let listener = TcpListener::from_std(socket.into()).map_err(|e| ("listen", e))?;
            Ok(listener.into())
        }
        #[cfg(unix)]
        Spot::Unix(path) => {
            let socket = UnixSocket::new_stream().map_err(|e| ("socket", e))?;
            socket.bind(path).map_err(|e| ("bind", e))?;
            let listener = socket.listen(options.backlog).map_err(|e| ("listen", e))?;
            Ok(listener.into())
        }
        #[cfg(not(unix))]
        Spot::Unix(_) => no_unix(),
    }
}

pub(crate) async fn listen(addr: Address, options: Options, threads: Threads) -> Result<ListenSocket, Failed> {
    let spots = options.resolve(&addr, &threads).await?;
    first(spots, |spot| listen_at(spot, &options))
}

pub(super) fn tcp_socket(addr: SocketAddr, options: &Options) -> Result<Socket, Failed> {
    let socket = Socket::new(socket2::Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP));
    let socket = socket.map_err(|e| ("socket", e))?;
    socket.set_nonblocking(true).map_err(|e| ("socket", e))?;
    // On Windows the option means something else: that the address may be taken from another socket.
    socket
        .set_reuse_address(options.reuse && cfg!(unix))
        .map_err(|e| ("setsockopt", e))?;
    Ok(socket)
}

/// Returns a bind address of the right family; otherwise the system reports the error.
pub(super) fn source(sources: &[Spot], like: SocketAddr) -> Option<SocketAddr> {
    let addrs = || {
        sources.iter().filter_map(|spot| match spot {
            Spot::Ip(addr) => Some(*addr),
            Spot::Unix(_) => None,
        })
    };
    addrs()
        .find(|s| s.is_ipv4() == like.is_ipv4())
        .or_else(|| addrs().next())
}

#[cfg(unix)]
pub(super) fn source_path(sources: &[Spot]) -> Option<&std::path::Path> {
    sources.iter().find_map(|spot| match spot {
        Spot::Unix(path) => Some(&**path),
        Spot::Ip(_) => None,
    })
}

/// Returns the possible bind addresses of a connecting socket.
pub(super) async fn sources(options: &Options, threads: &Threads) -> Result<Vec<Spot>, Failed> {
    match &options.bind {
        Some(bind) => {
            let found = bind.resolve(threads).await;
            found.map_err(|error| Failed::from(("getaddrinfo", error)).at(bind))
        }
        None => Ok(Vec::new()),
    }
}

/// Makes a datagram socket: bound, connected, both or neither.
pub(crate) async fn datagram(
    remote: Option<Address>,
    options: Options,
    threads: Threads,
) -> Result<DatagramSocket, Failed> {
    let sources = sources(&options, &threads).await?;
    let Some(remote) = remote else {
        return datagram_at(&sources, None, &options);
    };
    let spots = options.resolve(&remote, &threads).await?;
    first(spots, |spot| datagram_at(&sources, Some(spot), &options))
}

/// Makes the same without waiting. Connecting a datagram socket only stores the address.
pub(crate) fn datagram_at(
    sources: &[Spot],
    remote: Option<&Spot>,
    options: &Options,
) -> Result<DatagramSocket, Failed> {
    make_datagram(sources, remote, options).map_err(|failed| match remote.or(sources.first()) {
        Some(spot) => failed.at(&spot.clone().into()),
        None => failed,
    })
}

fn make_datagram(sources: &[Spot], remote: Option<&Spot>, options: &Options) -> Result<DatagramSocket, Failed> {
    let unix = matches!(remote.or(sources.first()), Some(Spot::Unix(_)));
    if unix {
        #[cfg(unix)]
        return unix_datagram(sources, remote);
        #[cfg(not(unix))]
        return no_unix();
    }
    let remote = remote.and_then(|spot| match spot {
        Spot::Ip(addr) => Some(*addr),
        Spot::Unix(_) => None,
    });
    let any_of = |like: SocketAddr| source(sources, like);
    let source = match remote {
        Some(remote) => any_of(remote),
        None => sources.iter().find_map(|spot| match spot {
            Spot::Ip(addr) => Some(*addr),
            Spot::Unix(_) => None,
        }),
    };
    let inet6 = match remote.or(source) {
        Some(addr) => addr.is_ipv6(),
        None => options.domain == Some(Domain::Inet6),
    };
    let domain = if inet6 {
        socket2::Domain::IPV6
    } else {
        socket2::Domain::IPV4
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP));
    let socket = socket.map_err(|e| ("socket", e))?;
    socket.set_nonblocking(true).map_err(|e| ("socket", e))?;
    socket.set_reuse_address(options.reuse).map_err(|e| ("setsockopt", e))?;
    if let Some(source) = source {
        let bound = socket.bind(&source.into());
        bound.map_err(|e| Failed::from(("bind", e)).at(&source.into()))?;
    }
    if let Some(remote) = remote {
        socket.connect(&remote.into()).map_err(|e| ("connect", e))?;
    }
    let socket = UdpSocket::from_std(socket.into()).map_err(|e| ("socket", e))?;
    Ok(DatagramSocket::udp(socket))
}

#[cfg(unix)]
fn unix_datagram(sources: &[Spot], remote: Option<&Spot>) -> Result<DatagramSocket, Failed> {
    let socket = UnixSocket::new_datagram().map_err(|e| ("socket", e))?;
    if let Some(source) = source_path(sources) {
        let bound = socket.bind(source);
        bound.map_err(|e| Failed::from(("bind", e)).at(&source.into()))?;
    }
    let socket = socket.datagram().map_err(|e| ("socket", e))?;
    if let Some(Spot::Unix(path)) = remote {
        socket.connect(path).map_err(|e| ("connect", e))?;
    }
    Ok(DatagramSocket::unix(socket))
}

// The name of a socket or its peer, in any family.
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

/// Listening sockets for one address, one for each of several threads.
///
/// On Linux each is a separate socket (`SO_REUSEPORT`), among which the system distributes the clients by their address.
/// Elsewhere that option means something else; there all are the same socket, and the first to accept takes the client.
pub(crate) struct Spread {
    local: SocketAddr,
    listeners: Vec<StdListener>,
}

/// Whether the system distributes clients among the sockets of one address.
const DEALS: bool = cfg!(any(target_os = "linux", target_os = "android"));

impl Spread {
    pub(crate) async fn bind(addr: &Address, options: &Options, count: usize) -> Result<Spread, Failed> {
        let mut failed = Failed::from(("getaddrinfo", io::ErrorKind::AddrNotAvailable.into()));
        // It belongs to no kernel.
        let threads = Threads::new(1, false);
        for spot in options.resolve(addr, &threads).await? {
            let Spot::Ip(addr) = spot else {
                let what = "one UNIX socket cannot be spread over several kernels";
                return Err(Failed::from((
                    "domain",
                    io::Error::new(io::ErrorKind::Unsupported, what),
                )));
            };
            match Self::bind_at(addr, options, count) {
                Ok(spread) => return Ok(spread),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn bind_at(addr: SocketAddr, options: &Options, count: usize) -> Result<Spread, Failed> {
        let first = listen_here(addr, options)?;
        let local = first.local_addr().map_err(|e| ("getsockname", e))?;
        let mut listeners = vec![first];
        while listeners.len() < count {
            let next = match DEALS {
                true => listen_here(local, options)?,
                false => listeners[0].try_clone().map_err(|e| ("socket", e))?,
            };
            listeners.push(next);
        }
        Ok(Spread { local, listeners })
    }

    pub(crate) fn into_parts(self) -> (SocketAddr, Vec<StdListener>) {
        (self.local, self.listeners)
    }
}

fn listen_here(addr: SocketAddr, options: &Options) -> Result<StdListener, Failed> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP));
    let socket = socket.map_err(|e| ("socket", e))?;
    socket.set_nonblocking(true).map_err(|e| ("socket", e))?;
    socket
        .set_reuse_address(options.reuse && cfg!(unix))
        .map_err(|e| ("setsockopt", e))?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_reuse_port(true).map_err(|e| ("setsockopt", e))?;
    socket.bind(&addr.into()).map_err(|e| ("bind", e))?;
    let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
    socket.listen(backlog).map_err(|e| ("listen", e))?;
    Ok(socket.into())
}
