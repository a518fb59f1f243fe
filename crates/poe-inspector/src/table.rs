//! The sessions of a kernel, fetched in pieces, and shared by all who look.

use poe::inspect::SessionRow;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A table is fetched anew after that long, or a multiple of the time that it took.
const FRESH: Duration = Duration::from_millis(800);
const MULTIPLE: u32 = 20;

pub(crate) struct Table {
    pub(crate) rows: Vec<SessionRow>,
    /// By serial number.
    pub(crate) by_number: HashMap<u64, usize>,
    /// By the parent's serial number, oldest first.
    pub(crate) children: HashMap<u64, Vec<usize>>,
    pub(crate) is_complete: bool,
    made: Instant,
    cost: Duration,
}

impl Table {
    pub(crate) fn of(mut rows: Vec<SessionRow>, is_complete: bool, cost: Duration) -> Self {
        rows.sort_by_key(|row| row.id);
        let mut children: HashMap<u64, Vec<usize>> = HashMap::new();
        for (at, row) in rows.iter().enumerate() {
            children.entry(row.parent.get()).or_default().push(at);
        }
        Table {
            by_number: rows.iter().enumerate().map(|(at, row)| (row.id.get(), at)).collect(),
            children,
            rows,
            is_complete,
            made: Instant::now(),
            cost,
        }
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.made.elapsed() < FRESH.max(self.cost * MULTIPLE)
    }

    pub(crate) fn row(&self, number: u64) -> Option<&SessionRow> {
        self.by_number.get(&number).map(|at| &self.rows[*at])
    }

    pub(crate) fn children_of(&self, number: u64) -> &[usize] {
        self.children.get(&number).map_or(&[], Vec::as_slice)
    }

    /// Whether it is too old to be shown while the next is fetched.
    pub(crate) fn is_outdated(&self) -> bool {
        self.age() > FRESH * 10 + self.cost * MULTIPLE * 2
    }

    /// How long ago it was made.
    pub(crate) fn age(&self) -> Duration {
        self.made.elapsed()
    }
}
