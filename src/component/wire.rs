//! One connection, as its session keeps it beside the heap.

use super::upgrade::Upgrade;
use crate::bridge::runtime::Instant;
use crate::event::Event;
use crate::filter::Filter;
use crate::id::{TaskId, WheelId};
use crate::wheel::{AnyReadWrite, IoError, SocketName};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// A connection, beside a session's heap. Handlers hold it by a shared reference, so everything in it is a cell.
///
/// | state | `wheel` | `up` | `shutdown` |
/// |---|---|---|---|
/// | none yet, or PreConnect is at work (`pre`) | none | no | no |
/// | connected | yes | yes | no |
/// | its stream is being upgraded (`upgrade`) | none | yes | no |
/// | its end was asked for, or it was lost | yes, while output waits | yes | yes |
/// | over: `disconnected` was called | none | no | yes |
pub(super) struct Wire<F: Filter> {
    /// Shared with a [`Link`](super::link::Link) that was asked for it, so it is ended, not only dropped.
    wheel: RefCell<Option<Rc<AnyReadWrite>>>,
    pub(super) peer: RefCell<Option<SocketName>>,
    /// When there was a socket, if the first record must come in time.
    pub(super) since: Cell<Option<Instant>>,
    /// PreConnect is at work, on the connection of that wheel.
    pub(super) pre: Cell<Option<(TaskId, WheelId)>>,
    pub(super) upgrade: RefCell<Option<Box<Upgrade<F>>>>,
    /// An upgrade was asked for, so that nothing is put in clear text any more.
    pub(super) sealed: Cell<bool>,
    /// `connected` was called, and `disconnected` not yet.
    pub(super) up: Cell<bool>,
    /// The end was asked for: no input callback any more (law 33).
    pub(super) shutdown: Cell<bool>,
    /// A callback has failed: none is called any more but `disconnected`.
    pub(super) failed: Cell<bool>,
    /// A record has come, of a wheel that is gone; see [`take_heard`](Self::take_heard).
    heard: Cell<bool>,
    /// Records come as an event of the program's, which knows nothing of the end of the connection.
    pub(super) switched: Cell<bool>,
    /// It waits for the output to be written.
    pub(super) finishing: Cell<bool>,
    /// Nothing can be written any more.
    pub(super) broken: Cell<bool>,
    /// Records that [`Link::put`](super::link::Link::put) could not put, each with an error event on its way.
    refused: RefCell<VecDeque<Option<F::Output>>>,
    /// The record of the error event that is being handled.
    pub(super) returned: Cell<Option<F::Output>>,
}

impl<F: Filter> Wire<F> {
    pub(super) fn new() -> Self {
        Wire {
            wheel: RefCell::default(),
            peer: RefCell::default(),
            since: Cell::new(None),
            pre: Cell::new(None),
            upgrade: RefCell::default(),
            sealed: Cell::new(false),
            up: Cell::new(false),
            shutdown: Cell::new(false),
            failed: Cell::new(false),
            heard: Cell::new(false),
            switched: Cell::new(false),
            finishing: Cell::new(false),
            broken: Cell::new(false),
            refused: RefCell::default(),
            returned: Cell::new(None),
        }
    }

    pub(super) fn wheel(&self) -> Option<Rc<AnyReadWrite>> {
        self.wheel.borrow().clone()
    }

    pub(super) fn set_wheel(&self, wheel: AnyReadWrite) {
        self.wheel.replace(Some(Rc::new(wheel)));
    }

    pub(super) fn peer(&self) -> Option<SocketName> {
        self.peer.borrow().clone()
    }

    /// Whether there is a connection, and its end neither asked for nor met.
    pub(super) fn is_connected(&self) -> bool {
        self.up.get() && !self.shutdown.get() && !self.broken.get()
    }

    /// The end was asked for: no record reaches the program any more.
    pub(super) fn end_input(&self) {
        self.shutdown.set(true);
        if self.switched.get()
            && let Some(wheel) = self.wheel()
        {
            wheel.shutdown_input();
        }
    }

    /// Whether PreConnect is at work on what that wheel has brought.
    pub(super) fn is_pre_connecting(&self, wheel: WheelId) -> bool {
        self.pre.get().is_some_and(|(_, current)| current == wheel)
    }

    /// As new, with the name of the peer that it has or is about to have.
    pub(super) fn reset(&self, peer: Option<SocketName>) {
        self.abort();
        drop(self.peer.replace(peer));
        self.pre.set(None);
        let upgrade = self.upgrade.take();
        drop(upgrade);
        for flag in [
            &self.sealed,
            &self.up,
            &self.shutdown,
            &self.failed,
            &self.heard,
            &self.switched,
            &self.finishing,
            &self.broken,
        ] {
            flag.set(false);
        }
        let refused = self.refused.take();
        drop(refused);
    }

    /// Whether a record has come since this was asked last.
    pub(super) fn take_heard(&self) -> bool {
        let now = self.wheel().is_some_and(|wheel| wheel.has_given());
        self.heard.take() || now
    }

    pub(super) fn take_wheel(&self) -> Option<Rc<AnyReadWrite>> {
        let wheel = self.wheel.take()?;
        self.heard.set(self.heard.get() || wheel.has_given());
        Some(wheel)
    }

    /// The wheel goes at once; what was put and not written is lost.
    pub(super) fn abort(&self) {
        if let Some(wheel) = self.take_wheel() {
            wheel.end();
        }
    }

    /// The wheel goes when what was put is written; the peer is heard out for that long.
    pub(super) fn close(&self, linger: Duration) {
        if self.broken.get() {
            return self.abort();
        }
        if let Some(wheel) = self.take_wheel() {
            // The callbacks are over: bytes that cannot be written are logged.
            wheel.set_error_event(None::<Event<IoError>>);
            wheel.close_gently(linger);
        }
    }

    /// Keeps a record for the error callback that is told that it was refused.
    pub(super) fn refuse(&self, record: Option<F::Output>) {
        self.refused.borrow_mut().push_back(record);
    }

    /// The record of the next error event that says that one was refused.
    pub(super) fn next_refused(&self) -> Option<F::Output> {
        self.refused.borrow_mut().pop_front().flatten()
    }
}

impl<F: Filter> Drop for Wire<F> {
    fn drop(&mut self) {
        self.abort();
    }
}
