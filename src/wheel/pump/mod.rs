//! The shared core of ReadWrite and Run: a stream, its filters, the output buffer, and the task that moves the bytes.
//!
//! The wheel's value and its task share a [`PumpState`]. The value sets flags and has the task polled as soon as the current
//! handler returns; except for an explicit flush it does not touch the stream. Neither keeps a borrow while a handler, a filter
//! or a user's drop runs: filters and the stream are taken out of their cells, used, and put back.
//!
//! A turn in the I/O phase is: the methods' requests (watermarks, records of a new filter); a write pass; one read, its
//! records, and a write pass for the output of their handlers. A short read has emptied the socket, so the stream is polled once
//! more, which costs no system call and registers the waker; the result is the block of the next turn. So there is
//! one block per turn, and queued events go in between (driver row D6). A turn that is too long for the kernel's pace
//! pauses between two records, and continues there ([`Resume`]).
//!
//! After a handler that put something, or changed the filter, the task is polled for that alone, and reads nothing.
//!
//! # The two sides
//!
//! Each side is a small state machine without I/O, which is tested by itself: [`input::Reading`] and [`output::Writing`].
//! A request of a method or a result of the stream moves it; what it then allows is all that the rest asks.
//!
//! The reading side has a state of the stream, a state of the filter, and two pauses (the program's, and a splice's):
//!
//! | stream | next | read | records delivered |
//! |---|---|---|---|
//! | open | end or error of the stream → ended; `shutdown_input` → shut | unless paused | yes, also while paused |
//! | ended | `shutdown_input` → shut | no | those that came before the end, also by a new filter |
//! | shut | nothing | no | no |
//!
//! | filter | next | read | records delivered |
//! |---|---|---|---|
//! | records | its event is taken away → no event; a fatal error or a panic → broken | yes | yes |
//! | no event | an event, or a new filter → records | no | no |
//! | broken | a new filter → records | no | no |
//!
//! The writing side has a state of the output and one of the watermarks:
//!
//! | output | next | put | a write pass |
//! |---|---|---|---|
//! | open | end with flush → finishing, without → shutting; a failed write → failed | yes | writes what waits |
//! | finishing | all is written → shutting; end without flush → shutting; a failed write → failed | no | writes what waits |
//! | shutting | the stream is shut down → shut | no | shuts the stream down |
//! | shut, failed | nothing | no | nothing |
//!
//! | mark | next |
//! |---|---|
//! | low | a put that reaches the high mark → high, due |
//! | high, due | the high event is sent → high |
//! | high | the buffer falls to the low mark: the low event is sent → low |

mod erased;
pub(crate) mod handle;
mod input;
mod limits;
mod output;
#[cfg(not(target_family = "wasm"))]
mod sockets;
#[cfg(target_family = "wasm")]
mod sockets {
    //! The same where there are no sockets: streams are in memory.

    use std::any::Any;
    use std::io;
    use std::pin::Pin;

    pub(super) fn reset(_: &dyn Any) {}

    pub(super) fn discard_input(_: &dyn Any) {}

    pub(super) fn end_input(_: &dyn Any) {}

    pub(super) fn follow<T: 'static>(_: Pin<&mut T>) -> io::Result<()> {
        Ok(())
    }
}
mod state;

pub use erased::Input;
pub(crate) use erased::{Formatter, Parser, Record, TypedFormatter, TypedParser, follow};
pub(crate) use handle::Events;
#[cfg(unix)]
pub(crate) use handle::log_unreported;
pub(crate) use limits::Appetite;
pub(crate) use limits::{DEFAULT_MARKS, Settings, check_marks, watermark_settings};
pub(crate) use limits::{FLUSH_TIMEOUT, Limits};
pub use output::Level;
pub(crate) use output::PendingReports;
#[cfg(unix)]
pub(crate) use state::Part;
pub(crate) use state::{Link, PumpState, Setup};

use crate::bridge::runtime::{Home, cannot_move};
use crate::kernel::task::Task;
use crate::kernel::{Core, StreamSnapshot};
use handle::report;
use input::{End, Resume};
use limits::{Closing, Stall, Watch};
use output::emit_high;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The wheel's task.
pub(crate) struct Pump {
    state: Rc<PumpState>,
    /// The filter has a block that was read ahead, which was full or not.
    ahead: Option<bool>,
    resume: Option<Resume>,
    /// The stream had nothing more to read in this poll.
    armed: bool,
    appetite: Appetite,
    /// The end that was met when reading ahead.
    end: Option<End>,
    /// The end was reported. The wheel's other pumps are told once a filter changed at the end has yielded its records.
    ending: bool,
    closing: Option<Closing>,
    /// Runs while the peer takes nothing of an output that is to be closed.
    stall: Option<Stall>,
    /// The limits on the peer, if there are any …
    watch: Option<Box<Watch>>,
    /// … and whether a record was made since they were checked.
    seen: bool,
    /// The runtime with which the stream is registered, if known …
    home: Home,
    /// … and the number of the kernel's change of runtime that it was noted at.
    epoch: Option<u32>,
}

