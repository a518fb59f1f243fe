//! POE::Filter::Reference: frames of data structures, frozen by a serializer and optionally compressed.

#[cfg(any(feature = "json", feature = "msgpack", feature = "cbor"))]
mod bounded;
mod filter;
mod limits;
mod serializer;
mod zlib;

#[cfg(feature = "cbor")]
mod cbor;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
#[cfg(feature = "storable")]
mod storable;

#[cfg(feature = "cbor")]
pub use cbor::Cbor;
pub use filter::Reference;
#[cfg(feature = "json")]
pub use json::Json;
pub use limits::ReferenceLimits;
#[cfg(feature = "msgpack")]
pub use msgpack::MsgPack;
pub use serializer::Serializer;
#[cfg(feature = "storable")]
pub use storable::Storable;
