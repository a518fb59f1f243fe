//! Where to listen or whom to connect to: a number, or a name that is looked up when it is needed.

use super::socket::SocketName;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// A host and a port, or the path of a UNIX socket. Made from a [`SocketAddr`], from text (`"127.0.0.1:7"`, `"[::1]:7"`,
/// `"localhost:7"`, `"unix:/run/service"`), from a pair of host and port, and from a `Path`. Text that is none of these is
/// a name, and looked up without blocking when it is used.
///
/// ```
/// use poe::wheel::Address;
/// use std::path::Path;
/// assert_eq!(Address::from(("localhost", 80)).to_string(), "localhost:80");
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
    Name(String),
    Unix(PathBuf),
}

/// One of the places that an address means.
#[derive(Clone, Debug)]
pub(crate) enum Spot {
    Ip(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// The address, if no name has to be looked up.
    #[must_use]
    pub fn as_socket_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Number(addr) => Some(*addr),
            Kind::Name(_) | Kind::Unix(_) => None,
        }
    }

    /// The path, if it is a UNIX socket's.
    #[must_use]
    pub fn as_path(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Unix(path) => Some(path),
            Kind::Number(_) | Kind::Name(_) => None,
        }
    }

    /// The place, if no name has to be looked up.
    pub(crate) fn spot(&self) -> Option<Spot> {
        match &self.0 {
            Kind::Number(addr) => Some(Spot::Ip(*addr)),
            Kind::Unix(path) => Some(Spot::Unix(path.clone())),
            Kind::Name(_) => None,
        }
    }

    /// All places that it means, in the resolver's order; at least one. Whatever is wrong with a name, the error is of
    /// the kind `AddrNotAvailable`, as POE has it, with the resolver's own words.
    pub(crate) async fn resolve(&self) -> io::Result<Vec<Spot>> {
        let name = match &self.0 {
            Kind::Name(name) => name,
            Kind::Number(addr) => return Ok(vec![Spot::Ip(*addr)]),
            Kind::Unix(path) => return Ok(vec![Spot::Unix(path.clone())]),
        };
        let unknown = |why: &dyn fmt::Display| {
            let what = format!("`{name}`: {why}");
            io::Error::new(io::ErrorKind::AddrNotAvailable, what)
        };
        if !name.contains(':') || name.parse::<IpAddr>().is_ok() {
            return Err(unknown(&"a port is missing, as in `localhost:80` or `[::1]:80`"));
        }
        let found = tokio::net::lookup_host(name).await.map_err(|e| unknown(&e))?;
        let found: Vec<Spot> = found.map(Spot::Ip).collect();
        if found.is_empty() {
            return Err(unknown(&"the name has no address"));
        }
        Ok(found)
    }
}

impl From<SocketAddr> for Address {
    fn from(addr: SocketAddr) -> Self {
        Address(Kind::Number(addr))
    }
}

impl From<String> for Address {
    fn from(text: String) -> Self {
        match text.strip_prefix("unix:") {
            Some(path) => Address(Kind::Unix(path.into())),
            None => Address(text.parse().map_or(Kind::Name(text), Kind::Number)),
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
        match host.parse::<IpAddr>() {
            Ok(ip) => Address::from((ip, port)),
            Err(_) => Address(Kind::Name(format!("{host}:{port}"))),
        }
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

/// Of a UNIX socket without a path nothing can be said but that: connecting to it fails.
impl From<SocketName> for Address {
    fn from(name: SocketName) -> Self {
        match name {
            SocketName::Ip(addr) => Address::from(addr),
            SocketName::Unix(path) => Address::from(path.unwrap_or_default()),
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
            Kind::Name(name) => name.fmt(f),
            Kind::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
