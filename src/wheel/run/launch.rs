//! The start of a Run: first the program and its streams, then the wheel around them.

use super::builder::Program;
use super::callback::{self, Callback, CallbackIo, CallbackStdin, CallbackStdout, KillFlag, PIPE, Sink, Source};
use super::conduit::{self, Conduit, Connected, Ours, Theirs, Wanted};
#[cfg(feature = "pty")]
use super::terminal;
use super::{Ending, Process, ProgramState, Run, RunBuilder, RunPart, StdStream, exec};
use crate::bridge::processes::{keep_statuses, with_priority};
use crate::bridge::threads::{Job, Threads};
use crate::error::{Error, ErrorKind};
use crate::filter::Line;
use crate::id::Place;
use crate::kernel::KernelRef;
use crate::wheel::base::Base;
use crate::wheel::pump::{Events, FLUSH_TIMEOUT, Limits, Pump, PumpState, Setup, TypedFormatter, handle};
use std::cell::{Cell, RefCell};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite};

impl RunBuilder {
    pub(super) fn launch(mut self, kernel: &KernelRef<'_>, place: Place) -> Result<Run, Error> {
        let name = self.program.name();
        let cannot_run = |error, cure| Error::from(cannot_run(&name, error, cure));
        if tokio::runtime::Handle::try_current().is_err() {
            let error = io::Error::other("there is no Tokio runtime");
            return Err(cannot_run(error, "start it while the kernel runs"));
        }
        let in_memory = matches!(self.program, Program::Callback(_)) && self.conduit == Conduit::Pipe;
        if kernel.core.is_virtual() && !in_memory {
            let why = "a kernel on virtual time runs functions on pipes only";
            return Err(cannot_run(io::Error::new(io::ErrorKind::Unsupported, why), ""));
        }
        let wanted = Wanted {
            stdin: !self.no_stdin && self.redirects[0].is_none(),
            stdout: self.stdout.is_some(),
            stderr: self.stderr.is_some(),
        };
        let away = self.open_redirects(&name)?;
        let program = std::mem::replace(&mut self.program, Program::Shell(OsString::new()));
        let launched = match program {
            Program::Callback(callback) => {
                let called = self.call(&kernel.core.threads, callback, wanted, away);
                called.map_err(|error| cannot_run(error, ""))?
            }
            Program::Command(command) => self.spawn(command, &name, wanted, away)?,
            Program::Shell(line) => {
                let mut command = Command::new("/bin/sh");
                command.arg("-c").arg(line);
                self.spawn(command, &name, wanted, away)?
            }
        };
        Ok(self.connect(kernel, place, name, wanted, launched))
    }

    /// Runs a program in a separate process.
    fn spawn(&self, mut command: Command, name: &str, wanted: Wanted, away: Theirs) -> Result<Launched, Error> {
        if let Some(gid) = self.group {
            command.gid(gid);
        }
        if let Some(uid) = self.user {
            command.uid(uid);
        }
        let ends = self
            .ends(wanted)
            .map_err(|error| cannot_connect(name, self.conduit, error))?;
        // On a terminal it leads a session, and so a group as well.
        if self.own_group && !self.conduit.is_pty() {
            command.process_group(0);
        }
        let theirs = ends.theirs;
        if let Some(fd) = theirs.stdin.or(away.stdin) {
            command.stdin(Stdio::from(fd));
        }
        if let Some(fd) = theirs.stdout.or(away.stdout) {
            command.stdout(Stdio::from(fd));
        }
        if let Some(fd) = theirs.stderr.or(away.stderr) {
            command.stderr(Stdio::from(fd));
        }
        let (program, folder) = (
            command.get_program().to_owned(),
            command.get_current_dir().map(PathBuf::from),
        );
        keep_statuses();
        let terminal = ends.program_side;
        let spawned = match self.priority {
            Some(added) => with_priority(added, move || exec::spawn(command, terminal)),
            None => exec::spawn(command, terminal),
        };
        let child = spawned.map_err(|error| match folder {
            // The system has one error number for both.
            Some(folder) if !folder.is_dir() => {
                let what = format!("cannot run {name} in the folder {}", folder.display());
                ErrorKind::IoOf { what, error, cure: "" }
            }
            _ => {
                let cure = cure(&error, &program);
                cannot_run(name, error, cure)
            }
        })?;
        Ok(Launched {
            process: Process::Child {
                pid: child.id(),
                leads: self.own_group || self.conduit.is_pty(),
            },
            child: Some(child),
            streams: Streams::of(ends.ours),
            #[cfg(feature = "pty")]
            terminal: ends.terminal,
            function: None,
        })
    }

