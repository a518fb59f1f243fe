//! The protocol without I/O: the handshake, and frames with their messages.
//!
//! A connection begins with lines ([`Handshake`]). Then each frame is a decimal length, a NUL, and a message
//! ([`poe::filter::Block`] does that framing), which [`Codec`] reads and writes. Applications do not need this module; relays,
//! tests and other transports do.

mod frames;
mod handshake;
mod message;
mod msgpack;
mod shape;
mod tikc;

pub use handshake::{Handshake, HandshakeError, Identity, Peer, Progress, Protocol};
pub use message::{Codec, Fence, Form, Format, Head, Params, WireError};
pub use tikc::Tikc;

pub(crate) use frames::{Frames, put_length};
pub(crate) use handshake::MAX_LINE;
pub(crate) use message::{PROXY, as_perl_list};
