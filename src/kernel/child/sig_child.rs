//! Waiting for a process (POE's `sig_child`).

use super::super::{Core, KernelRef};
use super::{ChildProcess, ProcessExit, Which};
use crate::arg::AnyArg;
use crate::bridge::processes::{ProcessState, any_runs, children, exists, keep_statuses, process_state};
use crate::bridge::reaper::OwnChild;
use crate::error::{Error, ErrorKind, drop_quietly};
use crate::event::Posts;
use crate::name::{HeldName, NameIdx};
use crate::resource::HoldKind;
use crate::resource::children::Awaiter;
use crate::resource::sessions::KERNEL;
use std::io;
use std::panic::Location;
use std::process::ExitStatus;

/// Child processes (on Unix only).
impl KernelRef<'_> {
    /// Delivers `event`, once, when a process ends (laws L55, L56). Until then the session stays alive, and the kernel
    /// is not idle.
    ///
    /// The event also comes for a process that has ended already and was not reaped.
    ///
    /// A process given by its number is only watched: the code that started it still waits for it. A
    /// [`std::process::Child`] that is given away is reaped by the kernel, also if the session stops before; its pipes
    /// are closed, unless they were taken out before. A second wait of the same session for the same process replaces
    /// the event and extra.
    ///
    /// On Linux any process can be watched. If it is not a child of this process its status is not known, and waiting
    /// for it does not keep the kernel from being idle.
    ///
    /// # Errors
    /// There is no such process ([`Error::is_no_such_process`]); the session has been stopped (a child that is given
    /// away is reaped all the same); the kernel is on virtual time.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::{START, STOP}, unix::ProcessExit};
    /// const ENDED: Event<ProcessExit<&'static str>> = Event::new("ended");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// Session::builder(None)
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
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
    #[doc(alias = "wait")]
    #[doc(alias = "waitpid")]
    pub fn sig_child<X: 'static>(
        self,
        process: impl Into<ChildProcess>,
        event: impl Posts<ProcessExit<X>>,
        extra: X,
    ) -> Result<(), Error> {
        let process = process.into();
        let session = match self.own_slot() {
            Ok(slot) => slot,
            Err(gone) => {
                if let (Which::Given(child), false) = (process.0, self.core.is_virtual()) {
                    self.core.adopt_child(child);
                }
                return self.core.logged("sig_child", Err(gone));
            }
        };
        let awaiter = Awaiter {
            session,
            event: HeldName::new(event.key()),
            arg: Box::new(move |pid, status| AnyArg::new(ProcessExit { pid, status, extra })),
            place: Location::caller(),
        };
        let awaited = self.core.await_process(process, awaiter);
        self.core.logged("sig_child", awaited)
    }

    /// Stops waiting for a process; false if this session did not wait for it.
    ///
    /// ```
    /// use poe::{Event, Kernel, Session, event::START, unix::ProcessExit};
    /// const ENDED: Event<ProcessExit> = Event::new("ended");
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), poe::Error> {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| -> poe::HandlerResult {
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

impl Core {
    fn await_process(&self, process: ChildProcess, awaiter: Awaiter) -> Result<(), Error> {
        let pid = process.id();
        if self.is_virtual() {
            let why = "a kernel on virtual time awaits no process: use one on the real clock";
            return Err(cannot_await(pid, io::Error::new(io::ErrorKind::Unsupported, why)));
        }
        keep_statuses();
        let given = matches!(process.0, Which::Given(_));
        // What the kernel reaps itself it knows, whether that has ended meanwhile or not.
        let given = given || self.is_adopted(pid);
        let now = match process_state(pid) {
            Err(error) if !given => return Err(cannot_await(pid, error)),
            now => now.unwrap_or(ProcessState::Running),
        };
        let ours = given || now != ProcessState::NotOurs;
        if !ours && !exists(pid) {
            return Err(ErrorKind::NoSuchProcess(pid).into());
        }
        if now == ProcessState::Running {
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
            Which::Given(child) => Some(OwnChild::new(child)),
            Which::Number(_) => None,
        };
        self.enter_process(pid, ours, child);
        Ok(())
    }
}

fn cannot_await(pid: u32, error: io::Error) -> Error {
    ErrorKind::IoOf {
        what: format!("cannot await process {pid}"),
        error,
        cure: "",
    }
    .into()
}

// Notifies watchers of the end of a process (laws L55 to L57).
impl Core {
    /// Reports the end of a process if it has come; `sure`: it certainly has. Returns whether it was reported.
    pub(super) fn look_at_process(&self, pid: u32, sure: bool) -> bool {
        let (given, ours) = {
            let known = self.processes.known.borrow();
            let Some(known) = known.get(&pid) else {
                return true;
            };
            (known.child.as_ref().map(OwnChild::end), known.ours)
        };
        let status = match given {
            Some(None) => return false,
            Some(Some(status)) => status,
            None => match process_state(pid) {
                Ok(ProcessState::Running) => return false,
                Ok(ProcessState::Exited(status)) => Some(status),
                // Reaped by its owner.
                _ if sure || ours => None,
                _ => return false,
            },
        };
        self.process_ended(pid, status);
        true
    }

    /// Notifies the sessions that wait for this process, and then those that watch CHLD (law L56).
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
            let exit = ProcessExit { pid, status, extra: () };
            self.kernel_signal(KERNEL, "CHLD", AnyArg::new(exit));
        }
        if reaped || status.is_none() {
            self.processes.told.borrow_mut().remove(&pid);
        }
        self.settle_listeners();
    }

    /// SIGCHLD has come, or somebody has begun to watch it: reports every child that has ended and was not reported yet.
    pub(crate) fn children_may_have_ended(&self, arrived: bool) {
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
            if !told && let Ok(ProcessState::Exited(status)) = process_state(*pid) {
                self.process_ended(*pid, Some(status));
            }
        }
    }

    /// Whether the end of a process will have something to tell, so that the kernel is not idle (laws L44, L57).
    pub(crate) fn awaits_children(&self) -> bool {
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
    pub(crate) fn clear_children(&self, slot: u32) -> Vec<Awaiter> {
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
