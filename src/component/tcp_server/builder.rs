//! The settings of a server, and its start.

use super::TcpServer;
use super::client::{ClientHeap, HeapMaker, client_maker};
use super::listener::{Listener, Role, Shared, listener_states};
use crate::component::callbacks::{Callback, Callbacks, callback, plain, pre_connect};
use crate::component::connection::Plan;
use crate::component::settings::{SessionType, Settings, connection_settings};
use crate::error::{Error, ErrorKind};
use crate::event::Calls;
use crate::filter::{Filter, Line};
use crate::kernel::{Caller, Core, Invoke, Kernel};
use crate::session::{Context, IntoReply, States};
use crate::wheel::make::{self, Options};
use crate::wheel::{Address, Connection, IoError, ListenSocket, SocketError, SocketName, SocketStream};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Settings of a [`TcpServer`]. Name [`filter`](Self::filter) and [`client_heap`](Self::client_heap) first: they say what
/// the handlers are given.
///
/// | setting | default |
/// |---|---|
/// | [`filter`](Self::filter) | [`Line::new`] |
/// | [`client_heap`](Self::client_heap) | `()` |
/// | [`client_input`](Self::client_input) or [`acceptor`](Self::acceptor) | one of them is required |
/// | [`client_error`](Self::client_error) | logs, but for the end of the input and a reset |
/// | [`client_pre_connect`](Self::client_pre_connect) | the socket as it is |
/// | other callbacks | nothing |
/// | [`error`](Self::error) | logs; what is no shortage closes the listener |
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
    places: Vec<Where>,
    sockets: Options,
    concurrency: usize,
    settings: Settings,
    filter: Rc<dyn Fn() -> F>,
    heap: HeapMaker<H>,
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

/// Where it is to listen.
#[derive(Debug)]
enum Where {
    At(Address),
    On(ListenSocket),
}

impl TcpServerBuilder<(), Line> {
    /// Settings for a server that listens nowhere yet.
    pub(super) fn new() -> Self {
        TcpServerBuilder {
            places: Vec::new(),
            sockets: Options::default(),
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
}

impl<H: 'static, F: Filter> TcpServerBuilder<H, F> {
    /// Listens there, too. A UNIX socket's path must not exist yet: it is not removed for you, neither before nor
    /// afterwards.
    ///
    /// ```
    /// use poe::component::TcpServer;
    /// let settings = TcpServer::builder("0.0.0.0:7777").listen("[::1]:7777").listen("unix:/run/service");
    /// ```
    #[doc(alias = "Address")]
    pub fn listen(mut self, addr: impl Into<Address>) -> Self {
        self.places.push(Where::At(addr.into()));
        self
    }

    /// Takes clients from a socket that listens already, too.
    pub fn listener(mut self, listener: impl Into<ListenSocket>) -> Self {
        self.places.push(Where::On(listener.into()));
        self
    }

    /// How each client's octets become records and back: makes a filter per connection.
    /// A pair of filters reads by the first and writes by the second.
    #[doc(alias = "ClientFilter")]
    #[doc(alias = "ClientInputFilter")]
    #[doc(alias = "ClientOutputFilter")]
    pub fn filter<G: Filter>(self, filter: impl Fn() -> G + 'static) -> TcpServerBuilder<H, G> {
        let heap = self.heap.clone();
        self.retype(Rc::new(filter), heap)
    }

    /// Makes a client's heap of its name, which prints as an address does.
    #[doc(alias = "HEAP")]
    #[doc(alias = "ClientArgs")]
    pub fn client_heap<I: 'static>(self, heap: impl Fn(SocketName) -> I + 'static) -> TcpServerBuilder<I, F> {
        let filter = self.filter.clone();
        self.retype(filter, Rc::new(heap))
    }

