//! serde's data model, written as an image directly.

use crate::error::Error;
use crate::handover;
use crate::image::code;
use crate::key::Key;
use crate::value::Value;
use crate::write::Writer;
use serde::Serialize;
use serde::ser;

/// Writes one item.
pub(crate) struct Serializer<'w> {
    writer: &'w mut Writer,
    place: Place,
}

/// Where an item is. At the top, and right behind a class name, a container needs no reference before it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Blessed,
    Inside,
}

impl<'w> Serializer<'w> {
    pub(crate) fn top(writer: &'w mut Writer) -> Self {
        Serializer {
            writer,
            place: Place::Top,
        }
    }

    /// A value as it is, with its identity.
    fn value(&mut self, value: &Value) -> Result<(), Error> {
        match self.place {
            Place::Top => self.writer.value(value),
            // The class that was written already takes the place of its own.
            Place::Blessed => self.writer.body(&value.target()),
            Place::Inside => self.writer.value(&value.clone().element()),
        }
    }

    fn inner(writer: &'w mut Writer) -> Self {
        Serializer {
            writer,
            place: Place::Inside,
        }
    }

    fn reference(&mut self) -> Result<usize, Error> {
        if self.place != Place::Inside {
            return Ok(0);
        }
        self.writer.enter()?;
        self.writer.item(code::REF);
        Ok(1)
    }

    fn container(mut self, item: u8) -> Result<Compound<'w>, Error> {
        let levels = self.reference()? + 1;
        self.writer.enter()?;
        let start = self.writer.out.len();
        self.writer.item(item);
        // How many there are is known at the end.
        self.writer.word(0);
        Ok(Compound {
            writer: self.writer,
            levels,
            start,
            count: 0,
            keys: Vec::new(),
            flagged: false,
            variant: None,
            blessed: None,
        })
    }

    /// `{ variant => … }`, around the returned container.
    fn variant(self, variant: &'static str, item: u8) -> Result<Compound<'w>, Error> {
        let outer = self.container(code::HASH)?;
        let (writer, levels, start) = (outer.writer, outer.levels, outer.start);
        let mut inner = Serializer::inner(writer).container(item)?;
        inner.variant = Some((variant, start, levels));
        Ok(inner)
    }
}

/// A container that is being written.
pub(crate) struct Compound<'w> {
    writer: &'w mut Writer,
    levels: usize,
    /// Where its code stands.
    start: usize,
    count: u32,
    /// Where the lengths of its keys stand, and their flags.
    keys: Vec<(usize, u8)>,
    flagged: bool,
    /// The name, the start and the levels of the hash of one entry that this is in.
    variant: Option<(&'static str, usize, usize)>,
    /// A blessed thing is no container itself: where it is, and its class when that is known.
    blessed: Option<(Place, Vec<u8>)>,
}

impl Compound<'_> {
    fn count(&mut self) -> Result<(), Error> {
        let more = self.count.checked_add(1);
        self.count = more.ok_or_else(|| Error::data("more than four billion elements"))?;
        Ok(())
    }

    fn item<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
        self.count()?;
        item.serialize(Serializer::inner(self.writer))
    }

    fn named<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        self.item(value)?;
        let at = self.writer.out.len();
        let flags = self.writer.text_key(name)?;
        self.key(at, flags);
        Ok(())
    }

    fn key(&mut self, at: usize, flags: u8) {
        self.flagged |= flags != 0;
        self.keys.push((at, flags));
    }

    fn close(self) {
        close(
            self.writer,
            self.start,
            self.count,
            self.levels,
            self.flagged,
            &self.keys,
        );
    }
}

fn close(writer: &mut Writer, start: usize, count: u32, levels: usize, flagged: bool, keys: &[(usize, u8)]) {
    writer.out[start + 1..start + 5].copy_from_slice(&count.to_be_bytes());
    writer.unsorted |= count > 1 && !keys.is_empty();
    if flagged {
        writer.add_flags(start, keys);
    }
    for _ in 0..levels {
        writer.leave();
    }
}

