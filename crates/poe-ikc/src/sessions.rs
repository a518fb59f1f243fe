//! The sessions of an `Ikc`: one that listens, and one for each connection.

use crate::channel::Channel;
use crate::hub::{Hub, Job};
use crate::monitor::Occurrence;
use crate::net::{Incoming, Redial, Speech, Transport};
use crate::sender;
use crate::tikc;
use crate::wire::{Frames, Handshake, Identity, Progress};
use bytes::Bytes;
use poe::Event;
use poe::event::{START, STOP};
use poe::filter::{Line, Raw};
use poe::wheel::{Connection, Input, IoError, ListenSocket, ReadWrite, SocketError, SocketFactory};
use poe::{Context, Error, KernelRef, OnFailure, Session, SessionId, TimerId};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Ends a listener, or closes a connection when its output is written.
pub(crate) const CLOSE: Event<()> = Event::new("close");

const CLIENT: Event<Connection> = Event::new("client");
const LISTENER_FAILED: Event<SocketError> = Event::new("listener_failed");
pub(crate) const CLIENT_GONE: Event<()> = Event::new("client_gone");

const LINE: Event<Input<Bytes>> = Event::new("line");
#[cfg(feature = "tls")]
const SECURED: Event<std::io::Result<Transport>> = Event::new("secured");
const FRAMES: Event<Input<Vec<Bytes>>> = Event::new("frames");
const FAILED: Event<IoError> = Event::new("failed");
const LATE: Event<()> = Event::new("late");

/// How long to keep reading and discarding after a close, so that the peer sees the end of the stream and not a reset.
const LINGER: Duration = Duration::from_secs(2);

struct Listener {
    hub: Rc<Hub>,
    wheel: Option<SocketFactory>,
    socket: Option<ListenSocket>,
    path: Option<PathBuf>,
    open: usize,
    concurrency: usize,
    speech: Speech,
    #[cfg(feature = "tls")]
    tls: Option<crate::net::tls::Server>,
}

/// Starts what the program has asked for, from the responder's session.
pub(crate) fn start<H: 'static>(cx: &mut Context<'_, H>, hub: &Rc<Hub>, incoming: Incoming) -> Result<(), Error> {
    let id = match incoming {
        Incoming::Listener {
            socket,
            path,
            concurrency,
            speech,
            #[cfg(feature = "tls")]
            tls,
        } => {
            let listener = Listener {
                hub: hub.clone(),
                wheel: None,
                socket: Some(socket),
                path,
                open: 0,
                concurrency: concurrency.min(hub.bounds.channels),
                speech,
                #[cfg(feature = "tls")]
                tls,
            };
            cx.create(listening(listener))?
        }
        Incoming::Connection {
            transport,
            is_client,
            speech,
            redial,
        } => {
            let opened = Opened {
                transport,
                is_client,
                speech,
                redial,
                listener: None,
            };
            return connect(cx, hub, opened);
        }
    };
    track(cx.kernel, hub, id);
    Ok(())
}

pub(crate) fn track(kernel: KernelRef<'_>, hub: &Hub, id: SessionId) {
    let mut sessions = hub.sessions.borrow_mut();
    if sessions.len() > 64 && sessions.len() > 2 * hub.open.get() {
        sessions.retain(|id| kernel.is_alive(*id));
    }
    sessions.push(id);
}

