//! The kernel's `tracing` events by subsystem (POE's TRACE_*), slow handlers, and transcripts.
//!
//! The documentation of [`KernelBuilder`](super::KernelBuilder) lists the targets. Without a subscriber a trace costs
//! one load and one comparison; whether single events are traced is asked once per poll.

use super::flags::{self, Flag, Flags};
use super::observe::Observers;
use super::{Config, Core, Frame, Invoked};
use crate::error::log_quietly;
use crate::id::{Place, SessionId};
use crate::name::NameIdx;
use crate::queue::heap::HeapId;
use crate::resource::{Hold, HoldKind};
use std::cell::RefCell;
use std::rc::Rc;
use tracing::Level;
use tracing::level_filters::LevelFilter;

/// One dispatch, as a transcript records it.
#[cfg_attr(not(feature = "testing"), allow(dead_code))]
pub(crate) struct Dispatched<'a> {
    /// Nanoseconds of kernel time.
    pub(crate) time: u64,
    pub(crate) session: SessionId,
    pub(crate) event: &'a str,
    pub(crate) sender: SessionId,
    pub(crate) place: Place,
}

/// What is to be done when a handler has returned that listeners were told of.
#[derive(Clone, Copy, Default)]
pub(crate) struct Observed {
    /// When it was called, if that counts.
    started: u64,
    slow: bool,
    timed: bool,
    spanned: bool,
}

