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
    pub(super) const MAX_ITEMS: usize = 1024 * 1024;
    pub(super) const MAX_SHARED: usize = 8 * 1024 * 1024;
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
///
///
/// ```
/// use poe::storable::{Settings, Value};
/// let settings = Settings::new().strict(true).max_depth(32);
/// let image = settings.freeze(&Value::array([1.into(), "two".into()])).unwrap();
/// assert_eq!(settings.thaw(&image).unwrap().len(), Some(2));
/// assert_eq!(settings.from_slice::<(u8, String)>(&image).unwrap(), (1, "two".to_owned()));
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) canonical: bool,
    pub(super) strict: bool,
    pub(super) cycles: bool,
    pub(super) max_depth: usize,
    pub(crate) max_items: usize,
    pub(super) max_shared: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            canonical: false,
            strict: false,
            cycles: false,
            max_depth: default::MAX_DEPTH,
            max_items: default::MAX_ITEMS,
            max_shared: default::MAX_SHARED,
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

    /// Refuses bytes behind the image, which Perl ignores, as the default does.
    ///
    /// ```
    /// use poe::storable::{Settings, from_slice};
    /// let bytes = b"\x05\x0b\x08\x87 and more";
    /// assert_eq!(from_slice::<u8>(bytes).unwrap(), 7);
    /// assert!(Settings::new().strict(true).from_slice::<u8>(bytes).is_err());
    /// ```
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
    ///
    /// ```
    /// use poe::storable::Settings;
    /// let nested = [[1]];
    /// assert!(Settings::new().max_depth(3).to_vec(&nested).is_ok());
    /// assert!(Settings::new().max_depth(2).to_vec(&nested).unwrap_err().is_too_deep());
    /// ```
    #[must_use]
    pub fn max_depth(mut self, levels: usize) -> Self {
        self.max_depth = levels;
        self
    }

    /// Sets how many items an image may have that is read: scalars, containers, references and keys; 1 048 576 by default.
    ///
    /// An item can take one byte of the image and many times that in memory.
    ///
    /// ```
    /// use poe::storable::Settings;
    /// let image = Settings::new().to_vec(&[1, 2, 3]).unwrap();
    /// assert!(Settings::new().max_items(4).thaw(&image).is_ok());
    /// assert!(Settings::new().max_items(3).thaw(&image).unwrap_err().is_too_large());
    /// ```
    #[must_use]
    pub fn max_items(mut self, items: usize) -> Self {
        self.max_items = items;
        self
    }

    /// Sets how much memory typed data may take by being read more than once; 8 MiB by default.
    ///
    /// What an image shares is read once for each place, and what is shared can share in turn, so an image of two kilobytes
    /// could become hundreds of megabytes. Counted are 64 bytes for each item that is read again, and the length of its text.
    /// A [`Value`] keeps what is shared shared, and needs no such limit.
    ///
    /// ```
    /// use poe::storable::{Settings, Value};
    /// let shared = Value::array([1.into(), 2.into()]);
    /// let image = Settings::new().freeze(&Value::array([shared.clone(), shared])).unwrap();
    /// assert_eq!(Settings::new().from_slice::<[[u8; 2]; 2]>(&image).unwrap(), [[1, 2], [1, 2]]);
    /// let error = Settings::new().max_shared(100).from_slice::<[[u8; 2]; 2]>(&image).unwrap_err();
    /// assert!(error.is_too_large());
    /// ```
    #[must_use]
    pub fn max_shared(mut self, bytes: usize) -> Self {
        self.max_shared = bytes;
        self
    }

    /// The image of anything that serde can write.
    ///
    /// # Errors
    /// Too deep, longer than 4 GiB, a map key that is no text, number or bytes, or what the data itself says.
    pub fn to_vec<T: Serialize + ?Sized>(&self, data: &T) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::new(self.max_depth);
        data.serialize(ser::Serializer::top(&mut writer))?;
        let image = writer.finish();
        if !self.canonical {
            return Ok(image);
        }
        // Class names are numbered in the order in which they are met, so entries cannot be sorted where they stand.
        let own = Settings {
            max_items: usize::MAX,
            ..self.clone()
        };
        self.freeze(&own.thaw(&image)?)
    }

    /// Data of any type that serde can read, out of an image.
    ///
    /// # Errors
    /// An image that is broken, too deep, cyclic or not portable, or that holds something else than the type.
    pub fn from_slice<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Error> {
        let image = Image::parse(bytes, self)?;
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
    pub fn thaw(&self, bytes: &[u8]) -> Result<Value, Error> {
        build(&Image::parse(bytes, self)?, self)
    }
}

/// The image of anything that serde can write, with the default [`Settings`].
///
/// # Errors
/// See [`Settings::to_vec`].
///
/// ```
/// let image = poe::storable::to_vec(&["one", "two"]).unwrap();
/// assert_eq!(image, b"\x05\x0b\x02\0\0\0\x02\x0a\x03one\x0a\x03two");
/// ```
pub fn to_vec<T: Serialize + ?Sized>(data: &T) -> Result<Vec<u8>, Error> {
    Settings::new().to_vec(data)
}

/// Data of any type that serde can read, out of an image, with the default [`Settings`].
///
/// # Errors
/// See [`Settings::from_slice`].
///
/// ```
/// use poe::storable;
/// #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
/// struct Point { x: i32, y: i32 }
/// let image = storable::to_vec(&Point { x: 3, y: -4 }).unwrap();
/// assert_eq!(storable::from_slice::<Point>(&image).unwrap(), Point { x: 3, y: -4 });
/// assert!(storable::from_slice::<String>(&image).is_err()); // it is a hash
/// ```
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    Settings::new().from_slice(bytes)
}

/// The image of a graph (`nfreeze`), with the default [`Settings`].
///
/// # Errors
/// See [`Settings::freeze`].
///
/// ```
/// use poe::storable::{self, Value};
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

/// The graph that an image holds, with the default [`Settings`].
///
/// # Errors
/// See [`Settings::thaw`].
///
/// ```
/// use poe::storable;
/// let image = b"\x05\x0b\x11\x05Point\x03\0\0\0\x01\x08\x83\0\0\0\x01x"; // nfreeze(bless {x => 3}, 'Point')
/// let point = storable::thaw(image).unwrap();
/// assert_eq!(point.class().as_deref(), Some("Point"));
/// assert_eq!(point.field("x").unwrap().as_i64(), Some(3));
/// assert!(storable::thaw(&image[..9]).unwrap_err().is_truncated());
/// ```
pub fn thaw(bytes: &[u8]) -> Result<Value, Error> {
    Settings::new().thaw(bytes)
}
