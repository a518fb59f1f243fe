//! WebSockets: a request that is upgraded, and the wheel that has its stream from then on.
//!
//! | what happens | event |
//! |---|---|
//! | the stream is there | `Opened` |
//! | a message has come whole | `Message`; pings are replied to without an event |
//! | the output has gone down to half of its limit after it was full | `Low` |
//! | the closing handshake is done, or the stream has failed | `Closed`, the last one |

mod talking;

use super::exchange::Params;
use super::reply::status_page;
use super::session::{Cx, Http, run};
use super::shared::{Client, Shared};
use super::work::{Handler, Work, wrong_form};
use crate::body::{Body, ReceivedBody};
use bytes::Bytes;
use http::header::{CONNECTION, HeaderName, ORIGIN, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use poe::extend::IntoReply;
use poe::wheel::SocketName;
use poe::{Context, Event, States, WheelId};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;
use talking::Talking;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// An event of a socket, for the handler of its route.
const SOCKET: Event<(WebSocket, WebSocketEvent)> = Event::new("http_websocket");

/// What a WebSocket may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketLimits {
    /// The largest message that comes in, in bytes; default 1 MiB. Then the socket is closed with code 1009.
    pub max_message: usize,
    /// The most bytes that wait to go out; default 1 MiB. [`WebSocket::put`] gives further messages back.
    pub max_queue: usize,
    /// The interval of pings; default 30 s. A peer from which nothing comes during a whole interval after one has gone.
    pub ping_interval: Duration,
    /// The longest time in which the peer takes no byte; default 30 s.
    pub write_timeout: Duration,
    /// The values of `Origin` that are accepted, such as `https://example.org`; default empty, which accepts all, and requests without one.
    pub origins: Vec<String>,
}

impl Default for WebSocketLimits {
    fn default() -> Self {
        WebSocketLimits {
            max_message: 1024 * 1024,
            max_queue: 1024 * 1024,
            ping_interval: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            origins: Vec::new(),
        }
    }
}

/// A message of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    fn len(&self) -> usize {
        match self {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) => bytes.len(),
        }
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Message::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Message::Text(text.to_owned())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Message::Binary(bytes)
    }
}

/// What happens on a [`WebSocket`].
#[derive(Debug)]
#[non_exhaustive]
pub enum WebSocketEvent {
    /// Messages can come and go.
    Opened,
    /// A message has come.
    Message(Message),
    /// There is room for output again, after [`WebSocket::put`] has refused a message.
    Low,
    /// The socket is closed; with the peer's code and reason, if it gave any. 1006 stands for a stream that broke off.
    Closed(u16, String),
}

/// A message that was not put.
#[derive(Debug)]
pub struct NotPut {
    message: Message,
    full: bool,
}

impl NotPut {
    /// Whether the output is full. If not, the socket is closed, or closing.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Takes the message back.
    #[must_use]
    pub fn into_message(self) -> Message {
        self.message
    }
}

impl fmt::Display for NotPut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.message.len();
        match self.full {
            true => write!(
                f,
                "a message of {bytes} bytes was not put: `max_queue` bytes wait already; wait for `Low`"
            ),
            false => write!(f, "a message of {bytes} bytes was not put: the socket is closed"),
        }
    }
}

impl std::error::Error for NotPut {}

/// A WebSocket of a client; clones are the same socket, and dropping them changes nothing.
#[derive(Clone)]
pub struct WebSocket(Rc<Inner>);

struct Inner {
    shared: Weak<Shared>,
    /// Counts as a connection until the socket is gone.
    client: Rc<Client>,
    request: Request<()>,
    params: Params,
    limits: Rc<WebSocketLimits>,
    handler: usize,
    wheel: Cell<Option<WheelId>>,
    output: RefCell<VecDeque<Frame>>,
    queued: Cell<usize>,
    /// A message was refused, and `Low` is due when there is room.
    was_full: Cell<bool>,
    /// The program has asked for the end, or it has come.
    closing: Cell<bool>,
    paused: Cell<bool>,
}

impl WebSocket {
    /// Returns the ID of the socket's wheel, which names it in reports.
    #[must_use]
    pub fn id(&self) -> Option<WheelId> {
        self.0.wheel.get()
    }

    /// Returns the name of the client.
    #[must_use]
    pub fn peer(&self) -> &SocketName {
        &self.0.client.peer
    }

    /// Returns the request that was upgraded.
    #[must_use]
    pub fn request(&self) -> &Request<()> {
        &self.0.request
    }

