//! The settings of a client, and its start.

use super::session::{Role, retrying, states};
use super::{Attempt, Server, TcpClient};
use crate::component::backoff::Backoff;
use crate::component::callbacks::{Callback, callback, plain, pre_connect};
use crate::component::connection::Plan;
use crate::component::settings::{
    BeforeCallbacks, NoCallbacks, SessionType, Settings, WithCallbacks, connection_settings,
};
use crate::debug::debug_fields;
use crate::error::{Error, OnFailure};
use crate::event::Calls;
use crate::filter::{Filter, Line};
use crate::kernel::{Core, Invoke, Kernel};
use crate::session::{Caller, Context, IntoReply, Start, States};
use crate::wheel::{Address, Domain, IoError, SocketError, SocketStream};
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Settings of a [`TcpClient`].
///
/// Call [`filter`](Self::filter) and [`heap`](Self::heap) first, because they determine what callbacks get: after a
/// callback or a [`state`](Self::state) they do not compile. The type parameter `S` keeps track of that.
///
/// | setting | default |
/// |---|---|
/// | [`filter`](Self::filter) | [`Line::new`] |
/// | [`heap`](Self::heap) | `()` |
/// | [`server_input`](Self::server_input) | reads records and drops them |
/// | [`server_error`](Self::server_error) | logs, except the end of the input and a reset |
/// | [`connect_error`](Self::connect_error) | logs |
/// | [`pre_connect`](Self::pre_connect) | the socket as it is |
/// | other callbacks | nothing |
/// | [`connect_timeout`](Self::connect_timeout) | the system's |
/// | [`idle_timeout`](Self::idle_timeout), [`first_record_timeout`](Self::first_record_timeout), [`record_timeout`](Self::record_timeout) | none |
/// | [`backoff`](Self::backoff) | does not reconnect |
/// | [`on_failure`](Self::on_failure) | as the kernel |
/// | [`bind`](Self::bind), [`domain`](Self::domain) | any address and port |
/// | [`nodelay`](Self::nodelay), [`shutdown_on_error`](Self::shutdown_on_error) | true |
/// | [`linger`](Self::linger), [`flush_timeout`](Self::flush_timeout) | 1 s, 30 s |
/// | [`watermarks`](Self::watermarks), [`alias`](Self::alias) | none |
///
/// ```
/// use poe::{Kernel, component::{TcpClient, TcpServer}, filter::Line};
/// use std::time::Duration;
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// # let echo = TcpServer::builder("127.0.0.1:0").client_input(|cx, line| cx.client().put(line)).start(&kernel).await?;
/// # let port = echo.local_addr().unwrap().port();
/// TcpClient::builder(("localhost", port))
///     .domain(poe::wheel::Domain::Inet)
///     .bind("127.0.0.1:0")
///     .filter(|| Line::new().literal("\n"))
///     .heap(Vec::new())                                       // what the server has said
///     .alias("echo")
///     .connect_timeout(Duration::from_secs(5))
///     .nodelay(false)
///     .started(|cx| println!("connecting to {}", cx.target()))
///     .connected(|cx| {
///         cx.server().put("hello");
///         cx.server().put("goodbye");
///     })
///     .server_input(|cx, line| {
///         cx.heap.push(line.trim_end().to_owned());
///         if cx.heap.len() == 2 {
///             cx.server().shutdown();
///         }
///     })
///     .disconnected(move |cx| {
///         assert_eq!(*cx.heap, ["hello", "goodbye"]);
/// #       echo.shutdown();
///     })
///     .start(&kernel)?;
/// assert!(kernel.resolve("echo").is_some());
/// kernel.run().await
/// # }).unwrap();
/// ```
///
/// Custom handlers, and output limited to what the server reads:
///
/// ```
/// use poe::component::{Server, TcpClient, TcpServer};
/// use poe::{Event, Kernel, States, filter::Line};
/// use std::time::Duration;
/// const MORE: Event<()> = Event::new("more");
/// const DONE: Event<()> = Event::new("done");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let others = States::<u32, Server<Line>>::new().on(DONE, |cx, ()| cx.server().put("that was all"));
/// # let sink = TcpServer::builder("127.0.0.1:0").client_heap(|_| 0).client_input(|cx, line: String| match &*line {
/// #     "that was all" => { cx.client().put(cx.heap.to_string()); cx.client().shutdown() }
/// #     line => *cx.heap += line.len(),
/// # }).start(&kernel).await?;
/// # let addr = sink.local_name().clone();
/// TcpClient::builder(addr)
///     .heap(100)                                              // records still to send
///     .watermarks(64 * 1024, 1024)
///     .connected(|cx| cx.yield_to(MORE, ()))
///     .state(MORE, |cx, ()| -> poe::HandlerResult {
///         if *cx.heap == 0 {
///             cx.yield_to(DONE, ());
///             return Ok(());
///         }
///         *cx.heap -= 1;
///         if !cx.server().try_put("x".repeat(50_000))?.is_high() {
///             cx.yield_to(MORE, ());                          // otherwise `server_low` continues
///         }
///         Ok(())
///     })
///     .inline_states(&others)
///     .server_high(|_| println!("the server does not keep up"))
///     .server_low(|cx| cx.yield_to(MORE, ()))
///     .server_flushed(|cx| println!("all of it is written, {} to come", *cx.heap))
///     .server_input(|_, bytes| assert_eq!(bytes, "5000000"))
///     .shutdown_on_error(true)
///     .server_error(|_, error| assert!(error.is_eof()))
///     .linger(Duration::ZERO)
///     .flush_timeout(Duration::from_secs(10))
/// #   .disconnected(move |_| sink.shutdown())
///     .start(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
///
/// A custom session type, which sees each event before the component does:
///
/// ```
/// # use poe::component::TcpClient;
/// # use poe::{AnyArg, Kernel, Name, KernelRef, extend::{Invoke, Invoked}};
/// # use std::{cell::RefCell, rc::Rc};
/// /// A session that writes down what it is sent.
/// struct Logged(Rc<dyn Invoke>, Rc<RefCell<Vec<Name>>>);
///
/// impl Invoke for Logged {
///     fn invoke(&self, kernel: KernelRef<'_>, arg: &mut AnyArg) -> Invoked {
///         self.1.borrow_mut().push(kernel.event());
///         self.0.invoke(kernel, arg)
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
/// # let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// # let nobody = busy.local_addr().unwrap();
/// # drop(busy);
/// let kernel = Kernel::new();
/// let log = Rc::new(RefCell::new(Vec::new()));
/// let kept = log.clone();
/// TcpClient::builder(nobody)
///     .session_type(move |session| Rc::new(Logged(session, kept.clone())))
///     .option("trace", true)
///     .connect_error(|cx, error| {
///         assert!(error.is_refused());
///         cx.yield_to("sulk", ());
///     })
///     .start(&kernel)?;
/// kernel.run().await?;
/// let log = log.borrow();
/// assert_eq!([&*log[0], &*log[log.len() - 2], &*log[log.len() - 1]], ["_start", "sulk", "_stop"]);
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[must_use = "a client connects only after `start`"]
pub struct TcpClientBuilder<H: 'static, F: Filter, S = NoCallbacks> {
    plan: Plan<H, Server<F>>,
    states: States<H, Server<F>>,
    heap: H,
    goal: Goal,
    attempts: Attempts<H, F>,
    stage: PhantomData<S>,
}

