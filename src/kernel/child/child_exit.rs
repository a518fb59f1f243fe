//! How a process ended.

use std::process::ExitStatus;

/// The end of a process: the argument of the event of [`KernelRef::sig_child`](crate::KernelRef::sig_child), and of the
/// signal `CHLD` ([`Signal::child`](crate::Signal::child)).
///
/// ```
/// use poe::{Event, Kernel, Session, event::{START, STOP}, unix::ProcessExit};
/// use std::process::Command;
/// const ENDED: Event<ProcessExit<&'static str>> = Event::new("ended");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// Session::builder(None)
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let child = Command::new("sh").args(["-c", "kill -KILL $$"]).spawn()?;
///         *cx.heap = Some(child.id());
///         Ok(cx.sig_child(child, ENDED, "the worker")?)
///     })
///     .on(ENDED, |cx, exit| {
///         let ProcessExit { pid, status, extra, .. } = exit;
///         assert_eq!((Some(pid), extra), (cx.heap.take(), "the worker"));
///         // The kernel was given the child and reaps it, so the status is known.
///         assert_eq!(status.unwrap().to_string(), "signal: 9 (SIGKILL)");
///     })
///     .on(STOP, |cx, ()| assert!(cx.heap.is_none()))
///     .create(&kernel)?;
/// kernel.run().await
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessExit<X = ()> {
    /// The process's number, as returned by [`Child::id`](std::process::Child::id).
    pub pid: u32,
    /// How it ended ([`ExitStatusExt::into_raw`](std::os::unix::process::ExitStatusExt::into_raw) is POE's `$?`).
    /// `None` if other code reaped it before the kernel could look, or if it was not a child of this process.
    pub status: Option<ExitStatus>,
    /// The value that the watcher was made with.
    pub extra: X,
}
