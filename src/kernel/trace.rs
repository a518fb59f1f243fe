//! What the kernel tells of itself: `tracing` events by subsystem (POE's TRACE_*), slow handlers, and transcripts.
//!
//! Targets: `poe::events`, `poe::sessions`, `poe::signals`, `poe::timers`, `poe::slow`. Where nobody listens a trace
//! costs one load and one comparison.

use super::{Config, Core, Frame};
use crate::id::SessionId;
use crate::name::NameIdx;
use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;
use tracing::Level;

/// One dispatch, as a transcript records it.
#[cfg_attr(not(feature = "testing"), allow(dead_code))]
pub(crate) struct Dispatched<'a> {
    /// Nanoseconds of kernel time.
    pub(crate) time: u64,
    pub(crate) session: SessionId,
    pub(crate) event: &'a str,
    pub(crate) sender: SessionId,
    pub(crate) place: &'static Location<'static>,
}

type Hook = Rc<dyn Fn(&Dispatched<'_>)>;

pub(super) struct Observer {
    /// Somebody listens: a `tracing` subscriber, a hook, or the watch for slow handlers. It is the one thing that each
    /// event looks at, and brought up to date whenever the kernel is polled or called from outside.
    watching: Cell<bool>,
    slow: u64,
    hook: RefCell<Option<Hook>>,
}

impl Observer {
    pub(super) fn new(config: &Config) -> Self {
        Observer {
            watching: Cell::new(false),
            slow: config.slow_nanos,
            hook: RefCell::default(),
        }
    }
}

impl Core {
    /// Calls `hook` before each dispatch from now on.
    #[cfg_attr(not(feature = "testing"), allow(dead_code))]
    pub(crate) fn set_observer(&self, hook: Hook) {
        let old = self.observer.hook.replace(Some(hook));
        drop(old);
        self.refresh_watching();
    }

    /// Looks anew who listens.
    pub(crate) fn refresh_watching(&self) {
        let traced = tracing::enabled!(target: "poe::events", Level::TRACE)
            || tracing::enabled!(target: "poe::timers", Level::TRACE);
        let watching = traced || self.observer.slow != u64::MAX || self.observer.hook.borrow().is_some();
        self.observer.watching.set(watching);
    }

    #[inline(always)]
    pub(crate) fn is_watching(&self) -> bool {
        self.observer.watching.get()
    }

    /// The kernel's time, which a transcript counts from.
    #[cfg(feature = "testing")]
    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Tells those who listen of a dispatch.
    #[cold]
    pub(crate) fn observe(&self, frame: &Frame<'_>, queued: bool) {
        if tracing::enabled!(target: "poe::events", Level::TRACE) {
            self.trace_dispatch(frame, queued);
        }
        self.record(frame);
    }

    fn trace_dispatch(&self, frame: &Frame<'_>, queued: bool) {
        tracing::trace!(
            target: "poe::events",
            session = %frame.session,
            event = %self.names.name(frame.event.get()),
            sender = %frame.sender,
            place = %frame.place,
            itself = !queued,
            "dispatch"
        );
    }

    fn record(&self, frame: &Frame<'_>) {
        let hook = self.observer.hook.borrow().clone();
        if let Some(hook) = hook {
            hook(&Dispatched {
                time: self.clock.now(),
                session: frame.session,
                event: &self.names.name(frame.event.get()),
                sender: frame.sender,
                place: frame.place,
            });
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn trace_post(&self, to: u32, name: NameIdx, place: &'static Location<'static>) {
        tracing::trace!(target: "poe::events", to, event = %self.names.name(name), %place, "post");
    }

    #[cold]
    #[inline(never)]
    pub(super) fn trace_timer(&self, to: u32, name: NameIdx, place: &'static Location<'static>, due: u64) {
        tracing::trace!(target: "poe::timers", to, event = %self.names.name(name), %place, due, "set");
    }

    pub(super) fn trace_session(&self, what: &'static str, id: SessionId) {
        tracing::trace!(target: "poe::sessions", session = %id, "{what}");
    }

    /// When a handler begins, if anybody wants to know.
    pub(super) fn slow_start(&self) -> u64 {
        if self.observer.slow == u64::MAX {
            0
        } else {
            self.clock.now()
        }
    }

    #[cold]
    pub(super) fn report_if_slow(&self, started: u64, frame: &Frame<'_>) {
        let took = self.clock.now().saturating_sub(started);
        if took > self.observer.slow {
            tracing::warn!(
                target: "poe::slow",
                session = %frame.session,
                event = %self.names.name(frame.event.get()),
                place = %frame.place,
                micros = took / 1000,
                "a handler held up the kernel"
            );
        }
    }
}
