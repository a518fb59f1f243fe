//! Event names: people write text, the kernel compares numbers.
//!
//! One table per thread gives each name that is *in use* an index: a name is in use while a state table has a handler
//! for it or an event with that name is queued. Each use holds one reference; the last one frees the index, so names made
//! at run time are not interned for ever. A name that is a constant of the program stays, uncounted: there are only
//! so many, and nearly every event has one. Kernels and state tables are bound to their thread, so one table serves all
//! kernels of a thread.

mod held;
mod key;
mod signal;
mod table;
mod text;

pub(crate) use held::HeldName;
pub(crate) use key::{Key, THEN, hash};
pub(crate) use signal::signal_name;
pub(crate) use table::{NameIdx, Names};
pub use text::Name;
