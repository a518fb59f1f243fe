//! POE::Component::Client::TCP: one session with a connection that it makes itself.
//!
//! `started`, then `connected` or `connect_error`; between `connected` and `disconnected`, which come in pairs, the records.

use super::connection::{Callback, Callbacks, Link, Plan, SHUTDOWN, Settings, Wire, Wired, callback, plain};
use crate::error::{Error, ErrorKind, Handled};
use crate::event::{Calls, Event, Posts, START};
use crate::filter::{Filter, Line};
use crate::id::{AlarmId, SessionId, WheelId};
use crate::kernel::{Caller, Core, Kernel};
use crate::session::{Context, IntoReply, Session, States};
use crate::wheel::{Address, Connection, IoError, SocketError, SocketFactory};
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Connects again, to the same address; what was not written is lost. To a [`TcpClient`]'s session.
pub const RECONNECT: Event<()> = Event::new("reconnect");

/// Connects to another address, which [`RECONNECT`] uses from then on. To a [`TcpClient`]'s session.
pub const CONNECT: Event<Address> = Event::new("connect");

const CONNECTED: Event<Connection> = Event::new("tcp_client_connected");
const FAILED: Event<SocketError> = Event::new("tcp_client_failed");
const TIMED_OUT: Event<WheelId> = Event::new("tcp_client_timed_out");

/// A TCP client (`POE::Component::Client::TCP`). This value only refers to it: dropping it changes nothing.
///
/// ```
/// use poe::{Kernel, component::TcpClient};
/// # tokio_test::block_on(async {
/// # let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// # let addr = busy.local_addr().unwrap();
/// # drop(busy);
/// let kernel = Kernel::new();
/// TcpClient::builder(addr)
///     .connected(|cx| cx.server().put("GET / HTTP/1.0\r\n"))
///     .server_input(|_, line| println!("{line}"))
///     .connect_error(|_, error| println!("nobody there: {error}"))
///     .start(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[doc(alias = "POE::Component::Client::TCP")]
#[derive(Clone)]
pub struct TcpClient {
    core: Weak<Core>,
    session: SessionId,
}

impl TcpClient {
    /// Settings for a client of the server at that address.
    #[doc(alias = "new")]
    #[doc(alias = "RemoteAddress")]
    #[doc(alias = "RemotePort")]
    pub fn builder(addr: impl Into<Address>) -> TcpClientBuilder<(), Line> {
        TcpClientBuilder {
            addr: addr.into(),
            bind: None,
            timeout: None,
            settings: Settings::default(),
            filter: Rc::new(Line::new),
            heap: (),
            callbacks: Callbacks::new(),
            states: States::new(),
            stateful: false,
            misordered: false,
            started: None,
            failed: None,
        }
    }

    /// The client's session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }

    /// Ends the connection in good order, or the attempt to make one.
    #[track_caller]
    pub fn shutdown(&self) {
        self.post(&SHUTDOWN, ());
    }

    /// Connects again; what was not written is lost.
    #[track_caller]
    pub fn reconnect(&self) {
        self.post(&RECONNECT, ());
    }

    #[track_caller]
    fn post<A: 'static>(&self, event: &impl Posts<A>, arg: A) {
        if let Some(core) = self.core.upgrade() {
            // It may have ended before.
            let _ = core.post_from(None, self.session.into(), event.key(), arg, Location::caller());
        }
    }
}

impl fmt::Debug for TcpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpClient").field("session", &self.session).finish()
    }
}

/// The heap of a [`TcpClient`]'s session; derefs to the heap that [`heap`](TcpClientBuilder::heap) was given.
///
/// ```
/// use poe::{Context, component::ServerHeap, filter::Line};
/// fn ask(cx: &mut Context<'_, ServerHeap<u32, Line>>) {
///     **cx.heap += 1; // the user's heap, a number here
///     cx.server().put(format!("question {}", **cx.heap));
/// }
/// ```
pub struct ServerHeap<H, F: Filter> {
    heap: H,
    wire: Wire<F>,
    target: Address,
    /// Alive while it connects.
    factory: Option<SocketFactory>,
    /// Set while it connects, if there is a limit.
    timer: Option<AlarmId>,
}

