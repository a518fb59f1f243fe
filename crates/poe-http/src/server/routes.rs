//! Which endpoint a request is for, and the service that calls it.

use super::exchange::{Exchange, Params, decoded};
use super::reply::{Responder, Slot, Waiting, status_page};
use super::shared::{Client, Job, Shared};
use super::work::Work;
use crate::body::{Body, BodyError, ReceivedBody};
use bytes::Bytes;
use http::header::{ALLOW, CONNECTION};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tower::{Service, ServiceExt};

type BoxError = Box<dyn Error + Send + Sync>;

/// A tower service, with its types erased.
pub(super) type BoxedService = Rc<dyn Fn(Request<ReceivedBody>) -> Boxed>;

pub(super) type Boxed = Pin<Box<dyn Future<Output = Response<Body>>>>;

/// Erases a service. Its error, and an error of its body, are logged; the client gets 500.
pub(super) fn boxed<S, B>(service: S) -> BoxedService
where
    S: Service<Request<ReceivedBody>, Response = Response<B>> + Clone + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Rc::new(move |request| {
        let service = service.clone();
        Box::pin(async move {
            match service.oneshot(request).await {
                Ok(response) => response.map(Body::new),
                Err(error) => {
                    let error: BoxError = error.into();
                    tracing::error!(target: "poe::http", "a service has failed: {error}");
                    status_page(StatusCode::INTERNAL_SERVER_ERROR)
                }
            }
        })
    })
}

#[derive(Clone)]
pub(super) enum Endpoint {
    /// A handler of the session, which gets the request with its whole body.
    Whole(usize),
    /// A handler of the session, which gets the request when its head is there.
    Streaming(usize),
    #[cfg(feature = "websocket")]
    WebSocket(usize, Rc<super::websocket::WebSocketLimits>),
    /// A service; the length of the prefix that it does not see.
    Service(BoxedService, usize),
}

/// The endpoints of one path.
#[derive(Default)]
struct Methods {
    each: Vec<(Method, Endpoint)>,
    other: Option<Endpoint>,
}

impl Methods {
    fn find(&self, method: &Method) -> Option<&Endpoint> {
        let of = |method: &Method| {
            self.each
                .iter()
                .find(|(m, _)| m == method)
                .map(|(_, endpoint)| endpoint)
        };
        of(method)
            .or_else(|| (method == Method::HEAD).then(|| of(&Method::GET)).flatten())
            .or(self.other.as_ref())
    }

    fn not_allowed(&self) -> Response<Body> {
        let mut names: Vec<_> = self.each.iter().map(|(method, _)| method.as_str()).collect();
        if names.contains(&"GET") && !names.contains(&"HEAD") {
            names.push("HEAD");
        }
        let mut response = status_page(StatusCode::METHOD_NOT_ALLOWED);
        // Methods are tokens, which a header can have.
        if let Ok(names) = HeaderValue::from_str(&names.join(", ")) {
            response.headers_mut().insert(ALLOW, names);
        }
        response
    }
}

/// The table of routes.
#[derive(Default)]
pub(super) struct Table {
    paths: matchit::Router<usize>,
    patterns: Vec<String>,
    methods: Vec<Methods>,
    fallback: Option<Endpoint>,
}

impl Table {
    /// Adds a route; `None` is every method.
    pub(super) fn add(&mut self, method: Option<Method>, pattern: &str, endpoint: Endpoint) -> Result<(), String> {
        let at = match self.patterns.iter().position(|known| known == pattern) {
            Some(at) => at,
            None => {
                let at = self.methods.len();
                let added = self.paths.insert(pattern, at);
                added.map_err(|error| format!("the route `{pattern}` cannot be added: {error}"))?;
                self.patterns.push(pattern.to_owned());
                self.methods.push(Methods::default());
                at
            }
        };
        let methods = &mut self.methods[at];
        let taken = match &method {
            Some(method) => methods.each.iter().any(|(other, _)| other == method),
            None => methods.other.is_some(),
        };
        if taken {
            let method = method.as_ref().map_or("every method", Method::as_str);
            return Err(format!("the route `{pattern}` has a handler for {method} already"));
        }
        match method {
            Some(method) => methods.each.push((method, endpoint)),
            None => methods.other = Some(endpoint),
        }
        Ok(())
    }

