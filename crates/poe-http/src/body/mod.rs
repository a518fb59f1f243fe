//! Bodies: what a program sends, and what it receives.

mod receive;
mod send;

pub use receive::{BodyError, ReceivedBody};
pub use send::{Body, BodyAborted, BodySender, NotSent};
