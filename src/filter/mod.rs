//! POE::Filter: turns bytes into records, and records into bytes; pure state without kernel, runtime or I/O.
//!
//! | on the wire: bytes to records | above it: records to records | stacks |
//! |---|---|---|
//! | [`Line`], [`Block`], [`Raw`], `Httpd` (crate `poe-http`), your own [`Filter`] | [`Map`], [`Grep`], [`RecordBlock`], your own [`Stage`] | [`Chain`], typed, with [`FilterExt::then`]; [`Stackable`], edited at run time |
//!
//! With the feature `reference`, `Reference` sends data structures, frozen by `Storable` (which Perl's POE understands),
//! `Json`, `MsgPack`, `Cbor`, or your own `Serializer`.
//!
//! Each filter has its limits in one struct, with their defaults: [`LineLimits`], [`BlockLimits`], `ReferenceLimits`.
//! By default a line has at most 64 KiB and a frame at most 16 MiB.
//!
//! Wheels call filters. You can call one yourself, for example in a test.

mod block;
mod buffer;
mod chain;
mod error;
mod line;
mod map;
mod raw;
#[cfg(feature = "reference")]
mod reference;
mod stackable;
mod stage;
mod traits;

pub use block::{Block, BlockLimits, LengthCodec};
pub use chain::Chain;
pub use error::FilterError;
pub use line::{Line, LineLimits, LineRecord};
pub use map::{Grep, Map};
pub use raw::Raw;
#[cfg(feature = "cbor")]
pub use reference::Cbor;
#[cfg(feature = "json")]
pub use reference::Json;
#[cfg(feature = "msgpack")]
pub use reference::MsgPack;
#[cfg(feature = "storable")]
pub use reference::Storable;
#[cfg(feature = "reference")]
pub use reference::{Reference, ReferenceLimits, Serializer};
pub use stackable::{Layer, Stackable};
pub use stage::{ByteStage, RecordBlock, Stage};
#[doc(hidden)]
pub use traits::Seam;
pub use traits::{Filter, FilterExt};
