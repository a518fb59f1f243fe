//! A client (POE::Component::Client::TCP): one session with a connection that it makes.
//!
//! Callbacks: `started`, then `connected` or `connect_error`; records come between `connected` and `disconnected`,
//! which are called in pairs.

mod builder;
mod session;

pub use builder::TcpClientBuilder;

use super::callbacks::{Component, Wire};
use super::connection::{CUT, SHUTDOWN, Wired};
use super::link::Link;
use crate::debug::debug_fields;
use crate::event::{Event, Posts};
use crate::filter::{Filter, Line};
use crate::id::{SessionId, TimerId, WheelId};
use crate::kernel::Core;
use crate::session::Context;
use crate::wheel::{Address, SocketFactory};
use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Weak;
use std::time::Duration;

/// Reconnects to the same address; output that is not written is lost. Post it to a [`TcpClient`]'s session.
///
/// ```
/// use poe::{Kernel, component::{RECONNECT, TcpClient}};
/// use std::time::Duration;
/// # tokio_test::block_on(async {
/// # let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// # let nobody = busy.local_addr().unwrap();
/// # drop(busy);
/// let kernel = Kernel::new();
/// TcpClient::builder(nobody)
///     .heap(0)
///     .connect_error(|cx, error| {
///         *cx.heap += 1;
///         match *cx.heap {
///             3 => println!("gives up: {error}"),
///             n => cx.delay(RECONNECT, Duration::from_millis(n), ()),
///         }
///     })
///     .start(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
pub const RECONNECT: Event<()> = Event::new("reconnect");

/// Connects to another address, which [`RECONNECT`] uses from then on. Post it to a [`TcpClient`]'s session.
///
/// ```
/// use poe::{Kernel, component::{CONNECT, TcpClient}, wheel::Address};
/// # tokio_test::block_on(async {
/// # let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// # let nobody = busy.local_addr().unwrap();
/// # drop(busy);
/// let kernel = Kernel::new();
/// TcpClient::builder(nobody)
///     .alias("client")
///     .connect_error(move |cx, _| match cx.target() == Address::from("127.0.0.1:1") {
///         false => cx.yield_to(CONNECT, Address::from("127.0.0.1:1")),
///         true => cx.server().shutdown(),
///     })
///     .start(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
pub const CONNECT: Event<Address> = Event::new("connect");

/// A handle to a client for TCP and UNIX sockets (`POE::Component::Client::TCP`); dropping it changes nothing.
///
/// ```
/// use poe::{Kernel, component::TcpClient};
/// # tokio_test::block_on(async {
/// # let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// # let addr = busy.local_addr().unwrap();
/// # drop(busy);
/// let kernel = Kernel::new();
/// TcpClient::builder(addr)
///     .connected(|cx| cx.server().put("GET / HTTP/1.0\r\n"))
///     .server_input(|_, line| println!("{line}"))
///     .connect_error(|_, error| println!("nobody there: {error}"))
///     .start(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
///
/// Controlling a client from outside:
///
/// ```
/// use poe::{Kernel, component::{TcpClient, TcpServer}};
/// use std::{cell::RefCell, rc::Rc};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let greeter = |name: &'static str| TcpServer::builder("127.0.0.1:0")
///     .client_connected(move |cx| cx.client().put(name))
///     .start(&kernel);
/// let (first, second) = (greeter("first").await?, greeter("second").await?);
/// let heard = Rc::new(RefCell::new(Vec::new()));
/// let log = heard.clone();
/// let client = TcpClient::builder(first.local_name())
///     .server_input(move |_, line| log.borrow_mut().push(line))
///     .start(&kernel)?;
/// # let servers = [first, second.clone()];
/// # let heard_by_then = heard.clone();
/// # let until = async move |count| while heard_by_then.borrow().len() < count { tokio::task::yield_now().await };
/// let talk = async {
/// #   until(1).await;
///     client.reconnect();                                     // after a line from the first server
/// #   until(2).await;
///     client.connect(second.local_name());                    // once more
/// #   until(3).await;
///     client.shutdown();
///     client.abort();                                           // has no effect any more
/// #   servers.iter().for_each(TcpServer::shutdown_clients);
/// };
/// tokio::join!(async { kernel.run().await.unwrap() }, talk);
/// assert_eq!(*heard.borrow(), ["first", "first", "second"]);
/// assert!(!kernel.is_alive(client.session_id()));
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[doc(alias = "POE::Component::Client::TCP")]
#[derive(Clone)]
pub struct TcpClient {
    core: Weak<Core>,
    session: SessionId,
}

impl TcpClient {
    /// Starts building a client of the server at `addr`.
    #[doc(alias = "new")]
    #[doc(alias = "RemoteAddress")]
    #[doc(alias = "RemotePort")]
    pub fn builder(addr: impl Into<Address>) -> TcpClientBuilder<(), Line> {
        TcpClientBuilder::new(addr.into())
    }

    /// Returns the ID of the client's session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }

    /// Ends the connection after its output is written; also ends an attempt to connect, or the wait for the next one.
    #[track_caller]
    pub fn shutdown(&self) {
        self.post(&SHUTDOWN, ());
    }

