//! The connection in a session's data, beside the heap.

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

/// The connection beside a session's heap. Handlers have a shared reference to it, so every field is a cell.
///
/// | state | `wheel` | `up` | `shutdown` |
/// |---|---|---|---|
/// | none yet, or PreConnect runs (`pre`) | none | no | no |
/// | connected | yes | yes | no |
/// | its stream is being upgraded (`upgrade`) | none | yes | no |
/// | its end was asked for, or it was lost | yes, while output waits | yes | yes |
/// | over: `disconnected` was called | none | no | yes |
pub(super) struct Wire<F: Filter> {
    /// Shared with a [`Link`](super::link::Link) that was asked for it, so the wheel is ended explicitly and not by its
    /// drop.
    wheel: RefCell<Option<Rc<AnyReadWrite>>>,
    pub(super) peer: RefCell<Option<SocketName>>,
    /// When the socket was made, if the first record has a time limit.
    pub(super) since: Cell<Option<Instant>>,
    /// PreConnect runs, on the connection of that wheel.
    pub(super) pre: Cell<Option<(TaskId, WheelId)>>,
    pub(super) upgrade: RefCell<Option<Box<Upgrade<F>>>>,
    /// An upgrade was asked for, so nothing more is put in clear text.
    pub(super) sealed: Cell<bool>,
    /// `connected` was called, and `disconnected` was not yet.
    pub(super) up: Cell<bool>,
    /// The end was asked for: no further input callback (law 33).
    pub(super) shutdown: Cell<bool>,
    /// A callback has failed: only `disconnected` is still called.
    pub(super) failed: Cell<bool>,
    /// A record has come from a wheel that is gone; see [`take_heard`](Self::take_heard).
    heard: Cell<bool>,
    /// Records come as an event of the program's, whose handler does not know about the end of the connection.
    pub(super) switched: Cell<bool>,
    /// The end waits for the output to be written.
    pub(super) finishing: Cell<bool>,
    /// Writing has failed.
    pub(super) broken: Cell<bool>,
    /// Records that [`Link::put`](super::link::Link::put) could not put, each with an error event queued.
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

    /// Whether there is a connection that has neither ended nor been asked to.
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

    /// Whether PreConnect runs on the connection of that wheel.
    pub(super) fn is_pre_connecting(&self, wheel: WheelId) -> bool {
        self.pre.get().is_some_and(|(_, current)| current == wheel)
    }

    /// Resets everything, with the name of the peer that it has or is about to have.
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

    /// Whether a record has come since the last call.
    pub(super) fn take_heard(&self) -> bool {
        let now = self.wheel().is_some_and(|wheel| wheel.has_given());
        self.heard.take() || now
    }

    pub(super) fn take_wheel(&self) -> Option<Rc<AnyReadWrite>> {
        let wheel = self.wheel.take()?;
        self.heard.set(self.heard.get() || wheel.has_given());
        Some(wheel)
    }

    /// Drops the wheel at once; output that is not written is lost.
    pub(super) fn abort(&self) {
        if let Some(wheel) = self.take_wheel() {
            wheel.end();
        }
    }

    /// Drops the wheel when the output is written; the peer is read for that long, until it closes.
    pub(super) fn close(&self, linger: Duration) {
        if self.broken.get() {
            return self.abort();
        }
        if let Some(wheel) = self.take_wheel() {
            // The callbacks are over, so bytes that cannot be written are logged.
            wheel.set_error_event(None::<Event<IoError>>);
            wheel.close_gently(linger);
        }
    }

    /// Keeps a refused record for the error callback.
    pub(super) fn refuse(&self, record: Option<F::Output>) {
        self.refused.borrow_mut().push_back(record);
    }

    /// Takes the record of the next error event about a refused one.
    pub(super) fn next_refused(&self) -> Option<F::Output> {
        self.refused.borrow_mut().pop_front().flatten()
    }
}

impl<F: Filter> Drop for Wire<F> {
    fn drop(&mut self) {
        self.abort();
    }
}
