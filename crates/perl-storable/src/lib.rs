//! Perl's Storable images, read and written: what `nstore`, `nfreeze`, `store` and `freeze` make, and `retrieve` and
//! `thaw` read.
//!
//! Data goes two ways. *Typed*, with serde: [`to_vec`] and [`from_slice`] take any type that serde knows. *As it is*:
//! [`freeze`] and [`thaw`] take a [`Value`], a graph of Perl's scalars, arrays and hashes, in which shared data stays
//! shared and objects stay blessed. A [`Document`] is a parsed image to look into before you decide.
//!
//! ```
//! use perl_storable::{self as storable, Value};
//! let image = storable::to_vec(&("temperature", 21)).unwrap();
//! assert_eq!(image, b"\x05\x0b\x02\0\0\0\x02\x0a\x0btemperature\x08\x95");
//! let (name, degrees): (String, i32) = storable::from_slice(&image).unwrap();
//! assert_eq!((name.as_str(), degrees), ("temperature", 21));
//!
//! let value = storable::thaw(&image).unwrap();
//! assert_eq!(value.get(1).unwrap().as_i64(), Some(21));
//! ```
//!
//! # Files
//!
//! A file that Perl's `store` or `nstore` wrote is an image with four bytes in front, which are read, too. To write a file
//! for `retrieve`, put [`FILE_MAGIC`] in front of the image.
//!
//! # How Rust's data looks in Perl
//!
//! | serde | Storable | read back from |
//! |---|---|---|
//! | unit, `None` | undef | undef |
//! | bool | `"1"`, `""` | those, 0 and 1, the true booleans of newer Perls, undef |
//! | integers | in 32 bits a number, beyond that decimal text | numbers, numeric text, whole floats |
//! | floats | whole ones as integers, others as the shortest text that reads back exactly | numbers, numeric text, `Inf`, `NaN` |
//! | char, str | a byte string if ASCII, otherwise a character string | character strings, byte strings that are UTF-8 ([`Settings::latin1`]), numbers |
//! | bytes | a byte string | byte strings, and character strings as UTF-8 |
//! | sequence, tuple | array | array |
//! | map, struct | hash; keys are text, numbers or bytes | hash |
//! | enum | `"Variant"`, or a hash of one key, the variant | the same |
//! | newtype | what is inside | |
//! | [`Blessed`] | a blessed thing | a blessed thing |
//! | [`Value`] | the value, with classes and sharing | anything |
//!
//! References are followed silently, and the class of an object is dropped unless [`Blessed`] or a [`Value`] asks for it.
//! Typed data is read once for each place where the image shares it. Numbers that were text stay text where the type does
//! not say otherwise (an untagged enum, for example), because Perl does not tell them apart either. The sign of −0.0 is lost.
//!
//! # Limits
//!
//! No input makes a reader panic, and no count or length makes it reserve more memory than the image is long. Nesting is
//! bounded by [`Settings::max_depth`], the number of items by [`Settings::max_items`], and what sharing may multiply by
//! [`Settings::max_shared`]. Code, globs, tied variables and objects with hooks (`STORABLE_freeze`) are rejected with an
//! error that says so. No class is loaded and no code runs: a class is only a name here.

mod build;
mod de;
mod document;
mod error;
mod handover;
mod image;
mod key;
mod number;
mod ser;
mod settings;
mod source;
mod to_value;
mod value;
mod value_serde;
mod write;

// The README's code, compiled and run with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub use document::{Document, Node};
pub use error::Error;
pub use handover::Blessed;
pub use key::Key;
pub use settings::Settings;
pub use value::{Kind, Value};

use de::Item;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use source::{Limits, Seen, ValueItem};
use write::Writer;

/// Stands before the image in a file that `nstore` writes and `retrieve` reads.
///
/// ```
/// use perl_storable::{FILE_MAGIC, from_slice, to_vec};
/// let file = [FILE_MAGIC, &*to_vec(&[1, 2]).unwrap()].concat();
/// assert_eq!(from_slice::<[u8; 2]>(&file).unwrap(), [1, 2]);
/// ```
pub const FILE_MAGIC: &[u8] = image::code::FILE_MAGIC;

