//! The address to listen on or to connect to: a number, or a name that is looked up when it is needed.

use super::socket::SocketName;
use crate::bridge::threads::{Lost, Threads};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::path::{Path, PathBuf};

/// A host and a port, or the path of a UNIX socket.
///
/// It is made from a [`SocketAddr`], from text, from a pair of host and port, and from a `Path`. The forms of text are in the
/// table; any other text is an error when the address is used:
///
/// | text | meaning |
/// |---|---|
/// | `127.0.0.1:7`, `[::1]:7` | a number |
/// | `[fe80::1%2]:7`, `[fe80::1%eth0]:7` | an IPv6 address on one interface, by its index or its name |
/// | `localhost:7` | a name, looked up when it is used, without blocking the kernel |
/// | `unix:/run/service` | a UNIX socket |
/// | `memory:echo` | a server in this process and kernel, without the system: for tests under virtual time |
///
/// An address prints as the text that it can be made from. Two things have no text: the flow
/// label of an IPv6 address, and a path that is not UTF-8.
///
/// ```
/// use poe::wheel::Address;
/// use std::path::Path;
/// assert_eq!(Address::from(("localhost", 80)).to_string(), "localhost:80");
/// assert_eq!(Address::from(("fe80::1%eth0", 80)), Address::from("[fe80::1%eth0]:80"));
/// assert!(Address::from("127.0.0.1:80").as_socket_addr().is_some());
/// let service = Path::new("/run/service");
/// assert_eq!(Address::from(service), Address::from("unix:/run/service"));
/// assert_eq!(Address::from("unix:/run/service").as_path(), Some(service));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "BindAddress")]
#[doc(alias = "RemoteAddress")]
#[doc(alias = "RemotePort")]
pub struct Address(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Number(SocketAddr),
    /// An IPv6 address on the interface with this name.
    Zone {
        ip: Ipv6Addr,
        zone: String,
        port: u16,
    },
    Name {
        host: String,
        port: u16,
    },
    /// Any other text: using it fails.
    Text(String),
    Unix(PathBuf),
    /// A server in memory, by its name.
    Memory(String),
}

/// One address that an [`Address`] stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    Ip(SocketAddr),
    Unix(PathBuf),
}

impl From<Spot> for Address {
    fn from(spot: Spot) -> Self {
        match spot {
            Spot::Ip(addr) => Address::from(addr),
            Spot::Unix(path) => Address::from(path),
        }
    }
}

/// Makes the error of a name, with the kind that POE has.
fn unknown(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::AddrNotAvailable, why)
}

impl Address {
    /// Returns the address, if no name has to be looked up.
    #[must_use]
    pub fn as_socket_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Number(addr) => Some(*addr),
            _ => None,
        }
    }

    /// Returns the path of a UNIX socket.
    #[must_use]
    pub fn as_path(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Unix(path) => Some(path),
            _ => None,
        }
    }

    /// Returns the name of a server in memory.
    pub(crate) fn as_memory(&self) -> Option<&str> {
        match &self.0 {
            Kind::Memory(name) => Some(name),
            _ => None,
        }
    }

    /// Returns the address if no host name has to be looked up, which would block; `None` for such a name.
    ///
    /// # Errors
    /// There is no such interface, or the text is not an address.
    pub(crate) fn spot(&self) -> Option<io::Result<Spot>> {
        match &self.0 {
            Kind::Number(addr) => Some(Ok(Spot::Ip(*addr))),
            Kind::Unix(path) => Some(Ok(Spot::Unix(path.clone()))),
            Kind::Zone { ip, zone, port } => {
                Some(scope(zone).map(|scope| Spot::Ip(SocketAddrV6::new(*ip, *port, 0, scope).into())))
            }
            Kind::Text(text) => Some(Err(unknown(text_error(text)))),
            Kind::Memory(_) => Some(Err(unknown(
                "an address in memory is for streams between parts of one kernel",
            ))),
            Kind::Name { .. } => None,
        }
    }

    /// Looks up all addresses of a name, in the resolver's order; at least one.
    ///
    /// # Errors
    /// Every error of a name has the kind `AddrNotAvailable`, as in POE, with the resolver's own
    /// text.
    pub(crate) async fn resolve(&self, threads: &Threads) -> io::Result<Vec<Spot>> {
        if let Some(spot) = self.spot() {
            return spot.map(|spot| vec![spot]);
        }
        let Kind::Name { host, port } = &self.0 else {
            return Err(unknown("it is not an address"));
        };
        let (host, port) = (host.clone(), *port);
        let look_up = move || (&*host, port).to_socket_addrs().map(Vec::from_iter);
        let found = match threads.run(look_up).await {
            Ok(found) => found.map_err(|error| unknown(error.to_string()))?,
            Err(Lost::NotRun(error)) => return Err(error),
            Err(Lost::Panicked(_)) => return Err(unknown("the resolver has panicked")),
        };
        // A resolver returns an address once for each kind of socket, or for each line of its file.
        let mut spots: Vec<Spot> = Vec::with_capacity(found.len());
        for spot in found.into_iter().map(Spot::Ip) {
            if !spots.contains(&spot) {
                spots.push(spot);
            }
        }
        if spots.is_empty() {
            return Err(unknown("the name has no address"));
        }
        Ok(spots)
    }
}

