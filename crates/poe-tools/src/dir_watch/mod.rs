//! A directory whose changes are events (POE::Component::DirWatch).

mod differ;
#[cfg(feature = "notify")]
mod hint;
mod scan;
mod session;

use differ::Differ;
use poe::event::{EventKey, Posts};
use poe::extend::{Caller, Start};
use poe::{Error, Kernel, KernelRef, SessionId, Target};
use scan::Scan;
use session::{Events, State, Watch};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Reports the files of a directory: new, modified, removed, renamed, unchanged for a while, or all that are there.
///
/// It lists the directory at intervals and compares. With the crate's feature `notify` the system's file events wake it between; they only
/// wake. So nothing is lost where the system has no such events, as on network file systems, or drops them.
///
/// Each change is one event. It is reported when two listings, [`confirm`](DirWatchBuilder::confirm) apart, agree on it. So a program that reads the
/// file then has its last content, or gets another event for it. A file that is replaced with a rename is modified once, and a rename to a free name is
/// one event too, if [`renamed`](DirWatchBuilder::renamed) is asked for. Several changes between two reports are one: the difference. A file that
/// keeps changing is reported once per interval, at least every half second.
///
/// Files that are there at the start are new. Links count as the files they lead to. Subdirectories are not looked into.
///
/// Events go to the session that starts the watch, and the watch ends with that session; or to the one that
/// [`post_to`](DirWatchBuilder::post_to) names, for which they wait while it is down. The watch keeps its kernel running until
/// [`SHUTDOWN`](crate::SHUTDOWN).
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// use poe_tools::{DirWatch, FileChange};
/// use std::time::Duration;
/// const ARRIVED: Event<FileChange> = Event::new("arrived");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let spool = std::env::temp_dir().join(format!("poe-tools-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&spool)?;
/// # std::fs::write(spool.join("letter.txt"), "hello")?;
/// let kernel = Kernel::new();
/// let watched = spool.clone();
/// Session::builder(None)
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         let watch = DirWatch::builder(&watched)
///             .interval(Duration::from_secs(1))
///             .filter(|name| name.to_string_lossy().ends_with(".txt"))
///             .unchanged_for(Duration::from_millis(100), ARRIVED); // when its writer seems to be done
///         *cx.heap = Some(cx.start(watch)?);
///         Ok(())
///     })
///     .on(ARRIVED, |cx, file| -> poe::HandlerResult {
///         println!("{}: {} bytes", file.path.display(), file.len);
///         std::fs::remove_file(file.path)?;
///         if let Some(watch) = cx.heap.take() {
///             watch.shutdown(cx);
///         }
///         Ok(())
///     })
///     .create(&kernel)?;
/// kernel.run().await?;
/// # std::fs::remove_dir(&spool)?;
/// # Ok(())
/// # }
/// ```
#[doc(alias = "POE::Component::DirWatch")]
#[doc(alias = "POE::Component::DirWatch::Object")]
#[doc(alias = "inotify")]
#[derive(Clone, Debug)]
pub struct DirWatch {
    session: SessionId,
}

impl DirWatch {
    /// Starts building a watch of a directory, which need not exist yet.
    pub fn builder(directory: impl Into<PathBuf>) -> DirWatchBuilder {
        DirWatchBuilder {
            alias: None,
            target: None,
            interval: Duration::from_secs(1),
            confirm: Duration::from_millis(50),
            quiet: None,
            scan: Scan {
                directory: directory.into(),
                filter: None,
                directories: false,
                max_entries: 100_000,
            },
            events: Events::default(),
        }
    }

    /// Stops listing until [`resume`](Self::resume). What changes meanwhile is reported then.
    #[track_caller]
    pub fn pause(&self, cx: &KernelRef<'_>) {
        // It may have ended.
        let _ = cx.post(self.session, session::PAUSE, true);
    }

    /// Lists again.
    #[track_caller]
    pub fn resume(&self, cx: &KernelRef<'_>) {
        let _ = cx.post(self.session, session::PAUSE, false);
    }

    /// Lists the directory now, and not at the end of the interval.
    #[track_caller]
    pub fn scan_now(&self, cx: &KernelRef<'_>) {
        let _ = cx.post(self.session, session::SCAN_NOW, ());
    }

