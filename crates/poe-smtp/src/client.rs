//! The client: a session that sends mails with lettre, a few at a time.

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::AsyncSmtpConnection;
#[cfg(feature = "tls")]
use lettre::transport::smtp::client::Tls;
use lettre::transport::smtp::extension::ClientId;
use poe::component::SHUTDOWN;
use poe::event::START;
use poe::extend::{Caller, Start};
use poe::{Context, DeferredReply, Error, Event, HandlerResult, KERNEL_SHUTDOWN, Kernel, Session, SessionId, Signal};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// Sends a mail that was built with [`lettre`]; the reply is what became of it.
///
/// Ask the client's session: `cx.ask("mailer", SEND, mail, SENT, limit)`. A post sends it as well, and a failure is only logged.
pub const SEND: Event<lettre::Message, Result<Sent, SendError>> = Event::new("smtp_send");

/// Sends a mail that is bytes already, to the recipients of its envelope; the reply is what became of it.
pub const SEND_RAW: Event<(Envelope, Vec<u8>), Result<Sent, SendError>> = Event::new("smtp_send_raw");

const KERNEL_ENDS: Event<Signal> = Event::new("smtp_client_kernel_shutdown");

type Outcome = Result<Sent, SendError>;

/// A server has taken a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// The code of its last reply.
    pub code: u16,
    /// The text of its last reply, which often has the mail's number.
    pub text: String,
}

/// Why a mail was not sent; it gives the mail back.
#[derive(Debug)]
pub struct SendError(Box<(SendErrorKind, Envelope, Vec<u8>)>);

#[derive(Debug)]
enum SendErrorKind {
    Transport(lettre::transport::smtp::Error),
    Full(usize),
    Ending,
}

impl SendError {
    /// Whether the server has refused the mail for good.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(&self.0.0, SendErrorKind::Transport(error) if error.is_permanent())
    }

    /// Whether it may work later: the server said so, could not be reached, or too many mails wait here.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        !self.is_refused() && !matches!(self.0.0, SendErrorKind::Ending)
    }

    /// Whether too many mails wait in the client.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.0.0, SendErrorKind::Full(_))
    }

    /// Returns the code of the server's reply, if there was one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match &self.0.0 {
            SendErrorKind::Transport(error) => error.status().map(Into::into),
            _ => None,
        }
    }

    /// Takes the mail, for another attempt with [`SEND_RAW`].
    #[must_use]
    pub fn into_mail(self) -> (Envelope, Vec<u8>) {
        (self.0.1, self.0.2)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.0 {
            SendErrorKind::Transport(error) => write!(f, "the mail was not sent: {error}"),
            SendErrorKind::Full(limit) => write!(f, "the mail was not sent: {limit} mails wait already"),
            SendErrorKind::Ending => f.write_str("the mail was not sent: the client is shutting down"),
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.0 {
            SendErrorKind::Transport(error) => Some(error),
            _ => None,
        }
    }
}

/// A mail that waits or is being sent.
struct Job {
    envelope: Envelope,
    mail: Vec<u8>,
    reply: DeferredReply<Outcome>,
}

impl Job {
    fn fail(self, kind: SendErrorKind) {
        finish(self.reply, Err(SendError(Box::new((kind, self.envelope, self.mail)))));
    }
}

/// Tells the session that asked, or the log if nobody did.
fn finish(reply: DeferredReply<Outcome>, outcome: Outcome) {
    if let Some(Err(error)) = reply.send(outcome) {
        tracing::warn!(target: "poe::smtp", "{error}");
    }
}

/// How to connect.
struct Door {
    host: String,
    port: u16,
    hello: ClientId,
    credentials: Option<Credentials>,
    timeout: Duration,
    #[cfg(feature = "tls")]
    tls: Tls,
}