fn listening(listener: Listener) -> poe::SessionBuilder<Listener> {
    let builder = Session::builder(listener);
    #[cfg(feature = "tls")]
    let builder = builder.on(SECURED, secured);
    builder
        .on_failure(OnFailure::StopSession)
        .on(START, |cx, ()| {
            let socket = cx.heap.socket.take();
            let wheel = socket.map(|socket| {
                SocketFactory::on(socket)
                    .success(CLIENT)
                    .failure(LISTENER_FAILED)
                    .start(cx)
            });
            cx.heap.wheel = wheel;
        })
        .on(CLIENT, |cx, client| -> poe::HandlerResult {
            cx.heap.open += 1;
            if cx.heap.open >= cx.heap.concurrency
                && let Some(wheel) = &cx.heap.wheel
            {
                wheel.pause_accept();
            }
            #[cfg(feature = "tls")]
            if let Some(tls) = cx.heap.tls.clone() {
                cx.spawn(tls.accept(client.stream), SECURED);
                return Ok(());
            }
            accepted(cx, Transport::Socket(client.stream))
        })
        .on(CLIENT_GONE, |cx, ()| {
            cx.heap.open = cx.heap.open.saturating_sub(1);
            if let Some(wheel) = &cx.heap.wheel {
                wheel.resume_accept();
            }
        })
        .on(LISTENER_FAILED, |cx, error| {
            let names = [cx.heap.hub.id.clone()];
            let what = Occurrence::Error {
                operation: "listen".to_owned(),
                text: error.to_string(),
            };
            cx.heap.hub.monitors.tell(cx.kernel, &names, &what);
            tracing::warn!(target: "poe::ikc", "{error}");
        })
        .on(CLOSE, |cx, ()| cx.heap.wheel = None)
        .on(STOP, |cx, ()| {
            cx.heap.wheel = None;
            if let Some(path) = cx.heap.path.take() {
                let _ = std::fs::remove_file(path);
            }
        })
}

fn accepted(cx: &mut Context<'_, Listener>, transport: Transport) -> poe::HandlerResult {
    let hub = cx.heap.hub.clone();
    let opened = Opened {
        transport,
        is_client: false,
        speech: cx.heap.speech,
        redial: None,
        listener: Some(cx.session_id()),
    };
    connect(cx, &hub, opened)?;
    Ok(())
}

/// A client has shaken hands, or has failed to.
#[cfg(feature = "tls")]
fn secured(cx: &mut Context<'_, Listener>, secured: std::io::Result<Transport>) -> poe::HandlerResult {
    match secured {
        // The listener is closed meanwhile.
        Ok(_) if cx.heap.wheel.is_none() => Ok(()),
        Ok(transport) => accepted(cx, transport),
        Err(error) => {
            let hub = &cx.heap.hub;
            hub.count(|counters| counters.dropped += 1);
            tracing::warn!(target: "poe::ikc", "a client is dropped: {error}");
            let what = Occurrence::Error {
                operation: "handshake".to_owned(),
                text: error.to_string(),
            };
            hub.monitors.tell(cx.kernel, std::slice::from_ref(&hub.id), &what);
            cx.post(cx.session_id(), CLIENT_GONE, ())?;
            Ok(())
        }
    }
}

struct Opened {
    transport: Transport,
    is_client: bool,
    speech: Speech,
    redial: Option<Box<Redial>>,
    listener: Option<SessionId>,
}

/// The session of a connection.
struct Link {
    hub: Rc<Hub>,
    channel: Rc<Channel>,
    transport: Option<Transport>,
    handshake: Option<Handshake>,
    /// POE::TIKC is spoken, and whether this is the client.
    tikc: Option<bool>,
    first_line: Option<String>,
    /// The name that the peer has from where it is.
    seen: Option<String>,
    /// The names that the peer may have, if it has shown a certificate.
    allowed: Option<Vec<String>>,
    limit: Option<TimerId>,
    redial: Option<Box<Redial>>,
    listener: Option<SessionId>,
}

fn connect<H: 'static>(cx: &mut Context<'_, H>, hub: &Rc<Hub>, opened: Opened) -> Result<(), Error> {
    let Opened {
        transport,
        is_client,
        speech,
        redial,
        listener,
    } = opened;
    if hub.open.get() >= hub.bounds.channels {
        hub.count(|counters| counters.turned_away += 1);
        tracing::warn!(target: "poe::ikc", "there are {} connections already: a peer is turned away", hub.open.get());
        if let Some(listener) = listener {
            cx.post(listener, CLIENT_GONE, ())?;
        }
        return Ok(());
    }
    let (local, seen) = transport.names(is_client);
    let allowed = match &transport {
        #[cfg(feature = "tls")]
        Transport::Tls { allowed, .. } => Some(allowed.clone()),
        _ => None,
    };
    let mut names = hub.own_names();
    names.extend(local);
    let ours = Identity {
        names,
        formats: hub.formats.clone(),
        pid: std::process::id(),
    };
    let (handshake, first_line) = match speech {
        Speech::Tikc => (None, None),
        Speech::Ikc(protocol) if is_client => {
            let (handshake, line) = Handshake::client(ours, protocol);
            (Some(handshake), Some(line))
        }
        Speech::Ikc(protocol) => (Some(Handshake::server(ours, protocol)), None),
    };
    let link = Link {
        hub: hub.clone(),
        channel: Rc::new(Channel::new(hub.next_number())),
        transport: Some(transport),
        tikc: matches!(speech, Speech::Tikc).then_some(is_client),
        handshake,
        first_line,
        seen,
        allowed,
        limit: None,
        redial,
        listener,
    };
    hub.open.set(hub.open.get() + 1);
    let id = cx.create(linking(link))?;
    track(cx.kernel, hub, id);
    Ok(())
}

