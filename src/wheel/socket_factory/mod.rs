//! POE::Wheel::SocketFactory: connects, accepts connections, and makes datagram sockets, over IPv4, IPv6 and UNIX.
//!
//! | event | argument | when |
//! |---|---|---|
//! | success | [`Connection`] | connected, or a client was accepted |
//! | success | [`Datagram`] | the datagram socket exists |
//! | failure | [`SocketError`] | the socket could not be set up, or `accept` failed |
//!
//! Results that are known before `start` returns are posted: a failure to set up, a datagram socket without a peer. All others are
//! dispatched when they happen. A wheel that connects, or makes a datagram socket, sends exactly one event, and holds its
//! session until then; a listening one holds it for as long as it listens.

use super::address::Address;
use super::base::{Base, Tag, tag_setting, wheel_methods};
use super::socket::SocketError;
use super::socket::accept::{AcceptState, Accepting};
use super::socket::make::{self, Options};
use super::socket::{DatagramSocket, Domain, Failed, ListenSocket, SocketName, SocketStream};
use crate::arg::AnyArg;
use crate::debug::debug_fields;
use crate::event::Posts;
use crate::id::{Place, TaskId, WheelId};
use crate::kernel::task::Task;
use crate::kernel::{Core, KernelRef};
use crate::name::HeldName;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Connects, accepts connections, and makes datagram sockets (`POE::Wheel::SocketFactory`).
///
/// `T` is the argument of its success event: a [`Connection`] or, with [`datagram`](SocketFactory::datagram), a [`Datagram`].
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
#[must_use = "dropping the wheel stops it: keep it in the heap"]
pub struct SocketFactory<T = Connection> {
    state: Rc<AcceptState>,
    task: Option<TaskId>,
    brings: PhantomData<fn(T)>,
}

impl SocketFactory {
    /// Starts building a wheel that listens on an address; port 0 is any free one.
    ///
    /// The path of a UNIX socket must not exist yet: the wheel does not remove it, neither before nor afterwards.
    #[doc(alias = "BindAddress")]
    #[doc(alias = "BindPort")]
    pub fn listen(addr: impl Into<Address>) -> SocketFactoryBuilder {
        SocketFactoryBuilder::new(Role::Listen(addr.into()))
    }

    /// Starts building a wheel that accepts connections on a socket that listens already (`POE::Wheel::ListenAccept`).
    ///
    /// Use it for a socket that another program has passed to this one, or that needs options which the builder does not have.
    /// Dropping the wheel does not close a socket that you share: give it an `Rc` and keep one.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START, wheel::{Connection, SocketFactory}};
    /// use std::rc::Rc;
    /// const CLIENT: Event<Connection> = Event::new("client");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let listener = Rc::new(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    /// let addr = listener.local_addr().unwrap();
    /// std::thread::spawn(move || std::net::TcpStream::connect(addr));
    /// Session::builder(None::<SocketFactory>)
    ///     .on(START, move |cx, ()| *cx.heap = Some(SocketFactory::on(listener.clone()).success(CLIENT).start(cx)))
    ///     .on(CLIENT, |cx, client| {
    ///         println!("{} is here", client.peer);
    ///         *cx.heap = None;
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "POE::Wheel::ListenAccept")]
    #[doc(alias = "ListenAccept")]
    pub fn on(listener: impl Into<ListenSocket>) -> SocketFactoryBuilder {
        SocketFactoryBuilder::new(Role::On(listener.into()))
    }

    /// Starts building a wheel that connects to an address.
    ///
    /// If it is a name with several addresses, all of them are tried, IPv6 and IPv4 alternating: the next one when one
    /// has failed, or after 250 ms beside the present attempts (RFC 8305). The first connection wins. A busy UNIX listener
    /// is tried again, for two minutes.
    #[doc(alias = "RemoteAddress")]
    #[doc(alias = "RemotePort")]
    pub fn connect(addr: impl Into<Address>) -> SocketFactoryBuilder {
        SocketFactoryBuilder::new(Role::Connect(addr.into()))
    }

    /// Stops accepting clients; they wait in the system's backlog.
    pub fn pause_accept(&self) {
        self.state.paused.set(true);
    }

    /// Accepts clients again, those in the backlog first.
    pub fn resume_accept(&self) {
        if self.state.paused.replace(false) {
            self.state.base.wake(self.task);
        }
    }

    /// Stops listening. Posts the clients in the backlog first, as many as there is room for, and returns their number.
    pub(crate) fn close(self, room: usize) -> usize {
        self.state.post_waiting(room)
    }

    /// Makes a wheel that listens on a socket that is bound already.
    pub(crate) fn on_listener(
        listener: ListenSocket,
        nodelay: bool,
        events: (HeldName, HeldName),
        kernel: &KernelRef<'_>,
        place: Place,
    ) -> Self {
        let (success, failure) = events;
        let state = AcceptState::new(Base::new(kernel, place), Some(success), Some(failure), nodelay);
        let phase = Phase::Accepting(Accepting::new(&state, listener));
        Self::start_task(state, "listening", true, phase)
    }
}

