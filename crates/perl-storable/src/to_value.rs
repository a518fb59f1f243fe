//! serde's data model, made into values. The result is what `ser` writes into an image, without the image.

use crate::error::Error;
use crate::handover;
use crate::key::Key;
use crate::number;
use crate::ser::{key, string_bytes};
use crate::value::Value;
use serde::Serialize;
use serde::ser;

/// Makes one value.
#[derive(Clone, Copy)]
pub(crate) struct ValueSerializer {
    max_depth: usize,
    /// How many levels are around it, counted as in an image: containers, references and class names.
    depth: usize,
    /// At the top, and behind a class name, a container has no reference before it.
    bare: bool,
}

impl ValueSerializer {
    pub(crate) fn top(max_depth: usize) -> Self {
        ValueSerializer {
            max_depth,
            depth: 0,
            bare: true,
        }
    }

    /// What is inside a container, or behind a class name (`bare`).
    fn inside(self, bare: bool) -> Result<Self, Error> {
        let depth = self.depth + 1 + usize::from(!self.bare);
        if depth > self.max_depth {
            return Err(Error::too_deep(self.max_depth));
        }
        Ok(ValueSerializer { depth, bare, ..self })
    }

    fn list(self) -> Result<List, Error> {
        Ok(List {
            items: self.inside(false)?,
            made: Vec::new(),
            variant: None,
        })
    }

    fn map(self) -> Result<Map, Error> {
        Ok(Map {
            values: self.inside(false)?,
            made: Vec::new(),
            key: None,
            variant: None,
        })
    }
}

/// `{ variant => value }`
fn in_variant(variant: Option<&'static str>, value: Value) -> Value {
    match variant {
        Some(variant) => Value::hash([(variant, value)]),
        None => value,
    }
}

macro_rules! integers {
    ($($method:ident $type:ty;)*) => {$(
        fn $method(self, integer: $type) -> Result<Value, Error> {
            Ok(match i64::try_from(integer) {
                Ok(integer) => Value::from(integer),
                // As in an image, where integers beyond 32 bits are text.
                Err(_) => Value::bytes(integer.to_string()),
            })
        }
    )*};
}

impl ser::Serializer for ValueSerializer {
    type Ok = Value;
    type Error = Error;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = List;
    type SerializeMap = Map;
    type SerializeStruct = Struct;
    type SerializeStructVariant = Map;

    integers! {
        serialize_i8 i8;
        serialize_i16 i16;
        serialize_i32 i32;
        serialize_i64 i64;
        serialize_i128 i128;
        serialize_u8 u8;
        serialize_u16 u16;
        serialize_u32 u32;
        serialize_u64 u64;
        serialize_u128 u128;
    }

