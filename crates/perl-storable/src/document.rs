//! A parsed image: look at some of it, then read the parts as what they are.

use crate::de::Item;
use crate::error::Error;
use crate::image::{self, Image};
use crate::key::{self, Key};
use crate::settings::Settings;
use crate::source::{Limits, Reading};
use crate::value::{Kind, Value};
use crate::write::Writer;
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt;

/// A parsed image, to look into before you decide what type its parts are.
///
/// Parsing checks the whole image once. Nothing is copied: a document borrows the bytes, and it is `Send` and `Sync`.
///
/// ```
/// use perl_storable::{self as storable, Document, Settings};
/// #[derive(serde::Serialize)]
/// struct Message<T> { event: &'static str, params: T }
/// let image = storable::to_vec(&Message { event: "add", params: (20, 22) }).unwrap();
///
/// let message = Document::parse(&image, &Settings::new()).unwrap();
/// let params = message.root().field("params").unwrap();
/// let sum = match message.root().field("event").and_then(|event| event.text()).as_deref() {
///     Some("add") => {
///         let (a, b): (i32, i32) = params.deserialize().unwrap();
///         a + b
///     }
///     event => panic!("unknown event {event:?}"),
/// };
/// assert_eq!(sum, 42);
///
/// // The part as an image of its own, for another thread or another program.
/// let part: Vec<u8> = params.image().unwrap();
/// assert_eq!(storable::from_slice::<[i32; 2]>(&part).unwrap(), [20, 22]);
/// ```
pub struct Document<'a> {
    image: Image<'a>,
    settings: Settings,
}

impl<'a> Document<'a> {
    /// Parses and checks an image. The settings also apply to what is read from the document.
    ///
    /// # Errors
    /// An image that is broken, too deep, too large, or that holds what is not supported.
    pub fn parse(bytes: &'a [u8], settings: &Settings) -> Result<Self, Error> {
        Ok(Document {
            image: Image::parse(bytes, settings)?,
            settings: settings.clone(),
        })
    }

    /// Returns the top of the image.
    #[must_use]
    pub fn root(&self) -> Node<'_, 'a> {
        Node { document: self, at: 0 }
    }
}

impl fmt::Debug for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Document").field(&self.root()).finish()
    }
}

/// A place in a [`Document`]. All methods look through references.
///
/// ```
/// use perl_storable::{Document, Kind, Settings, Value, freeze};
/// let image = freeze(&Value::hash([("list", Value::array([1.into(), "two".into()]).bless("List"))])).unwrap();
/// let document = Document::parse(&image, &Settings::new()).unwrap();
/// let list = document.root().field("list").unwrap();
/// assert_eq!((list.kind(), list.len(), list.class().as_deref()), (Kind::Array, Some(2), Some("List")));
/// assert_eq!(list.get(1).unwrap().text().as_deref(), Some("two"));
/// assert_eq!(list.items().filter_map(|item| item.text()).collect::<Vec<_>>(), ["1", "two"]);
/// let (key, value) = document.root().entries().next().unwrap();
/// assert_eq!((&*key.text(), value.len()), ("list", Some(2)));
/// assert_eq!(list.to_value().unwrap().class().as_deref(), Some("List"));
/// ```
#[derive(Clone, Copy)]
pub struct Node<'d, 'a> {
    document: &'d Document<'a>,
    at: usize,
}

impl<'d, 'a> Node<'d, 'a> {
    fn parsed(self) -> &'d Image<'a> {
        &self.document.image
    }

    /// The item itself and its class. References that lead only to each other have none.
    fn target(self) -> Option<(usize, image::Kind<'a>, Option<&'a [u8]>)> {
        let (at, class) = self.parsed().resolve(self.at, true, &mut false, |_| Ok(())).ok()?;
        Some((at, self.parsed().nodes[at].kind, class))
    }