/// Returns the index of the interface with this name.
fn scope(zone: &str) -> io::Result<u32> {
    // The resolver knows the names of interfaces, and looks up nothing else for an address that is a number. It accepts a zone
    // only for link-local addresses, which is why it is not asked for the address itself.
    let link_local = (&*format!("fe80::1%{zone}"), 0_u16).to_socket_addrs();
    let mut found = link_local.map_err(|_| unknown(format!("there is no network interface `{zone}`")))?;
    let scope = found.find_map(|addr| match addr {
        SocketAddr::V6(addr) => Some(addr.scope_id()),
        SocketAddr::V4(_) => None,
    });
    scope.ok_or_else(|| unknown(format!("there is no network interface `{zone}`")))
}

/// Says why a text is not an address.
fn text_error(text: &str) -> &'static str {
    match split(text) {
        None => "a port is missing, as in `localhost:80` or `[::1]:80`",
        Some((host, _)) if !text.starts_with('[') && host.contains(':') => {
            "a port is missing, or the brackets around an IPv6 address, as in `[::1]:80`"
        }
        Some(_) => "the port is not a number from 0 to 65535",
    }
}

/// Splits a text into host and port.
fn split(text: &str) -> Option<(&str, &str)> {
    match text.strip_prefix('[').and_then(|rest| rest.rsplit_once("]:")) {
        Some(parts) => Some(parts),
        None => text.rsplit_once(':'),
    }
}

/// Parses a port number; `+80` is not one.
fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

impl From<SocketAddr> for Address {
    fn from(addr: SocketAddr) -> Self {
        Address(Kind::Number(addr))
    }
}

impl From<String> for Address {
    fn from(text: String) -> Self {
        if let Some(path) = text.strip_prefix("unix:") {
            return Address(Kind::Unix(path.into()));
        }
        if let Some(name) = text.strip_prefix("memory:") {
            return Address(Kind::Memory(name.to_owned()));
        }
        if let Ok(addr) = text.parse() {
            return Address(Kind::Number(addr));
        }
        match split(&text) {
            // An IPv6 address without brackets: which colon belongs to the port is a guess.
            Some((host, port_text)) if text.starts_with('[') || !host.contains(':') => match port(port_text) {
                Some(port) => Address::from((host, port)),
                None => Address(Kind::Text(text)),
            },
            _ => Address(Kind::Text(text)),
        }
    }
}

impl From<&String> for Address {
    fn from(text: &String) -> Self {
        Address::from(text.clone())
    }
}

impl From<&str> for Address {
    fn from(text: &str) -> Self {
        Address::from(text.to_owned())
    }
}

impl From<(IpAddr, u16)> for Address {
    fn from(pair: (IpAddr, u16)) -> Self {
        Address(Kind::Number(pair.into()))
    }
}

impl From<(&str, u16)> for Address {
    fn from((host, port): (&str, u16)) -> Self {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Ok(ip) = bare.unwrap_or(host).parse::<IpAddr>() {
            return Address::from((ip, port));
        }
        if let Some((ip, zone)) = host.split_once('%')
            && let Ok(ip) = ip.parse::<Ipv6Addr>()
        {
            return match zone.parse() {
                // Written as the system writes it, so that one interface is one address.
                Ok(index) if zone.bytes().all(|b| b.is_ascii_digit()) => {
                    Address(Kind::Number(SocketAddrV6::new(ip, port, 0, index).into()))
                }
                _ => Address(Kind::Zone {
                    ip,
                    zone: zone.to_owned(),
                    port,
                }),
            };
        }
        let host = host.to_owned();
        Address(Kind::Name { host, port })
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Self {
        Address(Kind::Unix(path))
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Address::from(path.to_owned())
    }
}

/// A UNIX socket without a path has no address: connecting to it fails.
impl From<SocketName> for Address {
    fn from(name: SocketName) -> Self {
        match name {
            SocketName::Ip(addr) => Address::from(addr),
            SocketName::Unix(path) => Address::from(path.unwrap_or_default()),
            SocketName::Memory(name) => Address(Kind::Memory(name)),
        }
    }
}

impl From<&SocketName> for Address {
    fn from(name: &SocketName) -> Self {
        Address::from(name.clone())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Number(addr) => addr.fmt(f),
            Kind::Zone { ip, zone, port } => write!(f, "[{ip}%{zone}]:{port}"),
            // What looks like something else without brackets.
            Kind::Name { host, port }
                if host.contains(':') || host.starts_with('[') || host == "unix" || host == "memory" =>
            {
                write!(f, "[{host}]:{port}")
            }
            Kind::Name { host, port } => write!(f, "{host}:{port}"),
            Kind::Text(text) => f.write_str(text),
            Kind::Unix(path) => write!(f, "unix:{}", path.display()),
            Kind::Memory(name) => write!(f, "memory:{name}"),
        }
    }
}
