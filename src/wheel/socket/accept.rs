//! Accepting clients.
//!
//! An error of `accept` is one of three kinds. *The peer's*: this client is gone; accept the next one. *A
//! shortage* (no descriptors, no memory): every further try fails at once, so accepting pauses and is tried again by a
//! timer; one event reports each episode, however long it lasts. *The listener's own*: nothing will come any more, and
//! the wheel is over.

use super::super::address::Address;
use super::super::base::Base;
use super::super::socket_factory::Connection;
use super::backlog::WAITING;
use super::error::{SocketError, Trouble};
use super::{Failed, SocketName, SocketStream};
use crate::arg::AnyArg;
use crate::bridge::memory::MemoryListener;
use crate::bridge::moves::Again;
use crate::bridge::runtime::{Home, Pause, cannot_move};
use crate::kernel::Core;
use crate::kernel::count::Count;
use crate::name::HeldName;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, io};
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

/// The most clients accepted in one turn.
const ACCEPTS: usize = 32;

/// How long a listener pauses in a shortage.
const RETRY: Duration = Duration::from_millis(100);

/// A listening Tokio socket, TCP or UNIX, owned or shared as an `Rc`.
#[derive(Clone)]
pub struct ListenSocket {
    kind: Kind,
    /// This crate has bound it, so nobody else accepts from it.
    private: bool,
}

#[derive(Clone)]
pub(super) enum Kind {
    Tcp(Rc<TcpListener>),
    #[cfg(unix)]
    Unix(Rc<UnixListener>),
    Memory(Rc<MemoryListener>),
}

impl ListenSocket {
    fn of(kind: Kind) -> Self {
        ListenSocket { kind, private: false }
    }

    /// Returns the listening address.
    ///
    /// # Errors
    /// The system's.
    #[doc(alias = "getsockname")]
    pub fn local_name(&self) -> io::Result<SocketName> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().map(SocketName::Ip),
            #[cfg(unix)]
            Kind::Unix(listener) => listener.local_addr().map(|name| SocketName::of_unix(&name)),
            Kind::Memory(listener) => Ok(SocketName::Memory(listener.name().to_owned())),
        }
    }

    /// Returns the same socket, registered with the current runtime.
    fn again(&self) -> io::Result<ListenSocket> {
        match &self.kind {
            Kind::Tcp(listener) => listener.again().map(ListenSocket::from),
            #[cfg(unix)]
            Kind::Unix(listener) => listener.again().map(ListenSocket::from),
            Kind::Memory(_) => Ok(self.clone()),
        }
        .map(|socket| socket.private(self.private))
    }

    /// Notes whether this crate has bound the socket.
    pub(super) fn private(self, private: bool) -> Self {
        ListenSocket { private, ..self }
    }

    pub(super) fn is_private(&self) -> bool {
        self.private
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Names the two ends of a connection in memory.
    pub(super) fn in_memory(&self, (stream, peer): (DuplexStream, Option<SocketAddr>)) -> (SocketStream, SocketName) {
        let local = match &self.kind {
            Kind::Memory(listener) => listener.name().to_owned(),
            _ => String::new(),
        };
        let peer = peer.map_or_else(|| SocketName::Memory(String::new()), SocketName::Ip);
        (
            SocketStream::memory(stream, SocketName::Memory(local), peer.clone()),
            peer,
        )
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(SocketStream, SocketName)>> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, peer) = ready!(listener.poll_accept(cx))?;
                Poll::Ready(Ok((stream.into(), SocketName::Ip(peer))))
            }
            #[cfg(unix)]
            Kind::Unix(listener) => {
                let (stream, peer) = ready!(listener.poll_accept(cx))?;
                Poll::Ready(Ok((stream.into(), SocketName::of_unix(&peer))))
            }
            Kind::Memory(listener) => listener.poll_accept(cx).map(|accepted| Ok(self.in_memory(accepted))),
        }
    }
}

impl From<MemoryListener> for ListenSocket {
    fn from(listener: MemoryListener) -> Self {
        Self::of(Kind::Memory(Rc::new(listener))).private(true)
    }
}

impl From<TcpListener> for ListenSocket {
    fn from(listener: TcpListener) -> Self {
        Rc::new(listener).into()
    }
}

impl From<Rc<TcpListener>> for ListenSocket {
    fn from(listener: Rc<TcpListener>) -> Self {
        Self::of(Kind::Tcp(listener))
    }
}

#[cfg(unix)]
impl From<UnixListener> for ListenSocket {
    fn from(listener: UnixListener) -> Self {
        Rc::new(listener).into()
    }
}

#[cfg(unix)]
impl From<Rc<UnixListener>> for ListenSocket {
    fn from(listener: Rc<UnixListener>) -> Self {
        Self::of(Kind::Unix(listener))
    }
}

impl fmt::Debug for ListenSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Tcp(listener) => listener.fmt(f),
            #[cfg(unix)]
            Kind::Unix(listener) => listener.fmt(f),
            Kind::Memory(listener) => write!(f, "memory:{}", listener.name()),
        }
    }
}

/// The state that a wheel's value and its task share.
pub(crate) struct AcceptState {
    pub(crate) base: Base,
    success: RefCell<Option<HeldName>>,
    failure: RefCell<Option<HeldName>>,
    pub(crate) nodelay: bool,
    pub(crate) paused: Cell<bool>,
    pub(crate) local: RefCell<Option<SocketName>>,
    /// The socket that the task accepts from, until it is closed.
    listener: RefCell<Option<ListenSocket>>,
}

