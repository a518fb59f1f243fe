//! The registration: capabilities, SASL, nickname. Pure: it takes messages and returns messages.
//!
//! | phase | leaves it with |
//! |---|---|
//! | `Offline` | [`Conn::begin`]: `CAP LS 302`, `PASS`, `NICK`, `USER` |
//! | `Listing` | the last line of `CAP LS`: requests, or `CAP END` |
//! | `Requesting` | the last `ACK` or `NAK`: `AUTHENTICATE`, or `CAP END` |
//! | `Authenticating` | 903: `CAP END`; a refusal: the connection ends |
//! | `Waiting` | 001 |
//! | `Registered` | the end of the connection |
//!
//! A server without capabilities sends 001 in the phase `Listing`.

use crate::message::Message;
use crate::sasl::Exchange;
use crate::settings::Settings;
use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet};

/// The most capabilities that are kept.
const CAPS: usize = 256;
/// The most other nicknames that are tried.
const NICKS: u32 = 20;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Offline,
    Listing,
    Requesting,
    Authenticating,
    Waiting,
    Registered,
}

/// A connection to a server.
#[derive(Default)]
pub(crate) struct Conn {
    phase: Phase,
    offered: BTreeMap<String, String>,
    enabled: BTreeSet<String>,
    /// Requests without a reply.
    pending: usize,
    /// Nicknames that were refused.
    refused: u32,
    authenticated: bool,
    exchange: Option<Exchange>,
    /// Something came since the last tick.
    pub(crate) heard: bool,
    pub(crate) pinged: bool,
    /// Why the server closes the connection.
    pub(crate) last_words: Option<String>,
}

/// What to do with a message of the registration.
#[derive(Default)]
pub(crate) struct Step {
    pub(crate) send: Vec<Message>,
    /// The registration has failed: why.
    pub(crate) failed: Option<String>,
}

impl Step {
    fn of(send: Vec<Message>) -> Self {
        Step { send, failed: None }
    }

    fn fail(why: impl Into<String>) -> Self {
        Step {
            send: Vec::new(),
            failed: Some(why.into()),
        }
    }
}

impl Conn {
    pub(crate) fn is_registered(&self) -> bool {
        self.phase == Phase::Registered
    }

    pub(crate) fn is_offline(&self) -> bool {
        self.phase == Phase::Offline
    }

    pub(crate) fn enabled(&self) -> impl Iterator<Item = String> {
        self.enabled.iter().cloned().collect::<Vec<_>>().into_iter()
    }

    pub(crate) fn begin(&mut self, settings: &Settings, nick: &Text) -> Vec<Message> {
        *self = Conn {
            phase: Phase::Listing,
            ..Conn::default()
        };
        let mut send = vec![Message::new("CAP", ["LS", "302"])];
        send.extend(
            settings
                .password
                .as_ref()
                .map(|password| Message::new("PASS", [password])),
        );
        send.push(Message::new("NICK", [nick]));
        let user = [settings.user.clone(), "0".into(), "*".into(), settings.realname.clone()];
        send.push(Message::new("USER", user));
        send
    }

    pub(crate) fn end(&mut self) {
        *self = Conn::default();
    }

    /// Takes a message of the negotiation; others change nothing.
    pub(crate) fn take(&mut self, settings: &Settings, message: &Message) -> Step {
        match message.command() {
            "CAP" => self.cap(settings, message),
            "AUTHENTICATE" if self.phase == Phase::Authenticating => {
                let part = message.arg(0);
                let step = self
                    .exchange
                    .as_mut()
                    .map(|exchange| exchange.step(&part.to_str_lossy()));
                match step {
                    Some(Ok(parts)) => {
                        Step::of(parts.iter().map(|part| Message::new("AUTHENTICATE", [part])).collect())
                    }
                    Some(Err(why)) => Step::fail(format!("SASL: {why}")),
                    None => Step::default(),
                }
            }
            // 907: already authenticated.
            "903" | "907" if self.phase == Phase::Authenticating => {
                if !self.exchange.take().is_some_and(|exchange| exchange.is_proved()) {
                    return Step::fail("SASL: the server has not proved that it knows the account");
                }
                self.authenticated = true;
                self.finish()
            }
            "902" | "904" | "905" | "906" if self.phase == Phase::Authenticating => Step::fail(format!(
                "SASL: {}",
                message.params().last().cloned().unwrap_or_default()
            )),
            "001" => {
                if settings.sasl.is_some() && !self.authenticated {
                    return Step::fail("the server offers no SASL");
                }
                self.phase = Phase::Registered;
                Step::default()
            }
            "432" | "433" | "436" | "437" if !self.is_registered() => self.other_nick(settings, message),
            _ => Step::default(),
        }
    }

