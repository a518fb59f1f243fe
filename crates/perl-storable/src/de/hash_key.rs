//! The keys of hashes, read with serde.

use crate::error::Error;
use crate::image::code;
use crate::key;
use crate::source::RawKey;
use serde::de::value::CowStrDeserializer;
use serde::de::{Deserializer, Visitor};
use std::borrow::Cow;

/// A key of a hash: text, bytes, or the number that they say.
pub(crate) struct KeyItem<'de> {
    pub(crate) key: RawKey<'de>,
    pub(super) latin1: bool,
}

impl<'de> KeyItem<'de> {
    /// The key as text. Bytes that are neither flagged nor UTF-8 have none, unless the settings say that they are Latin-1.
    pub(crate) fn text(&self) -> Option<Cow<'_, str>> {
        key_text(self.key.flags, &self.key.bytes, self.latin1)
    }

    /// The same without a copy where the image has the text.
    fn into_text(self) -> Result<Cow<'de, str>, Cow<'de, [u8]>> {
        let text = match &self.key.bytes {
            Cow::Borrowed(bytes) => key_text(self.key.flags, bytes, self.latin1),
            Cow::Owned(_) => self.text().map(|text| Cow::Owned(text.into_owned())),
        };
        text.ok_or(self.key.bytes)
    }
}

fn key_text(flags: u8, bytes: &[u8], latin1: bool) -> Option<Cow<'_, str>> {
    match flags & (code::KEY_UTF8 | code::KEY_WAS_UTF8) {
        0 if latin1 => Some(key::latin1(bytes)),
        0 => str::from_utf8(bytes).ok().map(Cow::Borrowed),
        _ => Some(key::text(flags, bytes)),
    }
}

macro_rules! parsed_keys {
    ($($method:ident $visit:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.text().and_then(|text| text.parse().ok()) {
                Some(number) => visitor.$visit(number),
                None => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for KeyItem<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.into_text() {
            Ok(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Ok(Cow::Owned(text)) => visitor.visit_string(text),
            Err(bytes) => visit_bytes(bytes, visitor),
        }
    }

    parsed_keys! {
        deserialize_i8 visit_i8;
        deserialize_i16 visit_i16;
        deserialize_i32 visit_i32;
        deserialize_i64 visit_i64;
        deserialize_i128 visit_i128;
        deserialize_u8 visit_u8;
        deserialize_u16 visit_u16;
        deserialize_u32 visit_u32;
        deserialize_u64 visit_u64;
        deserialize_u128 visit_u128;
        deserialize_f32 visit_f32;
        deserialize_f64 visit_f64;
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &*self.key.bytes {
            b"" | b"0" => visitor.visit_bool(false),
            b"1" => visitor.visit_bool(true),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visit_bytes(self.key.bytes, visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.into_text() {
            Ok(variant) => visitor.visit_enum(CowStrDeserializer::new(variant)),
            Err(_) => Err(Error::data("the name of a variant must be text")),
        }
    }

    serde::forward_to_deserialize_any! {
        char str string unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

fn visit_bytes<'de, V: Visitor<'de>>(bytes: Cow<'de, [u8]>, visitor: V) -> Result<V::Value, Error> {
    match bytes {
        Cow::Borrowed(bytes) => visitor.visit_borrowed_bytes(bytes),
        Cow::Owned(bytes) => visitor.visit_byte_buf(bytes),
    }
}