impl<H, F: Filter> Deref for ServerHeap<H, F> {
    type Target = H;
    fn deref(&self) -> &H {
        &self.heap
    }
}

impl<H, F: Filter> DerefMut for ServerHeap<H, F> {
    fn deref_mut(&mut self) -> &mut H {
        &mut self.heap
    }
}

impl<H: fmt::Debug, F: Filter> fmt::Debug for ServerHeap<H, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.heap.fmt(f)
    }
}

impl<H: 'static, F: Filter> Wired for ServerHeap<H, F> {
    type Filter = F;
    const CLOSES_FIRST: bool = true;
    fn wire(&self) -> &Wire<F> {
        &self.wire
    }
    fn wire_mut(&mut self) -> &mut Wire<F> {
        &mut self.wire
    }
}

impl<H: 'static, F: Filter> Context<'_, ServerHeap<H, F>> {
    /// The connection of a [`TcpClient`].
    #[must_use]
    pub fn server(&self) -> Link<'_, F> {
        Link::new(&self.heap.wire, self.kernel)
    }

    /// Connects again, when this handler has returned; what was not written is lost. `disconnected` is called if there
    /// is a connection.
    #[track_caller]
    pub fn reconnect(&self) {
        self.yield_to(RECONNECT, ());
    }

    /// Connects to another address, as [`reconnect`](Self::reconnect) does to the same.
    #[track_caller]
    pub fn connect(&self, addr: impl Into<Address>) {
        self.yield_to(CONNECT, addr.into());
    }
}

/// Settings of a [`TcpClient`]. Name [`filter`](Self::filter) and [`heap`](Self::heap) first: they say what the handlers
/// are given.
///
/// | setting | default |
/// |---|---|
/// | [`filter`](Self::filter) | [`Line::new`] |
/// | [`heap`](Self::heap) | `()` |
/// | [`server_input`](Self::server_input) | required |
/// | [`server_error`](Self::server_error) | logs, but for the end of the input and a reset |
/// | [`connect_error`](Self::connect_error) | logs |
/// | other callbacks | nothing |
/// | [`connect_timeout`](Self::connect_timeout) | the system's own |
/// | [`bind`](Self::bind) | any address and port |
/// | [`nodelay`](Self::nodelay), [`shutdown_on_error`](Self::shutdown_on_error) | true |
/// | [`linger`](Self::linger) | 1 s |
/// | [`watermarks`](Self::watermarks), [`alias`](Self::alias) | none |
///
/// ```
/// use poe::{component::TcpClient, filter::Line};
/// use std::time::Duration;
/// let settings = TcpClient::builder("localhost:7")
///     .filter(|| Line::new().literal("\n"))
///     .heap(0_u32)
///     .connect_timeout(Duration::from_secs(5))
///     .connected(|cx| cx.server().put("hello"))
///     .server_input(|cx, _line| **cx.heap += 1);
/// ```
#[must_use = "a client connects only after `start`"]
pub struct TcpClientBuilder<H: 'static, F: Filter> {
    addr: Address,
    bind: Option<Address>,
    timeout: Option<Duration>,
    settings: Settings,
    filter: Rc<dyn Fn() -> F>,
    heap: H,
    callbacks: Callbacks<ServerHeap<H, F>>,
    states: States<ServerHeap<H, F>>,
    /// A state was added.
    stateful: bool,
    /// The filter or the heap was changed behind handlers for the old one.
    misordered: bool,
    started: Option<Callback<ServerHeap<H, F>, ()>>,
    failed: Option<Callback<ServerHeap<H, F>, SocketError>>,
}

