//! Why a command was not accepted.

use crate::message::{Malformed, Message};
use std::fmt;

/// Why a command was not accepted; it gives the message back.
///
/// ```
/// use poe_irc::IrcClient;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// # let kernel = poe::Kernel::new();
/// let irc = IrcClient::builder("bot", "127.0.0.1:6667").start(&kernel)?;
/// let error = irc.privmsg("#poe", "too early").unwrap_err();
/// assert!(error.is_not_connected());
/// assert_eq!(error.message().unwrap().params(), ["#poe", "too early"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct IrcError(Box<(IrcErrorKind, Option<Message>)>);

#[derive(Debug)]
pub(crate) enum IrcErrorKind {
    NotConnected,
    QueueFull(usize),
    Malformed(Malformed),
    TooLong { bytes: usize, limit: usize },
    Eaten(String),
    Dcc(&'static str),
}

impl IrcError {
    pub(crate) fn new(kind: IrcErrorKind, message: Option<Message>) -> Self {
        IrcError(Box::new((kind, message)))
    }

    /// Whether the client is not registered with a server at present.
    #[must_use]
    pub fn is_not_connected(&self) -> bool {
        matches!(self.0.0, IrcErrorKind::NotConnected)
    }

    /// Whether too many messages wait for flood control.
    #[must_use]
    pub fn is_queue_full(&self) -> bool {
        matches!(self.0.0, IrcErrorKind::QueueFull(_))
    }

    /// Whether the message has no form in the protocol: a line end in a parameter, too many bytes.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        matches!(self.0.0, IrcErrorKind::Malformed(_) | IrcErrorKind::TooLong { .. })
    }

    /// Whether a plugin has consumed the command.
    #[must_use]
    pub fn is_eaten(&self) -> bool {
        matches!(self.0.0, IrcErrorKind::Eaten(_))
    }

    /// Whether a direct connection was refused: they are off, or it breaks a limit.
    #[must_use]
    pub fn is_dcc(&self) -> bool {
        matches!(self.0.0, IrcErrorKind::Dcc(_))
    }

    /// Returns the message that was not sent.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        self.0.1.as_ref()
    }

    /// Takes the message that was not sent.
    #[must_use]
    pub fn into_message(self) -> Option<Message> {
        self.0.1
    }
}

impl fmt::Display for IrcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.message().map_or("a message", Message::command);
        match &self.0.0 {
            IrcErrorKind::NotConnected => write!(
                f,
                "cannot send {command}: not registered with a server; wait for `irc_001`"
            ),
            IrcErrorKind::QueueFull(limit) => write!(
                f,
                "cannot send {command}: {limit} messages wait already for flood control"
            ),
            IrcErrorKind::Malformed(why) => write!(f, "cannot send {command}: {why}"),
            IrcErrorKind::TooLong { bytes, limit } => {
                write!(
                    f,
                    "cannot send {command}: it has {bytes} bytes, and the limit is {limit}"
                )
            }
            IrcErrorKind::Dcc(why) => write!(f, "no direct connection: {why}"),
            IrcErrorKind::Eaten(plugin) => write!(f, "{command} is not sent: the plugin `{plugin}` has consumed it"),
        }
    }
}

impl std::error::Error for IrcError {}
