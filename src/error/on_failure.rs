//! The policy for failures that no session handles.

/// Decides what stops when a handler fails and no session handles its `DIE` signal.
///
/// Each session may have its own policy ([`SessionBuilder::on_failure`](crate::SessionBuilder::on_failure)). A session without
/// one uses that of its nearest ancestor that has one, else the kernel's
/// ([`KernelBuilder::on_failure`](crate::KernelBuilder::on_failure)), which is `StopKernel` by default.
///
/// Under both policies the failure first becomes the signal `DIE`, which is queued behind the events that already wait and
/// visits the descendants of the failed session, the session, and its ancestors. A handler that calls
/// [`sig_handled`](crate::KernelRef::sig_handled) keeps all of them alive, and the policy does not matter. An unhandled failure is
/// logged at the level ERROR and passed to the hook of [`Kernel::on_unhandled_failure`](crate::Kernel::on_unhandled_failure).
///
#[doc = include_str!("../../docs/pictures/failure.inline.svg")]
///
/// ```
/// use poe::{Kernel, OnFailure, Session, event::START};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::builder().on_failure(OnFailure::StopSession).build();
/// let bad = Session::builder(())
///     .on(START, |cx, ()| cx.yield_to("fail", ()))
///     .on("fail", |_, ()| panic!("a bug"))
///     .create(&kernel)?;
/// let good = Session::builder(()).on(START, |cx, ()| cx.delay("work", 1.0, ())).create(&kernel)?;
/// # kernel.run_one_timeslice().await?;
/// kernel.run_one_timeslice().await?;
/// assert!(!kernel.is_alive(bad) && kernel.is_alive(good));
/// # kernel.stop_all()?;
/// kernel.run().await // the failure is not the run's
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// Every session is stopped, and [`Kernel::run`](crate::Kernel::run) returns the failure. This is POE's rule (law L69).
    #[default]
    StopKernel,
    /// Stops the failed session and its descendants. All other sessions go on.
    ///
    /// The ancestors are told with `DIE` and `_child`.
    StopSession,
}
