//! Registers descriptors in Tokio's reactor.
//!
//! Beside `wheel/run/exec.rs` this is the only file with unsafe code: registering is an unsafe function.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

#[cfg(target_os = "linux")]
pub(crate) use timer::Timer;

/// Registers a descriptor.
///
/// # Errors
/// The system's: it has no room, or (`EPERM`) descriptors of this kind have no readiness.
///
/// # Panics
/// Outside a Tokio runtime that drives I/O.
#[allow(unsafe_code)]
pub(super) fn register(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by the `AsyncFd` alone until that is dropped, and an `OwnedFd` gives the same
    // number at every call.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}

/// Registers a descriptor with several owners.
///
/// # Errors
/// As [`register`].
///
/// # Panics
/// Outside a Tokio runtime that drives I/O.
#[allow(unsafe_code)]
pub(super) fn register_shared(fd: Rc<OwnedFd>, interest: Interest) -> io::Result<AsyncFd<Rc<OwnedFd>>> {
    // SAFETY: the `AsyncFd` is one of the owners, so the descriptor is open as long as it lives, and an `OwnedFd` gives
    // the same number at every call.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}

#[cfg(target_os = "linux")]
mod timer {
    use super::register;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use std::io;
    use std::os::fd::OwnedFd;
    use std::task::{Context, Poll, ready};
    use std::time::Duration;
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// A timerfd.
    pub(crate) struct Timer {
        fd: AsyncFd<OwnedFd>,
    }

    impl Timer {
        /// Makes a timer that is not armed.
        ///
        /// # Errors
        /// The system's, when no descriptor is left.
        ///
        /// # Panics
        /// Outside a Tokio runtime that drives I/O.
        pub(crate) fn new() -> io::Result<Self> {
            let fd = timerfd_create(
                TimerfdClockId::Monotonic,
                TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
            )?;
            let fd = register(fd, Interest::READABLE)?;
            Ok(Timer { fd })
        }

        /// Arms the wake-up. The system forgets an earlier one, also one that has come and was not read.
        pub(crate) fn arm(&mut self, after: Duration) {
            // Zero would disarm it.
            let after = after.max(Duration::from_nanos(1));
            self.set(Timespec {
                tv_sec: after.as_secs() as i64,
                tv_nsec: after.subsec_nanos().into(),
            });
        }

        pub(crate) fn disarm(&self) {
            self.set(Timespec { tv_sec: 0, tv_nsec: 0 });
        }

        fn set(&self, value: Timespec) {
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let spec = Itimerspec {
                it_interval: zero,
                it_value: value,
            };
            if let Err(error) = timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::empty(), &spec) {
                // Only a bug can make the arguments invalid; without a wake-up the queue would hang, so log it as an error.
                tracing::error!(target: "poe::timers", %error, "timerfd_settime");
            }
        }

        /// Ready when the timer has expired since it was armed.
        pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
            loop {
                let Ok(mut guard) = ready!(self.fd.poll_read_ready_mut(cx)) else {
                    return Poll::Ready(());
                };
                let mut expirations = [0_u8; 8];
                match rustix::io::read(guard.get_inner(), &mut expirations) {
                    Ok(_) => return Poll::Ready(()),
                    Err(rustix::io::Errno::AGAIN) => guard.clear_ready(),
                    Err(_) => return Poll::Ready(()),
                }
            }
        }
    }
}
