//! The jobs that wait, in the order in which they will start.

use super::JobId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// Higher priorities first, then the order of arrival.
type Place = (Reverse<i64>, JobId);

/// Waiting jobs by place. Nothing here runs user code: what is removed is returned.
pub(super) struct Table<W> {
    waiting: BTreeMap<Place, W>,
    priorities: HashMap<JobId, i64>,
    last: u64,
}

impl<W> Table<W> {
    pub(super) fn new() -> Self {
        Table {
            waiting: BTreeMap::new(),
            priorities: HashMap::new(),
            last: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn contains(&self, id: JobId) -> bool {
        self.priorities.contains_key(&id)
    }

    pub(super) fn push(&mut self, priority: i64, make: impl FnOnce(JobId) -> W) -> JobId {
        self.last += 1;
        let id = JobId(self.last);
        self.waiting.insert((Reverse(priority), id), make(id));
        self.priorities.insert(id, priority);
        id
    }

    /// Removes the job that is next.
    pub(super) fn pop(&mut self) -> Option<(JobId, W)> {
        let ((_, id), waiting) = self.waiting.pop_first()?;
        self.priorities.remove(&id);
        Some((id, waiting))
    }

    pub(super) fn remove(&mut self, id: JobId) -> Option<W> {
        let priority = self.priorities.remove(&id)?;
        self.waiting.remove(&(Reverse(priority), id))
    }

    /// Moves a job. Among equals it keeps the place of its arrival.
    pub(super) fn set_priority(&mut self, id: JobId, priority: i64) -> bool {
        let Some(old) = self.priorities.get_mut(&id) else {
            return false;
        };
        let old = std::mem::replace(old, priority);
        if let Some(waiting) = self.waiting.remove(&(Reverse(old), id)) {
            self.waiting.insert((Reverse(priority), id), waiting);
        }
        true
    }

    /// Removes all.
    pub(super) fn drain(&mut self) -> Vec<W> {
        self.priorities.clear();
        std::mem::take(&mut self.waiting).into_values().collect()
    }
}
