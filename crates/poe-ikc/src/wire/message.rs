//! Messages: what a frame contains.

use super::{msgpack, shape};
use crate::args::Args;
use crate::specifier::Specifier;
use bytes::{BufMut, BytesMut};
use poe::filter::{MsgPack, ReferenceLimits, Serializer as _};
use poe::storable::{self, Document, Kind, Node, Settings, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::any::TypeId;
use std::error::Error;
use std::fmt;

/// How messages are serialized on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Perl's Storable, which every peer has.
    #[default]
    Storable,
    /// MessagePack, between two peers of this crate.
    MsgPack,
}

impl Format {
    /// Returns the name that the handshake has for it.
    ///
    /// Perl takes the name for a package. It has no package with the name of MessagePack, so it chooses Storable.
    #[must_use]
    pub fn package(self) -> &'static str {
        match self {
            Format::Storable => "Storable",
            Format::MsgPack => "PoeIkc::MsgPack1",
        }
    }

    pub(crate) fn of_package(name: &str) -> Option<Self> {
        [Format::MsgPack, Format::Storable]
            .into_iter()
            .find(|format| format.package() == name)
    }
}

/// How the target is written in Storable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As text: `poe://kernel/session/event`.
    #[default]
    Text,
    /// As a hash of the three parts.
    Hash,
    /// As a hash whose event is `IKC:proxy`; the event itself and its arguments are the message's value.
    Proxied,
    /// As a hash, and the message's value is the list of the arguments.
    Arguments,
}

/// The addresses of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The target.
    pub event: Specifier,
    /// How the target is written.
    pub form: Form,
    /// The sender, where replies to the sender go.
    pub from: Option<Specifier>,
    /// Where the reply to a call goes.
    pub rsvp: Option<Specifier>,
    /// Whether a reply is to be a list; only ClientLite sends it.
    pub want_list: Option<bool>,
    /// Whether the message reports an error.
    pub is_error: bool,
    /// The lease with which it is sent; only MessagePack has it.
    pub fence: Option<Fence>,
    /// The context of the sender's span, of at most 512 bytes; only MessagePack has it.
    pub trace: Option<String>,
}

/// A name that one kernel at a time holds, and the number of its lease. Later holders have higher numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The name.
    pub name: String,
    /// The number.
    pub number: u64,
}

/// The name of an event that contains the real event and its arguments.
pub(crate) const PROXY: &str = "IKC:proxy";

#[derive(Serialize)]
struct Frame<'a, P> {
    event: Target<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: &'a Option<Specifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_error: Option<u8>,
    params: P,
    #[serde(skip_serializing_if = "Option::is_none")]
    rsvp: &'a Option<Specifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wantarray: Option<bool>,
}

