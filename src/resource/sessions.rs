//! The sessions: a slab of records, their tree, their reference counts, and the list of sessions to collect.
//!
//! Slot 0 is the kernel, root of the tree. A record is reused, a serial never, so an identifier is checked with one
//! comparison. The object behind a session is a type parameter: this table knows nothing of kinds of sessions.
//!
//! A session whose count falls to zero is *marked*: the next sweep tests it. A mark does not decide anything, because the
//! count may rise again before the sweep.
//!
//! # The ends of an event that is being handled
//!
//! POE releases the references of an event just before it calls the handler: first the receiver's, then the sender's. Doing so would mark a
//! session that posts to itself, and two that reply to each other, with every event. So the loop releases late:
//!
//! | | at [`take_event`](Sessions::take_event) | at [`release_event`](Sessions::release_event), after the handler |
//! |---|---|---|
//! | receiver | stays held, as `receiver`; nobody sees that hold | released, and marked as of before the handler if it was the last |
//! | another sender | released; `sender` if that was the last | marked as of before the handler, if still nothing holds it |
//!
//! The date of a mark leaves room for two earlier ones: marks are counted in threes.

use super::{Hold, HoldKind, Resource};
use crate::error::OnFailure;
use crate::id::{Place, SessionId};
use crate::queue::event_queue::EventQueue;
use crate::queue::heap::HeapId;
use std::panic::Location;

pub(crate) const KERNEL: u32 = 0;
const NONE: u32 = u32::MAX;

pub(crate) struct Record<O> {
    /// `u64::MAX` in a free record; 0 for the kernel.
    serial: u64,
    /// The sum of all references that keep it alive. Events count once each.
    refs: u32,
    parent: u32,
    /// Children form a list from the oldest to the youngest.
    oldest: u32,
    youngest: u32,
    older: u32,
    younger: u32,
    /// When `refs` last became zero, by the table's own counter; the sweep goes from the latest back (law L29).
    mark: u64,
    /// The session is in the list of marked sessions.
    marked: bool,
    /// Its `_stop` is running, or has run.
    pub(crate) stopping: bool,
    /// A `stop_all` found it during its `_stop`. In handlers that are called from now on it is still a sender.
    pub(crate) passed_over: bool,
    /// Its first `_start` is running, so its parent has had no `_child` event for it yet.
    pub(crate) starting: bool,
    /// Its own policy for failures; without one it has its nearest ancestor's.
    pub(crate) on_failure: Option<OnFailure>,
    /// The head of its list of timers, which the queue links.
    pub(crate) first_timer: Option<HeapId>,
    /// The session's, or nobody in the records of the kernel and of sessions that are freed.
    object: O,
    place: Place,
}

impl<O> Record<O> {
    #[inline]
    pub(crate) fn hold(&mut self) {
        self.refs += 1;
    }
}

pub(crate) struct Sessions<O> {
    /// The kernel's queue stands here so that an event borrows one cell.
    pub(crate) queue: EventQueue,
    /// The object of records without a session; it has no handlers.
    nobody: O,
    records: Vec<Record<O>>,
    free: Vec<u32>,
    /// Sessions alive, without the kernel.
    count: usize,
    next_serial: u64,
    marks: Vec<u32>,
    mark: u64,
    /// The receiver of the event that is being handled, or the kernel, which has one reference more meanwhile.
    receiver: u32,
    /// That event's sender, if nothing held it any more; else the kernel.
    sender: u32,
    /// The last mark that was made before that event was taken out.
    date: u64,
    kernel: u32,
}

impl<O: Clone> Sessions<O> {
    /// Makes a table with the kernel's record in slot 0.
    #[track_caller]
    pub(crate) fn new(kernel: u32, nobody: O) -> Self {
        let mut table = Sessions {
            queue: EventQueue::new(),
            nobody,
            records: Vec::new(),
            free: Vec::new(),
            count: 0,
            next_serial: 1,
            marks: Vec::new(),
            mark: 0,
            receiver: KERNEL,
            sender: KERNEL,
            date: 0,
            kernel,
        };
        let mut root = table.blank(0, NONE, Location::caller());
        root.refs = 1;
        table.records.push(root);
        table
    }

    fn blank(&self, serial: u64, parent: u32, place: Place) -> Record<O> {
        Record {
            serial,
            refs: 0,
            parent,
            oldest: NONE,
            youngest: NONE,
            older: NONE,
            younger: NONE,
            mark: 0,
            marked: false,
            stopping: false,
            passed_over: false,
            starting: false,
            on_failure: None,
            first_timer: None,
            object: self.nobody.clone(),
            place,
        }
    }

