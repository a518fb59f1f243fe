//! Why a request has no response.

use crate::body::BodyError;
use http::Uri;
use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

/// Why a request has no response, or not all of one.
///
/// A response with an error status such as 404 is a response.
#[derive(Debug)]
pub struct HttpError(Box<ErrorKind>);

#[derive(Debug)]
pub(super) enum ErrorKind {
    Scheme(Uri),
    NoTls,
    Connect(Box<dyn Error + Send + Sync>),
    ConnectTimeout(Duration),
    #[cfg(feature = "tls")]
    Tls(io::Error),
    Timeout(Duration),
    Connection(Box<dyn Error + Send + Sync>),
    /// The connection ended before anything of the response came: a server may close one that is idle just when a request is on its way.
    Ended(Box<dyn Error + Send + Sync>),
    Body(BodyError),
    Redirects(usize),
    Full(usize),
    Closed,
}

impl From<ErrorKind> for HttpError {
    fn from(kind: ErrorKind) -> Self {
        HttpError(Box::new(kind))
    }
}

impl HttpError {
    /// Makes it of what hyper or a layer says; finds an error of this type again.
    pub(super) fn of(error: Box<dyn Error + Send + Sync>) -> Self {
        match error.downcast::<hyper_util::client::legacy::Error>() {
            Ok(error) => {
                let is_connect = error.is_connect();
                let mut has_ended = false;
                let mut source = error.source();
                while let Some(inner) = source {
                    has_ended |= ends_without_response(inner);
                    if let Some(HttpError(kind)) = inner.downcast_ref::<HttpError>() {
                        return match &**kind {
                            ErrorKind::Scheme(uri) => ErrorKind::Scheme(uri.clone()),
                            ErrorKind::NoTls => ErrorKind::NoTls,
                            ErrorKind::ConnectTimeout(limit) => ErrorKind::ConnectTimeout(*limit),
                            #[cfg(feature = "tls")]
                            ErrorKind::Tls(error) => ErrorKind::Tls(io::Error::new(error.kind(), error.to_string())),
                            ErrorKind::Connect(error) => ErrorKind::Connect(chain(&**error).into()),
                            other => ErrorKind::Connection(other.to_string().into()),
                        }
                        .into();
                    }
                    source = inner.source();
                }
                let text = chain(&*error).into();
                match is_connect {
                    true => ErrorKind::Connect(text).into(),
                    false if has_ended => ErrorKind::Ended(text).into(),
                    false => ErrorKind::Connection(text).into(),
                }
            }
            Err(error) => match error.downcast::<HttpError>() {
                Ok(error) => *error,
                Err(error) => ErrorKind::Connection(error).into(),
            },
        }
    }

    /// Whether the connection ended before anything of the response came. Whether the server has seen the request is not known.
    pub(super) fn has_ended(&self) -> bool {
        matches!(&*self.0, ErrorKind::Ended(_))
    }

    /// Whether no connection could be made, for whatever reason.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        match &*self.0 {
            ErrorKind::Connect(_) | ErrorKind::ConnectTimeout(_) | ErrorKind::NoTls | ErrorKind::Scheme(_) => true,
            #[cfg(feature = "tls")]
            ErrorKind::Tls(_) => true,
            _ => false,
        }
    }

    /// Whether connecting, the whole request, or a silence in the body took too long.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match &*self.0 {
            ErrorKind::ConnectTimeout(_) | ErrorKind::Timeout(_) => true,
            ErrorKind::Body(error) => error.is_timeout(),
            _ => false,
        }
    }

    /// Whether the response's body is larger than allowed.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(&*self.0, ErrorKind::Body(error) if error.is_too_large())
    }

    /// Whether there were too many redirections.
    #[must_use]
    pub fn is_redirect(&self) -> bool {
        matches!(&*self.0, ErrorKind::Redirects(_))
    }

    /// Whether too many requests of this client wait.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(&*self.0, ErrorKind::Full(_))
    }

    /// Whether the client was shut down.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(&*self.0, ErrorKind::Closed)
    }
}

fn ends_without_response(error: &(dyn Error + 'static)) -> bool {
    let by_hyper = error
        .downcast_ref::<hyper::Error>()
        .is_some_and(|error| error.is_incomplete_message() || error.is_canceled() || error.is_closed());
    by_hyper
        || error.downcast_ref::<io::Error>().is_some_and(|error| {
            use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
            matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
        })
}

/// The texts of an error and its causes.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = inner.source();
    }
    text
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Scheme(uri) => write!(f, "`{uri}` is not an address with http:// or https://"),
            ErrorKind::NoTls => f.write_str("https:// needs a connector: set `tls` of the client"),
            ErrorKind::Connect(error) => write!(f, "cannot connect: {error}"),
            ErrorKind::ConnectTimeout(limit) => {
                write!(f, "cannot connect: it took longer than `connect_timeout`, {limit:?}")
            }
            #[cfg(feature = "tls")]
            ErrorKind::Tls(error) => write!(f, "cannot connect: TLS: {error}"),
            ErrorKind::Timeout(limit) => write!(f, "the request took longer than its `timeout`, {limit:?}"),
            ErrorKind::Connection(error) | ErrorKind::Ended(error) => write!(f, "the request has failed: {error}"),
            ErrorKind::Body(error) => write!(f, "the response is not whole: {error}"),
            ErrorKind::Redirects(limit) => {
                write!(f, "there were more than {limit} redirections, the limit of `redirects`")
            }
            ErrorKind::Full(capacity) => write!(f, "{capacity} requests wait already, the limit of `capacity`"),
            ErrorKind::Closed => f.write_str("the client was shut down"),
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for HttpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &*self.0 {
            ErrorKind::Connect(error) | ErrorKind::Connection(error) | ErrorKind::Ended(error) => Some(&**error),
            #[cfg(feature = "tls")]
            ErrorKind::Tls(error) => Some(error),
            ErrorKind::Body(error) => Some(error),
            _ => None,
        }
    }
}
