//! Connections in memory, within one kernel: the listeners by name, and the clients that wait to be accepted.
//!
//! Nothing here uses the operating system, so servers and clients run under virtual time.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use tokio::io::DuplexStream;

/// The size of the buffer of each direction of a connection, in bytes.
const ROOM: usize = 64 * 1024;

/// The listeners of a kernel, by name.
#[derive(Clone, Default)]
pub(crate) struct Network(Rc<RefCell<BTreeMap<String, Weak<Hub>>>>);

struct Hub {
    name: String,
    backlog: usize,
    waiting: RefCell<VecDeque<(DuplexStream, Option<SocketAddr>)>>,
    waker: Cell<Option<Waker>>,
}

/// A listener in memory. Dropping it frees its name; clients that wait see the end of the connection.
pub(crate) struct MemoryListener {
    hub: Rc<Hub>,
    network: Network,
}

impl Network {
    /// Listens under a name; an empty one means any free name, like port 0.
    ///
    /// # Errors
    /// The name is taken.
    pub(crate) fn listen(&self, name: &str, backlog: u32) -> io::Result<MemoryListener> {
        let mut hubs = self.0.borrow_mut();
        let name = match name {
            "" => (1_u32..)
                .map(|number| number.to_string())
                .find(|name| !hubs.contains_key(name))
                .unwrap_or_default(),
            name if hubs.contains_key(name) => {
                let what = format!("a server in memory listens on `memory:{name}` already");
                return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
            }
            name => name.to_owned(),
        };
        let hub = Rc::new(Hub {
            name: name.clone(),
            backlog: usize::try_from(backlog).unwrap_or(usize::MAX).max(1),
            waiting: RefCell::default(),
            waker: Cell::new(None),
        });
        hubs.insert(name, Rc::downgrade(&hub));
        let network = self.clone();
        Ok(MemoryListener { hub, network })
    }

    /// Connects to a listener, which sees `from` as its client's address.
    ///
    /// # Errors
    /// No listener has that name, or too many clients wait already.
    pub(crate) fn connect(&self, name: &str, from: Option<SocketAddr>) -> io::Result<DuplexStream> {
        let refused = |what: String| io::Error::new(io::ErrorKind::ConnectionRefused, what);
        let hub = self.0.borrow().get(name).and_then(Weak::upgrade);
        let hub = hub.ok_or_else(|| refused(format!("no server of this kernel listens on `memory:{name}`")))?;
        if hub.waiting.borrow().len() >= hub.backlog {
            return Err(refused(format!("the backlog of `memory:{name}` is full")));
        }
        let (near, far) = tokio::io::duplex(ROOM);
        hub.waiting.borrow_mut().push_back((far, from));
        if let Some(waker) = hub.waker.take() {
            waker.wake();
        }
        Ok(near)
    }
}

impl MemoryListener {
    pub(crate) fn name(&self) -> &str {
        &self.hub.name
    }

    /// Accepts a client that waits already.
    pub(crate) fn take_waiting(&self) -> Option<(DuplexStream, Option<SocketAddr>)> {
        self.hub.waiting.borrow_mut().pop_front()
    }

    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<(DuplexStream, Option<SocketAddr>)> {
        match self.take_waiting() {
            Some(client) => Poll::Ready(client),
            None => {
                self.hub.waker.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.network.0.borrow_mut().remove(&self.hub.name);
    }
}
