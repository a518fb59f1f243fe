//! POE::Wheel::SocketFactory: connections made, and connections taken, over TCP.
//!
//! | event | argument | when |
//! |---|---|---|
//! | success | [`Connection`] | connected, or somebody was accepted |
//! | failure | [`SocketError`] | it could not be set up, or `accept` failed |
//!
//! A failure to set up is posted, however early it is found; all else is dispatched when it happens. A connecting wheel
//! has exactly one event, and holds its session until then; a listening one holds it for as long as it listens.

use super::address::Address;
use super::error::SocketError;
use crate::arg::AnyArg;
use crate::event::Posts;
use crate::id::{SessionId, TaskId, WheelId};
use crate::kernel::task::{Purpose, Task};
use crate::kernel::{Core, Turn};
use crate::name::{HeldName, Name};
use crate::resource::HoldKind;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Sleep;

/// Clients taken in one go; then others have their turn.
const ACCEPTS: usize = 32;

/// How long a listener waits when `accept` has failed: without descriptors every try fails at once.
const RETRY: Duration = Duration::from_millis(100);

/// Makes or takes TCP connections (`POE::Wheel::SocketFactory`).
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// use poe::wheel::{Connection, SocketError, SocketFactory};
/// const CLIENT: Event<Connection> = Event::new("client");
/// const FAILED: Event<SocketError> = Event::new("failed");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(None::<SocketFactory>)
///     .on(START, |cx, ()| {
///         let listener = SocketFactory::listen("127.0.0.1:0").success(CLIENT).failure(FAILED).start(cx);
///         let addr = listener.local_addr().expect("bound at once, since no name had to be looked up");
///         std::thread::spawn(move || std::net::TcpStream::connect(addr));
///         *cx.heap = Some(listener);
///     })
///     .on(CLIENT, |cx, client| {
///         println!("{} is here", client.peer);
///         *cx.heap = None; // listens no more
///     })
///     .on(FAILED, |_, error| panic!("{error}"))
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[doc(alias = "POE::Wheel::SocketFactory")]
pub struct SocketFactory {
    state: Rc<State>,
    core: Weak<Core>,
    task: Option<TaskId>,
}

/// The argument of a success event: a connection, who is at its other end, and which wheel has made it.
///
/// ```
/// use poe::{Event, Context, wheel::{Connection, Input, ReadWrite}, filter::Line};
/// const LINE: Event<Input<String>> = Event::new("line");
/// fn on_connection(cx: &mut Context<'_, Vec<ReadWrite>>, connection: Connection) -> poe::Handled {
///     let wheel = ReadWrite::builder(connection.stream).input(Line::new(), LINE).start(cx)?;
///     Ok(cx.heap.push(wheel))
/// }
/// ```
#[derive(Debug)]
#[doc(alias = "SuccessEvent")]
#[non_exhaustive]
pub struct Connection {
    /// The socket, in Tokio's hands; goes into a [`ReadWrite`](super::ReadWrite).
    pub stream: TcpStream,
    /// The address at the other end.
    pub peer: SocketAddr,
    /// The wheel that reports it.
    pub wheel: WheelId,
}

/// Settings of a [`SocketFactory`].
///
/// | setting | default |
/// |---|---|
/// | [`success`](Self::success), [`failure`](Self::failure) | not told: name both |
/// | [`bind`](Self::bind) | any address and port (when connecting) |
/// | [`reuse`](Self::reuse) | `SO_REUSEADDR` on |
/// | [`backlog`](Self::backlog) | 4096, which the system cuts to its own limit |
/// | [`nodelay`](Self::nodelay) | `TCP_NODELAY` on |
///
/// ```
/// use poe::wheel::SocketFactory;
/// let settings = SocketFactory::listen("[::1]:0").backlog(16).nodelay(false);
/// ```
#[must_use = "a wheel turns only after `start`"]
pub struct SocketFactoryBuilder {
    config: Config,
    success: Option<HeldName>,
    failure: Option<HeldName>,
}

#[derive(Clone, Debug)]
struct Config {
    role: Role,
    bind: Option<Address>,
    reuse: bool,
    backlog: u32,
    nodelay: bool,
}

#[derive(Clone, Debug)]
enum Role {
    Listen(Address),
    Connect(Address),
}

