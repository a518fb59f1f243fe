//! What a value is: a counted thing, with what is in it.

use super::super::key::Key;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

/// One thing of Perl's: a scalar, an array or a hash. A clone is the same thing, not a copy.
///
/// An array or hash inside another stands behind a reference, as in Perl; [`array`](Self::array), [`hash`](Self::hash) and
/// the like put it there, and all that reads looks through references.
///
/// ```
/// use poe::storable::{self, Value};
/// let point = Value::hash([("x", Value::from(3)), ("y", Value::from(4))]).bless("Point");
/// let line = Value::array([point.clone(), point]);
/// let line = storable::thaw(&storable::freeze(&line).unwrap()).unwrap();
/// let (a, b) = (line.get(0).unwrap(), line.get(1).unwrap());
/// assert!(a.is_same(&b) && a.class().as_deref() == Some("Point"));
/// assert_eq!(a.field("x").unwrap().as_i64(), Some(3));
/// ```
#[derive(Clone)]
pub struct Value(pub(in crate::storable) Rc<Thing>);

pub(in crate::storable) struct Thing {
    pub(in crate::storable) body: RefCell<Body>,
    pub(in crate::storable) class: RefCell<Option<Rc<[u8]>>>,
}

pub(in crate::storable) enum Body {
    Undef,
    Hole,
    HoleElement,
    Bool(bool),
    Int(i64),
    Float(f64),
    Bytes(Box<[u8]>),
    Text(Box<str>),
    /// A version string: as written, and its characters.
    Version(Box<[u8]>, Scalar),
    Ref(Value, bool),
    Weak(Weak<Thing>, bool),
    Array(Vec<Value>),
    Hash(BTreeMap<Key, Entry>, u8),
    Regexp(Box<[u8]>, Box<[u8]>),
}

#[derive(Clone)]
pub(in crate::storable) enum Scalar {
    Bytes(Box<[u8]>),
    Text(Box<str>),
}

pub(in crate::storable) struct Entry {
    pub(in crate::storable) value: Value,
    /// Locked, or the place of a key that a locked hash may have.
    pub(in crate::storable) flags: u8,
}

impl Value {
    /// As something inside an array, a hash or a reference stands: containers behind a reference.
    /// Perl's true and false become copies of them.
    pub(super) fn element(self) -> Self {
        let constant = match &*self.0.body.borrow() {
            Body::Array(_) | Body::Hash(..) | Body::Regexp(..) => return Value::reference(&self),
            Body::Bool(on) => Some(if *on { "1" } else { "" }),
            _ => None,
        };
        match constant {
            _ if self.0.class.borrow().is_some() => Value::reference(&self),
            Some(copy) => Value::bytes(copy),
            None => self,
        }
    }
}

impl Entry {
    pub(super) fn plain(value: Value) -> Self {
        Entry {
            value: value.element(),
            flags: 0,
        }
    }
}

impl Body {
    pub(super) fn string(&self) -> Option<&[u8]> {
        match self {
            Body::Bytes(bytes) | Body::Version(_, Scalar::Bytes(bytes)) => Some(bytes),
            Body::Text(text) | Body::Version(_, Scalar::Text(text)) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// Gives up what it holds.
    pub(super) fn release(self, open: &mut Vec<Value>) {
        match self {
            Body::Ref(to, _) => open.push(to),
            Body::Array(items) => open.extend(items),
            Body::Hash(entries, _) => open.extend(entries.into_values().map(|entry| entry.value)),
            _ => {}
        }
    }
}

/// A graph can be as deep as it is long, so it is not dropped by recursion.
impl Drop for Thing {
    fn drop(&mut self) {
        let mut open = Vec::new();
        std::mem::replace(self.body.get_mut(), Body::Undef).release(&mut open);
        while let Some(value) = open.pop() {
            if let Some(mut thing) = Rc::into_inner(value.0) {
                std::mem::replace(thing.body.get_mut(), Body::Undef).release(&mut open);
            }
        }
    }
}
