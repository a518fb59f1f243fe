//! POE::Wheel::Run: runs a program with events, in a separate process or as a function beside the kernel.
//!
//! | event | argument | when |
//! |---|---|---|
//! | stdout, stderr | [`Input`](super::Input) | a record was read |
//! | stdin flushed | [`WheelId`](crate::WheelId) | everything that was put has been written |
//! | error | [`IoError`] | an output has ended, an operation failed, or a filter rejected bytes |
//! | close | [`WheelId`](crate::WheelId) | all outputs have ended; the last of these events except for the exit |
//! | exit | [`Exited`] | the program has ended |
//! | ended | [`Exited`] | the program has ended and all outputs have ended: the last event of all |
//! | high, low | [`WheelId`](crate::WheelId) | the output buffer has reached the high mark, has fallen to the low one |
//!
//! All go to the session that made the wheel, ahead of the queue; none comes inside a method of the wheel.

mod builder;
mod callback;
mod conduit;
mod ending;
mod exec;
mod launch;
#[cfg(feature = "pty")]
mod terminal;

use super::base::{set_event, wheel_methods};
use super::error::{IoError, PutError};
use super::pump::{Input, Level, PumpState, TypedFormatter, TypedParser};
use crate::debug::debug_fields;
use crate::event::Posts;
use crate::filter::{Filter, FilterError};
use crate::id::WheelId;
use builder::Program;
use bytes::{Bytes, BytesMut};
use ending::{Ending, Names, ProgramState, RunPart};
use std::ffi::OsString;
use std::io;
use std::process::Command;
use std::rc::Rc;

pub use builder::RunBuilder;
pub use callback::{CallbackIo, CallbackStdin, CallbackStdout, KillFlag};
pub use conduit::{Conduit, Redirect};
pub use ending::{Exited, StdStream};
#[cfg(feature = "pty")]
pub use terminal::Winsize;

/// Runs a program (`POE::Wheel::Run`, on Unix).
///
/// The program is a [`Command`], a shell line, or a function that runs on a thread for blocking work, with
/// pipes in memory in place of a process. Keep the wheel in the heap. It keeps its session alive while the program's
/// standard input is open to it, or an output has not ended, or the exit event or the ended event is to come, or a function
/// has not returned. Dropping it closes its ends of the streams: the program is not killed, but sees the end of its input, and
/// its writes fail.
///
/// The kernel reaps the process when it ends, whether or not the wheel still exists. It takes no other child of this
/// process from the code that waits for it. [`KernelRef::sig_child`](crate::KernelRef::sig_child) with the wheel's
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
#[doc(alias = "POE::Wheel::Run")]
#[must_use = "dropping the wheel stops it: keep it in the heap"]
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
    /// Starts building a wheel on a program with its arguments, environment and folder.
    ///
    /// The command's settings for standard streams apply to those that are not the wheel's.
    #[doc(alias = "Program")]
    pub fn builder(program: Command) -> RunBuilder {
        RunBuilder::new(Program::Command(program))
    }

    /// Starts building a wheel on a line that `/bin/sh` runs.
    ///
    /// If the shell cannot find or run a program, it says so on standard error, and in the exit status.
    #[doc(alias = "Program")]
    pub fn shell(line: impl Into<OsString>) -> RunBuilder {
        RunBuilder::new(Program::Shell(line.into()))
    }

    /// Starts building a wheel on a function, which runs on a thread for blocking work.
    ///
    /// In POE it would be a forked child; a process with threads cannot be forked, so it shares this process's memory, and has no
    /// process number, user or priority of its own. If it fails or panics, its exit status is 255, and the text is on its standard error.
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

    /// Returns the process's number; `None` for a function.
    #[doc(alias = "PID")]
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self.process {
            Process::Child { pid, .. } => Some(pid),
            Process::Function { .. } => None,
        }
    }

    /// Whether the program has not ended yet, as far as the kernel has seen.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.ending.running.get()
    }

    /// Stops reading standard output, which also delays its end and the close event.
    ///
    /// Records that were read are still delivered.
    pub fn pause_stdout(&self) {
        pause(self.stdio.as_deref(), true);
    }

    /// Reads standard output again.
    pub fn resume_stdout(&self) {
        pause(self.stdio.as_deref(), false);
    }

    /// Stops reading standard error.
    pub fn pause_stderr(&self) {
        pause(self.stderr.as_deref(), true);
    }

    /// Reads standard error again.
    pub fn resume_stderr(&self) {
        pause(self.stderr.as_deref(), false);
    }

    /// Changes the event for errors; `None` stops it.
    #[doc(alias = "event")]
    pub fn set_error_event<K: Posts<IoError>>(&self, event: Option<K>) {
        set_event(&self.shared.names, |names| &mut names.error, event);
    }

    /// Changes the close event; `None` stops it.
    ///
    /// Unlike in POE, the ends of outputs are still counted meanwhile.
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

