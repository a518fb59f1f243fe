//! The system's file events. They only wake; what has changed is found by listing the directory.

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use poe::{Event, KernelRef, TaskId};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Notify;

pub(super) struct Hint {
    changed: Arc<Notify>,
    waits: Option<TaskId>,
    _watcher: RecommendedWatcher,
}

impl Hint {
    /// Watches a directory; `None` if the system refuses. Then it is only polled.
    pub(super) fn of(directory: &Path) -> Option<Hint> {
        let changed = Arc::new(Notify::new());
        let wake = changed.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Listing the directory is an event as well.
            let is_read = |kind: &EventKind| {
                kind.is_access() && !matches!(kind, EventKind::Access(AccessKind::Close(AccessMode::Write)))
            };
            if event.is_ok_and(|event| !is_read(&event.kind)) {
                wake.notify_one();
            }
        });
        let watching = watcher.and_then(|mut watcher| {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match watching {
            Ok(watcher) => Some(Hint {
                changed,
                waits: None,
                _watcher: watcher,
            }),
            Err(error) => {
                tracing::debug!(target: "poe::tools", %error, "no file events: changes are found with polling only");
                None
            }
        }
    }

    /// Posts an event at the next change, also if that was before this call.
    pub(super) fn wait(&mut self, cx: KernelRef<'_>, event: Event<()>) {
        let changed = self.changed.clone();
        self.waits = Some(cx.spawn(async move { changed.notified().await }, event));
    }

    pub(super) fn end(self, cx: &KernelRef<'_>) {
        if let Some(waits) = self.waits {
            cx.cancel(waits);
        }
    }
}
