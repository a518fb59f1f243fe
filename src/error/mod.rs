//! Typed errors with their cause, and with the caller's argument inside where there was one.

mod call;
mod failure;
mod general;
mod kind;
mod on_failure;
mod post;
mod quiet;
mod wrong_argument;

pub use call::CallError;
pub use failure::{Failure, HandlerResult};
pub use general::Error;
pub use on_failure::OnFailure;
pub use post::PostError;
pub use wrong_argument::WrongArgument;

pub(crate) use call::CallErrorKind;
pub(crate) use kind::{ErrorKind, bind_advice};
pub(crate) use post::{PostErrorKind, Wanted};
pub(crate) use quiet::{
    Teardown, drop_all_quietly, drop_each_quietly, drop_payload, drop_quietly, log_quietly, quietly, text_of,
};