type Hook = Rc<dyn Fn(&Dispatched<'_>)>;

pub(super) struct Observer {
    /// Brought up to date whenever the kernel is made, is polled, or runs a handler for somebody outside.
    watching: Flag,
    slow: u64,
    hook: RefCell<Option<Hook>>,
    pub(super) observers: Observers,
}

impl Observer {
    pub(super) fn new(config: &Config, flags: &Flags) -> Self {
        Observer {
            watching: Flag::new(flags, flags::WATCHING),
            slow: config.slow_nanos,
            hook: RefCell::default(),
            observers: Observers::default(),
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

    /// Updates whether a subscriber or a transcript listens.
    pub(crate) fn refresh_watching(&self) {
        let traced = tracing::enabled!(target: "poe::events", Level::TRACE)
            || tracing::enabled!(target: "poe::timers", Level::TRACE)
            || tracing::enabled!(target: "poe::refcnt", Level::TRACE);
        let wanted = self.observer.observers.refresh();
        let watching = wanted || traced || self.observer.slow != u64::MAX || self.observer.hook.borrow().is_some();
        self.observer.watching.set(watching);
        self.refresh_spans();
    }

    /// Whether anything is to be done about a dispatch besides calling the handler.
    #[inline(always)]
    pub(crate) fn is_listening(&self) -> bool {
        self.flags.get() & flags::LISTENING != 0
    }

    /// What listeners do before a handler is called. [`end_observed`](Self::end_observed) follows with the result.
    #[cold]
    #[inline(never)]
    pub(crate) fn begin_observed(&self, frame: &Frame<'_>, queued: bool) -> Observed {
        let timed = self.count_dispatch();
        self.begin_counted(frame, queued, timed)
    }

    /// The same for a dispatch that is counted already.
    #[cold]
    #[inline(never)]
    pub(super) fn begin_counted(&self, frame: &Frame<'_>, queued: bool, timed: bool) -> Observed {
        if self.is_watching() {
            self.observe(frame, queued);
        }
        let spanned = self.is_spanned();
        if spanned {
            self.enter_span(frame, queued);
        }
        if timed {
            self.begin_sample();
        }
        let slow = self.observer.slow != u64::MAX || self.observer.observers.want_dispatches();
        Observed {
            started: if slow || timed { self.clock.now() } else { 0 },
            slow,
            timed,
            spanned,
        }
    }

    /// What listeners do when the handler has returned.
    #[cold]
    #[inline(never)]
    pub(crate) fn end_observed(&self, observed: Observed, frame: &Frame<'_>, invoked: &Invoked) {
        if observed.slow || observed.timed {
            let took = self.clock.now().saturating_sub(observed.started);
            if self.observer.observers.want_dispatches() {
                self.tell_dispatched(observed.started, took, frame, invoked);
            }
            if took > self.observer.slow {
                self.report_slow(took, frame);
            }
            if observed.timed {
                self.end_sample(took, frame);
            }
        }
        if observed.spanned {
            self.leave_span(invoked);
        }
    }

    #[inline(always)]
    pub(crate) fn is_watching(&self) -> bool {
        self.flags.get() & flags::WATCHING != 0
    }

    /// The kernel's time, which a transcript counts from.
    #[cfg(feature = "testing")]
    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Reports a dispatch to those that listen.
    fn observe(&self, frame: &Frame<'_>, queued: bool) {
        if tracing::enabled!(target: "poe::events", Level::TRACE) {
            self.trace_dispatch(frame, queued);
        }
        if queued && tracing::enabled!(target: "poe::refcnt", Level::TRACE) {
            let slot = self.sessions.borrow().resolve(frame.session);
            if let Some(slot) = slot {
                self.trace_refcnt(
                    "dispatching",
                    slot,
                    HoldKind::Event,
                    &self.names.name(frame.event.get()),
                );
            }
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
    pub(super) fn trace_post(&self, to: u32, from: u32, name: NameIdx, place: Place) {
        let event = self.names.name(name);
        if tracing::enabled!(target: "poe::events", Level::TRACE) {
            let (to, from) = {
                let sessions = self.sessions.borrow();
                (sessions.id(to), sessions.id(from))
            };
            tracing::trace!(target: "poe::events", %to, %from, %event, %place, "post");
        }
        self.trace_held(to, HoldKind::Event, &event);
        if from != to {
            self.trace_held(from, HoldKind::SentEvent, &event);
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn watch_timer(&self, id: HeapId, to: u32, name: NameIdx, place: Place, due: u64) {
        if self.is_spanned() {
            self.note_timer_cause(id);
        }
        if self.is_watching() {
            self.trace_timer(to, name, place, due);
        }
    }

    fn trace_timer(&self, to: u32, name: NameIdx, place: Place, due: u64) {
        let event = self.names.name(name);
        if tracing::enabled!(target: "poe::timers", Level::TRACE) {
            let session = self.sessions.borrow().id(to);
            // From now on; before now for one that is past. The kernel's own scale would tell nobody anything.
            let seconds = (i128::from(due) - i128::from(self.clock.now())) as f64 / 1e9;
            tracing::trace!(target: "poe::timers", %session, %event, %place, due_in = %format_args!("{seconds:.6}s"), "set");
        }
        self.trace_held(to, HoldKind::Timer, &event);
    }

    #[cold]
    #[inline(never)]
    pub(super) fn trace_timer_removed(&self, to: u32, event: &str) {
        self.trace_released(to, HoldKind::Timer, event);
    }

    #[inline]
    pub(super) fn trace_session(&self, what: &'static str, id: SessionId) {
        if LevelFilter::current() >= LevelFilter::TRACE {
            self.trace_session_slowly(what, id);
        }
    }

    #[cold]
    #[inline(never)]
    fn trace_session_slowly(&self, what: &'static str, id: SessionId) {
        if tracing::enabled!(target: "poe::sessions", Level::TRACE) {
            log_quietly(|| tracing::trace!(target: "poe::sessions", session = %id, "{what}"));
        }
    }

    /// A session is held by one thing more, which is counted already. Nothing of the kernel is borrowed while a
    /// subscriber is told: it is a user's code.
    #[inline]
    pub(super) fn trace_held(&self, slot: u32, kind: HoldKind, name: &str) {
        if LevelFilter::current() >= LevelFilter::TRACE {
            self.trace_refcnt("held", slot, kind, name);
        }
    }

    /// … or by one thing less.
    #[inline]
    pub(super) fn trace_released(&self, slot: u32, kind: HoldKind, name: &str) {
        if LevelFilter::current() >= LevelFilter::TRACE {
            self.trace_refcnt("released", slot, kind, name);
        }
    }

    #[cold]
    #[inline(never)]
    fn trace_refcnt(&self, what: &'static str, slot: u32, kind: HoldKind, name: &str) {
        if !tracing::enabled!(target: "poe::refcnt", Level::TRACE) {
            return;
        }
        let (session, refs) = {
            let sessions = self.sessions.borrow();
            (sessions.id(slot), sessions.refs(slot))
        };
        log_quietly(|| tracing::trace!(target: "poe::refcnt", %session, refs, %kind, name, "{what}"));
    }

    /// What a session was, before it is taken apart.
    #[inline]
    pub(super) fn trace_destroy(&self, slot: u32) {
        if LevelFilter::current() >= LevelFilter::TRACE {
            self.trace_destroy_slowly(slot);
        }
    }

    #[cold]
    #[inline(never)]
    fn trace_destroy_slowly(&self, slot: u32) {
        if !tracing::enabled!(target: "poe::destroy", Level::TRACE) {
            return;
        }
        let (id, object, place) = {
            let sessions = self.sessions.borrow();
            (sessions.id(slot), sessions.object(slot), sessions.place(slot))
        };
        let Some(object) = object else { return };
        let (heap, options, handlers) = (object.heap_type(), object.options(), object.event_names());
        let handlers: Vec<&str> = handlers.iter().map(|name| name.as_str()).collect();
        log_quietly(|| {
            tracing::trace!(target: "poe::destroy", session = %id, heap, ?options, ?handlers, created = %place, "destroyed");
        });
        let mut holds: Vec<Hold> = Vec::new();
        self.outside_holds(slot, id, &mut holds);
        for hold in holds {
            log_quietly(|| tracing::trace!(target: "poe::destroy", session = %id, "still held by {hold}"));
        }
    }

    fn report_slow(&self, took: u64, frame: &Frame<'_>) {
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
