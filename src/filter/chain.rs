//! A filter with a stage above it: the typed stack.

use super::buffer::{Buffer, Held, Ledger, Paid, Tokens};
use super::{Filter, FilterError, Stage};
use crate::debug::debug_fields;
use bytes::{Bytes, BytesMut};
use std::any::Any;
use std::cell::OnceCell;
use std::fmt;

/// A filter and a [`Stage`] above it, as one filter.
///
/// [`FilterExt::then`](crate::filter::FilterExt::then), [`map`](super::FilterExt::map) and [`grep`](super::FilterExt::grep) make one. All types are known, and nothing is boxed. For
/// stacks that change at run time see [`Stackable`](super::Stackable). The pending bytes include the wire bytes of records that
/// wait in the stage.
///
/// ```
/// use poe::filter::{Filter, FilterExt, Line, RecordBlock};
/// let mut filter = Line::new()
///     .grep(|line| !line.starts_with('#'))
///     .map(|line| line.to_uppercase(), |line: String| line)
///     .then(RecordBlock::new(2));
/// let got = filter.get(b"# a comment\none\ntwo\nthree\n");
/// assert_eq!(got.len(), 1);
/// assert_eq!(got[0].as_ref().unwrap(), &["ONE", "TWO"]);
/// assert_eq!(filter.take_pending(), "three\n");
/// ```
#[doc(alias = "POE::Filter::Stackable")]
pub struct Chain<F, S: Stage> {
    filter: F,
    stage: S,
    /// All bytes that were not delivered, if the stage keeps records: first those of the waiting records, then those in the
    /// filter's buffer.
    wire: Buffer,
    ledger: Ledger,
    tokens: Tokens,
    /// The token of the bytes that the filter below delivered last; it may have more of their contents.
    below: u64,
    /// The record that was read last is the last of the waiting ones.
    last_waits: bool,
    /// Scratch space for the records below that one record becomes.
    under: Vec<S::RawOutput>,
    /// The pending bytes, with the rest of a record that was used in part; computed on demand.
    shown: OnceCell<Vec<u8>>,
}

impl<F, S> Chain<F, S>
where
    F: Filter,
    S: Stage<RawInput = F::Input, RawOutput = F::Output>,
{
    pub(super) fn new(filter: F, stage: S) -> Self {
        Chain {
            filter,
            stage,
            wire: Buffer::default(),
            ledger: Ledger::default(),
            tokens: Tokens::default(),
            below: 0,
            last_waits: false,
            under: Vec::new(),
            shown: OnceCell::new(),
        }
    }

    /// Returns the filter below.
    pub fn filter(&self) -> &F {
        &self.filter
    }

    /// Returns the stage above.
    pub fn stage(&self) -> &S {
        &self.stage
    }

    /// Returns the stage above, to change its settings.
    pub fn stage_mut(&mut self) -> &mut S {
        &mut self.stage
    }

    /// Returns the wire bytes that would have become this lower record.
    ///
    /// Bytes that the filter cannot put are returned unchanged; other records that it cannot put have no wire form.
    fn encode(&self, record: S::RawInput, out: &mut BytesMut) {
        let plain = (&record as &dyn Any).downcast_ref::<Bytes>().cloned();
        let before = out.len();
        let put = match cast::<_, F::Output>(record) {
            Some(record) => self.filter.fresh().put(record, out).is_ok(),
            None => false,
        };
        if !put {
            out.truncate(before);
            out.extend_from_slice(&plain.unwrap_or_default());
        }
    }

    /// Encodes a record that is still needed; returns nothing if it cannot be copied.
    fn encode_copy(&self, record: &S::RawInput) -> BytesMut {
        let mut bytes = BytesMut::new();
        let record: &dyn Any = record;
        let copy = if let Some(record) = record.downcast_ref::<Bytes>() {
            cast(record.clone())
        } else if let Some(record) = record.downcast_ref::<String>() {
            cast(record.clone())
        } else {
            None
        };
        if let Some(copy) = copy {
            self.encode(copy, &mut bytes);
        }
        bytes
    }

    /// Returns the rest of a record that the stage has used in part, as a separate record.
    fn rest_here(&self) -> BytesMut {
        let mut bytes = BytesMut::new();
        let (unpaid, _) = self.ledger.unpaid();
        if unpaid > 0
            && let Some(record) = self.stage.front(unpaid)
        {
            self.encode(record, &mut bytes);
        }
        bytes
    }

    /// Removes the bytes that the stage has used since the last call from the wire.
    fn settle(&mut self) {
        if S::KEEPS {
            let used = self.ledger.settle(self.stage.waiting(), &mut self.tokens);
            self.wire.consume(used.cost);
        }
    }

    /// Returns the number of bytes in the filter below, as they came.
    fn below(&self) -> usize {
        self.filter.on_wire()
    }

    /// Whether the bytes that the filter below delivered last still wait here.
    fn is_rest_below_covered(&self) -> bool {
        self.ledger.holds(self.below)
    }
}

