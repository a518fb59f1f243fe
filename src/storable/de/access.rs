//! What is inside an array, a hash, a variant or a blessed thing, one after the other.

use super::super::blessed;
use super::super::error::Error;
use super::item::Item;
use super::key::KeyAt;
use serde::de::value::BytesDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

/// What is left of an array or a hash.
pub(super) struct Items<'r, 'de> {
    pub(super) next: Item<'r, 'de>,
    pub(super) left: u32,
    /// The value of the key that was given last.
    pub(super) key: Option<Item<'r, 'de>>,
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

/// A variant that is the one key of a hash.
pub(super) struct Variant<'r, 'de> {
    pub(super) value: Item<'r, 'de>,
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
pub(super) struct BlessedMap<'r, 'de> {
    pub(super) class: &'de [u8],
    pub(super) body: Option<Item<'r, 'de>>,
    pub(super) field: usize,
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
