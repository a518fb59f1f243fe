//! The thread's table of names in use. The kernel compares indexes in it.

use super::{Key, Name, hash};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A name's index in the thread's table. It is plain data: code that stores one must hold a reference for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub(crate) struct NameIdx(u32);

/// Set in the index of a name that is removed with its last use, and of the kernel's own queue items: an event with such a name,
/// or with such a caller, takes the long way.
const COUNTED: u32 = 1 << 31;

impl NameIdx {
    #[inline]
    fn is_counted(self) -> bool {
        self.0 & COUNTED != 0
    }

    /// What a small table can be indexed by; names that were first used together differ in it.
    #[inline]
    pub(crate) fn low_bits(self) -> usize {
        self.0 as usize
    }

    #[inline]
    fn index(self) -> usize {
        (self.0 & !COUNTED) as usize
    }

    /// No name: the caller of an event that no handler sent.
    pub(crate) const NONE: NameIdx = NameIdx(0);
    pub(crate) const START: NameIdx = NameIdx(1);
    pub(crate) const STOP: NameIdx = NameIdx(2);
    pub(crate) const CHILD: NameIdx = NameIdx(3);
    pub(crate) const PARENT: NameIdx = NameIdx(4);
    pub(crate) const DEFAULT: NameIdx = NameIdx(5);
    /// The kernel's own queue items; no handler can be registered for them.
    pub(crate) const SIGNAL: NameIdx = NameIdx(6 | COUNTED);
    pub(crate) const GC: NameIdx = NameIdx(7 | COUNTED);
    /// A call by a `KernelHandle`, as a queue item.
    pub(crate) const CALL: NameIdx = NameIdx(8 | COUNTED);
    /// Stands for the caller of an event that another thread sent. Handlers never see this name.
    pub(crate) const REMOTE: NameIdx = NameIdx(9);
    /// A continuation, as an event of its session.
    pub(crate) const THEN: NameIdx = NameIdx(10);

    /// Whether it names one of the kernel's own queue items.
    #[inline]
    pub(crate) fn is_internal(self) -> bool {
        self.0.wrapping_sub(NameIdx::SIGNAL.0) <= NameIdx::CALL.0 - NameIdx::SIGNAL.0
    }

    /// Whether an event of that name, made in a handler of the event `caller`, is like most: neither name is counted.
    #[inline(always)]
    pub(crate) fn is_plain(self, caller: NameIdx) -> bool {
        (self.0 | caller.0) & COUNTED == 0
    }

    /// Whether it can be shown as the event that the sender was handling.
    pub(crate) fn is_caller(self) -> bool {
        self != NameIdx::NONE && self != NameIdx::REMOTE
    }
}

/// Names that live as long as the table, which keeps one reference to each.
const PERMANENT: [&str; 11] = [
    "",
    "_start",
    "_stop",
    "_child",
    "_parent",
    "_default",
    "_signal",
    "_garbage_collect",
    super::CALL,
    "_sent by a handle",
    super::THEN,
];

struct Record {
    name: Name,
    hash: u32,
    /// The name's index, including the bit that says whether uses are counted.
    idx: NameIdx,
    /// Uses of a counted name: handlers in state tables, queued events (twice: as a name, and as the caller's),
    /// postbacks. Zero in a free record and in the record of a constant.
    uses: u64,
}

struct Table {
    records: Vec<Record>,
    free: Vec<u32>,
    /// Open addressing with linear probing: the hash in the upper half, index + 1 in the lower half, 0 for empty.
    buckets: Vec<u64>,
}

/// The thread's table of names in use.
pub(crate) struct Names {
    table: RefCell<Table>,
    /// The constants that were looked up last, by their hashes. A post looks here first, without a borrow.
    recent: [Cell<Recent>; RECENT],
}

const RECENT: usize = 128;

