//! POE::Wheel::Run: a program as events, in a process of its own or as a function beside the kernel.
//!
//! | event | argument | when |
//! |---|---|---|
//! | stdout, stderr | [`Input`] | a record was read |
//! | stdin flushed | [`WheelId`] | everything that was put has been written |
//! | error | [`RunError`] | an output has ended, an operation failed, or a filter met something that is no record |
//! | close | [`WheelId`] | all outputs have ended; the last of these events but for the exit |
//! | exit | [`Exited`] | the program has ended |
//! | high, low | [`WheelId`] | what waits to be written has reached the high mark, has fallen to the low one |
//!
//! All go to the session that made the wheel, ahead of what is queued; none comes inside a method of the wheel.

mod builder;
mod callback;
mod conduit;
mod ending;
mod events;
#[cfg(feature = "pty")]
mod terminal;

pub use builder::{Redirect, RunBuilder};
pub use callback::{CallbackIo, CallbackStdin, CallbackStdout, KillFlag};
pub use conduit::Conduit;
pub use events::{Exited, RunError, StdStream};
#[cfg(feature = "pty")]
pub use terminal::Winsize;

use super::base::{Base, wheel_methods};
use super::error::{IoError, PutError};
use super::pump::{self, Input, Level, State, TypedFormatter, TypedParser};
use crate::arg::AnyArg;
use crate::bridge::processes::{send_signal, signal_number};
use crate::error::{Error, ErrorKind, Failure, drop_quietly};
use crate::event::Posts;
use crate::filter::{Filter, FilterError};
use crate::id::WheelId;
use crate::kernel::Core;
use crate::name::{HeldName, Name};
use builder::Program;
use bytes::{Bytes, BytesMut};
use ending::{Ending, StopTask};
use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

/// Runs a program (`POE::Wheel::Run`, on Unix).
///
/// The program is a [`Command`], a line for the shell, or a function that runs on a thread for blocking work, with
/// pipes in memory in place of a process. Keep the wheel in the heap. It keeps its session alive while the program's
/// standard input is open to it, or an output has not ended, or the exit event is to come, or a function has not
/// returned. Dropping it closes its ends of the streams: the program is not killed, but sees the end of its input, and
/// what it writes fails.
///
/// The kernel reaps the process when it ends, whether the wheel is there by then or not, and no other child of this
/// process is ever taken from whoever waits for it. [`Turn::sig_child`](crate::Turn::sig_child) with the wheel's
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
///     .on(START, |cx, ()| -> poe::Handled {
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
///     .on(START, |cx, ()| -> poe::Handled {
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
///     .on(START, |cx, ()| -> poe::Handled {
///         let builder = Run::shell("printf 'no newline'; printf 'nor here' >&2; cat").error(ERROR).close(CLOSED);
///         let run = builder.stdout(Line::new(), "out").stderr(Line::new(), "err").start(cx)?;
///         run.put("hello")?;
///         assert_eq!((run.out_octets(), run.out_messages()), (6, 1)); // until the handler returns
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
/// # .on(START, |cx, ()| -> poe::Handled {
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
///     .on(TAKE_OVER, |cx, run| -> poe::Handled {
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
/// # Session::builder(()).on(START, move |cx, ()| -> poe::Handled {
/// // In a handler of the session that has it:
/// let run = Run::shell("cat").start(cx)?;
/// cx.post(keeper, TAKE_OVER, run)?;
/// # Ok(()) }).create(&kernel)?;
/// # kernel.run().await }).unwrap();
/// ```
#[doc(alias = "POE::Wheel::Run")]
pub struct Run {
    shared: Rc<Shared>,
    /// Standard input and output, as far as they are the wheel's.
    stdio: Option<Rc<State>>,
    stderr: Option<Rc<State>>,
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

/// What the wheel's value and its tasks share.
struct Shared {
    base: Rc<Base>,
    /// Outputs that have not ended.
    outputs: Cell<u8>,
    names: RefCell<Names>,
}

#[derive(Default)]
struct Names {
    error: Option<HeldName>,
    close: Option<HeldName>,
    exit: Option<HeldName>,
}

/// What one of the pumps is in the whole.
struct Part {
    shared: Rc<Shared>,
    output: StdStream,
}

impl pump::Part for Part {
    fn failed(&self, core: &Core, error: IoError) -> Option<()> {
        let base = &self.shared.base;
        let stream = match error.operation() {
            "write" => StdStream::Stdin,
            _ => self.output,
        };
        let event = self.shared.names.borrow().error.as_ref().map(HeldName::idx);
        match event {
            Some(event) => base.deliver(core, event, AnyArg::new(RunError { stream, error })),
            None => {
                match error.as_filter() {
                    Some(_) => core.raise_for_task(base.owner(), self.name(), &Failure::from(error), base.place()),
                    None => drop_quietly(error),
                }
                base.is_alive().then_some(())
            }
        }
    }

