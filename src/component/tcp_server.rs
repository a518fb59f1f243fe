//! POE::Component::Server::TCP: a session that listens, and one session per client, made by it and below it.
//!
//! | role | what it is |
//! |---|---|
//! | listener | the session with the listening wheel; its heap is [`Listener`] |
//! | acceptor | what the listener does with a connection: makes a client's session, or the user's own [`acceptor`](TcpServerBuilder::acceptor) |
//! | client | the session of one connection; its heap is [`ClientHeap`], which derefs to the user's |

use super::connection::{Callback, Callbacks, Link, Plan, SHUTDOWN, Settings, Wire, Wired, callback, plain};
use crate::error::{Error, ErrorKind, Handled};
use crate::event::{Calls, Event, Posts, START, STOP};
use crate::filter::{Filter, Line};
use crate::id::SessionId;
use crate::kernel::{Caller, Core, Kernel, Signal};
use crate::name::{HeldName, Key};
use crate::session::{Context, IntoReply, Session, States};
use crate::wheel::{Address, Connection, IoError, SocketError, SocketFactory, listen_on};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::net::TcpListener;

/// Changes how many clients a server has at most; to the listener. At 0 it pauses.
pub const SET_CONCURRENCY: Event<usize> = Event::new("set_concurrency");

/// Tells a listener with an [`acceptor`](TcpServerBuilder::acceptor) of its own that a client has left.
pub const DISCONNECTED: Event<()> = Event::new("disconnected");

const ACCEPTED: Event<Connection> = Event::new("tcp_server_got_connection");
const FAILED: Event<SocketError> = Event::new("tcp_server_got_failure");
const TERMINATED: Event<Signal> = Event::new("tcp_server_got_term");

/// A TCP server (`POE::Component::Server::TCP`). This value only refers to it: dropping it changes nothing.
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
/// TcpClient::builder(server.local_addr())
///     .server_input(move |cx, line| match &*line {
///         "hello" => cx.server().put("how are you?"),
///         answer => {
///             assert_eq!(answer, "HOW ARE YOU?");
///             cx.server().shutdown();
///             server.shutdown();
///         }
///     })
///     .start(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[doc(alias = "POE::Component::Server::TCP")]
#[derive(Clone)]
pub struct TcpServer {
    core: Weak<Core>,
    session: SessionId,
    shared: Rc<Shared>,
}

impl TcpServer {
    /// Settings for a server on an address; port 0 is any free one.
    #[doc(alias = "new")]
    pub fn builder(addr: impl Into<Address>) -> TcpServerBuilder<(), Line> {
        TcpServerBuilder {
            addr: addr.into(),
            reuse: true,
            backlog: 4096,
            concurrency: usize::MAX,
            settings: Settings::default(),
            filter: Rc::new(Line::new),
            heap: Rc::new(|_| ()),
            callbacks: Callbacks::new(),
            states: States::new(),
            stateful: false,
            misordered: false,
            acceptor: None,
            started: None,
            stopped: None,
            failed: None,
        }
    }

    /// The address it listens on, with the port that the system chose.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local
    }

    /// The listener's session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }

    /// How many clients are connected.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.get()
    }

    /// Listens no more and gives the alias up; clients live on. The port is free when this returns.
    #[track_caller]
    pub fn shutdown(&self) {
        self.shared.close();
        if let Some(core) = self.core.upgrade() {
            // It may have ended before.
            let _ = core.post_from(None, self.session.into(), key(&SHUTDOWN), (), Location::caller());
        }
    }
}

impl fmt::Debug for TcpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpServer")
            .field("local_addr", &self.local_addr())
            .field("session", &self.session)
            .field("connections", &self.connections())
            .finish()
    }
}

/// What the listener, its clients and the `TcpServer` values share.
struct Shared {
    local: SocketAddr,
    /// Goes when the server is shut down, or its session ends.
    factory: RefCell<Option<SocketFactory>>,
    /// Clients that live: one up per accepted connection, one down when its session is gone.
    connections: Cell<usize>,
    limit: Cell<usize>,
}

impl Shared {
    fn close(&self) {
        let factory = self.factory.borrow_mut().take();
        drop(factory);
    }

