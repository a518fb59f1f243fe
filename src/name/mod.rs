//! Event names: what people write is text, what the kernel compares is a number.
//!
//! One table per thread gives each name that is *in use* an index: a name is in use while a state table has a handler
//! for it or an event of that name is queued. Each use holds one reference; the last one frees the index, so names made
//! at run time are not interned for ever. A name that came as a constant of the program stays, uncounted: there are only
//! so many, and they are what nearly every event is called by. Kernels and state tables are both bound to their thread,
//! which is why one table can serve all of a thread's kernels without any of them seeing another.

mod held;
mod key;
mod signal;
mod table;
mod text;

pub(crate) use held::HeldName;
pub(crate) use key::{Key, hash};
pub(crate) use signal::signal_name;
pub(crate) use table::{NameIdx, Names};
pub use text::Name;
