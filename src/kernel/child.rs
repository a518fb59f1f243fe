//! The ends of child processes: `sig_child`, and the signal CHLD (laws L55 to L57).
//!
//! Nobody's child is stolen. The end of a process is seen by a pidfd (elsewhere than on Linux by SIGCHLD), its status is read
//! without reaping it, and only a [`Child`](std::process::Child) that was given away is reaped here.

use super::task::{Purpose, Task};
use super::{Core, Turn};
use crate::arg::AnyArg;
use crate::bridge::files::Readiness;
use crate::bridge::processes::{Standing, any_runs, children, end_of, exists, standing};
use crate::error::{Error, ErrorKind, drop_quietly};
use crate::event::Posts;
use crate::id::TaskId;
use crate::name::{HeldName, Name, NameIdx};
use crate::resource::HoldKind;
use crate::resource::children::Awaiter;
use crate::resource::sessions::KERNEL;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::panic::Location;
use std::process::{Child, ExitStatus};
use std::task::{Context, Poll};

/// The end of a process: what [`Turn::sig_child`]'s event carries, and the signal `CHLD` ([`Signal::child`](crate::Signal::child)).
///
/// ```
/// use poe::{ChildExit, Event, Kernel, Session, event::{START, STOP}};
/// use std::process::Command;
/// const ENDED: Event<ChildExit<&'static str>> = Event::new("ended");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// Session::builder(None)
///     .on(START, |cx, ()| -> poe::Handled {
///         let child = Command::new("sh").args(["-c", "kill -KILL $$"]).spawn()?;
///         *cx.heap = Some(child.id());
///         Ok(cx.sig_child(child, ENDED, "the worker")?)
///     })
///     .on(ENDED, |cx, exit| {
///         let ChildExit { pid, status, extra } = exit;
///         assert_eq!((Some(pid), extra), (cx.heap.take(), "the worker"));
///         // Reaped by the kernel, to which it was given away, so that the status is known.
///         assert_eq!(status.unwrap().to_string(), "signal: 9 (SIGKILL)");
///     })
///     .on(STOP, |cx, ()| assert!(cx.heap.is_none()))
///     .create(&kernel)?;
/// kernel.run().await
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildExit<X = ()> {
    /// The process's number, as [`Child::id`] gives it.
    pub pid: u32,
    /// How it ended ([`ExitStatusExt::into_raw`](std::os::unix::process::ExitStatusExt::into_raw) is POE's `$?`). `None` if somebody else had reaped it before the
    /// kernel could look, or if it was no child of this process.
    pub status: Option<ExitStatus>,
    /// What the watcher was made with.
    pub extra: X,
}

/// Which process [`Turn::sig_child`] awaits: a number, or a [`Child`] that the kernel is to reap.
///
/// ```
/// use poe::ChildProcess;
/// let child = std::process::Command::new("true").spawn().unwrap();
/// let pid = child.id();
/// assert_eq!(ChildProcess::from(child).id(), pid); // given away: nobody else can wait for it
/// assert_eq!(ChildProcess::from(pid).id(), pid); // only looked at: its owner still waits for it
/// ```
#[derive(Debug)]
pub struct ChildProcess(Which);

#[derive(Debug)]
enum Which {
    Number(u32),
    Given(Child),
}

