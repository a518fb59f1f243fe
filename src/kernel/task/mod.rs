//! The kernel's own tasks: futures, streams and blocking work of sessions, and the I/O of wheels.
//!
//! The kernel's future polls them in its I/O phase, each with its own waker; the host needs no `spawn_local`. A task is
//! out of its slot while it is polled, so the code that it runs may cancel it or start others.
//!
//! A task that was woken has one turn in the next I/O phase. A wheel with new output is polled as soon as the handler
//! returns as well, and only writes then ([`Core::is_turn`]). A turn that is too long for the pace pauses between two
//! records ([`Core::pause_turn`]), and continues before anything else of the kernel runs.

mod deliver;
mod poll;
mod spawn;
mod table;

pub(super) use table::Tasks;

use super::Core;
use crate::id::{Place, SessionId};
use crate::name::Name;
use crate::resource::HoldKind;
use std::task::{Context, Poll};

/// Something that the kernel's I/O phase polls.
pub(crate) trait Task {
    /// Ready when it is over. Nothing of the kernel is borrowed, so it may dispatch events.
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()>;

    /// Whether it runs code of its session, which must be polled on a cooperative budget.
    fn is_guest(&self) -> bool {
        false
    }
}

/// What a task is called in reports, and whom it holds.
pub(crate) struct Purpose {
    pub(crate) owner: SessionId,
    pub(crate) kind: HoldKind,
    /// What it does: the event's name, the wheel's description.
    pub(crate) what: Name,
    pub(crate) place: Place,
    /// It takes new clients: the first thing that a shutdown closes.
    pub(crate) listener: bool,
}
