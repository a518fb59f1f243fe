//! The origins of the records that wait in a stack, which determine their wire bytes.
//!
//! A record that waits between two layers, or inside one, has an [`Origin`]: the list of its [`Source`]s, which are
//! wire bytes, or [`Part`]s of records one level below. Each wire byte and each record is a source of one record only,
//! unless it is split into parts. Three rules follow:
//!
//! 1. *Nothing has left:* while all parts of a record wait, they stand for the wire bytes of the whole record. The
//!    first part stands for all of them, the others for none.
//! 2. *Some of it has left:* when a part is dropped, because it was yielded or a layer rejected it, the origin of the
//!    whole is [spent](Origin::is_spent). From then on every waiting part stands for itself: its [own](Own) content,
//!    encoded as a record by the layers below.
//! 3. *The layer below is gone:* when the layer that made the records of a level was removed with `shift`, their
//!    content is the wire bytes ([`Level::is_bare`]).
//!
//! Moving a part never changes what it stands for, and bytes leave only when a part is dropped. The rules are
//! implemented in [`Part::form`].

use super::Stackable;
use super::layer::Record;
use super::slot::Slot;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Counters for all origins of a stack.
#[derive(Default)]
pub(super) struct Totals {
    /// The number of wire bytes that are sources.
    wire: Cell<usize>,
    /// The number of parts that stand for themselves, because a part of their whole has left.
    rests: Cell<usize>,
}

impl Totals {
    pub(super) fn wire(&self) -> usize {
        self.wire.get()
    }

    pub(super) fn rests(&self) -> usize {
        self.rests.get()
    }
}

/// The level of the records that one layer makes; the level below the first layer is the wire.
#[derive(Default)]
pub(super) struct Level {
    /// The number of layers between it and the wire.
    pub(super) depth: Cell<usize>,
    /// The layer that made its records was removed with `shift`: they are wire bytes.
    pub(super) is_bare: Cell<bool>,
}

/// The content of a record, for encoding it again.
#[derive(Clone)]
pub(super) struct Own {
    pub(super) content: Bytes,
    /// Whether the record is a `String`.
    pub(super) is_text: bool,
    pub(super) level: Rc<Level>,
}

impl Own {
    pub(super) fn new(content: Bytes, level: &Rc<Level>) -> Self {
        Own {
            content,
            is_text: false,
            level: level.clone(),
        }
    }

    /// Returns the content of a record of bytes, without a copy.
    pub(super) fn of(record: &Record, level: &Rc<Level>) -> Option<Self> {
        let content = record.downcast_ref::<Bytes>()?;
        Some(Own::new(content.clone(), level))
    }

    /// Copies the content of a record of bytes or text. Records of other types cannot be copied.
    pub(super) fn copied(record: &Record, level: &Rc<Level>) -> Option<Self> {
        Own::of(record, level).or_else(|| {
            let text = record.downcast_ref::<String>()?;
            let mut own = Own::new(Bytes::copy_from_slice(text.as_bytes()), level);
            own.is_text = true;
            Some(own)
        })
    }

    pub(super) fn to_record(&self) -> Record {
        match std::str::from_utf8(&self.content) {
            Ok(text) if self.is_text => Box::new(text.to_owned()),
            _ => Box::new(self.content.clone()),
        }
    }
}

/// A source of a record.
pub(super) enum Source {
    Wire(WireBytes),
    Part(Part),
}

impl Source {
    /// Takes the first `count` bytes out of a source whose bytes can be used one by one.
    pub(super) fn split_front(&mut self, count: usize) -> Self {
        match self {
            Source::Wire(wire) => Source::Wire(WireBytes {
                bytes: split_copy(&mut wire.bytes, count),
                totals: wire.totals.clone(),
            }),
            Source::Part(part) => Source::Part(part.split_front(count)),
        }
    }

