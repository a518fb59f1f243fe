//! Starts a server: checks the settings, listens, and creates the listener's session.

use super::TcpServer;
use super::builder::{TcpServerBuilder, Where};
use super::client::client_maker;
use super::listener::{Listener, PerIp, Role, Shared, listener_states};
use crate::error::{Error, ErrorKind};
use crate::filter::Filter;
use crate::kernel::{Core, Kernel};
use crate::session::{Caller, Start};
use crate::wheel::{Address, ListenSocket};
use crate::wheel::{Failed, make};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
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
