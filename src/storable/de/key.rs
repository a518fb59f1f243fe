//! A key of a hash: text, bytes, or the number that they say.

use super::super::code;
use super::super::error::Error;
use super::super::image::Kind;
use super::super::key;
use super::item::Item;
use serde::de::value::CowStrDeserializer;
use serde::de::{Deserializer, Visitor};
use std::borrow::Cow;

/// A key of a hash.
pub(super) struct KeyAt<'r, 'de> {
    pub(super) item: Item<'r, 'de>,
    pub(super) at: usize,
}

impl<'de> KeyAt<'_, 'de> {
    fn parts(&self) -> Result<(u8, &'de [u8]), Error> {
        match self.item.reader.image.nodes[self.at].kind {
            Kind::Key { flags, bytes } => {
                if self.item.again {
                    self.item.reader.spend(bytes.len())?;
                }
                Ok((flags, bytes))
            }
            _ => Err(Error::data("a hash without a key")),
        }
    }

    /// Bytes that are neither flagged nor UTF-8 have no text that is surely theirs.
    fn text(&self) -> Result<Option<Cow<'de, str>>, Error> {
        let (flags, bytes) = self.parts()?;
        let flagged = flags & (code::KEY_UTF8 | code::KEY_WAS_UTF8) != 0;
        Ok((flagged || str::from_utf8(bytes).is_ok()).then(|| key::text(flags, bytes)))
    }
}

macro_rules! parsed_keys {
    ($($method:ident $visit:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.text()?.and_then(|text| text.parse().ok()) {
                Some(number) => visitor.$visit(number),
                None => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for KeyAt<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.text()? {
            Some(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Some(Cow::Owned(text)) => visitor.visit_string(text),
            None => visitor.visit_borrowed_bytes(self.parts()?.1),
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
        match self.parts()?.1 {
            b"" | b"0" => visitor.visit_bool(false),
            b"1" => visitor.visit_bool(true),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_bytes(self.parts()?.1)
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
        match self.text()? {
            Some(variant) => visitor.visit_enum(CowStrDeserializer::new(variant)),
            None => Err(Error::data("a variant's name is text")),
        }
    }

    serde::forward_to_deserialize_any! {
        char str string unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}
