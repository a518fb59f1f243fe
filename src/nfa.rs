//! The parts of state machines: builder, states, and transitions. [`Nfa`](crate::Nfa) and [`Machine`](crate::Machine) are in the root.

pub use crate::session::{NfaBuilder, NfaObjectStates, NfaState, Transition, TransitionKind};