impl<'w> ser::Serializer for Serializer<'w> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'w>;
    type SerializeTuple = Compound<'w>;
    type SerializeTupleStruct = Compound<'w>;
    type SerializeTupleVariant = Compound<'w>;
    type SerializeMap = MapCompound<'w>;
    type SerializeStruct = Compound<'w>;
    type SerializeStructVariant = Compound<'w>;

    fn serialize_bool(self, on: bool) -> Result<(), Error> {
        self.writer.bytes(if on { b"1" } else { b"" })
    }
    fn serialize_i8(self, integer: i8) -> Result<(), Error> {
        self.serialize_i128(integer.into())
    }
    fn serialize_i16(self, integer: i16) -> Result<(), Error> {
        self.serialize_i128(integer.into())
    }
    fn serialize_i32(self, integer: i32) -> Result<(), Error> {
        self.serialize_i128(integer.into())
    }
    fn serialize_i64(self, integer: i64) -> Result<(), Error> {
        self.serialize_i128(integer.into())
    }
    fn serialize_i128(self, integer: i128) -> Result<(), Error> {
        self.writer.integer(integer);
        Ok(())
    }
    fn serialize_u8(self, integer: u8) -> Result<(), Error> {
        self.serialize_i128(integer.into())
    }
    fn serialize_u16(self, integer: u16) -> Result<(), Error> {
        self.serialize_i128(integer.into())
    }
    fn serialize_u32(self, integer: u32) -> Result<(), Error> {
        self.serialize_i128(integer.into())
    }
    fn serialize_u64(self, integer: u64) -> Result<(), Error> {
        self.serialize_i128(integer.into())
    }
    fn serialize_u128(self, integer: u128) -> Result<(), Error> {
        match i128::try_from(integer) {
            Ok(integer) => self.serialize_i128(integer),
            Err(_) => self.writer.bytes(integer.to_string().as_bytes()),
        }
    }
    fn serialize_f32(self, float: f32) -> Result<(), Error> {
        self.writer.float(float.into(), &format!("{float:e}"));
        Ok(())
    }
    fn serialize_f64(self, float: f64) -> Result<(), Error> {
        self.writer.float(float, &format!("{float:e}"));
        Ok(())
    }
    fn serialize_char(self, character: char) -> Result<(), Error> {
        self.writer.text(character.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, text: &str) -> Result<(), Error> {
        self.writer.text(text)
    }
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Error> {
        self.writer.bytes(bytes)
    }
    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), Error> {
        self.writer.item(code::UNDEF);
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(mut self, name: &'static str, value: &T) -> Result<(), Error> {
        if name == handover::VALUE
            && let Some(value) = handover::taken()
        {
            return self.value(&value);
        }
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let mut hash = self.container(code::HASH)?;
        hash.named(variant, value)?;
        hash.close();
        Ok(())
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'w>, Error> {
        self.container(code::ARRAY)
    }
    fn serialize_tuple(self, _: usize) -> Result<Compound<'w>, Error> {
        self.container(code::ARRAY)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound<'w>, Error> {
        self.container(code::ARRAY)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'w>, Error> {
        self.variant(variant, code::ARRAY)
    }
    fn serialize_map(self, _: Option<usize>) -> Result<MapCompound<'w>, Error> {
        Ok(MapCompound {
            hash: self.container(code::HASH)?,
            key: None,
        })
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Compound<'w>, Error> {
        if name != handover::BLESSED {
            return self.container(code::HASH);
        }
        Ok(Compound {
            start: self.writer.out.len(),
            writer: self.writer,
            levels: 0,
            count: 0,
            keys: Vec::new(),
            flagged: false,
            variant: None,
            blessed: Some((self.place, Vec::new())),
        })
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'w>, Error> {
        self.variant(variant, code::HASH)
    }
    fn is_human_readable(&self) -> bool {
        false
    }
}

