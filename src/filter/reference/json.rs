//! JSON for POE::Filter::Reference.

use super::bounded::Bounded;
use super::limits::Budget;
use super::{ReferenceLimits, Serializer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

/// The parser stops by itself one level deeper.
const MAX_DEPTH: usize = 127;

/// Freezes records as JSON text; the record is any serde type. Text after the record is an error.
pub struct Json<T>(PhantomData<fn() -> T>);

impl<T> Json<T> {
    /// Makes a serializer of records of this type.
    #[must_use]
    pub fn new() -> Self {
        Json(PhantomData)
    }
}

impl<T> Default for Json<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Json<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json<{}>", std::any::type_name::<T>())
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Serializer for Json<T> {
    type Record = T;

    fn freeze(&self, record: &T) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok(serde_json::to_vec(record)?)
    }

    fn thaw(&self, bytes: &[u8], limits: &ReferenceLimits) -> Result<T, Box<dyn Error + Send + Sync>> {
        let budget = Budget::new(limits, MAX_DEPTH);
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let record = budget.verdict(T::deserialize(Bounded::new(&mut reader, &budget)), |_| false)?;
        reader.end()?;
        Ok(record)
    }
}
