//! Hosts: what drives a kernel, and what it must do.
//!
//! A kernel is a plain future ([`Kernel::run`](crate::Kernel::run), [`serve`](crate::Kernel::serve)). Whatever polls it is its
//! *host*. There is no trait to implement and no event loop to choose. This page lists what a host must do, which hosts are
//! tested, and what became of each method of POE::Loop. The function [`terminated`] is for hosts that end on TERM or Ctrl-C.
//!
//! # What a host must do
//!
//! 1. **Poll the future on one thread.** It is `!Send`, like the sessions: use `block_on`, a `LocalSet`, or a separate
//!    thread. Never spawn a `LocalSet` inside a `LocalRuntime`.
//! 2. **Poll it again soon after its waker is called.** The waker may be called from any thread. Timers and I/O are as late as the
//!    host's polls.
//! 3. **Be inside a Tokio runtime with its drivers** ([`enable_all`](tokio::runtime::Builder::enable_all)) at every poll. Sockets,
//!    the timerfd, child processes and signals come from that runtime. A foreign executor *enters* a runtime
//!    ([`Handle::enter`](tokio::runtime::Handle::enter)) that is driven elsewhere: by a thread parked in its `block_on`, or by the
//!    workers of a multi-threaded runtime. A runtime that nothing drives delivers nothing.
//! 4. **Let it yield.** The future returns after its [budget](crate::KernelBuilder::budget) of work or its
//!    [slice](crate::KernelBuilder::slice) of time, and is ready to be polled again at once. It resumes where it
//!    stopped, so the order of events does not change.
//!
//! The futures and streams of sessions use the cooperative budget of the host's Tokio task. On a host without one (another
//! executor, `tokio::task::unconstrained`) the kernel polls them in its own `LocalSet`, which has one; there
//! `tokio::task::spawn_local` works inside them too.
//!
//! A host may drop the future at any time. Nothing is lost: the kernel owns the work, and a later `run` resumes it.
//!
//! # Which hosts are tested
//!
//! `tests/it/hosts.rs` tests the first five with timers, tasks and calls from another thread. The others are
//! packages under `examples/hosts`, which the repository's checks run: the windows and WebAssembly with `.ci/long`.
//!
//! | host | what to know |
//! |---|---|
//! | a current-thread runtime's `block_on` (also `#[tokio::main(flavor = "current_thread")]`) | the best one: the drivers run on the same thread, between two polls |
//! | a multi-threaded runtime's `block_on` | the workers drive the I/O; a wake-up crosses threads |
//! | a `LocalSet` in a multi-threaded runtime | beside other local tasks |
//! | a separate thread inside a service | the service uses a [`KernelHandle`](crate::KernelHandle) |
//! | an executor that knows nothing of Tokio | enters a runtime that is driven elsewhere |
//! | a `LocalRuntime`, and executors of other crates | `examples/hosts/executors` |
//! | GLib's main loop | like any other executor; handlers may touch objects of the loop's thread |
//! | GTK 4, a window in GLib's main loop | `examples/hosts/gtk4`. Signals of widgets are posts of a [`KernelHandle`](crate::KernelHandle), because GTK may call while a handler runs |
//! | winit; any loop that takes events from other threads | `examples/hosts/winit`. The waker sends the loop an event, and the loop polls when it comes |
//! | smol | `examples/hosts/executors`: `smol::block_on` and its `LocalExecutor` |
//! | WebAssembly, `wasm32-wasip1` under Node | `examples/hosts/wasm`: queue, sessions, timers and futures on a current-thread runtime with `enable_time`; there are no sockets, signals and processes |
//! | axum | the service runs beside the kernel, and calls it through a handle |
//!
//! One runtime may run the kernel after another. Timers, signals, children, servers, wheels, pending connections and known
//! streams move to the runtime that polls: [`SocketStream`](crate::wheel::SocketStream) and streams built on it, Tokio's `TcpStream`
//! and `UnixStream`, their owned halves, and TLS over these. A stream of another type cannot be moved. When its runtime has been
//! shut down, its wheel emits an error event that says so; until then, something must drive that runtime.
//!
//! A program without any runtime gets an error that says what is missing. Posts, timers and generations are in POE's order
//! (laws L1 to L5) on every host. I/O is polled between two generations even with a budget of 1 (law L6), and timers are as exact as
//! possible, where kernel and drivers share a thread.
//!
//! ```
//! use poe::{Kernel, Session, event::START};
//!
//! // A separate thread: the kernel is made there, and its handle is sent out.
//! let (sender, receiver) = std::sync::mpsc::channel();
//! let host = std::thread::spawn(move || {
//!     let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//!     let kernel = Kernel::new();
//!     Session::builder(())
//!         .on(START, |cx, ()| cx.alias_set("doubler"))
//!         .on("double", |_, n: u32| poe::Reply(2 * n))
//!         .on("stop", |cx, ()| cx.stop_all())
//!         .create(&kernel).unwrap();
//!     sender.send(kernel.handle()).unwrap();
//!     runtime.block_on(kernel.serve())
//! });
//! let handle = receiver.recv().unwrap();
//! let reply = tokio_test::block_on(handle.call::<u32, u32>("doubler", "double", 21));
//! assert_eq!(reply.unwrap(), 42);
//! handle.post("doubler", "stop", ()).unwrap();
//! host.join().unwrap().unwrap();
//! ```
//!
//! # POE::Loop, method by method
//!
//! | POE::Loop | here |
//! |---|---|
//! | `loop_initialize` | none: a `run` future needs no set-up, and a kernel may be run again |
//! | `loop_finalize` | the end of the future; what is left is in [`why_alive`](crate::Kernel::why_alive), and logged as a warning when the kernel is dropped |
//! | `loop_do_timeslice` | [`run_one_timeslice`](crate::Kernel::run_one_timeslice), [`run_while`](crate::Kernel::run_while) |
//! | `loop_run` | [`run`](crate::Kernel::run), and [`serve`](crate::Kernel::serve) inside a service |
//! | `loop_halt` | the future is ready |
//! | `loop_resume_time_watcher`, `loop_reset_time_watcher`, `loop_pause_time_watcher` | one wake-up for the head of the queue, set when the future waits: a timerfd on Linux, Tokio's sleep elsewhere and on virtual time |
//! | `loop_watch_filehandle`, `loop_ignore_filehandle` | a task of the kernel that waits in Tokio's reactor ([`select`](crate::KernelRef::select)); the level is checked before each event |
//! | `loop_pause_filehandle`, `loop_resume_filehandle` | the task stays and is skipped ([`select_pause`](crate::KernelRef::select_pause)) |
//! | `loop_watch_signal`, `loop_ignore_signal`, `loop_ignore_all_signals` | Tokio's signal streams, from the first watcher to the last ([`sig`](crate::KernelRef::sig)); then the system's default action is back |
//! | `loop_attach_uidestroy` | none: a window's handler for its close raises `UIDESTROY` ([`KernelHandle::signal`](crate::KernelHandle::signal)), as `examples/hosts/gtk4` does; it is non-maskable as in POE |
//! | hang-up, error, invalid descriptor | ready for whatever is watched; a descriptor cannot become invalid, because the watcher has a duplicate |
//! | searching for a loop: `use`, import, environment, a loaded module | none: the host is whatever polls |

use crate::bridge::os_signals::Arrivals;
use crate::debug::debug_fields;
use crate::error::{Error, ErrorKind};
pub use crate::kernel::RunFuture;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Returns a future that completes when the process is asked to end: at TERM or Ctrl-C.
///
/// The signals are `TERM` and `INT`; on Windows Ctrl-C (`INT`) and closing the console (`TERM`). The output of the future is the
/// name of the signal. The signals are watched from this call until the future is dropped. Then their default action
/// is back, and the next `TERM` or `INT` ends the process at once. [`Kernel::serve_until`](crate::Kernel::serve_until) keeps
/// the future until the kernel has shut down.
///
/// # Errors
/// There is no Tokio runtime on this thread, or the operating system refuses to watch.
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

/// The future of [`terminated`]: completes when the process is asked to end.
///
/// Await it again, by reference, to wait for the next signal.
///
/// ```no_run
/// use poe::hosts::{self, Terminated};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let mut asked: Terminated = hosts::terminated()?;
/// println!("SIG{}: cleaning up; ask again to end now", (&mut asked).await);
/// tokio::select! {
///     () = std::future::pending() => {} // the clean-up
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

debug_fields!([] Terminated, "Terminated", |_this| { .. });
