//! What a value looks like from outside.

/// What a [`Value`](super::Value) is.
///
/// ```
/// use poe::storable::{Kind, Value};
/// fn show(value: &Value) -> String {
///     match value.target().kind() {
///         Kind::Undef => "nothing".to_owned(),
///         Kind::Integer => value.as_i64().unwrap_or_default().to_string(),
///         Kind::Array => format!("{:?}", value.items().iter().map(show).collect::<Vec<_>>()),
///         _ => value.as_text().unwrap_or_default(),
///     }
/// }
/// let list = Value::array([1.into(), "two".into(), Value::undef(), Value::array([3.into()])]);
/// assert_eq!(show(&list), r#"["1", "two", "nothing", "[\"3\"]"]"#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// No value.
    Undef,
    /// True or false, as Perl's own constants; inside arrays and hashes they travel as `"1"` and `""`.
    Bool,
    /// An integer.
    Integer,
    /// A float that was made here; an image has text in its place.
    Float,
    /// A string of bytes.
    Bytes,
    /// A string of characters.
    Text,
    /// A reference, possibly weak.
    Reference,
    /// An array.
    Array,
    /// A hash.
    Hash,
    /// A compiled pattern.
    Regexp,
}