    fn ended(&self, core: &Core) -> Option<()> {
        let left = self.shared.outputs.get() - 1;
        self.shared.outputs.set(left);
        if left > 0 {
            return Some(());
        }
        let event = self.shared.names.borrow().close.as_ref().map(HeldName::idx);
        match event {
            Some(event) => self
                .shared
                .base
                .deliver(core, event, AnyArg::new(self.shared.base.id())),
            None => Some(()),
        }
    }

    fn name(&self) -> Name {
        Name::from(&*format!("Run {}", self.shared.base.id()))
    }
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
    ///     .on(START, |cx, ()| -> poe::Handled {
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
    /// use poe::{ChildExit, Event, Kernel, Session, event::START, wheel::Run};
    /// const ENDED: Event<ChildExit> = Event::new("ended");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let transcript = poe::testing::Transcript::of(&kernel);
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::Handled {
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
    ///     .on(START, |cx, ()| -> poe::Handled {
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

    /// Puts a record: the filter of standard input turns it into octets, which are written when the current handler returns.
    /// The record must be of the type that the filter takes; for those that take `String` or `Bytes` a literal will do.
    ///
    /// There is no limit but memory: heed the answer, which says whether the [high mark](RunBuilder::watermarks) is reached.
    ///
    /// # Errors
    /// The record, if standard input is closed or not the wheel's, if it is of another type, or if the filter has no form
    /// for it.
    pub fn put<T: 'static>(&self, record: T) -> Result<Level, PutError<T>> {
        match &self.stdio {
            Some(stdio) => stdio.put(record),
            None => Err(PutError::closed(record)),
        }
    }

    /// Ends standard input at once; what waits is not written. The program sees the end of its input, unless it is on a
    /// terminal, where there is none. Later puts are refused.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, WheelId, event::START, filter::Line, wheel::Run};
    /// # const CLOSED: Event<WheelId> = Event::new("closed");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let transcript = poe::testing::Transcript::of(&kernel);
    /// # Session::builder(None::<Run>)
    /// # .on(START, |cx, ()| -> poe::Handled {
    /// let run = Run::shell("cat").stdout(Line::new(), "line").close(CLOSED).start(cx)?;
    /// run.put("never written")?;
    /// run.shutdown_stdin();
    /// assert!(run.put("too late").unwrap_err().is_closed());
    /// #     *cx.heap = Some(run);
    /// #     Ok(())
    /// # })
    /// # .on(CLOSED, |cx, _| *cx.heap = None)
    /// # .create(&kernel)?;
    /// # kernel.run().await?;
    /// # let events: Vec<String> = transcript.records().into_iter().map(|record| record.event).collect();
    /// assert_eq!(events, ["_start", "closed", "_stop"]); // no line
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    pub fn shutdown_stdin(&self) {
        self.shut_stdin(false);
    }

    /// Ends standard input when everything that was put has been written.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, Run}};
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let run = Run::shell("sort | xargs").stdout(Line::new(), OUT).start(cx)?;
    ///         for fruit in ["pear", "apple", "lemon"] {
    ///             run.put(fruit)?;
    ///         }
    ///         run.shutdown_stdin_after_flush(); // now they can be sorted
    ///         *cx.heap = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(OUT, |cx, input| {
    ///         assert_eq!(input.record, "apple lemon pear");
    ///         *cx.heap = None;
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
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