    /// Enters a session as the youngest child of `parent`, which gains one reference; it is marked, since nothing holds it.
    pub(crate) fn allocate(&mut self, parent: u32, object: O, place: Place) -> SessionId {
        let serial = self.next_serial;
        self.next_serial += 1;
        let mut record = self.blank(serial, NONE, place);
        record.object = object;
        record.starting = true;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.records[slot as usize] = record;
                slot
            }
            None => {
                self.records.push(record);
                self.records.len() as u32 - 1
            }
        };
        self.count += 1;
        self.adopt(parent, slot);
        self.mark(slot);
        SessionId {
            serial,
            slot,
            kernel: self.kernel,
        }
    }

    /// Frees a record that has no children and returns its object, whose drop is user code.
    #[must_use]
    pub(crate) fn free(&mut self, slot: u32) -> O {
        self.orphan(slot);
        if slot == self.receiver {
            self.rest();
        }
        if slot == self.sender {
            self.sender = KERNEL;
        }
        let record = &mut self.records[slot as usize];
        record.serial = u64::MAX;
        record.refs = 0;
        let object = std::mem::replace(&mut record.object, self.nobody.clone());
        self.count -= 1;
        self.free.push(slot);
        object
    }

    /// Removes a session from its parent, if it has one yet; the parent loses one reference.
    pub(crate) fn orphan(&mut self, slot: u32) {
        let (parent, older, younger) = {
            let r = &self.records[slot as usize];
            (r.parent, r.older, r.younger)
        };
        if parent == NONE {
            return;
        }
        match older {
            NONE => self.records[parent as usize].oldest = younger,
            o => self.records[o as usize].younger = younger,
        }
        match younger {
            NONE => self.records[parent as usize].youngest = older,
            y => self.records[y as usize].older = older,
        }
        self.records[slot as usize].parent = NONE;
        self.release(parent);
    }

    fn adopt(&mut self, parent: u32, slot: u32) {
        let youngest = self.records[parent as usize].youngest;
        {
            let r = &mut self.records[slot as usize];
            r.parent = parent;
            r.older = youngest;
            r.younger = NONE;
        }
        match youngest {
            NONE => self.records[parent as usize].oldest = slot,
            y => self.records[y as usize].younger = slot,
        }
        self.records[parent as usize].youngest = slot;
        self.hold(parent);
    }

    /// Gives a session another parent, without events and without collecting anything.
    pub(crate) fn move_child(&mut self, slot: u32, parent: u32) {
        self.orphan(slot);
        self.adopt(parent, slot);
    }

    #[inline]
    pub(crate) fn get(&self, slot: u32) -> &Record<O> {
        &self.records[slot as usize]
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: u32) -> &mut Record<O> {
        &mut self.records[slot as usize]
    }

    /// Returns a record together with the queue, which has its timers.
    #[inline]
    pub(crate) fn with_queue(&mut self, slot: u32) -> (&mut Record<O>, &mut EventQueue) {
        (&mut self.records[slot as usize], &mut self.queue)
    }

    /// The same for a session of this kernel, if it is alive.
    #[inline(always)]
    pub(crate) fn own_with_queue(&mut self, id: SessionId) -> Option<(&mut Record<O>, &mut EventQueue)> {
        match self.records.get_mut(id.slot as usize) {
            Some(record) if record.serial == id.serial => Some((record, &mut self.queue)),
            _ => None,
        }
    }

    /// Whether a session of this kernel is alive.
    #[inline(always)]
    pub(crate) fn is_alive(&self, id: SessionId) -> bool {
        let record = self.records.get(id.slot as usize);
        record.is_some_and(|record| record.serial == id.serial)
    }

    /// Returns the slot of an identifier, if its session is alive (the kernel always is).
    #[inline]
    pub(crate) fn resolve(&self, id: SessionId) -> Option<u32> {
        let record = self.records.get(id.slot as usize)?;
        (record.serial == id.serial && id.kernel == self.kernel).then_some(id.slot)
    }

    /// Returns the identifier with a serial number; searches all sessions.
    pub(crate) fn find(&self, serial: u64) -> Option<SessionId> {
        let slot = self.records.iter().position(|r| r.serial == serial)?;
        Some(self.id(slot as u32))
    }

    #[inline]
    pub(crate) fn id(&self, slot: u32) -> SessionId {
        SessionId {
            serial: self.records[slot as usize].serial,
            slot,
            kernel: self.kernel,
        }
    }

    /// Returns the object of a session that is alive.
    #[inline]
    pub(crate) fn object_of(&self, id: SessionId) -> Option<O> {
        let record = self.records.get(id.slot as usize)?;
        if record.serial != id.serial || id.kernel != self.kernel || id.slot == KERNEL {
            return None;
        }
        Some(record.object.clone())
    }

    /// Returns the object of a slot; the kernel has none, nor has a slot that is free.
    #[inline]
    pub(crate) fn object(&self, slot: u32) -> Option<O> {
        let record = &self.records[slot as usize];
        (slot != KERNEL && record.serial != u64::MAX).then(|| record.object.clone())
    }

    pub(crate) fn place(&self, slot: u32) -> Place {
        self.records[slot as usize].place
    }

    /// Returns the number of sessions alive, without the kernel.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Returns how many sessions there have been.
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "for those who watch"))]
    pub(crate) fn born(&self) -> u64 {
        self.next_serial - 1
    }

    pub(crate) fn parent(&self, slot: u32) -> Option<u32> {
        let parent = self.records[slot as usize].parent;
        (parent != NONE).then_some(parent)
    }

    pub(crate) fn oldest_child(&self, slot: u32) -> Option<u32> {
        let oldest = self.records[slot as usize].oldest;
        (oldest != NONE).then_some(oldest)
    }

    /// Returns the children, oldest first.
    pub(crate) fn children(&self, slot: u32) -> impl Iterator<Item = u32> {
        let mut at = self.records[slot as usize].oldest;
        std::iter::from_fn(move || {
            let slot = at;
            if slot == NONE {
                return None;
            }
            at = self.records[slot as usize].younger;
            Some(slot)
        })
    }

    /// Returns all sessions but the kernel, in slot order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.slots_from(1)
    }

    /// The same, from a slot on.
    pub(crate) fn slots_from(&self, from: u32) -> impl Iterator<Item = u32> {
        (from.max(1)..self.records.len() as u32).filter(|s| self.records[*s as usize].serial != u64::MAX)
    }

    /// Returns the number of sessions that were ever created, without the kernel.
    pub(crate) fn created(&self) -> u64 {
        self.next_serial - 1
    }

    /// Returns the bytes of memory that the table uses.
    pub(crate) fn memory_size(&self) -> usize {
        self.records.capacity() * self.record_size()
    }

    /// Returns the size of one session's record in bytes.
    pub(crate) fn record_size(&self) -> usize {
        size_of::<Record<O>>()
    }

    pub(crate) fn refs(&self, slot: u32) -> u32 {
        self.records[slot as usize].refs - u32::from(slot == self.receiver)
    }

    /// Adds the references of a queued event: to its receiver, and to its sender if that is another session.
    #[inline]
    pub(crate) fn hold_ends(&mut self, to: u32, from: u32) {
        self.records[to as usize].refs += 1;
        if from != to {
            self.records[from as usize].refs += 1;
        }
    }

    /// Adds the same references for a post to a session by its identifier, from one given in parts, and returns the sender's slot;
    /// `None` if there is no such receiver.
    ///
    /// If the sender is gone the kernel is the sender. A session that `stop_all` has found in its `_stop` is the sender if `speaks`
    /// returns true.
    #[inline(always)]
    pub(crate) fn hold_post(
        &mut self,
        to: SessionId,
        from: u32,
        from_serial: u64,
        speaks: impl FnOnce() -> bool,
    ) -> Option<u32> {
        let receiver = self.records.get_mut(to.slot as usize)?;
        if receiver.serial != to.serial || to.kernel != self.kernel {
            return None;
        }
        receiver.refs += 1;
        let sender = &mut self.records[from as usize];
        let (sender, from) = match sender.serial != from_serial || (sender.passed_over && !speaks()) {
            true => (&mut self.records[KERNEL as usize], KERNEL),
            false => (sender, from),
        };
        if from != to.slot {
            sender.refs += 1;
        }
        Some(from)
    }

    /// Adds the reference of an event to oneself; `None` if the session is gone.
    #[inline]
    pub(crate) fn hold_self(&mut self, id: SessionId) -> Option<u32> {
        let record = &mut self.records[id.slot as usize];
        if record.serial != id.serial {
            return None;
        }
        record.refs += 1;
        Some(id.slot)
    }

    /// Takes an event out for dispatch: returns the receiver's object and serial, and the sender's serial.
    ///
    /// Follow it with [`release_event`](Self::release_event) once its handler has returned.
    #[inline(always)]
    pub(crate) fn take_event(&mut self, to: u32, from: u32) -> (O, u64, u64) {
        self.date = self.mark;
        self.receiver = to;
        let receiver = &self.records[to as usize];
        let (object, serial) = (receiver.object.clone(), receiver.serial);
        if from == to {
            return (object, serial, serial);
        }
        let sender = &mut self.records[from as usize];
        let sender_serial = sender.serial;
        sender.refs -= 1;
        if sender.refs == 0 {
            self.sender = from;
        }
        (object, serial, sender_serial)
    }

    /// Releases what the event that was handled last still holds. Follow it with [`take_event`](Self::take_event) or
    /// [`rest`](Self::rest).
    #[inline(always)]
    pub(crate) fn release_event(&mut self) {
        let record = &mut self.records[self.receiver as usize];
        record.refs -= 1;
        if record.refs == 0 {
            self.mark_receiver();
        }
        if self.sender != KERNEL {
            let sender = std::mem::replace(&mut self.sender, KERNEL);
            if self.records[sender as usize].refs == 0 {
                self.mark_as_of(sender, self.date + 2);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn mark_receiver(&mut self) {
        if self.receiver != KERNEL {
            self.mark_as_of(self.receiver, self.date + 1);
        }
    }

    /// No event is being handled.
    #[inline]
    pub(crate) fn rest(&mut self) {
        self.receiver = KERNEL;
        self.records[KERNEL as usize].refs += 1;
    }

    /// Releases what the last event still holds, and no event follows it at once.
    #[inline]
    pub(crate) fn settle(&mut self) {
        self.release_event();
        self.rest();
    }

    #[cold]
    #[inline(never)]
    fn mark_as_of(&mut self, slot: u32, date: u64) {
        self.mark += 3;
        let record = &mut self.records[slot as usize];
        // It may be in the list with an older mark, which no longer counts, or have got a later one in the handler.
        record.mark = record.mark.max(date);
        if !record.marked {
            record.marked = true;
            self.marks.push(slot);
        }
    }

    /// Releases the references of a queued event, the receiver's first, as POE does.
    #[inline]
    pub(crate) fn release_ends(&mut self, to: u32, from: u32) {
        self.release(to);
        if from != to {
            self.release(from);
        }
    }

    /// Adds a reference. An earlier mark has no effect then: the sweep tests the count.
    #[inline]
    pub(crate) fn hold(&mut self, slot: u32) {
        self.records[slot as usize].refs += 1;
    }

    /// Releases a reference; at zero the session is marked for the next sweep.
    #[inline]
    pub(crate) fn release(&mut self, slot: u32) {
        self.release_many(slot, 1);
    }

    #[inline]
    pub(crate) fn release_many(&mut self, slot: u32, count: u32) {
        let record = &mut self.records[slot as usize];
        debug_assert!(
            record.refs >= count,
            "session {} lost a reference that it never had",
            record.serial
        );
        record.refs -= count;
        // The hold of the event that is being handled does not count.
        if record.refs <= 1 && (record.refs == 0 || slot == self.receiver) {
            self.mark(slot);
        }
    }

    /// Makes the mark of a session that nothing holds the latest one.
    pub(crate) fn mark_again(&mut self, slot: u32) {
        if self.records[slot as usize].refs == 0 {
            self.mark(slot);
        }
    }

    #[inline]
    fn mark(&mut self, slot: u32) {
        if slot == KERNEL {
            return;
        }
        self.mark += 3;
        let record = &mut self.records[slot as usize];
        record.mark = self.mark;
        if !record.marked {
            record.marked = true;
            self.marks.push(slot);
        }
    }

    /// Whether a sweep has something to do. Removes marks that have no effect any more: two sessions that post to each
    /// other are marked with every event.
    #[inline(always)]
    pub(crate) fn settle_marks(&mut self) -> bool {
        !self.marks.is_empty() && self.drop_stale_marks()
    }

    #[inline(never)]
    fn drop_stale_marks(&mut self) -> bool {
        while let Some(slot) = self.marks.last() {
            let record = &mut self.records[*slot as usize];
            if record.refs == 0 {
                return true;
            }
            record.marked = false;
            self.marks.pop();
        }
        false
    }

    /// Whether a sweep may have something to do.
    #[inline]
    pub(crate) fn has_marks(&mut self) -> bool {
        self.settle();
        !self.marks.is_empty()
    }

    /// Moves the marked sessions that nothing holds into `round`, the last marked first.
    pub(crate) fn take_marked(&mut self, round: &mut Vec<SessionId>) {
        if let [slot] = self.marks[..] {
            self.marks.clear();
            let record = &mut self.records[slot as usize];
            record.marked = false;
            if record.refs == 0 && record.serial != u64::MAX {
                round.push(self.id(slot));
            }
            return;
        }
        let mut marks = std::mem::take(&mut self.marks);
        for slot in &marks {
            self.records[*slot as usize].marked = false;
        }
        marks.retain(|s| self.records[*s as usize].refs == 0 && self.records[*s as usize].serial != u64::MAX);
        marks.sort_unstable_by_key(|s| std::cmp::Reverse(self.records[*s as usize].mark));
        round.extend(marks.iter().map(|s| self.id(*s)));
        marks.clear();
        // The buffer is kept: in a busy kernel the next generation marks as many.
        self.marks = marks;
    }
}

impl<O: Clone + 'static> Resource for Sessions<O> {
    fn holds(&self, session: SessionId, out: &mut Vec<Hold>) {
        for child in self.children(session.slot) {
            out.push(Hold {
                kind: HoldKind::Child,
                name: format!("session {}", self.id(child)),
                count: 1,
                place: self.place(child),
            });
        }
    }
}
