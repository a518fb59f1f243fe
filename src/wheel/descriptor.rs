//! An existing descriptor as a stream for wheels.

#[cfg(unix)]
use crate::bridge::descriptor::Direction;
use crate::bridge::descriptor::Flow;
use std::io;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Standard input, or any existing descriptor, as a stream for a [`ReadWrite`](super::ReadWrite).
///
/// It may be a pipe, a terminal, a plain file, a device, a socket. Reading it never blocks the kernel, and a pending read
/// ends at once with the wheel: it takes no bytes that other code could read later, and does not keep the
/// process from exiting. `tokio::io::stdin()` can do neither, as it reads on a thread that Tokio waits for.
///
/// The open file behind a descriptor may be shared with other processes, such as the shell, so its flags are not changed. Instead,
/// on Linux, pipes and terminals are opened again. A descriptor that cannot be used without blocking is read and written on a
/// separate thread.
///
/// On systems other than Unix only [`stdin`](Self::stdin) and [`stdio`](Self::stdio) exist, and a read that was
/// given up takes the next bytes.
///
/// Bytes that [`std::io::stdin`] has buffered are not seen here: use one or the other. Under virtual time a descriptor
/// does not hold the clock; use [`tokio::io::duplex`] in tests.
///
/// ```
/// # #[cfg(unix)] {
/// use poe::{Event, Kernel, Session, event::START, filter::Line};
/// use poe::wheel::{Descriptor, Input, IoError, ReadWrite};
/// const LINE: Event<Input<String>> = Event::new("line");
/// const OVER: Event<IoError> = Event::new("over");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(None::<ReadWrite>)
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         // `Descriptor::stdin()` for standard input.
///         let file = Descriptor::new(std::fs::File::open("Cargo.toml")?)?;
///         *cx.heap = Some(ReadWrite::builder(file).input(Line::new(), LINE).error(OVER).start(cx)?);
///         Ok(())
///     })
///     .on(LINE, |cx, input| {
///         println!("{}", input.record);
///         *cx.heap = None; // one line is enough
///     })
///     .on(OVER, |cx, _| *cx.heap = None)
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap(); }
/// ```
#[derive(Debug)]
#[doc(alias = "InputHandle")]
#[doc(alias = "OutputHandle")]
pub struct Descriptor {
    input: Option<Flow>,
    output: Option<Flow>,
}

#[cfg(unix)]
fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    fd.try_clone_to_owned()
}

impl Descriptor {
    /// Uses a descriptor in the directions that it was opened for.
    ///
    /// # Errors
    /// The system's, if it is not an open descriptor or the process has no descriptor left.
    #[cfg(unix)]
    pub fn new(fd: impl Into<OwnedFd>) -> io::Result<Self> {
        use rustix::fs::{OFlags, fcntl_getfl};
        let fd = fd.into();
        let mode = fcntl_getfl(&fd)? & OFlags::RWMODE;
        let (input, output) = match mode {
            OFlags::WRONLY => (None, Some(fd)),
            OFlags::RDWR => (Some(duplicate(fd.as_fd())?), Some(fd)),
            _ => (Some(fd), None),
        };
        Ok(Descriptor {
            input: input.map(|fd| Flow::new(fd, Direction::Read)),
            output: output.map(|fd| Flow::new(fd, Direction::Write)),
        })
    }

    /// Reads standard input; writing is an error. The process's own descriptor 0 stays open.
    ///
    /// # Errors
    /// Standard input is closed, or the process has no descriptor left.
    #[doc(alias = "STDIN")]
    pub fn stdin() -> io::Result<Self> {
        #[cfg(unix)]
        let input = Flow::new(duplicate(io::stdin().as_fd())?, Direction::Read);
        #[cfg(not(unix))]
        let input = Flow::reading(io::stdin());
        Ok(Descriptor {
            input: Some(input),
            output: None,
        })
    }

    /// Reads standard input and writes standard output, like a filter in a pipeline.
    ///
    /// The process's own descriptors stay open.
    ///
    /// # Errors
    /// One of them is closed, or the process has no descriptor left.
    #[doc(alias = "STDOUT")]
    pub fn stdio() -> io::Result<Self> {
        #[cfg(unix)]
        return Descriptor::pair(duplicate(io::stdin().as_fd())?, duplicate(io::stdout().as_fd())?);
        #[cfg(not(unix))]
        Ok(Descriptor {
            input: Some(Flow::reading(io::stdin())),
            output: Some(Flow::writing(io::stdout())),
        })
    }

    /// Reads one descriptor and writes another.
    ///
    /// # Errors
    /// None today; the system's, where a descriptor has to be examined first.
    #[cfg(unix)]
    pub fn pair(input: impl Into<OwnedFd>, output: impl Into<OwnedFd>) -> io::Result<Self> {
        Ok(Descriptor {
            input: Some(Flow::new(input.into(), Direction::Read)),
            output: Some(Flow::new(output.into(), Direction::Write)),
        })
    }
}

impl AsyncRead for Descriptor {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.input {
            Some(input) => input.poll_read(cx, buffer),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Descriptor {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.output {
            Some(output) => output.poll_write(cx, bytes),
            None => {
                let why = "the descriptor was not opened for writing";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::Unsupported, why)))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.output {
            Some(output) => output.poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Closes the descriptor that is written to: the reader of a pipe sees the end.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(output) = &mut self.output else {
            return Poll::Ready(Ok(()));
        };
        std::task::ready!(output.poll_flush(cx))?;
        output.close();
        Poll::Ready(Ok(()))
    }
}