/// What is wrong, and with which operation.
type Failed = (&'static str, io::Error);

struct State {
    id: WheelId,
    owner: SessionId,
    place: &'static Location<'static>,
    success: Option<HeldName>,
    failure: Option<HeldName>,
    nodelay: bool,
    paused: Cell<bool>,
    /// The value is there and wants events.
    alive: Cell<bool>,
    local: Cell<Option<SocketAddr>>,
}

impl SocketFactory {
    /// Settings for a wheel that listens on an address; port 0 is any free one.
    #[doc(alias = "BindAddress")]
    #[doc(alias = "BindPort")]
    pub fn listen(addr: impl Into<Address>) -> SocketFactoryBuilder {
        SocketFactoryBuilder::new(Role::Listen(addr.into()))
    }

    /// Settings for a wheel that connects to an address. If it is a name with several addresses, they are tried in order.
    #[doc(alias = "RemoteAddress")]
    #[doc(alias = "RemotePort")]
    pub fn connect(addr: impl Into<Address>) -> SocketFactoryBuilder {
        SocketFactoryBuilder::new(Role::Connect(addr.into()))
    }

    /// The wheel's ID, which its events carry.
    #[doc(alias = "ID")]
    #[must_use]
    pub fn id(&self) -> WheelId {
        self.state.id
    }

    /// The address of our end: of a listener as soon as it is bound, which is at once unless a name must be looked up
    /// first; of a connection when its success event comes.
    #[doc(alias = "getsockname")]
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.state.local.get()
    }

    /// Takes no more clients for now; they wait in the system's backlog.
    pub fn pause_accept(&self) {
        self.state.paused.set(true);
    }

    /// Takes clients again, those in the backlog first.
    pub fn resume_accept(&self) {
        if self.state.paused.replace(false)
            && let (Some(core), Some(task)) = (self.core.upgrade(), self.task)
        {
            core.tasks.schedule(task);
            core.wake_host();
        }
    }

    /// A wheel that listens on a socket that is bound already.
    pub(crate) fn adopt(
        listener: TcpListener,
        nodelay: bool,
        events: (HeldName, HeldName),
        turn: &Turn<'_>,
        place: &'static Location<'static>,
    ) -> Self {
        let (success, failure) = events;
        let state = State::new(turn, place, nodelay, Some(success), Some(failure));
        state.local.set(listener.local_addr().ok());
        let phase = Phase::Accepting(Accepting::new(listener));
        Self::start_task(turn, state, "listening", true, phase)
    }

    fn start_task(turn: &Turn<'_>, state: Rc<State>, what: &str, listener: bool, phase: Phase) -> Self {
        let purpose = Purpose {
            owner: state.owner,
            kind: HoldKind::Wheel,
            what: Name::from(&*format!("SocketFactory {} ({what})", state.id)),
            place: state.place,
            listener,
        };
        let task = turn.core.start_task(
            purpose,
            Box::new(FactoryTask {
                state: state.clone(),
                phase,
            }),
        );
        SocketFactory {
            state,
            core: turn.core.weak(),
            task,
        }
    }
}

impl Drop for SocketFactory {
    fn drop(&mut self) {
        self.state.alive.set(false);
        if let (Some(core), Some(task)) = (self.core.upgrade(), self.task) {
            core.cancel_task(task);
        }
    }
}

impl fmt::Debug for SocketFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketFactory")
            .field("id", &self.id())
            .field("local_addr", &self.local_addr())
            .field("paused", &self.state.paused.get())
            .finish_non_exhaustive()
    }
}

impl SocketFactoryBuilder {
    fn new(role: Role) -> Self {
        let config = Config {
            role,
            bind: None,
            reuse: true,
            backlog: 4096,
            nodelay: true,
        };
        SocketFactoryBuilder {
            config,
            success: None,
            failure: None,
        }
    }

    /// Tells of connections.
    #[doc(alias = "SuccessEvent")]
    pub fn success(mut self, event: impl Posts<Connection>) -> Self {
        self.success = Some(HeldName::new(event.key()));
        self
    }

    /// Tells of failures.
    #[doc(alias = "FailureEvent")]
    pub fn failure(mut self, event: impl Posts<SocketError>) -> Self {
        self.failure = Some(HeldName::new(event.key()));
        self
    }

    /// Connects from that address, or port.
    #[doc(alias = "BindAddress")]
    #[doc(alias = "BindPort")]
    pub fn bind(mut self, addr: impl Into<Address>) -> Self {
        self.config.bind = Some(addr.into());
        self
    }

    /// Whether an address may be bound that an old connection still has; default true.
    #[doc(alias = "Reuse")]
    pub fn reuse(mut self, reuse: bool) -> Self {
        self.config.reuse = reuse;
        self
    }

