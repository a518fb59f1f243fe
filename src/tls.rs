//! TLS streams with rustls (feature `tls`, with `ring` or `aws-lc-rs`), for POE::Filter::SSL and POE::Component::SSLify.
//!
//! A handshake is a future: [`Acceptor::accept`] and [`Connector::connect`] take any stream and return an encrypted one,
//! which can be given to a [`ReadWrite`](crate::wheel::ReadWrite) like any other. Spawn the handshake to receive its result as an event.
//!
//! # The crypto provider
//!
//! rustls needs a crypto provider, which the application chooses. [`Acceptor::from_pem`] and
//! [`Connector::from_pem`] use the one that is installed for the process
//! ([`CryptoProvider::install_default`](rustls::crypto::CryptoProvider::install_default)); else `ring`'s, with the feature
//! `ring`; else that of `aws-lc-rs`, with the feature of that name; else they return an error. The feature `tls` alone
//! adds no provider to the build, and this crate installs none for the process.
//!
//! Keys and certificates are given as PEM text, or as a configuration of [`rustls`] that you have made yourself.
//! If a peer ends the connection without `close_notify`, the wheel reports an error
//! ([`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof)) and not the end of the input, because an attacker may have cut it short.

use crate::bridge::moves::mover;
use crate::bridge::runtime::{Home, Pause, cannot_move, explained};
use crate::debug::debug_fields;
use crate::error::{Error, ErrorKind};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use std::{fmt, io};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{Accept, Connect, TlsAcceptor, TlsConnector};

pub use tokio_rustls::client::TlsStream as ClientStream;
pub use tokio_rustls::rustls;
pub use tokio_rustls::server::TlsStream as ServerStream;

/// The default limit of a handshake. A peer that sends nothing would keep its descriptor for ever.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The server's side: encrypts accepted streams. Clones share the configuration.
///
/// ```no_run
/// use poe::{Context, Event, filter::Line, tls, wheel::{Connection, Input, ReadWrite, SocketStream}};
/// use std::io;
///
/// const SECURED: Event<io::Result<tls::ServerStream<SocketStream>>> = Event::new("secured");
/// const LINE: Event<Input<String>> = Event::new("line");
///
/// struct Server { tls: tls::Acceptor, clients: Vec<ReadWrite> }
///
/// fn on_client(cx: &mut Context<'_, Server>, client: Connection) {
///     let hand_shake = cx.heap.tls.accept(client.stream);
///     cx.spawn(hand_shake, SECURED);
/// }
///
/// fn on_secured(cx: &mut Context<'_, Server>, stream: io::Result<tls::ServerStream<SocketStream>>) -> poe::HandlerResult {
///     let wheel = ReadWrite::builder(stream?).input(Line::new(), LINE).start(cx)?;
///     Ok(cx.heap.clients.push(wheel))
/// }
/// ```
#[derive(Clone)]
#[doc(alias = "Server_SSLify")]
#[doc(alias = "POE::Component::SSLify")]
pub struct Acceptor {
    inner: TlsAcceptor,
    limit: Duration,
}

/// The client's side: encrypts connected streams. Clones share the configuration.
#[derive(Clone)]
#[doc(alias = "Client_SSLify")]
pub struct Connector {
    inner: TlsConnector,
    limit: Duration,
}

/// Returns the process's provider, if the application has installed one, else one that this crate was built with.
///
/// rustls itself chooses only where exactly one is compiled in, and panics otherwise.
fn provider() -> Result<Arc<CryptoProvider>, Error> {
    match CryptoProvider::get_default() {
        Some(installed) => Ok(installed.clone()),
        None => built_in(),
    }
}

#[cfg(feature = "ring")]
fn built_in() -> Result<Arc<CryptoProvider>, Error> {
    Ok(Arc::new(rustls::crypto::ring::default_provider()))
}

#[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
fn built_in() -> Result<Arc<CryptoProvider>, Error> {
    Ok(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
fn built_in() -> Result<Arc<CryptoProvider>, Error> {
    let cure = "install one with `rustls::crypto::CryptoProvider::install_default`, or enable the feature `ring` or \
                `aws-lc-rs` of `tokio-poe`";
    Err(invalid("TLS has no crypto provider", cure))
}

fn invalid(what: &str, error: impl fmt::Display) -> Error {
    ErrorKind::Invalid(format!("{what}: {error}")).into()
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|e| invalid("the certificates are not PEM", e))?;
    if found.is_empty() {
        return Err(invalid(
            "the certificates are not PEM",
            "the text contains no certificate",
        ));
    }
    Ok(found)
}

/// Runs a handshake with a timeout. Its stream moves to the Tokio runtime that polls it.
async fn shaken<S, F, T>(
    limit: Duration,
    mut home: Home,
    mut shake: F,
    stream: fn(&mut F) -> Option<&mut S>,
) -> io::Result<T>
where
    S: Unpin + 'static,
    F: Future<Output = io::Result<T>> + Unpin,
{
    let mut limit = Pause::new(limit);
    poll_fn(|cx| {
        if home.has_moved()
            && let Some(follow) = mover::<S>()
            && let Some(stream) = stream(&mut shake)
        {
            follow(Pin::new(stream)).map_err(|error| cannot_move(&error))?;
        }
        if let Poll::Ready(shaken) = Pin::new(&mut shake).poll(cx) {
            return Poll::Ready(shaken.map_err(explained));
        }
        let too_long = || io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long");
        Pin::new(&mut limit).poll(cx).map(|()| Err(too_long()))
    })
    .await
}

impl Acceptor {
    /// Makes a server from its certificate chain and private key (PKCS #8, PKCS #1 or SEC 1), in PEM.
    ///
    /// The server's own certificate comes first. Clients are not asked for a certificate.
    ///
    /// # Errors
    /// Either is not PEM, or they do not belong together; there is no [crypto provider](self#the-crypto-provider).
    pub fn from_pem(certificates_pem: &[u8], key_pem: &[u8]) -> Result<Self, Error> {
        let chain = certificates(certificates_pem)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|e| invalid("the private key is not PEM", e))?;
        let config = ServerConfig::builder_with_provider(provider()?)
            .with_safe_default_protocol_versions()
            .map_err(|e| invalid("TLS", e))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|e| invalid("the certificate and its key", e))?;
        Ok(Acceptor::from(Arc::new(config)))
    }

    /// Sets the timeout of handshakes; default 10 seconds.
    #[must_use]
    pub fn handshake_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets the application protocols that the server offers (ALPN), the preferred one first; default none.
    #[must_use]
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        let mut config = ServerConfig::clone(self.inner.config());
        config.alpn_protocols = protocols
            .into_iter()
            .map(|protocol| protocol.as_ref().to_vec())
            .collect();
        self.inner = TlsAcceptor::from(Arc::new(config));
        self
    }

    /// Returns the application protocols that the server offers (ALPN).
    #[must_use]
    pub fn protocols(&self) -> &[Vec<u8>] {
        &self.inner.config().alpn_protocols
    }

    /// Performs the server's handshake on an accepted stream.
    ///
    /// Bytes that were read from the stream before must not be part of the handshake.
    ///
    /// # Errors
    /// The future's: rustls's ([`InvalidData`](io::ErrorKind::InvalidData)), the stream's, or
    /// [`TimedOut`](io::ErrorKind::TimedOut).
    pub fn accept<S>(&self, stream: S) -> impl Future<Output = io::Result<ServerStream<S>>> + use<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        shaken(
            self.limit,
            Home::of_a_given(),
            self.inner.accept(stream),
            Accept::get_mut,
        )
    }
}

