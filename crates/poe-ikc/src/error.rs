//! Errors: of sending, of the remote side, and of setting up.

use crate::specifier::AddressError;
use crate::wire::WireError;
use std::fmt;
use std::io;
use std::time::Duration;

/// A message that was not sent. It hands the argument back.
pub struct SendError<A> {
    to: String,
    kind: SendErrorKind,
    arg: A,
}

#[derive(Debug)]
pub(crate) enum SendErrorKind {
    Address(AddressError),
    UnknownKernel,
    Many,
    Full(usize),
    Wire(WireError),
    Ended,
    /// The lease is over.
    #[cfg(feature = "nats")]
    NotHeld,
    /// Durable posts are not set up.
    #[cfg(feature = "nats")]
    NoStore,
}

impl<A> SendError<A> {
    pub(crate) fn new(to: &str, kind: SendErrorKind, arg: A) -> Self {
        let to = to.to_owned();
        SendError { to, kind, arg }
    }

    /// Returns the argument.
    pub fn into_arg(self) -> A {
        self.arg
    }

    /// The text is not the address of a session.
    pub fn is_bad_address(&self) -> bool {
        matches!(self.kind, SendErrorKind::Address(_))
    }

    /// No kernel of that name is connected.
    pub fn is_unknown_kernel(&self) -> bool {
        matches!(self.kind, SendErrorKind::UnknownKernel)
    }

    /// The peer does not read fast enough, or too much waits already. Try again later.
    pub fn is_full(&self) -> bool {
        matches!(self.kind, SendErrorKind::Full(_))
    }

    /// The argument cannot be serialized, or is longer than a frame.
    pub fn is_unserializable(&self) -> bool {
        matches!(self.kind, SendErrorKind::Wire(_))
    }

    /// The [`Lease`](crate::nats::Lease) is not held any more. Nothing was sent.
    #[cfg(feature = "nats")]
    pub fn is_lease_lost(&self) -> bool {
        matches!(self.kind, SendErrorKind::NotHeld)
    }

    /// This [`Ikc`](crate::Ikc) was shut down, or its kernel has ended.
    pub fn is_closed(&self) -> bool {
        matches!(self.kind, SendErrorKind::Ended)
    }
}

impl fmt::Display for SendErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendErrorKind::Address(error) => error.fmt(f),
            SendErrorKind::UnknownKernel => f.write_str("no kernel of that name is connected"),
            SendErrorKind::Many => f.write_str("a call goes to one kernel, and so does a durable post: post instead"),
            SendErrorKind::Full(limit) => {
                write!(
                    f,
                    "more than {limit} wait already (limits of `IkcBuilder`): try again later"
                )
            }
            SendErrorKind::Wire(error) => error.fmt(f),
            SendErrorKind::Ended => f.write_str("this Ikc was shut down"),
            #[cfg(feature = "nats")]
            SendErrorKind::NotHeld => f.write_str("the lease is not held any more"),
            #[cfg(feature = "nats")]
            SendErrorKind::NoStore => f.write_str("durable posts need `Ikc::join` with `IkcNats::durable`"),
        }
    }
}

impl<A> fmt::Display for SendError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot send to `{}`: {}", self.to, self.kind)
    }
}

impl<A> fmt::Debug for SendError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendError({self})")
    }
}

impl<A> From<SendError<A>> for poe::Failure {
    fn from(error: SendError<A>) -> Self {
        poe::Failure::msg(error.to_string())
    }
}

/// Why a call, a subscription or a ping got no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteError {
    to: String,
    kind: RemoteErrorKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RemoteErrorKind {
    TimedOut(Duration),
    Lost,
    WrongReply(String),
    Unsent(String),
    #[cfg(feature = "nats")]
    NoResponder,
    #[cfg(feature = "nats")]
    NotStored {
        text: String,
        is_full: bool,
    },
    #[cfg(feature = "nats")]
    Unacknowledged,
    Refused {
        phase: String,
        text: String,
    },
}

impl RemoteError {
    pub(crate) fn new(to: impl Into<String>, kind: RemoteErrorKind) -> Self {
        RemoteError { to: to.into(), kind }
    }

    /// The reply did not come in time. The handler may have run.
    ///
    /// Perl's kernels never reply if the handler returns undef.
    #[must_use]
    pub fn is_timed_out(&self) -> bool {
        matches!(self.kind, RemoteErrorKind::TimedOut(_))
    }

