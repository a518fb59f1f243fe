//! The client's session: a `TcpClient` whose heap is the handle.
//!
//! | what happens | what the session does |
//! |---|---|
//! | connected | registers, within `register_timeout` |
//! | 001 | enters channels, sends what waits |
//! | the connection ends, or cannot be made | waits and connects to the next server, unless the end was asked for |
//! | the end was asked for | `QUIT`, then the server closes; after five seconds the client does |
//! | no more attempts, or the end | `irc_shutdown`; nothing holds the session any more, so it stops |

use crate::ctcp;
use crate::dcc::DccOffer;
use crate::direct;
use crate::events::*;
use crate::filter::IrcFilter;
use crate::irc::{Ask, Cx, Irc};
use crate::message::{Message, Source};
use crate::state::mode_changes;
use crate::text::Text;
use poe::component::{CONNECT, NoCallbacks, TcpClientBuilder, WithCallbacks};
use poe::wheel::{IoError, SocketError};
use poe::{Event, KERNEL_SHUTDOWN, Signal};
use std::time::Duration;
use tokio::time::Instant;

const WAKE: Event<Option<()>> = Event::new("irc_client_wake");
const FLUSH: Event<()> = Event::new("irc_client_flush");
const TICK: Event<()> = Event::new("irc_client_tick");
const RECLAIM: Event<()> = Event::new("irc_client_reclaim");
const REGISTER_LIMIT: Event<()> = Event::new("irc_client_register_limit");
const QUIT_LIMIT: Event<()> = Event::new("irc_client_quit_limit");
const KERNEL_ENDS: Event<Signal> = Event::new("irc_client_kernel_shutdown");

/// How long the server may take to close the connection after `QUIT`.
const QUIT_TIME: Duration = Duration::from_secs(5);

pub(crate) fn with_callbacks(
    builder: TcpClientBuilder<Irc, IrcFilter, NoCallbacks>,
) -> TcpClientBuilder<Irc, IrcFilter, WithCallbacks> {
    builder
        .started(|cx| {
            let irc = &cx.heap.0;
            irc.session.set(Some(cx.session_id()));
            irc.task.set(Some(cx.attach(irc.wake.clone(), WAKE)));
            cx.sig(KERNEL_SHUTDOWN, KERNEL_ENDS);
        })
        .connected(connected)
        .connect_error(|cx, error: SocketError| {
            let irc = cx.heap.clone();
            irc.emit(cx.kernel, &IrcEvent::SocketErr(error.to_string()));
            again(cx);
        })
        .server_input(got)
        .server_error(got_error)
        .disconnected(disconnected)
        .stopped(|cx| {
            let irc = cx.heap.clone();
            end(cx, &irc);
        })
        .state(WAKE, |cx, _| woken(cx))
        .state(FLUSH, |cx, ()| flush(cx))
        .state(TICK, |cx, ()| tick(cx))
        .state(RECLAIM, |cx, ()| reclaim(cx))
        .state(REGISTER_LIMIT, |cx, ()| {
            give_up(cx, "the server did not complete the registration in time");
        })
        .state(QUIT_LIMIT, |cx, ()| cx.server().abort())
        .state(KERNEL_ENDS, |cx, _| {
            cx.sig_handled();
            cx.heap.quit("The program ends");
        })
}

/// Sends a message past the queue.
fn put(cx: Cx<'_, '_>, message: Message) {
    let irc = &cx.heap;
    match irc.length(&message) {
        Ok(bytes) => {
            irc.0.queue.borrow_mut().charge(bytes, Instant::now());
            cx.server().put(message);
        }
        Err(why) => tracing::warn!(target: "poe::irc", "{} is not sent: {why:?}", message.command()),
    }
}

fn connected(cx: Cx<'_, '_>) {
    let irc = cx.heap.clone();
    let shared = &irc.0;
    let (settings, limits) = (&shared.settings, shared.settings.limits);
    let nick = shared.wanted.borrow().clone();
    *shared.state.borrow_mut() = crate::state::State::new(nick.clone(), limits.channels, limits.members);
    shared.queue.borrow_mut().clear();
    irc.emit(cx.kernel, &IrcEvent::Connected(cx.target().to_string()));
    let messages = shared.conn.borrow_mut().begin(settings, &nick);
    for message in messages {
        put(cx, message);
    }
    cx.delay(REGISTER_LIMIT, settings.register_limit, ());
}

/// Ends the connection because of a failure.
fn give_up(cx: Cx<'_, '_>, why: &str) {
    let irc = cx.heap.clone();
    irc.0.conn.borrow_mut().last_words = Some(why.to_owned());
    irc.emit(cx.kernel, &IrcEvent::SocketErr(why.to_owned()));
    cx.server().shutdown();
}

