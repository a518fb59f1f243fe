//! Reading values.

use super::{Body, Kind, Scalar, Value};
use crate::key::{self, Key};
use crate::number;
use std::fmt;
use std::rc::Rc;

/// Reading values.
///
/// ```
/// use perl_storable::{Kind, Value};
/// let scores = Value::array([1.into(), "2.5".into(), Value::undef()]);
/// let game = Value::hash([("scores", scores.clone()), ("name", "chess".into()), ("rest", Value::array([]))]);
/// let keys: Vec<_> = game.entries().iter().map(|(key, _)| key.text().into_owned()).collect();
/// assert_eq!(keys, ["name", "rest", "scores"]);
/// let name = game.field("name").unwrap();
/// assert_eq!(name.as_text().as_deref(), Some("chess"));
/// assert_eq!(name.as_bytes().as_deref(), Some(&b"chess"[..]));
/// assert!(game.field("rest").unwrap().is_empty());
///
/// // The hash holds a reference, and all of these look through it:
/// let list = game.field("scores").unwrap();
/// assert_eq!(list.len(), Some(3));
/// assert_eq!(list.get(1).unwrap().as_f64(), Some(2.5));
/// assert!(list.get(2).unwrap().is_undef());
/// assert_eq!(list.items().iter().filter(|score| score.is_true()).count(), 2);
/// assert!(list.is_same(&scores));
/// // These do not:
/// assert_eq!(list.kind(), Kind::Reference);
/// assert!(!list.ptr_eq(&scores) && list.referent().unwrap().ptr_eq(&scores));
/// assert!(list.target().ptr_eq(&scores)); // as far as it goes
/// ```
impl Value {
    /// Returns the class, with references followed. Bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn class(&self) -> Option<String> {
        self.target().own_class()
    }

    /// Returns the class of the value itself. A reference usually has none: its target is blessed.
    ///
    /// ```
    /// use perl_storable::Value;
    /// let list = Value::array([Value::hash([("x", 3.into())]).bless("Point")]);
    /// let element = list.get(0).unwrap(); // a reference to the hash
    /// assert_eq!(element.class().as_deref(), Some("Point"));
    /// assert_eq!(element.own_class(), None);
    /// assert_eq!(element.target().own_class().as_deref(), Some("Point"));
    /// ```
    #[must_use]
    pub fn own_class(&self) -> Option<String> {
        let class = self.0.class.borrow();
        class.as_ref().map(|name| String::from_utf8_lossy(name).into_owned())
    }

    /// What this is; a reference is one.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match &*self.0.body.borrow() {
            Body::Undef | Body::Hole | Body::HoleElement => Kind::Undef,
            Body::Bool(_) => Kind::Bool,
            Body::Int(_) => Kind::Integer,
            Body::Float(_) => Kind::Float,
            Body::Bytes(_) | Body::Version(_, Scalar::Bytes(_)) => Kind::Bytes,
            Body::Text(_) | Body::Version(_, Scalar::Text(_)) => Kind::Text,
            Body::Ref(..) => Kind::Reference,
            Body::Weak(to, _) if to.strong_count() == 0 => Kind::Undef,
            Body::Weak(..) => Kind::Reference,
            Body::Array(_) => Kind::Array,
            Body::Hash(..) => Kind::Hash,
            Body::Regexp(..) => Kind::Regexp,
        }
    }

    /// Returns the target of a reference; `None` for other values, and for a weak reference whose target is gone.
    #[must_use]
    pub fn referent(&self) -> Option<Value> {
        match &*self.0.body.borrow() {
            Body::Ref(to, _) => Some(to.clone()),
            Body::Weak(to, _) => to.upgrade().map(Value),
            _ => None,
        }
    }

    /// Follows references to the last target, or 512 of them if they lead in a circle.
    #[must_use]
    pub fn target(&self) -> Value {
        let mut value = self.clone();
        for _ in 0..512 {
            match value.referent() {
                Some(next) => value = next,
                None => break,
            }
        }
        value
    }

    /// Whether both are the same variable, with references followed.
    #[must_use]
    pub fn is_same(&self, other: &Value) -> bool {
        Rc::ptr_eq(&self.target().0, &other.target().0)
    }

    /// Whether both are the same variable, with references not followed.
    #[must_use]
    pub fn ptr_eq(&self, other: &Value) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Whether it is undef, with references followed.
    #[must_use]
    pub fn is_undef(&self) -> bool {
        self.target().kind() == Kind::Undef
    }

    /// Whether Perl calls it true: everything but undef, `""`, `"0"` and 0.
    ///
    /// ```
    /// use perl_storable::Value;
    /// let falses = [Value::undef(), "".into(), "0".into(), 0.into(), false.into()];
    /// assert!(!falses.iter().any(Value::is_true));
    /// let trues = ["0.0".into(), "00".into(), " ".into(), 1.into(), Value::array([])];
    /// assert!(trues.iter().all(Value::is_true));
    /// ```
    #[must_use]
    pub fn is_true(&self) -> bool {
        match &*self.0.body.borrow() {
            Body::Undef | Body::Hole | Body::HoleElement => false,
            Body::Bool(on) => *on,
            Body::Int(integer) => *integer != 0,
            Body::Float(float) => *float != 0.0,
            Body::Bytes(bytes) | Body::Version(_, Scalar::Bytes(bytes)) => !matches!(&**bytes, b"" | b"0"),
            Body::Text(text) | Body::Version(_, Scalar::Text(text)) => !matches!(&**text, "" | "0"),
            Body::Weak(to, _) => to.strong_count() > 0,
            Body::Ref(..) | Body::Array(_) | Body::Hash(..) | Body::Regexp(..) => true,
        }
    }

    /// Returns the integer, or the one that the text says.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match &*self.target().0.body.borrow() {
            Body::Int(integer) => Some(*integer),
            Body::Bool(on) => Some((*on).into()),
            Body::Float(float) => number::integral(*float)?.try_into().ok(),
            body => number::parse_integer(body.string()?)?.try_into().ok(),
        }
    }

    /// Returns the number, or the one that the text says.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match &*self.target().0.body.borrow() {
            Body::Int(integer) => Some(*integer as f64),
            Body::Float(float) => Some(*float),
            body => number::parse_float(body.string()?),
        }
    }

    /// Returns the bytes of a string; a character string gives UTF-8. Numbers are not strings: see [`to_text`](Self::to_text).
    #[must_use]
    pub fn as_bytes(&self) -> Option<Vec<u8>> {
        self.target().0.body.borrow().string().map(<[u8]>::to_vec)
    }

    /// Returns a string as text: a character string, or a byte string that is UTF-8. Numbers are not strings: see
    /// [`to_text`](Self::to_text).
    #[must_use]
    pub fn as_text(&self) -> Option<String> {
        String::from_utf8(self.as_bytes()?).ok()
    }

    /// Returns a scalar as the text that Perl prints for it; `None` for undef, arrays and hashes.
    ///
    /// Numbers have at most 15 digits, true is `1` and false is empty. A byte string is decoded as UTF-8 if it is UTF-8,
    /// otherwise as Latin-1. A compiled pattern is printed as Perl shows it, `(?^i:pattern)`.
    ///
    /// ```
    /// use perl_storable::Value;
    /// assert_eq!(Value::from(42).to_text().as_deref(), Some("42"));
    /// assert_eq!(Value::from(0.1 + 0.2).to_text().as_deref(), Some("0.3"));
    /// assert_eq!(Value::bytes(b"caf\xe9").to_text().as_deref(), Some("caf\u{e9}"));
    /// assert_eq!(Value::bytes("caf\u{e9}").to_text().as_deref(), Some("caf\u{e9}"));
    /// assert_eq!(Value::regexp("^a", "i").to_text().as_deref(), Some("(?^i:^a)"));
    /// assert_eq!(Value::undef().to_text(), None);
    /// ```
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        Some(match &*self.target().0.body.borrow() {
            Body::Bool(on) => if *on { "1" } else { "" }.to_owned(),
            Body::Int(integer) => integer.to_string(),
            Body::Float(float) => number::printed(*float),
            Body::Bytes(bytes) | Body::Version(_, Scalar::Bytes(bytes)) => key::guess(bytes).into_owned(),
            Body::Text(text) | Body::Version(_, Scalar::Text(text)) => text.to_string(),
            Body::Regexp(pattern, modifiers) => {
                format!("(?^{}:{})", key::guess(modifiers), key::guess(pattern))
            }
            _ => return None,
        })
    }

    /// Returns the number of elements or entries; `None` if it is neither an array nor a hash.
    #[must_use]
    pub fn len(&self) -> Option<usize> {
        match &*self.target().0.body.borrow() {
            Body::Array(items) => Some(items.len()),
            Body::Hash(entries, _) => Some(entries.len()),
            _ => None,
        }
    }

    /// Whether it is an empty array or hash.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Returns an element of an array.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Value> {
        match &*self.target().0.body.borrow() {
            Body::Array(items) => items.get(index).cloned(),
            _ => None,
        }
    }

    /// Returns a value of a hash.
    #[must_use]
    pub fn field(&self, key: impl Into<Key>) -> Option<Value> {
        match &*self.target().0.body.borrow() {
            Body::Hash(entries, _) => entries.get(&key.into()).map(|entry| entry.value.clone()),
            _ => None,
        }
    }

    /// Returns the elements of an array; of other values none.
    #[must_use]
    pub fn items(&self) -> Vec<Value> {
        match &*self.target().0.body.borrow() {
            Body::Array(items) => items.clone(),
            _ => Vec::new(),
        }
    }

    /// Iterates over the elements of an array, without copying the list; over none of other values.
    ///
    /// Elements that are pushed meanwhile are visited, too.
    ///
    /// ```
    /// use perl_storable::Value;
    /// let list = Value::array([1.into(), 2.into()]);
    /// assert_eq!(list.iter().filter_map(|item| item.as_i64()).sum::<i64>(), 3);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = Value> + use<> {
        let array = self.target();
        (0..).map_while(move |index| array.get(index))
    }

    /// Returns the entries of a hash in the order of their keys; of other values none.
    #[must_use]
    pub fn entries(&self) -> Vec<(Key, Value)> {
        match &*self.target().0.body.borrow() {
            Body::Hash(entries, _) => entries.iter().map(|(k, e)| (k.clone(), e.value.clone())).collect(),
            _ => Vec::new(),
        }
    }
}

/// Shows one level, because a graph may contain itself.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(class) = &*self.0.class.borrow() {
            write!(f, "{} ", class.escape_ascii())?;
        }
        match &*self.0.body.borrow() {
            Body::Undef | Body::Hole | Body::HoleElement => f.write_str("undef"),
            Body::Bool(on) => on.fmt(f),
            Body::Int(integer) => integer.fmt(f),
            Body::Float(float) => float.fmt(f),
            Body::Bytes(bytes) => write!(f, "b\"{}\"", bytes.escape_ascii()),
            Body::Text(text) => fmt::Debug::fmt(text, f),
            Body::Version(written, _) => write!(f, "{}", written.escape_ascii()),
            Body::Ref(to, _) => write!(f, "reference to {:?}", to.kind()),
            Body::Weak(..) => f.write_str("weak reference"),
            Body::Array(items) => write!(f, "array of {}", items.len()),
            Body::Hash(entries, _) => f.debug_set().entries(entries.keys()).finish(),
            Body::Regexp(pattern, modifiers) => {
                write!(f, "/{}/{}", pattern.escape_ascii(), modifiers.escape_ascii())
            }
        }
    }
}
