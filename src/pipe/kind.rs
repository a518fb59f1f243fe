//! The kinds of pipes that there are.

use std::fmt;

/// What a pipe is made of.
///
/// ```
/// use poe::pipe::{Kind, OneWay};
/// # tokio_test::block_on(async {
/// let (_reader, writer) = OneWay::of(Kind::Inet)?;
/// assert_eq!(writer.kind(), Kind::Inet);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The system's pipe: one way; two of them for both ways. On Unix.
    #[doc(alias = "pipe")]
    Pipe,
    /// A pair of local sockets. On Unix.
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