    /// Ends the watch, with an event ([`SHUTDOWN`](crate::SHUTDOWN)). What was not reported is not reported any more.
    #[track_caller]
    pub fn shutdown(&self, cx: &KernelRef<'_>) {
        let _ = cx.post(self.session, crate::SHUTDOWN, ());
    }

    /// Returns the watch's session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }
}

/// A file that has changed: the argument of the events of a [`DirWatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileChange {
    /// The file, in the directory as it was given to the builder.
    pub path: PathBuf,
    /// The name that it had before a rename.
    pub from: Option<PathBuf>,
    /// Its length in bytes, as listed; the last one of a file that was removed.
    pub len: u64,
    /// When its content was modified.
    pub modified: SystemTime,
    /// It is a directory ([`DirWatchBuilder::directories`]).
    pub is_dir: bool,
}

/// The directory cannot be listed. What is known of its files stays.
#[derive(Debug)]
pub struct DirWatchError {
    directory: PathBuf,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Io(io::Error),
    TooMany(usize),
}

impl DirWatchError {
    fn io(directory: &Path, error: io::Error) -> Self {
        let directory = directory.to_owned();
        DirWatchError {
            directory,
            cause: Cause::Io(error),
        }
    }

    fn too_many(directory: &Path, limit: usize) -> Self {
        let directory = directory.to_owned();
        DirWatchError {
            directory,
            cause: Cause::TooMany(limit),
        }
    }

    /// Returns the directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the system's error, if it is one.
    #[must_use]
    pub fn as_io(&self) -> Option<&io::Error> {
        match &self.cause {
            Cause::Io(error) => Some(error),
            Cause::TooMany(_) => None,
        }
    }

    /// There are more files than [`DirWatchBuilder::max_entries`].
    #[must_use]
    pub fn is_too_many(&self) -> bool {
        matches!(self.cause, Cause::TooMany(_))
    }
}

impl fmt::Display for DirWatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot list {}: ", self.directory.display())?;
        match &self.cause {
            Cause::Io(error) => error.fmt(f),
            Cause::TooMany(limit) => write!(
                f,
                "it has more than {limit} files: filter them, or raise `DirWatchBuilder::max_entries`"
            ),
        }
    }
}

impl std::error::Error for DirWatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Io(error) => Some(error),
            Cause::TooMany(_) => None,
        }
    }
}

/// Configures a [`DirWatch`]. Each kind of change is an event that you name.
///
/// | setting | default |
/// |---|---|
/// | [`interval`](Self::interval) | 1 s |
/// | [`confirm`](Self::confirm) | 50 ms |
/// | [`filter`](Self::filter) | all names |
/// | [`directories`](Self::directories) | files only |
/// | [`max_entries`](Self::max_entries) | 100 000 |
/// | [`post_to`](Self::post_to) | the session that starts it |
/// | [`alias`](Self::alias) | one that is made of the session's number |
#[must_use = "nothing happens until `start` is called"]
pub struct DirWatchBuilder {
    alias: Option<String>,
    target: Option<Target<'static>>,
    interval: Duration,
    confirm: Duration,
    quiet: Option<Duration>,
    scan: Scan,
    events: Events,
}

impl DirWatchBuilder {
    /// Sets the event for files that are new, and for those that are there at the start.
    pub fn new_file(mut self, event: impl Posts<FileChange>) -> Self {
        self.events.new = Some(EventKey::new(event));
        self
    }

    /// Sets the event for files whose content, length or attributes have changed, or that were replaced.
    pub fn modified(mut self, event: impl Posts<FileChange>) -> Self {
        self.events.modified = Some(EventKey::new(event));
        self
    }

    /// Sets the event for files that are gone.
    pub fn removed(mut self, event: impl Posts<FileChange>) -> Self {
        self.events.removed = Some(EventKey::new(event));
        self
    }

