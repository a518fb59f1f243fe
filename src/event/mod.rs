//! Event keys: a name, and the type of the argument of events with this name.
//!
//! Names are dynamic, as in POE: any `&str` or `String` is a key. With a typed key, [`Event`], the compiler checks the
//! poster against the handler; a bare name is checked when the event is delivered.

pub(crate) mod key;
mod life;
mod reserved;

pub use key::{Calls, EventKey, EventName, Posts};
pub(crate) use key::{Event, Keyed, assert_reply_type};
pub use life::{Child, ChildReason, Parent, Unhandled};
pub use reserved::{CHILD, DEFAULT, LEAVE, PARENT, Reserved, SILENT, START, STOP, Start};
