//! POE, the Perl Object Environment, on Tokio: cooperative, event-driven programs in one total order.
//!
//! One [`Kernel`] drains one event queue ordered by time. *Sessions* own a heap and a table of named handlers, closures
//! that the kernel calls one at a time, on one thread. Whatever happens outside (sockets, timers, futures, other threads)
//! becomes an event. The semantics are those of Perl's POE 1.370, law by law; the tests run both side by side.
//!
//! ```
//! use poe::{Event, Kernel, Session, States, event::{START, STOP}};
//!
//! const INCREMENT: Event<()> = Event::new("increment");
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), poe::Error> {
//! let kernel = Kernel::new();
//! let counter = States::<u32>::new() // the heap type comes first, so closures infer
//!     .on(START, |cx, ()| cx.yield_to(INCREMENT, ()))
//!     .on(INCREMENT, |cx, ()| {
//!         *cx.heap += 1;
//!         println!("Session {} counted to {}.", cx.session_id(), *cx.heap);
//!         if *cx.heap < 10 {
//!             cx.yield_to(INCREMENT, ());
//!         }
//!     })
//!     .on(STOP, |cx, ()| println!("Session {} has stopped.", cx.session_id()));
//! for _ in 0..10 {
//!     Session::builder(0_u32).inline_states(&counter).create(&kernel)?;
//! }
//! kernel.run().await
//! # }
//! ```
//!
//! # In reading order
//!
//! 1. [`Kernel`] runs: [`run`](Kernel::run) until nothing can happen any more, [`serve`](Kernel::serve) inside a service,
//!    [`shutdown`](Kernel::shutdown) in good order. [`KernelHandle`] is its door for other threads.
//! 2. [`Session`], [`States`] and [`Context`]: how sessions are made, and what a handler is given. [`KernelRef`] has all that
//!    runs no other handler: posts, timers, aliases, reference counts, signals, futures.
//!    [`Nfa`] is a session whose handlers depend on the state that it is in.
//! 3. [`Event`]: typed keys over dynamic names; [`event`] has the life-cycle events.
//! 4. [`component`]: whole sessions ready made, a TCP server and a TCP client, and [`KernelPool`](component::KernelPool):
//!    servers on several cores. [`wheel`]: I/O that lives in a heap, which components are made of. [`filter`]: bytes to
//!    records and back; by `codec` (a cargo feature) tokio-util's codecs as well.
//! 5. Beneath: [`driver`], bytes that wait; [`pipe`], two connected ends; [`queue`], priority queues for programs' own
//!    use; `tls` and `storable` (features): rustls under a wheel, and Perl's frozen data.
//! 6. `testing` (a feature): virtual time, transcripts, and a check that nothing is left behind.
//! 7. [`hosts`]: what may drive a kernel, and what it must do.
//!
//! The [`guide`] tells the same in chapters; a server or client starts best with [`guide::components`], and a program that
//! comes from Perl with [`guide::migration`] and [`guide::phrasebook`].
//!
//! ```no_run
//! # use poe::Kernel;
//! use poe::component::TcpServer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), poe::Error> {
//! # let kernel = Kernel::new();
//! TcpServer::builder("127.0.0.1:7777") // an echo server
//!     .client_input(|cx, line| cx.client().put(line))
//!     .start(&kernel)
//!     .await?;
//! kernel.run().await
//! # }
//! ```
//!
//! # What keeps a session alive
//!
//! Queued events to it or from it, timers, aliases, children, reference counts, postbacks, spawned work, wheels. When
//! nothing does, the next sweep stops it; [`Kernel::why_alive`] says what does, with file and line.
//!
//! # Errors
//!
//! A handler that fails, panics, or is sent a value of the wrong type by a bare name raises the signal `DIE` to its
//! session, its children and its parents. Who handles it goes on; if nobody does, every session is stopped and
//! [`Kernel::run`] returns the error.
//!
//! In a program that is built with `panic = "abort"` errors go this way as ever, whether a handler returns them or is sent
//! the wrong type. A panic is no error there: it ends the process where it happens, in a handler, in a future, or in
//! the `Drop` of a value that the kernel lets go of. No `DIE` is raised, no `_stop` runs, nothing is dropped.
//!
//! # What the host must be
//!
//! A Tokio runtime with its time and I/O drivers (`enable_all`); [`hosts`] says it in full. The kernel's futures are
//! `!Send`: await them on a current-thread runtime, in a `LocalSet` or a `LocalRuntime`, or on a thread of their own. Any other executor of local
//! futures will do as well, a GLib main loop among them, if a runtime that is driven by threads of its own is entered
//! on the kernel's thread (`examples/hosts`). Timers are exact to some 30 µs on Linux (a
//! timerfd), to a millisecond elsewhere. File watchers (`Watched`) are there on Unix only.
//!
//! # Features
//!
//! The default is the core: none is on. Each adds, and alters nothing.
//!
//! | feature | what it adds |
//! |---|---|
//! | `testing` | module `testing`, and Tokio's `test-util` with it; for `[dev-dependencies]` |
//! | `serde` | [`Snapshot`] and its parts are `Serialize` |
//! | `codec` | module `codec`: tokio-util's codecs as filters, filters as codecs |
//! | `httpd` | `filter::Httpd`: requests and responses of the `http` crate |
//! | `reference` | `filter::Reference`: frames of frozen values, with zlib; each serializer is a feature of its own |
//! | `storable`, `json`, `msgpack`, `cbor` | the serializers; with the first the module `storable`, Perl's format |
//! | `pty` | `wheel::Run` on pseudo terminals (Unix) |
//! | `notify` | `wheel::FollowTail` is woken by the system's file events, beside its polling |
//! | `tls` | module `tls`: rustls under a wheel or a component |

mod arg;
mod bridge;
#[cfg(feature = "codec")]
pub mod codec;
pub mod component;
// With every feature, since it links to what they add.
#[cfg(all(
    doc,
    unix,
    feature = "testing",
    feature = "codec",
    feature = "httpd",
    feature = "storable",
    feature = "json",
    feature = "msgpack",
    feature = "cbor",
    feature = "pty",
    feature = "notify"
))]
#[doc = include_str!("../docs/conformance.md")]
pub mod conformance {}
pub mod driver;
mod error;
pub mod event;
pub mod extend;
pub mod filter;
pub mod guide;
pub mod hosts;
mod id;
mod kernel;
mod name;
pub mod pipe;
pub mod queue;
// The README's code, compiled and run with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
mod resource;
mod session;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;
pub mod wheel;

