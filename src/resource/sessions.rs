//! The sessions: a slab of records, the tree they form, their reference counts, and who may have to be collected.
//!
//! Slot 0 is the kernel, root of the tree. A record is reused, a serial never, so an identifier is checked by one
//! comparison. The object behind a session is a type parameter: this table knows nothing of kinds of sessions.

use super::{Hold, HoldKind, Resource};
use crate::error::OnFailure;
use crate::id::SessionId;
use crate::queue::heap::HeapId;
use std::panic::Location;

pub(crate) const KERNEL: u32 = 0;
const NONE: u32 = u32::MAX;

pub(crate) struct Record<O> {
    /// `u64::MAX` in a free record; 0 for the kernel.
    serial: u64,
    /// Everything that keeps it alive, added up. Events count once each.
    refs: u32,
    parent: u32,
    /// Children form a list from the oldest to the youngest.
    oldest: u32,
    youngest: u32,
    older: u32,
    younger: u32,
    /// When `refs` last became zero, by the table's own counter; the sweep goes from the latest back (law L29).
    mark: u64,
    /// Stands in the list of the marked.
    marked: bool,
    /// Its `_stop` is under way, or over.
    pub(crate) stopping: bool,
    /// … and a `stop` of everything has found it so. It still speaks for itself in handlers that are called from now on.
    pub(crate) passed_over: bool,
    /// Its first `_start` is under way, so that its parent has not heard of it.
    pub(crate) starting: bool,
    /// Its own policy for failures; without one it has its nearest ancestor's.
    pub(crate) on_failure: Option<OnFailure>,
    /// The head of its list of timers, which the queue links.
    pub(crate) first_timer: Option<HeapId>,
    /// Gone (`None`) once the session is freed.
    object: Option<O>,
    place: &'static Location<'static>,
}

pub(crate) struct Sessions<O> {
    records: Vec<Record<O>>,
    free: Vec<u32>,
    /// Sessions alive, the kernel not counted.
    count: usize,
    next_serial: u64,
    marks: Vec<u32>,
    mark: u64,
    /// A mark that is not made yet (0 for none), and whose.
    dated: u64,
    dated_slot: u32,
    dated_serial: u64,
    kernel: u32,
}

impl<O: Clone> Sessions<O> {
    /// A table with the kernel's record in slot 0.
    #[track_caller]
    pub(crate) fn new(kernel: u32) -> Self {
        let mut table = Sessions {
            records: Vec::new(),
            free: Vec::new(),
            count: 0,
            next_serial: 1,
            marks: Vec::new(),
            mark: 0,
            dated: 0,
            dated_slot: KERNEL,
            dated_serial: 0,
            kernel,
        };
        let root = table.blank(0, NONE, Location::caller());
        table.records.push(root);
        table
    }

