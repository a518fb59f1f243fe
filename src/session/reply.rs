//! The return types of handlers.

use crate::arg::AnyArg;
use crate::error::Failure;
use crate::kernel::{KernelRef, PendingReply};
use std::any::TypeId;

/// A handler's reply to a [`call`](crate::Context::call).
///
/// ```
/// use poe::{Event, Kernel, Reply, Session, event::START};
/// const LENGTH: Event<String, usize> = Event::new("length");
/// let kernel = Kernel::new();
/// let id = Session::builder(())
///     .on(START, |_, ()| ())
///     .on(LENGTH, |_, text| Reply(text.len()))
///     .create(&kernel)?;
/// assert_eq!(kernel.call(id, LENGTH, "poe".to_owned())?, 3);
/// # Ok::<(), poe::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "respond")]
#[doc(alias = "return value")]
#[doc(alias = "oneshot")]
pub struct Reply<T>(pub T);

/// What a handler may return: nothing, `!`, a [`Reply`], a [`PendingReply`], or a `Result` of these with an error for [`Failure`].
///
/// ```
/// use poe::{Failure, HandlerResult, Reply, States, extend::IntoReply};
/// fn length(text: Option<&str>) -> HandlerResult<Reply<usize>> {
///     let text = text.ok_or_else(|| Failure::msg("no text"))?;
///     Ok(Reply(text.len()))
/// }
/// let states = States::<()>::new().on("length", |_, text: Option<&'static str>| length(text));
/// assert_eq!(states.event_names(), ["length"]);
///
/// assert_eq!(length(Some("poe")).into_reply().unwrap(), 3);
/// assert_eq!(length(None).into_reply().unwrap_err().to_string(), "no text");
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "not the return type of a handler",
    note = "return nothing, or wrap the value for the caller: `Reply(value)`",
    note = "name the return type of a handler that uses `?`: `|cx, arg| -> poe::HandlerResult {{ .. Ok(()) }}`, or `-> poe::HandlerResult<Reply<T>>`",
    note = "handlers cannot be async: `cx.spawn(future, EVENT)` sends the output of a future as an event"
)]
pub trait IntoReply {
    /// The value that the caller gets.
    type Value: 'static;

    /// The reply, or the failure that becomes a `DIE`.
    ///
    /// # Errors
    /// The handler's.
    fn into_reply(self) -> Result<Self::Value, Failure>;

    /// Leaves the reply for the waiting caller, if it is more than `()`.
    #[doc(hidden)]
    #[inline(always)]
    fn leave(self, kernel: KernelRef<'_>) -> Result<(), Failure>
    where
        Self: Sized,
    {
        let value = self.into_reply()?;
        // A reply that is not set is `()`.
        if TypeId::of::<Self::Value>() != TypeId::of::<()>() && kernel.is_asked() {
            kernel.set_reply(AnyArg::new(value));
        }
        Ok(())
    }
}

impl IntoReply for () {
    type Value = ();
    #[inline]
    fn into_reply(self) -> Result<(), Failure> {
        Ok(())
    }
}

impl<T: 'static> IntoReply for Reply<T> {
    type Value = T;
    #[inline]
    fn into_reply(self) -> Result<T, Failure> {
        Ok(self.0)
    }
}

impl<T: IntoReply, E: Into<Failure>> IntoReply for Result<T, E> {
    type Value = T::Value;
    #[inline]
    fn into_reply(self) -> Result<T::Value, Failure> {
        self.map_err(Into::into)?.into_reply()
    }

    #[inline(always)]
    fn leave(self, kernel: KernelRef<'_>) -> Result<(), Failure> {
        self.map_err(Into::into)?.leave(kernel)
    }
}

impl<R: 'static> IntoReply for PendingReply<R> {
    type Value = R;

    fn into_reply(self) -> Result<R, Failure> {
        Err(Failure::msg("the reply comes later: only a kernel can wait for it"))
    }

    fn leave(self, kernel: KernelRef<'_>) -> Result<(), Failure> {
        PendingReply::leave(self, kernel);
        Ok(())
    }
}

/// `!` has no name on stable Rust, but the return type of `fn() -> !` has.
#[doc(hidden)]
pub trait FnOut {
    #[doc(hidden)]
    type Out;
}

impl<T> FnOut for fn() -> T {
    type Out = T;
}

impl IntoReply for <fn() -> ! as FnOut>::Out {
    type Value = ();
    #[inline]
    fn into_reply(self) -> Result<(), Failure> {
        self
    }
}