    /// Pauses or resumes accepting, as the number of clients wants it.
    fn balance(&self) {
        if let Some(factory) = &*self.factory.borrow() {
            if self.connections.get() >= self.limit.get() {
                factory.pause_accept();
            } else {
                factory.resume_accept();
            }
        }
    }

    fn joined(&self) {
        self.connections.set(self.connections.get() + 1);
        self.balance();
    }

    fn left(&self) {
        self.connections.set(self.connections.get().saturating_sub(1));
        self.balance();
    }
}

/// A client's place in the count.
struct Place(Rc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.left();
    }
}

/// The heap of a server's listener: what [`acceptor`](TcpServerBuilder::acceptor), [`started`](TcpServerBuilder::started)
/// and the like are given.
///
/// ```
/// # use poe::component::TcpServer;
/// TcpServer::builder("127.0.0.1:0").started(|cx| println!("listening on {}", cx.heap.local_addr()));
/// ```
pub struct Listener {
    shared: Rc<Shared>,
    alias: Option<String>,
}

impl Listener {
    /// The address it listens on.
    #[doc(alias = "getsockname")]
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local
    }

    /// How many clients are connected.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.get()
    }

    /// Whether it still listens.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.shared.factory.borrow().is_some()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("local_addr", &self.local_addr())
            .field("connections", &self.connections())
            .field("listening", &self.is_listening())
            .finish_non_exhaustive()
    }
}

/// The heap of a client's session; derefs to the heap that [`client_heap`](TcpServerBuilder::client_heap) has made.
///
/// ```
/// use poe::{Context, component::ClientHeap, filter::Line};
/// fn greet(cx: &mut Context<'_, ClientHeap<u32, Line>>) {
///     **cx.heap += 1; // the user's heap, a number here
///     cx.client().put(format!("hello for the {}. time", **cx.heap));
/// }
/// ```
pub struct ClientHeap<H, F: Filter> {
    heap: H,
    wire: Wire<F>,
    _place: Place,
}

impl<H, F: Filter> Deref for ClientHeap<H, F> {
    type Target = H;
    fn deref(&self) -> &H {
        &self.heap
    }
}

impl<H, F: Filter> DerefMut for ClientHeap<H, F> {
    fn deref_mut(&mut self) -> &mut H {
        &mut self.heap
    }
}

impl<H: fmt::Debug, F: Filter> fmt::Debug for ClientHeap<H, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.heap.fmt(f)
    }
}

impl<H: 'static, F: Filter> Wired for ClientHeap<H, F> {
    type Filter = F;
    const CLOSES_FIRST: bool = false;
    fn wire(&self) -> &Wire<F> {
        &self.wire
    }
    fn wire_mut(&mut self) -> &mut Wire<F> {
        &mut self.wire
    }
}

impl<H: 'static, F: Filter> Context<'_, ClientHeap<H, F>> {
    /// The connection of a [`TcpServer`]'s client.
    #[must_use]
    pub fn client(&self) -> Link<'_, F> {
        Link::new(&self.heap.wire, self.kernel)
    }
}

/// Settings of a [`TcpServer`]. Name [`filter`](Self::filter) and [`client_heap`](Self::client_heap) first: they say what
/// the handlers are given.
///
/// | setting | default |
/// |---|---|
/// | [`filter`](Self::filter) | [`Line::new`] |
/// | [`client_heap`](Self::client_heap) | `()` |
/// | [`client_input`](Self::client_input) or [`acceptor`](Self::acceptor) | one of them is required |
/// | [`client_error`](Self::client_error) | logs, but for the end of the input and a reset |
/// | other callbacks | nothing |
/// | [`error`](Self::error) | logs, and closes the listener |
/// | [`concurrency`](Self::concurrency) | unlimited |
/// | [`backlog`](Self::backlog), [`reuse`](Self::reuse), [`nodelay`](Self::nodelay) | 4096, true, true |
/// | [`shutdown_on_error`](Self::shutdown_on_error) | true |
/// | [`linger`](Self::linger) | 1 s |
/// | [`watermarks`](Self::watermarks), [`alias`](Self::alias) | none |
///
/// ```
/// use poe::{component::TcpServer, filter::Line};
/// let settings = TcpServer::builder("127.0.0.1:0")
///     .filter(|| Line::bytes().max_length(1024))
///     .client_heap(|peer| format!("client at {peer}"))
///     .concurrency(100)
///     .client_input(|cx, line| cx.client().put(line))
///     .client_disconnected(|cx| println!("{} left", **cx.heap));
/// ```
#[must_use = "a server listens only after `start`"]
pub struct TcpServerBuilder<H: 'static, F: Filter> {
    addr: Address,
    reuse: bool,
    backlog: u32,
    concurrency: usize,
    settings: Settings,
    filter: Rc<dyn Fn() -> F>,
    heap: Rc<dyn Fn(SocketAddr) -> H>,
    callbacks: Callbacks<ClientHeap<H, F>>,
    states: States<ClientHeap<H, F>>,
    /// A state was added.
    stateful: bool,
    /// The filter or the heap was changed behind handlers for the old one.
    misordered: bool,
    acceptor: Option<Callback<Listener, Connection>>,
    started: Option<Callback<Listener, ()>>,
    stopped: Option<Callback<Listener, ()>>,
    failed: Option<Callback<Listener, SocketError>>,
}

