//! This crate's own descriptors as streams: the ends of pipes, socket pairs and pseudo terminals.

use super::files::set_nonblocking;
use super::reactor::register_shared;
use super::runtime::Home;
use rustix::io::Errno;
use std::cell::RefCell;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

/// How the end of the output is shown on the descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ends {
    /// Only the close of the descriptor, once both directions are closed.
    Plain,
    /// A socket, of which each direction can be shut down.
    Socket,
}

/// One descriptor, or a half of it: clones share it.
#[derive(Clone)]
pub(crate) struct FdStream {
    fd: Rc<OwnedFd>,
    registered: Rc<RefCell<Registered>>,
    ends: Ends,
}

/// A descriptor's registration with a reactor.
struct Registered {
    fd: AsyncFd<Rc<OwnedFd>>,
    interest: Interest,
    home: Home,
}

impl Registered {
    /// Returns the descriptor in the reactor of the runtime that polls now.
    fn here(&mut self) -> io::Result<&AsyncFd<Rc<OwnedFd>>> {
        if self.home.has_moved() {
            self.fd = register_shared(self.fd.get_ref().clone(), self.interest)?;
        }
        Ok(&self.fd)
    }
}

impl FdStream {
    /// Makes a stream of a descriptor, which becomes non-blocking.
    ///
    /// # Errors
    /// The system's.
    ///
    /// # Panics
    /// Outside a Tokio runtime that drives I/O.
    pub(crate) fn new(fd: OwnedFd, interest: Interest, ends: Ends) -> io::Result<Self> {
        set_nonblocking(fd.as_fd(), true)?;
        let fd = Rc::new(fd);
        let registered = Registered {
            fd: register_shared(fd.clone(), interest)?,
            interest,
            home: Home::here(),
        };
        let registered = Rc::new(RefCell::new(registered));
        Ok(FdStream { fd, registered, ends })
    }
}

/// Reads from a descriptor, to the very end.
///
/// Linux may refuse a read of a pseudo terminal with `EIO`, as at the end, although the program's last bytes are still on their
/// way through the line discipline: they were written, and the program has ended, between the look at the buffer and the
/// look at the other side. A second read has them, or fails in the same way.
pub(super) fn read_descriptor(fd: impl AsFd + Copy, room: &mut [u8]) -> Result<usize, Errno> {
    match rustix::io::read(fd, &mut *room) {
        Err(Errno::IO) => rustix::io::read(fd, room),
        read => read,
    }
}

impl AsFd for FdStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsyncRead for FdStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut registered = self.registered.borrow_mut();
        let fd = registered.here()?;
        loop {
            let mut guard = ready!(fd.poll_read_ready(cx))?;
            let room = buf.initialize_unfilled();
            match guard.try_io(|fd| Ok(read_descriptor(fd.get_ref(), room)?)) {
                Ok(read) => {
                    buf.advance(read?);
                    return Poll::Ready(Ok(()));
                }
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for FdStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut registered = self.registered.borrow_mut();
        let fd = registered.here()?;
        loop {
            let mut guard = ready!(fd.poll_write_ready(cx))?;
            match guard.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?)) {
                Ok(written) => return Poll::Ready(written),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match self.ends {
            Ends::Plain => Ok(()),
            Ends::Socket => socket2::SockRef::from(&*self).shutdown(Shutdown::Write),
        })
    }
}
