//! Channels and users, as the server reports them. What is kept is a copy, which does not hold the memory of a whole line with its tags.

use crate::events::ModeChange;
use crate::isupport::{Isupport, ModeKind};
use crate::message::{Message, Source};
use crate::text::Text;
use std::collections::{BTreeMap, HashMap};

/// A channel that the client is in.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Channel {
    /// Its name, as the server writes it.
    pub name: Text,
    /// The topic, if there is one.
    pub topic: Option<Text>,
    /// The modes that are set, with their parameters; without lists such as bans.
    pub modes: BTreeMap<char, Option<Text>>,
    /// The names of its members are complete.
    pub is_synced: bool,
    members: HashMap<Vec<u8>, Member>,
}

/// A member of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// The nickname.
    pub nick: Text,
    /// The letters of the member's ranks: `o` operator, `v` voice …
    pub ranks: String,
}

impl Channel {
    /// Returns the members, in no order.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// Returns the number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether no member is known yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

/// A user who shares a channel with the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The nickname.
    pub nick: Text,
    /// The user's name, if it is known.
    pub user: Option<Text>,
    /// The host, if it is known.
    pub host: Option<Text>,
    /// The account, if it is known and there is one.
    pub account: Option<Text>,
    /// Whether the user is away, with the capability `away-notify`.
    pub is_away: bool,
}

/// What is known of the network.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) nick: Text,
    /// The client's own `nick!user@host`, once the server has shown it.
    pub(crate) source: Option<Source>,
    pub(crate) isupport: Isupport,
    channels: HashMap<Vec<u8>, Channel>,
    users: HashMap<Vec<u8>, User>,
    members: usize,
    max_channels: usize,
    max_members: usize,
}

impl State {
    pub(crate) fn new(nick: Text, max_channels: usize, max_members: usize) -> Self {
        State {
            nick,
            max_channels,
            max_members,
            ..State::default()
        }
    }

    fn key(&self, name: &Text) -> Vec<u8> {
        self.isupport.casemapping().fold(name.as_bytes())
    }

    pub(crate) fn same(&self, one: &Text, other: &Text) -> bool {
        self.isupport.casemapping().same(one.as_bytes(), other.as_bytes())
    }

    pub(crate) fn is_own(&self, nick: &Text) -> bool {
        self.same(&self.nick, nick)
    }

    pub(crate) fn is_channel(&self, name: &Text) -> bool {
        self.isupport.is_channel(name.as_bytes())
    }

    pub(crate) fn channels(&self) -> Vec<Text> {
        let mut names: Vec<Text> = self.channels.values().map(|channel| channel.name.clone()).collect();
        names.sort();
        names
    }

    pub(crate) fn channel(&self, name: &Text) -> Option<&Channel> {
        self.channels.get(&self.key(name))
    }

    pub(crate) fn member(&self, channel: &Text, nick: &Text) -> Option<&Member> {
        self.channel(channel)?.members.get(&self.key(nick))
    }

    pub(crate) fn user(&self, nick: &Text) -> Option<&User> {
        self.users.get(&self.key(nick))
    }

    /// The channels that the user is in, as far as the client sees.
    pub(crate) fn channels_of(&self, nick: &Text) -> Vec<Text> {
        let key = self.key(nick);
        let shared = self
            .channels
            .values()
            .filter(|channel| channel.members.contains_key(&key));
        let mut names: Vec<Text> = shared.map(|channel| channel.name.clone()).collect();
        names.sort();
        names
    }

    pub(crate) fn read_isupport(&mut self, tokens: &[Text]) {
        let before = self.isupport.casemapping();
        self.isupport.read(tokens);
        if !self.channels.is_empty() {
            // The keys of the tables were made with it.
            self.isupport.set_casemapping(before);
        }
    }

    fn enter(&mut self, channel: &Text, nick: &Text, ranks: &str) {
        if self.members >= self.max_members {
            return;
        }
        let (channel, key) = (self.key(channel), self.key(nick));
        let Some(channel) = self.channels.get_mut(&channel) else {
            return;
        };
        let member = channel.members.entry(key.clone()).or_insert_with(|| {
            self.members += 1;
            Member {
                nick: nick.detached(),
                ranks: String::new(),
            }
        });
        if !ranks.is_empty() {
            member.ranks = ranks.to_owned();
        }
        let user = self.users.entry(key).or_default();
        user.nick = nick.detached();
    }

    fn leave(&mut self, channel: &Text, nick: &Text) {
        if self.is_own(nick) {
            let gone = self.channels.remove(&self.key(channel));
            if let Some(gone) = gone {
                self.members -= gone.members.len();
                for key in gone.members.into_keys() {
                    self.forget(&key);
                }
            }
            return;
        }
        let (channel, key) = (self.key(channel), self.key(nick));
        if let Some(channel) = self.channels.get_mut(&channel)
            && channel.members.remove(&key).is_some()
        {
            self.members -= 1;
            self.forget(&key);
        }
    }

