//! Direct connections between users: files and private conversations.

mod offer;

pub use offer::DccOffer;

use crate::text::Text;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of direct connections: see [`IrcBuilder::dcc`](crate::IrcBuilder::dcc).
///
/// The client connects or listens only when your program says so, and never writes into a file that exists, unless it resumes it.
///
/// | setting | default |
/// |---|---|
/// | [`listen`](Self::listen) | all addresses of IPv4, a port of the system's |
/// | [`announce`](Self::announce) | none: offers fail |
/// | [`transfers`](Self::transfers) | 8 at a time |
/// | [`max_file`](Self::max_file) | 4 GiB |
/// | [`offer_timeout`](Self::offer_timeout), [`idle_timeout`](Self::idle_timeout) | 5 min |
/// | [`allow_low_ports`](Self::allow_low_ports) | false |
#[derive(Clone, Debug)]
#[must_use = "give it to `IrcBuilder::dcc`"]
pub struct Dcc {
    pub(crate) listen: IpAddr,
    pub(crate) ports: RangeInclusive<u16>,
    pub(crate) announce: Option<IpAddr>,
    pub(crate) transfers: usize,
    pub(crate) max_file: u64,
    pub(crate) offer_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) low_ports: bool,
}

impl Dcc {
    /// Allows direct connections that your program asks for.
    pub fn new() -> Self {
        Dcc {
            listen: Ipv4Addr::UNSPECIFIED.into(),
            ports: 0..=0,
            announce: None,
            transfers: 8,
            max_file: 4 << 30,
            offer_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(300),
            low_ports: false,
        }
    }

    /// Sets where offers listen. The first free port of the range is taken; `0..=0` is any.
    #[doc(alias = "dccports")]
    #[doc(alias = "localaddr")]
    pub fn listen(mut self, address: IpAddr, ports: RangeInclusive<u16>) -> Self {
        self.listen = address;
        self.ports = ports;
        self
    }

    /// Sets the address that offers name, at which others reach this machine.
    #[doc(alias = "nataddr")]
    pub fn announce(mut self, address: IpAddr) -> Self {
        self.announce = Some(address);
        self
    }

    /// Sets how many connections, open or offered, there may be at a time.
    pub fn transfers(mut self, transfers: usize) -> Self {
        self.transfers = transfers;
        self
    }

    /// Sets how large a file that is received may be.
    pub fn max_file(mut self, bytes: u64) -> Self {
        self.max_file = bytes;
        self
    }

    /// Sets how long an offer waits.
    pub fn offer_timeout(mut self, limit: Duration) -> Self {
        self.offer_timeout = limit;
        self
    }

    /// Sets after which silence a connection ends.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = limit;
        self
    }

    /// Connects also to ports below 1024, where an offer could point at another service.
    pub fn allow_low_ports(mut self) -> Self {
        self.low_ports = true;
        self
    }
}

impl Default for Dcc {
    fn default() -> Self {
        Dcc::new()
    }
}

/// A direct connection, or an offer of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DccId(pub(crate) u64);

/// What a direct connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DccKind {
    /// A private conversation.
    Chat,
    /// A file is received.
    Get,
    /// A file is sent.
    Send,
}

/// A direct connection, as its events tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DccInfo {
    /// Its ID.
    pub id: DccId,
    /// The other user.
    pub nick: Text,
    /// What it is for.
    pub kind: DccKind,
    /// The file here.
    pub path: Option<PathBuf>,
    /// The file's size, if it is known.
    pub size: Option<u64>,
    /// How many bytes of it have arrived: here, or at the other end as far as it tells.
    pub done: u64,
}