    fn other_nick(&mut self, settings: &Settings, message: &Message) -> Step {
        if self.refused >= NICKS {
            return Step::fail(format!("{NICKS} nicknames were refused"));
        }
        let index = self.refused;
        self.refused += 1;
        let others = settings.other_nicks.len();
        let nick = match settings.other_nicks.get(index as usize) {
            Some(nick) => nick.clone(),
            None => {
                // One that the server refuses for its length has room for the number.
                let number = (index as usize - others + 1).to_string();
                let base = settings.nick.to_str_lossy().into_owned();
                let short = message.command() == "432";
                let kept = if short {
                    base.chars().take(9 - number.len()).collect()
                } else {
                    base
                };
                Text::from(format!("{kept}{}{number}", if short { "" } else { "_" }))
            }
        };
        Step::of(vec![Message::new("NICK", [nick])])
    }

    fn cap(&mut self, settings: &Settings, message: &Message) -> Step {
        let (verb, more) = (message.arg(1), message.params().len() > 3 && message.arg(2) == "*");
        let list = message.params().last().cloned().unwrap_or_default();
        let list = list.to_str_lossy().into_owned();
        let names = || list.split(' ').filter(|name| !name.is_empty());
        match verb.as_str() {
            Some("LS" | "NEW") => {
                for cap in names() {
                    let (name, value) = cap.split_once('=').unwrap_or((cap, ""));
                    if self.offered.len() < CAPS || self.offered.contains_key(name) {
                        self.offered.insert(name.to_owned(), value.to_owned());
                    }
                }
                if more {
                    return Step::default();
                }
                self.request(settings)
            }
            Some("ACK") => {
                for cap in names() {
                    match cap.strip_prefix('-') {
                        Some(name) => self.enabled.remove(name),
                        None => self.enabled.len() < CAPS && self.enabled.insert(cap.to_owned()),
                    };
                }
                self.replied(settings)
            }
            Some("NAK") => self.replied(settings),
            Some("DEL") => {
                for name in names() {
                    self.offered.remove(name);
                    self.enabled.remove(name);
                }
                Step::default()
            }
            _ => Step::default(),
        }
    }

    /// Requests what is offered and wanted and not in force.
    fn request(&mut self, settings: &Settings) -> Step {
        let sasl = settings.sasl.as_ref().map(|_| "sasl".to_owned());
        let wanted = settings.capabilities.iter().cloned().chain(sasl);
        let mut lines: Vec<String> = Vec::new();
        for name in wanted.filter(|name| self.offered.contains_key(name) && !self.enabled.contains(name)) {
            match lines.last_mut().filter(|line| line.len() + name.len() < 400) {
                Some(line) => {
                    line.push(' ');
                    line.push_str(&name);
                }
                None => lines.push(name),
            }
        }
        self.pending += lines.len();
        if self.phase == Phase::Listing {
            if lines.is_empty() {
                return self.finish_or_fail(settings);
            }
            self.phase = Phase::Requesting;
        }
        Step::of(lines.iter().map(|line| Message::new("CAP", ["REQ", line])).collect())
    }

    fn replied(&mut self, settings: &Settings) -> Step {
        self.pending = self.pending.saturating_sub(1);
        if self.pending > 0 || self.phase != Phase::Requesting {
            return Step::default();
        }
        match &settings.sasl {
            Some(sasl) if self.enabled.contains("sasl") => {
                self.phase = Phase::Authenticating;
                match sasl.begin() {
                    Ok(exchange) => self.exchange = Some(exchange),
                    Err(why) => return Step::fail(format!("SASL: {why}")),
                }
                Step::of(vec![Message::new("AUTHENTICATE", [sasl.name()])])
            }
            _ => self.finish_or_fail(settings),
        }
    }

    fn finish_or_fail(&mut self, settings: &Settings) -> Step {
        match settings.sasl {
            Some(_) => Step::fail("the server offers no SASL"),
            None => self.finish(),
        }
    }

    fn finish(&mut self) -> Step {
        self.phase = Phase::Waiting;
        Step::of(vec![Message::new("CAP", ["END"])])
    }
}
