//! An item as whatever type asks for it: Perl's scalars are numbers and strings alike.

use super::super::blessed;
use super::super::error::Error;
use super::super::image::Kind;
use super::access::{BlessedMap, Variant};
use super::item::Item;
use serde::de::{Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};

/// Reads an integer where the item says one, and lets the visitor refuse whatever else it is.
macro_rules! integers {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.integer()? {
                Some(integer) => match <$type>::try_from(integer) {
                    Ok(integer) => visitor.$visit(integer),
                    Err(_) => Err(Error::invalid_value(
                        Unexpected::Other(&integer.to_string()),
                        &stringify!($type),
                    )),
                },
                None => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Item<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.kind()?;
        let (item, kind, _) = self.resolve()?;
        match kind {
            Kind::Undef | Kind::Hole | Kind::HoleElement => visitor.visit_unit(),
            Kind::Bool(on) => visitor.visit_bool(on),
            Kind::Int(integer) => visitor.visit_i64(integer.into()),
            Kind::Text(text) => visitor.visit_borrowed_str(text),
            Kind::Bytes(bytes) => match str::from_utf8(bytes) {
                Ok(text) => visitor.visit_borrowed_str(text),
                Err(_) => visitor.visit_borrowed_bytes(bytes),
            },
            Kind::Array(count) => item.seq(count, visitor),
            Kind::Hash { count, .. } => item.map(count, visitor),
            Kind::Regexp => Err(Error::custom("a compiled pattern is no data")),
            kind => Err(Error::data(format!("{kind:?} where an item should be"))),
        }
    }

    integers! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_i128 visit_i128 i128;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if let Some(integer) = self.integer()?
            && let Ok(integer) = u128::try_from(integer)
        {
            return visitor.visit_u128(integer);
        }
        match self.text()?.and_then(|text| text.parse().ok()) {
            Some(integer) => visitor.visit_u128(integer),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // Read as 32 bits straight away: by way of 64 it would be rounded twice.
        match self.text()?.and_then(|text| text.trim_ascii().parse().ok()) {
            Some(float) => visitor.visit_f32(float),
            None => self.deserialize_f64(visitor),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.float()? {
            Some(float) => visitor.visit_f64(float),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            Kind::Undef | Kind::Hole | Kind::HoleElement | Kind::Bytes(b"" | b"0") => visitor.visit_bool(false),
            Kind::Text("" | "0") | Kind::Int(0) => visitor.visit_bool(false),
            Kind::Bytes(b"1") | Kind::Text("1") | Kind::Int(1) => visitor.visit_bool(true),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // To Perl a number is as good a string as any.
        match self.kind()? {
            Kind::Int(integer) => visitor.visit_string(integer.to_string()),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            Kind::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Kind::Text(text) => visitor.visit_borrowed_bytes(text.as_bytes()),
            _ => self.deserialize_str(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.resolve()?.1 {
            Kind::Undef | Kind::Hole | Kind::HoleElement => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name != blessed::NAME {
            return self.deserialize_any(visitor);
        }
        match self.resolve()? {
            (body, _, Some(class)) => visitor.visit_map(BlessedMap {
                class,
                body: Some(body.inside().map(|inside| Item { at: body.at, ..inside })?),
                field: 0,
            }),
            _ => Err(Error::data("a blessed thing was expected, and this one is not")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Some(variant) = self.text()? {
            return visitor.visit_enum(variant.into_deserializer());
        }
        let (hash, kind, _) = self.resolve()?;
        match kind {
            Kind::Hash { count: 1, .. } => {
                let value = hash.inside()?;
                visitor.visit_enum(Variant { value })
            }
            _ => Err(Error::data("an enum is a string, or a hash of one key")),
        }
    }

    serde::forward_to_deserialize_any! { unit unit_struct seq tuple tuple_struct map identifier ignored_any }

    fn is_human_readable(&self) -> bool {
        false
    }
}
