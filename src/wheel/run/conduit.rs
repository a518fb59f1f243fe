//! The connection to the program: pipes, sockets or a pseudo terminal, made in pairs of ends.

use crate::bridge::streams::{Ends, FdStream};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;

/// The kind of connection between a [`Run`](super::Run) and its program.
///
/// ```
/// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Conduit, Input, Run}};
/// # const OUT: Event<Input<String>> = Event::new("out");
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let transcript = poe::testing::Transcript::of(&kernel);
/// # Session::builder(Vec::<Run>::new())
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         for conduit in [Conduit::Pipe, Conduit::Socketpair, Conduit::Inet, Conduit::Pty] {
///             let run = Run::shell("read line; echo got $line").conduit(conduit).stdout(Line::new(), OUT).start(cx)?;
///             run.put("a line")?;
///             cx.heap.push(run);
///         }
///         Ok(())
///     })
///     .on(OUT, |cx, input| {
///         assert_eq!(input.record, "got a line");
///         cx.heap.retain(|run| run.id() != input.wheel);
///     })
/// #   .create(&kernel)?;
/// # kernel.run().await?;
/// # assert_eq!(transcript.records().len(), 6); // _start and _stop
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conduit {
    /// A pipe for each stream.
    #[default]
    Pipe,
    /// A pair of UNIX sockets for standard input and output together, another for standard error.
    Socketpair,
    /// Two TCP connections on the loopback address, used like `Socketpair`.
    Inet,
    /// A pseudo terminal for all three streams: standard error is mixed with the output.
    #[cfg(feature = "pty")]
    Pty,
    /// A pseudo terminal for standard input and output, a pipe for standard error.
    #[cfg(feature = "pty")]
    PtyPipe,
}

impl Conduit {
    pub(super) fn is_pty(self) -> bool {
        match self {
            Conduit::Pipe | Conduit::Socketpair | Conduit::Inet => false,
            #[cfg(feature = "pty")]
            Conduit::Pty | Conduit::PtyPipe => true,
        }
    }

    /// Names the ends in the text of an error.
    pub(super) fn ends(self) -> &'static str {
        match self {
            Conduit::Pipe => "pipes",
            Conduit::Socketpair => "pairs of sockets",
            Conduit::Inet => "TCP connections",
            #[cfg(feature = "pty")]
            Conduit::Pty | Conduit::PtyPipe => "a pseudo terminal",
        }
    }

    /// Whether standard error has a separate connection.
    pub(super) fn has_stderr(self) -> bool {
        match self {
            #[cfg(feature = "pty")]
            Conduit::Pty => false,
            _ => true,
        }
    }
}

/// The wheel's ends. `None` for a stream that is not the wheel's.
#[derive(Default)]
pub(super) struct Ours {
    pub(super) stdin: Option<FdStream>,
    pub(super) stdout: Option<FdStream>,
    pub(super) stderr: Option<FdStream>,
}

/// The program's ends, for the streams that the wheel connects.
#[derive(Default)]
pub(super) struct Theirs {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

/// Both sides.
#[derive(Default)]
pub(super) struct Connected {
    pub(super) ours: Ours,
    pub(super) theirs: Theirs,
    /// The wheel's side of the terminal, if it is one: kept as long as the wheel, to change its size …
    #[cfg(feature = "pty")]
    pub(super) terminal: Option<FdStream>,
    /// … and the program's side, which becomes its controlling terminal.
    pub(super) program_side: Option<OwnedFd>,
}

/// The streams that the wheel needs.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
}

/// Connects with pipes or sockets.
pub(super) fn connect(conduit: Conduit, wanted: Wanted) -> io::Result<Connected> {
    let (mut ours, mut theirs) = (Ours::default(), Theirs::default());
    match conduit {
        Conduit::Socketpair | Conduit::Inet => {
            if wanted.stdin || wanted.stdout {
                let (our, their) = sockets(conduit)?;
                let our = FdStream::new(our, Interest::READABLE | Interest::WRITABLE, Ends::Socket)?;
                if wanted.stdin {
                    theirs.stdin = Some(their.try_clone()?);
                    ours.stdin = Some(our.clone());
                }
                if wanted.stdout {
                    theirs.stdout = Some(their);
                    ours.stdout = Some(our);
                }
            }
            if wanted.stderr {
                let (our, their) = sockets(conduit)?;
                ours.stderr = Some(FdStream::new(our, Interest::READABLE, Ends::Socket)?);
                theirs.stderr = Some(their);
            }
        }
        _ => {
            if wanted.stdin {
                let (reader, writer) = io::pipe()?;
                theirs.stdin = Some(reader.into());
                ours.stdin = Some(FdStream::new(writer.into(), Interest::WRITABLE, Ends::Plain)?);
            }
            if wanted.stdout {
                let (our, their) = from_pipe()?;
                (ours.stdout, theirs.stdout) = (Some(our), Some(their));
            }
            if wanted.stderr {
                let (our, their) = from_pipe()?;
                (ours.stderr, theirs.stderr) = (Some(our), Some(their));
            }
        }
    }
    Ok(Connected {
        ours,
        theirs,
        ..Connected::default()
    })
}

/// Makes a pipe that the wheel reads.
pub(super) fn from_pipe() -> io::Result<(FdStream, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    let our = FdStream::new(reader.into(), Interest::READABLE, Ends::Plain)?;
    Ok((our, writer.into()))
}

fn sockets(conduit: Conduit) -> io::Result<(OwnedFd, OwnedFd)> {
    if conduit == Conduit::Socketpair {
        let (our, their) = std::os::unix::net::UnixStream::pair()?;
        return Ok((our.into(), their.into()));
    }
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    let our = std::net::TcpStream::connect(listener.local_addr()?)?;
    let expected = our.local_addr()?;
    // Another process on this machine may have connected meanwhile; only this one's connection is taken.
    loop {
        let (their, peer) = listener.accept()?;
        if peer == expected {
            our.set_nodelay(true)?;
            their.set_nodelay(true)?;
            return Ok((our.into(), their.into()));
        }
    }
}