    /// Adds a service for a path and everything below it.
    pub(super) fn mount(&mut self, prefix: &str, service: BoxedService) -> Result<(), String> {
        let prefix = prefix.trim_end_matches('/');
        if prefix.is_empty() {
            return self.set_fallback(Endpoint::Service(service, 0));
        }
        for pattern in [prefix.to_owned(), format!("{prefix}/"), format!("{prefix}/{{*rest}}")] {
            self.add(None, &pattern, Endpoint::Service(service.clone(), prefix.len()))?;
        }
        Ok(())
    }

    pub(super) fn set_fallback(&mut self, endpoint: Endpoint) -> Result<(), String> {
        match self.fallback.replace(endpoint) {
            None => Ok(()),
            Some(_) => Err("there is a fallback already".to_owned()),
        }
    }

    fn find(&self, method: &Method, path: &str) -> Result<(Endpoint, Params), Box<Response<Body>>> {
        if let Ok(found) = self.paths.at(path) {
            let methods = &self.methods[*found.value];
            if let Some(endpoint) = methods.find(method) {
                let params = found.params.iter().map(|(key, value)| (key.into(), decoded(value)));
                return Ok((endpoint.clone(), params.collect()));
            }
            return Err(Box::new(methods.not_allowed()));
        }
        match &self.fallback {
            Some(endpoint) => Ok((endpoint.clone(), Params::new())),
            None => Err(Box::new(status_page(StatusCode::NOT_FOUND))),
        }
    }
}

/// The routes of a server, as the service that [layers](super::HttpServerBuilder::layer) wrap.
#[derive(Clone)]
pub struct Routes(Kind);

#[derive(Clone)]
enum Kind {
    Plain(Rc<Dispatch>),
    Layered(BoxedService),
}

impl Routes {
    pub(super) fn new(table: Table, shared: Rc<Shared>) -> Self {
        Routes(Kind::Plain(Rc::new(Dispatch { table, shared })))
    }

    pub(super) fn layered(service: BoxedService) -> Self {
        Routes(Kind::Layered(service))
    }

    pub(super) fn route(&self, request: Request<ReceivedBody>) -> Reply {
        match &self.0 {
            Kind::Plain(dispatch) => dispatch.route(request),
            Kind::Layered(service) => Reply(ReplyKind::Boxed(service(request))),
        }
    }
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Routes")
    }
}

impl Service<Request<ReceivedBody>> for Routes {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReceivedBody>) -> Reply {
        self.route(request)
    }
}

/// The reply to a request, while it is waited for.
pub struct Reply(ReplyKind);

enum ReplyKind {
    /// `None` afterwards.
    Ready(Option<Response<Body>>),
    Waiting(Waiting),
    Boxed(Boxed),
}

impl Reply {
    fn ready(response: Response<Body>) -> Self {
        Reply(ReplyKind::Ready(Some(response)))
    }
}

impl Future for Reply {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            ReplyKind::Ready(response) => response
                .take()
                .map_or(Poll::Pending, |response| Poll::Ready(Ok(response))),
            ReplyKind::Waiting(waiting) => Pin::new(waiting).poll(cx).map(Ok),
            ReplyKind::Boxed(future) => future.as_mut().poll(cx).map(Ok),
        }
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reply")
    }
}

struct Dispatch {
    table: Table,
    shared: Rc<Shared>,
}

