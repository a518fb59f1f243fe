//! POE::NFA: a session whose handlers depend on the state that it is in.

mod builder;
mod cell;
mod handle;
mod history;
mod machine;
mod postpone;
mod state;

pub use builder::NfaBuilder;
pub use handle::Nfa;
pub use history::{Transition, TransitionKind};
pub use machine::Machine;
pub use state::NfaState;
