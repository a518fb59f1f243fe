//! The settings of a server.

use super::launch::{Client, HeapMaker};
use super::listener::Listener;
use crate::component::callbacks::{Callback, callback, plain, pre_connect};
use crate::component::connection::Plan;
use crate::component::settings::{
    BeforeCallbacks, NoCallbacks, SessionType, Settings, WithCallbacks, connection_settings,
};
use crate::debug::debug_fields;
use crate::error::OnFailure;
use crate::event::Calls;
use crate::filter::{Filter, Line};
use crate::kernel::Invoke;
use crate::session::{Context, IntoReply, States};
use crate::wheel::make::Options;
use crate::wheel::{Address, Connection, IoError, ListenSocket, SocketError, SocketName, SocketStream};
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Settings of a [`TcpServer`](super::TcpServer).
///
/// Call [`filter`](Self::filter) and [`client_heap`](Self::client_heap) first, because they determine what callbacks
/// get: after a callback or a [`state`](Self::state) they do not compile. The type parameter `S` keeps track of that.
///
/// | setting | default |
/// |---|---|
/// | [`filter`](Self::filter) | [`Line::new`] |
/// | [`client_heap`](Self::client_heap) | `()` |
/// | [`client_input`](Self::client_input) | reads records and drops them |
/// | [`client_error`](Self::client_error) | logs, except the end of the input and a reset |
/// | [`client_pre_connect`](Self::client_pre_connect) | the socket as it is |
/// | other callbacks | nothing |
/// | [`acceptor`](Self::acceptor) | a session for each client |
/// | [`error`](Self::error) | logs; any error other than running out of descriptors or memory closes the listener |
/// | [`concurrency`](Self::concurrency), [`max_connections_per_ip`](Self::max_connections_per_ip) | unlimited |
/// | [`idle_timeout`](Self::idle_timeout), [`first_record_timeout`](Self::first_record_timeout), [`record_timeout`](Self::record_timeout) | none |
/// | [`backlog`](Self::backlog), [`reuse`](Self::reuse), [`nodelay`](Self::nodelay) | 4096, true, true |
/// | [`shutdown_on_error`](Self::shutdown_on_error) | true |
/// | [`client_on_failure`](Self::client_on_failure), [`on_failure`](Self::on_failure) | `StopSession`; as the kernel |
/// | [`linger`](Self::linger), [`flush_timeout`](Self::flush_timeout) | 1 s, 30 s |
/// | [`watermarks`](Self::watermarks), [`alias`](Self::alias) | none |
///
/// ```
/// use poe::{Kernel, component::{TcpClient, TcpServer}, filter::Line};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let server = TcpServer::builder("127.0.0.1:0")
///     .filter(|| Line::new().max_length(1024))
///     .client_heap(|_peer| 0_u32)                             // the number of this client's lines
///     .alias("shout")
///     .concurrency(100)
///     .client_connected(|cx| cx.client().put("hello"))
///     .client_input(|cx, line| {
///         *cx.heap += 1;
///         cx.client().put(line.to_uppercase());
///     })
///     .client_disconnected(|cx| assert_eq!(*cx.heap, 1))
///     .start(&kernel)
///     .await?;
/// TcpClient::builder(server.local_name())
///     .server_input(move |cx, line| match &*line {
///         "hello" => cx.server().put("is anybody there?"),
///         answer => {
///             assert_eq!(answer, "IS ANYBODY THERE?");
///             cx.server().shutdown();
///             server.shutdown();
///         }
///     })
///     .start(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
///
/// Custom handlers, and output limited to what the client reads:
///
/// ```
/// use poe::component::{Client, TcpClient, TcpServer};
/// use poe::{Event, Kernel, States, filter::Line};
/// const MORE: Event<()> = Event::new("more");
/// const DONE: Event<()> = Event::new("done");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let others = States::<u32, Client<Line>>::new().on(DONE, |cx, ()| cx.client().shutdown());
/// let server = TcpServer::builder("127.0.0.1:0")
///     .client_heap(|_| 100)                                   // records still to send
///     .watermarks(64 * 1024, 1024)
///     .client_connected(|cx| cx.yield_to(MORE, ()))
///     .state(MORE, |cx, ()| -> poe::HandlerResult {
///         if *cx.heap == 0 {
///             cx.yield_to(DONE, ());
///             return Ok(());
///         }
///         *cx.heap -= 1;
///         if !cx.client().try_put("x".repeat(50_000))?.is_high() {
///             cx.yield_to(MORE, ());                          // otherwise `client_low` continues
///         }
///         Ok(())
///     })
///     .inline_states(&others)
///     .client_high(|cx| println!("{:?} does not keep up", cx.client().peer()))
///     .client_low(|cx| cx.yield_to(MORE, ()))
///     .client_flushed(|cx| println!("all of it is written, {} to come", *cx.heap))
///     .start(&kernel)
///     .await?;
/// TcpClient::builder(server.local_name())
///     .heap(0)
///     .server_input(|cx, line| *cx.heap += line.len())
///     .disconnected(move |cx| {
///         assert_eq!(*cx.heap, 100 * 50_000);
///         server.shutdown();
///     })
///     .start(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
///
/// Bytes that are not a record are reported, and end nothing if the filter can continue:
///
/// ```
/// use poe::{Kernel, component::{TcpClient, TcpServer}, filter::Line};
/// use std::time::Duration;
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let server = TcpServer::builder("127.0.0.1:0")
///     .shutdown_on_error(false)                               // so we handle the end of the input
///     .client_error(|cx, error| match error.as_filter() {
///         Some(wrong) if wrong.is_invalid_utf8() => cx.client().put("no text"),
///         _ => cx.client().shutdown(),
///     })
///     .client_input(|cx, line| cx.client().put(line))
///     .nodelay(false)
///     .linger(Duration::ZERO)
///     .flush_timeout(Duration::from_secs(10))
///     .start(&kernel)
///     .await?;
/// TcpClient::builder(server.local_name())
///     .filter(Line::bytes)
///     .heap(Vec::new())
///     .connected(|cx| {
///         cx.server().put(&b"\xff\xfe"[..]);
///         cx.server().put(&b"a text"[..]);
///     })
///     .server_input(move |cx, line| {
///         cx.heap.push(line);
///         if cx.heap.len() == 2 {
///             assert_eq!(*cx.heap, ["no text", "a text"]);
///             cx.server().shutdown();
///             server.shutdown();
///         }
///     })
///     .start(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
///
/// A custom session type, which sees each event before the component does, and its result afterwards:
///
/// ```
/// use poe::component::{TcpClient, TcpServer};
/// use poe::{AnyArg, Kernel, Name, KernelRef, extend::{Invoke, Invoked}};
/// use std::rc::Rc;
///
/// /// A session that logs its failures in its own way. (The connection is over all the same.)
/// struct Logged(Rc<dyn Invoke>);
///
/// impl Invoke for Logged {
///     fn invoke(&self, kernel: KernelRef<'_>, arg: &mut AnyArg) -> Invoked {
///         match self.0.invoke(kernel, arg) {
///             Invoked::Failed(failure) => {
///                 eprintln!("session {}: {failure}", kernel.session_id());
///                 Invoked::Returned
///             }
///             other => other,
///         }
///     }
///     // … and the other methods, each passed on
/// #     fn event_names(&self) -> Vec<Name> {
/// #         self.0.event_names()
/// #     }
/// #     fn heap_type(&self) -> &'static str {
/// #         self.0.heap_type()
/// #     }
/// #     fn heap_size(&self) -> usize {
/// #         self.0.heap_size()
/// #     }
/// #     fn options(&self) -> Vec<(String, String)> {
/// #         self.0.options()
/// #     }
/// #     fn set_option(&self, name: &str, value: Option<&str>) -> Option<String> {
/// #         self.0.set_option(name, value)
/// #     }
/// }
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let server = TcpServer::builder("127.0.0.1:0")
///     .session_type(|session| Rc::new(Logged(session)))
///     .option("trace", true)
///     .client_input(|cx, line| -> poe::HandlerResult {
///         let number: u64 = line.parse()?;
///         cx.client().put((2 * number).to_string());
///         Ok(())
///     })
///     .start(&kernel)
///     .await?;
/// TcpClient::builder(server.local_name())
///     .connected(|cx| {
///         cx.server().put("21");
///         cx.server().put("one");                             // which is not a number
///     })
///     .server_input(|_, reply| assert_eq!(reply, "42"))
///     .disconnected(move |_| server.shutdown())
///     .start(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[must_use = "a server listens only after `start`"]
pub struct TcpServerBuilder<H: 'static, F: Filter, S = NoCallbacks> {
    pub(super) plan: Plan<H, Client<F>>,
    pub(super) states: States<H, Client<F>>,
    pub(super) heap: HeapMaker<H>,
    pub(super) server: Server,
    stage: PhantomData<S>,
}

