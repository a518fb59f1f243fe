//! A layer in a stack, with its unused input and its output.

use super::layer::{Layer, Record};
use super::origin::{Level, Origin, Own, Part, Source, Totals};
use crate::filter::FilterError;
use bytes::Bytes;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

/// A record between two layers.
pub(super) struct Item {
    pub(super) record: Record,
    pub(super) part: Part,
    /// It was made together with a record that was given away ([`Filter::take_made`](crate::filter::Filter::take_made)).
    pub(super) is_spare: bool,
}

/// A record inside a layer.
pub(super) struct Held {
    pub(super) source: Source,
    /// The units that the layer counts: records, or bytes of them.
    pub(super) units: usize,
}

pub(super) struct Slot {
    pub(super) layer: Layer,
    /// The layer is a filter: it takes bytes, and can use a record in part.
    pub(super) takes_bytes: bool,
    /// The unused input of the layer, in order. The wire bytes in a first layer that is a filter are not here but in
    /// the stack's buffer, after these.
    pub(super) held: VecDeque<Held>,
    /// The sum of the units of `held`.
    pub(super) units: usize,
    /// The input that the layer has used since it made a record.
    pub(super) used: Vec<Source>,
    /// Records that the layer has made, or that were returned by a removed layer above.
    pub(super) made: VecDeque<Item>,
    pub(super) level: Rc<Level>,
    /// The origin of the last record made, if it waits: a newline may yet be completed.
    pub(super) last: Weak<Origin>,
    /// The origin of the last record that used input, if it waits: the layer may make more records of the same input.
    shared: Weak<Origin>,
    /// The layer is a filter made of filters, which had the rest of a record when it was asked last.
    pub(super) has_rest: bool,
}

impl Slot {
    pub(super) fn new(layer: Layer, depth: usize) -> Self {
        let level = Level::default();
        level.depth.set(depth);
        Slot {
            takes_bytes: layer.0.front(0).is_some(),
            layer,
            held: VecDeque::new(),
            units: 0,
            used: Vec::new(),
            made: VecDeque::new(),
            level: Rc::new(level),
            last: Weak::new(),
            shared: Weak::new(),
            has_rest: false,
        }
    }