/// The settings that do not depend on the types of the connection.
#[derive(Debug)]
struct Goal {
    addr: Address,
    bind: Option<Address>,
    domain: Option<Domain>,
    timeout: Option<Duration>,
    backoff: Option<Backoff>,
}

/// A client's callbacks beside those of its connection.
struct Attempts<H: 'static, F: Filter> {
    started: Option<Callback<H, Server<F>, ()>>,
    failed: Option<Callback<H, Server<F>, SocketError>>,
    connecting: Option<Callback<H, Server<F>, Attempt>>,
    waiting: Option<Callback<H, Server<F>, Attempt>>,
}

impl TcpClientBuilder<(), Line> {
    pub(super) fn new(addr: Address) -> Self {
        let goal = Goal {
            addr,
            bind: None,
            domain: None,
            timeout: None,
            backoff: None,
        };
        Self::of(Plan::new(Settings::default(), Line::new), (), goal)
    }
}

impl<H: 'static, F: Filter> TcpClientBuilder<H, F> {
    /// Makes a builder without callbacks and states.
    fn of(plan: Plan<H, Server<F>>, heap: H, goal: Goal) -> Self {
        TcpClientBuilder {
            plan,
            states: States::new(),
            heap,
            goal,
            attempts: Attempts {
                started: None,
                failed: None,
                connecting: None,
                waiting: None,
            },
            stage: PhantomData,
        }
    }
}

