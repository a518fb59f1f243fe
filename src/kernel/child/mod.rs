//! The ends of child processes: `sig_child`, and the signal CHLD (laws L55 to L57).
//!
//! No child is taken from its owner. The end of a process is seen with a pidfd (with SIGCHLD on other systems than
//! Linux), its status is read without reaping it, and only a [`Child`](std::process::Child) that was given away is
//! reaped here.

mod sig_child;

use super::Core;
use super::task::{Purpose, Task};
use crate::bridge::files::Readiness;
use crate::bridge::processes::{ProcessState, end_of, process_state};
use crate::bridge::reaper::{OwnChild, reap_later};
use crate::id::TaskId;
use crate::name::Name;
use crate::resource::HoldKind;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;
use std::process::{Child, ExitStatus};
use std::task::{Context, Poll};

// How a process ended.
/// The end of a process: the argument of the event of [`KernelRef::sig_child`](crate::KernelRef::sig_child), and of the
/// signal `CHLD` ([`Signal::child`](crate::Signal::child)).
///
/// ```
/// use poe::{Event, Kernel, Session, event::{START, STOP}, unix::ProcessExit};
/// use std::process::Command;
/// const ENDED: Event<ProcessExit<&'static str>> = Event::new("ended");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// Session::builder(None)
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let child = Command::new("sh").args(["-c", "kill -KILL $$"]).spawn()?;
///         *cx.heap = Some(child.id());
///         Ok(cx.sig_child(child, ENDED, "the worker")?)
///     })
///     .on(ENDED, |cx, exit| {
///         let ProcessExit { pid, status, extra, .. } = exit;
///         assert_eq!((Some(pid), extra), (cx.heap.take(), "the worker"));
///         // The kernel was given the child and reaps it, so the status is known.
///         assert_eq!(status.unwrap().to_string(), "signal: 9 (SIGKILL)");
///     })
///     .on(STOP, |cx, ()| assert!(cx.heap.is_none()))
///     .create(&kernel)?;
/// kernel.run().await
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessExit<X = ()> {
    /// The process's number, as returned by [`Child::id`](std::process::Child::id).
    pub pid: u32,
    /// How it ended ([`ExitStatusExt::into_raw`](std::os::unix::process::ExitStatusExt::into_raw) is POE's `$?`).
    /// `None` if other code reaped it before the kernel could look, or if it was not a child of this process.
    pub status: Option<ExitStatus>,
    /// The value that the watcher was made with.
    pub extra: X,
}

// The process to wait for.
/// The process that [`KernelRef::sig_child`](crate::KernelRef::sig_child) waits for: a number, or a [`Child`] that the
/// kernel reaps.
///
/// ```
/// use poe::unix::ChildProcess;
/// let child = std::process::Command::new("true").spawn().unwrap();
/// let pid = child.id();
/// assert_eq!(ChildProcess::from(child).id(), pid); // given away: no other code can wait for it
/// assert_eq!(ChildProcess::from(pid).id(), pid); // only watched: its owner still waits for it
/// ```
#[derive(Debug)]
pub struct ChildProcess(Which);

#[derive(Debug)]
enum Which {
    Number(u32),
    Given(Child),
}

impl ChildProcess {
    /// Returns the process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        match &self.0 {
            Which::Number(pid) => *pid,
            Which::Given(child) => child.id(),
        }
    }
}

impl From<u32> for ChildProcess {
    fn from(pid: u32) -> Self {
        ChildProcess(Which::Number(pid))
    }
}

impl From<&Child> for ChildProcess {
    fn from(child: &Child) -> Self {
        ChildProcess(Which::Number(child.id()))
    }
}

impl From<Child> for ChildProcess {
    fn from(mut child: Child) -> Self {
        // Nobody can use them any more; one left open, as `Child::wait` knows, may keep the child waiting for ever.
        drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
        ChildProcess(Which::Given(child))
    }
}

// The processes that are watched, or owned by the kernel, and the task that waits for one.
/// A process that is awaited, or is the kernel's to reap.
struct Known {
    /// What waits for its end.
    task: Option<TaskId>,
    /// No pidfd could be had: SIGCHLD tells.
    by_signal: bool,
    /// A child of this process, as it was when it was entered: only such a one can be waited for to the end.
    ours: bool,
    /// Given away to the kernel, which reaps it.
    child: Option<OwnChild>,
    /// Wheels that want to know of its end.
    ended: Vec<EndHook>,
}

/// Called with the process's status as far as it is known; it runs no handler.
pub(crate) type EndHook = Box<dyn FnOnce(Option<ExitStatus>)>;

#[derive(Default)]
pub(crate) struct Processes {
    known: RefCell<BTreeMap<u32, Known>>,
    /// Children whose end has been reported, and which their owners have not reaped yet.
    told: RefCell<BTreeSet<u32>>,
}

/// Children that still run when their kernel goes are reaped all the same.
impl Drop for Processes {
    fn drop(&mut self) {
        let known = std::mem::take(self.known.get_mut());
        reap_later(known.into_values().filter_map(|known| known.child));
    }
}

