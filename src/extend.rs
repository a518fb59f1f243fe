//! What you extend the crate with: custom wheels.
//!
//! A [`Source`] is the I/O of a wheel that is written outside of this crate. `examples/custom_wheel.rs` has one in forty
//! lines, and `crates/poe-terminal` two large ones.

pub use crate::wheel::source::{Flow, Sleep, Source, SourceContext, WheelHandle};