impl<H: 'static, F: Filter> TcpClientBuilder<H, F> {
    /// How octets become records and back: makes a filter per connection.
    #[doc(alias = "Filter")]
    pub fn filter<G: Filter>(self, filter: impl Fn() -> G + 'static) -> TcpClientBuilder<H, G> {
        self.retype(Rc::new(filter), |heap| heap)
    }

    /// The session's heap.
    #[doc(alias = "HEAP")]
    pub fn heap<I: 'static>(self, heap: I) -> TcpClientBuilder<I, F> {
        let filter = self.filter.clone();
        self.retype(filter, |_| heap)
    }

    fn retype<I: 'static, G: Filter>(
        self,
        filter: Rc<dyn Fn() -> G>,
        heap: impl FnOnce(H) -> I,
    ) -> TcpClientBuilder<I, G> {
        let handlers = self.callbacks.is_any() || self.started.is_some() || self.failed.is_some();
        TcpClientBuilder {
            addr: self.addr,
            bind: self.bind,
            timeout: self.timeout,
            settings: self.settings,
            filter,
            heap: heap(self.heap),
            callbacks: Callbacks::new(),
            states: States::new(),
            stateful: false,
            misordered: self.misordered || self.stateful || handlers,
            started: None,
            failed: None,
        }
    }

    /// The session has started, and is about to connect. Runs inside its `_start`.
    #[doc(alias = "Started")]
    pub fn started<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, ServerHeap<H, F>>) -> R + 'static) -> Self {
        self.started = Some(plain(f));
        self
    }

    /// It has connected.
    #[doc(alias = "Connected")]
    pub fn connected<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, ServerHeap<H, F>>) -> R + 'static) -> Self {
        self.callbacks.connected = Some(plain(f));
        self
    }

    /// It could not connect; a timeout has the operation `connect` and the kind `TimedOut`. The session ends then, unless
    /// something keeps it, such as a timer for [`RECONNECT`].
    #[doc(alias = "ConnectError")]
    pub fn connect_error<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, ServerHeap<H, F>>, SocketError) -> R + 'static,
    ) -> Self {
        self.failed = Some(callback(f));
        self
    }

    /// The server has sent a record. Not called any more once the connection is to end.
    #[doc(alias = "ServerInput")]
    pub fn server_input<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, ServerHeap<H, F>>, F::Input) -> R + 'static,
    ) -> Self {
        self.callbacks.input = Some(callback(f));
        self
    }

    /// Everything that was put has been written.
    #[doc(alias = "ServerFlushed")]
    pub fn server_flushed<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, ServerHeap<H, F>>) -> R + 'static,
    ) -> Self {
        self.callbacks.flushed = Some(plain(f));
        self
    }

    /// The connection has failed or ended, or the server has sent what is no record. Unless
    /// [`shutdown_on_error`](Self::shutdown_on_error) is off the connection ends then, but for a single bad record after
    /// which the filter can go on (not an over-long one: that ends it, too).
    #[doc(alias = "ServerError")]
    pub fn server_error<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, ServerHeap<H, F>>, IoError) -> R + 'static,
    ) -> Self {
        self.callbacks.error = Some(callback(f));
        self
    }

    /// The connection is gone: once for each `connected`.
    #[doc(alias = "Disconnected")]
    pub fn disconnected<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, ServerHeap<H, F>>) -> R + 'static) -> Self {
        self.callbacks.disconnected = Some(plain(f));
        self
    }

    /// What waits to be written has reached the high mark.
    #[doc(alias = "ServerHigh")]
    pub fn server_high<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, ServerHeap<H, F>>) -> R + 'static) -> Self {
        self.callbacks.high = Some(plain(f));
        self
    }

    /// … and has fallen to the low mark.
    #[doc(alias = "ServerLow")]
    pub fn server_low<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, ServerHeap<H, F>>) -> R + 'static) -> Self {
        self.callbacks.low = Some(plain(f));
        self
    }

    /// Adds a handler of one's own.
    #[doc(alias = "InlineStates")]
    pub fn state<A: 'static, R: IntoReply>(
        mut self,
        event: impl Calls<A, R::Value>,
        f: impl Fn(&mut Context<'_, ServerHeap<H, F>>, A) -> R + 'static,
    ) -> Self {
        self.states = self.states.on(event, f);
        self.stateful = true;
        self
    }

    /// Adds a table of handlers of one's own.
    #[doc(alias = "InlineStates")]
    pub fn inline_states(mut self, states: &States<ServerHeap<H, F>>) -> Self {
        self.states = self.states.with(states);
        self.stateful = true;
        self
    }

    /// The session's alias; given up at a shutdown, taken again at a reconnect.
    #[doc(alias = "Alias")]
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.settings.alias = Some(alias.into());
        self
    }

    /// How long connecting may take, looking the name up included.
    #[doc(alias = "ConnectTimeout")]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Connects from that address, or port.
    #[doc(alias = "BindAddress")]
    #[doc(alias = "BindPort")]
    pub fn bind(mut self, addr: impl Into<Address>) -> Self {
        self.bind = Some(addr.into());
        self
    }

    /// Whether small writes leave at once (`TCP_NODELAY`).
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.settings.nodelay = nodelay;
        self
    }

    /// Whether the connection ends after an error.
    pub fn shutdown_on_error(mut self, shutdown: bool) -> Self {
        self.settings.shutdown_on_error = shutdown;
        self
    }

    /// How long a server that is still sending is heard out when we close; see
    /// [`ReadWrite::close`](crate::wheel::ReadWrite::close).
    pub fn linger(mut self, limit: Duration) -> Self {
        self.settings.linger = limit;
        self
    }

    /// Watches how much waits to be written, in octets. Goes with [`server_high`](Self::server_high) and
    /// [`server_low`](Self::server_low): all three or none.
    #[doc(alias = "HighMark")]
    #[doc(alias = "LowMark")]
    pub fn watermarks(mut self, high: usize, low: usize) -> Self {
        self.settings.marks = Some((high, low));
        self
    }

    /// Makes the session, below the kernel; it connects as soon as the kernel runs.
    ///
    /// # Errors
    /// Settings that make no sense; an alias that is taken; a handler is running (use [`start_in`](Self::start_in)).
    #[track_caller]
    pub fn start(self, kernel: &Kernel) -> Result<TcpClient, Error> {
        let core = kernel.core().weak();
        let mut kernel = kernel;
        self.launch(&mut kernel, core, Location::caller())
    }

    /// The same inside a handler, with the session below that handler's.
    ///
    /// # Errors
    /// Settings that make no sense; an alias that is taken.
    #[track_caller]
    pub fn start_in<P: 'static>(self, cx: &mut Context<'_, P>) -> Result<TcpClient, Error> {
        let core = cx.kernel.core.weak();
        self.launch(cx, core, Location::caller())
    }

    fn launch(
        self,
        caller: &mut impl Caller,
        core: Weak<Core>,
        place: &'static Location<'static>,
    ) -> Result<TcpClient, Error> {
        let invalid = |what: &str| Err(ErrorKind::Invalid(what.to_owned()).into());
        if self.misordered {
            return invalid("`filter` and `heap` say what the handlers are given: name them before any handler");
        }
        if self.callbacks.input.is_none() {
            return invalid("a client needs `server_input`");
        }
        if let Some(core) = core.upgrade() {
            core.check_alias(self.settings.alias.as_deref())?;
        }
        let plan = Plan {
            settings: self.settings,
            callbacks: self.callbacks,
            filter: self.filter,
        };
        plan.check(&self.states, &["connect", "reconnect"])?;
        let client = Rc::new(Client {
            plan: Rc::new(plan),
            bind: self.bind,
            timeout: self.timeout,
            started: self.started,
            failed: self.failed,
        });
        let heap = ServerHeap {
            heap: self.heap,
            wire: Wire::new(),
            target: self.addr,
            factory: None,
            timer: None,
        };
        let session = Session::builder(heap)
            .inline_states(&states(&client, self.states))
            .create_by(caller, place)?;
        Ok(TcpClient { core, session })
    }
}

