//! A message of the protocol: tags, source, command, parameters.

use crate::tags::{InvalidTag, Tags};
use crate::text::Text;
use bytes::{Bytes, BytesMut};
use std::fmt;

/// The most parameters that a message has.
pub(crate) const PARAMS: usize = 15;

/// A message: tags, source, command and parameters.
///
/// ```
/// use poe_irc::Message;
/// let said: Message = "@time=2026-11-30T10:00:00.000Z :ann!a@host PRIVMSG #poe :hello, world".parse().unwrap();
/// assert_eq!(said.command(), "PRIVMSG");
/// assert_eq!(said.source().unwrap().nick(), "ann");
/// assert_eq!(said.params(), ["#poe", "hello, world"]);
/// assert_eq!(said.tags().get("time").unwrap(), "2026-11-30T10:00:00.000Z");
/// assert_eq!(Message::new("JOIN", ["#poe"]).to_string(), "JOIN #poe");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    tags: Tags,
    source: Option<Source>,
    command: String,
    params: Vec<Text>,
}

impl Message {
    /// Makes a message without tags and source. What cannot be sent is found when it is [written](crate::IrcFilter).
    #[must_use]
    pub fn new<P: Into<Text>>(command: &str, params: impl IntoIterator<Item = P>) -> Self {
        Message {
            tags: Tags::default(),
            source: None,
            command: command.to_ascii_uppercase(),
            params: params.into_iter().map(Into::into).collect(),
        }
    }

    /// Adds a parameter.
    #[must_use]
    pub fn param(mut self, param: impl Into<Text>) -> Self {
        self.params.push(param.into());
        self
    }

    /// Sets the source, as servers do.
    #[must_use]
    pub fn from(mut self, source: impl Into<Text>) -> Self {
        self.source = Some(Source(source.into()));
        self
    }

    /// Sets a tag.
    ///
    /// # Errors
    /// As [`Tags::set`].
    pub fn tag(mut self, key: &str, value: impl Into<Text>) -> Result<Self, InvalidTag> {
        self.tags.set(key, value)?;
        Ok(self)
    }

    /// Returns the tags.
    #[must_use]
    pub fn tags(&self) -> &Tags {
        &self.tags
    }

    /// Returns who sent it; `None` is the server at the other end.
    #[must_use]
    #[doc(alias = "prefix")]
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// Returns the command, in capitals, or the three digits of a numeric.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Returns the number of a numeric.
    #[must_use]
    pub fn numeric(&self) -> Option<u16> {
        let digits = self.command.len() == 3 && self.command.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| self.command.parse().ok()).flatten()
    }

    /// Returns the parameters.
    #[must_use]
    pub fn params(&self) -> &[Text] {
        &self.params
    }

    /// Returns a parameter, or the empty text where there is none.
    #[must_use]
    pub fn arg(&self, index: usize) -> Text {
        self.params.get(index).cloned().unwrap_or_default()
    }

    /// Replaces the parameters.
    pub fn set_params(&mut self, params: Vec<Text>) {
        self.params = params;
    }

    /// Reads a line without its end.
    pub(crate) fn from_line(line: Bytes) -> Result<Self, Malformed> {
        if line.iter().any(|b| matches!(b, 0 | b'\r')) {
            return Err(Malformed("a line has a NUL or a CR inside"));
        }
        let mut rest = Rest { line, at: 0 };
        let tags = match rest.starts_with(b'@') {
            true => Tags::from_wire(rest.word(1)),
            false => Tags::default(),
        };
        let source = match rest.starts_with(b':') {
            true => Some(Source(rest.word(1).into())),
            false => None,
        };
        let command = rest.word(0);
        let letters = !command.is_empty() && command.iter().all(u8::is_ascii_alphabetic);
        let digits = command.len() == 3 && command.iter().all(u8::is_ascii_digit);
        if !letters && !digits {
            return Err(Malformed("a line has no command"));
        }
        let command = command.iter().map(|b| char::from(b.to_ascii_uppercase())).collect();
        let mut params = Vec::new();
        while !rest.is_empty() {
            let colon = rest.starts_with(b':');
            let param = if colon || params.len() + 1 == PARAMS {
                rest.all(usize::from(colon))
            } else {
                rest.word(0)
            };
            params.push(param.into());
        }
        Ok(Message {
            tags,
            source,
            command,
            params,
        })
    }

    /// Appends the message without its end; on an error `out` may have a part of it. Returns the length of the tags' part.
    pub(crate) fn write(&self, out: &mut BytesMut) -> Result<usize, Malformed> {
        let before = out.len();
        if !self.tags.is_empty() {
            if !self.tags.is_sound() {
                return Err(Malformed("a tag has a space, a line end or a NUL"));
            }
            out.extend_from_slice(b"@");
            out.extend_from_slice(self.tags.as_bytes());
            out.extend_from_slice(b" ");
        }
        let tags = out.len() - before;
        if let Some(Source(source)) = &self.source {
            if source.is_empty() || source.as_bytes().iter().any(|b| is_end(*b) || *b == b' ') {
                return Err(Malformed("the source is empty, or has a space, a line end or a NUL"));
            }
            out.extend_from_slice(b":");
            out.extend_from_slice(source.as_bytes());
            out.extend_from_slice(b" ");
        }
        let letters = !self.command.is_empty() && self.command.bytes().all(|b| b.is_ascii_alphabetic());
        if !letters && self.numeric().is_none() {
            return Err(Malformed("the command is neither letters nor three digits"));
        }
        out.extend_from_slice(self.command.as_bytes());
        if self.params.len() > PARAMS {
            return Err(Malformed("a message has at most 15 parameters"));
        }
        for (index, param) in self.params.iter().enumerate() {
            let param = param.as_bytes();
            if param.iter().any(|b| is_end(*b)) {
                return Err(Malformed(
                    "a parameter has a line end or a NUL: send a message for each line",
                ));
            }
            out.extend_from_slice(b" ");
            if param.is_empty() || param[0] == b':' || param.contains(&b' ') {
                if index + 1 < self.params.len() {
                    return Err(Malformed(
                        "only the last parameter may be empty, begin with a colon, or have a space",
                    ));
                }
                out.extend_from_slice(b":");
            }
            out.extend_from_slice(param);
        }
        Ok(tags)
    }
}