    fn blank(&self, serial: u64, parent: u32, place: &'static Location<'static>) -> Record<O> {
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
            object: None,
            place,
        }
    }

    /// Enters a session as the youngest child of `parent`, which holds one thing more; it is marked, since nothing holds it.
    pub(crate) fn allocate(&mut self, parent: u32, object: O, place: &'static Location<'static>) -> SessionId {
        let serial = self.next_serial;
        self.next_serial += 1;
        let mut record = self.blank(serial, NONE, place);
        record.object = Some(object);
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

    /// Frees a record that has no children and hands out its object, whose drop is user code.
    #[must_use]
    pub(crate) fn free(&mut self, slot: u32) -> Option<O> {
        self.orphan(slot);
        let record = &mut self.records[slot as usize];
        record.serial = u64::MAX;
        record.refs = 0;
        let object = record.object.take();
        self.count -= 1;
        self.free.push(slot);
        object
    }

    /// Takes a session from its parent, if it has one yet, which holds one thing less.
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

    /// The slot behind an identifier, if its session is alive (the kernel always is).
    #[inline]
    pub(crate) fn resolve(&self, id: SessionId) -> Option<u32> {
        let record = self.records.get(id.slot as usize)?;
        (record.serial == id.serial && id.kernel == self.kernel).then_some(id.slot)
    }

    /// The identifier behind a serial number, by looking at all of them.
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

    /// The object of a session that is alive.
    #[inline]
    pub(crate) fn object_of(&self, id: SessionId) -> Option<O> {
        let record = self.records.get(id.slot as usize)?;
        if record.serial != id.serial || id.kernel != self.kernel {
            return None;
        }
        record.object.clone()
    }

    #[inline]
    pub(crate) fn object(&self, slot: u32) -> Option<O> {
        self.records[slot as usize].object.clone()
    }

    pub(crate) fn place(&self, slot: u32) -> &'static Location<'static> {
        self.records[slot as usize].place
    }

    /// Sessions alive, the kernel not counted.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn parent(&self, slot: u32) -> Option<u32> {
        let parent = self.records[slot as usize].parent;
        (parent != NONE).then_some(parent)
    }

    /// The children, oldest first.
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

    /// All sessions but the kernel, in slot order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        (1..self.records.len() as u32).filter(|s| self.records[*s as usize].serial != u64::MAX)
    }

    /// Bytes that the table takes.
    pub(crate) fn memory_size(&self) -> usize {
        self.records.capacity() * self.record_size()
    }

    /// Bytes of one session's record.
    pub(crate) fn record_size(&self) -> usize {
        size_of::<Record<O>>()
    }

    pub(crate) fn refs(&self, slot: u32) -> u32 {
        self.records[slot as usize].refs
    }

    /// A queued event holds its receiver, and its sender if that is another.
    #[inline]
    pub(crate) fn hold_ends(&mut self, to: u32, from: u32) {
        self.records[to as usize].refs += 1;
        if from != to {
            self.records[from as usize].refs += 1;
        }
    }

    /// The same for a sender by its parts, in whose place the kernel sends if it is gone; gives the sender's slot. One that
    /// `stop` has found in its `_stop` is asked whether it still speaks for itself.
    #[inline(always)]
    pub(crate) fn hold_pair(&mut self, to: u32, from: u32, from_serial: u64, speaks: impl FnOnce() -> bool) -> u32 {
        let sender = &self.records[from as usize];
        let itself = sender.serial == from_serial && (!sender.passed_over || speaks());
        let from = if itself { from } else { KERNEL };
        self.hold_ends(to, from);
        from
    }

    /// The same for an event to oneself; `None` if the session is gone.
    #[inline]
    pub(crate) fn hold_self(&mut self, id: SessionId) -> Option<u32> {
        let record = &mut self.records[id.slot as usize];
        if record.serial != id.serial {
            return None;
        }
        record.refs += 1;
        Some(id.slot)
    }

    /// Takes an event out for dispatch: gives back what it held, and says who handles it. Where that was the last that
    /// held the receiver, its mark is only dated here, and made once its handler has returned without finding anything
    /// to live for: a session that posts to itself would be marked by every event.
    #[inline(always)]
    pub(crate) fn take_event(&mut self, to: u32, from: u32) -> (Option<O>, SessionId) {
        self.confirm_mark();
        let kernel = self.kernel;
        let receiver = &mut self.records[to as usize];
        let session = SessionId {
            serial: receiver.serial,
            slot: to,
            kernel,
        };
        receiver.refs -= 1;
        if receiver.refs == 0 {
            self.mark += 1;
            self.dated = self.mark;
            self.dated_slot = to;
            self.dated_serial = session.serial;
        }
        let object = receiver.object.clone();
        if from != to {
            self.release(from);
        }
        (object, session)
    }

    /// Makes the mark that the last event of the loop has left dated, if its session is still there, nothing holds it, and
    /// it has no later mark. To be called when no handler runs.
    #[inline]
    fn confirm_mark(&mut self) {
        if self.dated != 0 {
            let date = std::mem::take(&mut self.dated);
            let record = &self.records[self.dated_slot as usize];
            if record.refs == 0 && record.serial == self.dated_serial && self.dated_slot != KERNEL {
                self.mark_as_of(date);
            }
        }
    }

    #[cold]
    fn mark_as_of(&mut self, date: u64) {
        let record = &mut self.records[self.dated_slot as usize];
        // It may stand in the list by an older mark, which no longer counts.
        record.mark = record.mark.max(date);
        if !record.marked {
            record.marked = true;
            self.marks.push(self.dated_slot);
        }
    }

    /// Gives back what a queued event held, the receiver first, as POE does.
    #[inline]
    pub(crate) fn release_ends(&mut self, to: u32, from: u32) {
        self.release(to);
        if from != to {
            self.release(from);
        }
    }

    /// One thing more keeps it alive. A mark from before is undone by this: the sweep looks at the count.
    #[inline]
    pub(crate) fn hold(&mut self, slot: u32) {
        self.records[slot as usize].refs += 1;
    }

    /// One thing less; at zero it is marked for the next sweep.
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
        if record.refs == 0 {
            self.mark(slot);
        }
    }

    #[inline]
    fn mark(&mut self, slot: u32) {
        if slot == KERNEL {
            return;
        }
        self.mark += 1;
        let record = &mut self.records[slot as usize];
        record.mark = self.mark;
        if !record.marked {
            record.marked = true;
            self.marks.push(slot);
        }
    }

    /// Whether a sweep has something to do, after wiping marks that were taken back: two sessions that post to each
    /// other are marked by every event.
    #[inline]
    pub(crate) fn settle_marks(&mut self) -> bool {
        self.confirm_mark();
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
        self.confirm_mark();
        !self.marks.is_empty()
    }

    /// Empties the list of the marked into `round`: those that nothing holds, the last marked first.
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
