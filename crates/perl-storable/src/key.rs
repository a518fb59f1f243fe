//! Keys of hashes: strings of characters, with Perl's memory of how they were written.

use crate::error::Error;
use crate::image::code;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// The key of a hash entry: a string of characters. Each byte of a key without a flag is one character (Latin-1).
///
/// Two keys are equal if their characters are, as in Perl, whatever their form in the image.
///
/// ```
/// use perl_storable::Key;
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
    pub(crate) fn from_wire(flags: u8, bytes: &[u8]) -> Self {
        // An image may flag ASCII as UTF-8, or set both flags; the parser has checked that the bytes are UTF-8.
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

    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Key {
            bytes: bytes.into(),
            form: Form::Bytes,
        }
    }

    pub(crate) fn flags(&self) -> u8 {
        match self.form {
            Form::Bytes => 0,
            Form::WasUtf8 => code::KEY_WAS_UTF8,
            Form::Utf8 => code::KEY_UTF8,
        }
    }

    /// Returns the key's bytes as an image holds them: UTF-8 if any character is beyond U+00FF, otherwise Latin-1.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the key as text. Bytes without a flag are decoded as UTF-8 if they are UTF-8, otherwise as Latin-1.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        text(self.flags(), &self.bytes)
    }

    /// Whether the key was a character string when it was stored, and not a byte string.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.form != Form::Bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes.into()
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

/// The text of a key in an image.
pub(crate) fn text(flags: u8, bytes: &[u8]) -> Cow<'_, str> {
    match flags & code::KEY_WAS_UTF8 {
        0 => guess(bytes),
        _ => latin1(bytes),
    }
}

/// Bytes as text: UTF-8 if they are that, otherwise Latin-1.
pub(crate) fn guess(bytes: &[u8]) -> Cow<'_, str> {
    str::from_utf8(bytes).map_or_else(|_| latin1(bytes), Cow::Borrowed)
}

/// Bytes as text, each byte being one character.
pub(crate) fn latin1(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect()),
    }
}

/// The bytes of a key of characters in an image, and the flags that say how to read them.
pub(crate) fn wire(text: &str) -> (u8, Cow<'_, [u8]>) {
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

/// A length or count as images have it, in 32 bits.
pub(crate) fn length(length: usize) -> Result<u32, Error> {
    u32::try_from(length).map_err(|_| Error::data("a string or container of more than 4 GiB cannot be written"))
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
