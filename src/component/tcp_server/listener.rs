//! The listener: the session with the listening wheels, and the data that it shares with its clients.

use super::{DISCONNECTED, END_ALL, SET_CONCURRENCY};
use crate::component::callbacks::{Callback, Component};
use crate::component::connection::{CUT, SHUTDOWN, give_up_alias};
use crate::debug::debug_fields;
use crate::error::HandlerResult;
use crate::event::{Event, Keyed, START, STOP};
use crate::id::WheelId;
use crate::kernel::KERNEL_SHUTDOWN;
use crate::kernel::Signal;
use crate::name::HeldName;
use crate::session::{Context, States};
use crate::wheel::{Connection, ListenSocket, SocketError, SocketFactory, SocketName};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::panic::Location;
use std::rc::Rc;

const ACCEPTED: Event<Connection> = Event::new("tcp_server_got_connection");
const FAILED: Event<SocketError> = Event::new("tcp_server_got_failure");
const SHUTTING_DOWN: Event<Signal> = Event::new("tcp_server_got_kernel_shutdown");

/// Data shared by the listener, its clients and the `TcpServer` values.
pub(super) struct Shared {
    /// The alias, also when it has been removed.
    pub(super) alias: Option<String>,
    /// The addresses it listens on, or has listened on; at least one, since a builder begins with one.
    pub(super) local: Vec<SocketName>,
    /// One wheel for each address, until the server is shut down or its session stops.
    pub(super) factories: RefCell<Vec<SocketFactory>>,
    /// The number of clients: incremented for each accepted connection, decremented when its session is gone.
    pub(super) connections: Cell<usize>,
    pub(super) limit: Cell<usize>,
    /// Counts the connections of each address, if they are limited.
    pub(super) per_ip: Option<PerIp>,
}

/// The connections of each IP address.
pub(super) struct PerIp {
    limit: usize,
    counts: RefCell<HashMap<IpAddr, usize>>,
}

impl PerIp {
    pub(super) fn new(limit: usize) -> Self {
        PerIp {
            limit,
            counts: RefCell::default(),
        }
    }

    /// Counts a connection, unless its address has reached the limit.
    fn joined(&self, ip: IpAddr) -> bool {
        let mut counts = self.counts.borrow_mut();
        let count = counts.entry(customer(ip)).or_default();
        let room = *count < self.limit;
        *count += usize::from(room);
        if *count == 0 {
            counts.remove(&customer(ip));
        }
        room
    }

    fn left(&self, ip: IpAddr) {
        let mut counts = self.counts.borrow_mut();
        if let Entry::Occupied(mut count) = counts.entry(customer(ip)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// The unit that is counted, the network of one customer of a provider: an IPv4 address, or a /64 network of IPv6.
fn customer(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        ip => ip,
    }
}

impl Shared {
    /// Stops listening. The listener's session is sent the clients that are connected and not accepted yet, within the limit;
    /// the others see the end of their connections.
    pub(super) fn close(&self) {
        let factories = self.factories.take();
        let mut room = self.limit.get().saturating_sub(self.connections.get());
        for factory in factories {
            room -= factory.close(room);
        }
    }

    /// One of its sockets has failed for good.
    fn close_one(&self, wheel: WheelId) {
        let mut factories = self.factories.borrow_mut();
        let at = factories.iter().position(|f| f.id() == wheel);
        let factory = at.map(|at| factories.swap_remove(at));
        drop(factories);
        drop(factory);
    }

    pub(super) fn local_name(&self) -> &SocketName {
        &self.local[0]
    }

    /// The first IP address.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.local.iter().find_map(SocketName::as_socket_addr)
    }

    /// Describes the server in texts.
    pub(super) fn whose(&self) -> String {
        match &self.alias {
            Some(alias) => format!("the server `{alias}`"),
            None => format!("the server at {}", self.local_name()),
        }
    }

    /// Pauses or resumes accepting, depending on the number of clients.
    fn balance(&self) {
        for factory in &*self.factories.borrow() {
            if self.connections.get() >= self.limit.get() {
                factory.pause_accept();
            } else {
                factory.resume_accept();
            }
        }
    }

    /// Counts a client, unless its address has reached the limit.
    pub(super) fn joined(&self, ip: Option<IpAddr>) -> bool {
        if let (Some(counts), Some(ip)) = (&self.per_ip, ip)
            && !counts.joined(ip)
        {
            return false;
        }
        self.connections.set(self.connections.get() + 1);
        self.balance();
        true
    }

    pub(super) fn left(&self, ip: Option<IpAddr>) {
        if let (Some(counts), Some(ip)) = (&self.per_ip, ip) {
            counts.left(ip);
        }
        self.connections.set(self.connections.get().saturating_sub(1));
        self.balance();
    }
}

/// The listener of a [`TcpServer`](super::TcpServer), as its callbacks see it: [`cx.listener()`](Context::listener).
///
/// Callbacks such as [`acceptor`](super::TcpServerBuilder::acceptor) and [`started`](super::TcpServerBuilder::started)
/// get a `Context<'_, (), Listener>`: the listener is kept beside the session's heap.
///
/// ```
/// use poe::{Kernel, component::{SHUTDOWN, TcpServer}};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// TcpServer::builder("127.0.0.1:0")
///     .listen("127.0.0.1:0")
///     .started(|cx| {
///         println!("listening on {}", cx.listener().local_name());
///         assert_eq!(cx.listener().local_names().len(), 2);
///         assert_eq!(cx.listener().local_addr(), cx.listener().local_name().as_socket_addr());
///         assert!(cx.listener().is_listening() && cx.listener().connections() == 0);
///         cx.yield_to(SHUTDOWN, ());
///     })
///     .stopped(|cx| assert!(!cx.listener().is_listening()))
///     .start(&kernel)
///     .await?;
/// kernel.run().await
/// # }).unwrap();
/// ```
pub struct Listener {
    pub(super) shared: Rc<Shared>,
}

impl Listener {
    /// Returns the address it listens on, with the port that the system chose; the first if there are several.
    #[doc(alias = "getsockname")]
    #[must_use]
    pub fn local_name(&self) -> &SocketName {
        self.shared.local_name()
    }

