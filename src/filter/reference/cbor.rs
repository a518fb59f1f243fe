//! CBOR for POE::Filter::Reference.

use super::Serializer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

/// How deep a record may be nested; each level takes some stack.
const MAX_DEPTH: usize = 128;

/// Freezes records as CBOR (RFC 8949); the record is any type that serde knows.
///
/// ```
/// use poe::filter::{Filter, Reference, Cbor};
/// let mut filter = Reference::new(Cbor::<(String, u8)>::new());
/// let mut out = bytes::BytesMut::new();
/// filter.put(("one".into(), 1), &mut out).unwrap();
/// assert_eq!(filter.get(&out).remove(0).unwrap(), ("one".into(), 1));
/// ```
pub struct Cbor<T>(PhantomData<fn() -> T>);

impl<T> Cbor<T> {
    /// A serializer of records of this type.
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
        let mut octets = Vec::new();
        ciborium::into_writer(record, &mut octets)?;
        Ok(octets)
    }

    fn thaw(&self, octets: &[u8]) -> Result<T, Box<dyn Error + Send + Sync>> {
        Ok(ciborium::de::from_reader_with_recursion_limit(octets, MAX_DEPTH)?)
    }
}
