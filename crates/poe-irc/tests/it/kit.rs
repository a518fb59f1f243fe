//! A small IRC server in memory, on the filter alone, and a session that writes down events.

use poe::component::{Client, TcpServer};
use poe::event::START;
use poe::{Context, Event, Kernel, Session, SessionId};
use poe_irc::events::{self, Numeric, Said};
use poe_irc::{Irc, IrcFilter, Message};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

pub(crate) const LONG: Duration = Duration::from_secs(3600);
const TELL: Event<Message> = Event::new("tell");
const CUT: Event<()> = Event::new("cut");

/// What all connections of the server share.
#[derive(Default)]
pub(crate) struct Net {
    /// Session and `nick!user@host` of each client that is in.
    users: RefCell<BTreeMap<String, SessionId>>,
    channels: RefCell<BTreeMap<String, Vec<String>>>,
    /// Every line that clients have sent, with its time in seconds.
    pub(crate) heard: RefCell<Vec<String>>,
    pub(crate) caps: RefCell<String>,
    /// The reply to `AUTHENTICATE` with a secret.
    pub(crate) sasl: RefCell<Option<String>>,
    /// Does not reply to PING any more.
    pub(crate) is_deaf: Cell<bool>,
    pub(crate) connections: Cell<u32>,
}

#[derive(Default)]
struct Peer {
    nick: Option<String>,
    is_in: bool,
    negotiating: bool,
    authenticated: bool,
    has_user: bool,
}

type Cx<'a, 'k> = &'a mut Context<'k, Peer, Client<IrcFilter>>;

impl Net {
    /// Starts the server at `memory:irc`.
    pub(crate) async fn start(kernel: &Kernel) -> (Rc<Net>, TcpServer) {
        let net = Rc::new(Net::default());
        let (on_line, on_end, on_start) = (net.clone(), net.clone(), net.clone());
        let server = TcpServer::builder("memory:irc")
            .filter(IrcFilter::new)
            .client_heap(|_| Peer::default())
            .client_connected(move |_| on_start.connections.set(on_start.connections.get() + 1))
            .client_input(move |cx, message| on_line.got(cx, message))
            .client_disconnected(move |cx| {
                if let Some(nick) = cx.heap.nick.take() {
                    on_end.quit(cx, &nick, "gone");
                }
            })
            .state(TELL, |cx, message| cx.client().put(message))
            .state(CUT, |cx, ()| cx.client().abort())
            .start(kernel)
            .await
            .unwrap();
        (net, server)
    }

    /// Takes a nickname for a user without a connection.
    pub(crate) fn ghost(&self, kernel: &Kernel, nick: &str) {
        self.users.borrow_mut().insert(nick.to_owned(), kernel.id());
    }

    pub(crate) fn remove_ghost(&self, nick: &str) {
        self.users.borrow_mut().remove(nick);
    }

    pub(crate) fn lines(&self, command: &str) -> Vec<String> {
        let heard = self.heard.borrow();
        heard.iter().filter(|line| line.starts_with(command)).cloned().collect()
    }

    /// Sends a message to a user's connection.
    pub(crate) fn tell(&self, kernel: &Kernel, nick: &str, message: &str) {
        let session = self.users.borrow()[nick];
        kernel.post(session, TELL, message.parse().unwrap()).unwrap();
    }

    pub(crate) fn cut(&self, kernel: &Kernel, nick: &str) {
        let session = self.users.borrow()[nick];
        kernel.post(session, CUT, ()).unwrap();
    }

    fn to_members(&self, cx: Cx<'_, '_>, channel: &str, message: &Message, but: Option<&str>) {
        let members = self.channels.borrow().get(channel).cloned().unwrap_or_default();
        for member in members.iter().filter(|member| Some(member.as_str()) != but) {
            if let Some(session) = self.users.borrow().get(member) {
                let _ = cx.post(*session, TELL, message.clone());
            }
        }
    }

    fn quit(&self, cx: Cx<'_, '_>, nick: &str, why: &str) {
        self.users.borrow_mut().remove(nick);
        let channels: Vec<String> = self.channels.borrow().keys().cloned().collect();
        for channel in channels {
            let mut all = self.channels.borrow_mut();
            let members = all.get_mut(&channel).unwrap();
            let was = members.len();
            members.retain(|member| member != nick);
            let left = members.len() < was;
            drop(all);
            if left {
                let message = Message::new("QUIT", [why]).from(format!("{nick}!u@host"));
                self.to_members(cx, &channel, &message, None);
            }
        }
    }

