//! The settings of a Run.

use super::callback::Callback;
use super::conduit::{Conduit, Redirect, RedirectStderr};
#[cfg(feature = "pty")]
use super::terminal::Winsize;
use super::{Exited, Names, Run};
use crate::error::Error;
use crate::event::Posts;
use crate::filter::Filter;
use crate::id::WheelId;
use crate::kernel::KernelRef;
use crate::name::HeldName;
use crate::wheel::base::{Tag, tag_setting};
use crate::wheel::error::IoError;
use crate::wheel::pump::{Formatter, Input, Parser, Settings, TypedFormatter, TypedParser, watermark_settings};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::panic::Location;
use std::process::Command;

/// Configures a [`Run`] wheel.
///
/// | setting | default |
/// |---|---|
/// | [`stdout`](Self::stdout), [`stderr`](Self::stderr) | inherited from this process |
/// | [`stdin_filter`](Self::stdin_filter) | lines that end in LF |
/// | [`conduit`](Self::conduit) | pipes |
/// | [`error`](Self::error), [`close`](Self::close), [`exit`](Self::exit), [`ended`](Self::ended), [`stdin_flushed`](Self::stdin_flushed) | no event |
/// | `winsize` | that of this process's terminal, if there is one |
/// | [`process_group`](Self::process_group) | a separate group |
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
    pub(super) tag: Tag,
}

tag_setting!([] RunBuilder, tag);

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
            tag: Tag::default(),
        }
    }

    /// Adds arguments.
    ///
    /// They are appended to a shell line with blanks between, and split again by the shell. A function takes none.
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

    /// Reads the program's output with this filter and sends each record as this event.
    ///
    /// Without it the program inherits this process's standard output.
    #[doc(alias = "StdoutEvent")]
    #[doc(alias = "StdoutFilter")]
    #[doc(alias = "StdioFilter")]
    pub fn stdout<F: Filter>(mut self, filter: F, event: impl Posts<Input<F::Input>>) -> Self {
        self.settings.check(&filter);
        self.stdout = Some(Box::new(TypedParser::new(filter, event)));
        self
    }

    /// Reads the program's standard error with this filter and sends each record as this event.
    ///
    /// `Conduit::Pty` has no separate standard error: the setting is ignored with a warning.
    #[doc(alias = "StderrEvent")]
    #[doc(alias = "StderrFilter")]
    pub fn stderr<F: Filter>(mut self, filter: F, event: impl Posts<Input<F::Input>>) -> Self {
        self.settings.check(&filter);
        self.stderr = Some(Box::new(TypedParser::new(filter, event)));
        self
    }

    /// Turns records that are put into bytes with this filter.
    #[doc(alias = "StdinFilter")]
    #[doc(alias = "StdioFilter")]
    pub fn stdin_filter<F: Filter>(mut self, filter: F) -> Self {
        self.settings.check(&filter);
        self.stdin = Some(Box::new(TypedFormatter(filter)));
        self
    }

    /// Sends this event when everything that was put has been written.
    #[doc(alias = "StdinEvent")]
    pub fn stdin_flushed(mut self, event: impl Posts<WheelId>) -> Self {
        self.settings.events.flushed = Some(HeldName::new(event.key()));
        self
    }

    /// Sends this event for errors and for the end of each output.
    ///
    /// Without it they are silent, except errors of filters, which are logged: a rejected record (a line that is not
    /// UTF-8) at `warn!`, and the next one follows; a filter that cannot go on at `error!`, and that output is closed.
    #[doc(alias = "ErrorEvent")]
    pub fn error(mut self, event: impl Posts<IoError>) -> Self {
        self.names.error = Some(HeldName::new(event.key()));
        self
    }

    /// Sends this event once, when all outputs that have an event have ended, after their last records and errors.
    ///
    /// The program itself may have ended before, or not yet.
    #[doc(alias = "CloseEvent")]
    pub fn close(mut self, event: impl Posts<WheelId>) -> Self {
        self.names.close = Some(HeldName::new(event.key()));
        self
    }

    /// Sends this event when the program has ended, before or after the close event.
    ///
    /// POE has only `sig_child` for it, which works as well
    /// ([`KernelRef::sig_child`](crate::KernelRef::sig_child) with the [`pid`](Run::pid)) and does not end with the wheel.
    #[doc(alias = "sig_child")]
    pub fn exit(mut self, event: impl Posts<Exited>) -> Self {
        self.names.exit = Some(HeldName::new(event.key()));
        self
    }

    /// Delivers `event` when the program has ended and all its outputs have ended, with the program's exit status.
    ///
    /// It is the last event of the wheel, after the exit event and the close event, so that all output of the program has
    /// been delivered. It does not wait for an output without an event; without any, the event comes when the program
    /// has ended. Programs that this program has started may hold an output open for longer than it runs. Off by default.
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

    /// Sets the kind of connection to the program; default pipes.
    pub fn conduit(mut self, conduit: Conduit) -> Self {
        self.conduit = conduit;
        self
    }

    /// Lets the program inherit this process's standard input; nothing can be put.
    #[doc(alias = "NoStdin")]
    pub fn no_stdin(mut self) -> Self {
        self.no_stdin = true;
        self
    }

    /// Runs the program as this user, by number: real, effective and saved, and without this process's other groups if it is root.
    #[doc(alias = "User")]
    pub fn user(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        self
    }

    /// Runs the program in this group, by number.
    #[doc(alias = "Group")]
    pub fn group(mut self, gid: u32) -> Self {
        self.group = Some(gid);
        self
    }

    /// Adds `added` to the program's priority number, its niceness.
    ///
    /// Changes that the system does not allow are silently skipped.
    /// On systems other than Linux the program starts with this process's priority.
    #[doc(alias = "Priority")]
    pub fn priority(mut self, added: i32) -> Self {
        self.priority = Some(added);
        self
    }

    /// Sets whether the program leads a separate process group; default true.
    ///
    /// A program on a terminal leads a separate session in any case.
    #[doc(alias = "NoSetPgrp")]
    #[doc(alias = "NoSetSid")]
    pub fn process_group(mut self, own: bool) -> Self {
        self.own_group = own;
        self
    }

    /// Checks for settings that exclude each other.
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
                .refuse("a function runs inside this process: it cannot have another user, group or priority");
        }
        if self.stderr.is_some() && !self.conduit.has_stderr() {
            tracing::warn!(target: "poe::wheels", "a pseudo terminal has no separate standard error: its event is ignored");
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
    /// The program cannot be run: it does not exist, or must not be executed (POE reports that in the exit status; a shell line
    /// still does). A file for a redirect cannot be opened. Settings exclude each other. No descriptor is
    /// left. There is no Tokio runtime, or the kernel is on virtual time, on which only functions on
    /// pipes can run. The session has been stopped. After an error nothing keeps running.
    #[track_caller]
    pub fn start(mut self, kernel: &KernelRef<'_>) -> Result<Run, Error> {
        let place = Location::caller();
        self.check_settings();
        self.settings.verdict()?;
        kernel.own_slot()?;
        self.launch(kernel, place)
    }
}

watermark_settings!([] RunBuilder, settings);

pub(super) enum Program {
    Command(Command),
    /// A shell line as it was given, and the arguments added to it.
    Shell(OsString),
    Callback(Callback),
}

impl Program {
    /// Returns the program's name for errors: a program's name, or the beginning of a shell line, without long arguments.
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
