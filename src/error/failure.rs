//! Why a handler failed: an error, a message, or a panic.

use super::post::WrongArgument;
use super::{drop_payload, drop_quietly, text_of};
use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// The return type of a handler that uses `?`.
pub type HandlerResult<T = ()> = Result<T, Failure>;

/// The failure of a handler: an error that it returned, or its panic. It becomes the `DIE` signal.
///
/// A `Failure` is made from every error, from `anyhow::Error` and boxed errors, from `&str` and `String`, and from every refused
/// post or call. It is cheap to clone, and it does not implement `Error` itself, so that `?` can make it from all of
/// them; [`source`](Failure::source) returns the cause.
///
/// ```
/// let failure = poe::Failure::msg("out of cheese");
/// assert_eq!(failure.to_string(), "out of cheese");
/// assert!(failure.source().is_none() && !failure.is_panic());
///
/// fn number(text: &str) -> poe::HandlerResult<u8> {
///     Ok(text.parse()?)
/// }
/// let failure = number("300").unwrap_err();
/// assert!(failure.source().unwrap().is::<std::num::ParseIntError>());
///
/// fn open(door: Option<u8>) -> poe::HandlerResult<u8> {
///     Ok(door.ok_or("there is no door")?)
/// }
/// assert_eq!(open(None).unwrap_err().to_string(), "there is no door");
/// ```
#[derive(Clone)]
pub struct Failure(Arc<FailureKind>);

enum FailureKind {
    Error(UserError),
    Message(String),
    Panic(String),
    WrongArgument(WrongArgument),
    /// Any of these, in a callback of a component.
    Callback {
        callback: String,
        failure: Failure,
    },
}

/// A user's error. Its drop may panic, wherever the last clone of the failure is dropped.
struct UserError(Option<Box<dyn StdError + Send + Sync>>);

impl Drop for UserError {
    fn drop(&mut self) {
        drop_quietly(self.0.take());
    }
}

impl Failure {
    /// Makes a failure from a message alone.
    pub fn msg(text: impl Into<String>) -> Self {
        Failure(Arc::new(FailureKind::Message(text.into())))
    }

    pub(crate) fn wrong_argument(what: WrongArgument) -> Self {
        Failure(Arc::new(FailureKind::WrongArgument(what)))
    }

    pub(crate) fn from_panic(payload: Box<dyn Any + Send>) -> Self {
        // An inner `catch_unwind` caught it already and added the name of a callback.
        let payload = match payload.downcast::<Failure>() {
            Ok(failure) => return *failure,
            Err(payload) => payload,
        };
        let text = match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => match payload.downcast::<&'static str>() {
                Ok(text) => (*text).to_owned(),
                Err(other) => {
                    drop_payload(other);
                    String::from("a panic without a text")
                }
            },
        };
        Failure(Arc::new(FailureKind::Panic(text)))
    }

    /// Notes which component's callback failed. If the failure passed through several, the innermost is kept.
    pub(crate) fn of_callback(self, callback: impl FnOnce() -> String) -> Self {
        if self.callback().is_some() {
            return self;
        }
        let (callback, failure) = (callback(), self);
        Failure(Arc::new(FailureKind::Callback { callback, failure }))
    }

    /// Returns the kind of the failure without the name of the callback.
    fn kind(&self) -> &FailureKind {
        match &*self.0 {
            FailureKind::Callback { failure, .. } => failure.kind(),
            kind => kind,
        }
    }

    /// Returns the name of the component's callback that failed, with its owner.
    ///
    /// For example "`client_input` of the server `echo` (client 127.0.0.1:50312)". `None` if another handler failed. The text of
    /// an [`Error`](crate::Error) begins with it; the text of a `Failure` has only the cause.
    #[must_use]
    pub fn callback(&self) -> Option<&str> {
        match &*self.0 {
            FailureKind::Callback { callback, .. } => Some(callback),
            _ => None,
        }
    }

    /// Returns the error that the handler returned, if there is one.
    #[must_use]
    pub fn source(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        match self.kind() {
            FailureKind::Error(e) => e.0.as_deref(),
            _ => None,
        }
    }

    /// Whether the handler panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.kind(), FailureKind::Panic(_))
    }

    /// Returns the details if a bare name was posted with a value of the wrong type.
    #[must_use]
    pub fn wrong_type(&self) -> Option<&WrongArgument> {
        match self.kind() {
            FailureKind::WrongArgument(w) => Some(w),
            _ => None,
        }
    }

    /// Joins two failures: the first, and the one that was thrown while the first was handled (law L70).
    pub(crate) fn followed_by(&self, second: &Failure) -> Self {
        let both = Failure::msg(format!(
            "{self}\nAdditional error thrown in handler for previous error:\n{second}"
        ));
        match self.callback() {
            Some(callback) => both.of_callback(|| callback.to_owned()),
            None => both,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            // This may be formatted by a subscriber, or by the kernel itself.
            FailureKind::Error(e) => f.pad(&e.0.as_ref().map_or_else(String::new, text_of)),
            FailureKind::Message(m) => f.write_str(m),
            FailureKind::Panic(m) => write!(f, "panicked: {m}"),
            FailureKind::WrongArgument(w) => w.fmt(f),
            FailureKind::Callback { failure, .. } => failure.fmt(f),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failure({self})")
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure(Arc::new(FailureKind::Error(UserError(Some(error.into())))))
    }
}

// The policy for failures that no session handles.
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
