//! File watchers: events while a descriptor is ready (laws L75 to L79).
//!
//! A watcher is a task of its session, which waits in the reactor and marks the watcher *ready*. In each slice's I/O
//! phase all marked watchers are polled with one system call; those that are really ready get their event, and stay
//! marked. The others go back to waiting.

mod select_files;

use super::flags::{self, Flag, Flags};
use super::task::Task;
use super::{Core, WatchedFile};
use crate::arg::AnyArg;
use crate::bridge::files::{FileId, Readiness, Want, file_id, levels, set_nonblocking};
use crate::error::{Error, Failure, drop_quietly, log_quietly};
use crate::id::{Place, SessionId, TaskId};
use crate::name::HeldName;
use select_files::io_error;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll};

// Dispatches the events of ready descriptors.
/// In their order (law L5).
const MODES: [SelectMode; 3] = [SelectMode::Read, SelectMode::Write, SelectMode::Expedite];

/// The watchers that were asked at the beginning of one I/O phase, and how far they have been told.
struct Round {
    ready: Vec<Rc<Watch>>,
    /// Whether each descriptor was ready then.
    levels: Vec<bool>,
    /// Which of [`MODES`], and which of `ready` is next.
    mode: usize,
    next: usize,
    /// One of this mode was told.
    told: bool,
}

impl Round {
    fn begin(selects: &Selects) -> Self {
        let ready = selects.take_ready();
        let files: Vec<_> = ready.iter().map(|w| (w.watched.as_fd(), w.mode.want())).collect();
        let levels = levels(&files);
        Round {
            ready,
            levels,
            mode: 0,
            next: 0,
            told: false,
        }
    }
}

impl Core {
    #[inline]
    pub(crate) fn has_ready_files(&self) -> bool {
        self.selects.has_ready.get()
    }

    /// Delivers an event to each watcher whose descriptor is ready: readers, then writers, then the expedited, with a
    /// sweep after each (law L5). False if the pace is spent before the end.
    pub(crate) fn dispatch_files(&self) -> bool {
        let round = self.selects.round.take();
        let mut round = round.unwrap_or_else(|| Round::begin(&self.selects));
        let over = self.tell_watchers(&mut round);
        if !over {
            *self.selects.round.borrow_mut() = Some(round);
            self.selects.has_ready.set(true);
            return false;
        }
        self.selects.has_ready.set(!self.selects.ready.borrow().is_empty());
        for (watch, ready) in round.ready.iter().zip(&round.levels) {
            watch.ready.set(false);
            if watch.paused.get() {
                continue;
            }
            if *ready || watch.always.get() {
                self.selects.mark_ready(watch);
            } else if let Some(task) = watch.task.get() {
                self.tasks.schedule(task);
            }
        }
        // The watchers that were removed are dropped here, with what the program gave them, and nothing borrowed.
        drop_quietly(round);
        self.after_io();
        true
    }

    /// False if the pace is spent before the end of the round.
    fn tell_watchers(&self, round: &mut Round) -> bool {
        while let Some(mode) = MODES.get(round.mode) {
            while let Some(watch) = round.ready.get(round.next) {
                // A handler of this round may have removed or paused it (law L76).
                let ready = round.levels[round.next] || watch.always.get();
                if watch.mode == *mode && ready && !watch.gone.get() && !watch.paused.get() {
                    if self.run.pace.is_spent() {
                        return false;
                    }
                    round.told = true;
                    self.note_told_files();
                    self.tell_watcher(watch);
                    if self.die.is_fatal() {
                        return true;
                    }
                }
                round.next += 1;
            }
            if std::mem::take(&mut round.told) {
                self.sweep();
            }
            (round.mode, round.next) = (round.mode + 1, 0);
        }
        true
    }

