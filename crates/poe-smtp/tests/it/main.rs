//! The tests of poe-smtp: the filter by itself, and a server in memory, on virtual time.

#[cfg(feature = "client")]
mod client;
mod filter;
mod kit;
mod server;
mod supervised;
