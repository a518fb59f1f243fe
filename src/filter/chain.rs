//! A filter with a stage above it: the typed stack.

use super::buffer::Buffer;
use super::ledger::Ledger;
use super::{Filter, FilterError, Stage};
use bytes::{Bytes, BytesMut};
use std::fmt;

/// A filter and a [`Stage`] above it, as one filter; what [`Filter::then`], [`map`](Filter::map) and
/// [`grep`](Filter::grep) make. All types are known, and nothing is boxed. For stacks that change see
/// [`Stackable`](super::Stackable).
///
/// Pending are the octets on the wire of whatever was not given away: also of the records that wait in a stage.
///
/// ```
/// use poe::filter::{Filter, Line, RecordBlock};
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
    /// All octets that were not given away, if the stage keeps records: those of what waits in it, then those that the
    /// filter has.
    wire: Buffer,
    ledger: Ledger,
    /// The record that was read last is the last of those that wait.
    last_waits: bool,
    /// Scratch space for what one record becomes below.
    under: Vec<S::RawOutput>,
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
            last_waits: false,
            under: Vec::new(),
        }
    }

    /// The filter below.
    pub fn filter(&self) -> &F {
        &self.filter
    }

    /// The stage above.
    ///
    /// ```
    /// use poe::filter::{Filter, Line, RecordBlock};
    /// let mut pairs = Line::new().then(RecordBlock::new(2));
    /// assert!(pairs.get(b"one\n").is_empty());
    /// assert_eq!(pairs.stage().get_pending().collect::<Vec<_>>(), ["one"]);
    /// assert_eq!(pairs.filter().get_pending(), b""); // the octets are the stage's by now,
    /// assert_eq!(pairs.get_pending(), b"one\n"); // and pending all the same
    /// ```
    pub fn stage(&self) -> &S {
        &self.stage
    }

    /// The stage above, to change its settings.
    ///
    /// ```
    /// use poe::filter::{Filter, Line};
    /// let mut filter = Line::new().grep(|line| line.starts_with('a'));
    /// filter.stage_mut().modify_get(|line| line.starts_with('b'));
    /// assert_eq!(filter.get(b"a1\nb1\n").remove(0).unwrap(), "b1");
    /// ```
    pub fn stage_mut(&mut self) -> &mut S {
        &mut self.stage
    }

    /// What the stage has used since the last look leaves the wire.
    fn settle(&mut self) {
        if S::KEEPS {
            let used = self.ledger.settle(self.stage.waiting());
            self.wire.consume(used);
        }
    }
}

impl<F, S: Stage> Chain<F, S> {
    /// Octets of which the filter made no record leave from behind those of what waits.
    fn drop_behind(&mut self, cost: usize) {
        if cost > 0 {
            self.wire.remove(self.ledger.cost(), cost);
            self.last_waits = false;
        }
    }
}

impl<F, S> Filter for Chain<F, S>
where
    F: Filter,
    S: Stage<RawInput = F::Input, RawOutput = F::Output>,
{
    type Input = S::Input;
    type Output = S::Output;

    fn get_one_start(&mut self, octets: &[u8]) {
        if !S::KEEPS {
            return self.filter.get_one_start(octets);
        }
        let swallowed = self.filter.owed().is_some_and(|owed| octets.first() == Some(&owed));
        let before = self.filter.get_pending().len();
        self.filter.get_one_start(octets);
        // A filter that is full, or broken, takes less.
        let taken = self.filter.get_pending().len().saturating_sub(before) + usize::from(swallowed);
        self.wire.append(&octets[..taken.min(octets.len())]);
        if swallowed {
            // The second half of a newline goes with its line, wherever that is.
            if self.last_waits && !self.ledger.is_empty() {
                self.ledger.add_to_last(1);
            } else {
                self.wire.remove(self.ledger.cost(), 1);
            }
        }
    }

    fn get_one(&mut self) -> Result<Option<S::Input>, FilterError> {
        loop {
            let given = self.stage.get_one();
            self.settle();
            if !matches!(given, Ok(None)) {
                return given;
            }
            let record = self.filter.get_one();
            let (mut waiting, mut cost) = (0, 0);
            if S::KEEPS {
                waiting = self.stage.waiting();
                cost = self.wire.len() - self.ledger.cost() - self.filter.get_pending().len();
            }
            match record {
                Ok(Some(record)) => {
                    self.stage.get_one_start(record);
                    if S::KEEPS {
                        let fed = self.stage.waiting().saturating_sub(waiting);
                        self.ledger.feed(fed, cost, false);
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

    fn get_pending(&self) -> &[u8] {
        if S::KEEPS {
            self.wire.as_slice()
        } else {
            self.filter.get_pending()
        }
    }

    fn take_pending(&mut self) -> Bytes {
        let octets = self.filter.take_pending();
        drop(self.stage.take_pending());
        if !S::KEEPS {
            return octets;
        }
        self.ledger.clear();
        self.wire.take()
    }

    fn owed(&self) -> Option<u8> {
        if self.wire.len() > 0 { None } else { self.filter.owed() }
    }

    fn fresh(&self) -> Self {
        Chain::new(self.filter.fresh(), self.stage.fresh())
    }

    fn check(&self) -> Result<(), FilterError> {
        self.filter.check()?;
        self.stage.check()
    }
}

impl<F: fmt::Debug, S: Stage + fmt::Debug> fmt::Debug for Chain<F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("filter", &self.filter)
            .field("stage", &self.stage)
            .field("kept", &self.ledger.cost())
            .finish()
    }
}
