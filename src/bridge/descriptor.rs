//! Reads and writes descriptors that other processes may share: standard input, a terminal, a pipe, a plain file, a device.
//!
//! The flag that makes a read return at once (`O_NONBLOCK`) belongs to the open file, which other processes share: a shell
//! whose terminal has it set reads the end of its input. So it is never set here. The kind of descriptor decides how it is used:
//!
//! | descriptor | how it is read and written |
//! |---|---|
//! | does not block already | directly, with the reactor |
//! | a pipe or a terminal, on Linux | through a new open file (`/proc/self/fd`) that does not block, with the reactor |
//! | anything else, and where that fails | on a separate thread, which waits for readiness before it reads |
//!
//! Such a thread also waits for a pipe that tells it to end, so a read that is given up takes no bytes. Nothing waits
//! for the thread: even if it hangs in a read, the process may exit.

use super::reactor::register;
use super::runtime::Home;
use super::streams::read_descriptor;
use super::threads::{BLOCK, Request, Worker};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc;
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, ReadBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Direction {
    fn interest(self) -> Interest {
        match self {
            Direction::Read => Interest::READABLE,
            Direction::Write => Interest::WRITABLE,
        }
    }

    /// Makes a separate open file for this direction, which does not block.
    #[cfg(target_os = "linux")]
    fn reopen(self) -> OFlags {
        let way = match self {
            Direction::Read => OFlags::RDONLY,
            Direction::Write => OFlags::WRONLY,
        };
        way | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY
    }
}

/// One direction of a descriptor.
#[derive(Debug)]
pub(crate) struct Flow {
    direction: Direction,
    way: Way,
    home: Home,
}

#[derive(Debug)]
enum Way {
    /// Not read or written yet.
    New(OwnedFd),
    Ready(AsyncFd<OwnedFd>),
    Thread(Worker),
    /// An operation has failed, or the descriptor was closed.
    Over,
}

impl Flow {
    pub(crate) fn new(fd: OwnedFd, direction: Direction) -> Self {
        let way = Way::New(fd);
        let home = Home::default();
        Flow { direction, way, home }
    }

    /// Finds out how the descriptor is to be used; in the runtime that polls it first.
    fn begin(&mut self) -> io::Result<&mut Way> {
        if let Way::New(_) = self.way {
            self.home = Home::here();
            let Way::New(fd) = std::mem::replace(&mut self.way, Way::Over) else {
                return Ok(&mut self.way);
            };
            self.way = match self.without_blocking(&fd)? {
                Some(ready) => Way::Ready(ready),
                None => Way::Thread(self.start(fd)?),
            };
        }
        Ok(&mut self.way)
    }

    fn start(&self, fd: OwnedFd) -> io::Result<Worker> {
        let (woken, wake) = io::pipe()?;
        let name = match self.direction {
            Direction::Read => "poe-input",
            Direction::Write => "poe-output",
        };
        Worker::start(name, Some(wake), move |requests| serve(&fd, &woken, requests))
    }

    fn without_blocking(&self, fd: &OwnedFd) -> io::Result<Option<AsyncFd<OwnedFd>>> {
        if tokio::runtime::Handle::try_current().is_err() {
            // A write from a handler that runs before the kernel does: a thread needs no reactor.
            return Ok(None);
        }
        let own = if fcntl_getfl(fd)?.contains(OFlags::NONBLOCK) {
            Some(fd.try_clone()?)
        } else {
            self.own_open_file(fd)
        };
        let Some(own) = own else { return Ok(None) };
        match register(own, self.direction.interest()) {
            Ok(ready) => Ok(Some(ready)),
            // It has no readiness, like a plain file.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opening again is harmless for pipes and terminals only: a tape rewinds, and the master of pseudo terminals makes a new one.
    #[cfg(target_os = "linux")]
    fn own_open_file(&self, fd: &OwnedFd) -> Option<OwnedFd> {
        use rustix::fs::{FileType, Mode, fstat};
        use std::io::IsTerminal;
        use std::os::fd::AsRawFd;
        const MASTER: (u32, u32) = (5, 2);
        let stat = fstat(fd).ok()?;
        let is_master = || (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)) == MASTER;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Fifo => {}
            FileType::CharacterDevice if fd.is_terminal() && !is_master() => {}
            _ => return None,
        }
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let own = rustix::fs::open(path, self.direction.reopen(), Mode::empty()).ok()?;
        let same = fstat(&own).ok()?;
        (same.st_dev == stat.st_dev && same.st_ino == stat.st_ino).then_some(own)
    }

