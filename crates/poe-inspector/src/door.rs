//! The list of inspected kernels: any thread adds one, the inspector's thread reads it.

use crate::recorder::{Record, Recorder};
use poe::Kernel;
use poe::inspect::Observation;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Kernels that an inspector shows, those that are gone included.
const KERNELS: usize = 256;

pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) observation: Observation,
    pub(crate) record: Arc<Record>,
}

pub(crate) struct Door {
    entries: Mutex<Vec<Arc<Entry>>>,
    /// Kernels were added, are gone, or the inspector is to end.
    pub(crate) changed: Notify,
    shut: AtomicBool,
    /// Values of [`Inspector`](crate::Inspector) that exist.
    pub(crate) handles: AtomicUsize,
    rate: u32,
}

impl Door {
    pub(crate) fn new(rate: u32) -> Self {
        Door {
            entries: Mutex::default(),
            changed: Notify::new(),
            shut: AtomicBool::new(false),
            handles: AtomicUsize::new(0),
            rate,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a kernel, on its thread. One that is gone and had the same name makes room for it.
    pub(crate) fn add(self: &Arc<Self>, name: String, kernel: &Kernel) {
        let record = Arc::new(Record::new(self.rate));
        let door = self.clone();
        let recorder = Recorder::new(record.clone(), move || door.changed.notify_one());
        let observation = kernel.observe(recorder);
        let mut entries = self.lock();
        entries.retain(|entry| !(entry.name == name && entry.observation.is_closed()));
        while entries.len() >= KERNELS
            && let Some(gone) = entries.iter().position(|entry| entry.observation.is_closed())
        {
            entries.remove(gone);
        }
        entries.push(Arc::new(Entry {
            name,
            observation,
            record,
        }));
        drop(entries);
        self.changed.notify_one();
    }

    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        self.lock().clone()
    }

    pub(crate) fn shut(&self) {
        self.shut.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Whether the inspector's thread has nothing to do any more.
    pub(crate) fn is_over(&self) -> bool {
        let unused = self.handles.load(Ordering::Acquire) == 0;
        self.shut.load(Ordering::Acquire) || unused && self.lock().iter().all(|entry| entry.observation.is_closed())
    }

    /// Takes the observers out of the kernels.
    pub(crate) fn leave(&self) {
        for entry in self.lock().drain(..) {
            entry.observation.clone().end();
        }
    }
}
