//! The wheel of a socket: it upgrades the request's stream, reads and writes its messages, and asks a silent peer whether it is there.

use super::super::session::CLOSED;
use super::{Message, SOCKET, WebSocket, WebSocketEvent};
use bytes::Bytes;
use futures_util::{Sink, Stream};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use poe::extend::{Flow, Sleep, Source, SourceContext};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as WsError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message as Frame};

/// The messages that are read in one turn.
const TURN: usize = 16;

/// How long the peer may take to close after this side has.
const CLOSING: Duration = Duration::from_secs(5);

/// The wheel of a socket.
pub(super) struct Talking {
    socket: WebSocket,
    stage: Stage,
    /// Events that came and are not emitted.
    waiting: VecDeque<WebSocketEvent>,
    next_ping: Instant,
    /// Something came since the last ping.
    heard: bool,
    pinged: bool,
    /// Since when output finds no room.
    blocked: Option<Instant>,
    /// When the stream ends in any case, once this side has closed.
    closing: Option<Instant>,
    timer: Option<(Instant, Sleep)>,
}

type Ws = WebSocketStream<TokioIo<Upgraded>>;

enum Stage {
    Upgrading(OnUpgrade),
    Opening(Pin<Box<dyn Future<Output = Ws>>>),
    Open(Box<Ws>),
    Over,
}

impl Talking {
    pub(super) fn new(socket: &WebSocket, on_upgrade: OnUpgrade) -> Self {
        Talking {
            socket: socket.clone(),
            stage: Stage::Upgrading(on_upgrade),
            waiting: VecDeque::new(),
            next_ping: Instant::now() + socket.0.limits.ping_interval,
            heard: false,
            pinged: false,
            blocked: None,
            closing: None,
            timer: None,
        }
    }

    /// Goes to the stage `Over`, with its event.
    fn over(&mut self, code: u16, reason: impl Into<String>) {
        self.stage = Stage::Over;
        self.socket.0.closing.set(true);
        self.waiting.push_back(WebSocketEvent::Closed(code, reason.into()));
    }

