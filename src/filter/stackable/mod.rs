//! POE::Filter::Stackable: a stack of filters that can be changed at run time.

mod layer;
mod origin;
mod slot;

pub use layer::Layer;

use super::buffer::Buffer;
use super::{Filter, FilterError};
use bytes::{Bytes, BytesMut};
use layer::{Kind, Record};
use origin::{Level, Origin, Source, Totals, WireBytes};
use slot::{Item, Slot};
use std::cell::OnceCell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::{Rc, Weak};

/// A stack of filters and stages, wire side first (`POE::Filter::Stackable`), whose layers can be changed while it is
/// used. If yours do not change, use [`FilterExt::then`](crate::filter::FilterExt::then), which the compiler checks and which does not box each record.
///
/// The type has the records of the application's side: `I` is read, `O` is put. Layers are [`Layer`]s. The whole stack
/// is checked before it is used: the first layer must take bytes, every other one must take the records of the one
/// below, and the last one must yield `I`. While the layers do not fit, as in the middle of a change, bytes wait. An
/// empty stack passes [`Bytes`].
///
/// ```
/// use poe::filter::{Filter, Grep, Layer, Line, Map, Stackable};
/// let mut stack = Stackable::<String>::new([
///     Layer::filter(Line::new()),
///     Layer::stage(Grep::code(|line: &String| !line.is_empty())),
/// ]);
/// stack.feed(b"one\n\ntwo\n");
/// assert_eq!(stack.next_record().unwrap().unwrap(), "one");
/// stack.push(Layer::stage(Map::code(|line: String| line.to_uppercase())));
/// assert_eq!(stack.next_record().unwrap().unwrap(), "TWO");
/// ```
///
/// # Changing it loses nothing
///
/// At any time the bytes that came are those of the records yielded and those that are [pending](Filter::pending), in
/// this order. The unused input of a removed layer goes to the others: bytes of the first layer go to the next one,
/// records of the last layer are yielded as they are. A layer that is added below gets the bytes of the one above. (POE
/// shows only what is pending in the last layer, and drops the rest.)
///
/// Pending bytes are the wire bytes, as long as nothing made of them was yielded. If a yielded record is only a part of
/// one below, such as a line of a block, each remaining part is pending as a separate record, encoded by the layers
/// below. Parts that these cannot encode are pending without framing if they are bytes or text, and are lost otherwise.
///
/// ```
/// use bytes::Bytes;
/// use poe::filter::{Block, Filter, Layer, Line, Stackable};
/// let mut stack = Stackable::<Bytes>::new([Layer::filter(Line::bytes())]);
/// stack.feed(b"BLOCKS\n3\0one");
/// assert_eq!(stack.next_record().unwrap().unwrap(), "BLOCKS");
/// stack.shift();
/// assert_eq!((stack.filters().len(), stack.pending()), (0, &b"3\0one"[..]));
/// stack.unshift(Layer::filter(Block::new()));
/// assert!(stack.filter_types()[0].ends_with("Block"));
/// assert_eq!(stack.next_record().unwrap().unwrap(), "one");
/// ```
#[doc(alias = "POE::Filter::Stackable")]
pub struct Stackable<I = Bytes, O = I> {
    /// The layers, wire side first. The waiting data are, in the order of the stream: for each slot, from the last to
    /// the first, the records that it has made and then the records that its layer holds; then `wire`. The [`Origin`]
    /// of each says which wire bytes it stands for. Operations move them without changing their order, so that nothing
    /// is lost or doubled.
    slots: Vec<Slot>,
    /// The bytes in the first layer, if it is a filter, and the bytes that no layer has seen.
    wire: Buffer,
    /// How many bytes of `wire` are in the first layer.
    seen: usize,
    /// The byte that a removed first layer would have skipped, and the record that it belongs to.
    owed: Option<(u8, Weak<Origin>)>,
    wire_level: Rc<Level>,
    totals: Rc<Totals>,
    /// A layer below waiting records was removed with `shift`.
    has_bare: bool,
    /// The pending bytes, unless all of them are in `wire`; computed on demand. The cost is one call of
    /// [`put`](Filter::put) for each remaining part of a partly yielded record and each layer below it.
    shown: OnceCell<Vec<u8>>,
    record: PhantomData<fn(O) -> I>,
}

