//! The end of a listener and of a connection without a reset.
//!
//! Linux resets a TCP connection in two cases where the peer has done nothing wrong. Both also hold, in their own way, for UNIX
//! sockets.
//!
//! | closed | with | then the peer |
//! |---|---|---|
//! | a listener | clients that are connected and not accepted | sees a reset, though its `connect` has succeeded |
//! | a connection | input that was not read | sees a reset, and loses output that has not arrived |
//!
//! So a listener that this crate has bound accepts those who wait before it closes, and a connection reads its input away. A
//! listener that the program has passed in is closed as it is: another process may accept from the same socket.

use super::accept::{Kind, ListenSocket};
use super::error::Trouble;
use super::{SocketName, SocketStream};
use socket2::{SockRef, Socket};
use std::io;
use std::mem::MaybeUninit;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// The most clients that are accepted when a listener closes: the longest backlog that is the default.
pub(super) const WAITING: usize = 4096;

/// The most bytes that a connection reads away when it is closed.
const READ_AWAY: usize = 1024 * 1024;

/// Discards the input that has arrived, so that closing the socket sends FIN and not RST.
pub(crate) fn read_away(socket: &SockRef<'_>) {
    let mut block = [MaybeUninit::uninit(); 16 * 1024];
    let mut left = READ_AWAY;
    // The sockets of Tokio's streams do not block.
    while let Ok(read @ 1..) = socket.recv(&mut block) {
        left = left.saturating_sub(read);
        if left == 0 {
            return;
        }
    }
}

/// Accepts a client that is connected already. This asks the system: Tokio's readiness may be older than the connection.
fn accept(listener: &SockRef<'_>) -> Option<Socket> {
    for _ in 0..WAITING {
        match listener.accept() {
            Ok((socket, _)) => return Some(socket),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            // This client is gone, and the next one may wait.
            Err(error) if Trouble::of(&error) == Trouble::Peer => {}
            Err(_) => return None,
        }
    }
    None
}

impl ListenSocket {
    /// Accepts a client that waits. `None` if nobody does, or if others may accept from the same socket.
    pub(super) fn take_waiting(&self) -> Option<(SocketStream, SocketName)> {
        if !self.is_private() || tokio::runtime::Handle::try_current().is_err() {
            return None;
        }
        (0..WAITING).find_map(|_| self.accept_now().transpose())?.ok()
    }

    /// `Ok(None)` if nobody waits.
    fn accept_now(&self) -> io::Result<Option<(SocketStream, SocketName)>> {
        let stream = match self.kind() {
            Kind::Tcp(listener) => {
                let Some(socket) = accept(&SockRef::from(&**listener)) else {
                    return Ok(None);
                };
                socket.set_nonblocking(true)?;
                SocketStream::from(TcpStream::from_std(socket.into())?)
            }
            #[cfg(unix)]
            Kind::Unix(listener) => {
                let Some(socket) = accept(&SockRef::from(&**listener)) else {
                    return Ok(None);
                };
                socket.set_nonblocking(true)?;
                SocketStream::from(UnixStream::from_std(socket.into())?)
            }
            Kind::Memory(listener) => return Ok(listener.take_waiting().map(|waiting| self.in_memory(waiting))),
        };
        let peer = stream.peer_name()?;
        Ok(Some((stream, peer)))
    }

    /// Ends the connections of those who wait: each sees the end, and no reset.
    pub(super) fn refuse_waiting(&self) {
        let listener = match self.kind() {
            _ if !self.is_private() => return,
            Kind::Tcp(listener) => SockRef::from(&**listener),
            #[cfg(unix)]
            Kind::Unix(listener) => SockRef::from(&**listener),
            // These see the end anyway.
            Kind::Memory(_) => return,
        };
        for _ in 0..WAITING {
            let Some(socket) = accept(&listener) else { return };
            if socket.set_nonblocking(true).is_ok() {
                read_away(&SockRef::from(&socket));
            }
        }
    }
}
