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

mod args;
mod builder;
mod task;

use super::address::Address;
use super::base::{Base, wheel_methods};
use super::error::SocketError;
use super::socket::accept::{Accepting, State};
use super::socket::{ListenSocket, SocketName};
use crate::event::Posts;
use crate::id::TaskId;
use crate::kernel::KernelRef;
use crate::name::HeldName;
use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::panic::Location;
use std::rc::Rc;
use task::{FactoryTask, Phase, Role};

pub use args::{Connection, Datagram};
pub use builder::SocketFactoryBuilder;

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
///     .on(LISTENER, |cx, listener: SocketFactory| -> poe::HandlerResult {
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
///     .on(START, move |cx, ()| -> poe::HandlerResult {
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

impl SocketFactory {
    /// Settings for a wheel that listens on an address; port 0 is any free one. A UNIX socket's path must not exist yet:
    /// it is not removed for you, neither before nor afterwards.
    #[doc(alias = "BindAddress")]
    #[doc(alias = "BindPort")]
    pub fn listen(addr: impl Into<Address>) -> SocketFactoryBuilder {
        SocketFactoryBuilder::new(Role::Listen(addr.into()))
    }

    /// Settings for a wheel that connects to an address.
    ///
    /// If it is a name with several addresses, all of them have their turn, IPv6 and IPv4 by turns: the next one when one
    /// has failed, or after 250 ms beside those that are under way (RFC 8305). The first connection wins. A UNIX listener
    /// that is busy is asked again, for two minutes.
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
            self.state.base.wake(self.task);
        }
    }

    /// A wheel that listens on a socket that is bound already.
    pub(crate) fn on_listener(
        listener: ListenSocket,
        nodelay: bool,
        events: (HeldName, HeldName),
        kernel: &KernelRef<'_>,
        place: &'static Location<'static>,
    ) -> Self {
        let (success, failure) = events;
        let state = State::new(Base::new(kernel, place), Some(success), Some(failure), nodelay);
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
    ///     .on(MADE, move |_, made| -> poe::HandlerResult {
    ///         assert!(made.peer.is_none());
    ///         made.socket.send_to(b"hello", &to)?;
    ///         Ok(())
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await?;
    /// let mut bytes = [0; 16];
    /// assert_eq!(receiver.recv(&mut bytes).unwrap(), 5);
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
        let body = Box::new(FactoryTask::new(state.clone(), phase));
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
