//! The terminators of lines.

use super::Pattern;
use memchr::memmem::Finder;
use std::fmt;
use std::sync::Arc;

#[derive(Clone)]
pub(super) enum Terminator {
    Newline,
    Autodetect,
    One(u8),
    Two([u8; 2]),
    Long(Arc<Finder<'static>>),
    #[cfg_attr(not(feature = "regex"), allow(dead_code))]
    Regexp(Arc<Pattern>),
    /// An empty literal. The fault prevents a search for it.
    Missing,
}

impl Terminator {
    pub(super) fn literal(bytes: &[u8]) -> Self {
        match *bytes {
            [] => Terminator::Missing,
            [byte] => Terminator::One(byte),
            [first, second] => Terminator::Two([first, second]),
            _ => Terminator::Long(Arc::new(Finder::new(bytes).into_owned())),
        }
    }
}

impl fmt::Debug for Terminator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Terminator::Newline => f.write_str("any newline"),
            Terminator::Autodetect => f.write_str("to be detected"),
            Terminator::One(byte) => write!(f, "\"{}\"", byte.escape_ascii()),
            Terminator::Two(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Terminator::Long(finder) => write!(f, "\"{}\"", finder.needle().escape_ascii()),
            Terminator::Regexp(pattern) => write!(f, "/{}/", pattern.as_str()),
            Terminator::Missing => f.write_str("\"\""),
        }
    }
}