fn got_error(cx: Cx<'_, '_>, error: IoError) {
    if let Some(bad) = error.as_filter().filter(|bad| !bad.is_fatal()) {
        tracing::warn!(target: "poe::irc", "from {}: {bad}", cx.target());
        return;
    }
    {
        let mut conn = cx.heap.0.conn.borrow_mut();
        conn.last_words.get_or_insert_with(|| match error.is_eof() {
            true => "the server closed the connection".to_owned(),
            false => error.to_string(),
        });
    }
    cx.server().shutdown();
}

fn disconnected(cx: Cx<'_, '_>) {
    let irc = cx.heap.clone();
    let (was_registered, reason) = {
        let mut conn = irc.0.conn.borrow_mut();
        let reason = conn
            .last_words
            .take()
            .unwrap_or_else(|| "the client closed the connection".into());
        let was = conn.is_registered();
        conn.end();
        (was, reason)
    };
    for timer in [FLUSH, TICK, RECLAIM, REGISTER_LIMIT, QUIT_LIMIT] {
        cx.alarm_clear(timer);
    }
    irc.0.queue.borrow_mut().clear();
    let over = Disconnected {
        address: cx.target().to_string(),
        reason,
        was_registered,
    };
    irc.emit(cx.kernel, &IrcEvent::Disconnected(over));
    again(cx);
}

/// Connects again after a delay, or ends.
fn again(cx: Cx<'_, '_>) {
    let irc = cx.heap.clone();
    let shared = &irc.0;
    if shared.ask.get() == Ask::Reconnect {
        shared.ask.set(Ask::Nothing);
    }
    let wait = match (&shared.settings.backoff, shared.ask.get()) {
        (Some(backoff), Ask::Nothing) => backoff.wait(shared.failures.get()),
        _ => None,
    };
    let Some(wait) = wait else {
        return end(cx, &irc);
    };
    shared.failures.set(shared.failures.get().saturating_add(1));
    let servers = &shared.settings.servers;
    let next = (shared.server.get() + 1) % servers.len();
    shared.server.set(next);
    irc.emit(cx.kernel, &IrcEvent::Reconnecting(wait));
    cx.delay(CONNECT, wait, servers[next].clone());
}

/// The client ends: nothing holds its session any more.
fn end(cx: Cx<'_, '_>, irc: &Irc) {
    if irc.0.ended.replace(true) {
        return;
    }
    if let Some(task) = irc.0.task.take() {
        cx.kernel.cancel(task);
    }
    cx.alarm_clear(CONNECT);
    irc.0.conn.borrow_mut().end();
    irc.emit(cx.kernel, &IrcEvent::Shutdown(()));
    for name in irc.plugins() {
        irc.plugin_remove(&name);
    }
    irc.drop_listeners();
}

fn woken(cx: Cx<'_, '_>) {
    direct::work(cx);
    let irc = cx.heap.clone();
    match irc.0.ask.get() {
        Ask::Nothing => flush(cx),
        Ask::Reconnect if cx.server().is_connected() => {
            irc.0.conn.borrow_mut().last_words = Some("a new connection was asked for".into());
            if irc.is_registered() {
                put(cx, Message::new("QUIT", ["Reconnecting"]));
            }
            cx.server().shutdown();
        }
        // It is about to connect anyway.
        Ask::Reconnect => irc.0.ask.set(Ask::Nothing),
        Ask::Quit => {
            irc.0.ask.set(Ask::Quitting);
            if irc.is_registered() {
                irc.0.queue.borrow_mut().clear();
                let text = irc.0.quit_text.borrow().clone();
                let text = Some(text).filter(|text| !text.is_empty());
                put(cx, Message::new("QUIT", text));
                cx.delay(QUIT_LIMIT, QUIT_TIME, ());
            } else {
                // Of a connection that is up the end is told; of an attempt it is not.
                cx.server().shutdown();
                if irc.0.conn.borrow().is_offline() {
                    end(cx, &irc);
                }
            }
        }
        Ask::Quitting => {}
    }
}

/// Sends what flood control allows.
fn flush(cx: Cx<'_, '_>) {
    let irc = cx.heap.clone();
    if !irc.is_registered() {
        return;
    }
    loop {
        let popped = irc.0.queue.borrow_mut().pop(Instant::now());
        match popped {
            Ok(Some(message)) => cx.server().put(message),
            Ok(None) => return,
            Err(wait) => return cx.delay(FLUSH, wait.max(Duration::from_millis(1)), ()),
        }
    }
}

