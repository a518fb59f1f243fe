//! Perl's Storable for POE::Filter::Reference, whose default it is.

use super::{ReferenceLimits, Serializer};
use perl_storable::Settings;
#[cfg(doc)]
use perl_storable::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

/// Freezes records as images of Perl's Storable (`nfreeze`).
///
/// The record is any type that serde knows, [`Value`] among them, which is data as Perl has it: shared and blessed.
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
///
/// # Errors
///
/// The source of the filter's error is a [`storable::Error`](crate::storable::Error), which says more:
///
/// ```
/// use poe::filter::{Filter, Reference, Storable};
/// use std::error::Error;
/// let mut filter = Reference::new(Storable::<u8>::new());
/// let error = filter.get(b"4\0\x05\x0b\x1a\x05").remove(0).unwrap_err(); // code of Perl's
/// let cause = error.source().and_then(|cause| cause.downcast_ref::<poe::storable::Error>()).unwrap();
/// assert!(cause.is_unsupported() && cause.offset() == Some(2));
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

impl<T: Serialize + DeserializeOwned + 'static> Serializer for Storable<T> {
    type Record = T;

    fn freeze(&self, record: &T) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok(self.settings.to_vec(record)?)
    }

    fn thaw(&self, bytes: &[u8]) -> Result<T, Box<dyn Error + Send + Sync>> {
        Ok(self.settings.from_slice(bytes)?)
    }

    fn thaw_within(&self, bytes: &[u8], limits: &ReferenceLimits) -> Result<T, Box<dyn Error + Send + Sync>> {
        Ok(self.settings.clone().cap_items(limits.max_items).from_slice(bytes)?)
    }
}
