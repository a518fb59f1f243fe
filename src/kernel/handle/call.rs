//! A call from another thread: in the inbox, and then as an event in the queue.
//!
//! Both sides share the argument until a handler gets it, so that the side that gives up first has it: the kernel takes
//! it when it dispatches the call, the caller when its time is over or the kernel is gone.

use super::letter::SendName;
use crate::arg::AnyArg;
use crate::error::{CallError, CallErrorKind, drop_quietly, quietly};
use crate::id::SessionId;
use crate::kernel::Core;
use crate::kernel::deferred::{Origin, Ran, Waiter, wrong_reply};
use crate::name::{Key, Name};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What both sides share until one of them takes it: the argument of a call that was not dispatched yet, the timer of a post.
pub(super) struct Pending<A>(Arc<Mutex<Option<A>>>);

impl<A> Pending<A> {
    pub(super) fn new(arg: A) -> Self {
        Pending(Arc::new(Mutex::new(Some(arg))))
    }

    /// One that is not there yet: see [`put`](Self::put).
    pub(super) fn empty() -> Self {
        Pending(Arc::default())
    }

    pub(super) fn put(&self, value: A) {
        *self.lock() = Some(value);
    }

    fn lock(&self) -> MutexGuard<'_, Option<A>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn share(&self) -> Self {
        Pending(self.0.clone())
    }

    /// The value, if the other side has not taken it.
    pub(super) fn take(&self) -> Option<A> {
        self.lock().take()
    }

    /// Whether neither side has taken it.
    pub(super) fn is_there(&self) -> bool {
        self.lock().is_some()
    }
}

impl<A> Drop for Pending<A> {
    fn drop(&mut self) {
        // Its drop may panic, on whatever thread lets go of it last.
        if Arc::strong_count(&self.0) == 1 {
            drop_quietly(self.take());
        }
    }
}

/// A call that is an event of the queue: by a handle, or an `ask`.
pub(in crate::kernel) trait QueuedCall {
    /// Runs the handler and sees to the reply, unless the caller has given up.
    fn run(self: Box<Self>, core: &Core, callee: SessionId, origin: Origin);
    /// Tells the caller that no handler will run.
    fn refuse(self: Box<Self>, core: &Core, kind: CallErrorKind);
    fn event(&self) -> Name;
}

/// What stands in the queue, with the name [`NameIdx::CALL`](crate::name::NameIdx::CALL).
pub(in crate::kernel) struct Queued(pub(in crate::kernel) Box<dyn QueuedCall>);

impl Queued {
    pub(in crate::kernel) fn run(self, core: &Core, callee: SessionId, origin: Origin) {
        self.0.run(core, callee, origin);
    }

    pub(in crate::kernel) fn event(&self) -> Name {
        self.0.event()
    }
}

pub(super) struct Call<A, R> {
    pub(super) event: SendName,
    pub(super) arg: Pending<A>,
    pub(super) reply: Reply<A, R>,
}

type Reply<A, R> = tokio::sync::oneshot::Sender<Result<R, CallError<A>>>;

/// Replies. If the caller is gone the reply is dropped here; the caller's waker is foreign code.
fn send<T>(reply: tokio::sync::oneshot::Sender<T>, result: T) {
    quietly("a reply to another thread panicked", || drop(reply.send(result)));
}

impl<A: Send + 'static, R: Send + 'static> QueuedCall for Call<A, R> {
    fn run(self: Box<Self>, core: &Core, callee: SessionId, origin: Origin) {
        let Call { event, arg, reply } = *self;
        let Some(arg) = arg.take() else { return };
        if callee.is_kernel() {
            let result = core.call_from(callee, callee.into(), event.key(), origin.caller, arg, origin.place);
            return send(reply, result);
        }
        match core.run_queued_call(callee, event.key(), arg, origin) {
            Ran::Replied(value) => send(reply, reply_of(event.key(), value)),
            Ran::Refused(kind, arg) => send(reply, Err(CallError::new(event.key().as_str(), kind, arg))),
            Ran::Deferred(token) => token.wait(core, Box::new(Remote { event, reply })),
        }
    }

    fn refuse(self: Box<Self>, _: &Core, kind: CallErrorKind) {
        let Call { event, arg, reply } = *self;
        if let Some(arg) = arg.take() {
            send(reply, Err(CallError::new(event.key().as_str(), kind, Some(arg))));
        }
    }

    fn event(&self) -> Name {
        self.event.key().to_name()
    }
}

/// The reply if it has the type that the caller expects.
pub(in crate::kernel) fn reply_of<A, R: 'static>(event: Key<'_>, mut value: AnyArg) -> Result<R, CallError<A>> {
    value
        .take::<R>()
        .ok_or_else(|| CallError::new(event.as_str(), wrong_reply::<R>(&value), None))
}

/// A caller on another thread who waits for a reply that comes later.
struct Remote<A, R> {
    event: SendName,
    reply: Reply<A, R>,
}

impl<A: 'static, R: 'static> Waiter for Remote<A, R> {
    fn is_waiting(&self) -> bool {
        !self.reply.is_closed()
    }

    fn give(self: Box<Self>, _: &Core, reply: Result<AnyArg, CallErrorKind>) {
        let event = self.event.key();
        let result = match reply {
            Ok(value) => reply_of(event, value),
            Err(kind) => Err(CallError::new(event.as_str(), kind, None)),
        };
        send(self.reply, result);
    }
}
