//! The context of a machine's running handler.

mod changes;
mod context;
mod gen_statem;
mod sessions;

pub use context::Machine;
