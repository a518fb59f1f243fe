//! How a program is to be run: the settings of a Run.

use super::callback::Callback;
use super::conduit::Conduit;
use super::redirect::{Redirect, RedirectStderr};
#[cfg(feature = "pty")]
use super::terminal::Winsize;
use super::{Exited, Names, Run, RunError};
use crate::error::Error;
use crate::event::Posts;
use crate::filter::Filter;
use crate::id::WheelId;
use crate::kernel::KernelRef;
use crate::name::HeldName;
use crate::wheel::pump::{Formatter, Input, Parser, Settings, TypedFormatter, TypedParser, watermark_settings};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::panic::Location;
use std::process::Command;

/// Settings of a [`Run`].
///
/// | setting | default |
/// |---|---|
/// | [`stdout`](Self::stdout), [`stderr`](Self::stderr) | the program has ours |
/// | [`stdin_filter`](Self::stdin_filter) | lines that end in LF |
/// | [`conduit`](Self::conduit) | pipes |
/// | [`error`](Self::error), [`close`](Self::close), [`exit`](Self::exit), [`ended`](Self::ended), [`stdin_flushed`](Self::stdin_flushed) | not told |
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
/// # .on(START, |cx, ()| -> poe::HandlerResult {
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
#[must_use = "a program does not run until `start` is called"]
pub struct RunBuilder {
    pub(super) program: Program,
    pub(super) stdin: Option<Box<dyn Formatter>>,
    pub(super) stdout: Option<Box<dyn Parser>>,
    pub(super) stderr: Option<Box<dyn Parser>>,
    pub(super) names: Names,
    pub(super) settings: Settings,
    pub(super) conduit: Conduit,
    pub(super) no_stdin: bool,
    pub(super) redirects: [Option<Redirect>; 2],
    pub(super) redirect_stderr: Option<RedirectStderr>,
    pub(super) user: Option<u32>,
    pub(super) group: Option<u32>,
    pub(super) priority: Option<i32>,
    pub(super) own_group: bool,
    #[cfg(feature = "pty")]
    pub(super) winsize: Option<Winsize>,
    #[cfg(feature = "pty")]
    pub(super) raw: bool,
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
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
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
                .refuse("a function takes no arguments: capture them in the closure"),
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

    /// Turns what is put into bytes by that filter.
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

    /// Sends this event for errors and for the end of each output.
    ///
    /// Without it they are silent, except errors of filters, which are logged: a record that is refused (a line that is not
    /// UTF-8) at `warn!`, and the next one follows; a filter that cannot go on at `error!`, and that output is closed.
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
    /// ([`KernelRef::sig_child`](crate::KernelRef::sig_child) with the [`pid`](Run::pid)) and does not end with the wheel.
    #[doc(alias = "sig_child")]
    pub fn exit(mut self, event: impl Posts<Exited>) -> Self {
        self.names.exit = Some(HeldName::new(event.key()));
        self
    }

    /// Delivers `event` when the program has ended and all its outputs have ended, with the program's exit status.
    ///
    /// It is the last event of the wheel, after the exit event and the close event, so that everything that the program has said has
    /// been delivered. An output that has no event of its own is not waited for; without any, the event comes when the program
    /// has ended. What the program has started may hold an output open for longer than the program runs. Not told by default.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START};
    /// use poe::{filter::Line, wheel::{Exited, Input, Run}};
    /// const LINE: Event<Input<String>> = Event::new("line");
    /// const ENDED: Event<Exited> = Event::new("ended");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// Session::builder((None::<Run>, Vec::new()))
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let job = Run::shell("(sleep 0.1; echo from the background) & exit 3").no_stdin();
    ///         cx.heap.0 = Some(job.stdout(Line::new(), LINE).ended(ENDED).start(cx)?);
    ///         Ok(())
    ///     })
    ///     .on(LINE, |cx, input| cx.heap.1.push(input.record))
    ///     .on(ENDED, |cx, exited| {
    ///         cx.heap.0 = None;
    ///         assert_eq!(exited.status.and_then(|status| status.code()), Some(3));
    ///         assert_eq!(cx.heap.1, ["from the background"]);
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    #[doc(alias = "CloseEvent")]
    #[doc(alias = "sig_child")]
    pub fn ended(mut self, event: impl Posts<Exited>) -> Self {
        self.names.ended = Some(HeldName::new(event.key()));
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
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
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

    /// The program has our standard input, and nothing can be put.
    #[doc(alias = "NoStdin")]
    pub fn no_stdin(mut self) -> Self {
        self.no_stdin = true;
        self
    }

    /// Runs the program as that user, by number: real, effective and saved, and without our further groups if we are root.
    ///
    /// ```no_run
    /// # use poe::{Context, filter::Line, wheel::Run};
    /// # use std::process::Command;
    /// fn on_start(cx: &mut Context<'_, Option<Run>>, (): ()) -> poe::HandlerResult {
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
    /// fn on_start(cx: &mut Context<'_, Option<Run>>, (): ()) -> poe::HandlerResult {
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
    /// # .on(START, |cx, ()| -> poe::HandlerResult {
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
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
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
    pub fn start(mut self, kernel: &KernelRef<'_>) -> Result<Run, Error> {
        let place = Location::caller();
        self.check_settings();
        self.settings.verdict()?;
        kernel.own_slot()?;
        self.launch(kernel, place)
    }
}

watermark_settings!(RunBuilder);

pub(super) enum Program {
    Command(Command),
    /// A line for the shell, as it was given, and what is added to it.
    Shell(OsString),
    Callback(Callback),
}

impl Program {
    /// What it is called in errors: a program by its name, a line for the shell by its beginning, both without arguments of any
    /// length.
    pub(super) fn name(&self) -> String {
        const SHOWN: usize = 60;
        match self {
            Program::Command(command) => format!("`{}`", command.get_program().display()),
            Program::Shell(line) => {
                let line = line.to_string_lossy();
                match line.char_indices().nth(SHOWN) {
                    Some((end, _)) => format!("`{} …`", &line[..end]),
                    None => format!("`{line}`"),
                }
            }
            Program::Callback(_) => "a function".to_owned(),
        }
    }
}

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
