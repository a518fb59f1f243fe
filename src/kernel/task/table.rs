//! The table of a kernel's tasks: the owner of each, and which are to be polled.

use super::{Purpose, Task};
use crate::bridge::wake::{TaskWaker, WakeState};
use crate::id::{Place, SessionId, TaskId};
use crate::kernel::TaskSnapshot;
use crate::kernel::flags::{self, Flag, Flags};
use crate::resource::{Hold, HoldKind, Resource};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::task::{Wake, Waker};

pub(crate) struct Tasks {
    /// The kernel's, for the identifiers.
    tag: u32,
    shared: Arc<WakeState>,
    pub(super) slots: RefCell<Vec<Option<Slot>>>,
    /// The youngest task of each session, by the session's slot, so that the end of a session looks at its own tasks only.
    youngest: RefCell<Vec<u32>>,
    free: RefCell<Vec<u32>>,
    serial: Cell<u64>,
    /// Those of sessions. The kernel's own, which listen for signals, keep nothing alive.
    count: Cell<usize>,
    /// Those that linger.
    lingering: Cell<usize>,
    /// Tasks to be polled as soon as the current handler returns: new futures, and wheels that have something to write.
    intake: RefCell<Vec<u64>>,
    /// `intake` is not empty.
    has_intake: Flag,
    /// The part of the intake that is being polled …
    taken: RefCell<VecDeque<u64>>,
    /// … which round of it this is …
    rounds: Cell<u8>,
    /// … and whether that was cut by a pause.
    is_cut: Cell<bool>,
    /// Tasks that have not had their turn in this I/O phase.
    turns: RefCell<VecDeque<u64>>,
    /// A task of a session's own code that goes first in the next poll, which has a budget for it.
    held: Cell<Option<u64>>,
    /// Whose turn is being taken: it has left the list of the woken, and is not polled yet.
    passed: Cell<Option<u64>>,
    woken: RefCell<Vec<u64>>,
}

pub(super) struct Slot {
    pub(super) serial: NonZeroU64,
    pub(super) purpose: Purpose,
    waker: Arc<TaskWaker>,
    /// Out while it is polled.
    body: Option<(Box<dyn Task>, Waker)>,
    /// Stands in the intake.
    scheduled: bool,
    /// It runs code of the session, on a cooperative budget.
    is_guest: bool,
    /// It only waits for a peer's goodbye.
    lingers: bool,
    /// Its neighbours among the tasks of its session.
    older: u32,
    younger: u32,
}

impl Slot {
    /// A task that is being polled, or that polls, has no stream to look at.
    fn snapshot(&self, id: TaskId) -> TaskSnapshot {
        TaskSnapshot {
            id,
            kind: self.purpose.kind,
            name: self.purpose.what.to_string(),
            place: self.purpose.place,
            stream: self.body.as_ref().and_then(|(body, _)| body.stream()),
        }
    }
}

/// No task, where a slot is asked for.
const NONE: u32 = u32::MAX;

/// Rounds of the intake in one go.
const ROUNDS: u8 = 4;

/// Tasks of a kernel that may wait at a time for what peers have still to say: each keeps a descriptor.
const LINGERING: usize = 1024;

fn key(slot: u32, serial: NonZeroU64) -> u64 {
    u64::from(slot) << 32 | (serial.get() & 0xffff_ffff)
}

impl Tasks {
    pub(crate) fn new(shared: Arc<WakeState>, tag: u32, flags: &Flags) -> Self {
        Tasks {
            tag,
            shared,
            slots: RefCell::default(),
            youngest: RefCell::default(),
            free: RefCell::default(),
            serial: Cell::new(0),
            count: Cell::new(0),
            lingering: Cell::new(0),
            intake: RefCell::default(),
            has_intake: Flag::new(flags, flags::INTAKE),
            taken: RefCell::default(),
            rounds: Cell::new(0),
            is_cut: Cell::new(false),
            turns: RefCell::default(),
            held: Cell::new(None),
            passed: Cell::new(None),
            woken: RefCell::default(),
        }
    }

    /// The tasks of sessions: while there is one the kernel is not idle.
    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

