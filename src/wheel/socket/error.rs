//! The failures of a SocketFactory, and what an error of `accept` means for the listener.

use super::super::address::Address;
use crate::error::bind_advice;
use crate::id::WheelId;
use std::error::Error as StdError;
use std::fmt;
use std::io;

/// The argument of a [`SocketFactory`](crate::wheel::SocketFactory)'s failure event: operation, address, and the system's error.
///
/// The operations are POE's: `getaddrinfo`, `socket`, `setsockopt`, `bind`, `listen`, `connect` and `accept`.
///
/// ```
/// use poe::wheel::{SocketError, SocketFactory};
/// # use poe::{Event, Kernel, Session, event::START};
/// # const FAILED: Event<SocketError> = Event::new("failed");
/// fn advice(failed: &SocketError) -> &'static str {
///     match failed {
///         failed if failed.is_refused() => "is the server running?",
///         failed if failed.is_timeout() => "does a firewall drop the packets?",
///         failed if failed.is_shortage() => "clients wait until a descriptor is free",
///         _ => "see the system's error",
///     }
/// }
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// let bound = tokio::net::TcpSocket::new_v4()?;
/// bound.bind(([127, 0, 0, 1], 0).into())?; // a port on which nothing listens
/// let addr = bound.local_addr()?;
/// # Session::builder(None::<SocketFactory>)
/// # .on(START, move |cx, ()| {
/// #     *cx.heap = Some(SocketFactory::connect(addr).failure(FAILED).start(cx));
/// # })
/// # .on(FAILED, move |cx, failed| {
/// // What the failure event of a wheel that connects there brings:
/// assert_eq!((failed.operation(), advice(&failed)), ("connect", "is the server running?"));
/// assert!(failed.to_string().starts_with(&format!("cannot connect to {addr}: ")));
/// #     *cx.heap = None;
/// # })
/// # .create(&kernel)?;
/// # kernel.run().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug)]
#[doc(alias = "FailureEvent")]
pub struct SocketError {
    operation: &'static str,
    error: io::Error,
    wheel: WheelId,
    address: Option<Address>,
}

impl SocketError {
    pub(crate) fn new(operation: &'static str, error: io::Error, wheel: WheelId, address: Option<Address>) -> Self {
        SocketError {
            operation,
            error,
            wheel,
            address,
        }
    }

    /// Returns the operation that failed.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// Returns the system's error.
    #[must_use]
    pub fn os_error(&self) -> &io::Error {
        &self.error
    }

    /// Returns the wheel that reports the error.
    #[must_use]
    pub fn wheel(&self) -> WheelId {
        self.wheel
    }

    /// Returns the address: the peer's, or the one to bind or to listen on.
    ///
    /// `None` only for a datagram socket that has neither.
    #[must_use]
    pub fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    /// Whether the timeout expired.
    #[doc(alias = "ETIMEDOUT")]
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.error.kind() == io::ErrorKind::TimedOut
    }

    /// Whether nothing listens at the address.
    #[doc(alias = "ECONNREFUSED")]
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.error.kind() == io::ErrorKind::ConnectionRefused
    }

    /// Whether accepting has failed for lack of a resource, most often descriptors.
    ///
    /// The listener is intact, and tries again by itself. This is reported once, however often it fails until it works again.
    #[doc(alias = "EMFILE")]
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        self.operation == "accept" && Trouble::of(&self.error) == Trouble::Shortage
    }
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operation, error) = (self.operation, &self.error);
        let Some(address) = &self.address else {
            return write!(f, "{operation}: {error}");
        };
        match operation {
            "getaddrinfo" => write!(f, "cannot look up {address}: {error}")?,
            "bind" => write!(f, "cannot bind a socket to {address}: {error}")?,
            "listen" => write!(f, "cannot listen on {address}: {error}")?,
            "accept" => write!(f, "cannot accept a connection on {address}: {error}")?,
            "connect" => write!(f, "cannot connect to {address}: {error}")?,
            "preconnect" => write!(f, "cannot set up the connection to {address}: preconnect: {error}")?,
            _ => write!(f, "cannot make a socket for {address}: {operation}: {error}")?,
        }
        if self.is_shortage() {
            return f.write_str("; accepting continues as soon as there is room");
        }
        f.write_str(bind_advice(operation, error))
    }
}

impl StdError for SocketError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.error)
    }
}

/// The cause of an error of `accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The client went away before it was accepted; the listener is intact.
    Peer,
    /// A resource is used up, or the cause is unknown: later it may work again.
    Shortage,
    /// It is not a listening socket, or not any more.
    Listener,
}

impl Trouble {
    pub(crate) fn of(error: &io::Error) -> Self {
        #[cfg(unix)]
        if let Some(trouble) = error.raw_os_error().and_then(Self::of_errno) {
            return trouble;
        }
        use io::ErrorKind::{
            ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, InvalidInput, NetworkDown,
            NetworkUnreachable, NotConnected, WouldBlock,
        };
        match error.kind() {
            ConnectionAborted | ConnectionReset | HostUnreachable | Interrupted | NetworkDown | NetworkUnreachable
            | WouldBlock => Trouble::Peer,
            InvalidInput | NotConnected => Trouble::Listener,
            _ => Trouble::Shortage,
        }
    }

    #[cfg(unix)]
    fn of_errno(errno: i32) -> Option<Self> {
        use rustix::io::Errno;
        let errno = Errno::from_raw_os_error(errno);
        // Linux reports errors of the new connection through `accept`; its manual says to treat them as EAGAIN.
        let peer = [
            Errno::PROTO,
            Errno::HOSTDOWN,
            Errno::NOPROTOOPT,
            Errno::PERM,
            Errno::SPIPE,
        ];
        let listener = [
            Errno::BADF,
            Errno::NOTSOCK,
            Errno::INVAL,
            Errno::OPNOTSUPP,
            Errno::FAULT,
        ];
        if peer.contains(&errno) {
            Some(Trouble::Peer)
        } else if listener.contains(&errno) {
            Some(Trouble::Listener)
        } else {
            None
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn errors_of_accept_are_sorted_by_whose_trouble_they_are() {
        let of = |errno: Errno| Trouble::of(&errno.into());
        for errno in [
            Errno::CONNABORTED,
            Errno::AGAIN,
            Errno::INTR,
            Errno::PROTO,
            Errno::NETUNREACH,
            Errno::SPIPE,
        ] {
            assert_eq!(of(errno), Trouble::Peer, "{errno}");
        }
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert_eq!(of(errno), Trouble::Shortage, "{errno}");
        }
        for errno in [Errno::BADF, Errno::INVAL, Errno::NOTSOCK, Errno::OPNOTSUPP] {
            assert_eq!(of(errno), Trouble::Listener, "{errno}");
        }
    }
}