/// The address of a constant's text, and its index, which never changes.
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
    /// Returns the table of this thread.
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
        // Their uses are not counted all the same.
        for own in [NameIdx::SIGNAL, NameIdx::GC, NameIdx::CALL] {
            table.records[own.index()].idx = own;
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

    /// Returns the index of a name, with one reference for the caller.
    #[inline(always)]
    pub(crate) fn acquire(&self, key: Key<'_>) -> NameIdx {
        let text = key.as_str();
        let recent = self.recent[key.hash as usize % RECENT].get();
        if recent.address == text.as_ptr().addr() && recent.length as usize == text.len() {
            return recent.idx;
        }
        // By parts, so that no key is built in memory for this.
        match key.as_fixed() {
            Some(constant) => self.acquire_constant(constant.as_str(), key.hash),
            None => self.acquire_text(text, key.hash),
        }
    }

    #[cold]
    #[inline(never)]
    fn acquire_constant(&self, text: &'static str, hash: u32) -> NameIdx {
        let idx = self.table.borrow_mut().acquire(Key::fixed(text, hash));
        if !idx.is_counted() || idx.is_internal() {
            self.recent[hash as usize % RECENT].set(Recent {
                address: text.as_ptr().addr(),
                length: u32::try_from(text.len()).unwrap_or(u32::MAX),
                idx,
            });
        }
        idx
    }

    #[inline(never)]
    fn acquire_text(&self, text: &str, hash: u32) -> NameIdx {
        self.table.borrow_mut().acquire(Key::hashed(text, hash))
    }

    /// Takes the references of a queued event: one to its own name, one to its caller's.
    #[inline(always)]
    pub(crate) fn acquire_pair(&self, key: Key<'_>, caller: NameIdx) -> NameIdx {
        self.retain(caller);
        self.acquire(key)
    }

    /// Takes the same references for a name that the caller knows to be in use.
    pub(crate) fn retain_pair(&self, name: NameIdx, caller: NameIdx) {
        self.retain(name);
        self.retain(caller);
    }

    /// Releases the references that [`acquire_pair`](Self::acquire_pair) took.
    #[inline]
    pub(crate) fn release_pair(&self, name: NameIdx, caller: NameIdx) {
        if name.is_counted() || caller.is_counted() {
            self.release_counted(name);
            self.release_counted(caller);
        }
    }

    /// Releases a pair and returns the event's name.
    #[inline(always)]
    pub(crate) fn take_pair(&self, name: NameIdx, caller: NameIdx) -> Name {
        let text = self.name(name);
        self.release_pair(name, caller);
        text
    }

    /// Adds a reference to a name that the caller knows to be in use.
    #[inline]
    pub(crate) fn retain(&self, idx: NameIdx) {
        if idx.is_counted() {
            self.retain_counted(idx);
        }
    }

    #[cold]
    fn retain_counted(&self, idx: NameIdx) {
        if !idx.is_internal() {
            self.table.borrow_mut().records[idx.index()].uses += 1;
        }
    }

    /// Releases one reference.
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

    /// Returns the index of a name in use, without a reference.
    pub(crate) fn lookup(&self, key: Key<'_>) -> Option<NameIdx> {
        self.table.borrow().find(key)
    }

    #[inline]
    pub(crate) fn name(&self, idx: NameIdx) -> Name {
        self.table.borrow().records[idx.index()].name.clone()
    }

    /// Returns the number of names in use, the permanent ones included.
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
                    self.records[idx.index()].uses += 1;
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

    /// Releases one use of a name, if its uses are counted.
    fn release(&mut self, idx: NameIdx) {
        if !idx.is_counted() || idx.is_internal() {
            return;
        }
        let record = &mut self.records[idx.index()];
        record.uses -= 1;
        if record.uses == 0 {
            self.remove(idx.index() as u32);
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
        self.insert_bucket(key.hash, i);
        idx
    }

    fn insert_bucket(&mut self, hash: u32, i: u32) {
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
            self.insert_bucket((bucket >> 32) as u32, bucket as u32 - 1);
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
        // Closes the gap so that a probe never stops early: moves back every follower that may stand in the hole.
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
        // Every other one is removed; the rest must still be found, whichever gaps were closed.
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