impl<'a, P> Frame<'a, P> {
    fn of(head: &'a Head, params: P) -> Self {
        Frame {
            event: match head.form {
                Form::Text => Target::Text(head.event.to_string()),
                Form::Hash | Form::Arguments => Target::Hash(&head.event),
                Form::Proxied => Target::Own(head.event.clone().with_event(PROXY)),
            },
            from: &head.from,
            is_error: head.is_error.then_some(1),
            params,
            rsvp: &head.rsvp,
            wantarray: head.want_list,
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Target<'a> {
    Text(String),
    Hash(&'a Specifier),
    Own(Specifier),
}

/// Reads and writes messages within limits.
///
/// ```
/// use poe_ikc::wire::{Codec, Format, Head};
/// let codec = Codec::default();
/// let head = Head { event: "poe://Pulse/test/note".parse()?, ..Head::default() };
/// for format in [Format::Storable, Format::MsgPack] {
///     let frame = codec.write(format, &head, &("plain", 2))?;
///     let (read, params) = codec.read(format, &frame, |head, params| (head, params.decode::<(String, u8)>()))?;
///     assert_eq!(read.event, head.event);
///     assert_eq!(params?, ("plain".to_owned(), 2));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Codec {
    settings: Settings,
    limits: ReferenceLimits,
}

impl Default for Codec {
    fn default() -> Self {
        Codec::new(16 * 1024 * 1024, 1024 * 1024)
    }
}

impl Codec {
    /// Makes a codec with these limits: bytes of a frame, and items (elements, keys and values) in it.
    #[must_use]
    pub fn new(max_frame: usize, max_items: usize) -> Self {
        Codec {
            settings: Settings::new()
                .max_items(max_items)
                .max_shared(max_frame.max(64 * 1024)),
            limits: ReferenceLimits {
                max_frame,
                max_items,
                ..ReferenceLimits::default()
            },
        }
    }

    /// Returns the longest frame in bytes.
    #[must_use]
    pub fn max_frame(&self) -> usize {
        self.limits.max_frame
    }

    /// Writes a message.
    ///
    /// # Errors
    /// The value cannot be serialized, or the message is longer than the longest frame.
    pub fn write<P: Serialize + ?Sized>(&self, format: Format, head: &Head, params: &P) -> Result<Vec<u8>, WireError> {
        let mut frame = BytesMut::new();
        self.write_into(format, head, params, &mut frame)?;
        Ok(frame.into())
    }

    /// Writes a message behind what is there; nothing is written if it fails.
    pub(crate) fn write_into<P: Serialize + ?Sized>(
        &self,
        format: Format,
        head: &Head,
        params: &P,
        out: &mut BytesMut,
    ) -> Result<(), WireError> {
        let begin = out.len();
        let written = match format {
            Format::Storable => self
                .write_storable(head, params)
                .map(|frame| out.extend_from_slice(&frame)),
            Format::MsgPack => {
                let mut out = out.writer();
                msgpack::head(&mut out, head);
                rmp_serde::encode::write_named(&mut out, params).map_err(WireError::new)
            }
        };
        let written = written.and_then(|()| self.check_length(&out[begin..]));
        if written.is_err() {
            out.truncate(begin);
        }
        written
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn check_length(&self, frame: &[u8]) -> Result<(), WireError> {
        let (length, limit) = (frame.len(), self.limits.max_frame);
        if length <= limit {
            return Ok(());
        }
        Err(WireError::new(format!(
            "the message has {length} bytes, more than a frame may have ({limit}): send it in parts, or raise `max_frame`"
        )))
    }

    fn write_storable<P: Serialize + ?Sized>(&self, head: &Head, params: &P) -> Result<Vec<u8>, WireError> {
        let written = match head.form {
            Form::Proxied => {
                let name = head.event.event().unwrap_or_default();
                self.settings.to_vec(&Frame::of(head, (name, shape::AsList(params))))
            }
            Form::Arguments => self.settings.to_vec(&Frame::of(head, shape::AsList(params))),
            Form::Text | Form::Hash => self.settings.to_vec(&Frame::of(head, params)),
        };
        written.map_err(WireError::new)
    }

    /// Reads a message, and gives its addresses and its value to `f`.
    ///
    /// # Errors
    /// The bytes are not a message, or one that exceeds a limit.
    pub fn read<T>(&self, format: Format, frame: &[u8], f: impl FnOnce(Head, Params<'_>) -> T) -> Result<T, WireError> {
        match format {
            Format::Storable => {
                let document = Document::parse(frame, &self.settings).map_err(WireError::new)?;
                let (head, body) = read_storable(document.root())?;
                Ok(f(head, Params { codec: self, body }))
            }
            Format::MsgPack => {
                let (head, rest) = msgpack::read_head(frame)?;
                let body = Body::MsgPack(rest);
                Ok(f(head, Params { codec: self, body }))
            }
        }
    }
}

fn read_storable<'d>(root: Node<'d, 'd>) -> Result<(Head, Body<'d>), WireError> {
    if root.kind() != Kind::Hash {
        return Err(WireError::new("the frame is not a hash"));
    }
    let address = |name: &str| -> Result<Option<Specifier>, WireError> {
        match root.field(name) {
            Some(node) if node.kind() != Kind::Undef => node.deserialize().map(Some).map_err(WireError::new),
            _ => Ok(None),
        }
    };
    let flag = |name: &str| {
        let text = root.field(name)?.text()?;
        Some(!(text.is_empty() || text == "0"))
    };
    let mut head = Head {
        event: address("event")?.ok_or_else(|| WireError::new("the message has no target"))?,
        form: match root.field("event").map(Node::kind) {
            Some(Kind::Hash) => Form::Hash,
            _ => Form::Text,
        },
        from: address("from")?,
        rsvp: address("rsvp")?,
        want_list: flag("wantarray"),
        is_error: flag("is_error").unwrap_or(false),
        fence: None,
        trace: None,
    };
    let mut params = root.field("params");
    if head.event.event.as_deref() == Some(PROXY) {
        let proxied = params.ok_or_else(|| WireError::new("a proxied event has no arguments"))?;
        let name = proxied.get(0).and_then(Node::text);
        let name = name.ok_or_else(|| WireError::new("a proxied event has no name"))?;
        head.event.event = Some(name.into_owned());
        head.form = Form::Proxied;
        params = proxied.get(1);
    }
    let body = Body::Storable {
        root: params,
        is_list: head.form == Form::Proxied,
    };
    Ok((head, body))
}

/// The value of a message, not decoded yet.
#[derive(Clone, Copy)]
pub struct Params<'m> {
    codec: &'m Codec,
    body: Body<'m>,
}

#[derive(Clone, Copy)]
enum Body<'m> {
    Storable { root: Option<Node<'m, 'm>>, is_list: bool },
    MsgPack(&'m [u8]),
}

impl<'m> Params<'m> {
    /// A value in MessagePack.
    pub(crate) fn msgpack(codec: &'m Codec, bytes: &'m [u8]) -> Self {
        let body = Body::MsgPack(bytes);
        Params { codec, body }
    }

    /// How many bytes of the frame are before the value in MessagePack.
    pub(crate) fn head_length(&self, frame: &[u8]) -> Option<usize> {
        match self.body {
            Body::MsgPack(rest) => Some(frame.len() - rest.len()),
            Body::Storable { .. } => None,
        }
    }

    /// A list of arguments.
    pub(super) fn list(codec: &'m Codec, root: Option<Node<'m, 'm>>) -> Self {
        let body = Body::Storable { root, is_list: true };
        Params { codec, body }
    }

    /// Decodes the value.
    ///
    /// The arguments of a proxied event are a list. One argument is the value itself, if the type allows it; several
    /// arguments are a tuple, none is unit. [`Args`] always takes the whole list.
    ///
    /// # Errors
    /// The value does not fit the type, or exceeds a limit.
    pub fn decode<A: DeserializeOwned + 'static>(&self) -> Result<A, WireError> {
        let wants_list = TypeId::of::<A>() == TypeId::of::<Args>();
        match self.body {
            Body::MsgPack(bytes) => {
                let thawed = MsgPack::<ReadOnly<A>>::new().thaw(bytes, &self.codec.limits);
                thawed.map(|read| read.0).map_err(WireError::new)
            }
            Body::Storable { root: None, .. } => self.of_value(&Value::undef()),
            Body::Storable {
                root: Some(node),
                is_list: false,
            } => {
                if wants_list && node.kind() != Kind::Array {
                    let value = node.to_value().map_err(WireError::new)?;
                    return self.of_value(&Value::array([value]));
                }
                node.deserialize().map_err(WireError::new)
            }
            Body::Storable {
                root: Some(list),
                is_list: true,
            } => {
                let alone = match list.len() {
                    _ if wants_list => None,
                    Some(0) => self.of_value(&Value::undef()).ok(),
                    Some(1) => list.get(0).and_then(|only| only.deserialize().ok()),
                    _ => None,
                };
                match alone {
                    Some(value) => Ok(value),
                    None => list.deserialize().map_err(WireError::new),
                }
            }
        }
    }

    fn of_value<A: DeserializeOwned>(&self, value: &Value) -> Result<A, WireError> {
        self.codec.settings.from_value(value).map_err(WireError::new)
    }
}

impl fmt::Debug for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.body {
            Body::Storable { root, .. } => f.debug_tuple("Params").field(&root).finish(),
            Body::MsgPack(bytes) => write!(f, "Params({} bytes)", bytes.len()),
        }
    }
}

/// For a serializer that asks for both directions.
struct ReadOnly<A>(A);

impl<'de, A: Deserialize<'de>> Deserialize<'de> for ReadOnly<A> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        A::deserialize(deserializer).map(ReadOnly)
    }
}

impl<A> Serialize for ReadOnly<A> {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it is only read"))
    }
}

/// A value as Perl's `call` in list context replies with it: a list stays one, anything else becomes one, undef none.
///
/// # Errors
/// The value cannot be serialized.
pub(crate) fn as_perl_list<R: Serialize + ?Sized>(reply: &R) -> Result<Value, WireError> {
    let value = storable::to_value(reply).map_err(WireError::new)?;
    Ok(match value.kind() {
        Kind::Array | Kind::Undef => value,
        _ => Value::array([value]),
    })
}

/// Bytes that are not a message, or a value that cannot be one.
#[derive(Debug)]
pub struct WireError(Box<dyn Error + Send + Sync>);

impl WireError {
    pub(crate) fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        WireError(cause.into())
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for WireError {}
