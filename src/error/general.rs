//! The crate's general error, which carries no value of the caller's.

use super::call::CallErrorKind;
use super::failure::Failure;
use super::kind::ErrorKind;
use super::post::PostErrorKind;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// An error of the kernel or the system. Ask for its kind with the `is_…` methods.
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let error = Session::builder(()).create(&kernel).unwrap_err();
/// assert!(error.is_no_start());
/// # });
/// ```
#[derive(Clone)]
pub struct Error(pub(crate) Arc<ErrorKind>);

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Error(Arc::new(kind))
    }
}

impl Error {
    /// Makes the error of an invalid setting, for your own wheel or component.
    ///
    /// `text` should say what to write instead.
    #[must_use]
    pub fn invalid_setting(text: impl Into<String>) -> Self {
        ErrorKind::Invalid(text.into()).into()
    }

    /// Makes the error of a failed system call, for your own wheel or component.
    ///
    /// `what` names the operation and its subject: "cannot open `/dev/tty`".
    #[must_use]
    pub fn from_io(what: impl Into<String>, error: std::io::Error) -> Self {
        let what = what.into();
        ErrorKind::IoOf { what, error, cure: "" }.into()
    }

    /// No session has this name or ID (POE's `ESRCH`).
    #[doc(alias = "ESRCH")]
    #[must_use]
    pub fn is_no_such_session(&self) -> bool {
        matches!(
            &*self.0,
            ErrorKind::NoSuchSession(_)
                | ErrorKind::Post {
                    kind: PostErrorKind::NoSuchSession(_),
                    ..
                }
                | ErrorKind::Call {
                    kind: CallErrorKind::NoSuchSession(_),
                    ..
                }
        )
    }

    /// No session has this alias (POE's `ESRCH`).
    #[must_use]
    pub fn is_no_such_alias(&self) -> bool {
        matches!(&*self.0, ErrorKind::NoSuchAlias(_))
    }

    /// The timer has fired, was removed, or never existed (POE's `ESRCH`).
    #[must_use]
    pub fn is_no_such_timer(&self) -> bool {
        matches!(&*self.0, ErrorKind::NoSuchAlarm(_))
    }

    /// There is no process with this number.
    #[must_use]
    pub fn is_no_such_process(&self) -> bool {
        matches!(&*self.0, ErrorKind::NoSuchProcess(_))
    }

    /// The session holds no reference count with this tag.
    #[must_use]
    pub fn is_no_such_tag(&self) -> bool {
        matches!(&*self.0, ErrorKind::NoSuchTag { .. })
    }

    /// The object belongs to another session (POE's `EPERM`).
    #[doc(alias = "EPERM")]
    #[must_use]
    pub fn is_not_permitted(&self) -> bool {
        matches!(&*self.0, ErrorKind::NotPermitted(_))
    }

    /// Another session has the alias (POE's `EEXIST`).
    #[doc(alias = "EEXIST")]
    #[must_use]
    pub fn is_alias_taken(&self) -> bool {
        matches!(&*self.0, ErrorKind::AliasTaken { .. })
    }

    /// Handlers were nested deeper than the kernel's [`call_stack`](crate::KernelBuilder::call_stack) allows.
    #[must_use]
    pub fn is_too_deep(&self) -> bool {
        matches!(
            &*self.0,
            ErrorKind::TooDeep(_)
                | ErrorKind::Call {
                    kind: CallErrorKind::TooDeep(_),
                    ..
                }
        )
    }

    /// The session was given no `_start` handler, so it was not created (law L22).
    #[must_use]
    pub fn is_no_start(&self) -> bool {
        matches!(&*self.0, ErrorKind::NoStart { .. })
    }

    /// A cloned [`Kernel`](crate::Kernel) was asked to call a handler while another handler runs.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(
            &*self.0,
            ErrorKind::Busy(_)
                | ErrorKind::Call {
                    kind: CallErrorKind::Busy,
                    ..
                }
        )
    }

    /// The kernel is shutting down and creates no new sessions.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        matches!(&*self.0, ErrorKind::ShuttingDown)
    }

    /// `run` or `serve` was called while the kernel is already running.
    #[must_use]
    pub fn is_already_running(&self) -> bool {
        matches!(&*self.0, ErrorKind::AlreadyRunning)
    }

    /// A handler failed and no session handled its `DIE` signal.
    #[must_use]
    pub fn is_died(&self) -> bool {
        matches!(&*self.0, ErrorKind::Died { .. })
    }

    /// Returns the failure that no session handled, if there is one.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match &*self.0 {
            ErrorKind::Died { failure, .. } => Some(failure),
            _ => None,
        }
    }

    /// Returns the operating system's error, if that is the cause.
    #[must_use]
    pub fn io(&self) -> Option<&std::io::Error> {
        match &*self.0 {
            ErrorKind::Io { error, .. } | ErrorKind::IoOf { error, .. } | ErrorKind::Listen { error, .. } => {
                Some(error)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only the text: a `main` that returns the error prints it behind its own `Error: `.
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.0 {
            ErrorKind::Died { failure, .. } => failure.source().map(|e| e as &(dyn StdError + 'static)),
            ErrorKind::Io { error, .. } | ErrorKind::IoOf { error, .. } | ErrorKind::Listen { error, .. } => {
                Some(error)
            }
            _ => None,
        }
    }
}
