//! What servers and clients have alike: the settings of a connection, with their defaults, and how they are set.

use crate::error::OnFailure;
use crate::kernel::Invoke;
use crate::session::{Session, SessionBuilder, States};
use crate::wheel::FLUSH_TIMEOUT;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// All settings of a connection.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Send small writes at once.
    pub(super) nodelay: bool,
    /// High and low, in bytes.
    pub(super) marks: Option<(usize, usize)>,
    /// End the connection after an error.
    pub(super) shutdown_on_error: bool,
    /// How long a peer is heard out when the connection is closed.
    pub(super) linger: Duration,
    /// How long it may take nothing of what waits to be written then.
    pub(super) flush_timeout: Duration,
    /// Of the session that is the component.
    pub(super) alias: Option<String>,
    /// Options of its sessions.
    pub(super) options: Vec<(String, String)>,
    /// Of its sessions.
    pub(super) session_type: Option<SessionType>,
    /// What a failure stops that nobody handles; that of its parent or of the kernel unless it is set.
    pub(super) on_failure: Option<OnFailure>,
}

/// Makes of a session of the component's the object that the kernel is to run.
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
    /// A session of the component's, as the settings want it.
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
            alias: None,
            options: Vec::new(),
            session_type: None,
            on_failure: None,
        }
    }
}

/// The methods that the builders of servers and of clients have alike, but for what is at the other end, by which the
/// callbacks are named. The builder has the fields `settings`, `callbacks`, `states` and `stateful`; examples of these are in
/// its own documentation.
macro_rules! connection_settings {
    (
        $builder:ident, $component:ident, $peer:literal,
        $flushed:ident = $flushed_alias:literal, $error:ident = $error_alias:literal,
        $high:ident = $high_alias:literal, $low:ident = $low_alias:literal
    ) => {
        impl<H: 'static, F: Filter> $builder<H, F> {
            #[doc = concat!("Everything that was put for the ", $peer, " has been written.")]
            #[doc(alias = $flushed_alias)]
            pub fn $flushed<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, H, $component<F>>) -> R + 'static) -> Self {
                self.callbacks.flushed = Some(plain(stringify!($flushed), f));
                self
            }

            #[doc = concat!("The connection has failed or ended, or the ", $peer, " has sent what is no record. Unless")]
            /// [`shutdown_on_error`](Self::shutdown_on_error) is off the connection ends then, but for a single bad record
            /// after which the filter can go on (not an over-long one: that ends it, too). Without this callback errors are
            /// logged, but for the end of the input and a reset.
            #[doc(alias = $error_alias)]
            pub fn $error<R: IntoReply>(
                mut self,
                f: impl Fn(&mut Context<'_, H, $component<F>>, IoError) -> R + 'static,
            ) -> Self {
                self.callbacks.error = Some(callback(stringify!($error), f));
                self
            }

            #[doc = concat!("What waits to be written to the ", $peer, " has reached the high mark of")]
            /// [`watermarks`](Self::watermarks).
            #[doc(alias = $high_alias)]
            pub fn $high<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, H, $component<F>>) -> R + 'static) -> Self {
                self.callbacks.high = Some(plain(stringify!($high), f));
                self
            }

            #[doc = concat!("What waits to be written to the ", $peer, " had reached the high mark, and has fallen to the low")]
            /// one.
            #[doc(alias = $low_alias)]
            pub fn $low<R: IntoReply>(mut self, f: impl Fn(&mut Context<'_, H, $component<F>>) -> R + 'static) -> Self {
                self.callbacks.low = Some(plain(stringify!($low), f));
                self
            }

            /// Watches how much waits to be written, in bytes; `0 < low < high`. Goes with
            #[doc = concat!("[`", $peer, "_high`](Self::", $peer, "_high) and [`", $peer, "_low`](Self::", $peer, "_low): all three or none.")]
            #[doc(alias = "HighMark")]
            #[doc(alias = "LowMark")]
            pub fn watermarks(mut self, high: usize, low: usize) -> Self {
                self.settings.marks = Some((high, low));
                self
            }

            /// Adds a handler of one's own to the sessions of connections, beside the callbacks.
            #[doc(alias = "InlineStates")]
            pub fn state<A: 'static, R: IntoReply>(
                mut self,
                event: impl Calls<A, R::Value>,
                f: impl Fn(&mut Context<'_, H, $component<F>>, A) -> R + 'static,
            ) -> Self {
                self.states = self.states.on(event, f);
                self.stateful = true;
                self
            }

            /// Adds a table of handlers of one's own to them.
            #[doc(alias = "InlineStates")]
            pub fn inline_states(mut self, states: &States<H, $component<F>>) -> Self {
                self.states = self.states.with(states);
                self.stateful = true;
                self
            }

            /// Whether small writes leave at once (`TCP_NODELAY`); default true.
            pub fn nodelay(mut self, nodelay: bool) -> Self {
                self.settings.nodelay = nodelay;
                self
            }

            /// Whether a connection ends after an error; default true.
            #[doc(alias = "ClientShutdownOnError")]
            pub fn shutdown_on_error(mut self, shutdown: bool) -> Self {
                self.settings.shutdown_on_error = shutdown;
                self
            }

            #[doc = concat!("How long we wait for the ", $peer, "'s end of a connection that we have ended, and drop what comes, so that the")]
            #[doc = concat!("system does not reset the connection and the ", $peer, " loses what we wrote; default one second, zero: not at")]
            /// all. The session lives until then; `disconnected` is called before. See
            /// [`ReadWrite::close`](crate::wheel::ReadWrite::close) for how many wait at a time.
            pub fn linger(mut self, limit: Duration) -> Self {
                self.settings.linger = limit;
                self
            }

            #[doc = concat!("How long the ", $peer, " may take nothing of what waits to be written when the connection ends; default")]
            /// 30 seconds. Each byte that it takes starts the time anew. At its end the connection is reset, and the error callback
            /// is told how many bytes were not written ([`IoError::unwritten`](crate::wheel::IoError::unwritten)).
            /// [`Duration::MAX`] sets no limit.
            pub fn flush_timeout(mut self, limit: Duration) -> Self {
                self.settings.flush_timeout = limit;
                self
            }

            /// Sets an option of the component's sessions, such as `trace`: see
            /// [`Context::set_option`](crate::Context::set_option).
            #[doc(alias = "SessionParams")]
            #[doc(alias = "options")]
            pub fn option(mut self, name: &str, value: impl ToString) -> Self {
                self.settings.options.push((name.to_owned(), value.to_string()));
                self
            }

            /// Has the kernel run session types of one's own: for each session that the component makes (a server makes its
            /// listener's first), the closure is given the session's own object and returns the one to run, which does a few
            /// things by itself and leaves the rest to the other. See
            /// [`SessionBuilder::session_type`](crate::SessionBuilder::session_type). What POE has as `SessionParams` is
            /// captured by the closure.
            #[doc(alias = "SessionType")]
            #[doc(alias = "SessionParams")]
            pub fn session_type(
                mut self,
                session_type: impl Fn(Rc<dyn Invoke>) -> Rc<dyn Invoke> + 'static,
            ) -> Self {
                self.settings.session_type = Some(SessionType::new(session_type));
                self
            }
        }
    };
}
pub(super) use connection_settings;
