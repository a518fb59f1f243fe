//! The messages of POE::TIKC: frames of Storable from the first byte, without a handshake.

use super::message::{Codec, Params, WireError};
use super::shape::AsList;
use poe::storable::{Document, Kind, Node};
use serde::Serialize;

#[derive(Serialize)]
struct Aliases<'a> {
    action: &'a str,
    aliases: &'a [String],
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
}

#[derive(Serialize)]
struct Post<'a, P> {
    action: &'a str,
    alias: &'a str,
    args: P,
    event: &'a str,
}

/// A message of a peer.
#[derive(Debug)]
pub enum Tikc<'m> {
    /// The sessions with these aliases can be posted to.
    Setup(Vec<String>),
    /// They cannot be posted to any more.
    Remove(Vec<String>),
    /// An event for a session.
    Post {
        /// The session's alias.
        alias: String,
        /// The event's name.
        event: String,
        /// Its arguments.
        args: Params<'m>,
    },
}

impl Codec {
    /// Writes the message that sessions appear, or with `is_gone` that they are gone. `to` is the side that gets it, `client` or
    /// `server`; what a server relays has none.
    ///
    /// # Errors
    /// The message is longer than the longest frame.
    pub fn write_tikc_aliases(
        &self,
        to: Option<&str>,
        aliases: &[String],
        is_gone: bool,
    ) -> Result<Vec<u8>, WireError> {
        let action = if is_gone { "remove" } else { "setup" };
        self.write_tikc(&Aliases { action, aliases, to })
    }

    /// Writes an event for the session with an alias.
    ///
    /// # Errors
    /// The value cannot be serialized, or the message is longer than the longest frame.
    pub fn write_tikc_post<P: Serialize + ?Sized>(
        &self,
        alias: &str,
        event: &str,
        params: &P,
    ) -> Result<Vec<u8>, WireError> {
        let (action, args) = ("post", AsList(params));
        self.write_tikc(&Post {
            action,
            alias,
            args,
            event,
        })
    }

    fn write_tikc<M: Serialize>(&self, message: &M) -> Result<Vec<u8>, WireError> {
        let frame = self.settings().to_vec(message).map_err(WireError::new)?;
        self.check_length(&frame)?;
        Ok(frame)
    }

    /// Reads a message and gives it to `f`.
    ///
    /// # Errors
    /// The bytes are not a message, or one that exceeds a limit.
    pub fn read_tikc<T>(&self, frame: &[u8], f: impl FnOnce(Tikc<'_>) -> T) -> Result<T, WireError> {
        let document = Document::parse(frame, self.settings()).map_err(WireError::new)?;
        let root = document.root();
        if root.kind() != Kind::Hash {
            return Err(WireError::new("the frame is not a hash"));
        }
        let text = |name: &str| {
            let text = root.field(name).and_then(Node::text);
            text.map(|text| text.into_owned())
                .ok_or_else(|| WireError::new(format!("the message has no `{name}`")))
        };
        let aliases = || match root.field("aliases") {
            Some(list) => list.deserialize::<Vec<String>>().map_err(WireError::new),
            None => Err(WireError::new("the message has no aliases")),
        };
        let message = match &*text("action")? {
            "setup" => Tikc::Setup(aliases()?),
            "remove" => Tikc::Remove(aliases()?),
            "post" => Tikc::Post {
                alias: text("alias")?,
                event: text("event")?,
                args: Params::list(self, root.field("args")),
            },
            action => return Err(WireError::new(format!("there is no action {action:?}"))),
        };
        Ok(f(message))
    }
}
