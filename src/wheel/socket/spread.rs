//! One address on which several threads listen.

use super::super::address::{Address, Spot};
use super::Failed;
use super::make::Options;
use crate::bridge::threads::Threads;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Listening sockets for one address, one for each of several threads.
///
/// On Linux each is a separate socket (`SO_REUSEPORT`), among which the system distributes the clients by their address.
/// Elsewhere that option means something else; there all are the same socket, and the first to accept takes the client.
pub(crate) struct Spread {
    local: SocketAddr,
    listeners: Vec<TcpListener>,
}

/// Whether the system distributes clients among the sockets of one address.
const DEALS: bool = cfg!(any(target_os = "linux", target_os = "android"));

impl Spread {
    pub(crate) async fn bind(addr: &Address, options: &Options, count: usize) -> Result<Spread, Failed> {
        let mut failed = Failed::from(("getaddrinfo", io::ErrorKind::AddrNotAvailable.into()));
        // It belongs to no kernel.
        let threads = Threads::new(1, false);
        for spot in options.resolve(addr, &threads).await? {
            let Spot::Ip(addr) = spot else {
                let what = "one UNIX socket cannot be spread over several kernels";
                return Err(Failed::from((
                    "domain",
                    io::Error::new(io::ErrorKind::Unsupported, what),
                )));
            };
            match Self::bind_at(addr, options, count) {
                Ok(spread) => return Ok(spread),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn bind_at(addr: SocketAddr, options: &Options, count: usize) -> Result<Spread, Failed> {
        let first = listen(addr, options)?;
        let local = first.local_addr().map_err(|e| ("getsockname", e))?;
        let mut listeners = vec![first];
        while listeners.len() < count {
            let next = match DEALS {
                true => listen(local, options)?,
                false => listeners[0].try_clone().map_err(|e| ("socket", e))?,
            };
            listeners.push(next);
        }
        Ok(Spread { local, listeners })
    }

    pub(crate) fn into_parts(self) -> (SocketAddr, Vec<TcpListener>) {
        (self.local, self.listeners)
    }
}

fn listen(addr: SocketAddr, options: &Options) -> Result<TcpListener, Failed> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP));
    let socket = socket.map_err(|e| ("socket", e))?;
    socket.set_nonblocking(true).map_err(|e| ("socket", e))?;
    socket
        .set_reuse_address(options.reuse && cfg!(unix))
        .map_err(|e| ("setsockopt", e))?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_reuse_port(true).map_err(|e| ("setsockopt", e))?;
    socket.bind(&addr.into()).map_err(|e| ("bind", e))?;
    let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
    socket.listen(backlog).map_err(|e| ("listen", e))?;
    Ok(socket.into())
}
