//! Streams of a program that go somewhere else than to the wheel.

use super::conduit::Theirs;
use super::{RunBuilder, StdStream};
use crate::bridge::files::set_nonblocking;
use crate::error::ErrorKind;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where a stream of the program goes instead of to the wheel: a file by name, which is opened when the program starts
/// (and emptied, if it is for output), or something that is open.
///
/// Opening never waits for the other side of a fifo: one that nobody has open for writing is at its end, and one that nobody reads
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
    /// To something that is open: a file, the end of a pipe, a socket.
    pub fn handle(open: impl Into<OwnedFd>) -> Self {
        Redirect(To::Handle(open.into()))
    }

    /// The stream and the program are for the text of an error.
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
        // A fifo must not have the kernel's thread wait for its other side.
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32);
        let opened = options.open(&path).and_then(|file| {
            // The program knows nothing of that.
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
    /// To wherever standard output goes.
    WithStdout,
}

impl RunBuilder {
    /// The program reads from there; nothing can be put.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, Redirect, Run}};
    /// # use std::io::Write;
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let (reader, mut writer) = std::io::pipe()?;
    ///         writer.write_all(b"hello\n")?;
    ///         let builder = Run::shell("cat").redirect_stdin(Redirect::handle(reader)); // or a file's name
    ///         let run = builder.stdout(Line::new(), OUT).start(cx)?;
    ///         assert!(run.put("more").unwrap_err().is_closed());
    ///         *cx.heap = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(OUT, |cx, input| {
    ///         assert_eq!(input.record, "hello");
    ///         *cx.heap = None;
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    #[doc(alias = "RedirectStdin")]
    pub fn redirect_stdin(mut self, from: impl Into<Redirect>) -> Self {
        self.redirects[0] = Some(from.into());
        self
    }

    /// The program's output goes there.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, wheel::{Exited, Run}};
    /// # const EXITED: Event<Exited> = Event::new("exited");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// let log = std::env::temp_dir().join(format!("poe-{}.log", std::process::id()));
    /// # let file = log.clone();
    /// # Session::builder(None::<Run>)
    /// # .on(START, move |cx, ()| -> poe::HandlerResult {
    /// #     let log = file.as_path();
    /// let run = Run::shell("echo hello").redirect_stdout(log).exit(EXITED).start(cx)?;
    /// #     *cx.heap = Some(run);
    /// #     Ok(())
    /// # })
    /// # .on(EXITED, |cx, _| *cx.heap = None)
    /// # .create(&kernel)?;
    /// # kernel.run().await?;
    /// // When it has ended:
    /// assert_eq!(std::fs::read_to_string(&log)?, "hello\n");
    /// # std::fs::remove_file(&log)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn redirect_stdout(mut self, to: impl Into<Redirect>) -> Self {
        self.redirects[1] = Some(to.into());
        self
    }

    /// What the program writes to standard error goes there.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, Redirect, Run}};
    /// # use std::io::Read;
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// let (mut reader, writer) = std::io::pipe()?;
    /// # Session::builder(None::<Run>)
    /// # .on(START, |cx, writer: std::io::PipeWriter| -> poe::HandlerResult {
    /// let builder = Run::shell("echo oh no >&2; echo done").redirect_stderr(Redirect::handle(writer));
    /// let run = builder.stdout(Line::new(), OUT).start(cx)?;
    /// #     *cx.heap = Some(run);
    /// #     Ok(())
    /// # })
    /// # .on(OUT, |cx, _| *cx.heap = None)
    /// # .args(writer).create(&kernel)?;
    /// # kernel.run().await?;
    /// let mut complaints = String::new();
    /// reader.read_to_string(&mut complaints)?; // until the program has ended
    /// assert_eq!(complaints, "oh no\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[doc(alias = "RedirectStderr")]
    pub fn redirect_stderr(mut self, to: impl Into<Redirect>) -> Self {
        self.redirect_stderr = Some(RedirectStderr::Away(to.into()));
        self
    }

    /// Both outputs of the program go there.
    ///
    /// ```
    /// # use poe::{Kernel, Session, event::START, wheel::{Redirect, Run}};
    /// # use std::io::Read;
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// let (mut reader, writer) = std::io::pipe()?;
    /// # Session::builder(())
    /// # .on(START, |cx, writer: std::io::PipeWriter| -> poe::HandlerResult {
    /// let run = Run::shell("echo one; echo two >&2").no_stdin().redirect_output(Redirect::handle(writer)).start(cx)?;
    /// #     Ok(())
    /// # })
    /// # .args(writer).create(&kernel)?;
    /// # kernel.run().await?;
    /// let mut text = String::new();
    /// reader.read_to_string(&mut text)?; // until the program has ended
    /// assert_eq!(text, "one\ntwo\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
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
