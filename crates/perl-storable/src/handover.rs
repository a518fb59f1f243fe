//! What passes through serde without becoming plain data: the class of a blessed thing, and values with their identity.

use crate::value::Value;
use serde::{Deserialize, Serialize};
use std::cell::Cell;

/// The name by which this crate's serializers and deserializers recognise a [`Blessed`]; other formats see a struct.
pub(crate) const BLESSED: &str = "$perl_storable::Blessed";
pub(crate) const BLESSED_FIELDS: [&str; 2] = ["class", "value"];
/// The name by which they recognise a [`Value`]; other formats see what is inside a newtype.
pub(crate) const VALUE: &str = "$perl_storable::Value";

/// Data with its Perl class: written as a blessed thing, and read from blessed things only.
///
/// Other formats see a struct of the two fields.
///
/// ```
/// use perl_storable::{self as storable, Blessed};
/// let image = storable::to_vec(&Blessed { class: "Foo".to_owned(), value: [1] }).unwrap();
/// assert_eq!(image, b"\x05\x0b\x11\x03Foo\x02\0\0\0\x01\x08\x81");
/// let thing: Blessed<Vec<i32>> = storable::from_slice(&image).unwrap();
/// assert_eq!((thing.class.as_str(), thing.value), ("Foo", vec![1]));
/// // A type that does not ask for the class gets what is inside.
/// assert_eq!(storable::from_slice::<Vec<i32>>(&image).unwrap(), [1]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename = "$perl_storable::Blessed")]
#[doc(alias = "bless")]
pub struct Blessed<T> {
    /// The class, such as `A::B`.
    pub class: String,
    /// What is blessed: usually a map or a struct.
    pub value: T,
}

thread_local! {
    /// The value that is being handed over, between `Value`'s side and the side of this crate's (de)serializers.
    ///
    /// serde's data model has no place for a shared graph, and its traits are generic over types that cannot be asked
    /// what they are. Both sides run on one thread, one directly under the other, so the slot is filled for that call only.
    static PASSED: Cell<Option<Value>> = const { Cell::new(None) };
}

/// Empties the slot when the call is over, also when it panics.
pub(crate) struct Passing(());

/// Puts a value into the slot for as long as the guard lives, or until it is taken.
#[must_use]
pub(crate) fn pass(value: Value) -> Passing {
    PASSED.set(Some(value));
    Passing(())
}

/// Takes the value that is handed over; none if the other side is another format's.
pub(crate) fn taken() -> Option<Value> {
    PASSED.take()
}

impl Drop for Passing {
    fn drop(&mut self) {
        PASSED.take();
    }
}
