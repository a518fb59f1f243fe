//! JSON, MessagePack and CBOR for POE::Filter::Reference: serializers of any serde type.

use super::bounded::Bounded;
use super::limits::Budget;
use super::{ReferenceLimits, Serializer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

macro_rules! format {
    ($(#[$doc:meta])* $format:ident) => {
        $(#[$doc])*
        pub struct $format<T>(PhantomData<fn() -> T>);

        impl<T> $format<T> {
            /// Makes a serializer of records of this type.
            #[must_use]
            pub fn new() -> Self {
                $format(PhantomData)
            }
        }

        impl<T> Default for $format<T> {
            fn default() -> Self {
                Self::new()
            }
        }

        impl<T> fmt::Debug for $format<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}<{}>", stringify!($format), std::any::type_name::<T>())
            }
        }
    };
}

#[cfg(feature = "json")]
format! {
    /// Freezes records as JSON text; the record is any serde type. Text after the record is an error.
    Json
}

#[cfg(feature = "json")]
impl<T: Serialize + DeserializeOwned + 'static> Serializer for Json<T> {
    type Record = T;

    fn freeze(&self, record: &T) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok(serde_json::to_vec(record)?)
    }

    fn thaw(&self, bytes: &[u8], limits: &ReferenceLimits) -> Result<T, Box<dyn Error + Send + Sync>> {
        let budget = Budget::new(limits, JSON_DEPTH);
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let record = budget.verdict(T::deserialize(Bounded::new(&mut reader, &budget)), |_| false)?;
        reader.end()?;
        Ok(record)
    }
}

/// The parser stops by itself one level deeper.
#[cfg(feature = "json")]
const JSON_DEPTH: usize = 127;

#[cfg(feature = "msgpack")]
format! {
    /// Freezes records as MessagePack, structs as maps of their fields' names; the record is any serde type.
    ///
    /// Bytes after the record are an error.
    MsgPack
}

#[cfg(feature = "msgpack")]
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
        super::limits::nothing_follows(rest)?;
        Ok(record)
    }
}

#[cfg(feature = "cbor")]
format! {
    /// Freezes records as CBOR (RFC 8949); the record is any serde type. Bytes after the record are an error.
    Cbor
}

#[cfg(feature = "cbor")]
impl<T: Serialize + DeserializeOwned + 'static> Serializer for Cbor<T> {
    type Record = T;

    fn freeze(&self, record: &T) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let mut bytes = Vec::new();
        ciborium::into_writer(record, &mut bytes)?;
        Ok(bytes)
    }

    fn thaw(&self, bytes: &[u8], limits: &ReferenceLimits) -> Result<T, Box<dyn Error + Send + Sync>> {
        let budget = std::rc::Rc::new(Budget::new(limits, usize::MAX));
        let mut rest = bytes;
        counted::NEXT.set(Some(budget.clone()));
        // The reader counts tags, too, which are not containers.
        let depth = limits.reader_depth();
        let record = ciborium::de::from_reader_with_recursion_limit::<counted::Counted<T>, _>(&mut rest, depth);
        counted::NEXT.set(None);
        let record = budget.verdict(record, |error| {
            matches!(error, ciborium::de::Error::RecursionLimitExceeded)
        })?;
        super::limits::nothing_follows(rest)?;
        Ok(record.0)
    }
}

/// CBOR's reader takes a type, and no value beside it.
#[cfg(feature = "cbor")]
mod counted {
    use super::{Bounded, Budget};
    use serde::de::{Deserialize, Deserializer, Error as _};
    use std::cell::Cell;
    use std::rc::Rc;

    thread_local! {
        /// The budget of the next record.
        pub(super) static NEXT: Cell<Option<Rc<Budget>>> = const { Cell::new(None) };
    }

    /// A record whose items are counted.
    pub(super) struct Counted<T>(pub(super) T);

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for Counted<T> {
        fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
            let Some(budget) = NEXT.take() else {
                return Err(D::Error::custom("a record without limits"));
            };
            T::deserialize(Bounded::new(reader, &budget)).map(Counted)
        }
    }
}