impl Pump {
    pub(crate) fn new(state: Rc<PumpState>, limits: Limits) -> Self {
        Pump {
            watch: Watch::new(limits),
            seen: false,
            state,
            ahead: None,
            resume: None,
            armed: false,
            appetite: Appetite::new(),
            end: None,
            ending: false,
            closing: None,
            stall: None,
            home: Home::of_a_given(),
            epoch: None,
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.state.over.set(true);
        let io = self.state.take_io();
        let ended = self.state.reading.get().has_ended() || self.end.is_some() || self.state.writing.get().has_failed();
        if let Some(io) = io.filter(|_| !ended) {
            io.read_away();
        }
        let link = self.state.link.take();
        if let Some(link) = link {
            link.drained(&self.state);
        }
    }
}

/// A guard that exists while the task's poll is on the stack.
struct Polling<'a>(&'a PumpState);

impl<'a> Polling<'a> {
    fn enter(state: &'a PumpState) -> Self {
        state.polling.set(true);
        Polling(state)
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.polling.set(false);
    }
}

impl Task for Pump {
    fn stream(&self) -> Option<StreamSnapshot> {
        Some(self.state.stream_snapshot())
    }

    fn poll(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        let state = self.state.clone();
        let _polling = Polling::enter(&state);
        if self.epoch != Some(core.runtime_epoch()) {
            self.follow_runtime(&state, core.runtime_epoch());
        }
        if state.closing.get().is_none() {
            self.armed = false;
            // `None`: a handler has dropped or closed the wheel.
            let _: Option<()> = if core.is_turn() {
                if self.resume.is_none() {
                    state.wants_turn.set(false);
                }
                self.turn(&state, core, cx)
            } else {
                self.output(&state, core, cx)
            };
            if self.resume.is_some() {
                core.pause_turn();
                return Poll::Pending;
            }
            if self.watch.is_some() {
                let _gone: Option<()> = self.look_at_limits(&state, core, cx);
            }
            // A handler of this poll may have changed the filter, for example at the end of the input, or resumed the input.
            if state.wants_turn.get() || state.reparse.get() {
                cx.waker().wake_by_ref();
            }
            let link = state.link.borrow().clone();
            if let Some(link) = link
                && link.settle(&state, core, self.armed)
            {
                cx.waker().wake_by_ref();
            }
        }
        if let Some(linger) = state.closing.get() {
            return self.poll_close(&state, linger, core, cx);
        }
        if state.writing.get().is_over() && self.has_input_ended(&state) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Pump {
    /// Reports the limits that are over. `None`: the wheel is gone.
    #[cold]
    fn look_at_limits(&mut self, state: &PumpState, core: &Core, cx: &mut Context<'_>) -> Option<()> {
        loop {
            // A closed wheel has its own limits.
            if !state.base.is_alive() || state.closing.get().is_some() {
                return None;
            }
            let watch = self.watch.as_mut()?;
            watch.note(state, std::mem::take(&mut self.seen));
            match watch.poll(state, cx) {
                Poll::Pending => return Some(()),
                Poll::Ready(error) => report(state, core, error)?,
            }
        }
    }

    /// Another runtime may run the kernel now. A stream that cannot be registered with it fails.
    #[cold]
    fn follow_runtime(&mut self, state: &PumpState, epoch: u32) {
        if !self.home.has_moved() {
            self.epoch = Some(epoch);
            return;
        }
        match state.with_io(|io| io.as_mut().follow_runtime()) {
            Some(Ok(())) => self.epoch = Some(epoch),
            Some(Err(error)) => {
                self.epoch = Some(epoch);
                self.end = Some(End::Error(cannot_move(&error)));
                if !state.is_output_closed() {
                    state.fail_output(cannot_move(&error));
                }
            }
            // In use up the stack: next time.
            None => self.home = Home::default(),
        }
    }

    /// A poll between two events: reports the watermarks, delivers the records of a new filter, and writes.
    ///
    /// `None`: the wheel is gone, stop at once.
    fn output(&mut self, state: &PumpState, core: &Core, cx: &mut Context<'_>) -> Option<()> {
        emit_high(state, core)?;
        let resume = matches!(self.resume, Some(Resume::Output));
        if resume || (self.resume.is_none() && state.reparse.take()) {
            self.records(state, core, Resume::Output)?;
            if self.resume.is_some() {
                return Some(());
            }
        }
        if self.ending {
            self.end_part(state, core)?;
        }
        self.write(state, core, cx)
    }
}
