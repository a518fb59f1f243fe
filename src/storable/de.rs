//! serde's data model, read from a parsed image.

use super::blessed;
use super::code;
use super::error::Error;
use super::image::{Image, Kind};
use super::key;
use super::number;
use super::settings::Settings;
use serde::de::value::{BytesDeserializer, CowStrDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use std::borrow::Cow;
use std::cell::Cell;

/// What is shared is read once for each place that shares it, and a small image can share what is shared in turn. So the
/// octets that are read have a limit: this, and four times the image.
const SHARING: usize = 16 * 1024 * 1024;

pub(super) struct Reader<'r, 'de> {
    image: &'r Image<'de>,
    max_depth: usize,
    /// What may still be read.
    fuel: Cell<usize>,
}

impl<'r, 'de> Reader<'r, 'de> {
    pub(super) fn new(image: &'r Image<'de>, settings: &Settings) -> Self {
        Reader {
            image,
            max_depth: settings.max_depth,
            fuel: Cell::new(image.length.saturating_mul(4).saturating_add(SHARING)),
        }
    }

    pub(super) fn top(&'r self) -> Item<'r, 'de> {
        Item {
            reader: self,
            at: 0,
            depth: 0,
        }
    }

    fn spend(&self, octets: usize) -> Result<(), Error> {
        match self.fuel.get().checked_sub(octets) {
            Some(left) => self.fuel.set(left),
            None => return Err(Error::data("what the image shares makes too much data")),
        }
        Ok(())
    }
}

/// One item, to be read as what a type asks for.
#[derive(Clone, Copy)]
pub(super) struct Item<'r, 'de> {
    reader: &'r Reader<'r, 'de>,
    at: usize,
    /// Containers around it; what is shared can stand deeper than the image shows.
    depth: usize,
}

impl<'r, 'de> Item<'r, 'de> {
    /// The thing itself, behind references, class and what is shared; and its class.
    fn resolve(mut self) -> Result<(Self, Kind<'de>, Option<&'de [u8]>), Error> {
        let image = self.reader.image;
        let mut class = None;
        loop {
            self.reader.spend(1)?;
            match image.nodes[self.at].kind {
                Kind::Ref { .. } | Kind::Version(_) => {
                    self.at += 1;
                    class = None;
                }
                Kind::Class(index) => {
                    self.at += 1;
                    class = Some(image.classes[index as usize]);
                }
                // Every step goes to where the image has been already, so the steps come to an end.
                Kind::Same(earlier) if image.encloses(earlier, self.at) => {
                    return Err(Error::cyclic("something contains itself"));
                }
                Kind::Same(earlier) => {
                    self.at = earlier as usize;
                    // A class name stands before the item that it is of.
                    if let Some(before) = self.at.checked_sub(1)
                        && let Kind::Class(index) = image.nodes[before].kind
                    {
                        class = Some(image.classes[index as usize]);
                    }
                }
                kind => return Ok((self, kind, class)),
            }
        }
    }

    fn kind(self) -> Result<Kind<'de>, Error> {
        let (_, kind, _) = self.resolve()?;
        if let Kind::Octets(octets) = kind {
            self.reader.spend(octets.len())?;
        }
        if let Kind::Text(text) = kind {
            self.reader.spend(text.len())?;
        }
        Ok(kind)
    }

    /// The first of the items inside a container.
    fn inside(self) -> Result<Self, Error> {
        if self.depth >= self.reader.max_depth {
            return Err(Error::too_deep(self.reader.max_depth));
        }
        Ok(Item {
            at: self.at + 1,
            depth: self.depth + 1,
            ..self
        })
    }

    fn seq<V: Visitor<'de>>(self, count: u32, visitor: V) -> Result<V::Value, Error> {
        let mut items = Items {
            next: self.inside()?,
            left: count,
            key: None,
        };
        let value = visitor.visit_seq(&mut items)?;
        match items.left {
            0 => Ok(value),
            left => Err(Error::invalid_length(count as usize, &Fewer(count - left))),
        }
    }

    fn map<V: Visitor<'de>>(self, count: u32, visitor: V) -> Result<V::Value, Error> {
        let mut items = Items {
            next: self.inside()?,
            left: count,
            key: None,
        };
        let value = visitor.visit_map(&mut items)?;
        match items.left {
            0 => Ok(value),
            left => Err(Error::invalid_length(count as usize, &Fewer(count - left))),
        }
    }

    fn integer(self) -> Result<Option<i128>, Error> {
        Ok(match self.kind()? {
            Kind::Int(integer) => Some(integer.into()),
            Kind::Bool(on) => Some(on.into()),
            Kind::Octets(octets) => number::parse_integer(octets),
            Kind::Text(text) => number::parse_integer(text.as_bytes()),
            _ => None,
        })
    }

    fn float(self) -> Result<Option<f64>, Error> {
        Ok(match self.kind()? {
            Kind::Int(integer) => Some(integer.into()),
            Kind::Octets(octets) => number::parse_float(octets),
            Kind::Text(text) => number::parse_float(text.as_bytes()),
            _ => None,
        })
    }

    fn text(self) -> Result<Option<&'de str>, Error> {
        Ok(match self.kind()? {
            Kind::Octets(octets) => str::from_utf8(octets).ok(),
            Kind::Text(text) => Some(text),
            _ => None,
        })
    }
}