    /// Drops a user that shares no channel with the client any more.
    fn forget(&mut self, key: &[u8]) {
        if !self.channels.values().any(|channel| channel.members.contains_key(key)) {
            self.users.remove(key);
        }
    }

    fn learn(&mut self, source: &Source, with: impl FnOnce(&mut User)) {
        let key = self.key(&source.nick());
        if let Some(user) = self.users.get_mut(&key) {
            let known = (user.user.take(), user.host.take());
            user.user = source.user().map(|name| name.detached()).or(known.0);
            user.host = source.host().map(|host| host.detached()).or(known.1);
            with(user);
        }
    }

    /// Takes in a message, and returns the channels that it was about, where it does not name them itself: of a user who quits or
    /// changes the nickname.
    pub(crate) fn apply(&mut self, message: &Message) -> Vec<Text> {
        let nobody = Source::new("");
        let source = message.source().unwrap_or(&nobody);
        let nick = source.nick();
        let is_own = self.is_own(&nick);
        if is_own && source.host().is_some() {
            self.source = Some(Source::new(source.as_text().detached()));
        }
        let account = message.tags().get("account").filter(|account| !account.is_empty());
        let account = account.map(|account| account.detached());
        self.learn(source, |user| user.account = account.clone().or(user.account.take()));
        match message.command() {
            "JOIN" => {
                let channel = message.arg(0);
                if is_own && self.channels.len() < self.max_channels {
                    let entry = Channel {
                        name: channel.detached(),
                        ..Channel::default()
                    };
                    let key = self.key(&channel);
                    self.leave(&channel, &nick);
                    self.channels.insert(key, entry);
                }
                self.enter(&channel, &nick, "");
                // With `extended-join` the account, or `*` for none.
                let extended = message.params().get(1).map(Text::detached);
                let known = extended.or(account).filter(|account| *account != "*");
                self.learn(source, |user| user.account = known.or(user.account.take()));
            }
            "PART" => self.leave(&message.arg(0), &nick),
            "KICK" => self.leave(&message.arg(0), &message.arg(1)),
            "QUIT" => {
                let shared = self.channels_of(&nick);
                if !is_own {
                    for channel in &shared {
                        self.leave(channel, &nick);
                    }
                }
                return shared;
            }
            "NICK" => {
                let (to, shared) = (message.arg(0).detached(), self.channels_of(&nick));
                if is_own {
                    self.nick = to.clone();
                    self.source = None;
                }
                self.rename(&nick, &to);
                return shared;
            }
            "TOPIC" => self.set_topic(&message.arg(0), message.arg(1)),
            "MODE" => {
                let target = message.arg(0);
                if self.is_channel(&target) {
                    let changes = mode_changes(&self.isupport, true, message.params().get(1..).unwrap_or_default());
                    self.change_modes(&target, &changes);
                }
            }
            "AWAY" => {
                let away = !message.params().is_empty();
                self.learn(source, |user| user.is_away = away);
            }
            "ACCOUNT" => {
                let account = Some(message.arg(0).detached()).filter(|account| *account != "*");
                self.learn(source, |user| user.account = account);
            }
            "CHGHOST" => {
                let (user, host) = (message.arg(0).detached(), message.arg(1).detached());
                self.learn(source, |known| (known.user, known.host) = (Some(user), Some(host)));
                if is_own {
                    self.source = None;
                }
            }
            _ => self.numeric(message),
        }
        Vec::new()
    }

    fn numeric(&mut self, message: &Message) {
        let arg = |index| message.arg(index);
        match message.numeric() {
            Some(5) => {
                let tokens = message.params();
                // Without the nickname and the words "are supported by this server".
                let end = tokens.len().saturating_sub(1).max(1);
                self.read_isupport(tokens.get(1..end).unwrap_or_default());
            }
            Some(324) => {
                let changes = mode_changes(&self.isupport, true, message.params().get(2..).unwrap_or_default());
                self.change_modes(&arg(1), &changes);
            }
            Some(331) => self.set_topic(&arg(1), Text::default()),
            Some(332) => self.set_topic(&arg(1), arg(2)),
            Some(352) => {
                let (channel, user, host, nick, flags) = (arg(1), arg(2).detached(), arg(3).detached(), arg(5), arg(6));
                if self.member(&channel, &nick).is_none() {
                    return;
                }
                let key = self.key(&nick);
                if let Some(known) = self.users.get_mut(&key) {
                    (known.user, known.host) = (Some(user), Some(host));
                    known.is_away = flags.as_bytes().first() == Some(&b'G');
                }
            }
            Some(353) => {
                let channel = arg(2);
                for name in arg(3).as_bytes().split(|b| *b == b' ').filter(|name| !name.is_empty()) {
                    let (ranks, name) = self.isupport.split_ranks(name);
                    let source = Source::new(name);
                    self.enter(&channel, &source.nick(), &ranks);
                    self.learn(&source, |_| ());
                }
            }
            Some(366) => {
                let key = self.key(&arg(1));
                if let Some(channel) = self.channels.get_mut(&key) {
                    channel.is_synced = true;
                }
            }
            _ => {}
        }
    }

