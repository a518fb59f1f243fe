//! The settings of a client, and its start.

use super::connect::{Boxed, Connect, Custom, Duplex, Tls, tcp};
use super::error::HttpError;
use super::{HttpClient, Sending, Shared, Transport};
use crate::body::{Body, ReceivedBody};
use bytes::Bytes;
use futures_util::stream;
use http::header::{PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioTimer;
use poe::event::START;
use poe::extend::{Caller, Start};
use poe::{Error, Event, KERNEL_SHUTDOWN, Kernel, Session, Signal};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc};
use tower::{Layer, Service, ServiceExt};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connection, or another task of hyper's.
const SPAWNED: Event<Option<Boxed<()>>> = Event::new("http_client_spawned");
const ENDED: Event<()> = Event::new("http_client_ended");
const KERNEL_ENDS: Event<Signal> = Event::new("http_client_kernel_shutdown");

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) timeout: Duration,
    connect_timeout: Duration,
    body_timeout: Duration,
    idle_timeout: Duration,
    pub(super) max_body: u64,
    pub(super) redirects: usize,
    concurrency: usize,
    pub(super) per_host: usize,
    pub(super) capacity: usize,
    user_agent: Option<HeaderValue>,
    http2_only: bool,
}

/// Settings of an [`HttpClient`].
///
/// | setting | default |
/// |---|---|
/// | [`timeout`](Self::timeout) | 180 s for a request |
/// | [`connect_timeout`](Self::connect_timeout) | 30 s |
/// | [`body_timeout`](Self::body_timeout) | 30 s without a byte |
/// | [`idle_timeout`](Self::idle_timeout) | 15 s for a connection of the pool |
/// | [`max_body`](Self::max_body) | 16 MiB |
/// | [`redirects`](Self::redirects) | 10 |
/// | [`concurrency`](Self::concurrency), [`per_host`](Self::per_host) | 128, 16 requests at a time |
/// | [`capacity`](Self::capacity) | 4096 requests |
/// | [`proxy`](Self::proxy), [`proxies_from_env`](Self::proxies_from_env) | none |
/// | `tls` (feature `tls`) | `https://` is refused |
/// | [`user_agent`](Self::user_agent) | `poe-http` and its version |
#[must_use = "a client exists only after `start`"]
pub struct HttpClientBuilder {
    settings: Settings,
    proxies: Option<Matcher>,
    tls: Tls,
    custom: Option<Custom>,
    layers: Option<Box<dyn FnOnce(HttpPool) -> Layered>>,
    alias: Option<String>,
}

/// A pool with layers, its types erased.
type Layered = Rc<dyn Fn(Request<Body>) -> Pin<Box<dyn Future<Output = Result<Response<Body>, HttpError>>>>>;

impl HttpClientBuilder {
    pub(super) fn new() -> Self {
        HttpClientBuilder {
            settings: Settings {
                timeout: Duration::from_secs(180),
                connect_timeout: Duration::from_secs(30),
                body_timeout: Duration::from_secs(30),
                idle_timeout: Duration::from_secs(15),
                max_body: 16 * 1024 * 1024,
                redirects: 10,
                concurrency: 128,
                per_host: 16,
                capacity: 4096,
                user_agent: Some(HeaderValue::from_static(concat!(
                    "poe-http/",
                    env!("CARGO_PKG_VERSION")
                ))),
                http2_only: false,
            },
            proxies: None,
            tls: Default::default(),
            custom: None,
            layers: None,
            alias: None,
        }
    }

