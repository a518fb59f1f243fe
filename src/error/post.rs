//! The error of a refused post.

use super::failure::Failure;
use super::general::Error;
use super::kind::ErrorKind;
use crate::id::SessionId;
use std::fmt;

/// A post that was refused, with its argument inside.
///
/// Turn it into [`Error`] or [`Failure`] with `?`. It does not implement `std::error::Error`, so that the argument's type
/// needs no bound.
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

/// The target that a caller named, kept for the text of an error.
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

    /// Returns the argument that was not delivered.
    pub fn into_arg(self) -> A {
        self.arg
    }

    /// Returns the same error with the argument replaced by `f(argument)`.
    pub fn map<B>(self, f: impl FnOnce(A) -> B) -> PostError<B> {
        PostError {
            event: self.event,
            kind: self.kind,
            arg: f(self.arg),
        }
    }

    /// The target session does not exist, or no longer exists (POE's `ESRCH`).
    #[doc(alias = "ESRCH")]
    pub fn is_no_such_session(&self) -> bool {
        matches!(self.kind, PostErrorKind::NoSuchSession(_))
    }

    /// The inbox of a [`KernelHandle`](crate::KernelHandle) is full: try again later.
    pub fn is_full(&self) -> bool {
        matches!(self.kind, PostErrorKind::Full(_))
    }

    /// The kernel behind the [`KernelHandle`](crate::KernelHandle) is gone, or a failure ended its run.
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
            PostErrorKind::Full(n) => write!(f, "the kernel's inbox is full ({n} messages); try again later"),
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
