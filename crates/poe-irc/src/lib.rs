//! An IRC client component for tokio-poe, and a filter for both sides of the protocol.
//!
//! A client is a session that connects, registers, enters channels, keeps to the servers' flood rules, knows the members of its
//! channels, and connects again when the connection is lost. Your session registers for its [events], which are typed keys with the names of Perl's
//! `POE::Component::IRC`, and sends commands through the handle, [`Irc`].
//!
//! ```no_run
//! use poe::{Kernel, Session, event::START};
//! use poe_irc::{IrcClient, events};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), poe::Error> {
//! let kernel = Kernel::new();
//! let irc = IrcClient::builder("robot", "irc.example.org:6667").channel("#poe").start(&kernel)?;
//! Session::builder(irc)
//!     .on(START, |cx, ()| cx.heap.register(cx, events::PUBLIC))
//!     .on(events::PUBLIC, |cx, said| -> poe::HandlerResult {
//!         if said.text == "hello" {
//!             cx.heap.privmsg(&said.target, format!("hello, {}", said.from.nick()))?;
//!         }
//!         Ok(())
//!     })
//!     .create(&kernel)?;
//! kernel.run().await
//! # }
//! ```
//!
//! # What a client does
//!
//! | | |
//! |---|---|
//! | registration | `CAP LS 302`, `PASS`, `NICK`, `USER`; a time limit; servers without capabilities work as well |
//! | capabilities | requests what is wanted and offered ([`IrcBuilder::capability`]); `CAP NEW` and `DEL` while connected |
//! | SASL | [`PLAIN`, `EXTERNAL`](Sasl) and, with the feature `scram`, `SCRAM-SHA-256`; a refusal ends the connection. Passwords need TLS unless you say otherwise |
//! | TLS | rustls, with the feature `tls` and [`IrcBuilder::tls`](IrcBuilder) |
//! | nickname | other ones if it is in use; asks for the wanted one until the client has it |
//! | connection lost | connects to the next server after a growing delay, enters the channels again |
//! | silence | `PING`; then a new connection |
//! | flood control | RFC 1459's rule: [`Flood`]; long text is cut into messages that fit |
//! | state | channels, members with ranks, topics, modes, users: [`Irc::channel`], [`Irc::member`], [`Irc::user`]; names are compared as the server does ([`CaseMapping`]) |
//! | CTCP | requests and replies as events; replies to `VERSION`, `PING` and `CLIENTINFO` |
//! | direct connections (DCC) | files, also resumed, and private conversations, when you allow them with [`IrcBuilder::dcc`]; each is offered or accepted by your program |
//! | plugins | see events before sessions, and commands before the server; consume or change them: [`Plugin`] |
//! | the end | [`Irc::quit`], [`Kernel::shutdown`](poe::Kernel::shutdown): `QUIT`, [`SHUTDOWN`](events::SHUTDOWN), and the session stops |
//!
//! State is updated before an event is posted: when `irc_part` comes, the member is gone. Events of users who quit or have another
//! nickname carry the shared channels.
//!
//! Text is bytes that are mostly UTF-8: [`Text`] keeps them as they came.
//!
//! # Bounds
//!
//! | what a peer controls | bound | beyond it |
//! |---|---|---|
//! | a line | [`IrcLimits::line`], 512 bytes | dropped as it arrives, logged |
//! | its tags | [`IrcLimits::tags`], 8191 bytes | the same |
//! | bytes of one read that wait to be parsed | [`IrcLimits::buffer`], 256 KiB | the connection ends |
//! | parameters | 15 | the last one has the rest |
//! | channels, memberships | [`ClientLimits::channels`], 1000; [`ClientLimits::members`], 200 000 | not tracked |
//! | capabilities, tokens of ISUPPORT | 256, 512 | ignored |
//! | messages that wait for flood control | [`ClientLimits::queue`], 1000 | refused with [`IrcError::is_queue_full`] |
//! | automatic CTCP replies | none while other output waits | dropped |
//! | nicknames that are refused | 20, beside [`IrcBuilder::other_nick`]'s | a new connection, after the delay |
//! | registration, connecting | 60 s, 30 s | the same |
//! | direct connections and offers | [`Dcc::transfers`], 8 | refused with [`IrcError::is_dcc`] |
//! | a file that is received | what was offered, and [`Dcc::max_file`], 4 GiB | [`DCC_ERROR`](events::DCC_ERROR) |
//! | a line of a private conversation | 8 KiB | dropped, logged |
//! | an offer, a silent connection | [`Dcc::offer_timeout`], [`Dcc::idle_timeout`], 5 min | [`DCC_ERROR`](events::DCC_ERROR) |
//! | silence | twice [`IrcBuilder::ping_interval`] | the same |
//!
//! # Under a supervisor
//!
//! [`IrcBuilder`] is a [`Start`](poe::extend::Start), so a supervisor's child starts it with `starter.start(builder)`. A failure, such as a panic of
//! a plugin, stops the client's session according to [`IrcBuilder::on_failure`]; a lost connection is no failure.
//!
//! # The filter
//!
//! [`IrcFilter`] turns lines into [`Message`]s and back on both sides of the protocol: give it to a
//! [`TcpServer`](poe::component::TcpServer) to write a server, as this crate's tests do.

pub mod ctcp;
pub mod events;

mod builder;
mod connections;
mod dcc;
mod direct;
mod error;
mod filter;
mod flood;
mod irc;
mod isupport;
mod message;
mod register;
mod sasl;
mod session;
mod settings;
mod state;
mod tags;
mod text;

// The README's code, compiled and run with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub use builder::{IrcBuilder, IrcClient};
pub use dcc::{Dcc, DccId, DccInfo, DccKind, DccOffer};
pub use error::IrcError;
pub use events::IrcEvent;
pub use filter::{IrcFilter, IrcLimits};
pub use flood::Flood;
pub use irc::{Eat, Irc, Plugin};
pub use isupport::{CaseMapping, Isupport, ModeKind};
pub use message::{Malformed, Message, Source};
pub use sasl::Sasl;
pub use settings::ClientLimits;
pub use state::{Channel, Member, User};
pub use tags::{InvalidTag, Tags};
pub use text::Text;
