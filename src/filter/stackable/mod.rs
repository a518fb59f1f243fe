//! POE::Filter::Stackable: a stack of filters that is put together, and changed, at run time.

mod layer;

pub use layer::Layer;

use super::buffer::Buffer;
use super::ledger::{Ledger, Paid, Tokens};
use super::{Filter, FilterError};
use bytes::{Bytes, BytesMut};
use layer::{Kind, Record};
use std::cell::OnceCell;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;

/// A stack of filters and stages, wire side first (`POE::Filter::Stackable`), for those whose layers change while they
/// are used. If yours do not, [`Filter::then`] is checked by the compiler and does not box each record.
///
/// The type is that of the records on the application's side: `I` in, `O` out. Layers are [`Layer`]s. The stack is
/// checked as a whole before it is used: the first layer has to take bytes, each other what the one below gives, the
/// last has to give `I`. Until they fit, as in the middle of a change, bytes wait. An empty stack passes [`Bytes`].
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
/// What a removed layer had not used is there for those that stay: bytes of the first go to the next, records of the
/// last come out as they are. A layer that is put below gets the bytes that the one above had. [Pending](Filter::pending)
/// are always the bytes on the wire of what was not given away. (POE shows the last layer's, and drops the others.)
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
    slots: Vec<Slot>,
    /// All bytes that were not given away, in this order: what waits in `returned`, in the last slot, … in the first,
    /// and what no layer has seen.
    wire: Buffer,
    /// The bytes at the end of `wire` that no layer has seen.
    unseen: usize,
    /// The record that the first layer gave last still waits above it.
    last_waits: bool,
    /// What a first layer that was removed would have swallowed.
    owed: Option<u8>,
    /// Records of the last layer, left by one that was removed above it; with what they cost.
    returned: VecDeque<(Record, Paid)>,
    tokens: Tokens,
    /// What is pending, with the rest of what was used in part; made when somebody asks.
    shown: OnceCell<Vec<u8>>,
    record: PhantomData<fn(O) -> I>,
}

