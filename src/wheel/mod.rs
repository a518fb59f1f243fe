//! POE::Wheel: I/O as events. A wheel lives in a heap, its events go to the session that made it, and dropping it stops it.

mod address;
mod base;
mod error;
#[cfg(unix)]
mod follow_tail;
mod pump;
mod read_write;
mod socket_factory;
mod splice;

pub use address::Address;
pub use error::{IoError, PutError, SocketError};
#[cfg(unix)]
pub use follow_tail::{FollowTail, FollowTailBuilder};
pub use pump::{Input, Level};
pub use read_write::{Parts, ReadWrite, ReadWriteBuilder};
pub(crate) use socket_factory::listen_on;
pub use socket_factory::{Connection, SocketFactory, SocketFactoryBuilder};
pub use splice::{Splice, SpliceBuilder, Spliced, splice};