impl<H: 'static, F: Filter, S> TcpClientBuilder<H, F, S> {
    /// Sets how bytes become records and back: the closure makes a filter per connection.
    ///
    /// Of a pair of filters the first reads and the second writes. Comes before the first callback.
    #[doc(alias = "Filter")]
    pub fn filter<G: Filter>(self, filter: impl Fn() -> G + 'static) -> TcpClientBuilder<H, G>
    where
        S: BeforeCallbacks,
    {
        TcpClientBuilder::of(Plan::new(self.plan.settings, filter), self.heap, self.goal)
    }

    /// Sets the heap of the session. Comes before the first callback.
    #[doc(alias = "HEAP")]
    pub fn heap<I: 'static>(self, heap: I) -> TcpClientBuilder<I, F>
    where
        S: BeforeCallbacks,
    {
        TcpClientBuilder::of(Plan::new(self.plan.settings, self.plan.filter), heap, self.goal)
    }
}

impl<H: 'static, F: Filter, S> TcpClientBuilder<H, F, S> {
    /// Marks the builder: it has a callback.
    fn named(self) -> TcpClientBuilder<H, F, WithCallbacks> {
        TcpClientBuilder {
            plan: self.plan,
            states: self.states,
            heap: self.heap,
            goal: self.goal,
            attempts: self.attempts,
            stage: PhantomData,
        }
    }

    /// Calls `f` when the session has started and is about to connect. Runs inside its `_start`.
    #[doc(alias = "Started")]
    pub fn started<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, H, Server<F>>) -> R + 'static,
    ) -> TcpClientBuilder<H, F, WithCallbacks> {
        self.attempts.started = Some(plain("started", f));
        self.named()
    }

    /// Calls `f` when it could not connect; a timeout has the operation `connect` and [says
    /// so](SocketError::is_timeout). The session stops afterwards, unless there is a [`backoff`](Self::backoff), or
    /// something else holds it, such as a timer for [`RECONNECT`](super::RECONNECT).
    #[doc(alias = "ConnectError")]
    pub fn connect_error<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, H, Server<F>>, SocketError) -> R + 'static,
    ) -> TcpClientBuilder<H, F, WithCallbacks> {
        self.attempts.failed = Some(callback("connect_error", f));
        self.named()
    }

    /// Calls `f` at the beginning of each attempt to connect; the first one comes after [`started`](Self::started).
    pub fn connecting<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, H, Server<F>>, Attempt) -> R + 'static,
    ) -> TcpClientBuilder<H, F, WithCallbacks> {
        self.attempts.connecting = Some(callback("connecting", f));
        self.named()
    }

    /// Calls `f` when a [`backoff`](Self::backoff) starts to wait for the next attempt, with the delay.
    ///
    /// ```
    /// use poe::component::{Backoff, TcpClient};
    /// TcpClient::builder("localhost:7777")
    ///     .backoff(Backoff::new())
    ///     .waiting(|_, next| println!("attempt {} follows in {:?}", next.number, next.delay));
    /// ```
    pub fn waiting<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, H, Server<F>>, Attempt) -> R + 'static,
    ) -> TcpClientBuilder<H, F, WithCallbacks> {
        self.attempts.waiting = Some(callback("waiting", f));
        self.named()
    }

    /// Calls `f` when the client's session stops, as the last of its callbacks. Runs inside its `_stop`.
    ///
    /// ```
    /// use poe::{Kernel, component::TcpClient};
    /// use std::{cell::Cell, rc::Rc};
    /// # tokio_test::block_on(async {
    /// # let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    /// # let nobody = busy.local_addr().unwrap();
    /// # drop(busy);
    /// let kernel = Kernel::new();
    /// let ended = Rc::new(Cell::new(false));
    /// let told = ended.clone();
    /// TcpClient::builder(nobody).stopped(move |_| told.set(true)).start(&kernel)?;
    /// kernel.run().await?;
    /// assert!(ended.get());
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "Stopped")]
    pub fn stopped<R: IntoReply>(
        mut self,
        f: impl Fn(&mut Context<'_, H, Server<F>>) -> R + 'static,
    ) -> TcpClientBuilder<H, F, WithCallbacks> {
        self.plan.callbacks.stopped = Some(plain("stopped", f));
        self.named()
    }

    /// Sets the policy for failures of the client's callbacks and states; default that of the session or kernel that
    /// starts it, which is [`StopKernel`](OnFailure::StopKernel) for [`Kernel::new`].
    ///
    /// A connection whose callback has failed gets no further callback but [`disconnected`](Self::disconnected). If a
    /// handler of `DIE` keeps the session alive, a [`backoff`](Self::backoff) connects again.
    ///
    /// ```
    /// use poe::{OnFailure, component::TcpClient};
    /// TcpClient::builder("localhost:7777")
    ///     .on_failure(OnFailure::StopSession)                     // stops this client and nothing else
    ///     .server_input(|_, line| -> poe::HandlerResult {
    ///         println!("{}", line.parse::<u64>()?);
    ///         Ok(())
    ///     });
    /// ```
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.plan.settings.on_failure = Some(policy);
        self
    }

    /// Limits the time for connecting, including the lookup of the name.
    #[doc(alias = "ConnectTimeout")]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.goal.timeout = Some(limit);
        self
    }

    /// Reconnects after each failure and each lost connection, with growing delays.
    ///
    /// The client ends when it is asked to ([`shutdown`](TcpClient::shutdown),
    /// [`Link::shutdown`](crate::component::Link::shutdown)), or when the attempts are used up. A record from the
    /// server resets the delays, unless the program says which connections were good:
    /// [`mark_good`](crate::Context::mark_good), [`mark_bad`](crate::Context::mark_bad).
    ///
    /// ```
    /// use poe::component::{Backoff, TcpClient};
    /// TcpClient::builder("localhost:7777")
    ///     .backoff(Backoff::new().attempts(10))
    ///     .connected(|cx| cx.server().put("hello"))
    ///     .server_input(|_, line| println!("{line}"));
    /// ```
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.goal.backoff = Some(backoff);
        self
    }

    /// Uses only addresses of this family.
    #[doc(alias = "Domain")]
    pub fn domain(mut self, domain: Domain) -> Self {
        self.goal.domain = Some(domain);
        self
    }

    /// Connects from this address or port.
    #[doc(alias = "BindAddress")]
    #[doc(alias = "BindPort")]
    pub fn bind(mut self, addr: impl Into<Address>) -> Self {
        self.goal.bind = Some(addr.into());
        self
    }
}

