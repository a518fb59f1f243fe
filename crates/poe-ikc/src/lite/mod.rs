//! Clients without a kernel: `Lite` blocks, `AsyncLite` is for async code.

mod blocking;
mod client;
mod tasks;

pub use blocking::Lite;
pub use tasks::AsyncLite;