struct Slot {
    layer: Layer,
    ledger: Ledger,
    /// The token of the bytes that the layer used last; it may have made more records of them than it has given.
    source: u64,
    /// A copy of what the layer has of a record that was used in part.
    rest: Bytes,
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
            tokens: Tokens::default(),
            shown: OnceCell::new(),
            record: PhantomData,
        }
    }

    /// Adds a layer on the application's side.
    pub fn push(&mut self, layer: Layer) {
        self.settle_rests();
        let mut slot = Slot::new(layer);
        if self
            .returned
            .iter()
            .all(|(record, _)| (**record).type_id() == slot.layer.0.kinds().raw_input.0)
        {
            for (record, paid) in self.returned.drain(..) {
                slot.feed(record, paid);
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
    /// stack.feed(b"4\0a\nbc2\0de"); // two blocks, in which are a line and a half
    /// assert_eq!(stack.next_record().unwrap().unwrap(), "a");
    /// assert!(stack.pop().is_some()); // no lines any more
    /// assert_eq!(stack.next_record().unwrap().unwrap(), "bc");
    /// assert_eq!(stack.next_record().unwrap().unwrap(), "de");
    /// ```
    pub fn pop(&mut self) -> Option<Layer> {
        if !self.returned.is_empty() {
            self.rewind();
        }
        self.settle_rests();
        let made = self.put_back_made(self.slots.len().checked_sub(1)?);
        let Slot { mut layer, ledger, .. } = self.slots.pop()?;
        if self.slots.is_empty() {
            self.owed = layer.0.owed().or(self.owed);
        }
        let left = layer.0.take_pending();
        if self.slots.is_empty() {
            let bytes = self.encode_all(made, 0);
            self.wire.insert(0, &bytes);
            self.unseen = self.wire.len();
            return Some(layer);
        }
        for record in made {
            let bytes = self.encode(&record, self.slots.len());
            let at = self.returned.iter().map(|(_, paid)| paid.cost).sum();
            self.wire.insert(at, &bytes);
            self.returned.push_back((record, Paid::of(bytes.len())));
        }
        // Bytes of several frames may have become one record; what they cost goes with the first.
        let (mut costs, first) = (ledger.costs(), self.returned.len());
        for record in left {
            self.returned.push_back((record, costs.next().unwrap_or_default()));
        }
        let mut rest = Paid::default();
        for paid in costs {
            rest.cost += paid.cost;
            rest.held.join(&paid.held);
        }
        match self.returned.get_mut(first) {
            Some((_, paid)) => {
                paid.cost += rest.cost;
                paid.held.join(&rest.held);
            }
            None => self.wire.remove(self.cost_above(self.slots.len() - 1), rest.cost),
        }
        Some(layer)
    }

    /// Adds a layer on the wire's side. It gets the bytes that the first layer had so far.
    pub fn unshift(&mut self, layer: Layer) {
        self.settle_rests();
        if let Some(first) = self.slots.first_mut()
            && first.ledger.is_plain()
        {
            self.owed = first.layer.0.owed().or(self.owed);
            self.unseen += first.clear();
        }
        self.slots.insert(0, Slot::new(layer));
    }

    /// Takes the layer on the wire's side away. The bytes that it had go to the next.
    ///
    /// What the next layer had got from it, and not used, is pending without the removed layer's framing from then on.
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
        if self.slots.is_empty() {
            return None;
        }
        if self.slots.len() == 1 && !self.returned.is_empty() {
            // What this layer has made comes behind what was returned, whose bytes may stand for it.
            self.rewind();
        }
        self.settle_rests();
        let covered = self.is_covered(self.slots[0].source, 0);
        let mut slot = self.slots.remove(0);
        self.owed = slot.layer.0.owed().or(self.owed);
        let made = slot.layer.0.take_made();
        self.unseen += slot.clear();
        if self.slots.is_empty() {
            // Records that were made of bytes have none: they go out by the way out.
            let bytes = put_through(&slot.layer, made).unwrap_or_default();
            let bytes = self.encode_all(bytes, 0);
            self.wire.insert(0, &bytes);
            self.unseen += bytes.len();
            return Some(slot.layer);
        }
        for record in made {
            let mut paid = Paid {
                token: slot.source,
                ..Paid::default()
            };
            if !covered && let Some(bytes) = record.downcast_ref::<Bytes>() {
                self.wire
                    .insert(self.cost_above(0) + self.slots[0].ledger.cost(), bytes);
                paid = Paid::of(bytes.len());
            }
            self.slots[0].feed(record, paid);
        }
        // What the others hold came in the framing that is gone.
        for at in (0..self.slots.len()).rev() {
            let (waiting, (unpaid, token)) = (self.slots[at].ledger.units(), self.slots[at].ledger.unpaid());
            if waiting == 0 || unpaid > 0 && self.is_covered(token, at) {
                continue;
            }
            if let Some(content) = self.slots[at].layer.0.front(waiting) {
                let bytes = self.encode(&content, at);
                let (place, cost) = (self.cost_above(at), self.slots[at].ledger.cost());
                self.wire.remove(place, cost);
                self.wire.insert(place, &bytes);
                self.slots[at].ledger.become_one(waiting, bytes.len(), at == 0);
            }
        }
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
        self.shown.take();
        self.slots.iter_mut().map(|slot| &mut slot.layer)
    }

    /// The names of the layers' types, wire side first.
    #[must_use]
    pub fn filter_types(&self) -> Vec<&'static str> {
        self.filters().map(Layer::type_name).collect()
    }

    /// Takes everything back that was not given away, as if it had just come.
    fn rewind(&mut self) {
        self.settle_rests();
        for at in (0..self.slots.len()).rev() {
            let mut back = self.put_back_made(at);
            let slot = &mut self.slots[at];
            let (unpaid, token) = slot.ledger.unpaid();
            let waiting = slot.layer.0.take_pending();
            if !self.is_covered(token, at) {
                back.extend(waiting.into_iter().take(unpaid));
            }
            let bytes = self.encode_all(back, at);
            self.wire.insert(self.cost_above(at), &bytes);
            // So that the layers below find their place.
            self.slots[at].ledger.add_cost(bytes.len());
        }
        for slot in &mut self.slots {
            slot.clear();
        }
        self.returned.clear();
        self.unseen = self.wire.len();
    }

    /// Takes what a layer has made and not given, as the records that it would have been made of; none if their bytes are
    /// still here, or if they have no way back.
    fn put_back_made(&mut self, at: usize) -> Vec<Record> {
        let made = self.slots[at].layer.0.take_made();
        if made.is_empty() || self.is_covered(self.slots[at].source, at) {
            return Vec::new();
        }
        put_through(&self.slots[at].layer, made).unwrap_or_default()
    }

    /// Whether the bytes of what this token is of wait above the slot.
    fn is_covered(&self, token: u64, slot: usize) -> bool {
        self.returned.iter().any(|(_, paid)| paid.held.has(token))
            || self.slots[slot + 1..].iter().any(|slot| slot.ledger.holds(token))
    }

    /// What a record that the slot at `at` is fed with would come as on the wire. Bytes that the layers below cannot put stay
    /// as they are.
    fn encode(&self, record: &Record, at: usize) -> Vec<u8> {
        let Some(plain) = record.downcast_ref::<Bytes>() else {
            return Vec::new();
        };
        let mut records = vec![Box::new(plain.clone()) as Record];
        for slot in self.slots[..at].iter().rev() {
            match put_through(&slot.layer, records) {
                Some(under) => records = under,
                None => return plain.to_vec(),
            }
        }
        joined(records)
    }

    /// The same for records of any type; those that the layers below cannot put have no form.
    fn encode_all(&self, mut records: Vec<Record>, at: usize) -> Vec<u8> {
        for slot in self.slots[..at].iter().rev() {
            match put_through(&slot.layer, records) {
                Some(under) => records = under,
                None => return Vec::new(),
            }
        }
        joined(records)
    }

    /// The rest of what was used in part and has no bytes on the wire any more, by slot, as it would come.
    fn rests(&self) -> impl Iterator<Item = (usize, Vec<u8>)> {
        self.slots.iter().enumerate().rev().filter_map(|(at, slot)| {
            let (unpaid, token) = slot.ledger.unpaid();
            if unpaid == 0 || self.is_covered(token, at) {
                return None;
            }
            let rest = slot.layer.0.front(unpaid)?;
            Some((at, self.encode(&rest, at)))
        })
    }

    /// Gives the rests their place on the wire.
    fn settle_rests(&mut self) {
        self.shown.take();
        let rests: Vec<_> = self.rests().collect();
        for (at, bytes) in rests {
            self.wire.insert(self.cost_above(at), &bytes);
            self.slots[at].ledger.pay_for_first(bytes.len());
        }
    }

    /// What the slots above this one, and what was returned, cost: where its bytes begin.
    fn cost_above(&self, slot: usize) -> usize {
        let returned: usize = self.returned.iter().map(|(_, paid)| paid.cost).sum();
        let above = self.slots[slot + 1..].iter().map(|slot| slot.ledger.cost());
        returned + above.sum::<usize>()
    }

    /// Shows the first layer what it has not seen.
    fn show(&mut self) {
        if self.slots.is_empty() || self.unseen == 0 {
            return;
        }
        let unseen = std::mem::take(&mut self.unseen);
        let bytes = self.wire.as_slice();
        let bytes = Bytes::copy_from_slice(&bytes[bytes.len() - unseen..]);
        let Some(first) = self.slots.first_mut() else { return };
        if first.layer.0.front(0).is_none() {
            // A stage whose records are bytes takes the piece as one record.
            first.feed(Box::new(bytes), Paid::of(unseen));
            return;
        }
        let swallowed = first.layer.0.owed().is_some_and(|owed| bytes.first() == Some(&owed));
        let before = first.layer.0.waiting();
        first.layer.0.start(Box::new(bytes));
        let taken = first.layer.0.waiting().saturating_sub(before);
        let refused = unseen.saturating_sub(taken + usize::from(swallowed));
        self.wire.drop_back(refused);
        first.ledger.feed(taken, Paid::of(taken), true);
        if swallowed {
            // It belongs to the record before, wherever that is now.
            let holder = self.slots[1..].iter_mut().find(|slot| !slot.ledger.is_empty());
            match holder.filter(|_| self.last_waits) {
                Some(slot) => slot.ledger.add_to_last(1),
                None => self.wire.remove(self.cost_above(0), 1),
            }
        }
    }

    /// Copies, once, the rest of what this layer has used in part, if what it gives next will wait further up: it then goes
    /// with bytes of its own. Says how much that is.
    fn snapshot_rest(&mut self, at: usize) -> usize {
        let (unpaid, token) = self.slots[at].ledger.unpaid();
        if unpaid == 0 || at + 1 == self.slots.len() || self.is_covered(token, at) {
            return 0;
        }
        let slot = &mut self.slots[at];
        if slot.rest.len() != unpaid {
            let rest = slot
                .layer
                .0
                .front(unpaid)
                .and_then(|rest| rest.downcast::<Bytes>().ok());
            slot.rest = rest.map(|rest| *rest).unwrap_or_default();
        }
        unpaid
    }

    /// A record of a layer, and what it cost.
    fn pull(&mut self, at: usize) -> Result<Option<(Record, Paid)>, FilterError> {
        loop {
            let unpaid = self.snapshot_rest(at);
            let slot = &mut self.slots[at];
            let waiting = slot.layer.0.waiting();
            let given = slot.layer.0.next();
            let used_any = waiting.saturating_sub(slot.layer.0.waiting());
            let used = used_any.min(unpaid);
            let rest = slot.rest.split_to(used.min(slot.rest.len()));
            let mut paid = slot.ledger.settle(slot.layer.0.waiting(), &mut self.tokens);
            if paid.cost > 0 {
                slot.source = self.tokens.next();
                paid.held.add(slot.source);
            } else if used_any == 0 {
                // Another record that was made of the same bytes.
                paid.token = slot.source;
            }
            if let Ok(Some(record)) = given {
                if !rest.is_empty() {
                    let bytes = self.encode(&(Box::new(rest) as Record), at);
                    self.wire.insert(self.cost_above(at), &bytes);
                    paid.cost += bytes.len();
                }
                return Ok(Some((record, paid)));
            }
            // What the layer dropped, or could not read, leaves from where it stands.
            if paid.cost > 0 {
                self.wire.remove(self.cost_above(at), paid.cost);
                self.last_waits = false;
            }
            given?;
            if at == 0 {
                return Ok(None);
            }
            match self.pull(at - 1)? {
                Some((record, mut paid)) => {
                    self.last_waits |= at == 1;
                    if paid.cost == 0 && !self.is_covered(paid.token, at - 1) {
                        // Its bytes have gone with another record that was made of them.
                        let bytes = self.encode(&record, at);
                        self.wire
                            .insert(self.cost_above(at) + self.slots[at].ledger.cost(), &bytes);
                        paid = Paid::of(bytes.len());
                    }
                    self.slots[at].feed(record, paid);
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

/// What the layer makes of these records on their way out; nothing if they are not of its type, or it refuses one.
fn put_through(layer: &Layer, records: Vec<Record>) -> Option<Vec<Record>> {
    if records.is_empty() {
        return Some(records);
    }
    let mut layer = layer.fresh();
    let takes = layer.0.kinds().output.0;
    let mut under = Vec::new();
    for record in records {
        if (*record).type_id() != takes {
            return None;
        }
        layer.0.put(record, &mut under).ok()?;
    }
    Some(under)
}

/// The bytes of these records.
fn joined(records: Vec<Record>) -> Vec<u8> {
    let bytes = records.into_iter().filter_map(|record| record.downcast::<Bytes>().ok());
    bytes.flat_map(|bytes| bytes.to_vec()).collect()
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
            source: 0,
            rest: Bytes::new(),
        }
    }

    fn feed(&mut self, record: Record, paid: Paid) {
        let before = self.layer.0.waiting();
        self.layer.0.start(record);
        let units = self.layer.0.waiting().saturating_sub(before);
        self.ledger.feed(units, paid, false);
    }

    /// Takes what waits in the layer; returns how many bytes that had been. What it has made stays.
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

    fn feed(&mut self, mut bytes: &[u8]) {
        self.shown.take();
        if let (Some(owed), Some((&next, rest))) = (self.owed, bytes.split_first()) {
            self.owed = None;
            if next == owed {
                bytes = rest;
            }
        }
        self.wire.append(bytes);
        self.unseen += bytes.len();
        if self.fit().is_ok() {
            self.show();
        }
    }

    fn next_record(&mut self) -> Result<Option<I>, FilterError> {
        self.check()?;
        self.shown.take();
        let given = if let Some(record) = self.returned.pop_front() {
            Some(record)
        } else if self.slots.is_empty() {
            self.unseen = 0;
            let bytes = self.wire.take();
            (!bytes.is_empty()).then(|| (Box::new(bytes) as Record, Paid::default()))
        } else {
            self.show();
            self.pull(self.slots.len() - 1)?
        };
        match given {
            Some((record, paid)) => {
                self.wire.consume(paid.cost);
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
        for bytes in records {
            if let Ok(bytes) = bytes.downcast::<Bytes>() {
                out.extend_from_slice(&bytes);
            }
        }
        Ok(())
    }

    fn pending(&self) -> &[u8] {
        let mut rests = self.rests().peekable();
        if rests.peek().is_none() {
            return self.wire.as_slice();
        }
        self.shown.get_or_init(|| {
            let (wire, mut shown, mut from) = (self.wire.as_slice(), Vec::new(), 0);
            for (at, bytes) in rests {
                let place = self.cost_above(at);
                shown.extend_from_slice(&wire[from..place]);
                shown.extend_from_slice(&bytes);
                from = place;
            }
            shown.extend_from_slice(&wire[from..]);
            shown
        })
    }

    fn on_wire(&self) -> usize {
        self.wire.len()
    }

    fn has_rest(&self) -> bool {
        self.slots.iter().enumerate().any(|(at, slot)| {
            let (unpaid, token) = slot.ledger.unpaid();
            unpaid > 0 && !self.is_covered(token, at)
        })
    }

    fn take_made(&mut self) -> Vec<I> {
        let made = self.slots.last_mut().map(|slot| slot.layer.0.take_made());
        let made = made.unwrap_or_default().into_iter();
        made.filter_map(|record| record.downcast().ok())
            .map(|record| *record)
            .collect()
    }

    fn take_pending(&mut self) -> Bytes {
        self.rewind();
        self.unseen = 0;
        self.owed = None;
        self.wire.take()
    }

    fn owed(&self) -> Option<u8> {
        if self.wire.len() > 0 || self.has_rest() {
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
