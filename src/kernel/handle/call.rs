//! A call from another thread on its way: in the inbox, and then as an event in the queue.
//!
//! The argument stays with both sides until a handler gets it, so that whoever gives up first has it: the kernel takes it
//! when it dispatches the call, the caller when its time is over or the kernel is gone.

use super::letter::SendName;
use crate::error::{CallError, CallErrorKind, drop_quietly, quietly};
use crate::id::{Place, SessionId};
use crate::kernel::Core;
use crate::name::{Key, NameIdx};
use std::sync::{Arc, Mutex, PoisonError};

/// The argument of a call that was not dispatched yet.
pub(super) struct Pending<A>(Arc<Mutex<Option<A>>>);

impl<A> Pending<A> {
    pub(super) fn new(arg: A) -> Self {
        Pending(Arc::new(Mutex::new(Some(arg))))
    }

    pub(super) fn share(&self) -> Self {
        Pending(self.0.clone())
    }

    /// The argument, if the other side has not taken it.
    pub(super) fn take(&self) -> Option<A> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
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

pub(in crate::kernel) trait RemoteCall: Send {
    /// Runs the handler and replies, unless the caller has given up.
    fn run(self: Box<Self>, core: &Core, callee: SessionId, place: Place);
    /// Replies that no handler will run.
    fn refuse(self: Box<Self>, kind: CallErrorKind);
    fn event(&self) -> Key<'_>;
}

/// What stands in the queue, with the name [`NameIdx::CALL`].
pub(in crate::kernel) struct Queued(pub(super) Box<dyn RemoteCall>);

impl Queued {
    pub(in crate::kernel) fn run(self, core: &Core, callee: SessionId, place: Place) {
        self.0.run(core, callee, place);
    }

    pub(in crate::kernel) fn event(&self) -> &str {
        self.0.event().as_str()
    }
}

pub(super) struct Call<A, R> {
    pub(super) event: SendName,
    pub(super) arg: Pending<A>,
    pub(super) reply: tokio::sync::oneshot::Sender<Result<R, CallError<A>>>,
}

/// Replies. Whoever asked may have gone away, so that the reply is dropped here; and its waker is not ours.
fn send<T>(reply: tokio::sync::oneshot::Sender<T>, result: T) {
    quietly("a reply to another thread panicked", || drop(reply.send(result)));
}

impl<A: Send + 'static, R: Send + 'static> RemoteCall for Call<A, R> {
    fn run(self: Box<Self>, core: &Core, callee: SessionId, place: Place) {
        let Call { event, arg, reply } = *self;
        if let Some(arg) = arg.take() {
            let result = core.call_from::<A, R>(core.id(), callee.into(), event.key(), NameIdx::REMOTE, arg, place);
            send(reply, result);
        }
    }

    fn refuse(self: Box<Self>, kind: CallErrorKind) {
        let Call { event, arg, reply } = *self;
        if let Some(arg) = arg.take() {
            send(reply, Err(CallError::new(event.key().as_str(), kind, Some(arg))));
        }
    }

    fn event(&self) -> Key<'_> {
        self.event.key()
    }
}
