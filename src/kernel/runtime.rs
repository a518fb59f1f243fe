//! The Tokio runtime that polls a kernel, and a private one for programs without a runtime.

use super::Core;
use crate::bridge::runtime::Home;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use tokio::runtime::{Builder, Handle, Runtime};

#[derive(Default)]
pub(super) struct Runtimes {
    /// The runtime that polled the kernel last.
    home: Cell<Home>,
    /// Counts the changes of it: what a task registered before the last one must be registered anew.
    epoch: Cell<u32>,
    /// Made when it is first needed, for `run_blocking` and for handlers that run before it.
    own: RefCell<Option<Rc<Runtime>>>,
}

impl Core {
    /// The kernel's own runtime.
    ///
    /// # Errors
    /// The system's, when it refuses one.
    pub(super) fn own_runtime(&self) -> io::Result<Rc<Runtime>> {
        if let Some(runtime) = &*self.runtimes.own.borrow() {
            return Ok(runtime.clone());
        }
        let runtime = Rc::new(Builder::new_current_thread().enable_all().build()?);
        self.runtimes.own.replace(Some(runtime.clone()));
        Ok(runtime)
    }

    /// The runtime to be entered for handlers that run outside of any, so that they can make wheels and servers; `run_blocking`
    /// drives it later, and if another runtime runs the kernel, what was registered moves there.
    #[inline]
    pub(super) fn runtime_outside(&self) -> Option<Rc<Runtime>> {
        match Handle::try_current() {
            Ok(_) => None,
            // The virtual clock is that of the runtime that the kernel was made in.
            Err(_) if self.is_virtual() => None,
            Err(_) => self.own_runtime().ok(),
        }
    }

    /// At the beginning of each poll: in another runtime than before every task is polled, and registers there what it has.
    #[inline]
    pub(super) fn follow_runtime(&self) {
        let before = self.runtimes.home.get();
        let mut home = before;
        if home.has_moved() {
            self.runtimes.home.set(home);
            if before != Home::default() {
                self.runtime_changed();
            }
        }
    }

    #[cold]
    fn runtime_changed(&self) {
        self.runtimes.epoch.set(self.runtimes.epoch.get() + 1);
        tracing::debug!(target: "poe::sessions", "another Tokio runtime runs the kernel now");
        self.tasks.wake_all();
    }

    /// How often the runtime has changed.
    #[inline]
    pub(crate) fn runtime_epoch(&self) -> u32 {
        self.runtimes.epoch.get()
    }

    /// Lets go of the kernel's own runtime without waiting for it: we may be inside of another one.
    pub(super) fn drop_own_runtime(&self) {
        let own = self.runtimes.own.take();
        if let Some(runtime) = own.and_then(Rc::into_inner) {
            runtime.shutdown_background();
        }
    }
}
