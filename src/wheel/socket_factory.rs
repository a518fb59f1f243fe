//! POE::Wheel::SocketFactory: connections made, connections taken, and datagram sockets; over IPv4, IPv6 and UNIX.
//!
//! | event | argument | when |
//! |---|---|---|
//! | success | [`Connection`] | connected, or somebody was accepted |
//! | success | [`Datagram`] | the datagram socket is there |
//! | failure | [`SocketError`] | it could not be set up, or `accept` failed |
//!
//! What is known before `start` returns is posted: a failure to set up, a datagram socket without a peer. All else is
//! dispatched when it happens. A wheel that connects, or makes a datagram socket, has exactly one event, and holds its
//! session until then; a listening one holds it for as long as it listens.

use super::address::Address;
use super::base::{Base, wheel_methods};
use super::error::SocketError;
use super::socket::accept::{Accepting, State};
use super::socket::make::{self, Options};
use super::socket::{DatagramSocket, Domain, Failed, ListenSocket, SocketName, SocketStream};
use crate::arg::AnyArg;
use crate::event::Posts;
use crate::id::{TaskId, WheelId};
use crate::kernel::task::Task;
use crate::kernel::{Core, Turn};
use crate::name::HeldName;
use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// Makes or takes connections, and makes datagram sockets (`POE::Wheel::SocketFactory`). `T` is what its success event
/// brings: a [`Connection`] or, of a wheel by [`datagram`](SocketFactory::datagram), a [`Datagram`].
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
///
/// One session can set up a listener and another serve it. While it is paused, those who connect wait in the system's
/// backlog:
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// use poe::wheel::{Connection, SocketError, SocketFactory};
/// const LISTENER: Event<SocketFactory> = Event::new("listener");
/// const CLIENT: Event<Connection> = Event::new("client");
/// const FAILED: Event<SocketError> = Event::new("failed");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let server = Session::builder(None::<SocketFactory>)
///     .on(START, |cx, ()| cx.alias_set("server"))
///     .on(LISTENER, |cx, listener: SocketFactory| -> poe::Handled {
///         cx.alias_remove("server")?; // it is the wheel that keeps the session alive from here on
///         listener.adopt(cx)?;
///         assert_eq!(listener.session_id(), cx.session_id());
///         listener.set_success_event(CLIENT);
///         listener.set_failure_event(FAILED);
///         listener.resume_accept();
///         *cx.heap = Some(listener);
///         Ok(())
///     })
///     .on(CLIENT, |cx, client| {
///         assert_eq!(Some(client.wheel), cx.heap.as_ref().map(SocketFactory::id));
///         *cx.heap = None;
///     })
///     .on(FAILED, |_, error| panic!("{error}"))
///     .create(&kernel)?;
/// Session::builder(())
///     .on(START, move |cx, ()| -> poe::Handled {
///         let listener = SocketFactory::listen("127.0.0.1:0").start(cx);
///         listener.pause_accept();
///         let name = listener.local_name().expect("bound at once");
///         std::thread::spawn(move || std::net::TcpStream::connect(name.to_string()));
///         Ok(cx.call(server, LISTENER, listener)?)
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[doc(alias = "POE::Wheel::SocketFactory")]
pub struct SocketFactory<T = Connection> {
    state: Rc<State>,
    task: Option<TaskId>,
    brings: PhantomData<fn(T)>,
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
    pub stream: SocketStream,
    /// The name of the other end.
    pub peer: SocketName,
    /// The wheel that reports it.
    pub wheel: WheelId,
}

/// The argument of the success event of a datagram socket.
///
/// ```
/// fn on_bound(bound: poe::wheel::Datagram) -> std::io::Result<()> {
///     println!("bound to {}", bound.socket.local_name()?);
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[doc(alias = "SuccessEvent")]
#[non_exhaustive]
pub struct Datagram {
    /// The socket.
    pub socket: DatagramSocket,
    /// Whom it is connected to, if it is.
    pub peer: Option<SocketName>,
    /// The wheel that reports it.
    pub wheel: WheelId,
}

