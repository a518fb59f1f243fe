//! Perl's data as it is: scalars, arrays and hashes that can be shared, blessed, and contain themselves.

use super::code;
use super::error::Error;
use super::image::{self, Image};
use super::key::Key;
use super::number;
use super::settings::Settings;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
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
pub struct Value(pub(super) Rc<Thing>);

pub(super) struct Thing {
    pub(super) body: RefCell<Body>,
    pub(super) class: RefCell<Option<Rc<[u8]>>>,
}

pub(super) enum Body {
    Undef,
    Hole,
    HoleElement,
    Bool(bool),
    Int(i64),
    Float(f64),
    Octets(Box<[u8]>),
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
pub(super) enum Scalar {
    Octets(Box<[u8]>),
    Text(Box<str>),
}

pub(super) struct Entry {
    pub(super) value: Value,
    /// Locked, or the place of a key that a locked hash may have.
    pub(super) flags: u8,
}

/// What a [`Value`] is.
///
/// ```
/// use poe::storable::{Kind, Value};
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
    /// True or false, as Perl's own constants; inside arrays and hashes they travel as `"1"` and `""`.
    Bool,
    /// An integer.
    Integer,
    /// A float that was made here; an image has text in its place.
    Float,
    /// A string of octets.
    Octets,
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
///     Value::octets(b"\xff\0"),
///     Value::text("caf\u{e9}"),
///     Value::version("v1.2", [1, 2]),
///     Value::reference(&Value::from("a string")),
///     Value::regexp("^a+$", "i"),
///     Value::hash([("key", Value::from("value"))]),
/// ]);
/// let kinds = made.items().iter().map(|item| item.target().kind()).collect::<Vec<_>>();
/// use Kind::{Float, Hash, Integer, Octets, Regexp, Text, Undef};
/// // In an array Perl's true is a copy of it, `"1"`.
/// assert_eq!(kinds, [Undef, Undef, Octets, Integer, Float, Octets, Text, Octets, Octets, Regexp, Hash]);
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

    /// A string of octets.
    #[must_use]
    pub fn octets(octets: impl Into<Vec<u8>>) -> Self {
        Self::of(Body::Octets(octets.into().into()))
    }

    /// A character string, even if it is ASCII. `Value::from("text")` makes octets of ASCII, which is shorter and alike.
    ///
    /// ```
    /// use poe::storable::{Kind, Value};
    /// assert_eq!(Value::from("plain").kind(), Kind::Octets);
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
        let characters = Scalar::Octets(characters.into().into());
        Self::of(Body::Version(written.as_ref().into(), characters))
    }

    /// The same thing, of a class now. A reference is blessed itself, not what it points to.
    #[must_use]
    pub fn bless(self, class: impl AsRef<[u8]>) -> Self {
        *self.0.class.borrow_mut() = Some(class.as_ref().into());
        self
    }
}