    /// Ends the connection or the attempt at once; output that is not written is lost.
    #[track_caller]
    pub fn abort(&self) {
        self.post(&CUT, ());
    }

    /// Connects again; output that is not written is lost.
    #[track_caller]
    pub fn reconnect(&self) {
        self.post(&RECONNECT, ());
    }

    /// Connects to another address; output that is not written is lost.
    #[track_caller]
    pub fn connect(&self, addr: impl Into<Address>) {
        self.post(&CONNECT, addr.into());
    }

    #[track_caller]
    fn post<A: 'static>(&self, event: &impl Posts<A>, arg: A) {
        if let Some(core) = self.core.upgrade() {
            // The session may have stopped before.
            let _ = core.post_from(None, self.session.into(), event.key(), arg, Location::caller());
        }
    }
}

debug_fields!([] TcpClient, "TcpClient", |this| { session: this.session });

/// The data that a [`TcpClient`] keeps beside the heap of its session: the `X` of its [`Context`].
///
/// [`cx.server()`](Context::server) is the connection in it, and `cx.heap` is the heap that
/// [`heap`](TcpClientBuilder::heap) was given.
///
/// ```
/// use poe::{Context, Kernel, component::{Server, TcpClient, TcpServer}, filter::Line};
/// fn ask(cx: &mut Context<'_, u32, Server<Line>>) {
///     let server = cx.server();
///     *cx.heap += 1;                                          // your heap, a number here
///     server.put(format!("question {}", cx.heap));
/// }
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let server = TcpServer::builder("127.0.0.1:0").client_input(|cx, line| cx.client().put(line)).start(&kernel).await?;
/// TcpClient::builder(server.local_name())
///     .heap(0_u32)
///     .connected(ask)
///     .server_input(|cx, answer| {
///         assert_eq!(answer, "question 1");
///         assert!(cx.server().is_connected() && cx.failures() == 0);
///         println!("{} has answered", cx.target());
///         cx.server().shutdown();
///     })
///     .disconnected(move |cx| {
///         assert!(!cx.server().is_connected());
///         server.shutdown();
///     })
///     .start(&kernel)?;
/// # kernel.run().await
/// # }).unwrap();
/// ```
pub struct Server<F: Filter> {
    wire: Wire<F>,
    /// The alias, as long as the client is not asked to end.
    alias: Option<String>,
    target: RefCell<Address>,
    /// The wheel that connects.
    factory: RefCell<Option<SocketFactory>>,
    /// The time limit of the attempt that is under way, if there is one.
    timer: Cell<Option<TimerId>>,
    /// The timer for the next attempt.
    retry: Cell<Option<TimerId>>,
    /// Attempts in a row that brought no record.
    failures: Cell<u32>,
    /// The delay before the present attempt, or before the next one.
    delay: Cell<Duration>,
    /// Whether the program called this connection good or bad.
    verdict: Cell<Option<bool>>,
    /// The end was not asked for.
    wanted: Cell<bool>,
    /// There was an attempt to connect before.
    attempted: Cell<bool>,
}

impl<F: Filter> Server<F> {
    fn new(target: Address, alias: Option<String>) -> Self {
        Server {
            wire: Wire::new(),
            alias,
            target: RefCell::new(target),
            factory: RefCell::default(),
            timer: Cell::new(None),
            retry: Cell::new(None),
            failures: Cell::new(0),
            delay: Cell::new(Duration::ZERO),
            verdict: Cell::new(None),
            wanted: Cell::new(true),
            attempted: Cell::new(false),
        }
    }

    fn target(&self) -> Address {
        self.target.borrow().clone()
    }

    fn attempt(&self) -> Attempt {
        Attempt {
            number: self.failures.get().saturating_add(1),
            delay: self.delay.get(),
            target: self.target(),
        }
    }

    /// Whether it connects, with that wheel if one is given.
    fn is_connecting(&self, wheel: Option<WheelId>) -> bool {
        let factory = self.factory.borrow();
        factory
            .as_ref()
            .is_some_and(|factory| wheel.is_none_or(|wheel| factory.id() == wheel))
    }

    fn set_factory(&self, factory: Option<SocketFactory>) {
        let old = self.factory.replace(factory);
        drop(old);
    }
}

debug_fields!([F: Filter] Server<F>, "Server", |this| {
    target: this.target(),
    connected: this.wire.is_connected(),
    failures: this.failures.get(),
    ..
});

impl<F: Filter> Component for Server<F> {
    fn whose(&self) -> String {
        match &self.alias {
            Some(alias) => format!("the client `{alias}`"),
            None => format!("the client of {}", self.target()),
        }
    }
}

impl<F: Filter> Wired for Server<F> {
    type Filter = F;
    const CLOSES_FIRST: bool = true;
    fn wire(&self) -> &Wire<F> {
        &self.wire
    }
}

