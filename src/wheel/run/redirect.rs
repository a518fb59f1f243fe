//! Redirects of a program's streams to files and other open handles.

use super::conduit::Theirs;
use super::{RunBuilder, StdStream};
use crate::bridge::files::set_nonblocking;
use crate::error::ErrorKind;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

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
