//! Kernels that talk to one another: in memory, over sockets, with hostile peers, and with Perl.

mod captured;
mod hostile;
mod kit;
mod loopback;
#[cfg(all(unix, feature = "nats"))]
mod nats;
mod pairs;
mod phrasebook;
mod properties;
mod sockets;
mod spans;
mod tikc;
#[cfg(feature = "tls")]
mod tls;
mod vectors;
