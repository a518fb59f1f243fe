//! What a client is told when it is built, and its limits.

use crate::dcc::Dcc;
use crate::filter::IrcLimits;
use crate::flood::Flood;
use crate::sasl::Sasl;
use crate::text::Text;
use poe::component::Backoff;
use poe::wheel::Address;
use std::time::Duration;

/// The bounds on what a server, or the program, can make a client keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientLimits {
    /// How many channels are kept; default 1000. Further ones are not tracked.
    pub channels: usize,
    /// How many memberships of all channels are kept; default 200 000. Further ones are not tracked.
    pub members: usize,
    /// How many messages may wait for flood control; default 1000. Further ones are refused.
    pub queue: usize,
    /// The limits of the filter.
    pub filter: IrcLimits,
}

impl Default for ClientLimits {
    fn default() -> Self {
        ClientLimits {
            channels: 1000,
            members: 200_000,
            queue: 1000,
            filter: IrcLimits::default(),
        }
    }
}

pub(crate) struct Settings {
    pub(crate) servers: Vec<Address>,
    pub(crate) nick: Text,
    pub(crate) other_nicks: Vec<Text>,
    pub(crate) user: Text,
    pub(crate) realname: Text,
    pub(crate) password: Option<Text>,
    pub(crate) sasl: Option<Sasl>,
    pub(crate) channels: Vec<(Text, Option<Text>)>,
    pub(crate) capabilities: Vec<String>,
    pub(crate) flood: Option<Flood>,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) reclaim: Option<Duration>,
    pub(crate) ping: Duration,
    pub(crate) register_limit: Duration,
    pub(crate) version: Option<Text>,
    pub(crate) limits: ClientLimits,
    pub(crate) dcc: Option<Dcc>,
}
