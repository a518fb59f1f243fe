//! Waiting for a process (POE's `sig_child`).

use super::child_process::Which;
use super::{ChildProcess, ProcessExit};
use crate::arg::AnyArg;
use crate::bridge::processes::{ProcessState, exists, keep_statuses, process_state};
use crate::bridge::reaper::OwnChild;
use crate::error::{Error, ErrorKind, drop_quietly};
use crate::event::Posts;
use crate::kernel::{Core, KernelRef};
use crate::name::HeldName;
use crate::resource::HoldKind;
use crate::resource::children::Awaiter;
use std::io;
use std::panic::Location;

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
