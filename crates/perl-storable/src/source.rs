//! What serde's data can be read from: an item of a parsed image, or a value.

use crate::build::Builder;
use crate::error::Error;
use crate::image::{Image, Kind};
use crate::key::Key;
use crate::settings::Settings;
use crate::value::{Body, Scalar, Thing, Value};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

/// What an item that is read again counts for, beside its text.
const ITEM: usize = 64;
/// A shared string that is longer than this is counted each time that it is read.
const LONG: usize = 64;

/// How deep and how much may be read.
pub(crate) struct Limits {
    pub(crate) max_depth: usize,
    pub(crate) latin1: bool,
    /// How many bytes of memory may still be made of what is read more than once.
    shared: Cell<usize>,
}

impl Limits {
    pub(crate) fn new(settings: &Settings) -> Self {
        Limits {
            max_depth: settings.max_depth,
            latin1: settings.latin1,
            shared: Cell::new(settings.max_shared),
        }
    }

    /// Pays for an item that is read again, with so many bytes of text.
    pub(crate) fn spend(&self, bytes: usize) -> Result<(), Error> {
        let left = self.shared.get().checked_sub(bytes.saturating_add(ITEM));
        let too_large = || Error::too_large("shared data expands to more memory than max_shared allows");
        self.shared.set(left.ok_or_else(too_large)?);
        Ok(())
    }
}

/// One scalar, or the size of a container.
pub(crate) enum Data<'de> {
    Undef,
    Bool(bool),
    Int(i64),
    Float(f64),
    Bytes(Cow<'de, [u8]>),
    Text(Cow<'de, str>),
    Array(usize),
    Hash(usize),
    Regexp,
}

impl Data<'_> {
    /// The length of its text.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Data::Bytes(bytes) => bytes.len(),
            Data::Text(text) => text.len(),
            _ => 0,
        }
    }
}

/// The key of a hash entry as an image holds it.
pub(crate) struct RawKey<'de> {
    pub(crate) flags: u8,
    pub(crate) bytes: Cow<'de, [u8]>,
}

/// The class of something blessed.
pub(crate) type Class<'de> = Option<Cow<'de, [u8]>>;

/// A place to read from.
pub(crate) trait Source<'de>: Clone {
    type Items: Iterator<Item = Self>;
    type Entries: Iterator<Item = (RawKey<'de>, Self)>;

    /// The thing behind references, sharing and class, and its class. Sets `again` if it may have been read before.
    fn resolve(&self, limits: &Limits, again: &mut bool) -> Result<(Self, Class<'de>), Error>;

    /// Whether it is undef, references followed.
    fn is_undef(&self) -> bool;

    // The rest is for what `resolve` has given.

    fn data(&self) -> Data<'de>;
    fn items(&self) -> Self::Items;
    fn entries(&self) -> Self::Entries;

    /// The place as a value, references not followed.
    fn value(&self) -> Result<Value, Error>;
}

/// An image that is read from, with the values made of it so far, so that all of them share what the image shares.
pub(crate) struct Reading<'r, 'de> {
    pub(crate) image: &'r Image<'de>,
    builder: RefCell<Builder<'r, 'de>>,
}

impl<'r, 'de> Reading<'r, 'de> {
    pub(crate) fn new(image: &'r Image<'de>, settings: &Settings) -> Self {
        Reading {
            image,
            builder: RefCell::new(Builder::new(image, settings)),
        }
    }

    pub(crate) fn at(&'r self, at: usize) -> ImageItem<'r, 'de> {
        ImageItem { reading: self, at }
    }

    /// The item at `at` with its class, as a value.
    pub(crate) fn value(&self, at: usize) -> Result<Value, Error> {
        self.builder.borrow_mut().value(at)
    }

    /// Takes apart the values that were made, if they may contain themselves: nobody else can.
    pub(crate) fn abandon(&self) {
        self.builder.borrow_mut().abandon();
    }
}

/// An item of an image.
#[derive(Clone, Copy)]
pub(crate) struct ImageItem<'r, 'de> {
    reading: &'r Reading<'r, 'de>,
    at: usize,
}

impl<'de> Source<'de> for ImageItem<'_, 'de> {
    type Items = Self;
    type Entries = Entries<Self>;

    fn resolve(&self, limits: &Limits, again: &mut bool) -> Result<(Self, Class<'de>), Error> {
        let spend = |again: bool| if again { limits.spend(0) } else { Ok(()) };
        let (at, class) = self.reading.image.resolve(self.at, false, again, spend)?;
        Ok((ImageItem { at, ..*self }, class.map(Cow::Borrowed)))
    }

    fn is_undef(&self) -> bool {
        let resolved = self.reading.image.resolve(self.at, false, &mut false, |_| Ok(()));
        resolved.is_ok_and(|(at, _)| self.reading.image.nodes[at].kind.is_undef())
    }

    fn data(&self) -> Data<'de> {
        match self.reading.image.nodes[self.at].kind {
            Kind::Bool(on) => Data::Bool(on),
            Kind::Int(integer) => Data::Int(integer),
            Kind::Float(float) => Data::Float(float),
            Kind::Bytes(bytes) => Data::Bytes(Cow::Borrowed(bytes)),
            Kind::Text(text) => Data::Text(Cow::Borrowed(text)),
            Kind::Array(count) => Data::Array(count as usize),
            Kind::Hash { count, .. } => Data::Hash(count as usize),
            Kind::Regexp => Data::Regexp,
            _ => Data::Undef,
        }
    }

    /// The first of the items inside; it is an iterator over them all, which its caller stops at their count.
    fn items(&self) -> Self {
        ImageItem {
            at: self.at + 1,
            ..*self
        }
    }

    fn entries(&self) -> Entries<Self> {
        Entries(self.items())
    }

    fn value(&self) -> Result<Value, Error> {
        self.reading.value(self.at)
    }
}

