//! Signals to the program of a Run, and its orderly end.

use super::ending::StopTask;
use super::{Process, Run};
use crate::bridge::processes::{send_signal, signal_number};
use crate::error::{Error, ErrorKind};
use std::time::Duration;

impl Run {
    /// Sends a signal to the program, by its name (`"TERM"`, `"KILL"`, with or without `SIG`); false if it has ended.
    ///
    /// The other processes of its group are not touched. For a function every signal means that its input ends and
    /// [`CallbackIo::is_killed`](super::CallbackIo::is_killed) is true.
    ///
    /// # Errors
    /// There is no such signal; the program runs as another user now.
    pub fn kill(&self, signal: &str) -> Result<bool, Error> {
        self.signal(signal, false)
    }

    /// Sends a signal to the program's group, if it leads one; otherwise like [`kill`](Self::kill).
    ///
    /// It leads one unless [`process_group(false)`](super::RunBuilder::process_group) was set. The signal is sent also when the program
    /// itself has ended but one of the outputs is still open.
    ///
    /// # Errors
    /// As [`kill`](Self::kill).
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
        // The number is the program's until it is reaped, and the group's for as long as the group has members.
        let Some(core) = self.shared.base.core() else {
            // The kernel is gone, and with it the record of the end.
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

    /// Ends the program and its whole group: sends TERM now, and KILL after `grace` to the remaining processes.
    ///
    /// It signals the whole group, if the program leads one: also if the program has ended by itself,
    /// or ends at once, and others of its group go on and hold its outputs. It does nothing if the program has ended and all its outputs
    /// are closed. A program that leads no group ([`process_group(false)`](super::RunBuilder::process_group)) is signalled alone.
    ///
    /// This goes on if the wheel is dropped. Its session is kept alive until the group is gone, or KILL was sent and the program is
    /// reaped; if the session is stopped before, KILL is sent at once. With [`Duration::MAX`] KILL is never sent.
    /// A function's input ends, and [`CallbackIo::is_killed`](super::CallbackIo::is_killed) is true; it cannot be forced to end.
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