    fn serialize_bool(self, on: bool) -> Result<Value, Error> {
        Ok(Value::bytes(if on { "1" } else { "" }))
    }
    fn serialize_f32(self, float: f32) -> Result<Value, Error> {
        if number::whole(float.into()).is_some() {
            return self.serialize_f64(float.into());
        }
        // The shortest text of 32 bits, so that 0.1 stays 0.1.
        let text = number::float_text(&format!("{float:e}"));
        Ok(Value::from(
            number::parse_float(text.as_bytes()).unwrap_or(float.into()),
        ))
    }
    fn serialize_f64(self, float: f64) -> Result<Value, Error> {
        Ok(Value::from(float))
    }
    fn serialize_char(self, character: char) -> Result<Value, Error> {
        Ok(Value::from(&*character.encode_utf8(&mut [0; 4])))
    }
    fn serialize_str(self, text: &str) -> Result<Value, Error> {
        Ok(Value::from(text))
    }
    fn serialize_bytes(self, bytes: &[u8]) -> Result<Value, Error> {
        Ok(Value::bytes(bytes))
    }
    fn serialize_none(self) -> Result<Value, Error> {
        Ok(Value::undef())
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Error> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<Value, Error> {
        Ok(Value::undef())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Error> {
        Ok(Value::undef())
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value, Error> {
        Ok(Value::from(variant))
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<Value, Error> {
        if name == handover::VALUE
            && let Some(value) = handover::taken()
        {
            return Ok(value);
        }
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, Error> {
        Ok(in_variant(Some(variant), value.serialize(self.inside(false)?)?))
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<List, Error> {
        self.list()
    }
    fn serialize_tuple(self, _: usize) -> Result<List, Error> {
        self.list()
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List, Error> {
        self.list()
    }
    fn serialize_tuple_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<List, Error> {
        let mut list = self.inside(false)?.list()?;
        list.variant = Some(variant);
        Ok(list)
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Map, Error> {
        self.map()
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Struct, Error> {
        if name != handover::BLESSED {
            return self.map().map(Struct::Map);
        }
        let inside = self.inside(true)?;
        let class = Vec::new();
        Ok(Struct::Blessed {
            inside,
            class,
            made: None,
        })
    }
    fn serialize_struct_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Map, Error> {
        let mut map = self.inside(false)?.map()?;
        map.variant = Some(variant);
        Ok(map)
    }
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// An array that is being made.
pub(crate) struct List {
    items: ValueSerializer,
    made: Vec<Value>,
    variant: Option<&'static str>,
}

impl List {
    fn push<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
        self.made.push(item.serialize(self.items)?);
        Ok(())
    }

    fn finish(self) -> Result<Value, Error> {
        Ok(in_variant(self.variant, Value::array(self.made)))
    }
}

macro_rules! lists {
    ($($trait:ident $method:ident;)*) => {$(
        impl ser::$trait for List {
            type Ok = Value;
            type Error = Error;
            fn $method<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
                self.push(item)
            }
            fn end(self) -> Result<Value, Error> {
                self.finish()
            }
        }
    )*};
}
lists! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

/// A hash that is being made.
pub(crate) struct Map {
    values: ValueSerializer,
    made: Vec<(Key, Value)>,
    key: Option<Key>,
    variant: Option<&'static str>,
}

impl Map {
    fn insert<T: Serialize + ?Sized>(&mut self, key: Key, value: &T) -> Result<(), Error> {
        self.made.push((key, value.serialize(self.values)?));
        Ok(())
    }

    fn finish(self) -> Result<Value, Error> {
        Ok(in_variant(self.variant, Value::hash(self.made)))
    }
}

impl ser::SerializeMap for Map {
    type Ok = Value;
    type Error = Error;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, data: &T) -> Result<(), Error> {
        self.key = Some(key(data)?);
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let key = self.key.take().ok_or_else(|| Error::data("a value without a key"))?;
        self.insert(key, value)
    }
    fn end(self) -> Result<Value, Error> {
        self.finish()
    }
}

impl ser::SerializeStructVariant for Map {
    type Ok = Value;
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.insert(name.into(), value)
    }
    fn end(self) -> Result<Value, Error> {
        self.finish()
    }
}

/// A hash, or what `Blessed` is, which looks like a struct.
pub(crate) enum Struct {
    Map(Map),
    Blessed {
        inside: ValueSerializer,
        class: Vec<u8>,
        made: Option<Value>,
    },
}

impl ser::SerializeStruct for Struct {
    type Ok = Value;
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        match self {
            Struct::Map(map) => map.insert(name.into(), value),
            Struct::Blessed { class, .. } if name == handover::BLESSED_FIELDS[0] => {
                *class = string_bytes(value)?;
                Ok(())
            }
            Struct::Blessed { inside, made, .. } => {
                *made = Some(value.serialize(*inside)?);
                Ok(())
            }
        }
    }
    fn end(self) -> Result<Value, Error> {
        match self {
            Struct::Map(map) => map.finish(),
            // What is blessed is a variable of its own, so that a value from elsewhere keeps its class.
            Struct::Blessed { class, made, .. } => Ok(made.unwrap_or_else(Value::undef).target().copied().bless(class)),
        }
    }
}