impl SocketFactory<Datagram> {
    /// Starts building a wheel that makes a datagram socket: UDP, or UNIX if an address is a path.
    ///
    /// It may be bound, connected, both or neither.
    #[doc(alias = "SocketProtocol")]
    #[doc(alias = "udp")]
    pub fn datagram() -> SocketFactoryBuilder<Datagram> {
        SocketFactoryBuilder::new(Role::Datagram(None)).reuse(false)
    }
}

impl<T> SocketFactory<T> {
    /// Returns the socket's own IP address.
    ///
    /// A listener has it as soon as it is bound, which is at once unless a name must be looked up
    /// first; other sockets when the success event comes. `None` for UNIX sockets, which have a
    /// [`local_name`](Self::local_name).
    #[doc(alias = "getsockname")]
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.state.local.borrow().as_ref().and_then(SocketName::as_socket_addr)
    }

    /// Returns the socket's own name, in any family.
    #[doc(alias = "getsockname")]
    #[must_use]
    pub fn local_name(&self) -> Option<SocketName> {
        self.state.local.borrow().clone()
    }

    /// Changes the event for connections, or for the datagram socket. Events that were posted already keep the old name.
    #[doc(alias = "event")]
    pub fn set_success_event(&self, event: impl Posts<T>) {
        self.state.set_success(HeldName::new(event.key()));
    }

    /// Changes the event for failures.
    #[doc(alias = "event")]
    pub fn set_failure_event(&self, event: impl Posts<SocketError>) {
        self.state.set_failure(HeldName::new(event.key()));
    }

    fn start_task(state: Rc<AcceptState>, what: &str, listener: bool, phase: Phase) -> Self {
        let what = format!("SocketFactory {} ({what})", state.base.id());
        let body = Box::new(FactoryTask::new(state.clone(), phase));
        let task = state.base.start(&what, listener, body);
        Self::of(state, task)
    }

    fn of(state: Rc<AcceptState>, task: Option<TaskId>) -> Self {
        let brings = PhantomData;
        SocketFactory { state, task, brings }
    }
}

wheel_methods!(SocketFactory<T>, |wheel| wheel.state.base, wheel.task);

impl<T> Drop for SocketFactory<T> {
    fn drop(&mut self) {
        self.state.base.end(self.task);
    }
}

debug_fields!([T] SocketFactory<T>, "SocketFactory", |this| {
    id: this.id(),
    local_name: this.local_name(),
    paused: this.state.paused.get(),
    ..
});

// Arguments of a SocketFactory's success event.
/// The argument of a success event: a connection, its peer, and the wheel that made it.
#[derive(Debug)]
#[doc(alias = "SuccessEvent")]
#[non_exhaustive]
pub struct Connection {
    /// The Tokio socket, for a [`ReadWrite`](crate::wheel::ReadWrite).
    pub stream: SocketStream,
    /// The peer's name.
    pub peer: SocketName,
    /// The wheel that reports it.
    pub wheel: WheelId,
}

/// The argument of the success event of a datagram socket.
#[derive(Debug)]
#[doc(alias = "SuccessEvent")]
#[non_exhaustive]
pub struct Datagram {
    /// The socket.
    pub socket: DatagramSocket,
    /// The peer, if the socket is connected.
    pub peer: Option<SocketName>,
    /// The wheel that reports it.
    pub wheel: WheelId,
}

// The settings of a SocketFactory, and its start.
/// Configures a [`SocketFactory`] wheel. `T` is the argument of its success event: [`Connection`] or [`Datagram`].
///
/// | setting | default |
/// |---|---|
/// | [`success`](Self::success), [`failure`](Self::failure) | no event: set both |
/// | [`bind`](Self::bind) | any address and port (except for listeners) |
/// | [`domain`](Self::domain) | all of a name's addresses, in their order |
/// | [`reuse`](Self::reuse) | `SO_REUSEADDR` on, except for datagrams |
/// | [`backlog`](Self::backlog) | 4096, which the system cuts to its own limit |
/// | [`nodelay`](Self::nodelay) | `TCP_NODELAY` on |
#[must_use = "a wheel does nothing until `start` is called"]
pub struct SocketFactoryBuilder<T = Connection> {
    role: Role,
    options: Options,
    success: Option<HeldName>,
    failure: Option<HeldName>,
    tag: Tag,
    brings: PhantomData<fn(T)>,
}

