//! Event-driven sessions for Tokio: one thread, one ordered queue, no locks.
//!
//! One [`Kernel`] drains one event queue that is ordered by time. A [`Session`] owns a typed value (its *heap*) and a table of
//! named handlers, closures that the kernel calls one at a time, on one thread. Sockets, timers, futures, child processes and other
//! threads become events. Order and lifetime are those of POE 1.370, Perl's event framework, and are tested against it.
//!
//! ```
//! use poe::{Event, Kernel, Session, States, event::{START, STOP}};
//!
//! const INCREMENT: Event<()> = Event::new("increment"); // a name and its type
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), poe::Error> {
//!     let kernel = Kernel::new();
//!     let counter = States::<u32>::new() // the heap type comes first
//!         .on(START, |cx, ()| cx.yield_to(INCREMENT, ()))
//!         .on(INCREMENT, |cx, ()| {
//!             *cx.heap += 1;
//!             if *cx.heap < 10 {
//!                 cx.yield_to(INCREMENT, ());
//!             }
//!         })
//!         .on(STOP, |cx, ()| println!("session {} counted to {}", cx.session_id(), *cx.heap));
//!     for _ in 0..10 {
//!         Session::builder(0).inline_states(&counter).create(&kernel)?;
//!     }
//!     kernel.run().await // until nothing can happen any more
//! }
//! ```
//!
//! # Where to start
//!
//! - The [`guide`], chapter by chapter. You know Tokio, actix or kameo: [`guide::from_tokio`]. You know POE: [`guide::migration`]
//!   and [`guide::phrasebook`].
//! - A server or a client: [`guide::components`]. A kernel inside your service: [`guide::embedding`]. Tests: [`guide::testing`].
//! - The program `examples/tour.rs`: `cargo run --example tour`.
//!
//! # One turn of the loop
//!
#![doc = include_str!("../docs/pictures/slice.inline.svg")]
//!
//! # What is where
//!
#![doc = include_str!("../docs/pictures/layers.inline.svg")]
//!
//! | to | use |
//! |---|---|
//! | run | [`Kernel`]: [`run`](Kernel::run) until nothing is left, [`serve_until`](Kernel::serve_until) in a service, [`shutdown`](Kernel::shutdown) |
//! | make sessions | [`Session`], [`States`]; [`Nfa`], a state machine |
//! | post, call, set timers, spawn futures | [`Context`], which every handler gets; it derefs to [`KernelRef`] |
//! | name events | [`Event`], typed keys; [`event`] has the life-cycle events |
//! | post and call from other threads | [`KernelHandle`] |
//! | serve and connect | [`component`]: [`TcpServer`](component::TcpServer), [`TcpClient`](component::TcpClient), [`KernelPool`](component::KernelPool) |
//! | restart what has failed | [`component::Supervisor`]: strategies, limits, backoff; see [`guide::supervision`] |
//! | do other I/O | [`wheel`]: streams, sockets, files, programs; [`filter`]: bytes to records and back |
//! | find out why a session lives | [`Kernel::why_alive`], [`Kernel::snapshot`] |
//! | test on virtual time | `testing` (feature) |
//! | drive a kernel from another executor | [`hosts`] |
//!
//! # What keeps a session alive
//!
//! Queued events to it or from it, timers, aliases, children, reference counts, postbacks, spawned work, wheels. When
//! nothing does, the next sweep stops it; [`Kernel::why_alive`] lists what does, with file and line. More: [`guide::lifetimes`].
//!
//! # Failures
//!
//! A handler that returns an error, panics, or is sent a value of the wrong type raises the signal `DIE` to its session, its
//! descendants and its ancestors. If one of them handles it, all go on. If none does, [`OnFailure`] decides: the whole kernel stops and
//! [`Kernel::run`] returns the error, or only that session stops. More: [`guide::errors`].
//!
//! In a program built with `panic = "abort"` a panic ends the process where it happens: no `DIE` is raised, no `_stop` runs. Returned
//! errors work as always.
//!
//! # Requirements
//!
//! A Tokio runtime with its time and I/O drivers (`enable_all`). The kernel's futures are `!Send`: await them on a current-thread
//! runtime, in a `LocalSet` or a `LocalRuntime`, or on a separate thread. Any other executor of local futures works too, if a
//! Tokio runtime is entered on its thread and driven elsewhere; [`hosts`] says it in full. Timers are exact to about 30 µs on Linux
//! (a timerfd), to a millisecond elsewhere. File watchers (`Watched`), `Run` and `FollowTail` exist on Unix only.
//!
//! # Features
//!
//! None is on by default. Each adds items and changes nothing else.
//!
//! | feature | what it adds |
//! |---|---|
//! | `testing` | module `testing`, and Tokio's `test-util` with it; for `[dev-dependencies]` |
//! | `serde` | [`inspect::Snapshot`] and its parts are `Serialize` |
//! | `codec` | module `codec`: tokio-util's codecs as filters, filters as codecs |
//! | `regex` | `filter::Line::input_regexp`: lines that end with a pattern |
//! | `reference` | `filter::Reference`: frames of serialized values, with zlib; needs one of the serializers |
//! | `storable`, `json`, `msgpack`, `cbor` | serializers; `storable` is Perl's format, with the module `storable` |
//! | `pty` | `wheel::Run` on pseudo terminals (Unix) |
//! | `notify` | `wheel::FollowTail` is woken by the system's file events, beside its polling |
//! | `tls` | module `tls`: rustls under a wheel or a component |
//! | `metrics` | the kernel's figures through the facade `metrics`: `KernelBuilder::metrics` |
//! | `spans` | a `tracing` span for each dispatch, whose parent is the span of the code that posted |
//! | `tower` | calls of a session's handler as a `tower::Service`: `KernelHandle::service` |
//! | `ring`, `aws-lc-rs` | a crypto provider for `tls`, where the application installs none |

// Where there are no sockets, parts of the wheels and of the bridge have no user.
#![cfg_attr(target_family = "wasm", allow(dead_code, unused_imports))]

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
    feature = "regex",
    feature = "storable",
    feature = "json",
    feature = "msgpack",
    feature = "cbor",
    feature = "pty",
    feature = "notify"
))]
#[doc = include_str!("../docs/conformance.md")]
pub mod conformance {}
mod debug;
mod driver;
mod error;
pub mod event;
pub mod extend {
    //! What you extend the crate with: custom wheels, session types, resources, and components built on sessions.
    //!
    //! Applications seldom need these. A [`Source`] is the I/O of a wheel that is written outside of this crate;
    //! `examples/custom_wheel.rs` has one in forty lines. [`Invoke`] is a custom session type, and [`Nested`] is what it calls other
    //! handlers with. [`Resource`] and [`SessionHold`] are for things that keep sessions alive. [`Caller`] and [`Start`] are for
    //! helpers and components that are used both inside handlers and outside of them.

