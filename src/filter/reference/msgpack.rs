//! MessagePack for POE::Filter::Reference.

use super::Serializer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

/// How deep a record may be nested; each level takes some stack.
const MAX_DEPTH: usize = 128;

/// Freezes records as MessagePack, structs as maps of their fields' names; the record is any type that serde knows.
///
/// ```
/// use poe::filter::{Filter, Reference, MsgPack};
/// let mut filter = Reference::new(MsgPack::<(String, u8)>::new());
/// let mut out = bytes::BytesMut::new();
/// filter.put(("one".into(), 1), &mut out).unwrap();
/// assert_eq!(filter.get(&out).remove(0).unwrap(), ("one".into(), 1));
/// ```
pub struct MsgPack<T>(PhantomData<fn() -> T>);

impl<T> MsgPack<T> {
    /// A serializer of records of this type.
    #[must_use]
    pub fn new() -> Self {
        MsgPack(PhantomData)
    }
}

impl<T> Default for MsgPack<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for MsgPack<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MsgPack<{}>", std::any::type_name::<T>())
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Serializer for MsgPack<T> {
    type Record = T;

    fn freeze(&self, record: &T) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok(rmp_serde::to_vec_named(record)?)
    }

    fn thaw(&self, octets: &[u8]) -> Result<T, Box<dyn Error + Send + Sync>> {
        let mut reader = rmp_serde::Deserializer::from_read_ref(octets);
        reader.set_max_depth(MAX_DEPTH);
        Ok(T::deserialize(&mut reader)?)
    }
}
