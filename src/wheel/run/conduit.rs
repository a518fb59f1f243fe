//! The connection to the program: pipes, sockets or a pseudo terminal, made in pairs of ends.

use super::{RunBuilder, StdStream};
use crate::bridge::files::set_nonblocking;
use crate::bridge::streams::{Ends, FdStream};
use crate::error::ErrorKind;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
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

// Redirects of a program's streams to files and other open handles.
/// Where a stream of the program goes instead of to the wheel.
///
/// It is a file by name, which is opened when the program starts (and truncated for output), or an open handle. Opening never
/// waits for the other side of a fifo: one without a writer is at its end, and one without a reader
/// cannot be opened for output.
///
/// ```
/// # use poe::{Kernel, Session, event::START};
/// use poe::wheel::{Redirect, Run};
/// # use std::io::Read;
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let log = std::env::temp_dir().join(format!("poe-doc-redirect-{}", std::process::id()));
/// # let path = log.clone();
/// let (mut reader, writer) = std::io::pipe()?;
/// # Session::builder(None::<Run>)
/// # .on(START, move |cx, writer: std::io::PipeWriter| -> poe::HandlerResult {
/// let builder = Run::shell("echo made; echo not quite >&2").no_stdin();
/// let run = builder.redirect_stdout(&*log).redirect_stderr(Redirect::handle(writer)).start(cx)?;
/// # Ok(()) })
/// # .args(writer).create(&kernel)?;
/// # kernel.run().await?;
/// let mut complaints = String::new();
/// reader.read_to_string(&mut complaints)?; // until the program has ended
/// assert_eq!(complaints, "not quite\n");
/// # assert_eq!(std::fs::read_to_string(&path)?, "made\n");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug)]
#[doc(alias = "RedirectStdout")]
pub struct Redirect(To);

#[derive(Debug)]
enum To {
    Path(PathBuf),
    Handle(OwnedFd),
}

impl Redirect {
    /// Redirects to an open file, the end of a pipe, or a socket.
    pub fn handle(open: impl Into<OwnedFd>) -> Self {
        Redirect(To::Handle(open.into()))
    }

    /// Opens the target. The stream and the program are named in errors.
    fn open(self, stream: StdStream, program: &str) -> Result<OwnedFd, ErrorKind> {
        let path = match self.0 {
            To::Handle(fd) => return Ok(fd),
            To::Path(path) => path,
        };
        let mut options = OpenOptions::new();
        match stream {
            StdStream::Stdin => options.read(true),
            StdStream::Stdout | StdStream::Stderr => options.write(true).create(true).truncate(true),
        };
        // A fifo must not make the kernel's thread wait for its other side.
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32);
        let opened = options.open(&path).and_then(|file| {
            // The program expects a blocking descriptor.
            set_nonblocking(file.as_fd(), false)?;
            Ok(file)
        });
        opened.map(OwnedFd::from).map_err(|error| ErrorKind::IoOf {
            what: format!("cannot open {} as {stream} of {program}", path.display()),
            error,
            cure: "",
        })
    }
}

impl From<PathBuf> for Redirect {
    fn from(path: PathBuf) -> Self {
        Redirect(To::Path(path))
    }
}

impl From<&Path> for Redirect {
    fn from(path: &Path) -> Self {
        Redirect(To::Path(path.to_owned()))
    }
}

impl From<&str> for Redirect {
    fn from(path: &str) -> Self {
        Redirect(To::Path(path.into()))
    }
}

impl From<String> for Redirect {
    fn from(path: String) -> Self {
        Redirect(To::Path(path.into()))
    }
}

impl From<File> for Redirect {
    fn from(file: File) -> Self {
        Redirect::handle(file)
    }
}

pub(super) enum RedirectStderr {
    Away(Redirect),
    /// Goes where standard output goes.
    WithStdout,
}

impl RunBuilder {
    /// Redirects the program's standard input; nothing can be put.
    #[doc(alias = "RedirectStdin")]
    pub fn redirect_stdin(mut self, from: impl Into<Redirect>) -> Self {
        self.redirects[0] = Some(from.into());
        self
    }

    /// Redirects the program's standard output.
    pub fn redirect_stdout(mut self, to: impl Into<Redirect>) -> Self {
        self.redirects[1] = Some(to.into());
        self
    }

    /// Redirects the program's standard error.
    #[doc(alias = "RedirectStderr")]
    pub fn redirect_stderr(mut self, to: impl Into<Redirect>) -> Self {
        self.redirect_stderr = Some(RedirectStderr::Away(to.into()));
        self
    }

    /// Redirects both outputs of the program.
    #[doc(alias = "RedirectOutput")]
    pub fn redirect_output(mut self, to: impl Into<Redirect>) -> Self {
        self.redirects[1] = Some(to.into());
        self.redirect_stderr = Some(RedirectStderr::WithStdout);
        self
    }

    pub(super) fn open_redirects(&mut self, program: &str) -> Result<Theirs, ErrorKind> {
        let [stdin, stdout] = &mut self.redirects;
        let open = |to: Redirect, stream| to.open(stream, program);
        let stdin = stdin.take().map(|from| open(from, StdStream::Stdin)).transpose()?;
        let stdout = stdout.take().map(|to| open(to, StdStream::Stdout)).transpose()?;
        let stderr = match (self.redirect_stderr.take(), &stdout) {
            (Some(RedirectStderr::Away(to)), _) => Some(open(to, StdStream::Stderr)?),
            (Some(RedirectStderr::WithStdout), Some(stdout)) => {
                let shared = stdout.try_clone().map_err(|error| ErrorKind::IoOf {
                    what: format!("cannot share STDOUT of {program} with its STDERR"),
                    error,
                    cure: "",
                })?;
                Some(shared)
            }
            _ => None,
        };
        Ok(Theirs { stdin, stdout, stderr })
    }
}
