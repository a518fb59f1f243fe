//! POE::Filter::Stackable: a stack of filters that is put together, and changed, at run time.

mod layer;

pub use layer::Layer;

use super::buffer::Buffer;
use super::ledger::Ledger;
use super::{Filter, FilterError};
use bytes::{Bytes, BytesMut};
use layer::{Kind, Record};
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;

/// A stack of filters and stages, wire side first (`POE::Filter::Stackable`), for those whose layers change while they
/// are used. If yours do not, [`Filter::then`] is checked by the compiler and does not box each record.
///
/// The type is that of the records on the application's side: `I` in, `O` out. Layers are [`Layer`]s. The stack is
/// checked as a whole before it is used: the first layer has to take octets, each other what the one below gives, the
/// last has to give `I`. Until they fit, as in the middle of a change, octets wait. An empty stack passes [`Bytes`].
///
/// ```
/// use poe::filter::{Filter, Grep, Layer, Line, Map, Stackable};
/// let mut stack = Stackable::<String>::new([
///     Layer::filter(Line::new()),
///     Layer::stage(Grep::code(|line: &String| !line.is_empty())),
/// ]);
/// stack.get_one_start(b"one\n\ntwo\n");
/// assert_eq!(stack.get_one().unwrap().unwrap(), "one");
/// stack.push(Layer::stage(Map::code(|line: String| line.to_uppercase())));
/// assert_eq!(stack.get_one().unwrap().unwrap(), "TWO");
/// ```
///
/// # Changing it loses nothing
///
/// What a removed layer had not used is there for those that stay: octets of the first go to the next, records of the
/// last come out as they are. A layer that is put below gets the octets that the one above had. [Pending](Filter::get_pending)
/// are always the octets on the wire of what was not given away. (POE shows the last layer's, and drops the others.)
///
/// ```
/// use bytes::Bytes;
/// use poe::filter::{Block, Filter, Layer, Line, Stackable};
/// let mut stack = Stackable::<Bytes>::new([Layer::filter(Line::bytes())]);
/// stack.get_one_start(b"BLOCKS\n3\0one");
/// assert_eq!(stack.get_one().unwrap().unwrap(), "BLOCKS");
/// stack.shift();
/// assert_eq!((stack.filters().len(), stack.get_pending()), (0, &b"3\0one"[..]));
/// stack.unshift(Layer::filter(Block::new()));
/// assert!(stack.filter_types()[0].ends_with("Block"));
/// assert_eq!(stack.get_one().unwrap().unwrap(), "one");
/// ```
#[doc(alias = "POE::Filter::Stackable")]
pub struct Stackable<I = Bytes, O = I> {
    slots: Vec<Slot>,
    /// All octets that were not given away, in this order: what waits in `returned`, in the last slot, … in the first,
    /// and what no layer has seen.
    wire: Buffer,
    /// The octets at the end of `wire` that no layer has seen.
    unseen: usize,
    /// The record that the first layer gave last still waits above it.
    last_waits: bool,
    /// What a first layer that was removed would have swallowed.
    owed: Option<u8>,
    /// Records of the last layer, left by one that was removed above it; with what they cost.
    returned: VecDeque<(Record, usize)>,
    record: PhantomData<fn(O) -> I>,
}

struct Slot {
    layer: Layer,
    ledger: Ledger,
}

impl<I: 'static, O: 'static> Stackable<I, O> {
    /// A stack of these layers, wire side first.
    #[doc(alias = "Filters")]
    pub fn new(layers: impl IntoIterator<Item = Layer>) -> Self {
        Stackable {
            slots: layers.into_iter().map(Slot::new).collect(),
            wire: Buffer::default(),
            unseen: 0,
            last_waits: false,
            owed: None,
            returned: VecDeque::new(),
            record: PhantomData,
        }
    }

    /// Adds a layer on the application's side.
    pub fn push(&mut self, layer: Layer) {
        let mut slot = Slot::new(layer);
        if self
            .returned
            .iter()
            .all(|(record, _)| (**record).type_id() == slot.layer.0.kinds().raw_input.0)
        {
            for (record, cost) in self.returned.drain(..) {
                slot.feed(record, cost, false);
            }
        } else {
            self.rewind();
        }
        self.slots.push(slot);
    }