impl ser::SerializeSeq for Compound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
        self.item(item)
    }
    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl ser::SerializeTuple for Compound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
        self.item(item)
    }
    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl ser::SerializeTupleStruct for Compound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
        self.item(item)
    }
    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl Compound<'_> {
    /// Ends a variant's container and the hash around it.
    fn close_variant(self) -> Result<(), Error> {
        let Some((variant, start, levels)) = self.variant else {
            self.close();
            return Ok(());
        };
        close(
            self.writer,
            self.start,
            self.count,
            self.levels,
            self.flagged,
            &self.keys,
        );
        let at = self.writer.out.len();
        let flags = self.writer.text_key(variant)?;
        close(self.writer, start, 1, levels, flags != 0, &[(at, flags)]);
        Ok(())
    }
}

impl ser::SerializeTupleVariant for Compound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
        self.item(item)
    }
    fn end(self) -> Result<(), Error> {
        self.close_variant()
    }
}

impl ser::SerializeStructVariant for Compound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.named(name, value)
    }
    fn end(self) -> Result<(), Error> {
        self.close_variant()
    }
}

impl ser::SerializeStruct for Compound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        let Some((place, class)) = &mut self.blessed else {
            return self.named(name, value);
        };
        if name == handover::BLESSED_FIELDS[0] {
            *class = string_bytes(value)?;
            return Ok(());
        }
        let mut body = Serializer {
            writer: self.writer,
            place: *place,
        };
        let levels = body.reference()? + 1;
        body.writer.enter()?;
        body.writer.class(class)?;
        value.serialize(Serializer {
            writer: body.writer,
            place: Place::Blessed,
        })?;
        for _ in 0..levels {
            self.writer.leave();
        }
        Ok(())
    }
    fn end(self) -> Result<(), Error> {
        if self.blessed.is_none() {
            self.close();
        }
        Ok(())
    }
}

/// A string that something serializes to.
enum Text {
    Characters(String),
    Bytes(Vec<u8>),
}

fn string<T: Serialize + ?Sized>(data: &T) -> Result<Text, Error> {
    let mut writer = Writer::new(8);
    data.serialize(Serializer::top(&mut writer))?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map(Text::Characters);
    let image = writer.finish();
    let read = match &image[code::HEADER.len()..] {
        [code::SCALAR, _, bytes @ ..] | [code::LSCALAR, _, _, _, _, bytes @ ..] => Some(Text::Bytes(bytes.to_vec())),
        [code::UTF8STR, _, bytes @ ..] | [code::LUTF8STR, _, _, _, _, bytes @ ..] => text(bytes).ok(),
        [code::BYTE, byte] => Some(Text::Bytes((i32::from(*byte) - 128).to_string().into_bytes())),
        [code::NETINT, bytes @ ..] => {
            let integer = bytes.first_chunk().map(|bytes| i32::from_be_bytes(*bytes));
            integer.map(|integer| Text::Bytes(integer.to_string().into_bytes()))
        }
        _ => None,
    };
    read.ok_or_else(|| Error::data("the keys of a hash and class names must be text, numbers or bytes"))
}

/// The bytes of a string that something serializes to; UTF-8 if it is text.
pub(crate) fn string_bytes<T: Serialize + ?Sized>(data: &T) -> Result<Vec<u8>, Error> {
    Ok(match string(data)? {
        Text::Characters(text) => text.into_bytes(),
        Text::Bytes(bytes) => bytes,
    })
}

/// The key of a hash that something serializes to.
pub(crate) fn key<T: Serialize + ?Sized>(data: &T) -> Result<Key, Error> {
    Ok(match string(data)? {
        Text::Characters(text) => Key::from(text),
        Text::Bytes(bytes) => Key::from_bytes(bytes),
    })
}

/// A map. The key waits until its value is written, because the value comes first.
pub(crate) struct MapCompound<'w> {
    hash: Compound<'w>,
    key: Option<Key>,
}

impl ser::SerializeMap for MapCompound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, data: &T) -> Result<(), Error> {
        self.key = Some(key(data)?);
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.hash.item(value)?;
        let at = self.hash.writer.out.len();
        let key = self.key.take().ok_or_else(|| Error::data("a value without a key"))?;
        self.hash.writer.byte_key(key.bytes())?;
        self.hash.key(at, key.flags());
        Ok(())
    }
    fn end(self) -> Result<(), Error> {
        self.hash.close();
        Ok(())
    }
}
