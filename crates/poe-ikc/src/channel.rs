//! A connection, as the tables have it.

use crate::wire::{Format, Head, Peer};
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
    /// Where messages go in place of a wheel.
    #[cfg(feature = "nats")]
    pub(crate) subjects: Option<Box<dyn Outlet>>,
}

/// Where the messages to a kernel go that has no connection of its own.
#[cfg(feature = "nats")]
pub(crate) trait Outlet {
    fn put(&self, head: &Head, frame: Bytes, limit: usize) -> Result<(), Undelivered>;
}

/// Why a frame was not put.
pub(crate) enum Undelivered {
    Closed,
    Full,
    /// The server takes no longer messages than this.
    #[cfg(feature = "nats")]
    TooLong(usize),
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
            #[cfg(feature = "nats")]
            subjects: None,
        }
    }

    /// A way to kernels on NATS.
    #[cfg(feature = "nats")]
    pub(crate) fn on_nats(number: u64, subjects: impl Outlet + 'static) -> Self {
        Channel {
            format: Cell::new(Format::MsgPack),
            subjects: Some(Box::new(subjects)),
            ..Channel::new(number)
        }
    }

    /// Whether it is not a connection of its own, but a kernel on NATS.
    pub(crate) fn is_on_nats(&self) -> bool {
        #[cfg(feature = "nats")]
        return self.subjects.is_some();
        #[cfg(not(feature = "nats"))]
        false
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

    pub(crate) fn put(&self, head: &Head, frame: Bytes, limit: usize) -> Result<(), Undelivered> {
        #[cfg(feature = "nats")]
        if let Some(subjects) = &self.subjects {
            return subjects.put(head, frame, limit);
        }
        #[cfg(not(feature = "nats"))]
        let _ = head;
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
