//! Perl's data as it is: scalars, arrays and hashes that can be shared, blessed, and contain themselves.

mod graph;
mod inspect;

use crate::image::code;
use crate::key::Key;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

/// One of Perl's variables: a scalar, an array or a hash. A clone is the same variable, not a copy.
///
/// An array or hash inside another one is behind a reference, as in Perl. [`array`](Self::array), [`hash`](Self::hash)
/// and the others put it there, and the methods that read look through references.
///
/// `==` compares what is inside: see [`Value::eq`](#method.eq). [`is_same`](Self::is_same) asks whether two are one
/// and the same variable.
///
/// A `Value` is `!Send`, because its parts are shared. To move data to another thread send the image, which
/// [`freeze`](crate::freeze) or [`Node::image`](crate::Node::image) gives, or the typed data.
///
/// ```
/// use perl_storable::{self as storable, Value};
/// let point = Value::hash([("x", Value::from(3)), ("y", Value::from(4))]).bless("Point");
/// let line = Value::array([point.clone(), point]);
/// let line = storable::thaw(&storable::freeze(&line).unwrap()).unwrap();
/// let (a, b) = (line.get(0).unwrap(), line.get(1).unwrap());
/// assert!(a.is_same(&b) && a.class().as_deref() == Some("Point"));
/// assert_eq!(a.field("x").unwrap().as_i64(), Some(3));
/// ```
#[derive(Clone)]
pub struct Value(pub(crate) Rc<Thing>);

pub(crate) struct Thing {
    pub(crate) body: RefCell<Body>,
    pub(crate) class: RefCell<Option<Rc<[u8]>>>,
}

pub(crate) enum Body {
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
pub(crate) enum Scalar {
    Bytes(Box<[u8]>),
    Text(Box<str>),
}

pub(crate) struct Entry {
    pub(crate) value: Value,
    /// Locked, or the place of a key that a locked hash may have.
    pub(crate) flags: u8,
}

/// What a [`Value`] is.
///
/// ```
/// use perl_storable::{Kind, Value};
/// fn show(value: &Value) -> String {
///     match value.target().kind() {
///         Kind::Undef => "nothing".to_owned(),
///         Kind::Integer => value.as_i64().unwrap_or_default().to_string(),
///         Kind::Array => format!("{:?}", value.items().iter().map(show).collect::<Vec<_>>()),
///         _ => value.as_text().unwrap_or_default(),
///     }
/// }
/// let list = Value::array([1.into(), "two".into(), Value::undef(), Value::array([3.into()])]);
/// assert_eq!(show(&list), r#"["1", "two", "nothing", "[\"3\"]"]"#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// No value.
    Undef,
    /// True or false, as Perl's own constants. In arrays and hashes they are written as `"1"` and `""`.
    Bool,
    /// An integer.
    Integer,
    /// A float. Portable images have text in its place.
    Float,
    /// A string of bytes.
    Bytes,
    /// A string of characters.
    Text,
    /// A reference, possibly weak.
    Reference,
    /// An array.
    Array,
    /// A hash.
    Hash,
    /// A compiled pattern.
    Regexp,
}

/// Making values.
///
/// ```
/// use perl_storable::{Kind, Value};
/// let made = Value::array([
///     Value::undef(),
///     Value::hole(),
///     Value::from(true),
///     Value::from(-1),
///     Value::from(0.5),
///     Value::bytes(b"\xff\0"),
///     Value::text("caf\u{e9}"),
///     Value::version("v1.2", [1, 2]),
///     Value::reference(&Value::from("a string")),
///     Value::regexp("^a+$", "i"),
///     Value::hash([("key", Value::from("value"))]),
/// ]);
/// let kinds = made.items().iter().map(|item| item.target().kind()).collect::<Vec<_>>();
/// use Kind::{Float, Hash, Integer, Bytes, Regexp, Text, Undef};
/// // In an array Perl's true is a copy of it, `"1"`.
/// assert_eq!(kinds, [Undef, Undef, Bytes, Integer, Float, Bytes, Text, Bytes, Bytes, Regexp, Hash]);
/// ```
impl Value {
    pub(crate) fn of(body: Body) -> Self {
        Value(Rc::new(Thing {
            body: RefCell::new(body),
            class: RefCell::new(None),
        }))
    }

