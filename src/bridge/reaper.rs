//! Children that this crate reaps, and the one thread that reaps those that no running kernel watches.
//!
//! A kernel sees the ends of its children while it runs. Children that go on when its run is over, or when it is dropped, are passed
//! to a thread, one for the whole process, which exists as long as it has something to wait for. Both may ask for the end of a
//! child: the first that asks after the end reaps it, and the status is kept for the other.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the thread waits between two looks at a child whose end the system does not report.
const LOOK: Duration = Duration::from_millis(250);

/// A child that this crate owns. Clones are the same child.
#[derive(Clone)]
pub(crate) struct OwnChild(Arc<Mutex<ChildState>>);

struct ChildState {
    child: Child,
    /// Set when the child was reaped; without a status if other code has taken that.
    end: Option<Option<ExitStatus>>,
    /// The thread waits for it.
    watched: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OwnChild {
    pub(crate) fn new(child: Child) -> Self {
        OwnChild(Arc::new(Mutex::new(ChildState {
            child,
            end: None,
            watched: false,
        })))
    }

    /// Returns how the child ended, if it has; reaps it.
    pub(crate) fn end(&self) -> Option<Option<ExitStatus>> {
        let mut state = lock(&self.0);
        if state.end.is_none() {
            state.end = match state.child.try_wait() {
                Ok(None) => None,
                Ok(status) => Some(status),
                Err(_) => Some(None),
            };
        }
        state.end
    }

    /// Calls `f` if the child is not reaped, so that its number is still its own until `f` returns.
    pub(crate) fn if_there<T>(&self, f: impl FnOnce() -> T) -> Option<T> {
        let state = lock(&self.0);
        state.end.is_none().then(f)
    }
}

static REAPER: Mutex<Option<Reaper>> = Mutex::new(None);

/// The thread, as long as it exists.
struct Reaper {
    /// Children that the thread has not taken over yet.
    new: Vec<OwnChild>,
    wake: PipeWriter,
}

/// Has the thread reap these children when they end. Those that it waits for already are skipped.
pub(crate) fn reap_later(children: impl IntoIterator<Item = OwnChild>) {
    let is_new = |child: &OwnChild| child.end().is_none() && !std::mem::replace(&mut lock(&child.0).watched, true);
    let children: Vec<OwnChild> = children.into_iter().filter(is_new).collect();
    if children.is_empty() {
        return;
    }
    let mut reaper = lock(&REAPER);
    match &mut *reaper {
        Some(reaper) => {
            reaper.new.extend(children);
            // It cannot be full: the thread empties it before it looks for new children, and one byte is enough to wake it.
            let _ = reaper.wake.write(&[0]);
        }
        none => match start() {
            Ok(wake) => *none = Some(Reaper { new: children, wake }),
            // They stay as they are until this process ends or another caller asks. It cannot be logged: a kernel in a thread-local is
            // dropped when the subscriber's own thread-locals may be gone.
            Err(_) => children.iter().for_each(|child| lock(&child.0).watched = false),
        },
    }
}

/// The thread begins when the lock on [`REAPER`] is released.
fn start() -> io::Result<PipeWriter> {
    let (woken, wake) = io::pipe()?;
    let thread = std::thread::Builder::new().name("poe-reaper".to_owned());
    thread.stack_size(64 * 1024).spawn(move || reap(woken))?;
    Ok(wake)
}

fn reap(mut woken: PipeReader) {
    let mut watched: Vec<Watched> = Vec::new();
    loop {
        {
            let mut reaper = lock(&REAPER);
            let new = reaper.as_mut().map(|reaper| std::mem::take(&mut reaper.new));
            watched.extend(new.into_iter().flatten().map(Watched::new));
            watched.retain(|watched| watched.child.end().is_none());
            if watched.is_empty() {
                // Under the lock, so that no other child is passed over meanwhile.
                *reaper = None;
                return;
            }
        }
        if imp::wait(&woken, &mut watched) {
            let mut bytes = [0; 64];
            let _ = woken.read(&mut bytes);
        }
    }
}

/// A child that the thread waits for.
struct Watched {
    child: OwnChild,
    /// Readable when the child has ended.
    #[cfg(target_os = "linux")]
    pidfd: Option<std::os::fd::OwnedFd>,
}

impl Watched {
    fn new(child: OwnChild) -> Self {
        #[cfg(target_os = "linux")]
        let pid = i32::try_from(lock(&child.0).child.id()).unwrap_or(0);
        Watched {
            child,
            #[cfg(target_os = "linux")]
            pidfd: rustix::process::Pid::from_raw(pid)
                .and_then(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()),
        }
    }
}

mod imp {
    use super::{LOOK, Watched};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::io::PipeReader;
    use std::os::fd::AsFd;

    /// Waits until a child may have ended; returns true if there are new ones.
    pub(super) fn wait(woken: &PipeReader, watched: &mut [Watched]) -> bool {
        let look = Timespec {
            tv_sec: 0,
            tv_nsec: LOOK.as_nanos() as _,
        };
        let mut fds = vec![PollFd::from_borrowed_fd(woken.as_fd(), PollFlags::IN)];
        #[cfg(target_os = "linux")]
        {
            let pidfds = watched.iter().filter_map(|watched| watched.pidfd.as_ref());
            fds.extend(pidfds.map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)));
        }
        let all_are_told = fds.len() == watched.len() + 1;
        let timeout = if all_are_told { None } else { Some(&look) };
        let result = poll(&mut fds, timeout);
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let Ok(_) = result else {
            // Interrupted, usually; for any other reason the loop must not spin.
            std::thread::sleep(std::time::Duration::from_millis(1));
            return false;
        };
        #[cfg(target_os = "linux")]
        {
            let mut ready = ready[1..].iter();
            for watched in watched {
                // A child whose pidfd is ready but which has not ended is polled instead.
                if watched.pidfd.is_some() && ready.next() == Some(&true) && watched.child.end().is_none() {
                    watched.pidfd = None;
                }
            }
        }
        ready[0]
    }
}
