//! What a Run tells: errors with the stream that they are of, and how the program ended.

use crate::id::WheelId;
use crate::wheel::error::IoError;
use std::error::Error as StdError;
use std::fmt;
use std::process::ExitStatus;

/// One of a program's standard streams.
///
/// ```
/// assert_eq!(poe::wheel::StdStream::Stderr.to_string(), "STDERR");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StdStream {
    /// What the wheel writes and the program reads.
    Stdin,
    /// The program's output.
    Stdout,
    /// The program's complaints.
    Stderr,
}

/// As POE calls them: `STDIN`, `STDOUT`, `STDERR`.
impl fmt::Display for StdStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StdStream::Stdin => "STDIN",
            StdStream::Stdout => "STDOUT",
            StdStream::Stderr => "STDERR",
        })
    }
}

/// The argument of a [`Run`](super::Run)'s error event: what came of which stream. The end of an output is one of them.
///
/// ```
/// use poe::wheel::RunError;
/// fn log(failed: RunError) {
///     if !failed.is_eof() {
///         eprintln!("{failed}");
///     }
/// }
/// ```
#[derive(Debug)]
#[doc(alias = "ErrorEvent")]
pub struct RunError {
    /// The stream.
    pub stream: StdStream,
    /// What came of it, by which wheel.
    pub error: IoError,
}

impl RunError {
    /// Whether the program has ended this output. On a terminal the system says so by `EIO`, which
    /// [`errno`](IoError::errno) gives as it is.
    #[must_use]
    pub fn is_eof(&self) -> bool {
        const EIO: i32 = rustix::io::Errno::IO.raw_os_error();
        self.error.is_eof() || (self.error.operation() == "read" && self.error.errno() == Some(EIO))
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stream, self.error)
    }
}

impl StdError for RunError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.error)
    }
}

/// The argument of a [`Run`](super::Run)'s exit event: how the program ended.
///
/// ```
/// use poe::wheel::Exited;
/// fn log(exited: Exited) {
///     match exited.status {
///         Some(status) => println!("wheel {}: {status}", exited.wheel),
///         None => println!("wheel {}: somebody else has waited for it", exited.wheel),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exited {
    /// The wheel that has run it.
    pub wheel: WheelId,
    /// The process's number, unless the program was a function of ours.
    pub pid: Option<u32>,
    /// Its status; `None` only if somebody else has taken it from the kernel. A function's is 0, or 255 if it failed.
    pub status: Option<ExitStatus>,
}