    /// Makes undef.
    #[must_use]
    pub fn undef() -> Self {
        Self::of(Body::Undef)
    }

    /// Makes an element that an array does not have, such as those that `$a[2] = 1` leaves at 0 and 1.
    #[must_use]
    pub fn hole() -> Self {
        Self::of(Body::Hole)
    }

    /// Makes a byte string.
    #[must_use]
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::of(Body::Bytes(bytes.into().into()))
    }

    /// Makes a character string, even if it is ASCII. `Value::from("text")` makes a byte string of ASCII text, which is
    /// shorter in an image and the same to Perl.
    ///
    /// ```
    /// use perl_storable::{Kind, Value};
    /// assert_eq!(Value::from("plain").kind(), Kind::Bytes);
    /// assert_eq!(Value::text("plain").kind(), Kind::Text);
    /// assert_eq!(Value::text("plain").as_text(), Value::from("plain").as_text());
    /// ```
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(Body::Text(text.into().into()))
    }

    /// Makes a reference to a value. Call it twice for a reference to a reference.
    ///
    /// ```
    /// use perl_storable::{Kind, Value};
    /// let value = Value::from(7);
    /// let twice = Value::reference(&Value::reference(&value));
    /// assert_eq!(twice.referent().unwrap().kind(), Kind::Reference);
    /// assert!(twice.target().ptr_eq(&value));
    /// assert_eq!(twice.as_i64(), Some(7));
    /// ```
    #[must_use]
    pub fn reference(to: &Value) -> Self {
        Self::of(Body::Ref(to.clone(), false))
    }

    /// Makes a reference to an object whose class overloads operators, which Perl must be told.
    ///
    /// ```
    /// use perl_storable::{self as storable, Value};
    /// let price = Value::hash([("cents", 250.into())]).bless("Money");
    /// let bill = Value::array([Value::overloaded(&price)]);
    /// let image = storable::freeze(&bill).unwrap();
    /// assert!(image.starts_with(b"\x05\x0b\x02\0\0\0\x01\x14\x11\x05Money"));
    /// let bill = storable::thaw(&image).unwrap();
    /// assert_eq!(bill.get(0).unwrap().class().as_deref(), Some("Money"));
    /// ```
    #[must_use]
    pub fn overloaded(to: &Value) -> Self {
        Self::of(Body::Ref(to.clone(), true))
    }

    /// Makes a reference that does not keep its target alive. When the target is gone, the reference is undef.
    ///
    /// ```
    /// use perl_storable::Value;
    /// let parent = Value::array([]);
    /// parent.push(Value::weak(&parent));
    /// assert!(parent.get(0).unwrap().is_same(&parent));
    /// ```
    #[must_use]
    #[doc(alias = "weaken")]
    pub fn weak(to: &Value) -> Self {
        Self::of(Body::Weak(Rc::downgrade(&to.0), false))
    }

    /// Makes an array.
    #[must_use]
    pub fn array(items: impl IntoIterator<Item = Value>) -> Self {
        Self::of(Body::Array(items.into_iter().map(Value::element).collect()))
    }

    /// Makes a hash.
    #[must_use]
    pub fn hash<K: Into<Key>>(entries: impl IntoIterator<Item = (K, Value)>) -> Self {
        let entries = entries
            .into_iter()
            .map(|(key, value)| (key.into(), Entry::plain(value)));
        Self::of(Body::Hash(entries.collect(), 0))
    }

    /// Makes a compiled pattern with its modifiers, blessed into `Regexp`, as Perl wants it.
    #[must_use]
    pub fn regexp(pattern: impl AsRef<[u8]>, modifiers: impl AsRef<[u8]>) -> Self {
        Self::of(Body::Regexp(pattern.as_ref().into(), modifiers.as_ref().into())).bless("Regexp")
    }

    /// Makes a version string: as it was written (`v1.2.3`), and its characters.
    #[must_use]
    pub fn version(written: impl AsRef<[u8]>, characters: impl Into<Vec<u8>>) -> Self {
        let characters = Scalar::Bytes(characters.into().into());
        Self::of(Body::Version(written.as_ref().into(), characters))
    }

    /// Blesses the value into a class, and returns it. A reference is blessed itself, not its target.
    #[must_use]
    pub fn bless(self, class: impl AsRef<[u8]>) -> Self {
        *self.0.class.borrow_mut() = Some(class.as_ref().into());
        self
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        if text.is_ascii() {
            Self::bytes(text)
        } else {
            Self::text(text)
        }
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<bool> for Value {
    fn from(on: bool) -> Self {
        Self::of(Body::Bool(on))
    }
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Value {
            fn from(integer: $integer) -> Self {
                Self::of(Body::Int(integer.into()))
            }
        }
    )*};
}
integers!(i8 i16 i32 i64 u8 u16 u32);