impl Settings {
    /// Writes anything that serde can serialize as an image.
    ///
    /// # Errors
    /// Data that is too deep, longer than 4 GiB, or has a map key that is not text, a number or bytes; and the errors of
    /// the data itself.
    pub fn to_vec<T: Serialize + ?Sized>(&self, data: &T) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::new(self.max_depth);
        data.serialize(ser::Serializer::top(&mut writer))?;
        let sorted = !(self.canonical && writer.unsorted);
        let image = writer.finish();
        if sorted {
            return Ok(image);
        }
        // Class names are numbered in the order in which they come, so entries cannot be sorted in place.
        let own = self.clone().max_items(usize::MAX).cycles(true);
        let value = own.thaw(&image)?;
        let image = self.freeze(&value);
        if !self.cycles {
            value.unlink();
        }
        image
    }

    /// Reads data of any type that serde can deserialize from an image.
    ///
    /// # Errors
    /// An image that is broken, too deep, too large or not supported, or that contains itself; and data that does not fit
    /// the type.
    pub fn from_slice<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Error> {
        Document::parse(bytes, self)?.root().deserialize()
    }

    /// Writes a value as an image (`nfreeze`). The keys of hashes are in order.
    ///
    /// # Errors
    /// Data that is too deep, or longer than 4 GiB.
    #[doc(alias = "nfreeze")]
    pub fn freeze(&self, value: &Value) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::new(self.max_depth);
        writer.value(value)?;
        Ok(writer.finish())
    }

    /// Reads the value in an image.
    ///
    /// # Errors
    /// An image that is broken, too deep, too large or not supported; a cycle, unless [`cycles`](Self::cycles) is set.
    pub fn thaw(&self, bytes: &[u8]) -> Result<Value, Error> {
        Document::parse(bytes, self)?.root().to_value()
    }

    /// Makes a value of anything that serde can serialize; what [`thaw`](Self::thaw) reads from [`to_vec`](Self::to_vec).
    ///
    /// # Errors
    /// As for [`to_vec`](Self::to_vec).
    pub fn to_value<T: Serialize + ?Sized>(&self, data: &T) -> Result<Value, Error> {
        data.serialize(to_value::ValueSerializer::top(self.max_depth))
    }

    /// Reads data of any type that serde can deserialize from a value. A [`Value`] in the type is the same variable, not a copy.
    ///
    /// # Errors
    /// Data that does not fit the type, is too deep, contains itself, or expands to more than
    /// [`max_shared`](Self::max_shared) allows.
    pub fn from_value<'de, T: Deserialize<'de>>(&self, value: &Value) -> Result<T, Error> {
        let (limits, seen) = (Limits::new(self), Seen::default());
        T::deserialize(Item::top(ValueItem::new(value, &seen), &limits))
    }
}

/// Writes anything that serde can serialize as an image, with the default [`Settings`].
///
/// # Errors
/// See [`Settings::to_vec`].
///
/// ```
/// let image = perl_storable::to_vec(&["one", "two"]).unwrap();
/// assert_eq!(image, b"\x05\x0b\x02\0\0\0\x02\x0a\x03one\x0a\x03two");
/// ```
pub fn to_vec<T: Serialize + ?Sized>(data: &T) -> Result<Vec<u8>, Error> {
    Settings::new().to_vec(data)
}

/// Reads data of any type that serde can deserialize from an image, with the default [`Settings`].
///
/// # Errors
/// See [`Settings::from_slice`].
///
/// ```
/// use perl_storable as storable;
/// #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
/// struct Point { x: i32, y: i32 }
/// let image = storable::to_vec(&Point { x: 3, y: -4 }).unwrap();
/// assert_eq!(storable::from_slice::<Point>(&image).unwrap(), Point { x: 3, y: -4 });
/// assert!(storable::from_slice::<String>(&image).is_err()); // it is a hash
/// ```
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    Settings::new().from_slice(bytes)
}

/// Writes a value as an image (`nfreeze`), with the default [`Settings`].
///
/// # Errors
/// See [`Settings::freeze`].
///
/// ```
/// use perl_storable::{self as storable, Value};
/// let shared = Value::array([1.into()]);
/// let pair = Value::array([shared.clone(), shared]);
/// let image = storable::freeze(&pair).unwrap();
/// let pair = storable::thaw(&image).unwrap();
/// assert!(pair.get(0).unwrap().is_same(&pair.get(1).unwrap()));
/// ```
#[doc(alias = "nfreeze")]
pub fn freeze(value: &Value) -> Result<Vec<u8>, Error> {
    Settings::new().freeze(value)
}

/// Reads the value in an image, with the default [`Settings`].
///
/// # Errors
/// See [`Settings::thaw`].
///
/// ```
/// use perl_storable as storable;
/// let image = b"\x05\x0b\x11\x05Point\x03\0\0\0\x01\x08\x83\0\0\0\x01x"; // nfreeze(bless {x => 3}, 'Point')
/// let point = storable::thaw(image).unwrap();
/// assert_eq!(point.class().as_deref(), Some("Point"));
/// assert_eq!(point.field("x").unwrap().as_i64(), Some(3));
/// assert!(storable::thaw(&image[..9]).unwrap_err().is_truncated());
/// ```
#[doc(alias = "retrieve")]
pub fn thaw(bytes: &[u8]) -> Result<Value, Error> {
    Settings::new().thaw(bytes)
}

/// Makes a value of anything that serde can serialize, with the default [`Settings`].
///
/// # Errors
/// See [`Settings::to_value`].
///
/// ```
/// use perl_storable::{self as storable, Value};
/// let value = storable::to_value(&("temperature", 21.5)).unwrap();
/// assert_eq!(value, Value::array(["temperature".into(), 21.5.into()]));
/// ```
pub fn to_value<T: Serialize + ?Sized>(data: &T) -> Result<Value, Error> {
    Settings::new().to_value(data)
}

/// Reads data of any type that serde can deserialize from a value, with the default [`Settings`].
///
/// # Errors
/// See [`Settings::from_value`].
///
/// ```
/// use perl_storable::{self as storable, Value};
/// let value = Value::array(["temperature".into(), "21.5".into()]);
/// let (name, degrees): (String, f64) = storable::from_value(&value).unwrap();
/// assert_eq!((name.as_str(), degrees), ("temperature", 21.5));
/// ```
pub fn from_value<'de, T: Deserialize<'de>>(value: &Value) -> Result<T, Error> {
    Settings::new().from_value(value)
}
