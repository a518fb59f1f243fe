//! POE::Wheel::ListenAccept: accepts connections on a socket that listens already.
//!
//! | event | argument | when |
//! |---|---|---|
//! | accept | [`Connection`] | a client was accepted |
//! | error | [`SocketError`] | `accept` failed, and not because a client went away; once per episode |

use super::base::{Base, Tag, tag_setting, wheel_methods};
use super::error::SocketError;
use super::socket::ListenSocket;
use super::socket::accept::{AcceptState, Accepting};
use super::socket_factory::Connection;
use crate::event::Posts;
use crate::id::TaskId;
use crate::kernel::task::Task;
use crate::kernel::{Core, KernelRef};
use crate::name::HeldName;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Accepts connections on a socket that listens already (`POE::Wheel::ListenAccept`).
///
/// Use it for a socket that another program has passed to this one, or that needs options which
/// [`SocketFactory`](super::SocketFactory) does not have. Dropping the wheel does not close a socket that you share: give it an
/// `Rc` and keep one.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START, wheel::{Connection, ListenAccept}};
/// use std::rc::Rc;
/// const CLIENT: Event<Connection> = Event::new("client");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let listener = Rc::new(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
/// let addr = listener.local_addr().unwrap();
/// std::thread::spawn(move || std::net::TcpStream::connect(addr));
/// Session::builder(None::<ListenAccept>)
///     .on(START, move |cx, ()| *cx.heap = Some(ListenAccept::builder(listener.clone()).accept(CLIENT).start(cx)))
///     .on(CLIENT, |cx, client| {
///         println!("{} is here", client.peer);
///         *cx.heap = None;
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[doc(alias = "POE::Wheel::ListenAccept")]
pub struct ListenAccept {
    state: Rc<AcceptState>,
    task: Option<TaskId>,
}

/// Configures a [`ListenAccept`] wheel.
///
/// | setting | default |
/// |---|---|
/// | [`accept`](Self::accept), [`error`](Self::error) | no event: set at least `accept` |
/// | [`nodelay`](Self::nodelay) | `TCP_NODELAY` on |
#[must_use = "a wheel does nothing until `start` is called"]
pub struct ListenAcceptBuilder {
    listener: ListenSocket,
    accept: Option<HeldName>,
    error: Option<HeldName>,
    nodelay: bool,
    tag: Tag,
}

impl ListenAccept {
    /// Starts building a wheel that accepts connections on this socket.
    #[doc(alias = "Handle")]
    pub fn builder(listener: impl Into<ListenSocket>) -> ListenAcceptBuilder {
        ListenAcceptBuilder {
            listener: listener.into(),
            accept: None,
            error: None,
            nodelay: true,
            tag: Tag::default(),
        }
    }

    /// Changes the event for connections.
    #[doc(alias = "event")]
    pub fn set_accept_event(&self, event: impl Posts<Connection>) {
        self.state.set_success(HeldName::new(event.key()));
    }

    /// Changes the event for failures.
    #[doc(alias = "event")]
    pub fn set_error_event(&self, event: impl Posts<SocketError>) {
        self.state.set_failure(HeldName::new(event.key()));
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
}

wheel_methods!(ListenAccept, |wheel| wheel.state.base, wheel.task);

impl Drop for ListenAccept {
    fn drop(&mut self) {
        self.state.base.end(self.task);
    }
}

impl fmt::Debug for ListenAccept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenAccept")
            .field("id", &self.id())
            .field("paused", &self.state.paused.get())
            .finish_non_exhaustive()
    }
}

impl ListenAcceptBuilder {
    /// Sends this event for each connection.
    #[doc(alias = "AcceptEvent")]
    pub fn accept(mut self, event: impl Posts<Connection>) -> Self {
        self.accept = Some(HeldName::new(event.key()));
        self
    }

    /// Sends this event for failures.
    #[doc(alias = "ErrorEvent")]
    pub fn error(mut self, event: impl Posts<SocketError>) -> Self {
        self.error = Some(HeldName::new(event.key()));
        self
    }

    /// Sets whether small writes leave at once (`TCP_NODELAY`); default true.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Starts the wheel for the session that is running; pass the handler's context.
    #[track_caller]
    pub fn start(self, kernel: &KernelRef<'_>) -> ListenAccept {
        let base = Base::new(kernel, Location::caller()).tagged(self.tag);
        let what = format!("ListenAccept {}", base.id());
        let state = AcceptState::new(base, self.accept, self.error, self.nodelay);
        state.set_local(self.listener.local_name());
        let body = Box::new(AcceptTask {
            state: state.clone(),
            accepting: Accepting::new(self.listener),
        });
        let task = state.base.start(&what, true, body);
        ListenAccept { state, task }
    }
}

tag_setting!([] ListenAcceptBuilder, tag);

impl fmt::Debug for ListenAcceptBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenAcceptBuilder")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

struct AcceptTask {
    state: Rc<AcceptState>,
    accepting: Accepting,
}

impl Task for AcceptTask {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        self.accepting.poll(&self.state, core, cx)
    }
}
