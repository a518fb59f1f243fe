//! The thread's table of names in use: what the kernel compares is an index in it.

use super::{Key, Name, hash};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A name's index in the thread's table. Plain data: whoever stores one must hold a reference for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub(crate) struct NameIdx(u32);

/// Set in the index of a name that is forgotten with its last use.
const COUNTED: u32 = 1 << 31;

impl NameIdx {
    #[inline]
    fn is_counted(self) -> bool {
        self.0 & COUNTED != 0
    }

    #[inline]
    fn place(self) -> usize {
        (self.0 & !COUNTED) as usize
    }

    /// No name: the caller state of an event that was not sent from a handler.
    pub(crate) const NONE: NameIdx = NameIdx(0);
    pub(crate) const START: NameIdx = NameIdx(1);
    pub(crate) const STOP: NameIdx = NameIdx(2);
    pub(crate) const CHILD: NameIdx = NameIdx(3);
    pub(crate) const PARENT: NameIdx = NameIdx(4);
    pub(crate) const DEFAULT: NameIdx = NameIdx(5);
    /// The kernel's own queue items; a handler cannot be registered for them.
    pub(crate) const SIGNAL: NameIdx = NameIdx(6);
    pub(crate) const GC: NameIdx = NameIdx(7);
    /// A call by a `KernelHandle`: what stands in the queue for it.
    pub(crate) const CALL: NameIdx = NameIdx(8);
    /// In the place of a caller: another thread has sent the event. It is no name that a handler sees.
    pub(crate) const REMOTE: NameIdx = NameIdx(9);

    /// Whether it is one of the kernel's own queue items.
    #[inline]
    pub(crate) fn is_internal(self) -> bool {
        self.0.wrapping_sub(NameIdx::SIGNAL.0) <= NameIdx::CALL.0 - NameIdx::SIGNAL.0
    }

    /// Whether it stands for a caller's event.
    pub(crate) fn is_caller(self) -> bool {
        self != NameIdx::NONE && self != NameIdx::REMOTE
    }
}

/// Names that live as long as the table, which keeps one reference to each.
const PERMANENT: [&str; 10] = [
    "",
    "_start",
    "_stop",
    "_child",
    "_parent",
    "_default",
    "_signal",
    "_garbage_collect",
    super::key::CALL,
    "_sent by a handle",
];

struct Record {
    name: Name,
    hash: u32,
    /// Its index, with the mark that says whether uses are counted.
    idx: NameIdx,
    /// Uses of a counted name: handlers in state tables, queued events (twice: as a name, and as the caller's),
    /// postbacks. Zero in a free record, and in one of a constant.
    uses: u64,
}

struct Table {
    records: Vec<Record>,
    free: Vec<u32>,
    /// Open addressing with linear probing: hash in the upper half, index + 1 in the lower, 0 for empty.
    buckets: Vec<u64>,
}

/// The thread's table of names in use.
pub(crate) struct Names {
    table: RefCell<Table>,
    /// The constants that were looked up last, by their hashes: what a post asks first, with nothing borrowed.
    recent: [Cell<Recent>; RECENT],
}

const RECENT: usize = 128;

/// Where a constant's text stands, and its index, which never changes.
#[derive(Clone, Copy)]
struct Recent {
    address: usize,
    length: u32,
    idx: NameIdx,
}

thread_local! {
    static NAMES: Rc<Names> = Rc::new(Names::new());
}

impl Names {
    /// The table of this thread.
    pub(crate) fn current() -> Rc<Names> {
        NAMES.with(Rc::clone)
    }

    fn new() -> Self {
        let mut table = Table {
            records: Vec::new(),
            free: Vec::new(),
            buckets: vec![0; 64],
        };
        for text in PERMANENT {
            table.insert(Key::fixed(text, hash(text)));
        }
        let nothing = Recent {
            address: 0,
            length: 0,
            idx: NameIdx::NONE,
        };
        Names {
            table: RefCell::new(table),
            recent: std::array::from_fn(|_| Cell::new(nothing)),
        }
    }

