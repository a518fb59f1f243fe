//! The table of a kernel's tasks: whose each is, and which are to be polled.

use super::{Purpose, Task};
use crate::bridge::wake::{Shared, TaskWaker};
use crate::id::{SessionId, TaskId};
use crate::resource::{Hold, Resource};
use std::cell::{Cell, RefCell};
use std::num::NonZeroU64;
use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;

pub(crate) struct Tasks {
    shared: Arc<Shared>,
    pub(super) slots: RefCell<Vec<Option<Slot>>>,
    free: RefCell<Vec<u32>>,
    serial: Cell<u64>,
    /// Those of sessions. The kernel's own, which listen for signals, keep nothing alive.
    count: Cell<usize>,
    /// Those that linger.
    lingering: Cell<usize>,
    /// Tasks to be polled without having been woken: new ones, and wheels that have something to write.
    pub(super) intake: RefCell<Vec<u64>>,
    /// `intake` is not empty: looked at after each event.
    pub(super) has_intake: Cell<bool>,
    pub(super) woken: RefCell<Vec<u64>>,
}

pub(super) struct Slot {
    pub(super) serial: NonZeroU64,
    pub(super) purpose: Purpose,
    waker: Arc<TaskWaker>,
    /// Out while it is polled.
    body: Option<(Box<dyn Task>, Waker)>,
    /// Stands in the intake.
    scheduled: bool,
    /// It only waits for a peer's goodbye.
    lingers: bool,
}

/// Tasks of a kernel that may wait at a time for what peers have still to say: each keeps a descriptor.
const LINGERING: usize = 1024;

fn key(slot: u32, serial: NonZeroU64) -> u64 {
    u64::from(slot) << 32 | (serial.get() & 0xffff_ffff)
}