    fn retype<I: 'static, G: Filter>(self, filter: Rc<dyn Fn() -> G>, heap: HeapMaker<I>) -> TcpServerBuilder<I, G> {
        let misordered = self.misordered || self.stateful || self.callbacks.is_any();
        TcpServerBuilder {
            places: self.places,
            sockets: self.sockets,
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

    /// Makes of a client's socket the stream that is read and written: the place for TLS, for a greeting of another
    /// protocol, or for refusing somebody, by an error. Runs when the client was accepted; `client_connected` comes when
    /// the future is done. Who is refused sees the end of the connection, and no callback hears of it.
    ///
    /// The future counts as a client. It has no limit of its own: put `tokio::time::timeout` round it if it waits for the
    /// client.
    ///
    /// ```
    /// use poe::component::TcpServer;
    /// TcpServer::builder("0.0.0.0:7777")
    ///     .client_pre_connect(|cx, stream| {
    ///         let local = cx.client().peer_addr().is_some_and(|peer| peer.ip().is_loopback());
    ///         async move { if local { Ok(stream) } else { Err(std::io::ErrorKind::PermissionDenied.into()) } }
    ///     })
    ///     .client_input(|cx, line| cx.client().put(line));
    /// ```
    #[doc(alias = "ClientPreConnect")]
    pub fn client_pre_connect<Fut, S>(
        mut self,
        f: impl Fn(&mut Context<'_, ClientHeap<H, F>>, SocketStream) -> Fut + 'static,
    ) -> Self
    where
        Fut: Future<Output = io::Result<S>> + 'static,
        S: AsyncRead + AsyncWrite + 'static,
    {
        self.callbacks.pre_connect = Some(pre_connect("client_pre_connect", f));
        self
    }

    /// A client has connected. Runs inside its session's `_start`, unless PreConnect was waited for.
    #[doc(alias = "ClientConnected")]
    pub fn client_connected<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, ClientHeap<H, F>>) -> R + 'static,
    ) -> Self {
        self.callbacks.connected = Some(plain("client_connected", f));
        self
    }

