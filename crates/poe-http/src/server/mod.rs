//! The server: a session, the wheels of its connections, and the routes between them.

mod builder;
mod connection;
mod exchange;
mod limits;
mod reply;
mod routes;
mod session;
mod shared;
#[cfg(feature = "websocket")]
mod websocket;
mod wire;
mod work;

pub use builder::HttpServerBuilder;
pub use exchange::Exchange;
pub use limits::HttpLimits;
pub use reply::{NotReplied, Responder};
pub use routes::{Peer, Reply, Routes};
pub use session::Http;
#[cfg(feature = "websocket")]
pub use websocket::{Message, NotPut, WebSocket, WebSocketEvent, WebSocketLimits};
pub use work::Receiver;

use poe::SessionId;
use poe::wheel::{Address, ListenSocket, SocketName};
use shared::{Command, Shared};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

/// A handle to a server for HTTP/1.1 and HTTP/2 (`POE::Component::Server::HTTP`); dropping it changes nothing.
///
/// ```
/// use http::StatusCode;
/// use poe::{Event, Kernel};
/// use poe_http::{Exchange, HttpServer};
///
/// const WORKED: Event<Exchange> = Event::new("worked");
///
/// # async fn start() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// let server = HttpServer::builder("127.0.0.1:8080")
///     .heap(0_u64)                                                  // the number of orders
///     .get("/", |_, exchange| exchange.text("hello\n"))
///     .post("/orders/{customer}", |cx, exchange| {
///         *cx.heap += 1;
///         match exchange.param("customer") {
///             Some("nobody") => exchange.status(StatusCode::FORBIDDEN),
///             _ => {
///                 cx.delay_set(WORKED, std::time::Duration::from_millis(10), exchange); // the reply comes later
///             }
///         }
///     })
///     .state(WORKED, |cx, exchange| exchange.text(format!("order {}\n", *cx.heap)))
///     .start(&kernel)
///     .await?;
/// println!("listening on {}", server.local_name());
/// kernel.serve().await
/// # }
/// ```
#[doc(alias = "POE::Component::Server::HTTP")]
#[doc(alias = "POE::Component::Server::SimpleHTTP")]
#[derive(Clone)]
pub struct HttpServer {
    session: SessionId,
    shared: Rc<Shared>,
}

impl HttpServer {
    /// Starts building a server on an address; port 0 is any free one, and `memory:name` is for tests under virtual time.
    #[doc(alias = "new")]
    #[doc(alias = "PORT")]
    pub fn builder(addr: impl Into<Address>) -> HttpServerBuilder<()> {
        HttpServerBuilder::new().listen(addr)
    }

    /// Starts building a server on a socket that listens already.
    pub fn on(listener: impl Into<ListenSocket>) -> HttpServerBuilder<()> {
        HttpServerBuilder::new().listener(listener)
    }

    /// Returns the ID of the server's session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }

    fn listener(&self) -> &poe::component::TcpServer {
        // A handle exists only when the listener was started.
        self.shared.listener.get().unwrap_or_else(|| unreachable!())
    }

    /// Returns the address it listens on, with the port that the system chose; the first if there are several.
    #[must_use]
    pub fn local_name(&self) -> &SocketName {
        self.listener().local_name()
    }

    /// Returns the first IP address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.listener().local_addr()
    }

    /// Returns the number of connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.get()
    }

    /// Returns the number of requests that the session's handlers have got so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.get()
    }

    /// Stops listening, and lets each connection end with the responses that are under way.
    ///
    /// After [`drain_timeout`](HttpLimits::drain_timeout) the rest is closed. The event [`SHUTDOWN`](poe::component::SHUTDOWN) and
    /// [`Kernel::shutdown`](poe::Kernel::shutdown) do the same.
    #[doc(alias = "SHUTDOWN")]
    #[doc(alias = "STOPLISTEN")]
    #[track_caller]
    pub fn shutdown(&self) {
        self.tell(Command::Drain);
    }

    /// Stops listening, and ends each connection at once.
    #[track_caller]
    pub fn abort(&self) {
        self.tell(Command::Abort);
    }

    #[track_caller]
    fn tell(&self, command: Command) {
        self.listener().shutdown();
        if let Some(tell) = self.shared.tell.get() {
            // The session may have stopped before.
            let _ = tell.post(command);
        }
    }
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServer")
            .field("local_name", self.local_name())
            .field("session", &self.session)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}
