//! The events that a server asks of your session, one for each verb.
//!
//! Their handlers reply with an [`SmtpReply`], at once with [`Reply`](poe::Reply) or later with
//! [`defer_reply`](poe::KernelRef::defer_reply). While a reply is owed the client's next command waits; other clients do not.
//!
//! | event | without a handler |
//! |---|---|
//! | [`CONNECT`], [`HELO`], [`MAIL`] | accepted |
//! | [`AUTH`] | not offered |
//! | [`RCPT`], [`MESSAGE`] | refused: nobody takes the mail |
//! | [`DISCONNECT`] | – |

use crate::reply::SmtpReply;
use bytes::Bytes;
use poe::wheel::SocketName;
use poe::{Event, SessionId};
use std::fmt;
use std::rc::Rc;

/// A client, as all events carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The session of the connection; two connections never have the same.
    pub session: Option<SessionId>,
    /// Its address.
    pub address: SocketName,
    /// The name that it has given itself with `EHLO` or `HELO`; empty before that.
    pub helo: String,
    /// Whether the connection is encrypted.
    pub is_tls: bool,
    /// The account that it has proved to have.
    pub account: Option<String>,
}

/// A client has connected, and waits for the greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connect {
    /// The client.
    pub peer: Rc<Peer>,
}

/// The client says its name. The peer still has the earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Helo {
    /// The client.
    pub peer: Rc<Peer>,
    /// The name.
    pub name: String,
    /// Whether it was `EHLO`.
    pub is_extended: bool,
}

/// The client says who it is. Accept with a reply of 2xx.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Auth {
    /// The client.
    pub peer: Rc<Peer>,
    /// The account.
    pub account: String,
    /// Its password.
    pub password: String,
    /// The account that it wants to act for; empty for its own.
    pub acts_for: String,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("peer", &self.peer)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// A mail begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mail {
    /// The client.
    pub peer: Rc<Peer>,
    /// The sender's address; empty for a report that nobody may reply to.
    pub sender: String,
    /// How large the client says the mail is; 0 if it does not say.
    pub size: usize,
    /// Whether the mail may have bytes over 127 (`BODY=8BITMIME`).
    pub is_8bit: bool,
}

/// A recipient of the mail. Accept only those whose mail you take, or you are an open relay.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rcpt {
    /// The client.
    pub peer: Rc<Peer>,
    /// The sender's address.
    pub sender: String,
    /// The recipient's address.
    pub recipient: String,
}

/// A whole mail. A reply of 2xx makes you responsible for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The client.
    pub peer: Rc<Peer>,
    /// The sender's address.
    pub sender: String,
    /// The recipients that were accepted.
    pub recipients: Vec<String>,
    /// Header and body, with CR LF at the end of each line.
    pub data: Bytes,
}

/// The connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disconnect {
    /// The client.
    pub peer: Rc<Peer>,
    /// How many mails were accepted.
    pub mails: usize,
}

/// A client has connected.
#[doc(alias = "send_banner")]
pub const CONNECT: Event<Connect, SmtpReply> = Event::new("smtp_connect");
/// `EHLO` or `HELO`.
#[doc(alias = "EHLO")]
pub const HELO: Event<Helo, SmtpReply> = Event::new("smtp_helo");
/// `AUTH`, with `PLAIN` or `LOGIN`; see [`SmtpServerBuilder::auth`](crate::SmtpServerBuilder::auth).
pub const AUTH: Event<Auth, SmtpReply> = Event::new("smtp_auth");
/// `MAIL FROM`.
pub const MAIL: Event<Mail, SmtpReply> = Event::new("smtp_mail");
/// `RCPT TO`.
pub const RCPT: Event<Rcpt, SmtpReply> = Event::new("smtp_rcpt");
/// The end of `DATA`, or of the last `BDAT`.
#[doc(alias = "gotDATA")]
pub const MESSAGE: Event<Message, SmtpReply> = Event::new("smtp_message");
/// The connection is over. It is posted, and has no reply.
#[doc(alias = "on_disconnect")]
pub const DISCONNECT: Event<Disconnect> = Event::new("smtp_disconnect");