    fn poll_open(&mut self, cx: &mut task::Context<'_>) {
        match &mut self.stage {
            Stage::Upgrading(on_upgrade) => match Pin::new(on_upgrade).poll(cx) {
                Poll::Ready(Ok(upgraded)) => {
                    let limits = &self.socket.0.limits;
                    let config = WebSocketConfig::default()
                        .read_buffer_size(4096)
                        .write_buffer_size(4096)
                        .max_write_buffer_size(limits.max_queue.saturating_mul(2).max(64 * 1024))
                        .max_message_size(Some(limits.max_message))
                        .max_frame_size(Some(limits.max_message));
                    let stream = TokioIo::new(upgraded);
                    let opening = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config));
                    self.stage = Stage::Opening(Box::pin(opening));
                    self.poll_open(cx);
                }
                Poll::Ready(Err(error)) => self.over(1006, error.to_string()),
                Poll::Pending => {}
            },
            Stage::Opening(opening) => {
                if let Poll::Ready(stream) = opening.as_mut().poll(cx) {
                    self.stage = Stage::Open(Box::new(stream));
                    self.waiting.push_back(WebSocketEvent::Opened);
                }
            }
            Stage::Open(_) | Stage::Over => {}
        }
    }

    fn write(&mut self, cx: &mut task::Context<'_>) {
        let Stage::Open(stream) = &mut self.stage else { return };
        let inner = &*self.socket.0;
        let mut stream = Pin::new(&mut **stream);
        let mut result = Poll::Ready(Ok(()));
        loop {
            if inner.output.borrow().is_empty() {
                break;
            }
            result = stream.as_mut().poll_ready(cx);
            if !matches!(result, Poll::Ready(Ok(()))) {
                break;
            }
            let Some(frame) = inner.output.borrow_mut().pop_front() else {
                break;
            };
            if !matches!(frame, Frame::Ping(_) | Frame::Close(_)) {
                inner.queued.set(inner.queued.get() - frame.len());
            }
            if matches!(frame, Frame::Close(_)) {
                self.closing = Some(Instant::now() + CLOSING);
            }
            if let Err(error) = stream.as_mut().start_send(frame) {
                result = Poll::Ready(Err(error));
                break;
            }
        }
        if matches!(result, Poll::Ready(Ok(()))) {
            result = stream.as_mut().poll_flush(cx);
        }
        self.blocked = match result {
            Poll::Pending => self.blocked.or_else(|| Some(Instant::now())),
            Poll::Ready(_) => None,
        };
        if inner.was_full.get() && inner.queued.get() <= inner.limits.max_queue / 2 && !inner.closing.get() {
            inner.was_full.set(false);
            self.waiting.push_back(WebSocketEvent::Low);
        }
        // After the closing handshake there is nothing to flush; reading has the end.
        if let Poll::Ready(Err(error)) = result
            && !matches!(error, WsError::ConnectionClosed | WsError::AlreadyClosed)
            && !matches!(error, WsError::Protocol(_))
        {
            self.over(1006, error.to_string());
        }
    }

    /// Reads until there is an event. Returns whether there is.
    fn read(&mut self, cx: &mut task::Context<'_>) -> bool {
        for _ in 0..4 * TURN {
            let Stage::Open(stream) = &mut self.stage else {
                return false;
            };
            if self.socket.0.paused.get() && !self.socket.0.closing.get() {
                return false;
            }
            match Pin::new(&mut **stream).poll_next(cx) {
                Poll::Pending => return false,
                Poll::Ready(Some(Ok(frame))) => {
                    self.heard = true;
                    match frame {
                        Frame::Text(text) => {
                            let text = Message::Text(text.as_str().to_owned());
                            self.waiting.push_back(WebSocketEvent::Message(text));
                            return true;
                        }
                        Frame::Binary(bytes) => {
                            self.waiting.push_back(WebSocketEvent::Message(Message::Binary(bytes)));
                            return true;
                        }
                        Frame::Close(frame) => {
                            self.socket.0.closing.set(true);
                            let (code, reason) = frame.map_or((1005, String::new()), |frame| {
                                (frame.code.into(), frame.reason.as_str().to_owned())
                            });
                            // The reply has to go out; then the stream ends.
                            let flushed = Pin::new(&mut **stream).poll_flush(cx);
                            tracing::trace!(target: "poe::http", "the close is written: {flushed:?}");
                            self.over(code, reason);
                            return true;
                        }
                        Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => {}
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    let code = match &error {
                        WsError::Capacity(CapacityError::MessageTooLong { .. }) => 1009,
                        WsError::Utf8(_) => 1007,
                        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => 1006,
                        WsError::Protocol(_) => 1002,
                        _ => 1006,
                    };
                    if code != 1006 {
                        // The peer learns the reason, if it still reads.
                        let frame = CloseFrame {
                            code: code.into(),
                            reason: tungstenite::Utf8Bytes::default(),
                        };
                        let mut stream = Pin::new(&mut **stream);
                        if stream.as_mut().start_send(Frame::Close(Some(frame))).is_ok() {
                            let flushed = stream.poll_flush(cx);
                            tracing::trace!(target: "poe::http", "the close is written: {flushed:?}");
                        }
                    }
                    self.over(code, error.to_string());
                    return true;
                }
                Poll::Ready(None) => {
                    self.over(1006, "the stream has ended");
                    return true;
                }
            }
        }
        // So many pings have come that others are to have their turns.
        cx.waker().wake_by_ref();
        false
    }

    /// Looks at the time.
    fn look(&mut self, cx: &mut task::Context<'_>) {
        loop {
            let now = Instant::now();
            let limits = &self.socket.0.limits;
            if self.closing.is_some_and(|at| at <= now) {
                return self.over(1006, "the peer does not close");
            }
            let stuck = self.blocked.map(|since| since + limits.write_timeout);
            if stuck.is_some_and(|at| at <= now) {
                return self.over(1006, "the peer takes no byte");
            }
            if self.next_ping <= now {
                if self.pinged && !self.heard {
                    return self.over(1006, "the peer is silent");
                }
                (self.pinged, self.heard) = (true, false);
                self.next_ping = now + limits.ping_interval;
                if !self.socket.0.closing.get() {
                    self.socket.0.output.borrow_mut().push_back(Frame::Ping(Bytes::new()));
                    self.write(cx);
                }
            }
            let until = [Some(self.next_ping), stuck, self.closing].into_iter().flatten().min();
            let until = until.unwrap_or(self.next_ping);
            if self.timer.as_ref().is_none_or(|(at, _)| *at > until) {
                self.timer = Some((until, Sleep::new(until.saturating_duration_since(now))));
            }
            let Some((_, sleep)) = &mut self.timer else { return };
            if Pin::new(sleep).poll(cx).is_pending() {
                return;
            }
            self.timer = None;
        }
    }
}

impl Source for Talking {
    fn poll(&mut self, cx: &mut SourceContext<'_>, waker: &mut task::Context<'_>) -> Poll<()> {
        self.poll_open(waker);
        for _ in 0..TURN {
            self.write(waker);
            if self.waiting.is_empty() && !self.read(waker) {
                if matches!(self.stage, Stage::Open(_)) {
                    self.look(waker);
                }
                if self.waiting.is_empty() {
                    return Poll::Pending;
                }
            }
            while let Some(event) = self.waiting.pop_front() {
                let is_last = matches!(event, WebSocketEvent::Closed(..));
                let flow = cx.emit(SOCKET, (self.socket.clone(), event));
                if is_last {
                    self.socket.0.client.leave();
                    let id = cx.id();
                    cx.post(CLOSED, (id, true));
                    return Poll::Ready(());
                }
                match flow {
                    Flow::Go => {}
                    Flow::Pause => return Poll::Pending,
                    Flow::Gone => return Poll::Ready(()),
                }
            }
        }
        waker.waker().wake_by_ref();
        Poll::Pending
    }
}
