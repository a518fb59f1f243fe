//! A post that was refused.

use super::failure::Failure;
use super::general::Error;
use super::kind::ErrorKind;
use crate::id::SessionId;
use std::fmt;

/// A post that was refused, with its argument. Turn it into [`Error`] or [`Failure`] with `?`; it is not an
/// `Error` itself, so that the argument's type needs no bound.
///
/// ```
/// use poe::{Event, Kernel};
/// const GREET: Event<String> = Event::new("greet");
/// let kernel = Kernel::new();
/// let refused = kernel.post("nobody", GREET, "hello".to_owned()).unwrap_err();
/// assert!(refused.is_no_such_session());
/// assert_eq!(refused.to_string(), "cannot post `greet`: no session has the alias `nobody`");
/// assert_eq!(refused.into_arg(), "hello");
/// ```
///
/// ```
/// use poe::{Event, Kernel};
/// const GREET: Event<String> = Event::new("greet");
/// // By a handle a post can also come too early or too late.
/// let kernel = Kernel::builder().inbox_capacity(1).build();
/// let handle = kernel.handle();
/// handle.post("greeter", GREET, "first".to_owned()).unwrap();
/// let refused = handle.post("greeter", GREET, "second".to_owned()).unwrap_err();
/// assert!(refused.is_full() && refused.into_arg() == "second");
/// drop(kernel);
/// assert!(handle.post("greeter", GREET, "third".to_owned()).unwrap_err().is_closed());
/// ```
pub struct PostError<A> {
    event: String,
    kind: PostErrorKind,
    arg: A,
}

#[derive(Clone, Debug)]
pub(crate) enum PostErrorKind {
    NoSuchSession(Wanted),
    Full(usize),
    Ended,
    Closed,
}

/// What a caller named: kept for the message of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Id(SessionId),
    Alias(String),
}

impl<A> PostError<A> {
    pub(crate) fn new(event: &str, kind: PostErrorKind, arg: A) -> Self {
        PostError {
            event: event.to_owned(),
            kind,
            arg,
        }
    }

    /// The argument that was not delivered.
    pub fn into_arg(self) -> A {
        self.arg
    }

    /// The same refusal around what `f` makes of the argument.
    ///
    /// ```
    /// use poe::{Event, Kernel, PostError};
    /// use std::time::SystemTime;
    /// const LOG: Event<(SystemTime, String)> = Event::new("log");
    ///
    /// fn log(kernel: &Kernel, line: String) -> Result<(), PostError<String>> {
    ///     let posted = kernel.post("logger", LOG, (SystemTime::now(), line));
    ///     posted.map_err(|refused| refused.map(|(_, line)| line))
    /// }
    /// let refused = log(&Kernel::new(), "hello".to_owned()).unwrap_err();
    /// assert!(refused.is_no_such_session());
    /// assert_eq!(refused.into_arg(), "hello");
    /// ```
    pub fn map<B>(self, f: impl FnOnce(A) -> B) -> PostError<B> {
        PostError {
            event: self.event,
            kind: self.kind,
            arg: f(self.arg),
        }
    }

    /// POE's `ESRCH`: the target is not there, or not any more.
    #[doc(alias = "ESRCH")]
    pub fn is_no_such_session(&self) -> bool {
        matches!(self.kind, PostErrorKind::NoSuchSession(_))
    }

    /// The inbox of a [`KernelHandle`](crate::KernelHandle) is full: try again later.
    pub fn is_full(&self) -> bool {
        matches!(self.kind, PostErrorKind::Full(_))
    }

    /// The kernel behind a [`KernelHandle`](crate::KernelHandle) is gone, or a failure has ended its run.
    pub fn is_closed(&self) -> bool {
        matches!(self.kind, PostErrorKind::Closed | PostErrorKind::Ended)
    }

    fn without_arg(self) -> Error {
        ErrorKind::Post {
            event: self.event,
            kind: self.kind,
        }
        .into()
    }
}

impl fmt::Display for PostErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PostErrorKind::NoSuchSession(w) => w.fmt(f),
            PostErrorKind::Full(n) => write!(f, "the kernel's inbox is full ({n} messages)"),
            PostErrorKind::Ended => f.write_str("a failure has ended the kernel's run"),
            PostErrorKind::Closed => f.write_str("the kernel is gone"),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Id(id) => write!(f, "no session {id}"),
            Wanted::Alias(a) => write!(f, "no session has the alias `{a}`"),
        }
    }
}

impl<A> fmt::Display for PostError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot post `{}`: {}", self.event, self.kind)
    }
}

impl<A> fmt::Debug for PostError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostError({self})")
    }
}

impl<A> From<PostError<A>> for Error {
    fn from(error: PostError<A>) -> Self {
        error.without_arg()
    }
}

impl<A> From<PostError<A>> for Failure {
    fn from(error: PostError<A>) -> Self {
        Failure::from(error.without_arg())
    }
}