impl Dispatch {
    fn route(&self, request: Request<ReceivedBody>) -> Reply {
        let (endpoint, params) = match self.table.find(request.method(), request.uri().path()) {
            Ok(found) => found,
            Err(response) => return Reply::ready(*response),
        };
        let client = self.shared.current.borrow().clone();
        let Some(client) = client else {
            // A layer has moved the call out of the connection's poll.
            tracing::error!(target: "poe::http", "a layer calls the routes from elsewhere than the connection");
            return Reply::ready(status_page(StatusCode::INTERNAL_SERVER_ERROR));
        };
        match endpoint {
            Endpoint::Whole(handler) => self.whole(handler, request, params, client),
            Endpoint::Streaming(handler) => {
                let looks = looks(&request);
                let waiting = queue(&self.shared, handler, looks, |responder| {
                    Work::Streaming(Exchange::new(request, responder, params, client.peer.clone()))
                });
                Reply(ReplyKind::Waiting(waiting))
            }
            #[cfg(feature = "websocket")]
            Endpoint::WebSocket(handler, limits) => {
                let upgrade = super::websocket::accept(request, params, client, limits);
                let (response, upgrade) = match upgrade {
                    Ok(accepted) => accepted,
                    Err(refused) => return Reply::ready(*refused),
                };
                drop(queue(&self.shared, handler, false, |_| {
                    Work::Upgrade(Box::new(upgrade))
                }));
                Reply::ready(response)
            }
            Endpoint::Service(service, prefix) => {
                let mut request = request;
                request.extensions_mut().insert(Peer(client.peer.clone()));
                strip(&mut request, prefix);
                Reply(ReplyKind::Boxed(service(request)))
            }
        }
    }

    fn whole(&self, handler: usize, request: Request<ReceivedBody>, params: Params, client: Rc<Client>) -> Reply {
        use http_body::Body as _;
        let looks = looks(&request);
        let (parts, body) = request.into_parts();
        if body.is_end_stream() {
            let request = Request::from_parts(parts, Bytes::new());
            let waiting = queue(&self.shared, handler, looks, |responder| {
                Work::Whole(Exchange::new(request, responder, params, client.peer.clone()))
            });
            return Reply(ReplyKind::Waiting(waiting));
        }
        if body.is_too_large() {
            return Reply::ready(too_large());
        }
        let shared = self.shared.clone();
        Reply(ReplyKind::Boxed(Box::pin(async move {
            let body = match body.collect().await {
                Ok(body) => body,
                Err(error) => return not_received(&error),
            };
            let request = Request::from_parts(parts, body);
            let waiting = queue(&shared, handler, looks, |responder| {
                Work::Whole(Exchange::new(request, responder, params, client.peer.clone()))
            });
            waiting.await
        })))
    }
}

/// Whether the connection looks for the reply without being woken: it has one request at a time.
fn looks(request: &Request<ReceivedBody>) -> bool {
    request.version() <= Version::HTTP_11
}

/// Queues a request for the session's handler. The connection delivers it right after its poll.
fn queue(shared: &Shared, handler: usize, looks: bool, work: impl FnOnce(Responder) -> Work) -> Waiting {
    let slot = Slot::new(shared.flags.clone());
    let work = work(Responder::new(slot.clone()));
    shared.jobs.borrow_mut().push_back(Job {
        handler,
        work,
        slot: slot.clone(),
        looks,
    });
    Waiting(slot)
}

/// The rest of the body is not read, so nothing can come behind it.
fn last(mut response: Response<Body>) -> Response<Body> {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn too_large() -> Response<Body> {
    last(status_page(StatusCode::PAYLOAD_TOO_LARGE))
}

fn not_received(error: &BodyError) -> Response<Body> {
    tracing::debug!(target: "poe::http", "{error}");
    last(status_page(match error {
        error if error.is_too_large() => StatusCode::PAYLOAD_TOO_LARGE,
        error if error.is_timeout() => StatusCode::REQUEST_TIMEOUT,
        _ => StatusCode::BAD_REQUEST,
    }))
}

/// The name of the client, in the extensions of a request that goes to a tower service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer(pub poe::wheel::SocketName);

/// Removes the path that a service is mounted at.
fn strip(request: &mut Request<ReceivedBody>, prefix: usize) {
    if prefix == 0 {
        return;
    }
    let mut parts = request.uri().clone().into_parts();
    let rest = parts
        .path_and_query
        .as_ref()
        .map_or("", |whole| &whole.as_str()[prefix..]);
    let rest = match rest.starts_with('/') {
        true => rest.to_owned(),
        false => format!("/{rest}"),
    };
    parts.path_and_query = rest.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}
