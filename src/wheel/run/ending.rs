//! The end of a program: reporting it, and causing it.

use super::{Exited, ProgramState};
use crate::arg::AnyArg;
use crate::bridge::clock::Clock;
use crate::bridge::deadline::Deadline;
use crate::bridge::processes::{group_exists, send_signal, signal_number};
use crate::bridge::threads::Job;
use crate::id::TaskId;
use crate::kernel::Core;
use crate::kernel::task::Task;
use crate::name::HeldName;
use crate::wheel::base::Base;
use std::cell::Cell;
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