/// Settings of a [`SocketFactory`]. `T` is what its success event brings: a [`Connection`] or a [`Datagram`].
///
/// | setting | default |
/// |---|---|
/// | [`success`](Self::success), [`failure`](Self::failure) | not told: name both |
/// | [`bind`](Self::bind) | any address and port (but for listeners) |
/// | [`domain`](Self::domain) | whatever a name's addresses are, in their order |
/// | [`reuse`](Self::reuse) | `SO_REUSEADDR` on, but for datagrams |
/// | [`backlog`](Self::backlog) | 4096, which the system cuts to its own limit |
/// | [`nodelay`](Self::nodelay) | `TCP_NODELAY` on |
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// use poe::wheel::{Connection, Domain, SocketError, SocketFactory};
/// const CLIENT: Event<Connection> = Event::new("client");
/// const CONNECTED: Event<Connection> = Event::new("connected");
/// const FAILED: Event<SocketError> = Event::new("failed");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(Vec::new())
///     .on(START, |cx, ()| {
///         let server = SocketFactory::listen("127.0.0.1:0").backlog(16).nodelay(false).reuse(true);
///         let server = server.success(CLIENT).failure(FAILED).start(cx);
///         let port = server.local_addr().map_or(0, |addr| addr.port());
///         let client = SocketFactory::connect(("localhost", port))
///             .domain(Domain::Inet) // the name has an address of IPv6 as well
///             .bind("127.0.0.1:0"); // our end
///         let client = client.success(CONNECTED).failure(FAILED).start(cx);
///         cx.heap.extend([server, client]);
///     })
///     .on(CLIENT, |cx, client| {
///         assert!(client.peer.to_string().starts_with("127.0.0.1:"));
///         cx.heap.clear();
///     })
///     .on(CONNECTED, |_, server| println!("connected to {}", server.peer))
///     .on(FAILED, |_, error| panic!("{error}"))
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[must_use = "a wheel turns only after `start`"]
pub struct SocketFactoryBuilder<T = Connection> {
    role: Role,
    options: Options,
    success: Option<HeldName>,
    failure: Option<HeldName>,
    brings: PhantomData<fn(T)>,
}

#[derive(Clone, Debug)]
enum Role {
    Listen(Address),
    Connect(Address),
    Datagram(Option<Address>),
}

impl SocketFactory {
    /// Settings for a wheel that listens on an address; port 0 is any free one. A UNIX socket's path must not exist yet:
    /// it is not removed for you, neither before nor afterwards.
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

    /// Takes no more clients for now; they wait in the system's backlog.
    pub fn pause_accept(&self) {
        self.state.paused.set(true);
    }

    /// Takes clients again, those in the backlog first.
    pub fn resume_accept(&self) {
        if self.state.paused.replace(false) {
            self.state.base.schedule(self.task);
        }
    }

    /// A wheel that listens on a socket that is bound already.
    pub(crate) fn on_listener(
        listener: ListenSocket,
        nodelay: bool,
        events: (HeldName, HeldName),
        turn: &Turn<'_>,
        place: &'static Location<'static>,
    ) -> Self {
        let (success, failure) = events;
        let state = State::new(Base::new(turn, place), Some(success), Some(failure), nodelay);
        state.set_local(listener.local_name());
        let phase = Phase::Accepting(Accepting::new(listener));
        Self::start_task(state, "listening", true, phase)
    }
}

impl SocketFactory<Datagram> {
    /// Settings for a wheel that makes a datagram socket: UDP, or UNIX if an address of it is a path. It may be bound,
    /// connected, both or neither.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START, wheel::{Datagram, SocketFactory}};
    /// const MADE: Event<Datagram> = Event::new("made");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    /// let to = receiver.local_addr().unwrap().into();
    /// Session::builder(())
    ///     .on(START, |cx, ()| drop(SocketFactory::datagram().success(MADE).start(cx))) // its event is posted
    ///     .on(MADE, move |_, made| -> poe::Handled {
    ///         assert!(made.peer.is_none());
    ///         made.socket.send_to(b"hello", &to)?;
    ///         Ok(())
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await?;
    /// let mut octets = [0; 16];
    /// assert_eq!(receiver.recv(&mut octets).unwrap(), 5);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "SocketProtocol")]
    #[doc(alias = "udp")]
    pub fn datagram() -> SocketFactoryBuilder<Datagram> {
        SocketFactoryBuilder::new(Role::Datagram(None)).reuse(false)
    }
}

