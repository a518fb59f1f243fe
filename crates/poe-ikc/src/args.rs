//! A list of arguments of any types.

use poe::storable::Value;
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// All arguments of an event, as Perl's handlers get them: `@_[ARG0 .. $#_]`.
///
/// Publish an event with this type if its arguments vary, or post it to a proxy. For other types one argument is the value
/// itself, several are a tuple, and none is `()`.
///
/// ```
/// use poe_ikc::Args;
/// let args = Args::from(["one".into(), 2.into()]);
/// assert_eq!(args.0[1].as_i64(), Some(2));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Args(pub Vec<Value>);

impl<const N: usize> From<[Value; N]> for Args {
    fn from(args: [Value; N]) -> Self {
        Args(args.into())
    }
}

impl FromIterator<Value> for Args {
    fn from_iter<I: IntoIterator<Item = Value>>(args: I) -> Self {
        Args(args.into_iter().collect())
    }
}

/// As a tuple, so that each is an argument.
impl Serialize for Args {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for arg in &self.0 {
            tuple.serialize_element(arg)?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Args {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Args)
    }
}
