//! A counted reference to a name, for use outside the queue.

use super::{Key, Name, NameIdx, Names};
use std::rc::Rc;

/// A name with the reference that keeps its index valid, for code that stores a name outside the queue.
pub(crate) struct HeldName {
    names: Rc<Names>,
    idx: NameIdx,
}

impl HeldName {
    pub(crate) fn new(key: Key<'_>) -> Self {
        let names = Names::current();
        let idx = names.acquire(key);
        HeldName { names, idx }
    }

    /// Takes another reference to a name that is in use.
    pub(crate) fn of(names: &Rc<Names>, idx: NameIdx) -> Self {
        names.retain(idx);
        HeldName {
            names: names.clone(),
            idx,
        }
    }

    pub(crate) fn idx(&self) -> NameIdx {
        self.idx
    }

    pub(crate) fn name(&self) -> Name {
        self.names.name(self.idx)
    }
}

impl Clone for HeldName {
    fn clone(&self) -> Self {
        self.names.retain(self.idx);
        HeldName {
            names: self.names.clone(),
            idx: self.idx,
        }
    }
}

impl Drop for HeldName {
    fn drop(&mut self) {
        self.names.release(self.idx);
    }
}
