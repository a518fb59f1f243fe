//! One item of an image, and what it is when looked at as a number, a string or a container.

use super::super::error::Error;
use super::super::image::Kind;
use super::super::number;
use super::access::Items;
use super::reader::Reader;
use serde::de::{self, Error as _, Visitor};

/// One item, to be read as what a type asks for.
#[derive(Clone, Copy)]
pub(in crate::storable) struct Item<'r, 'de> {
    pub(super) reader: &'r Reader<'r, 'de>,
    pub(super) at: usize,
    /// Containers around it; what is shared can stand deeper than the image shows.
    pub(super) depth: usize,
    /// It is inside of what the image shares, and may have been read before.
    pub(super) again: bool,
}

impl<'r, 'de> Item<'r, 'de> {
    /// The thing itself, behind references, class and what is shared; and its class.
    pub(super) fn resolve(mut self) -> Result<(Self, Kind<'de>, Option<&'de [u8]>), Error> {
        let image = self.reader.image;
        let mut class = None;
        loop {
            if self.again {
                self.reader.spend(0)?;
            }
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
                    self.again = true;
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

    pub(super) fn kind(self) -> Result<Kind<'de>, Error> {
        let (item, kind, _) = self.resolve()?;
        let bytes = match kind {
            Kind::Bytes(bytes) => bytes.len(),
            Kind::Text(text) => text.len(),
            _ => 0,
        };
        if item.again {
            self.reader.spend(bytes)?;
        }
        Ok(kind)
    }

    /// The first of the items inside a container.
    pub(super) fn inside(self) -> Result<Self, Error> {
        if self.depth >= self.reader.max_depth {
            return Err(Error::too_deep(self.reader.max_depth));
        }
        Ok(Item {
            at: self.at + 1,
            depth: self.depth + 1,
            ..self
        })
    }

    pub(super) fn seq<V: Visitor<'de>>(self, count: u32, visitor: V) -> Result<V::Value, Error> {
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

    pub(super) fn map<V: Visitor<'de>>(self, count: u32, visitor: V) -> Result<V::Value, Error> {
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

    pub(super) fn integer(self) -> Result<Option<i128>, Error> {
        Ok(match self.kind()? {
            Kind::Int(integer) => Some(integer.into()),
            Kind::Bool(on) => Some(on.into()),
            Kind::Bytes(bytes) => number::parse_integer(bytes),
            Kind::Text(text) => number::parse_integer(text.as_bytes()),
            _ => None,
        })
    }

    pub(super) fn float(self) -> Result<Option<f64>, Error> {
        Ok(match self.kind()? {
            Kind::Int(integer) => Some(integer.into()),
            Kind::Bytes(bytes) => number::parse_float(bytes),
            Kind::Text(text) => number::parse_float(text.as_bytes()),
            _ => None,
        })
    }

    pub(super) fn text(self) -> Result<Option<&'de str>, Error> {
        Ok(match self.kind()? {
            Kind::Bytes(bytes) => str::from_utf8(bytes).ok(),
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