/// Looking at things.
///
/// ```
/// use poe::storable::{Kind, Value};
/// let scores = Value::array([1.into(), "2.5".into(), Value::undef()]);
/// let game = Value::hash([("scores", scores.clone()), ("name", "chess".into()), ("rest", Value::array([]))]);
/// let keys: Vec<_> = game.entries().iter().map(|(key, _)| key.text().into_owned()).collect();
/// assert_eq!(keys, ["name", "rest", "scores"]);
/// let name = game.field("name").unwrap();
/// assert_eq!(name.as_text().as_deref(), Some("chess"));
/// assert_eq!(name.as_octets().as_deref(), Some(&b"chess"[..]));
/// assert!(game.field("rest").unwrap().is_empty());
///
/// // What stands in the hash is a reference, and all of these look through it:
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
    /// The class of what is blessed, references followed. Octets that are not UTF-8 are replaced.
    #[must_use]
    pub fn class(&self) -> Option<String> {
        self.target().own_class()
    }

    /// The class of this very thing; that of a reference is mostly none, for it is its target that is blessed.
    ///
    /// ```
    /// use poe::storable::Value;
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
            Body::Octets(_) | Body::Version(_, Scalar::Octets(_)) => Kind::Octets,
            Body::Text(_) | Body::Version(_, Scalar::Text(_)) => Kind::Text,
            Body::Ref(..) => Kind::Reference,
            Body::Weak(to, _) if to.strong_count() == 0 => Kind::Undef,
            Body::Weak(..) => Kind::Reference,
            Body::Array(_) => Kind::Array,
            Body::Hash(..) => Kind::Hash,
            Body::Regexp(..) => Kind::Regexp,
        }
    }

    /// What a reference points to; `None` of anything else, and of a weak one whose target is gone.
    #[must_use]
    pub fn referent(&self) -> Option<Value> {
        match &*self.0.body.borrow() {
            Body::Ref(to, _) => Some(to.clone()),
            Body::Weak(to, _) => to.upgrade().map(Value),
            _ => None,
        }
    }

    /// The thing itself: references followed to their end, or some hundred of them if they have none.
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

    /// Whether both are one and the same thing, references followed.
    #[must_use]
    pub fn is_same(&self, other: &Value) -> bool {
        Rc::ptr_eq(&self.target().0, &other.target().0)
    }

    /// Whether both are this very thing, references not followed.
    #[must_use]
    pub fn ptr_eq(&self, other: &Value) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Whether it is undef, references followed.
    #[must_use]
    pub fn is_undef(&self) -> bool {
        self.target().kind() == Kind::Undef
    }

    /// What Perl calls true: all but undef, `""`, `"0"` and 0.
    ///
    /// ```
    /// use poe::storable::Value;
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
            Body::Octets(octets) | Body::Version(_, Scalar::Octets(octets)) => !matches!(&**octets, b"" | b"0"),
            Body::Text(text) | Body::Version(_, Scalar::Text(text)) => !matches!(&**text, "" | "0"),
            Body::Weak(to, _) => to.strong_count() > 0,
            Body::Ref(..) | Body::Array(_) | Body::Hash(..) | Body::Regexp(..) => true,
        }
    }

    /// The integer, or the one that the text says.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match &*self.target().0.body.borrow() {
            Body::Int(integer) => Some(*integer),
            Body::Bool(on) => Some((*on).into()),
            Body::Float(float) => number::parse_integer(float.to_string().as_bytes())?.try_into().ok(),
            body => number::parse_integer(body.string()?)?.try_into().ok(),
        }
    }

    /// The number, or the one that the text says.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match &*self.target().0.body.borrow() {
            Body::Int(integer) => Some(*integer as f64),
            Body::Float(float) => Some(*float),
            body => number::parse_float(body.string()?),
        }
    }

    /// The octets of a string: its own, or UTF-8 of characters.
    #[must_use]
    pub fn as_octets(&self) -> Option<Vec<u8>> {
        self.target().0.body.borrow().string().map(<[u8]>::to_vec)
    }

    /// A string as text: characters, or octets that are UTF-8.
    #[must_use]
    pub fn as_text(&self) -> Option<String> {
        String::from_utf8(self.as_octets()?).ok()
    }

    /// How many elements or entries it has; `None` if it is neither array nor hash.
    #[must_use]
    pub fn len(&self) -> Option<usize> {
        match &*self.target().0.body.borrow() {
            Body::Array(items) => Some(items.len()),
            Body::Hash(entries, _) => Some(entries.len()),
            _ => None,
        }
    }

    /// Whether it is an array or a hash without anything in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// An element of an array.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Value> {
        match &*self.target().0.body.borrow() {
            Body::Array(items) => items.get(index).cloned(),
            _ => None,
        }
    }

    /// A value of a hash.
    #[must_use]
    pub fn field(&self, key: impl Into<Key>) -> Option<Value> {
        match &*self.target().0.body.borrow() {
            Body::Hash(entries, _) => entries.get(&key.into()).map(|entry| entry.value.clone()),
            _ => None,
        }
    }

    /// The elements of an array, or none.
    #[must_use]
    pub fn items(&self) -> Vec<Value> {
        match &*self.target().0.body.borrow() {
            Body::Array(items) => items.clone(),
            _ => Vec::new(),
        }
    }

    /// The entries of a hash in the order of their keys, or none.
    #[must_use]
    pub fn entries(&self) -> Vec<(Key, Value)> {
        match &*self.target().0.body.borrow() {
            Body::Hash(entries, _) => entries.iter().map(|(k, e)| (k.clone(), e.value.clone())).collect(),
            _ => Vec::new(),
        }
    }
}

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

impl Value {
    /// As something inside an array, a hash or a reference stands: containers behind a reference.
    /// Perl's true and false become copies of them.
    fn element(self) -> Self {
        let constant = match &*self.0.body.borrow() {
            Body::Array(_) | Body::Hash(..) | Body::Regexp(..) => return Value::reference(&self),
            Body::Bool(on) => Some(if *on { "1" } else { "" }),
            _ => None,
        };
        match constant {
            _ if self.0.class.borrow().is_some() => Value::reference(&self),
            Some(copy) => Value::octets(copy),
            None => self,
        }
    }
}

impl Entry {
    fn plain(value: Value) -> Self {
        Entry {
            value: value.element(),
            flags: 0,
        }
    }
}

