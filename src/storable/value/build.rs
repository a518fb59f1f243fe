//! From an image to the values in it.

use super::super::code;
use super::super::error::Error;
use super::super::image::{self, Image};
use super::super::key::Key;
use super::super::settings::Settings;
use super::thing::{Body, Entry, Scalar, Value};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Makes the graph of an image. Its list has parents before children and keys behind values, so one pass suffices.
pub(in crate::storable) fn build(image: &Image<'_>, settings: &Settings) -> Result<Value, Error> {
    let mut builder = Builder {
        image,
        cycles: settings.cycles,
        things: vec![None; image.nodes.len()],
        classes: image.classes.iter().map(|&name| name.into()).collect(),
    };
    let top = builder.item(0);
    if top.is_err() {
        // What is half built may contain itself already.
        builder.things.iter().flatten().for_each(Value::unlink);
    }
    top
}

struct Builder<'a> {
    image: &'a Image<'a>,
    cycles: bool,
    /// What stands for each node so far; containers from before their contents are read.
    things: Vec<Option<Value>>,
    classes: Vec<Rc<[u8]>>,
}

impl Builder<'_> {
    /// The recursion is as deep as the image, which the parser has bounded.
    fn item(&mut self, at: usize) -> Result<Value, Error> {
        let node = self.image.nodes[at];
        let body = match node.kind {
            image::Kind::Same(earlier) => {
                let weak = at > 0 && matches!(self.image.nodes[at - 1].kind, image::Kind::Ref { weak: true, .. });
                if !weak && !self.cycles && self.image.encloses(earlier, at) {
                    return Err(Error::cyclic("something contains itself, which has to be asked for"));
                }
                let earlier = self.things[earlier as usize].clone();
                return earlier.ok_or_else(|| Error::data("a reference to something that is not there"));
            }
            image::Kind::Class(class) => {
                let value = self.item(at + 1)?;
                *value.0.class.borrow_mut() = Some(self.classes[class as usize].clone());
                return Ok(value);
            }
            image::Kind::Version(written) => {
                let value = self.item(at + 1)?;
                let characters = match value.0.body.replace(Body::Undef) {
                    Body::Text(text) => Scalar::Text(text),
                    Body::Bytes(bytes) => Scalar::Bytes(bytes),
                    _ => Scalar::Bytes(Box::default()),
                };
                *value.0.body.borrow_mut() = Body::Version(written.into(), characters);
                return Ok(value);
            }
            image::Kind::Undef | image::Kind::Key { .. } => Body::Undef,
            image::Kind::Hole => Body::Hole,
            image::Kind::HoleElement => Body::HoleElement,
            image::Kind::Bool(on) => Body::Bool(on),
            image::Kind::Int(integer) => Body::Int(integer.into()),
            image::Kind::Bytes(bytes) => Body::Bytes(bytes.into()),
            image::Kind::Text(text) => Body::Text(text.into()),
            image::Kind::Regexp => {
                let part = |at: usize| match self.image.nodes[at].kind {
                    image::Kind::Bytes(bytes) => bytes.into(),
                    _ => Box::default(),
                };
                Body::Regexp(part(at + 1), part(at + 2))
            }
            image::Kind::Array(_) | image::Kind::Hash { .. } | image::Kind::Ref { .. } => Body::Undef,
        };
        let value = Value::of(body);
        self.things[at] = Some(value.clone());
        let body = match node.kind {
            image::Kind::Array(count) => {
                let mut items = Vec::with_capacity(count as usize);
                let mut child = at + 1;
                for _ in 0..count {
                    items.push(self.item(child)?);
                    child = self.image.nodes[child].next as usize;
                }
                Body::Array(items)
            }
            image::Kind::Hash { count, flags } => {
                let mut entries = BTreeMap::new();
                let mut child = at + 1;
                for _ in 0..count {
                    let value = self.item(child)?;
                    let key = self.image.nodes[child].next as usize;
                    if let image::Kind::Key { flags, bytes } = self.image.nodes[key].kind {
                        let kept = flags & (code::KEY_LOCKED | code::KEY_PLACEHOLDER);
                        entries.insert(Key::from_wire(flags, bytes), Entry { value, flags: kept });
                    }
                    child = key + 1;
                }
                Body::Hash(entries, flags)
            }
            image::Kind::Ref { weak, overload } => {
                let to = self.item(at + 1)?;
                if weak {
                    Body::Weak(Rc::downgrade(&to.0), overload)
                } else {
                    Body::Ref(to, overload)
                }
            }
            _ => return Ok(value),
        };
        *value.0.body.borrow_mut() = body;
        Ok(value)
    }
}