    pub use crate::kernel::{Called, Invoke, Invoked, LateReply, Nested, PendingReply, SessionHold};
    pub use crate::resource::Resource;
    pub use crate::session::{Caller, Heap, IntoReply, SendPostback, Start};
    pub use crate::wheel::source::{Flow, Sleep, Source, SourceContext, WheelHandle};
}
pub mod filter;
pub mod guide;
pub mod handle {
    //! What methods of a [`KernelHandle`](crate::KernelHandle) return, beside [`ReplyFuture`](crate::ReplyFuture).

    pub use crate::kernel::DelayedPost;
    #[cfg(feature = "tower")]
    pub use crate::kernel::{CallService, ServiceFuture};
}
pub mod hosts;
mod id;
pub mod inspect {
    //! What you look at while a kernel runs, and after it: snapshots, what keeps sessions alive, dead letters, reports.
    //!
    //! [`Kernel::snapshot`](crate::Kernel::snapshot) returns everything as data: sessions with their parents and handlers, queued
    //! events, timers, signals, files and processes. [`Kernel::why_alive`](crate::Kernel::why_alive) lists what keeps each session
    //! alive, with file and line. A program that shows a running kernel uses an [`Observer`], as the crate `poe-inspector` does.

    pub use crate::error::WrongArgument;
    #[cfg(feature = "metrics")]
    pub use crate::kernel::Metrics;
    pub use crate::kernel::{
        AwaitedProcess, DeadLetter, Die, Dispatch, EventId, EventType, InboxState, KernelStats, Look, LookFuture,
        Observation, Observer, Outcome, QueuedEvent, Refcount, SessionEnd, SessionHolds, SessionPage, SessionRow,
        SessionSnapshot, ShutdownReport, Snapshot, StreamSnapshot, TaskPage, TaskSnapshot, Timer, WatchedFile,
        WhyAlive,
    };
    pub use crate::resource::signals::SignalClass;
    pub use crate::resource::{Hold, HoldKind};
}
mod kernel;
mod name;
pub mod nfa {
    //! The parts of state machines: builder, states, and transitions. [`Nfa`](crate::Nfa) and [`Machine`](crate::Machine) are in the root.

    pub use crate::session::{NfaBuilder, NfaObjectStates, NfaState, Transition, TransitionKind};
}
mod queue;
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
#[cfg(unix)]
pub mod unix {
    //! Children of the process and watched file descriptors (Unix).

    pub use crate::kernel::{ChildProcess, ProcessExit, SelectMode, Selected, Watched};
}
pub mod wheel;

pub use arg::AnyArg;
pub use error::{CallError, Error, Failure, HandlerResult, OnFailure, PostError};
pub use event::Event;
pub use id::{SessionId, TaskId, TimerId, WheelId};
pub use kernel::{DeferredReply, Delta, Kernel, KernelBuilder, KernelHandle, KernelRef, ReplyFuture, Signal, Target};
pub use name::Name;
#[cfg(feature = "storable")]
pub use perl_storable as storable;
pub use resource::signals::KERNEL_SHUTDOWN;
pub use session::{
    Callback, Context, Machine, Nfa, ObjectStates, Package, Postback, Reply, Session, SessionBuilder, States,
};