impl Door {
    async fn connect(&self) -> Result<AsyncSmtpConnection, lettre::transport::smtp::Error> {
        #[cfg(feature = "tls")]
        let implicit = match &self.tls {
            Tls::Wrapper(parameters) => Some(parameters.clone()),
            _ => None,
        };
        #[cfg(not(feature = "tls"))]
        let implicit = None;
        let server = (self.host.as_str(), self.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(self.timeout), &self.hello, implicit, None).await?;
        #[cfg(feature = "tls")]
        if let Tls::Required(parameters) = &self.tls {
            connection.starttls(parameters.clone(), &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

/// A connection, and how many mails it has carried.
struct Carrier {
    connection: AsyncSmtpConnection,
    mails: u32,
}

struct Mailer {
    door: Rc<Door>,
    mails_per_connection: u32,
    waiting: VecDeque<Job>,
    sending: usize,
    concurrency: usize,
    queue: usize,
    alias: String,
    is_ending: bool,
}

/// A client that sends mails through a server, with [`lettre`]; dropping the handle changes nothing.
///
/// While mails wait, a connection carries one after the other. See the [crate's page](crate) for an example.
#[doc(alias = "POE::Component::Client::SMTP")]
#[derive(Clone, Copy, Debug)]
pub struct SmtpClient(SessionId);

impl SmtpClient {
    /// Starts building a client with this alias, which sends through the server at `host`.
    pub fn builder(alias: impl Into<String>, host: impl Into<String>) -> SmtpClientBuilder {
        let host = host.into();
        SmtpClientBuilder {
            alias: alias.into(),
            port: 25,
            hello: None,
            credentials: None,
            plaintext_passwords: false,
            timeout: Duration::from_secs(60),
            concurrency: 4,
            mails_per_connection: 100,
            queue: 1000,
            #[cfg(feature = "tls")]
            tls: Tls::None,
            host,
            #[cfg(feature = "tls")]
            fault: None,
        }
    }

    /// Returns the ID of the client's session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.0
    }
}

/// Settings of a client.
///
/// | setting | default |
/// |---|---|
/// | [`port`](Self::port) | 25 |
/// | [`hello`](Self::hello) | `localhost` |
/// | [`credentials`](Self::credentials) | none |
/// | `starttls`, `implicit_tls` (feature `tls`) | plain TCP |
/// | [`timeout`](Self::timeout) | 60 s for each command |
/// | [`concurrency`](Self::concurrency) | 4 mails at a time |
/// | [`mails_per_connection`](Self::mails_per_connection) | 100 |
/// | [`queue`](Self::queue) | 1000 mails |
#[must_use = "a client sends only after `start`"]
pub struct SmtpClientBuilder {
    alias: String,
    host: String,
    port: u16,
    hello: Option<String>,
    credentials: Option<Credentials>,
    plaintext_passwords: bool,
    timeout: Duration,
    concurrency: usize,
    mails_per_connection: u32,
    queue: usize,
    #[cfg(feature = "tls")]
    tls: Tls,
    #[cfg(feature = "tls")]
    fault: Option<String>,
}

impl SmtpClientBuilder {
    /// Sets the server's port.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets the name that the client gives itself.
    pub fn hello(mut self, name: impl Into<String>) -> Self {
        self.hello = Some(name.into());
        self
    }

    /// Authenticates. Needs TLS, or [`allow_plaintext_passwords`](Self::allow_plaintext_passwords).
    pub fn credentials(mut self, account: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some(Credentials::new(account.into(), password.into()));
        self
    }

    /// Sends passwords without TLS, so that everybody on the way can read them.
    pub fn allow_plaintext_passwords(mut self) -> Self {
        self.plaintext_passwords = true;
        self
    }

    /// Requires STARTTLS. The server's certificate must be for the host; the system's roots are trusted, and those in `roots_pem`.
    #[cfg(feature = "tls")]
    pub fn starttls(self, roots_pem: Option<&[u8]>) -> Self {
        self.with_tls(roots_pem, Tls::Required)
    }

    /// Encrypts the connection from its beginning, as on port 465; roots as with [`starttls`](Self::starttls).
    #[cfg(feature = "tls")]
    pub fn implicit_tls(self, roots_pem: Option<&[u8]>) -> Self {
        self.with_tls(roots_pem, Tls::Wrapper)
    }

    #[cfg(feature = "tls")]
    fn with_tls(
        mut self,
        roots_pem: Option<&[u8]>,
        tls: fn(lettre::transport::smtp::client::TlsParameters) -> Tls,
    ) -> Self {
        use lettre::transport::smtp::client::{Certificate, TlsParameters};
        if !cfg!(feature = "ring") && poe::tls::rustls::crypto::CryptoProvider::get_default().is_none() {
            // Lettre would panic.
            self.fault =
                Some("TLS has no crypto provider: install one for the process, or enable the feature `ring`".into());
            return self;
        }
        let mut parameters = TlsParameters::builder(self.host.clone());
        let roots = roots_pem.map(Certificate::from_pem).transpose();
        let made = roots.and_then(|roots| {
            if let Some(roots) = roots {
                parameters = parameters.add_root_certificate(roots);
            }
            parameters.build_rustls()
        });
        match made {
            Ok(parameters) => self.tls = tls(parameters),
            Err(error) => self.fault = Some(format!("TLS for {}: {error}", self.host)),
        }
        self
    }

    /// Sets how long the server may take for each command.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sets how many mails a connection carries, if so many wait; 1 gives each mail a new connection.
    ///
    /// A connection is closed when no mail waits for it. After a mail that failed, the next one has a new connection.
    pub fn mails_per_connection(mut self, mails: u32) -> Self {
        self.mails_per_connection = mails.max(1);
        self
    }

    /// Sets how many mails are sent at a time, each on a separate connection.
    pub fn concurrency(mut self, mails: usize) -> Self {
        self.concurrency = mails.max(1);
        self
    }

    /// Sets how many mails may wait. Further ones are refused, with [`SendError::is_full`].
    pub fn queue(mut self, mails: usize) -> Self {
        self.queue = mails;
        self
    }

    /// Creates the client's session, below the kernel.
    ///
    /// It ends with the last other session, with [`SHUTDOWN`], or with the kernel; mails that are being sent are sent first, and those that wait
    /// are refused.
    ///
    /// # Errors
    /// An alias that is taken; credentials without TLS; certificates that are not PEM; no crypto provider.
    #[track_caller]
    pub fn start(self, kernel: &Kernel) -> Result<SmtpClient, Error> {
        self.start_by(&mut { kernel })
    }

    fn is_secret(&self) -> bool {
        #[cfg(feature = "tls")]
        if !matches!(self.tls, Tls::None) {
            return true;
        }
        self.plaintext_passwords
    }

    fn check(&self) -> Result<(), Error> {
        #[cfg(feature = "tls")]
        if let Some(fault) = &self.fault {
            return Err(Error::invalid_setting(fault.clone()));
        }
        if self.credentials.is_some() && !self.is_secret() {
            return Err(Error::invalid_setting(
                "SMTP credentials need TLS: set `starttls` or `implicit_tls`, or `allow_plaintext_passwords`",
            ));
        }
        Ok(())
    }
}

impl fmt::Debug for SmtpClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpClientBuilder")
            .field("alias", &self.alias)
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

type Cx<'a, 'k> = &'a mut Context<'k, Mailer>;

impl Start for SmtpClientBuilder {
    type Started = SmtpClient;

    #[track_caller]
    fn start_by(self, caller: &mut impl Caller) -> Result<SmtpClient, Error> {
        self.check()?;
        let hello = self.hello.unwrap_or_else(|| "localhost".to_owned());
        let door = Door {
            host: self.host,
            port: self.port,
            hello: ClientId::Domain(hello),
            credentials: self.credentials,
            timeout: self.timeout,
            #[cfg(feature = "tls")]
            tls: self.tls,
        };
        let mailer = Mailer {
            door: Rc::new(door),
            mails_per_connection: self.mails_per_connection,
            waiting: VecDeque::new(),
            sending: 0,
            concurrency: self.concurrency,
            queue: self.queue,
            alias: self.alias,
            is_ending: false,
        };
        let session = Session::builder(mailer)
            .on(START, |cx, ()| -> HandlerResult {
                cx.sig(KERNEL_SHUTDOWN, KERNEL_ENDS);
                Ok(cx.alias_set(&cx.heap.alias)?)
            })
            .on(SEND, |cx, mail| {
                let (reply, pending) = cx.defer_reply();
                take(
                    cx,
                    Job {
                        envelope: mail.envelope().clone(),
                        mail: mail.formatted(),
                        reply,
                    },
                );
                pending
            })
            .on(SEND_RAW, |cx, (envelope, mail)| {
                let (reply, pending) = cx.defer_reply();
                take(cx, Job { envelope, mail, reply });
                pending
            })
            .on(SHUTDOWN, |cx, ()| end(cx))
            .on(KERNEL_ENDS, |cx, _| {
                cx.sig_handled();
                end(cx);
            });
        Ok(SmtpClient(caller.create(session)?))
    }
}

fn take(cx: Cx<'_, '_>, job: Job) {
    if cx.heap.is_ending {
        return job.fail(SendErrorKind::Ending);
    }
    if cx.heap.sending >= cx.heap.concurrency && cx.heap.waiting.len() >= cx.heap.queue {
        let limit = cx.heap.queue;
        return job.fail(SendErrorKind::Full(limit));
    }
    cx.heap.waiting.push_back(job);
    send(cx);
}

/// Sends what waits, as far as there may be connections.
fn send(cx: Cx<'_, '_>) {
    while cx.heap.sending < cx.heap.concurrency {
        let Some(job) = cx.heap.waiting.pop_front() else {
            return;
        };
        cx.heap.sending += 1;
        carry(cx, job, None);
    }
}

/// Sends a mail, on a connection that has carried others or on a new one.
fn carry(cx: Cx<'_, '_>, job: Job, carrier: Option<Carrier>) {
    let door = cx.heap.door.clone();
    let sending = async move {
        let mut carrier = match carrier {
            Some(carrier) => carrier,
            None => match door.connect().await {
                Ok(connection) => Carrier { connection, mails: 0 },
                Err(error) => return (job, Err(error), None),
            },
        };
        let sent = carrier.connection.send(&job.envelope, &job.mail).await;
        carrier.mails += 1;
        (job, sent, Some(carrier))
    };
    cx.spawn_then(sending, |cx, (job, sent, carrier)| {
        match sent {
            Ok(response) => {
                let sent = Sent {
                    code: response.code().into(),
                    text: response.message().collect::<Vec<_>>().join("\n"),
                };
                finish(job.reply, Ok(sent));
            }
            Err(error) => job.fail(SendErrorKind::Transport(error)),
        }
        let most = cx.heap.mails_per_connection;
        // After an error lettre has closed the connection.
        let good = carrier.filter(|carrier| !carrier.connection.has_broken());
        match good {
            Some(carrier) if carrier.mails < most && !cx.heap.waiting.is_empty() => {
                if let Some(next) = cx.heap.waiting.pop_front() {
                    carry(cx, next, Some(carrier));
                }
            }
            over => {
                cx.heap.sending -= 1;
                if let Some(mut carrier) = over {
                    // QUIT; its reply changes nothing.
                    cx.spawn_then(async move { carrier.connection.abort().await }, |_, ()| ());
                }
                send(cx);
            }
        }
    });
}

fn end(cx: Cx<'_, '_>) {
    if std::mem::replace(&mut cx.heap.is_ending, true) {
        return;
    }
    let waiting = std::mem::take(&mut cx.heap.waiting);
    for job in waiting {
        job.fail(SendErrorKind::Ending);
    }
    // Tasks that send hold the session until they are done.
    let alias = cx.heap.alias.clone();
    if let Err(error) = cx.alias_remove(&alias) {
        tracing::debug!(target: "poe::smtp", "{error}");
    }
}
