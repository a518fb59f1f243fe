//! Values as serde data: in types that hold one, and to and from other formats.

use crate::de::Item;
use crate::error::Error;
use crate::handover;
use crate::key::Key;
use crate::settings::Settings;
use crate::source::{Data, Limits, Seen, ValueItem};
use crate::value::Value;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// Writes the value with its classes and sharing into Storable images and other values, and as plain data into other formats.
///
/// Plain data has no classes and no sharing: references are followed, and a byte string that is UTF-8 is text. Data that
/// contains itself, or that would become too large, is an error, with the default [`Settings`] as limits.
///
/// ```
/// use perl_storable::{self as storable, Value};
/// let point = Value::hash([("x", 3.into())]).bless("Point");
/// assert_eq!(serde_json::to_string(&point).unwrap(), r#"{"x":3}"#);
/// assert_eq!(storable::to_vec(&point).unwrap(), storable::freeze(&point).unwrap());
/// ```
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let _passing = handover::pass(self.clone());
        serializer.serialize_newtype_struct(handover::VALUE, &Plain(self))
    }
}

/// A value for a format that knows nothing of values.
struct Plain<'v>(&'v Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Nobody took it.
        drop(handover::taken());
        let (limits, seen) = (Limits::new(&Settings::new()), Seen::default());
        Item::top(ValueItem::new(self.0, &seen), &limits).serialize(serializer)
    }
}

impl Serialize for Item<'_, ValueItem<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (item, data) = self.clone().data().map_err(S::Error::custom)?;
        match data {
            Data::Undef => serializer.serialize_unit(),
            Data::Bool(on) => serializer.serialize_bool(on),
            Data::Int(integer) => serializer.serialize_i64(integer),
            Data::Float(float) => serializer.serialize_f64(float),
            Data::Text(text) => serializer.serialize_str(&text),
            Data::Bytes(bytes) => match str::from_utf8(&bytes) {
                Ok(text) => serializer.serialize_str(text),
                Err(_) => serializer.serialize_bytes(&bytes),
            },
            Data::Array(count) => {
                let mut list = serializer.serialize_seq(Some(count))?;
                for element in item.elements(count).map_err(S::Error::custom)? {
                    list.serialize_element(&element)?;
                }
                list.end()
            }
            Data::Hash(count) => {
                let mut map = serializer.serialize_map(Some(count))?;
                let mut pairs = item.pairs(count).map_err(S::Error::custom)?;
                while let Some((key, value)) = pairs.next_pair().map_err(S::Error::custom)? {
                    match key.text() {
                        Some(text) => map.serialize_entry(&text, &value)?,
                        None => map.serialize_entry(&crate::key::latin1(&key.key.bytes), &value)?,
                    }
                }
                map.end()
            }
            Data::Regexp => Err(S::Error::custom("a compiled pattern cannot be written as plain data")),
        }
    }
}

/// Reads the value with its classes and sharing from Storable images and other values, and any plain data from other formats.
///
/// Several values that one type reads from an image share what the image shares. Where serde buffers, in an untagged
/// enum or a flattened struct, the value is plain data.
///
/// ```
/// use perl_storable::{self as storable, Value};
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Message { event: String, params: Value }
/// let point = Value::hash([("x", 3.into())]).bless("Point");
/// let image = storable::to_vec(&Message { event: "move".into(), params: point }).unwrap();
/// let message: Message = storable::from_slice(&image).unwrap();
/// assert_eq!(message.params.class().as_deref(), Some("Point"));
///
/// let plain: Value = serde_json::from_str(r#"{"x": [1, 2.5, "three", null]}"#).unwrap();
/// assert_eq!(plain.field("x").unwrap().len(), Some(4));
/// ```
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(handover::VALUE, ValueVisitor)
    }
}

struct ValueVisitor;

macro_rules! scalars {
    ($($method:ident $type:ty;)*) => {$(
        fn $method<E: de::Error>(self, scalar: $type) -> Result<Value, E> {
            Ok(Value::from(scalar))
        }
    )*};
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match handover::taken() {
            Some(value) => Ok(value),
            None => deserializer.deserialize_any(self),
        }
    }

    scalars! {
        visit_bool bool;
        visit_i64 i64;
        visit_u64 u64;
        visit_f64 f64;
        visit_str &str;
        visit_string String;
    }

    fn visit_i128<E: de::Error>(self, integer: i128) -> Result<Value, E> {
        Ok(i64::try_from(integer).map_or_else(|_| Value::bytes(integer.to_string()), Value::from))
    }

    fn visit_u128<E: de::Error>(self, integer: u128) -> Result<Value, E> {
        Ok(i64::try_from(integer).map_or_else(|_| Value::bytes(integer.to_string()), Value::from))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::bytes(bytes))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::undef())
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::undef())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut made = Vec::new();
        while let Some(item) = items.next_element()? {
            made.push(item);
        }
        Ok(Value::array(made))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut made: Vec<(Key, Value)> = Vec::new();
        while let Some((KeyData(key), value)) = entries.next_entry()? {
            made.push((key, value));
        }
        Ok(Value::hash(made))
    }
}

/// The key of a map in another format.
struct KeyData(Key);

impl<'de> Deserialize<'de> for KeyData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let data = Value::deserialize(deserializer)?;
        let bytes = data.as_bytes();
        let key = match data.as_text().or_else(|| bytes.is_none().then(|| data.to_text())?) {
            Some(text) => Some(Key::from(text)),
            None => bytes.map(|bytes| Key::from(&*bytes)),
        };
        key.map(KeyData)
            .ok_or_else(|| de::Error::custom("the keys of a hash must be text, numbers or bytes"))
    }
}

macro_rules! forward {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, Error> {
            let (limits, seen) = (Limits::new(&Settings::new()), Seen::default());
            Item::top(ValueItem::new(self, &seen), &limits).$method($($argument,)* visitor)
        }
    )*};
}

/// Reads typed data from the value, with the default [`Settings`]; [`from_value`](crate::from_value) does the same.
impl<'de> Deserializer<'de> for &Value {
    type Error = Error;

    forward! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}
