//! Where connections come from: TCP and UNIX sockets, listening and connecting.

#[cfg(feature = "tls")]
pub(crate) mod tls;

use crate::error::{IkcError, IkcErrorKind};
use crate::wire::Protocol;
use poe::component::Backoff;
use poe::wheel::{ListenSocket, SocketName, SocketStream};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// Perl's IKC over TCP.
///
/// The protocol has neither encryption nor authentication, so only addresses of this machine are accepted, unless you set up TLS
/// (`Bind::tls` and `Dial::tls`, with the feature `tls`) or say [`insecure`](Bind::insecure).
#[doc(alias = "POE::Component::IKC::Server")]
#[doc(alias = "POE::Component::IKC::Client")]
#[derive(Debug)]
pub struct IkcTcp(());

impl IkcTcp {
    /// Listens on an address such as `127.0.0.1:603`; port 0 is any free one.
    pub fn bind(address: impl Into<String>) -> Bind {
        Bind::new(Place::Tcp(address.into()))
    }

    /// Connects to an address such as `127.0.0.1:603`.
    pub fn connect(address: impl Into<String>) -> Dial {
        Dial::new(Place::Tcp(address.into()))
    }
}

/// Perl's IKC over UNIX sockets.
#[cfg(unix)]
#[derive(Debug)]
pub struct IkcUnix(());

#[cfg(unix)]
impl IkcUnix {
    /// Listens on a path, which only this user may connect to. A socket that nobody listens on any more is replaced.
    pub fn bind(path: impl Into<PathBuf>) -> Bind {
        Bind::new(Place::Unix(path.into()))
    }

    /// Connects to a path.
    pub fn connect(path: impl Into<PathBuf>) -> Dial {
        Dial::new(Place::Unix(path.into()))
    }
}

#[derive(Clone, Debug)]
enum Place {
    Tcp(String),
    #[cfg_attr(not(unix), allow(dead_code))]
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => f.write_str(address),
            Place::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How to listen: see [`Ikc::listen`](crate::Ikc::listen).
///
/// | setting | default |
/// |---|---|
/// | [`concurrency`](Self::concurrency) | as many connections as the [`Ikc`](crate::Ikc) allows |
/// | [`protocol`](Self::protocol) | `IKC0`, and the old one for clients that begin with it |
/// | [`insecure`](Self::insecure) | only addresses of this machine |
#[derive(Clone, Debug)]
#[must_use = "give it to `Ikc::listen`"]
pub struct Bind {
    place: Place,
    insecure: bool,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<tls::Server>,
    pub(crate) concurrency: usize,
    pub(crate) speech: Speech,
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Speech {
    Ikc(Protocol),
    Tikc,
}

impl Bind {
    fn new(place: Place) -> Self {
        Bind {
            place,
            insecure: false,
            #[cfg(feature = "tls")]
            tls: None,
            concurrency: usize::MAX,
            speech: Speech::Ikc(Protocol::Ikc0),
        }
    }

    /// Sets how many connections there may be at a time. Further peers wait in the system's backlog until one ends.
    pub fn concurrency(mut self, connections: usize) -> Self {
        self.concurrency = connections.max(1);
        self
    }

    /// Sets the handshake. Perl's versions up to 0.2200 have the old one alone.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.speech = Speech::Ikc(protocol);
        self
    }

    /// Speaks POE::TIKC in place of IKC, for programs that have it.
    ///
    /// The published sessions appear in the clients under their aliases, and the clients' sessions here; each is posted to like a local
    /// session. The clients see one another's sessions, too. Calls have no reply, and nobody learns of a refusal.
    #[doc(alias = "POE::TIKC")]
    #[doc(alias = "create_server")]
    pub fn tikc(mut self) -> Self {
        self.speech = Speech::Tikc;
        self
    }

