//! Counts the wire bytes of records that wait in the stage of a [chain](super::Chain), so that they can be restored as
//! the bytes they came as.
//!
//! When a record is used in part, all of its wire bytes are assigned to the first record made of it. As long as that
//! one waits further up, its bytes also stand for the rest; after it has left, no bytes do, and the rest has to be
//! encoded as a separate record. *Tokens* tell the two cases apart: the rest has one, and the record with the bytes
//! holds it.

use std::collections::VecDeque;

/// One entry for each record that a stage was fed and has not used completely.
#[derive(Default)]
pub(super) struct Ledger {
    entries: VecDeque<Entry>,
    /// The sums of the entries.
    units: usize,
    cost: usize,
}

struct Entry {
    /// The units that the stage counts: records, or bytes of them.
    units: usize,
    /// The number of wire bytes.
    cost: usize,
    /// The units are wire bytes themselves, and can be used one by one.
    plain: bool,
    /// Set when the record was used in part and its bytes have moved on.
    token: u64,
    held: Held,
}

/// The tokens of the rests that a record's bytes stand for: some of them, and, if there are more, a range that contains
/// the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    few: [u64; 6],
    from: u64,
    to: u64,
}

impl Held {
    pub(super) fn has(&self, token: u64) -> bool {
        token != 0 && (self.few.contains(&token) || self.from != 0 && (self.from..=self.to).contains(&token))
    }

    pub(super) fn add(&mut self, token: u64) {
        if token == 0 || self.few.contains(&token) {
            return;
        }
        match self.few.iter_mut().find(|free| **free == 0) {
            Some(free) => *free = token,
            None => self.widen(token, token),
        }
    }

    pub(super) fn join(&mut self, other: &Held) {
        other.few.into_iter().for_each(|token| self.add(token));
        if other.from != 0 {
            self.widen(other.from, other.to);
        }
    }

    fn widen(&mut self, from: u64, to: u64) {
        self.from = if self.from == 0 { from } else { self.from.min(from) };
        self.to = self.to.max(to);
    }
}

/// The cost of the units that leave the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Paid {
    pub(super) cost: usize,
    pub(super) held: Held,
    /// For units without a cost: the token of the bytes that stand for them, as long as those wait.
    pub(super) token: u64,
}

/// Issues tokens.
#[derive(Default)]
pub(super) struct Tokens(u64);

impl Tokens {
    pub(super) fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

impl Ledger {
    /// Returns the wire bytes of everything that waits.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn feed(&mut self, units: usize, paid: Paid, plain: bool) {
        self.units += units;
        self.cost += paid.cost;
        self.entries.push_back(Entry {
            units,
            cost: paid.cost,
            plain,
            token: if paid.cost == 0 { paid.token } else { 0 },
            held: paid.held,
        });
    }

    /// Adds to the cost of the last record, for the second half of its terminator.
    pub(super) fn add_to_last(&mut self, cost: usize) {
        if let Some(last) = self.entries.back_mut() {
            last.cost += cost;
            self.cost += cost;
        }
    }

    /// Returns the number of units at the front without bytes, and the token of the first of them.
    pub(super) fn unpaid(&self) -> (usize, u64) {
        let front = self.entries.iter().take_while(|entry| entry.cost == 0);
        let token = self.entries.front().map_or(0, |entry| entry.token);
        (front.map(|entry| entry.units).sum(), token)
    }

    /// Returns whether a waiting record holds the bytes of this token.
    pub(super) fn holds(&self, token: u64) -> bool {
        self.entries.iter().any(|entry| entry.held.has(token))
    }

    /// Removes used units from the front until `left` units wait, and returns their cost. The cost of a record that is
    /// used in part is counted at once.
    pub(super) fn settle(&mut self, waiting: usize, tokens: &mut Tokens) -> Paid {
        let mut paid = Paid::default();
        while let Some(first) = self.entries.front_mut() {
            let used = first.units.min(self.units.saturating_sub(waiting));
            let cost = if first.plain && used < first.units {
                used.min(first.cost)
            } else if used > 0 || first.units == 0 {
                first.cost
            } else {
                0
            };
            if used > 0 && first.cost == 0 {
                paid.token = first.token;
            }
            first.units -= used;
            first.cost -= cost;
            self.units -= used;
            self.cost -= cost;
            paid.cost += cost;
            if first.units > 0 {
                if cost > 0 && first.cost == 0 {
                    first.token = tokens.next();
                    paid.held.add(first.token);
                    paid.held.join(&std::mem::take(&mut first.held));
                }
                break;
            }
            paid.held.join(&first.held);
            self.entries.pop_front();
        }
        paid
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paid(cost: usize) -> Paid {
        Paid {
            cost,
            ..Paid::default()
        }
    }

    #[test]
    fn records_are_paid_for_whole_and_bytes_one_by_one() {
        let (mut ledger, mut tokens) = (Ledger::default(), Tokens::default());
        ledger.feed(1, paid(5), false);
        ledger.feed(1, paid(7), false);
        assert_eq!(ledger.settle(2, &mut tokens), paid(0));
        assert_eq!(ledger.settle(1, &mut tokens), paid(5));
        assert_eq!((ledger.settle(0, &mut tokens), ledger.is_empty()), (paid(7), true));
        ledger.feed(10, paid(10), true);
        assert_eq!(ledger.settle(6, &mut tokens), paid(4));
        ledger.feed(3, paid(9), false);
        let used = ledger.settle(2, &mut tokens);
        assert_eq!((used.cost, ledger.cost(), ledger.unpaid()), (15, 0, (2, 1)));
        assert!(used.held.has(1) && !used.held.has(2) && !used.held.has(0));
        assert_eq!((ledger.settle(0, &mut tokens).token, ledger.is_empty()), (1, true));
    }
}