    /// Returns whether data wait in the layer or above it.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.made.is_empty()
    }

    /// Feeds the layer with a record. The part that it does not take is dropped.
    pub(super) fn feed(&mut self, record: Record, mut source: Source) {
        let content = record.downcast_ref::<Bytes>().filter(|_| self.takes_bytes);
        let length = content.map(Bytes::len);
        let owed = self.layer.0.owed();
        let swallows = owed.is_some() && content.and_then(|content| content.first().copied()) == owed;
        let before = self.layer.0.waiting();
        self.layer.0.start(record);
        let units = self.layer.0.waiting().saturating_sub(before);
        if swallows {
            self.swallow(source.split_front(1));
        }
        if length.is_some_and(|length| length > units + usize::from(swallows)) {
            source = source.split_front(units);
        }
        if units > 0 {
            self.held.push_back(Held { source, units });
            self.units += units;
        } else if !self.takes_bytes {
            // A stage that does not report what it has taken.
            self.used.push(source);
        }
    }

    /// Adds the second half of a newline to its line, if that waits.
    pub(super) fn swallow(&self, half: Source) {
        if let Some(last) = self.last.upgrade() {
            last.add(half);
        }
    }

    /// Moves this many units from the held input to the used input; returns how many are missing.
    pub(super) fn use_up(&mut self, mut count: usize) -> usize {
        while count > 0
            && let Some(front) = self.held.front_mut()
        {
            let units = front.units.min(count);
            let source = if units < front.units {
                front.units -= units;
                front.source.split_front(units)
            } else if let Some(front) = self.held.pop_front() {
                front.source
            } else {
                break;
            };
            self.used.push(source);
            self.units -= units;
            count -= units;
        }
        count
    }

    /// Returns how much the layer has used of what it holds, with the bytes of `wire` behind it.
    ///
    /// A filter made of filters may show what is left in another form than it came in: with other framing, or put anew. Then all of it
    /// is used, and the rest is to be [held anew](Self::hold_rest).
    pub(super) fn count_used(&mut self, wire: &[u8]) -> usize {
        let has = self.units + wire.len();
        let has_rest = self.takes_bytes && self.layer.0.has_rest();
        let had_rest = std::mem::replace(&mut self.has_rest, has_rest);
        let waiting = self.layer.0.waiting();
        if !has_rest && !had_rest {
            return has.saturating_sub(waiting);
        }
        let left = self
            .layer
            .0
            .front(waiting)
            .and_then(|left| left.downcast::<Bytes>().ok());
        let left = left.map(|left| *left).unwrap_or_default();
        let came = [&self.held_bytes(), wire].concat();
        if came.ends_with(&left) { has - left.len() } else { has }
    }

    /// Drops the input that the layer has used without making a record.
    pub(super) fn drop_used(&mut self) {
        if !self.used.is_empty() {
            self.used.clear();
            self.last = Weak::new();
            self.shared = Weak::new();
        }
    }

    /// Adds the records that the layer has made of the used input. The first one is returned instead if it leaves the
    /// stack.
    pub(super) fn add(&mut self, record: Record, leaves: bool, totals: &Rc<Totals>) -> Option<Record> {
        let more = self.layer.0.take_made();
        let used = std::mem::take(&mut self.used);
        if leaves {
            drop(used);
            self.last = Weak::new();
            self.shared = Weak::new();
            for record in more {
                let part = Part::first(&Origin::spent(totals), Own::copied(&record, &self.level));
                self.keep(record, part, true);
            }
            return Some(record);
        }
        let origin = if used.is_empty() {
            self.another(&record, totals)
        } else {
            let origin = Origin::new(used, totals);
            self.shared = Rc::downgrade(&origin);
            origin
        };
        let own = if more.is_empty() {
            Own::of(&record, &self.level)
        } else {
            Own::copied(&record, &self.level)
        };
        self.last = Rc::downgrade(&origin);
        self.keep(record, Part::first(&origin, own), false);
        for record in more {
            let origin = self.another(&record, totals);
            let part = Part::first(&origin, Own::copied(&record, &self.level));
            self.last = Rc::downgrade(&origin);
            self.keep(record, part, true);
        }
        None
    }

    /// Returns the origin of one more record made of the same input.
    fn another(&self, record: &Record, totals: &Rc<Totals>) -> Rc<Origin> {
        let shared = self.shared.upgrade().unwrap_or_else(|| Origin::spent(totals));
        let part = Part::another(&shared, Own::copied(record, &self.level));
        Origin::new(vec![Source::Part(part)], totals)
    }

    fn keep(&mut self, record: Record, part: Part, is_spare: bool) {
        self.made.push_back(Item { record, part, is_spare });
    }

    /// After a filter made of filters has used a record in part: holds the rest as that filter shows it, which may
    /// differ from the wire bytes.
    pub(super) fn hold_rest(&mut self, level: &Rc<Level>, totals: &Rc<Totals>) {
        let units = self.layer.0.waiting();
        let rest = self.layer.0.front(units).and_then(|rest| rest.downcast::<Bytes>().ok());
        let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
            return;
        };
        let origin = self.last.upgrade().unwrap_or_else(|| Origin::spent(totals));
        let part = Part::rest(&origin, Own::new(*rest, level));
        self.held.push_front(Held {
            source: Source::Part(part),
            units,
        });
        self.units += units;
    }

    /// Takes the waiting input of the layer, as the records that it was fed with.
    pub(super) fn take_back(&mut self, totals: &Rc<Totals>) -> Vec<Item> {
        let records = self.layer.0.take_pending();
        let mut held = std::mem::take(&mut self.held).into_iter().map(|held| held.source);
        self.units = 0;
        let item = |record, sources| {
            let part = match sources {
                Some(Source::Part(part)) => part,
                sources => Part::first(&Origin::new(sources.into_iter().collect(), totals), None),
            };
            Item {
                record,
                part,
                is_spare: false,
            }
        };
        if self.takes_bytes {
            return held
                .map(|source| item(Box::new(source.content()) as Record, Some(source)))
                .collect();
        }
        let mut items: Vec<Item> = records.into_iter().map(|record| item(record, held.next())).collect();
        // A stage with another count: the rest goes with its last record.
        let more: Vec<Source> = held.collect();
        if !more.is_empty()
            && let Some(Item { record, part, .. }) = items.pop()
        {
            let sources = [Source::Part(part)].into_iter().chain(more).collect();
            let part = Part::first(&Origin::new(sources, totals), None);
            items.push(Item {
                record,
                part,
                is_spare: false,
            });
        }
        items
    }

    /// Returns the content of the held input, for a layer that takes bytes.
    pub(super) fn held_bytes(&self) -> Vec<u8> {
        self.held.iter().flat_map(|held| held.source.content()).collect()
    }

    /// Forgets all data in the slot.
    pub(super) fn clear(&mut self) {
        drop(self.layer.0.take_made());
        drop(self.layer.0.take_pending());
        self.held.clear();
        self.units = 0;
        self.used.clear();
        self.made.clear();
        self.has_rest = false;
    }

    /// Takes a record from the layer.
    pub(super) fn next(&mut self) -> Result<Option<Record>, FilterError> {
        self.layer.0.next()
    }
}
