//! POE::NFA: a session whose handlers depend on the state that it is in.

mod builder;
mod cell;
mod history;
mod machine;
mod postpone;

pub use builder::{Nfa, NfaBuilder, NfaState};
pub use history::{Transition, TransitionKind};
pub use machine::Machine;