impl<T: 'static> SocketFactoryBuilder<T> {
    fn new(role: Role) -> Self {
        SocketFactoryBuilder {
            role,
            options: Options::default(),
            success: None,
            failure: None,
            tag: Tag::default(),
            brings: PhantomData,
        }
    }

    /// Sends this event for connections, or for the datagram socket.
    #[doc(alias = "SuccessEvent")]
    pub fn success(mut self, event: impl Posts<T>) -> Self {
        self.success = Some(HeldName::new(event.key()));
        self
    }

    /// Sends this event for failures.
    #[doc(alias = "FailureEvent")]
    pub fn failure(mut self, event: impl Posts<SocketError>) -> Self {
        self.failure = Some(HeldName::new(event.key()));
        self
    }

    /// Notes the connect timeout, which the caller enforces.
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.options.connect_timeout = Some(limit);
        self
    }

    /// Binds the socket to this address, or port; a listener has its own address.
    #[doc(alias = "BindAddress")]
    #[doc(alias = "BindPort")]
    pub fn bind(mut self, addr: impl Into<Address>) -> Self {
        self.options.bind = Some(addr.into());
        self
    }

    /// Uses only a name's addresses of this family.
    #[doc(alias = "SocketDomain")]
    pub fn domain(mut self, domain: Domain) -> Self {
        self.options.domain = Some(domain);
        self
    }

    /// Sets whether an address may be bound that an old connection still has (`SO_REUSEADDR`); default true.
    ///
    /// For datagrams it lets several programs share an address; default false.
    #[doc(alias = "Reuse")]
    pub fn reuse(mut self, reuse: bool) -> Self {
        self.options.reuse = reuse;
        self
    }

    /// Starts the wheel for the session that is running; pass the handler's context.
    ///
    /// It never fails: every error comes as a failure event.
    #[track_caller]
    pub fn start(self, kernel: &KernelRef<'_>) -> SocketFactory<T> {
        let base = Base::new(kernel, Location::caller()).tagged(self.tag);
        let state = AcceptState::new(base, self.success, self.failure, self.options.nodelay);
        let what = match &self.role {
            Role::On(_) => "listening".to_owned(),
            Role::Listen(addr) => format!("listening on {addr}"),
            Role::Connect(addr) => format!("connecting to {addr}"),
            Role::Datagram(Some(addr)) => format!("datagrams to {addr}"),
            Role::Datagram(None) => "datagrams".to_owned(),
        };
        let listens = matches!(self.role, Role::Listen(_) | Role::On(_));
        match begin(kernel.core, &state, self.role, self.options) {
            Ok(Begun::Phase(phase)) => SocketFactory::start_task(state, &what, listens, phase),
            Ok(Begun::Datagram(socket)) => {
                let made = datagram(&state, socket);
                state.post_success(kernel.core, made);
                SocketFactory::of(state, None)
            }
            Err(failed) => {
                state.post_failure(kernel.core, failed);
                SocketFactory::of(state, None)
            }
        }
    }
}

tag_setting!([T] SocketFactoryBuilder<T>, tag);

impl SocketFactoryBuilder<Connection> {
    /// Sets how many clients may wait to be accepted; default 4096, limited by the system.
    #[doc(alias = "ListenQueue")]
    pub fn backlog(mut self, clients: u32) -> Self {
        self.options.backlog = clients;
        self
    }

    /// Sets whether small writes leave at once (`TCP_NODELAY`); default true. No effect on UNIX sockets.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.options.nodelay = nodelay;
        self
    }
}

impl SocketFactoryBuilder<Datagram> {
    /// Connects the socket: it sends to this address and receives from it alone.
    #[doc(alias = "RemoteAddress")]
    #[doc(alias = "RemotePort")]
    pub fn remote(mut self, addr: impl Into<Address>) -> Self {
        self.role = Role::Datagram(Some(addr.into()));
        self
    }
}

debug_fields!([T] SocketFactoryBuilder<T>, "SocketFactoryBuilder", |this| {
    role: this.role,
    options: this.options,
    ..
});

// The work of a SocketFactory: its first step, which may be all, and the task that continues.
/// The purpose of the wheel.
#[derive(Clone, Debug)]
enum Role {
    Listen(Address),
    /// A socket that listens already.
    On(ListenSocket),
    Connect(Address),
    Datagram(Option<Address>),
}