debug_fields!([] Run, "Run", |this| {
    id: this.id(),
    pid: this.pid(),
    running: this.is_running(),
    outputs: this.shared.outputs.get(),
    buffered_bytes: this.buffered_bytes(),
    ..
});

fn pause(state: Option<&PumpState>, paused: bool) {
    if let Some(state) = state {
        state.pause(paused);
        state.schedule();
    }
}

// The filters of a Run's streams.
impl Run {
    /// Changes the filter of standard input, for later puts.
    ///
    /// # Errors
    /// The filter's settings are invalid; nothing is changed then.
    pub fn set_stdin_filter<F: Filter>(&self, filter: F) -> Result<(), FilterError> {
        filter.check()?;
        if let Some(stdio) = &self.stdio {
            stdio.set_formatter(Box::new(TypedFormatter(filter)));
        }
        Ok(())
    }

    /// Changes the filter of standard output, and the event with it.
    ///
    /// Bytes that the old filter has not used move to the
    /// new one; records in them come directly after the current handler. Unlike in POE, nothing is lost and nothing
    /// comes twice.
    ///
    /// # Errors
    /// The filter's settings are invalid; nothing is changed then. An output that is not the wheel's is skipped.
    #[doc(alias = "event")]
    pub fn set_stdout_filter<F: Filter>(
        &self,
        filter: F,
        event: impl Posts<Input<F::Input>>,
    ) -> Result<(), FilterError> {
        set_filter(self.stdio.as_deref().filter(|stdio| stdio.has_parser()), filter, event)
    }

    /// Changes the filter of standard error; see [`set_stdout_filter`](Self::set_stdout_filter).
    ///
    /// # Errors
    /// As [`set_stdout_filter`](Self::set_stdout_filter).
    #[doc(alias = "event")]
    pub fn set_stderr_filter<F: Filter>(
        &self,
        filter: F,
        event: impl Posts<Input<F::Input>>,
    ) -> Result<(), FilterError> {
        set_filter(self.stderr.as_deref(), filter, event)
    }

    /// Changes the filters of standard input and output to one protocol.
    ///
    /// # Errors
    /// As [`set_stdout_filter`](Self::set_stdout_filter).
    pub fn set_stdio_filter<F: Filter>(
        &self,
        filter: F,
        event: impl Posts<Input<F::Input>>,
    ) -> Result<(), FilterError> {
        let input = filter.fresh();
        self.set_stdout_filter(filter, event)?;
        self.set_stdin_filter(input)
    }

    /// Reads standard output and drops it, until [`set_stdout_filter`](Self::set_stdout_filter); its end is still reported.
    #[doc(alias = "event")]
    pub fn discard_stdout(&self) {
        let _: Result<(), FilterError> = self.set_stdout_filter(Discard, "");
    }

    /// Reads standard error and drops it; see [`discard_stdout`](Self::discard_stdout).
    #[doc(alias = "event")]
    pub fn discard_stderr(&self) {
        let _: Result<(), FilterError> = self.set_stderr_filter(Discard, "");
    }

