//! Arguments of a Run's events: the streams, and the program's exit.

use crate::id::WheelId;
use std::fmt;
use std::process::ExitStatus;

/// One of a program's standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StdStream {
    /// Standard input, which the wheel writes and the program reads.
    Stdin,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Prints POE's names: `STDIN`, `STDOUT`, `STDERR`.
impl fmt::Display for StdStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StdStream::Stdin => "STDIN",
            StdStream::Stdout => "STDOUT",
            StdStream::Stderr => "STDERR",
        })
    }
}

/// The argument of a [`Run`](super::Run)'s exit event: how the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exited {
    /// The wheel that ran the program.
    pub wheel: WheelId,
    /// The process's number; `None` for a function.
    pub pid: Option<u32>,
    /// The program's status.
    ///
    /// `None` only if other code has reaped the process. A function's is 0, or 255 if it failed.
    pub status: Option<ExitStatus>,
}
