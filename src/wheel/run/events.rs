//! Arguments of a Run's events: errors with their stream, and the program's exit.

use crate::id::WheelId;
use crate::wheel::error::IoError;
use std::error::Error as StdError;
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

/// The argument of a [`Run`](super::Run)'s error event: an error and its stream. The end of an output is one of them.
///
/// ```
/// # use poe::{Event, Kernel, Session, WheelId, event::START, filter::Line, wheel::Run};
/// use poe::wheel::{RunError, StdStream};
/// const ERROR: Event<RunError> = Event::new("error");
/// # const CLOSED: Event<WheelId> = Event::new("closed");
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let transcript = poe::testing::Transcript::of(&kernel);
/// # Session::builder(None::<Run>)
/// # .on(START, |cx, ()| -> poe::HandlerResult {
/// let lines = Line::new().max_length(5);
/// let run = Run::shell("echo short; echo long enough").stdout(lines, "line").error(ERROR).close(CLOSED).start(cx)?;
/// #     *cx.heap = Some(run);
/// #     Ok(())
/// # })
///     .on(ERROR, |_, failed| {
///         assert_eq!(failed.stream, StdStream::Stdout);
///         if !failed.is_eof() {
///             let too_long = failed.error.as_filter().expect("the program can do nothing else wrong");
///             assert_eq!(too_long.bytes(), b"long ");
///         }
///     })
/// # .on(CLOSED, |cx, _| *cx.heap = None)
/// # .create(&kernel)?;
/// # kernel.run().await?;
/// # assert_eq!(transcript.records().iter().filter(|record| record.event == "error").count(), 2);
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
#[doc(alias = "ErrorEvent")]
pub struct RunError {
    /// The stream.
    pub stream: StdStream,
    /// The error, with the wheel.
    pub error: IoError,
}

impl RunError {
    /// Whether the program has ended this output.
    ///
    /// On a terminal the system reports that as `EIO`, which [`errno`](IoError::errno) returns unchanged.
    #[must_use]
    pub fn is_eof(&self) -> bool {
        const EIO: i32 = rustix::io::Errno::IO.raw_os_error();
        self.error.is_eof() || (self.error.operation() == "read" && self.error.errno() == Some(EIO))
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.stream)?;
        if let Some(program) = self.error.subject() {
            write!(f, " of {program}")?;
        }
        write!(f, ": {}: {}", self.error.operation(), self.error.cause())
    }
}

impl StdError for RunError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.error)
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
