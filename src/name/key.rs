//! The key of a lookup in the table of names: a text and its hash.

use super::Name;

/// A text to look up in the table of names, with its hash, which is computed when the key is made.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    text: KeyText<'a>,
    pub(super) hash: u32,
}

#[derive(Clone, Copy, Debug)]
enum KeyText<'a> {
    /// The text is `'static`, so the table need not copy it.
    Fixed(&'static str),
    Borrowed(&'a str),
}

impl Key<'static> {
    /// The name of a signal's queue item.
    pub(crate) const SIGNAL: Key<'static> = Key::fixed("_signal", hash("_signal"));
    /// The name of the queue item for a call by a handle.
    pub(crate) const CALL: Key<'static> = Key::fixed(CALL, hash(CALL));

    #[inline(always)]
    pub(crate) const fn fixed(text: &'static str, hash: u32) -> Self {
        Key {
            text: KeyText::Fixed(text),
            hash,
        }
    }
}

impl<'a> Key<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Key {
            text: KeyText::Borrowed(text),
            hash: hash(text),
        }
    }

    pub(super) fn hashed(text: &'a str, hash: u32) -> Self {
        Key {
            text: KeyText::Borrowed(text),
            hash,
        }
    }

    /// Returns the name's text.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &'a str {
        match self.text {
            KeyText::Fixed(text) => text,
            KeyText::Borrowed(text) => text,
        }
    }

    /// Returns the key itself, if its text is `'static`.
    #[inline]
    pub(crate) fn as_fixed(self) -> Option<Key<'static>> {
        match self.text {
            KeyText::Fixed(text) => Some(Key::fixed(text, self.hash)),
            KeyText::Borrowed(_) => None,
        }
    }

    pub(crate) fn to_name(self) -> Name {
        match self.text {
            KeyText::Fixed(text) => Name::from_static(text),
            KeyText::Borrowed(text) => Name::from(text),
        }
    }
}

/// The text of `NameIdx::CALL`.
pub(super) const CALL: &str = "_call";

/// The text of `NameIdx::THEN`.
pub(crate) const THEN: &str = "poe_then";

/// FNV-1a, folded to 32 bits: computable in a `const`, good enough for identifiers.
pub(crate) const fn hash(text: &str) -> u32 {
    let bytes = text.as_bytes();
    let mut h: u64 = 0xcbf2_9ce4_8422_2325;
    let mut i = 0;
    while i < bytes.len() {
        h = (h ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    (h ^ (h >> 32)) as u32
}
