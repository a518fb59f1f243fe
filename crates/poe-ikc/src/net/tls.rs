//! Connections with TLS, whose certificates say which names a peer may have.

use crate::net::Transport;
use poe::tls::rustls::pki_types::CertificateDer;
use poe::tls::{Acceptor, Connector};
use poe::wheel::SocketStream;
use std::fmt;
use std::io;
use std::rc::Rc;

type Names = dyn Fn(&[CertificateDer<'_>]) -> Option<Vec<String>>;

/// A listener's side.
#[derive(Clone)]
pub(crate) struct Server {
    acceptor: Acceptor,
    names: Rc<Names>,
}

impl Server {
    pub(crate) fn new(
        acceptor: Acceptor,
        names: impl Fn(&[CertificateDer<'_>]) -> Option<Vec<String>> + 'static,
    ) -> Self {
        Server {
            acceptor,
            names: Rc::new(names),
        }
    }

    pub(crate) async fn accept(self, stream: SocketStream) -> io::Result<Transport> {
        let ends = Transport::Socket(stream);
        let names = ends.names(false);
        let Transport::Socket(stream) = ends else {
            unreachable!("it was made above")
        };
        let stream = self.acceptor.accept(stream).await?;
        let allowed = (self.names)(stream.get_ref().1.peer_certificates().unwrap_or_default());
        let allowed = allowed.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the client has no certificate that is allowed here",
            )
        })?;
        Ok(Transport::Tls {
            stream: Box::pin(stream),
            ends: names,
            allowed,
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// A client's side.
#[derive(Clone)]
pub(crate) struct Client {
    connector: Connector,
    host: String,
    allowed: Vec<String>,
}

impl Client {
    pub(crate) fn new(connector: Connector, host: String, allowed: Vec<String>) -> Self {
        Client {
            connector,
            host,
            allowed,
        }
    }

    pub(crate) async fn connect(&self, stream: SocketStream) -> io::Result<Transport> {
        let ends = Transport::Socket(stream);
        let names = ends.names(true);
        let Transport::Socket(stream) = ends else {
            unreachable!("it was made above")
        };
        let stream = self.connector.connect(&self.host, stream).await?;
        Ok(Transport::Tls {
            stream: Box::pin(stream),
            ends: names,
            allowed: self.allowed.clone(),
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}