    /// A client has sent a record. Not called any more once its connection is to end.
    #[doc(alias = "ClientInput")]
    pub fn client_input<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, ClientHeap<H, F>>, F::Input) -> R + 'static,
    ) -> Self {
        self.callbacks.input = Some(callback("client_input", f));
        self
    }

    /// Everything that was put for a client has been written.
    #[doc(alias = "ClientFlushed")]
    pub fn client_flushed<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, ClientHeap<H, F>>) -> R + 'static,
    ) -> Self {
        self.callbacks.flushed = Some(plain("client_flushed", f));
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
        self.callbacks.error = Some(callback("client_error", f));
        self
    }

    /// A client has gone: once for each that connected, also when its session is stopped from outside. The session ends
    /// then, unless something holds it: clear timers here ([`alarm_clear`](crate::Turn::alarm_clear)).
    #[doc(alias = "ClientDisconnected")]
    pub fn client_disconnected<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, ClientHeap<H, F>>) -> R + 'static,
    ) -> Self {
        self.callbacks.disconnected = Some(plain("client_disconnected", f));
        self
    }

    /// What waits to be written to a client has reached the high mark.
    #[doc(alias = "ClientHigh")]
    pub fn client_high<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, ClientHeap<H, F>>) -> R + 'static) -> Self {
        self.callbacks.high = Some(plain("client_high", f));
        self
    }

    /// … and has fallen to the low mark.
    #[doc(alias = "ClientLow")]
    pub fn client_low<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, ClientHeap<H, F>>) -> R + 'static) -> Self {
        self.callbacks.low = Some(plain("client_low", f));
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
    /// `client_` callbacks. Tell the listener by
    /// [`DISCONNECTED`](super::DISCONNECTED) of each that has left, if there is a [limit](Self::concurrency); but not from
    /// the `_stop` of a session of yours, since what is posted there goes with the session.
    /// It may make sessions of any kind, such as an [`Nfa`](crate::Nfa). (A [`session_type`](Self::session_type) is for
    /// the sessions that the component makes.)
    #[doc(alias = "Acceptor")]
    pub fn acceptor<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, Listener>, Connection) -> R + 'static) -> Self {
        self.acceptor = Some(callback("acceptor", f));
        self
    }

    /// The listener has started. Runs inside its `_start`.
    #[doc(alias = "Started")]
    pub fn started<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, Listener>) -> R + 'static) -> Self {
        self.started = Some(plain("started", f));
        self
    }

    /// The listener ends. Runs inside its `_stop`.
    #[doc(alias = "Stopped")]
    pub fn stopped<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, Listener>) -> R + 'static) -> Self {
        self.stopped = Some(plain("stopped", f));
        self
    }

    /// Accepting has failed. If it [is a shortage](SocketError::is_shortage), it is tried again by itself; otherwise that
    /// socket is closed. Without this callback a failure is logged, and one that is no shortage closes the listener.
    #[doc(alias = "Error")]
    pub fn error<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, Listener>, SocketError) -> R + 'static) -> Self {
        self.failed = Some(callback("error", f));
        self
    }

    /// The listener's alias.
    #[doc(alias = "Alias")]
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.settings.alias = Some(alias.into());
        self
    }

    /// How many clients there may be at a time; others wait in the system's backlog. One that is [heard out](Self::linger)
    /// still counts. With 0 the server starts paused, until [`SET_CONCURRENCY`](super::SET_CONCURRENCY) says otherwise.
    #[doc(alias = "Concurrency")]
    pub fn concurrency(mut self, clients: usize) -> Self {
        self.concurrency = clients;
        self
    }

    /// How many clients may wait to be accepted, at most what the system allows; default 4096.
    #[doc(alias = "ListenQueue")]
    pub fn backlog(mut self, clients: u32) -> Self {
        self.sockets.backlog = clients;
        self
    }

    /// Whether an address may be bound that an old connection still has (`SO_REUSEADDR`); default true.
    pub fn reuse(mut self, reuse: bool) -> Self {
        self.sockets.reuse = reuse;
        self
    }

    /// Has the kernel run session types of one's own: for each session that the component makes, the listener's and then
    /// each client's, the closure is given the session's own object and returns the one to run, which does a few things
    /// by itself and leaves the rest to the other: see [`SessionBuilder::session_type`](crate::SessionBuilder::session_type).
    /// What POE has as `SessionParams` is captured by the closure.
    ///
    /// ```
    /// use poe::component::{TcpClient, TcpServer};
    /// use poe::{AnyArg, Invoke, Invoked, Kernel, Name, Turn};
    /// use std::rc::Rc;
    ///
    /// /// A session whose failures end nothing.
    /// struct Forgiving(Rc<dyn Invoke>);
    ///
    /// impl Invoke for Forgiving {
    ///     fn invoke(&self, turn: Turn<'_>, arg: &mut AnyArg) -> Invoked {
    ///         match self.0.invoke(turn, arg) {
    ///             Invoked::Failed(failure) => {
    ///                 eprintln!("session {}: {failure}", turn.session_id());
    ///                 Invoked::Returned
    ///             }
    ///             other => other,
    ///         }
    ///     }
    ///     // … and the other methods, each passed on
    /// #     fn event_names(&self) -> Vec<Name> {
    /// #         self.0.event_names()
    /// #     }
    /// #     fn heap_type(&self) -> &'static str {
    /// #         self.0.heap_type()
    /// #     }
    /// #     fn heap_size(&self) -> usize {
    /// #         self.0.heap_size()
    /// #     }
    /// #     fn options(&self) -> Vec<(String, String)> {
    /// #         self.0.options()
    /// #     }
    /// #     fn set_option(&self, name: &str, value: Option<&str>) -> Option<String> {
    /// #         self.0.set_option(name, value)
    /// #     }
    /// }
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let server = TcpServer::builder("127.0.0.1:0")
    ///     .session_type(|session| Rc::new(Forgiving(session)))
    ///     .client_input(|cx, line| -> poe::Handled {
    ///         let number: u64 = line.parse()?;
    ///         cx.client().put((2 * number).to_string());
    ///         Ok(())
    ///     })
    ///     .start(&kernel)
    ///     .await?;
    /// TcpClient::builder(server.local_name())
    ///     .connected(|cx| {
    ///         cx.server().put("one"); // which is no number
    ///         cx.server().put("21");
    ///     })
    ///     .server_input(move |cx, answer| {
    ///         assert_eq!(answer, "42");
    ///         cx.server().shutdown();
    ///         server.shutdown();
    ///     })
    ///     .start(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "SessionType")]
    #[doc(alias = "SessionParams")]
    pub fn session_type(mut self, session_type: impl Fn(Rc<dyn Invoke>) -> Rc<dyn Invoke> + 'static) -> Self {
        self.settings.session_type = Some(SessionType::new(session_type));
        self
    }

    connection_settings!("client");

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
            self.check(&kernel.core().weak())?;
            let mut listeners = Vec::new();
            for place in &self.places {
                let listener = match place {
                    Where::At(addr) => make::listen(addr.clone(), self.sockets.clone())
                        .await
                        .map_err(|failed| cannot_listen(addr, failed))?,
                    Where::On(listener) => listener.clone(),
                };
                listeners.push(listener);
            }
            let mut kernel = kernel;
            let core = kernel.core().weak();
            self.launch(listeners, &mut kernel, core, true, place)
        }
    }

    /// The same inside a handler, with the listener's session below that handler's. The address must be a number or a
    /// path: a name cannot be looked up without waiting.
    ///
    /// # Errors
    /// As [`start`](Self::start); a name for an address.
    #[track_caller]
    pub fn start_in<P: 'static>(self, cx: &mut Context<'_, P>) -> Result<TcpServer, Error> {
        let core = cx.kernel.core.weak();
        self.check(&core)?;
        let mut listeners = Vec::new();
        for place in &self.places {
            let listener = match place {
                Where::At(addr) => match addr.spot() {
                    Some(spot) => {
                        make::listen_at(&spot, &self.sockets).map_err(|failed| cannot_listen(addr, failed))?
                    }
                    None => {
                        let what = format!("`start_in` needs an address, not the name `{addr}`: look it up before");
                        return Err(ErrorKind::Invalid(what).into());
                    }
                },
                Where::On(listener) => listener.clone(),
            };
            listeners.push(listener);
        }
        self.launch(listeners, cx, core, false, Location::caller())
    }

    /// What can be said before anything is bound.
    fn check(&self, core: &Weak<Core>) -> Result<(), Error> {
        let invalid = |what: &str| Err(ErrorKind::Invalid(what.to_owned()).into());
        if self.misordered {
            return invalid("`filter` and `client_heap` say what the handlers are given: name them before any handler");
        }
        let client = self.callbacks.is_any() || self.stateful;
        match (&self.acceptor, client, &self.callbacks.input) {
            (Some(_), true, _) => {
                return invalid(
                    "an `acceptor` makes its own sessions, to which the `client_` callbacks and states are nothing: \
                     leave out one or the other",
                );
            }
            (None, _, None) => {
                return invalid(
                    "a server needs to know what to do with its clients: add `client_input`, or an `acceptor`",
                );
            }
            _ => {}
        }
        if let Some(core) = core.upgrade() {
            if core.is_virtual() {
                return invalid(
                    "a kernel in virtual time takes no real sockets: use `Kernel::new`, or a `ReadWrite` over `tokio::io::duplex`",
                );
            }
            core.check_alias(self.settings.alias.as_deref())?;
        }
        Plan::check(&self.settings, &self.callbacks, &*self.filter, &self.states, &[])
    }

    fn launch(
        self,
        listeners: Vec<ListenSocket>,
        caller: &mut impl Caller,
        core: Weak<Core>,
        top: bool,
        place: &'static Location<'static>,
    ) -> Result<TcpServer, Error> {
        let local = listeners
            .iter()
            .map(ListenSocket::local_name)
            .collect::<io::Result<_>>();
        let local = local.map_err(|error| ErrorKind::Io {
            operation: "getsockname",
            error,
        })?;
        let (settings, serves) = (self.settings.clone(), self.acceptor.is_none());
        let acceptor = match self.acceptor {
            Some(acceptor) => acceptor,
            None => {
                let plan = Plan {
                    settings: self.settings,
                    callbacks: self.callbacks,
                    filter: self.filter,
                    ended: None,
                };
                client_maker(plan, self.heap, self.states)
            }
        };
        let shared = Rc::new(Shared {
            alias: settings.alias.clone(),
            local,
            factories: RefCell::default(),
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
        let listener = Listener {
            shared: shared.clone(),
        };
        let states = listener_states(role, self.started, self.stopped, self.failed);
        let session = settings.session(listener, &states).args(listeners);
        let session = session.create_by(caller, place)?;
        Ok(TcpServer { core, session, shared })
    }
}

impl<H, F: Filter> fmt::Debug for TcpServerBuilder<H, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpServerBuilder")
            .field("places", &self.places)
            .field("concurrency", &self.concurrency)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The system does not say which address it was, and with several the user would have to guess.
fn cannot_listen(addr: &Address, (operation, error): (&'static str, io::Error)) -> Error {
    let addr = addr.to_string();
    ErrorKind::Listen { addr, operation, error }.into()
}
