//! From a parsed image to the values in it.

use crate::error::Error;
use crate::image::{self, Image, code};
use crate::key::Key;
use crate::settings::Settings;
use crate::value::{Body, Entry, Scalar, Value};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Makes values of an image, or of parts of it; all of them share what the image shares.
pub(crate) struct Builder<'r, 'a> {
    image: &'r Image<'a>,
    cycles: bool,
    max_depth: usize,
    depth: usize,
    /// The value of each node so far; containers from before their contents are read. Empty until the first is made.
    things: Vec<Option<Value>>,
    classes: Vec<Option<Rc<[u8]>>>,
}

impl<'r, 'a> Builder<'r, 'a> {
    pub(crate) fn new(image: &'r Image<'a>, settings: &Settings) -> Self {
        Builder {
            image,
            cycles: settings.cycles,
            max_depth: settings.max_depth,
            depth: 0,
            things: Vec::new(),
            classes: Vec::new(),
        }
    }

    /// The item at `at` with its class, if it has one. A weak reference becomes a strong one, because what keeps its target
    /// may not be part of the value.
    pub(crate) fn value(&mut self, at: usize) -> Result<Value, Error> {
        self.things.resize(self.image.nodes.len(), None);
        self.classes.resize(self.image.classes.len(), None);
        let value = match self.image.nodes[at].kind {
            image::Kind::Ref { weak: true, overload } => self.item(at + 1).map(|to| Value::of(Body::Ref(to, overload))),
            _ => self.item(self.image.whole(at)),
        };
        if value.is_err() {
            self.abandon();
        }
        value
    }

    /// Takes apart what was made, if it may contain itself: nobody else can.
    pub(crate) fn abandon(&mut self) {
        if self.cycles {
            self.things.drain(..).flatten().for_each(|value| value.unlink());
        }
    }

    /// Makes one item. The recursion is bounded: an image is not deeper than the limit, and a part of it that refers to
    /// other parts, which are then made first, must not become deeper.
    fn item(&mut self, at: usize) -> Result<Value, Error> {
        // A scalar can be as deep as the limit, in containers.
        if self.depth > self.max_depth {
            return Err(Error::too_deep(self.max_depth));
        }
        self.depth += 1;
        let value = self.make(at);
        self.depth -= 1;
        value
    }

    fn make(&mut self, at: usize) -> Result<Value, Error> {
        if let Some(made) = &self.things[at] {
            return Ok(made.clone());
        }
        let node = self.image.nodes[at];
        let body = match node.kind {
            image::Kind::Same(earlier) => {
                let weak = at > 0 && matches!(self.image.nodes[at - 1].kind, image::Kind::Ref { weak: true, .. });
                if !weak && !self.cycles && self.image.encloses(earlier, at) {
                    return Err(Error::cyclic("the data contains itself; Settings::cycles allows that"));
                }
                return match &self.things[earlier as usize] {
                    Some(made) => Ok(made.clone()),
                    // Only a part of the image is made, and this is outside of it.
                    None => self.item(self.image.whole(earlier as usize)),
                };
            }
            image::Kind::Class(class) => {
                let value = self.item(at + 1)?;
                let class = class as usize;
                let name = self.classes[class].get_or_insert_with(|| self.image.classes[class].into());
                *value.0.class.borrow_mut() = Some(name.clone());
                return Ok(value);
            }
            image::Kind::Version(written) => {
                let value = self.item(at + 1)?;
                let body = match value.0.body.replace(Body::Undef) {
                    Body::Text(text) => Body::Version(written.into(), Scalar::Text(text)),
                    Body::Bytes(bytes) => Body::Version(written.into(), Scalar::Bytes(bytes)),
                    // It was made before.
                    body => body,
                };
                *value.0.body.borrow_mut() = body;
                return Ok(value);
            }
            image::Kind::Undef | image::Kind::Key { .. } => Body::Undef,
            image::Kind::Hole => Body::Hole,
            image::Kind::HoleElement => Body::HoleElement,
            image::Kind::Bool(on) => Body::Bool(on),
            image::Kind::Int(integer) => Body::Int(integer),
            image::Kind::Float(float) => Body::Float(float),
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
