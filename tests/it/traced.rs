//! Captures the crate's `tracing` events for the test on this thread.
//!
//! Such a test runs in a process of its own (`in_child`): what `tracing` keeps of who listens is global, and a place that another
//! test comes by for the first time while a subscriber is entered may be taken for one that nobody listens to.

use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::filter::EnvFilter;

#[derive(Clone, Default)]
struct Caught(Arc<Mutex<Vec<u8>>>);

impl Write for Caught {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A subscriber of this thread, until it is dropped.
pub(crate) struct Trace {
    caught: Caught,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Trace {
    /// Captures the events of a filter, such as `poe::events=trace`.
    pub(crate) fn of(filter: &str) -> Self {
        let caught = Caught::default();
        let writer = caught.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(filter))
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        Trace {
            caught,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The lines since the last call.
    pub(crate) fn lines(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.caught.0.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }
}
