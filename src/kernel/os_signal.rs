//! Signals of the operating system become signals to all sessions (law L53), as long as a session watches.
//!
//! The listener of a signal is a task of the kernel, which keeps no session and no run alive.

use super::task::{Purpose, Task};
use super::{Core, Kernel};
use crate::arg::AnyArg;
use crate::bridge::os_signals::{Arrivals, SAFE};
use crate::error::{Failure, log_quietly};
use crate::id::{SessionId, TaskId};
use crate::name::Name;
use crate::resource::HoldKind;
use crate::resource::sessions::KERNEL;
use std::cell::RefCell;
use std::io;
use std::panic::Location;
use std::task::{Context, Poll, ready};

/// The listeners that stand, by signal.
#[derive(Default)]
pub(super) struct Listeners(RefCell<Vec<(&'static str, TaskId)>>);

struct ListenTask {
    signal: &'static str,
    /// None until there is a runtime to listen in.
    arrivals: Option<Arrivals>,
    /// It has not been polled yet.
    new: bool,
}

impl ListenTask {
    fn new(signal: &'static str, keep: bool) -> io::Result<Self> {
        // At once where that can be: the handler that watches may raise the signal before it returns.
        let inside = tokio::runtime::Handle::try_current().is_ok();
        let arrivals = inside.then(|| Arrivals::of(signal, keep)).transpose()?;
        Ok(ListenTask {
            signal,
            arrivals,
            new: true,
        })
    }
}

impl Task for ListenTask {
    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        let arrivals = match &mut self.arrivals {
            Some(arrivals) => arrivals,
            none => match Arrivals::of(self.signal, core.config.keep_signal_handlers) {
                Ok(arrivals) => none.insert(arrivals),
                Err(error) => {
                    core.listening_failed(core.id(), self.signal, error);
                    return Poll::Ready(());
                }
            },
        };
        if std::mem::take(&mut self.new) && self.signal == "CHLD" {
            core.children_may_have_ended(false);
        }
        loop {
            ready!(arrivals.poll(cx));
            tracing::trace!(target: "poe::signals", signal = self.signal, "arrived");
            if self.signal == "CHLD" {
                core.children_may_have_ended(true);
            } else {
                core.kernel_signal(KERNEL, self.signal, AnyArg::UNIT);
            }
        }
    }
}

impl Core {
    /// Listens for a signal that a session has begun to watch, if it is one of the system's.
    pub(super) fn listen(&self, watcher: SessionId, signal: &str) {
        // Virtual time has nothing to do with the system.
        let known = SAFE.iter().find(|safe| **safe == signal);
        let Some(signal) = known.filter(|_| !self.is_virtual()) else {
            return;
        };
        if self.listeners.0.borrow().iter().any(|(name, _)| name == signal) {
            return;
        }
        match ListenTask::new(signal, self.config.keep_signal_handlers) {
            Ok(task) => {
                let purpose = Purpose {
                    owner: self.id(),
                    kind: HoldKind::Task,
                    what: Name::from_static(signal),
                    place: Location::caller(),
                    listener: false,
                };
                let started = self.start_task(purpose, Box::new(task));
                let mut listeners = self.listeners.0.borrow_mut();
                listeners.extend(started.map(|id| (*signal, id)));
            }
            Err(error) => self.listening_failed(watcher, signal, error),
        }
    }

    fn listening_failed(&self, watcher: SessionId, signal: &'static str, error: io::Error) {
        let failure = Failure::from(error);
        self.raise_for_task(watcher, Name::from_static(signal), &failure, Location::caller());
    }

    /// Whether signals of the system are listened for.
    pub(super) fn listens(&self) -> bool {
        !self.listeners.0.borrow().is_empty()
    }

    /// Ends the listeners of signals that no session watches any more.
    pub(super) fn settle_listeners(&self) {
        if self.listeners.0.borrow().is_empty() {
            return;
        }
        let mut ended = Vec::new();
        {
            let signals = self.signals.borrow();
            let mut listeners = self.listeners.0.borrow_mut();
            listeners.retain(|(name, id)| {
                let wanted = signals.is_watched(name) || *name == "CHLD" && self.awaits_by_signal();
                if !wanted {
                    ended.push((*name, *id));
                }
                wanted
            });
        }
        for (signal, id) in ended {
            if signal != "CHLD" {
                log_quietly(|| {
                    tracing::debug!(target: "poe::signals", signal, "no session of this kernel watches it any more");
                });
            }
            self.cancel_task(id);
        }
    }
}

#[cfg(not(unix))]
impl Core {
    fn children_may_have_ended(&self, _: bool) {}

    fn awaits_by_signal(&self) -> bool {
        false
    }

    pub(super) fn awaits_children(&self) -> bool {
        false
    }

    pub(super) fn clear_children(&self, _: u32) -> Vec<std::convert::Infallible> {
        Vec::new()
    }
}

impl Kernel {
    /// Returns the signals of the operating system that sessions may watch, sorted, without `SIG`: all but those that
    /// no handler can catch, and those that the processor raises for a faulty instruction.
    ///
    /// ```
    /// # #[cfg(unix)]
    /// assert!(poe::Kernel::safe_signals().contains(&"USR1"));
    /// assert!(!poe::Kernel::safe_signals().contains(&"KILL"));
    /// ```
    #[doc(alias = "sig_get_safe_signals")]
    #[doc(alias = "get_safe_signals")]
    #[must_use]
    pub fn safe_signals() -> &'static [&'static str] {
        SAFE
    }
}
