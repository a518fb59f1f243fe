//! Mail for tokio-poe: an SMTP server whose verbs are events, and a client on lettre.
//!
//! A server asks your session about each command, with typed keys: [`events`]. A handler replies at once, or later, when a database or another
//! server has replied; meanwhile other clients are served.
//!
//! ```
//! use poe::{Kernel, Reply, Session, event::START};
//! use poe_smtp::{SmtpReply, SmtpServer, events};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), poe::Error> {
//! let kernel = Kernel::new();
//! Session::builder(Vec::new())
//!     .on(START, |cx, ()| cx.alias_set("mail"))
//!     .on(events::RCPT, |_, rcpt| {
//!         let ours = rcpt.recipient.ends_with("@here.test");
//!         Reply(if ours { SmtpReply::ok() } else { SmtpReply::refuse("no relay") })
//!     })
//!     .on(events::MESSAGE, |cx, message| {
//!         cx.heap.push(message.data);                         // responsible for it from now on
//!         Reply(SmtpReply::accept("queued"))
//!     })
//!     .create(&kernel)?;
//! let server = SmtpServer::builder("127.0.0.1:0", "mail").hostname("mx.here.test").start(&kernel).await?;
//! # server.shutdown();
//! # let _ = kernel.post("mail", "x", ());
//! # kernel.run().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What a server does
//!
//! | | |
//! |---|---|
//! | commands | `EHLO`, `HELO`, `MAIL`, `RCPT`, `DATA`, `BDAT`, `RSET`, `NOOP`, `QUIT`, `HELP`, `VRFY` (252); parsed with `smtp-proto` |
//! | `PIPELINING` | commands are handled one after the other, and replied to in order |
//! | `SIZE`, `8BITMIME`, `ENHANCEDSTATUSCODES` | offered; a mail keeps its bytes |
//! | `CHUNKING` | the parts of a mail make one [`MESSAGE`](events::MESSAGE). A line end that is missing at its end is added |
//! | `STARTTLS`, TLS from the beginning | with the feature `tls`: `tls` and `implicit_tls` of [`SmtpServerBuilder`]. Commands sent before the handshake are refused (CVE-2011-0411) |
//! | `AUTH PLAIN LOGIN` | your session checks passwords: [`events::AUTH`]. Offered on encrypted connections alone unless you say otherwise |
//! | dot-stuffing | removed |
//! | smuggling | CR LF alone ends a line. A bare LF or CR, also in parts, or a command that comes before the reply 354, ends the connection |
//! | the end | when the kernel, or a supervisor, shuts the server down each client is told 421 |
//! | no handler | for [`RCPT`](events::RCPT) or [`MESSAGE`](events::MESSAGE): no mail is taken. You do not become a relay by forgetting something |
//! | a handler that fails, or does not reply in time | 451, so the client tries again later |
//!
//! It does not queue, relay or sign mail, and adds no header.
//!
//! # Sending
//!
//! With the feature `client`, `SmtpClient` is a session that sends mails with `lettre`: ask it with `SEND`. It sends a few at a time, and each mail's outcome is a
//! reply, with the mail if it was not sent. While mails wait, a connection carries one after the other.
//!
//! # Bounds
//!
//! | what a peer controls | bound | beyond it |
//! |---|---|---|
//! | a line | [`SmtpLimits::line`], 12 288 bytes | 500; dropped as it arrives |
//! | a mail | [`SmtpLimits::mail`], 10 MiB | 552; dropped as it arrives |
//! | a part of a mail (`BDAT`) | the same | 552, and the end; a mail in parts needs up to twice the limit |
//! | recipients | [`SmtpServerBuilder::recipients`], 100 | 452 |
//! | commands that wait for a reply | those of one read, 64 KiB | not read |
//! | refused commands, `AUTH` included | [`SmtpServerBuilder::errors`], 10 | 421, and the end |
//! | connections | [`SmtpServerBuilder::concurrency`], 100; [`SmtpServerBuilder::max_connections_per_ip`] | wait in the backlog; closed |
//! | silence | [`SmtpServerBuilder::idle_timeout`], 5 min | the end |
//! | a command or mail that comes slowly | [`SmtpServerBuilder::mail_timeout`], 10 min | the end |
//! | the TLS handshake | 10 s | the end |
//!
//! So a server holds at most the mails of all its connections: with the defaults 1 GiB, or 2 GiB if all come in parts. Set lower limits where that is too much.
//!
//! # Under a supervisor
//!
//! The builders are [`Start`](poe::extend::Start), so a supervisor's child starts them with `starter.start(builder)`, at a numeric address. A connection whose
//! handler panics is closed, and no other.

#[cfg(feature = "client")]
mod client;
mod command;
pub mod events;
mod filter;
mod reply;
mod server;
mod session;
mod settings;

// The README's code, compiled with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(feature = "client")]
pub use client::{SEND, SEND_RAW, SendError, Sent, SmtpClient, SmtpClientBuilder};
pub use filter::{SmtpFilter, SmtpInput, SmtpLimits, Violation};
#[cfg(feature = "client")]
pub use lettre;
pub use reply::SmtpReply;
pub use server::{SmtpServer, SmtpServerBuilder};
