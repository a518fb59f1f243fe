//! The followed file: a plain file, which is polled, or a stream, which is read when it is ready.

use crate::bridge::files::{Readiness, Want, set_nonblocking};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

/// The file that the builder was given.
#[derive(Debug)]
pub(super) enum Target {
    Name(PathBuf),
    Handle(OwnedFd),
}

/// Where reading begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    /// After the present content.
    Skip,
    /// At an offset from the beginning.
    At(u64),
    /// At an offset from the end.
    Back(u64),
}

pub(super) enum Source {
    File(File, Metadata),
    Stream(Stream),
}

pub(super) struct Stream {
    pub(super) file: File,
    pub(super) ready: Readiness,
    /// The end of a pipe is not an error.
    pub(super) is_pipe: bool,
}

impl Target {
    /// Returns the path, if it is followed by name, and the file that has the name now.
    pub(super) fn open(self) -> io::Result<(Option<PathBuf>, Option<Source>)> {
        match self {
            Target::Handle(fd) => Ok((None, Some(of_file(File::from(fd))?))),
            Target::Name(path) => match open(&path) {
                Ok(source) => Ok((Some(path), Some(source))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((Some(path), None)),
                Err(error) => Err(error),
            },
        }
    }
}

/// Opens a path without waiting for anything: neither for the other side of a fifo, nor for a device to be ready.
pub(super) fn open(path: &Path) -> io::Result<Source> {
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY).bits() as i32;
    let open = |writes: bool| {
        OpenOptions::new()
            .read(true)
            .write(writes)
            .custom_flags(flags)
            .open(path)
    };
    // A fifo that this process can write to has no end when its writers leave.
    let is_fifo = std::fs::metadata(path)?.file_type().is_fifo();
    let file = match open(is_fifo) {
        // Only reading is permitted, so its end is visible.
        Err(error) if is_fifo && error.kind() == io::ErrorKind::PermissionDenied => open(false)?,
        opened => opened?,
    };
    of_file(file)
}

/// Whether a file with size 0 has contents.
pub(super) fn has_content(path: &Path) -> bool {
    match open(path) {
        Ok(Source::File(file, _)) => matches!(file.read_at(&mut [0], 0), Ok(1)),
        _ => false,
    }
}

fn of_file(file: File) -> io::Result<Source> {
    let found = file.metadata()?;
    let kind = found.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // Some of the system's own files wait for later content, and look like plain files.
    set_nonblocking(file.as_fd(), true)?;
    if kind.is_file() || kind.is_block_device() {
        return Ok(Source::File(file, found));
    }
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(io::Error::other("sockets, pipes and terminals need a Tokio runtime"));
    }
    match Readiness::new(file.as_fd(), Want::Read)? {
        Some(ready) => Ok(Source::Stream(Stream {
            file,
            ready,
            is_pipe: kind.is_fifo(),
        })),
        None => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "it is not a plain file and cannot be waited for",
        )),
    }
}

/// The data that tell one file from another, and an older state from a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    device: u64,
    inode: u64,
    /// Only for device files.
    special: u64,
    links: u64,
    pub(super) size: u64,
    pub(super) is_plain: bool,
}

impl Seen {
    pub(super) fn of(found: &Metadata) -> Self {
        let kind = found.file_type();
        let is_device = kind.is_block_device() || kind.is_char_device();
        Seen {
            device: found.dev(),
            inode: found.ino(),
            special: if is_device { found.rdev() } else { 0 },
            links: found.nlink(),
            size: found.size(),
            is_plain: kind.is_file(),
        }
    }

    pub(super) fn is_same_file(&self, other: &Seen) -> bool {
        (self.device, self.inode, self.special) == (other.device, other.inode, other.special)
    }

    pub(super) fn same_links(&self, other: &Seen) -> bool {
        self.links == other.links
    }
}

/// Wakes the wheel before its next look: the system's file events, if enabled.
#[derive(Default)]
pub(super) struct Hint {
    shared: Option<Arc<HintState>>,
    #[cfg(feature = "notify")]
    _watcher: Option<notify::RecommendedWatcher>,
}

#[derive(Default)]
struct HintState {
    changed: AtomicBool,
    waker: std::sync::Mutex<Option<Waker>>,
}

impl Hint {
    /// Watches the folder, since the name may refer to another file later. Without the system's help it never wakes.
    #[cfg(feature = "notify")]
    pub(super) fn watching(path: &Path) -> Self {
        use notify::{RecursiveMode, Watcher};
        let shared = Arc::new(HintState::default());
        let changed = shared.clone();
        let name = path.file_name().map(ToOwned::to_owned);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // The wheel's own reads are events, too.
            let is_ours = event.is_ok_and(|event| {
                !event.kind.is_access() && event.paths.iter().any(|path| path.file_name() == name.as_deref())
            });
            if is_ours {
                changed.notify();
            }
        });
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let watching = watcher.and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match watching {
            Ok(watcher) => Hint {
                shared: Some(shared),
                _watcher: Some(watcher),
            },
            Err(error) => {
                tracing::debug!(target: "poe::files", %error, "no file events: changes are found with polling only");
                Hint::default()
            }
        }
    }

    /// Returns true if something has changed since the last call; otherwise `waker` will be woken.
    pub(super) fn take(&self, waker: &Waker) -> bool {
        let Some(shared) = &self.shared else { return false };
        if let Ok(mut slot) = shared.waker.lock() {
            match &*slot {
                Some(old) if old.will_wake(waker) => {}
                _ => *slot = Some(waker.clone()),
            }
        }
        shared.changed.swap(false, Ordering::AcqRel)
    }
}

impl HintState {
    #[cfg_attr(not(feature = "notify"), allow(dead_code))]
    fn notify(&self) {
        self.changed.store(true, Ordering::Release);
        let waker = self.waker.lock().ok().and_then(|mut slot| slot.take());
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
