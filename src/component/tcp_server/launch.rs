//! Starts a server: checks the settings, listens, and creates the listener's session.

use super::super::callbacks::{Callback, Component, Wire, named};
use super::super::connection::{LOST, PRE_CONNECTED, Plan, SHUTDOWN, Wired};
use super::super::link::Link;
use super::TcpServer;
use super::builder::{TcpServerBuilder, Where};
use super::listener::{Listener, PerIp, Role, Shared, listener_states};
use crate::debug::debug_fields;
use crate::error::{Error, ErrorKind, Failure, HandlerResult};
use crate::event::START;
use crate::filter::Filter;
use crate::id::SessionId;
use crate::kernel::{Core, Kernel};
use crate::session::{Caller, Context, Start, States};
use crate::wheel::{Address, Connection, Failed, ListenSocket, SocketName, make};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::panic::Location;
use std::rc::{Rc, Weak};

impl<H: 'static, F: Filter, S> TcpServerBuilder<H, F, S> {
    /// Binds, listens, and creates the listener's session, below the kernel.
    ///
    /// When it returns, clients can connect; they are served as soon as the kernel runs. When the kernel is shut down
    /// ([`Kernel::shutdown`]) the listener closes and each connection ends after its output is written. The server
    /// watches no signal of the process: your program decides what `TERM` and `INT` do ([`Kernel::serve_until`]).
    ///
    /// # Errors
    /// The system's, if it cannot listen there ([`Error::io`]); invalid settings; an alias that is taken; a handler is
    /// running (use [`cx.start(builder)`](crate::Context::start)).
    #[track_caller]
    pub fn start(self, kernel: &Kernel) -> impl Future<Output = Result<TcpServer, Error>> {
        let place = Location::caller();
        async move {
            self.check(&kernel.core().weak())?;
            let threads = kernel.core().threads.clone();
            let mut listeners = Vec::new();
            for place in &self.server.places {
                let listener = match place {
                    Where::At(addr) if addr.as_memory().is_some() => self.listen_in_memory(kernel.core(), addr)?,
                    Where::At(addr) => make::listen(addr.clone(), self.server.sockets.clone(), threads.clone())
                        .await
                        .map_err(|failed| cannot_listen(addr, failed))?,
                    Where::On(listener) => listener.clone(),
                };
                listeners.push(listener);
            }
            self.launch(listeners, &mut { kernel }, kernel.core().weak(), place)
        }
    }

    fn listen_in_memory(&self, core: &Core, addr: &Address) -> Result<ListenSocket, Error> {
        let name = addr.as_memory().unwrap_or_default();
        make::listen_in_memory(&core.memory, addr, name, &self.server.sockets)
            .map_err(|failed| cannot_listen(addr, failed))
    }

    /// Checks everything that can be checked before binding.
    fn check(&self, core: &Weak<Core>) -> Result<(), Error> {
        let invalid = |what: &str| Err(ErrorKind::Invalid(what.to_owned()).into());
        let clients = self.plan.callbacks.is_any() || !self.states.event_names().is_empty();
        if self.server.acceptor.is_some() {
            if clients {
                return invalid(
                    "an `acceptor` makes its own sessions, to which the `client_` callbacks and states are nothing: \
                     leave out one or the other",
                );
            }
            if self.server.per_ip.is_some() {
                return invalid(
                    "`max_connections_per_ip` counts the component's own client sessions, which an `acceptor` replaces: \
                     leave out one or the other, and count in the acceptor",
                );
            }
        }
        if let Some(core) = core.upgrade() {
            let real = |place: &Where| matches!(place, Where::At(addr) if addr.as_memory().is_none());
            if core.is_virtual() && self.server.places.iter().any(real) {
                return invalid(
                    "a kernel on virtual time cannot use real sockets: use `Kernel::new`, or an address in memory such as \
                     `memory:echo`",
                );
            }
            core.check_alias(self.plan.settings.alias.as_deref())?;
        }
        self.plan.check(&self.states, &[])
    }

    fn launch(
        self,
        listeners: Vec<ListenSocket>,
        caller: &mut impl Caller,
        core: Weak<Core>,
        place: &'static Location<'static>,
    ) -> Result<TcpServer, Error> {
        let local = listeners
            .iter()
            .map(ListenSocket::local_name)
            .collect::<io::Result<_>>();
        let local = local.map_err(|error| ErrorKind::IoOf {
            what: "cannot tell what address a server listens on: getsockname".into(),
            error,
            cure: "",
        })?;
        let (server, settings) = (self.server, self.plan.settings.clone());
        let serves = server.acceptor.is_none();
        let acceptor = server.acceptor.unwrap_or_else(|| {
            let mut plan = self.plan;
            plan.settings.on_failure = Some(server.client_policy);
            client_maker(plan, self.heap, self.states)
        });
        let shared = Rc::new(Shared {
            alias: settings.alias.clone(),
            local,
            factories: RefCell::default(),
            per_ip: server.per_ip.map(PerIp::new),
            connections: Cell::new(0),
            limit: Cell::new(server.concurrency),
        });
        let role = Role {
            acceptor,
            serves,
            nodelay: settings.nodelay,
            place,
        };
        let listener = Listener { shared: shared.clone() };
        let states = listener_states(role, server.started, server.stopped, server.failed);
        let session = settings.session((), listener, &states).args(listeners);
        let session = session.create_by(caller, place)?;
        Ok(TcpServer { core, session, shared })
    }
}

