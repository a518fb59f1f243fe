//! The commands of a client.

use super::{Ask, Eat, Irc};
use crate::ctcp;
use crate::error::{IrcError, IrcErrorKind};
use crate::message::Message;
use crate::text::Text;
use bytes::BytesMut;

/// The longest message, with its end and the source that the server puts in front.
const LINE: usize = 512;

impl Irc {
    /// Sends a message.
    ///
    /// # Errors
    /// The client is not registered with a server; too many messages wait; the message has no form in the protocol; a plugin has
    /// consumed it. The error has the message.
    #[doc(alias = "yield quote")]
    pub fn send(&self, mut message: Message) -> Result<(), IrcError> {
        if !self.is_registered() || self.0.ask.get() != Ask::Nothing {
            return Err(IrcError::new(IrcErrorKind::NotConnected, Some(message)));
        }
        if let Some(plugin) = self
            .0
            .plugins
            .ask(|plugin| -> Eat { plugin.command(self, &mut message) })
        {
            return Err(IrcError::new(IrcErrorKind::Eaten(plugin), Some(message)));
        }
        let bytes = match self.length(&message) {
            Ok(bytes) => bytes,
            Err(kind) => return Err(IrcError::new(kind, Some(message))),
        };
        let pushed = self.0.queue.borrow_mut().push(message, bytes);
        match pushed {
            Ok(()) => {
                self.0.wake.wake();
                Ok(())
            }
            Err(message) => {
                let kind = IrcErrorKind::QueueFull(self.0.settings.limits.queue);
                Err(IrcError::new(kind, Some(message)))
            }
        }
    }

    /// The length of a message on the wire, without tags.
    pub(crate) fn length(&self, message: &Message) -> Result<usize, IrcErrorKind> {
        let mut out = BytesMut::new();
        let tags = message.write(&mut out).map_err(IrcErrorKind::Malformed)?;
        let bytes = out.len() - tags + 2;
        match bytes > LINE {
            true => Err(IrcErrorKind::TooLong { bytes, limit: LINE }),
            false => Ok(bytes),
        }
    }

    fn command<P: Into<Text>>(&self, command: &str, params: impl IntoIterator<Item = P>) -> Result<(), IrcError> {
        self.send(Message::new(command, params))
    }

    /// Says something in a channel or to somebody.
    ///
    /// Text that is too long for a message is cut between words where possible, never inside a UTF-8 character, with room for what the
    /// server puts in front. Each line of the text is a message; empty lines are left out.
    ///
    /// # Errors
    /// As [`send`](Self::send). Parts before the one that failed are sent.
    pub fn privmsg(&self, target: impl Into<Text>, text: impl Into<Text>) -> Result<(), IrcError> {
        self.say("PRIVMSG", target.into(), text.into())
    }

    /// Sends a notice, to which no program replies. Long text is cut as in [`privmsg`](Self::privmsg).
    ///
    /// # Errors
    /// As [`privmsg`](Self::privmsg).
    pub fn notice(&self, target: impl Into<Text>, text: impl Into<Text>) -> Result<(), IrcError> {
        self.say("NOTICE", target.into(), text.into())
    }

    fn say(&self, command: &str, target: Text, text: Text) -> Result<(), IrcError> {
        let room = self.room(command, &target);
        for part in split(text.as_bytes(), room) {
            self.command(command, [target.clone(), part.into()])?;
        }
        Ok(())
    }

    /// How many bytes of text a message has room for.
    fn room(&self, command: &str, target: &Text) -> usize {
        let state = self.0.state.borrow();
        // Until the server has shown it: the longest user name and host that servers allow.
        let source = match &state.source {
            Some(source) => source.as_text().len(),
            None => state.nick.len() + 1 + 11 + 1 + 64,
        };
        let around = ":".len() + source + " ".len() + command.len() + " ".len() + target.len() + " :".len() + 2;
        LINE.saturating_sub(around).max(16)
    }

    /// Says that the client does something (`/me`).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[doc(alias = "/me")]
    pub fn action(&self, target: impl Into<Text>, text: impl Into<Text>) -> Result<(), IrcError> {
        self.ctcp(target, "ACTION", text)
    }