impl<H, F: Filter> fmt::Debug for TcpClientBuilder<H, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpClientBuilder")
            .field("addr", &self.addr)
            .field("bind", &self.bind)
            .field("timeout", &self.timeout)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What a client works by.
struct Client<H: 'static, F: Filter> {
    plan: Rc<Plan<ServerHeap<H, F>>>,
    bind: Option<Address>,
    timeout: Option<Duration>,
    started: Option<Callback<ServerHeap<H, F>, ()>>,
    failed: Option<Callback<ServerHeap<H, F>, SocketError>>,
}

fn states<H: 'static, F: Filter>(
    client: &Rc<Client<H, F>>,
    user: States<ServerHeap<H, F>>,
) -> States<ServerHeap<H, F>> {
    let (on_start, on_connected, on_failed) = (client.clone(), client.clone(), client.clone());
    let (on_timeout, on_shutdown) = (client.clone(), client.clone());
    let (on_reconnect, on_connect) = (client.clone(), client.clone());
    Plan::states(&client.plan, user)
        .on(START, move |cx, ()| -> Handled {
            on_start.take_alias(cx)?;
            let result = on_start.started.as_ref().map_or(Ok(()), |f| f(cx, ()));
            on_start.connect(cx);
            result
        })
        .on(CONNECTED, move |cx, connection| {
            on_connected.let_go(cx);
            on_connected.plan.connect(cx, connection.stream, connection.peer)
        })
        .on(FAILED, move |cx, error| on_failed.failed(cx, error))
        .on(TIMED_OUT, move |cx, wheel| {
            let error = io::Error::new(io::ErrorKind::TimedOut, "the time for connecting is over");
            on_timeout.failed(
                cx,
                SocketError {
                    operation: "connect",
                    error,
                    wheel,
                },
            )
        })
        .on(SHUTDOWN, move |cx, ()| {
            on_shutdown.let_go(cx);
            if let Some(alias) = &on_shutdown.plan.settings.alias {
                // The second shutdown finds none.
                let _ = cx.alias_remove(alias);
            }
            on_shutdown.plan.shutdown(cx)
        })
        .on(RECONNECT, move |cx, ()| on_reconnect.reconnect(cx))
        .on(CONNECT, move |cx, target| {
            cx.heap.target = target;
            on_connect.reconnect(cx)
        })
}