fn is_end(byte: u8) -> bool {
    matches!(byte, 0 | b'\r' | b'\n')
}

/// The part of a line that was not read yet.
struct Rest {
    line: Bytes,
    at: usize,
}

impl Rest {
    fn is_empty(&self) -> bool {
        self.at >= self.line.len()
    }

    fn starts_with(&self, byte: u8) -> bool {
        self.line.get(self.at) == Some(&byte)
    }

    /// Takes the bytes up to the next space, without the first `skip`, and the spaces behind them.
    fn word(&mut self, skip: usize) -> Bytes {
        let start = self.at + skip;
        let end = memchr::memchr(b' ', &self.line[start..]).map_or(self.line.len(), |at| start + at);
        self.at = end;
        while self.starts_with(b' ') {
            self.at += 1;
        }
        self.line.slice(start..end)
    }

    fn all(&mut self, skip: usize) -> Bytes {
        let start = self.at + skip;
        self.at = self.line.len();
        self.line.slice(start..)
    }
}

impl std::str::FromStr for Message {
    type Err = Malformed;

    fn from_str(line: &str) -> Result<Self, Malformed> {
        if line.contains('\n') {
            return Err(Malformed("a line has an LF inside"));
        }
        Message::from_line(Bytes::copy_from_slice(line.as_bytes()))
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = BytesMut::new();
        match self.write(&mut out) {
            Ok(_) => f.write_str(&String::from_utf8_lossy(&out)),
            Err(error) => write!(f, "<{error}>"),
        }
    }
}

/// Why a line is not a message, or a message has no form in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// Who sent a message: a server, or `nick!user@host`.
#[derive(Clone, PartialEq, Eq, Hash)]
#[doc(alias = "prefix")]
#[doc(alias = "hostmask")]
pub struct Source(pub(crate) Text);

impl Source {
    /// Makes a source of `nick!user@host` or the name of a server.
    pub fn new(source: impl Into<Text>) -> Self {
        Source(source.into())
    }

    /// Returns the nickname, or the server's name.
    #[must_use]
    pub fn nick(&self) -> Text {
        let all = self.0.as_bytes();
        let end = all.iter().position(|b| matches!(b, b'!' | b'@')).unwrap_or(all.len());
        self.0.clone().into_bytes().slice(..end).into()
    }

    /// Returns the user's name, if there is one.
    #[must_use]
    pub fn user(&self) -> Option<Text> {
        let all = self.0.as_bytes();
        let start = memchr::memchr(b'!', all)? + 1;
        let end = memchr::memchr(b'@', &all[start..]).map_or(all.len(), |at| start + at);
        Some(self.0.clone().into_bytes().slice(start..end).into())
    }

    /// Returns the host, if there is one.
    #[must_use]
    pub fn host(&self) -> Option<Text> {
        let start = memchr::memchr(b'@', self.0.as_bytes())? + 1;
        Some(self.0.clone().into_bytes().slice(start..).into())
    }

    /// Returns all of it, as it came.
    #[must_use]
    pub fn as_text(&self) -> &Text {
        &self.0
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
