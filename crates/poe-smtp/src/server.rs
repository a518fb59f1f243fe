//! The server's settings, its start and its handle.

use crate::filter::{SmtpFilter, SmtpLimits};
use crate::session::{self, Conn};
use crate::settings::{Settings, Target};
use poe::component::{TcpServer, TcpServerBuilder, WithCallbacks};
use poe::extend::{Caller, Start};
use poe::wheel::{Address, ListenSocket};
use poe::{Error, Kernel, SessionId};
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// A server that receives mail; dropping the handle changes nothing.
///
/// See the [crate's page](crate) for an example.
#[doc(alias = "POE::Component::Server::SMTP")]
#[doc(alias = "POE::Component::Server::SimpleSMTP")]
#[derive(Clone, Debug)]
pub struct SmtpServer(TcpServer);

impl SmtpServer {
    /// Starts building a server at an address, which asks the session with this alias about each command.
    #[doc(alias = "spawn")]
    pub fn builder(address: impl Into<Address>, session: impl Into<String>) -> SmtpServerBuilder {
        SmtpServerBuilder::new(Place::At(address.into()), Target::Alias(session.into()))
    }

    /// Starts building a server on a socket that listens already, such as one of systemd's.
    pub fn on(listener: impl Into<ListenSocket>, session: impl Into<String>) -> SmtpServerBuilder {
        SmtpServerBuilder::new(Place::On(listener.into()), Target::Alias(session.into()))
    }

    /// Returns the address that it listens on.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.0.local_addr()
    }

    /// Returns the ID of the listener's session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.0.session_id()
    }

    /// Returns the number of connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.connections()
    }

    /// Listens no more; connections stay.
    pub fn shutdown(&self) {
        self.0.shutdown();
    }

    /// Listens no more, and ends all connections after their output is written.
    ///
    /// Clients are not told why. With [`Kernel::shutdown`] each gets the reply 421, and so it does with the signal
    /// [`KERNEL_SHUTDOWN`](poe::KERNEL_SHUTDOWN) to [`session_id`](Self::session_id), which a supervisor sends.
    pub fn shutdown_clients(&self) {
        self.0.shutdown_clients();
    }
}

enum Place {
    At(Address),
    On(ListenSocket),
}

/// Settings of a server.
///
/// | setting | default |
/// |---|---|
/// | [`session_id`](Self::session_id) | the session with the alias |
/// | [`hostname`](Self::hostname) | `localhost` |
/// | [`limits`](Self::limits) | lines of 12 288 bytes, mails of 10 MiB |
/// | [`concurrency`](Self::concurrency), [`max_connections_per_ip`](Self::max_connections_per_ip) | 100, no limit |
/// | [`recipients`](Self::recipients) | 100 a mail |
/// | [`errors`](Self::errors) | 10 a connection |
/// | [`idle_timeout`](Self::idle_timeout), [`mail_timeout`](Self::mail_timeout) | 5 min, 10 min |
/// | [`reply_timeout`](Self::reply_timeout) | 2 min |
/// | `tls` (feature `tls`) | no STARTTLS |
/// | [`require_tls`](Self::require_tls), [`require_auth`](Self::require_auth) | false |
/// | [`auth`](Self::auth) | not offered |
/// | [`alias`](Self::alias) | none |
#[must_use = "a server listens only after `start`"]
pub struct SmtpServerBuilder {
    place: Place,
    settings: Settings,
    concurrency: usize,
    per_ip: Option<usize>,
    idle: Duration,
    mail: Duration,
    alias: Option<String>,
    #[cfg(feature = "tls")]
    implicit: bool,
}

impl SmtpServerBuilder {
    fn new(place: Place, target: Target) -> Self {
        SmtpServerBuilder {
            place,
            settings: Settings {
                target,
                hostname: "localhost".to_owned(),
                limits: SmtpLimits::default(),
                auth: false,
                plaintext_auth: false,
                require_auth: false,
                require_tls: false,
                recipients: 100,
                errors: 10,
                reply_timeout: Duration::from_secs(120),
                #[cfg(feature = "tls")]
                tls: None,
            },
            concurrency: 100,
            per_ip: None,
            idle: Duration::from_secs(300),
            mail: Duration::from_secs(600),
            alias: None,
            #[cfg(feature = "tls")]
            implicit: false,
        }
    }

    /// Asks the session with this ID, instead of one with an alias.
    pub fn session_id(mut self, session: SessionId) -> Self {
        self.settings.target = Target::Id(session);
        self
    }

    /// Sets the server's name, which the greeting shows.
    #[doc(alias = "Hostname")]
    pub fn hostname(mut self, name: impl Into<String>) -> Self {
        self.settings.hostname = name.into();
        self
    }