    /// Sets the event for files that got another name in this directory. Without it, or if the file was written as well, that is a removal and
    /// a new file.
    ///
    /// On Unix, where files have numbers; elsewhere it never comes. A rename to a name that was taken is a removal and a modification.
    pub fn renamed(mut self, event: impl Posts<FileChange>) -> Self {
        self.events.renamed = Some(EventKey::new(event));
        self
    }

    /// Sets the event for files that have not changed for a while since they were reported, once after each change.
    ///
    /// It is for a directory into which others write files that you take when they are complete.
    #[doc(alias = "Unmodified")]
    pub fn unchanged_for(mut self, time: Duration, event: impl Posts<FileChange>) -> Self {
        self.quiet = Some(time);
        self.events.settled = Some(EventKey::new(event));
        self
    }

    /// Sets the event for each file that is there, at each interval until it is removed.
    #[doc(alias = "file_callback")]
    pub fn present(mut self, event: impl Posts<FileChange>) -> Self {
        self.events.present = Some(EventKey::new(event));
        self
    }

    /// Sets the event for a directory that cannot be listed. It comes once until the directory can be listed again.
    ///
    /// Without it, that is logged.
    pub fn error(mut self, event: impl Posts<DirWatchError>) -> Self {
        self.events.error = Some(EventKey::new(event));
        self
    }

    /// Sets the time between two listings if nothing changes; at least 10 ms.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_millis(10));
        self
    }

    /// Sets how long a change must be the same before it is reported; at least a millisecond.
    ///
    /// It must be longer than the granularity of the file system's time stamps, or a second change within that may be lost: a
    /// clock tick of 1 to 10 ms on most, 2 s on FAT.
    pub fn confirm(mut self, time: Duration) -> Self {
        self.confirm = time.max(Duration::from_millis(1));
        self
    }

    /// Lists only files whose names pass. The function runs on another thread.
    pub fn filter(mut self, filter: impl Fn(&OsStr) -> bool + Send + Sync + 'static) -> Self {
        self.scan.filter = Some(Arc::new(filter));
        self
    }

    /// Reports directories as well as files.
    #[doc(alias = "dir_callback")]
    pub fn directories(mut self) -> Self {
        self.scan.directories = true;
        self
    }

    /// Sets how many files are listed. More are an error, and nothing else is reported.
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.scan.max_entries = entries;
        self
    }

    /// Posts the events to a session, by alias or ID. While there is none they wait, and nothing is listed.
    pub fn post_to(mut self, session: impl Into<Target<'static>>) -> Self {
        self.target = Some(session.into());
        self
    }

    /// Sets the alias of the watch's session.
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    /// Starts the watch, below the kernel; [`post_to`](Self::post_to) must have named a session.
    ///
    /// # Errors
    /// No session was named; the alias is taken; a handler is running (use [`cx.start(builder)`](poe::Context::start)); the kernel is shutting
    /// down.
    #[track_caller]
    pub fn start(self, kernel: &Kernel) -> Result<DirWatch, Error> {
        if self.target.is_none() {
            let what =
                "a DirWatch that is started outside of handlers has no session to report to: name one with `post_to`";
            return Err(Error::invalid_setting(what));
        }
        self.start_by(&mut { kernel })
    }
}

impl Start for DirWatchBuilder {
    type Started = DirWatch;

    #[track_caller]
    fn start_by(self, caller: &mut impl Caller) -> Result<DirWatch, Error> {
        let now = Instant::now();
        let mut differ = Differ::new(self.confirm, self.interval.max(Duration::from_millis(500)));
        (differ.quiet, differ.renames) = (self.quiet, self.events.renamed.is_some());
        let watch = Watch {
            alias: self.alias,
            follows: false,
            target: self.target,
            interval: self.interval,
            scan: self.scan,
            events: self.events,
            differ,
            began: now,
            reports: VecDeque::new(),
            state: State::Scans,
            scanning: None,
            last: now,
            next_poll: now,
            is_failing: false,
            #[cfg(feature = "notify")]
            hint: None,
        };
        let session = caller.create(session::session(watch))?;
        Ok(DirWatch { session })
    }
}

impl fmt::Debug for DirWatchBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirWatchBuilder")
            .field("directory", &self.scan.directory)
            .field("interval", &self.interval)
            .field("confirm", &self.confirm)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
