//! A connection, as the tables have it.

use crate::wire::{Format, Head, Peer, put_length};
use bytes::{Bytes, BytesMut};
use poe::SessionId;
use poe::wheel::ReadWrite;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

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
    /// Frames that wait for the queue to come round, so that one write takes them all.
    unsent: RefCell<BytesMut>,
    /// A read of this connection is being handled. The wheel writes what is put meanwhile at once.
    is_reading: Cell<bool>,
    /// The last head that came, and its bytes: a peer that posts again has the same.
    pub(crate) last_head: RefCell<Option<(Bytes, Rc<Head>)>>,
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

/// Where a frame is that was put.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// On its way, or behind what is: a read is being handled.
    Written,
    /// It waits for [`Channel::flush`], behind others.
    Behind,
    /// It is the first that waits.
    First,
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
            unsent: RefCell::default(),
            is_reading: Cell::new(false),
            last_head: RefCell::default(),
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

    pub(crate) fn put(&self, head: &Head, frame: Bytes, limit: usize) -> Result<Put, Undelivered> {
        #[cfg(feature = "nats")]
        if let Some(subjects) = &self.subjects {
            return subjects.put(head, frame, limit).map(|()| Put::Written);
        }
        #[cfg(not(feature = "nats"))]
        let _ = head;
        let wheel = self.wheel.borrow();
        let Some(wheel) = &*wheel else {
            return Err(Undelivered::Closed);
        };
        if wheel.is_output_closed() {
            return Err(Undelivered::Closed);
        }
        let mut unsent = self.unsent.borrow_mut();
        if wheel.buffered_bytes() + unsent.len() > limit {
            return Err(Undelivered::Full);
        }
        let was_empty = unsent.is_empty();
        put_length(frame.len(), &mut unsent);
        unsent.extend_from_slice(&frame);
        drop(unsent);
        Ok(match self.is_reading.get() {
            true => Put::Written,
            false if was_empty => Put::First,
            false => Put::Behind,
        })
    }

    /// Gives the wheel what waits.
    pub(crate) fn flush(&self) {
        let unsent = self.unsent.borrow_mut().split();
        if let Some(wheel) = &*self.wheel.borrow()
            && !unsent.is_empty()
        {
            // A connection that is closed meanwhile has its error event on the way.
            let _ = wheel.put(unsent.freeze());
        }
    }

    /// Handles a read: the wheel writes together what is put meanwhile.
    pub(crate) fn while_reading<T>(&self, handle: impl FnOnce() -> T) -> T {
        self.is_reading.set(true);
        let handled = handle();
        self.is_reading.set(false);
        self.flush();
        handled
    }
}

/// The connections that speak POE::TIKC, and the sessions behind them.
#[derive(Default)]
pub(crate) struct TikcTable {
    pub(crate) channels: RefCell<Vec<Rc<Channel>>>,
    /// By alias: the connection, and the proxy.
    pub(crate) aliases: RefCell<HashMap<String, (Rc<Channel>, SessionId)>>,
}

impl TikcTable {
    pub(crate) fn others(&self, channel: &Channel) -> Vec<Rc<Channel>> {
        let channels = self.channels.borrow();
        let others = channels.iter().filter(|other| other.number != channel.number);
        others.cloned().collect()
    }
}