    fn tell_watcher(&self, watch: &Watch) {
        watch.trace("ready");
        match catch_unwind(AssertUnwindSafe(|| (watch.arg)())) {
            Ok(mut arg) => {
                self.deliver_now(watch.owner, watch.event.idx(), &mut arg, watch.place);
            }
            // Cloning what the program gave the watcher is its own code.
            Err(payload) => {
                let failure = Failure::from_panic(payload);
                self.raise_for_task(watch.owner, watch.event.name(), &failure, watch.place);
            }
        }
    }
}

// The watchers of a kernel, each with the task that holds its session and waits.
/// One session's watcher of one descriptor in one mode.
struct Watch {
    owner: SessionId,
    watched: Watched,
    mode: SelectMode,
    event: HeldName,
    place: Place,
    arg: Box<dyn Fn() -> AnyArg>,
    /// Known as soon as the task is started.
    task: Cell<Option<TaskId>>,
    paused: Cell<bool>,
    /// It is in the list of watchers that may be ready, and its task does not wait.
    ready: Cell<bool>,
    /// The reactor does not take it: it is always ready.
    always: Cell<bool>,
    /// Removed, or its session is gone; set by the task's end.
    gone: Cell<bool>,
}

impl Watch {
    fn trace(&self, what: &'static str) {
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
    /// By file and mode: the watchers that are asked together, so that each of them gets the readiness that one of them sees.
    groups: RefCell<HashMap<GroupKey, Vec<Rc<Watch>>>>,
    ready: RefCell<Vec<Rc<Watch>>>,
    /// `ready` has entries, or a round is not over.
    has_ready: Flag,
    /// The rest of the I/O phase's ready files, while it is paused.
    round: RefCell<Option<Round>>,
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

    fn mark_ready(&self, watch: &Rc<Watch>) {
        if !watch.gone.get() && !watch.ready.replace(true) {
            self.ready.borrow_mut().push(watch.clone());
            self.has_ready.set(true);
        }
    }

    /// Takes the watchers that may be ready, and the others of the same files, whose wake-ups may not have come yet.
    fn take_ready(&self) -> Vec<Rc<Watch>> {
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

    fn of(&self, watched: &Watched, mode: SelectMode) -> Vec<Rc<Watch>> {
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

    fn insert(&self, watch: &Rc<Watch>) {
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
struct WatchTask {
    watch: Rc<Watch>,
    selects: Rc<Selects>,
    /// None before the first wait.
    readiness: Option<Readiness>,
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

// A descriptor that can be watched.
/// A descriptor that sessions watch. It is a duplicate, so the original may be closed first.
///
/// A clone is the same descriptor. Sessions share this value and not the number (pausing applies to all of them): two
/// values made from one file are different.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START, unix::{SelectMode, Selected, Watched}};
/// use std::io::{Read, Write};
/// const READABLE: Event<Selected<&'static str>> = Event::new("readable");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// let (reader, mut writer) = std::io::pipe().unwrap();
/// Session::builder(reader)
///     .on(START, |cx, ()| cx.select(&Watched::new(&*cx.heap)?, SelectMode::Read, READABLE, "extra"))
///     .on(READABLE, |cx, selected| {
///         let mut bytes = [0; 80];
///         match cx.heap.read(&mut bytes) {
///             Ok(0) => assert!(cx.select_clear(&selected.handle, SelectMode::Read)), // the end
///             Ok(n) => println!("{n} bytes, {}", selected.extra),
///             Err(error) => println!("{error}"),
///         }
///     })
///     .create(&kernel)?;
/// writer.write_all(b"hello").unwrap();
/// drop(writer);
/// kernel.run().await
/// # }
/// ```
#[derive(Clone)]
pub struct Watched(Rc<Inner>);

struct Inner {
    fd: OwnedFd,
    /// The file behind it, if the system can tell it from others.
    file: Option<FileId>,
}

impl Watched {
    /// Duplicates the descriptor and makes it non-blocking, as POE does. The original becomes non-blocking as well,
    /// permanently.
    ///
    /// # Errors
    /// The system's, when it has no descriptor left.
    pub fn new(file: impl AsFd) -> Result<Self, Error> {
        let made = file.as_fd().try_clone_to_owned().and_then(|fd| {
            set_nonblocking(fd.as_fd(), true)?;
            let file = file_id(fd.as_fd());
            Ok(Watched(Rc::new(Inner { fd, file })))
        });
        made.map_err(|error| io_error("duplicating a descriptor", error))
    }

    fn key(&self, mode: SelectMode) -> FileKey {
        (Rc::as_ptr(&self.0) as usize, mode)
    }

    /// What it has in common with other descriptors of the same pipe, socket or terminal.
    fn group(&self, mode: SelectMode) -> Option<GroupKey> {
        self.0.file.map(|file| (file, mode))
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl PartialEq for Watched {
    /// Returns whether both are clones of one value.
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Watched {}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.0.fd).finish()
    }
}

/// A descriptor's address, which is its own for as long as somebody watches it, and a mode.
type FileKey = (usize, SelectMode);

/// A file and a mode.
type GroupKey = (FileId, SelectMode);

// The modes of watching a descriptor, and the argument of its event.
/// The mode in which a descriptor is watched.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START, unix::{SelectMode, Selected, Watched}};
/// const READY: Event<Selected> = Event::new("ready");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let kernel = Kernel::new();
/// let (near, far) = std::os::unix::net::UnixStream::pair()?;
/// drop(far);
/// Session::builder(near)
///     .on(START, |cx, ()| {
///         let file = Watched::new(&*cx.heap)?;
///         cx.select(&file, SelectMode::Read, READY, ())?;
///         cx.select(&file, SelectMode::Write, READY, ())
///     })
///     .on(READY, |cx, selected| match selected.mode {
///         SelectMode::Read => assert!(cx.select_clear(&selected.handle, SelectMode::Read)), // the end can be read
///         other => {
///             assert_eq!(other, SelectMode::Write); // an error can be met
///             cx.select_clear(&selected.handle, SelectMode::Write);
///         }
///     })
///     .create(&kernel)?;
/// kernel.run().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum SelectMode {
    /// Bytes, the end, or an error can be read.
    #[doc(alias = "MODE_RD")]
    Read,
    /// It can be written, or has an error.
    #[doc(alias = "MODE_WR")]
    Write,
    /// Urgent (out-of-band) data has come. On other systems than Linux and Android only a wake-up for reading reports
    /// it.
    #[doc(alias = "MODE_EX")]
    Expedite,
}

impl SelectMode {
    fn want(self) -> Want {
        match self {
            SelectMode::Read => Want::Read,
            SelectMode::Write => Want::Write,
            SelectMode::Expedite => Want::Priority,
        }
    }
}

/// The argument of a watcher's event.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START, unix::{SelectMode, Selected, Watched}};
/// use std::io::Read;
/// const READABLE: Event<Selected<usize>> = Event::new("readable");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let kernel = Kernel::new();
/// # let (a, b) = (std::io::pipe()?.0, std::io::pipe()?.0);
/// Session::builder(vec![a, b]) // two pipes at their ends
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         for (n, reader) in cx.heap.iter().enumerate() {
///             cx.kernel.select(&Watched::new(reader)?, SelectMode::Read, READABLE, n)?;
///         }
///         Ok(())
///     })
///     .on(READABLE, |cx, Selected { handle, extra: n, .. }| -> poe::HandlerResult {
///         assert_eq!(cx.heap[n].read(&mut [0; 80])?, 0); // the one that is ready
///         cx.select_clear(&handle, SelectMode::Read);
///         Ok(())
///     })
///     .create(&kernel)?;
/// kernel.run().await?; // until both are cleared
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Selected<X = ()> {
    /// The descriptor that is ready.
    pub handle: Watched,
    /// The mode.
    pub mode: SelectMode,
    /// The value that the watcher was made with.
    pub extra: X,
}
