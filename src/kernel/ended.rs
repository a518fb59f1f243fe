//! Waiting for the end of a session from outside of its kernel.

use super::deferred::Origin;
use super::handle::QueuedCall;
use super::{Core, Stopped};
use crate::error::{CallError, CallErrorKind, Failure, quietly};
use crate::id::SessionId;
use crate::name::Name;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use tokio::sync::oneshot::Sender;

/// How a session has ended, for [`KernelHandle::ended`](crate::KernelHandle::ended).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SessionEnd {
    /// Nothing kept it alive any more, or the program has stopped all sessions.
    Normal,
    /// One of its handlers has failed.
    Failed {
        /// The error or the panic.
        failure: Failure,
        /// The event whose handler failed.
        event: String,
        /// The line that sent that event.
        place: &'static Location<'static>,
    },
    /// A signal has stopped it, by its name; `DIE` if the failure was another session's.
    Signal(String),
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionEnd::Normal => f.write_str("ended normally"),
            SessionEnd::Failed { failure, event, place } => {
                write!(
                    f,
                    "event `{event}` failed: {failure} (sent at {}:{})",
                    place.file(),
                    place.line()
                )
            }
            SessionEnd::Signal(name) => write!(f, "stopped by the signal {name}"),
        }
    }
}

type Reply = Sender<Result<SessionEnd, CallError<()>>>;

/// Who waits for the end of which session.
#[derive(Default)]
pub(super) struct EndWatchers(RefCell<HashMap<SessionId, Vec<Reply>>>);

/// A wait that is on its way to the kernel.
pub(super) struct WatchEnd<P> {
    /// Gone if the caller has given up.
    pub(super) is_wanted: P,
    pub(super) reply: Reply,
}

impl<P: Fn() -> bool> QueuedCall for WatchEnd<P> {
    fn run(self: Box<Self>, core: &Core, callee: SessionId, _: Origin) {
        if callee.is_kernel() {
            return self.refuse(core, CallErrorKind::Unhandled(callee));
        }
        if (self.is_wanted)() {
            core.ends.0.borrow_mut().entry(callee).or_default().push(self.reply);
        }
    }

    fn refuse(self: Box<Self>, _: &Core, kind: CallErrorKind) {
        tell(self.reply, Err(CallError::new("ended", kind, None)));
    }

    fn event(&self) -> Name {
        Name::from_static("ended")
    }
}

/// The caller's waker is foreign code.
fn tell(reply: Reply, end: Result<SessionEnd, CallError<()>>) {
    quietly("a waiter for the end of a session panicked", || drop(reply.send(end)));
}

impl Core {
    /// Whether somebody outside waits for the end of a session.
    #[inline]
    pub(super) fn are_ends_watched(&self) -> bool {
        !self.ends.0.borrow().is_empty()
    }

    /// How a session ends whose `_stop` has just run.
    #[cold]
    #[inline(never)]
    pub(super) fn end_of(&self, session: SessionId) -> SessionEnd {
        match self.why_stopped(session).or_else(|| self.die.why_stopped(session)) {
            None => SessionEnd::Normal,
            Some(Stopped::Signal(name)) => SessionEnd::Signal(name.to_string()),
            Some(Stopped::Failed(die)) => SessionEnd::Failed {
                failure: die.failure.clone(),
                event: die.event.to_string(),
                place: die.place,
            },
        }
    }

    /// Tells those who wait for the end of a session, which is gone.
    #[cold]
    #[inline(never)]
    pub(super) fn tell_end(&self, session: SessionId, end: &SessionEnd) {
        let waiting = self.ends.0.borrow_mut().remove(&session);
        for reply in waiting.into_iter().flatten() {
            tell(reply, Ok(end.clone()));
        }
    }
}
