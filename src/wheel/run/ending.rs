//! The end of a program: reporting it, and causing it.

use super::super::base::Base;
use super::super::error::IoError;
use super::super::pump;
use super::{Process, Run};
use crate::arg::AnyArg;
use crate::bridge::clock::{Clock, Deadline};
use crate::bridge::processes::{group_exists, send_signal, signal_number};
use crate::bridge::threads::Job;
use crate::error::{Error, ErrorKind, drop_quietly};
use crate::id::{TaskId, WheelId};
use crate::kernel::Core;
use crate::kernel::task::Task;
use crate::name::{HeldName, Name};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::process::ExitStatus;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The known status of a program's end, and the task that reports it.
pub(super) struct Ending {
    pub(super) task: Option<TaskId>,
    pub(super) running: Rc<Cell<bool>>,
}

/// Reports the end. Without an event for it there is no such task for a process, because the kernel watches that anyway.
struct EndTask {
    shared: Rc<ProgramState>,
    pid: Option<u32>,
    running: Rc<Cell<bool>>,
    status: Rc<Cell<Option<ExitStatus>>>,
    function: Option<Job<ExitStatus>>,
    /// The exit event has been sent, if there is one; the outputs have not ended yet.
    has_exited: bool,
}

impl Ending {
    pub(super) fn start(
        core: &Core,
        shared: &Rc<ProgramState>,
        pid: Option<u32>,
        function: Option<Job<ExitStatus>>,
    ) -> Self {
        let running = Rc::new(Cell::new(true));
        let status = Rc::new(Cell::new(None));
        let is_told = {
            let names = shared.names.borrow();
            // Nothing else watches a function.
            names.exit.is_some() || names.ended.is_some() || function.is_some()
        };
        let task = is_told.then(|| {
            let body = Box::new(EndTask {
                shared: shared.clone(),
                pid,
                running: running.clone(),
                status: status.clone(),
                function,
                has_exited: false,
            });
            shared
                .base
                .start(&format!("Run {} (its end)", shared.base.id()), false, body)
        });
        let task = task.flatten();
        shared.end.set(task);
        if let Some(pid) = pid {
            let (base, running) = (shared.base.clone(), running.clone());
            let hook = move |ended| {
                running.set(false);
                status.set(ended);
                base.wake(task);
            };
            core.on_child_end(pid, Box::new(hook));
        }
        Ending { task, running }
    }
}

impl EndTask {
    /// Sends an event. `None`: there is no such event, or the wheel is gone.
    fn emit(&self, core: &Core, event: impl FnOnce(&super::Names) -> &Option<HeldName>) -> Option<()> {
        let event = event(&self.shared.names.borrow()).as_ref().map(HeldName::idx)?;
        let exited = Exited {
            wheel: self.shared.base.id(),
            pid: self.pid,
            status: self.status.get(),
        };
        self.shared.base.deliver(core, event, AnyArg::new(exited))
    }
}

impl Task for EndTask {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(function) = &mut self.function {
            let status = ready!(Pin::new(function).poll(cx));
            self.function = None;
            // It fails only if no thread could be started for it, or the runtime of virtual time is shutting down.
            self.status.set(status.ok());
            self.running.set(false);
        }
        if self.running.get() {
            return Poll::Pending;
        }
        if !std::mem::replace(&mut self.has_exited, true) {
            self.emit(core, |names| &names.exit);
        }
        if self.shared.outputs.get() > 0 && self.shared.names.borrow().ended.is_some() {
            // The last output that ends wakes this task.
            return Poll::Pending;
        }
        if self.shared.base.is_alive() {
            self.emit(core, |names| &names.ended);
        }
        Poll::Ready(())
    }
}

/// Waits for a program that was asked to end, and kills it if it does not. It outlives the wheel.
///
/// | leader | group | before the grace time is over | then |
/// |---|---|---|---|
/// | not reaped | – | waits for its end | KILL to the group, waits until it is reaped |
/// | reaped | has members | polls the group | KILL to the group, over |
/// | reaped | empty | over | over |
///
/// A program that leads no group is a group of one. While a group has members the system gives its number to no other process, so it
/// can be polled and signalled after its leader is gone.
pub(super) struct StopTask {
    pid: u32,
    group: bool,
    /// The leader was reaped.
    reaped: Rc<Cell<bool>>,
    timer: Deadline,
    /// When the grace time is over.
    due: u64,
    /// Delay before the next poll of a group without its leader.
    look: Duration,
    killed: bool,
}

/// Delay before the first poll of a group without its leader; each further delay is twice the one before, …
const FIRST_LOOK: Duration = Duration::from_millis(5);
/// … up to this.
const LONGEST_LOOK: Duration = Duration::from_millis(100);