impl ChildProcess {
    /// The process's number.
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

/// A process that is awaited, or is the kernel's to reap.
struct Known {
    /// What waits for its end.
    task: Option<TaskId>,
    /// No pidfd could be had: SIGCHLD tells.
    by_signal: bool,
    /// A child of this process, as it was when it was entered: only such a one can be waited for to the end.
    ours: bool,
    /// Given away to the kernel, which reaps it.
    child: Option<Child>,
    /// Wheels that want to know of its end.
    ended: Vec<EndHook>,
}

/// Called with what is known of how a process ended; it runs no handler.
pub(crate) type EndHook = Box<dyn FnOnce(Option<ExitStatus>)>;

#[derive(Default)]
pub(super) struct Processes {
    known: RefCell<BTreeMap<u32, Known>>,
    /// Those whose end has been told, and which their owners have not reaped yet.
    told: RefCell<BTreeSet<u32>>,
}

/// Children that still run when their kernel goes are waited for by threads, so that none is left unreaped.
impl Drop for Processes {
    fn drop(&mut self) {
        let known = std::mem::take(self.known.get_mut());
        for mut child in known.into_values().filter_map(|known| known.child) {
            if matches!(child.try_wait(), Ok(None)) {
                let reaper = std::thread::Builder::new()
                    .name("poe-reaper".to_owned())
                    .stack_size(64 * 1024);
                // Without a thread to be had the child stays unreaped until this process ends, as without us.
                let _ = reaper.spawn(move || child.wait());
            }
        }
    }
}

impl Processes {
    /// True if the end of that process had not been told yet.
    fn tell(&self, pid: u32) -> bool {
        let mut told = self.told.borrow_mut();
        // Now and then those are forgotten that their owners have reaped meanwhile.
        if told.len() >= 64 && told.len().is_power_of_two() {
            told.retain(|pid| matches!(standing(*pid), Ok(Standing::Exited(_))));
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
    fn await_process(&self, process: ChildProcess, awaiter: Awaiter) -> Result<(), Error> {
        let pid = process.id();
        if self.is_virtual() {
            let why = "a kernel on virtual time awaits no process: use one on the real clock";
            return Err(io_error(io::Error::new(io::ErrorKind::Unsupported, why)));
        }
        let given = matches!(process.0, Which::Given(_));
        let now = match standing(pid) {
            Err(error) if !given => return Err(io_error(error)),
            now => now.unwrap_or(Standing::Running),
        };
        let ours = given || now != Standing::NotOurs;
        if !ours && !exists(pid) {
            return Err(ErrorKind::NoSuchProcess(pid).into());
        }
        if now == Standing::Running {
            // What was told was of an earlier process of the same number.
            self.processes.told.borrow_mut().remove(&pid);
        }
        let session = awaiter.session;
        let replaced = self.children.borrow_mut().enter(pid, awaiter);
        if replaced.is_none() {
            self.sessions.borrow_mut().hold(session);
            self.trace_held(session, HoldKind::Process, &pid.to_string());
        }
        drop_quietly(replaced);
        let child = match process.0 {
            Which::Given(child) => Some(child),
            Which::Number(_) => None,
        };
        self.enter_process(pid, ours, child);
        Ok(())
    }

    /// Begins to look for the end of a process, unless that is done already.
    #[track_caller]
    fn enter_process(&self, pid: u32, ours: bool, child: Option<Child>) {
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
        self.enter_process(pid, true, Some(child));
    }

    /// Has a wheel told of the end of a child that was adopted; false if it was reaped already.
    pub(crate) fn on_child_end(&self, pid: u32, hook: EndHook) -> bool {
        match self.processes.known.borrow_mut().get_mut(&pid) {
            Some(known) if known.child.is_some() => {
                known.ended.push(hook);
                true
            }
            _ => false,
        }
    }

    /// Whether an adopted child is not reaped, so that its number is still its own.
    pub(crate) fn is_child_there(&self, pid: u32) -> bool {
        let known = self.processes.known.borrow();
        known.get(&pid).is_some_and(|known| known.child.is_some())
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
    pub(super) fn awaits_by_signal(&self) -> bool {
        self.processes.known.borrow().values().any(|known| known.by_signal)
    }

    /// Tells of a process's end if it has come; `sure` if it has, whatever else can be found out. True if it was told.
    fn look_at_process(&self, pid: u32, sure: bool) -> bool {
        let (given, ours) = {
            let mut known = self.processes.known.borrow_mut();
            let Some(known) = known.get_mut(&pid) else {
                return true;
            };
            (known.child.as_mut().map(Child::try_wait), known.ours)
        };
        let status = match given {
            Some(Ok(None)) => return false,
            Some(Ok(status)) => status,
            Some(Err(_)) => None,
            None => match standing(pid) {
                Ok(Standing::Running) => return false,
                Ok(Standing::Exited(status)) => Some(status),
                // Reaped by its owner.
                _ if sure || ours => None,
                _ => return false,
            },
        };
        self.process_ended(pid, status);
        true
    }

    /// Tells those who await this process, and then whoever watches CHLD (law L56).
    fn process_ended(&self, pid: u32, status: Option<ExitStatus>) {
        tracing::trace!(target: "poe::signals", pid, ?status, "a process has ended");
        let awaiters = self.children.borrow_mut().take(pid);
        for awaiter in awaiters {
            let arg = (awaiter.arg)(pid, status);
            let slot = awaiter.session;
            self.enqueue_known(slot, KERNEL, awaiter.event.idx(), NameIdx::NONE, arg, awaiter.place);
            self.sessions.borrow_mut().release(slot);
            self.trace_released(slot, HoldKind::Process, &pid.to_string());
        }
        let known = self.processes.known.borrow_mut().remove(&pid);
        let (task, reaped, hooks) = known.map_or((None, false, Vec::new()), |k| (k.task, k.child.is_some(), k.ended));
        for hook in hooks {
            hook(status);
        }
        if let Some(task) = task {
            self.cancel_task(task);
        }
        if self.processes.tell(pid) && self.signals.borrow().is_watched("CHLD") {
            let exit = ChildExit { pid, status, extra: () };
            self.kernel_signal(KERNEL, "CHLD", AnyArg::new(exit));
        }
        if reaped || status.is_none() {
            self.processes.told.borrow_mut().remove(&pid);
        }
        self.settle_listeners();
    }

    /// SIGCHLD has come, or somebody has begun to watch it: tells of every child that has ended and was not told of.
    pub(super) fn children_may_have_ended(&self, arrived: bool) {
        let pids: Vec<u32> = self.processes.known.borrow().keys().copied().collect();
        let mut told = false;
        for pid in pids {
            told |= self.look_at_process(pid, false);
        }
        if !self.signals.borrow().is_watched("CHLD") {
            return;
        }
        match children() {
            Some(pids) => self.tell_of_the_ended(&pids),
            // Somebody else's, and there is no way to know which.
            None if arrived && !told => self.kernel_signal(KERNEL, "CHLD", AnyArg::UNIT),
            None => {}
        }
    }

    fn tell_of_the_ended(&self, pids: &[u32]) {
        self.processes
            .told
            .borrow_mut()
            .retain(|pid| pids.binary_search(pid).is_ok());
        for pid in pids {
            let told = self.processes.told.borrow().contains(pid) || self.processes.known.borrow().contains_key(pid);
            if !told && let Ok(Standing::Exited(status)) = standing(*pid) {
                self.process_ended(*pid, Some(status));
            }
        }
    }

    /// Whether the end of a process will have something to tell, so that the kernel is not idle (laws L44, L57).
    pub(super) fn awaits_children(&self) -> bool {
        let known = self.processes.known.borrow();
        let table = self.children.borrow();
        if known.iter().any(|(pid, known)| known.ours && table.is_awaited(*pid)) {
            return true;
        }
        if self.is_virtual() || !self.signals.borrow().is_watched("CHLD") {
            return false;
        }
        match children() {
            Some(pids) => {
                let told = self.processes.told.borrow();
                pids.iter().any(|pid| !told.contains(pid))
            }
            None => any_runs(),
        }
    }

    /// Forgets what a session awaited, one hold each; they are the caller's to drop.
    #[must_use]
    pub(super) fn clear_children(&self, slot: u32) -> Vec<Awaiter> {
        let cleared = self.children.borrow_mut().clear(slot);
        if cleared.is_empty() {
            return Vec::new();
        }
        let (pids, awaiters): (Vec<u32>, Vec<Awaiter>) = cleared.into_iter().unzip();
        for pid in pids {
            self.settle_process(pid);
        }
        awaiters
    }
}

fn io_error(error: io::Error) -> Error {
    ErrorKind::Io {
        operation: "awaiting a process",
        error,
    }
    .into()
}

/// Child processes (on Unix only).
impl Turn<'_> {
    /// Delivers `event`, once, when a process ends (laws L55, L56). That keeps the session alive, and the kernel from being
    /// idle, until then. A process that has ended already, and was not reaped, is told of as well.
    ///
    /// By its number, a process is only looked at: whoever started it waits for it as ever. A
    /// [`std::process::Child`] that is given away is reaped by the kernel, also if the session ends before it; such of its
    /// pipes as were not taken out before are closed. A second wait of the same session for the same process replaces the event and extra.
    ///
    /// Any process can be awaited on Linux; of one that is no child of this one the status is not known, and waiting for it
    /// does not keep the kernel from being idle.
    ///
    /// # Errors
    /// There is no such process ([`Error::is_no_such_process`]); the kernel is on virtual time.
    ///
    /// ```
    /// use poe::{ChildExit, Event, Kernel, Session, event::{START, STOP}};
    /// const ENDED: Event<ChildExit<&'static str>> = Event::new("ended");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// Session::builder(None)
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let child = std::process::Command::new("sh").args(["-c", "exit 3"]).spawn()?;
    ///         Ok(cx.sig_child(child, ENDED, "the third")?)
    ///     })
    ///     .on(ENDED, |cx, exit| {
    ///         assert_eq!(exit.extra, "the third");
    ///         *cx.heap = exit.status;
    ///     })
    ///     .on(STOP, |cx, ()| assert_eq!(cx.heap.unwrap().code(), Some(3)))
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }
    /// ```
    #[track_caller]
    pub fn sig_child<X: 'static>(
        self,
        process: impl Into<ChildProcess>,
        event: impl Posts<ChildExit<X>>,
        extra: X,
    ) -> Result<(), Error> {
        let process = process.into();
        let Some(session) = self.slot() else {
            return Ok(());
        };
        let awaiter = Awaiter {
            session,
            event: HeldName::new(event.key()),
            arg: Box::new(move |pid, status| AnyArg::new(ChildExit { pid, status, extra })),
            place: Location::caller(),
        };
        let awaited = self.core.await_process(process, awaiter);
        self.core.told("sig_child", awaited)
    }

