//! A thing with its class, for serde.

use serde::{Deserialize, Serialize};

/// The name by which our serializer and deserializer know a [`Blessed`]; any other format sees a struct.
pub(super) const NAME: &str = "$poe::storable::Blessed";
pub(super) const FIELDS: [&str; 2] = ["class", "value"];

/// Data with its Perl class: written as a blessed thing, and read from one only.
///
/// Other formats have it as a struct of the two fields.
///
/// ```
/// use poe::storable::{self, Blessed};
/// let image = storable::to_vec(&Blessed { class: "Foo".to_owned(), value: [1] }).unwrap();
/// assert_eq!(image, b"\x05\x0b\x11\x03Foo\x02\0\0\0\x01\x08\x81");
/// let thing: Blessed<Vec<i32>> = storable::from_slice(&image).unwrap();
/// assert_eq!((thing.class.as_str(), thing.value), ("Foo", vec![1]));
/// // Who does not ask for the class gets what is inside.
/// assert_eq!(storable::from_slice::<Vec<i32>>(&image).unwrap(), [1]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename = "$poe::storable::Blessed")]
#[doc(alias = "bless")]
pub struct Blessed<T> {
    /// The class, `A::B`.
    pub class: String,
    /// What is blessed: mostly a map or a struct.
    pub value: T,
}