    /// How many clients may wait to be accepted; default 4096, and at most what the system allows.
    #[doc(alias = "ListenQueue")]
    pub fn backlog(mut self, clients: u32) -> Self {
        self.config.backlog = clients;
        self
    }

    /// Whether small writes leave at once (`TCP_NODELAY`); default true.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.config.nodelay = nodelay;
        self
    }

    /// Starts the wheel for the session that is running; pass the handler's context. It never fails: whatever goes wrong
    /// comes as a failure event.
    #[track_caller]
    pub fn start(self, turn: &Turn<'_>) -> SocketFactory {
        let place = Location::caller();
        let config = self.config;
        let state = State::new(turn, place, config.nodelay, self.success, self.failure);
        let phase = begin(turn.core, &config);
        let what = match &config.role {
            Role::Listen(addr) => format!("listening on {addr}"),
            Role::Connect(addr) => format!("connecting to {addr}"),
        };
        match phase {
            Ok(phase) => {
                if let Phase::Accepting(accepting) = &phase {
                    state.local.set(accepting.listener.local_addr().ok());
                }
                let listens = matches!(config.role, Role::Listen(_));
                SocketFactory::start_task(turn, state, &what, listens, phase)
            }
            Err(failed) => {
                state.post_failure(turn.core, failed);
                SocketFactory {
                    state,
                    core: turn.core.weak(),
                    task: None,
                }
            }
        }
    }
}

impl fmt::Debug for SocketFactoryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}

/// The first step. A listener on a number is bound at once, so that its port is known when `start` returns; without a
/// runtime it cannot be, and the task does it.
fn begin(core: &Core, config: &Config) -> Result<Phase, Failed> {
    if core.is_virtual() {
        let why = "a kernel in virtual time takes no real sockets";
        return Err(("socket", io::Error::new(io::ErrorKind::Unsupported, why)));
    }
    let config = config.clone();
    match &config.role {
        Role::Listen(addr) => match addr.as_socket_addr() {
            Some(addr) if tokio::runtime::Handle::try_current().is_ok() => {
                let listener = listen_on(addr, config.reuse, config.backlog)?;
                Ok(Phase::Accepting(Accepting::new(listener)))
            }
            _ => Ok(Phase::Binding(Box::pin(bind_listener(config)))),
        },
        Role::Connect(_) => Ok(Phase::Connecting(Box::pin(connect(config)))),
    }
}

/// Binds and listens.
pub(crate) fn listen_on(addr: SocketAddr, reuse: bool, backlog: u32) -> Result<TcpListener, Failed> {
    let socket = new_socket(addr, reuse)?;
    socket.bind(addr).map_err(|e| ("bind", e))?;
    socket.listen(backlog).map_err(|e| ("listen", e))
}

fn new_socket(addr: SocketAddr, reuse: bool) -> Result<TcpSocket, Failed> {
    let socket = if addr.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    let socket = socket.map_err(|e| ("socket", e))?;
    // On Windows the option means something else: that another's address may be taken from it.
    socket
        .set_reuseaddr(reuse && cfg!(unix))
        .map_err(|e| ("setsockopt", e))?;
    Ok(socket)
}

async fn bind_listener(config: Config) -> Result<TcpListener, Failed> {
    let (Role::Listen(addr) | Role::Connect(addr)) = &config.role;
    let mut failed = None;
    for addr in addr.resolve().await.map_err(|e| ("getaddrinfo", e))? {
        match listen_on(addr, config.reuse, config.backlog) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(no_address))
}

async fn connect(config: Config) -> Result<TcpStream, Failed> {
    let (Role::Listen(addr) | Role::Connect(addr)) = &config.role;
    let sources = match &config.bind {
        Some(bind) => bind.resolve().await.map_err(|e| ("getaddrinfo", e))?,
        None => Vec::new(),
    };
    let mut failed = None;
    for addr in addr.resolve().await.map_err(|e| ("getaddrinfo", e))? {
        match connect_to(addr, &sources, &config).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(no_address))
}

async fn connect_to(addr: SocketAddr, sources: &[SocketAddr], config: &Config) -> Result<TcpStream, Failed> {
    let socket = new_socket(addr, config.reuse)?;
    if !sources.is_empty() {
        // Of a name's addresses, one of the right family; else let the system say what is wrong.
        let source = sources
            .iter()
            .find(|s| s.is_ipv4() == addr.is_ipv4())
            .unwrap_or(&sources[0]);
        socket.bind(*source).map_err(|e| ("bind", e))?;
    }
    let stream = socket.connect(addr).await.map_err(|e| ("connect", e))?;
    stream.set_nodelay(config.nodelay).map_err(|e| ("setsockopt", e))?;
    Ok(stream)
}

