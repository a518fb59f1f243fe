//! Signals to the program of a Run, and its end in good order.

use super::ending::StopTask;
use super::{Process, Run};
use crate::bridge::processes::{send_signal, signal_number};
use crate::error::{Error, ErrorKind};
use std::time::Duration;

impl Run {
    /// Sends a signal to the program, by its name (`"TERM"`, `"KILL"`, with or without `SIG`); false if it has ended. The
    /// other processes of its group are not touched.
    ///
    /// To a function every signal means that its input ends and [`CallbackIo::is_killed`](super::CallbackIo::is_killed) is true.
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
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         let run = Run::shell("exec sleep 600").exit(EXITED).start(cx)?;
    ///         assert!(run.kill("no such signal").is_err());
    ///         assert!(run.kill("TERM")?);
    ///         *cx.heap = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(EXITED, |cx, exited| -> poe::HandlerResult {
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
    /// [`process_group(false)`](super::RunBuilder::process_group) was set); also when the program itself has ended but one of the
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
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
    ///         // A shell and a `sleep` that holds its output: ending the shell alone would leave it open for ten minutes.
    ///         let run = Run::shell("sleep 600 & echo ready; wait").stdout(Line::new(), OUT).close(CLOSED).start(cx)?;
    ///         *cx.heap = Some(run);
    ///         Ok(())
    ///     })
    ///     .on(OUT, |cx, _ready| -> poe::HandlerResult {
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
            let why = format!("there is no signal `{name}`: names are in upper case, as TERM or SIGTERM");
            return Err(ErrorKind::Invalid(why).into());
        };
        let (pid, leads) = match &self.process {
            Process::Function { killed } => {
                killed.set();
                self.shutdown_stdin();
                return Ok(self.is_running());
            }
            Process::Child { pid, leads } => (*pid, *leads),
        };
        let group = group && leads;
        let send = || send_signal(pid, number, group);
        // The number is the program's until it is reaped, and the group's for as long as somebody is in it.
        let Some(core) = self.shared.base.core() else {
            // The kernel is gone, and with it who knew of the end.
            return Ok(false);
        };
        let sent = match core.if_child_is_there(pid, send) {
            Some(sent) => sent,
            None if group && self.shared.outputs.get() > 0 => send(),
            None => return Ok(false),
        };
        sent.map_err(|error| {
            let whom = if group { "the group of " } else { "" };
            ErrorKind::IoOf {
                what: format!("cannot send {name} to {whom}process {pid} ({})", self.shared.program),
                error,
                cure: "",
            }
            .into()
        })
    }

    /// Ends the program and all its group: sends TERM now, and KILL after `grace` to those that are still there.
    ///
    /// It is for the whole group, if the program leads one, and not only for the program: also where that has ended by itself,
    /// or at once, and others of its group go on and hold its outputs. It does nothing if the program has ended and all its outputs
    /// are closed. A program that leads no group ([`process_group(false)`](super::RunBuilder::process_group)) is asked alone.
    ///
    /// This goes on if the wheel is dropped. Its session is kept alive until the group has gone, or KILL was sent and the program is
    /// reaped; if the session is stopped before, KILL is sent at once. A grace time without end ([`Duration::MAX`]) never sends it.
    /// A function's input ends, and [`CallbackIo::is_killed`](super::CallbackIo::is_killed) is true; there is no way to end it.
    ///
    /// ```
    /// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Exited, Input, Run}};
    /// # use std::{os::unix::process::ExitStatusExt, time::Duration};
    /// # const OUT: Event<Input<String>> = Event::new("out");
    /// # const EXITED: Event<Exited> = Event::new("exited");
    /// # tokio_test::block_on(async {
    /// # let kernel = Kernel::new();
    /// # Session::builder(None::<Run>)
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
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
                    let held = *leads && self.shared.outputs.get() > 0;
                    StopTask::start(&self.shared.base, &core, *pid, *leads, held, grace);
                }
            }
        }
    }
}
