//! serde's data model, read from an image or from a value: Perl's scalars are numbers and text alike, so an item is what
//! the type asks for.

mod hash_key;

use crate::error::Error;
use crate::handover;
use crate::key;
use crate::number;
use crate::source::{Class, Data, Limits, Source};
use serde::de::value::BytesDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use std::borrow::Cow;

pub(crate) use hash_key::KeyItem;

/// One item, to be read as what a type asks for.
#[derive(Clone)]
pub(crate) struct Item<'r, S> {
    source: S,
    limits: &'r Limits,
    /// How many containers are around it; shared data can be nested deeper than the image shows.
    depth: usize,
    /// It is inside of shared data, and may have been read before.
    again: bool,
    /// References and class are behind it.
    resolved: bool,
}

impl<'r, 'de, S: Source<'de>> Item<'r, S> {
    pub(crate) fn top(source: S, limits: &'r Limits) -> Self {
        Item {
            source,
            limits,
            depth: 0,
            again: false,
            resolved: false,
        }
    }

    /// The thing itself, and its class.
    fn resolve(mut self) -> Result<(Self, Class<'de>), Error> {
        if self.resolved {
            return Ok((self, None));
        }
        let (source, class) = self.source.resolve(self.limits, &mut self.again)?;
        self.source = source;
        self.resolved = true;
        Ok((self, class))
    }

    /// The thing itself, and what it is.
    pub(crate) fn data(self) -> Result<(Self, Data<'de>), Error> {
        let (item, _) = self.resolve()?;
        let data = item.source.data();
        if item.again {
            item.limits.spend(data.bytes())?;
        }
        Ok((item, data))
    }

    /// The same, where byte strings are text if the settings say so.
    fn text_data(self) -> Result<(Self, Data<'de>), Error> {
        let (item, data) = self.data()?;
        let data = match data {
            Data::Bytes(bytes) if item.limits.latin1 => Data::Text(latin1(bytes)),
            data => data,
        };
        Ok((item, data))
    }

    /// An item inside a container.
    fn inner(&self, source: S) -> Self {
        Item {
            source,
            limits: self.limits,
            depth: self.depth + 1,
            again: self.again,
            resolved: false,
        }
    }

    fn check_depth(&self) -> Result<(), Error> {
        if self.depth >= self.limits.max_depth {
            return Err(Error::too_deep(self.limits.max_depth));
        }
        Ok(())
    }

    pub(crate) fn elements(&self, count: usize) -> Result<Elements<'r, 'de, S>, Error> {
        self.check_depth()?;
        Ok(Elements {
            around: self.clone(),
            items: self.source.items(),
            left: count,
        })
    }

    pub(crate) fn pairs(&self, count: usize) -> Result<Pairs<'r, 'de, S>, Error> {
        self.check_depth()?;
        Ok(Pairs {
            around: self.clone(),
            entries: self.source.entries(),
            left: count,
            value: None,
        })
    }

    /// Gives the visitor what there is.
    fn visit<V: Visitor<'de>>(self, data: Data<'de>, visitor: V) -> Result<V::Value, Error> {
        match data {
            Data::Undef => visitor.visit_unit(),
            Data::Bool(on) => visitor.visit_bool(on),
            Data::Int(integer) => visitor.visit_i64(integer),
            Data::Float(float) => visitor.visit_f64(float),
            Data::Text(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Data::Text(Cow::Owned(text)) => visitor.visit_string(text),
            Data::Bytes(Cow::Borrowed(bytes)) => match str::from_utf8(bytes) {
                Ok(text) => visitor.visit_borrowed_str(text),
                Err(_) => visitor.visit_borrowed_bytes(bytes),
            },
            Data::Bytes(Cow::Owned(bytes)) => match String::from_utf8(bytes) {
                Ok(text) => visitor.visit_string(text),
                Err(error) => visitor.visit_byte_buf(error.into_bytes()),
            },
            Data::Array(count) => {
                let mut elements = self.elements(count)?;
                let value = visitor.visit_seq(&mut elements)?;
                all_read(count, elements.left)?;
                Ok(value)
            }
            Data::Hash(count) => {
                let mut pairs = self.pairs(count)?;
                let value = visitor.visit_map(&mut pairs)?;
                all_read(count, pairs.left)?;
                Ok(value)
            }
            Data::Regexp => Err(Error::custom("a compiled pattern cannot be read as typed data")),
        }
    }
}

