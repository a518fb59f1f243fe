//! The ends of child processes: `sig_child`, and the signal CHLD (laws L55 to L57).
//!
//! Nobody's child is stolen. The end of a process is seen by a pidfd (elsewhere than on Linux by SIGCHLD), its status is read
//! without reaping it, and only a [`Child`](std::process::Child) that was given away is reaped here.

mod child_exit;
mod child_process;
mod ends;
mod processes;
mod sig_child;

pub use child_exit::ProcessExit;
pub use child_process::ChildProcess;
pub(super) use processes::Processes;