    /// Sets the limits of the filter.
    pub fn limits(mut self, limits: SmtpLimits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Sets how many connections there may be; further clients wait in the system's backlog.
    ///
    /// A connection may hold a mail of the size limit, so this bounds the server's memory.
    pub fn concurrency(mut self, connections: usize) -> Self {
        self.concurrency = connections.max(1);
        self
    }

    /// Sets how many connections an address may have.
    pub fn max_connections_per_ip(mut self, connections: usize) -> Self {
        self.per_ip = Some(connections);
        self
    }

    /// Sets how many recipients a mail may have; RFC 5321 asks for at least 100.
    pub fn recipients(mut self, recipients: usize) -> Self {
        self.settings.recipients = recipients;
        self
    }

    /// Sets after how many refused commands a connection is closed.
    pub fn errors(mut self, errors: u32) -> Self {
        self.settings.errors = errors.max(1);
        self
    }

    /// Sets after which silence a connection is closed; RFC 5321 asks for 5 minutes.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle = limit;
        self
    }

    /// Sets how long a command or a whole mail may take to arrive.
    pub fn mail_timeout(mut self, limit: Duration) -> Self {
        self.mail = limit;
        self
    }

    /// Sets how long your session may take to reply. Then the client is asked to try later.
    pub fn reply_timeout(mut self, limit: Duration) -> Self {
        self.settings.reply_timeout = limit;
        self
    }

    /// Offers STARTTLS with this certificate.
    #[cfg(feature = "tls")]
    #[doc(alias = "STARTTLS")]
    pub fn tls(mut self, acceptor: poe::tls::Acceptor) -> Self {
        self.settings.tls = Some(acceptor);
        self
    }

    /// Encrypts connections from their beginning, as on port 465, with this certificate.
    #[cfg(feature = "tls")]
    #[doc(alias = "SMTPS")]
    pub fn implicit_tls(mut self, acceptor: poe::tls::Acceptor) -> Self {
        self.settings.tls = Some(acceptor);
        self.implicit = true;
        self
    }

    /// Refuses mails on connections that are not encrypted.
    pub fn require_tls(mut self) -> Self {
        self.settings.require_tls = true;
        self
    }

    /// Offers `AUTH` with `PLAIN` and `LOGIN` on encrypted connections; your session handles [`AUTH`](crate::events::AUTH).
    pub fn auth(mut self) -> Self {
        self.settings.auth = true;
        self
    }

    /// Offers `AUTH` on connections that are not encrypted as well, so that everybody on the way can read passwords.
    pub fn allow_plaintext_auth(mut self) -> Self {
        self.settings.plaintext_auth = true;
        self
    }

    /// Refuses mails of clients that have not authenticated, as a server for submission does.
    pub fn require_auth(mut self) -> Self {
        self.settings.auth = true;
        self.settings.require_auth = true;
        self
    }

    /// Sets the alias of the listener's session.
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    /// Listens. When it returns, clients can connect; they are served as soon as the kernel runs.
    ///
    /// # Errors
    /// As [`TcpServerBuilder::start`]; a setting that needs TLS without a certificate.
    pub fn start(self, kernel: &Kernel) -> impl Future<Output = Result<SmtpServer, Error>> {
        let built = self.build();
        async move { Ok(SmtpServer(built?.start(kernel).await?)) }
    }

    fn build(self) -> Result<TcpServerBuilder<Conn, SmtpFilter, WithCallbacks>, Error> {
        let needs_tls = self.settings.require_tls || self.settings.auth && !self.settings.plaintext_auth;
        if needs_tls && !self.settings.has_tls() {
            return Err(Error::invalid_setting(
                "`require_tls` and `auth` need a certificate: set `tls`, or `allow_plaintext_auth`",
            ));
        }
        #[cfg(feature = "tls")]
        let implicit = self.settings.tls.clone().filter(|_| self.implicit);
        #[cfg(feature = "tls")]
        let is_tls = implicit.is_some();
        #[cfg(not(feature = "tls"))]
        let is_tls = false;
        let limits = self.settings.limits;
        let settings = Rc::new(self.settings);
        let of_client = settings.clone();
        let server = match self.place {
            Place::At(address) => TcpServer::builder(address),
            Place::On(listener) => TcpServer::on(listener),
        };
        let server = server
            .filter(move || SmtpFilter::new().limits(limits))
            .client_heap(move |address| Conn::new(of_client.clone(), address, is_tls))
            .concurrency(self.concurrency)
            .idle_timeout(self.idle)
            .record_timeout(self.mail);
        let mut server = session::with_callbacks(server);
        #[cfg(feature = "tls")]
        if let Some(acceptor) = implicit {
            server = server.client_pre_connect(move |_, stream| acceptor.accept(stream));
        }
        if let Some(connections) = self.per_ip {
            server = server.max_connections_per_ip(connections);
        }
        if let Some(alias) = self.alias {
            server = server.alias(alias);
        }
        Ok(server)
    }
}

/// Inside a handler the address must be numeric or a path.
impl Start for SmtpServerBuilder {
    type Started = SmtpServer;

    #[track_caller]
    fn start_by(self, caller: &mut impl Caller) -> Result<SmtpServer, Error> {
        Ok(SmtpServer(caller.start(self.build()?)?))
    }
}

impl fmt::Debug for SmtpServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpServerBuilder")
            .field("hostname", &self.settings.hostname)
            .field("limits", &self.settings.limits)
            .finish_non_exhaustive()
    }
}
