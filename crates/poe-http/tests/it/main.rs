//! The filter's laws, and servers with it.

mod cfedde;
#[cfg(all(feature = "client", feature = "server"))]
mod client;
mod filter;
#[allow(dead_code, reason = "the kit of the main package's tests has more than these need")]
#[path = "../../../../tests/it/filter_kit.rs"]
mod filter_kit;
mod leolo;
#[cfg(all(feature = "websocket", feature = "files"))]
mod server;