impl<I: 'static, O: 'static> Stackable<I, O> {
    /// Makes a stack of these layers, wire side first.
    #[doc(alias = "Filters")]
    pub fn new(layers: impl IntoIterator<Item = Layer>) -> Self {
        let slots = layers.into_iter().enumerate();
        Stackable {
            slots: slots.map(|(at, layer)| Slot::new(layer, at + 1)).collect(),
            wire: Buffer::default(),
            seen: 0,
            owed: None,
            wire_level: Rc::default(),
            totals: Rc::default(),
            has_bare: false,
            shown: OnceCell::new(),
            record: PhantomData,
        }
    }

    /// Adds a layer on the application's side.
    pub fn push(&mut self, layer: Layer) {
        self.shown.take();
        self.slots.push(Slot::new(layer, self.slots.len() + 1));
    }

    /// Removes the layer on the application's side. Its unused records are yielded as they are.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use poe::filter::{Block, Filter, Layer, Line, Stackable};
    /// let mut stack = Stackable::<Bytes>::new([Layer::filter(Block::new()), Layer::filter(Line::bytes())]);
    /// stack.feed(b"4\0a\nbc2\0de"); // two blocks that contain one line and a half
    /// assert_eq!(stack.next_record().unwrap().unwrap(), "a");
    /// assert!(stack.pop().is_some()); // no lines any more
    /// assert_eq!(stack.next_record().unwrap().unwrap(), "bc");
    /// assert_eq!(stack.next_record().unwrap().unwrap(), "de");
    /// ```
    pub fn pop(&mut self) -> Option<Layer> {
        self.shown.take();
        if self.slots.last().is_some_and(|slot| !slot.made.is_empty()) {
            // The records that the layer has made cannot be represented without it.
            self.rewind();
        }
        if self.slots.len() == 1 {
            self.free_first();
        }
        let mut slot = self.slots.pop()?;
        if let Some(below) = self.slots.last_mut() {
            for item in slot.take_back(&self.totals).into_iter().rev() {
                below.made.push_front(item);
            }
        }
        slot.clear();
        Some(slot.layer)
    }

    /// Adds a layer on the wire's side. It gets the bytes that were in the first layer.
    pub fn unshift(&mut self, layer: Layer) {
        self.shown.take();
        self.free_first();
        for slot in &self.slots {
            slot.level.depth.set(slot.level.depth.get() + 1);
        }
        self.slots.insert(0, Slot::new(layer, 1));
    }

    /// Removes the layer on the wire's side. Its bytes go to the next one.
    ///
    /// The unused input of the next layer is pending without the removed layer's framing from then on.
    ///
    /// ```
    /// use poe::filter::{Block, Filter, Layer, Line, Stackable};
    /// let mut stack = Stackable::<String>::new([Layer::filter(Block::new()), Layer::filter(Line::new())]);
    /// stack.feed(b"6\0one\ntwraw");
    /// assert_eq!(stack.next_record().unwrap().unwrap(), "one");
    /// stack.shift();
    /// assert_eq!(stack.pending(), b"twraw");
    /// ```
    pub fn shift(&mut self) -> Option<Layer> {
        if self.slots.len() < 2 {
            return self.pop();
        }
        self.shown.take();
        self.free_first();
        let items = std::mem::take(&mut self.slots[0].made);
        let (mut made, mut shown) = (Vec::new(), Vec::new());
        for item in items {
            match item.record.downcast_ref::<Bytes>() {
                Some(content) => made.extend_from_slice(content),
                None => self.show_record(item.record, &item.part, 1, &mut made),
            }
            shown.push(item.part);
        }
        drop(shown);
        self.put_back(&made);
        let mut removed = self.slots.remove(0);
        removed.level.is_bare.set(true);
        for slot in &self.slots {
            slot.level.depth.set(slot.level.depth.get() - 1);
        }
        self.has_bare = true;
        if let Some(first) = self.slots.first()
            && first.takes_bytes
        {
            let held = first.held_bytes();
            self.put_back(&held);
            self.seen = held.len();
            self.slots[0].held.clear();
            self.slots[0].units = 0;
        }
        removed.clear();
        Some(removed.layer)
    }

