//! Where to listen or whom to connect to: a number, or a name that is looked up when it is needed.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// A host and a port. Made from a [`SocketAddr`], from text (`"127.0.0.1:7"`, `"[::1]:7"`, `"localhost:7"`) and from a
/// pair of host and port; text that is no number is a name, and looked up without blocking when it is used.
///
/// ```
/// use poe::wheel::Address;
/// assert_eq!(Address::from(("localhost", 80)).to_string(), "localhost:80");
/// assert!(Address::from("127.0.0.1:80").as_socket_addr().is_some());
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
}

impl Address {
    /// The address, if no name has to be looked up.
    #[must_use]
    pub fn as_socket_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Number(addr) => Some(*addr),
            Kind::Name(_) => None,
        }
    }

    /// All addresses of the name, in the resolver's order; at least one.
    pub(crate) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let name = match &self.0 {
            Kind::Number(addr) => return Ok(vec![*addr]),
            Kind::Name(name) => name,
        };
        let found: Vec<SocketAddr> = tokio::net::lookup_host(name).await?.collect();
        if found.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                "the name has no address",
            ));
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
        Address(text.parse().map_or(Kind::Name(text), Kind::Number))
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

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Number(addr) => addr.fmt(f),
            Kind::Name(name) => name.fmt(f),
        }
    }
}
