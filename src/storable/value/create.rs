//! Making values.

use super::super::key::Key;
use super::thing::{Body, Entry, Scalar, Thing, Value};
use std::cell::RefCell;
use std::rc::Rc;

/// Making things.
///
/// ```
/// use poe::storable::{Kind, Value};
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
    pub(super) fn of(body: Body) -> Self {
        Value(Rc::new(Thing {
            body: RefCell::new(body),
            class: RefCell::new(None),
        }))
    }

    /// No value.
    #[must_use]
    pub fn undef() -> Self {
        Self::of(Body::Undef)
    }

    /// An element that an array does not have: `[ , , 1]` begins with two.
    #[must_use]
    pub fn hole() -> Self {
        Self::of(Body::Hole)
    }

    /// A string of bytes.
    #[must_use]
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::of(Body::Bytes(bytes.into().into()))
    }

    /// A character string, even if it is ASCII. `Value::from("text")` makes bytes of ASCII, which is shorter and alike.
    ///
    /// ```
    /// use poe::storable::{Kind, Value};
    /// assert_eq!(Value::from("plain").kind(), Kind::Bytes);
    /// assert_eq!(Value::text("plain").kind(), Kind::Text);
    /// assert_eq!(Value::text("plain").as_text(), Value::from("plain").as_text());
    /// ```
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(Body::Text(text.into().into()))
    }

    /// A reference to a value, with no overloading; two make a reference to a reference.
    ///
    /// ```
    /// use poe::storable::{Kind, Value};
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

    /// A reference to an object whose class overloads operators, which Perl must be told of.
    ///
    /// ```
    /// use poe::storable::{self, Value};
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

    /// A reference that does not keep its target. When that is gone it is undef.
    ///
    /// ```
    /// use poe::storable::Value;
    /// let parent = Value::array([]);
    /// parent.push(Value::weak(&parent));
    /// assert!(parent.get(0).unwrap().is_same(&parent));
    /// ```
    #[must_use]
    #[doc(alias = "weaken")]
    pub fn weak(to: &Value) -> Self {
        Self::of(Body::Weak(Rc::downgrade(&to.0), false))
    }

    /// An array.
    #[must_use]
    pub fn array(items: impl IntoIterator<Item = Value>) -> Self {
        Self::of(Body::Array(items.into_iter().map(Value::element).collect()))
    }

    /// A hash.
    #[must_use]
    pub fn hash<K: Into<Key>>(entries: impl IntoIterator<Item = (K, Value)>) -> Self {
        let entries = entries
            .into_iter()
            .map(|(key, value)| (key.into(), Entry::plain(value)));
        Self::of(Body::Hash(entries.collect(), 0))
    }

    /// A compiled pattern with its modifiers; Perl wants it blessed into `Regexp`, which this does.
    #[must_use]
    pub fn regexp(pattern: impl AsRef<[u8]>, modifiers: impl AsRef<[u8]>) -> Self {
        Self::of(Body::Regexp(pattern.as_ref().into(), modifiers.as_ref().into())).bless("Regexp")
    }

    /// A version string, as written (`v1.2.3`) and by its characters.
    #[must_use]
    pub fn version(written: impl AsRef<[u8]>, characters: impl Into<Vec<u8>>) -> Self {
        let characters = Scalar::Bytes(characters.into().into());
        Self::of(Body::Version(written.as_ref().into(), characters))
    }

    /// The same thing, of a class now. A reference is blessed itself, not what it points to.
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