fn linking(link: Link) -> poe::SessionBuilder<Link> {
    Session::builder(link)
        .on_failure(OnFailure::StopSession)
        .on(START, |cx, ()| -> poe::HandlerResult {
            let wheel = match cx.heap.transport.take() {
                Some(Transport::Socket(stream)) => wheel(cx, stream)?,
                Some(Transport::Other(stream)) => wheel(cx, stream)?,
                #[cfg(feature = "tls")]
                Some(Transport::Tls { stream, .. }) => wheel(cx, stream)?,
                None => return Ok(()),
            };
            *cx.heap.channel.wheel.borrow_mut() = Some(wheel);
            if let Some(is_client) = cx.heap.tikc {
                cut_frames(cx)?;
                if let Some(redial) = &mut cx.heap.redial {
                    redial.failures = 0;
                }
                tikc::connected(&cx.heap.hub, &cx.heap.channel, is_client);
                return Ok(());
            }
            cx.heap.limit = Some(cx.delay_set(LATE, cx.heap.hub.bounds.handshake, ()));
            if let Some(line) = cx.heap.first_line.take() {
                say(cx, &line);
            }
            Ok(())
        })
        .on(LINE, |cx, line| {
            let line = String::from_utf8_lossy(&line.record).into_owned();
            let Some(handshake) = &mut cx.heap.handshake else {
                return;
            };
            match handshake.line(&line) {
                Ok(Progress { send, done }) => {
                    if let Some(line) = send {
                        say(cx, &line);
                    }
                    if done && let Err(error) = finish_handshake(cx) {
                        drop_peer(cx, "handshake", &error.to_string());
                    }
                }
                Err(error) => drop_peer(cx, "handshake", &error.to_string()),
            }
        })
        .on(FRAMES, |cx, frames| {
            let (hub, channel) = (cx.heap.hub.clone(), cx.heap.channel.clone());
            let is_tikc = cx.heap.tikc.is_some();
            let taken = cx.nested(|cx| channel.while_reading(|| hub.take(cx, &channel, is_tikc, &frames.record)));
            if let Err(error) = taken {
                drop_peer(cx, "channel-thaw", &error.to_string());
            }
        })
        .on(LATE, |cx, ()| {
            let limit = cx.heap.hub.bounds.handshake;
            drop_peer(cx, "handshake", &format!("it is not over after {limit:?}"));
        })
        .on(FAILED, |cx, error| {
            if error.is_eof() || error.is_reset() {
                let text = if cx.heap.handshake.is_some() {
                    "the peer closed during the handshake"
                } else {
                    "the peer closed"
                };
                end(cx, "channel-read", text, Duration::ZERO);
            } else {
                drop_peer(cx, "channel-read", &error.to_string());
            }
        })
        .on(CLOSE, |cx, ()| {
            cx.heap.redial = None;
            end(cx, "shutdown", "the connection was shut down", LINGER);
        })
        .on(STOP, |cx, ()| {
            end(
                cx,
                "shutdown",
                "the session of the connection was stopped",
                Duration::ZERO,
            );
            let hub = cx.heap.hub.clone();
            hub.open.set(hub.open.get() - 1);
            // Events that are posted in `_stop` go nowhere, so the responder is told from outside.
            if cx.heap.listener.is_some() || cx.heap.redial.is_some() {
                hub.ring(Job::Gone {
                    listener: cx.heap.listener.take(),
                    redial: cx.heap.redial.take(),
                });
            }
        })
}

