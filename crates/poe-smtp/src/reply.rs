//! Replies of a server: a code, perhaps an enhanced one, and text.

use bytes::BytesMut;
use std::fmt;

/// What a server replies to a command: a code and text.
///
/// Handlers of the server's [events](crate::events) reply with one. 2xx accepts, 4xx asks the client to try later, 5xx refuses.
///
/// ```
/// use poe_smtp::SmtpReply;
/// assert_eq!(SmtpReply::refuse("no such user").to_string(), "550 5.0.0 no such user");
/// assert_eq!(SmtpReply::new(250, "mx.test\nSIZE 1000").to_string(), "250-mx.test\r\n250 SIZE 1000");
/// assert!(SmtpReply::ok().is_positive());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpReply {
    code: u16,
    text: String,
}

impl SmtpReply {
    /// Makes a reply. Each line of the text is a line of the reply; characters that cannot stand there become `?`.
    ///
    /// A code that is not between 200 and 599 becomes 451.
    #[must_use]
    pub fn new(code: u16, text: impl Into<String>) -> Self {
        let known = (200..600).contains(&code);
        SmtpReply {
            code: if known { code } else { 451 },
            text: text.into(),
        }
    }

    /// Accepts, with `250 2.0.0 OK`.
    #[must_use]
    pub fn ok() -> Self {
        SmtpReply::new(250, "2.0.0 OK")
    }

    /// Accepts, with a text such as the mail's number in the queue.
    #[must_use]
    pub fn accept(text: impl fmt::Display) -> Self {
        SmtpReply::new(250, format!("2.0.0 {text}"))
    }

    /// Asks the client to try again later (451).
    #[must_use]
    pub fn later(text: impl fmt::Display) -> Self {
        SmtpReply::new(451, format!("4.0.0 {text}"))
    }

    /// Refuses for good (550).
    #[must_use]
    pub fn refuse(text: impl fmt::Display) -> Self {
        SmtpReply::new(550, format!("5.0.0 {text}"))
    }

    /// Returns the code.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Returns the text, with LF between lines.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the command is accepted: a code of 2xx.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    pub(crate) fn write(&self, out: &mut BytesMut) {
        out.extend_from_slice(self.to_string().as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

impl fmt::Display for SmtpReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let (mark, end) = match lines.peek() {
                Some(_) => ('-', "\r\n"),
                None => (' ', ""),
            };
            write!(f, "{}{mark}", self.code)?;
            for c in line.trim_end_matches('\r').chars() {
                let plain = c == '\t' || !c.is_control();
                write!(f, "{}", if plain { c } else { '?' })?;
            }
            f.write_str(end)?;
        }
        Ok(())
    }
}