connection_settings! {
    TcpClientBuilder, Server, "server",
    pre_connect = "PreConnect",
    connected = "Connected",
    server_input = "ServerInput",
    disconnected = "Disconnected",
    server_flushed = "ServerFlushed",
    server_error = "ServerError",
    server_high = "ServerHigh",
    server_low = "ServerLow"
}

impl<H: 'static, F: Filter, S> TcpClientBuilder<H, F, S> {
    /// Creates the session, below the kernel; it connects as soon as the kernel runs.
    ///
    /// When the kernel is shut down ([`Kernel::shutdown`]) the connection ends after its output is written.
    ///
    /// # Errors
    /// Invalid settings; an alias that is taken; a handler is running (use
    /// [`cx.start(builder)`](crate::Context::start)).
    #[track_caller]
    pub fn start(self, kernel: &Kernel) -> Result<TcpClient, Error> {
        self.start_by(&mut { kernel })
    }

    fn launch(
        self,
        caller: &mut impl Caller,
        core: Weak<Core>,
        place: &'static Location<'static>,
    ) -> Result<TcpClient, Error> {
        if let Some(core) = core.upgrade() {
            core.check_alias(self.plan.settings.alias.as_deref())?;
        }
        self.plan.check(&self.states, &["connect", "reconnect"])?;
        let (mut plan, goal, attempts) = (self.plan, self.goal, self.attempts);
        let alias = plan.settings.alias.clone();
        let retry = goal.backoff.map(|backoff| retrying(backoff, attempts.waiting));
        plan.ended.clone_from(&retry);
        let client = Rc::new(Role {
            plan: Rc::new(plan),
            bind: goal.bind,
            domain: goal.domain,
            timeout: goal.timeout,
            retry,
            started: attempts.started,
            failed: attempts.failed,
            connecting: attempts.connecting,
        });
        let server = Server::new(goal.addr, alias);
        let states = states(&client, self.states);
        let session = client
            .plan
            .settings
            .session(self.heap, server, &states)
            .create_by(caller, place)?;
        Ok(TcpClient { core, session })
    }
}

impl<H: 'static, F: Filter, S> Start for TcpClientBuilder<H, F, S> {
    type Started = TcpClient;

    #[track_caller]
    fn start_by(self, caller: &mut impl Caller) -> Result<TcpClient, Error> {
        let core = caller.core().weak();
        self.launch(caller, core, Location::caller())
    }
}

debug_fields!([H, F: Filter, S] TcpClientBuilder<H, F, S>, "TcpClientBuilder", |this| {
    goal: this.goal,
    settings: this.plan.settings,
    ..
});