impl<H: 'static, F: Filter> TcpServerBuilder<H, F> {
    /// How each client's octets become records and back: makes a filter per connection.
    #[doc(alias = "ClientFilter")]
    pub fn filter<G: Filter>(self, filter: impl Fn() -> G + 'static) -> TcpServerBuilder<H, G> {
        let heap = self.heap.clone();
        self.retype(Rc::new(filter), heap)
    }

    /// Makes a client's heap of its address.
    #[doc(alias = "HEAP")]
    pub fn client_heap<I: 'static>(self, heap: impl Fn(SocketAddr) -> I + 'static) -> TcpServerBuilder<I, F> {
        let filter = self.filter.clone();
        self.retype(filter, Rc::new(heap))
    }

    fn retype<I: 'static, G: Filter>(
        self,
        filter: Rc<dyn Fn() -> G>,
        heap: Rc<dyn Fn(SocketAddr) -> I>,
    ) -> TcpServerBuilder<I, G> {
        let misordered = self.misordered || self.stateful || self.callbacks.is_any();
        TcpServerBuilder {
            addr: self.addr,
            reuse: self.reuse,
            backlog: self.backlog,
            concurrency: self.concurrency,
            settings: self.settings,
            filter,
            heap,
            callbacks: Callbacks::new(),
            states: States::new(),
            stateful: false,
            misordered,
            acceptor: self.acceptor,
            started: self.started,
            stopped: self.stopped,
            failed: self.failed,
        }
    }

    /// A client has connected. Runs inside its session's `_start`.
    #[doc(alias = "ClientConnected")]
    pub fn client_connected<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, ClientHeap<H, F>>) -> R + 'static,
    ) -> Self {
        self.callbacks.connected = Some(plain(f));
        self
    }

    /// A client has sent a record. Not called any more once its connection is to end.
    #[doc(alias = "ClientInput")]
    pub fn client_input<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, ClientHeap<H, F>>, F::Input) -> R + 'static,
    ) -> Self {
        self.callbacks.input = Some(callback(f));
        self
    }

    /// Everything that was put for a client has been written.
    #[doc(alias = "ClientFlushed")]
    pub fn client_flushed<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, ClientHeap<H, F>>) -> R + 'static,
    ) -> Self {
        self.callbacks.flushed = Some(plain(f));
        self
    }

    /// A client's connection has failed or ended, or it has sent what is no record. Unless
    /// [`shutdown_on_error`](Self::shutdown_on_error) is off the connection ends then, but for a single bad record after
    /// which the filter can go on (not an over-long one: that ends it, too).
    #[doc(alias = "ClientError")]
    pub fn client_error<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, ClientHeap<H, F>>, IoError) -> R + 'static,
    ) -> Self {
        self.callbacks.error = Some(callback(f));
        self
    }

    /// A client has gone: once for each that connected, also when its session is stopped from outside.
    #[doc(alias = "ClientDisconnected")]
    pub fn client_disconnected<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, ClientHeap<H, F>>) -> R + 'static,
    ) -> Self {
        self.callbacks.disconnected = Some(plain(f));
        self
    }

    /// What waits to be written to a client has reached the high mark.
    #[doc(alias = "ClientHigh")]
    pub fn client_high<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, ClientHeap<H, F>>) -> R + 'static) -> Self {
        self.callbacks.high = Some(plain(f));
        self
    }

    /// … and has fallen to the low mark.
    #[doc(alias = "ClientLow")]
    pub fn client_low<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, ClientHeap<H, F>>) -> R + 'static) -> Self {
        self.callbacks.low = Some(plain(f));
        self
    }

    /// Adds a handler of one's own to the clients' sessions.
    #[doc(alias = "InlineStates")]
    pub fn state<A: 'static, R: IntoReply>(
        mut self,
        event: impl Calls<A, R::Value>,
        f: impl Fn(&mut Context<'_, ClientHeap<H, F>>, A) -> R + 'static,
    ) -> Self {
        self.states = self.states.on(event, f);
        self.stateful = true;
        self
    }

    /// Adds a table of handlers to the clients' sessions.
    #[doc(alias = "InlineStates")]
    pub fn inline_states(mut self, states: &States<ClientHeap<H, F>>) -> Self {
        self.states = self.states.with(states);
        self.stateful = true;
        self
    }

    /// Takes connections oneself, in the listener's session, instead of a session for each. Goes with none of the
    /// `client_` callbacks. Tell the listener by [`DISCONNECTED`] of each that has left, if there is a
    /// [limit](Self::concurrency).
    #[doc(alias = "Acceptor")]
    pub fn acceptor<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, Listener>, Connection) -> R + 'static) -> Self {
        self.acceptor = Some(callback(f));
        self
    }

    /// The listener has started. Runs inside its `_start`.
    #[doc(alias = "Started")]
    pub fn started<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, Listener>) -> R + 'static) -> Self {
        self.started = Some(plain(f));
        self
    }

    /// The listener ends. Runs inside its `_stop`.
    #[doc(alias = "Stopped")]
    pub fn stopped<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, Listener>) -> R + 'static) -> Self {
        self.stopped = Some(plain(f));
        self
    }

    /// Accepting has failed; it is tried again by itself. Without this, a failure is logged and closes the listener.
    #[doc(alias = "Error")]
    pub fn error<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, Listener>, SocketError) -> R + 'static) -> Self {
        self.failed = Some(callback(f));
        self
    }

    /// The listener's alias.
    #[doc(alias = "Alias")]
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.settings.alias = Some(alias.into());
        self
    }

    /// How many clients there may be at a time; others wait in the system's backlog. With 0 the server starts paused,
    /// until [`SET_CONCURRENCY`] says otherwise.
    #[doc(alias = "Concurrency")]
    pub fn concurrency(mut self, clients: usize) -> Self {
        self.concurrency = clients;
        self
    }

    /// How many clients may wait to be accepted, at most what the system allows.
    pub fn backlog(mut self, clients: u32) -> Self {
        self.backlog = clients;
        self
    }

    /// Whether an address may be bound that an old connection still has (`SO_REUSEADDR`).
    pub fn reuse(mut self, reuse: bool) -> Self {
        self.reuse = reuse;
        self
    }

    /// Whether small writes leave at once (`TCP_NODELAY`).
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.settings.nodelay = nodelay;
        self
    }

    /// Whether a connection ends after an error.
    #[doc(alias = "ClientShutdownOnError")]
    pub fn shutdown_on_error(mut self, shutdown: bool) -> Self {
        self.settings.shutdown_on_error = shutdown;
        self
    }

    /// How long a client that is still sending is heard out when we close, so that the system does not reset the
    /// connection and the client loses what we wrote; see [`ReadWrite::close`](crate::wheel::ReadWrite::close).
    pub fn linger(mut self, limit: Duration) -> Self {
        self.settings.linger = limit;
        self
    }

    /// Watches how much waits to be written, in octets. Goes with [`client_high`](Self::client_high) and
    /// [`client_low`](Self::client_low): all three or none.
    #[doc(alias = "HighMark")]
    #[doc(alias = "LowMark")]
    pub fn watermarks(mut self, high: usize, low: usize) -> Self {
        self.settings.marks = Some((high, low));
        self
    }

    /// Binds, listens, and makes the listener's session, below the kernel. When it returns, clients can connect; they
    /// are served as soon as the kernel runs.
    ///
    /// On a shutdown of the kernel it handles `TERM`: the listener closes and each connection ends in good order.
    ///
    /// # Errors
    /// The system's, if it cannot listen there ([`Error::io`]); settings that make no sense; an alias that is taken; a
    /// handler is running (use [`start_in`](Self::start_in)).
    #[track_caller]
    pub fn start(self, kernel: &Kernel) -> impl Future<Output = Result<TcpServer, Error>> {
        let place = Location::caller();
        async move {
            let found = self.addr.resolve().await.map_err(|e| io_error("getaddrinfo", e))?;
            let mut kernel = kernel;
            let core = kernel.core().weak();
            self.launch(&found, &mut kernel, core, true, place)
        }
    }

    /// The same inside a handler, with the listener's session below that handler's. The address must be a number: a name
    /// cannot be looked up without waiting.
    ///
    /// # Errors
    /// As [`start`](Self::start); a name for an address.
    #[track_caller]
    pub fn start_in<P: 'static>(self, cx: &mut Context<'_, P>) -> Result<TcpServer, Error> {
        let Some(addr) = self.addr.as_socket_addr() else {
            let what = format!(
                "`start_in` needs an address, not the name `{}`: look it up before",
                self.addr
            );
            return Err(ErrorKind::Invalid(what).into());
        };
        let core = cx.kernel.core.weak();
        self.launch(&[addr], cx, core, false, Location::caller())
    }

    fn launch(
        self,
        addrs: &[SocketAddr],
        caller: &mut impl Caller,
        core: Weak<Core>,
        top: bool,
        place: &'static Location<'static>,
    ) -> Result<TcpServer, Error> {
        let invalid = |what: &str| Err(ErrorKind::Invalid(what.to_owned()).into());
        if self.misordered {
            return invalid("`filter` and `client_heap` say what the handlers are given: name them before any handler");
        }
        match (
            &self.acceptor,
            self.callbacks.is_any() || self.stateful,
            &self.callbacks.input,
        ) {
            (Some(_), true, _) => return invalid("an acceptor of one's own goes with no `client_` callback"),
            (None, _, None) => return invalid("a server needs `client_input`, or an `acceptor` of one's own"),
            _ => {}
        }
        if let Some(core) = core.upgrade() {
            if core.is_virtual() {
                return invalid("a kernel in virtual time takes no real sockets");
            }
            core.check_alias(self.settings.alias.as_deref())?;
        }
        let (settings, serves) = (self.settings.clone(), self.acceptor.is_none());
        let plan = Plan {
            settings: self.settings,
            callbacks: self.callbacks,
            filter: self.filter,
        };
        plan.check(&self.states, &[])?;
        let acceptor = match self.acceptor {
            Some(acceptor) => acceptor,
            None => client_maker(plan, self.heap, self.states),
        };
        let listener = bind(addrs, self.reuse, self.backlog)?;
        let shared = Rc::new(Shared {
            local: listener.local_addr().map_err(|e| io_error("getsockname", e))?,
            factory: RefCell::default(),
            connections: Cell::new(0),
            limit: Cell::new(self.concurrency),
        });
        let role = Role {
            acceptor,
            serves,
            handles_term: serves && top,
            nodelay: settings.nodelay,
            place,
        };
        let session = Session::builder(Listener {
            shared: shared.clone(),
            alias: settings.alias,
        })
        .inline_states(&listener_states(role, self.started, self.stopped, self.failed))
        .args(listener)
        .create_by(caller, place)?;
        Ok(TcpServer { core, session, shared })
    }
}

