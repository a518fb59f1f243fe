//! The server's session: it takes connections, runs the routes' handlers, and ends the connections in good order.
//!
//! | what happens | what the session does |
//! |---|---|
//! | a connection is accepted | a wheel of this session serves it, unless its address has too many |
//! | a connection has a request | the route's handler runs now, ahead of the queue, like that of any wheel's input |
//! | a handler fails | the client gets 500; the failure is logged |
//! | no reply within `request_timeout` | the client gets 503 |
//! | `SHUTDOWN`, `KERNEL_SHUTDOWN` | the listener closes; connections end with their last response, or after `drain_timeout` |
//! | `_stop` | every connection ends at once |

use super::connection::{Connecting, Serve};
use super::reply::Slot;
use super::routes::Routes;
use super::shared::{Client, Command, Job, Shared};
use super::work::{Handler, Work};
use http::StatusCode;
use poe::component::{DISCONNECTED, NoCallbacks, SHUTDOWN, TcpServerBuilder};
use poe::event::{START, STOP};
use poe::extend::IntoReply;
use poe::filter::Line;
use poe::wheel::{Connection, SocketName};
use poe::{Context, Error, Event, HandlerResult, KERNEL_SHUTDOWN, Signal, States, WheelId};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Weak;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;

pub(super) const REQUEST: Event<Job> = Event::new("http_request");
/// A wheel has ended; whether it was a connection.
pub(super) const CLOSED: Event<(WheelId, bool)> = Event::new("http_closed");
const CONNECTED: Event<Connection> = Event::new("http_connected");
const OVERDUE: Event<()> = Event::new("http_overdue");
const DRAINED: Event<()> = Event::new("http_drain_timeout");
const TOLD: Event<((), Command)> = Event::new("http_told");
const KERNEL_ENDS: Event<Signal> = Event::new("http_kernel_shutdown");

/// The data that an [`HttpServer`](super::HttpServer) keeps beside the heap of its session: the `X` of its [`Context`].
pub struct Http {
    pub(super) shared: Rc<Shared>,
    routes: Routes,
    pub(super) alias: Option<String>,
    pub(super) tls: Tls,
    /// The requests without a reply, and until when they may be.
    waiting: RefCell<VecDeque<(Instant, Weak<Slot>)>>,
    /// A timer for the first of them runs.
    armed: Cell<bool>,
    /// Why the listener could not be started.
    pub(super) failed: Rc<Cell<Option<Error>>>,
}

#[cfg(feature = "tls")]
pub(super) type Tls = Option<poe::tls::Acceptor>;
/// Without the feature there is no acceptor.
#[cfg(not(feature = "tls"))]
#[derive(Default)]
pub(super) struct Tls;

impl Http {
    pub(super) fn new(shared: Rc<Shared>, routes: Routes, alias: Option<String>, tls: Tls) -> Self {
        Http {
            shared,
            routes,
            alias,
            tls,
            waiting: RefCell::default(),
            armed: Cell::new(false),
            failed: Rc::default(),
        }
    }

    /// Returns the number of connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.get()
    }

    /// Returns the number of requests that have come so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.get()
    }

    /// Whether the server is shutting down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.draining.get()
    }

    /// Returns the first address that the server listens on.
    #[must_use]
    pub fn local_name(&self) -> Option<&SocketName> {
        self.shared.listener.get().map(|listener| listener.local_name())
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("local_name", &self.local_name())
            .field("connections", &self.connections())
            .field("requests", &self.requests())
            .field("draining", &self.is_draining())
            .finish_non_exhaustive()
    }
}

pub(super) type Cx<'a, 'k, H> = &'a mut Context<'k, H, Http>;
pub(super) type Tcp = TcpServerBuilder<(), Line, NoCallbacks>;

/// A callback of the user for the session's beginning or end.
pub(super) type Plain<H> = Box<dyn Fn(&mut Context<'_, H, Http>) -> HandlerResult>;

pub(super) fn plain<H: 'static, R: IntoReply>(f: impl Fn(&mut Context<'_, H, Http>) -> R + 'static) -> Plain<H> {
    Box::new(move |cx| f(cx).into_reply().map(drop))
}

