//! The trait that turns records into bytes, and bytes into records.

use super::ReferenceLimits;
use std::error::Error;

/// Freezes records and thaws them (`Serializer` of POE::Filter::Reference).
///
/// `Storable`, `Json`, `MsgPack` and `Cbor` implement it, each behind a feature of its name in lower case. A serializer takes
/// and returns whole payloads; the filter does framing, compression and limits. The bytes come from a peer, so `thaw` must
/// not panic, and must not use much more memory than their size.
///
/// ```
/// use poe::filter::{FilterExt, Reference, ReferenceLimits, Serializer};
/// type Cause = Box<dyn std::error::Error + Send + Sync>;
///
/// /// Text, backwards.
/// struct Backwards;
/// impl Serializer for Backwards {
///     type Record = String;
///     fn freeze(&self, record: &String) -> Result<Vec<u8>, Cause> {
///         Ok(record.chars().rev().collect::<String>().into_bytes())
///     }
///     fn thaw(&self, bytes: &[u8], _: &ReferenceLimits) -> Result<String, Cause> {
///         Ok(str::from_utf8(bytes)?.chars().rev().collect())
///     }
/// }
/// let mut filter = Reference::new(Backwards);
/// assert_eq!(filter.get(b"3\0cba").remove(0).unwrap(), "abc");
/// assert!(filter.get(b"1\0\xff").remove(0).is_err_and(|error| !error.is_fatal()));
/// ```
pub trait Serializer: 'static {
    /// The type that is frozen and thawed.
    type Record: 'static;

    /// Returns the bytes of a record.
    ///
    /// # Errors
    /// The record has no form in this format.
    #[doc(alias = "nfreeze")]
    fn freeze(&self, record: &Self::Record) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>>;

    /// Returns the record of these bytes, within the filter's limits.
    ///
    /// If bytes can become much larger in memory, obey `max_items` and `max_depth`, as the serializers of this crate do.
    ///
    /// # Errors
    /// The bytes are not a record, or one that exceeds a limit.
    fn thaw(&self, bytes: &[u8], limits: &ReferenceLimits) -> Result<Self::Record, Box<dyn Error + Send + Sync>>;
}