    /// Accepts peers with TLS alone, on any address. Configure the acceptor to demand certificates of its clients.
    ///
    /// The closure gets the certificates that a client has presented, its own first, and returns the names that it may have, or `None` to refuse
    /// it. Other names that it claims mean nothing here, so that [`publish_to`](crate::IkcBuilder::publish_to) can be relied upon.
    #[cfg(feature = "tls")]
    pub fn tls(
        mut self,
        acceptor: poe::tls::Acceptor,
        names: impl Fn(&[poe::tls::rustls::pki_types::CertificateDer<'_>]) -> Option<Vec<String>> + 'static,
    ) -> Self {
        self.tls = Some(tls::Server::new(acceptor, names));
        self
    }

    fn is_open_to_all(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return true;
        }
        self.insecure
    }

    /// Allows an address that other machines can reach. Anybody who connects can send to everything that is published, and read it.
    pub fn insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    pub(crate) async fn open(self) -> Result<(ListenSocket, SocketName, Option<PathBuf>), IkcError> {
        let what = format!("listen on {}", self.place);
        match &self.place {
            Place::Tcp(address) => {
                let addresses = resolve(address, &what, self.is_open_to_all()).await?;
                let socket = TcpListener::bind(&*addresses).await.map_err(IkcError::io(what))?;
                let local = socket
                    .local_addr()
                    .map_err(IkcError::io("look up the listening address"))?;
                Ok((socket.into(), local.into(), None))
            }
            #[cfg(unix)]
            Place::Unix(path) => {
                let socket = bind_unix(path).map_err(IkcError::io(what))?;
                let socket = ListenSocket::from(socket);
                let local = socket
                    .local_name()
                    .map_err(IkcError::io("look up the listening path"))?;
                Ok((socket, local, Some(path.clone())))
            }
            #[cfg(not(unix))]
            Place::Unix(_) => unreachable!("only made on Unix"),
        }
    }
}

#[cfg(unix)]
fn bind_unix(path: &Path) -> std::io::Result<UnixListener> {
    use std::io::ErrorKind;
    use std::os::unix::fs::FileTypeExt;
    let socket = match bind_private(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let is_socket = std::fs::symlink_metadata(path)?.file_type().is_socket();
            let left = std::os::unix::net::UnixStream::connect(path);
            match left {
                Err(refused) if is_socket && refused.kind() == ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path)?;
                    bind_private(path)?
                }
                _ => return Err(error),
            }
        }
        bound => bound?,
    };
    Ok(socket)
}

/// Nobody can connect before the socket listens, and then it is this user's alone.
#[cfg(unix)]
fn bind_private(path: &Path) -> std::io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)
}

/// How many connections wait in the system until they are accepted.
#[cfg(unix)]
const BACKLOG: u32 = 1024;

async fn resolve(address: &str, what: &str, insecure: bool) -> Result<Vec<SocketAddr>, IkcError> {
    let addresses: Vec<_> = tokio::net::lookup_host(address)
        .await
        .map_err(IkcError::io(what))?
        .collect();
    if !insecure
        && !addresses
            .iter()
            .all(|address| address.ip().to_canonical().is_loopback())
    {
        return Err(IkcError::new(what, IkcErrorKind::Insecure));
    }
    Ok(addresses)
}

/// How to connect: see [`Ikc::connect`](crate::Ikc::connect).
///
/// | setting | default |
/// |---|---|
/// | [`protocol`](Self::protocol) | `IKC0`, and the old one if the server refuses it |
/// | [`reconnect`](Self::reconnect) | the connection is made once |
/// | [`insecure`](Self::insecure) | only addresses of this machine |
#[derive(Clone, Debug)]
#[must_use = "give it to `Ikc::connect`"]
pub struct Dial {
    place: Place,
    insecure: bool,
    #[cfg(feature = "tls")]
    tls: Option<tls::Client>,
    pub(crate) speech: Speech,
    pub(crate) backoff: Option<Backoff>,
}

impl Dial {
    fn new(place: Place) -> Self {
        Dial {
            place,
            insecure: false,
            #[cfg(feature = "tls")]
            tls: None,
            speech: Speech::Ikc(Protocol::Ikc0),
            backoff: None,
        }
    }