    #[cfg(not(target_os = "linux"))]
    fn own_open_file(&self, _: &OwnedFd) -> Option<OwnedFd> {
        None
    }

    /// Registers the descriptor with the runtime that polls now.
    fn follow_runtime(&mut self) -> io::Result<()> {
        let direction = self.direction;
        self.begin()?;
        if self.home.has_moved()
            && let Way::Ready(_) = self.way
            && let Way::Ready(fd) = std::mem::replace(&mut self.way, Way::Over)
        {
            self.way = Way::Ready(register(fd.into_inner(), direction.interest())?);
        }
        Ok(())
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.follow_runtime()?;
        match self.begin()? {
            Way::Ready(fd) => loop {
                let mut guard = ready!(fd.poll_read_ready_mut(cx))?;
                match read_descriptor(guard.get_inner(), buffer.initialize_unfilled()) {
                    Ok(read) => {
                        buffer.advance(read);
                        return Poll::Ready(Ok(()));
                    }
                    Err(Errno::AGAIN) => guard.clear_ready(),
                    Err(Errno::INTR) => {}
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            },
            Way::Thread(worker) => worker.poll_read(cx, buffer),
            Way::New(_) | Way::Over => Poll::Ready(Ok(())),
        }
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.follow_runtime()?;
        match self.begin()? {
            Way::Ready(fd) => loop {
                let mut guard = ready!(fd.poll_write_ready_mut(cx))?;
                match rustix::io::write(guard.get_inner(), bytes) {
                    Ok(written) => return Poll::Ready(Ok(written)),
                    Err(Errno::AGAIN) => guard.clear_ready(),
                    Err(Errno::INTR) => {}
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            },
            Way::Thread(worker) => worker.poll_write(cx, bytes),
            Way::New(_) | Way::Over => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Waits until the system has taken all bytes.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.way {
            Way::Thread(worker) => worker.poll_idle(cx),
            Way::New(_) | Way::Ready(_) | Way::Over => Poll::Ready(Ok(())),
        }
    }

    /// Closes this descriptor.
    pub(crate) fn close(&mut self) {
        self.way = Way::Over;
    }
}

/// The thread's main loop.
fn serve(fd: &OwnedFd, woken: &PipeReader, requests: &mpsc::Receiver<Request>) {
    let mut buffer = Vec::new();
    while let Ok(request) = requests.recv() {
        match request {
            Request::Read(reply) => {
                buffer.resize(BLOCK, 0);
                let result = match wait(fd, PollFlags::IN, woken) {
                    Ok(true) => read(fd, &mut buffer).map(|read| buffer[..read].to_vec()),
                    Ok(false) => return,
                    Err(error) => Err(error),
                };
                let _given_up = reply.send(result);
            }
            Request::Write(bytes, reply) => {
                let _given_up = reply.send(write_all(fd, &bytes).map(|()| Vec::new()));
            }
        }
    }
}

/// Waits until the descriptor is ready. Returns false when the read was given up.
fn wait(fd: &OwnedFd, ready: PollFlags, woken: &PipeReader) -> io::Result<bool> {
    loop {
        let mut fds = [
            PollFd::new(fd, ready),
            PollFd::from_borrowed_fd(woken.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) if !fds[1].revents().is_empty() => return Ok(false),
            // The read reports errors and the end of the input.
            Ok(_) if !fds[0].revents().is_empty() => return Ok(true),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn read(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match read_descriptor(fd, &mut *buffer) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

fn write_all(fd: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            // Another process made it non-blocking after it was looked at.
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::new(fd, PollFlags::OUT)];
                let _ready_or_interrupted = poll(&mut fds, None);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
