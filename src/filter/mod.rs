//! POE::Filter: bytes in, records out, and back; pure state, no kernel, no runtime, no I/O.
//!
//! | wire side: bytes to records | above it: records to records | stacks |
//! |---|---|---|
//! | [`Line`], [`Block`], [`Raw`], `Httpd` (feature `httpd`), your own [`Filter`] | [`Map`], [`Grep`], [`RecordBlock`], your own [`Stage`] | [`Chain`], typed, by [`Filter::then`]; [`Stackable`], edited at run time |
//!
//! With the feature `reference`, `Reference` sends data structures, frozen by `Storable` (which Perl's POE understands),
//! `Json`, `MsgPack`, `Cbor`, or a `Serializer` of your own.
//!
//! Each filter has its limits in one struct, with their defaults: [`LineLimits`], [`BlockLimits`], `ReferenceLimits`,
//! `HttpdLimits`. Lines have up to 64 KiB and frames up to 16 MiB, unless you say otherwise.
//!
//! Wheels call filters; nothing keeps you from calling one yourself, which is also how they are tested.

mod block;
mod buffer;
mod chain;
mod error;
mod grep;
#[cfg(feature = "httpd")]
pub mod httpd;
mod ledger;
mod line;
mod map;
mod pair;
mod pattern;
mod raw;
mod record_block;
#[cfg(feature = "reference")]
mod reference;
mod seam;
mod stackable;
mod stage;
mod traits;

pub use block::{Block, BlockLimits, DecimalLength, LengthCodec};
pub use chain::Chain;
pub use error::FilterError;
pub use grep::Grep;
#[cfg(feature = "httpd")]
pub use httpd::Httpd;
pub use line::{Line, LineLimits, LineRecord};
pub use map::Map;
pub use raw::Raw;
pub use record_block::RecordBlock;
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
pub use seam::Seam;
pub use stackable::{Layer, Stackable};
pub use stage::{ByteStage, Stage};
pub use traits::Filter;
