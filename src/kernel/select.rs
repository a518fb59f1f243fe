//! File watchers: events while a descriptor is ready (laws L75 to L79).
//!
//! A watcher is a task of its session, which waits in the reactor and makes the watcher *hot*. In each slice's I/O phase
//! the hot ones are asked, all in one system call, whether they are ready; those that are get their event, and stay hot.
//! Those that are not go back to waiting.

use super::task::{Purpose, Task};
use super::{Core, Turn};
use crate::arg::AnyArg;
use crate::bridge::files::{Readiness, Want, levels, set_nonblocking};
use crate::error::{Error, ErrorKind, Failure};
use crate::event::Posts;
use crate::id::{SessionId, TaskId};
use crate::name::{HeldName, Key};
use crate::resource::HoldKind;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll};

/// A descriptor that sessions watch: a duplicate of one's own, so that closing that one first does no harm.
///
/// A clone is the same descriptor. What sessions share (pausing is for all of them) is this value and not the number:
/// two made from one file are two.
///
/// ```
/// use poe::{Event, Kernel, Selected, Session, Watched, event::START};
/// use std::io::{Read, Write};
/// const READABLE: Event<Selected<&'static str>> = Event::new("readable");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// let (reader, mut writer) = std::io::pipe().unwrap();
/// Session::builder(reader)
///     .on(START, |cx, ()| cx.select_read(&Watched::new(&*cx.heap)?, READABLE, "extra"))
///     .on(READABLE, |cx, selected| {
///         let mut octets = [0; 80];
///         match cx.heap.read(&mut octets) {
///             Ok(0) => assert!(cx.select_read_clear(&selected.handle)), // the end
///             Ok(n) => println!("{n} octets, {}", selected.extra),
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
pub struct Watched(Rc<OwnedFd>);

impl Watched {
    /// Duplicates the descriptor and makes it non-blocking, as POE does; that concerns the original as well, and is never
    /// undone.
    ///
    /// # Errors
    /// The system's, when it has no descriptor left.
    pub fn new(file: impl AsFd) -> Result<Self, Error> {
        let made = file.as_fd().try_clone_to_owned().and_then(|fd| {
            set_nonblocking(fd.as_fd())?;
            Ok(Watched(Rc::new(fd)))
        });
        made.map_err(|error| io_error("duplicating a descriptor", error))
    }

    fn key(&self, mode: SelectMode) -> FileKey {
        (Rc::as_ptr(&self.0) as usize, mode)
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl PartialEq for Watched {
    /// Whether they are clones of one.
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Watched {}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.0).finish()
    }
}

/// What a descriptor may be ready for.
///
/// ```
/// use poe::{Event, Kernel, SelectMode, Selected, Session, Watched, event::START};
/// const READY: Event<Selected> = Event::new("ready");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let kernel = Kernel::new();
/// let (near, far) = std::os::unix::net::UnixStream::pair()?;
/// drop(far);
/// Session::builder(near)
///     .on(START, |cx, ()| {
///         let file = Watched::new(&*cx.heap)?;
///         cx.select_read(&file, READY, ())?;
///         cx.select_write(&file, READY, ())
///     })
///     .on(READY, |cx, selected| match selected.mode {
///         SelectMode::Read => assert!(cx.select_read_clear(&selected.handle)), // the end can be read
///         other => {
///             assert_eq!(other, SelectMode::Write); // an error can be met
///             cx.select_write_clear(&selected.handle);
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
    /// Octets, the end, or an error can be read.
    #[doc(alias = "MODE_RD")]
    Read,
    /// There is room, or an error can be met.
    #[doc(alias = "MODE_WR")]
    Write,
    /// Urgent (out-of-band) data has come. On other systems than Linux and Android only a wake-up for reading tells of it.
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
/// use poe::{Event, Kernel, Selected, Session, Watched, event::START};
/// use std::io::Read;
/// const READABLE: Event<Selected<usize>> = Event::new("readable");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let kernel = Kernel::new();
/// # let (a, b) = (std::io::pipe()?.0, std::io::pipe()?.0);
/// Session::builder(vec![a, b]) // two pipes at their ends
///     .on(START, |cx, ()| -> poe::Handled {
///         for (n, reader) in cx.heap.iter().enumerate() {
///             cx.kernel.select_read(&Watched::new(reader)?, READABLE, n)?;
///         }
///         Ok(())
///     })
///     .on(READABLE, |cx, Selected { handle, extra: n, .. }| -> poe::Handled {
///         assert_eq!(cx.heap[n].read(&mut [0; 80])?, 0); // of the one that is ready
///         cx.select_read_clear(&handle);
///         Ok(())
///     })
///     .create(&kernel)?;
/// kernel.run().await?; // until both are cleared
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Selected<X = ()> {
    /// The descriptor that is ready.
    pub handle: Watched,
    /// For what.
    pub mode: SelectMode,
    /// What the watcher was made with.
    pub extra: X,
}