    /// Awaits a process no longer; false if this session did not.
    ///
    /// ```
    /// use poe::{ChildExit, Event, Kernel, Session, event::START};
    /// const ENDED: Event<ChildExit> = Event::new("ended");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| -> poe::Handled {
    ///         let mut child = std::process::Command::new("sleep").arg("3600").spawn()?;
    ///         cx.sig_child(&child, ENDED, ())?; // looked at, and still the program's own
    ///         assert!(cx.sig_child_clear(child.id()));
    ///         assert!(!cx.sig_child_clear(child.id()));
    ///         child.kill()?;
    ///         child.wait()?;
    ///         Ok(())
    ///     })
    ///     .on(ENDED, |_, _| panic!("nobody awaits it"))
    ///     .create(&kernel)?;
    /// kernel.run().await // nothing keeps the session any more
    /// # }
    /// ```
    #[doc(alias = "sig_child")]
    pub fn sig_child_clear(self, pid: u32) -> bool {
        let Some(slot) = self.slot() else { return false };
        let removed = self.core.children.borrow_mut().remove(pid, slot);
        let Some(awaiter) = removed else { return false };
        self.core.sessions.borrow_mut().release(slot);
        self.core.trace_released(slot, HoldKind::Process, &pid.to_string());
        self.core.settle_process(pid);
        drop_quietly(awaiter);
        true
    }
}
