//! Why an image could not be read, or data could not be written as one.

use std::borrow::Cow;
use std::fmt;

/// The reason why an image could not be read, or data could not be written as one. Ask it with its predicates.
///
/// ```
/// use perl_storable::{self as storable, Settings};
/// let error = storable::thaw(b"\x05\x0b\x02\0\0\0\x07\x05").unwrap_err();
/// assert!(error.is_truncated() && error.offset() == Some(7));
/// let error = storable::thaw(b"\x05\x0b\x1a\x0a\x01x").unwrap_err();
/// assert!(error.is_unsupported() && error.to_string().contains("code"));
/// let error = storable::thaw(b"\x05\x0b\x02\0\0\0\x01\x04\0\0\0\0\0").unwrap_err();
/// assert!(error.is_cyclic()); // an array that contains itself
/// let error = Settings::new().max_depth(2).to_vec(&[[1]]).unwrap_err();
/// assert!(error.is_too_deep() && error.offset().is_none());
/// let error = Settings::new().max_items(2).thaw(b"\x05\x0b\x02\0\0\0\x02\x05\x05").unwrap_err();
/// assert!(error.is_too_large()); // an array and its two elements
/// ```
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    what: Cow<'static, str>,
    /// Where in the image; `None` if the data is wrong and not the bytes.
    offset: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Truncated,
    Unsupported,
    Malformed,
    TooDeep,
    TooLarge,
    Cyclic,
    /// The data does not fit the type.
    Data,
}

impl Error {
    fn new(kind: Kind, what: impl Into<Cow<'static, str>>, offset: Option<usize>) -> Self {
        Error(Box::new(Inner {
            kind,
            what: what.into(),
            offset,
        }))
    }

    pub(crate) fn truncated(offset: usize) -> Self {
        Self::new(Kind::Truncated, "the image ends inside an item", Some(offset))
    }

    pub(crate) fn unsupported(what: impl Into<Cow<'static, str>>, offset: usize) -> Self {
        Self::new(Kind::Unsupported, what, Some(offset))
    }

    pub(crate) fn malformed(what: impl Into<Cow<'static, str>>, offset: usize) -> Self {
        Self::new(Kind::Malformed, what, Some(offset))
    }

    pub(crate) fn too_deep(limit: usize) -> Self {
        Self::new(Kind::TooDeep, format!("nested deeper than {limit} levels"), None)
    }

    pub(crate) fn too_large(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::TooLarge, what, None)
    }

    pub(crate) fn cyclic(what: &'static str) -> Self {
        Self::new(Kind::Cyclic, what, None)
    }

    pub(crate) fn data(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Data, what, None)
    }

    /// Whether the image ends too early.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.0.kind == Kind::Truncated
    }

    /// Whether the image holds something that has no meaning outside the Perl program that wrote it: code, hooks, tied
    /// variables.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.0.kind == Kind::Unsupported
    }

    /// Whether nesting exceeds [`Settings::max_depth`](crate::Settings::max_depth).
    #[must_use]
    pub fn is_too_deep(&self) -> bool {
        self.0.kind == Kind::TooDeep
    }

    /// Whether the image has more items than [`Settings::max_items`](crate::Settings::max_items), or its shared data
    /// expands to more memory than [`Settings::max_shared`](crate::Settings::max_shared).
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.0.kind == Kind::TooLarge
    }

    /// Whether the data contains itself, where that is not allowed.
    #[must_use]
    pub fn is_cyclic(&self) -> bool {
        self.0.kind == Kind::Cyclic
    }

    /// The position of the wrong byte in the image, from 0, if one is wrong.
    #[must_use]
    pub fn offset(&self) -> Option<usize> {
        self.0.offset
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.offset {
            Some(offset) => write!(f, "{} (at byte {offset})", self.0.what),
            None => f.write_str(&self.0.what),
        }
    }
}

impl std::error::Error for Error {}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self::data(what.to_string())
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self::data(what.to_string())
    }
}
