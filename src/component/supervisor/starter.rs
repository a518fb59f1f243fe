//! What the function of a child is given.

use crate::error::{CallError, Error};
use crate::event::Calls;
use crate::id::SessionId;
use crate::kernel::{AtOnce, Core, KernelRef, Target};
use crate::session::{Caller, SessionBuilder, Start};
use std::fmt;

/// Creates the sessions of a supervisor's child.
///
/// It is a [`Caller`] without a heap: what it creates and starts is a child of the supervisor's session.
pub struct Starter<'s> {
    pub(super) kernel: KernelRef<'s>,
    pub(super) name: &'s str,
    pub(super) starts: u64,
    /// The session says itself when it is started.
    pub(super) is_pending: bool,
}

impl Starter<'_> {
    /// Creates a session as a child of the supervisor, and runs its `_start` before it returns.
    ///
    /// # Errors
    /// There is no `_start` handler; the kernel is shutting down.
    #[track_caller]
    pub fn create<H: 'static, X: 'static>(&mut self, builder: SessionBuilder<H, X>) -> Result<SessionId, Error> {
        Caller::create(self, builder)
    }

    /// Starts a machine or a component, whose session is a child of the supervisor.
    ///
    /// # Errors
    /// As the builder's own `start`.
    #[track_caller]
    pub fn start<B: Start>(&mut self, builder: B) -> Result<B::Started, Error> {
        builder.start_by(self)
    }

    /// Runs a session's handler now and returns its reply: see [`Context::call`](crate::Context::call).
    ///
    /// # Errors
    /// As [`Context::call`](crate::Context::call).
    #[track_caller]
    pub fn call<'t, A: 'static, B: 'static>(
        &mut self,
        target: impl Into<Target<'t>>,
        event: impl Calls<A, B>,
        arg: A,
    ) -> Result<B, CallError<A>> {
        Caller::call(self, target, event, arg)
    }

    /// Returns the child's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// Returns the number of starts before this one: 0 at the first.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.starts
    }

    /// Returns the supervisor's session.
    #[must_use]
    pub fn supervisor_id(&self) -> SessionId {
        self.kernel.session_id()
    }
}

impl AtOnce for Starter<'_> {
    fn core(&self) -> &Core {
        self.kernel.core
    }

    /// The supervisor's session has nothing in its heap that a handler could need.
    fn at_once<T>(&mut self, _what: &'static str, f: impl FnOnce(&Core) -> T) -> Result<T, Error> {
        Ok(f(self.kernel.core))
    }
}

impl fmt::Debug for Starter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Starter")
            .field("name", &self.name)
            .field("restarts", &self.starts)
            .finish_non_exhaustive()
    }
}
