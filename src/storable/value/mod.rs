//! Perl's data as it is: scalars, arrays and hashes that can be shared, blessed, and contain themselves.

mod build;
mod create;
mod inspect;
mod kind;
mod mutate;
mod thing;

pub use kind::Kind;
pub use thing::Value;

pub(super) use build::build;
pub(super) use thing::{Body, Scalar, Thing};