/// Looks whether the server is still there.
fn tick(cx: Cx<'_, '_>) {
    let irc = cx.heap.clone();
    let (heard, pinged) = {
        let mut conn = irc.0.conn.borrow_mut();
        let heard = std::mem::take(&mut conn.heard);
        let pinged = std::mem::replace(&mut conn.pinged, !heard);
        (heard, pinged)
    };
    irc.0.failures.set(0);
    if heard {
        irc.0.conn.borrow_mut().pinged = false;
    } else if pinged {
        irc.0.conn.borrow_mut().last_words = Some("the server is silent".into());
        return cx.server().abort();
    } else {
        put(cx, Message::new("PING", ["poe-irc"]));
    }
    cx.delay(TICK, irc.0.settings.ping, ());
}

/// Asks for the nickname that is wanted.
fn reclaim(cx: Cx<'_, '_>) {
    let irc = cx.heap.clone();
    let wanted = irc.0.wanted.borrow().clone();
    let (Some(interval), false) = (irc.0.settings.reclaim, irc.0.state.borrow().is_own(&wanted)) else {
        return;
    };
    put(cx, Message::new("NICK", [wanted]));
    cx.delay(RECLAIM, interval, ());
}

fn got(cx: Cx<'_, '_>, message: Message) {
    let irc = cx.heap.clone();
    let step = {
        let mut conn = irc.0.conn.borrow_mut();
        conn.heard = true;
        conn.take(&irc.0.settings, &message)
    };
    for message in step.send {
        put(cx, message);
    }
    if let Some(why) = step.failed {
        return give_up(cx, &why);
    }
    let shared = {
        let mut state = irc.0.state.borrow_mut();
        if message.command() == "001" {
            state.nick = message.arg(0).detached();
        }
        state.apply(&message)
    };
    if message.command() == "001" {
        registered(cx, &irc);
    }
    follow_channels(&irc, &message);
    if let Some(event) = translate(&irc, &message, shared) {
        irc.emit(cx.kernel, &event);
        if let IrcEvent::DccRequest(request) = &event {
            direct::follow(cx, &irc, &request.from, &request.offer);
        }
    }
    react(cx, &irc, &message);
}

fn registered(cx: Cx<'_, '_>, irc: &Irc) {
    cx.alarm_clear(REGISTER_LIMIT);
    cx.mark_good();
    let shared = &irc.0;
    shared.queue.borrow_mut().forgive();
    cx.delay(TICK, shared.settings.ping, ());
    if let Some(interval) = shared.settings.reclaim {
        cx.delay(RECLAIM, interval, ());
    }
    for (channel, key) in &shared.settings.channels {
        irc.remember(channel, key.clone());
    }
    let channels: Vec<_> = shared.rejoin.borrow().values().cloned().collect();
    for (channel, key) in channels {
        let message = Message::new("JOIN", [Some(channel), key].into_iter().flatten());
        if let Ok(bytes) = irc.length(&message) {
            let _ = shared.queue.borrow_mut().push(message, bytes);
        }
    }
    // What plugins and sessions send in reply to the event is sent with it.
    shared.wake.wake();
}

/// Notes the channels to enter after a reconnect.
fn follow_channels(irc: &Irc, message: &Message) {
    let is_own = |nick: &Text| irc.0.state.borrow().is_own(nick);
    let nick = message.source().map(Source::nick).unwrap_or_default();
    match message.command() {
        "JOIN" if is_own(&nick) => irc.remember(&message.arg(0), None),
        "PART" if is_own(&nick) => irc.forget(&message.arg(0)),
        "KICK" if is_own(&message.arg(1)) => irc.forget(&message.arg(0)),
        _ => {}
    }
}

/// What the client does by itself when plugins and sessions know of the message.
fn react(cx: Cx<'_, '_>, irc: &Irc, message: &Message) {
    let source = message.source();
    match message.command() {
        "PING" => put(cx, Message::new("PONG", message.params().iter().rev().take(1))),
        "366" => {
            let name = irc.channel(message.arg(1)).map(|channel| channel.name);
            if let Some(name) = name {
                irc.emit(cx.kernel, &IrcEvent::ChannelSynced(name));
            }
        }
        "ERROR" => {
            let words = message.arg(0).to_string();
            irc.0.conn.borrow_mut().last_words = Some(words);
        }
        "JOIN" if source.is_some_and(|source| irc.0.state.borrow().is_own(&source.nick())) => {
            let query = Message::new("MODE", [message.arg(0)]);
            if let Ok(bytes) = irc.length(&query) {
                let _ = irc.0.queue.borrow_mut().push(query, bytes);
            }
            flush(cx);
        }
        "NICK" | "QUIT" => {
            let wanted = irc.0.wanted.borrow().clone();
            let state = irc.0.state.borrow();
            let freed = source.is_some_and(|source| state.same(&source.nick(), &wanted));
            let has = state.is_own(&wanted);
            drop(state);
            if freed && !has && irc.is_registered() {
                reclaim(cx);
            }
        }
        "PRIVMSG" => reply_to_ctcp(irc, message),
        _ => {}
    }
}

