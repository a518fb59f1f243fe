//! The events that a client posts to registered sessions, as typed keys.

use crate::dcc::{DccInfo, DccOffer};
use crate::message::{Message, Source};
use crate::tags::Tags;
use crate::text::Text;
use poe::{Event, KernelRef, SessionId};
use std::time::Duration;

/// A reply of the server with a number, or an event with its name: `irc_001`, `irc_376`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Numeric {
    /// The number.
    pub code: u16,
    /// The server that sent it.
    pub server: Option<Source>,
    /// The parameters behind the client's nickname.
    pub params: Vec<Text>,
}

/// Something was said, in a channel or to the client alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Said {
    /// Who said it.
    pub from: Source,
    /// The channel, or the client's nickname.
    pub target: Text,
    /// What was said, without the marks of CTCP.
    pub text: Text,
    /// The message's tags: `time`, `account`, `msgid` …
    pub tags: Tags,
    /// It is the client's own message, which the server sends back with the capability `echo-message`.
    pub is_echo: bool,
}

/// A request or reply of the client-to-client protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ctcp {
    /// Who sent it.
    pub from: Source,
    /// The channel, or the client's nickname.
    pub target: Text,
    /// The command, in capitals.
    pub command: String,
    /// The rest.
    pub text: Text,
}

/// Somebody has entered a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Joined {
    /// Who.
    pub who: Source,
    /// The channel.
    pub channel: Text,
    /// The account, with the capability `extended-join`; `None` where it is not known, or there is none.
    pub account: Option<Text>,
}

/// Somebody has left a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parted {
    /// Who.
    pub who: Source,
    /// The channel.
    pub channel: Text,
    /// The reason.
    pub text: Text,
}

/// Somebody has left the network.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuitEvent {
    /// Who.
    pub who: Source,
    /// The reason.
    pub text: Text,
    /// The channels that the client shared with them.
    pub channels: Vec<Text>,
}

/// Somebody was thrown out of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kicked {
    /// Who did it.
    pub by: Source,
    /// The channel.
    pub channel: Text,
    /// Who was thrown out.
    pub nick: Text,
    /// The reason.
    pub text: Text,
}

/// Somebody has another nickname.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Renamed {
    /// Who, with the old nickname.
    pub who: Source,
    /// The new nickname.
    pub to: Text,
    /// The channels that the client shares with them.
    pub channels: Vec<Text>,
}

/// The topic of a channel has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicEvent {
    /// Who changed it.
    pub who: Source,
    /// The channel.
    pub channel: Text,
    /// The topic; empty if it was removed.
    pub text: Text,
}

/// The modes of a channel or user have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModeEvent {
    /// Who changed them.
    pub who: Source,
    /// The channel, or the client's nickname.
    pub target: Text,
    /// The changes, in their order.
    pub changes: Vec<ModeChange>,
}

/// One change of a mode.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModeChange {
    /// Whether it was set.
    pub set: bool,
    /// Its letter.
    pub mode: char,
    /// Its parameter.
    pub param: Option<Text>,
}

/// Somebody invites the client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invited {
    /// Who invites.
    pub who: Source,
    /// The nickname that is invited: mostly the client's.
    pub nick: Text,
    /// The channel.
    pub channel: Text,
}

/// The connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disconnected {
    /// The address that it was connected to.
    pub address: String,
    /// The server's last words, or what failed.
    pub reason: String,
    /// Whether the client had been registered.
    pub was_registered: bool,
}

/// Somebody asks for a direct connection, or to go on with a file. Nothing happens unless your program accepts it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DccRequest {
    /// Who.
    pub from: Source,
    /// What for.
    pub offer: DccOffer,
}

/// A line of a private conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DccLine {
    /// The connection.
    pub info: DccInfo,
    /// What was said.
    pub text: Text,
}

/// A direct connection, or an offer of one, has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DccFailure {
    /// The connection.
    pub info: DccInfo,
    /// Why.
    pub error: String,
}

