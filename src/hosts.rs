//! What drives a kernel: the event loop that POE calls POE::Loop, and what a host must do for it.
//!
//! There is nothing to implement and nothing to choose; what this module has beside its text is [`terminated`], for hosts that
//! end when the process is told to. A kernel is a plain future
//! ([`Kernel::run`](crate::Kernel::run), [`serve`](crate::Kernel::serve)), and a *host* is whatever polls it. This page says
//! what a host owes the kernel, which hosts are tested, and what has become of each method of a loop of POE's.
//!
//! # What a host must do
//!
//! 1. **Poll the future on one thread.** It is `!Send`, as the sessions are: `block_on`, a `LocalSet`, a thread of its
//!    own. Never spawn a `LocalSet` inside a `LocalRuntime`.
//! 2. **Poll it again when its waker says so, and soon.** The waker may be called from any thread. How late timers and
//!    I/O can be is how late the host polls.
//! 3. **Be inside a Tokio runtime with its drivers** ([`enable_all`](tokio::runtime::Builder::enable_all)) at every poll: of
//!    it come sockets, the timerfd, child processes and signals. A foreign executor *enters* a runtime
//!    ([`Handle::enter`](tokio::runtime::Handle::enter)) that is driven elsewhere, on a thread that is parked in its
//!    `block_on`, or by the workers of a multi-threaded one. A runtime that nobody drives delivers nothing: no socket is
//!    ever ready, and no timer is due.
//! 4. **Take its turn.** The future yields after its [budget](crate::KernelBuilder::budget) of work or its
//!    [slice](crate::KernelBuilder::slice) of time, whatever it is doing, and is ready to be polled again at once. It goes on
//!    where it stopped, so that no order changes.
//!
//! Futures and streams of sessions use the cooperative budget of the host's Tokio task. On a host without one (another
//! executor, `tokio::task::unconstrained`) the kernel polls them in a `LocalSet` of its own, which has one; there
//! `tokio::task::spawn_local` works inside them as well.
//!
//! It may do two things besides: drop the future at any time, by which nothing is lost (the kernel owns the work, a later
//! `run` goes on where that one stopped), and have other work between the polls, as it likes.
//!
//! # Which hosts are tested
//!
//! The first five by a test each of `tests/it/hosts.rs`, with timers, tasks, and calls from another thread; the others are
//! packages under `examples/hosts`, which the full check of the repository runs:
//!
//! | host | what to know |
//! |---|---|
//! | a current-thread runtime's `block_on` (also `#[tokio::main(flavor = "current_thread")]`) | the best one: the drivers run on the same thread, between two polls |
//! | a multi-threaded runtime's `block_on` | the workers drive the I/O; a wake-up crosses threads |
//! | a `LocalSet` in a multi-threaded runtime | beside other local tasks, which have their turn |
//! | a thread of its own inside a service | the service talks to it by a [`KernelHandle`](crate::KernelHandle) |
//! | an executor that knows nothing of Tokio | enters a runtime that is driven elsewhere |
//! | a `LocalRuntime`, and executors of other crates | `examples/hosts/executors` |
//! | GLib's main loop (GTK) | as any other executor; handlers may touch what belongs to the loop's thread |
//! | axum | the service is spawned beside the kernel, and asks it by a handle |
//!
//! One runtime may run the kernel after another. Timers, signals, children, servers, wheels, connections that are being made and
//! streams move to the one that polls: [`SocketStream`](crate::wheel::SocketStream) and what is built on it, Tokio's `TcpStream` and
//! `UnixStream`, their owned halves, and TLS over these. A stream of another type cannot be moved. Once its runtime has been shut
//! down its wheel has an error event that says so; while that runtime exists, something must drive it, or the stream hears nothing.
//!
//! A program without any runtime gets an error that says what is missing. That posts, timers and generations are in
//! POE's order (laws L1 to L5) holds on each of them; that I/O is polled between two generations with a budget of 1
//! (law L6), and that timers are as exact as they can be, where kernel and drivers share a thread.
//!
//! ```
//! use poe::{Kernel, Session, event::START};
//!
//! // A thread of its own: the kernel is made there, and its handle is sent out.
//! let (tell, hear) = std::sync::mpsc::channel();
//! let host = std::thread::spawn(move || {
//!     let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//!     let kernel = Kernel::new();
//!     Session::builder(())
//!         .on(START, |cx, ()| cx.alias_set("doubler"))
//!         .on("double", |_, n: u32| poe::Reply(2 * n))
//!         .on("stop", |cx, ()| cx.stop_all())
//!         .create(&kernel).unwrap();
//!     tell.send(kernel.handle()).unwrap();
//!     runtime.block_on(kernel.serve())
//! });
//! let handle = hear.recv().unwrap();
//! let answer = tokio_test::block_on(handle.call::<u32, u32>("doubler", "double", 21));
//! assert_eq!(answer.unwrap(), 42);
//! handle.post("doubler", "stop", ()).unwrap();
//! host.join().unwrap().unwrap();
//! ```
//!
//! # POE::Loop, method by method
//!
//! | POE::Loop | here |
//! |---|---|
//! | `loop_initialize` | none: a future of `run` has nothing to set up, and a kernel may be run again |
//! | `loop_finalize` | the end of the future; what is left is in [`why_alive`](crate::Kernel::why_alive), and logged as a warning when the kernel is dropped |
//! | `loop_do_timeslice` | [`run_one_timeslice`](crate::Kernel::run_one_timeslice), [`run_while`](crate::Kernel::run_while) |
//! | `loop_run` | [`run`](crate::Kernel::run), and [`serve`](crate::Kernel::serve) inside a service |
//! | `loop_halt` | the future is ready |
//! | `loop_resume_time_watcher`, `loop_reset_time_watcher`, `loop_pause_time_watcher` | one wake-up for the head of the queue, set when the future goes to wait: a timerfd on Linux, Tokio's sleep elsewhere and on virtual time |
//! | `loop_watch_filehandle`, `loop_ignore_filehandle` | a task of the kernel's own that waits in Tokio's reactor ([`select_read`](crate::KernelRef::select_read)); the level is asked for before each event |
//! | `loop_pause_filehandle`, `loop_resume_filehandle` | the task stays, and is passed over ([`select_pause_read`](crate::KernelRef::select_pause_read)) |
//! | `loop_watch_signal`, `loop_ignore_signal`, `loop_ignore_all_signals` | Tokio's signal streams, from the first watcher to the last ([`sig`](crate::KernelRef::sig)); then the system's default action is back |
//! | `loop_attach_uidestroy` | none: no toolkit. A program raises `UIDESTROY` itself ([`signal`](crate::KernelRef::signal)), and it is non-maskable as in POE |
//! | hang-up, error, invalid descriptor | ready for whatever is watched; a descriptor cannot be invalid, since the watcher has a duplicate of its own |
//! | the search for a loop: `use`, import, environment, a module that is loaded | none: the host is who polls |

