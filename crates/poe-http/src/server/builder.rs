//! The settings of a server, and its start.

use super::limits::HttpLimits;
use super::routes::{Endpoint, Routes, Table, boxed};
use super::session::{Http, Plain, Tls, plain, states};
use super::shared::Shared;
use super::work::{Handler, Receiver, posting, streaming, whole};
use super::{Exchange, HttpServer};
use crate::body::ReceivedBody;
use bytes::Bytes;
use http::{Method, Request, Response};
use poe::component::{NoCallbacks, TcpServer, WithCallbacks};
use poe::event::Calls;
use poe::extend::{Caller, IntoReply, Start};
use poe::wheel::{Address, ListenSocket};
use poe::{Context, Error, Event, Kernel, OnFailure, Session, SessionBuilder, States};
use std::fmt;
use std::marker::PhantomData;
#[cfg(feature = "websocket")]
use std::rc::Rc;
use tower::{Layer, Service};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Settings of an [`HttpServer`].
///
/// Call [`heap`](Self::heap) first, because it determines what handlers get.
///
/// A pattern is a path in which `{name}` stands for one part and `{*name}` for the rest; [`Exchange::param`] returns what stood there. A path
/// without a route gets 404, a method without one 405, and a route for GET is one for HEAD too.
///
/// | setting | default |
/// |---|---|
/// | [`heap`](Self::heap) | `()` |
/// | [`route`](Self::route), [`get`](Self::get), [`post`](Self::post) | none |
/// | [`streaming`](Self::streaming), [`event`](Self::event), [`service`](Self::service) | none |
/// | [`fallback`](Self::fallback), [`fallback_service`](Self::fallback_service) | 404 |
/// | [`layer`](Self::layer) | none |
/// | [`limits`](Self::limits) | [`HttpLimits`] |
/// | `tls` (feature `tls`) | plain HTTP |
/// | [`alias`](Self::alias) | none |
/// | [`on_failure`](Self::on_failure) | as the kernel |
#[must_use = "a server listens only after `start`"]
pub struct HttpServerBuilder<H: 'static, S = NoCallbacks> {
    heap: H,
    places: Vec<Place>,
    sockets: Sockets,
    table: Table,
    handlers: Vec<Handler<H>>,
    states: States<H, Http>,
    layers: Option<Box<dyn FnOnce(Routes) -> Routes>>,
    started: Option<Plain<H>>,
    stopped: Option<Plain<H>>,
    limits: HttpLimits,
    tls: Tls,
    alias: Option<String>,
    on_failure: Option<OnFailure>,
    /// The first wrong setting.
    fault: Option<String>,
    stage: PhantomData<S>,
}

enum Place {
    At(Address),
    On(ListenSocket),
}

struct Sockets {
    backlog: u32,
    reuse: bool,
    nodelay: bool,
}

impl HttpServerBuilder<()> {
    pub(super) fn new() -> Self {
        HttpServerBuilder {
            heap: (),
            places: Vec::new(),
            sockets: Sockets {
                backlog: 4096,
                reuse: true,
                nodelay: true,
            },
            table: Table::default(),
            handlers: Vec::new(),
            states: States::new(),
            layers: None,
            started: None,
            stopped: None,
            limits: HttpLimits::default(),
            tls: Default::default(),
            alias: None,
            on_failure: None,
            fault: None,
            stage: PhantomData,
        }
    }

    /// Sets the heap of the server's session, which every handler gets as `cx.heap`. Comes before the first handler.
    pub fn heap<I: 'static>(self, heap: I) -> HttpServerBuilder<I> {
        HttpServerBuilder {
            heap,
            places: self.places,
            sockets: self.sockets,
            table: self.table,
            handlers: Vec::new(),
            states: States::new(),
            layers: self.layers,
            started: None,
            stopped: None,
            limits: self.limits,
            tls: self.tls,
            alias: self.alias,
            on_failure: self.on_failure,
            fault: self.fault,
            stage: PhantomData,
        }
    }
}