    /// Returns its bytes, if it is a record of bytes or a part of one.
    pub(super) fn content(&self) -> Bytes {
        match self {
            Source::Wire(wire) => wire.bytes.clone(),
            Source::Part(part) => part.own.as_ref().map(|own| own.content.clone()).unwrap_or_default(),
        }
    }

    /// Returns whether it stands for wire bytes, itself or through another part of the same whole.
    fn has_form(&self) -> bool {
        match self {
            Source::Wire(_) => true,
            Source::Part(part) => part.has_form(),
        }
    }
}

/// Copies the bytes, so that a short record does not keep the memory of a long read.
fn split_copy(bytes: &mut Bytes, count: usize) -> Bytes {
    let front = bytes.split_to(count.min(bytes.len()));
    Bytes::copy_from_slice(&front)
}

/// Wire bytes.
pub(super) struct WireBytes {
    pub(super) bytes: Bytes,
    totals: Rc<Totals>,
}

impl WireBytes {
    pub(super) fn new(bytes: Bytes, totals: &Rc<Totals>) -> Self {
        totals.wire.set(totals.wire.get() + bytes.len());
        WireBytes {
            bytes,
            totals: totals.clone(),
        }
    }
}

impl Drop for WireBytes {
    fn drop(&mut self) {
        self.totals.wire.set(self.totals.wire.get() - self.bytes.len());
    }
}

/// The sources of one record.
pub(super) struct Origin {
    /// Empty once the origin is spent.
    sources: RefCell<Option<Vec<Source>>>,
    /// How many parts of the record wait; one, unless it was split.
    parts: Cell<usize>,
    totals: Rc<Totals>,
}

impl Origin {
    pub(super) fn new(sources: Vec<Source>, totals: &Rc<Totals>) -> Rc<Self> {
        Rc::new(Origin {
            sources: RefCell::new(Some(sources)),
            parts: Cell::new(0),
            totals: totals.clone(),
        })
    }

    /// The origin of a record of which a part has left.
    pub(super) fn spent(totals: &Rc<Totals>) -> Rc<Self> {
        Rc::new(Origin {
            sources: RefCell::new(None),
            parts: Cell::new(0),
            totals: totals.clone(),
        })
    }

    pub(super) fn is_spent(&self) -> bool {
        self.sources.borrow().is_none()
    }

    /// Adds bytes that turn out to belong to the record, such as the second half of its newline.
    pub(super) fn add(&self, source: Source) {
        if let Some(sources) = &mut *self.sources.borrow_mut() {
            sources.push(source);
        }
    }
}

/// A record, or a part of one.
pub(super) struct Part {
    origin: Rc<Origin>,
    /// Stands for the whole as long as the whole is not spent.
    is_first: bool,
    /// What it stands for by itself, if that is known.
    own: Option<Own>,
    /// Its content is also the end of the content of what the whole was made from, which stands for it until the whole is
    /// spent. So the third rule does not apply.
    is_rest: bool,
}

impl Part {
    /// Makes the first part of a record, or the whole record.
    pub(super) fn first(origin: &Rc<Origin>, own: Option<Own>) -> Self {
        Part::new(origin, true, own)
    }

    /// Makes a part that follows others.
    pub(super) fn another(origin: &Rc<Origin>, own: Option<Own>) -> Self {
        Part::new(origin, false, own)
    }

    /// The part of a record that a filter made of filters has not used, as that filter shows it.
    pub(super) fn rest(origin: &Rc<Origin>, own: Own) -> Self {
        let mut rest = Part::new(origin, false, Some(own));
        rest.is_rest = true;
        rest
    }

    fn new(origin: &Rc<Origin>, is_first: bool, own: Option<Own>) -> Self {
        origin.parts.set(origin.parts.get() + 1);
        if origin.is_spent() {
            origin.totals.rests.set(origin.totals.rests.get() + 1);
        }
        Part {
            origin: origin.clone(),
            is_first,
            own,
            is_rest: false,
        }
    }

