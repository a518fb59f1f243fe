//! What you extend the crate with: custom wheels, session types, resources, and components built on sessions.
//!
//! Applications seldom need these. A [`Source`] is the I/O of a wheel that is written outside of this crate;
//! `examples/custom_wheel.rs` has one in forty lines. [`Invoke`] is a custom session type, and [`Nested`] is what it calls other
//! handlers with. [`Resource`] and [`SessionHold`] are for things that keep sessions alive. [`Caller`] and [`Start`] are for
//! helpers and components that are used both inside handlers and outside of them.

pub use crate::kernel::{Invoke, Invoked, Nested, PendingReply, SessionHold};
pub use crate::resource::Resource;
pub use crate::session::{Caller, Heap, IntoReply, SendPostback, Start};
pub use crate::wheel::source::{Flow, Sleep, Source, SourceContext, WheelHandle};
