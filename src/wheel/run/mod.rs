//! POE::Wheel::Run: a program as events, in a process of its own or as a function beside the kernel.
//!
//! | event | argument | when |
//! |---|---|---|
//! | stdout, stderr | [`Input`](super::Input) | a record was read |
//! | stdin flushed | [`WheelId`](crate::WheelId) | everything that was put has been written |
//! | error | [`RunError`] | an output has ended, an operation failed, or a filter met something that is no record |
//! | close | [`WheelId`](crate::WheelId) | all outputs have ended; the last of these events but for the exit |
//! | exit | [`Exited`] | the program has ended |
//! | ended | [`Exited`] | the program has ended and all outputs have ended: the last event of all |
//! | high, low | [`WheelId`](crate::WheelId) | what waits to be written has reached the high mark, has fallen to the low one |
//!
//! All go to the session that made the wheel, ahead of what is queued; none comes inside a method of the wheel.

mod builder;
mod callback;
mod conduit;
mod ending;
mod events;
mod exec;
mod filters;
mod launch;
mod redirect;
mod shared;
mod signals;
mod stdin;
#[cfg(feature = "pty")]
mod terminal;

pub use builder::RunBuilder;
pub use callback::{CallbackIo, CallbackStdin, CallbackStdout, KillFlag};
pub use conduit::Conduit;
pub use events::{Exited, RunError, StdStream};
pub use redirect::Redirect;
#[cfg(feature = "pty")]
pub use terminal::Winsize;

use super::base::{set_event, wheel_methods};
use super::pump::PumpState;
use crate::event::Posts;
use crate::id::WheelId;
use builder::Program;
use ending::Ending;
use shared::{Names, ProgramState, RunPart};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::Command;
use std::rc::Rc;