/// Handlers.
impl<H: 'static, S> HttpServerBuilder<H, S> {
    /// Marks the builder: it has a handler.
    fn named(self) -> HttpServerBuilder<H, WithCallbacks> {
        HttpServerBuilder {
            heap: self.heap,
            places: self.places,
            sockets: self.sockets,
            table: self.table,
            handlers: self.handlers,
            states: self.states,
            layers: self.layers,
            started: self.started,
            stopped: self.stopped,
            limits: self.limits,
            tls: self.tls,
            alias: self.alias,
            on_failure: self.on_failure,
            fault: self.fault,
            stage: PhantomData,
        }
    }

    fn note(&mut self, done: Result<(), String>) {
        if let Err(fault) = done {
            self.fault.get_or_insert(fault);
        }
    }

    fn add(
        mut self,
        method: Option<Method>,
        pattern: &str,
        endpoint: impl FnOnce(usize) -> Endpoint,
        handler: Handler<H>,
    ) -> HttpServerBuilder<H, WithCallbacks> {
        let added = self.table.add(method, pattern, endpoint(self.handlers.len()));
        self.note(added);
        self.handlers.push(handler);
        self.named()
    }

    /// Calls `f` with each request of this method and path, when its whole body is there.
    ///
    /// A handler that fails or panics costs its request: the client gets 500 and the failure is logged.
    #[doc(alias = "ContentHandler")]
    #[doc(alias = "HANDLERS")]
    pub fn route<R: IntoReply>(
        self,
        method: Method,
        pattern: &str,
        f: impl Fn(&mut Context<'_, H, Http>, Exchange) -> R + 'static,
    ) -> HttpServerBuilder<H, WithCallbacks> {
        self.add(Some(method), pattern, Endpoint::Whole, whole(f))
    }

    /// Calls `f` with each GET of this path, and with each HEAD, whose reply goes out without its body.
    pub fn get<R: IntoReply>(
        self,
        pattern: &str,
        f: impl Fn(&mut Context<'_, H, Http>, Exchange) -> R + 'static,
    ) -> HttpServerBuilder<H, WithCallbacks> {
        self.route(Method::GET, pattern, f)
    }

    /// Calls `f` with each POST of this path, when its whole body is there.
    pub fn post<R: IntoReply>(
        self,
        pattern: &str,
        f: impl Fn(&mut Context<'_, H, Http>, Exchange) -> R + 'static,
    ) -> HttpServerBuilder<H, WithCallbacks> {
        self.route(Method::POST, pattern, f)
    }

    /// Calls `f` with each request of this method and path when its head is there. The handler reads the body itself, as a stream.
    ///
    /// A client that waits for `100 Continue` gets it when the body is read for the first time, so a handler can refuse a body unread. The
    /// limit of [`max_body`](HttpLimits::max_body) holds; [`ReceivedBody::max_bytes`] changes it for one request.
    #[doc(alias = "StreamHandler")]
    #[doc(alias = "STREAM")]
    pub fn streaming<R: IntoReply>(
        self,
        method: Method,
        pattern: &str,
        f: impl Fn(&mut Context<'_, H, Http>, Exchange<ReceivedBody>) -> R + 'static,
    ) -> HttpServerBuilder<H, WithCallbacks> {
        self.add(Some(method), pattern, Endpoint::Streaming, streaming(f))
    }

    /// Posts each request of this method and path to a session, named by ID or alias. Where that fails the client gets 503.
    #[doc(alias = "SESSION")]
    #[doc(alias = "EVENT")]
    pub fn event(
        self,
        method: Method,
        pattern: &str,
        session: impl Into<Receiver>,
        event: Event<Exchange>,
    ) -> HttpServerBuilder<H, WithCallbacks> {
        self.add(Some(method), pattern, Endpoint::Whole, posting(session.into(), event))
    }

    /// Calls `f` with each request that has no route, when its whole body is there.
    pub fn fallback<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, H, Http>, Exchange) -> R + 'static,
    ) -> HttpServerBuilder<H, WithCallbacks> {
        let set = self.table.set_fallback(Endpoint::Whole(self.handlers.len()));
        self.note(set);
        self.handlers.push(whole(f));
        self.named()
    }

    /// Accepts WebSockets at this path, and calls `f` with each event of each of them.
    ///
    /// A callback that fails or panics costs its socket, which is closed with code 1011. A browser sends the cookies of your site with a
    /// WebSocket that another site opens: where they matter, name the [origins](super::WebSocketLimits::origins).
    #[cfg(feature = "websocket")]
    pub fn websocket<R: IntoReply>(
        self,
        pattern: &str,
        limits: super::WebSocketLimits,
        f: impl Fn(&mut Context<'_, H, Http>, &super::WebSocket, super::WebSocketEvent) -> R + 'static,
    ) -> HttpServerBuilder<H, WithCallbacks> {
        let number = self.handlers.len();
        let endpoint = move |at| Endpoint::WebSocket(at, Rc::new(limits));
        self.add(
            Some(Method::GET),
            pattern,
            endpoint,
            super::websocket::handler(number, f),
        )
    }

    /// Calls `f` when the server listens.
    pub fn started<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, H, Http>) -> R + 'static,
    ) -> HttpServerBuilder<H, WithCallbacks> {
        self.started = Some(plain(f));
        self.named()
    }

    /// Calls `f` when the server's session stops.
    pub fn stopped<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, H, Http>) -> R + 'static,
    ) -> HttpServerBuilder<H, WithCallbacks> {
        self.stopped = Some(plain(f));
        self.named()
    }

    /// Adds a handler of your own events to the server's session: for replies that come later, for timers.
    #[doc(alias = "InlineStates")]
    pub fn state<A: 'static, R: IntoReply>(
        mut self,
        event: impl Calls<A, R::Value>,
        f: impl Fn(&mut Context<'_, H, Http>, A) -> R + 'static,
    ) -> HttpServerBuilder<H, WithCallbacks> {
        self.states = self.states.on(event, f);
        self.named()
    }

    /// Adds a table of handlers of your own events to the server's session.
    #[doc(alias = "InlineStates")]
    pub fn inline_states(mut self, states: &States<H, Http>) -> HttpServerBuilder<H, WithCallbacks> {
        self.states = self.states.with(states);
        self.named()
    }
}