/// A descriptor's address, which is its own for as long as somebody watches it, and a mode.
type FileKey = (usize, SelectMode);

/// One session's watcher of one descriptor in one mode.
struct Watch {
    owner: SessionId,
    watched: Watched,
    mode: SelectMode,
    event: HeldName,
    place: &'static Location<'static>,
    arg: Box<dyn Fn() -> AnyArg>,
    /// Known as soon as the task is started.
    task: Cell<Option<TaskId>>,
    paused: Cell<bool>,
    /// It stands in the list of those that may be ready, and its task does not wait.
    hot: Cell<bool>,
    /// The reactor does not take it: it is always ready.
    always: Cell<bool>,
    /// Removed, or its session is gone; set by the task's end.
    gone: Cell<bool>,
}

/// All watchers of a kernel.
#[derive(Default)]
pub(super) struct Selects {
    /// By descriptor and mode, one per session.
    table: RefCell<HashMap<FileKey, Vec<Rc<Watch>>>>,
    hot: RefCell<Vec<Rc<Watch>>>,
    /// `hot` has entries.
    is_hot: Cell<bool>,
}

impl Selects {
    fn heat(&self, watch: &Rc<Watch>) {
        if !watch.gone.get() && !watch.hot.replace(true) {
            self.hot.borrow_mut().push(watch.clone());
            self.is_hot.set(true);
        }
    }

    fn of(&self, watched: &Watched, mode: SelectMode) -> Vec<Rc<Watch>> {
        let table = self.table.borrow();
        table.get(&watched.key(mode)).cloned().unwrap_or_default()
    }

    /// The watchers of a session.
    pub(super) fn of_session(&self, session: SessionId) -> Vec<super::WatchedFile> {
        let table = self.table.borrow();
        let own = table.values().flatten().filter(|watch| watch.owner == session);
        own.map(|watch| super::WatchedFile {
            descriptor: watch.watched.as_fd().as_raw_fd(),
            mode: watch.mode,
            event: watch.event.name().to_string(),
            is_paused: watch.paused.get(),
            place: watch.place,
        })
        .collect()
    }

    fn insert(&self, watch: &Rc<Watch>) {
        let key = watch.watched.key(watch.mode);
        self.table.borrow_mut().entry(key).or_default().push(watch.clone());
    }