/// Returns the client of a [`TcpClient`]'s session.
///
/// ```
/// use poe::{Kernel, component::{TcpClient, TcpServer}};
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let server = TcpServer::builder("127.0.0.1:0").client_input(|cx, line| cx.client().put(line)).start(&kernel).await?;
/// # let other = server.local_name().clone();
/// TcpClient::builder(server.local_name())
///     .heap(0)
///     .connected(|cx| cx.server().put("hello"))
///     .server_input(move |cx, _| {
///         *cx.heap += 1;
///         match *cx.heap {
///             1 => cx.reconnect(),
///             2 => cx.connect(&other),                        // the other address
///             _ => cx.server().shutdown(),
///         }
///     })
///     .disconnected(move |cx| {
///         if *cx.heap == 3 {
///             server.shutdown();
///         }
///     })
///     .start(&kernel)?;
/// # kernel.run().await
/// # }).unwrap();
/// ```
impl<'k, H: 'static, F: Filter> Context<'k, H, Server<F>> {
    /// The connection of a [`TcpClient`].
    ///
    /// It borrows the session and not the context, so it can be held while the heap is borrowed.
    #[must_use]
    pub fn server(&self) -> Link<'k, F> {
        Link::new(&self.component().wire, self.kernel)
    }

    /// Reconnects when this handler has returned; output that is not written is lost. `disconnected` runs if there is a
    /// connection.
    #[track_caller]
    pub fn reconnect(&self) {
        self.yield_to(RECONNECT, ());
    }

    /// Connects to another address, like [`reconnect`](Self::reconnect).
    #[track_caller]
    pub fn connect(&self, addr: impl Into<Address>) {
        self.yield_to(CONNECT, addr.into());
    }

    /// Returns the address that it is connected to, or connects to next.
    ///
    /// ```
    /// use poe::component::TcpClient;
    /// TcpClient::builder("localhost:7777")
    ///     .connected(|cx| println!("connected to {:?}", cx.target()))
    ///     .disconnected(|cx| println!("lost {:?}; {} attempts have failed in a row", cx.target(), cx.failures()));
    /// ```
    #[must_use]
    pub fn target(&self) -> Address {
        self.component().target()
    }

    /// Returns the number of failed attempts in a row: without a record, or [marked bad](Self::mark_bad).
    ///
    /// ```
    /// use poe::component::TcpClient;
    /// TcpClient::builder("localhost:7777").disconnected(|cx| if cx.failures() >= 10 { cx.connect("localhost:7778") });
    /// ```
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.component().failures.get()
    }

    /// Marks this connection good: the delays of the [`backoff`](TcpClientBuilder::backoff) are reset now.
    ///
    /// By default a connection is good when it has brought a record. The last mark counts.
    ///
    /// ```
    /// use poe::component::{Backoff, TcpClient};
    /// TcpClient::builder("localhost:7777")
    ///     .backoff(Backoff::new())
    ///     .connected(|cx| {
    ///         cx.mark_bad();                                      // until the login is accepted
    ///         cx.server().put("LOGIN ann secret");
    ///     })
    ///     .server_input(|cx, line| match &*line {
    ///         "OK" => cx.mark_good(),
    ///         "DENIED" => cx.server().shutdown(),
    ///         _ => println!("{line}"),
    ///     });
    /// ```
    pub fn mark_good(&self) {
        self.component().verdict.set(Some(true));
        self.component().failures.set(0);
    }

    /// Marks this connection bad: its end counts as a failed attempt, whatever it has brought, and the next delay is
    /// longer.
    ///
    /// ```
    /// use poe::component::TcpClient;
    /// TcpClient::builder("localhost:7777").server_input(|cx, line| if line == "BUSY" { cx.mark_bad() });
    /// ```
    pub fn mark_bad(&self) {
        self.component().verdict.set(Some(false));
    }
}

/// An attempt to connect, as reported to [`connecting`](TcpClientBuilder::connecting) and
/// [`waiting`](TcpClientBuilder::waiting).
///
/// ```
/// use poe::{Kernel, component::{Backoff, TcpClient}};
/// use std::{cell::RefCell, rc::Rc, time::Duration};
/// # tokio_test::block_on(async {
/// # let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// # let nobody = busy.local_addr().unwrap();
/// # drop(busy);
/// let kernel = Kernel::new();
/// let log = Rc::new(RefCell::new(Vec::new()));
/// let (waits, tries) = (log.clone(), log.clone());
/// TcpClient::builder(nobody)
///     .backoff(Backoff::new().first(Duration::from_millis(1)).jitter(0.0).attempts(3))
///     .waiting(move |_, next| waits.borrow_mut().push(format!("{:?} until number {}", next.delay, next.number)))
///     .connecting(move |_, attempt| tries.borrow_mut().push(format!("number {}", attempt.number)))
///     .connect_error(|_, error| println!("{error}"))
///     .start(&kernel)?;
/// kernel.run().await?;
/// assert_eq!(*log.borrow(), ["number 1", "1ms until number 2", "number 2", "2ms until number 3", "number 3"]);
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// Counts the attempts since the last good connection; the first is 1.
    pub number: u32,
    /// The wait before it; zero for the first attempt and for one that the program asked for.
    pub delay: Duration,
    /// The address that it connects to.
    pub target: Address,
}
