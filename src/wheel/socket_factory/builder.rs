//! The settings of a SocketFactory, and how it starts.

use super::task::{Begun, Phase, Role, begin, datagram};
use super::{Connection, Datagram, SocketFactory};
use crate::event::Posts;
use crate::kernel::KernelRef;
use crate::name::HeldName;
use crate::wheel::address::Address;
use crate::wheel::base::Base;
use crate::wheel::error::SocketError;
use crate::wheel::socket::Domain;
use crate::wheel::socket::accept::State;
use crate::wheel::socket::make::Options;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::time::Duration;

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

impl<T: 'static> SocketFactoryBuilder<T> {
    pub(super) fn new(role: Role) -> Self {
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

    /// Says how long there is for connecting; to end it then is the caller's.
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.options.connect_timeout = Some(limit);
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
    pub fn start(self, kernel: &KernelRef<'_>) -> SocketFactory<T> {
        let base = Base::new(kernel, Location::caller());
        let state = State::new(base, self.success, self.failure, self.options.nodelay);
        let what = match &self.role {
            Role::Listen(addr) => format!("listening on {addr}"),
            Role::Connect(addr) => format!("connecting to {addr}"),
            Role::Datagram(Some(addr)) => format!("datagrams to {addr}"),
            Role::Datagram(None) => "datagrams".to_owned(),
        };
        let listens = matches!(self.role, Role::Listen(_));
        match begin(kernel.core, self.role, self.options) {
            Ok(Begun::Phase(phase)) => {
                if let Phase::Accepting(accepting) = &phase {
                    state.set_local(accepting.local_name());
                }
                SocketFactory::start_task(state, &what, listens, phase)
            }
            Ok(Begun::Datagram(socket)) => {
                let made = datagram(&state, socket);
                state.post_success(kernel.core, made);
                SocketFactory::of(state, None)
            }
            Err(failed) => {
                state.post_failure(kernel.core, failed);
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
    ///     .on(MADE, move |_, made| -> poe::HandlerResult {
    ///         assert_eq!(made.peer, Some(addr.into()));
    ///         made.socket.send(b"hello")?;
    ///         Ok(())
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await?;
    /// let mut bytes = [0; 16];
    /// assert_eq!(receiver.recv(&mut bytes).unwrap(), 5);
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
