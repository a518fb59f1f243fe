//! The common settings of a connection, with their defaults and setters, for the builders of servers and clients.

use super::callbacks::Callbacks;
use super::connection::{Plan, Wired};
use crate::error::OnFailure;
use crate::kernel::Invoke;
use crate::session::{Session, SessionBuilder, States};
use crate::wheel::{DEFAULT_MARKS, FLUSH_TIMEOUT, Limits};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// The state of a builder without callbacks: its filter and its heap can still be chosen.
#[derive(Debug)]
pub enum NoCallbacks {}

/// The state of a builder with a callback: the types that callbacks get are fixed.
#[derive(Debug)]
pub enum WithCallbacks {}

/// Implemented by the builder state in which the types of callbacks can still be changed.
#[diagnostic::on_unimplemented(
    message = "the filter and the heap of a component must be set before its first callback or state",
    label = "a callback or a state was set before this call",
    note = "they determine what callbacks get: write `.filter(…)` and `.client_heap(…)` (in a client: `.heap(…)`) \
            directly after `builder(…)`, and the callbacks after them"
)]
pub trait BeforeCallbacks {}

impl BeforeCallbacks for NoCallbacks {}

/// All settings of a connection.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Whether small writes are sent at once.
    pub(super) nodelay: bool,
    /// The high and the low mark, in bytes.
    pub(super) marks: Option<(usize, usize)>,
    /// Whether the connection ends after an error.
    pub(super) shutdown_on_error: bool,
    /// How long to keep reading and discarding after the close, so that the peer sees FIN instead of RST.
    pub(super) linger: Duration,
    /// How long the peer may take no byte of the output after the end was asked for.
    pub(super) flush_timeout: Duration,
    /// The time limits of the peer.
    pub(super) limits: Limits,
    /// The alias of the component's session.
    pub(super) alias: Option<String>,
    /// The options of its sessions.
    pub(super) options: Vec<(String, String)>,
    /// The custom session type of its sessions.
    pub(super) session_type: Option<SessionType>,
    /// The failure policy; `None` for that of the parent or the kernel.
    pub(super) on_failure: Option<OnFailure>,
}

/// Makes the object that the kernel runs, from a session of the component.
#[derive(Clone)]
pub(super) struct SessionType(Rc<Around>);

type Around = dyn Fn(Rc<dyn Invoke>) -> Rc<dyn Invoke>;

impl SessionType {
    pub(super) fn new(session_type: impl Fn(Rc<dyn Invoke>) -> Rc<dyn Invoke> + 'static) -> Self {
        SessionType(Rc::new(session_type))
    }
}

impl fmt::Debug for SessionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionType(..)")
    }
}

impl Settings {
    /// Starts building a session of the component with these settings.
    pub(super) fn session<H: 'static, X: 'static>(
        &self,
        heap: H,
        component: X,
        states: &States<H, X>,
    ) -> SessionBuilder<H, X> {
        let mut session = Session::builder_with(heap, component).inline_states(states);
        if let Some(policy) = self.on_failure {
            session = session.on_failure(policy);
        }
        for (name, value) in &self.options {
            session = session.option(name, value);
        }
        match self.session_type.clone() {
            Some(SessionType(session_type)) => session.session_type(move |own| session_type(own)),
            None => session,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            nodelay: true,
            marks: None,
            shutdown_on_error: true,
            linger: Duration::from_secs(1),
            flush_timeout: FLUSH_TIMEOUT,
            limits: Limits::default(),
            alias: None,
            options: Vec::new(),
            session_type: None,
            on_failure: None,
        }
    }
}

impl<H: 'static, X: Wired> Plan<H, X> {
    pub(super) fn new(settings: Settings, filter: impl Fn() -> X::Filter + 'static) -> Self {
        Plan {
            settings,
            callbacks: Callbacks::default(),
            filter: Box::new(filter),
            ended: None,
        }
    }

    /// The high and the low mark, if the output buffer is watched.
    pub(super) fn marks(&self) -> Option<(usize, usize)> {
        let watched = self.callbacks.high.is_some() || self.callbacks.low.is_some();
        self.settings.marks.or(watched.then_some(DEFAULT_MARKS))
    }
}