    /// Changes the filter of standard input, for later puts.
    ///
    /// # Errors
    /// The filter's settings make no sense; nothing has changed then.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::{Line, Stream}, wheel::{Input, Run}};
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    /// # .on(START, |cx, ()| -> poe::Handled {
    /// let run = Run::shell("wc -c").stdout(Line::new(), OUT).start(cx)?;
    /// run.put("line")?; // 5 octets
    /// run.set_stdin_filter(Stream::new())?;
    /// run.put("octets")?; // 6
    /// run.shutdown_stdin_after_flush();
    /// #     *cx.heap = Some(run);
    /// #     Ok(())
    /// # })
    /// # .on(OUT, |cx, input| {
    /// // What comes:
    /// assert_eq!(input.record.trim(), "11");
    /// #     *cx.heap = None;
    /// # })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    pub fn set_stdin_filter<F: Filter>(&self, filter: F) -> Result<(), FilterError> {
        filter.check()?;
        if let Some(stdio) = &self.stdio {
            stdio.set_formatter(Box::new(TypedFormatter(filter)));
        }
        Ok(())
    }

    /// Changes the filter of standard output, and the event with it. Octets that the old filter has not used move to the
    /// new one; the records that it sees in them come directly after the current handler. Nothing is lost and nothing
    /// comes twice, other than in POE.
    ///
    /// # Errors
    /// The filter's settings make no sense, and nothing has changed. An output that is not the wheel's is passed by.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, WheelId, event::START, filter::Line, wheel::{Input, Run}};
    /// # const TITLE: Event<Input<String>> = Event::new("title");
    /// # const NAME: Event<Input<String>> = Event::new("name");
    /// # const CLOSED: Event<WheelId> = Event::new("closed");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let transcript = poe::testing::Transcript::of(&kernel);
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let files = r"echo files; printf 'a name\0two\nlines\0'";
    ///         *cx.heap = Some(Run::shell(files).stdout(Line::new(), TITLE).close(CLOSED).start(cx)?);
    ///         Ok(())
    ///     })
    ///     .on(TITLE, |cx, input| -> poe::Handled {
    ///         assert_eq!(input.record, "files");
    ///         if let Some(run) = &*cx.heap {
    ///             run.set_stdout_filter(Line::new().input_literal("\0"), NAME)?;
    ///         }
    ///         Ok(())
    ///     })
    ///     .on(NAME, |_, input| assert!(["a name", "two\nlines"].contains(&&*input.record)))
    ///     .on(CLOSED, |cx, _| *cx.heap = None)
    /// #   .create(&kernel)?;
    /// # kernel.run().await?;
    /// # let events: Vec<String> = transcript.records().into_iter().map(|record| record.event).collect();
    /// # assert_eq!(events, ["_start", "title", "name", "name", "closed", "_stop"]);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "event")]
    pub fn set_stdout_filter<F: Filter>(
        &self,
        filter: F,
        event: impl Posts<Input<F::Input>>,
    ) -> Result<(), FilterError> {
        set_filter(self.stdio.as_deref().filter(|stdio| stdio.has_parser()), filter, event)
    }

