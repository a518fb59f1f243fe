//! POE::Filter: octets in, records out, and back; pure state, no kernel, no runtime, no I/O.
//!
//! [`Line`] cuts a stream into lines, [`Stream`] takes it as it comes, and your own protocol implements [`Filter`].
//! Wheels call filters; nothing keeps you from calling one yourself, which is also how they are tested.

mod buffer;
mod error;
mod line;
mod pattern;
mod seam;
mod stream;
mod traits;

pub use error::FilterError;
pub use line::{Line, LineRecord};
pub use seam::Seam;
pub use stream::Stream;
pub use traits::Filter;
