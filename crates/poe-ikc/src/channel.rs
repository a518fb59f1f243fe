//! A connection, as the tables have it.

use crate::wire::{Format, Peer};
use bytes::Bytes;
use poe::SessionId;
use poe::wheel::ReadWrite;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

pub(crate) struct Channel {
    /// 0 is the connection of this kernel to itself.
    pub(crate) number: u64,
    /// The names under which the peer may be addressed, first its ID.
    pub(crate) names: RefCell<Vec<String>>,
    /// What the peer calls its ID, whether or not the name is its own.
    pub(crate) peer: RefCell<String>,
    /// The wheel, while the connection is open.
    pub(crate) wheel: RefCell<Option<ReadWrite<Bytes>>>,
    /// Stand-ins for sessions of the peer that have sent something, by kernel and session. Oldest first goes when there are too many.
    pub(crate) senders: RefCell<HashMap<(String, String), SessionId>>,
    format: Cell<Format>,
}

/// Why a frame was not put.
pub(crate) enum Undelivered {
    Closed,
    Full,
}

impl Channel {
    pub(crate) fn new(number: u64) -> Self {
        Channel {
            number,
            names: RefCell::default(),
            peer: RefCell::default(),
            wheel: RefCell::new(None),
            senders: RefCell::default(),
            format: Cell::new(Format::Storable),
        }
    }

    /// Storable serves it, because that keeps a `Value` as it is.
    pub(crate) fn to_self() -> Self {
        Channel::new(0)
    }

    pub(crate) fn is_own(&self) -> bool {
        self.number == 0
    }

    pub(crate) fn format(&self) -> Format {
        self.format.get()
    }

    pub(crate) fn set_ready(&self, peer: &Peer) {
        self.format.set(peer.format);
        *self.peer.borrow_mut() = peer.names.first().cloned().unwrap_or_default();
    }

    pub(crate) fn put(&self, frame: Bytes, limit: usize) -> Result<(), Undelivered> {
        let wheel = self.wheel.borrow();
        let Some(wheel) = &*wheel else {
            return Err(Undelivered::Closed);
        };
        if wheel.buffered_bytes() > limit {
            return Err(Undelivered::Full);
        }
        wheel.put(frame).map(drop).map_err(|_| Undelivered::Closed)
    }
}