    /// Whether a task is still there.
    pub(crate) fn contains(&self, id: TaskId) -> bool {
        let slots = self.slots.borrow();
        let slot = slots.get(id.slot as usize).and_then(Option::as_ref);
        slot.is_some_and(|slot| slot.serial == id.serial)
    }

    /// Whether a task waits that no waker announces.
    #[inline]
    pub(crate) fn has_intake(&self) -> bool {
        self.has_intake.get()
    }

    /// The tasks that are ready now take their turns, in the order in which they became so.
    pub(crate) fn begin_turns(&self) {
        let mut woken = self.woken.borrow_mut();
        self.shared.take_woken(&mut woken);
        self.turns.borrow_mut().extend(woken.drain(..));
    }

    /// Whose turn it is.
    pub(crate) fn next_turn(&self) -> Option<u64> {
        self.held.get().or_else(|| self.turns.borrow().front().copied())
    }

    /// The turn of that task is being taken.
    pub(crate) fn pass_turn(&self) {
        let key = self.held.take().or_else(|| self.turns.borrow_mut().pop_front());
        self.passed.set(key);
    }

    /// Who of the intake is polled next: as many rounds as a chain of handlers needs.
    pub(crate) fn next_of_intake(&self) -> Option<u64> {
        if let Some(held) = self.held.get() {
            return Some(held);
        }
        let mut taken = self.taken.borrow_mut();
        if taken.is_empty() && self.rounds.get() < ROUNDS && self.has_intake.replace(false) {
            self.rounds.set(self.rounds.get() + 1);
            taken.extend(self.intake.borrow_mut().drain(..));
        }
        taken.front().copied()
    }

    /// It is being polled.
    pub(crate) fn pass_of_intake(&self) {
        if self.held.take().is_none() {
            self.taken.borrow_mut().pop_front();
        }
    }

    /// Notes whether the intake was left before its end.
    pub(crate) fn cut_intake(&self, cut: bool) {
        self.is_cut.set(cut);
        if !cut {
            self.rounds.set(0);
        }
    }

    /// Whether the intake was left before its end.
    pub(crate) fn is_intake_cut(&self) -> bool {
        self.is_cut.get()
    }

    /// The host's budget is used up: that task goes first in the next poll.
    pub(crate) fn wait_for_budget(&self, key: u64) {
        self.held.set(Some(key));
    }

    /// Whether a task runs code of its session.
    pub(crate) fn is_guest(&self, key: u64) -> bool {
        let slots = self.slots.borrow();
        let slot = slots.get((key >> 32) as usize).and_then(Option::as_ref);
        slot.is_some_and(|slot| slot.is_guest && slot.serial.get() & 0xffff_ffff == key & 0xffff_ffff)
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
        // A wheel runs handlers at once, and so has its first turn in the next I/O phase, as in POE. What only posts events
        // begins as soon as the current handler returns.
        let waits = purpose.kind == HoldKind::Wheel;
        let first_turn = waits.then(|| waker.clone());
        let is_guest = body.is_guest();
        slots[slot as usize] = Some(Slot {
            serial,
            purpose,
            waker,
            body: Some((body, std_waker)),
            scheduled: !waits,
            is_guest,
            lingers: false,
            older: NONE,
            younger: NONE,
        });
        self.link(&mut slots, slot);
        drop(slots);
        match first_turn {
            // This may wake the host, and its code must not find the table in use.
            Some(waker) => waker.wake(),
            None => self.put_in(key(slot, serial)),
        }
        self.id(serial, slot)
    }

    fn id(&self, serial: NonZeroU64, slot: u32) -> TaskId {
        TaskId {
            serial,
            slot,
            kernel: self.tag,
        }
    }

    /// Puts a task among those of its session.
    fn link(&self, slots: &mut [Option<Slot>], at: u32) {
        let Some(slot) = &mut slots[at as usize] else { return };
        let session = slot.purpose.owner.slot as usize;
        let mut youngest = self.youngest.borrow_mut();
        if youngest.len() <= session {
            youngest.resize(session + 1, NONE);
        }
        let older = std::mem::replace(&mut youngest[session], at);
        (slot.older, slot.younger) = (older, NONE);
        if let Some(Some(older)) = slots.get_mut(older as usize) {
            older.younger = at;
        }
    }