    /// Returns the part of the path that the route's pattern names.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        let found = self.0.params.iter().find(|(key, _)| **key == *name);
        found.map(|(_, value)| &**value)
    }

    /// Sends a message, when those that were put before have gone.
    ///
    /// # Errors
    /// The output is full, or the socket is closed; it gives the message back.
    pub fn put(&self, message: impl Into<Message>) -> Result<(), NotPut> {
        let (message, inner) = (message.into(), &*self.0);
        let bytes = message.len();
        let full = inner.queued.get() > 0 && inner.queued.get() + bytes > inner.limits.max_queue;
        if inner.closing.get() || full {
            inner.was_full.set(inner.was_full.get() || full);
            let full = full && !inner.closing.get();
            return Err(NotPut { message, full });
        }
        inner.queued.set(inner.queued.get() + bytes);
        inner.output.borrow_mut().push_back(match message {
            Message::Text(text) => Frame::Text(text.into()),
            Message::Binary(bytes) => Frame::Binary(bytes),
        });
        self.wake();
        Ok(())
    }

    /// Closes the socket, when the messages that were put before have gone. `Closed` follows.
    pub fn close(&self, code: u16, reason: &str) {
        if self.0.closing.replace(true) {
            return;
        }
        // A control frame has 125 bytes, two of them for the code.
        let end = (0..=reason.len().min(123))
            .rev()
            .find(|at| reason.is_char_boundary(*at));
        let frame = CloseFrame {
            code: code.into(),
            reason: reason[..end.unwrap_or(0)].to_owned().into(),
        };
        self.0.output.borrow_mut().push_back(Frame::Close(Some(frame)));
        self.wake();
    }

    /// Returns the bytes of messages that wait to go out.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.0.queued.get()
    }

    /// Reads nothing until [`resume_input`](Self::resume_input), so that the peer is held back.
    pub fn pause_input(&self) {
        self.0.paused.set(true);
    }

    /// Reads again.
    pub fn resume_input(&self) {
        if self.0.paused.replace(false) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let (Some(shared), Some(wheel)) = (self.0.shared.upgrade(), self.id())
            && let Some(wheel) = shared.wheels.borrow().get(&wheel)
        {
            wheel.wake();
        }
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("id", &self.id())
            .field("peer", self.peer())
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}

/// A request that becomes a socket.
pub(super) struct Upgrade {
    on_upgrade: OnUpgrade,
    request: Request<()>,
    params: Params,
    client: Rc<Client>,
    limits: Rc<WebSocketLimits>,
}

/// Replies to a handshake.
pub(super) fn accept(
    mut request: Request<ReceivedBody>,
    params: Params,
    client: Rc<Client>,
    limits: Rc<WebSocketLimits>,
) -> Result<(Response<Body>, Upgrade), Box<Response<Body>>> {
    let headers = request.headers();
    let has = |name: HeaderName, token: &str| has_token(headers, &name, token);
    if request.version() != Version::HTTP_11 || !has(CONNECTION, "upgrade") || !has(UPGRADE, "websocket") {
        let mut response = status_page(StatusCode::UPGRADE_REQUIRED);
        response
            .headers_mut()
            .insert(UPGRADE, HeaderValue::from_static("websocket"));
        return Err(Box::new(response));
    }
    let is_version_13 = headers
        .get("sec-websocket-version")
        .is_some_and(|version| version == "13");
    let Some(key) = headers.get("sec-websocket-key").filter(|_| is_version_13) else {
        let mut response = status_page(StatusCode::BAD_REQUEST);
        let headers = response.headers_mut();
        headers.insert("sec-websocket-version", HeaderValue::from_static("13"));
        return Err(Box::new(response));
    };
    let origin = headers.get(ORIGIN).map(HeaderValue::as_bytes);
    if !limits.origins.is_empty() && !limits.origins.iter().any(|known| Some(known.as_bytes()) == origin) {
        return Err(Box::new(status_page(StatusCode::FORBIDDEN)));
    }
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    let accept = accept.map_err(|_| Box::new(status_page(StatusCode::BAD_REQUEST)))?;
    let on_upgrade = hyper::upgrade::on(&mut request);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert("sec-websocket-accept", accept);
    client.upgraded.set(true);
    let upgrade = Upgrade {
        on_upgrade,
        request: request.map(drop),
        params,
        client,
        limits,
    };
    Ok((response, upgrade))
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// Makes the handler of a route: it opens sockets, and passes on their events.
pub(super) fn handler<H: 'static, R: IntoReply>(
    number: usize,
    f: impl Fn(&mut Context<'_, H, Http>, &WebSocket, WebSocketEvent) -> R + 'static,
) -> Handler<H> {
    Box::new(move |cx, work| match work {
        Work::Socket(socket, event) => f(cx, &socket, event).into_reply().map(drop),
        Work::Upgrade(upgrade) => {
            open(cx, number, *upgrade);
            Ok(())
        }
        _ => Err(wrong_form()),
    })
}

fn open<H: 'static>(cx: Cx<'_, '_, H>, handler: usize, upgrade: Upgrade) {
    let shared = &cx.component().shared;
    let Upgrade {
        on_upgrade,
        request,
        params,
        client,
        limits,
    } = upgrade;
    let label = format!("WebSocket of {}", client.peer);
    let socket = WebSocket(Rc::new(Inner {
        shared: Rc::downgrade(shared),
        client,
        request,
        params,
        limits,
        handler,
        wheel: Cell::new(None),
        output: RefCell::default(),
        queued: Cell::new(0),
        was_full: Cell::new(false),
        closing: Cell::new(false),
        paused: Cell::new(false),
    }));
    let source = Talking::new(&socket, on_upgrade);
    match cx.add_source(&label, source) {
        Ok(wheel) => {
            socket.0.wheel.set(Some(wheel.id()));
            shared.sockets.borrow_mut().insert(wheel.id(), socket.clone());
            drop(shared.wheels.borrow_mut().insert(wheel.id(), wheel));
            if shared.draining.get() {
                socket.close(1001, "the server is shutting down");
            }
        }
        Err(error) => tracing::debug!(target: "poe::http", "{error}"),
    }
}

/// Adds the handler of all sockets' events.
pub(super) fn states<H: 'static>(user: States<H, Http>, handlers: Rc<Vec<Handler<H>>>) -> States<H, Http> {
    user.on(SOCKET, move |cx, (socket, event): (WebSocket, WebSocketEvent)| {
        let Some(handler) = handlers.get(socket.0.handler) else {
            return;
        };
        if !run(cx, "a WebSocket", handler, Work::Socket(socket.clone(), event)) {
            socket.close(1011, "an internal error");
        }
    })
}
