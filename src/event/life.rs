//! Arguments of life-cycle events: children, parents, and events without a handler.

use crate::arg::AnyArg;
use crate::id::SessionId;
use crate::name::Name;
use std::fmt;

/// The argument of [`CHILD`](super::CHILD).
#[derive(Debug)]
#[doc(alias = "supervision")]
#[non_exhaustive]
pub struct Child {
    /// Why the event was sent.
    pub reason: ChildReason,
    /// The child session.
    pub session: SessionId,
    /// The result of its `_start` or `_stop`.
    ///
    /// `None` on [`ChildReason::Gain`], on a detach, and when that handler failed or does not exist.
    pub result: Option<AnyArg>,
}

/// Why a [`CHILD`](super::CHILD) event was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ChildReason {
    /// The active session created it.
    #[doc(alias = "CHILD_CREATE")]
    Create,
    /// It was adopted from a session that is being stopped.
    #[doc(alias = "CHILD_GAIN")]
    Gain,
    /// It stopped or detached itself.
    #[doc(alias = "CHILD_LOSE")]
    Lose,
}

impl fmt::Display for ChildReason {
    /// Writes POE's word: `create`, `gain` or `lose`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ChildReason::Create => "create",
            ChildReason::Gain => "gain",
            ChildReason::Lose => "lose",
        })
    }
}

/// The argument of [`PARENT`](super::PARENT).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Parent {
    /// The parent until now.
    pub old: SessionId,
    /// The parent from now on.
    pub new: SessionId,
}

/// The argument of [`DEFAULT`](super::DEFAULT): an event that has no handler.
///
/// ```
/// use poe::{Kernel, Session, event::{DEFAULT, START}};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| cx.yield_to("no such event", 7_u64))
///     .on(DEFAULT, |_, unhandled| {
///         // It is asked about life-cycle events, too: `_stop` comes this way at the end.
///         if unhandled.event == "no such event" {
///             assert_eq!(unhandled.arg.downcast::<u64>().unwrap(), 7);
///         }
///     })
///     .create(&kernel).unwrap();
/// kernel.run().await.unwrap();
/// # });
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Unhandled {
    /// The event's name.
    pub event: Name,
    /// The event's argument. An [`AnyArg`] can be posted again as it is.
    pub arg: AnyArg,
}
