//! Making connections: directly or through a proxy, with TLS or without, or in a way of the program's.

use super::error::{ErrorKind, HttpError};
use http::Uri;
use http::header::HeaderValue;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower::Service;

/// A stream of any kind.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

pub(super) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The program's way to connect.
pub(super) type Custom = Arc<dyn Fn(Uri) -> Boxed<io::Result<Box<dyn Duplex>>> + Send + Sync>;

#[cfg(feature = "tls")]
pub(super) type Tls = Option<poe::tls::Connector>;
/// Without the feature there is no connector.
#[cfg(not(feature = "tls"))]
#[derive(Clone, Default)]
pub(super) struct Tls;

#[derive(Clone)]
pub(super) struct Connect {
    pub(super) tcp: HttpConnector<Resolve>,
    pub(super) custom: Option<Custom>,
    pub(super) proxies: Arc<Matcher>,
    pub(super) tls: Tls,
    pub(super) limit: Duration,
}

/// A connector for TCP.
pub(super) fn tcp(limit: Duration) -> HttpConnector<Resolve> {
    let mut tcp = HttpConnector::new_with_resolver(Resolve);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(limit));
    tcp
}

impl Connect {
    /// Returns the proxy's password for a request that goes to it unencrypted.
    pub(super) fn authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        if self.custom.is_some() || uri.scheme_str() != Some("http") {
            return None;
        }
        self.proxies.intercept(uri)?.basic_auth().cloned()
    }

    async fn connect(mut self, uri: Uri) -> Result<Stream, HttpError> {
        let is_https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(ErrorKind::Scheme(uri).into()),
        };
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| ErrorKind::Connect(error);
        let (stream, is_proxy): (Box<dyn Duplex>, bool) = match (&self.custom, self.proxies.intercept(&uri)) {
            (Some(custom), _) => (custom(uri.clone()).await.map_err(|error| failed(error.into()))?, false),
            (None, None) => {
                let stream = self.tcp.call(uri.clone()).await.map_err(|error| failed(error.into()))?;
                (Box::new(stream.into_inner()), false)
            }
            (None, Some(proxy)) if is_https => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), self.tcp.clone());
                if let Some(auth) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(auth.clone());
                }
                let stream: Result<TokioIo<TcpStream>, _> = tunnel.call(uri.clone()).await;
                let stream = stream.map_err(|error| failed(error.into()))?;
                (Box::new(stream.into_inner()), false)
            }
            (None, Some(proxy)) => {
                let stream = self.tcp.call(proxy.uri().clone()).await;
                let stream = stream.map_err(|error| failed(error.into()))?;
                (Box::new(stream.into_inner()), true)
            }
        };
        if !is_https {
            return Ok(Stream {
                stream,
                is_proxy,
                is_h2: false,
            });
        }
        self.encrypted(&uri, stream).await
    }

    #[cfg(feature = "tls")]
    async fn encrypted(&self, uri: &Uri, stream: Box<dyn Duplex>) -> Result<Stream, HttpError> {
        let Some(tls) = &self.tls else {
            return Err(ErrorKind::NoTls.into());
        };
        // An address of IPv6 stands in brackets.
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let stream = tls.connect(host, stream).await.map_err(ErrorKind::Tls)?;
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Stream {
            stream: Box::new(stream),
            is_proxy: false,
            is_h2,
        })
    }

    #[cfg(not(feature = "tls"))]
    async fn encrypted(&self, _: &Uri, _: Box<dyn Duplex>) -> Result<Stream, HttpError> {
        let Tls = self.tls;
        Err(ErrorKind::NoTls.into())
    }
}

impl Service<Uri> for Connect {
    type Response = TokioIo<Stream>;
    type Error = HttpError;
    type Future = Boxed<Result<TokioIo<Stream>, HttpError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HttpError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connect, limit) = (self.clone(), self.limit);
        Box::pin(async move {
            match tokio::time::timeout(limit, connect.connect(uri)).await {
                Ok(connected) => connected.map(TokioIo::new),
                Err(_) => Err(ErrorKind::ConnectTimeout(limit).into()),
            }
        })
    }
}

/// A connection, with what hyper wants to know about it.
pub(super) struct Stream {
    stream: Box<dyn Duplex>,
    is_proxy: bool,
    is_h2: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.is_proxy);
        match self.is_h2 {
            true => connected.negotiated_h2(),
            false => connected,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Looks names up on a thread for each. Nobody waits for the thread of a lookup that was given up, not even the process's exit.
#[derive(Clone)]
pub(super) struct Resolve;

impl Service<Name> for Resolve {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Boxed<io::Result<std::vec::IntoIter<SocketAddr>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let (tell, told) = tokio::sync::oneshot::channel();
            let lookup = move || {
                let found = (name.as_str(), 0).to_socket_addrs();
                // The request may have been cancelled.
                let _ = tell.send(found);
            };
            std::thread::Builder::new()
                .name("poe-http lookup".into())
                .spawn(lookup)?;
            told.await.map_err(|_| io::Error::other("the lookup has panicked"))?
        })
    }
}