/// The result of the first step.
enum Begun {
    Phase(Phase),
    /// Made without waiting.
    Datagram(DatagramSocket),
}

/// Runs the first step. A listener on a number is bound at once, so that its port is known when `start` returns; without a
/// runtime that is not possible, and the task does it.
fn begin(core: &Core, state: &Rc<AcceptState>, role: Role, options: Options) -> Result<Begun, Failed> {
    if let Role::Listen(addr) | Role::Connect(addr) = &role
        && let Some(name) = addr.as_memory()
    {
        let phase = match &role {
            Role::Listen(_) => Phase::Accepting(Accepting::new(
                state,
                make::listen_in_memory(&core.memory, addr, name, &options)?,
            )),
            _ => {
                let stream = make::connect_in_memory(&core.memory, addr, name);
                Phase::Connecting(addr.clone(), Box::pin(std::future::ready(stream)))
            }
        };
        return Ok(Begun::Phase(phase));
    }
    if core.is_virtual() && !matches!(role, Role::On(_)) {
        let why = "a kernel on virtual time cannot use real sockets: use `Kernel::new`, or an address in memory such as `memory:echo`";
        return Err(("socket", io::Error::new(io::ErrorKind::Unsupported, why)).into());
    }
    let threads = core.threads.clone();
    let in_runtime = tokio::runtime::Handle::try_current().is_ok();
    let phase = match role {
        Role::On(listener) => Phase::Accepting(Accepting::new(state, listener)),
        Role::Listen(addr) => match make::spot(&addr)? {
            Some(spot) if in_runtime => Phase::Accepting(Accepting::new(state, make::listen_at(&spot, &options)?)),
            _ => Phase::Binding(Box::pin(make::listen(addr, options, threads))),
        },
        Role::Connect(addr) => {
            let peer = addr.clone();
            Phase::Connecting(peer, Box::pin(make::connect(addr, options, threads)))
        }
        Role::Datagram(None) if in_runtime => {
            let source = options.bind.as_ref().map(make::spot).transpose()?;
            if source == Some(None) {
                Phase::Datagram(Box::pin(make::datagram(None, options, threads)))
            } else {
                let sources = Vec::from_iter(source.flatten());
                return make::datagram_at(&sources, None, &options).map(Begun::Datagram);
            }
        }
        Role::Datagram(remote) => Phase::Datagram(Box::pin(make::datagram(remote, options, threads))),
    };
    Ok(Begun::Phase(phase))
}

/// Makes the argument of a datagram socket's success event.
fn datagram(state: &AcceptState, socket: DatagramSocket) -> AnyArg {
    state.set_local(socket.local_name());
    let peer = socket.peer_name().ok();
    let wheel = state.base.id();
    AnyArg::new(Datagram { socket, peer, wheel })
}

struct FactoryTask {
    state: Rc<AcceptState>,
    phase: Phase,
}

type Making<T> = Pin<Box<dyn Future<Output = Result<T, Failed>>>>;

enum Phase {
    Binding(Making<ListenSocket>),
    Accepting(Accepting),
    Connecting(Address, Making<SocketStream>),
    Datagram(Making<DatagramSocket>),
}

impl FactoryTask {
    fn new(state: Rc<AcceptState>, phase: Phase) -> Self {
        FactoryTask { state, phase }
    }

    fn connected(&self, stream: SocketStream) -> Result<AnyArg, Failed> {
        let peer = stream.peer_name().map_err(|e| ("getpeername", e))?;
        self.state.set_local(stream.local_name());
        let wheel = self.state.base.id();
        Ok(AnyArg::new(Connection { stream, peer, wheel }))
    }
}

impl Task for FactoryTask {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let made = match &mut self.phase {
                Phase::Accepting(accepting) => return accepting.poll(core, cx),
                Phase::Binding(binding) => match ready!(binding.as_mut().poll(cx)) {
                    Ok(listener) => {
                        self.phase = Phase::Accepting(Accepting::new(&self.state, listener));
                        continue;
                    }
                    Err(failed) => Err(failed),
                },
                Phase::Connecting(addr, connecting) => {
                    let stream = ready!(connecting.as_mut().poll(cx));
                    let addr = addr.clone();
                    let connected = stream.and_then(|stream| self.connected(stream));
                    connected.map_err(|failed| failed.at(&addr))
                }
                Phase::Datagram(making) => ready!(making.as_mut().poll(cx)).map(|socket| datagram(&self.state, socket)),
            };
            match made {
                Ok(made) => self.state.succeed(core, made),
                Err(failed) => self.state.fail(core, failed),
            };
            return Poll::Ready(());
        }
    }
}