    /// The index of a name, with one reference for the caller.
    #[inline(always)]
    pub(crate) fn acquire(&self, key: Key<'_>) -> NameIdx {
        let text = key.as_str();
        let recent = self.recent[key.hash as usize % RECENT].get();
        if recent.address == text.as_ptr().addr() && recent.length as usize == text.len() {
            return recent.idx;
        }
        self.acquire_slowly(key)
    }

    #[inline(never)]
    fn acquire_slowly(&self, key: Key<'_>) -> NameIdx {
        let idx = self.table.borrow_mut().acquire(key);
        if let Some(constant) = key.as_fixed()
            && !idx.is_counted()
        {
            let text = constant.as_str();
            self.recent[key.hash as usize % RECENT].set(Recent {
                address: text.as_ptr().addr(),
                length: u32::try_from(text.len()).unwrap_or(u32::MAX),
                idx,
            });
        }
        idx
    }

    /// What a queued event needs: a reference to its own name, and one to that of the event it was made in.
    #[inline(always)]
    pub(crate) fn acquire_pair(&self, key: Key<'_>, caller: NameIdx) -> NameIdx {
        self.retain(caller);
        self.acquire(key)
    }

    /// The same for a name that the caller knows to be in use.
    pub(crate) fn retain_pair(&self, name: NameIdx, caller: NameIdx) {
        self.retain(name);
        self.retain(caller);
    }

    /// Gives back what [`acquire_pair`](Self::acquire_pair) took.
    #[inline]
    pub(crate) fn release_pair(&self, name: NameIdx, caller: NameIdx) {
        if name.is_counted() || caller.is_counted() {
            self.release_counted(name);
            self.release_counted(caller);
        }
    }

    /// Gives back a pair, and what the event was called.
    pub(crate) fn take_pair(&self, name: NameIdx, caller: NameIdx) -> Name {
        let text = self.name(name);
        self.release_pair(name, caller);
        text
    }

    /// One more reference to a name that the caller knows to be in use.
    #[inline]
    pub(crate) fn retain(&self, idx: NameIdx) {
        if idx.is_counted() {
            self.retain_counted(idx);
        }
    }

    #[cold]
    fn retain_counted(&self, idx: NameIdx) {
        self.table.borrow_mut().records[idx.place()].uses += 1;
    }

    /// Gives one reference back.
    #[inline]
    pub(crate) fn release(&self, idx: NameIdx) {
        if idx.is_counted() {
            self.release_counted(idx);
        }
    }

    #[cold]
    fn release_counted(&self, idx: NameIdx) {
        self.table.borrow_mut().release(idx);
    }

    /// The index of a name, without a reference, if it is in use at all.
    pub(crate) fn lookup(&self, key: Key<'_>) -> Option<NameIdx> {
        self.table.borrow().find(key)
    }

    pub(crate) fn name(&self, idx: NameIdx) -> Name {
        self.table.borrow().records[idx.place()].name.clone()
    }

    /// How many names are in use, the permanent ones included.
    #[cfg(test)]
    fn len(&self) -> usize {
        let table = self.table.borrow();
        table.records.len() - table.free.len()
    }
}

impl Table {
    fn acquire(&mut self, key: Key<'_>) -> NameIdx {
        match self.find(key) {
            Some(idx) => {
                if idx.is_counted() {
                    self.records[idx.place()].uses += 1;
                }
                idx
            }
            None => self.insert(key),
        }
    }