/// Runs a program (`POE::Wheel::Run`, on Unix).
///
/// The program is a [`Command`], a line for the shell, or a function that runs on a thread for blocking work, with
/// pipes in memory in place of a process. Keep the wheel in the heap. It keeps its session alive while the program's
/// standard input is open to it, or an output has not ended, or the exit event or the ended event is to come, or a function
/// has not returned. Dropping it closes its ends of the streams: the program is not killed, but sees the end of its input, and
/// what it writes fails.
///
/// The kernel reaps the process when it ends, whether the wheel is there by then or not, and no other child of this
/// process is ever taken from whoever waits for it. [`KernelRef::sig_child`](crate::KernelRef::sig_child) with the wheel's
/// [`pid`](Self::pid) works in the handler that started it and as long as it runs.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// use poe::filter::Line;
/// use poe::wheel::{Exited, Input, Run};
/// const LINE: Event<Input<String>> = Event::new("line");
/// const EXITED: Event<Exited> = Event::new("exited");
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(None::<Run>)
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let run = Run::shell("read name; echo hello $name").stdout(Line::new(), LINE).exit(EXITED).start(cx)?;
///         run.put("world")?;
///         *cx.heap = Some(run);
///         Ok(())
///     })
///     .on(LINE, |_, input| assert_eq!(input.record, "hello world"))
///     .on(EXITED, |cx, exited| {
///         assert!(exited.status.unwrap().success());
///         *cx.heap = None; // its standard input is still open
///     })
///     .create(&kernel)?;
/// kernel.run().await?;
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
///
/// # Pauses
///
/// ```
/// # use poe::{Event, Kernel, Session, event::START, filter::Line, testing::Transcript, wheel::{Input, Run}};
/// # const OUT: Event<Input<String>> = Event::new("out");
/// # const ERR: Event<Input<String>> = Event::new("err");
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let transcript = Transcript::of(&kernel);
/// # Session::builder(None::<Run>)
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let builder = Run::shell("echo hello; echo oh no >&2").stdout(Line::new(), OUT).stderr(Line::new(), ERR);
///         let run = builder.start(cx)?;
///         run.pause_stdout();
///         run.pause_stderr();
///         *cx.heap = Some(run);
///         cx.yield_to("complaints first", ());
///         Ok(())
///     })
///     .on("complaints first", |cx, ()| cx.heap.as_ref().map_or((), Run::resume_stderr))
///     .on(ERR, |cx, _oh_no| cx.heap.as_ref().map_or((), Run::resume_stdout))
///     .on(OUT, |cx, _hello| *cx.heap = None)
/// # .create(&kernel)?;
/// # kernel.run().await?;
/// # let events: Vec<String> = transcript.records().into_iter().map(|record| record.event).collect();
/// # assert_eq!(events, ["_start", "complaints first", "err", "out", "_stop"]);
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
///
/// # What waits, and what is left
///
/// ```
/// # use poe::{Event, Kernel, Session, WheelId, event::START, filter::Line};
/// use poe::wheel::{Run, RunError, StdStream};
/// # const ERROR: Event<RunError> = Event::new("error");
/// # const CLOSED: Event<WheelId> = Event::new("closed");
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let transcript = poe::testing::Transcript::of(&kernel);
/// # Session::builder(None::<Run>)
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let builder = Run::shell("printf 'no newline'; printf 'nor here' >&2; cat").error(ERROR).close(CLOSED);
///         let run = builder.stdout(Line::new(), "out").stderr(Line::new(), "err").start(cx)?;
///         run.put("hello")?;
///         assert_eq!((run.buffered_bytes(), run.out_messages()), (6, 1)); // until the handler returns
///         run.shutdown_stdin();
///         *cx.heap = Some(run);
///         Ok(())
///     })
///     .on(ERROR, |cx, failed| match (failed.is_eof(), failed.stream, &*cx.heap) {
///         (true, StdStream::Stdout, Some(run)) => assert_eq!(run.stdout_pending(), "no newline"),
///         (true, StdStream::Stderr, Some(run)) => assert_eq!(run.stderr_pending(), "nor here"),
///         _ => panic!("{failed}"),
///     })
///     .on(CLOSED, |cx, _| *cx.heap = None)
/// # .create(&kernel)?;
/// # kernel.run().await?;
/// # assert_eq!(transcript.records().iter().filter(|record| record.event == "error").count(), 2);
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
///
/// # Events by other names
///
/// ```
/// # use poe::{Event, Kernel, Session, WheelId, event::START, filter::Line, testing::Transcript, wheel::{Run, RunError}};
/// const OVER: Event<WheelId> = Event::new("over");
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let transcript = Transcript::of(&kernel);
/// # Session::builder(None::<Run>)
/// # .on(START, |cx, ()| -> poe::HandlerResult {
/// let run = Run::shell("cat").stdout(Line::new(), "line").close("closed").start(cx)?;
/// run.set_stdin_event(Some("written"));
/// run.set_error_event(Some("an end"));
/// run.set_close_event(Some(OVER)); // `None::<&str>`: none from now on
/// run.put("hello")?;
/// run.shutdown_stdin_after_flush();
/// #     *cx.heap = Some(run);
/// #     Ok(())
/// # })
/// # .on(OVER, |cx, _| *cx.heap = None)
/// # .create(&kernel)?;
/// # kernel.run().await?;
/// # let events: Vec<String> = transcript.records().into_iter().map(|record| record.event).collect();
/// assert_eq!(events, ["_start", "written", "line", "an end", "over", "_stop"]);
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
///
/// # In another session's hands
///
/// ```
/// # use poe::{Event, Kernel, Session, event::START, wheel::Run};
/// const TAKE_OVER: Event<Run> = Event::new("take over");
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// let keeper = Session::builder(None::<Run>)
/// #   .on(START, |cx, ()| cx.alias_set("keeper"))
///     .on(TAKE_OVER, |cx, run| -> poe::HandlerResult {
///         let made_by = run.session_id();
///         run.adopt(cx)?;
///         assert_eq!((made_by, run.session_id()), (cx.sender(), cx.session_id()));
///         println!("wheel {} has moved", run.id()); // the same as before
///         *cx.heap = Some(run);
/// #       cx.alias_remove("keeper")?;
/// #       *cx.heap = None;
///         Ok(())
///     })
///     .create(&kernel)?;
/// # Session::builder(()).on(START, move |cx, ()| -> poe::HandlerResult {
/// // In a handler of the session that has it:
/// let run = Run::shell("cat").start(cx)?;
/// cx.call(keeper, TAKE_OVER, run)?;
/// # Ok(()) }).create(&kernel)?;
/// # kernel.run().await }).unwrap();
/// ```
#[doc(alias = "POE::Wheel::Run")]
pub struct Run {
    shared: Rc<ProgramState>,
    /// Standard input and output, as far as they are the wheel's.
    stdio: Option<Rc<PumpState>>,
    stderr: Option<Rc<PumpState>>,
    ending: Ending,
    process: Process,
    #[cfg(feature = "pty")]
    terminal: Option<crate::bridge::streams::FdStream>,
}

enum Process {
    Child {
        pid: u32,
        /// It leads a process group.
        leads: bool,
    },
    Function {
        killed: KillFlag,
    },
}

impl Run {
    /// Settings for a program with its arguments, environment and folder. What the command says of standard streams is
    /// heeded for those that are not the wheel's.
    #[doc(alias = "Program")]
    pub fn builder(program: Command) -> RunBuilder {
        RunBuilder::new(Program::Command(program))
    }

    /// Settings for a line that `/bin/sh` runs. What the shell cannot find or run is told of by it: on standard error, and
    /// by the exit status.
    #[doc(alias = "Program")]
    pub fn shell(line: impl Into<OsString>) -> RunBuilder {
        RunBuilder::new(Program::Shell(line.into()))
    }