/// Inside a handler the address must be numeric or a path: a name cannot be looked up without waiting.
impl<H: 'static, F: Filter, S> Start for TcpServerBuilder<H, F, S> {
    type Started = TcpServer;

    #[track_caller]
    fn start_by(self, caller: &mut impl Caller) -> Result<TcpServer, Error> {
        let core = caller.core().weak();
        self.check(&core)?;
        let mut listeners = Vec::new();
        for place in &self.server.places {
            let listener = match place {
                Where::At(addr) if addr.as_memory().is_some() => self.listen_in_memory(caller.core(), addr)?,
                Where::At(addr) => match make::spot(addr).map_err(|failed| cannot_listen(addr, failed))? {
                    Some(spot) => {
                        make::listen_at(&spot, &self.server.sockets).map_err(|failed| cannot_listen(addr, failed))?
                    }
                    None => {
                        let what = format!(
                            "inside a handler a server needs an address, not the name `{addr}`: look it up before, or use `start(&kernel).await`"
                        );
                        return Err(ErrorKind::Invalid(what).into());
                    }
                },
                Where::On(listener) => listener.clone(),
            };
            listeners.push(listener);
        }
        self.launch(listeners, caller, core, Location::caller())
    }
}

/// Adds the address to the system's error, because a server may have several.
fn cannot_listen(addr: &Address, failed: Failed) -> Error {
    let Failed { operation, error, .. } = failed;
    let addr = addr.to_string();
    ErrorKind::Listen { addr, operation, error }.into()
}

// A server's client: the session of one connection.
/// Makes a client's heap from the client's name.
pub(super) type HeapMaker<H> = Rc<dyn Fn(SocketName) -> H>;

/// A client's entry in the counts.
struct Place {
    shared: Rc<Shared>,
    ip: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.left(self.ip);
    }
}

/// The data that a [`TcpServer`](super::TcpServer) keeps beside the heap of a client's session: the `X` of its
/// [`Context`].
///
/// [`cx.client()`](Context::client) is the connection in it, and `cx.heap` is the heap that
/// [`client_heap`](super::TcpServerBuilder::client_heap) has made.
///
/// ```
/// use poe::{Context, component::Client, filter::Line};
/// fn greet(cx: &mut Context<'_, u32, Client<Line>>) {
///     let client = cx.client();
///     *cx.heap += 1; // your heap, a number here
///     client.put(format!("hello for the {}. time", cx.heap));
/// }
/// ```
pub struct Client<F: Filter> {
    wire: Wire<F>,
    place: Place,
}

debug_fields!([F: Filter] Client<F>, "Client", |this| { peer: this.wire.peer(), .. });

impl<F: Filter> Component for Client<F> {
    fn whose(&self) -> String {
        let server = self.place.shared.whose();
        match self.wire.peer() {
            Some(peer) if peer != SocketName::Unix(None) && peer != SocketName::Memory(String::new()) => {
                format!("{server} (client {peer})")
            }
            _ => server,
        }
    }
}