    /// Returns the layers, wire side first.
    pub fn filters(&self) -> impl DoubleEndedIterator<Item = &Layer> + ExactSizeIterator {
        self.slots.iter().map(|slot| &slot.layer)
    }

    /// Returns the layers, to change their settings.
    ///
    /// ```
    /// use poe::filter::{FilterExt, Grep, Layer, Line, Stackable};
    /// let grep = Grep::code(|line: &String| line.starts_with('a'));
    /// let mut stack = Stackable::<String>::new([Layer::filter(Line::new()), Layer::stage(grep)]);
    /// for layer in stack.filters_mut() {
    ///     if let Some(grep) = layer.downcast_mut::<Grep<String>>() {
    ///         grep.modify_code(|line| line.starts_with('b'));
    ///     }
    /// }
    /// assert_eq!(stack.get(b"a1\nb1\n").remove(0).unwrap(), "b1");
    /// ```
    pub fn filters_mut(&mut self) -> impl Iterator<Item = &mut Layer> {
        self.shown.take();
        self.slots.iter_mut().map(|slot| &mut slot.layer)
    }

    /// Returns the type names of the layers, wire side first.
    #[must_use]
    pub fn filter_types(&self) -> Vec<&'static str> {
        self.filters().map(Layer::type_name).collect()
    }

    /// Inserts bytes in front of those that no layer has seen.
    fn put_back(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.wire.insert(0, bytes);
        }
    }

    /// Moves everything that the first layer holds back to the wire, as if no layer had seen it. Records that it has
    /// made stay.
    fn free_first(&mut self) {
        let Some(first) = self.slots.first() else { return };
        if let Some(owed) = first.layer.0.owed() {
            if self.wire.len() == 0 {
                self.owed = Some((owed, first.last.clone()));
            } else if self.wire.as_slice().first() == Some(&owed) {
                self.wire.consume(1);
                let half = WireBytes::new(Bytes::copy_from_slice(&[owed]), &self.totals);
                first.swallow(Source::Wire(half));
            }
        }
        let held = first.held_bytes();
        self.put_back(&held);
        self.seen = 0;
        let first = &mut self.slots[0];
        first.held.clear();
        first.units = 0;
        first.has_rest = false;
        drop(first.layer.0.take_pending());
    }

    /// Moves everything that was not yielded back to the wire, as if it had just arrived.
    fn rewind(&mut self) {
        self.shown.take();
        if let Some(first) = self.slots.first()
            && let Some(owed) = first.layer.0.owed()
            && self.wire.len() == 0
            && first.last.strong_count() == 0
        {
            self.owed = Some((owed, Weak::new()));
        }
        // Dropping a part changes what others stand for, so all are encoded first.
        let (mut bytes, mut shown) = (Vec::new(), Vec::new());
        for at in (0..self.slots.len()).rev() {
            for item in std::mem::take(&mut self.slots[at].made) {
                self.show_record(item.record, &item.part, at + 1, &mut bytes);
                shown.push(item.part);
            }
            bytes.extend(self.show_held(&self.slots[at]));
        }
        drop(shown);
        self.slots.iter_mut().for_each(Slot::clear);
        self.put_back(&bytes);
        self.seen = 0;
        self.has_bare = false;
    }

    /// Feeds the first layer with the bytes that no layer has seen.
    fn feed_first(&mut self) {
        let bytes = Bytes::copy_from_slice(&self.wire.as_slice()[self.seen..]);
        let Some(first) = self.slots.first_mut().filter(|_| !bytes.is_empty()) else {
            return;
        };
        if !first.takes_bytes {
            // A stage takes the piece as one record.
            self.wire.drop_back(bytes.len());
            let source = Source::Wire(WireBytes::new(bytes.clone(), &self.totals));
            return first.feed(Box::new(bytes), source);
        }
        let unseen = bytes.len();
        let swallows = first.layer.0.owed().filter(|owed| bytes.first() == Some(owed));
        let before = first.layer.0.waiting();
        first.layer.0.start(Box::new(bytes));
        let taken = first.layer.0.waiting().saturating_sub(before);
        if let Some(owed) = swallows {
            self.wire.remove(self.seen, 1);
            let half = WireBytes::new(Bytes::copy_from_slice(&[owed]), &self.totals);
            first.swallow(Source::Wire(half));
        }
        // A filter that is full or broken takes less.
        self.wire
            .drop_back(unseen.saturating_sub(taken + usize::from(swallows.is_some())));
        self.seen += taken;
    }

    /// Records what the layer has used.
    fn settle(&mut self, at: usize) {
        let leaves = self.slots.len() == 1;
        let slot = &mut self.slots[at];
        let seen = if at == 0 { self.seen } else { 0 };
        let used = slot.count_used(&self.wire.as_slice()[..seen]);
        let more = slot.use_up(used);
        if more == 0 || at > 0 {
            return;
        }
        self.seen -= more;
        if leaves {
            self.wire.consume(more);
        } else {
            let bytes = self.wire.take_front(more);
            slot.used.push(Source::Wire(WireBytes::new(bytes, &self.totals)));
        }
    }

    /// Takes a record from a layer. One of the last layer is returned; others wait for the next layer.
    fn step(&mut self, at: usize) -> Result<Option<Record>, FilterError> {
        let given = self.slots[at].next();
        self.settle(at);
        let leaves = at + 1 == self.slots.len();
        let level = if at == 0 {
            &self.wire_level
        } else {
            &self.slots[at - 1].level
        }
        .clone();
        let slot = &mut self.slots[at];
        let leaving = match given {
            Ok(Some(record)) => Ok(slot.add(record, leaves, &self.totals)),
            // The input that the layer has dropped or could not parse.
            other => {
                slot.drop_used();
                other
            }
        };
        let seen = if at == 0 { self.seen } else { 0 };
        if slot.takes_bytes && slot.units + seen == 0 && slot.layer.0.waiting() > 0 {
            slot.hold_rest(&level, &self.totals);
        }
        leaving
    }

    /// Takes a record from the last layer, and feeds each layer only when the one above needs more.
    fn pull(&mut self) -> Result<Option<Record>, FilterError> {
        let last = self.slots.len() - 1;
        let mut at = last;
        loop {
            if let Some(item) = self.slots[at].made.pop_front() {
                if at == last {
                    return Ok(Some(item.record));
                }
                at += 1;
                self.slots[at].feed(item.record, Source::Part(item.part));
            }
            if let Some(record) = self.step(at)? {
                return Ok(Some(record));
            }
            if self.slots[at].made.is_empty() {
                if at == 0 {
                    return Ok(None);
                }
                at -= 1;
            }
        }
    }

    /// Checks that each layer takes the records of its neighbours.
    fn fit(&self) -> Result<(), FilterError> {
        let mut below = (Kind::of::<Bytes>(), Kind::of::<Bytes>());
        for slot in &self.slots {
            let kinds = slot.layer.0.kinds();
            let name = slot.layer.type_name();
            mismatch(name, kinds.raw_input, below.0, "takes", "given")?;
            mismatch(name, kinds.raw_output, below.1, "puts", "the layer below takes")?;
            below = (kinds.input, kinds.output);
        }
        mismatch(
            "the stack",
            Kind::of::<I>(),
            below.0,
            "is to give",
            "its last layer gives",
        )?;
        mismatch(
            "the stack",
            Kind::of::<O>(),
            below.1,
            "is to take",
            "its last layer takes",
        )
    }
}

