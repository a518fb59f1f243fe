//! What servers and clients have alike: the settings of a connection, with their defaults, and how they are set.

use crate::kernel::Invoke;
use crate::session::{Session, SessionBuilder, States};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// All settings of a connection.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Send small writes at once.
    pub(super) nodelay: bool,
    /// High and low, in octets.
    pub(super) marks: Option<(usize, usize)>,
    /// End the connection after an error.
    pub(super) shutdown_on_error: bool,
    /// How long a peer is heard out when the connection is closed.
    pub(super) linger: Duration,
    /// Of the session that is the component.
    pub(super) alias: Option<String>,
    /// Options of its sessions.
    pub(super) options: Vec<(String, String)>,
    /// Of its sessions.
    pub(super) session_type: Option<SessionType>,
}

/// Makes of a session of the component's the object that the kernel is to run.
#[derive(Clone)]
pub(super) struct SessionType(Rc<dyn Fn(Rc<dyn Invoke>) -> Rc<dyn Invoke>>);

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
    pub(super) fn session<H: 'static>(&self, heap: H, states: &States<H>) -> SessionBuilder<H> {
        let mut session = Session::builder(heap).inline_states(states);
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
            alias: None,
            options: Vec::new(),
            session_type: None,
        }
    }
}

/// The methods of a builder with a field `settings` that say them: `connection_settings!("client");`, by what is at the
/// other end.
macro_rules! connection_settings {
    ($peer:literal) => {
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

        /// Watches how much waits to be written, in octets. Goes with
        #[doc = concat!("[`", $peer, "_high`](Self::", $peer, "_high) and [`", $peer, "_low`](Self::", $peer, "_low): all three or none.")]
        #[doc(alias = "HighMark")]
        #[doc(alias = "LowMark")]
        pub fn watermarks(mut self, high: usize, low: usize) -> Self {
            self.settings.marks = Some((high, low));
            self
        }

        /// Sets an option of the component's sessions, such as `trace`.
        #[doc(alias = "SessionParams")]
        #[doc(alias = "options")]
        pub fn option(mut self, name: &str, value: impl ToString) -> Self {
            self.settings.options.push((name.to_owned(), value.to_string()));
            self
        }
    };
}
pub(super) use connection_settings;