fn wheel<S: AsyncRead + AsyncWrite + 'static>(cx: &Context<'_, Link>, stream: S) -> Result<ReadWrite<Bytes>, Error> {
    let lines = Line::bytes().max_length(crate::wire::MAX_LINE);
    let wheel = ReadWrite::builder(stream).input(lines, LINE).output(Raw::new());
    wheel
        .error(FAILED)
        .record_timeout(cx.heap.hub.bounds.handshake)
        .start(cx)
}

fn say(cx: &Context<'_, Link>, line: &str) {
    let line = format!("{line}\r\n");
    if let Some(wheel) = &*cx.heap.channel.wheel.borrow() {
        // A connection that is closed meanwhile has its error event on the way.
        let _ = wheel.put(line.into_bytes());
    }
}

fn finish_handshake(cx: &mut Context<'_, Link>) -> poe::HandlerResult {
    let Some(handshake) = cx.heap.handshake.take() else {
        return Ok(());
    };
    if let Some(limit) = cx.heap.limit.take() {
        let _ = cx.alarm_remove(limit);
    }
    cut_frames(cx)?;
    if let Some(redial) = &mut cx.heap.redial {
        redial.failures = 0;
    }
    let (seen, allowed) = (cx.heap.seen.take(), cx.heap.allowed.take());
    let mut peer = handshake.peer().clone();
    if let Some(allowed) = allowed {
        // Its ID is made from time and process, and is nobody's name.
        let id = peer.names.first().cloned();
        peer.names
            .retain(|name| allowed.contains(name) || Some(name) == id.as_ref() && is_id(name));
    }
    cx.heap.hub.register(cx.kernel, &cx.heap.channel, &peer, seen);
    Ok(())
}

fn cut_frames(cx: &Context<'_, Link>) -> poe::HandlerResult {
    let longest = cx.heap.hub.codec.max_frame();
    if let Some(wheel) = &*cx.heap.channel.wheel.borrow() {
        // The channel writes the lengths itself.
        wheel.set_input_filter(Frames::new(longest), FRAMES)?;
    }
    Ok(())
}

/// Whether a name is an ID as POE makes them, `host-time-process-number`, and so none that a program chooses.
fn is_id(name: &str) -> bool {
    let mut parts = name.rsplit('-');
    let is_number = |part: &str| part.len() == 8 && part.bytes().all(|b| b.is_ascii_hexdigit());
    (0..3).all(|_| parts.next().is_some_and(is_number)) && parts.next().is_some()
}

/// Ends a connection whose peer does not keep to the protocol.
fn drop_peer(cx: &mut Context<'_, Link>, operation: &str, text: &str) {
    cx.heap.hub.count(|counters| counters.dropped += 1);
    tracing::warn!(target: "poe::ikc", "the connection to {} is dropped: {text}", peer(cx));
    // What was put is still written: a Perl peer dies of a connection that ends in the middle of its handshake.
    end(cx, operation, text, LINGER);
}

fn peer(cx: &Context<'_, Link>) -> String {
    let peer = cx.heap.channel.peer.borrow().clone();
    match &cx.heap.seen {
        Some(seen) if peer.is_empty() => seen.clone(),
        _ => peer,
    }
}

fn end(cx: &mut Context<'_, Link>, operation: &str, text: &str, linger: Duration) {
    if let Some(limit) = cx.heap.limit.take() {
        let _ = cx.alarm_remove(limit);
    }
    let (hub, channel) = (cx.heap.hub.clone(), cx.heap.channel.clone());
    channel.flush();
    let wheel = channel.wheel.take();
    if wheel.is_some() && cx.heap.handshake.take().is_some() {
        let names = [cx.heap.seen.clone().unwrap_or_default()];
        let what = Occurrence::Error {
            operation: operation.to_owned(),
            text: text.to_owned(),
        };
        hub.monitors.tell(cx.kernel, &names, &what);
    }
    match wheel {
        Some(wheel) if !linger.is_zero() => wheel.close(linger),
        wheel => drop(wheel),
    }
    cx.nested(|cx| {
        hub.unregister(cx, &channel, operation, text);
        sender::end_all(cx, &channel);
        tikc::ended(&hub, cx, &channel);
    });
}
