//! Readiness of descriptors: Tokio's reactor wakes the task, and a poll without waiting reads the present state.
//!
//! The reactor reports changes only, and only once; the kernel promises the level. So a wake-up is only a hint here.

use super::reactor::register;
use super::runtime::{Home, Pause};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The kind of readiness that is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Want {
    Read,
    Write,
    Priority,
}

impl Want {
    /// Hang-ups and errors count as readiness: the read or write that follows reports them (law L79).
    fn flags(self) -> PollFlags {
        match self {
            Want::Read => PollFlags::IN | PollFlags::HUP | PollFlags::ERR,
            Want::Write => PollFlags::OUT | PollFlags::HUP | PollFlags::ERR,
            Want::Priority => PollFlags::PRI,
        }
    }

    fn interest(self) -> Interest {
        match self {
            Want::Read => Interest::READABLE,
            Want::Write => Interest::WRITABLE,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Want::Priority => Interest::PRIORITY,
            // No other system's reactor reports it: other events on the descriptor wake the kernel.
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            Want::Priority => Interest::READABLE,
        }
    }
}

/// Returns whether each descriptor is ready now.
pub(crate) fn levels(files: &[(BorrowedFd<'_>, Want)]) -> Vec<bool> {
    let mut fds: Vec<PollFd<'_>> = files
        .iter()
        .map(|(fd, want)| PollFd::from_borrowed_fd(*fd, want.flags()))
        .collect();
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    while let Err(error) = poll(&mut fds, Some(&now)) {
        if error != rustix::io::Errno::INTR {
            tracing::error!(target: "poe::files", %error, "poll");
            return vec![false; files.len()];
        }
    }
    let ready = fds.iter().zip(files);
    ready
        .map(|(fd, (_, want))| fd.revents().intersects(want.flags()))
        .collect()
}

/// Sets or clears the flag that makes reads and writes return at once.
///
/// # Errors
/// The system's.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(fd, on)?)
}

/// Device and inode number of a file.
pub(crate) type FileId = (u64, u64);

/// Returns which file a descriptor refers to.
///
/// `None` for files that share one number (eventfd, timerfd …), and where the system does not say.
pub(crate) fn file_id(fd: BorrowedFd<'_>) -> Option<FileId> {
    let stat = rustix::fs::fstat(fd).ok()?;
    let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    #[allow(clippy::unnecessary_cast, reason = "the types differ from system to system")]
    let id = (stat.st_dev as u64, stat.st_ino as u64);
    (kind != rustix::fs::FileType::Unknown && id.1 != 0).then_some(id)
}

/// A duplicate of a descriptor, registered in the reactor.
pub(crate) struct Readiness {
    fd: Rc<AsyncFd<OwnedFd>>,
    want: Want,
    /// The wait, from the first poll until the descriptor is ready.
    waiting: Option<Pin<Box<dyn Future<Output = ()>>>>,
    home: Home,
    /// Runs while the runtime that polls now refuses the registration for lack of descriptors.
    retry: Option<Pause>,
}

/// Delay before a descriptor is registered again with another runtime after a refusal.
const RETRY: Duration = Duration::from_millis(100);

impl Readiness {
    /// Registers a descriptor; `None` for one that is always ready, such as a regular file.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new(fd: BorrowedFd<'_>, want: Want) -> io::Result<Option<Self>> {
        match register(fd.try_clone_to_owned()?, want.interest()) {
            Ok(fd) => Ok(Some(Readiness {
                fd: Rc::new(fd),
                want,
                waiting: None,
                home: Home::here(),
                retry: None,
            })),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Registers the descriptor with the runtime that polls now.
    fn follow_runtime(&mut self) {
        // It holds the other reference to the registration.
        self.waiting = None;
        let again = self.fd.get_ref().try_clone();
        match again.and_then(|fd| register(fd, self.want.interest())) {
            Ok(fd) => self.fd = Rc::new(fd),
            Err(error) => {
                tracing::error!(
                    target: "poe::files", %error,
                    "a watched descriptor cannot be registered with the runtime that runs the kernel now; it is tried again"
                );
                self.home = Home::default();
                self.retry = Some(Pause::new(RETRY));
            }
        }
    }

    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(retry) = &mut self.retry {
                ready!(Pin::new(retry).poll(cx));
                self.retry = None;
            }
            if !self.home.has_moved() {
                break;
            }
            self.follow_runtime();
        }
        let (fd, want) = (&self.fd, self.want);
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(until_ready(fd.clone(), want)));
        let polled = waiting.as_mut().poll(cx);
        if polled.is_ready() {
            self.waiting = None;
        }
        polled
    }
}

async fn until_ready(fd: Rc<AsyncFd<OwnedFd>>, want: Want) {
    while let Ok(mut guard) = fd.ready(want.interest()).await {
        if levels(&[(fd.get_ref().as_fd(), want)]) == [true] {
            return;
        }
        // Clears the readiness that the reactor remembers; a change in the meantime is not lost.
        guard.clear_ready();
    }
    // The runtime is shutting down: nothing will happen any more.
    std::future::pending::<()>().await;
}