impl<F: Filter> Wired for Client<F> {
    type Filter = F;
    const CLOSES_FIRST: bool = false;
    fn wire(&self) -> &Wire<F> {
        &self.wire
    }
}

impl<'k, H: 'static, F: Filter> Context<'k, H, Client<F>> {
    /// The connection of a [`TcpServer`](super::TcpServer)'s client.
    ///
    /// It borrows the session and not the context, so it can be held while the heap is borrowed.
    ///
    /// ```
    /// # use poe::component::TcpServer;
    /// TcpServer::builder("127.0.0.1:0")
    ///     .client_heap(|_| Vec::new())
    ///     .client_input(|cx, line| {
    ///         let (client, lines) = (cx.client(), &mut *cx.heap);
    ///         lines.push(line);
    ///         for line in lines {
    ///             client.put(line.clone());
    ///         }
    ///     });
    /// ```
    #[must_use]
    pub fn client(&self) -> Link<'k, F> {
        Link::new(&self.component().wire, self.kernel)
    }
}

/// Makes the acceptor that creates a session for each connection. The table of handlers is built once.
pub(super) fn client_maker<H: 'static, F: Filter>(
    plan: Plan<H, Client<F>>,
    heap: HeapMaker<H>,
    states: States<H, Client<F>>,
) -> Callback<(), Listener, Connection> {
    let plan = Rc::new(plan);
    let (on_start, on_pre_connected) = (plan.clone(), plan.clone());
    let (on_shutdown, on_lost) = (plan.clone(), plan.clone());
    let states = Plan::states(&plan, states)
        .on(START, move |cx, connection: Connection| on_start.take(cx, connection))
        .on(PRE_CONNECTED, move |cx, made| {
            on_pre_connected.pre_connected(cx, made).unwrap_or_else(|refused| {
                // It was never connected, so no callback runs, and nothing holds the session any more.
                let peer = cx.component().wire.peer().map(tracing::field::display);
                tracing::debug!(target: "poe::wheels", peer, "a client is refused: {refused}");
                Ok(())
            })
        })
        .on(SHUTDOWN, move |cx, ()| on_shutdown.shutdown(cx))
        .on(LOST, move |cx, ()| on_lost.shutdown(cx));
    Box::new(move |cx, connection| {
        let shared = cx.component().shared.clone();
        if cx.kernel.core.is_shutting_down() {
            // It waited in the backlog when the listener closed, and no session can be made for it now.
            connection.stream.hang_up();
            return Ok(());
        }
        let ip = connection.peer.as_socket_addr().map(|addr| addr.ip());
        if !shared.joined(ip) {
            let peer = tracing::field::display(&connection.peer);
            tracing::debug!(target: "poe::wheels", session = %cx.session_id(), peer, "a client has too many connections already");
            connection.stream.hang_up();
            return Ok(());
        }
        let place = Place { shared, ip };
        let heap = match named("client_heap", cx, |_| Ok(heap(connection.peer.clone()))) {
            Ok(heap) => heap,
            Err(failure) => {
                drop(connection);
                return stillborn(cx, &plan, failure);
            }
        };
        let client = Client {
            wire: Wire::new(),
            place,
        };
        let session = plan.settings.session(heap, client, &states).args(connection);
        created(cx.create(session))
    })
}

fn created(created: Result<SessionId, Error>) -> HandlerResult {
    match created {
        // The system had accepted it before the listener was closed.
        Err(error) if error.is_shutting_down() => Ok(()),
        created => Ok(created.map(drop)?),
    }
}

/// If making the client's heap fails, this is a failure of the client, not of the listener. So a session is created
/// that fails at once.
fn stillborn<H: 'static, F: Filter>(
    cx: &mut Context<'_, (), Listener>,
    plan: &Plan<H, Client<F>>,
    failure: Failure,
) -> HandlerResult {
    let states = States::<()>::new().on(START, move |_, ()| -> HandlerResult { Err(failure.clone()) });
    created(cx.create(plan.settings.session((), (), &states)))
}