/// The setters that the builders of servers and of clients share; the callbacks are named for the peer. The builder has the
/// fields `plan`, `states`, and a method `named` that returns it with the state [`WithCallbacks`].
macro_rules! connection_settings {
    (
        $builder:ident, $component:ident, $peer:literal,
        $pre_connect:ident = $pre_connect_alias:literal, $connected:ident = $connected_alias:literal,
        $input:ident = $input_alias:literal, $disconnected:ident = $disconnected_alias:literal,
        $flushed:ident = $flushed_alias:literal, $error:ident = $error_alias:literal,
        $high:ident = $high_alias:literal, $low:ident = $low_alias:literal
    ) => {
        /// Callbacks of a connection. All are optional.
        impl<H: 'static, F: Filter, S> $builder<H, F, S> {
            #[doc = concat!("Turns the socket of the ", $peer, " into the stream that is read and written: the place for TLS.")]
            ///
            /// It runs as soon as there is a socket; the connected callback runs when the future is done. An error
            /// rejects the connection: a server's client sees the connection end and no callback runs; in a client it
            /// is a connect error with the operation `preconnect`. The future counts towards
            /// [`first_record_timeout`](Self::first_record_timeout), and in a client towards its `connect_timeout`.
            ///
            /// ```
            /// use poe::component::{TcpClient, TcpServer};
            /// use tokio::io::AsyncWriteExt;
            /// TcpServer::builder("0.0.0.0:7777").client_pre_connect(|cx, stream| {
            ///     let local = cx.client().peer_addr().is_some_and(|peer| peer.ip().is_loopback());
            ///     async move { if local { Ok(stream) } else { Err(std::io::ErrorKind::PermissionDenied.into()) } }
            /// });
            /// TcpClient::builder("localhost:7777").pre_connect(|_, mut stream| async move {
            ///     stream.write_all(b"CONNECT example.org:80 HTTP/1.0\r\n\r\n").await?;
            ///     Ok(stream)
            /// });
            /// ```
            #[doc(alias = $pre_connect_alias)]
            pub fn $pre_connect<Fut, T>(
                mut self,
                f: impl Fn(&mut Context<'_, H, $component<F>>, SocketStream) -> Fut + 'static,
            ) -> $builder<H, F, WithCallbacks>
            where
                Fut: Future<Output = io::Result<T>> + 'static,
                T: AsyncRead + AsyncWrite + 'static,
            {
                self.plan.callbacks.pre_connect = Some(pre_connect(stringify!($pre_connect), f));
                self.named()
            }

            #[doc = concat!("Calls `f` when the ", $peer, " has connected. In a server it runs in the `_start` of the client's")]
            /// session, unless a PreConnect callback was waited for.
            #[doc(alias = $connected_alias)]
            pub fn $connected<R: IntoReply>(
                mut self,
                f: impl Fn(&mut Context<'_, H, $component<F>>) -> R + 'static,
            ) -> $builder<H, F, WithCallbacks> {
                self.plan.callbacks.connected = Some(plain(stringify!($connected), f));
                self.named()
            }

            #[doc = concat!("Calls `f` for each record that the ", $peer, " sends, until the end of the connection is asked for.")]
            ///
            /// Without this callback records are read and dropped, so that the end of the connection is noticed.
            #[doc(alias = $input_alias)]
            pub fn $input<R: IntoReply>(
                mut self,
                f: impl Fn(&mut Context<'_, H, $component<F>>, F::Input) -> R + 'static,
            ) -> $builder<H, F, WithCallbacks> {
                self.plan.callbacks.input = Some(callback(stringify!($input), f));
                self.named()
            }

            #[doc = concat!("Calls `f` when the connection to the ", $peer, " is over: once for each that was connected.")]
            ///
            /// It also runs when the session is stopped from outside. A server's client session stops afterwards,
            /// unless something holds it: clear timers here ([`alarm_clear`](crate::KernelRef::alarm_clear)).
            #[doc(alias = $disconnected_alias)]
            pub fn $disconnected<R: IntoReply>(
                mut self,
                f: impl Fn(&mut Context<'_, H, $component<F>>) -> R + 'static,
            ) -> $builder<H, F, WithCallbacks> {
                self.plan.callbacks.disconnected = Some(plain(stringify!($disconnected), f));
                self.named()
            }

            #[doc = concat!("Calls `f` when everything that was put for the ", $peer, " has been written.")]
            #[doc(alias = $flushed_alias)]
            pub fn $flushed<R: IntoReply>(
                mut self,
                f: impl Fn(&mut Context<'_, H, $component<F>>) -> R + 'static,
            ) -> $builder<H, F, WithCallbacks> {
                self.plan.callbacks.flushed = Some(plain(stringify!($flushed), f));
                self.named()
            }

            #[doc = concat!("Calls `f` when the connection has failed or ended, and for bytes of the ", $peer, " that are not a record.")]
            ///
            /// Unless [`shutdown_on_error`](Self::shutdown_on_error) is off the connection ends then, except for a single
            /// bad record after which the filter can go on (a record that is too long ends it). Without this callback
            /// errors are logged, except the end of the input and a reset.
            #[doc(alias = $error_alias)]
            pub fn $error<R: IntoReply>(
                mut self,
                f: impl Fn(&mut Context<'_, H, $component<F>>, IoError) -> R + 'static,
            ) -> $builder<H, F, WithCallbacks> {
                self.plan.callbacks.error = Some(callback(stringify!($error), f));
                self.named()
            }

            #[doc = concat!("Calls `f` when the output buffer for the ", $peer, " reaches the high mark of")]
            /// [`watermarks`](Self::watermarks).
            #[doc(alias = $high_alias)]
            pub fn $high<R: IntoReply>(
                mut self,
                f: impl Fn(&mut Context<'_, H, $component<F>>) -> R + 'static,
            ) -> $builder<H, F, WithCallbacks> {
                self.plan.callbacks.high = Some(plain(stringify!($high), f));
                self.named()
            }

            #[doc = concat!("Calls `f` when the output buffer for the ", $peer, " falls to the low mark, after it had reached the high mark.")]
            #[doc(alias = $low_alias)]
            pub fn $low<R: IntoReply>(
                mut self,
                f: impl Fn(&mut Context<'_, H, $component<F>>) -> R + 'static,
            ) -> $builder<H, F, WithCallbacks> {
                self.plan.callbacks.low = Some(plain(stringify!($low), f));
                self.named()
            }

            /// Adds a handler of your own to the sessions of connections, beside the callbacks.
            #[doc(alias = "InlineStates")]
            pub fn state<A: 'static, R: IntoReply>(
                mut self,
                event: impl Calls<A, R::Value>,
                f: impl Fn(&mut Context<'_, H, $component<F>>, A) -> R + 'static,
            ) -> $builder<H, F, WithCallbacks> {
                self.states = self.states.on(event, f);
                self.named()
            }

            /// Adds a table of handlers of your own to the sessions of connections.
            #[doc(alias = "InlineStates")]
            pub fn inline_states(mut self, states: &States<H, $component<F>>) -> $builder<H, F, WithCallbacks> {
                self.states = self.states.with(states);
                self.named()
            }
        }

        /// Settings of a connection.
        impl<H: 'static, F: Filter, S> $builder<H, F, S> {
            /// Sets the marks of the output buffer, in bytes, `0 < low < high`; default none.
            ///
            /// At `high` a put reports [`Level::High`](crate::wheel::Level::High) and
            #[doc = concat!("[`", $peer, "_high`](Self::", $peer, "_high) is called; back at `low`, [`", $peer, "_low`](Self::", $peer, "_low).")]
            /// With one of these callbacks and no marks, the marks are 64 KiB and 16 KiB.
            #[doc(alias = "HighMark")]
            #[doc(alias = "LowMark")]
            pub fn watermarks(mut self, high: usize, low: usize) -> Self {
                self.plan.settings.marks = Some((high, low));
                self
            }

            /// Ends a connection on which no byte has gone either way for this long; default none.
            ///
            #[doc = concat!("The error callback (`", $peer, "_error`) gets an error that [says so](IoError::is_timeout); then queued output is")]
            /// written, and the connection ends. The time stands still while your program has paused the input and
            /// no output waits. With [`shutdown_on_error`](Self::shutdown_on_error) off the connection stays, the callback
            /// decides what happens, and it runs again after the next silence.
            pub fn idle_timeout(mut self, limit: Duration) -> Self {
                self.plan.settings.limits.idle = Some(limit);
                self
            }

            #[doc = concat!("Ends a connection whose ", $peer, " has not sent a whole record this long after connecting; default none.")]
            ///
            /// The time begins with the socket, so it also limits a PreConnect callback (a TLS handshake). It ends the
            /// connection as [`idle_timeout`](Self::idle_timeout) does.
            pub fn first_record_timeout(mut self, limit: Duration) -> Self {
                self.plan.settings.limits.first = Some(limit);
                self
            }

            /// Ends a connection on which a record is incomplete for this long after its first byte; default none.
            ///
            /// It ends the connection as [`idle_timeout`](Self::idle_timeout) does. Use it against peers that send a byte now
            /// and then ("slow loris"), which an idle timeout does not stop.
            pub fn record_timeout(mut self, limit: Duration) -> Self {
                self.plan.settings.limits.record = Some(limit);
                self
            }

            /// Sets whether small writes leave at once (`TCP_NODELAY`); default true.
            pub fn nodelay(mut self, nodelay: bool) -> Self {
                self.plan.settings.nodelay = nodelay;
                self
            }

            /// Sets whether a connection ends after an error; default true.
            #[doc(alias = "ClientShutdownOnError")]
            pub fn shutdown_on_error(mut self, shutdown: bool) -> Self {
                self.plan.settings.shutdown_on_error = shutdown;
                self
            }

            /// Sets how long to keep reading and discarding after the close, so that the peer sees FIN instead of RST.
            ///
            /// The default is one second; zero closes at once, and the peer may lose what was written last. The session lives
            /// until then; the disconnected callback runs before. See [`ReadWrite::close`](crate::wheel::ReadWrite::close)
            /// for how many connections wait at a time.
            pub fn linger(mut self, limit: Duration) -> Self {
                self.plan.settings.linger = limit;
                self
            }

            #[doc = concat!("Sets how long the ", $peer, " may take no byte of the output when the connection ends; default 30 seconds.")]
            ///
            /// Each byte that it takes starts the time anew. When the time is over the connection is reset, and the error
            /// callback gets an error with the number of bytes that were not written
            /// ([`IoError::unwritten`](crate::wheel::IoError::unwritten)). [`Duration::MAX`] sets no limit.
            pub fn flush_timeout(mut self, limit: Duration) -> Self {
                self.plan.settings.flush_timeout = limit;
                self
            }

            /// Sets an option of the component's sessions, such as `trace`: see
            /// [`KernelRef::set_option`](crate::KernelRef::set_option).
            #[doc(alias = "SessionParams")]
            #[doc(alias = "options")]
            pub fn option(mut self, name: &str, value: impl ToString) -> Self {
                self.plan.settings.options.push((name.to_owned(), value.to_string()));
                self
            }

            /// Runs a session type of your own: the closure gets each session's object and returns the one to run.
            ///
            /// A server makes its listener's session first. See
            /// [`SessionBuilder::session_type`](crate::SessionBuilder::session_type). What POE passes as `SessionParams` is
            /// captured by the closure.
            #[doc(alias = "SessionType")]
            #[doc(alias = "SessionParams")]
            pub fn session_type(
                mut self,
                session_type: impl Fn(Rc<dyn Invoke>) -> Rc<dyn Invoke> + 'static,
            ) -> Self {
                self.plan.settings.session_type = Some(SessionType::new(session_type));
                self
            }

            /// Sets the alias of the component's session, which it gives up at a shutdown; default none.
            #[doc(alias = "Alias")]
            pub fn alias(mut self, alias: impl Into<String>) -> Self {
                self.plan.settings.alias = Some(alias.into());
                self
            }
        }
    };
}
pub(super) use connection_settings;
