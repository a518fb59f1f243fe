//! Perl's Storable for POE::Filter::Reference, whose default it is.

use super::{ReferenceLimits, Serializer};
use crate::storable::{Settings, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

/// Freezes records as images of Perl's Storable (`nfreeze`).
///
/// The record is any type that serde knows, or [`Value`] for data as Perl has it: shared, cyclic, blessed.
///
/// ```
/// use poe::filter::{Filter, Reference, Storable};
/// use poe::storable::Value;
/// let frame = b"14\0\x05\x0b\x03\0\0\0\x01\x08\x81\0\0\0\x01a";
/// let mut filter = Reference::new(Storable::<Value>::new());
/// let hash = filter.get(frame).remove(0).unwrap();
/// assert_eq!(hash.field("a").unwrap().as_i64(), Some(1));
///
/// type Map = std::collections::HashMap<String, i32>;
/// let mut filter = Reference::new(Storable::<Map>::new());
/// assert_eq!(filter.get(frame).remove(0).unwrap()["a"], 1);
/// ```
pub struct Storable<T> {
    settings: Settings,
    record: PhantomData<fn() -> T>,
}

impl<T> Storable<T> {
    /// Makes a serializer of records of this type, with the default [`Settings`], but [`strict`](Settings::strict).
    ///
    /// A frame has one record, so bytes behind the image are an error. Perl ignores them:
    /// `Storable::with(Settings::new())` does, too.
    ///
    /// ```
    /// use poe::filter::{Filter, Reference, Storable};
    /// use poe::storable::Settings;
    /// let frame = b"6\0\x05\x0b\x08\x87\x08\x88"; // a seven, and more
    /// assert!(Reference::new(Storable::<u8>::new()).get(frame).remove(0).is_err());
    /// assert_eq!(Reference::new(Storable::<u8>::with(Settings::new())).get(frame).remove(0).unwrap(), 7);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with(Settings::new().strict(true))
    }

    /// A serializer with settings of your own.
    ///
    /// ```
    /// use poe::filter::{Reference, Storable};
    /// use poe::storable::{Settings, Value};
    /// let filter = Reference::new(Storable::<Value>::with(Settings::new().max_depth(20).strict(true)));
    /// ```
    #[must_use]
    pub fn with(settings: Settings) -> Self {
        Storable {
            settings,
            record: PhantomData,
        }
    }
}

impl<T> Default for Storable<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Storable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storable")
            .field("record", &std::any::type_name::<T>())
            .field("settings", &self.settings)
            .finish()
    }
}

impl<T: StorableRecord> Serializer for Storable<T> {
    type Record = T;

    fn freeze(&self, record: &T) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok(record.freeze(&self.settings)?)
    }

    fn thaw(&self, bytes: &[u8]) -> Result<T, Box<dyn Error + Send + Sync>> {
        Ok(T::thaw(bytes, &self.settings)?)
    }

    fn thaw_within(&self, bytes: &[u8], limits: &ReferenceLimits) -> Result<T, Box<dyn Error + Send + Sync>> {
        let items = self.settings.max_items.min(limits.max_items);
        Ok(T::thaw(bytes, &self.settings.clone().max_items(items))?)
    }
}

/// What records of [`Storable`] can be: any type that serde knows, or [`Value`]. Sealed.
///
/// ```
/// use bytes::BytesMut;
/// use poe::filter::{Filter, Reference, Storable, StorableRecord};
/// use poe::storable::Value;
/// /// What every connection to Perl has, whatever its records.
/// fn perl<T: StorableRecord>() -> Reference<Storable<T>> {
///     Reference::new(Storable::new()).max_buffer(65_536)
/// }
/// let mut out = BytesMut::new();
/// perl().put(vec![7, 8], &mut out).unwrap();
/// let array = perl::<Value>().get(&out).remove(0).unwrap();
/// assert_eq!(array.get(1).unwrap().as_i64(), Some(8));
/// ```
pub trait StorableRecord: sealed::Sealed {}

impl<T: sealed::Sealed> StorableRecord for T {}

/// One trait for both, so that the type of the records is inferred from their use.
mod sealed {
    use super::{DeserializeOwned, Serialize, Settings, Value};
    use crate::storable::Error;

    pub trait Sealed: Sized + 'static {
        fn freeze(&self, settings: &Settings) -> Result<Vec<u8>, Error>;
        fn thaw(bytes: &[u8], settings: &Settings) -> Result<Self, Error>;
    }

    impl<T: Serialize + DeserializeOwned + 'static> Sealed for T {
        fn freeze(&self, settings: &Settings) -> Result<Vec<u8>, Error> {
            settings.to_vec(self)
        }

        fn thaw(bytes: &[u8], settings: &Settings) -> Result<T, Error> {
            settings.from_slice(bytes)
        }
    }

    /// It is no type of serde's, because it is no tree.
    impl Sealed for Value {
        fn freeze(&self, settings: &Settings) -> Result<Vec<u8>, Error> {
            settings.freeze(self)
        }

        fn thaw(bytes: &[u8], settings: &Settings) -> Result<Value, Error> {
            settings.thaw(bytes)
        }
    }
}
