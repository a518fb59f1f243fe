//! Event keys: a name, and the type of what an event of that name carries.
//!
//! Names stay dynamic, as in POE: any `&str` or `String` is a key. A typed key, [`Event`], lets the compiler check the
//! poster against the handler; a bare name is checked when the event is delivered.

mod key;
mod life;
mod reserved;

pub use key::{Calls, Event, EventName, Posts};
pub(crate) use key::{Keyed, assert_reply_type};
pub use life::{Child, ChildReason, Parent, Unhandled};
pub use reserved::{CHILD, DEFAULT, LEAVE, PARENT, Reserved, SILENT, START, STOP, Start};