    /// Sends a request of the client-to-client protocol.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn ctcp(&self, target: impl Into<Text>, command: &str, text: impl Into<Text>) -> Result<(), IrcError> {
        self.command("PRIVMSG", [target.into(), ctcp::format(command, &text.into())])
    }

    /// Replies to a request of the client-to-client protocol.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[doc(alias = "ctcpreply")]
    pub fn ctcp_reply(&self, target: impl Into<Text>, command: &str, text: impl Into<Text>) -> Result<(), IrcError> {
        self.command("NOTICE", [target.into(), ctcp::format(command, &text.into())])
    }

    /// Enters a channel, or several with commas between. After a reconnect the client enters it again.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn join(&self, channel: impl Into<Text>) -> Result<(), IrcError> {
        self.command("JOIN", [channel.into()])
    }

    /// Enters a channel that has a key.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn join_with_key(&self, channel: impl Into<Text>, key: impl Into<Text>) -> Result<(), IrcError> {
        let (channel, key) = (channel.into(), key.into());
        self.command("JOIN", [channel.clone(), key.clone()])?;
        self.remember(&channel, Some(key));
        Ok(())
    }

    /// Notes a channel for the next connection.
    pub(crate) fn remember(&self, channel: &Text, key: Option<Text>) {
        let folded = self.0.state.borrow().isupport.casemapping().fold(channel.as_bytes());
        let mut rejoin = self.0.rejoin.borrow_mut();
        if rejoin.len() < self.0.settings.limits.channels || rejoin.contains_key(&folded) {
            let entry = rejoin.entry(folded).or_insert_with(|| (channel.detached(), None));
            entry.1 = key.or(entry.1.take());
        }
    }

    pub(crate) fn forget(&self, channel: &Text) {
        let folded = self.0.state.borrow().isupport.casemapping().fold(channel.as_bytes());
        self.0.rejoin.borrow_mut().remove(&folded);
    }

    /// Leaves a channel.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn part(&self, channel: impl Into<Text>, text: impl Into<Text>) -> Result<(), IrcError> {
        self.with_text("PART", [channel.into()], text.into())
    }

    fn with_text<const N: usize>(&self, command: &str, params: [Text; N], text: Text) -> Result<(), IrcError> {
        let text = Some(text).filter(|text| !text.is_empty());
        self.command(command, params.into_iter().chain(text))
    }

    /// Asks for another nickname, which is wanted from now on.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn change_nick(&self, nick: impl Into<Text>) -> Result<(), IrcError> {
        let nick = nick.into();
        self.command("NICK", [nick.clone()])?;
        *self.0.wanted.borrow_mut() = nick;
        Ok(())
    }

    /// Sets the topic of a channel; the empty text removes it.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn topic(&self, channel: impl Into<Text>, text: impl Into<Text>) -> Result<(), IrcError> {
        self.command("TOPIC", [channel.into(), text.into()])
    }

    /// Throws somebody out of a channel.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn kick(&self, channel: impl Into<Text>, nick: impl Into<Text>, text: impl Into<Text>) -> Result<(), IrcError> {
        self.with_text("KICK", [channel.into(), nick.into()], text.into())
    }

    /// Changes modes, such as `["#poe", "+o", "ann"]`.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn mode<P: Into<Text>>(&self, params: impl IntoIterator<Item = P>) -> Result<(), IrcError> {
        self.command("MODE", params)
    }

    /// Invites somebody to a channel.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn invite(&self, nick: impl Into<Text>, channel: impl Into<Text>) -> Result<(), IrcError> {
        self.command("INVITE", [nick.into(), channel.into()])
    }

    /// Asks about somebody; the replies are numerics.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn whois(&self, nick: impl Into<Text>) -> Result<(), IrcError> {
        self.command("WHOIS", [nick.into()])
    }

    /// Marks the client away; the empty text marks it back.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn away(&self, text: impl Into<Text>) -> Result<(), IrcError> {
        self.with_text("AWAY", [], text.into())
    }

    /// Drops the connection and makes a new one, after the delay that is due.
    pub fn reconnect(&self) {
        if self.0.ask.get() == Ask::Nothing {
            self.0.ask.set(Ask::Reconnect);
            self.0.wake.wake();
        }
    }

    /// Says goodbye and ends the client: it does not connect again. Messages that wait for flood control are dropped.
    #[doc(alias = "shutdown")]
    pub fn quit(&self, text: impl Into<Text>) {
        if matches!(self.0.ask.get(), Ask::Nothing | Ask::Reconnect) {
            *self.0.quit_text.borrow_mut() = text.into();
            self.0.ask.set(Ask::Quit);
            self.0.wake.wake();
        }
    }
}

/// Cuts text into lines, and lines into parts of at most `room` bytes.
fn split(text: &[u8], room: usize) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    for mut line in text.split(|b| matches!(b, b'\r' | b'\n')) {
        while line.len() > room {
            let end = match line[..=room].iter().rposition(|b| *b == b' ') {
                // A space that leaves at least half of the room in use.
                Some(space) if space >= room / 2 => space,
                _ => {
                    let start = (room.saturating_sub(3)..=room)
                        .rev()
                        .find(|at| line[*at] & 0xC0 != 0x80);
                    start.unwrap_or(room)
                }
            };
            parts.push(&line[..end]);
            line = &line[end..];
            line = line.strip_prefix(b" ").unwrap_or(line);
        }
        if !line.is_empty() {
            parts.push(line);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::split;
    use proptest::prelude::*;

    #[test]
    fn text_is_cut_between_words() {
        assert_eq!(split(b"one two three", 8), [&b"one two"[..], b"three"]);
        assert_eq!(split(b"a\r\n\nb", 8), [&b"a"[..], b"b"]);
    }

    proptest! {
        #[test]
        fn parts_fit_and_keep_characters_whole(text in ".{0,300}", room in 8..80_usize) {
            let parts = split(text.as_bytes(), room);
            for part in &parts {
                prop_assert!(part.len() <= room && !part.is_empty());
                prop_assert!(std::str::from_utf8(part).is_ok());
            }
            let all: Vec<u8> = parts.concat().into_iter().filter(|b| *b != b' ').collect();
            let text: Vec<u8> = text.bytes().filter(|b| !matches!(b, b' ' | b'\r' | b'\n')).collect();
            prop_assert_eq!(all, text);
        }
    }
}