    /// Sets the handshake.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.speech = Speech::Ikc(protocol);
        self
    }

    /// Speaks POE::TIKC in place of IKC: see [`Bind::tikc`]. Perl's clients connect again after 2 s.
    #[doc(alias = "create_client")]
    pub fn tikc(mut self) -> Self {
        self.speech = Speech::Tikc;
        self
    }

    /// Connects again when the connection has ended, with waits between attempts that fail. Subscriptions and pending calls end
    /// with the connection.
    pub fn reconnect(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Connects with TLS. The server's certificate must be valid for `host`, and the server may have these names alone.
    #[cfg(feature = "tls")]
    pub fn tls(
        mut self,
        connector: poe::tls::Connector,
        host: impl Into<String>,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        self.tls = Some(tls::Client::new(connector, host.into(), names));
        self
    }

    fn is_open_to_all(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return true;
        }
        self.insecure
    }

    /// Allows an address of another machine. Every machine on the way can read and change everything.
    pub fn insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    pub(crate) async fn open(&self) -> Result<Transport, IkcError> {
        let what = format!("connect to {}", self.place);
        match &self.place {
            Place::Tcp(address) => {
                let addresses = resolve(address, &what, self.is_open_to_all()).await?;
                let stream = TcpStream::connect(&*addresses).await.map_err(IkcError::io(&*what))?;
                let _ = stream.set_nodelay(true);
                #[cfg(feature = "tls")]
                if let Some(tls) = &self.tls {
                    return tls.connect(stream.into()).await.map_err(IkcError::io(what));
                }
                Ok(Transport::Socket(stream.into()))
            }
            #[cfg(unix)]
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(IkcError::io(what))?;
                Ok(Transport::Socket(stream.into()))
            }
            #[cfg(not(unix))]
            Place::Unix(_) => unreachable!("only made on Unix"),
        }
    }
}

impl fmt::Display for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

/// A connection that is made again when it has ended.
pub(crate) struct Redial {
    pub(crate) dial: Dial,
    /// Attempts that have failed since the last connection.
    pub(crate) failures: u32,
}

/// A stream of any type.
pub(crate) trait Duplex: AsyncRead + AsyncWrite {}
impl<T: AsyncRead + AsyncWrite> Duplex for T {}

pub(crate) enum Transport {
    Socket(SocketStream),
    Other(std::pin::Pin<Box<dyn Duplex>>),
    /// An encrypted stream, both ends' names, and the names that the peer may have.
    #[cfg(feature = "tls")]
    Tls {
        stream: std::pin::Pin<Box<dyn Duplex>>,
        ends: (Option<String>, Option<String>),
        allowed: Vec<String>,
    },
}

impl Transport {
    /// The names that IKC has for both ends: ours, which we tell, and the peer's, which it is addressed with.
    pub(crate) fn names(&self, is_client: bool) -> (Option<String>, Option<String>) {
        let stream = match self {
            Transport::Socket(stream) => stream,
            Transport::Other(_) => return (None, None),
            #[cfg(feature = "tls")]
            Transport::Tls { ends, .. } => return ends.clone(),
        };
        let (local, peer) = (stream.local_name().ok(), stream.peer_name().ok());
        match (&local, &peer) {
            (Some(local), Some(peer)) if local.is_unix() || peer.is_unix() => {
                // The path belongs to the server.
                let path = if is_client { peer } else { local };
                let server = path.as_path().map(unix_name);
                let own = match is_client {
                    false => server.clone(),
                    true => server
                        .as_ref()
                        .map(|name| format!("{name}:{}-{}", std::process::id(), descriptor(stream))),
                };
                (own, server.filter(|_| is_client))
            }
            _ => {
                let text = |name: &Option<SocketName>| name.as_ref().and_then(SocketName::as_socket_addr).map(tcp_name);
                (text(&local), text(&peer))
            }
        }
    }
}

/// IPv6 addresses have brackets in text, which no name has.
fn tcp_name(address: SocketAddr) -> String {
    format!("{}:{}", address.ip().to_canonical(), address.port())
}

/// As Perl writes it: each other character becomes `_`.
fn unix_name(path: &Path) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':' | '.');
    let path = path.to_string_lossy();
    let plain: String = path.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("unix:{plain}")
}

fn descriptor(stream: &SocketStream) -> i32 {
    #[cfg(unix)]
    if let Some(stream) = stream.as_unix() {
        use std::os::fd::AsRawFd;
        return stream.as_raw_fd();
    }
    let _ = stream;
    0
}

/// What the responder's session is to start.
pub(crate) enum Incoming {
    Listener {
        socket: ListenSocket,
        path: Option<PathBuf>,
        concurrency: usize,
        speech: Speech,
        #[cfg(feature = "tls")]
        tls: Option<tls::Server>,
    },
    Connection {
        transport: Transport,
        is_client: bool,
        speech: Speech,
        redial: Option<Box<Redial>>,
    },
}
