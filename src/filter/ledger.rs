//! What the records that wait in a stage cost on the wire, so that they can be given back as the octets they came as.

use std::collections::VecDeque;

/// One entry for each record that a stage was fed and has not used up.
#[derive(Default)]
pub(super) struct Ledger {
    entries: VecDeque<Entry>,
    /// The sums of the entries.
    units: usize,
    cost: usize,
}

struct Entry {
    /// What the stage counts: records, or octets of them.
    units: usize,
    /// Octets on the wire.
    cost: usize,
    /// The units are octets on the wire themselves, and can be used one by one.
    plain: bool,
}

impl Ledger {
    /// Octets on the wire of all that waits.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether all that waits are octets of the wire.
    pub(super) fn is_plain(&self) -> bool {
        self.entries.iter().all(|entry| entry.plain)
    }

    pub(super) fn feed(&mut self, units: usize, cost: usize, plain: bool) {
        self.units += units;
        self.cost += cost;
        self.entries.push_back(Entry { units, cost, plain });
    }

    /// Adds to what the last record cost: the second half of its terminator.
    pub(super) fn add_to_last(&mut self, cost: usize) {
        if let Some(last) = self.entries.back_mut() {
            last.cost += cost;
            self.cost += cost;
        }
    }

    /// Drops what was used until only so many units wait, from the front; returns what that cost. A record that is used
    /// in part is paid for at once.
    pub(super) fn settle(&mut self, waiting: usize) -> usize {
        let mut paid = 0;
        while let Some(first) = self.entries.front_mut() {
            let used = first.units.min(self.units.saturating_sub(waiting));
            let cost = if first.plain && used < first.units {
                used.min(first.cost)
            } else if used > 0 || first.units == 0 {
                first.cost
            } else {
                0
            };
            first.units -= used;
            first.cost -= cost;
            self.units -= used;
            self.cost -= cost;
            paid += cost;
            if first.units > 0 {
                break;
            }
            self.entries.pop_front();
        }
        paid
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What each of the records that wait costs, in order.
    pub(super) fn costs(&self) -> impl Iterator<Item = usize> {
        self.entries.iter().map(|entry| entry.cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_paid_for_whole_and_octets_one_by_one() {
        let mut ledger = Ledger::default();
        ledger.feed(1, 5, false);
        ledger.feed(1, 7, false);
        assert_eq!(ledger.settle(2), 0);
        assert_eq!(ledger.settle(1), 5);
        assert_eq!((ledger.settle(0), ledger.is_empty()), (7, true));
        ledger.feed(10, 10, true);
        assert_eq!(ledger.settle(6), 4);
        ledger.feed(3, 9, false);
        assert_eq!(ledger.settle(2), 15);
        assert_eq!(ledger.cost(), 0);
        assert_eq!((ledger.settle(0), ledger.is_empty()), (0, true));
    }
}