use crate::bridge::os_signals::Arrivals;
use crate::error::{Error, ErrorKind};
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Watches the signals that ask a process to end, and returns a future that completes at the first of them.
///
/// They are `TERM` and `INT`; on Windows Ctrl-C (`INT`) and the closing of the console (`TERM`). The future's output is the
/// name of the one that came. They are watched from this call on, until the future is dropped; then their default action
/// is back, and the next `TERM` or `INT` ends the process at once. [`Kernel::serve_until`](crate::Kernel::serve_until) keeps
/// the future until the kernel has shut down.
///
/// # Errors
/// There is no Tokio runtime to watch in; the operating system refuses it.
///
/// # Panics
/// In a Tokio runtime without its I/O driver.
///
/// ```no_run
/// use poe::{Kernel, component::TcpServer, hosts};
/// use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// let server = TcpServer::builder("127.0.0.1:7777").client_input(|cx, line| cx.client().put(line));
/// server.start(&kernel).await?;
/// let report = kernel.serve_until(hosts::terminated()?, Duration::from_secs(5)).await?;
/// println!("{report}");
/// # Ok(()) }
/// ```
pub fn terminated() -> Result<Terminated, Error> {
    let failed = |error| ErrorKind::Io {
        operation: "watching the signals TERM and INT",
        error,
    };
    if tokio::runtime::Handle::try_current().is_err() {
        let why = "there is no Tokio runtime here: call `hosts::terminated` inside one, with its I/O driver";
        return Err(failed(io::Error::other(why)).into());
    }
    let watched = ["TERM", "INT"].map(|name| Arrivals::of(name, false).map(|arrivals| (name, arrivals)));
    let watched: Result<Vec<_>, _> = watched.into_iter().collect();
    Ok(Terminated(watched.map_err(failed)?))
}

/// Completes when the process is asked to end: the future of [`terminated`].
///
/// It may be awaited again, by reference, for the next signal.
///
/// ```no_run
/// use poe::hosts::{self, Terminated};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let mut asked: Terminated = hosts::terminated()?;
/// println!("SIG{}: cleaning up; ask again to end now", (&mut asked).await);
/// tokio::select! {
///     () = std::future::pending() => {} // what cleans up
///     _ = asked => {}
/// }
/// # Ok(()) }
/// ```
#[must_use = "the signals are watched only as long as this is kept"]
pub struct Terminated(Vec<(&'static str, Arrivals)>);

impl Future for Terminated {
    type Output = &'static str;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<&'static str> {
        for (name, arrivals) in &mut self.0 {
            if arrivals.poll(cx).is_ready() {
                return Poll::Ready(name);
            }
        }
        Poll::Pending
    }
}

impl fmt::Debug for Terminated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminated").finish_non_exhaustive()
    }
}