    /// Changes the filter of standard error, likewise.
    ///
    /// # Errors
    /// As [`set_stdout_filter`](Self::set_stdout_filter).
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::{Block, Line}, wheel::{Input, Run}};
    /// # use bytes::Bytes;
    /// # const LENGTH: Event<Input<String>> = Event::new("length");
    /// # const REPORT: Event<Input<Bytes>> = Event::new("report");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let run = Run::shell(r"printf '9\ntwo\nlines' >&2").stderr(Line::new(), LENGTH).start(cx)?;
    ///         *cx.heap = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(LENGTH, |cx, input| -> poe::Handled {
    ///         let length = input.record.parse()?;
    ///         if let Some(run) = &*cx.heap {
    ///             run.set_stderr_filter(Block::fixed(length), REPORT)?;
    ///         }
    ///         Ok(())
    ///     })
    ///     .on(REPORT, |cx, input| {
    ///         assert_eq!(input.record, "two\nlines");
    ///         *cx.heap = None;
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
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
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::{Block, Line}, wheel::{Input, Run}};
    /// # use bytes::Bytes;
    /// # const BLOCK: Event<Input<Bytes>> = Event::new("block");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let run = Run::shell("cat").stdout(Line::new(), "line").start(cx)?;
    ///         run.set_stdio_filter(Block::new(), BLOCK)?;
    ///         run.put("two\nlines")?; // `cat` gets them, and gives them back, with their length before them
    ///         *cx.heap = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(BLOCK, |cx, input| {
    ///         assert_eq!(input.record, "two\nlines");
    ///         *cx.heap = None;
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    pub fn set_stdio_filter<F: Filter>(
        &self,
        filter: F,
        event: impl Posts<Input<F::Input>>,
    ) -> Result<(), FilterError> {
        let input = filter.fresh();
        self.set_stdout_filter(filter, event)?;
        self.set_stdin_filter(input)
    }

    /// Reads output and drops it, until [`set_stdout_filter`](Self::set_stdout_filter); its end is still told.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, WheelId, event::START, filter::Line, wheel::{Input, Run}};
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # const CLOSED: Event<WheelId> = Event::new("closed");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let transcript = poe::testing::Transcript::of(&kernel);
    /// # Session::builder(None::<Run>)
    /// # .on(START, |cx, ()| -> poe::Handled {
    /// #     let builder = Run::shell("echo version 7; echo and so on").stdout(Line::new(), OUT).close(CLOSED);
    /// #     *cx.heap = Some(builder.start(cx)?);
    /// #     Ok(())
    /// # })
    ///     .on(OUT, |cx, input| {
    ///         assert_eq!(input.record, "version 7"); // all that was to be known
    ///         if let Some(run) = &*cx.heap {
    ///             run.discard_stdout(); // the program goes on, and does not wait for a reader
    ///         }
    ///     })
    ///     .on(CLOSED, |cx, _| *cx.heap = None)
    /// #   .create(&kernel)?;
    /// # kernel.run().await?;
    /// # let events: Vec<String> = transcript.records().into_iter().map(|record| record.event).collect();
    /// # assert_eq!(events, ["_start", "out", "closed", "_stop"]);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "event")]
    pub fn discard_stdout(&self) {
        let _: Result<(), FilterError> = self.set_stdout_filter(Discard, "");
    }

    /// Reads standard error and drops it, likewise.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, WheelId, event::START, filter::Line, wheel::Run};
    /// # const CLOSED: Event<WheelId> = Event::new("closed");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # let transcript = poe::testing::Transcript::of(&kernel);
    /// # Session::builder(None::<Run>)
    /// # .on(START, |cx, ()| -> poe::Handled {
    /// let run = Run::shell("echo never mind >&2").stderr(Line::new(), "complaint").close(CLOSED).start(cx)?;
    /// run.discard_stderr();
    /// #     *cx.heap = Some(run);
    /// #     Ok(())
    /// # })
    /// # .on(CLOSED, |cx, _| *cx.heap = None)
    /// # .create(&kernel)?;
    /// # kernel.run().await?;
    /// # let events: Vec<String> = transcript.records().into_iter().map(|record| record.event).collect();
    /// assert_eq!(events, ["_start", "closed", "_stop"]); // no complaint
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[doc(alias = "event")]
    pub fn discard_stderr(&self) {
        let _: Result<(), FilterError> = self.set_stderr_filter(Discard, "");
    }

    /// A copy of the octets of standard output that its filter has not made a record of.
    #[doc(alias = "get_stdout_filter")]
    #[must_use]
    pub fn stdout_pending(&self) -> Bytes {
        pending(self.stdio.as_deref())
    }

    /// A copy of the octets of standard error that its filter has not made a record of.
    #[doc(alias = "get_stderr_filter")]
    #[must_use]
    pub fn stderr_pending(&self) -> Bytes {
        pending(self.stderr.as_deref())
    }

    /// Octets that were put and not written.
    #[doc(alias = "get_driver_out_octets")]
    #[must_use]
    pub fn out_octets(&self) -> usize {
        self.stdio.as_ref().map_or(0, |stdio| stdio.out_octets())
    }

    /// Records that were put and not wholly written.
    #[doc(alias = "get_driver_out_messages")]
    #[must_use]
    pub fn out_messages(&self) -> usize {
        self.stdio.as_ref().map_or(0, |stdio| stdio.driver.out_messages())
    }

    /// Has errors come as that event from now on, or not at all.
    #[doc(alias = "event")]
    pub fn set_error_event<K: Posts<RunError>>(&self, event: Option<K>) {
        let event = event.map(|event| HeldName::new(event.key()));
        let old = std::mem::replace(&mut self.shared.names.borrow_mut().error, event);
        drop(old);
    }

    /// Has the close event come by that name, or not at all. Which outputs have ended is not forgotten by that, other than
    /// in POE.
    #[doc(alias = "event")]
    pub fn set_close_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        let event = event.map(|event| HeldName::new(event.key()));
        let old = std::mem::replace(&mut self.shared.names.borrow_mut().close, event);
        drop(old);
    }

    /// Has flushes of standard input come as that event from now on, or not at all.
    #[doc(alias = "event")]
    pub fn set_stdin_event<K: Posts<WheelId>>(&self, event: Option<K>) {
        let event = event.map(|event| HeldName::new(event.key()));
        if let Some(stdio) = &self.stdio {
            let old = std::mem::replace(&mut stdio.events.borrow_mut().flushed, event);
            drop(old);
        }
    }

    /// Sends a signal to the program, by its name (`"TERM"`, `"KILL"`, with or without `SIG`); false if it has ended. The
    /// other processes of its group are not touched.
    ///
    /// To a function every signal means that its input ends and [`CallbackIo::is_killed`] is true.
    ///
    /// # Errors
    /// There is no such signal; the program has become another user's.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, wheel::{Exited, Run}};
    /// # use std::os::unix::process::ExitStatusExt;
    /// # const EXITED: Event<Exited> = Event::new("exited");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let run = Run::shell("exec sleep 600").exit(EXITED).start(cx)?;
    ///         assert!(run.kill("no such signal").is_err());
    ///         assert!(run.kill("TERM")?);
    ///         *cx.heap = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(EXITED, |cx, exited| -> poe::Handled {
    ///         assert_eq!(exited.status.and_then(|status| status.signal()), Some(15));
    ///         if let Some(run) = cx.heap.take() {
    ///             assert!(!run.kill("TERM")?); // it has ended
    ///         }
    ///         Ok(())
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    pub fn kill(&self, signal: &str) -> Result<bool, Error> {
        self.signal(signal, false)
    }

    /// Sends a signal to the program and all its group, if it leads one (it does unless
    /// [`process_group(false)`](RunBuilder::process_group) was set); also when the program itself has ended but one of the
    /// outputs is still open. Else like [`kill`](Self::kill).
    ///
    /// # Errors
    /// As [`kill`](Self::kill).
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, WheelId, event::START, filter::Line, wheel::{Input, Run}};
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # const CLOSED: Event<WheelId> = Event::new("closed");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         // A shell and a `sleep` that holds its output: ending the shell alone would leave it open for ten minutes.
    ///         let run = Run::shell("sleep 600 & echo ready; wait").stdout(Line::new(), OUT).close(CLOSED).start(cx)?;
    ///         *cx.heap = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(OUT, |cx, _ready| -> poe::Handled {
    ///         let run = cx.heap.as_ref();
    ///         assert!(run.map_or(Ok(false), |run| run.kill_group("TERM"))?);
    ///         Ok(())
    ///     })
    ///     .on(CLOSED, |cx, _| *cx.heap = None)
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    #[doc(alias = "kill")]
    pub fn kill_group(&self, signal: &str) -> Result<bool, Error> {
        self.signal(signal, true)
    }

    fn signal(&self, name: &str, group: bool) -> Result<bool, Error> {
        let Some(number) = signal_number(name) else {
            return Err(ErrorKind::Invalid(format!("there is no signal {name}")).into());
        };
        let (pid, leads) = match &self.process {
            Process::Function { killed } => {
                killed.set();
                self.shutdown_stdin();
                return Ok(self.is_running());
            }
            Process::Child { pid, leads } => (*pid, *leads),
        };
        // The number is the program's until it is reaped, and the group's for as long as somebody is in it.
        let is_there = self.shared.base.core().is_some_and(|core| core.is_child_there(pid));
        let group = group && leads;
        let is_held = group && self.shared.outputs.get() > 0;
        if !is_there && !is_held {
            return Ok(false);
        }
        send_signal(pid, number, group).map_err(|error| {
            ErrorKind::Io {
                operation: "sending a signal",
                error,
            }
            .into()
        })
    }

    /// Ends the program in good order: its group (or it alone, if it leads none) is sent TERM now, and KILL if it is still
    /// there after `grace`. That goes on if the wheel is dropped; its session is kept alive until the program is reaped.
    /// A function's input ends, and [`CallbackIo::is_killed`] is true; there is no way to end it.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Exited, Input, Run}};
    /// # use std::{os::unix::process::ExitStatusExt, time::Duration};
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # const EXITED: Event<Exited> = Event::new("exited");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let stubborn = "trap '' TERM; echo ready; exec sleep 600";
    ///         *cx.heap = Some(Run::shell(stubborn).stdout(Line::new(), OUT).exit(EXITED).start(cx)?);
    ///         Ok(())
    ///     })
    ///     .on(OUT, |cx, _ready| cx.heap.as_ref().map_or((), |run| run.stop(Duration::from_millis(50))))
    ///     .on(EXITED, |cx, exited| {
    ///         assert_eq!(exited.status.and_then(|status| status.signal()), Some(9)); // TERM was not enough
    ///         *cx.heap = None;
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    pub fn stop(&self, grace: Duration) {
        match &self.process {
            Process::Function { .. } => {
                let _: Result<bool, Error> = self.kill("TERM");
            }
            Process::Child { pid, leads } => {
                if let Some(core) = self.shared.base.core() {
                    StopTask::start(&self.shared.base, &core, *pid, *leads, grace);
                }
            }
        }
    }

    /// Changes the size of the program's terminal; the program is told by SIGWINCH. False if it has no terminal.
    ///
    /// # Errors
    /// The system's.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Conduit, Input, Run}};
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let builder = Run::shell("read go; stty size").conduit(Conduit::Pty).winsize((24, 80));
    ///         let run = builder.stdout(Line::new(), OUT).start(cx)?;
    ///         assert!(run.resize((50, 132))?);
    ///         run.put("go")?;
    ///         *cx.heap = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(OUT, |cx, input| {
    ///         assert_eq!(input.record, "50 132");
    ///         *cx.heap = None;
    ///     })
    /// #   .create(&kernel)?;
    /// # kernel.run().await }).unwrap();
    /// ```
    #[cfg(feature = "pty")]
    #[doc(alias = "Winsize")]
    pub fn resize(&self, size: impl Into<Winsize>) -> Result<bool, Error> {
        let Some(terminal) = &self.terminal else {
            return Ok(false);
        };
        terminal::resize(terminal, size.into()).map_err(|error| ErrorKind::Io {
            operation: "resizing a terminal",
            error,
        })?;
        Ok(true)
    }

    fn tasks(&self) -> impl Iterator<Item = crate::id::TaskId> {
        let of = |state: &Option<Rc<State>>| state.as_ref().and_then(|state| state.task.get());
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
            .field("out_octets", &self.out_octets())
            .finish_non_exhaustive()
    }
}

fn pause(state: Option<&State>, paused: bool) {
    if let Some(state) = state {
        state.pause(paused);
        state.schedule();
    }
}

fn set_filter<F: Filter>(
    state: Option<&State>,
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

fn pending(state: Option<&State>) -> Bytes {
    state
        .and_then(|state| state.with_parser(|parser| Bytes::copy_from_slice(parser.pending())))
        .unwrap_or_default()
}

/// The filter of an output that nobody wants.
struct Discard;

impl Filter for Discard {
    type Input = ();
    type Output = ();
    fn get_one_start(&mut self, _: &[u8]) {}
    fn get_one(&mut self) -> Result<Option<()>, FilterError> {
        Ok(None)
    }
    fn put(&mut self, (): (), _: &mut BytesMut) -> Result<(), FilterError> {
        Ok(())
    }
    fn get_pending(&self) -> &[u8] {
        &[]
    }
    fn take_pending(&mut self) -> Bytes {
        Bytes::new()
    }
    fn fresh(&self) -> Self {
        Discard
    }
}
