//! What a server's session, its connections and its handles share.

use super::limits::HttpLimits;
use super::reply::Slot;
use super::work::Work;
use poe::component::TcpServer;
use poe::extend::WheelHandle;
use poe::wheel::SocketName;
use poe::{Postback, WheelId};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What the responders of a server see of it, perhaps on other threads.
#[derive(Default)]
pub(super) struct Flags {
    /// The server is shutting down, or its session has stopped.
    pub(super) ending: AtomicBool,
}

/// What a handle tells the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Drain,
    Abort,
}

/// A request on its way from a connection to the session's handler.
pub(super) struct Job {
    pub(super) handler: usize,
    pub(super) work: Work,
    /// Of the reply; its connection, if it is on HTTP/1, looks for it after the handler without being woken.
    pub(super) slot: Arc<Slot>,
    pub(super) looks: bool,
}

pub(super) struct Shared {
    pub(super) limits: HttpLimits,
    pub(super) flags: Arc<Flags>,
    /// Filled while a connection is polled, and emptied by it right after.
    pub(super) jobs: RefCell<VecDeque<Job>>,
    /// The connection that is being polled.
    pub(super) current: RefCell<Option<Rc<Client>>>,
    /// The wheels of connections, and of what they were upgraded to.
    pub(super) wheels: RefCell<HashMap<WheelId, WheelHandle>>,
    /// Ends a WebSocket, for each that there is.
    #[cfg(feature = "websocket")]
    pub(super) sockets: RefCell<HashMap<WheelId, super::websocket::WebSocket>>,
    /// The listener, from the start on.
    pub(super) listener: OnceCell<TcpServer>,
    pub(super) tell: OnceCell<Postback<(), Command>>,
    pub(super) draining: Cell<bool>,
    pub(super) connections: Cell<usize>,
    /// The requests that have come so far.
    pub(super) requests: Cell<u64>,
    per_ip: RefCell<HashMap<IpAddr, usize>>,
}

impl Shared {
    pub(super) fn new(limits: HttpLimits) -> Rc<Self> {
        Rc::new(Shared {
            limits,
            flags: Arc::default(),
            jobs: RefCell::default(),
            current: RefCell::default(),
            wheels: RefCell::default(),
            #[cfg(feature = "websocket")]
            sockets: RefCell::default(),
            listener: OnceCell::new(),
            tell: OnceCell::new(),
            draining: Cell::new(false),
            connections: Cell::new(0),
            requests: Cell::new(0),
            per_ip: RefCell::default(),
        })
    }

    /// Counts a connection, unless its address has too many.
    pub(super) fn joined(&self, peer: &SocketName) -> bool {
        let limit = self.limits.max_connections_per_ip;
        if limit != usize::MAX
            && let Some(ip) = peer.as_socket_addr().map(|addr| customer(addr.ip()))
        {
            let mut counts = self.per_ip.borrow_mut();
            let count = counts.get(&ip).copied().unwrap_or(0);
            if count >= limit {
                return false;
            }
            counts.insert(ip, count + 1);
        }
        self.connections.set(self.connections.get() + 1);
        true
    }

    fn left(&self, peer: &SocketName) {
        if self.limits.max_connections_per_ip != usize::MAX
            && let Some(ip) = peer.as_socket_addr().map(|addr| customer(addr.ip()))
        {
            let mut counts = self.per_ip.borrow_mut();
            if let Some(count) = counts.get_mut(&ip) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&ip);
                }
            }
        }
        self.connections.set(self.connections.get() - 1);
    }

    /// Wakes every connection, which then looks whether the server is draining.
    pub(super) fn wake_all(&self) {
        for wheel in self.wheels.borrow().values() {
            wheel.wake();
        }
    }
}

/// The unit that is counted: an IPv4 address, or the /64 network of IPv6 that a provider's customer has.
fn customer(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        ip => ip,
    }
}

/// A connection, as its requests see it.
pub(super) struct Client {
    pub(super) peer: SocketName,
    shared: Rc<Shared>,
    /// Requests whose response is not gone out.
    pub(super) in_flight: Cell<usize>,
    /// Responses that wait for the client, and not for the program.
    pub(super) sending: Cell<usize>,
    pub(super) served: Cell<u64>,
    pub(super) is_h2: Cell<bool>,
    /// Another wheel has its stream.
    pub(super) upgraded: Cell<bool>,
    /// It is not counted any more.
    gone: Cell<bool>,
}

impl Client {
    /// Makes one that was counted with [`Shared::joined`].
    pub(super) fn new(shared: &Rc<Shared>, peer: SocketName) -> Rc<Self> {
        Rc::new(Client {
            peer,
            shared: shared.clone(),
            in_flight: Cell::new(0),
            sending: Cell::new(0),
            served: Cell::new(0),
            is_h2: Cell::new(false),
            upgraded: Cell::new(false),
            gone: Cell::new(false),
        })
    }

    /// Ends its count, if that was not done before.
    pub(super) fn leave(&self) {
        if !self.gone.replace(true) {
            self.shared.left(&self.peer);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.leave();
    }
}
