//! How a program is to be run: the settings of a Run, and its start.

use super::callback::{self, Callback, CallbackIo, CallbackStdin, CallbackStdout, KillFlag, PIPE, Sink, Source};
use super::conduit::{self, Conduit, Ours, Theirs, Wanted};
#[cfg(feature = "pty")]
use super::terminal::{self, Winsize};
use super::{Ending, Exited, Names, Part, Process, Run, RunError, Shared, StdStream};
use crate::bridge::processes::with_priority;
use crate::error::{Error, ErrorKind};
use crate::event::Posts;
use crate::filter::{Filter, Line};
use crate::id::WheelId;
use crate::kernel::Turn;
use crate::name::HeldName;
use crate::wheel::base::Base;
use crate::wheel::pump::{
    Events, Formatter, Input, Parser, Pump, Settings, Setup, State, TypedFormatter, TypedParser, handle,
    watermark_settings,
};
use std::cell::{Cell, RefCell};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Where a stream of the program goes instead of to the wheel: a file by name, which is opened when the program starts
/// (and emptied, if it is for output), or something that is open.
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
/// # .on(START, move |cx, writer: std::io::PipeWriter| -> poe::Handled {
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

    fn open(self, for_output: bool) -> io::Result<OwnedFd> {
        match self.0 {
            To::Handle(fd) => Ok(fd),
            To::Path(path) if for_output => Ok(File::create(path)?.into()),
            To::Path(path) => Ok(File::open(path)?.into()),
        }
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

pub(super) enum Program {
    Command(Command),
    /// A line for the shell, as it was given, and what is added to it.
    Shell(OsString),
    Callback(Callback),
}

/// Settings of a [`Run`].
///
/// | setting | default |
/// |---|---|
/// | [`stdout`](Self::stdout), [`stderr`](Self::stderr) | the program has ours |
/// | [`stdin_filter`](Self::stdin_filter) | lines that end in LF |
/// | [`conduit`](Self::conduit) | pipes |
/// | [`error`](Self::error), [`close`](Self::close), [`exit`](Self::exit), [`stdin_flushed`](Self::stdin_flushed) | not told |
/// | `winsize` | that of our own terminal, if there is one |
/// | [`process_group`](Self::process_group) | one of its own |
///
/// ```
/// use poe::{Event, filter::Line, wheel::{Input, Run}};
/// use std::process::Command;
/// const LINE: Event<Input<String>> = Event::new("line");
/// const CLOSED: Event<poe::WheelId> = Event::new("closed");
/// let mut ls = Command::new("ls");
/// ls.arg("-l").current_dir("/");
/// let builder = Run::builder(ls).stdout(Line::new(), LINE).close(CLOSED).no_stdin();
/// ```
///
/// All that it can tell, of a program that gives back what it is given:
///
/// ```
/// # use poe::{Event, Kernel, Session, WheelId, event::START, filter::Line, testing::Transcript};
/// # use poe::wheel::{Exited, Input, Run, RunError};
/// # const OUT: Event<Input<String>> = Event::new("out");
/// # const ERR: Event<Input<String>> = Event::new("err");
/// # const ERROR: Event<RunError> = Event::new("error");
/// # const CLOSED: Event<WheelId> = Event::new("closed");
/// # const EXITED: Event<Exited> = Event::new("exited");
/// # const FLUSHED: Event<WheelId> = Event::new("flushed");
/// # const HIGH: Event<WheelId> = Event::new("high");
/// # const LOW: Event<WheelId> = Event::new("low");
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let transcript = Transcript::of(&kernel);
/// # Session::builder((None::<Run>, 2))
/// # .on(START, |cx, ()| -> poe::Handled {
/// let run = Run::shell("cat; echo done >&2")
///     .stdin_filter(Line::new().output_literal("\n"))
///     .stdin_flushed(FLUSHED)
///     .watermarks(6, 2).high(HIGH).low(LOW)
///     .stdout(Line::new(), OUT)
///     .stderr(Line::new(), ERR)
///     .error(ERROR)
///     .close(CLOSED)
///     .exit(EXITED)
///     .start(cx)?;
/// assert!(run.put("hello")?.is_high());
/// run.shutdown_stdin_after_flush();
/// # cx.heap.0 = Some(run);
/// # Ok(()) })
/// # .on(ERROR, |_, failed| assert!(failed.is_eof()))
/// # .on(CLOSED, |cx, _| { cx.heap.1 -= 1; if cx.heap.1 == 0 { cx.heap.0 = None } })
/// # .on(EXITED, |cx, _| { cx.heap.1 -= 1; if cx.heap.1 == 0 { cx.heap.0 = None } })
/// # .create(&kernel)?;
/// # kernel.run().await?;
/// # let mut events: Vec<String> = transcript.records().into_iter().map(|record| record.event).collect();
/// assert_eq!(events[..4], ["_start", "high", "low", "flushed"]);
/// # let mut events = events.split_off(4);
/// # events.sort();
/// // What the program does comes in its own order, the exit before or after the close; each output has its end.
/// assert_eq!(events, ["_stop", "closed", "err", "error", "error", "exited", "out"]); // sorted
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[must_use = "a program runs only after `start`"]
pub struct RunBuilder {
    program: Program,
    stdin: Option<Box<dyn Formatter>>,
    stdout: Option<Box<dyn Parser>>,
    stderr: Option<Box<dyn Parser>>,
    names: Names,
    settings: Settings,
    conduit: Conduit,
    no_stdin: bool,
    redirects: [Option<Redirect>; 2],
    redirect_stderr: Option<RedirectStderr>,
    user: Option<u32>,
    group: Option<u32>,
    priority: Option<i32>,
    own_group: bool,
    #[cfg(feature = "pty")]
    winsize: Option<Winsize>,
    #[cfg(feature = "pty")]
    raw: bool,
}

enum RedirectStderr {
    Away(Redirect),
    /// To wherever standard output goes.
    WithStdout,
}

impl RunBuilder {
    pub(super) fn new(program: Program) -> Self {
        RunBuilder {
            program,
            stdin: None,
            stdout: None,
            stderr: None,
            names: Names::default(),
            settings: Settings::default(),
            conduit: Conduit::Pipe,
            no_stdin: false,
            redirects: [None, None],
            redirect_stderr: None,
            user: None,
            group: None,
            priority: None,
            own_group: true,
            #[cfg(feature = "pty")]
            winsize: None,
            #[cfg(feature = "pty")]
            raw: true,
        }
    }

    /// Adds arguments. To a line for the shell they are added with blanks between, for the shell to take apart again; a
    /// function takes none.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, Run}};
    /// # use std::process::Command;
    /// # const COMMAND: Event<Input<String>> = Event::new("command");
    /// # const SHELL: Event<Input<String>> = Event::new("shell");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let transcript = poe::testing::Transcript::of(&kernel);
    /// # Session::builder(Vec::<Run>::new())
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let of_command = Run::builder(Command::new("echo")).no_stdin().args(["two  blanks", "; true"]);
    ///         let of_shell = Run::shell("echo").no_stdin().args(["two  blanks", "; true"]);
    ///         let (of_command, of_shell) = (of_command.stdout(Line::new(), COMMAND), of_shell.stdout(Line::new(), SHELL));
    ///         *cx.heap = vec![of_command.start(cx)?, of_shell.start(cx)?];
    ///         Ok(())
    ///     })
    ///     .on(COMMAND, |_, input| assert_eq!(input.record, "two  blanks ; true"))
    ///     .on(SHELL, |_, input| assert_eq!(input.record, "two blanks"))
    /// #   .create(&kernel)?;
    /// # kernel.run().await?;
    /// # assert_eq!(transcript.records().len(), 4); // _start and _stop
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "ProgramArgs")]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        match &mut self.program {
            Program::Command(command) => {
                command.args(args);
            }
            Program::Shell(line) => {
                for arg in args {
                    line.push(" ");
                    line.push(arg);
                }
            }
            Program::Callback(_) => self
                .settings
                .refuse("a function takes no arguments: have it capture them"),
        }
        self
    }

    /// Reads the program's output by that filter; each record comes as that event. Without it the program's output is
    /// ours.
    #[doc(alias = "StdoutEvent")]
    #[doc(alias = "StdoutFilter")]
    #[doc(alias = "StdioFilter")]
    pub fn stdout<F: Filter>(mut self, filter: F, event: impl Posts<Input<F::Input>>) -> Self {
        self.settings.check(&filter);
        self.stdout = Some(Box::new(TypedParser::new(filter, event)));
        self
    }

    /// Reads what the program writes to standard error, likewise. On `Conduit::Pty` there is no such stream of its own,
    /// and this is ignored with a warning.
    #[doc(alias = "StderrEvent")]
    #[doc(alias = "StderrFilter")]
    pub fn stderr<F: Filter>(mut self, filter: F, event: impl Posts<Input<F::Input>>) -> Self {
        self.settings.check(&filter);
        self.stderr = Some(Box::new(TypedParser::new(filter, event)));
        self
    }

    /// Turns what is put into octets by that filter.
    #[doc(alias = "StdinFilter")]
    #[doc(alias = "StdioFilter")]
    pub fn stdin_filter<F: Filter>(mut self, filter: F) -> Self {
        self.settings.check(&filter);
        self.stdin = Some(Box::new(TypedFormatter(filter)));
        self
    }

    /// Tells when everything that was put has been written.
    #[doc(alias = "StdinEvent")]
    pub fn stdin_flushed(mut self, event: impl Posts<WheelId>) -> Self {
        self.settings.events.flushed = Some(HeldName::new(event.key()));
        self
    }

    /// Tells of errors and of the end of each output. Without it they are silent, but for errors of filters, which are a
    /// `DIE` of the session then.
    #[doc(alias = "ErrorEvent")]
    pub fn error(mut self, event: impl Posts<RunError>) -> Self {
        self.names.error = Some(HeldName::new(event.key()));
        self
    }

    /// Tells, once, that all outputs that have an event have ended, after the last of their records and errors. The program
    /// itself may have ended before, or not yet.
    #[doc(alias = "CloseEvent")]
    pub fn close(mut self, event: impl Posts<WheelId>) -> Self {
        self.names.close = Some(HeldName::new(event.key()));
        self
    }

    /// Tells how the program ended, before or after the close event. POE has it by `sig_child` alone, which works as well
    /// ([`Turn::sig_child`](crate::Turn::sig_child) with the [`pid`](Run::pid)) and does not end with the wheel.
    #[doc(alias = "sig_child")]
    pub fn exit(mut self, event: impl Posts<Exited>) -> Self {
        self.names.exit = Some(HeldName::new(event.key()));
        self
    }

    /// What connects us with the program.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Conduit, Input, Run}};
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let builder = Run::shell("test -S /dev/stdin && echo a socket").conduit(Conduit::Socketpair);
    ///         *cx.heap = Some(builder.stdout(Line::new(), OUT).start(cx)?);
    ///         Ok(())
    ///     })
    ///     .on(OUT, |cx, input| {
    ///         assert_eq!(input.record, "a socket");
    ///         *cx.heap = None;
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    pub fn conduit(mut self, conduit: Conduit) -> Self {
        self.conduit = conduit;
        self
    }

    /// The size of the program's terminal; only for conduits that are terminals, with a warning for others.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Conduit, Input, Run}};
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let builder = Run::shell("stty size").conduit(Conduit::Pty).winsize((24, 80));
    ///         *cx.heap = Some(builder.stdout(Line::new(), OUT).start(cx)?);
    ///         Ok(())
    ///     })
    ///     .on(OUT, |cx, input| {
    ///         assert_eq!(input.record, "24 80");
    ///         *cx.heap = None;
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    #[cfg(feature = "pty")]
    pub fn winsize(mut self, size: impl Into<Winsize>) -> Self {
        self.winsize = Some(size.into());
        self
    }

    /// Whether the terminal is raw at first, as in POE: no echo, no line editing, no keys that are signals. Default true;
    /// many programs change it anyway.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Conduit, Input, Run}};
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder((None::<Run>, Vec::new()))
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let builder = Run::shell("read name; echo hello $name").conduit(Conduit::Pty).raw(false);
    ///         let run = builder.stdout(Line::new(), OUT).start(cx)?;
    ///         run.put("world")?;
    ///         cx.heap.0 = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(OUT, |cx, input| {
    ///         cx.heap.1.push(input.record);
    ///         if cx.heap.1.len() == 2 {
    ///             assert_eq!(cx.heap.1, ["world", "hello world"]); // the terminal has shown what was typed
    ///             cx.heap.0 = None;
    ///         }
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    #[cfg(feature = "pty")]
    pub fn raw(mut self, raw: bool) -> Self {
        self.raw = raw;
        self
    }

    /// The program has our standard input, and nothing can be put.
    #[doc(alias = "NoStdin")]
    pub fn no_stdin(mut self) -> Self {
        self.no_stdin = true;
        self
    }

    /// The program reads from there; nothing can be put.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, Redirect, Run}};
    /// # use std::io::Write;
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::Handled {
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
    /// # .on(START, move |cx, ()| -> poe::Handled {
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
    /// # .on(START, |cx, writer: std::io::PipeWriter| -> poe::Handled {
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
    /// # .on(START, |cx, writer: std::io::PipeWriter| -> poe::Handled {
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

    /// Runs the program as that user, by number: real, effective and saved, and without our further groups if we are root.
    ///
    /// ```no_run
    /// # use poe::{Context, filter::Line, wheel::Run};
    /// # use std::process::Command;
    /// fn on_start(cx: &mut Context<'_, Option<Run>>, (): ()) -> poe::Handled {
    ///     // Only root may do this.
    ///     let builder = Run::builder(Command::new("id")).user(65_534).group(65_534);
    ///     *cx.heap = Some(builder.stdout(Line::new(), "line").start(cx)?);
    ///     Ok(())
    /// }
    /// ```
    #[doc(alias = "User")]
    pub fn user(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        self
    }

    /// Runs the program in that group, by number.
    ///
    /// ```no_run
    /// # use poe::{Context, filter::Line, wheel::Run};
    /// fn on_start(cx: &mut Context<'_, Option<Run>>, (): ()) -> poe::Handled {
    ///     // Only root may choose a group that it is not in itself.
    ///     *cx.heap = Some(Run::shell("id -g").group(65_534).stdout(Line::new(), "line").start(cx)?);
    ///     Ok(())
    /// }
    /// ```
    #[doc(alias = "Group")]
    pub fn group(mut self, gid: u32) -> Self {
        self.group = Some(gid);
        self
    }

    /// Adds so much to the program's priority number, its niceness. What the system does not allow is silently not done.
    /// On other systems than Linux the program's first moments have ours.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, Run}};
    /// # use std::process::Command;
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// // `nice` alone prints its number; ours is most often 0, and 19 is the last.
    /// let ours: i32 = String::from_utf8(Command::new("nice").output()?.stdout)?.trim().parse()?;
    /// # Session::builder(None::<Run>)
    /// # .on(START, |cx, ()| -> poe::Handled {
    /// let run = Run::builder(Command::new("nice")).priority(5).stdout(Line::new(), OUT).start(cx)?;
    /// #     *cx.heap = Some(run);
    /// #     Ok(())
    /// # })
    /// # .on(OUT, move |cx, input| {
    /// // What comes:
    /// assert_eq!(input.record, (ours + 5).min(19).to_string());
    /// #     *cx.heap = None;
    /// # })
    /// # .create(&kernel)?;
    /// # kernel.run().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[doc(alias = "Priority")]
    pub fn priority(mut self, added: i32) -> Self {
        self.priority = Some(added);
        self
    }

    /// Whether the program leads a process group of its own; default true. One on a terminal leads a session of its own in
    /// any case.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, Run}};
    /// # const LEADER: Event<Input<String>> = Event::new("leader");
    /// # const FOLLOWER: Event<Input<String>> = Event::new("follower");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let transcript = poe::testing::Transcript::of(&kernel);
    /// # Session::builder(Vec::<Run>::new())
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let run = || Run::shell("kill -0 -$$ 2>/dev/null && echo leads || echo follows").no_stdin();
    ///         let follower = run().process_group(false).stdout(Line::new(), FOLLOWER);
    ///         *cx.heap = vec![run().stdout(Line::new(), LEADER).start(cx)?, follower.start(cx)?];
    ///         Ok(())
    ///     })
    ///     .on(LEADER, |_, input| assert_eq!(input.record, "leads"))
    ///     .on(FOLLOWER, |_, input| assert_eq!(input.record, "follows"))
    /// #   .create(&kernel)?;
    /// # kernel.run().await?;
    /// # assert_eq!(transcript.records().len(), 4);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "NoSetPgrp")]
    #[doc(alias = "NoSetSid")]
    pub fn process_group(mut self, own: bool) -> Self {
        self.own_group = own;
        self
    }

    /// What does not go together.
    fn check_settings(&mut self) {
        if self.conduit.is_pty() && (self.redirects.iter().any(Option::is_some) || self.redirect_stderr.is_some()) {
            self.settings
                .refuse("a program on a terminal cannot have its streams redirected");
        }
        if self.stdout.is_some() && self.redirects[1].is_some() {
            self.settings
                .refuse("standard output cannot both have an event and be redirected");
        }
        if self.stderr.is_some() && self.redirect_stderr.is_some() {
            self.settings
                .refuse("standard error cannot both have an event and be redirected");
        }
        if let Program::Callback(_) = self.program
            && (self.user.is_some() || self.group.is_some() || self.priority.is_some())
        {
            self.settings
                .refuse("a function runs as this process does: no user, group or priority of its own");
        }
        if self.stderr.is_some() && !self.conduit.has_stderr() {
            tracing::warn!(target: "poe::wheels", "a pseudo terminal has no standard error of its own: its event is ignored");
            self.stderr = None;
        }
        #[cfg(feature = "pty")]
        if self.winsize.is_some() && !self.conduit.is_pty() {
            tracing::warn!(target: "poe::wheels", "only a terminal has a size: it is ignored");
        }
    }

    /// Starts the program and the wheel for the session that is running; pass the handler's context.
    ///
    /// # Errors
    /// The program cannot be run: it is not there, or may not be executed (POE tells of that by the exit status; a line
    /// for the shell still does). A file for a redirect cannot be opened. Settings do not go together. No descriptor is
    /// left. There is no Tokio runtime, or the kernel is on virtual time, which only functions on
    /// pipes can run on. The session has been stopped. Nothing is left behind.
    #[track_caller]
    pub fn start(mut self, turn: &Turn<'_>) -> Result<Run, Error> {
        let place = Location::caller();
        self.check_settings();
        self.settings.verdict()?;
        turn.own_slot()?;
        self.launch(turn, place).map_err(|error| {
            ErrorKind::Io {
                operation: "running a program",
                error,
            }
            .into()
        })
    }

    fn launch(mut self, turn: &Turn<'_>, place: &'static Location<'static>) -> io::Result<Run> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(io::Error::other("there is no Tokio runtime"));
        }
        let in_memory = matches!(self.program, Program::Callback(_)) && self.conduit == Conduit::Pipe;
        if turn.core.is_virtual() && !in_memory {
            let why = "a kernel on virtual time runs functions on pipes only";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let wanted = Wanted {
            stdin: !self.no_stdin && self.redirects[0].is_none(),
            stdout: self.stdout.is_some(),
            stderr: self.stderr.is_some(),
        };
        let away = self.open_redirects()?;
        let program = std::mem::replace(&mut self.program, Program::Shell(OsString::new()));
        let launched = match program {
            Program::Callback(callback) => self.call(callback, wanted, away)?,
            Program::Command(command) => self.spawn(command, wanted, away)?,
            Program::Shell(line) => {
                let mut command = Command::new("/bin/sh");
                command.arg("-c").arg(line);
                self.spawn(command, wanted, away)?
            }
        };
        Ok(self.connect(turn, place, wanted, launched))
    }

    fn open_redirects(&mut self) -> io::Result<Theirs> {
        let [stdin, stdout] = &mut self.redirects;
        let stdin = stdin.take().map(|from| from.open(false)).transpose()?;
        let stdout = stdout.take().map(|to| to.open(true)).transpose()?;
        let stderr = match (self.redirect_stderr.take(), &stdout) {
            (Some(RedirectStderr::Away(to)), _) => Some(to.open(true)?),
            (Some(RedirectStderr::WithStdout), Some(stdout)) => Some(stdout.try_clone()?),
            _ => None,
        };
        Ok(Theirs { stdin, stdout, stderr })
    }

    /// Runs a program in a process of its own.
    fn spawn(&self, mut command: Command, wanted: Wanted, away: Theirs) -> io::Result<Launched> {
        if let Some(gid) = self.group {
            command.gid(gid);
        }
        if let Some(uid) = self.user {
            command.uid(uid);
        }
        #[cfg(feature = "pty")]
        if self.conduit.is_pty() {
            let (child, ours, terminal) = terminal::spawn(command, self.conduit, wanted, self.size(), self.priority)?;
            return Ok(Launched {
                process: Process::Child {
                    pid: child.id(),
                    leads: true,
                },
                child: Some(child),
                streams: Streams::of(ours),
                terminal: Some(terminal),
                function: None,
            });
        }
        if self.own_group {
            command.process_group(0);
        }
        let (ours, theirs) = conduit::connect(self.conduit, wanted)?;
        if let Some(fd) = theirs.stdin.or(away.stdin) {
            command.stdin(Stdio::from(fd));
        }
        if let Some(fd) = theirs.stdout.or(away.stdout) {
            command.stdout(Stdio::from(fd));
        }
        if let Some(fd) = theirs.stderr.or(away.stderr) {
            command.stderr(Stdio::from(fd));
        }
        let child = match self.priority {
            Some(added) => with_priority(added, || command.spawn())?,
            None => command.spawn()?,
        };
        Ok(Launched {
            process: Process::Child {
                pid: child.id(),
                leads: self.own_group,
            },
            child: Some(child),
            streams: Streams::of(ours),
            #[cfg(feature = "pty")]
            terminal: None,
            function: None,
        })
    }

    #[cfg(feature = "pty")]
    fn size(&self) -> terminal::Setup {
        terminal::Setup {
            size: self.winsize,
            raw: self.raw,
        }
    }

    /// Runs a function on a thread for blocking work.
    fn call(&self, callback: Callback, wanted: Wanted, away: Theirs) -> io::Result<Launched> {
        let killed = KillFlag::new();
        let mut streams = Streams::default();
        let mut theirs = Theirs::default();
        let mut memory = [None, None, None];
        #[cfg(feature = "pty")]
        let mut terminal = None;
        match self.conduit {
            Conduit::Pipe => {
                if wanted.stdin {
                    let (our, their) = tokio::io::duplex(PIPE);
                    streams.stdin = Some(Box::pin(our));
                    memory[0] = Some(their);
                }
                if wanted.stdout {
                    let (our, their) = tokio::io::duplex(PIPE);
                    streams.stdout = Some(Box::pin(our));
                    memory[1] = Some(their);
                }
                if wanted.stderr {
                    let (our, their) = tokio::io::duplex(PIPE);
                    streams.stderr = Some(Box::pin(our));
                    memory[2] = Some(their);
                }
            }
            #[cfg(feature = "pty")]
            conduit if conduit.is_pty() => {
                let (ours, on_terminal, our_terminal) = terminal::connect(conduit, wanted, self.size())?;
                streams = Streams::of(ours);
                theirs = on_terminal;
                terminal = Some(our_terminal);
            }
            conduit => {
                let (ours, on_sockets) = conduit::connect(conduit, wanted)?;
                streams = Streams::of(ours);
                theirs = on_sockets;
            }
        }
        let [stdin, stdout, stderr] = memory;
        let file = |theirs: Option<OwnedFd>, away: Option<OwnedFd>| theirs.or(away).map(File::from);
        let output = |memory, file: Option<File>, inherited| match (memory, file) {
            (Some(pipe), _) => Sink::Pipe(pipe),
            (None, Some(file)) => Sink::File(file),
            (None, None) => inherited,
        };
        let io = CallbackIo {
            stdin: CallbackStdin(match (stdin, file(theirs.stdin, away.stdin)) {
                (Some(pipe), _) => Source::Pipe(pipe),
                (None, Some(file)) => Source::File(file),
                (None, None) => Source::Inherited,
            }),
            stdout: CallbackStdout(output(stdout, file(theirs.stdout, away.stdout), Sink::InheritedOutput)),
            stderr: CallbackStdout(output(stderr, file(theirs.stderr, away.stderr), Sink::InheritedError)),
            killed: killed.clone(),
        };
        let function = tokio::task::spawn_blocking(move || callback::run(callback, io));
        Ok(Launched {
            process: Process::Function { killed },
            child: None,
            streams,
            #[cfg(feature = "pty")]
            terminal,
            function: Some(function),
        })
    }

    /// Makes the wheel around what runs.
    fn connect(self, turn: &Turn<'_>, place: &'static Location<'static>, wanted: Wanted, launched: Launched) -> Run {
        let base = Rc::new(Base::new(turn, place));
        let what = format!("Run {}", base.id());
        let shared = Rc::new(Shared {
            base: base.clone(),
            outputs: Cell::new(u8::from(wanted.stdout) + u8::from(wanted.stderr)),
            names: RefCell::new(self.names),
        });
        let pid = launched.child.as_ref().map(std::process::Child::id);
        if let Some(child) = launched.child {
            turn.core.adopt_child(child);
        }
        let streams = launched.streams;
        let pump = |name: &str, part, setup: Setup, reads: bool, writes: bool| {
            let state = State::new(base.clone(), setup);
            state.set_part(Box::new(Part {
                shared: shared.clone(),
                output: part,
            }));
            if !reads {
                state.shut_input();
            }
            if !writes {
                state.shut_output(false);
            }
            state
                .task
                .set(base.start(name, false, Box::new(Pump::new(state.clone()))));
            state
        };
        let stdio = (wanted.stdin || wanted.stdout).then(|| {
            let (reads, writes) = (streams.stdout.is_some(), streams.stdin.is_some());
            let input = streams.stdout.unwrap_or_else(|| Box::pin(tokio::io::empty()));
            let output = streams.stdin.unwrap_or_else(|| Box::pin(tokio::io::sink()));
            let setup = Setup {
                io: handle::pair(input, output),
                parser: self.stdout,
                formatter: self
                    .stdin
                    .unwrap_or_else(|| Box::new(TypedFormatter(Line::new().output_literal("\n")))),
                events: self.settings.events,
                marks: self.settings.marks,
                driver: crate::driver::SysRW::new(),
                auto_flush: false,
            };
            pump(&what, StdStream::Stdout, setup, reads, writes)
        });
        let stderr = streams.stderr.map(|input| {
            let setup = Setup {
                io: handle::pair(input, tokio::io::sink()),
                parser: self.stderr,
                formatter: Box::new(TypedFormatter(Line::new())),
                events: Events::default(),
                marks: None,
                driver: crate::driver::SysRW::new(),
                auto_flush: false,
            };
            pump(&format!("{what} (STDERR)"), StdStream::Stderr, setup, true, false)
        });
        let ending = Ending::start(turn.core, &shared, pid, launched.function);
        Run {
            shared,
            stdio,
            stderr,
            ending,
            process: launched.process,
            #[cfg(feature = "pty")]
            terminal: launched.terminal,
        }
    }
}