fn no_address() -> Failed {
    ("getaddrinfo", io::ErrorKind::AddrNotAvailable.into())
}

impl State {
    fn new(
        turn: &Turn<'_>,
        place: &'static Location<'static>,
        nodelay: bool,
        success: Option<HeldName>,
        failure: Option<HeldName>,
    ) -> Rc<Self> {
        Rc::new(State {
            id: turn.core.new_wheel_id(),
            owner: turn.session_id(),
            place,
            success,
            failure,
            nodelay,
            paused: Cell::new(false),
            alive: Cell::new(true),
            local: Cell::new(None),
        })
    }

    /// Dispatches an event. False: the wheel is gone.
    fn deliver<A: 'static>(&self, core: &Core, event: Option<&HeldName>, arg: A) -> bool {
        let Some(event) = event else { return true };
        core.deliver_now(self.owner, event.idx(), AnyArg::new(arg), self.place) && self.alive.get()
    }

    fn succeed(&self, core: &Core, stream: TcpStream, peer: SocketAddr) -> bool {
        self.deliver(
            core,
            self.success.as_ref(),
            Connection {
                stream,
                peer,
                wheel: self.id,
            },
        )
    }

    fn fail(&self, core: &Core, (operation, error): Failed) -> bool {
        self.deliver(
            core,
            self.failure.as_ref(),
            SocketError {
                operation,
                error,
                wheel: self.id,
            },
        )
    }

    fn post_failure(&self, core: &Core, (operation, error): Failed) {
        if let Some(event) = &self.failure {
            let error = SocketError {
                operation,
                error,
                wheel: self.id,
            };
            core.deliver(self.owner, event, AnyArg::new(error), self.place);
        }
    }
}

struct FactoryTask {
    state: Rc<State>,
    phase: Phase,
}

type Making<T> = Pin<Box<dyn Future<Output = Result<T, Failed>>>>;

enum Phase {
    Binding(Making<TcpListener>),
    Accepting(Accepting),
    Connecting(Making<TcpStream>),
}

struct Accepting {
    listener: TcpListener,
    /// Runs while `accept` is given a rest.
    retry: Option<Pin<Box<Sleep>>>,
    /// `accept` has failed and not succeeded since: it was reported already.
    failing: bool,
}

impl Accepting {
    fn new(listener: TcpListener) -> Self {
        Accepting {
            listener,
            retry: None,
            failing: false,
        }
    }

    fn poll(&mut self, state: &State, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ACCEPTS {
            if state.paused.get() {
                return Poll::Pending;
            }
            if let Some(retry) = &mut self.retry {
                ready!(retry.as_mut().poll(cx));
                self.retry = None;
            }
            let going_on = match ready!(self.listener.poll_accept(cx)) {
                Ok((stream, peer)) => {
                    self.failing = false;
                    // Fails only on a connection that is gone; whoever reads it will see that.
                    let _ = stream.set_nodelay(state.nodelay);
                    state.succeed(core, stream, peer)
                }
                Err(error) if is_about_the_client(&error) => true,
                Err(error) => {
                    self.retry = Some(Box::pin(tokio::time::sleep(RETRY)));
                    std::mem::replace(&mut self.failing, true) || state.fail(core, ("accept", error))
                }
            };
            if !going_on {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The client went away before it was accepted; the listener itself is well.
fn is_about_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable, WouldBlock,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | WouldBlock
    )
}

impl Task for FactoryTask {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.phase {
                Phase::Accepting(accepting) => return accepting.poll(&self.state, core, cx),
                Phase::Binding(binding) => match ready!(binding.as_mut().poll(cx)) {
                    Ok(listener) => {
                        self.state.local.set(listener.local_addr().ok());
                        self.phase = Phase::Accepting(Accepting::new(listener));
                    }
                    Err(failed) => {
                        self.state.post_failure(core, failed);
                        return Poll::Ready(());
                    }
                },
                Phase::Connecting(connecting) => {
                    let result = ready!(connecting.as_mut().poll(cx));
                    match result.and_then(|stream| Ok((stream.peer_addr().map_err(|e| ("getpeername", e))?, stream))) {
                        Ok((peer, stream)) => {
                            self.state.local.set(stream.local_addr().ok());
                            self.state.succeed(core, stream, peer);
                        }
                        Err(failed) => {
                            self.state.fail(core, failed);
                        }
                    }
                    return Poll::Ready(());
                }
            }
        }
    }
}
