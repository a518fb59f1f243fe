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

mod args;
mod builder;
mod task;

use super::address::Address;
use super::base::{Base, wheel_methods};
use super::error::SocketError;
use super::socket::accept::{AcceptState, Accepting};
use super::socket::{ListenSocket, SocketName};
use crate::debug::debug_fields;
use crate::event::Posts;
use crate::id::{Place, TaskId};
use crate::kernel::KernelRef;
use crate::name::HeldName;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::rc::Rc;
use task::{FactoryTask, Phase, Role};

pub use args::{Connection, Datagram};
pub use builder::SocketFactoryBuilder;

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