fn mismatch(who: &str, wants: Kind, has: Kind, verb: &str, but: &str) -> Result<(), FilterError> {
    if wants.0 == has.0 {
        return Ok(());
    }
    Err(FilterError::invalid_setting(format!(
        "{who} {verb} {}, but {but} {}",
        wants.1, has.1
    )))
}

impl<I: 'static, O: 'static> Filter for Stackable<I, O> {
    type Input = I;
    type Output = O;

    fn feed(&mut self, mut bytes: &[u8]) {
        self.shown.take();
        if let Some((&next, rest)) = bytes.split_first()
            && let Some((owed, last)) = self.owed.take()
            && next == owed
        {
            bytes = rest;
            if let Some(last) = last.upgrade() {
                let half = WireBytes::new(Bytes::copy_from_slice(&[owed]), &self.totals);
                last.add(Source::Wire(half));
            }
        }
        self.wire.append(bytes);
        if self.fit().is_ok() {
            self.feed_first();
        }
    }

    fn next_record(&mut self) -> Result<Option<I>, FilterError> {
        self.check()?;
        self.shown.take();
        let given = if self.slots.is_empty() {
            let bytes = self.wire.take();
            (!bytes.is_empty()).then(|| Box::new(bytes) as Record)
        } else {
            self.feed_first();
            self.pull()?
        };
        if given.is_none() {
            self.wire.release();
        }
        Ok(given.and_then(|record| record.downcast().ok()).map(|record| *record))
    }

