//! CBOR for POE::Filter::Reference.

use super::bounded::Bounded;
use super::limits::{Budget, nothing_follows};
use super::{ReferenceLimits, Serializer};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

thread_local! {
    /// The budget of the next record: the reader takes a type, and no value beside it.
    static NEXT: Cell<Option<Rc<Budget>>> = const { Cell::new(None) };
}

/// A record whose items are counted.
struct Counted<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Counted<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let Some(budget) = NEXT.take() else {
            return Err(D::Error::custom("a record without limits"));
        };
        T::deserialize(Bounded::new(reader, &budget)).map(Counted)
    }
}

/// Freezes records as CBOR (RFC 8949); the record is any serde type. Bytes after the record are an error.
pub struct Cbor<T>(PhantomData<fn() -> T>);

impl<T> Cbor<T> {
    /// Makes a serializer of records of this type.
    #[must_use]
    pub fn new() -> Self {
        Cbor(PhantomData)
    }
}

impl<T> Default for Cbor<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Cbor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cbor<{}>", std::any::type_name::<T>())
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Serializer for Cbor<T> {
    type Record = T;

    fn freeze(&self, record: &T) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let mut bytes = Vec::new();
        ciborium::into_writer(record, &mut bytes)?;
        Ok(bytes)
    }

    fn thaw(&self, bytes: &[u8], limits: &ReferenceLimits) -> Result<T, Box<dyn Error + Send + Sync>> {
        let budget = Rc::new(Budget::new(limits, usize::MAX));
        let mut rest = bytes;
        NEXT.set(Some(budget.clone()));
        // The reader counts tags, too, which are not containers.
        let depth = limits.reader_depth();
        let record = ciborium::de::from_reader_with_recursion_limit::<Counted<T>, _>(&mut rest, depth);
        NEXT.set(None);
        let record = budget.verdict(record, |error| {
            matches!(error, ciborium::de::Error::RecursionLimitExceeded)
        })?;
        nothing_follows(rest)?;
        Ok(record.0)
    }
}