watermark_settings!(RunBuilder);

impl fmt::Debug for RunBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RunBuilder");
        match &self.program {
            Program::Command(command) => out.field("program", command),
            Program::Shell(line) => out.field("program", line),
            Program::Callback(_) => out.field("program", &"a function"),
        };
        out.field("conduit", &self.conduit).finish_non_exhaustive()
    }
}

struct Launched {
    process: Process,
    child: Option<std::process::Child>,
    streams: Streams,
    #[cfg(feature = "pty")]
    terminal: Option<crate::bridge::streams::FdStream>,
    function: Option<tokio::task::JoinHandle<std::process::ExitStatus>>,
}

type BoxedRead = Pin<Box<dyn AsyncRead>>;

/// Our ends, whatever they are made of.
#[derive(Default)]
struct Streams {
    stdin: Option<Pin<Box<dyn AsyncWrite>>>,
    stdout: Option<BoxedRead>,
    stderr: Option<BoxedRead>,
}

impl Streams {
    fn of(ours: Ours) -> Self {
        Streams {
            stdin: ours.stdin.map(|end| Box::pin(end) as Pin<Box<dyn AsyncWrite>>),
            stdout: ours.stdout.map(|end| Box::pin(end) as BoxedRead),
            stderr: ours.stderr.map(|end| Box::pin(end) as BoxedRead),
        }
    }
}