    fn got(&self, cx: Cx<'_, '_>, message: Message) {
        self.heard.borrow_mut().push(message.to_string());
        let nick = cx.heap.nick.clone().unwrap_or_else(|| "*".into());
        let from = format!("{nick}!u@host");
        let arg = |index| message.arg(index).to_string();
        let numeric = |code: &str, rest: &[&str]| {
            let params = std::iter::once(nick.as_str()).chain(rest.iter().copied());
            Message::new(code, params).from("irc.test")
        };
        let client = cx.client();
        match message.command() {
            "CAP" if arg(0) == "LS" => {
                cx.heap.negotiating = true;
                let caps = self.caps.borrow().clone();
                // In two lines, as servers with many do.
                let (first, second) = caps.split_once(';').unwrap_or(("", &caps));
                if !first.is_empty() {
                    client.put(Message::new("CAP", [&nick, "LS", "*", first]).from("irc.test"));
                }
                client.put(Message::new("CAP", [&nick, "LS", second]).from("irc.test"));
            }
            "CAP" if arg(0) == "REQ" => {
                client.put(Message::new("CAP", [nick.clone(), "ACK".into(), arg(1)]).from("irc.test"));
            }
            "CAP" => {
                cx.heap.negotiating = false;
                self.welcome(cx);
            }
            "AUTHENTICATE" if arg(0) == "PLAIN" || arg(0) == "EXTERNAL" => {
                client.put(Message::new("AUTHENTICATE", ["+"]));
            }
            "AUTHENTICATE" => {
                let good = self.sasl.borrow().as_deref() == Some(&arg(0));
                cx.heap.authenticated = good;
                client.put(match good {
                    true => numeric("903", &["SASL authentication successful"]),
                    false => numeric("904", &["SASL authentication failed"]),
                });
            }
            "NICK" => {
                let wanted = arg(0);
                if self.users.borrow().contains_key(&wanted) {
                    return client.put(numeric("433", &[&wanted, "Nickname is already in use."]));
                }
                if cx.heap.is_in {
                    let session = self.users.borrow_mut().remove(&nick).unwrap();
                    self.users.borrow_mut().insert(wanted.clone(), session);
                    let message = Message::new("NICK", [&wanted]).from(from);
                    let mut told = std::collections::BTreeSet::from([wanted.clone()]);
                    for members in self.channels.borrow_mut().values_mut().filter(|m| m.contains(&nick)) {
                        members
                            .iter_mut()
                            .filter(|m| **m == nick)
                            .for_each(|m| m.clone_from(&wanted));
                        told.extend(members.iter().cloned());
                    }
                    for member in told {
                        let session = self.users.borrow()[&member];
                        let _ = cx.post(session, TELL, message.clone());
                    }
                }
                cx.heap.nick = Some(wanted);
                self.welcome(cx);
            }
            "USER" => {
                cx.heap.has_user = true;
                self.welcome(cx);
            }
            "PING" if self.is_deaf.get() => {}
            "PING" => client.put(Message::new("PONG", ["irc.test".to_owned(), arg(0)]).from("irc.test")),
            "JOIN" => {
                for channel in arg(0).split(',') {
                    let mut channels = self.channels.borrow_mut();
                    let members = channels.entry(channel.to_owned()).or_default();
                    members.push(nick.clone());
                    let names = format!("@{}", members.join(" "));
                    drop(channels);
                    self.to_members(cx, channel, &Message::new("JOIN", [channel]).from(from.as_str()), None);
                    let me = cx.session_id();
                    for reply in [
                        numeric("332", &[channel, "About POE"]),
                        numeric("353", &["=", channel, &names]),
                        numeric("366", &[channel, "End of /NAMES list."]),
                    ] {
                        let _ = cx.post(me, TELL, reply);
                    }
                }
            }
            "PART" => {
                self.to_members(cx, &arg(0), &Message::new("PART", [arg(0)]).from(from), None);
                self.channels
                    .borrow_mut()
                    .get_mut(&arg(0))
                    .unwrap()
                    .retain(|m| *m != nick);
            }
            "MODE" if message.params().len() == 1 => client.put(numeric("324", &[&arg(0), "+nt"])),
            "PRIVMSG" | "NOTICE" => {
                let relayed = Message::new(message.command(), message.params()).from(from);
                if arg(0).starts_with('#') {
                    self.to_members(cx, &arg(0), &relayed, Some(&nick));
                } else if let Some(session) = self.users.borrow().get(&arg(0)) {
                    let _ = cx.post(*session, TELL, relayed);
                }
            }
            "QUIT" => {
                client.put(Message::new("ERROR", [format!("Closing link: {}", arg(0))]));
                client.shutdown();
            }
            _ => {}
        }
    }