    fn set_topic(&mut self, channel: &Text, topic: Text) {
        let key = self.key(channel);
        if let Some(channel) = self.channels.get_mut(&key) {
            channel.topic = Some(topic.detached()).filter(|topic| !topic.is_empty());
        }
    }

    fn rename(&mut self, from: &Text, to: &Text) {
        let (old, new) = (self.key(from), self.key(to));
        for channel in self.channels.values_mut() {
            if let Some(mut member) = channel.members.remove(&old) {
                member.nick = to.clone();
                if channel.members.insert(new.clone(), member).is_some() {
                    self.members -= 1;
                }
            }
        }
        if let Some(mut user) = self.users.remove(&old) {
            user.nick = to.clone();
            self.users.insert(new, user);
        }
    }

    fn change_modes(&mut self, channel: &Text, changes: &[ModeChange]) {
        let casemapping = self.isupport.casemapping();
        let key = self.key(channel);
        let Some(channel) = self.channels.get_mut(&key) else {
            return;
        };
        for change in changes {
            match (self.isupport.mode_kind(change.mode), &change.param) {
                (ModeKind::List, _) => {}
                (ModeKind::Rank, Some(nick)) => {
                    if let Some(member) = channel.members.get_mut(&casemapping.fold(nick.as_bytes())) {
                        member.ranks.retain(|rank| rank != change.mode);
                        if change.set {
                            member.ranks.push(change.mode);
                        }
                    }
                }
                _ if change.set => {
                    channel
                        .modes
                        .insert(change.mode, change.param.as_ref().map(Text::detached));
                }
                _ => {
                    channel.modes.remove(&change.mode);
                }
            }
        }
    }
}

/// Reads the changes of a MODE message, given the parameters behind the target.
pub(crate) fn mode_changes(isupport: &Isupport, in_channel: bool, params: &[Text]) -> Vec<ModeChange> {
    let mut params = params.iter();
    let mut changes = Vec::new();
    let Some(letters) = params.next() else {
        return changes;
    };
    let mut set = true;
    for letter in letters.as_bytes().iter().map(|b| char::from(*b)) {
        if matches!(letter, '+' | '-') {
            set = letter == '+';
            continue;
        }
        let has_param = in_channel
            && match isupport.mode_kind(letter) {
                ModeKind::List | ModeKind::Always | ModeKind::Rank => true,
                ModeKind::WhenSet => set,
                ModeKind::Never => false,
            };
        changes.push(ModeChange {
            set,
            mode: letter,
            param: has_param.then(|| params.next().cloned()).flatten(),
        });
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::State;
    use crate::message::Message;

    #[test]
    fn what_is_kept_of_a_user_does_not_hold_the_line() {
        let mut state = State::new("bot".into(), 10, 10);
        state.apply(&":bot!u@h JOIN #poe".parse().unwrap());
        let line = format!("@account=ann;x={} :ann!user@host JOIN #poe", "x".repeat(8000));
        let message: Message = line.parse().unwrap();
        state.apply(&message);
        drop(message);
        let user = state.users.remove(&b"ann"[..]).unwrap();
        for kept in [Some(user.nick), user.user, user.host, user.account] {
            let memory = kept.unwrap().into_bytes().try_into_mut().unwrap();
            assert!(memory.capacity() < 64);
        }
        let member = state
            .channels
            .get_mut(&b"#poe"[..])
            .unwrap()
            .members
            .remove(&b"ann"[..])
            .unwrap();
        assert!(member.nick.into_bytes().try_into_mut().unwrap().capacity() < 64);
    }

    #[test]
    fn tables_have_limits() {
        let mut state = State::new("bot".into(), 2, 10);
        for channel in ["#a", "#b", "#c"] {
            state.apply(&format!(":bot!u@h JOIN {channel}").parse().unwrap());
        }
        assert_eq!(state.channels(), ["#a", "#b"]);
        for n in 0..100 {
            state.apply(&format!(":n{n}!u@h JOIN #a").parse().unwrap());
            state.apply(&format!(":s 353 bot = #b :x{n} @y{n}").parse().unwrap());
        }
        assert_eq!((state.members, state.users.len()), (10, 9));
        for channel in ["#a", "#b"] {
            state.apply(&format!(":bot!u@h PART {channel}").parse().unwrap());
        }
        assert_eq!((state.members, state.users.len()), (0, 0));
    }
}