    /// Runs a function on a separate thread.
    fn call(&self, threads: &Threads, callback: Callback, wanted: Wanted, away: Theirs) -> io::Result<Launched> {
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
            _ => {
                let ends = self.ends(wanted)?;
                streams = Streams::of(ends.ours);
                theirs = ends.theirs;
                #[cfg(feature = "pty")]
                {
                    terminal = ends.terminal;
                }
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
        let function = threads.run_apart(move || callback::run(callback, io));
        Ok(Launched {
            process: Process::Function { killed },
            child: None,
            streams,
            #[cfg(feature = "pty")]
            terminal,
            function: Some(function),
        })
    }

    /// Makes both ends of each stream that the wheel needs.
    fn ends(&self, wanted: Wanted) -> io::Result<Connected> {
        #[cfg(feature = "pty")]
        if self.conduit.is_pty() {
            return terminal::connect(self.conduit, wanted, self.size());
        }
        conduit::connect(self.conduit, wanted)
    }

    /// Makes the wheel around the running program.
    fn connect(self, kernel: &KernelRef<'_>, place: Place, name: String, wanted: Wanted, launched: Launched) -> Run {
        let base = Rc::new(Base::new(kernel, place).tagged(self.tag));
        let what = format!("Run {}", base.id());
        let shared = Rc::new(ProgramState {
            base: base.clone(),
            program: name,
            outputs: Cell::new(u8::from(wanted.stdout) + u8::from(wanted.stderr)),
            names: RefCell::new(self.names),
            end: Cell::new(None),
        });
        let pid = launched.child.as_ref().map(std::process::Child::id);
        if let Some(child) = launched.child {
            kernel.core.adopt_child(child);
        }
        let streams = launched.streams;
        let pump = |name: &str, part, setup: Setup, reads: bool, writes: bool| {
            let state = PumpState::new(base.clone(), setup);
            state.set_part(Box::new(RunPart {
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
                .set(base.start(name, false, Box::new(Pump::new(state.clone(), Limits::default()))));
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
                marks: self.settings.marks(),
                events: self.settings.events,
                driver: crate::driver::Driver::default(),
                auto_flush: false,
                flush_timeout: FLUSH_TIMEOUT,
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
                driver: crate::driver::Driver::default(),
                auto_flush: false,
                flush_timeout: FLUSH_TIMEOUT,
            };
            pump(&format!("{what} (STDERR)"), StdStream::Stderr, setup, true, false)
        });
        let ending = Ending::start(kernel.core, &shared, pid, launched.function);
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

fn cannot_run(name: &str, error: io::Error, cure: &'static str) -> ErrorKind {
    let what = format!("cannot run {name}");
    ErrorKind::IoOf { what, error, cure }
}

fn cannot_connect(name: &str, conduit: Conduit, error: io::Error) -> ErrorKind {
    let what = format!("cannot connect {name} with {}", conduit.ends());
    ErrorKind::IoOf { what, error, cure: "" }
}

/// Returns advice for a program that the system does not run.
fn cure(error: &io::Error, program: &OsStr) -> &'static str {
    let is_path = program.as_bytes().contains(&b'/');
    match error.kind() {
        io::ErrorKind::NotFound if is_path => "the program, or the interpreter that its first line names, is not there",
        io::ErrorKind::NotFound => "no folder of PATH has it",
        io::ErrorKind::PermissionDenied => "check that it is an executable file",
        io::ErrorKind::ArgumentListTooLong => "pass less in arguments and environment, and the rest on standard input",
        io::ErrorKind::WouldBlock => "no more processes may run: wait until some have ended, or raise the limit",
        _ => "",
    }
}

struct Launched {
    process: Process,
    child: Option<std::process::Child>,
    streams: Streams,
    #[cfg(feature = "pty")]
    terminal: Option<crate::bridge::streams::FdStream>,
    function: Option<Job<std::process::ExitStatus>>,
}

type BoxedRead = Pin<Box<dyn AsyncRead>>;

/// The wheel's ends, of any kind.
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
