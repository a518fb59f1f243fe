//! The kinds of pipes.

use std::fmt;

/// What a pipe is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The system's pipe, one way; two of them for both ways. Unix only.
    #[doc(alias = "pipe")]
    Pipe,
    /// A pair of local sockets. Unix only.
    #[doc(alias = "socketpair")]
    SocketPair,
    /// A TCP connection over the loopback address, between ports that only the two ends know.
    #[doc(alias = "inet")]
    Inet,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Pipe => "pipe",
            Kind::SocketPair => "socketpair",
            Kind::Inet => "inet",
        })
    }
}
