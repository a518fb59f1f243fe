//! Typed, small, `Copy` identifiers that are never reissued in the life of a kernel.
//!
//! Each has the serial number that people see and the table slot of its object. A lookup is one index and one comparison;
//! the identifier of an object that is gone never matches another one.

use std::fmt;
use std::num::NonZeroU64;
use std::panic::Location;

/// A place in the program's source, which reports name: where a session, a post or a hold was made.
pub(crate) type Place = &'static Location<'static>;

/// Names one session of one kernel (POE's session ID).
///
/// Serials count from 1 and are never reused; the kernel itself has serial 0 and prints as `kernel`. Holding an
/// identifier does not keep the session alive.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[doc(alias = "ID")]
pub struct SessionId {
    pub(crate) serial: u64,
    pub(crate) slot: u32,
    /// The kernel's number in this process: an identifier of another kernel must not name a session here.
    pub(crate) kernel: u32,
}

impl SessionId {
    /// Returns the serial number: 1 for a kernel's first session, 0 for the kernel itself.
    #[must_use]
    pub fn get(self) -> u64 {
        self.serial
    }

    /// Whether this names the kernel and not one of its sessions.
    #[must_use]
    pub fn is_kernel(self) -> bool {
        self.serial == 0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_kernel() {
            f.pad("kernel")
        } else {
            fmt::Display::fmt(&self.serial, f)
        }
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// The serial number.
#[cfg(feature = "serde")]
impl serde::Serialize for SessionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.serial)
    }
}

impl PartialOrd for SessionId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SessionId {
    /// Compares by serial, that is by age; identifiers of different kernels by kernel first.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.kernel, self.serial).cmp(&(other.kernel, other.serial))
    }
}

macro_rules! serial_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            pub(crate) serial: NonZeroU64,
            pub(crate) slot: u32,
            /// The kernel's number in this process: an identifier of another kernel must not name an object here.
            pub(crate) kernel: u32,
        }

        impl $name {
            /// Returns the serial number, which counts from 1.
            #[must_use]
            pub fn get(self) -> u64 {
                self.serial.get()
            }
        }

        /// The serial number.
        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_u64(self.get())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.serial, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.serial)
            }
        }
    };
}

serial_id! {
    /// Names one timer (POE's alarm ID); invalid once the timer has fired or was removed.
    TimerId
}

serial_id! {
    /// Names one spawned task.
    ///
    /// [`spawn`](crate::KernelRef::spawn), [`attach`](crate::KernelRef::attach) and [`blocking`](crate::KernelRef::blocking)
    /// return it, and [`cancel`](crate::KernelRef::cancel) takes it.
    TaskId
}

/// Names one wheel (POE's wheel ID): unique in its kernel, counted from 1.
///
/// ```
/// // The same event for every wheel of a session: the ID says which one it was.
/// use poe::{Event, Kernel, Session, WheelId, event::START};
/// use poe::{filter::Line, wheel::{Input, ReadWrite}};
/// use std::collections::HashMap;
/// use tokio::io::{AsyncWriteExt, DuplexStream};
/// const LINE: Event<Input<String>> = Event::new("line");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let (mut peer, ours) = tokio::io::duplex(64);
/// Session::builder(HashMap::<WheelId, ReadWrite>::new())
///     .on(START, |cx, io: DuplexStream| -> poe::HandlerResult {
///         let wheel = ReadWrite::builder(io).input(Line::new(), LINE).start(cx)?;
///         assert_eq!(wheel.id().get(), 1); // the kernel's first
///         cx.heap.insert(wheel.id(), wheel);
///         Ok(())
///     })
///     .on(LINE, |cx, input| assert!(cx.heap.remove(&input.wheel).is_some()))
///     .args(ours)
///     .create(&kernel)?;
/// peer.write_all(b"bye\n").await.unwrap();
/// kernel.run().await
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WheelId(pub(crate) u64);

impl WheelId {
    /// Returns the serial number, which counts from 1.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

/// The serial number.
#[cfg(feature = "serde")]
impl serde::Serialize for WheelId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl fmt::Display for WheelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for WheelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WheelId({})", self.0)
    }
}
