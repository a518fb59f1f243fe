//! The client: a session that has the connections, and requests that are tasks of the sessions that make them.

mod builder;
mod connect;
mod error;
mod redirect;
mod request;

pub use builder::{HttpClientBuilder, HttpPool};
pub use error::HttpError;
pub use request::{HttpRequest, Progress};

use crate::body::{Body, ReceivedBody};
use builder::Settings;
use error::ErrorKind;
use http::{Request, Response};
use poe::SessionId;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Sends a request, with everything below: layers, pool, proxies, TLS.
type Transport = Rc<dyn Fn(Request<Body>) -> Sending>;
type Sending = Pin<Box<dyn Future<Output = Result<Response<ReceivedBody>, HttpError>>>>;

/// A client for HTTP/1.1 and HTTP/2 with a pool of connections (`POE::Component::Client::HTTP`).
///
/// Clones are the same client. The session that has its connections ends when the last handle is dropped and the last request is done, so a client in
/// the heap of your session lives as long as that; or after [`shutdown`](Self::shutdown).
///
/// ```no_run
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use poe::{Event, Kernel, Session, event::START};
/// use poe_http::{HttpClient, HttpError};
///
/// const PAGE: Event<(&'static str, Result<Response<Bytes>, HttpError>)> = Event::new("page");
///
/// # async fn run() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// let http = HttpClient::builder().start(&kernel)?;
/// Session::builder(http)
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         for url in ["http://127.0.0.1/a", "http://127.0.0.1/b"] {
///             cx.heap.request(Request::get(url).body(())?).send(cx, url, PAGE);
///         }
///         Ok(())
///     })
///     .on(PAGE, |_, (url, response)| match response {
///         Ok(response) => println!("{url}: {}, {} bytes", response.status(), response.body().len()),
///         Err(error) => println!("{url}: {error}"),
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }
/// ```
#[doc(alias = "POE::Component::Client::HTTP")]
#[doc(alias = "POE::Component::Client::Keepalive")]
#[derive(Clone)]
pub struct HttpClient {
    session: SessionId,
    shared: Rc<Shared>,
}

struct Shared {
    settings: Settings,
    /// Until the client is shut down.
    transport: RefCell<Option<Transport>>,
    permits: Arc<Semaphore>,
    hosts: RefCell<HashMap<String, Arc<Semaphore>>>,
    pending: Cell<usize>,
}

impl HttpClient {
    /// Starts building a client.
    #[doc(alias = "spawn")]
    pub fn builder() -> HttpClientBuilder {
        HttpClientBuilder::new()
    }

    /// Prepares a request. Its URL must be absolute; the header `Host` is added.
    pub fn request<B: Into<Body>>(&self, request: Request<B>) -> HttpRequest<'_> {
        HttpRequest::new(self, request.map(Into::into))
    }

    /// Returns the ID of the session that has the connections.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }

    /// Returns the number of requests that have no response yet.
    #[doc(alias = "pending_requests_count")]
    #[must_use]
    pub fn pending(&self) -> usize {
        self.shared.pending.get()
    }

    /// Takes no more requests, and closes the connections that are idle. Requests that are under way go on.
    ///
    /// The signal [`KERNEL_SHUTDOWN`](poe::KERNEL_SHUTDOWN) does the same.
    pub fn shutdown(&self) {
        self.shared.close();
    }
}

impl Shared {
    fn close(&self) {
        let transport = self.transport.take();
        drop(transport);
        self.permits.close();
    }

    /// Waits until one more request may go to a host.
    async fn permit(&self, host: String) -> Result<[OwnedSemaphorePermit; 2], HttpError> {
        let closed = |_| HttpError::from(ErrorKind::Closed);
        let of_host = {
            let mut hosts = self.hosts.borrow_mut();
            if hosts.len() > 1000 {
                // Hosts of which all permits are free have no requests.
                hosts.retain(|_, permits| permits.available_permits() < self.settings.per_host);
            }
            let permits = hosts
                .entry(host)
                .or_insert_with(|| Arc::new(Semaphore::new(self.settings.per_host)));
            permits.clone()
        };
        let of_host = of_host.acquire_owned().await.map_err(closed)?;
        let of_all = self.permits.clone().acquire_owned().await.map_err(closed)?;
        Ok([of_host, of_all])
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("session", &self.session)
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}