macro_rules! events {
    ($($(#[$doc:meta])* $key:ident = $name:literal, $variant:ident($arg:ty);)*) => {
        $($(#[$doc])* #[doc(alias = $name)] pub const $key: Event<$arg> = Event::new($name);)*

        /// An event of a client, as plugins see it. Each has a key with the same name in capitals.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum IrcEvent {
            $(#[doc = concat!("The argument of [`", stringify!($key), "`].")] $variant($arg),)*
            /// A reply with a number, posted as `irc_376` and the like.
            Numeric(Numeric),
            /// Any other message of the server, posted as `irc_` with its command in small letters.
            Other(Message),
        }

        impl IrcEvent {
            /// Returns the event's name, such as `irc_public`.
            #[must_use]
            pub fn name(&self) -> std::borrow::Cow<'static, str> {
                match self {
                    $(IrcEvent::$variant(_) => $name.into(),)*
                    IrcEvent::Numeric(numeric) => format!("irc_{:03}", numeric.code).into(),
                    IrcEvent::Other(message) => format!("irc_{}", message.command().to_ascii_lowercase()).into(),
                }
            }

            /// Posts it; `false` if there is no such session.
            pub(crate) fn post(&self, kernel: KernelRef<'_>, session: SessionId, name: &str) -> bool {
                match self {
                    $(IrcEvent::$variant(arg) => kernel.post(session, name, arg.clone()).is_ok(),)*
                    IrcEvent::Numeric(numeric) => kernel.post(session, name, numeric.clone()).is_ok(),
                    IrcEvent::Other(message) => kernel.post(session, name, message.clone()).is_ok(),
                }
            }
        }
    };
}

events! {
    /// The connection is made, and the client begins to register; the address.
    CONNECTED = "irc_connected", Connected(String);
    /// Somebody has said something in a channel.
    PUBLIC = "irc_public", Public(Said);
    /// Somebody has said something to the client alone.
    MSG = "irc_msg", Msg(Said);
    /// A notice, in a channel or to the client. Never reply to one by a program.
    NOTICE = "irc_notice", Notice(Said);
    /// Somebody does something (`/me`).
    CTCP_ACTION = "irc_ctcp_action", Action(Said);
    /// A request of the client-to-client protocol, other than an action.
    CTCP = "irc_ctcp", Ctcp(Ctcp);
    /// A reply to the client's request.
    CTCP_REPLY = "irc_ctcpreply", CtcpReply(Ctcp);
    /// Somebody, perhaps the client, has entered a channel.
    JOIN = "irc_join", Join(Joined);
    /// Somebody, perhaps the client, has left a channel.
    PART = "irc_part", Part(Parted);
    /// Somebody has left the network.
    QUIT = "irc_quit", Quit(QuitEvent);
    /// Somebody, perhaps the client, was thrown out of a channel.
    KICK = "irc_kick", Kick(Kicked);
    /// Somebody, perhaps the client, has another nickname.
    NICK = "irc_nick", Nick(Renamed);
    /// The topic of a channel has changed.
    TOPIC = "irc_topic", Topic(TopicEvent);
    /// Modes have changed.
    MODE = "irc_mode", Mode(ModeEvent);
    /// Somebody is invited to a channel.
    INVITE = "irc_invite", Invite(Invited);
    /// The names and the topic of a channel that the client has entered are known.
    CHANNEL_SYNCED = "irc_chan_sync", ChannelSynced(Text);
    /// The server says why it closes the connection.
    ERROR = "irc_error", Error(Text);
    /// The connection is over.
    DISCONNECTED = "irc_disconnected", Disconnected(Disconnected);
    /// The connection could not be made, or the server did not let the client in; what failed.
    SOCKETERR = "irc_socketerr", SocketErr(String);
    /// The client will connect again after this time.
    RECONNECTING = "irc_reconnecting", Reconnecting(Duration);
    /// Somebody asks for a direct connection; with [`IrcBuilder::dcc`](crate::IrcBuilder::dcc) alone, otherwise it is a [`CTCP`].
    DCC_REQUEST = "irc_dcc_request", DccRequest(DccRequest);
    /// A direct connection is open.
    DCC_START = "irc_dcc_start", DccStart(DccInfo);
    /// Somebody has said something in a private conversation.
    DCC_CHAT = "irc_dcc_chat", DccChat(DccLine);
    /// More of a file has arrived here.
    DCC_GET = "irc_dcc_get", DccGet(DccInfo);
    /// More of a file has arrived at the other end.
    DCC_SEND = "irc_dcc_send", DccSend(DccInfo);
    /// A direct connection has ended well.
    DCC_DONE = "irc_dcc_done", DccDone(DccInfo);
    /// A direct connection, or an offer of one, has failed.
    DCC_ERROR = "irc_dcc_error", DccError(DccFailure);
    /// The client has ended and will not connect again.
    SHUTDOWN = "irc_shutdown", Shutdown(());
}

/// The server has let the client in; the argument's last parameter is its welcome. From now on commands are accepted.
#[doc(alias = "irc_001")]
pub const WELCOME: Event<Numeric> = Event::new("irc_001");

/// The end of the message of the day.
#[doc(alias = "irc_376")]
pub const END_OF_MOTD: Event<Numeric> = Event::new("irc_376");
