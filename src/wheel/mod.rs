//! POE::Wheel: I/O as events. A wheel lives in a heap, sends its events to the session that made it, and stops when dropped.

#[cfg(not(target_family = "wasm"))]
mod address;
mod base;
mod descriptor;
mod error;
#[cfg(unix)]
mod follow_tail;
mod pump;
mod read_write;
#[cfg(unix)]
mod run;
#[cfg(not(target_family = "wasm"))]
mod socket;
#[cfg(not(target_family = "wasm"))]
mod socket_factory;
pub(crate) mod source;
mod splice;

#[cfg(not(target_family = "wasm"))]
pub use address::Address;
pub use descriptor::Descriptor;
pub(crate) use error::PutErrorKind;
pub use error::{IoError, PutError};
#[cfg(unix)]
pub use follow_tail::{FollowTail, FollowTailBuilder};
pub(crate) use pump::FLUSH_TIMEOUT;
pub(crate) use pump::handle::{BoxedDuplex as WheelStream, whole};
pub(crate) use pump::{DEFAULT_MARKS, Limits, check_marks};
pub use pump::{Input, Level};
pub use read_write::{AnyReadWrite, OwnFilter, Parts, ReadWrite, ReadWriteBuilder, RetypeError, SameFilter};
#[cfg(all(unix, feature = "pty"))]
pub use run::Winsize;
#[cfg(unix)]
pub use run::{
    CallbackIo, CallbackStdin, CallbackStdout, Conduit, Exited, KillFlag, Redirect, Run, RunBuilder, StdStream,
};
#[cfg(not(target_family = "wasm"))]
pub use socket::{DatagramSocket, Domain, ListenSocket, Packet, SocketError, SocketName, SocketStream};
#[cfg(not(target_family = "wasm"))]
pub(crate) use socket::{Failed, Spread, make};
#[cfg(not(target_family = "wasm"))]
pub use socket_factory::{Connection, Datagram, SocketFactory, SocketFactoryBuilder};
pub use splice::{Splice, SpliceBuilder, SpliceSide, Spliced, splice};
