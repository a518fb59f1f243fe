//! What life-cycle events carry: news of children and parents, and what found no handler.

use crate::arg::AnyArg;
use crate::id::SessionId;
use crate::name::Name;
use std::fmt;

/// The argument of [`CHILD`](super::CHILD).
///
/// ```
/// use poe::{Context, Kernel, Session, SessionId, event::{CHILD, Child, ChildReason, START, STOP}};
/// use std::collections::HashSet;
///
/// /// Keeps the set of those that are below the session.
/// fn on_child(cx: &mut Context<'_, HashSet<SessionId>>, child: Child) {
///     match child.reason {
///         ChildReason::Create | ChildReason::Gain => cx.heap.insert(child.session),
///         ChildReason::Lose => cx.heap.remove(&child.session),
///     };
/// }
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(HashSet::new())
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let child = Session::builder(()).on(START, |_, ()| ()).create_in(cx)?;
///         assert!(cx.heap.contains(&child)); // it was told before `create_in` returned
///         Ok(())
///     })
///     .on(CHILD, on_child)
///     .on(STOP, |cx, ()| assert!(cx.heap.is_empty()))
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Child {
    /// What happened.
    pub reason: ChildReason,
    /// Which session.
    pub session: SessionId,
    /// What its `_start` or `_stop` returned; `None` on [`ChildReason::Gain`], on a detach, and when that handler failed or was absent.
    pub result: Option<AnyArg>,
}

/// Why a [`CHILD`](super::CHILD) event was sent.
///
/// ```
/// use poe::event::ChildReason;
/// let words = [ChildReason::Create, ChildReason::Gain, ChildReason::Lose].map(|reason| reason.to_string());
/// assert_eq!(words, ["create", "gain", "lose"]); // as POE has them
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ChildReason {
    /// The active session made it.
    #[doc(alias = "CHILD_CREATE")]
    Create,
    /// It came from a session that is being stopped.
    #[doc(alias = "CHILD_GAIN")]
    Gain,
    /// It stopped or detached itself.
    #[doc(alias = "CHILD_LOSE")]
    Lose,
}

impl fmt::Display for ChildReason {
    /// POE's word: `create`, `gain` or `lose`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ChildReason::Create => "create",
            ChildReason::Gain => "gain",
            ChildReason::Lose => "lose",
        })
    }
}

/// The argument of [`PARENT`](super::PARENT).
///
/// ```
/// use poe::{Context, Kernel, Session, SessionId, event::{PARENT, Parent, START, STOP}};
///
/// fn on_parent(cx: &mut Context<'_, Option<SessionId>>, parent: Parent) {
///     println!("{} has given me to {}", parent.old, parent.new);
///     *cx.heap = Some(parent.new);
/// }
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let child = Session::builder(None)
///             .on(START, |_, ()| ())
///             .on(PARENT, on_parent)
///             .on(STOP, |cx, ()| assert_eq!(*cx.heap, Some(cx.kernel_id())))
///             .create_in(cx)?;
///         Ok(cx.detach_child(child)?)
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parent {
    /// The parent until now.
    pub old: SessionId,
    /// The parent from now on.
    pub new: SessionId,
}

/// The argument of [`DEFAULT`](super::DEFAULT): the event that found no handler.
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
pub struct Unhandled {
    /// Its name.
    pub event: Name,
    /// What it carried; an [`AnyArg`] can be posted on as it is.
    pub arg: AnyArg,
}
