//! The active session and event: set by each dispatch, read by each post.

use crate::id::SessionId;
use crate::name::NameIdx;
use crate::resource::sessions::KERNEL;
use std::cell::Cell;

/// The session and event that are being handled.
#[derive(Clone, Copy)]
pub(crate) struct Active {
    pub(crate) session: SessionId,
    /// `NameIdx::NONE` outside handlers.
    pub(crate) event: NameIdx,
}

/// [`Active`] field by field, each read as it was written. A copy of the whole is loaded in wider pieces than it was stored
/// in, and a load that spans two stores waits for both to leave the processor's store buffer; that cost more than the
/// rest of a dispatch. The same goes for everything else that an event's way leads through.
pub(crate) struct ActiveCell {
    serial: Cell<u64>,
    slot: Cell<u32>,
    kernel: u32,
    event: Cell<NameIdx>,
}

impl ActiveCell {
    pub(super) fn new(kernel: u32) -> Self {
        ActiveCell {
            serial: Cell::new(0),
            slot: Cell::new(KERNEL),
            kernel,
            event: Cell::new(NameIdx::NONE),
        }
    }

    #[inline]
    pub(crate) fn session(&self) -> SessionId {
        SessionId {
            serial: self.serial.get(),
            slot: self.slot.get(),
            kernel: self.kernel,
        }
    }

    /// `NameIdx::NONE` outside handlers.
    #[inline]
    pub(crate) fn event(&self) -> NameIdx {
        self.event.get()
    }

    #[inline]
    pub(super) fn get(&self) -> Active {
        Active {
            session: self.session(),
            event: self.event(),
        }
    }

    /// Nobody, outside handlers.
    #[inline]
    pub(super) fn set_idle(&self) {
        self.serial.set(0);
        self.slot.set(KERNEL);
        self.event.set(NameIdx::NONE);
    }

    /// A handler begins.
    #[inline(always)]
    pub(super) fn enter(&self, serial: u64, slot: u32, event: NameIdx) {
        self.serial.set(serial);
        self.slot.set(slot);
        self.event.set(event);
    }

    #[inline]
    pub(super) fn set(&self, active: Active) {
        self.serial.set(active.session.serial);
        self.slot.set(active.session.slot);
        self.event.set(active.event);
    }
}