fn latin1(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => key::latin1(bytes),
        Cow::Owned(bytes) => Cow::Owned(key::latin1(&bytes).into_owned()),
    }
}

fn integer(data: &Data<'_>) -> Option<i128> {
    match data {
        Data::Int(integer) => Some((*integer).into()),
        Data::Bool(on) => Some((*on).into()),
        Data::Float(float) => number::integral(*float),
        Data::Bytes(bytes) => number::parse_integer(bytes),
        Data::Text(text) => number::parse_integer(text.as_bytes()),
        _ => None,
    }
}

fn text<'d>(data: &'d Data<'_>) -> Option<&'d str> {
    match data {
        Data::Bytes(bytes) => str::from_utf8(bytes).ok(),
        Data::Text(text) => Some(text),
        _ => None,
    }
}

fn all_read(count: usize, left: usize) -> Result<(), Error> {
    match left {
        0 => Ok(()),
        left => Err(Error::invalid_length(count, &Fewer(count - left))),
    }
}

struct Fewer(usize);

impl de::Expected for Fewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} elements", self.0)
    }
}

/// Reads an integer where the item says one, and lets the visitor reject anything else.
macro_rules! integers {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let (item, data) = self.text_data()?;
            match integer(&data) {
                Some(integer) => match <$type>::try_from(integer) {
                    Ok(integer) => visitor.$visit(integer),
                    Err(_) => Err(Error::invalid_value(
                        Unexpected::Other(&integer.to_string()),
                        &stringify!($type),
                    )),
                },
                None => item.visit(data, visitor),
            }
        }
    )*};
}