pub(super) fn states<H: 'static>(
    user: States<H, Http>,
    handlers: Vec<Handler<H>>,
    started: Option<Plain<H>>,
    stopped: Option<Plain<H>>,
) -> States<H, Http> {
    let handlers = Rc::new(handlers);
    let of_requests = handlers.clone();
    #[cfg(feature = "websocket")]
    let user = super::websocket::states(user, handlers);
    user.on(START, move |cx, tcp: Tcp| -> HandlerResult {
        if !begin(cx, tcp)? {
            return Ok(());
        }
        started.as_ref().map_or(Ok(()), |f| f(cx))
    })
    .on(CONNECTED, |cx, connection| connected(cx, connection))
    .on(REQUEST, move |cx, job| request(cx, &of_requests, job))
    .on(CLOSED, |cx, (wheel, connection)| closed(cx, wheel, connection))
    .on(OVERDUE, |cx, ()| overdue(cx))
    .on(DRAINED, |cx, ()| cut(cx))
    .on(TOLD, |cx, ((), command)| match command {
        Command::Drain => drain(cx),
        Command::Abort => {
            drain(cx);
            cut(cx);
        }
    })
    .on(SHUTDOWN, |cx, ()| drain(cx))
    .on(KERNEL_ENDS, |cx, _| {
        cx.sig_handled();
        drain(cx);
    })
    .on(STOP, move |cx, ()| {
        let shared = &cx.component().shared;
        shared.flags.ending.store(true, Relaxed);
        shared.draining.set(true);
        cut(cx);
        stopped.as_ref().map_or(Ok(()), |f| f(cx))
    })
}

/// Returns whether the server listens.
fn begin<H: 'static>(cx: Cx<'_, '_, H>, tcp: Tcp) -> HandlerResult<bool> {
    let http = cx.component();
    let me = cx.session_id();
    let tcp = tcp.acceptor(move |cx, connection| {
        // The session has stopped, and the listener is about to: the client sees the end of the connection.
        let _ = cx.post(me, CONNECTED, connection);
    });
    match cx.start(tcp) {
        Ok(listener) => drop(http.shared.listener.set(listener)),
        Err(error) => {
            http.failed.set(Some(error));
            return Ok(false);
        }
    }
    cx.sig(KERNEL_SHUTDOWN, KERNEL_ENDS);
    // The first of its kind: nothing is lost.
    drop(http.shared.tell.set(cx.postback(TOLD, ()).weaken()));
    if let Some(alias) = &http.alias {
        cx.alias_set(alias)?;
    }
    Ok(true)
}

fn connected<H: 'static>(cx: Cx<'_, '_, H>, connection: Connection) {
    let http = cx.component();
    let shared = &http.shared;
    if !shared.joined(&connection.peer) {
        tracing::debug!(target: "poe::http", peer = %connection.peer, "a client has too many connections already");
        return disconnected(cx);
    }
    let label = format!("HTTP connection of {}", connection.peer);
    let client = Client::new(shared, connection.peer);
    let serve = Serve {
        shared: shared.clone(),
        client,
        routes: http.routes.clone(),
    };
    let source = Connecting::new(serve, connection.stream, &http.tls);
    match cx.add_source(&label, source) {
        Ok(wheel) => drop(shared.wheels.borrow_mut().insert(wheel.id(), wheel)),
        Err(error) => tracing::debug!(target: "poe::http", "{error}"),
    }
}

/// Lets the listener take another client.
fn disconnected<H: 'static>(cx: Cx<'_, '_, H>) {
    if let Some(listener) = cx.component().shared.listener.get() {
        // It may have closed.
        let _ = cx.post(listener.session_id(), DISCONNECTED, ());
    }
}

fn request<H: 'static>(cx: Cx<'_, '_, H>, handlers: &[Handler<H>], job: Job) {
    let Job {
        handler, work, slot, ..
    } = job;
    let shared = &cx.component().shared;
    shared.requests.set(shared.requests.get() + 1);
    let Some(handler) = handlers.get(handler) else {
        return;
    };
    // A failure costs its request, and nothing else: the responder is dropped, which replies.
    run(cx, "a request", handler, work);
    if slot.is_open() {
        let http = cx.component();
        let limit = http.shared.limits.request_timeout;
        let until = Instant::now() + limit;
        http.waiting
            .borrow_mut()
            .push_back((until, std::sync::Arc::downgrade(&slot)));
        if !http.armed.replace(true) {
            cx.delay(OVERDUE, limit, ());
        }
    }
}

