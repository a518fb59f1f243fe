//! Keys of hashes: strings of characters, with Perl's memory of how they were written.

use super::code;
use super::error::Error;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// The key of a hash entry: characters, each byte of an unflagged key being one (Latin-1).
///
/// Two keys are equal if their characters are, as in Perl, however they travelled.
///
/// ```
/// use poe::storable::Key;
/// assert_eq!(Key::from("caf\u{e9}"), Key::from(&b"caf\xe9"[..]));
/// assert!(Key::from("caf\u{e9}").is_text() && !Key::from(&b"caf\xe9"[..]).is_text());
/// assert_eq!(Key::from("caf\u{e9}").bytes(), b"caf\xe9");
/// assert_eq!(Key::from("\u{263a}").text(), "\u{263a}");
/// ```
#[derive(Clone)]
pub struct Key {
    bytes: Box<[u8]>,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Bytes,
    /// The bytes are Latin-1, but the key was a character string when it was stored.
    WasUtf8,
    Utf8,
}

impl Key {
    pub(super) fn from_wire(flags: u8, bytes: &[u8]) -> Self {
        // An image may flag ASCII as UTF-8, or both ways at once; the parser has checked that it is UTF-8.
        let form = match flags {
            _ if flags & code::KEY_UTF8 != 0 => Form::Utf8,
            _ if flags & code::KEY_WAS_UTF8 != 0 => Form::WasUtf8,
            _ => Form::Bytes,
        };
        Key {
            bytes: bytes.into(),
            form,
        }
    }

    pub(super) fn flags(&self) -> u8 {
        match self.form {
            Form::Bytes => 0,
            Form::WasUtf8 => code::KEY_WAS_UTF8,
            Form::Utf8 => code::KEY_UTF8,
        }
    }

    /// The key's bytes as an image holds them: UTF-8 if some character is beyond U+00FF, Latin-1 else.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The key as text. Unflagged bytes that are UTF-8 are taken as such, other ones as Latin-1.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        text(self.flags(), &self.bytes)
    }

    /// Whether the key was a character string when it was stored, and not bytes.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.form != Form::Bytes
    }

    fn chars(&self) -> impl Iterator<Item = u32> + '_ {
        let utf8 = (self.form == Form::Utf8)
            .then(|| str::from_utf8(&self.bytes).ok())
            .flatten();
        let bytes = if utf8.is_some() { &[][..] } else { &self.bytes };
        utf8.unwrap_or("")
            .chars()
            .map(u32::from)
            .chain(bytes.iter().map(|&byte| byte.into()))
    }
}

/// The text of a key on the wire.
pub(super) fn text(flags: u8, bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) if flags & code::KEY_WAS_UTF8 == 0 || text.is_ascii() => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect()),
    }
}

/// A key of characters: its bytes on the wire, and the flags that say what they are.
pub(super) fn wire(text: &str) -> (u8, Cow<'_, [u8]>) {
    if text.is_ascii() {
        return (0, Cow::Borrowed(text.as_bytes()));
    }
    match text
        .chars()
        .map(|c| u8::try_from(u32::from(c)).ok())
        .collect::<Option<Vec<u8>>>()
    {
        Some(latin) => (code::KEY_WAS_UTF8, Cow::Owned(latin)),
        None => (code::KEY_UTF8, Cow::Borrowed(text.as_bytes())),
    }
}

/// Lengths and counts are 32 bits wide.
pub(super) fn length(length: usize) -> Result<u32, Error> {
    u32::try_from(length).map_err(|_| Error::data("more than 4 GiB have no form in an image"))
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        let (flags, bytes) = wire(text);
        Self::from_wire(flags, &bytes)
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self::from_wire(0, bytes)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.form == Form::Utf8, other.form == Form::Utf8) {
            // UTF-8 sorts as its characters do, and so do bytes.
            (a, b) if a == b => self.bytes.cmp(&other.bytes),
            _ => self.chars().cmp(other.chars()),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text(), f)
    }
}