    /// Returns the IP address it listens on, the first if there are several; `None` if there are UNIX sockets only.
    #[doc(alias = "getsockname")]
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.shared.local_addr()
    }

    /// Returns all addresses that it listens on, or has listened on, in the order in which they were given.
    #[must_use]
    pub fn local_names(&self) -> &[SocketName] {
        &self.shared.local
    }

    /// Returns the number of connected clients.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.get()
    }

    /// Returns whether it still listens.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        !self.shared.factories.borrow().is_empty()
    }
}

impl Component for Listener {
    fn whose(&self) -> String {
        self.shared.whose()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Its session is gone, which could take the clients that wait.
        let factories = self.shared.factories.take();
        drop(factories);
    }
}

debug_fields!([] Listener, "Listener", |this| {
    local_names: this.local_names(),
    connections: this.connections(),
    listening: this.is_listening(),
    ..
});

impl<'k, H: 'static> Context<'k, H, Listener> {
    /// Returns the listener of a [`TcpServer`](super::TcpServer), in the callbacks of its session.
    ///
    /// ```
    /// # use poe::component::TcpServer;
    /// TcpServer::builder("127.0.0.1:0")
    ///     .started(|cx| println!("listening on {}", cx.listener().local_name()))
    ///     .client_input(|cx, line| cx.client().put(line));
    /// ```
    #[must_use]
    pub fn listener(&self) -> &'k Listener {
        self.component()
    }
}

/// The kind of the listener.
pub(super) struct Role {
    pub(super) acceptor: Callback<(), Listener, Connection>,
    /// Connections are sessions of this component, which count themselves out.
    pub(super) serves: bool,
    pub(super) nodelay: bool,
    pub(super) place: &'static Location<'static>,
}

pub(super) fn listener_states(
    role: Role,
    started: Option<Callback<(), Listener, ()>>,
    stopped: Option<Callback<(), Listener, ()>>,
    failed: Option<Callback<(), Listener, SocketError>>,
) -> States<(), Listener> {
    let Role {
        acceptor,
        serves,
        nodelay,
        place,
    } = role;
    States::<(), Listener>::new()
        .on(START, move |cx, listeners: Vec<ListenSocket>| -> HandlerResult {
            for listener in listeners {
                let events = (HeldName::new(ACCEPTED.key()), HeldName::new(FAILED.key()));
                let factory = SocketFactory::on_listener(listener, nodelay, events, cx, place);
                cx.component().shared.factories.borrow_mut().push(factory);
            }
            cx.component().shared.balance();
            if let Some(alias) = &cx.component().shared.alias {
                cx.alias_set(alias)?;
            }
            cx.sig(KERNEL_SHUTDOWN, SHUTTING_DOWN);
            started.as_ref().map_or(Ok(()), |f| f(cx, ()))
        })
        .on(ACCEPTED, move |cx, connection| {
            if !serves {
                cx.component().shared.joined(None);
            }
            acceptor(cx, connection)
        })
        .on(FAILED, move |cx, error| {
            let shortage = error.is_shortage();
            if !shortage {
                cx.component().shared.close_one(error.wheel());
            }
            match &failed {
                Some(callback) => callback(cx, error),
                None if shortage => {
                    tracing::warn!(target: "poe::wheels", session = %cx.session_id(), "no client can be taken for now: {error}");
                    Ok(())
                }
                None => {
                    tracing::warn!(target: "poe::wheels", session = %cx.session_id(), "the listener closes: {error}");
                    cx.component().shared.close();
                    Ok(())
                }
            }
        })
        .on(SHUTDOWN, |cx, ()| close_listener(cx))
        .on(SET_CONCURRENCY, |cx, clients| {
            cx.component().shared.limit.set(clients);
            cx.component().shared.balance();
        })
        .on(DISCONNECTED, |cx, ()| cx.component().shared.left(None))
        .on(SHUTTING_DOWN, move |cx, _| {
            if serves {
                // Queued output must still be written: end each connection after that, instead of being stopped.
                cx.sig_handled();
                end_all(cx, &SHUTDOWN);
            } else {
                // The connections belong to sessions of the program, which watch the signal themselves if they need to.
                close_listener(cx);
            }
        })
        .on(END_ALL, |cx, now| end_all(cx, if now { &CUT } else { &SHUTDOWN }))
        .on(STOP, move |cx, ()| stopped.as_ref().map_or(Ok(()), |f| f(cx, ())))
}

/// Closes the listener and posts an event to each client.
fn end_all(cx: &mut Context<'_, (), Listener>, event: &Event<()>) {
    close_listener(cx);
    for client in cx.kernel.core.children_of(cx.session_id()) {
        // All of them exist.
        let _ = cx
            .kernel
            .core
            .post_from(None, client.into(), event.key(), (), Location::caller());
    }
}

fn close_listener(cx: &mut Context<'_, (), Listener>) {
    cx.component().shared.close();
    if let Some(alias) = &cx.component().shared.alias {
        give_up_alias(cx.kernel, alias);
    }
}
