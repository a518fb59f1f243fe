//! POE::Wheel::ListenAccept: connections taken from a socket that listens already.
//!
//! | event | argument | when |
//! |---|---|---|
//! | accept | [`Connection`] | somebody was accepted |
//! | error | [`SocketError`] | `accept` failed, and not because a client went away; once per episode |

use super::base::{Base, wheel_methods};
use super::error::SocketError;
use super::socket::ListenSocket;
use super::socket::accept::{Accepting, State};
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

/// Takes connections from a socket that listens already (`POE::Wheel::ListenAccept`): one that was handed over by
/// another program, or made with options that [`SocketFactory`](super::SocketFactory) does not know.
///
/// Dropping the wheel does not close a socket that somebody else has, too: give it an `Rc` and keep one.
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
///
/// One session can set it up and another serve it. While it is paused, those who connect wait in the system's backlog:
///
/// ```
/// use poe::{Event, Kernel, Session, event::START, wheel::{Connection, ListenAccept, SocketError}};
/// use tokio::net::TcpListener;
/// const WHEEL: Event<ListenAccept> = Event::new("wheel");
/// const CLIENT: Event<Connection> = Event::new("client");
/// const FAILED: Event<SocketError> = Event::new("failed");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let server = Session::builder(None::<ListenAccept>)
///     .on(START, |cx, ()| cx.alias_set("server"))
///     .on(WHEEL, |cx, wheel: ListenAccept| -> poe::HandlerResult {
///         cx.alias_remove("server")?; // it is the wheel that keeps the session alive from here on
///         wheel.adopt(cx)?;
///         assert_eq!(wheel.session_id(), cx.session_id());
///         wheel.set_accept_event(CLIENT);
///         wheel.set_error_event(FAILED);
///         wheel.resume_accept();
///         *cx.heap = Some(wheel);
///         Ok(())
///     })
///     .on(CLIENT, |cx, client| {
///         assert_eq!(Some(client.wheel), cx.heap.as_ref().map(ListenAccept::id));
///         *cx.heap = None;
///     })
///     .on(FAILED, |_, error| panic!("{error}"))
///     .create(&kernel)?;
/// let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
/// let addr = listener.local_addr().unwrap();
/// std::thread::spawn(move || std::net::TcpStream::connect(addr));
/// Session::builder(())
///     .on(START, move |cx, listener: TcpListener| -> poe::HandlerResult {
///         let wheel = ListenAccept::builder(listener).start(cx);
///         wheel.pause_accept();
///         Ok(cx.call(server, WHEEL, wheel)?)
///     })
///     .args(listener)
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[doc(alias = "POE::Wheel::ListenAccept")]
pub struct ListenAccept {
    state: Rc<State>,
    task: Option<TaskId>,
}

/// Settings of a [`ListenAccept`].
///
/// | setting | default |
/// |---|---|
/// | [`accept`](Self::accept), [`error`](Self::error) | not told: name at least `accept` |
/// | [`nodelay`](Self::nodelay) | `TCP_NODELAY` on |
///
/// ```
/// use poe::{Event, Kernel, Session, event::START, wheel::{Connection, ListenAccept, SocketError}};
/// use tokio::net::TcpListener;
/// const CLIENT: Event<Connection> = Event::new("client");
/// const FAILED: Event<SocketError> = Event::new("failed");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
/// let addr = listener.local_addr().unwrap();
/// Session::builder(None)
///     .on(START, |cx, listener: TcpListener| {
///         let settings = ListenAccept::builder(listener).accept(CLIENT).error(FAILED).nodelay(false);
///         *cx.heap = Some(settings.start(cx));
///     })
///     .on(CLIENT, |cx, client| -> poe::HandlerResult {
///         assert!(!client.stream.as_tcp().expect("it came over TCP").nodelay()?);
///         *cx.heap = None;
///         Ok(())
///     })
///     .on(FAILED, |_, error| panic!("{error}"))
///     .args(listener)
///     .create(&kernel)?;
/// std::thread::spawn(move || std::net::TcpStream::connect(addr));
/// kernel.run().await
/// # }).unwrap();
/// ```
#[must_use = "a wheel turns only after `start`"]
pub struct ListenAcceptBuilder {
    listener: ListenSocket,
    accept: Option<HeldName>,
    error: Option<HeldName>,
    nodelay: bool,
}

impl ListenAccept {
    /// Settings for a wheel that takes connections from that socket.
    #[doc(alias = "Handle")]
    pub fn builder(listener: impl Into<ListenSocket>) -> ListenAcceptBuilder {
        ListenAcceptBuilder {
            listener: listener.into(),
            accept: None,
            error: None,
            nodelay: true,
        }
    }

    /// Has connections come as that event from now on.
    #[doc(alias = "event")]
    pub fn set_accept_event(&self, event: impl Posts<Connection>) {
        self.state.set_success(HeldName::new(event.key()));
    }

    /// Has failures come as that event from now on.
    #[doc(alias = "event")]
    pub fn set_error_event(&self, event: impl Posts<SocketError>) {
        self.state.set_failure(HeldName::new(event.key()));
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
    /// Tells of connections.
    #[doc(alias = "AcceptEvent")]
    pub fn accept(mut self, event: impl Posts<Connection>) -> Self {
        self.accept = Some(HeldName::new(event.key()));
        self
    }

    /// Tells of failures.
    #[doc(alias = "ErrorEvent")]
    pub fn error(mut self, event: impl Posts<SocketError>) -> Self {
        self.error = Some(HeldName::new(event.key()));
        self
    }

    /// Whether small writes leave at once (`TCP_NODELAY`); default true.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Starts the wheel for the session that is running; pass the handler's context.
    #[track_caller]
    pub fn start(self, kernel: &KernelRef<'_>) -> ListenAccept {
        let base = Base::new(kernel, Location::caller());
        let what = format!("ListenAccept {}", base.id());
        let state = State::new(base, self.accept, self.error, self.nodelay);
        state.set_local(self.listener.local_name());
        let body = Box::new(AcceptTask {
            state: state.clone(),
            accepting: Accepting::new(self.listener),
        });
        let task = state.base.start(&what, true, body);
        ListenAccept { state, task }
    }
}

impl fmt::Debug for ListenAcceptBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenAcceptBuilder")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

struct AcceptTask {
    state: Rc<State>,
    accepting: Accepting,
}

impl Task for AcceptTask {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        self.accepting.poll(&self.state, core, cx)
    }
}
