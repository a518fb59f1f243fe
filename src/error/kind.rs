//! The private kinds of [`Error`](super::Error), with their texts.

use super::call::CallErrorKind;
use super::failure::Failure;
use super::post::PostErrorKind;
use crate::id::SessionId;
use std::fmt;

#[derive(Debug)]
pub(crate) enum ErrorKind {
    Post {
        event: String,
        kind: PostErrorKind,
    },
    Call {
        event: String,
        kind: CallErrorKind,
    },
    NoSuchSession(String),
    NoSuchAlias(String),
    AliasTaken {
        alias: String,
        owner: SessionId,
    },
    NotPermitted(&'static str),
    NoSuchAlarm(u64),
    NoSuchProcess(u32),
    NoSuchTag {
        session: SessionId,
        tag: String,
    },
    NoStart {
        place: String,
    },
    Busy(&'static str),
    TooDeep(usize),
    ShuttingDown,
    AlreadyRunning,
    Died {
        failure: Failure,
        session: SessionId,
        event: String,
    },
    Io {
        operation: &'static str,
        error: std::io::Error,
    },
    /// The same, about something that has a name: a program, a process, a file.
    IoOf {
        /// The operation and its subject: "cannot run `make`".
        what: String,
        error: std::io::Error,
        /// What the reader can do about it; empty if nothing is known.
        cure: &'static str,
    },
    /// A server's listen error; the system does not name the address.
    Listen {
        addr: String,
        operation: &'static str,
        error: std::io::Error,
    },
    Invalid(String),
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Post { event, kind } => write!(f, "cannot post `{event}`: {kind}"),
            ErrorKind::Call { event, kind } => write!(f, "cannot call `{event}`: {kind}"),
            ErrorKind::NoSuchSession(what) => write!(f, "no such session: {what}"),
            ErrorKind::NoSuchAlias(alias) => write!(f, "no session has the alias `{alias}`"),
            ErrorKind::AliasTaken { alias, owner } => {
                write!(f, "the alias `{alias}` is taken by session {owner}")
            }
            ErrorKind::NotPermitted(what) => write!(f, "not permitted: {what}"),
            ErrorKind::NoSuchProcess(pid) => write!(f, "there is no process {pid}"),
            ErrorKind::NoSuchAlarm(id) => write!(f, "no timer {id}: it has fired or was removed"),
            ErrorKind::NoSuchTag { session, tag } => {
                write!(f, "session {session} holds no reference count `{tag}`")
            }
            ErrorKind::NoStart { place } => {
                write!(
                    f,
                    "the session made at {place} has no `_start` handler: add `.on(START, ..)`"
                )
            }
            ErrorKind::Busy(what) => write!(
                f,
                "the kernel is running a handler: {what} calls handlers, so it must go through that handler's context"
            ),
            ErrorKind::TooDeep(limit) => super::call::too_deep(*limit, f),
            ErrorKind::ShuttingDown => f.write_str("the kernel is shutting down and creates no new sessions"),
            ErrorKind::AlreadyRunning => f.write_str("the kernel is already running: `run` was called inside `run`"),
            ErrorKind::Died {
                failure,
                session,
                event,
            } => match failure.callback() {
                Some(callback) => write!(f, "{callback} failed (event `{event}` of session {session}): {failure}"),
                None => write!(f, "event `{event}` of session {session} failed: {failure}"),
            },
            ErrorKind::Io { operation, error } => write!(f, "{operation}: {error}"),
            ErrorKind::IoOf { what, error, cure: "" } => write!(f, "{what}: {error}"),
            ErrorKind::IoOf { what, error, cure } => write!(f, "{what}: {error}; {cure}"),
            ErrorKind::Listen { addr, operation, error } => {
                let advice = bind_advice(operation, error);
                write!(f, "cannot listen at {addr}: {operation}: {error}{advice}")
            }
            ErrorKind::Invalid(what) => f.write_str(what),
        }
    }
}

/// Returns advice for a socket that cannot be bound, where the system's text has none.
pub(crate) fn bind_advice(operation: &str, error: &std::io::Error) -> &'static str {
    match (operation, error.kind()) {
        ("bind", std::io::ErrorKind::PermissionDenied) => {
            "; ports below 1024 need CAP_NET_BIND_SERVICE, a path needs a folder that may be written to"
        }
        ("bind", std::io::ErrorKind::AddrInUse) => "; another socket has it, or a UNIX socket's path is left over",
        _ => "",
    }
}