    /// Takes it out of them again.
    fn unlink(&self, slots: &mut [Option<Slot>], at: u32) {
        let Some(slot) = &slots[at as usize] else { return };
        let (older, younger, session) = (slot.older, slot.younger, slot.purpose.owner.slot);
        if let Some(Some(older)) = slots.get_mut(older as usize) {
            older.younger = younger;
        }
        match slots.get_mut(younger as usize) {
            Some(Some(younger)) => younger.older = older,
            _ => self.youngest.borrow_mut()[session as usize] = older,
        }
    }

    /// Calls `f` for each task of a session, the oldest first.
    fn each(&self, session: u32, mut f: impl FnMut(TaskId, &Slot)) {
        let slots = self.slots.borrow();
        let look = |at: u32| slots.get(at as usize).and_then(Option::as_ref);
        let mut at = self.youngest.borrow().get(session as usize).copied().unwrap_or(NONE);
        while let Some(slot) = look(at)
            && slot.older != NONE
        {
            at = slot.older;
        }
        while let Some(slot) = look(at) {
            let serial = slot.serial;
            f(self.id(serial, at), slot);
            at = slot.younger;
        }
    }

    fn put_in(&self, key: u64) {
        self.intake.borrow_mut().push(key);
        self.has_intake.set(true);
    }

    pub(super) fn remove(&self, id: TaskId) -> Option<Slot> {
        if id.kernel != self.tag {
            return None;
        }
        let mut slots = self.slots.borrow_mut();
        if slots.get(id.slot as usize)?.as_ref()?.serial != id.serial {
            return None;
        }
        self.unlink(&mut slots, id.slot);
        let slot = slots[id.slot as usize].take()?;
        self.free.borrow_mut().push(id.slot);
        if !slot.purpose.owner.is_kernel() {
            self.count.set(self.count.get() - 1);
        }
        if slot.lingers {
            self.lingering.set(self.lingering.get() - 1);
        }
        Some(slot)
    }

    /// The waker of a task, for code that does some of the task's work. `None` if the task is over.
    pub(crate) fn waker(&self, id: TaskId) -> Option<Waker> {
        let slots = self.slots.borrow();
        let slot = slots.get(id.slot as usize)?.as_ref()?;
        (slot.serial == id.serial).then(|| Waker::from(slot.waker.clone()))
    }

    /// Enters another owner; gives the old one, or nothing if the task is over.
    pub(super) fn set_owner(&self, id: TaskId, to: SessionId, place: Place) -> Option<SessionId> {
        let mut slots = self.slots.borrow_mut();
        if slots.get(id.slot as usize)?.as_ref()?.serial != id.serial {
            return None;
        }
        self.unlink(&mut slots, id.slot);
        let slot = slots[id.slot as usize].as_mut()?;
        slot.purpose.place = place;
        let from = std::mem::replace(&mut slot.purpose.owner, to);
        self.link(&mut slots, id.slot);
        Some(from)
    }

    /// Lets a task have a turn in the next I/O phase.
    pub(crate) fn wake(&self, id: TaskId) {
        if let Some(waker) = self.waker(id) {
            waker.wake();
        }
    }

    /// Has the task polled as soon as the current handler returns, for its output or its timers.
    pub(crate) fn schedule(&self, id: TaskId) {
        let mut slots = self.slots.borrow_mut();
        if let Some(Some(slot)) = slots.get_mut(id.slot as usize)
            && slot.serial == id.serial
            && !std::mem::replace(&mut slot.scheduled, true)
        {
            self.put_in(key(id.slot, id.serial));
        }
    }

