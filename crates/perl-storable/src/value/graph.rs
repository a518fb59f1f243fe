//! Whole graphs of values: compared, copied, and taken apart.

use super::{Body, Entry, Scalar, Thing, Value};
use crate::key::Key;
use crate::number;
use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

/// Compares what is inside, as Perl's `is_deeply` does, and the classes.
///
/// References are followed first on both sides, so a reference to an array equals the array. Scalars are equal if their
/// text in an image is: `42` equals `"42"`, a byte string equals a character string of the same characters, and
/// undef equals only undef. Which parts are shared makes no difference, nor whether a hash is locked or a reference weak.
/// Graphs that contain themselves can be compared; the time grows with the size of both.
///
/// ```
/// use perl_storable::{self as storable, Value};
/// let job = Value::hash([("id", 7.into()), ("name", "build".into())]).bless("Job");
/// let copy = storable::thaw(&storable::freeze(&job).unwrap()).unwrap();
/// assert!(copy == job && !copy.is_same(&job));
/// copy.insert("id", "8".into());
/// assert!(copy != job);
/// copy.insert("id", "7".into());
/// assert!(copy == job);
/// ```
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        Comparison::default().holds(self.target(), other.target())
    }
}

impl Eq for Value {}

/// Pairs that are assumed to be equal, joined in classes (union-find): so each comparison of two things joins two
/// classes, and there are no more of those than things, whatever cycles and sharing make of the graphs.
#[derive(Default)]
struct Comparison {
    index: HashMap<*const Thing, usize>,
    parent: Vec<usize>,
    open: Vec<(Value, Value)>,
}

impl Comparison {
    fn holds(mut self, a: Value, b: Value) -> bool {
        self.open.push((a, b));
        while let Some((a, b)) = self.open.pop() {
            let (class_a, class_b) = (self.class(&a), self.class(&b));
            if class_a == class_b {
                continue;
            }
            self.parent[class_a] = class_b;
            if !self.alike(&a, &b) {
                return false;
            }
        }
        true
    }

    fn class(&mut self, value: &Value) -> usize {
        let new = self.parent.len();
        let mut at = *self.index.entry(Rc::as_ptr(&value.0)).or_insert(new);
        if at == new {
            self.parent.push(new);
        }
        while self.parent[at] != at {
            self.parent[at] = self.parent[self.parent[at]];
            at = self.parent[at];
        }
        at
    }

    /// Compares two things, and leaves their contents to be compared.
    fn alike(&mut self, a: &Value, b: &Value) -> bool {
        if *a.0.class.borrow() != *b.0.class.borrow() {
            return false;
        }
        if let (Some(a), Some(b)) = (a.referent(), b.referent()) {
            self.open.push((a, b));
            return true;
        }
        match (&*a.0.body.borrow(), &*b.0.body.borrow()) {
            (Body::Array(a), Body::Array(b)) => {
                self.open.extend(a.iter().cloned().zip(b.iter().cloned()));
                a.len() == b.len()
            }
            (Body::Hash(a, _), Body::Hash(b, _)) => {
                let pairs = a.values().zip(b.values());
                self.open.extend(pairs.map(|(a, b)| (a.value.clone(), b.value.clone())));
                a.keys().eq(b.keys())
            }
            (Body::Regexp(a, flags), Body::Regexp(b, others)) => (a, flags) == (b, others),
            (a, b) => match (text(a), text(b)) {
                (Some(a), Some(b)) => a == b,
                (None, None) => undef(a) && undef(b),
                _ => false,
            },
        }
    }
}

fn undef(body: &Body) -> bool {
    match body {
        Body::Undef | Body::Hole | Body::HoleElement => true,
        Body::Weak(..) => !body.refers(),
        _ => false,
    }
}

/// A scalar as the characters that an image has for it, so that a value equals what is read back.
fn text(body: &Body) -> Option<Key> {
    let text: Cow<'_, str> = match body {
        Body::Bool(on) => Cow::Borrowed(if *on { "1" } else { "" }),
        Body::Int(integer) => Cow::Owned(integer.to_string()),
        Body::Float(float) => Cow::Owned(number::written(*float)),
        Body::Text(text) | Body::Version(_, Scalar::Text(text)) => Cow::Borrowed(text),
        Body::Bytes(bytes) | Body::Version(_, Scalar::Bytes(bytes)) => return Some(Key::from(&**bytes)),
        _ => return None,
    };
    Some(Key::from(&*text))
}

/// Whole graphs.
impl Value {
    /// Copies a graph: the copy shares and contains itself where the original does, and has nothing in common with it.
    ///
    /// A weak reference to something that only other data keeps alive becomes undef, as with Perl's `dclone`.
    ///
    /// ```
    /// use perl_storable::Value;
    /// let shared = Value::array([1.into()]);
    /// let template = Value::hash([("a", shared.clone()), ("b", shared.clone())]);
    /// let copy = template.deep_clone();
    /// copy.field("a").unwrap().push(2.into());
    /// assert_eq!(copy.field("b").unwrap().len(), Some(2));
    /// assert_eq!(shared.len(), Some(1));
    /// ```
    #[must_use]
    #[doc(alias = "dclone")]
    pub fn deep_clone(&self) -> Value {
        // First a place for everything that is reached, then what is in it: so the depth needs no stack.
        let mut places: HashMap<*const Thing, Value> = HashMap::new();
        let mut found: Vec<Value> = Vec::new();
        let mut open = vec![self.clone()];
        while let Some(value) = open.pop() {
            let address = Rc::as_ptr(&value.0);
            if places.contains_key(&address) {
                continue;
            }
            let place = Value::of(Body::Undef);
            *place.0.class.borrow_mut() = value.0.class.borrow().clone();
            places.insert(address, place);
            value.0.body.borrow().inside(|inner| open.push(inner.clone()));
            found.push(value);
        }
        let copy = |value: &Value| places[&Rc::as_ptr(&value.0)].clone();
        for value in &found {
            let weak = |to: &Weak<Thing>| {
                let place = places.get(&to.as_ptr());
                place.map_or_else(Weak::new, |place| Rc::downgrade(&place.0))
            };
            let body = value.0.body.borrow().copied(copy, weak);
            *copy(value).0.body.borrow_mut() = body;
        }
        copy(self)
    }