    /// Settings for a function, which runs on one of Tokio's threads for blocking work. In POE it would be a forked child;
    /// a process with threads cannot be forked, and so it shares our memory, and has no process number, user or priority of
    /// its own. If it fails or panics, its exit status is 255, and the text is on its standard error.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Exited, Input, Run}};
    /// # use std::io::{self, Write};
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # const ERR: Event<Input<String>> = Event::new("err");
    /// # const EXITED: Event<Exited> = Event::new("exited");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let transcript = poe::testing::Transcript::of(&kernel);
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let builder = Run::callback(|io| {
    ///             writeln!(io.stdout, "half way")?;
    ///             Err(io::Error::other("out of luck"))
    ///         });
    ///         let run = builder.stdout(Line::new(), OUT).stderr(Line::new(), ERR).exit(EXITED).start(cx)?;
    ///         assert_eq!(run.pid(), None);
    ///         run.shutdown_stdin();
    ///         *cx.heap = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(OUT, |_, input| assert_eq!(input.record, "half way"))
    ///     .on(ERR, |_, input| assert_eq!(input.record, "out of luck"))
    ///     .on(EXITED, |_, exited| assert_eq!(exited.status.and_then(|status| status.code()), Some(255)))
    /// #   .create(&kernel)?;
    /// # kernel.run().await?;
    /// # assert_eq!(transcript.records().len(), 5); // _start and _stop
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "Program")]
    pub fn callback(function: impl FnOnce(&mut CallbackIo) -> io::Result<()> + Send + 'static) -> RunBuilder {
        RunBuilder::new(Program::Callback(Box::new(function)))
    }

    /// The process's number; `None` for a function.
    ///
    /// ```
    /// use poe::{ProcessExit, Event, Kernel, Session, event::START, wheel::Run};
    /// const ENDED: Event<ProcessExit> = Event::new("ended");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let transcript = poe::testing::Transcript::of(&kernel);
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let run = Run::shell("exit 3").start(cx)?;
    ///         if let Some(pid) = run.pid() {
    ///             cx.sig_child(pid, ENDED, ())?; // as in POE
    ///         }
    ///         *cx.heap = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(ENDED, |cx, ended| {
    ///         let run = cx.heap.take();
    ///         assert_eq!(run.and_then(|run| run.pid()), Some(ended.pid));
    ///         assert_eq!(ended.status.and_then(|status| status.code()), Some(3));
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await?;
    /// # assert!(transcript.records().iter().any(|record| record.event == "ended"));
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "PID")]
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self.process {
            Process::Child { pid, .. } => Some(pid),
            Process::Function { .. } => None,
        }
    }

    /// Whether the program has not ended yet, as far as the kernel has seen.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, wheel::{Exited, Run}};
    /// # const EXITED: Event<Exited> = Event::new("exited");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let run = Run::shell("true").exit(EXITED).start(cx)?;
    ///         assert!(run.is_running()); // whatever it has done by now, the kernel has seen nothing of it
    ///         *cx.heap = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(EXITED, |cx, _| {
    ///         assert!(cx.heap.take().is_some_and(|run| !run.is_running()));
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.ending.running.get()
    }

    /// Reads no output for now, which also holds back its end and the close event. Records that were read are still
    /// delivered.
    pub fn pause_stdout(&self) {
        pause(self.stdio.as_deref(), true);
    }

    /// Reads output again.
    pub fn resume_stdout(&self) {
        pause(self.stdio.as_deref(), false);
    }

    /// Reads nothing from standard error for now.
    pub fn pause_stderr(&self) {
        pause(self.stderr.as_deref(), true);
    }

    /// Reads from standard error again.
    pub fn resume_stderr(&self) {
        pause(self.stderr.as_deref(), false);
    }

    /// Has errors come as that event from now on, or not at all.
    #[doc(alias = "event")]
    pub fn set_error_event<K: Posts<RunError>>(&self, event: Option<K>) {
        set_event(&self.shared.names, |names| &mut names.error, event);
    }

    /// Has the close event come by that name, or not at all. Which outputs have ended is not forgotten by that, other than
    /// in POE.
    #[doc(alias = "event")]
    pub fn set_close_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        set_event(&self.shared.names, |names| &mut names.close, event);
    }

    fn tasks(&self) -> impl Iterator<Item = crate::id::TaskId> {
        let of = |state: &Option<Rc<PumpState>>| state.as_ref().and_then(|state| state.task.get());
        [of(&self.stdio), of(&self.stderr), self.ending.task]
            .into_iter()
            .flatten()
    }
}

wheel_methods!(Run, |wheel| wheel.shared.base, wheel.tasks());

impl Drop for Run {
    fn drop(&mut self) {
        self.shared.base.end(self.tasks());
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("id", &self.id())
            .field("pid", &self.pid())
            .field("running", &self.is_running())
            .field("outputs", &self.shared.outputs.get())
            .field("buffered_bytes", &self.buffered_bytes())
            .finish_non_exhaustive()
    }
}

fn pause(state: Option<&PumpState>, paused: bool) {
    if let Some(state) = state {
        state.pause(paused);
        state.schedule();
    }
}
