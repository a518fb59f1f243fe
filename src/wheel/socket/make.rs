//! How sockets are made: looked up, bound, listened on, connected; with the name of the operation that failed.

use super::super::address::{Address, Spot};
use super::accept::ListenSocket;
use super::datagram::DatagramSocket;
use super::{Domain, Failed, SocketStream};
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use tokio::net::UnixSocket;
use tokio::net::{TcpSocket, UdpSocket};

/// What sockets are made by, of every kind.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Where a connecting socket is bound.
    pub(crate) bind: Option<Address>,
    pub(crate) domain: Option<Domain>,
    pub(crate) reuse: bool,
    pub(crate) backlog: u32,
    pub(crate) nodelay: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            bind: None,
            domain: None,
            reuse: true,
            backlog: 4096,
            nodelay: true,
        }
    }
}

impl Options {
    /// All that an address may mean, in the resolver's order; at least one.
    pub(crate) async fn resolve(&self, addr: &Address) -> Result<Vec<Spot>, Failed> {
        let mut found = addr.resolve().await.map_err(|e| ("getaddrinfo", e))?;
        if let Some(domain) = self.domain {
            found.retain(|spot| matches!(spot, Spot::Ip(addr) if domain.has(addr)));
        }
        if found.is_empty() {
            let what = format!("`{addr}` has no address of that domain");
            return Err(("getaddrinfo", io::Error::new(io::ErrorKind::AddrNotAvailable, what)));
        }
        Ok(found)
    }
}

/// Uses the first that will do; the error is the last one's.
async fn first<T, F: Future<Output = Result<T, Failed>>>(
    spots: Vec<Spot>,
    mut attempt: impl FnMut(Spot) -> F,
) -> Result<T, Failed> {
    let mut failed = ("getaddrinfo", io::ErrorKind::AddrNotAvailable.into());
    for spot in spots {
        match attempt(spot).await {
            Ok(made) => return Ok(made),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

#[cfg(not(unix))]
fn no_unix<T>() -> Result<T, Failed> {
    let what = "this system has no UNIX sockets";
    Err(("domain", io::Error::new(io::ErrorKind::Unsupported, what)))
}

/// Binds and listens.
pub(crate) fn listen_at(spot: &Spot, options: &Options) -> Result<ListenSocket, Failed> {
    match spot {
        Spot::Ip(addr) => {
            let socket = tcp_socket(*addr, options)?;
            socket.bind(*addr).map_err(|e| ("bind", e))?;
            let listener = socket.listen(options.backlog).map_err(|e| ("listen", e))?;
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

pub(crate) async fn listen(addr: Address, options: Options) -> Result<ListenSocket, Failed> {
    let spots = options.resolve(&addr).await?;
    first(spots, async |spot| listen_at(&spot, &options)).await
}

fn tcp_socket(addr: SocketAddr, options: &Options) -> Result<TcpSocket, Failed> {
    let socket = if addr.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    let socket = socket.map_err(|e| ("socket", e))?;
    // On Windows the option means something else: that another's address may be taken from it.
    socket
        .set_reuseaddr(options.reuse && cfg!(unix))
        .map_err(|e| ("setsockopt", e))?;
    Ok(socket)
}

/// Of all that an address to be bound means, one of the right family; else let the system say what is wrong.
fn source(sources: &[Spot], like: SocketAddr) -> Option<SocketAddr> {
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
fn source_path(sources: &[Spot]) -> Option<&std::path::Path> {
    sources.iter().find_map(|spot| match spot {
        Spot::Unix(path) => Some(&**path),
        Spot::Ip(_) => None,
    })
}

pub(crate) async fn connect(addr: Address, options: Options) -> Result<SocketStream, Failed> {
    let sources = sources(&options).await?;
    let spots = options.resolve(&addr).await?;
    first(spots, async |spot| connect_to(spot, &sources, &options).await).await
}

async fn sources(options: &Options) -> Result<Vec<Spot>, Failed> {
    match &options.bind {
        Some(bind) => bind.resolve().await.map_err(|e| ("getaddrinfo", e)),
        None => Ok(Vec::new()),
    }
}

async fn connect_to(spot: Spot, sources: &[Spot], options: &Options) -> Result<SocketStream, Failed> {
    match spot {
        Spot::Ip(addr) => {
            let socket = tcp_socket(addr, options)?;
            if let Some(source) = source(sources, addr) {
                socket.bind(source).map_err(|e| ("bind", e))?;
            }
            let stream = socket.connect(addr).await.map_err(|e| ("connect", e))?;
            stream.set_nodelay(options.nodelay).map_err(|e| ("setsockopt", e))?;
            Ok(stream.into())
        }
        #[cfg(unix)]
        Spot::Unix(path) => {
            let socket = UnixSocket::new_stream().map_err(|e| ("socket", e))?;
            if let Some(source) = source_path(sources) {
                socket.bind(source).map_err(|e| ("bind", e))?;
            }
            Ok(socket.connect(path).await.map_err(|e| ("connect", e))?.into())
        }
        #[cfg(not(unix))]
        Spot::Unix(_) => no_unix(),
    }
}

/// A datagram socket, bound, connected, both or neither.
pub(crate) async fn datagram(remote: Option<Address>, options: Options) -> Result<DatagramSocket, Failed> {
    let sources = sources(&options).await?;
    let Some(remote) = remote else {
        return datagram_at(&sources, None, &options);
    };
    let spots = options.resolve(&remote).await?;
    first(spots, async |spot| datagram_at(&sources, Some(&spot), &options)).await
}

/// The same without waiting. Connecting a datagram socket only notes the address.
pub(crate) fn datagram_at(
    sources: &[Spot],
    remote: Option<&Spot>,
    options: &Options,
) -> Result<DatagramSocket, Failed> {
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
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP));
    let socket = socket.map_err(|e| ("socket", e))?;
    socket.set_nonblocking(true).map_err(|e| ("socket", e))?;
    socket.set_reuse_address(options.reuse).map_err(|e| ("setsockopt", e))?;
    if let Some(source) = source {
        socket.bind(&source.into()).map_err(|e| ("bind", e))?;
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
        socket.bind(source).map_err(|e| ("bind", e))?;
    }
    let socket = socket.datagram().map_err(|e| ("socket", e))?;
    if let Some(Spot::Unix(path)) = remote {
        socket.connect(path).map_err(|e| ("connect", e))?;
    }
    Ok(DatagramSocket::unix(socket))
}