/// The settings that do not depend on the types of the clients.
pub(super) struct Server {
    pub(super) places: Vec<Where>,
    pub(super) sockets: Options,
    pub(super) concurrency: usize,
    pub(super) per_ip: Option<usize>,
    /// The settings of the clients' sessions.
    pub(super) client_policy: OnFailure,
    pub(super) acceptor: Option<Callback<(), Listener, Connection>>,
    pub(super) started: Option<Callback<(), Listener, ()>>,
    pub(super) stopped: Option<Callback<(), Listener, ()>>,
    pub(super) failed: Option<Callback<(), Listener, SocketError>>,
}

/// The addresses to listen on.
#[derive(Debug)]
pub(super) enum Where {
    At(Address),
    On(ListenSocket),
}

impl TcpServerBuilder<(), Line> {
    /// Starts building a server without an address.
    pub(super) fn new() -> Self {
        let server = Server {
            places: Vec::new(),
            sockets: Options::default(),
            concurrency: usize::MAX,
            per_ip: None,
            client_policy: OnFailure::StopSession,
            acceptor: None,
            started: None,
            stopped: None,
            failed: None,
        };
        Self::of(Plan::new(Settings::default(), Line::new), Rc::new(|_| ()), server)
    }
}

impl<H: 'static, F: Filter> TcpServerBuilder<H, F> {
    /// Makes a builder without callbacks and states.
    fn of(plan: Plan<H, Client<F>>, heap: HeapMaker<H>, server: Server) -> Self {
        TcpServerBuilder {
            plan,
            states: States::new(),
            heap,
            server,
            stage: PhantomData,
        }
    }
}