impl Body {
    fn string(&self) -> Option<&[u8]> {
        match self {
            Body::Octets(octets) | Body::Version(_, Scalar::Octets(octets)) => Some(octets),
            Body::Text(text) | Body::Version(_, Scalar::Text(text)) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// Gives up what it holds.
    fn release(self, open: &mut Vec<Value>) {
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

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        if text.is_ascii() {
            Self::octets(text)
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
            Err(_) => Self::octets(integer.to_string()),
        }
    }
}

impl From<f64> for Value {
    fn from(float: f64) -> Self {
        Self::of(Body::Float(float))
    }
}

/// One level deep, because a graph may contain itself; the image shows all of it.
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
            Body::Octets(octets) => write!(f, "b\"{}\"", octets.escape_ascii()),
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

/// Makes the graph of an image. Its list has parents before children and keys behind values, so one pass suffices.
pub(super) fn build(image: &Image<'_>, settings: &Settings) -> Result<Value, Error> {
    let mut builder = Builder {
        image,
        cycles: settings.cycles,
        things: vec![None; image.nodes.len()],
        classes: image.classes.iter().map(|&name| name.into()).collect(),
    };
    let top = builder.item(0);
    if top.is_err() {
        // What is half built may contain itself already.
        builder.things.iter().flatten().for_each(Value::unlink);
    }
    top
}

struct Builder<'a> {
    image: &'a Image<'a>,
    cycles: bool,
    /// What stands for each node so far; containers from before their contents are read.
    things: Vec<Option<Value>>,
    classes: Vec<Rc<[u8]>>,
}

impl Builder<'_> {
    /// The recursion is as deep as the image, which the parser has bounded.
    fn item(&mut self, at: usize) -> Result<Value, Error> {
        let node = self.image.nodes[at];
        let body = match node.kind {
            image::Kind::Same(earlier) => {
                let weak = at > 0 && matches!(self.image.nodes[at - 1].kind, image::Kind::Ref { weak: true, .. });
                if !weak && !self.cycles && self.image.encloses(earlier, at) {
                    return Err(Error::cyclic("something contains itself, which has to be asked for"));
                }
                let earlier = self.things[earlier as usize].clone();
                return earlier.ok_or_else(|| Error::data("a reference to something that is not there"));
            }
            image::Kind::Class(class) => {
                let value = self.item(at + 1)?;
                *value.0.class.borrow_mut() = Some(self.classes[class as usize].clone());
                return Ok(value);
            }
            image::Kind::Version(written) => {
                let value = self.item(at + 1)?;
                let characters = match value.0.body.replace(Body::Undef) {
                    Body::Text(text) => Scalar::Text(text),
                    Body::Octets(octets) => Scalar::Octets(octets),
                    _ => Scalar::Octets(Box::default()),
                };
                *value.0.body.borrow_mut() = Body::Version(written.into(), characters);
                return Ok(value);
            }
            image::Kind::Undef | image::Kind::Key { .. } => Body::Undef,
            image::Kind::Hole => Body::Hole,
            image::Kind::HoleElement => Body::HoleElement,
            image::Kind::Bool(on) => Body::Bool(on),
            image::Kind::Int(integer) => Body::Int(integer.into()),
            image::Kind::Octets(octets) => Body::Octets(octets.into()),
            image::Kind::Text(text) => Body::Text(text.into()),
            image::Kind::Regexp => {
                let part = |at: usize| match self.image.nodes[at].kind {
                    image::Kind::Octets(octets) => octets.into(),
                    _ => Box::default(),
                };
                Body::Regexp(part(at + 1), part(at + 2))
            }
            image::Kind::Array(_) | image::Kind::Hash { .. } | image::Kind::Ref { .. } => Body::Undef,
        };
        let value = Value::of(body);
        self.things[at] = Some(value.clone());
        let body = match node.kind {
            image::Kind::Array(count) => {
                let mut items = Vec::with_capacity(count as usize);
                let mut child = at + 1;
                for _ in 0..count {
                    items.push(self.item(child)?);
                    child = self.image.nodes[child].next as usize;
                }
                Body::Array(items)
            }
            image::Kind::Hash { count, flags } => {
                let mut entries = BTreeMap::new();
                let mut child = at + 1;
                for _ in 0..count {
                    let value = self.item(child)?;
                    let key = self.image.nodes[child].next as usize;
                    if let image::Kind::Key { flags, octets } = self.image.nodes[key].kind {
                        let kept = flags & (code::KEY_LOCKED | code::KEY_PLACEHOLDER);
                        entries.insert(Key::from_wire(flags, octets), Entry { value, flags: kept });
                    }
                    child = key + 1;
                }
                Body::Hash(entries, flags)
            }
            image::Kind::Ref { weak, overload } => {
                let to = self.item(at + 1)?;
                if weak {
                    Body::Weak(Rc::downgrade(&to.0), overload)
                } else {
                    Body::Ref(to, overload)
                }
            }
            _ => return Ok(value),
        };
        *value.0.body.borrow_mut() = body;
        Ok(value)
    }
}