    fn remove(&self, watch: &Rc<Watch>) {
        watch.gone.set(true);
        let key = watch.watched.key(watch.mode);
        let mut table = self.table.borrow_mut();
        if let Some(watches) = table.get_mut(&key) {
            watches.retain(|other| !Rc::ptr_eq(other, watch));
            if watches.is_empty() {
                table.remove(&key);
            }
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
        if watch.hot.get() || watch.paused.get() {
            return Poll::Pending;
        }
        let readiness = match &mut self.readiness {
            Some(readiness) => readiness,
            none => match Readiness::new(watch.watched.as_fd(), watch.mode.want()) {
                Ok(Some(readiness)) => none.insert(readiness),
                Ok(None) => {
                    watch.always.set(true);
                    self.selects.heat(watch);
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
            self.selects.heat(watch);
        }
        Poll::Pending
    }
}

impl Watch {
    fn trace(&self, what: &'static str) {
        let (session, place) = (self.owner, self.place);
        let (descriptor, mode) = (self.watched.as_fd().as_raw_fd(), self.mode);
        tracing::trace!(target: "poe::files", descriptor, ?mode, %session, event = %self.event.name(), %place, "{what}");
    }
}

impl Drop for WatchTask {
    fn drop(&mut self) {
        self.watch.trace("ignored");
        self.selects.remove(&self.watch);
    }
}

impl Core {
    #[inline]
    pub(super) fn has_ready_files(&self) -> bool {
        self.selects.is_hot.get()
    }

    /// Delivers an event to each watcher whose descriptor is ready: readers, then writers, then the expedited, with a
    /// sweep after each (law L5). True if there was one.
    pub(super) fn dispatch_files(&self) -> bool {
        self.selects.is_hot.set(false);
        let hot = self.selects.hot.take();
        let files: Vec<_> = hot.iter().map(|w| (w.watched.as_fd(), w.mode.want())).collect();
        let ready = levels(&files);
        let mut delivered = false;
        'modes: for mode in [SelectMode::Read, SelectMode::Write, SelectMode::Expedite] {
            let before = delivered;
            for (watch, ready) in hot.iter().zip(&ready) {
                // A handler of this round may have removed or paused it (law L76).
                if watch.mode != mode || !(*ready || watch.always.get()) || watch.gone.get() || watch.paused.get() {
                    continue;
                }
                delivered = true;
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
                if self.die.is_fatal() {
                    break 'modes;
                }
            }
            if delivered != before {
                self.sweep();
            }
        }
        for (watch, ready) in hot.iter().zip(&ready) {
            watch.hot.set(false);
            if watch.paused.get() {
                continue;
            }
            if *ready || watch.always.get() {
                self.selects.heat(watch);
            } else if let Some(task) = watch.task.get() {
                self.tasks.schedule(task);
            }
        }
        // The watchers that were removed are dropped here, with what the program gave them, and nothing borrowed.
        crate::error::drop_quietly(hot);
        self.after_io();
        delivered
    }

    fn watch<X: Clone + 'static>(
        &self,
        owner: SessionId,
        watched: &Watched,
        mode: SelectMode,
        key: Key<'_>,
        extra: X,
        place: &'static Location<'static>,
    ) -> Result<(), Error> {
        if self.is_virtual() {
            let why = "a kernel in virtual time takes no real descriptors";
            let error = io::Error::new(io::ErrorKind::Unsupported, why);
            return Err(io_error("watching a descriptor", error));
        }
        let handle = watched.clone();
        let watch = Rc::new(Watch {
            owner,
            watched: watched.clone(),
            mode,
            event: HeldName::new(key),
            place,
            arg: Box::new(move || {
                AnyArg::new(Selected {
                    handle: handle.clone(),
                    mode,
                    extra: extra.clone(),
                })
            }),
            task: Cell::new(None),
            paused: Cell::new(false),
            hot: Cell::new(false),
            always: Cell::new(false),
            gone: Cell::new(false),
        });
        let old = self.watch_of(owner, watched, mode);
        let purpose = Purpose {
            owner,
            kind: HoldKind::File,
            what: watch.event.name(),
            place,
            listener: false,
        };
        watch.trace("watched");
        self.selects.insert(&watch);
        let body = WatchTask {
            watch: watch.clone(),
            selects: self.selects.clone(),
            readiness: None,
        };
        watch.task.set(self.start_task(purpose, Box::new(body)));
        // The first look is for free, and often the descriptor is ready.
        self.selects.heat(&watch);
        if let Some(task) = old.and_then(|old| old.task.get()) {
            self.cancel_task(task);
        }
        self.pause_files(watched, mode, false);
        Ok(())
    }

    fn watch_of(&self, owner: SessionId, watched: &Watched, mode: SelectMode) -> Option<Rc<Watch>> {
        let watches = self.selects.of(watched, mode);
        watches.into_iter().find(|watch| watch.owner == owner)
    }

    fn unwatch(&self, owner: SessionId, watched: &Watched, mode: SelectMode) -> bool {
        let watch = self.watch_of(owner, watched, mode);
        match watch.and_then(|watch| watch.task.get()) {
            Some(task) => self.cancel_task(task),
            None => false,
        }
    }

    /// False if nobody watches that.
    fn pause_files(&self, watched: &Watched, mode: SelectMode, pause: bool) -> bool {
        let watches = self.selects.of(watched, mode);
        for watch in &watches {
            if watch.paused.get() != pause {
                watch.trace(if pause { "paused" } else { "resumed" });
            }
            watch.paused.set(pause);
            if !pause {
                self.selects.heat(watch);
            }
        }
        if !pause {
            self.wake_host();
        }
        !watches.is_empty()
    }
}

fn io_error(operation: &'static str, error: io::Error) -> Error {
    ErrorKind::Io { operation, error }.into()
}

/// File watchers. Each keeps its session alive, paused or not. (On Unix only: elsewhere wheels do this, or
/// [`spawn`](Turn::spawn) with Tokio's own I/O.)
///
/// ```
/// # use poe::{Event, Kernel, Selected, Session, Watched, event::{START, STOP}};
/// # use std::io::{Read, Write};
/// const READABLE: Event<Selected> = Event::new("readable");
/// const GO_ON: Event<Watched> = Event::new("go on");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let kernel = Kernel::new();
/// # let (reader, mut writer) = std::io::pipe()?;
/// # writer.write_all(b"hello")?;
/// # drop(writer);
/// Session::builder((reader, String::new()))
///     .on(START, |cx, ()| -> poe::Handled {
///         let file = Watched::new(&cx.heap.0)?;
///         cx.select_read(&file, READABLE, ())?;
///         assert!(cx.select_pause_read(&file)); // the session lives on, and nothing comes
///         cx.yield_to(GO_ON, file);
///         Ok(())
///     })
///     .on(GO_ON, |cx, file| {
///         cx.heap.1 += "resumed: ";
///         assert!(cx.select_resume_read(&file));
///     })
///     .on(READABLE, |cx, selected| -> poe::Handled {
///         let (reader, text) = &mut *cx.heap;
///         reader.read_to_string(text)?;
///         assert!(cx.select_read_clear(&selected.handle)); // or its end would be told of in every slice
///         Ok(())
///     })
///     .on(STOP, |cx, ()| assert_eq!(cx.heap.1, "resumed: hello"))
///     .create(&kernel)?;
/// # kernel.run().await?;
/// # Ok(())
/// # }
/// ```
///
/// Each mode of a descriptor is for itself:
///
/// ```
/// # use poe::{Event, Kernel, Selected, Session, Watched, event::START};
/// # const READY: Event<Selected> = Event::new("ready");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// # let kernel = Kernel::new();
/// # let stream = std::os::unix::net::UnixStream::pair().unwrap().0;
/// # Session::builder(stream)
/// # .on(START, |cx, ()| -> poe::Handled {
/// let file = Watched::new(&*cx.heap)?;
/// assert!(!cx.select_pause_write(&file)); // nobody watches it in that mode
/// cx.select_write(&file, READY, ())?;
/// cx.select_expedite(&file, READY, ())?;
/// assert!(cx.select_pause_write(&file)); // there is nothing to write …
/// assert!(cx.select_resume_write(&file)); // … and now there is
/// assert!(cx.select_write_clear(&file));
/// assert!(cx.select_expedite_clear(&file));
/// assert!(!cx.select_expedite_clear(&file)); // this session watches it no longer
/// cx.select_clear(&file); // whatever is left
/// # assert_eq!(cx.snapshot().handle_count(), 0);
/// # Ok(())
/// # })
/// # .on(READY, |_, _| panic!("nobody watches"))
/// # .create(&kernel)?;
/// # kernel.run().await
/// # }
/// ```
impl Turn<'_> {
    /// Delivers `event`, in the I/O phase of each slice and ahead of the queue, for as long as there is something to
    /// read: octets, the end, or an error (laws L75, L79). A regular file always has.
    ///
    /// A second call for the same descriptor replaces event and extra, and resumes it.
    ///
    /// # Errors
    /// The session has been stopped; the kernel is on virtual time. (The system's refusal comes as a `DIE`.)
    #[track_caller]
    pub fn select_read<X: Clone + 'static>(
        self,
        file: &Watched,
        event: impl Posts<Selected<X>>,
        extra: X,
    ) -> Result<(), Error> {
        self.select_mode(file, SelectMode::Read, event.key(), extra, Location::caller())
    }

    /// The same for as long as there is room to write.
    ///
    /// # Errors
    /// As [`select_read`](Self::select_read).
    ///
    /// ```
    /// use poe::{Event, Kernel, Selected, Session, Watched, event::START};
    /// use std::io::{Read, Write};
    /// const ROOM: Event<Selected> = Event::new("room");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kernel = Kernel::new();
    /// let (mut reader, writer) = std::io::pipe()?;
    /// Session::builder((writer, &b"a long text"[..]))
    ///     .on(START, |cx, ()| cx.select_write(&Watched::new(&cx.heap.0)?, ROOM, ()))
    ///     .on(ROOM, |cx, selected| -> poe::Handled {
    ///         let (writer, rest) = &mut *cx.heap;
    ///         let written = writer.write(&rest[..rest.len().min(4)])?;
    ///         *rest = &rest[written..];
    ///         if rest.is_empty() {
    ///             cx.select_write_clear(&selected.handle); // there will be room for a long time
    ///         }
    ///         Ok(())
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await?;
    /// assert_eq!(std::io::read_to_string(&mut reader)?, "a long text");
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn select_write<X: Clone + 'static>(
        self,
        file: &Watched,
        event: impl Posts<Selected<X>>,
        extra: X,
    ) -> Result<(), Error> {
        self.select_mode(file, SelectMode::Write, event.key(), extra, Location::caller())
    }

    /// The same for as long as there is urgent data.
    ///
    /// # Errors
    /// As [`select_read`](Self::select_read).
    ///
    /// ```
    /// use poe::{Event, Kernel, Selected, Session, Watched, event::{START, STOP}};
    /// use std::net::{TcpListener, TcpStream};
    /// const URGENT: Event<Selected> = Event::new("urgent");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kernel = Kernel::new();
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let client = TcpStream::connect(listener.local_addr()?)?;
    /// Session::builder((listener.accept()?.0, 0))
    ///     .on(START, |cx, ()| cx.select_expedite(&Watched::new(&cx.heap.0)?, URGENT, ()))
    ///     .on(URGENT, |cx, selected| {
    ///         cx.heap.1 += 1;
    ///         cx.select_expedite_clear(&selected.handle);
    ///     })
    ///     .on(STOP, |cx, ()| assert_eq!(cx.heap.1, 1))
    ///     .create(&kernel)?;
    /// socket2::SockRef::from(&client).send_out_of_band(b"!")?;
    /// kernel.run().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn select_expedite<X: Clone + 'static>(
        self,
        file: &Watched,
        event: impl Posts<Selected<X>>,
        extra: X,
    ) -> Result<(), Error> {
        self.select_mode(file, SelectMode::Expedite, event.key(), extra, Location::caller())
    }

    /// Sets or clears all three at once.
    ///
    /// # Errors
    /// As [`select_read`](Self::select_read).
    ///
    /// ```
    /// use poe::{Event, Kernel, SelectMode, Selected, Session, Watched, event::{START, STOP}};
    /// const READY: Event<Selected> = Event::new("ready");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kernel = Kernel::new();
    /// let (near, far) = std::os::unix::net::UnixStream::pair()?;
    /// drop(far); // so there is its end to be read, and an error to be met by writing
    /// Session::builder((near, Vec::new()))
    ///     .on(START, |cx, ()| cx.select(&Watched::new(&cx.heap.0)?, Some(READY), Some(READY), None, ()))
    ///     .on(READY, |cx, selected| {
    ///         cx.heap.1.push(selected.mode);
    ///         if cx.heap.1.len() == 2 {
    ///             cx.select_clear(&selected.handle); // or `select` with three times `None`
    ///         }
    ///     })
    ///     .on(STOP, |cx, ()| assert_eq!(cx.heap.1, [SelectMode::Read, SelectMode::Write]))
    ///     .create(&kernel)?;
    /// kernel.run().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn select<X: Clone + 'static, K: Posts<Selected<X>>>(
        self,
        file: &Watched,
        read: Option<K>,
        write: Option<K>,
        expedite: Option<K>,
        extra: X,
    ) -> Result<(), Error> {
        let place = Location::caller();
        let modes = [SelectMode::Read, SelectMode::Write, SelectMode::Expedite];
        for (mode, event) in modes.into_iter().zip([read, write, expedite]) {
            match event {
                Some(event) => self.select_mode(file, mode, event.key(), extra.clone(), place)?,
                None => {
                    self.core.unwatch(self.frame.session, file, mode);
                }
            }
        }
        Ok(())
    }

    #[track_caller]
    fn select_mode<X: Clone + 'static>(
        self,
        file: &Watched,
        mode: SelectMode,
        key: Key<'_>,
        extra: X,
        place: &'static Location<'static>,
    ) -> Result<(), Error> {
        let alive = self.own_slot();
        let watched = alive.and_then(|_| self.core.watch(self.frame.session, file, mode, key, extra, place));
        self.core.told("select", watched)
    }

    /// Stops watching for something to read, also if that is found ready already (law L76); false if this session did
    /// not watch.
    #[doc(alias = "select_read")]
    pub fn select_read_clear(self, file: &Watched) -> bool {
        self.core.unwatch(self.frame.session, file, SelectMode::Read)
    }

    /// Stops watching for room to write.
    #[doc(alias = "select_write")]
    pub fn select_write_clear(self, file: &Watched) -> bool {
        self.core.unwatch(self.frame.session, file, SelectMode::Write)
    }

    /// Stops watching for urgent data.
    #[doc(alias = "select_expedite")]
    pub fn select_expedite_clear(self, file: &Watched) -> bool {
        self.core.unwatch(self.frame.session, file, SelectMode::Expedite)
    }

    /// Stops watching the descriptor for anything.
    #[doc(alias = "select")]
    pub fn select_clear(self, file: &Watched) {
        self.select_read_clear(file);
        self.select_write_clear(file);
        self.select_expedite_clear(file);
    }

    /// Holds back the events of something to read, those of every session that watches it (law L78); false if none does.
    pub fn select_pause_read(self, file: &Watched) -> bool {
        self.core.pause_files(file, SelectMode::Read, true)
    }

    /// Lets them come again; what came meanwhile is seen then. False if no session watches.
    pub fn select_resume_read(self, file: &Watched) -> bool {
        self.core.pause_files(file, SelectMode::Read, false)
    }

    /// Holds back the events of room to write.
    pub fn select_pause_write(self, file: &Watched) -> bool {
        self.core.pause_files(file, SelectMode::Write, true)
    }

    /// Lets them come again.
    pub fn select_resume_write(self, file: &Watched) -> bool {
        self.core.pause_files(file, SelectMode::Write, false)
    }
}
