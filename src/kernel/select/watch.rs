//! The watchers of a kernel, each with the task that holds its session and waits.

use super::dispatch::Round;
use super::watched::{FileKey, GroupKey};
use super::{SelectMode, Watched};
use crate::arg::AnyArg;
use crate::bridge::files::Readiness;
use crate::error::{Failure, log_quietly};
use crate::id::{Place, SessionId, TaskId};
use crate::kernel::flags::{self, Flag, Flags};
use crate::kernel::task::Task;
use crate::kernel::{Core, WatchedFile};
use crate::name::HeldName;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::Hash;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::task::{Context, Poll};

/// One session's watcher of one descriptor in one mode.
pub(super) struct Watch {
    pub(super) owner: SessionId,
    pub(super) watched: Watched,
    pub(super) mode: SelectMode,
    pub(super) event: HeldName,
    pub(super) place: Place,
    pub(super) arg: Box<dyn Fn() -> AnyArg>,
    /// Known as soon as the task is started.
    pub(super) task: Cell<Option<TaskId>>,
    pub(super) paused: Cell<bool>,
    /// It is in the list of watchers that may be ready, and its task does not wait.
    pub(super) ready: Cell<bool>,
    /// The reactor does not take it: it is always ready.
    pub(super) always: Cell<bool>,
    /// Removed, or its session is gone; set by the task's end.
    pub(super) gone: Cell<bool>,
}

impl Watch {
    pub(super) fn trace(&self, what: &'static str) {
        let (session, place) = (self.owner, self.place);
        let (descriptor, mode) = (self.watched.as_fd().as_raw_fd(), self.mode);
        log_quietly(|| {
            tracing::trace!(target: "poe::files", descriptor, ?mode, %session, event = %self.event.name(), %place, "{what}");
        });
    }
}

/// All watchers of a kernel.
pub(crate) struct Selects {
    /// By descriptor and mode, one per session.
    table: RefCell<HashMap<FileKey, Vec<Rc<Watch>>>>,
    /// By file and mode: those that are asked together, so that each of them is told of what one of them is told of.
    groups: RefCell<HashMap<GroupKey, Vec<Rc<Watch>>>>,
    pub(super) ready: RefCell<Vec<Rc<Watch>>>,
    /// `ready` has entries, or a round is not over.
    pub(super) has_ready: Flag,
    /// The I/O phase that tells of the files that are ready, while it is paused.
    pub(super) round: RefCell<Option<Round>>,
}

impl Selects {
    pub(crate) fn new(flags: &Flags) -> Self {
        Selects {
            table: RefCell::default(),
            groups: RefCell::default(),
            ready: RefCell::default(),
            has_ready: Flag::new(flags, flags::READY_FILES),
            round: RefCell::default(),
        }
    }

    pub(super) fn mark_ready(&self, watch: &Rc<Watch>) {
        if !watch.gone.get() && !watch.ready.replace(true) {
            self.ready.borrow_mut().push(watch.clone());
            self.has_ready.set(true);
        }
    }

    /// Takes the watchers that may be ready, and those of the same files, whose own wake-ups may be still to come.
    pub(super) fn take_ready(&self) -> Vec<Rc<Watch>> {
        let mut ready = self.ready.take();
        let groups = self.groups.borrow();
        for at in 0..ready.len() {
            let group = ready[at].watched.group(ready[at].mode).and_then(|key| groups.get(&key));
            for other in group.into_iter().flatten() {
                if !other.paused.get() && !other.ready.replace(true) {
                    ready.push(other.clone());
                }
            }
        }
        ready
    }

    pub(super) fn of(&self, watched: &Watched, mode: SelectMode) -> Vec<Rc<Watch>> {
        let table = self.table.borrow();
        table.get(&watched.key(mode)).cloned().unwrap_or_default()
    }

    /// Every watcher, with its session.
    pub(crate) fn all(&self) -> Vec<(SessionId, WatchedFile)> {
        let table = self.table.borrow();
        let all = table.values().flatten().map(|watch| {
            let file = WatchedFile {
                descriptor: watch.watched.as_fd().as_raw_fd(),
                mode: watch.mode,
                event: watch.event.name().to_string(),
                is_paused: watch.paused.get(),
                place: watch.place,
            };
            (watch.owner, file)
        });
        all.collect()
    }

    pub(super) fn insert(&self, watch: &Rc<Watch>) {
        let key = watch.watched.key(watch.mode);
        self.table.borrow_mut().entry(key).or_default().push(watch.clone());
        if let Some(key) = watch.watched.group(watch.mode) {
            self.groups.borrow_mut().entry(key).or_default().push(watch.clone());
        }
    }

    fn remove(&self, watch: &Rc<Watch>) {
        watch.gone.set(true);
        take_out(&mut self.table.borrow_mut(), &watch.watched.key(watch.mode), watch);
        if let Some(key) = watch.watched.group(watch.mode) {
            take_out(&mut self.groups.borrow_mut(), &key, watch);
        }
    }
}

fn take_out<K: Eq + Hash>(table: &mut HashMap<K, Vec<Rc<Watch>>>, key: &K, watch: &Rc<Watch>) {
    if let Some(watches) = table.get_mut(key) {
        watches.retain(|other| !Rc::ptr_eq(other, watch));
        if watches.is_empty() {
            table.remove(key);
        }
    }
}

/// A watcher's part in the kernel's tasks: it holds the session, waits, and ends with it.
pub(super) struct WatchTask {
    pub(super) watch: Rc<Watch>,
    pub(super) selects: Rc<Selects>,
    /// None before the first wait.
    pub(super) readiness: Option<Readiness>,
}

impl Task for WatchTask {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        let watch = &self.watch;
        if watch.ready.get() || watch.paused.get() {
            return Poll::Pending;
        }
        let readiness = match &mut self.readiness {
            Some(readiness) => readiness,
            none => match Readiness::new(watch.watched.as_fd(), watch.mode.want()) {
                Ok(Some(readiness)) => none.insert(readiness),
                Ok(None) => {
                    watch.always.set(true);
                    self.selects.mark_ready(watch);
                    return Poll::Pending;
                }
                Err(error) => {
                    let failure = Failure::from(error);
                    core.raise_for_task(watch.owner, watch.event.name(), &failure, watch.place);
                    return Poll::Ready(());
                }
            },
        };
        if readiness.poll_ready(cx).is_ready() {
            self.selects.mark_ready(watch);
        }
        Poll::Pending
    }
}

impl Drop for WatchTask {
    fn drop(&mut self) {
        self.watch.trace("ignored");
        self.selects.remove(&self.watch);
    }
}