impl<'de, S: Source<'de>> Deserializer<'de> for Item<'_, S> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (item, data) = self.text_data()?;
        item.visit(data, visitor)
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
        let (item, data) = self.text_data()?;
        let read = integer(&data).and_then(|integer| u128::try_from(integer).ok());
        match read.or_else(|| text(&data)?.parse().ok()) {
            Some(integer) => visitor.visit_u128(integer),
            None => item.visit(data, visitor),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (item, data) = self.text_data()?;
        // Read as 32 bits directly: through 64 bits it would be rounded twice.
        match text(&data).and_then(|text| text.trim_ascii().parse().ok()) {
            Some(float) => visitor.visit_f32(float),
            None => item.visit_float(data, visitor),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (item, data) = self.text_data()?;
        item.visit_float(data, visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (item, data) = self.text_data()?;
        match (&data, text(&data)) {
            (Data::Undef | Data::Int(0), _) | (_, Some("" | "0")) => visitor.visit_bool(false),
            (Data::Int(1), _) | (_, Some("1")) => visitor.visit_bool(true),
            _ => item.visit(data, visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (item, data) = self.text_data()?;
        // To Perl a number is as good a string as any.
        match data {
            Data::Int(integer) => visitor.visit_string(integer.to_string()),
            Data::Float(float) => visitor.visit_string(number::printed(float)),
            Data::Bool(on) => visitor.visit_str(if on { "1" } else { "" }),
            data => item.visit(data, visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (item, data) = self.data()?;
        match data {
            Data::Bytes(Cow::Borrowed(bytes)) => visitor.visit_borrowed_bytes(bytes),
            Data::Bytes(Cow::Owned(bytes)) => visitor.visit_byte_buf(bytes),
            Data::Text(Cow::Borrowed(text)) => visitor.visit_borrowed_bytes(text.as_bytes()),
            Data::Text(Cow::Owned(text)) => visitor.visit_byte_buf(text.into_bytes()),
            // Numbers as text.
            _ => item.deserialize_str(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.source.is_undef() {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        if name == handover::VALUE {
            let _passing = handover::pass(self.source.value()?);
            return visitor.visit_newtype_struct(self);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name != handover::BLESSED {
            return self.deserialize_any(visitor);
        }
        let (item, class) = self.resolve()?;
        let class = class.ok_or_else(|| Error::data("a blessed thing was expected, and this one is not blessed"))?;
        item.check_depth()?;
        let depth = item.depth + 1;
        visitor.visit_map(BlessedMap {
            class,
            body: Some(Item { depth, ..item }),
            field: 0,
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (item, data) = self.text_data()?;
        if let Some(variant) = text(&data) {
            return visitor.visit_enum(variant.into_deserializer());
        }
        match data {
            Data::Hash(1) => visitor.visit_enum(item.pairs(1)?),
            _ => Err(Error::data("an enum is a string, or a hash of one key")),
        }
    }

    serde::forward_to_deserialize_any! { unit unit_struct seq tuple tuple_struct map identifier ignored_any }

    fn is_human_readable(&self) -> bool {
        false
    }
}

impl<'de, S: Source<'de>> Item<'_, S> {
    fn visit_float<V: Visitor<'de>>(self, data: Data<'de>, visitor: V) -> Result<V::Value, Error> {
        let float = match &data {
            Data::Int(integer) => Some(*integer as f64),
            Data::Float(float) => Some(*float),
            data => text(data).and_then(|text| number::parse_float(text.as_bytes())),
        };
        match float {
            Some(float) => visitor.visit_f64(float),
            None => self.visit(data, visitor),
        }
    }
}

/// The rest of an array.
pub(crate) struct Elements<'r, 'de, S: Source<'de>> {
    around: Item<'r, S>,
    items: S::Items,
    left: usize,
}

impl<'r, 'de, S: Source<'de>> Iterator for Elements<'r, 'de, S> {
    type Item = Item<'r, S>;
    fn next(&mut self) -> Option<Item<'r, S>> {
        self.left = self.left.checked_sub(1)?;
        self.items.next().map(|source| self.around.inner(source))
    }
}

impl<'de, S: Source<'de>> de::SeqAccess<'de> for &mut Elements<'_, 'de, S> {
    type Error = Error;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.next().map(|item| seed.deserialize(item)).transpose()
    }
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The rest of a hash.
pub(crate) struct Pairs<'r, 'de, S: Source<'de>> {
    around: Item<'r, S>,
    entries: S::Entries,
    left: usize,
    /// The value of the key that was given last.
    value: Option<Item<'r, S>>,
}

impl<'r, 'de, S: Source<'de>> Pairs<'r, 'de, S> {
    pub(crate) fn next_pair(&mut self) -> Result<Option<(KeyItem<'de>, Item<'r, S>)>, Error> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let Some((key, source)) = self.entries.next() else {
            return Ok(None);
        };
        if self.around.again {
            self.around.limits.spend(key.bytes.len())?;
        }
        let latin1 = self.around.limits.latin1;
        Ok(Some((KeyItem { key, latin1 }, self.around.inner(source))))
    }
}

impl<'de, S: Source<'de>> de::MapAccess<'de> for &mut Pairs<'_, 'de, S> {
    type Error = Error;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.next_pair()? else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(key).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let value = self.value.take().ok_or_else(|| Error::data("a value before its key"))?;
        seed.deserialize(value)
    }
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// A variant that is the one key of a hash.
impl<'r, 'de, S: Source<'de>> de::EnumAccess<'de> for Pairs<'r, 'de, S> {
    type Error = Error;
    type Variant = Item<'r, S>;
    fn variant_seed<V: DeserializeSeed<'de>>(mut self, seed: V) -> Result<(V::Value, Item<'r, S>), Error> {
        let pair = self.next_pair()?;
        let (key, value) = pair.ok_or_else(|| Error::data("a hash without its key"))?;
        Ok((seed.deserialize(key)?, value))
    }
}

impl<'de, S: Source<'de>> de::VariantAccess<'de> for Item<'_, S> {
    type Error = Error;
    fn unit_variant(self) -> Result<(), Error> {
        de::Deserialize::deserialize(self)
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }
    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }
}

/// A blessed thing as the two fields that `Blessed` has.
struct BlessedMap<'r, 'de, S> {
    class: Cow<'de, [u8]>,
    body: Option<Item<'r, S>>,
    field: usize,
}

impl<'de, S: Source<'de>> de::MapAccess<'de> for BlessedMap<'_, 'de, S> {
    type Error = Error;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(&field) = handover::BLESSED_FIELDS.get(self.field) else {
            return Ok(None);
        };
        self.field += 1;
        seed.deserialize(field.into_deserializer()).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        if self.field == 1 {
            return match str::from_utf8(&self.class) {
                Ok(class) => seed.deserialize(class.into_deserializer()),
                Err(_) => seed.deserialize(BytesDeserializer::new(&self.class)),
            };
        }
        let body = self.body.take();
        seed.deserialize(body.ok_or_else(|| Error::data("a blessed thing that was read already"))?)
    }
}