    /// Takes the layer on the application's side away. The records that it had not used come out as they are.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use poe::filter::{Block, Filter, Layer, Line, Stackable};
    /// let mut stack = Stackable::<Bytes>::new([Layer::filter(Block::new()), Layer::filter(Line::bytes())]);
    /// stack.get_one_start(b"4\0a\nbc2\0de"); // two blocks, in which are a line and a half
    /// assert_eq!(stack.get_one().unwrap().unwrap(), "a");
    /// assert!(stack.pop().is_some()); // no lines any more
    /// assert_eq!(stack.get_one().unwrap().unwrap(), "bc");
    /// assert_eq!(stack.get_one().unwrap().unwrap(), "de");
    /// ```
    pub fn pop(&mut self) -> Option<Layer> {
        if !self.returned.is_empty() {
            self.rewind();
        }
        let Slot { mut layer, ledger } = self.slots.pop()?;
        if self.slots.is_empty() {
            self.owed = layer.0.owed().or(self.owed);
        }
        let left = layer.0.take_pending();
        if self.slots.is_empty() {
            self.unseen = self.wire.len();
        } else {
            // Octets of several frames may have become one record; what they cost goes with the first.
            let mut costs = ledger.costs();
            for record in left {
                self.returned.push_back((record, costs.next().unwrap_or(0)));
            }
            let rest: usize = costs.sum();
            match self.returned.front_mut() {
                Some((_, cost)) => *cost += rest,
                None => self.wire.consume(rest),
            }
        }
        Some(layer)
    }

    /// Adds a layer on the wire's side. It gets the octets that the first layer had so far.
    pub fn unshift(&mut self, layer: Layer) {
        if let Some(first) = self.slots.first_mut()
            && first.ledger.is_plain()
        {
            self.owed = first.layer.0.owed().or(self.owed);
            self.unseen += first.clear();
        }
        self.slots.insert(0, Slot::new(layer));
    }

    /// Takes the layer on the wire's side away. The octets that it had go to the next.
    pub fn shift(&mut self) -> Option<Layer> {
        if self.slots.is_empty() {
            return None;
        }
        let mut slot = self.slots.remove(0);
        self.owed = slot.layer.0.owed().or(self.owed);
        self.unseen += slot.clear();
        Some(slot.layer)
    }

    /// The layers, wire side first.
    pub fn filters(&self) -> impl DoubleEndedIterator<Item = &Layer> + ExactSizeIterator {
        self.slots.iter().map(|slot| &slot.layer)
    }