    /// The connection ended before the reply came. The handler may have run.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self.kind, RemoteErrorKind::Lost)
    }

    /// The reply came, and does not fit the type.
    #[must_use]
    pub fn is_wrong_reply(&self) -> bool {
        matches!(self.kind, RemoteErrorKind::WrongReply(_))
    }

    /// The server refuses to store a durable post. Nothing is stored.
    #[cfg(feature = "nats")]
    #[must_use]
    pub fn is_not_stored(&self) -> bool {
        matches!(self.kind, RemoteErrorKind::NotStored { .. })
    }

    /// The server has not said in time whether a durable post is stored. Post it again with the same ID to be sure.
    #[cfg(feature = "nats")]
    #[must_use]
    pub fn is_unacknowledged(&self) -> bool {
        matches!(self.kind, RemoteErrorKind::Unacknowledged)
    }

    /// The server has no more room for durable posts: see [`Store::max_bytes`](crate::nats::Store::max_bytes). Nothing is stored.
    #[cfg(feature = "nats")]
    #[must_use]
    pub fn is_store_full(&self) -> bool {
        matches!(self.kind, RemoteErrorKind::NotStored { is_full: true, .. })
    }

    /// No kernel on NATS takes the event. No handler ran.
    #[cfg(feature = "nats")]
    #[must_use]
    pub fn is_no_responder(&self) -> bool {
        matches!(self.kind, RemoteErrorKind::NoResponder)
    }

    /// The argument cannot be serialized; only [`Lite`](crate::Lite) has this error.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        matches!(self.kind, RemoteErrorKind::Unsent(_))
    }

    /// The peer refused the request: the event is not published, or the session does not exist. No handler ran.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(&self.kind, RemoteErrorKind::Refused { phase, .. } if phase != INVOCATION)
    }

    /// A lease is in the way: the kernel does not hold the name that was addressed, or the sender's lease is over. No handler ran.
    #[cfg(feature = "nats")]
    #[must_use]
    pub fn is_lease_lost(&self) -> bool {
        matches!(&self.kind, RemoteErrorKind::Refused { phase, .. } if phase == LEASE)
    }

    /// The handler does not take the argument, or failed.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(&self.kind, RemoteErrorKind::Refused { phase, .. } if phase == INVOCATION)
    }
}

/// The phase of an error report about a lease.
#[cfg(feature = "nats")]
pub(crate) const LEASE: &str = "lease";

/// The phase of an error report that comes from running the handler.
pub(crate) const INVOCATION: &str = "invocation";

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = &self.to;
        match &self.kind {
            RemoteErrorKind::TimedOut(limit) => write!(f, "no reply from `{to}` within {limit:?}"),
            RemoteErrorKind::Lost => write!(f, "the connection to `{to}` ended before the reply came"),
            RemoteErrorKind::WrongReply(why) => write!(f, "the reply of `{to}` is of another type: {why}"),
            RemoteErrorKind::Unsent(why) => write!(f, "nothing was sent to `{to}`: {why}"),
            #[cfg(feature = "nats")]
            RemoteErrorKind::NotStored { text, .. } => write!(f, "the post to `{to}` is not stored: {text}"),
            #[cfg(feature = "nats")]
            RemoteErrorKind::Unacknowledged => {
                write!(
                    f,
                    "the server has not acknowledged the post to `{to}` in time; it may be stored"
                )
            }
            #[cfg(feature = "nats")]
            RemoteErrorKind::NoResponder => {
                write!(f, "no kernel takes `{to}`: is it published, and its kernel running?")
            }
            RemoteErrorKind::Refused { phase, text } => write!(f, "`{to}` reports an error ({phase}): {text}"),
        }
    }
}

impl std::error::Error for RemoteError {}

/// A listener or a connection that could not be set up.
#[derive(Debug)]
pub struct IkcError {
    what: String,
    cause: IkcErrorKind,
}

#[derive(Debug)]
pub(crate) enum IkcErrorKind {
    Io(io::Error),
    Insecure,
    Ended,
    #[cfg(feature = "nats")]
    Nats(Box<dyn std::error::Error + Send + Sync>),
}

impl IkcError {
    pub(crate) fn new(what: impl Into<String>, cause: IkcErrorKind) -> Self {
        IkcError {
            what: what.into(),
            cause,
        }
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        |error| IkcError::new(what, IkcErrorKind::Io(error))
    }

    /// Returns the system's error, if it is one.
    #[must_use]
    pub fn as_io(&self) -> Option<&io::Error> {
        match &self.cause {
            IkcErrorKind::Io(error) => Some(error),
            _ => None,
        }
    }

    /// The address is not local, and the protocol has neither encryption nor authentication.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        matches!(self.cause, IkcErrorKind::Insecure)
    }
}

impl fmt::Display for IkcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: ", self.what)?;
        match &self.cause {
            IkcErrorKind::Io(error) => error.fmt(f),
            IkcErrorKind::Insecure => f.write_str(
                "the address is not local, and the protocol has neither encryption nor authentication: set up TLS (feature `tls`), or say `insecure()`",
            ),
            IkcErrorKind::Ended => f.write_str("this Ikc was shut down"),
            #[cfg(feature = "nats")]
            IkcErrorKind::Nats(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for IkcError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            IkcErrorKind::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// Why a request is not done: the phase of IKC's error report, and a reason.
pub(crate) struct Refusal {
    pub(crate) phase: &'static str,
    pub(crate) text: String,
}
