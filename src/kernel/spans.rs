//! A `tracing` span for each dispatch, whose parent is the span of the code that posted (feature `spans`).
//!
//! A queued event has no room for a span, so a table beside the queue has those of posts by their position and those of timers by their
//! ID. A message of a handle carries its own, and a future that a handler spawns is polled inside the handler's span.
//!
//! A span stays open as long as it has children. A session that posts to itself for ever would keep all of its spans, so a chain of more than
//! [`LONGEST`] events goes on as a new trace, which *follows from* the last one.

use super::flags::{self, Flag, Flags};
use super::task::Task;
use super::{Core, Frame, Invoked};
use crate::queue::heap::HeapId;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::task::{Context, Poll};
use tracing::span::EnteredSpan;
use tracing::{Level, Span, field};

/// The most events in a chain of causes, from the first one without a parent.
const LONGEST: u32 = 64;

thread_local! {
    /// How many events the running code comes after.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// The span of the code that posts, and how many events it comes after.
#[derive(Default)]
pub(crate) struct Cause(Option<(Span, u32)>);

impl Cause {
    pub(crate) fn none() -> Self {
        Cause(None)
    }

    /// The span of the running code, if it has one and somebody wants spans.
    pub(crate) fn here() -> Self {
        if !wanted() {
            return Cause(None);
        }
        let span = Span::current();
        Cause((!span.is_none()).then(|| (span, DEPTH.get())))
    }
}

fn wanted() -> bool {
    tracing::enabled!(target: "poe::spans", Level::INFO)
}

#[derive(Default)]
pub(crate) struct Spans {
    /// The causes of posts, by the queue's position behind them.
    posts: RefCell<VecDeque<(u64, Cause)>>,
    timers: RefCell<HashMap<HeapId, Cause>>,
    /// The cause of the event that the loop is about to dispatch.
    next: Cell<Cause>,
    /// The spans of the handlers on the stack, the innermost last, and the depth outside of them.
    entered: RefCell<Vec<(EnteredSpan, u32)>>,
    flag: Option<Flag>,
}

impl Spans {
    pub(super) fn new(flags: &Flags) -> Self {
        Spans {
            flag: Some(Flag::new(flags, flags::SPANNED)),
            ..Spans::default()
        }
    }

    fn forget(&self) {
        let old = (self.posts.take(), self.timers.take(), self.next.take());
        drop(old);
    }
}

impl Core {
    /// Looks anew whether somebody wants spans.
    pub(super) fn refresh_spans(&self) {
        let Some(flag) = &self.spans.flag else { return };
        let wanted = wanted();
        if flag.replace(wanted) && !wanted {
            self.spans.forget();
        }
        // What fired meanwhile has no cause.
        if wanted {
            self.queue_mut().take_fired();
        }
    }

    #[inline]
    pub(super) fn is_spanned(&self) -> bool {
        self.flags.get() & flags::SPANNED != 0
    }

    /// Notes the cause of the last post.
    pub(super) fn note_cause(&self, cause: Cause) {
        if cause.0.is_some() {
            let position = self.queue().position();
            self.spans.posts.borrow_mut().push_back((position, cause));
        }
    }

    /// Notes the cause of a timer.
    pub(super) fn note_timer_cause(&self, id: HeapId) {
        let cause = Cause::here();
        if cause.0.is_none() {
            return;
        }
        let mut timers = self.spans.timers.borrow_mut();
        let old = timers.insert(id, cause);
        // Timers that were removed are found here from time to time.
        let mut gone = Vec::new();
        if timers.len() > 64 && timers.len() > 2 * self.queue().timer_count() {
            let queue = self.queue();
            gone = timers.extract_if(|id, _| !queue.has_timer(*id)).collect();
        }
        drop(timers);
        drop((old, gone));
    }

    /// Takes the cause of the event that the loop dispatches now.
    pub(super) fn find_cause(&self) {
        let (position, fired) = {
            let mut queue = self.queue_mut();
            (queue.passed(), queue.take_fired())
        };
        let cause = match fired {
            Some(id) => self.spans.timers.borrow_mut().remove(&id),
            None => None,
        };
        let mut purged = Vec::new();
        let cause = cause.or_else(|| {
            let mut posts = self.spans.posts.borrow_mut();
            while posts.front().is_some_and(|(at, _)| *at < position) {
                purged.extend(posts.pop_front());
            }
            let is_next = fired.is_none() && posts.front().is_some_and(|(at, _)| *at == position);
            if is_next {
                posts.pop_front().map(|(_, cause)| cause)
            } else {
                None
            }
        });
        drop(purged);
        self.spans.next.set(cause.unwrap_or_default());
    }

    /// Makes the cause that was found the span of the code that follows, until the guard is dropped: for events of the kernel's own.
    pub(super) fn enter_cause(&self) -> impl Sized + use<> {
        let Cause(cause) = self.spans.next.take();
        cause.map(|(span, depth)| (Depth::enter(depth), span.entered()))
    }

    /// Enters the span of a handler that is about to be called.
    #[cold]
    pub(super) fn enter_span(&self, frame: &Frame<'_>, queued: bool) {
        let Cause(cause) = self.spans.next.take();
        let event = self.names.name(frame.event.get());
        let alias = self.aliases.borrow().list(frame.session.slot).into_iter().next();
        let session = frame.session;
        let destination = alias.map_or_else(|| format!("session {session}"), |alias| alias.to_string());
        let (kind, what) = if queued {
            ("consumer", "process")
        } else {
            ("internal", "call")
        };
        let (before, depth) = match &cause {
            Some((_, depth)) => (DEPTH.get(), depth + 1),
            None => (DEPTH.get(), DEPTH.get() + 1),
        };
        macro_rules! span {
            ($($parent:tt)*) => {
                tracing::info_span!(
                    target: "poe::spans",
                    $($parent)*
                    "poe.dispatch",
                    otel.name = %format_args!("{what} {event}"),
                    otel.kind = kind,
                    otel.status_code = field::Empty,
                    otel.status_description = field::Empty,
                    error.type = field::Empty,
                    messaging.system = "poe",
                    messaging.operation.name = what,
                    messaging.operation.type = what,
                    messaging.destination.name = %destination,
                    code.file.path = frame.place.file(),
                    code.line.number = frame.place.line(),
                    poe.event = %event,
                    poe.session = %session,
                    poe.sender = %frame.sender,
                )
            };
        }
        let (span, depth) = match cause {
            Some((parent, _)) if depth <= LONGEST => (span!(parent: &parent,), depth),
            None if depth <= LONGEST => (span!(), depth),
            // The chain goes on as a new trace.
            cause => {
                let span = span!(parent: None,);
                let last = cause.map_or_else(Span::current, |(last, _)| last);
                span.follows_from(&last);
                (span, 1)
            }
        };
        DEPTH.set(depth);
        let entered = span.entered();
        self.spans.entered.borrow_mut().push((entered, before));
    }

    /// The handler has returned.
    #[cold]
    pub(super) fn leave_span(&self, invoked: &Invoked) {
        let left = self.spans.entered.borrow_mut().pop();
        let Some((span, before)) = left else { return };
        if let Invoked::Failed(failure) = invoked {
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", field::display(failure));
            span.record("error.type", "handler_failure");
        }
        DEPTH.set(before);
        drop(span);
    }

    /// Has a session's task polled inside the span of the code that starts it.
    pub(super) fn in_span(&self, body: Box<dyn Task>) -> Box<dyn Task> {
        if !self.is_spanned() {
            return body;
        }
        match Cause::here() {
            Cause(Some((span, depth))) => Box::new(InSpan { body, span, depth }),
            Cause(None) => body,
        }
    }
}

/// The depth of the running code, for as long as it lives.
struct Depth(u32);

impl Depth {
    fn enter(depth: u32) -> Self {
        Depth(DEPTH.replace(depth))
    }
}

impl Drop for Depth {
    fn drop(&mut self) {
        DEPTH.set(self.0);
    }
}

struct InSpan {
    body: Box<dyn Task>,
    span: Span,
    depth: u32,
}

impl Task for InSpan {
    fn is_guest(&self) -> bool {
        self.body.is_guest()
    }

    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        let _depth = Depth::enter(self.depth);
        self.span.in_scope(|| self.body.poll(core, cx))
    }
}