/// Runs a handler, whose failure or panic is logged. Returns whether it has not failed.
pub(super) fn run<H: 'static>(cx: Cx<'_, '_, H>, of: &str, handler: &Handler<H>, work: Work) -> bool {
    match catch_unwind(AssertUnwindSafe(|| handler(cx, work))) {
        Ok(Ok(())) => true,
        Ok(Err(failure)) => {
            tracing::error!(target: "poe::http", session = %cx.session_id(), "the handler of {of} has failed: {failure}");
            false
        }
        Err(payload) => {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
            let text = text.unwrap_or("a panic without a text");
            tracing::error!(target: "poe::http", session = %cx.session_id(), "the handler of {of} has panicked: {text}");
            // Dropping it may panic as well.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
            false
        }
    }
}

/// Replies to the requests whose time is over.
fn overdue<H: 'static>(cx: Cx<'_, '_, H>) {
    let http = cx.component();
    let now = Instant::now();
    loop {
        let mut waiting = http.waiting.borrow_mut();
        let Some((until, slot)) = waiting.front() else {
            http.armed.set(false);
            return;
        };
        // What has a reply needs no timer.
        let slot = slot.upgrade().filter(|slot| slot.is_open());
        if let (Some(_), true) = (&slot, *until > now) {
            let rest = (*until - now).max(Duration::from_millis(1));
            drop(waiting);
            return cx.delay(OVERDUE, rest, ());
        }
        waiting.pop_front();
        drop(waiting);
        if let Some(slot) = slot {
            tracing::error!(target: "poe::http", session = %cx.session_id(), "a request has no reply in time");
            slot.fail(StatusCode::SERVICE_UNAVAILABLE);
        }
    }
}

fn closed<H: 'static>(cx: Cx<'_, '_, H>, wheel: WheelId, connection: bool) {
    let shared = &cx.component().shared;
    let ended = shared.wheels.borrow_mut().remove(&wheel);
    drop(ended);
    #[cfg(feature = "websocket")]
    {
        let ended = shared.sockets.borrow_mut().remove(&wheel);
        drop(ended);
    }
    if connection {
        disconnected(cx);
    }
    let shared = &cx.component().shared;
    if shared.draining.get() && shared.wheels.borrow().is_empty() {
        // Nothing waits for them any more, so they must not keep the session.
        cx.alarm_clear(OVERDUE);
        cx.alarm_clear(DRAINED);
    }
}

/// Stops listening, and lets connections end with their last response.
fn drain<H: 'static>(cx: Cx<'_, '_, H>) {
    let http = cx.component();
    let shared = &http.shared;
    if shared.draining.replace(true) {
        return;
    }
    shared.flags.ending.store(true, Relaxed);
    if let Some(listener) = shared.listener.get() {
        listener.shutdown();
    }
    if let Some(alias) = &http.alias
        && let Err(error) = cx.alias_remove(alias)
    {
        tracing::debug!(target: "poe::http", "{error}");
    }
    if shared.wheels.borrow().is_empty() {
        cx.alarm_clear(OVERDUE);
    } else {
        cx.delay(DRAINED, shared.limits.drain_timeout, ());
    }
    #[cfg(feature = "websocket")]
    {
        let sockets: Vec<_> = shared.sockets.borrow().values().cloned().collect();
        for socket in sockets {
            socket.close(1001, "the server is shutting down");
        }
    }
    shared.wake_all();
}

/// Ends every connection at once.
fn cut<H: 'static>(cx: Cx<'_, '_, H>) {
    let shared = &cx.component().shared;
    let wheels = shared.wheels.take();
    drop(wheels);
    #[cfg(feature = "websocket")]
    {
        let sockets = shared.sockets.take();
        drop(sockets);
    }
    let jobs = shared.jobs.take();
    drop(jobs);
    cx.alarm_clear(OVERDUE);
    cx.alarm_clear(DRAINED);
}
