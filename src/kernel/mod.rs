//! POE::Kernel: one event queue, the sessions it serves, and the resources that they hold.
//!
//! `Core` is the inside; [`Kernel`] is the owner's handle to it, [`KernelRef`] is for running handlers, and
//! [`KernelHandle`] for other threads. The files follow the headings of POE::Kernel's manual.

mod alias;
mod ask;
mod assert;
mod builder;
mod call;
#[cfg(unix)]
mod child;
mod core;
pub(crate) mod count;
mod deferred;
mod die;
mod dispatch;
mod ended;
mod extension;
pub(crate) mod flags;
mod gc;
mod handle;
mod invoke;
mod kernel_ref;
mod kernel_timer;
mod lifecycle;
mod message;
#[cfg_attr(not(feature = "metrics"), path = "no_metrics.rs")]
mod metrics;
mod observe;
mod os_signal;
mod resource;
mod run;
#[cfg(unix)]
mod select;
mod session_inbox;
mod shutdown;
mod signal;
mod snapshot;
#[cfg_attr(not(feature = "spans"), path = "no_spans.rs")]
mod spans;
mod supervise;
pub(crate) mod task;
mod timer;
mod trace;

pub(crate) use alias::postback_tag;
pub(crate) use builder::Config;
pub use builder::KernelBuilder;
pub use call::Called;
pub(crate) use call::{call_at_once, try_call_at_once};
#[cfg(unix)]
pub use child::{ChildProcess, ProcessExit};
pub(crate) use core::Core;
pub use deferred::{DeferredReply, LateReply, PendingReply};
pub use die::Die;
pub use ended::SessionEnd;
pub(crate) use extension::Active;
#[cfg(feature = "tower")]
pub use handle::{CallService, ServiceFuture};
pub use handle::{DeadLetter, DelayedPost, KernelHandle, ReplyFuture};
pub(crate) use invoke::AtOnce;
pub use invoke::{Invoke, Invoked, Nested};
pub(crate) use kernel_ref::Frame;
pub use kernel_ref::KernelRef;
pub(crate) use lifecycle::create_at_once;
pub use message::Target;
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
pub use observe::{Dispatch, Look, LookFuture, Observation, Observer, Outcome};
pub use resource::SessionHold;
pub use run::RunFuture;
#[cfg(unix)]
pub use select::{SelectMode, Selected, Watched};
pub use session_inbox::InboxState;
pub use shutdown::ShutdownReport;
pub use signal::Signal;
pub use snapshot::{
    AwaitedProcess, EventId, EventType, KernelStats, QueuedEvent, Refcount, SessionHolds, SessionPage, SessionRow,
    SessionSnapshot, Snapshot, StreamSnapshot, TaskPage, TaskSnapshot, WatchedFile, WhyAlive,
};
pub(crate) use supervise::{KeptPost, Stopped};
pub use timer::{Delta, Timer};
#[cfg(feature = "testing")]
pub(crate) use trace::Dispatched;

use crate::id::SessionId;
pub(crate) use crate::resource::HoldKind;
pub(crate) use crate::resource::signals::KERNEL_SHUTDOWN;
use std::fmt;
use std::rc::Rc;

/// The kernel: owner of an event queue and of its sessions.
///
/// It stays on its thread (`!Send`), as its sessions do; other threads use a [`KernelHandle`]. A clone is the same
/// kernel. When the last clone is dropped, every heap is dropped without running a handler, and sessions that were
/// still alive are logged as a warning. (A clone in a session's own heap would therefore keep both for ever: handlers
/// have the kernel in their context and need none.)
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(()).on(START, |_, ()| println!("hello")).create(&kernel)?;
/// kernel.run().await?; // returns when nothing can happen any more
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
#[doc(alias = "POE::Kernel")]
#[doc(alias = "$poe_kernel")]
#[doc(alias = "event loop")]
#[doc(alias = "reactor")]
#[doc(alias = "scheduler")]
#[doc(alias = "runtime")]
#[doc(alias = "executor")]
#[doc(alias = "actor system")]
pub struct Kernel {
    owner: Rc<Owner>,
}

struct Owner {
    core: Rc<Core>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.core.teardown();
    }
}

impl Kernel {
    /// Makes a kernel with the default settings and no session.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Starts building a kernel.
    pub fn builder() -> KernelBuilder {
        KernelBuilder {
            config: Config::default(),
        }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.owner.core
    }

    /// Returns the kernel's own ID: the sender of messages from outside, and a target that drops every post.
    ///
    /// ```
    /// let kernel = poe::Kernel::new();
    /// assert!(kernel.id().is_kernel());
    /// kernel.post(kernel.id(), "anything", ())?; // dropped
    /// kernel.signal(kernel.id(), "TERM", ())?; // for all sessions
    /// assert_ne!(kernel.id(), poe::Kernel::new().id()); // IDs of another kernel are refused
    /// # Ok::<(), poe::Error>(())
    /// ```
    #[doc(alias = "ID")]
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.core().id()
    }

    /// Returns the session whose handler is running, or the kernel's own ID when none is.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let clone = kernel.clone();
    /// Session::builder(())
    ///     .on(START, move |cx, ()| assert_eq!(clone.active_session(), cx.session_id()))
    ///     .create(&kernel)?;
    /// assert_eq!(kernel.active_session(), kernel.id());
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "get_active_session")]
    #[must_use]
    pub fn active_session(&self) -> SessionId {
        self.core().active.session()
    }

    /// Returns the number of sessions that are alive.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// for _ in 0..3 {
    ///     Session::builder(()).on(START, |_, ()| ()).create(&kernel)?;
    /// }
    /// assert_eq!(kernel.session_count(), 3); // the kernel itself does not count
    /// kernel.run().await?;
    /// assert_eq!(kernel.session_count(), 0);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.core().sessions.borrow().count()
    }
}

impl Default for Kernel {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Kernel {
    /// Prints counts, for debugging a stuck program; [`Kernel::why_alive`] prints more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = self.core();
        f.debug_struct("Kernel")
            .field("sessions", &self.session_count())
            .field("events", &core.sessions.try_borrow().map_or(0, |s| s.queue.len()))
            .field("tasks", &core.tasks.count())
            .field("running", &core.run.running.get())
            .finish()
    }
}