/// Tower services beside the session's handlers: an axum `Router`, a service of `tower-http`, your own.
///
/// They run on the kernel's thread while their connection is polled, so they must not block.
impl<H: 'static, S> HttpServerBuilder<H, S> {
    /// Serves a path, and everything below it, with a tower service. The service does not see `prefix`.
    ///
    /// The client's name is in the extensions of its requests, as a [`Peer`](super::Peer).
    pub fn service<T, B>(mut self, prefix: &str, service: T) -> Self
    where
        T: Service<Request<ReceivedBody>, Response = Response<B>> + Clone + 'static,
        T::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mounted = self.table.mount(prefix, boxed(service));
        self.note(mounted);
        self
    }

    /// Serves each request that has no route with a tower service.
    pub fn fallback_service<T, B>(mut self, service: T) -> Self
    where
        T: Service<Request<ReceivedBody>, Response = Response<B>> + Clone + 'static,
        T::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let set = self.table.set_fallback(Endpoint::Service(boxed(service), 0));
        self.note(set);
        self
    }

    /// Serves the files of a folder below a path, with ranges, conditional requests and types by extension.
    ///
    /// Symbolic links are followed; a path cannot leave the folder with `..`. Files are read on Tokio's blocking threads.
    #[cfg(feature = "files")]
    pub fn files(self, prefix: &str, folder: impl AsRef<std::path::Path>) -> Self {
        self.service(prefix, tower_http::services::ServeDir::new(folder))
    }

    /// Wraps all routes with a tower layer. A further layer goes around those that were added before.
    ///
    /// The service that it makes must call the [`Routes`] on the kernel's thread, as layers do that start no tasks.
    #[doc(alias = "PreHandler")]
    #[doc(alias = "PostHandler")]
    pub fn layer<L, B>(mut self, layer: L) -> Self
    where
        L: Layer<Routes> + 'static,
        L::Service: Service<Request<ReceivedBody>, Response = Response<B>> + Clone + 'static,
        <L::Service as Service<Request<ReceivedBody>>>::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let inner = self.layers.take();
        self.layers = Some(Box::new(move |routes| {
            let routes = inner.map_or_else(|| routes.clone(), |inner| inner(routes.clone()));
            Routes::layered(boxed(layer.layer(routes)))
        }));
        self
    }
}