    /// Has every task polled, because another runtime runs the kernel now.
    pub(crate) fn wake_all(&self) {
        // Each has a turn, in which it may read: being scheduled would not do.
        for id in self.those(|_| true) {
            if let Some(waker) = self.waker(id) {
                waker.wake();
            }
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
        let mut ids = Vec::new();
        self.each(session, |id, _| ids.push(id));
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
            .map(|(slot, s)| self.id(s.serial, slot))
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
        // A task that is polled for its output has its place among the woken still: a wake-up must not give it a second one,
        // which it would keep from slice to slice.
        if self.passed.get() == Some(key) {
            self.passed.set(None);
            slot.waker.rearm();
        }
        let (body, waker) = slot.body.take()?;
        Some((self.id(slot.serial, index), body, waker))
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

    /// Calls `f` with up to `limit` tasks, from a slot on, and returns where the rest begins.
    pub(crate) fn each_from(&self, from: u32, limit: usize, mut f: impl FnMut(TaskSnapshot, &Purpose)) -> Option<u32> {
        let slots = self.slots.borrow();
        let found = slots.iter().enumerate().skip(from as usize);
        let found = found.filter_map(|(index, slot)| slot.as_ref().map(|slot| (index as u32, slot)));
        for (taken, (index, slot)) in found.enumerate() {
            if taken == limit {
                return Some(index);
            }
            f(slot.snapshot(self.id(slot.serial, index)), &slot.purpose);
        }
        None
    }

    /// Calls `f` for each task of a session.
    pub(crate) fn each_of(&self, session: u32, mut f: impl FnMut(TaskSnapshot)) {
        self.each(session, |id, slot| f(slot.snapshot(id)));
    }
}

impl Resource for Tasks {
    fn holds(&self, session: SessionId, out: &mut Vec<Hold>) {
        self.each(session.slot, |_, slot| {
            let purpose = &slot.purpose;
            let lingers = if slot.lingers {
                ", closed: reading until the peer closes"
            } else {
                ""
            };
            out.push(Hold {
                kind: purpose.kind,
                name: format!("{}{lingers}", purpose.what),
                count: 1,
                place: purpose.place,
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Core;
    use crate::name::Name;
    use proptest::prelude::*;
    use std::panic::Location;
    use std::task::{Context, Poll};

    struct Never;

    impl Task for Never {
        fn poll(&mut self, _: &Core, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }

    fn session(slot: u32) -> SessionId {
        SessionId {
            serial: u64::from(slot) + 1,
            slot,
            kernel: 1,
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u32),
        Remove(usize),
        Move(usize, u32),
        Clear(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1..5_u32).prop_map(Step::Insert),
            2 => any::<usize>().prop_map(Step::Remove),
            2 => (any::<usize>(), 1..5_u32).prop_map(|(which, to)| Step::Move(which, to)),
            1 => (1..5_u32).prop_map(Step::Clear),
        ]
    }

    proptest! {
        /// Whatever becomes of tasks, each session has its own, the oldest first; one that moved comes last.
        #[test]
        fn each_session_has_its_own_tasks(steps in prop::collection::vec(step(), 1..80)) {
            let tasks = Tasks::new(Arc::default(), 1, &Flags::default());
            let mut model: Vec<(u32, TaskId)> = Vec::new();
            for step in steps {
                match step {
                    Step::Insert(owner) => {
                        let purpose = Purpose {
                            owner: session(owner),
                            kind: HoldKind::Task,
                            what: Name::from("never"),
                            place: Location::caller(),
                            listener: false,
                        };
                        model.push((owner, tasks.insert(purpose, Box::new(Never))));
                    }
                    Step::Remove(which) if !model.is_empty() => {
                        let (_, id) = model.remove(which % model.len());
                        prop_assert!(tasks.remove(id).is_some());
                        prop_assert!(tasks.remove(id).is_none());
                    }
                    Step::Move(which, to) if !model.is_empty() => {
                        let (from, id) = model.remove(which % model.len());
                        let was = tasks.set_owner(id, session(to), Location::caller());
                        prop_assert_eq!(was, Some(session(from)));
                        model.push((to, id));
                    }
                    Step::Clear(owner) => {
                        let those = model.extract_if(.., |(of, _)| *of == owner).count();
                        prop_assert_eq!(tasks.clear(owner).len(), those);
                    }
                    Step::Remove(_) | Step::Move(..) => {}
                }
                prop_assert_eq!(tasks.count(), model.len());
                for owner in 1..5 {
                    let mut found = Vec::new();
                    tasks.each_of(owner, |task| found.push(task.id));
                    let of_it: Vec<TaskId> = model.iter().filter(|(of, _)| *of == owner).map(|(_, id)| *id).collect();
                    prop_assert_eq!(found, of_it);
                }
            }
        }
    }
}