impl Tasks {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Tasks {
            shared,
            slots: RefCell::default(),
            free: RefCell::default(),
            serial: Cell::new(0),
            count: Cell::new(0),
            lingering: Cell::new(0),
            intake: RefCell::default(),
            has_intake: Cell::new(false),
            woken: RefCell::default(),
        }
    }

    /// The tasks of sessions: while there is one the kernel is not idle.
    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

    /// Whether a task waits that no waker announces.
    #[inline]
    pub(crate) fn has_intake(&self) -> bool {
        self.has_intake.get()
    }

    pub(super) fn insert(&self, purpose: Purpose, body: Box<dyn Task>) -> TaskId {
        let serial = self.serial.get() + 1;
        self.serial.set(serial);
        let serial = NonZeroU64::new(serial).unwrap_or(NonZeroU64::MIN);
        let mut slots = self.slots.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(None);
            slots.len() as u32 - 1
        });
        if !purpose.owner.is_kernel() {
            self.count.set(self.count.get() + 1);
        }
        let waker = TaskWaker::new(self.shared.clone(), key(slot, serial));
        let std_waker = Waker::from(waker.clone());
        slots[slot as usize] = Some(Slot {
            serial,
            purpose,
            waker,
            body: Some((body, std_waker)),
            scheduled: true,
            lingers: false,
        });
        self.put_in(key(slot, serial));
        TaskId { serial, slot }
    }

    fn put_in(&self, key: u64) {
        self.intake.borrow_mut().push(key);
        self.has_intake.set(true);
    }

    pub(super) fn remove(&self, id: TaskId) -> Option<Slot> {
        let mut slots = self.slots.borrow_mut();
        let place = slots.get_mut(id.slot as usize)?;
        if place.as_ref()?.serial != id.serial {
            return None;
        }
        let slot = place.take()?;
        self.free.borrow_mut().push(id.slot);
        if !slot.purpose.owner.is_kernel() {
            self.count.set(self.count.get() - 1);
        }
        if slot.lingers {
            self.lingering.set(self.lingering.get() - 1);
        }
        Some(slot)
    }

    /// The waker of a task, for who does some of its work in its stead; nothing if it is over.
    pub(crate) fn waker(&self, id: TaskId) -> Option<Waker> {
        let slots = self.slots.borrow();
        let slot = slots.get(id.slot as usize)?.as_ref()?;
        (slot.serial == id.serial).then(|| Waker::from(slot.waker.clone()))
    }

    /// Enters another owner; gives the old one, or nothing if the task is over.
    pub(super) fn set_owner(&self, id: TaskId, to: SessionId, place: &'static Location<'static>) -> Option<SessionId> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(id.slot as usize)?.as_mut()?;
        if slot.serial != id.serial {
            return None;
        }
        slot.purpose.place = place;
        Some(std::mem::replace(&mut slot.purpose.owner, to))
    }

    /// Has the task polled as soon as the current handler returns.
    pub(crate) fn schedule(&self, id: TaskId) {
        let mut slots = self.slots.borrow_mut();
        if let Some(Some(slot)) = slots.get_mut(id.slot as usize)
            && slot.serial == id.serial
            && !std::mem::replace(&mut slot.scheduled, true)
        {
            self.put_in(key(id.slot, id.serial));
        }
    }

    /// Notes that a task waits for nothing but its peer's goodbye. False if so many do that it must not.
    pub(crate) fn linger(&self, id: TaskId) -> bool {
        let mut slots = self.slots.borrow_mut();
        match slots.get_mut(id.slot as usize) {
            Some(Some(slot)) if slot.serial == id.serial => {
                if !slot.lingers && self.lingering.get() < LINGERING {
                    slot.lingers = true;
                    self.lingering.set(self.lingering.get() + 1);
                }
                slot.lingers
            }
            _ => false,
        }
    }

    /// Takes out every task of a session; they come back to be dropped by the caller.
    #[must_use]
    pub(crate) fn clear(&self, session: u32) -> Vec<impl Sized + use<>> {
        if self.count.get() == 0 {
            return Vec::new();
        }
        let ids: Vec<TaskId> = self
            .slots
            .borrow()
            .iter()
            .enumerate()
            .filter_map(|(i, s)| s.as_ref().map(|s| (i as u32, s)))
            .filter(|(_, s)| s.purpose.owner.slot == session)
            .map(|(slot, s)| TaskId { serial: s.serial, slot })
            .collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// The tasks that take new clients.
    pub(crate) fn listeners(&self) -> Vec<TaskId> {
        self.those(|slot| slot.purpose.listener)
    }

    /// The tasks that only wait for a peer's goodbye.
    pub(crate) fn lingerers(&self) -> Vec<TaskId> {
        self.those(|slot| slot.lingers)
    }

    fn those(&self, wanted: impl Fn(&Slot) -> bool) -> Vec<TaskId> {
        let slots = self.slots.borrow();
        let found = slots
            .iter()
            .enumerate()
            .filter_map(|(i, s)| s.as_ref().map(|s| (i as u32, s)));
        found
            .filter(|(_, s)| wanted(s))
            .map(|(slot, s)| TaskId { serial: s.serial, slot })
            .collect()
    }

    /// Takes the task with that key out for a poll.
    pub(super) fn take(&self, key: u64) -> Option<(TaskId, Box<dyn Task>, Waker)> {
        let index = (key >> 32) as u32;
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(index as usize)?.as_mut()?;
        if slot.serial.get() & 0xffff_ffff != key & 0xffff_ffff {
            return None;
        }
        slot.scheduled = false;
        slot.waker.rearm();
        let (body, waker) = slot.body.take()?;
        Some((
            TaskId {
                serial: slot.serial,
                slot: index,
            },
            body,
            waker,
        ))
    }

    /// Puts a task back behind its poll, or gives it back if it was cancelled meanwhile.
    pub(super) fn put_back(&self, id: TaskId, body: Box<dyn Task>, waker: Waker) -> Option<Box<dyn Task>> {
        match self.slots.borrow_mut().get_mut(id.slot as usize) {
            Some(Some(slot)) if slot.serial == id.serial => {
                slot.body = Some((body, waker));
                None
            }
            _ => Some(body),
        }
    }

    /// Calls `f` for each task of a session.
    pub(crate) fn each_of(&self, session: u32, mut f: impl FnMut(TaskId, &Purpose)) {
        for (i, slot) in self.slots.borrow().iter().enumerate() {
            if let Some(slot) = slot.as_ref().filter(|s| s.purpose.owner.slot == session) {
                let id = TaskId {
                    serial: slot.serial,
                    slot: i as u32,
                };
                f(id, &slot.purpose);
            }
        }
    }
}

impl Resource for Tasks {
    fn holds(&self, session: SessionId, out: &mut Vec<Hold>) {
        for slot in self.slots.borrow().iter().flatten() {
            let purpose = &slot.purpose;
            if purpose.owner.slot == session.slot {
                let lingers = if slot.lingers {
                    ", closed: its peer is heard out"
                } else {
                    ""
                };
                out.push(Hold {
                    kind: purpose.kind,
                    name: format!("{}{lingers}", purpose.what),
                    count: 1,
                    place: purpose.place,
                });
            }
        }
    }
}
