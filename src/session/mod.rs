//! POE::Session and POE::NFA: a heap, tables of handlers, and the context in which a handler runs.

mod builder;
mod caller;
mod context;
mod nfa;
mod objects;
mod postback;
mod states;
mod then;

pub use builder::{Session, SessionBuilder};
pub use caller::{Caller, Start};
pub use context::{Context, Heap};
pub use nfa::{Machine, Nfa, NfaBuilder, NfaState, Transition, TransitionKind};
pub use objects::{NfaObjectStates, ObjectStates, Package};
pub use postback::{Callback, IntoReply, Postback, Reply, SendPostback};
pub use states::States;
