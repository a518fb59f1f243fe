//! Perl's Storable for POE::Filter::Reference, the default serializer.

use super::{ReferenceLimits, Serializer};
use crate::debug::debug_fields;
use perl_storable::Settings;
#[cfg(doc)]
use perl_storable::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::marker::PhantomData;

/// Freezes records as images of Perl's Storable (`nfreeze`).
///
/// The record is any serde type, including [`Value`], which represents Perl's data: shared and blessed.
///
/// ```
/// use poe::filter::{FilterExt, Reference, Storable};
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
/// The source of the filter's error is a [`storable::Error`](crate::storable::Error) with more details.
pub struct Storable<T> {
    settings: Settings,
    record: PhantomData<fn() -> T>,
}

impl<T> Storable<T> {
    /// Makes a serializer of records of this type, with the default [`Settings`], but [`strict`](Settings::strict).
    ///
    /// A frame has one record, so bytes after the image are an error. Perl ignores them, and so does
    /// `Storable::with(Settings::new())`.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Settings::new().strict(true))
    }

    /// Makes a serializer with your own settings.
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

debug_fields!([T] Storable<T>, "Storable", |this| { record: std::any::type_name::<T>(), settings: this.settings });

impl<T: Serialize + DeserializeOwned + 'static> Serializer for Storable<T> {
    type Record = T;

    fn freeze(&self, record: &T) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok(self.settings.to_vec(record)?)
    }

    fn thaw(&self, bytes: &[u8], limits: &ReferenceLimits) -> Result<T, Box<dyn Error + Send + Sync>> {
        Ok(self.settings.clone().cap_items(limits.max_items).from_slice(bytes)?)
    }
}