    /// Copies the bytes of standard output of which its filter has made no record.
    #[doc(alias = "get_stdout_filter")]
    #[must_use]
    pub fn stdout_pending(&self) -> Bytes {
        pending(self.stdio.as_deref())
    }

    /// Copies the bytes of standard error of which its filter has made no record.
    #[doc(alias = "get_stderr_filter")]
    #[must_use]
    pub fn stderr_pending(&self) -> Bytes {
        pending(self.stderr.as_deref())
    }
}

fn set_filter<F: Filter>(
    state: Option<&PumpState>,
    filter: F,
    event: impl Posts<Input<F::Input>>,
) -> Result<(), FilterError> {
    filter.check()?;
    if let Some(state) = state {
        drop(state.set_parser(Box::new(TypedParser::new(filter, event))));
        state.schedule();
    }
    Ok(())
}

fn pending(state: Option<&PumpState>) -> Bytes {
    state
        .and_then(|state| state.with_parser(|parser| Bytes::copy_from_slice(parser.pending())))
        .unwrap_or_default()
}

/// The filter of a discarded output.
struct Discard;

impl Filter for Discard {
    type Input = ();
    type Output = ();
    fn feed(&mut self, _: &[u8]) {}
    fn next_record(&mut self) -> Result<Option<()>, FilterError> {
        Ok(None)
    }
    fn put(&mut self, (): (), _: &mut BytesMut) -> Result<(), FilterError> {
        Ok(())
    }
    fn pending(&self) -> &[u8] {
        &[]
    }
    fn take_pending(&mut self) -> Bytes {
        Bytes::new()
    }
    fn fresh(&self) -> Self {
        Discard
    }
}

// Standard input of a Run's program: puts, the buffer, and the end.
impl Run {
    /// Puts a record: the filter of standard input turns it into bytes, which are written when the current handler returns.
    ///
    /// The record must have the type that the filter takes; filters that take `String` or `Bytes` also accept a literal. There is no
    /// limit but memory: the result says whether the [high mark](RunBuilder::watermarks) is reached.
    ///
    /// # Errors
    /// The record, if standard input is closed or not the wheel's, if the record has another type, or if the filter cannot
    /// encode it.
    pub fn put<T: 'static>(&self, record: T) -> Result<Level, PutError<T>> {
        match &self.stdio {
            Some(stdio) => stdio.put(record),
            None => Err(PutError::closed(record)),
        }
    }

    /// Ends standard input at once; buffered bytes are not written.
    ///
    /// The program sees the end of its input, unless it is on a terminal, which has no end. Later puts are refused.
    pub fn shutdown_stdin(&self) {
        self.shut_stdin(false);
    }

    /// Ends standard input when everything that was put has been written.
    #[doc(alias = "shutdown_stdin")]
    pub fn shutdown_stdin_after_flush(&self) {
        self.shut_stdin(true);
    }

    fn shut_stdin(&self, flush: bool) {
        if let Some(stdio) = &self.stdio {
            stdio.shut_output(flush);
            stdio.schedule();
        }
    }

    /// Returns the number of bytes not yet written.
    #[doc(alias = "get_driver_out_octets")]
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.stdio.as_ref().map_or(0, |stdio| stdio.buffered_bytes())
    }

    /// Returns the number of records not wholly written.
    #[doc(alias = "get_driver_out_messages")]
    #[must_use]
    pub fn out_messages(&self) -> usize {
        self.stdio
            .as_ref()
            .map_or(0, |stdio| stdio.driver.output.borrow().messages())
    }

    /// Changes the event for flushes of standard input; `None` stops it.
    #[doc(alias = "event")]
    pub fn set_stdin_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        if let Some(stdio) = &self.stdio {
            set_event(&stdio.events, |events| &mut events.flushed, event);
        }
    }
}