    fn welcome(&self, cx: Cx<'_, '_>) {
        let peer = &mut *cx.heap;
        let (Some(nick), true, false, false) = (peer.nick.clone(), peer.has_user, peer.negotiating, peer.is_in) else {
            return;
        };
        peer.is_in = true;
        self.users.borrow_mut().insert(nick.clone(), cx.session_id());
        let server = |code: &str, rest: &[&str]| {
            let params = std::iter::once(nick.as_str()).chain(rest.iter().copied());
            Message::new(code, params).from("irc.test")
        };
        let client = cx.client();
        client.put(server("001", &["Welcome to the test"]));
        let tokens = ["PREFIX=(ov)@+", "CHANMODES=b,k,l,imnpst", "CHANTYPES=#", "NICKLEN=30"];
        let tokens: Vec<&str> = tokens.into_iter().chain(["are supported by this server"]).collect();
        client.put(server("005", &tokens));
        client.put(server("376", &["End of MOTD"]));
    }
}

/// Lines that a session writes down.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }

    pub(crate) fn has(&self, line: &str) -> bool {
        self.0.borrow().iter().any(|l| l == line)
    }
}

/// A session that gets every event of a client.
pub(crate) fn listener(kernel: &Kernel, irc: &Irc, log: &Log) {
    let said = |what: &'static str| {
        move |cx: &mut Context<'_, Log>, said: Said| {
            cx.heap
                .add(format!("{what} {} {}: {}", said.target, said.from.nick(), said.text));
        }
    };
    let irc = irc.clone();
    Session::builder(log.clone())
        .on(START, move |cx, ()| irc.register_all(cx))
        .on(events::CONNECTED, |cx, address| {
            cx.heap.add(format!("connected {address}"))
        })
        .on(events::WELCOME, |cx, _: Numeric| cx.heap.add("001"))
        .on("irc_433", |cx, n: Numeric| cx.heap.add(format!("433 {}", n.params[0])))
        .on(events::PUBLIC, said("public"))
        .on(events::MSG, said("msg"))
        .on(events::NOTICE, said("notice"))
        .on(events::CTCP_ACTION, said("action"))
        .on(events::CTCP, |cx, c| {
            cx.heap.add(format!("ctcp {} {}", c.command, c.text))
        })
        .on(events::CTCP_REPLY, |cx, c| {
            cx.heap.add(format!("reply {} {}", c.command, c.text))
        })
        .on(events::JOIN, |cx, j| {
            cx.heap.add(format!("join {} {}", j.channel, j.who.nick()))
        })
        .on(events::PART, |cx, p| {
            cx.heap.add(format!("part {} {}", p.channel, p.who.nick()))
        })
        .on(events::QUIT, |cx, q| {
            cx.heap.add(format!("quit {} {:?}", q.who.nick(), q.channels))
        })
        .on(events::NICK, |cx, n| {
            cx.heap.add(format!("nick {} {}", n.who.nick(), n.to))
        })
        .on(events::KICK, |cx, k| {
            cx.heap.add(format!("kick {} {}", k.channel, k.nick))
        })
        .on(events::CHANNEL_SYNCED, |cx, c| cx.heap.add(format!("synced {c}")))
        .on(events::ERROR, |cx, e| cx.heap.add(format!("error {e}")))
        .on(events::SOCKETERR, |cx, e| cx.heap.add(format!("socketerr {e}")))
        .on(events::DISCONNECTED, |cx, d| {
            cx.heap.add(format!("disconnected {}", d.reason))
        })
        .on(events::RECONNECTING, |cx, wait| {
            cx.heap.add(format!("again in {} s", wait.as_secs()))
        })
        .on(events::SHUTDOWN, |cx, ()| cx.heap.add("shutdown"))
        .create(kernel)
        .unwrap();
}