type Cx<'a, 'k, H, F> = &'a mut Context<'k, ServerHeap<H, F>>;

impl<H: 'static, F: Filter> Client<H, F> {
    fn take_alias(&self, cx: Cx<'_, '_, H, F>) -> Handled {
        if let Some(alias) = &self.plan.settings.alias {
            cx.alias_set(alias)?;
        }
        Ok(())
    }

    fn connect(&self, cx: Cx<'_, '_, H, F>) {
        let mut builder = SocketFactory::connect(cx.heap.target.clone())
            .nodelay(self.plan.settings.nodelay)
            .success(CONNECTED)
            .failure(FAILED);
        if let Some(bind) = &self.bind {
            builder = builder.bind(bind.clone());
        }
        let factory = builder.start(cx);
        cx.heap.timer = self.timeout.map(|limit| cx.delay_set(TIMED_OUT, limit, factory.id()));
        cx.heap.factory = Some(factory);
    }

    /// Ends the attempt to connect, if one is under way.
    fn let_go(&self, cx: Cx<'_, '_, H, F>) {
        if let Some(timer) = cx.heap.timer.take() {
            // It has gone off, if that is what ends the attempt.
            let _ = cx.alarm_remove_if_set(timer);
        }
        let factory = cx.heap.factory.take();
        drop(factory);
    }

    fn failed(&self, cx: Cx<'_, '_, H, F>, error: SocketError) -> Handled {
        // A failure that was posted, of an attempt that was given up since.
        if cx.heap.factory.as_ref().is_none_or(|f| f.id() != error.wheel) {
            return Ok(());
        }
        self.let_go(cx);
        match &self.failed {
            Some(callback) => callback(cx, error),
            None => {
                let target = &cx.heap.target;
                tracing::warn!(target: "poe::wheels", session = %cx.session_id(), "cannot connect to {target}: {error}");
                Ok(())
            }
        }
    }

    fn reconnect(&self, cx: Cx<'_, '_, H, F>) -> Handled {
        self.let_go(cx);
        let result = self.plan.cut(cx);
        self.take_alias(cx)?;
        cx.heap.wire = Wire::new();
        self.connect(cx);
        result
    }
}

impl<H, F: Filter> ServerHeap<H, F> {
    /// Whether there is a connection.
    #[doc(alias = "connected")]
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.wire.is_up()
    }
}
