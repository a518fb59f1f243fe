//! POE::Wheel: I/O as events. A wheel lives in a heap, its events go to the session that made it, and dropping it stops it.

mod address;
mod base;
#[cfg(feature = "curses")]
mod curses;
mod descriptor;
mod error;
#[cfg(unix)]
mod follow_tail;
mod listen_accept;
mod pump;
#[cfg(feature = "readline")]
mod read_line;
mod read_write;
#[cfg(unix)]
mod run;
mod socket;
mod socket_factory;
pub(crate) mod source;
mod splice;
#[cfg(any(feature = "curses", feature = "readline"))]
mod terminal;

pub use address::Address;
#[cfg(feature = "curses")]
pub use curses::{Curses, CursesBuilder, CursesInput};
pub use descriptor::Descriptor;
pub(crate) use error::PutErrorKind;
pub use error::{IoError, PutError, SocketError};
#[cfg(unix)]
pub use follow_tail::{FollowTail, FollowTailBuilder};
pub use listen_accept::{ListenAccept, ListenAcceptBuilder};
pub(crate) use pump::FLUSH_TIMEOUT;
pub(crate) use pump::handle::{BoxedDuplex as WheelStream, whole};
pub use pump::{Input, Level};
#[cfg(feature = "readline")]
pub use read_line::{KeyBinding, PutMode, ReadLine, ReadLineBuilder, ReadLineInput, ReadLineMode, Typed};
pub use read_write::{Parts, ReadWrite, ReadWriteBuilder};
#[cfg(all(unix, feature = "pty"))]
pub use run::Winsize;
#[cfg(unix)]
pub use run::{
    CallbackIo, CallbackStdin, CallbackStdout, Conduit, Exited, KillFlag, Redirect, Run, RunBuilder, RunError,
    StdStream,
};
pub use socket::{DatagramSocket, Domain, ListenSocket, Packet, SocketName, SocketStream};
pub(crate) use socket::{Failed, Spread, make};
pub use socket_factory::{Connection, Datagram, SocketFactory, SocketFactoryBuilder};
pub use splice::{Splice, SpliceBuilder, SpliceSide, Spliced, splice};
