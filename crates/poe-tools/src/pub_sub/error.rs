//! Why a topic cannot be used as asked.

use poe::{Failure, SessionId};
use std::fmt;

/// Why a topic cannot be published, subscribed to, or sent for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PubSubError {
    topic: String,
    kind: PubSubErrorKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PubSubErrorKind {
    Taken(SessionId),
    NotPublished,
    NotPublisher,
    OtherType(&'static str),
    Input,
    Subscribed,
    TooManyTopics(usize),
    TooManySubscribers(usize),
    Closed,
}

impl PubSubError {
    pub(super) fn new(topic: &str, kind: PubSubErrorKind) -> Self {
        let topic = topic.to_owned();
        PubSubError { topic, kind }
    }

    /// Another session publishes the topic.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self.kind, PubSubErrorKind::Taken(_))
    }

    /// Nobody publishes the topic, or another session does.
    #[must_use]
    pub fn is_not_publisher(&self) -> bool {
        matches!(self.kind, PubSubErrorKind::NotPublisher | PubSubErrorKind::NotPublished)
    }

    /// The topic has values of another type.
    #[must_use]
    pub fn is_other_type(&self) -> bool {
        matches!(self.kind, PubSubErrorKind::OtherType(_))
    }

    /// There are as many topics or subscribers as there may be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        use PubSubErrorKind::{TooManySubscribers, TooManyTopics};
        matches!(self.kind, TooManyTopics(_) | TooManySubscribers(_))
    }
}

impl fmt::Display for PubSubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic `{}`: ", self.topic)?;
        match self.kind {
            PubSubErrorKind::Taken(session) => write!(f, "session {session} publishes it already"),
            PubSubErrorKind::NotPublished => f.write_str("nobody publishes it"),
            PubSubErrorKind::NotPublisher => f.write_str("another session publishes it"),
            PubSubErrorKind::OtherType(name) => write!(f, "its values are of the type {name}"),
            PubSubErrorKind::Input => {
                f.write_str("it is an input of its publisher: send to it, or subscribe to another one")
            }
            PubSubErrorKind::Subscribed => f.write_str("it has subscribers, so it cannot be an input"),
            PubSubErrorKind::TooManyTopics(limit) => {
                write!(f, "there are {limit} topics already (`PubSubBuilder::max_topics`)")
            }
            PubSubErrorKind::TooManySubscribers(limit) => {
                write!(
                    f,
                    "it has {limit} subscribers already (`PubSubBuilder::max_subscribers`)"
                )
            }
            PubSubErrorKind::Closed => f.write_str("this PubSub was shut down"),
        }
    }
}

impl std::error::Error for PubSubError {}

/// A value that was not sent, with the reason.
pub struct PubSubRefused<T> {
    pub(super) error: PubSubError,
    pub(super) value: T,
}

impl<T> PubSubRefused<T> {
    /// Returns the reason.
    #[must_use]
    pub fn error(&self) -> &PubSubError {
        &self.error
    }

    /// Returns the value.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> fmt::Debug for PubSubRefused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PubSubRefused({})", self.error)
    }
}

impl<T> fmt::Display for PubSubRefused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> From<PubSubRefused<T>> for Failure {
    fn from(refused: PubSubRefused<T>) -> Self {
        refused.error.into()
    }
}