/// Settings.
impl<H: 'static, S> HttpServerBuilder<H, S> {
    /// Adds an address to listen on.
    #[doc(alias = "ADDRESS")]
    pub fn listen(mut self, addr: impl Into<Address>) -> Self {
        self.places.push(Place::At(addr.into()));
        self
    }

    /// Adds a socket that listens already.
    pub fn listener(mut self, listener: impl Into<ListenSocket>) -> Self {
        self.places.push(Place::On(listener.into()));
        self
    }

    /// Sets the limits.
    pub fn limits(mut self, limits: HttpLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Encrypts the connections, and offers HTTP/2 and HTTP/1.1 to clients (ALPN), unless the acceptor has protocols of its own.
    #[cfg(feature = "tls")]
    #[doc(alias = "SSLKEYCERT")]
    pub fn tls(mut self, acceptor: poe::tls::Acceptor) -> Self {
        let acceptor = match acceptor.protocols().is_empty() {
            true => acceptor.alpn(["h2", "http/1.1"]),
            false => acceptor,
        };
        self.tls = Some(acceptor);
        self
    }

    /// Sets how many clients may wait to be accepted, at most what the system allows; default 4096.
    pub fn backlog(mut self, clients: u32) -> Self {
        self.sockets.backlog = clients;
        self
    }

    /// Sets whether an address may be bound that an old connection still has (`SO_REUSEADDR`); default true.
    pub fn reuse(mut self, reuse: bool) -> Self {
        self.sockets.reuse = reuse;
        self
    }

    /// Sets whether small writes leave at once (`TCP_NODELAY`); default true.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.sockets.nodelay = nodelay;
        self
    }

    /// Sets the alias of the server's session, which it gives up at a shutdown; default none.
    #[doc(alias = "ALIAS")]
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    /// Sets the policy for failures of the session's own states; failures of request handlers cost their request only.
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.on_failure = Some(policy);
        self
    }

    /// Listens, and creates the server's session, below the kernel.
    ///
    /// When it returns, clients can connect; they are served as soon as the kernel runs.
    ///
    /// # Errors
    /// The system's, if it cannot listen there; two handlers for one route, or an invalid pattern; an alias that is taken.
    pub async fn start(mut self, kernel: &Kernel) -> Result<HttpServer, Error> {
        for place in &mut self.places {
            if let Place::At(addr) = place
                && let Some(name) = host_name(addr)
            {
                *addr = first_address(&name).await?.into();
            }
        }
        self.start_by(&mut { kernel })
    }
}

/// The text of an address whose name must be looked up.
fn host_name(addr: &Address) -> Option<String> {
    let text = addr.to_string();
    let is_name = addr.as_socket_addr().is_none()
        && addr.as_path().is_none()
        && !text.starts_with("memory:")
        && !text.starts_with('[');
    is_name.then_some(text)
}

async fn first_address(name: &str) -> Result<std::net::SocketAddr, Error> {
    let found = tokio::net::lookup_host(name).await.map(|mut found| found.next());
    let what = format!("cannot listen on `{name}`");
    match found {
        Ok(Some(addr)) => Ok(addr),
        Ok(None) => Err(Error::invalid_setting(format!("{what}: the name has no address"))),
        Err(error) => Err(Error::from_io(what, error)),
    }
}

/// Inside a handler the address must be numeric, a path or in memory: a name cannot be looked up without waiting.
impl<H: 'static, S> Start for HttpServerBuilder<H, S> {
    type Started = HttpServer;

    #[track_caller]
    fn start_by(self, caller: &mut impl Caller) -> Result<HttpServer, Error> {
        if let Some(fault) = self.fault {
            return Err(Error::invalid_setting(fault));
        }
        let mut places = self.places.into_iter();
        let mut tcp = match places.next() {
            Some(Place::At(addr)) => TcpServer::builder(addr),
            Some(Place::On(listener)) => TcpServer::on(listener),
            None => return Err(Error::invalid_setting("the HTTP server has no address to listen on")),
        };
        for place in places {
            tcp = match place {
                Place::At(addr) => tcp.listen(addr),
                Place::On(listener) => tcp.listener(listener),
            };
        }
        let tcp = tcp
            .backlog(self.sockets.backlog)
            .reuse(self.sockets.reuse)
            .nodelay(self.sockets.nodelay)
            .concurrency(self.limits.max_connections);
        let shared = Shared::new(self.limits);
        let routes = Routes::new(self.table, shared.clone());
        let routes = match self.layers {
            Some(layers) => layers(routes),
            None => routes,
        };
        let http = Http::new(shared.clone(), routes, self.alias, self.tls);
        let failed = http.failed.clone();
        let states = states(self.states, self.handlers, self.started, self.stopped);
        let mut session: SessionBuilder<H, Http> =
            Session::builder_with(self.heap, http).inline_states(&states).args(tcp);
        if let Some(policy) = self.on_failure {
            session = session.on_failure(policy);
        }
        let session = caller.create(session)?;
        match failed.take() {
            Some(error) => Err(error),
            None => Ok(HttpServer { session, shared }),
        }
    }
}

impl<H, S> fmt::Debug for HttpServerBuilder<H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServerBuilder")
            .field("limits", &self.limits)
            .field("alias", &self.alias)
            .finish_non_exhaustive()
    }
}