impl<F, S: Stage> Chain<F, S> {
    /// Removes the bytes of which the filter made no record, behind those of the waiting records.
    fn drop_behind(&mut self, cost: usize) {
        if cost > 0 {
            self.wire.remove(self.ledger.cost(), cost);
            self.last_waits = false;
        }
    }
}

/// Returns the value as a `B`, if the two types are the same.
pub(super) fn cast<A: 'static, B: 'static>(value: A) -> Option<B> {
    let mut value = Some(value);
    let value: &mut dyn Any = &mut value;
    value.downcast_mut::<Option<B>>()?.take()
}

impl<F, S> Filter for Chain<F, S>
where
    F: Filter,
    S: Stage<RawInput = F::Input, RawOutput = F::Output>,
{
    type Input = S::Input;
    type Output = S::Output;

    fn feed(&mut self, bytes: &[u8]) {
        if !S::KEEPS {
            return self.filter.feed(bytes);
        }
        self.shown.take();
        let swallowed = self.filter.owed().is_some_and(|owed| bytes.first() == Some(&owed));
        let before = self.below();
        self.filter.feed(bytes);
        // A full or broken filter takes less.
        let taken = self.below().saturating_sub(before) + usize::from(swallowed);
        self.wire.append(&bytes[..taken.min(bytes.len())]);
        if swallowed {
            // The second half of a newline is removed with its line, wherever that is.
            if self.last_waits && !self.ledger.is_empty() {
                self.ledger.add_to_last(1);
            } else {
                self.wire.remove(self.ledger.cost(), 1);
            }
        }
    }

    fn next_record(&mut self) -> Result<Option<S::Input>, FilterError> {
        self.shown.take();
        loop {
            let given = self.stage.next_record();
            self.settle();
            if !matches!(given, Ok(None)) {
                return given;
            }
            let uncovered = S::KEEPS && self.filter.has_rest() && !self.is_rest_below_covered();
            let record = self.filter.next_record();
            let (mut waiting, mut cost) = (0, 0);
            if S::KEEPS {
                waiting = self.stage.waiting();
                cost = self.wire.len() - self.ledger.cost() - self.below();
                if cost > 0 {
                    self.below = self.tokens.next();
                }
            }
            match record {
                Ok(Some(record)) => {
                    if uncovered {
                        // Some of its bytes were removed with another record, so it gets separate ones.
                        let own = self.encode_copy(&record);
                        let at = self.ledger.cost();
                        if !own.is_empty() {
                            self.wire.remove(at, cost);
                            self.wire.insert(at, &own);
                            cost = own.len();
                            self.below = self.tokens.next();
                        }
                    }
                    // Bytes that are the record can be used one by one.
                    let plain = S::KEEPS
                        && (&record as &dyn Any).downcast_ref::<Bytes>().is_some_and(|record| {
                            let at = self.ledger.cost();
                            self.wire.as_slice()[at..at + cost] == record[..]
                        });
                    self.stage.feed(record);
                    if S::KEEPS {
                        let fed = self.stage.waiting().saturating_sub(waiting);
                        let mut held = Held::default();
                        if cost > 0 && !uncovered {
                            held.add(self.below);
                        }
                        self.ledger
                            .feed(fed, Paid { cost, held, token: 0 }, plain && fed == cost);
                        self.last_waits = true;
                    }
                }
                Ok(None) => {
                    self.drop_behind(cost);
                    self.wire.release();
                    return Ok(None);
                }
                Err(error) => {
                    self.drop_behind(cost);
                    return Err(error);
                }
            }
        }
    }

    fn put(&mut self, record: S::Output, out: &mut BytesMut) -> Result<(), FilterError> {
        let before = out.len();
        self.under.clear();
        self.stage.put(record, &mut self.under)?;
        for record in self.under.drain(..) {
            if let Err(error) = self.filter.put(record, out) {
                out.truncate(before);
                return Err(error);
            }
        }
        Ok(())
    }

    fn pending(&self) -> &[u8] {
        if !S::KEEPS {
            return self.filter.pending();
        }
        let (unpaid, _) = self.ledger.unpaid();
        let below = self.filter.has_rest() && !self.is_rest_below_covered();
        if unpaid == 0 && !below {
            return self.wire.as_slice();
        }
        self.shown.get_or_init(|| {
            let mut bytes = self.rest_here();
            if below {
                bytes.extend_from_slice(&self.wire.as_slice()[..self.ledger.cost()]);
                bytes.extend_from_slice(self.filter.pending());
            } else {
                bytes.extend_from_slice(self.wire.as_slice());
            }
            bytes.into()
        })
    }

    fn on_wire(&self) -> usize {
        if S::KEEPS {
            self.wire.len()
        } else {
            self.filter.on_wire()
        }
    }

    fn has_rest(&self) -> bool {
        if S::KEEPS && self.ledger.unpaid().0 > 0 {
            return true;
        }
        self.filter.has_rest() && !(S::KEEPS && self.is_rest_below_covered())
    }

    fn take_pending(&mut self) -> Bytes {
        self.shown.take();
        let mut front = BytesMut::new();
        // Records that were made and not delivered are encoded again.
        let mut under = Vec::new();
        for record in self.stage.take_made() {
            if let Some(record) = cast::<_, S::Output>(record) {
                let _no_form = self.stage.put(record, &mut under);
            }
        }
        for record in under {
            if let Some(record) = cast::<_, S::RawInput>(record) {
                self.encode(record, &mut front);
            }
        }
        let (unpaid, _) = self.ledger.unpaid();
        let rest = self.rest_here();
        let waiting = self.stage.take_pending();
        if rest.is_empty() {
            waiting
                .into_iter()
                .take(unpaid)
                .for_each(|record| self.encode(record, &mut front));
        } else {
            front.extend_from_slice(&rest);
        }
        let is_covered = self.is_rest_below_covered();
        let mut bytes = self.filter.take_pending();
        if S::KEEPS {
            let mut wire = self.wire.take();
            if is_covered {
                bytes = wire;
            } else {
                wire.truncate(self.ledger.cost());
                front.extend_from_slice(&wire);
            }
            self.ledger.clear();
            self.below = 0;
        }
        if front.is_empty() {
            return bytes;
        }
        front.extend_from_slice(&bytes);
        front.freeze()
    }

    fn take_made(&mut self) -> Vec<S::Input> {
        self.stage.take_made()
    }

    fn owed(&self) -> Option<u8> {
        let waits = S::KEEPS && (self.wire.len() > 0 || self.has_rest());
        if waits { None } else { self.filter.owed() }
    }

    fn fresh(&self) -> Self {
        Chain::new(self.filter.fresh(), self.stage.fresh())
    }

    fn check(&self) -> Result<(), FilterError> {
        self.filter.check()?;
        self.stage.check()
    }
}

debug_fields!([F: fmt::Debug, S: Stage + fmt::Debug] Chain<F, S>, "Chain", |this| {
    filter: this.filter,
    stage: this.stage,
    kept: this.ledger.cost(),
});
