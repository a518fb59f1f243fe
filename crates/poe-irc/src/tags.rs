//! Message tags (IRCv3), kept as they came and read on demand, so that a peer's thousand tags cost no more than their bytes.

use crate::text::Text;
use bytes::{Bytes, BytesMut};
use std::borrow::Cow;
use std::fmt;

/// The tags of a message (IRCv3 `message-tags`), in their order.
///
/// A key that comes more than once has its last value, as the specification demands.
///
/// ```
/// use poe_irc::Tags;
/// let mut tags = Tags::default();
/// tags.set("+note", "one; two").unwrap();
/// tags.set("msgid", "63E1033A").unwrap();
/// assert_eq!(tags.to_string(), "+note=one\\:\\stwo;msgid=63E1033A");
/// assert_eq!(tags.get("+note").unwrap(), "one; two");
/// assert!(tags.set("no key", "x").is_err());
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tags(Bytes);

impl Tags {
    /// Takes what stands between `@` and the space.
    pub(crate) fn from_wire(bytes: Bytes) -> Self {
        Tags(bytes)
    }

    /// Returns the tags as they stand in a message, without `@`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are no tags.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the keys and the values, without escapes; a tag without a value has the empty one.
    pub fn iter(&self) -> impl Iterator<Item = (Text, Text)> {
        pairs(&self.0).map(|(key, value)| (key.into(), unescape(value)))
    }

    /// Returns the value of a tag.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Text> {
        let found = pairs(&self.0).filter(|(k, _)| *k == key.as_bytes()).last();
        found.map(|(_, value)| unescape(value))
    }

    /// Sets a tag, in place of an earlier one with that key.
    ///
    /// # Errors
    /// The key has other characters than letters, digits, `-`, `/`, `.` and a leading `+`; the value has a NUL.
    pub fn set(&mut self, key: &str, value: impl Into<Text>) -> Result<(), InvalidTag> {
        let value = value.into();
        let name = key.strip_prefix('+').unwrap_or(key);
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'/' | b'.' | b'_');
        if name.is_empty() || !name.bytes().all(plain) || value.as_bytes().contains(&0) {
            return Err(InvalidTag(key.to_owned()));
        }
        let mut all = BytesMut::with_capacity(self.0.len() + key.len() + value.len() + 2);
        for (k, v) in pairs(&self.0).filter(|(k, _)| *k != key.as_bytes()) {
            push(&mut all, k, v);
        }
        push(&mut all, key.as_bytes(), &escape(value.as_bytes()));
        self.0 = all.freeze();
        Ok(())
    }

    /// Whether the bytes can stand in a message.
    pub(crate) fn is_sound(&self) -> bool {
        !self.0.iter().any(|b| matches!(b, 0 | b'\r' | b'\n' | b' '))
    }
}

fn push(all: &mut BytesMut, key: &[u8], value: &[u8]) {
    if !all.is_empty() {
        all.extend_from_slice(b";");
    }
    all.extend_from_slice(key);
    if !value.is_empty() {
        all.extend_from_slice(b"=");
        all.extend_from_slice(value);
    }
}

fn pairs(all: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let tags = all.split(|b| *b == b';').filter(|tag| !tag.is_empty());
    tags.map(|tag| match memchr::memchr(b'=', tag) {
        Some(at) => (&tag[..at], &tag[at + 1..]),
        None => (tag, &[][..]),
    })
}

fn unescape(value: &[u8]) -> Text {
    if !value.contains(&b'\\') {
        return value.into();
    }
    let mut plain = Vec::with_capacity(value.len());
    let mut bytes = value.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'\\' {
            plain.push(*byte);
            continue;
        }
        match bytes.next() {
            Some(b':') => plain.push(b';'),
            Some(b's') => plain.push(b' '),
            Some(b'r') => plain.push(b'\r'),
            Some(b'n') => plain.push(b'\n'),
            Some(other) => plain.push(*other),
            // A lone one at the end is dropped.
            None => {}
        }
    }
    plain.into()
}

fn escape(value: &[u8]) -> Cow<'_, [u8]> {
    if !value.iter().any(|b| matches!(b, b';' | b' ' | b'\\' | b'\r' | b'\n')) {
        return value.into();
    }
    let mut escaped = Vec::with_capacity(value.len() + 8);
    for byte in value {
        match byte {
            b';' => escaped.extend_from_slice(b"\\:"),
            b' ' => escaped.extend_from_slice(b"\\s"),
            b'\\' => escaped.extend_from_slice(b"\\\\"),
            b'\r' => escaped.extend_from_slice(b"\\r"),
            b'\n' => escaped.extend_from_slice(b"\\n"),
            other => escaped.push(*other),
        }
    }
    escaped.into()
}

impl fmt::Display for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// A tag that cannot stand in a message; it names the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTag(pub String);

impl fmt::Display for InvalidTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} cannot be a tag: its key has letters, digits, `-`, `_`, `/` and `.` alone, and its value no NUL",
            self.0
        )
    }
}

impl std::error::Error for InvalidTag {}