    fn put(&mut self, record: O, out: &mut BytesMut) -> Result<(), FilterError> {
        self.check()?;
        let mut records: Vec<Record> = vec![Box::new(record)];
        for slot in self.slots.iter_mut().rev() {
            let mut under = Vec::new();
            for record in records {
                slot.layer.0.put(record, &mut under)?;
            }
            records = under;
        }
        for bytes in records {
            if let Ok(bytes) = bytes.downcast::<Bytes>() {
                out.extend_from_slice(&bytes);
            }
        }
        Ok(())
    }

    fn pending(&self) -> &[u8] {
        if self.slots.iter().all(Slot::is_empty) {
            return self.wire.as_slice();
        }
        self.shown.get_or_init(|| {
            let mut bytes = Vec::new();
            for slot in self.slots.iter().rev() {
                for item in &slot.made {
                    self.show_part(&item.part, &mut bytes);
                }
                bytes.extend(self.show_held(slot));
            }
            bytes.extend_from_slice(self.wire.as_slice());
            bytes
        })
    }

    fn on_wire(&self) -> usize {
        self.wire.len() + self.totals.wire()
    }

    fn has_rest(&self) -> bool {
        self.totals.rests() > 0 || self.has_bare && !self.slots.iter().all(Slot::is_empty)
    }

    fn take_made(&mut self) -> Vec<I> {
        self.shown.take();
        let Some(last) = self.slots.last_mut() else {
            return Vec::new();
        };
        let mut made = Vec::new();
        let is_spare = |item: &Item| item.is_spare && item.record.is::<I>();
        while last.made.front().is_some_and(is_spare) {
            let record = last.made.pop_front().and_then(|item| item.record.downcast().ok());
            made.extend(record.map(|record| *record));
        }
        made
    }

    fn take_pending(&mut self) -> Bytes {
        self.rewind();
        self.owed = None;
        self.wire.take()
    }

    fn owed(&self) -> Option<u8> {
        if !self.pending().is_empty() {
            return None;
        }
        let first = self.slots.first().and_then(|slot| slot.layer.0.owed());
        first.or(self.owed.as_ref().map(|(owed, _)| *owed))
    }

    fn fresh(&self) -> Self {
        Self::new(self.filters().map(Layer::fresh))
    }

    fn check(&self) -> Result<(), FilterError> {
        self.fit()?;
        self.filters().try_for_each(|layer| layer.0.check())
    }
}

impl<I: 'static, O: 'static> Default for Stackable<I, O> {
    fn default() -> Self {
        Self::new([])
    }
}

impl<I, O> fmt::Debug for Stackable<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stackable")
            .field(
                "filters",
                &self.slots.iter().map(|slot| &slot.layer).collect::<Vec<_>>(),
            )
            .field("pending", &(self.wire.len() + self.totals.wire()))
            .finish()
    }
}
