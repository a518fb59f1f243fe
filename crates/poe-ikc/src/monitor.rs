//! Monitors: what happens to connections and subscriptions, as events.

use crate::specifier::Specifier;
use poe::event::EventKey;
use poe::{KernelRef, SessionId};
use std::cell::RefCell;

/// The argument of a monitor's event: something has happened to a kernel.
///
/// If the monitor is for all kernels (`*`), there is a notice for each name that the kernel has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice {
    /// The name that was asked for: a kernel's, or `*`.
    pub monitored: String,
    /// A name of the kernel.
    pub kernel: String,
    /// Whether it is the name that the kernel calls its ID.
    pub is_id: bool,
    /// What has happened.
    pub what: Occurrence,
}

/// What a [`Notice`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Occurrence {
    /// The kernel is connected and may be addressed with this name.
    Register {
        /// The number of its process, if it told it.
        pid: Option<u32>,
    },
    /// The kernel is gone; the name means nothing any more.
    Unregister,
    /// The connection is ready.
    ChannelReady,
    /// The connection is closed.
    ChannelClosed,
    /// A subscription succeeded.
    Subscribe(Specifier),
    /// A subscription ended.
    Unsubscribe(Specifier),
    /// Something failed.
    Error {
        /// What failed: `local-check` (a request that was refused here), `remote-check` (there), `channel-read`, `handshake` …
        operation: String,
        /// Why.
        text: String,
    },
    /// [`Ikc::shutdown`](crate::Ikc::shutdown) was called.
    Shutdown,
}

struct Monitor {
    session: SessionId,
    kernel: String,
    event: EventKey<Notice>,
}

/// All monitors. A session has at most one for each name.
#[derive(Default)]
pub(crate) struct Monitors(RefCell<Vec<Monitor>>);

impl Monitors {
    pub(crate) fn set(&self, session: SessionId, kernel: &str, event: Option<EventKey<Notice>>) {
        let mut monitors = self.0.borrow_mut();
        monitors.retain(|monitor| !(monitor.session == session && monitor.kernel == kernel));
        monitors.extend(event.map(|event| Monitor {
            session,
            kernel: kernel.to_owned(),
            event,
        }));
    }

    /// Tells the monitors of a kernel; `names` are all of its names, first its ID.
    pub(crate) fn tell(&self, kernel: KernelRef<'_>, names: &[String], what: &Occurrence) {
        self.tell_each(kernel, names, true, what);
    }

    /// Tells the monitors of names, of which the first is an ID or not.
    pub(crate) fn tell_each(&self, kernel: KernelRef<'_>, names: &[String], first_is_id: bool, what: &Occurrence) {
        let mut gone = false;
        // Posts run no code of the user's.
        for monitor in self.0.borrow().iter() {
            for (index, name) in names.iter().enumerate() {
                if monitor.kernel != "*" && monitor.kernel != *name {
                    continue;
                }
                let notice = Notice {
                    monitored: monitor.kernel.clone(),
                    kernel: name.clone(),
                    is_id: first_is_id && index == 0,
                    what: what.clone(),
                };
                gone |= kernel.post(monitor.session, &monitor.event, notice).is_err();
            }
        }
        if gone {
            self.0.borrow_mut().retain(|monitor| kernel.is_alive(monitor.session));
        }
    }
}