    /// Takes the first `count` bytes of its content; this part keeps the rest.
    fn split_front(&mut self, count: usize) -> Self {
        let own = self.own.as_mut().map(|own| Own {
            content: split_copy(&mut own.content, count),
            ..own.clone()
        });
        let mut front = Part::new(&self.origin, self.is_first, own);
        front.is_rest = self.is_rest;
        self.is_first = false;
        front
    }

    /// Calls one of the two closures for the bytes it stands for, by the rules above; neither, if another part stands
    /// for it or it has no wire form.
    pub(super) fn form(&self, own: impl FnOnce(&Own), sources: impl FnOnce(&[Source])) {
        let whole = self.origin.sources.borrow();
        match (&self.own, &*whole) {
            (Some(content), whole) if whole.is_none() || content.level.is_bare.get() && !self.is_rest => own(content),
            (_, Some(whole)) if self.is_first => sources(whole),
            _ => {}
        }
    }

    /// Returns whether it stands for wire bytes, itself or through another part of the same whole.
    pub(super) fn has_form(&self) -> bool {
        self.own.is_some()
            || match &*self.origin.sources.borrow() {
                Some(sources) => !self.is_first || sources.iter().any(Source::has_form),
                None => false,
            }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let Origin { parts, totals, sources } = &*self.origin;
        let left = parts.get() - 1;
        parts.set(left);
        if self.origin.is_spent() {
            totals.rests.set(totals.rests.get() - 1);
        } else if left > 0 {
            totals.rests.set(totals.rests.get() + left);
            let spent = sources.take();
            drop(spent);
        }
    }
}

// Encodes the records that wait in a stack as wire bytes.
impl<I: 'static, O: 'static> Stackable<I, O> {
    /// Appends the wire bytes of a source.
    fn show_source(&self, source: &Source, out: &mut Vec<u8>) {
        match source {
            Source::Wire(wire) => out.extend_from_slice(&wire.bytes),
            Source::Part(part) => self.show_part(part, out),
        }
    }

    pub(super) fn show_part(&self, part: &Part, out: &mut Vec<u8>) {
        let mut own = None;
        part.form(
            |content| own = Some(content.clone()),
            |sources| sources.iter().for_each(|source| self.show_source(source, out)),
        );
        if let Some(own) = own {
            let depth = if own.level.is_bare.get() {
                0
            } else {
                own.level.depth.get()
            };
            match self.encode(own.to_record(), depth) {
                Some(bytes) => out.extend(bytes),
                None => out.extend_from_slice(&own.content),
            }
        }
    }

    pub(super) fn show_held(&self, slot: &Slot) -> Vec<u8> {
        let mut bytes = Vec::new();
        for held in &slot.held {
            self.show_source(&held.source, &mut bytes);
        }
        bytes
    }

    /// Appends the wire bytes of a record that is not needed any more. A record that cannot be copied is encoded only
    /// here.
    pub(super) fn show_record(&self, record: Record, part: &Part, depth: usize, out: &mut Vec<u8>) {
        if part.has_form() {
            self.show_part(part, out);
        } else {
            out.extend(self.encode(record, depth).unwrap_or_default());
        }
    }

    /// Encodes a record with the first `depth` layers. Appends nothing if they do not fit, or one of them refuses the
    /// record.
    fn encode(&self, record: Record, depth: usize) -> Option<Vec<u8>> {
        let mut records = vec![record];
        for slot in self.slots[..depth].iter().rev() {
            let mut layer = slot.layer.fresh();
            let takes = layer.0.kinds().output.0;
            let mut under = Vec::new();
            for record in records {
                if (*record).type_id() != takes {
                    return None;
                }
                layer.0.put(record, &mut under).ok()?;
            }
            records = under;
        }
        let mut bytes = Vec::new();
        for record in records {
            bytes.extend_from_slice(record.downcast_ref::<Bytes>()?);
        }
        Some(bytes)
    }
}