    /// A variable of its own with the same class and contents; what is inside is shared.
    pub(crate) fn copied(&self) -> Value {
        let copy = Value::of(self.0.body.borrow().copied(Value::clone, Weak::clone));
        *copy.0.class.borrow_mut() = self.0.class.borrow().clone();
        copy
    }

    /// Returns the elements of an array, and none of other values; moves them out if nothing else refers to the array.
    ///
    /// ```
    /// use perl_storable::Value;
    /// let items = Value::array(["a".into(), "b".into()]).into_items();
    /// assert_eq!(items[1].as_text().as_deref(), Some("b"));
    /// ```
    #[must_use]
    pub fn into_items(self) -> Vec<Value> {
        match self.into_body() {
            Ok(Body::Array(items)) => items,
            Ok(_) => Vec::new(),
            Err(shared) => shared.items(),
        }
    }

    /// Returns the entries of a hash in the order of their keys, and none of other values; moves them out if nothing else
    /// refers to the hash.
    ///
    /// ```
    /// use perl_storable::Value;
    /// let entries = Value::hash([("b", 2.into()), ("a", 1.into())]).into_entries();
    /// assert_eq!((&*entries[0].0.text(), entries[0].1.as_i64()), ("a", Some(1)));
    /// ```
    #[must_use]
    pub fn into_entries(self) -> Vec<(Key, Value)> {
        match self.into_body() {
            Ok(Body::Hash(entries, _)) => entries.into_iter().map(|(key, entry)| (key, entry.value)).collect(),
            Ok(_) => Vec::new(),
            Err(shared) => shared.entries(),
        }
    }

    /// The body of the target, if this was the last way to it.
    fn into_body(self) -> Result<Body, Value> {
        let target = self.target();
        drop(self);
        let mut thing = Rc::try_unwrap(target.0).map_err(Value)?;
        Ok(std::mem::replace(thing.body.get_mut(), Body::Undef))
    }

    /// Takes a graph apart: everything that can be reached from here becomes undef. Use it to free a graph with cycles.
    pub fn unlink(&self) {
        let mut open = vec![self.clone()];
        while let Some(value) = open.pop() {
            let body = value.0.body.replace(Body::Undef);
            body.release(&mut open);
        }
    }
}

impl Body {
    /// A copy, with each value in it, and each target of a weak reference, put through a function.
    fn copied(&self, value: impl Fn(&Value) -> Value, weak: impl Fn(&Weak<Thing>) -> Weak<Thing>) -> Body {
        match self {
            Body::Undef => Body::Undef,
            Body::Hole => Body::Hole,
            Body::HoleElement => Body::HoleElement,
            Body::Bool(on) => Body::Bool(*on),
            Body::Int(integer) => Body::Int(*integer),
            Body::Float(float) => Body::Float(*float),
            Body::Bytes(bytes) => Body::Bytes(bytes.clone()),
            Body::Text(text) => Body::Text(text.clone()),
            Body::Version(written, characters) => Body::Version(written.clone(), characters.clone()),
            Body::Regexp(pattern, modifiers) => Body::Regexp(pattern.clone(), modifiers.clone()),
            Body::Ref(to, overload) => Body::Ref(value(to), *overload),
            Body::Weak(to, overload) => Body::Weak(weak(to), *overload),
            Body::Array(items) => Body::Array(items.iter().map(value).collect()),
            Body::Hash(entries, flags) => {
                let entry = |(key, entry): (&Key, &Entry)| {
                    let (value, flags) = (value(&entry.value), entry.flags);
                    (key.clone(), Entry { value, flags })
                };
                Body::Hash(entries.iter().map(entry).collect(), *flags)
            }
        }
    }

    /// Calls `each` with everything that it keeps alive.
    fn inside(&self, mut each: impl FnMut(&Value)) {
        match self {
            Body::Ref(to, _) => each(to),
            Body::Array(items) => items.iter().for_each(each),
            Body::Hash(entries, _) => entries.values().for_each(|entry| each(&entry.value)),
            _ => {}
        }
    }

    /// Gives up everything that it keeps alive.
    fn release(self, open: &mut Vec<Value>) {
        match self {
            Body::Ref(to, _) => open.push(to),
            Body::Array(items) => open.extend(items),
            Body::Hash(entries, _) => open.extend(entries.into_values().map(|entry| entry.value)),
            _ => {}
        }
    }
}

/// A graph can be as deep as it is long, so it is not dropped with recursion.
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