impl AcceptState {
    pub(crate) fn new(base: Base, success: Option<HeldName>, failure: Option<HeldName>, nodelay: bool) -> Rc<Self> {
        Rc::new(AcceptState {
            base,
            success: RefCell::new(success),
            failure: RefCell::new(failure),
            nodelay,
            paused: Cell::new(false),
            local: RefCell::default(),
            listener: RefCell::default(),
        })
    }

    pub(crate) fn set_local(&self, local: io::Result<SocketName>) {
        *self.local.borrow_mut() = local.ok();
    }

    pub(crate) fn set_success(&self, event: HeldName) {
        let old = self.success.replace(Some(event));
        drop(old);
    }

    pub(crate) fn set_failure(&self, event: HeldName) {
        let old = self.failure.replace(Some(event));
        drop(old);
    }

    /// Dispatches a success. `None`: the wheel is gone.
    pub(crate) fn succeed(&self, core: &Core, made: AnyArg) -> Option<()> {
        let event = self.success.borrow().as_ref().map(HeldName::idx);
        event.map_or(Some(()), |event| self.base.deliver(core, event, made))
    }

    pub(crate) fn fail(&self, core: &Core, failed: Failed) -> Option<()> {
        let event = self.failure.borrow().as_ref().map(HeldName::idx);
        event.map_or(Some(()), |event| self.base.deliver(core, event, self.error(failed)))
    }

    /// Posts a success that happened while the wheel was made.
    pub(crate) fn post_success(&self, core: &Core, made: AnyArg) {
        if let Some(event) = &*self.success.borrow() {
            self.base.post(core, event, made);
        }
    }

    /// Posts a failure that was found while the wheel was made.
    pub(crate) fn post_failure(&self, core: &Core, failed: Failed) {
        if let Some(event) = &*self.failure.borrow() {
            self.base.post(core, event, self.error(failed));
        }
    }

    /// Posts the clients that are connected and not accepted yet, as many as there is room for; returns their number.
    pub(crate) fn post_waiting(&self, room: usize) -> usize {
        let (Some(core), Some(listener)) = (self.base.core(), self.listener.borrow().clone()) else {
            return 0;
        };
        let waiting = std::iter::from_fn(|| listener.take_waiting()).take(room.min(WAITING));
        waiting
            .inspect(|_| core.count(Count::Accept))
            .map(|(stream, peer)| self.post_success(&core, self.connection(stream, peer)))
            .count()
    }

    fn connection(&self, stream: SocketStream, peer: SocketName) -> AnyArg {
        if let Some(tcp) = stream.as_tcp() {
            // Fails only on a connection that is gone, which its reader will see.
            let _ = tcp.set_nodelay(self.nodelay);
        }
        let wheel = self.base.id();
        AnyArg::new(Connection { stream, peer, wheel })
    }

    /// The end of accepting: those who still wait see the end of their connections.
    fn close(&self) {
        let listener = self.listener.take();
        if let Some(listener) = listener {
            listener.refuse_waiting();
        }
    }

    fn error(&self, failed: Failed) -> AnyArg {
        let local = || self.local.borrow().as_ref().map(Address::from);
        let address = failed.address.or_else(local);
        AnyArg::new(SocketError::new(
            failed.operation,
            failed.error,
            self.base.id(),
            address,
        ))
    }
}

pub(crate) struct Accepting {
    state: Rc<AcceptState>,
    listener: ListenSocket,
    /// The rest of this turn's batch, if the turn has paused in it.
    left: usize,
    /// Runs while accepting pauses.
    retry: Option<Pause>,
    home: Home,
    /// `accept` has failed and not succeeded since: this was reported already.
    failing: bool,
}

impl Accepting {
    pub(crate) fn new(state: &Rc<AcceptState>, listener: ListenSocket) -> Self {
        state.set_local(listener.local_name());
        drop(state.listener.replace(Some(listener.clone())));
        Accepting {
            state: state.clone(),
            listener,
            retry: None,
            left: 0,
            home: Home::here(),
            failing: false,
        }
    }

    /// Ready when the listener cannot be used any more.
    pub(crate) fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        let state = &*self.state;
        if self.home.has_moved() {
            match self.listener.again() {
                Ok(listener) => {
                    drop(state.listener.replace(Some(listener.clone())));
                    self.listener = listener;
                }
                Err(error) => {
                    // No descriptor now, perhaps later.
                    self.home = Home::default();
                    self.retry = Some(Pause::new(RETRY));
                    if !std::mem::replace(&mut self.failing, true) {
                        let _ = state.fail(core, ("accept", cannot_move(&error)).into());
                    }
                }
            }
        }
        let batch = match std::mem::take(&mut self.left) {
            0 => ACCEPTS,
            left => left,
        };
        for left in (0..batch).rev() {
            if state.paused.get() {
                return Poll::Pending;
            }
            if let Some(retry) = &mut self.retry {
                ready!(Pin::new(retry).poll(cx));
                self.retry = None;
            }
            let going_on = match ready!(self.listener.poll_accept(cx)) {
                Ok((stream, peer)) => {
                    self.failing = false;
                    core.count(Count::Accept);
                    state.succeed(core, state.connection(stream, peer))
                }
                Err(error) => match Trouble::of(&error) {
                    Trouble::Peer => Some(()),
                    Trouble::Shortage => {
                        self.retry = Some(Pause::new(RETRY));
                        match std::mem::replace(&mut self.failing, true) {
                            true => Some(()),
                            false => state.fail(core, ("accept", error).into()),
                        }
                    }
                    Trouble::Listener => {
                        state.fail(core, ("accept", error).into());
                        return Poll::Ready(());
                    }
                },
            };
            if going_on.is_none() {
                return Poll::Pending;
            }
            core.count_step();
            if core.must_yield() && left > 0 {
                self.left = left;
                core.pause_turn();
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.state.close();
    }
}
