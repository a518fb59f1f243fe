//! What makes bytes of a record and records of bytes.

use super::ReferenceLimits;
use std::error::Error;

/// Freezes records and thaws them (`Serializer` of POE::Filter::Reference).
///
/// Ready made are `Storable`, `Json`, `MsgPack` and `Cbor`, each behind a feature of its name in small letters. It gets
/// and gives whole payloads; framing, compression and limits are the filter's. Bytes come from the peer, so `thaw` must
/// not panic on any, and must not make much more of them than they are.
///
/// ```
/// use poe::filter::{Filter, Reference, Serializer};
/// type Cause = Box<dyn std::error::Error + Send + Sync>;
///
/// /// Text, backwards.
/// struct Backwards;
/// impl Serializer for Backwards {
///     type Record = String;
///     fn freeze(&self, record: &String) -> Result<Vec<u8>, Cause> {
///         Ok(record.chars().rev().collect::<String>().into_bytes())
///     }
///     fn thaw(&self, bytes: &[u8]) -> Result<String, Cause> {
///         Ok(str::from_utf8(bytes)?.chars().rev().collect())
///     }
/// }
/// let mut filter = Reference::new(Backwards);
/// assert_eq!(filter.get(b"3\0cba").remove(0).unwrap(), "abc");
/// assert!(filter.get(b"1\0\xff").remove(0).is_err_and(|error| !error.is_fatal()));
/// ```
pub trait Serializer: 'static {
    /// What is frozen and thawed.
    type Record: 'static;

    /// The bytes of a record.
    ///
    /// # Errors
    /// If the record has no form in them.
    #[doc(alias = "nfreeze")]
    fn freeze(&self, record: &Self::Record) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>>;

    /// The record that bytes stand for.
    ///
    /// # Errors
    /// If they stand for none.
    fn thaw(&self, bytes: &[u8]) -> Result<Self::Record, Box<dyn Error + Send + Sync>>;

    /// The same within the limits of the filter, which calls this.
    ///
    /// Override it if bytes can become much more than they are: heed `max_items` and `max_depth`. The serializers of this
    /// crate do. Unless you override it, it is [`thaw`](Self::thaw).
    ///
    /// ```
    /// use poe::filter::{ReferenceLimits, Serializer};
    /// type Cause = Box<dyn std::error::Error + Send + Sync>;
    ///
    /// /// So many zeros: four bytes could become gigabytes.
    /// struct Zeros;
    /// impl Serializer for Zeros {
    ///     type Record = Vec<u8>;
    ///     fn freeze(&self, zeros: &Vec<u8>) -> Result<Vec<u8>, Cause> {
    ///         Ok(u32::try_from(zeros.len())?.to_be_bytes().into())
    ///     }
    ///     fn thaw(&self, bytes: &[u8]) -> Result<Vec<u8>, Cause> {
    ///         self.thaw_within(bytes, &ReferenceLimits::default())
    ///     }
    ///     fn thaw_within(&self, bytes: &[u8], limits: &ReferenceLimits) -> Result<Vec<u8>, Cause> {
    ///         match u32::from_be_bytes(bytes.try_into()?) as usize {
    ///             count if count > limits.max_items => Err("too many zeros".into()),
    ///             count => Ok(vec![0; count]),
    ///         }
    ///     }
    /// }
    /// assert!(Zeros.thaw(&[255; 4]).is_err());
    /// ```
    ///
    /// # Errors
    /// If the bytes stand for no record, or for one that exceeds a limit.
    fn thaw_within(
        &self,
        bytes: &[u8],
        _limits: &ReferenceLimits,
    ) -> Result<Self::Record, Box<dyn Error + Send + Sync>> {
        self.thaw(bytes)
    }
}