impl Iterator for ImageItem<'_, '_> {
    type Item = Self;
    fn next(&mut self) -> Option<Self> {
        let item = *self;
        self.at = self.reading.image.nodes.get(self.at)?.next as usize;
        Some(item)
    }
}

/// Pairs of an item and a key.
pub(crate) struct Entries<T>(T);

impl<'r, 'de> Iterator for Entries<ImageItem<'r, 'de>> {
    type Item = (RawKey<'de>, ImageItem<'r, 'de>);
    fn next(&mut self) -> Option<Self::Item> {
        let value = self.0.next()?;
        let nodes = &self.0.reading.image.nodes;
        let Kind::Key { flags, bytes } = nodes.get(self.0.at)?.kind else {
            return None;
        };
        self.0.at += 1;
        let bytes = Cow::Borrowed(bytes);
        Some((RawKey { flags, bytes }, value))
    }
}

/// The things that were read already, by address.
#[derive(Default)]
pub(crate) struct Seen(RefCell<HashSet<*const Thing>>);

/// A value that is read from.
#[derive(Clone)]
pub(crate) struct ValueItem<'r> {
    value: Value,
    seen: &'r Seen,
}

impl<'r> ValueItem<'r> {
    pub(crate) fn new(value: &Value, seen: &'r Seen) -> Self {
        ValueItem {
            value: value.clone(),
            seen,
        }
    }

    fn other(&self, value: Value) -> Self {
        ValueItem { value, seen: self.seen }
    }
}

impl<'r, 'de> Source<'de> for ValueItem<'r> {
    type Items = std::vec::IntoIter<Self>;
    type Entries = std::vec::IntoIter<(RawKey<'de>, Self)>;

    fn resolve(&self, limits: &Limits, again: &mut bool) -> Result<(Self, Class<'de>), Error> {
        let target = self.value.target();
        let counts = match &*target.0.body.borrow() {
            body if body.refers() => {
                return Err(Error::cyclic(
                    "a reference that leads to itself, or through too many others",
                ));
            }
            Body::Array(_) | Body::Hash(..) => true,
            body => body.string().is_some_and(|bytes| bytes.len() > LONG),
        };
        if counts && !self.seen.0.borrow_mut().insert(Rc::as_ptr(&target.0)) {
            *again = true;
        }
        if *again {
            limits.spend(0)?;
        }
        let class = target.0.class.borrow().as_ref().map(|name| Cow::Owned(name.to_vec()));
        Ok((self.other(target), class))
    }

    fn is_undef(&self) -> bool {
        self.value.is_undef()
    }

    fn data(&self) -> Data<'de> {
        match &*self.value.0.body.borrow() {
            Body::Bool(on) => Data::Bool(*on),
            Body::Int(integer) => Data::Int(*integer),
            Body::Float(float) => Data::Float(*float),
            Body::Bytes(bytes) | Body::Version(_, Scalar::Bytes(bytes)) => Data::Bytes(Cow::Owned(bytes.to_vec())),
            Body::Text(text) | Body::Version(_, Scalar::Text(text)) => Data::Text(Cow::Owned(text.to_string())),
            Body::Array(items) => Data::Array(items.len()),
            Body::Hash(entries, _) => Data::Hash(entries.len()),
            Body::Regexp(..) => Data::Regexp,
            Body::Undef | Body::Hole | Body::HoleElement | Body::Ref(..) | Body::Weak(..) => Data::Undef,
        }
    }

    fn items(&self) -> Self::Items {
        let items: Vec<Self> = self.value.items().into_iter().map(|item| self.other(item)).collect();
        items.into_iter()
    }

    fn entries(&self) -> Self::Entries {
        let entry = |(key, value): (Key, Value)| {
            let (flags, bytes) = (key.flags(), Cow::Owned(key.into_bytes()));
            (RawKey { flags, bytes }, self.other(value))
        };
        let entries: Vec<_> = self.value.entries().into_iter().map(entry).collect();
        entries.into_iter()
    }

    fn value(&self) -> Result<Value, Error> {
        Ok(self.value.clone())
    }
}