impl<H: 'static, F: Filter, S> TcpServerBuilder<H, F, S> {
    /// Sets how each client's bytes become records and back: the closure makes a filter per connection.
    ///
    /// Of a pair of filters the first reads and the second writes. Comes before the first callback.
    ///
    /// ```
    /// # use poe::{component::TcpServer, filter::{Line, Raw}};
    /// TcpServer::builder("127.0.0.1:0")
    ///     .filter(|| (Line::new(), Raw::new()))
    ///     .client_input(|cx, line: String| cx.client().put(vec![b'x'; line.len()]));
    /// ```
    #[doc(alias = "ClientFilter")]
    #[doc(alias = "ClientInputFilter")]
    #[doc(alias = "ClientOutputFilter")]
    pub fn filter<G: Filter>(self, filter: impl Fn() -> G + 'static) -> TcpServerBuilder<H, G>
    where
        S: BeforeCallbacks,
    {
        TcpServerBuilder::of(Plan::new(self.plan.settings, filter), self.heap, self.server)
    }

    /// Sets the function that makes the heap of each client's session; it gets the name of the client.
    ///
    /// Comes before the first callback.
    #[doc(alias = "HEAP")]
    #[doc(alias = "ClientArgs")]
    pub fn client_heap<I: 'static>(self, heap: impl Fn(SocketName) -> I + 'static) -> TcpServerBuilder<I, F>
    where
        S: BeforeCallbacks,
    {
        TcpServerBuilder::of(
            Plan::new(self.plan.settings, self.plan.filter),
            Rc::new(heap),
            self.server,
        )
    }
}

impl<H: 'static, F: Filter, S> TcpServerBuilder<H, F, S> {
    /// Marks the builder: it has a callback.
    fn named(self) -> TcpServerBuilder<H, F, WithCallbacks> {
        TcpServerBuilder {
            plan: self.plan,
            states: self.states,
            heap: self.heap,
            server: self.server,
            stage: PhantomData,
        }
    }

    /// Adds an address to listen on. The path of a UNIX socket must not exist yet; the server does not remove it,
    /// neither before nor afterwards.
    ///
    /// ```
    /// use poe::component::TcpServer;
    /// let settings = TcpServer::builder("0.0.0.0:7777").listen("[::1]:7777").listen("unix:/run/service");
    /// ```
    #[doc(alias = "Address")]
    pub fn listen(mut self, addr: impl Into<Address>) -> Self {
        self.server.places.push(Where::At(addr.into()));
        self
    }

    /// Adds a socket that listens already: one of Tokio's, or one that the process was started with.
    ///
    /// ```
    /// # use poe::{Kernel, component::TcpServer};
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    /// let port = socket.local_addr().unwrap().port();
    /// let server = TcpServer::builder("[::1]:0").listener(socket).start(&kernel).await?;
    /// assert!(server.local_names()[1].to_string().ends_with(&format!(":{port}")));
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    pub fn listener(mut self, listener: impl Into<ListenSocket>) -> Self {
        self.server.places.push(Where::On(listener.into()));
        self
    }
}

