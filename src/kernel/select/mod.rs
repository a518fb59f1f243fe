//! File watchers: events while a descriptor is ready (laws L75 to L79).
//!
//! A watcher is a task of its session, which waits in the reactor and makes the watcher *hot*. In each slice's I/O phase
//! the hot ones are asked, all in one system call, whether they are ready; those that are get their event, and stay hot.
//! Those that are not go back to waiting.

mod dispatch;
mod select_files;
mod selected;
mod watch;
mod watched;

pub use selected::{SelectMode, Selected};
pub(super) use watch::Selects;
pub use watched::Watched;