pub use arg::AnyArg;
pub use error::{CallError, Error, Failure, HandlerResult, OnFailure, PostError, WrongArgument};
pub use event::Event;
pub use id::{SessionId, TaskId, TimerId, WheelId};
pub use kernel::{
    AwaitedProcess, Caller, DeadLetter, Delta, Die, EventId, EventType, Invoke, Invoked, Kernel, KernelBuilder,
    KernelHandle, KernelRef, Nested, QueuedEvent, Refcount, ReplyFuture, RunFuture, SessionHold, SessionHolds,
    SessionSnapshot, ShutdownReport, Signal, Snapshot, Target, TaskSnapshot, Timer, WatchedFile, WhyAlive,
};
#[cfg(unix)]
pub use kernel::{ChildProcess, ProcessExit, SelectMode, Selected, Watched};
pub use name::Name;
#[cfg(feature = "storable")]
pub use perl_storable as storable;
pub use resource::signals::{KERNEL_SHUTDOWN, SignalClass};
pub use resource::{Hold, HoldKind, Resource};
pub use session::{
    Callback, Context, Heap, IntoReply, Machine, Nfa, NfaBuilder, NfaObjectStates, NfaState, ObjectStates, Package,
    Postback, Reply, SendPostback, Session, SessionBuilder, States, Transition, TransitionKind,
};