/// Adds a listening socket of any kind.
///
/// ```
/// use poe::{Kernel, component::{SHUTDOWN, TcpServer}};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// TcpServer::builder("127.0.0.1:0")
///     .alias("greeter")
///     .backlog(128)                                           // the length of the system's backlog
///     .reuse(true)
///     .concurrency(10)                                        // the number of clients served at a time
///     .started(|cx| {
///         println!("listening on {}", cx.listener().local_name());
///         cx.yield_to(SHUTDOWN, ());                          // so that the example ends
///     })
///     .error(|_, error| eprintln!("no client can be taken: {error}"))
///     .stopped(|cx| assert!(!cx.listener().is_listening()))
///     .start(&kernel)
///     .await?;
/// assert!(kernel.resolve("greeter").is_some());
/// kernel.run().await
/// # }).unwrap();
/// ```
impl<H: 'static, F: Filter, S> TcpServerBuilder<H, F, S> {
    /// Handles accepted connections in the listener's session, instead of making a session for each.
    ///
    /// It excludes the `client_` callbacks. If there is a [limit](Self::concurrency), post
    /// [`DISCONNECTED`](super::DISCONNECTED) to the listener for each client that has left; but not from the `_stop` of
    /// a session, because posts from there are dropped. The acceptor may make sessions of any kind, such as an
    /// [`Nfa`](crate::Nfa). (A [`session_type`](Self::session_type) wraps the sessions that the component makes.)
    ///
    /// ```
    /// use poe::component::{DISCONNECTED, TcpClient, TcpServer};
    /// use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Connection, Input, ReadWrite}};
    /// const LINE: Event<Input<String>> = Event::new("line");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let server = TcpServer::builder("127.0.0.1:0")
    ///     .concurrency(1)
    ///     .acceptor(|cx, connection| -> poe::HandlerResult {
    ///         let listener = cx.session_id();
    ///         cx.create(Session::builder(None::<ReadWrite>)
    ///             .on(START, |cx, connection: Connection| -> poe::HandlerResult {
    ///                 let wheel = ReadWrite::builder(connection.stream).input(Line::new(), LINE).start(cx)?;
    ///                 *cx.heap = Some(wheel);
    ///                 Ok(())
    ///             })
    ///             .on(LINE, move |cx, input| -> poe::HandlerResult {
    ///                 assert_eq!(input.record, "one line is enough");
    ///                 *cx.heap = None;
    ///                 cx.post(listener, DISCONNECTED, ())?;
    ///                 Ok(())
    ///             })
    ///             .args(connection)
    ///             )?;
    ///         Ok(())
    ///     })
    ///     .start(&kernel)
    ///     .await?;
    /// TcpClient::builder(server.local_name())
    ///     .connected(|cx| cx.server().put("one line is enough"))
    ///     .disconnected(move |_| server.shutdown())
    ///     .start(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "Acceptor")]
    pub fn acceptor<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, (), Listener>, Connection) -> R + 'static,
    ) -> Self {
        self.server.acceptor = Some(callback("acceptor", f));
        self
    }

    /// Calls `f` when the listener has started. Runs inside its `_start`.
    #[doc(alias = "Started")]
    pub fn started<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, (), Listener>) -> R + 'static) -> Self {
        self.server.started = Some(plain("started", f));
        self
    }

    /// Calls `f` when the listener ends. Runs inside its `_stop`.
    #[doc(alias = "Stopped")]
    pub fn stopped<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, (), Listener>) -> R + 'static) -> Self {
        self.server.stopped = Some(plain("stopped", f));
        self
    }

    /// Calls `f` when accepting has failed. After a [shortage](SocketError::is_shortage) of descriptors or memory the
    /// server tries again by itself; after any other error that socket is closed. Without this callback failures are
    /// logged, and any other error closes the listener.
    #[doc(alias = "Error")]
    pub fn error<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, (), Listener>, SocketError) -> R + 'static,
    ) -> Self {
        self.server.failed = Some(callback("error", f));
        self
    }

    /// Sets the policy for failures of a client's callback or state; default [`StopSession`](OnFailure::StopSession).
    ///
    /// By default that client loses its connection; the other clients and the listener are not affected. With
    /// [`StopKernel`](OnFailure::StopKernel), POE's rule, the failure stops every session and ends the run. Under both
    /// policies a connection whose callback has failed gets no further callback but
    /// [`client_disconnected`](Self::client_disconnected), also if a handler of `DIE` keeps its session alive.
    ///
    /// ```
    /// use poe::{Kernel, OnFailure, component::{TcpClient, TcpServer}};
    /// # tokio_test::block_on(async {
    /// for (policy, fails) in [(OnFailure::StopSession, false), (OnFailure::StopKernel, true)] {
    ///     let kernel = Kernel::new();
    ///     let server = TcpServer::builder("127.0.0.1:0")
    ///         .client_on_failure(policy)
    ///         .client_input(|_, line| -> poe::HandlerResult {
    ///             line.parse::<u64>()?;
    ///             Ok(())
    ///         })
    ///         .start(&kernel)
    ///         .await?;
    ///     TcpClient::builder(server.local_name())
    ///         .connected(|cx| cx.server().put("not a number"))
    ///         .disconnected(move |_| server.shutdown())
    ///         .start(&kernel)?;
    ///     assert_eq!(kernel.run().await.is_err(), fails);
    /// }
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    pub fn client_on_failure(mut self, policy: OnFailure) -> Self {
        self.server.client_policy = policy;
        self
    }

    /// Sets the policy for failures of the listener's callbacks; default that of the session or kernel that starts the
    /// server, which is [`StopKernel`](OnFailure::StopKernel) for [`Kernel::new`](crate::Kernel::new).
    ///
    /// ```
    /// use poe::{OnFailure, component::TcpServer};
    /// TcpServer::builder("127.0.0.1:0")
    ///     .on_failure(OnFailure::StopSession)                     // the listener and its clients, and nothing else
    ///     .started(|_| panic!("a bug"))
    ///     .client_input(|cx, line| cx.client().put(line));
    /// ```
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.plan.settings.on_failure = Some(policy);
        self
    }

    /// Limits the number of clients at a time; others wait in the system's backlog.
    ///
    /// A connection that [lingers](Self::linger) still counts. With 0 the server starts paused, until
    /// [`SET_CONCURRENCY`](super::SET_CONCURRENCY) changes it.
    #[doc(alias = "Concurrency")]
    pub fn concurrency(mut self, clients: usize) -> Self {
        self.server.concurrency = clients;
        self
    }

    /// Sets how many connections one IP address may have at a time; default unlimited.
    ///
    /// A connection above the limit is closed as soon as it is accepted: the peer sees EOF or a reset, no callback runs, and
    /// `debug!` logs it. An IPv6 client counts by its /64 network, which is what one customer of a provider gets. UNIX
    /// sockets are not limited. It needs the component's client sessions: with an [`acceptor`](Self::acceptor) the
    /// server does not start.
    ///
    /// ```
    /// use poe::component::TcpServer;
    /// use std::time::Duration;
    /// TcpServer::builder("0.0.0.0:7777")
    ///     .concurrency(1000)
    ///     .max_connections_per_ip(10)
    ///     .first_record_timeout(Duration::from_secs(10))
    ///     .record_timeout(Duration::from_secs(30))
    ///     .idle_timeout(Duration::from_secs(300))
    ///     .client_input(|cx, line| cx.client().put(line));
    /// ```
    pub fn max_connections_per_ip(mut self, connections: usize) -> Self {
        self.server.per_ip = Some(connections);
        self
    }

    /// Sets how many clients may wait to be accepted, at most what the system allows; default 4096.
    #[doc(alias = "ListenQueue")]
    pub fn backlog(mut self, clients: u32) -> Self {
        self.server.sockets.backlog = clients;
        self
    }

    /// Sets whether an address may be bound that an old connection still has (`SO_REUSEADDR`); default true.
    pub fn reuse(mut self, reuse: bool) -> Self {
        self.server.sockets.reuse = reuse;
        self
    }
}

connection_settings! {
    TcpServerBuilder, Client, "client",
    client_pre_connect = "ClientPreConnect",
    client_connected = "ClientConnected",
    client_input = "ClientInput",
    client_disconnected = "ClientDisconnected",
    client_flushed = "ClientFlushed",
    client_error = "ClientError",
    client_high = "ClientHigh",
    client_low = "ClientLow"
}

debug_fields!([H, F: Filter, S] TcpServerBuilder<H, F, S>, "TcpServerBuilder", |this| {
    places: this.server.places,
    concurrency: this.server.concurrency,
    max_connections_per_ip: this.server.per_ip,
    settings: this.plan.settings,
    ..
});