    /// Returns what it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.target() {
            Some((_, kind, _)) => match kind {
                image::Kind::Bool(_) => Kind::Bool,
                image::Kind::Int(_) => Kind::Integer,
                image::Kind::Float(_) => Kind::Float,
                image::Kind::Bytes(_) => Kind::Bytes,
                image::Kind::Text(_) => Kind::Text,
                image::Kind::Array(_) => Kind::Array,
                image::Kind::Hash { .. } => Kind::Hash,
                image::Kind::Regexp => Kind::Regexp,
                _ => Kind::Undef,
            },
            None => Kind::Reference,
        }
    }

    /// Returns the class of a blessed thing. Bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn class(self) -> Option<Cow<'a, str>> {
        self.target()?.2.map(String::from_utf8_lossy)
    }

    /// Returns a scalar as the text that Perl prints for it; `None` for undef, arrays, hashes and patterns.
    ///
    /// A byte string is decoded as UTF-8 if it is UTF-8, otherwise as Latin-1; always as Latin-1 if
    /// [`Settings::latin1`] is set.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        Some(match self.target()?.1 {
            image::Kind::Bool(on) => Cow::Borrowed(if on { "1" } else { "" }),
            image::Kind::Int(integer) => Cow::Owned(integer.to_string()),
            image::Kind::Float(float) => Cow::Owned(crate::number::printed(float)),
            image::Kind::Bytes(bytes) if self.document.settings.latin1 => key::latin1(bytes),
            image::Kind::Bytes(bytes) => key::guess(bytes),
            image::Kind::Text(text) => Cow::Borrowed(text),
            _ => return None,
        })
    }

    /// Returns the number of elements or entries; `None` if it is neither an array nor a hash.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "most nodes are no containers")]
    pub fn len(self) -> Option<usize> {
        match self.target()?.1 {
            image::Kind::Array(count) | image::Kind::Hash { count, .. } => Some(count as usize),
            _ => None,
        }
    }

    /// Returns an element of an array. The time grows with the index.
    #[must_use]
    pub fn get(self, index: usize) -> Option<Node<'d, 'a>> {
        self.items().nth(index)
    }

    /// Returns a value of a hash. The time grows with the number of entries.
    ///
    /// If the image has a key twice, the last one counts, as in Perl.
    #[must_use]
    pub fn field(self, key: impl Into<Key>) -> Option<Node<'d, 'a>> {
        let key = key.into();
        self.entries()
            .filter(|(other, _)| *other == key)
            .last()
            .map(|(_, value)| value)
    }

    /// Iterates over the elements of an array; over none of other values.
    pub fn items(self) -> impl Iterator<Item = Node<'d, 'a>> + use<'d, 'a> {
        let (mut at, count) = match self.target() {
            Some((at, image::Kind::Array(count), _)) => (at + 1, count),
            _ => (0, 0),
        };
        (0..count).map(move |_| {
            let node = Node { at, ..self };
            at = self.parsed().nodes[at].next as usize;
            node
        })
    }

    /// Iterates over the entries of a hash in the order of the image; over none of other values.
    pub fn entries(self) -> impl Iterator<Item = (Key, Node<'d, 'a>)> + use<'d, 'a> {
        let (mut at, count) = match self.target() {
            Some((at, image::Kind::Hash { count, .. }, _)) => (at + 1, count),
            _ => (0, 0),
        };
        (0..count).filter_map(move |_| {
            let node = Node { at, ..self };
            let key = self.parsed().nodes[at].next as usize;
            at = key + 1;
            match self.parsed().nodes[key].kind {
                image::Kind::Key { flags, bytes } => Some((Key::from_wire(flags, bytes), node)),
                _ => None,
            }
        })
    }

    /// Reads it as a type, as [`from_slice`](crate::from_slice) reads a whole image. The type may borrow from the image.
    ///
    /// # Errors
    /// Data that does not fit the type, contains itself, or expands to more than [`Settings::max_shared`] allows.
    pub fn deserialize<T: Deserialize<'a>>(self) -> Result<T, Error> {
        let limits = Limits::new(&self.document.settings);
        let reading = Reading::new(self.parsed(), &self.document.settings);
        let data = T::deserialize(Item::top(reading.at(self.at), &limits));
        if data.is_err() {
            reading.abandon();
        }
        data
    }

    /// Makes a [`Value`] of it, with classes and sharing.
    ///
    /// # Errors
    /// Data that contains itself, unless [`Settings::cycles`] is set; a part that gets too deep because it refers to other
    /// parts of the image.
    pub fn to_value(self) -> Result<Value, Error> {
        Reading::new(self.parsed(), &self.document.settings).value(self.at)
    }

    /// Makes an image of it, as `nfreeze` does: bytes that can be sent to another thread, or to Perl.
    ///
    /// A reference becomes an image of its target. The bytes are copied, unless the part has classes or shares data, which
    /// Storable numbers across the whole image.
    ///
    /// # Errors
    /// As for [`to_value`](Self::to_value).
    pub fn image(self) -> Result<Vec<u8>, Error> {
        let image = self.parsed();
        let at = match image.nodes[self.at].kind {
            image::Kind::Ref { .. } => self.at + 1,
            _ => self.at,
        };
        if let Some(bytes) = image.own_bytes(at) {
            return Ok([&image::code::HEADER, bytes].concat());
        }
        let settings = self.document.settings.clone().cycles(true);
        let reading = Reading::new(image, &settings);
        let value = reading.value(at)?;
        let mut writer = Writer::new(settings.max_depth);
        let written = writer.value(&value);
        // The value is nobody else's, and may contain itself.
        drop(value);
        reading.abandon();
        written.map(|()| writer.finish())
    }
}

impl fmt::Debug for Node<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.text(), self.len()) {
            (Some(text), _) => fmt::Debug::fmt(&text, f),
            (None, Some(length)) => write!(f, "{:?} of {length}", self.kind()),
            (None, None) => fmt::Debug::fmt(&self.kind(), f),
        }
    }
}
