//! Why an inspector could not be started.

use std::fmt;
use std::io;

/// An inspector could not be started, or a kernel could not be added to it.
#[derive(Debug)]
pub struct InspectorError {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Bind { place: String, error: io::Error },
    Exposed(String),
    Thread(io::Error),
    Ended,
    Pool(poe::Error),
}

impl InspectorError {
    pub(crate) fn bind(place: impl Into<String>, error: io::Error) -> Self {
        Kind::Bind {
            place: place.into(),
            error,
        }
        .into()
    }

    pub(crate) fn exposed(place: impl Into<String>) -> Self {
        Kind::Exposed(place.into()).into()
    }

    pub(crate) fn thread(error: io::Error) -> Self {
        Kind::Thread(error).into()
    }

    pub(crate) fn ended() -> Self {
        Kind::Ended.into()
    }

    /// Whether the address can be reached by other machines and no token is set.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        matches!(self.kind, Kind::Exposed(_))
    }

    /// The error of the system, if that is the cause.
    #[must_use]
    pub fn io(&self) -> Option<&io::Error> {
        match &self.kind {
            Kind::Bind { error, .. } | Kind::Thread(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Kind> for InspectorError {
    fn from(kind: Kind) -> Self {
        InspectorError { kind }
    }
}

impl From<poe::Error> for InspectorError {
    fn from(error: poe::Error) -> Self {
        Kind::Pool(error).into()
    }
}

impl fmt::Display for InspectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Bind { place, error } => write!(f, "the inspector cannot listen on {place}: {error}"),
            Kind::Exposed(place) => write!(
                f,
                "the inspector does not listen on {place} without a token, because other machines can reach it; \
                 set one with `token`, or bind it to 127.0.0.1 or a UNIX socket"
            ),
            Kind::Thread(error) => write!(f, "cannot start the inspector's thread: {error}"),
            Kind::Ended => f.write_str("the inspector has ended"),
            Kind::Pool(error) => write!(f, "cannot inspect the pool: {error}"),
        }
    }
}

impl std::error::Error for InspectorError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            Kind::Bind { error, .. } | Kind::Thread(error) => Some(error),
            Kind::Pool(error) => Some(error),
            Kind::Exposed(_) | Kind::Ended => None,
        }
    }
}