impl Connector {
    /// Makes a client that trusts the root certificates in this PEM text.
    ///
    /// The system's root certificates are mostly in a file such as `/etc/ssl/certs/ca-certificates.crt`.
    ///
    /// ```
    /// use poe::tls::{Acceptor, Connector};
    /// use std::io::ErrorKind;
    /// # tokio_test::block_on(async {
    /// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// # let another = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    /// let acceptor = Acceptor::from_pem(certificate.as_bytes(), key.as_bytes())?;
    /// let stranger = Connector::from_pem(another.as_bytes())?; // trusts another certificate
    /// let (client, server) = tokio::io::duplex(4096);
    /// let (client, server) = tokio::join!(stranger.connect("localhost", client), acceptor.accept(server));
    /// assert_eq!(client.unwrap_err().kind(), ErrorKind::InvalidData);
    /// assert!(server.is_err());
    /// assert!(Connector::from_pem(b"no PEM").is_err());
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// It is not PEM, or has no certificate that could be a root; there is no [crypto provider](self#the-crypto-provider).
    pub fn from_pem(roots_pem: &[u8]) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        // A system's store often has some certificates that rustls does not accept.
        let (taken, _) = roots.add_parsable_certificates(certificates(roots_pem)?);
        if taken == 0 {
            return Err(invalid("the certificates", "none of them can be a root"));
        }
        let config = ClientConfig::builder_with_provider(provider()?)
            .with_safe_default_protocol_versions()
            .map_err(|e| invalid("TLS", e))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Connector::from(Arc::new(config)))
    }

    /// Sets the timeout of handshakes; default 10 seconds.
    #[must_use]
    pub fn handshake_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets the application protocols that the client offers (ALPN), the preferred one first; default none.
    #[must_use]
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        let mut config = ClientConfig::clone(self.inner.config());
        config.alpn_protocols = protocols
            .into_iter()
            .map(|protocol| protocol.as_ref().to_vec())
            .collect();
        self.inner = TlsConnector::from(Arc::new(config));
        self
    }

    /// Returns the application protocols that the client offers (ALPN).
    #[must_use]
    pub fn protocols(&self) -> &[Vec<u8>] {
        &self.inner.config().alpn_protocols
    }

    /// Performs the client's handshake on a connected stream.
    ///
    /// `server` is the name or address that the server's certificate must contain.
    ///
    /// # Errors
    /// The future's: the name is not valid ([`InvalidInput`](io::ErrorKind::InvalidInput)), the server's certificate is not
    /// trusted ([`InvalidData`](io::ErrorKind::InvalidData)), the stream's, or
    /// [`TimedOut`](io::ErrorKind::TimedOut).
    pub fn connect<S>(&self, server: &str, stream: S) -> impl Future<Output = io::Result<ClientStream<S>>> + use<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let name = ServerName::try_from(server.to_owned());
        let (inner, limit, home) = (self.inner.clone(), self.limit, Home::of_a_given());
        async move {
            let name = name.map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
            shaken(limit, home, inner.connect(name, stream), Connect::get_mut).await
        }
    }
}

impl From<Arc<ServerConfig>> for Acceptor {
    /// Takes your own configuration: client certificates, several names, session tickets, ALPN.
    fn from(config: Arc<ServerConfig>) -> Self {
        Acceptor {
            inner: TlsAcceptor::from(config),
            limit: HANDSHAKE,
        }
    }
}

impl From<Arc<ClientConfig>> for Connector {
    /// Takes your own configuration: another verifier, a client certificate, ALPN.
    fn from(config: Arc<ClientConfig>) -> Self {
        Connector {
            inner: TlsConnector::from(config),
            limit: HANDSHAKE,
        }
    }
}

debug_fields!([] Acceptor, "Acceptor", |this| { handshake_limit: this.limit, .. });

debug_fields!([] Connector, "Connector", |this| { handshake_limit: this.limit, .. });
