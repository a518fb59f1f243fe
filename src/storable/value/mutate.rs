//! Changing values.

use super::super::code;
use super::super::key::Key;
use super::thing::{Body, Entry, Value};

/// Changing things, which every clone and every reference sees.
///
/// ```
/// use poe::storable::Value;
/// let jobs = Value::array([]);
/// let state = Value::hash([("jobs", jobs.clone())]);
/// assert!(jobs.push("first".into()));
/// assert!(!jobs.insert("key", 1.into())); // it is no hash
/// assert!(state.insert("limit", 10.into()));
/// assert_eq!(state.field("jobs").unwrap().len(), Some(1)); // one and the same array
///
/// let state = state.lock();
/// assert!(state.is_locked() && !jobs.is_locked());
///
/// jobs.push(state.clone()); // a circle, which nothing frees but this:
/// state.unlink();
/// assert!(state.is_undef() && jobs.is_undef());
/// ```
impl Value {
    /// Appends to an array; says whether it is one.
    pub fn push(&self, item: Value) -> bool {
        // Before the borrow: what is pushed may be the array itself.
        let item = item.element();
        match &mut *self.target().0.body.borrow_mut() {
            Body::Array(items) => items.push(item),
            _ => return false,
        }
        true
    }

    /// Sets a value of a hash; says whether it is one.
    pub fn insert(&self, key: impl Into<Key>, value: Value) -> bool {
        let (key, entry) = (key.into(), Entry::plain(value));
        let old = match &mut *self.target().0.body.borrow_mut() {
            Body::Hash(entries, _) => entries.insert(key, entry),
            _ => return false,
        };
        drop(old);
        true
    }

    /// Whether a hash is locked (restricted), so that Perl refuses keys it does not know.
    #[must_use]
    #[doc(alias = "Hash::Util")]
    pub fn is_locked(&self) -> bool {
        matches!(&*self.target().0.body.borrow(), Body::Hash(_, flags) if flags & code::HASH_LOCKED != 0)
    }

    /// Locks a hash and its values, as `Hash::Util::lock_hash` does in Perl; here it is only noted.
    #[must_use]
    pub fn lock(self) -> Self {
        if let Body::Hash(entries, flags) = &mut *self.target().0.body.borrow_mut() {
            *flags |= code::HASH_LOCKED;
            for entry in entries.values_mut() {
                entry.flags |= code::KEY_LOCKED;
            }
        }
        self
    }

    /// Takes a graph apart: everything that can be reached from here becomes undef. This is how one with cycles is freed.
    pub fn unlink(&self) {
        let mut open = vec![self.clone()];
        while let Some(value) = open.pop() {
            let body = value.0.body.replace(Body::Undef);
            body.release(&mut open);
        }
    }
}