impl Processes {
    /// True if the end of that process had not been told yet.
    fn tell(&self, pid: u32) -> bool {
        let mut told = self.told.borrow_mut();
        // Now and then those are forgotten that their owners have reaped meanwhile.
        if told.len() >= 64 && told.len().is_power_of_two() {
            told.retain(|pid| matches!(process_state(*pid), Ok(ProcessState::Exited(_))));
        }
        told.insert(pid)
    }
}

struct ProcessTask {
    pid: u32,
    end: Option<Readiness>,
}

impl Task for ProcessTask {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let end = match &mut self.end {
                Some(end) => end,
                none => match end_of(self.pid) {
                    Ok(end) => none.insert(end),
                    // Gone by now, or the system has no such thing: look, and let SIGCHLD tell if it is still there.
                    Err(_) => {
                        core.look_by_signal(self.pid);
                        return Poll::Pending;
                    }
                },
            };
            if end.poll_ready(cx).is_pending() {
                return Poll::Pending;
            }
            if core.look_at_process(self.pid, true) {
                return Poll::Ready(());
            }
            // As long as one of its threads runs it has not ended.
            self.end = None;
        }
    }
}

impl Core {
    /// Begins to look for the end of a process, unless that is done already.
    #[track_caller]
    fn enter_process(&self, pid: u32, ours: bool, child: Option<OwnChild>) {
        let is_new = {
            let mut known = self.processes.known.borrow_mut();
            let is_new = !known.contains_key(&pid);
            let entry = known.entry(pid).or_insert(Known {
                task: None,
                by_signal: false,
                ours,
                child: None,
                ended: Vec::new(),
            });
            if child.is_some() {
                entry.child = child;
            }
            is_new
        };
        if is_new {
            let purpose = Purpose {
                owner: self.id(),
                kind: HoldKind::Process,
                what: Name::from(pid.to_string().as_str()),
                place: Location::caller(),
                listener: false,
            };
            let task = self.start_task(purpose, Box::new(ProcessTask { pid, end: None }));
            if let Some(known) = self.processes.known.borrow_mut().get_mut(&pid) {
                known.task = task;
            }
        }
    }

    /// Takes over a child that was just started: it will be reaped, whether anybody awaits it or not.
    pub(crate) fn adopt_child(&self, child: Child) {
        let pid = child.id();
        self.processes.told.borrow_mut().remove(&pid);
        self.enter_process(pid, true, Some(OwnChild::new(child)));
    }

    /// A run is over, or is given up: children that go on are reaped when they end, though nobody polls the kernel then. The next
    /// run reports them.
    pub(crate) fn leave_children(&self) {
        let children: Vec<OwnChild> = {
            let known = self.processes.known.borrow();
            known.values().filter_map(|known| known.child.clone()).collect()
        };
        reap_later(children);
    }

    /// Reports the end of an adopted child to a wheel; false if it was reaped already.
    pub(crate) fn on_child_end(&self, pid: u32, hook: EndHook) -> bool {
        match self.processes.known.borrow_mut().get_mut(&pid) {
            Some(known) if known.child.is_some() => {
                known.ended.push(hook);
                true
            }
            _ => false,
        }
    }

    /// Whether a child was adopted and its end was not told yet.
    fn is_adopted(&self, pid: u32) -> bool {
        let known = self.processes.known.borrow();
        known.get(&pid).is_some_and(|known| known.child.is_some())
    }

    /// Calls `f` if an adopted child is not reaped, so that its number is still its own.
    pub(crate) fn if_child_is_there<T>(&self, pid: u32, f: impl FnOnce() -> T) -> Option<T> {
        let known = self.processes.known.borrow();
        known.get(&pid)?.child.as_ref()?.if_there(f)
    }

    /// Whether an adopted child is not reaped.
    pub(crate) fn is_child_there(&self, pid: u32) -> bool {
        self.if_child_is_there(pid, || ()).is_some()
    }

    /// Awaits a process no longer, unless somebody else does, or it is the kernel's to reap.
    fn settle_process(&self, pid: u32) {
        if self.children.borrow().is_awaited(pid) {
            return;
        }
        let task = {
            let mut known = self.processes.known.borrow_mut();
            match known.get(&pid) {
                Some(process) if process.child.is_none() => known.remove(&pid).and_then(|known| known.task),
                _ => return,
            }
        };
        if let Some(task) = task {
            self.cancel_task(task);
        }
        self.settle_listeners();
    }

    fn look_by_signal(&self, pid: u32) {
        if let Some(known) = self.processes.known.borrow_mut().get_mut(&pid) {
            known.by_signal = true;
        }
        self.listen(self.id(), "CHLD");
        self.look_at_process(pid, false);
    }

    /// Whether some process can only be awaited by SIGCHLD.
    pub(crate) fn awaits_by_signal(&self) -> bool {
        self.processes.known.borrow().values().any(|known| known.by_signal)
    }
}
