//! A server (POE::Component::Server::TCP): a session that listens, and below it one session per client.
//!
//! | role | meaning |
//! |---|---|
//! | listener | the session with the listening wheels; [`Listener`] is kept beside its heap |
//! | acceptor | what the listener does with a connection: creates a client's session, or runs the user's
//! [`acceptor`](TcpServerBuilder::acceptor) |
//! | client | the session of one connection; [`Client`] is kept beside the user's heap |

mod builder;
mod launch;
mod listener;

pub use builder::TcpServerBuilder;
pub use launch::Client;
pub use listener::Listener;

use super::connection::SHUTDOWN;
use crate::debug::debug_fields;
use crate::event::{Event, Keyed};
use crate::filter::Line;
use crate::id::SessionId;
use crate::kernel::Core;
use crate::wheel::{Address, ListenSocket, SocketName};
use listener::Shared;
use std::net::SocketAddr;
use std::panic::Location;
use std::rc::{Rc, Weak};

/// Changes the limit of clients; post it to the listener. 0 pauses the server.
///
/// ```
/// use poe::{Kernel, component::{SET_CONCURRENCY, TcpClient, TcpServer}};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let server = TcpServer::builder("127.0.0.1:0")
///     .concurrency(0)                                         // clients wait
///     .client_connected(|cx| cx.client().shutdown())
///     .start(&kernel)
///     .await?;
/// kernel.post(server.session_id(), SET_CONCURRENCY, 1000)?;
/// TcpClient::builder(server.local_name())
///     .disconnected(move |_| server.shutdown())
///     .start(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
pub const SET_CONCURRENCY: Event<usize> = Event::new("set_concurrency");

/// Reports to a listener with a custom [`acceptor`](TcpServerBuilder::acceptor) that a client has left; see there for
/// an example.
///
/// ```
/// # use poe::component::{DISCONNECTED, TcpServer};
/// TcpServer::builder("127.0.0.1:0").concurrency(1).acceptor(|cx, connection| {
///     println!("{} is not served", connection.peer);
///     cx.yield_to(DISCONNECTED, ());                          // which makes room for another one
/// });
/// ```
pub const DISCONNECTED: Event<()> = Event::new("disconnected");

/// Ends the clients, too: at once (true), or after their output is written.
const END_ALL: Event<bool> = Event::new("tcp_server_end_all");

/// A handle to a server for TCP and UNIX sockets (`POE::Component::Server::TCP`); dropping it changes nothing.
///
#[doc = include_str!("../../../docs/pictures/tree.inline.svg")]
///
/// ```
/// use poe::{Kernel, component::{TcpClient, TcpServer}, filter::Line};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let server = TcpServer::builder("127.0.0.1:0")
///     .filter(|| Line::new())
///     .client_connected(|cx| cx.client().put("hello"))
///     .client_input(|cx, line| cx.client().put(line.to_uppercase()))
///     .start(&kernel)
///     .await?;
/// TcpClient::builder(server.local_name())
///     .server_input(move |cx, line| match &*line {
///         "hello" => cx.server().put("how are you?"),
///         reply => {
///             assert_eq!(reply, "HOW ARE YOU?");
///             cx.server().shutdown();
///             server.shutdown();
///         }
///     })
///     .start(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
///
/// [`shutdown`](Self::shutdown) leaves the clients alone. To end them too, at once or after their output is written:
///
/// ```
/// use poe::{Kernel, component::{TcpClient, TcpServer}};
/// # tokio_test::block_on(async {
/// for now in [true, false] {
///     let kernel = Kernel::new();
///     let server = TcpServer::builder("127.0.0.1:0")
///         .client_connected(|cx| cx.client().put("wait"))
///         .start(&kernel)
///         .await?;
///     let handle = server.clone();
///     TcpClient::builder(server.local_name())
///         .server_input(move |_, _| {
///             assert_eq!(handle.connections(), 1);
///             if now { handle.abort_clients() } else { handle.shutdown_clients() }
///         })
///         .start(&kernel)?;
///     kernel.run().await?;
///     assert_eq!(server.connections(), 0);
///     assert!(!kernel.is_alive(server.session_id()));
/// }
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[doc(alias = "POE::Component::Server::TCP")]
#[derive(Clone)]
pub struct TcpServer {
    core: Weak<Core>,
    session: SessionId,
    shared: Rc<Shared>,
}