impl From<u64> for Value {
    fn from(integer: u64) -> Self {
        match i64::try_from(integer) {
            Ok(integer) => Self::from(integer),
            Err(_) => Self::bytes(integer.to_string()),
        }
    }
}

impl From<f64> for Value {
    fn from(float: f64) -> Self {
        Self::of(Body::Float(float))
    }
}

/// Changing values, which every clone and every reference sees.
///
/// ```
/// use perl_storable::Value;
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
/// jobs.push(state.clone()); // a cycle, which only this frees:
/// state.unlink();
/// assert!(state.is_undef() && jobs.is_undef());
/// ```
impl Value {
    /// Appends to an array; returns whether it is one.
    pub fn push(&self, item: Value) -> bool {
        // Before the borrow: what is pushed may be the array itself.
        let item = item.element();
        match &mut *self.target().0.body.borrow_mut() {
            Body::Array(items) => items.push(item),
            _ => return false,
        }
        true
    }

    /// Sets a value of a hash; returns whether it is one.
    pub fn insert(&self, key: impl Into<Key>, value: Value) -> bool {
        let (key, entry) = (key.into(), Entry::plain(value));
        let old = match &mut *self.target().0.body.borrow_mut() {
            Body::Hash(entries, _) => entries.insert(key, entry),
            _ => return false,
        };
        drop(old);
        true
    }

    /// Whether a hash is locked (restricted), so that Perl rejects other keys.
    #[must_use]
    #[doc(alias = "Hash::Util")]
    pub fn is_locked(&self) -> bool {
        matches!(&*self.target().0.body.borrow(), Body::Hash(_, flags) if flags & code::HASH_LOCKED != 0)
    }

    /// Marks a hash and its values as locked, as `Hash::Util::lock_hash` does in Perl. This crate does not enforce it.
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
}

impl Value {
    /// The form that a value has inside an array or a hash: containers are behind a reference, and Perl's constants
    /// true and false are copied.
    pub(crate) fn element(self) -> Self {
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
    pub(crate) fn string(&self) -> Option<&[u8]> {
        match self {
            Body::Bytes(bytes) | Body::Version(_, Scalar::Bytes(bytes)) => Some(bytes),
            Body::Text(text) | Body::Version(_, Scalar::Text(text)) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// Whether it is a reference that leads somewhere.
    pub(crate) fn refers(&self) -> bool {
        match self {
            Body::Ref(..) => true,
            Body::Weak(to, _) => to.strong_count() > 0,
            _ => false,
        }
    }
}
