//! The end of a program: telling of it, and bringing it about.

use super::{Exited, Shared};
use crate::arg::AnyArg;
use crate::bridge::processes::{send_signal, signal_number};
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
use tokio::time::Sleep;

/// What is known of the end of a program, and the task that tells of it.
pub(super) struct Ending {
    pub(super) task: Option<TaskId>,
    pub(super) running: Rc<Cell<bool>>,
}

/// Waits for the end. Without an exit event there is none for a process, which the kernel looks after anyway.
struct EndTask {
    shared: Rc<Shared>,
    pid: Option<u32>,
    running: Rc<Cell<bool>>,
    status: Rc<Cell<Option<ExitStatus>>>,
    function: Option<Job<ExitStatus>>,
}

impl Ending {
    pub(super) fn start(core: &Core, shared: &Rc<Shared>, pid: Option<u32>, function: Option<Job<ExitStatus>>) -> Self {
        let running = Rc::new(Cell::new(true));
        let status = Rc::new(Cell::new(None));
        // A function has nobody else to look after it.
        let is_told = shared.names.borrow().exit.is_some() || function.is_some();
        let task = is_told.then(|| {
            let body = Box::new(EndTask {
                shared: shared.clone(),
                pid,
                running: running.clone(),
                status: status.clone(),
                function,
            });
            shared
                .base
                .start(&format!("Run {} (its end)", shared.base.id()), false, body)
        });
        let task = task.flatten();
        if let Some(pid) = pid {
            let (base, running) = (shared.base.clone(), running.clone());
            let hook = move |ended| {
                running.set(false);
                status.set(ended);
                base.schedule(task);
            };
            core.on_child_end(pid, Box::new(hook));
        }
        Ending { task, running }
    }
}

impl Task for EndTask {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(function) = &mut self.function {
            let status = ready!(Pin::new(function).poll(cx));
            // It fails only if no thread could be started for it, or the runtime of virtual time is going down.
            self.status.set(status.ok());
            self.running.set(false);
        }
        if self.running.get() {
            return Poll::Pending;
        }
        let event = self.shared.names.borrow().exit.as_ref().map(HeldName::idx);
        if let Some(event) = event {
            let exited = Exited {
                wheel: self.shared.base.id(),
                pid: self.pid,
                status: self.status.get(),
            };
            let _: Option<()> = self.shared.base.deliver(core, event, AnyArg::new(exited));
        }
        Poll::Ready(())
    }
}

/// Waits for a program that was asked to end, and ends it if it will not. It outlives the wheel.
pub(super) struct StopTask {
    base: Rc<Base>,
    pid: u32,
    group: bool,
    timer: Pin<Box<Sleep>>,
    killed: bool,
}

impl StopTask {
    /// Sends TERM and waits so long before it sends KILL.
    pub(super) fn start(base: &Rc<Base>, core: &Core, pid: u32, group: bool, grace: Duration) {
        if !core.is_child_there(pid) {
            return;
        }
        signal(core, pid, "TERM", group);
        let body = Box::new(StopTask {
            base: base.clone(),
            pid,
            group,
            timer: Box::pin(tokio::time::sleep(grace)),
            killed: false,
        });
        let task = base.start(&format!("Run {} (stopping process {pid})", base.id()), false, body);
        let base = base.clone();
        core.on_child_end(pid, Box::new(move |_| base.schedule(task)));
    }
}

impl Task for StopTask {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        if !core.is_child_there(self.pid) {
            self.killed = true;
            return Poll::Ready(());
        }
        if !self.killed {
            ready!(self.timer.as_mut().poll(cx));
            self.killed = true;
            signal(core, self.pid, "KILL", self.group);
        }
        // Until it is reaped.
        Poll::Pending
    }
}

/// Its session is gone before the time was over: there is nobody to wait any longer.
impl Drop for StopTask {
    fn drop(&mut self) {
        if !self.killed
            && let Some(core) = self.base.core()
            && core.is_child_there(self.pid)
        {
            signal(&core, self.pid, "KILL", self.group);
        }
    }
}

/// To a child that was not reaped, so that the number is still its own. What cannot be signalled has ended, or has become
/// somebody else's.
fn signal(core: &Core, pid: u32, name: &str, group: bool) {
    if let Some(number) = signal_number(name)
        && core.is_child_there(pid)
    {
        let _ = send_signal(pid, number, group);
    }
}