impl<H, F: Filter> fmt::Debug for TcpServerBuilder<H, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpServerBuilder")
            .field("addr", &self.addr)
            .field("concurrency", &self.concurrency)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A typed key's name: `Event` is a key in one way only, unlike a bare name.
fn key<A>(event: &Event<A>) -> Key<'_> {
    Posts::<A>::key(event)
}

fn io_error(operation: &'static str, error: std::io::Error) -> Error {
    ErrorKind::Io { operation, error }.into()
}

/// Listens on the first address that will do.
fn bind(addrs: &[SocketAddr], reuse: bool, backlog: u32) -> Result<TcpListener, Error> {
    let mut failed = None;
    for addr in addrs {
        match listen_on(*addr, reuse, backlog) {
            Ok(listener) => return Ok(listener),
            Err((operation, error)) => failed = Some(io_error(operation, error)),
        }
    }
    Err(failed.unwrap_or_else(|| io_error("getaddrinfo", std::io::ErrorKind::AddrNotAvailable.into())))
}

/// What kind of listener it is.
struct Role {
    acceptor: Callback<Listener, Connection>,
    /// Connections are sessions of ours, which count themselves out.
    serves: bool,
    handles_term: bool,
    nodelay: bool,
    place: &'static Location<'static>,
}

fn listener_states(
    role: Role,
    started: Option<Callback<Listener, ()>>,
    stopped: Option<Callback<Listener, ()>>,
    failed: Option<Callback<Listener, SocketError>>,
) -> States<Listener> {
    let Role {
        acceptor,
        serves,
        handles_term,
        nodelay,
        place,
    } = role;
    States::<Listener>::new()
        .on(START, move |cx, listener: TcpListener| -> Handled {
            let events = (HeldName::new(key(&ACCEPTED)), HeldName::new(key(&FAILED)));
            let factory = SocketFactory::adopt(listener, nodelay, events, cx, place);
            *cx.heap.shared.factory.borrow_mut() = Some(factory);
            cx.heap.shared.balance();
            if let Some(alias) = &cx.heap.alias {
                cx.alias_set(alias)?;
            }
            if handles_term {
                cx.sig("TERM", TERMINATED);
            }
            started.as_ref().map_or(Ok(()), |f| f(cx, ()))
        })
        .on(ACCEPTED, move |cx, connection| {
            if !serves {
                cx.heap.shared.joined();
            }
            acceptor(cx, connection)
        })
        .on(FAILED, move |cx, error| match &failed {
            Some(callback) => callback(cx, error),
            None => {
                tracing::warn!(target: "poe::wheels", session = %cx.session_id(), "the listener closes: {error}");
                cx.heap.shared.close();
                Ok(())
            }
        })
        .on(SHUTDOWN, |cx, ()| close_listener(cx))
        .on(SET_CONCURRENCY, |cx, clients| {
            cx.heap.shared.limit.set(clients);
            cx.heap.shared.balance();
        })
        .on(DISCONNECTED, |cx, ()| cx.heap.shared.left())
        .on(TERMINATED, |cx, _| {
            // What was put must still be written: end each connection in good order, instead of being stopped.
            cx.sig_handled();
            close_listener(cx);
            for client in cx.kernel.core.children_of(cx.session_id()) {
                // None of them can be gone.
                let _ = cx.post(client, SHUTDOWN, ());
            }
        })
        .on(STOP, move |cx, ()| stopped.as_ref().map_or(Ok(()), |f| f(cx, ())))
}

