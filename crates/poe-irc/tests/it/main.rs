//! The tests of poe-irc: the filter by itself, and clients against a small server in memory, on virtual time.

mod client;
mod dcc;
mod filter;
mod kit;
mod plugins;
mod supervised;
