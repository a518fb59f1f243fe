//! Child processes, which are looked at but never taken from the code that waits for them.
//!
//! The status of a child that has exited is read with `WNOWAIT`, which leaves it to be reaped by its `std::process::Child`,
//! by Tokio's, or by the code that started it.

use super::files::{Readiness, Want};
use super::os_signals;
use crate::name::signal_name;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process, test_kill_process_group};
use std::io;
use std::process::ExitStatus;

/// The state of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessState {
    /// A child of this process that runs, or is stopped.
    Running,
    /// A child of this process that has ended and is not reaped yet.
    Exited(ExitStatus),
    /// Not a child of this process, or not any more.
    NotOurs,
}

fn pid_of(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Returns the state of a process.
///
/// # Errors
/// The system's, except that it is not a child of this process.
pub(crate) fn process_state(pid: u32) -> io::Result<ProcessState> {
    match pid_of(pid) {
        Some(pid) => imp::peek(Some(pid)),
        None => Ok(ProcessState::NotOurs),
    }
}

/// Whether any child runs, on systems that do not list them.
///
/// Returns false if a child has ended and is not reaped, because its end was reported already.
pub(crate) fn any_runs() -> bool {
    matches!(imp::peek(None), Ok(ProcessState::Running))
}

/// Whether a process with this number exists, a child or not.
pub(crate) fn exists(pid: u32) -> bool {
    match pid_of(pid).map(test_kill_process) {
        None | Some(Err(Errno::SRCH)) => false,
        Some(_) => true,
    }
}

/// Whether the process group with this number has members, including members that have ended and are not reaped.
pub(crate) fn group_exists(pid: u32) -> bool {
    match pid_of(pid).map(test_kill_process_group) {
        None | Some(Err(Errno::SRCH)) => false,
        Some(_) => true,
    }
}

/// Returns a signal's number for its name, with or without `SIG`.
pub(crate) fn signal_number(name: &str) -> Option<Signal> {
    Some(match signal_name(name) {
        "KILL" => Signal::KILL,
        "STOP" => Signal::STOP,
        "SEGV" => Signal::SEGV,
        "BUS" => Signal::BUS,
        "ILL" => Signal::ILL,
        "FPE" => Signal::FPE,
        "TRAP" => Signal::TRAP,
        name => return os_signals::number(name),
    })
}

/// Sends a signal to a process, or to the process group that it leads. Returns false if there is none.
///
/// # Errors
/// The system's.
pub(crate) fn send_signal(pid: u32, signal: Signal, group: bool) -> io::Result<bool> {
    let Some(pid) = pid_of(pid) else { return Ok(false) };
    let sent = match group {
        true => kill_process_group(pid, signal),
        false => kill_process(pid, signal),
    };
    match sent {
        Ok(()) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Makes the system keep the status of a child that ends until it is read.
///
/// A process that was started with SIGCHLD ignored would never learn of an end. Tokio's handler, which does nothing that matters
/// here, replaces the ignoring; if the signal has its default action, nothing is changed.
///
/// # Panics
/// In a Tokio runtime that does not drive I/O.
pub(crate) fn keep_statuses() {
    if !ignores_child_signal() || tokio::runtime::Handle::try_current().is_err() {
        return;
    }
    use tokio::signal::unix::{SignalKind, signal};
    // The stream is not read. The handler stays when the stream is dropped.
    if let Err(error) = signal(SignalKind::child()) {
        tracing::warn!(target: "poe::processes", %error, "SIGCHLD stays ignored: the statuses of children will not be known");
    }
}

/// Whether SIGCHLD is ignored, as far as the system tells; where it does not, SIGCHLD reports children anyway.
fn ignores_child_signal() -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    let status = std::fs::read_to_string("/proc/self/status");
    let ignored = status.as_deref().ok().and_then(ignored_signals);
    ignored.is_none_or(|ignored| ignored >> (Signal::CHILD.as_raw() - 1) & 1 == 1)
}

/// Parses the set of ignored signals from the text of a process's `status`; the lowest bit is signal 1.
fn ignored_signals(status: &str) -> Option<u64> {
    let digits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?.trim();
    // On MIPS there are 128 signals.
    u64::from_str_radix(digits.get(digits.len().checked_sub(16)?..)?, 16).ok()
}

/// Runs `f` with `added` added to its priority number, as far as the system allows; programs it starts inherit that.
///
/// On Linux priorities belong to a thread, so `f` runs on a thread that ends afterwards. Elsewhere they belong to the process, and
/// `f` runs unchanged.
pub(crate) fn with_priority<T: Send>(added: i32, f: impl FnOnce() -> T + Send) -> T {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let own = getpriority_process(None).unwrap_or(0);
                if let Err(error) = setpriority_process(None, own.saturating_add(added)) {
                    tracing::debug!(target: "poe::processes", %error, "the priority stays as it is");
                }
                f()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = added;
        f()
    }
}

/// Returns all children, including those that have ended and are not reaped; `None` where the system does not list them.
#[cfg(target_os = "linux")]
pub(crate) fn children() -> Option<Vec<u32>> {
    let mut found = Vec::new();
    // A child belongs to the thread that made it.
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        let list = std::fs::read_to_string(thread.ok()?.path().join("children"));
        // The thread may have ended meanwhile; its children belong to another thread then.
        let Ok(list) = list else { continue };
        found.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    found.sort_unstable();
    found.dedup();
    Some(found)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn children() -> Option<Vec<u32>> {
    None
}

/// Returns a descriptor that becomes ready when the process ends.
///
/// # Errors
/// The system's: there is no such process (`ESRCH`), it does not support this (`ENOSYS`), no descriptor is left.
///
/// # Panics
/// Outside a Tokio runtime that drives I/O.
#[cfg(target_os = "linux")]
pub(crate) fn end_of(pid: u32) -> io::Result<Readiness> {
    use rustix::process::{PidfdFlags, pidfd_open};
    use std::os::fd::AsFd;

    let pid = pid_of(pid).ok_or(Errno::SRCH)?;
    let fd = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
    Readiness::new(fd.as_fd(), Want::Read)?.ok_or_else(|| Errno::NOSYS.into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn end_of(_: u32) -> io::Result<Readiness> {
    let _ = Want::Read;
    Err(Errno::NOSYS.into())
}

#[cfg(not(any(target_os = "openbsd", target_os = "redox", target_os = "netbsd")))]
mod imp {
    use super::ProcessState;
    use rustix::io::Errno;
    use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, waitid};
    use std::io;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    /// Looks at one child, or at any.
    pub(super) fn peek(pid: Option<Pid>) -> io::Result<ProcessState> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            match waitid(pid.map_or(WaitId::All, WaitId::Pid), options) {
                Ok(Some(found)) => return Ok(ProcessState::Exited(status(&found))),
                Ok(None) => return Ok(ProcessState::Running),
                Err(Errno::CHILD) => return Ok(ProcessState::NotOurs),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Builds the status that `wait` would have returned.
    fn status(found: &WaitIdStatus) -> ExitStatus {
        let core = if found.dumped() { 0x80 } else { 0 };
        ExitStatus::from_raw(match found.exit_status() {
            Some(code) => (code & 0xff) << 8,
            None => found.terminating_signal().unwrap_or(0) & 0x7f | core,
        })
    }
}

/// These systems cannot look at a child without reaping it.
#[cfg(any(target_os = "openbsd", target_os = "redox", target_os = "netbsd"))]
mod imp {
    use super::ProcessState;
    use rustix::process::Pid;
    use std::io;

    pub(super) fn peek(_: Option<Pid>) -> io::Result<ProcessState> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