    fn find(&self, key: Key<'_>) -> Option<NameIdx> {
        let mask = self.buckets.len() - 1;
        let mut at = key.hash as usize & mask;
        loop {
            let bucket = self.buckets[at];
            if bucket == 0 {
                return None;
            }
            if (bucket >> 32) as u32 == key.hash {
                let i = bucket as u32 - 1;
                let record = &self.records[i as usize];
                if record.name.as_str() == key.as_str() {
                    return Some(record.idx);
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// Gives back a use of a name, if it is one whose uses are counted.
    fn release(&mut self, idx: NameIdx) {
        if !idx.is_counted() {
            return;
        }
        let record = &mut self.records[idx.place()];
        record.uses -= 1;
        if record.uses == 0 {
            self.remove(idx.place() as u32);
        }
    }

    #[cold]
    fn insert(&mut self, key: Key<'_>) -> NameIdx {
        if (self.records.len() - self.free.len() + 1) * 2 > self.buckets.len() {
            self.grow();
        }
        let name = key.to_name();
        let i = self.free.pop().unwrap_or(self.records.len() as u32);
        let (idx, uses) = match key.as_fixed() {
            Some(_) => (NameIdx(i), 0),
            None => (NameIdx(i | COUNTED), 1),
        };
        let record = Record {
            name,
            hash: key.hash,
            idx,
            uses,
        };
        match self.records.get_mut(i as usize) {
            Some(free) => *free = record,
            None => self.records.push(record),
        }
        self.place(key.hash, i);
        idx
    }

    fn place(&mut self, hash: u32, i: u32) {
        let mask = self.buckets.len() - 1;
        let mut at = hash as usize & mask;
        while self.buckets[at] != 0 {
            at = (at + 1) & mask;
        }
        self.buckets[at] = u64::from(hash) << 32 | u64::from(i + 1);
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.buckets);
        self.buckets = vec![0; old.len() * 2];
        for bucket in old.into_iter().filter(|b| *b != 0) {
            self.place((bucket >> 32) as u32, bucket as u32 - 1);
        }
    }

    #[cold]
    fn remove(&mut self, i: u32) {
        let mask = self.buckets.len() - 1;
        let hash = self.records[i as usize].hash;
        let wanted = u64::from(hash) << 32 | u64::from(i + 1);
        let mut hole = hash as usize & mask;
        while self.buckets[hole] != wanted {
            hole = (hole + 1) & mask;
        }
        // Close the gap, so that a probe never stops early: pull back every follower that may stand in the hole.
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let bucket = self.buckets[at];
            if bucket == 0 {
                break;
            }
            let home = (bucket >> 32) as usize & mask;
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.buckets[hole] = bucket;
                hole = at;
            }
        }
        self.buckets[hole] = 0;
        self.records[i as usize].name = Name::from_static("");
        self.free.push(i);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_forgotten_with_its_last_use() {
        let names = Names::new();
        let before = names.len();
        let texts: Vec<String> = (0..5000).map(|i| format!("event {i}")).collect();
        let ids: Vec<_> = texts.iter().map(|t| names.acquire(Key::new(t))).collect();
        for (text, id) in texts.iter().zip(&ids) {
            assert_eq!(names.acquire(Key::new(text)), *id);
            assert_eq!(names.name(*id), **text);
            names.release(*id);
        }
        // Every other one goes; the rest must still be found, whatever gaps were closed.
        for id in ids.iter().step_by(2) {
            names.release(*id);
        }
        for (text, id) in texts.iter().zip(&ids).skip(1).step_by(2) {
            assert_eq!(names.lookup(Key::new(text)), Some(*id));
            names.release(*id);
        }
        assert_eq!(names.len(), before);
        assert_eq!(names.lookup(Key::new("event 1")), None);
    }

    #[test]
    fn the_reserved_names_have_fixed_places() {
        let names = Names::new();
        assert_eq!(names.acquire(Key::new("_start")), NameIdx::START);
        assert_eq!(names.acquire(Key::new("_garbage_collect")), NameIdx::GC);
        names.release(NameIdx::START);
        assert_eq!(names.name(NameIdx::START), "_start");
    }
}
