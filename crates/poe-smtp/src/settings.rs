//! What a server is told when it is built.

use crate::filter::SmtpLimits;
use poe::SessionId;
use std::time::Duration;

/// The session that is asked.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Id(SessionId),
    Alias(String),
}

impl Target {
    pub(crate) fn get(&self) -> poe::Target<'_> {
        match self {
            Target::Id(id) => (*id).into(),
            Target::Alias(alias) => alias.into(),
        }
    }
}

pub(crate) struct Settings {
    pub(crate) target: Target,
    pub(crate) hostname: String,
    pub(crate) limits: SmtpLimits,
    pub(crate) auth: bool,
    pub(crate) plaintext_auth: bool,
    pub(crate) require_auth: bool,
    pub(crate) require_tls: bool,
    pub(crate) recipients: usize,
    pub(crate) errors: u32,
    pub(crate) reply_timeout: Duration,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<poe::tls::Acceptor>,
}

impl Settings {
    pub(crate) fn has_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }
}
