//! Watching descriptors, pausing, and clearing (POE's `select` methods).

use super::{SelectMode, Selected, Watch, WatchTask, Watched};
use crate::arg::AnyArg;
use crate::error::{Error, ErrorKind};
use crate::event::Posts;
use crate::id::{Place, SessionId};
use crate::kernel::task::Purpose;
use crate::kernel::{Core, KernelRef};
use crate::name::{HeldName, Key};
use crate::resource::HoldKind;
use std::cell::Cell;
use std::io;
use std::panic::Location;
use std::rc::Rc;

/// File watchers. Each keeps its session alive, paused or not. (On Unix only: elsewhere wheels do this, or
/// [`spawn`](KernelRef::spawn) with Tokio's own I/O.)
///
/// ```
/// # use poe::{Event, Kernel, Session, event::{START, STOP}, unix::{SelectMode, Selected, Watched}};
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
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let file = Watched::new(&cx.heap.0)?;
///         cx.select(&file, SelectMode::Read, READABLE, ())?;
///         assert!(cx.select_pause(&file, SelectMode::Read)); // the session lives on, and nothing comes
///         cx.yield_to(GO_ON, file);
///         Ok(())
///     })
///     .on(GO_ON, |cx, file| {
///         cx.heap.1 += "resumed: ";
///         assert!(cx.select_resume(&file, SelectMode::Read));
///     })
///     .on(READABLE, |cx, selected| -> poe::HandlerResult {
///         let (reader, text) = &mut *cx.heap;
///         reader.read_to_string(text)?;
///         assert!(cx.select_clear(&selected.handle, SelectMode::Read)); // or the end would be reported in every slice
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
/// # use poe::{Event, Kernel, Session, event::START, unix::{SelectMode, Selected, Watched}};
/// # const READY: Event<Selected> = Event::new("ready");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// # let kernel = Kernel::new();
/// # let stream = std::os::unix::net::UnixStream::pair().unwrap().0;
/// # Session::builder(stream)
/// # .on(START, |cx, ()| -> poe::HandlerResult {
/// let file = Watched::new(&*cx.heap)?;
/// assert!(!cx.select_pause(&file, SelectMode::Write)); // nobody watches it in that mode
/// cx.select(&file, SelectMode::Write, READY, ())?;
/// cx.select(&file, SelectMode::Expedite, READY, ())?;
/// assert!(cx.select_pause(&file, SelectMode::Write)); // there is nothing to write …
/// assert!(cx.select_resume(&file, SelectMode::Write)); // … and now there is
/// assert!(cx.select_clear(&file, SelectMode::Write));
/// assert!(cx.select_clear(&file, SelectMode::Expedite));
/// assert!(!cx.select_clear(&file, SelectMode::Expedite)); // this session watches it no longer
/// cx.select_clear(&file, None); // whatever is left
/// # assert_eq!(cx.snapshot().session(cx.session_id()).unwrap().files.len(), 0);
/// # Ok(())
/// # })
/// # .on(READY, |_, _| panic!("nobody watches"))
/// # .create(&kernel)?;
/// # kernel.run().await
/// # }
/// ```
impl KernelRef<'_> {
    /// Delivers `event` while the descriptor is ready in that mode: bytes, the end, or an error (laws L75, L79).
    ///
    /// It comes in the I/O phase of each slice, ahead of the queue. A regular file is always readable.
    ///
    /// A second call for the same descriptor and mode replaces event and extra, and resumes the watcher.
    ///
    /// # Errors
    /// The session has been stopped; the kernel is on virtual time. (A refusal of the system raises `DIE`.)
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START, unix::{SelectMode, Selected, Watched}};
    /// use std::io::{Read, Write};
    /// const ROOM: Event<Selected> = Event::new("room");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kernel = Kernel::new();
    /// let (mut reader, writer) = std::io::pipe()?;
    /// Session::builder((writer, &b"a long text"[..]))
    ///     .on(START, |cx, ()| cx.select(&Watched::new(&cx.heap.0)?, SelectMode::Write, ROOM, ()))
    ///     .on(ROOM, |cx, selected| -> poe::HandlerResult {
    ///         let (writer, rest) = &mut *cx.heap;
    ///         let written = writer.write(&rest[..rest.len().min(4)])?;
    ///         *rest = &rest[written..];
    ///         if rest.is_empty() {
    ///             cx.select_clear(&selected.handle, SelectMode::Write); // there will be room for a long time
    ///         }
    ///         Ok(())
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await?;
    /// assert_eq!(std::io::read_to_string(&mut reader)?, "a long text");
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "select_read")]
    #[doc(alias = "select_write")]
    #[doc(alias = "select_expedite")]
    #[track_caller]
    pub fn select<X: Clone + 'static>(
        self,
        file: &Watched,
        mode: SelectMode,
        event: impl Posts<Selected<X>>,
        extra: X,
    ) -> Result<(), Error> {
        let place = Location::caller();
        let alive = self.own_slot();
        let watched = alive.and_then(|_| {
            self.core
                .watch(self.frame.session, file, mode, event.key(), extra, place)
        });
        self.core.logged("select", watched)
    }

    /// Stops watching the descriptor in one mode, or (`None`) in all, also if it is ready already (law L76).
    ///
    /// Returns false if this session did not watch it so.
    #[doc(alias = "select")]
    #[doc(alias = "select_read")]
    #[doc(alias = "select_write")]
    #[doc(alias = "select_expedite")]
    pub fn select_clear(self, file: &Watched, mode: impl Into<Option<SelectMode>>) -> bool {
        let unwatch = |mode| self.core.unwatch(self.frame.session, file, mode);
        match mode.into() {
            Some(mode) => unwatch(mode),
            None => [SelectMode::Read, SelectMode::Write, SelectMode::Expedite]
                .map(unwatch)
                .contains(&true),
        }
    }

    /// Pauses these events of every session that watches the descriptor (law L78); false if none does.
    #[doc(alias = "select_pause_read")]
    #[doc(alias = "select_pause_write")]
    pub fn select_pause(self, file: &Watched, mode: SelectMode) -> bool {
        self.core.pause_files(file, mode, true)
    }

    /// Resumes the events; readiness that came meanwhile is seen then. False if no session watches.
    #[doc(alias = "select_resume_read")]
    #[doc(alias = "select_resume_write")]
    pub fn select_resume(self, file: &Watched, mode: SelectMode) -> bool {
        self.core.pause_files(file, mode, false)
    }
}

impl Core {
    fn watch<X: Clone + 'static>(
        &self,
        owner: SessionId,
        watched: &Watched,
        mode: SelectMode,
        key: Key<'_>,
        extra: X,
        place: Place,
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
            ready: Cell::new(false),
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
        self.selects.mark_ready(&watch);
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
                self.selects.mark_ready(watch);
            }
        }
        if !pause {
            self.wake_host();
        }
        !watches.is_empty()
    }
}

pub(super) fn io_error(operation: &'static str, error: io::Error) -> Error {
    ErrorKind::Io { operation, error }.into()
}
