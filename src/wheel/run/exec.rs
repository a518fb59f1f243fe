//! Starts a program: the only code that runs between fork and exec.
//!
//! Programs inherit the signals that a process ignores or blocks. A program that was started with
//! `nohup`, or in the background of a script, would pass that on, and its programs would ignore HUP, INT or QUIT. POE resets them, and so does
//! the hook here, on every conduit.
//!
//! Beside `bridge/reactor.rs` this is the only file with unsafe code: `pre_exec` is an unsafe function, and the system's signal
//! calls have no safe form.

use rustix::process::{ioctl_tiocsctty, setsid};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// No system has a signal with a higher number.
const LAST_SIGNAL: libc::c_int = 127;

/// Starts the program with the system's default signal handling. On a terminal it leads a separate session.
///
/// The hook makes `std` fork and call `execvp`, where it would call `posix_spawnp` otherwise. The two differ: only `execvp` has
/// `/bin/sh` run a script that does not begin with `#!` (of the known C libraries, musl's does not).
///
/// # Errors
/// The system's.
pub(super) fn spawn(mut command: Command, terminal: Option<OwnedFd>) -> io::Result<Child> {
    let hook = move || {
        default_signals();
        if let Some(terminal) = &terminal {
            setsid()?;
            ioctl_tiocsctty(terminal)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe functions may be called. The hook calls `sigaction`, `sigemptyset`,
    // `sigprocmask`, `setsid` and `ioctl`, all of which are. It takes no lock and neither allocates nor frees memory: an error is
    // a number, and the closure's values are not dropped in the child.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(hook);
    }
    command.spawn()
}

/// Gives every signal its default action and blocks none.
#[allow(unsafe_code)]
fn default_signals() {
    // SAFETY: an all-zero `sigaction` is a valid one: no flags, an empty mask, and `SIG_DFL`. The pointers are to
    // values on this stack, and null is allowed where no result is wanted.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        for signal in 1..=LAST_SIGNAL {
            // It refuses KILL, STOP, and numbers without a signal.
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        reset_reserved_signals();
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

/// Resets the signals that the C library reserves, and does not let its callers change. They can be inherited as well.
///
/// # Safety
/// Only between fork and exec: the C library of this image needs its handlers.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[allow(unsafe_code)]
unsafe fn reset_reserved_signals() {
    // The kernel's own form of `sigaction` has another layout and is not longer than this; in each of its parts zero is the default.
    let action = [0_u64; 20];
    let set_size: usize = if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        16
    } else {
        8
    };
    for signal in 32..=34 {
        // SAFETY: the kernel reads `action`, which lives on this stack, and writes nothing.
        unsafe {
            let nothing = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), nothing, set_size);
        }
    }
}
