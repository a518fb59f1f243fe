//! How images are written and how much of a foreign one is trusted.

use super::de::Reader;
use super::error::Error;
use super::image::Image;
use super::ser;
use super::value::{Value, build};
use super::write::Writer;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The settings when no setter was called.
mod default {
    pub(super) const MAX_DEPTH: usize = 512;
}

/// How images are written and read; the functions of this module use the defaults.
///
/// ```
/// use poe::storable::Settings;
/// use std::collections::HashMap;
/// let map: HashMap<&str, u8> = [("b", 2), ("a", 1), ("c", 3)].into();
/// let canonical = Settings::new().canonical(true);
/// let image = canonical.to_vec(&map).unwrap();
/// assert_eq!(image, canonical.to_vec(&map.into_iter().collect::<std::collections::BTreeMap<_, _>>()).unwrap());
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) canonical: bool,
    pub(super) strict: bool,
    pub(super) cycles: bool,
    pub(super) max_depth: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            canonical: false,
            strict: false,
            cycles: false,
            max_depth: default::MAX_DEPTH,
        }
    }
}

impl Settings {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes the keys of hashes in order, so that equal data has equal images (`$Storable::canonical`). A [`Value`] is
    /// always written so; typed data in the order in which serde gives it, unless this is set, which costs a second pass.
    #[must_use]
    #[doc(alias = "$Storable::canonical")]
    pub fn canonical(mut self, on: bool) -> Self {
        self.canonical = on;
        self
    }

    /// Refuses octets behind the image, which Perl ignores, as the default does.
    #[must_use]
    pub fn strict(mut self, on: bool) -> Self {
        self.strict = on;
        self
    }

    /// Lets [`thaw`](Self::thaw) make graphs in which something contains itself. They are never freed, unless
    /// [`Value::unlink`] cuts them, so a peer that is not trusted could fill the memory; without this they are an error.
    /// What contains itself by a weak reference only is always taken.
    ///
    /// ```
    /// use poe::storable::{Settings, thaw};
    /// let image = b"\x05\x0b\x02\0\0\0\x01\x04\0\0\0\0\0";
    /// assert!(thaw(image).unwrap_err().is_cyclic());
    /// let array = Settings::new().cycles(true).thaw(image).unwrap();
    /// assert!(array.get(0).unwrap().is_same(&array));
    /// array.unlink();
    /// ```
    #[must_use]
    pub fn cycles(mut self, on: bool) -> Self {
        self.cycles = on;
        self
    }

    /// How many levels an image may be nested, both ways; 512 by default. An array in an array is two levels, because
    /// there is a reference between them; a class name is one more.
    ///
    /// Typed data is read by recursion, so a much greater depth needs a greater stack.
    #[must_use]
    pub fn max_depth(mut self, levels: usize) -> Self {
        self.max_depth = levels;
        self
    }

    /// The image of anything that serde can write.
    ///
    /// # Errors
    /// Too deep, longer than 4 GiB, a map key that is no text, number or octets, or what the data itself says.
    pub fn to_vec<T: Serialize + ?Sized>(&self, data: &T) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::new(self.max_depth);
        data.serialize(ser::Serializer::top(&mut writer))?;
        let image = writer.finish();
        if !self.canonical {
            return Ok(image);
        }
        // Class names are numbered in the order in which they are met, so entries cannot be sorted where they stand.
        self.freeze(&self.thaw(&image)?)
    }

    /// Data of any type that serde can read, out of an image.
    ///
    /// # Errors
    /// An image that is broken, too deep, cyclic or not portable, or that holds something else than the type.
    pub fn from_slice<T: DeserializeOwned>(&self, octets: &[u8]) -> Result<T, Error> {
        let image = Image::parse(octets, self)?;
        T::deserialize(Reader::new(&image, self).top())
    }

    /// The image of a graph (`nfreeze`); keys of hashes are in order.
    ///
    /// # Errors
    /// Too deep, or longer than 4 GiB.
    #[doc(alias = "nfreeze")]
    pub fn freeze(&self, value: &Value) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::new(self.max_depth);
        writer.value(value)?;
        Ok(writer.finish())
    }

    /// The graph that an image holds.
    ///
    /// # Errors
    /// An image that is broken, too deep, or not portable; a cycle, unless [`cycles`](Self::cycles) are wanted.
    pub fn thaw(&self, octets: &[u8]) -> Result<Value, Error> {
        build(&Image::parse(octets, self)?, self)
    }
}

/// The image of anything that serde can write, with the default [`Settings`].
///
/// # Errors
/// See [`Settings::to_vec`].
pub fn to_vec<T: Serialize + ?Sized>(data: &T) -> Result<Vec<u8>, Error> {
    Settings::new().to_vec(data)
}

/// Data of any type that serde can read, out of an image, with the default [`Settings`].
///
/// # Errors
/// See [`Settings::from_slice`].
pub fn from_slice<T: DeserializeOwned>(octets: &[u8]) -> Result<T, Error> {
    Settings::new().from_slice(octets)
}

/// The image of a graph (`nfreeze`), with the default [`Settings`].
///
/// # Errors
/// See [`Settings::freeze`].
#[doc(alias = "nfreeze")]
pub fn freeze(value: &Value) -> Result<Vec<u8>, Error> {
    Settings::new().freeze(value)
}

/// The graph that an image holds, with the default [`Settings`].
///
/// # Errors
/// See [`Settings::thaw`].
pub fn thaw(octets: &[u8]) -> Result<Value, Error> {
    Settings::new().thaw(octets)
}
