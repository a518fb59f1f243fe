//! The direct connections of a client: those that live, and what the program has asked of them.

use crate::dcc::{DccId, DccInfo, DccKind};
use crate::events::DccRequest;
use crate::text::Text;
use poe::SessionId;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};

/// What the program has asked for.
pub(crate) enum Begin {
    /// Without a request: an offer.
    New {
        info: DccInfo,
        request: Option<DccRequest>,
        resume: bool,
    },
    Say(DccId, Text),
    Close(DccId),
}

/// A connection that has its session.
pub(crate) struct Live {
    pub(crate) session: SessionId,
    pub(crate) nick: Text,
    pub(crate) kind: DccKind,
    /// The port that was offered.
    pub(crate) port: u16,
}

/// The direct connections of a client.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) last: Cell<u64>,
    pub(crate) begin: RefCell<VecDeque<Begin>>,
    pub(crate) live: RefCell<BTreeMap<DccId, Live>>,
}