struct Fewer(u32);

impl de::Expected for Fewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} elements", self.0)
    }
}

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
            Kind::Octets(octets) => match str::from_utf8(octets) {
                Ok(text) => visitor.visit_borrowed_str(text),
                Err(_) => visitor.visit_borrowed_bytes(octets),
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
            Kind::Undef | Kind::Hole | Kind::HoleElement | Kind::Octets(b"" | b"0") => visitor.visit_bool(false),
            Kind::Text("" | "0") | Kind::Int(0) => visitor.visit_bool(false),
            Kind::Octets(b"1") | Kind::Text("1") | Kind::Int(1) => visitor.visit_bool(true),
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
            Kind::Octets(octets) => visitor.visit_borrowed_bytes(octets),
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

/// What is left of an array or a hash.
struct Items<'r, 'de> {
    next: Item<'r, 'de>,
    left: u32,
    /// The value of the key that was given last.
    key: Option<Item<'r, 'de>>,
}

impl<'de> de::SeqAccess<'de> for &mut Items<'_, 'de> {
    type Error = Error;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let item = self.next;
        self.next.at = item.reader.image.nodes[item.at].next as usize;
        seed.deserialize(item).map(Some)
    }
    fn size_hint(&self) -> Option<usize> {
        Some(self.left as usize)
    }
}

impl<'de> de::MapAccess<'de> for &mut Items<'_, 'de> {
    type Error = Error;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let value = self.next;
        let key = value.reader.image.nodes[value.at].next as usize;
        self.next.at = key + 1;
        self.key = Some(value);
        seed.deserialize(KeyAt { item: value, at: key }).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let value = self.key.take().ok_or_else(|| Error::data("a value before its key"))?;
        seed.deserialize(value)
    }
    fn size_hint(&self) -> Option<usize> {
        Some(self.left as usize)
    }
}

/// A key of a hash.
struct KeyAt<'r, 'de> {
    item: Item<'r, 'de>,
    at: usize,
}

impl<'de> KeyAt<'_, 'de> {
    fn parts(&self) -> Result<(u8, &'de [u8]), Error> {
        match self.item.reader.image.nodes[self.at].kind {
            Kind::Key { flags, octets } => {
                self.item.reader.spend(octets.len())?;
                Ok((flags, octets))
            }
            _ => Err(Error::data("a hash without a key")),
        }
    }

    /// Octets that are neither flagged nor UTF-8 have no text that is surely theirs.
    fn text(&self) -> Result<Option<Cow<'de, str>>, Error> {
        let (flags, octets) = self.parts()?;
        let flagged = flags & (code::KEY_UTF8 | code::KEY_WAS_UTF8) != 0;
        Ok((flagged || str::from_utf8(octets).is_ok()).then(|| key::text(flags, octets)))
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

/// A variant that is the one key of a hash.
struct Variant<'r, 'de> {
    value: Item<'r, 'de>,
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let at = self.value.reader.image.nodes[self.value.at].next as usize;
        let variant = seed.deserialize(KeyAt { item: self.value, at })?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    fn unit_variant(self) -> Result<(), Error> {
        de::Deserialize::deserialize(self.value)
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.value)
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.value.deserialize_any(visitor)
    }
    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.value.deserialize_any(visitor)
    }
}

/// A blessed thing as the two fields that `Blessed` has.
struct BlessedMap<'r, 'de> {
    class: &'de [u8],
    body: Option<Item<'r, 'de>>,
    field: usize,
}

impl<'de> de::MapAccess<'de> for BlessedMap<'_, 'de> {
    type Error = Error;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(&field) = blessed::FIELDS.get(self.field) else {
            return Ok(None);
        };
        self.field += 1;
        seed.deserialize(field.into_deserializer()).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        if self.field == 1 {
            return match str::from_utf8(self.class) {
                Ok(class) => seed.deserialize(class.into_deserializer()),
                Err(_) => seed.deserialize(BytesDeserializer::new(self.class)),
            };
        }
        let body = self
            .body
            .take()
            .ok_or_else(|| Error::data("a thing that was read already"))?;
        seed.deserialize(body)
    }
}
