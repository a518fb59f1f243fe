//! The crate's own suite, in one binary. Modules are named after POE's tests where they follow one.

mod bad_use;
mod component_tcp;
mod filter_line;
mod filter_stream;
mod laws_call;
mod laws_creation;
mod laws_idle;
mod laws_kit;
mod laws_lifetime;
mod laws_queue;
mod laws_stopping;
mod perl_twins;
mod properties;
mod properties_sessions;
mod testing;
mod transcripts;
mod wheel_readwrite;
mod wheel_socket_factory;
