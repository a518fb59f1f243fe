//! MessagePack for POE::Filter::Reference.

use super::bounded::Bounded;
use super::limits::{Budget, nothing_follows};
use super::{ReferenceLimits, Serializer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

/// Freezes records as MessagePack, structs as maps of their fields' names; the record is any serde type.
///
/// Bytes after the record are an error.
pub struct MsgPack<T>(PhantomData<fn() -> T>);

impl<T> MsgPack<T> {
    /// Makes a serializer of records of this type.
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

    fn thaw(&self, bytes: &[u8], limits: &ReferenceLimits) -> Result<T, Box<dyn Error + Send + Sync>> {
        let budget = Budget::new(limits, usize::MAX);
        let mut rest = bytes;
        let mut reader = rmp_serde::Deserializer::new(&mut rest);
        // The reader counts newtypes, too, which take no more of its stack.
        reader.set_max_depth(limits.reader_depth());
        let record = budget.verdict(T::deserialize(Bounded::new(&mut reader, &budget)), |error| {
            matches!(error, rmp_serde::decode::Error::DepthLimitExceeded)
        })?;
        nothing_follows(rest)?;
        Ok(record)
    }
}