    /// Sets how long a request may take, its place in the line and its redirections included.
    #[doc(alias = "Timeout")]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.settings.timeout = limit;
        self
    }

    /// Sets how long connecting may take, with lookup, proxy and TLS.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.settings.connect_timeout = limit;
        self
    }

    /// Sets the longest time without a byte of a body.
    pub fn body_timeout(mut self, limit: Duration) -> Self {
        self.settings.body_timeout = limit;
        self
    }

    /// Sets how long a connection without a request stays in the pool.
    #[doc(alias = "keep_alive")]
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.settings.idle_timeout = limit;
        self
    }

    /// Sets the largest body of a response in bytes.
    #[doc(alias = "MaxSize")]
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.settings.max_body = bytes;
        self
    }

    /// Sets how many redirections a request may follow; with 0 they are responses like any other.
    #[doc(alias = "FollowRedirects")]
    pub fn redirects(mut self, redirects: usize) -> Self {
        self.settings.redirects = redirects;
        self
    }

    /// Sets how many requests may be under way at a time, until the heads of their responses; at least one. Others wait for their turn.
    #[doc(alias = "max_open")]
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.settings.concurrency = requests.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Sets how many requests to one host may be under way at a time; at least one.
    #[doc(alias = "max_per_host")]
    pub fn per_host(mut self, requests: usize) -> Self {
        self.settings.per_host = requests.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Sets how many requests may be without a response, those that wait for their turn included. More are refused.
    pub fn capacity(mut self, requests: usize) -> Self {
        self.settings.capacity = requests;
        self
    }

    /// Sets the header `User-Agent`, which a request without one gets; `None` for none.
    #[doc(alias = "Agent")]
    pub fn user_agent(mut self, agent: Option<HeaderValue>) -> Self {
        self.settings.user_agent = agent;
        self
    }

    /// Speaks HTTP/2 without asking, also without TLS.
    pub fn http2_only(mut self) -> Self {
        self.settings.http2_only = true;
        self
    }

    /// Sends requests through a proxy, such as `http://user:password@proxy:8080`, except those to the hosts in `no_proxy`, with commas between.
    ///
    /// Requests with `http://` go to the proxy; those with `https://` go through a tunnel (`CONNECT`), encrypted from end to end.
    #[doc(alias = "Proxy")]
    #[doc(alias = "NoProxy")]
    pub fn proxy(mut self, proxy: impl Into<String>, no_proxy: impl Into<String>) -> Self {
        let matcher = Matcher::builder().all(proxy.into()).no(no_proxy.into());
        self.proxies = Some(matcher.build());
        self
    }

    /// Takes the proxies from the environment: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`.
    pub fn proxies_from_env(mut self) -> Self {
        self.proxies = Some(Matcher::from_env());
        self
    }

    /// Encrypts requests with `https://`, and offers HTTP/2 and HTTP/1.1 (ALPN), unless the connector has protocols of its own.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, connector: poe::tls::Connector) -> Self {
        let connector = match connector.protocols().is_empty() {
            true => connector.alpn(["h2", "http/1.1"]),
            false => connector,
        };
        self.tls = Some(connector);
        self
    }

    /// Connects with a function of your own: to a UNIX socket, to a server in memory. `https://` is encrypted on top of it; proxies are not used.
    pub fn connect_with<F, S>(mut self, connect: impl Fn(Uri) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.custom = Some(Arc::new(move |uri| {
            let connecting = connect(uri);
            Box::pin(async move { Ok(Box::new(connecting.await?) as Box<dyn Duplex>) })
        }));
        self
    }

    /// Wraps the pool with a tower layer, for each request and redirection. A second layer takes the place of the first one: compose them with
    /// tower's `ServiceBuilder`.
    pub fn layer<L, B>(mut self, layer: L) -> Self
    where
        L: Layer<HttpPool> + 'static,
        L::Service: Service<Request<Body>, Response = Response<B>> + Clone + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.layers = Some(Box::new(move |pool| {
            let service = layer.layer(pool);
            Rc::new(move |request| {
                let service = service.clone();
                Box::pin(async move {
                    let response = service.oneshot(request).await;
                    response
                        .map(|response| response.map(Body::new))
                        .map_err(|error| HttpError::of(error.into()))
                })
            })
        }));
        self
    }

    /// Sets the alias of the client's session; default none.
    #[doc(alias = "Alias")]
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    /// Creates the client's session, below the kernel. Connections are made with the first requests.
    ///
    /// # Errors
    /// An alias that is taken; a handler is running (use [`cx.start(builder)`](poe::Context::start)); the kernel is shutting down.
    #[track_caller]
    pub fn start(self, kernel: &Kernel) -> Result<HttpClient, Error> {
        self.start_by(&mut { kernel })
    }
}

/// The pool of connections, as a tower service.
#[derive(Clone)]
pub struct HttpPool(Client<Connect, Body>);