impl TcpServer {
    /// Starts building a server on an address; port 0 is any free one. [`listen`](TcpServerBuilder::listen) adds
    /// others.
    #[doc(alias = "new")]
    #[doc(alias = "Address")]
    #[doc(alias = "Hostname")]
    #[doc(alias = "Port")]
    #[doc(alias = "Domain")]
    pub fn builder(addr: impl Into<Address>) -> TcpServerBuilder<(), Line> {
        TcpServerBuilder::new().listen(addr)
    }

    /// Starts building a server on a socket that listens already.
    ///
    /// ```
    /// # use poe::{Kernel, component::TcpServer};
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    /// let addr = socket.local_addr().unwrap();
    /// let server = TcpServer::on(socket).client_input(|cx, line| cx.client().put(line)).start(&kernel).await?;
    /// assert_eq!(server.local_addr(), Some(addr));
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    pub fn on(listener: impl Into<ListenSocket>) -> TcpServerBuilder<(), Line> {
        TcpServerBuilder::new().listener(listener)
    }

    /// Returns the address it listens on, with the port that the system chose; the first if there are several. It
    /// prints as an address, and a client can connect to it.
    ///
    /// ```
    /// # use poe::{Kernel, component::TcpServer};
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// let server = TcpServer::builder("127.0.0.1:0").start(&kernel).await?;
    /// assert!(server.local_name().to_string().starts_with("127.0.0.1:"));
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "getsockname")]
    #[must_use]
    pub fn local_name(&self) -> &SocketName {
        self.shared.local_name()
    }

    /// Returns the IP address that it listens on, the first if there are several; `None` if there are UNIX sockets
    /// only.
    ///
    /// ```
    /// # use poe::{Kernel, component::TcpServer};
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// let server = TcpServer::builder("127.0.0.1:0").start(&kernel).await?;
    /// let addr = server.local_addr().expect("it listens by IP");
    /// assert!(addr.ip().is_loopback() && addr.port() != 0);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "getsockname")]
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.shared.local_addr()
    }

    /// Returns all addresses that it listens on, in the order in which they were given.
    ///
    /// ```
    /// # use poe::{Kernel, component::TcpServer};
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// let server = TcpServer::builder("127.0.0.1:0").listen("127.0.0.1:0").start(&kernel).await?;
    /// let names = server.local_names();
    /// assert_eq!(names.len(), 2);
    /// assert_ne!(names[0], names[1]); // each has a separate port
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "getsockname")]
    #[must_use]
    pub fn local_names(&self) -> &[SocketName] {
        &self.shared.local
    }

    /// Returns the ID of the listener's session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }

    /// Returns the number of connected clients.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.get()
    }

    /// Stops listening and removes the alias; clients stay connected. The port is free when this returns.
    ///
    /// Clients that are connected and wait in the system's backlog are served, as far as the server's limits allow; the others
    /// see the end of their connections. This does not hold for a [`listener`](TcpServerBuilder::listener) that you have
    /// passed in, because another process may accept from it.
    #[track_caller]
    pub fn shutdown(&self) {
        self.shared.close();
        self.post(&SHUTDOWN, ());
    }

    /// Stops listening, and ends each connection after its output is written; input stops at once.
    #[track_caller]
    pub fn shutdown_clients(&self) {
        self.shared.close();
        self.post(&END_ALL, false);
    }

    /// Stops listening, and ends each connection at once; output that is not written is lost.
    #[track_caller]
    pub fn abort_clients(&self) {
        self.shared.close();
        self.post(&END_ALL, true);
    }

    #[track_caller]
    fn post<A: 'static>(&self, event: &Event<A>, arg: A) {
        if let Some(core) = self.core.upgrade() {
            // The session may have stopped before.
            let _ = core.post_from(None, self.session.into(), event.key(), arg, Location::caller());
        }
    }
}

debug_fields!([] TcpServer, "TcpServer", |this| {
    local_names: this.local_names(),
    session: this.session,
    connections: this.connections(),
});