impl StopTask {
    /// Sends TERM, and KILL after `grace`. `held`: the group has members, whether or not its leader exists.
    pub(super) fn start(base: &Rc<Base>, core: &Core, pid: u32, group: bool, held: bool, grace: Duration) {
        let reaped = !core.is_child_there(pid);
        if reaped && !held {
            return;
        }
        signal(pid, "TERM", group);
        let grace = i128::try_from(grace.as_nanos()).unwrap_or(i128::MAX);
        let reaped = Rc::new(Cell::new(reaped));
        let body = Box::new(StopTask {
            pid,
            group,
            reaped: reaped.clone(),
            timer: Deadline::default(),
            due: Clock::shifted(core.clock.now(), grace),
            look: FIRST_LOOK,
            killed: false,
        });
        let task = base.start(&format!("Run {} (stopping process {pid})", base.id()), false, body);
        let base = base.clone();
        let hook = move |_| {
            reaped.set(true);
            base.wake(task);
        };
        core.on_child_end(pid, Box::new(hook));
    }

    fn is_over(&self) -> bool {
        self.reaped.get() && (self.killed || !self.group || !group_exists(self.pid))
    }
}

impl Task for StopTask {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.is_over() {
                self.killed = true;
                return Poll::Ready(());
            }
            if self.killed {
                // Until the leader is reaped.
                return Poll::Pending;
            }
            let now = core.clock.now();
            if now >= self.due {
                self.killed = true;
                signal(self.pid, "KILL", self.group);
                continue;
            }
            let until = match self.reaped.get() {
                true => self.due.min(Clock::after(now, self.look)),
                false => self.due,
            };
            // A millisecond does not matter here.
            ready!(self.timer.poll(&core.clock, until, 1_000_000, cx));
            self.look = (self.look * 2).min(LONGEST_LOOK);
        }
    }
}

/// Its session or the kernel is gone before the grace time is over: nothing can wait any longer.
impl Drop for StopTask {
    fn drop(&mut self) {
        if !self.killed && !self.is_over() {
            signal(self.pid, "KILL", self.group);
        }
    }
}

/// Signals a child that was not reaped, or a group that has members, so that the number is still its own.
///
/// A process that cannot be signalled has ended, or belongs to another user now.
fn signal(pid: u32, name: &str, group: bool) {
    if let Some(number) = signal_number(name) {
        let _ = send_signal(pid, number, group);
    }
}

// Arguments of a Run's events: the streams, and the program's exit.
/// One of a program's standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StdStream {
    /// Standard input, which the wheel writes and the program reads.
    Stdin,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Prints POE's names: `STDIN`, `STDOUT`, `STDERR`.
impl fmt::Display for StdStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StdStream::Stdin => "STDIN",
            StdStream::Stdout => "STDOUT",
            StdStream::Stderr => "STDERR",
        })
    }
}

/// The argument of a [`Run`](super::Run)'s exit event: how the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exited {
    /// The wheel that ran the program.
    pub wheel: WheelId,
    /// The process's number; `None` for a function.
    pub pid: Option<u32>,
    /// The program's status.
    ///
    /// `None` only if other code has reaped the process. A function's is 0, or 255 if it failed.
    pub status: Option<ExitStatus>,
}

// The state that a Run's value and its tasks share, and the events of its pumps.
/// The state that the wheel's value and its tasks share.
pub(super) struct ProgramState {
    pub(super) base: Rc<Base>,
    /// The program's name in errors.
    pub(super) program: String,
    /// Outputs that have not ended.
    pub(super) outputs: Cell<u8>,
    pub(super) names: RefCell<Names>,
    /// The task that reports the program's end.
    pub(super) end: Cell<Option<TaskId>>,
}

#[derive(Default)]
pub(super) struct Names {
    pub(super) error: Option<HeldName>,
    pub(super) close: Option<HeldName>,
    pub(super) exit: Option<HeldName>,
    pub(super) ended: Option<HeldName>,
}

/// One pump's part in the wheel.
pub(super) struct RunPart {
    pub(super) shared: Rc<ProgramState>,
    pub(super) output: StdStream,
}

impl pump::Part for RunPart {
    fn has_error_event(&self) -> bool {
        self.shared.names.borrow().error.is_some()
    }

    fn failed(&self, core: &Core, error: IoError) -> Option<()> {
        let base = &self.shared.base;
        let stream = match error.operation() {
            "write" => StdStream::Stdin,
            _ => self.output,
        };
        let event = self.shared.names.borrow().error.as_ref().map(HeldName::idx);
        match event {
            Some(event) => {
                let error = error.about(&*self.shared.program);
                base.deliver(core, event, AnyArg::new(error.on(stream)))
            }
            None => {
                pump::log_unreported(base, "Run", &error);
                drop_quietly(error);
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
        let base = &self.shared.base;
        let event = self.shared.names.borrow().close.as_ref().map(HeldName::idx);
        if let Some(event) = event {
            base.deliver(core, event, AnyArg::new(base.id()))?;
        }
        base.wake(self.shared.end.get());
        Some(())
    }

    fn name(&self) -> Name {
        Name::from(&*format!("Run {}", self.shared.base.id()))
    }
}

// Signals to the program of a Run, and its orderly end.
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