impl fmt::Debug for HttpPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpPool")
    }
}

impl Service<Request<Body>> for HttpPool {
    type Response = Response<Incoming>;
    type Error = hyper_util::client::legacy::Error;
    type Future = hyper_util::client::legacy::ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.request(request)
    }
}

/// Where hyper puts its tasks: they become tasks of the client's session.
#[derive(Clone)]
struct Tasks(mpsc::UnboundedSender<Boxed<()>>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        // Without its session the client ends, and the task with it.
        let _ = self.0.send(Box::pin(task));
    }
}

/// Makes the way that requests go.
fn transport(builder: HttpClientBuilder, tasks: Tasks) -> Transport {
    let settings = builder.settings;
    let connect = Connect {
        tcp: tcp(settings.connect_timeout),
        custom: builder.custom,
        proxies: Arc::new(builder.proxies.unwrap_or_else(|| Matcher::builder().build())),
        tls: builder.tls,
        limit: settings.connect_timeout,
    };
    let pool = Client::builder(tasks)
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(settings.idle_timeout)
        .http2_only(settings.http2_only)
        .build::<_, Body>(connect.clone());
    let pool = HttpPool(pool);
    let layered = builder.layers.map(|layers| layers(pool.clone()));
    let (silence, agent) = (settings.body_timeout, settings.user_agent);
    Rc::new(move |mut request| -> Sending {
        if let Some(agent) = &agent
            && !request.headers().contains_key(USER_AGENT)
        {
            request.headers_mut().insert(USER_AGENT, agent.clone());
        }
        if let Some(auth) = connect.authorization(request.uri()) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, auth);
        }
        match &layered {
            Some(layered) => {
                let sending = layered(request);
                Box::pin(async move {
                    let response = sending.await?;
                    Ok(response.map(|body| ReceivedBody::of_layers(body, u64::MAX, silence)))
                })
            }
            None => {
                let sending = pool.0.request(request);
                Box::pin(async move {
                    let response = sending.await.map_err(|error| HttpError::of(error.into()))?;
                    Ok(response.map(|body| ReceivedBody::new(body, u64::MAX, silence)))
                })
            }
        }
    })
}

impl Start for HttpClientBuilder {
    type Started = HttpClient;

    #[track_caller]
    fn start_by(mut self, caller: &mut impl Caller) -> Result<HttpClient, Error> {
        let (tasks, mut spawned) = mpsc::unbounded_channel();
        let alias = self.alias.take();
        let settings = self.settings.clone();
        let shared = Rc::new(Shared {
            permits: Arc::new(Semaphore::new(settings.concurrency)),
            settings,
            transport: RefCell::new(Some(transport(self, Tasks(tasks)))),
            hosts: RefCell::default(),
            pending: Cell::new(0),
        });
        let tasks = stream::poll_fn(move |cx| spawned.poll_recv(cx));
        let tasks = Cell::new(Some(tasks));
        // The handles and the requests keep the client; the session does not.
        let session = Session::builder(Rc::downgrade(&shared))
            .on(START, move |cx, ()| -> poe::HandlerResult {
                if let Some(tasks) = tasks.take() {
                    cx.attach(tasks, SPAWNED);
                }
                cx.sig(KERNEL_SHUTDOWN, KERNEL_ENDS);
                alias.as_deref().map_or(Ok(()), |alias| Ok(cx.alias_set(alias)?))
            })
            .on(SPAWNED, |cx, task| match task {
                Some(task) => drop(cx.spawn(task, ENDED)),
                None => {
                    for alias in cx.alias_list() {
                        // It is one of the session's.
                        let _ = cx.alias_remove(&alias);
                    }
                }
            })
            .on(ENDED, |_, ()| ())
            .on(KERNEL_ENDS, |cx, _| {
                cx.sig_handled();
                if let Some(shared) = Weak::upgrade(&cx.heap) {
                    shared.close();
                }
            });
        let session = caller.create(session)?;
        Ok(HttpClient { session, shared })
    }
}

impl fmt::Debug for HttpClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClientBuilder")
            .field("settings", &self.settings)
            .field("alias", &self.alias)
            .finish_non_exhaustive()
    }
}
