//! The ends of child processes: `sig_child`, and the signal CHLD (laws L55 to L57).
//!
//! No child is taken from its owner. The end of a process is seen with a pidfd (with SIGCHLD on other systems than
//! Linux), its status is read without reaping it, and only a [`Child`](std::process::Child) that was given away is
//! reaped here.

mod child_exit;
mod child_process;
mod ends;
mod processes;
mod sig_child;

pub use child_exit::ProcessExit;
pub use child_process::ChildProcess;
pub(super) use processes::Processes;