fn close_listener(cx: &mut Context<'_, Listener>) {
    cx.heap.shared.close();
    if let Some(alias) = cx.heap.alias.take() {
        // The second shutdown finds none.
        let _ = cx.alias_remove(&alias);
    }
}

/// Makes the acceptor that gives each connection a session. The clients' table is built once.
fn client_maker<H: 'static, F: Filter>(
    plan: Plan<ClientHeap<H, F>>,
    heap: Rc<dyn Fn(SocketAddr) -> H>,
    states: States<ClientHeap<H, F>>,
) -> Callback<Listener, Connection> {
    let plan = Rc::new(plan);
    let (on_start, on_shutdown) = (plan.clone(), plan.clone());
    let states = Plan::states(&plan, states)
        .on(START, move |cx, connection: Connection| {
            on_start.connect(cx, connection.stream, connection.peer)
        })
        .on(SHUTDOWN, move |cx, ()| on_shutdown.shutdown(cx));
    Rc::new(move |cx, connection| {
        let shared = cx.heap.shared.clone();
        shared.joined();
        let place = Place(shared);
        let heap = ClientHeap {
            heap: heap(connection.peer),
            wire: Wire::new(),
            _place: place,
        };
        match Session::builder(heap)
            .inline_states(&states)
            .args(connection)
            .create_in(cx)
        {
            // The system had it accepted before the listener was closed.
            Err(error) if error.is_shutting_down() => Ok(()),
            created => Ok(created.map(drop)?),
        }
    })
}