impl<T> SocketFactory<T> {
    /// The IP address of our end: of a listener as soon as it is bound, which is at once unless a name must be looked up
    /// first; of others when the success event comes. `None` for UNIX sockets, which have a
    /// [`local_name`](Self::local_name).
    #[doc(alias = "getsockname")]
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.state.local.borrow().as_ref().and_then(SocketName::as_socket_addr)
    }

    /// The name of our end, in any family.
    #[doc(alias = "getsockname")]
    #[must_use]
    pub fn local_name(&self) -> Option<SocketName> {
        self.state.local.borrow().clone()
    }

    /// Has connections, or the datagram socket, come as that event from now on. What was posted already comes by the old name.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START, wheel::{Datagram, SocketFactory}};
    /// const MADE: Event<Datagram> = Event::new("made");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(None::<SocketFactory<Datagram>>)
    ///     .on(START, |cx, ()| {
    ///         let wheel = SocketFactory::datagram().bind("localhost:0").start(cx); // the name is looked up, which takes its time
    ///         wheel.set_success_event(MADE);
    ///         *cx.heap = Some(wheel);
    ///     })
    ///     .on(MADE, |cx, made| assert_eq!(Some(made.wheel), cx.heap.as_ref().map(SocketFactory::id)))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "event")]
    pub fn set_success_event(&self, event: impl Posts<T>) {
        self.state.set_success(HeldName::new(event.key()));
    }

    /// Has failures come as that event from now on.
    #[doc(alias = "event")]
    pub fn set_failure_event(&self, event: impl Posts<SocketError>) {
        self.state.set_failure(HeldName::new(event.key()));
    }

    fn start_task(state: Rc<State>, what: &str, listener: bool, phase: Phase) -> Self {
        let what = format!("SocketFactory {} ({what})", state.base.id());
        let body = Box::new(FactoryTask {
            state: state.clone(),
            phase,
        });
        let task = state.base.start(&what, listener, body);
        Self::of(state, task)
    }

    fn of(state: Rc<State>, task: Option<TaskId>) -> Self {
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

impl<T> fmt::Debug for SocketFactory<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketFactory")
            .field("id", &self.id())
            .field("local_name", &self.local_name())
            .field("paused", &self.state.paused.get())
            .finish_non_exhaustive()
    }
}

impl<T: 'static> SocketFactoryBuilder<T> {
    fn new(role: Role) -> Self {
        SocketFactoryBuilder {
            role,
            options: Options::default(),
            success: None,
            failure: None,
            brings: PhantomData,
        }
    }

    /// Tells of connections, or of the datagram socket.
    #[doc(alias = "SuccessEvent")]
    pub fn success(mut self, event: impl Posts<T>) -> Self {
        self.success = Some(HeldName::new(event.key()));
        self
    }

    /// Tells of failures.
    #[doc(alias = "FailureEvent")]
    pub fn failure(mut self, event: impl Posts<SocketError>) -> Self {
        self.failure = Some(HeldName::new(event.key()));
        self
    }

    /// Binds our end to that address, or port; a listener has its own address.
    #[doc(alias = "BindAddress")]
    #[doc(alias = "BindPort")]
    pub fn bind(mut self, addr: impl Into<Address>) -> Self {
        self.options.bind = Some(addr.into());
        self
    }

    /// Uses only that kind of a name's addresses.
    #[doc(alias = "SocketDomain")]
    pub fn domain(mut self, domain: Domain) -> Self {
        self.options.domain = Some(domain);
        self
    }

    /// Whether an address may be bound that an old connection still has (`SO_REUSEADDR`); default true. For datagrams it
    /// lets several programs share an address; default false.
    #[doc(alias = "Reuse")]
    pub fn reuse(mut self, reuse: bool) -> Self {
        self.options.reuse = reuse;
        self
    }

    /// Starts the wheel for the session that is running; pass the handler's context. It never fails: whatever goes wrong
    /// comes as a failure event.
    #[track_caller]
    pub fn start(self, turn: &Turn<'_>) -> SocketFactory<T> {
        let base = Base::new(turn, Location::caller());
        let state = State::new(base, self.success, self.failure, self.options.nodelay);
        let what = match &self.role {
            Role::Listen(addr) => format!("listening on {addr}"),
            Role::Connect(addr) => format!("connecting to {addr}"),
            Role::Datagram(Some(addr)) => format!("datagrams to {addr}"),
            Role::Datagram(None) => "datagrams".to_owned(),
        };
        let listens = matches!(self.role, Role::Listen(_));
        match begin(turn.core, self.role, self.options) {
            Ok(Begun::Phase(phase)) => {
                if let Phase::Accepting(accepting) = &phase {
                    state.set_local(accepting.local_name());
                }
                SocketFactory::start_task(state, &what, listens, phase)
            }
            Ok(Begun::Datagram(socket)) => {
                let made = datagram(&state, socket);
                state.post_success(turn.core, made);
                SocketFactory::of(state, None)
            }
            Err(failed) => {
                state.post_failure(turn.core, failed);
                SocketFactory::of(state, None)
            }
        }
    }
}