    /// The layers, to change their settings.
    ///
    /// ```
    /// use poe::filter::{Filter, Grep, Layer, Line, Stackable};
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
        self.slots.iter_mut().map(|slot| &mut slot.layer)
    }

    /// The names of the layers' types, wire side first.
    #[must_use]
    pub fn filter_types(&self) -> Vec<&'static str> {
        self.filters().map(Layer::type_name).collect()
    }

    /// Takes everything back that was not given away, as if it had just come.
    fn rewind(&mut self) {
        for slot in &mut self.slots {
            slot.clear();
        }
        self.returned.clear();
        self.unseen = self.wire.len();
    }

    /// What the slots above this one, and what was returned, cost: where its octets begin.
    fn cost_above(&self, slot: usize) -> usize {
        let returned: usize = self.returned.iter().map(|(_, cost)| cost).sum();
        let above = self.slots[slot + 1..].iter().map(|slot| slot.ledger.cost());
        returned + above.sum::<usize>()
    }

    /// Shows the first layer what it has not seen.
    fn show(&mut self) {
        let unseen = std::mem::take(&mut self.unseen);
        if unseen == 0 {
            return;
        }
        let octets = self.wire.as_slice();
        let octets = Bytes::copy_from_slice(&octets[octets.len() - unseen..]);
        let Some(first) = self.slots.first_mut() else { return };
        let swallowed = first.layer.0.owed().is_some_and(|owed| octets.first() == Some(&owed));
        let before = first.layer.0.waiting();
        first.layer.0.start(Box::new(octets));
        let taken = first.layer.0.waiting().saturating_sub(before);
        let refused = unseen.saturating_sub(taken + usize::from(swallowed));
        self.wire.drop_back(refused);
        first.ledger.feed(taken, taken, true);
        if swallowed {
            // It belongs to the record before, wherever that is now.
            let holder = self.slots[1..].iter_mut().find(|slot| !slot.ledger.is_empty());
            match holder.filter(|_| self.last_waits) {
                Some(slot) => slot.ledger.add_to_last(1),
                None => self.wire.remove(self.cost_above(0), 1),
            }
        }
    }

    /// A record of a layer, and what it cost.
    fn pull(&mut self, at: usize) -> Result<Option<(Record, usize)>, FilterError> {
        loop {
            let slot = &mut self.slots[at];
            let given = slot.layer.0.next();
            let cost = slot.ledger.settle(slot.layer.0.waiting());
            if let Ok(Some(record)) = given {
                return Ok(Some((record, cost)));
            }
            // What the layer dropped, or could not read, leaves from where it stands.
            if cost > 0 {
                self.wire.remove(self.cost_above(at), cost);
                self.last_waits = false;
            }
            given?;
            if at == 0 {
                return Ok(None);
            }
            match self.pull(at - 1)? {
                Some((record, cost)) => {
                    self.last_waits |= at == 1;
                    self.slots[at].feed(record, cost, false);
                }
                None => return Ok(None),
            }
        }
    }

    /// Whether each layer takes what its neighbours give.
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

impl Slot {
    fn new(layer: Layer) -> Self {
        Slot {
            layer,
            ledger: Ledger::default(),
        }
    }

    fn feed(&mut self, record: Record, cost: usize, plain: bool) {
        let before = self.layer.0.waiting();
        self.layer.0.start(record);
        let units = self.layer.0.waiting().saturating_sub(before);
        self.ledger.feed(units, cost, plain);
    }

    /// Empties the layer; returns how many octets what waited had been.
    fn clear(&mut self) -> usize {
        let cost = self.ledger.cost();
        self.ledger.clear();
        drop(self.layer.0.take_pending());
        cost
    }
}

impl<I: 'static, O: 'static> Filter for Stackable<I, O> {
    type Input = I;
    type Output = O;

    fn get_one_start(&mut self, mut octets: &[u8]) {
        if let (Some(owed), Some((&next, rest))) = (self.owed, octets.split_first()) {
            self.owed = None;
            if next == owed {
                octets = rest;
            }
        }
        self.wire.append(octets);
        self.unseen += octets.len();
        if self.fit().is_ok() {
            self.show();
        }
    }

    fn get_one(&mut self) -> Result<Option<I>, FilterError> {
        self.check()?;
        let given = if let Some(record) = self.returned.pop_front() {
            Some(record)
        } else if self.slots.is_empty() {
            self.unseen = 0;
            let octets = self.wire.take();
            (!octets.is_empty()).then(|| (Box::new(octets) as Record, 0))
        } else {
            self.show();
            self.pull(self.slots.len() - 1)?
        };
        match given {
            Some((record, cost)) => {
                self.wire.consume(cost);
                Ok(record.downcast().ok().map(|record| *record))
            }
            None => {
                self.wire.release();
                Ok(None)
            }
        }
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
        for octets in records {
            if let Ok(octets) = octets.downcast::<Bytes>() {
                out.extend_from_slice(&octets);
            }
        }
        Ok(())
    }

    fn get_pending(&self) -> &[u8] {
        self.wire.as_slice()
    }

    fn take_pending(&mut self) -> Bytes {
        self.rewind();
        self.unseen = 0;
        self.owed = None;
        self.wire.take()
    }

    fn owed(&self) -> Option<u8> {
        if self.wire.len() > 0 {
            return None;
        }
        let first = self.slots.first().and_then(|slot| slot.layer.0.owed());
        first.or(self.owed)
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
            .field("pending", &self.wire.len())
            .finish()
    }
}
