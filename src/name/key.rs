//! What a name is looked up by: its text and the hash of that.

use super::Name;

/// A name on its way to the table: its text with the hash that was computed when the key was made.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    text: KeyText<'a>,
    pub(super) hash: u32,
}

#[derive(Clone, Copy, Debug)]
enum KeyText<'a> {
    /// It lives for ever, so that the table need not copy it.
    Fixed(&'static str),
    Borrowed(&'a str),
}

impl Key<'static> {
    /// Of a signal's item in the queue.
    pub(crate) const SIGNAL: Key<'static> = Key::fixed("_signal", hash("_signal"));
    /// Of the queue's item for a call by a handle.
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

    /// The name's text.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &'a str {
        match self.text {
            KeyText::Fixed(text) => text,
            KeyText::Borrowed(text) => text,
        }
    }

    /// The key itself, if its text lives for ever.
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
pub(super) const CALL: &str = "_call of a handle";

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