impl SocketFactoryBuilder<Connection> {
    /// How many clients may wait to be accepted; default 4096, and at most what the system allows.
    #[doc(alias = "ListenQueue")]
    pub fn backlog(mut self, clients: u32) -> Self {
        self.options.backlog = clients;
        self
    }

    /// Whether small writes leave at once (`TCP_NODELAY`); default true. Means nothing to UNIX sockets.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.options.nodelay = nodelay;
        self
    }
}

impl SocketFactoryBuilder<Datagram> {
    /// Connects the socket: it sends to that address and hears from it alone.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START, wheel::{Datagram, SocketFactory}};
    /// const MADE: Event<Datagram> = Event::new("made");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    /// let addr = receiver.local_addr().unwrap();
    /// Session::builder(None)
    ///     .on(START, move |cx, ()| *cx.heap = Some(SocketFactory::datagram().remote(addr).success(MADE).start(cx)))
    ///     .on(MADE, move |_, made| -> poe::Handled {
    ///         assert_eq!(made.peer, Some(addr.into()));
    ///         made.socket.send(b"hello")?;
    ///         Ok(())
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await?;
    /// let mut octets = [0; 16];
    /// assert_eq!(receiver.recv(&mut octets).unwrap(), 5);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "RemoteAddress")]
    #[doc(alias = "RemotePort")]
    pub fn remote(mut self, addr: impl Into<Address>) -> Self {
        self.role = Role::Datagram(Some(addr.into()));
        self
    }
}

impl<T> fmt::Debug for SocketFactoryBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketFactoryBuilder")
            .field("role", &self.role)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

enum Begun {
    Phase(Phase),
    /// Made without waiting.
    Datagram(DatagramSocket),
}

/// The first step. A listener on a number is bound at once, so that its port is known when `start` returns; without a
/// runtime it cannot be, and the task does it.
fn begin(core: &Core, role: Role, options: Options) -> Result<Begun, Failed> {
    if core.is_virtual() {
        let why = "a kernel in virtual time takes no real sockets: use `Kernel::new`, or a `ReadWrite` over `tokio::io::duplex`";
        return Err(("socket", io::Error::new(io::ErrorKind::Unsupported, why)));
    }
    let in_runtime = tokio::runtime::Handle::try_current().is_ok();
    let phase = match role {
        Role::Listen(addr) => match addr.spot() {
            Some(spot) if in_runtime => Phase::Accepting(Accepting::new(make::listen_at(&spot, &options)?)),
            _ => Phase::Binding(Box::pin(make::listen(addr, options))),
        },
        Role::Connect(addr) => Phase::Connecting(Box::pin(make::connect(addr, options))),
        Role::Datagram(None) if in_runtime && options.bind.as_ref().is_none_or(|b| b.spot().is_some()) => {
            let sources: Vec<_> = options.bind.iter().filter_map(Address::spot).collect();
            return make::datagram_at(&sources, None, &options).map(Begun::Datagram);
        }
        Role::Datagram(remote) => Phase::Datagram(Box::pin(make::datagram(remote, options))),
    };
    Ok(Begun::Phase(phase))
}

/// The argument of a datagram socket's success event.
fn datagram(state: &State, socket: DatagramSocket) -> AnyArg {
    state.set_local(socket.local_name());
    let peer = socket.peer_name().ok();
    let wheel = state.base.id();
    AnyArg::new(Datagram { socket, peer, wheel })
}

struct FactoryTask {
    state: Rc<State>,
    phase: Phase,
}

type Making<T> = Pin<Box<dyn Future<Output = Result<T, Failed>>>>;

enum Phase {
    Binding(Making<ListenSocket>),
    Accepting(Accepting),
    Connecting(Making<SocketStream>),
    Datagram(Making<DatagramSocket>),
}

impl FactoryTask {
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
                Phase::Accepting(accepting) => return accepting.poll(&self.state, core, cx),
                Phase::Binding(binding) => match ready!(binding.as_mut().poll(cx)) {
                    Ok(listener) => {
                        self.state.set_local(listener.local_name());
                        self.phase = Phase::Accepting(Accepting::new(listener));
                        continue;
                    }
                    Err(failed) => Err(failed),
                },
                Phase::Connecting(connecting) => {
                    let stream = ready!(connecting.as_mut().poll(cx));
                    stream.and_then(|stream| self.connected(stream))
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