/// Replies to the requests that every client replies to; none while other output waits, so nobody can fill the queue.
fn reply_to_ctcp(irc: &Irc, message: &Message) {
    let (Some(version), Some(from)) = (&irc.0.settings.version, message.source()) else {
        return;
    };
    let is_own = irc.0.state.borrow().is_own(&from.nick());
    let Some((command, text)) = ctcp::parse(message.arg(1).as_bytes()).filter(|_| irc.queued() == 0 && !is_own) else {
        return;
    };
    let reply = match &*command {
        "VERSION" => version.clone(),
        "PING" => text,
        "CLIENTINFO" => "ACTION CLIENTINFO PING VERSION".into(),
        _ => return,
    };
    if let Err(error) = irc.ctcp_reply(from.nick(), &command, reply) {
        tracing::debug!(target: "poe::irc", "{error}");
    }
}

/// The event that a message is, after the state has taken it in.
fn translate(irc: &Irc, message: &Message, channels: Vec<Text>) -> Option<IrcEvent> {
    let state = irc.0.state.borrow();
    let arg = |index| message.arg(index);
    if let Some(code) = message.numeric() {
        let (server, params) = (message.source().cloned(), message.params());
        let numeric = Numeric {
            code,
            server,
            params: params.get(1..).unwrap_or_default().to_vec(),
        };
        return Some(IrcEvent::Numeric(numeric));
    }
    let who = message.source().cloned().unwrap_or_else(|| Source::new(""));
    Some(match message.command() {
        "PRIVMSG" | "NOTICE" => return said(&state, message, who, irc.0.settings.dcc.is_some()),
        "JOIN" => IrcEvent::Join(Joined {
            who,
            channel: arg(0),
            account: message.params().get(1).filter(|account| *account != "*").cloned(),
        }),
        "PART" => IrcEvent::Part(Parted {
            who,
            channel: arg(0),
            text: arg(1),
        }),
        "QUIT" => IrcEvent::Quit(QuitEvent {
            who,
            text: arg(0),
            channels,
        }),
        "KICK" => IrcEvent::Kick(Kicked {
            by: who,
            channel: arg(0),
            nick: arg(1),
            text: arg(2),
        }),
        "NICK" => IrcEvent::Nick(Renamed {
            who,
            to: arg(0),
            channels,
        }),
        "TOPIC" => IrcEvent::Topic(TopicEvent {
            who,
            channel: arg(0),
            text: arg(1),
        }),
        "MODE" => IrcEvent::Mode(ModeEvent {
            who,
            changes: mode_changes(
                &state.isupport,
                state.is_channel(&arg(0)),
                message.params().get(1..).unwrap_or_default(),
            ),
            target: arg(0),
        }),
        "INVITE" => IrcEvent::Invite(Invited {
            who,
            nick: arg(0),
            channel: arg(1),
        }),
        "ERROR" => IrcEvent::Error(arg(0)),
        _ => IrcEvent::Other(message.clone()),
    })
}

fn said(state: &crate::state::State, message: &Message, from: Source, allows_dcc: bool) -> Option<IrcEvent> {
    let (target, text) = (message.arg(0), message.arg(1));
    let request = ctcp::parse(text.as_bytes());
    let is_notice = message.command() == "NOTICE";
    let is_action = !is_notice && request.as_ref().is_some_and(|(command, _)| command == "ACTION");
    if let (Some((command, text)), false) = (&request, is_action) {
        let offer = match command.as_str() {
            "DCC" if allows_dcc && !is_notice && state.is_own(&target) => DccOffer::parse(text),
            _ => None,
        };
        if let Some(offer) = offer {
            return Some(IrcEvent::DccRequest(DccRequest { from, offer }));
        }
        let ctcp = Ctcp {
            from,
            target,
            command: command.clone(),
            text: text.clone(),
        };
        return Some(match is_notice {
            true => IrcEvent::CtcpReply(ctcp),
            false => IrcEvent::Ctcp(ctcp),
        });
    }
    let said = Said {
        is_echo: state.is_own(&from.nick()),
        from,
        text: match request {
            Some((_, text)) => text,
            None => text,
        },
        tags: message.tags().clone(),
        target: target.clone(),
    };
    // With STATUSMSG a rank stands before the channel.
    let (_, bare) = state.isupport.split_ranks(target.as_bytes());
    Some(if is_action {
        IrcEvent::Action(said)
    } else if is_notice {
        IrcEvent::Notice(said)
    } else if state.is_channel(&target) || state.isupport.is_channel(bare) {
        IrcEvent::Public(said)
    } else {
        IrcEvent::Msg(said)
    })
}
