//! File watchers: events while a descriptor is ready (laws L75 to L79).
//!
//! A watcher is a task of its session, which waits in the reactor and marks the watcher *ready*. In each slice's I/O
//! phase all marked watchers are polled with one system call; those that are really ready get their event, and stay
//! marked. The others go back to waiting.

mod dispatch;
mod select_files;
mod selected;
mod watch;
mod watched;

pub use selected::{SelectMode, Selected};
pub(super) use watch::Selects;
pub use watched::Watched;
