//! Why a call has no result.

use poe::Failure;
use std::fmt;
use std::time::Duration;

/// Why a call of a [`Generic`](crate::Generic) or a `GenericProcess` has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenericError(pub(super) GenericErrorKind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GenericErrorKind {
    Panicked(String),
    Unavailable(String),
    Ended(String),
    #[cfg_attr(
        not(all(unix, feature = "process")),
        allow(dead_code, reason = "processes alone have it")
    )]
    Failed(String),
    #[cfg_attr(
        not(all(unix, feature = "process")),
        allow(dead_code, reason = "processes alone have it")
    )]
    TimedOut(Duration),
}

impl GenericError {
    pub(super) fn ended(how: impl Into<String>) -> Self {
        GenericError(GenericErrorKind::Ended(how.into()))
    }

    /// The call panicked. The object was dropped, and the next call gets another one.
    #[must_use]
    pub fn is_panicked(&self) -> bool {
        matches!(self.0, GenericErrorKind::Panicked(_))
    }

    /// There is no object: the function that makes it failed, with this call and perhaps others.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self.0, GenericErrorKind::Unavailable(_))
    }

    /// The thread or process ended before the reply came. The call may have been made.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.0, GenericErrorKind::Ended(_))
    }

    /// The object's own error, from another process.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(self.0, GenericErrorKind::Failed(_))
    }

    /// The call took longer than the limit, and its process was killed.
    #[must_use]
    pub fn is_timed_out(&self) -> bool {
        matches!(self.0, GenericErrorKind::TimedOut(_))
    }
}

impl fmt::Display for GenericError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            GenericErrorKind::Panicked(text) => write!(f, "the call panicked: {text}"),
            GenericErrorKind::Unavailable(text) => write!(f, "the object cannot be made: {text}"),
            GenericErrorKind::Ended(how) => write!(f, "no reply: {how}"),
            GenericErrorKind::Failed(text) => f.write_str(text),
            GenericErrorKind::TimedOut(limit) => write!(f, "no reply within {limit:?}"),
        }
    }
}

impl std::error::Error for GenericError {}

/// A call that was not taken, with its closure or request.
pub struct GenericRefused<F> {
    pub(super) call: F,
    pub(super) why: Refusal,
}

pub(super) enum Refusal {
    Full(usize),
    #[cfg(all(unix, feature = "process"))]
    Down,
    #[cfg(all(unix, feature = "process"))]
    Unserializable(String),
    Closed,
}

impl<F> GenericRefused<F> {
    /// As many calls wait as the builder's `capacity` allows, or a process does not read its requests.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.why, Refusal::Full(_))
    }

    /// The component was shut down, or its process is not running now.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match self.why {
            #[cfg(all(unix, feature = "process"))]
            Refusal::Down => true,
            Refusal::Closed => true,
            _ => false,
        }
    }

    /// Returns what was to be called.
    #[must_use]
    pub fn into_call(self) -> F {
        self.call
    }
}

impl<F> fmt::Display for GenericRefused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot call the object: ")?;
        match &self.why {
            Refusal::Full(capacity) => write!(
                f,
                "{capacity} calls wait already (`capacity` of its builder): try again later"
            ),
            #[cfg(all(unix, feature = "process"))]
            Refusal::Down => f.write_str("its process is not running; it is started again after a while"),
            #[cfg(all(unix, feature = "process"))]
            Refusal::Unserializable(why) => write!(f, "the request cannot be sent: {why}"),
            Refusal::Closed => f.write_str("it was shut down"),
        }
    }
}

impl<F> fmt::Debug for GenericRefused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GenericRefused({self})")
    }
}

impl<F> From<GenericRefused<F>> for Failure {
    fn from(refused: GenericRefused<F>) -> Self {
        Failure::msg(refused.to_string())
    }
}
